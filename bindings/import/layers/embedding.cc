// bindings/import/layers/embedding.cc: [N, …] token numbers → [N, …, output_dim], rows of a table.
// Numbers are rounded towards 0, as Keras casts them.
#include "bindings/import/layer.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"Embedding"};
constexpr std::string_view kKeys[] = {"input_dim", "output_dim", "mask_zero"};
constexpr std::string_view kIgnored[] = {"input_length", "sparse"};

std::vector<std::string_view> weights(const ConfigView&) { return {"embeddings"}; }

ValueId build(LayerBuilder& layer) {
  if (layer.config("mask_zero").bool_or(false)) {
    AttributeValue::Integers single;  // one number a step
    for (size_t k = 1; k < layer.shape(layer.input()).size(); ++k)
      single.push_back(layer.shape(layer.input())[k].extent());
    single.push_back(1);
    layer.set_mask(layer.graph.step_mask(
        layer.graph.reshape(layer.input(), std::move(single), layer.name("numbers")), 0.0,
        layer.name("mask")));
  }
  const int64_t rows = layer.config("input_dim").as_positive();
  const int64_t row = layer.config("output_dim").as_positive();
  const ValueId table = layer.weight("embeddings", {rows, row}, "input_dim, output_dim");
  return layer.graph.gather(table, layer.input(), layer.name());
}

}  // namespace

extern constinit const LayerDef embedding{.class_names = kClasses,
                                          .doc = "Rows of a table by their numbers.",
                                          .keys = kKeys,
                                          .ignored = kIgnored,
                                          .mask = MaskUse::builds,
                                          .weights = weights,
                                          .build = build};

}  // namespace qloom::keras::layers
