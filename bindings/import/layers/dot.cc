// bindings/import/layers/dot.cc: products of two inputs, summed along one axis of each. The other
// axes of the first come before those of the second: [N, I…, K] · [N, J…, K] → [N, I…, J…].
// Source: Keras 2 keras/layers/merging/dot.py, backend.batch_dot.
#include <algorithm>

#include "bindings/import/expression.h"
#include "graph/support/error.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"Dot"};
constexpr std::string_view kKeys[] = {"axes", "normalize"};

struct Side {
  Term x;        // the summed axis last, other extents around it for the broadcast
  Extents rest;  // of the other axes
  int64_t summed = 0;
};

// x·(1/sqrt(max(Σx², 1e-12))).
Term unit_length(Expressions& e, Term x, int64_t axis) {
  const ops::Reduce reduce{.kind = ops::ReduceKind::sum, .axes = {axis}, .keep_dims = true};
  return x * e.reciprocal_root(e.maximum(e.reduce(x * x, reduce), e.constant(1e-12)));
}

ValueId build(LayerBuilder& layer) {
  const ConfigView axes = layer.config("axes");
  const bool is_pair = axes.value().array() != nullptr;
  if (is_pair && axes.size() != 2) axes.fail_expected("an axis, or one for each of 2 inputs");
  Expressions e(layer, "dot");
  const bool normalize = layer.config("normalize").bool_or(false);
  Side sides[2] = {{e(layer.inputs()[0]), {}, 0}, {e(layer.inputs()[1]), {}, 0}};
  for (size_t k = 0; k < 2; ++k) {
    const ConfigView view = is_pair ? axes[k] : axes;
    const Shape shape = layer.shape(layer.inputs()[k]);
    const auto rank = static_cast<int64_t>(shape.size());
    const int64_t axis = view.as_integer() < 0 ? view.as_integer() + rank : view.as_integer();
    if (axis < 1 || axis >= rank)
      view.fail_expected(join_text("an axis of the input, 1 to ", rank - 1));
    Side& side = sides[k];
    side.summed = shape[static_cast<size_t>(axis)].extent();
    if (normalize) side.x = unit_length(e, side.x, axis);
    std::vector<int64_t> order{0};
    for (int64_t a = 1; a < rank; ++a)
      if (a != axis) {
        order.push_back(a);
        side.rest.push_back(shape[static_cast<size_t>(a)].extent());
      }
    order.push_back(axis);
    if (!std::ranges::is_sorted(order)) side.x = e.permute(side.x, order);
  }
  if (sides[0].summed != sides[1].summed)
    axes.fail(join_text("the inputs have ", sides[0].summed, " and ", sides[1].summed,
                        " elements there, which must be equal"));
  for (size_t k = 0; k < 2; ++k) {
    Extents spread = k == 0 ? sides[0].rest : Extents(sides[0].rest.size(), 1);
    const Extents other = k == 1 ? sides[1].rest : Extents(sides[1].rest.size(), 1);
    spread.insert(spread.end(), other.begin(), other.end());
    spread.push_back(sides[k].summed);
    sides[k].x = e.reshape(sides[k].x, spread);
  }
  const Term products = sides[0].x * sides[1].x;
  const int64_t last = layer.rank(products.id) - 1;
  ops::Reduce reduce{.kind = ops::ReduceKind::sum, .axes = {last}};
  reduce.keep_dims = last == 1;  // of two vectors: [N, 1]
  return layer.graph.reduce(products.id, reduce, layer.name());
}

}  // namespace

extern constinit const LayerDef dot{.class_names = kClasses,
                                    .doc = "Products of two inputs, summed along an axis.",
                                    .keys = kKeys,
                                    .min_inputs = 2,
                                    .max_inputs = 2,
                                    .build = build};

}  // namespace qloom::keras::layers
