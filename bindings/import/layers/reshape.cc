// bindings/import/layers/reshape.cc: other extents for the same elements, the batch axis left
// alone.
#include "bindings/import/layer.h"
#include "graph/support/error.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"Reshape"};
constexpr std::string_view kKeys[] = {"target_shape"};

ValueId build(LayerBuilder& layer) {
  const ConfigView target = layer.config("target_shape");
  const int64_t elements = elements_per_sample(layer.shape(layer.input()));
  std::vector<int64_t> extents;
  int64_t known = 1;
  int open = 0;
  for (size_t k = 0; k < target.size(); ++k) {
    const int64_t extent = target[k].as_integer();
    if (extent == -1) {
      ++open;
    } else if (extent < 1 || extent > elements / known) {
      target.fail_expected(
          join_text("extents with a product of ", elements, ", at most one of them -1"));
    } else {
      known *= extent;
    }
    extents.push_back(extent);
  }
  if (open > 1 || elements % known != 0 || (open == 0 && known != elements)) {
    target.fail_expected(
        join_text("extents with a product of ", elements, ", at most one of them -1"));
  }
  for (int64_t& extent : extents) {
    if (extent == -1) extent = elements / known;
  }
  return layer.graph.reshape(layer.input(), extents, layer.name());
}

}  // namespace

extern constinit const LayerDef reshape{
    .class_names = kClasses, .doc = "[N, …] → [N, target_shape…].", .keys = kKeys, .build = build};

}  // namespace qloom::keras::layers
