#pragma once

#include "kernels/tail/tail.h"

namespace qloom::passes {

/// Products of a float32 with a power of two round nothing, so they move behind other operations
/// and into their constants: round(x·2^k·c) = 2^k·round(x·c), and likewise sums, minima and maxima.
/// What cannot take the factor up is multiplied by it in the end. Returns the same function with
/// fewer products; steps that are no longer needed stay. Unchanged where a value could leave the
/// range in which that is exact: constants beyond 2^±24, or functions of floats.
[[nodiscard]] kernels::Tail fold_scales(const kernels::Tail& tail, int64_t channels);

}  // namespace qloom::passes
