// bindings/import/layers/permute.cc: axes in another order, counted from 1 behind the batch axis.
#include <algorithm>

#include "bindings/import/layer.h"
#include "graph/support/error.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"Permute"};
constexpr std::string_view kKeys[] = {"dims"};

ValueId build(LayerBuilder& layer) {
  const ConfigView dims = layer.config("dims");
  const auto rank = static_cast<int64_t>(layer.rank(layer.input()));
  std::vector<int64_t> axes{0};
  for (size_t k = 0; k < dims.size(); ++k) axes.push_back(dims[k].as_integer());
  std::vector<int64_t> sorted = axes;
  std::sort(sorted.begin(), sorted.end());
  bool is_permutation = std::ssize(axes) == rank;
  for (size_t k = 0; k < sorted.size(); ++k)
    is_permutation = is_permutation && sorted[k] == static_cast<int64_t>(k);
  if (!is_permutation) dims.fail_expected(join_text("the axes 1 to ", rank - 1, ", each once"));
  return layer.graph.permute(layer.input(), axes, layer.name());
}

}  // namespace

extern constinit const LayerDef permute{
    .class_names = kClasses, .doc = "Axes in another order.", .keys = kKeys, .build = build};

}  // namespace qloom::keras::layers
