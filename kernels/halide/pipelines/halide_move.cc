// kernels/halide/pipelines/halide_move.cc: elements in another place.
// Parameters: op: permute (axes: axis i of the result is axes[i] of x), pad (before), concat
// (axis); codes: 1 where codes are moved, else values. Axes are those of the sample.
#include "graph/support/error.h"
#include "kernels/pipelines_table.h"

namespace qloom::kernels::pipelines {
namespace {

using Halide::Expr;

/// An element of an operand as it is moved.
Expr moved(const PipelineBuild& b, size_t input, const Place& place) {
  if (!b.parameters()["codes"].as_bool()) return b.value(input, place);
  const Expr code = b.code(input, place);
  const auto factor = b.parameters()["factors"].as_integers()[input];
  return factor == 1 ? code : code * static_cast<int>(factor);
}

void store(PipelineBuild& b, const Expr& y) {
  b.parameters()["codes"].as_bool() ? b.store_codes(y) : b.store_values(y);
}

void permute(PipelineBuild& b) {
  const auto axes = b.parameters()["axes"].as_integers();
  const Place place = b.place();
  Place from(axes.size());
  for (size_t a = 0; a < axes.size(); ++a) from[static_cast<size_t>(axes[a])] = place[a];
  store(b, moved(b, 0, from));
}

void pad(PipelineBuild& b) {
  const auto before = b.parameters()["before"].as_integers();
  Place from = b.place();
  Expr inside = Halide::Internal::const_true();
  for (size_t a = 0; a < before.size(); ++a) {
    const auto extent = static_cast<int>(b.input(0).extents[a]);
    if (before[a] == 0 && b.output().extents[a] == extent) continue;
    const Expr at = from[a] - static_cast<int>(before[a]);
    inside = inside && at >= 0 && at < extent;
    from[a] = Halide::clamp(at, 0, extent - 1);
  }
  const Expr x = moved(b, 0, from);
  store(b, Halide::select(inside, x, Halide::cast(x.type(), 0)));
}

void concat(PipelineBuild& b) {
  const auto axis = static_cast<size_t>(b.parameters()["axis"].as_integer());
  std::vector<PipelineBuild::Part> parts;
  int begin = 0;
  for (size_t i = 0; i < b.source().inputs.size(); ++i) {
    const auto extent = static_cast<int>(b.input(i).extents[axis]);
    parts.push_back({begin, extent, [&b, i](const Place& place) { return moved(b, i, place); }});
    begin += extent;
  }
  b.store_parts(axis, parts, b.parameters()["codes"].as_bool());
}

void build(PipelineBuild& b) {
  const std::string op = b.parameters()["op"].as_string();
  if (op == "permute") return permute(b);
  if (op == "pad") return pad(b);
  qloom_assert(op == "concat", "move knows no '", op, "'");
  concat(b);
}

}  // namespace

extern constinit const PipelineDef halide_move{.name = "move", .build = build};

}  // namespace qloom::kernels::pipelines
