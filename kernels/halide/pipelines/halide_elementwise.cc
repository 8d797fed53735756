// kernels/halide/pipelines/halide_elementwise.cc: one float32 operation per element, operands
// broadcast. Parameters: kind, reciprocal (divide by multiplying with 1 / b).
#include "graph/support/error.h"
#include "kernels/pipelines_table.h"

namespace qloom::kernels::pipelines {
namespace {

using Halide::Expr;

/// The operand's element for an element of the result: axes of extent 1 and missing ones repeat.
Expr operand(const PipelineBuild& b, size_t i) {
  const auto& extents = b.input(i).extents;
  const Place place = b.place();
  qloom_assert(extents.size() <= place.size(), "elementwise: operand ", i, " has ", extents.size(),
               " axes");
  Place own(place.end() - static_cast<ptrdiff_t>(extents.size()), place.end());
  for (size_t a = 0; a < own.size(); ++a)
    if (extents[a] == 1) own[a] = 0;
  return b.value(i, own);
}

void build(PipelineBuild& b) {
  const std::string kind = b.parameters()["kind"].as_string();
  const Expr x = operand(b, 0), y = operand(b, 1);
  if (kind == "add") return b.store_values(x + y);
  if (kind == "subtract") return b.store_values(x - y);
  if (kind == "multiply") return b.store_values(x * y);
  if (kind == "maximum") return b.store_values(Halide::select(x != x || x > y, x, y));
  if (kind == "minimum") return b.store_values(Halide::select(x != x || x < y, x, y));
  qloom_assert(kind == "divide", "elementwise knows no '", kind, "'");
  if (b.parameters()["reciprocal"].as_bool()) return b.store_values(x * (1.0f / y));
  b.store_values(x / y);
}

}  // namespace

extern constinit const PipelineDef halide_elementwise{.name = "elementwise", .build = build};

}  // namespace qloom::kernels::pipelines
