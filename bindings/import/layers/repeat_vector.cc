// bindings/import/layers/repeat_vector.cc: [N, C] → [N, n, C], the same at every step.
#include "bindings/import/layer.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"RepeatVector"};
constexpr std::string_view kKeys[] = {"n"};

ValueId build(LayerBuilder& layer) {
  layer.require_rank(2);
  const int64_t n = layer.config("n").as_positive();
  const int64_t channels = layer.shape(layer.input()).back().extent();
  const ValueId step = layer.graph.reshape(layer.input(), {1, channels}, layer.name("step"));
  return layer.graph.resize(step, {.scales = {n}}, layer.name());
}

}  // namespace

extern constinit const LayerDef repeat_vector{
    .class_names = kClasses, .doc = "A vector at each of n steps.", .keys = kKeys, .build = build};

}  // namespace qloom::keras::layers
