// tests/models/driven_sums.h: sums of products cut out of a network and driven to the ends of their
// interval, by inputs that follow the signs of the weights.
#pragma once

#include <string>

#include "graph/graph.h"
#include "passes/analysis/qtools/sound.h"

namespace qloom::testing {

struct DrivenSum {
  std::string not_driven;  ///< why not; "" if it was
  std::string wrong;       ///< a value outside of its type, or compiled code that differs
  int64_t values = 0;
  /// The products of one output reached both ends of their interval exactly.
  bool reached_low = false, reached_high = false;
};

/// `graph` holds the sum's nodes (a scan's body for a sum within one), `folded` is the same with
/// folded weights. For each of the `most_channels` channels with the largest and with the smallest
/// sums a sample is made that is largest, and one that is smallest, at the output position in the
/// middle. Run in the interpreter and in compiled code.
[[nodiscard]] DrivenSum drive_sum(const Graph& graph, const Graph& folded,
                                  const qtools::SoundSum& sum, int64_t most_channels);

/// First code of a value that its type does not hold, as text; "" if there is none.
[[nodiscard]] std::string outside(std::span<const int64_t> codes, const Numeric& numeric);

}  // namespace qloom::testing
