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
  if (layer.config("mask_zero").bool_or(false))
    layer.config("mask_zero").fail("a mask of the zeros is not supported yet");
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
                                          .weights = weights,
                                          .build = build};

}  // namespace qloom::keras::layers
