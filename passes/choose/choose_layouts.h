// passes/choose/choose_layouts.h: in which storages values go between calls, for least total cost.
//
// Every node has options (kernels that want their inputs in this or that storage), every value may
// be stored in several storages at once, and what is needed otherwise is converted by a call of its
// own. Whether a storage is worth it depends on all who read the value, and on what its producer
// takes to store it, so a node alone cannot tell.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

namespace qloom::passes {

/// Bit i: the value's storage number i.
using StorageSet = uint32_t;
inline constexpr double kImpossible = std::numeric_limits<double>::infinity();

struct LayoutProblem {
  struct Need {
    int value = -1, storage = -1;  ///< the storage by its number among the value's
  };
  struct Node {
    std::vector<int> results;  ///< values; each value is the result of one node
    /// What each option reads; at least one option.
    std::vector<std::vector<Need>> options;
    /// Stores its only result so whatever is needed (inputs: float32); 0: what is cheapest.
    StorageSet fixed = 0;
    /// What its only result may be stored as and converted from, where it can be stored as nothing
    /// that is needed.
    StorageSet fallback = 0;
    /// Shares the memory of this value in the storages of `shared`, where the only result's
    /// storages have the same numbers; has one option, which reads nothing. What else is needed is
    /// converted from storage `source`. -1: a node that computes.
    int alias = -1;
    StorageSet shared = 0;
    int source = -1;
  };
  std::vector<Node> nodes;    ///< in order of execution
  std::vector<Need> outputs;  ///< needed at the end
  /// Nanoseconds of a node by option that stores its results (sets in order of `results`; empty:
  /// nobody needs it) so; kImpossible where it cannot.
  std::function<double(int node, int option, const std::vector<StorageSet>& stored)> cost;
  /// Of converting a value; kImpossible where nothing does.
  std::function<double(int value, int from, int to)> conversion;
};

struct LayoutPlan {
  struct Conversion {
    int value = -1, from = -1, to = -1;
    bool operator==(const Conversion&) const = default;
  };
  struct Choice {
    int option = -1;                      ///< -1: nobody needs the node
    std::vector<StorageSet> stored;       ///< per result
    std::vector<Conversion> conversions;  ///< behind it, in order
  };
  double cost = kImpossible;
  std::vector<Choice> nodes;  ///< as LayoutProblem::nodes; empty where nothing is possible
};

/// A plan that must use an option of a node.
struct ForcedOption {
  int node = -1, option = -1;
};

/// Least total cost, exactly, as long as no more than kMostLayoutStates ways of storing open values
/// are in question at once; beyond that the cheapest so far are pursued. Deterministic: equal costs
/// go to the option that comes first, then to the smaller sets.
[[nodiscard]] LayoutPlan choose_layouts(const LayoutProblem& problem, ForcedOption forced = {});
inline constexpr size_t kMostLayoutStates = 256;

}  // namespace qloom::passes
