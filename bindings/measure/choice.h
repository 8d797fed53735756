// bindings/measure/choice.h: were the kernels chosen well, and is the cost model right?
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"
#include "passes/compile.h"

namespace qloom::measure {

struct ChoiceOptions {
  int64_t batch = 16;  ///< samples a call; what predictions are made for, too
  int rounds = 5;      ///< >= 1; alternatives take turns in each
  double seconds = 3;  ///< about, for the whole network, without compiling
  int variants = 4;    ///< tried of each kernel: the best predicted ones
  /// Of nodes of equal shape (RegionReport::shape) only the first gets alternatives.
  bool equal_shapes_once = false;
};

/// What a good choice is, where nothing else is said: 80 % of the picks, and of the predictions.
inline constexpr double kNearFastest = 1.15;  ///< times as long as the fastest
inline constexpr double kNearMeasured = 25;   ///< percent off
inline constexpr double kShareOfNodes = 80;   ///< percent

/// A kernel in one variant that could do a node's work.
struct Alternative {
  std::string kernel, variant;
  double predicted_ns = 0;
  double measured_ns = 0;  ///< median of the rounds, per sample; 0: not measured
};

/// One call of the compiled network.
struct NodeChoice {
  std::string node, op, shape;
  Alternative pick;
  std::vector<Alternative> others;  ///< matching ones, fastest first
  /// Time of the pick as a multiple of the fastest; 1 where the pick is it.
  [[nodiscard]] double ratio() const;
  /// The prediction of the pick as a multiple of its time.
  [[nodiscard]] double prediction() const { return pick.predicted_ns / pick.measured_ns; }
};

struct ChoiceReport {
  std::string model;
  std::vector<NodeChoice> nodes;
  /// Share of the nodes whose pick takes at most `ratio` times as long as the fastest.
  [[nodiscard]] double share_chosen(double ratio) const;
  /// Share of the nodes predicted within `percent` of measured.
  [[nodiscard]] double share_predicted(double percent) const;
};

/// Compiles the graph once as it is and once for each further alternative (all nodes change theirs
/// at once, by CompileOptions::pinned), and times all of them in turns, on one thread. Conversions
/// that an alternative would need around it count for their own node, not for it. Throws UserError
/// as compiling does.
[[nodiscard]] ChoiceReport measure_choices(const Graph& graph, const ChoiceOptions& options = {},
                                           const passes::CompileOptions& compile = {});

}  // namespace qloom::measure
