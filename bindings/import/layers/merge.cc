// bindings/import/layers/merge.cc: inputs combined element by element, from left to right. Inputs
// of lower rank get axes of size 1 after the batch axis. Average is the sum, divided by the count.
// Source: Keras 2 keras/layers/merging/base_merge.py.
#include <algorithm>

#include "bindings/import/layer.h"
#include "graph/support/error.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"Add",     "Subtract", "Multiply",
                                         "Maximum", "Minimum",  "Average"};
constexpr int kMany = 1 << 20;

struct Kind {
  std::string_view class_name;
  ops::Elementwise op;
};
constexpr Kind kKinds[] = {
    {"Add", ops::Elementwise::add},           {"Subtract", ops::Elementwise::subtract},
    {"Multiply", ops::Elementwise::multiply}, {"Maximum", ops::Elementwise::maximum},
    {"Minimum", ops::Elementwise::minimum},   {"Average", ops::Elementwise::add}};

bool is_compatible(const Dim& a, const Dim& b) { return a == b || a == Dim(1) || b == Dim(1); }

// Like NumPy, aligned at the last axis.
void check_shapes(const LayerBuilder& layer, const Shape& a, const Shape& b) {
  bool fits = true;
  for (size_t k = 1; k <= std::min(a.size(), b.size()); ++k)
    fits = fits && is_compatible(a[a.size() - k], b[b.size() - k]);
  if (!fits) {
    layer.fail(join_text("its inputs have shapes ", to_string(a), " and ", to_string(b),
                         ", which do not broadcast"));
  }
}

ValueId build(LayerBuilder& layer) {
  const Kind& kind = *std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Kind& k) {
    return k.class_name == layer.class_name();
  });
  const size_t count = layer.inputs().size();
  if (kind.op == ops::Elementwise::subtract && count != 2) {
    layer.fail(join_text("has ", count, " inputs, expected 2"));
  }
  int rank = 0;
  for (const ValueId x : layer.inputs()) rank = std::max(rank, layer.rank(x));
  std::vector<ValueId> xs;
  for (const ValueId x : layer.inputs()) {
    const Shape& shape = layer.shape(x);
    if (layer.rank(x) == rank) {
      xs.push_back(x);
      continue;
    }
    std::vector<int64_t> extents(static_cast<size_t>(rank - layer.rank(x)), 1);
    for (size_t k = 1; k < shape.size(); ++k) extents.push_back(shape[k].extent());
    xs.push_back(layer.graph.reshape(x, extents, layer.name("expand")));
  }
  const bool is_average = layer.class_name() == "Average";
  ValueId y = xs[0];
  for (size_t k = 1; k < count; ++k) {
    check_shapes(layer, layer.shape(y), layer.shape(xs[k]));
    y = layer.graph.elementwise(kind.op, y, xs[k],
                                layer.name("merge", k + 1 == count && !is_average));
  }
  if (!is_average) return y;
  const ValueId divisor =
      layer.graph.constant(layer.name("count"), Tensor::scalar(static_cast<float>(count)));
  return layer.graph.elementwise(ops::Elementwise::divide, y, divisor, layer.name());
}

}  // namespace

extern constinit const LayerDef merge{
    .class_names = kClasses,
    .doc = "Sum, difference, product, extremum or mean of inputs.",
    .keys = {},
    .min_inputs = 2,
    .max_inputs = kMany,
    .mask = MaskUse::passes,
    .build = build};

}  // namespace qloom::keras::layers
