#include "kernels/halide/move.h"

#include <algorithm>
#include <cmath>

namespace qloom::kernels::halide {
namespace {

/// Codes of the operand × factor are codes on the result's step; 0: they are not.
int64_t factor_of(const TensorType& x, const TensorType& y) {
  if (!x.has_codes()) return 0;
  const double factor = x.step().f64()[0] / y.step().f64()[0];
  return factor >= 1 && factor < (1 << 24) && std::floor(factor) == factor &&
                 y.step().f64()[0] * factor == x.step().f64()[0]
             ? static_cast<int64_t>(factor)
             : 0;
}

bool moves_codes(const ReferenceSpec& spec) { return spec.results[0].has_codes(); }

}  // namespace

Verdict takes_move(const ReferenceSpec& spec) {
  if (Verdict v = plain_buffers(spec); !v) return v;
  const TensorType& y = spec.results[0];
  if (!moves_codes(spec)) return Verdict::yes();
  for (const TensorType& x : spec.operands) {
    const int64_t factor = factor_of(x, y);
    if (factor == 0) return Verdict::no("codes of ", x, " are no codes of ", y);
    const auto grid = x.numeric.grid();
    if (!grid || std::max(-grid->lo, grid->hi) > INT32_MAX / factor)
      return Verdict::no("codes of ", x, " on the step of ", y, " leave 32 bits");
  }
  return Verdict::yes();
}

jit::PipelineSource move_source(const ReferenceSpec& spec, std::string symbol,
                                Attributes parameters) {
  std::vector<int64_t> factors;
  for (const TensorType& x : spec.operands)
    factors.push_back(moves_codes(spec) ? factor_of(x, spec.results[0]) : 1);
  parameters.set("codes", moves_codes(spec));
  parameters.set("factors", factors);
  return source(spec, std::move(symbol), "move", std::move(parameters));
}

/// Per vector of the result where runs of the last axis stay together, else per element. AMD EPYC
/// (Zen 5, family 26 model 2, shared host), see README.md.
constexpr Measured kTimes[] = {{"runs", 0.6}, {"elements", 0.5}, {"runs mixed", 2}};

double move_ns(const ReferenceSpec& spec, bool runs) {
  if (!runs) return measured(kTimes, "elements").per_step * static_cast<double>(elements(spec));
  return measured(kTimes, is_mixed(spec) ? "runs mixed" : "runs").per_step *
         vectors(spec, spec.results[0]);
}

}  // namespace qloom::kernels::halide
