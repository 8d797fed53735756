#pragma once

#include <string>

#include "kernels/tail/tail.h"
#include "passes/tail/lower_tail.h"

namespace qloom::passes {

/// Runs a lowered tail against the interpreter: at every accumulator where all channels together
/// have at most `exhaustive_points`, or where nothing proves that both are monotone (then up to
/// request.exhaustive_limit a channel and 2^20 together); else on both sides of every threshold, at
/// the ends and at points in between. Further operands take their ends and random values. Returns
/// what was done
/// ("every accumulator: 4100 points"). Throws InternalError naming node, channel and accumulator,
/// with what the interpreter says and what the tail gives.
std::string verify_tail(const TailRequest& request, const kernels::Tail& tail,
                        int64_t exhaustive_points = int64_t{1} << 13);

}  // namespace qloom::passes
