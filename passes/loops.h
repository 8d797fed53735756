// passes/loops.h: scans in the form in which kernels are chosen and calls are planned: the nodes of
// a body stand in the graph themselves, between nodes that say where a loop's values come from and
// go to. These ops exist only there, and nothing evaluates them.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "graph/graph.h"
#include "kernels/storage.h"

namespace qloom::passes {

/// loop_step(whole) → one step of a sequence.
extern constinit const OpDef loop_step;
/// loop_state(initial) → a state before the step.
extern constinit const OpDef loop_state;
/// loop_carry(after) → the state behind the last step.
extern constinit const OpDef loop_carry;
/// loop_collect(value) → what the value is at each step.
extern constinit const OpDef loop_collect;

/// Attributes of loop_step and loop_collect.
struct LoopSequence {
  int64_t loop = 0;   ///< counted in order
  int64_t steps = 1;  ///< of the loop
  bool reverse = false;
  void fields(auto&& f) {
    f("loop", loop);
    f("steps", steps);
    f("reverse", reverse);
  }
};
/// Attributes of loop_state and loop_carry: which state, and its type (one scale for all elements).
struct LoopState {
  int64_t loop = 0;
  int64_t steps = 1;
  int64_t state = 0;
  std::string numeric = {};
  double scale = 1;
  AttributeValue::Integers extents = {};  ///< without the batch axis in front
  void fields(auto&& f) {
    f("loop", loop);
    f("steps", steps);
    f("state", state);
    f("numeric", numeric);
    f("scale", scale);
    f("extents", extents);
  }
};

[[nodiscard]] bool is_loop_op(const Node& node);
[[nodiscard]] bool has_scans(const Graph& graph);
/// A copy without scans. Values of all outputs are what they were.
[[nodiscard]] Graph flatten_scans(const Graph& graph);

/// Loop of each node that is done in every step; nodes outside of loops are missing.
[[nodiscard]] std::map<NodeId, int64_t> loops_of(const Graph& graph);
/// How often a node is done.
[[nodiscard]] int64_t repeats_of(const Graph& graph, const std::map<NodeId, int64_t>& loops,
                                 NodeId node);

/// The loop_carry of a loop_state, and the other way round.
[[nodiscard]] const Node& partner_of(const Graph& graph, const Node& node);
/// The storage of a loop op's operand and of its result.
[[nodiscard]] kernels::Storage loop_storage(const Graph& graph, const Node& node);

/// Bytes between the steps of neighbouring samples, where `value` is a step of a sequence that is
/// read in place by tails alone; else 0: it is copied.
[[nodiscard]] int64_t view_pitch(const Graph& graph, ValueId value);

}  // namespace qloom::passes
