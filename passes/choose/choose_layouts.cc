#include "passes/choose/choose_layouts.h"

#include <algorithm>
#include <bit>
#include <map>

#include "graph/support/error.h"

// Nodes are taken from the last to the first. What the nodes behind the current one have decided
// matters to those before it only by what they need: a state is, for each value that is needed and
// not yet computed, the set of storages it is needed in. Of all ways to one state the cheapest is
// kept. Networks have few values that are open at once (two along a residual), so states are few.

namespace qloom::passes {
namespace {

/// Open values and what they are needed in, by value.
using Needs = std::vector<std::pair<int, StorageSet>>;

struct Entry {
  double cost = 0;
  int before = -1;  ///< entry of the state that this one comes from
  int option = -1;
  int stored = -1;  ///< index of how results are stored, in Search::ways_
};

/// The cheapest way to fulfil what is needed of a node's results, by one option.
struct Way {
  double cost = kImpossible;
  std::vector<StorageSet> stored;
  std::vector<LayoutPlan::Conversion> conversions;
};

void add(Needs& needs, int value, StorageSet set) {
  const auto at = std::lower_bound(needs.begin(), needs.end(), value,
                                   [](const auto& need, int v) { return need.first < v; });
  if (at != needs.end() && at->first == value)
    at->second |= set;
  else
    needs.insert(at, {value, set});
}

StorageSet take(Needs& needs, int value) {
  const auto at = std::lower_bound(needs.begin(), needs.end(), value,
                                   [](const auto& need, int v) { return need.first < v; });
  if (at == needs.end() || at->first != value) return 0;
  const StorageSet set = at->second;
  needs.erase(at);
  return set;
}

template <class F>
void for_each(StorageSet set, const F& f) {
  for (; set != 0; set &= set - 1) f(std::countr_zero(set));
}

class Search {
 public:
  Search(const LayoutProblem& problem, ForcedOption forced) : problem_(problem), forced_(forced) {}

  LayoutPlan run() {
    Needs at_end;
    for (const LayoutProblem::Need& need : problem_.outputs)
      add(at_end, need.value, StorageSet{1} << need.storage);
    States states{{at_end, push({})}};
    for (int n = static_cast<int>(problem_.nodes.size()) - 1; n >= 0; --n) {
      states = step(n, states);
      if (states.empty()) return {};
      prune(states);
    }
    int best = -1;
    for (const auto& [needs, entry] : states)
      if (best < 0 || at(entry).cost < at(best).cost) best = entry;
    return plan_of(best);
  }

 private:
  using States = std::map<Needs, int>;  // ordered: the result depends on nothing else

  [[nodiscard]] const Entry& at(int entry) const { return entries_[static_cast<size_t>(entry)]; }
  int push(Entry entry) {
    entries_.push_back(entry);
    return static_cast<int>(entries_.size()) - 1;
  }

  States step(int n, const States& states) {
    const LayoutProblem::Node& node = problem_.nodes[static_cast<size_t>(n)];
    States next;
    const auto arrive = [&](Needs needs, Entry entry) {
      const auto [found, is_new] = next.try_emplace(std::move(needs), -1);
      if (is_new)
        found->second = push(entry);
      else if (entry.cost < at(found->second).cost)
        entries_[static_cast<size_t>(found->second)] = entry;
    };
    std::map<std::pair<int, std::vector<StorageSet>>, int> known;  // option, needed → way
    for (const auto& [needs, from] : states) {
      Needs rest = needs;
      std::vector<StorageSet> needed;
      for (const int value : node.results) needed.push_back(take(rest, value));
      const double before = at(from).cost;
      if (std::all_of(needed.begin(), needed.end(), [](StorageSet s) { return s == 0; })) {
        arrive(rest, {.cost = before, .before = from});
        continue;
      }
      for (int option = 0; option < static_cast<int>(node.options.size()); ++option) {
        if (forced_.node == n && forced_.option != option) continue;
        const auto [place, is_new] = known.try_emplace({option, needed}, -1);
        if (is_new) {
          ways_.push_back(way_of(n, option, needed));
          place->second = static_cast<int>(ways_.size()) - 1;
        }
        const Way& way = ways_[static_cast<size_t>(place->second)];
        if (way.cost == kImpossible) continue;
        Needs after = rest;
        for (const LayoutProblem::Need& need : node.options[static_cast<size_t>(option)])
          add(after, need.value, StorageSet{1} << need.storage);
        if (node.alias >= 0) add(after, node.alias, from_alias(node, needed[0]));
        arrive(
            std::move(after),
            {.cost = before + way.cost, .before = from, .option = option, .stored = place->second});
      }
    }
    return next;
  }

  /// What a node that shares memory needs of the value whose memory it is.
  static StorageSet from_alias(const LayoutProblem::Node& node, StorageSet needed) {
    const StorageSet apart = needed & ~node.shared;
    return (needed & node.shared) | (apart != 0 ? StorageSet{1} << node.source : 0);
  }

  Way way_of(int n, int option, const std::vector<StorageSet>& needed) const {
    const LayoutProblem::Node& node = problem_.nodes[static_cast<size_t>(n)];
    if (node.alias >= 0) {
      Way way{.cost = 0, .stored = {needed[0] & node.shared}, .conversions = {}};
      convert(node.results[0], StorageSet{1} << node.source, needed[0] & ~node.shared, way);
      return way;
    }
    if (node.fixed != 0) return stored_as(n, option, {node.fixed}, needed);
    if (node.results.size() != 1) return stored_as(n, option, needed, needed);
    Way best;
    for (StorageSet set = needed[0]; set != 0; set = (set - 1) & needed[0]) {
      Way way = stored_as(n, option, {set}, needed);
      if (way.cost < best.cost || (way.cost == best.cost && way.cost != kImpossible &&
                                   std::popcount(set) < std::popcount(best.stored[0])))
        best = std::move(way);
    }
    if (best.cost == kImpossible && (node.fallback & ~needed[0]) != 0)
      best = stored_as(n, option, {node.fallback}, needed);
    return best;
  }

  Way stored_as(int n, int option, std::vector<StorageSet> stored,
                const std::vector<StorageSet>& needed) const {
    const LayoutProblem::Node& node = problem_.nodes[static_cast<size_t>(n)];
    Way way{.cost = problem_.cost(n, option, stored), .stored = stored, .conversions = {}};
    for (size_t r = 0; r < stored.size() && way.cost != kImpossible; ++r)
      convert(node.results[r], stored[r], needed[r] & ~stored[r], way);
    return way;
  }

  /// Each of `to` from the cheapest of `from`.
  void convert(int value, StorageSet from, StorageSet to, Way& way) const {
    for_each(to, [&](int target) {
      double best = kImpossible;
      LayoutPlan::Conversion conversion{value, -1, target};
      for_each(from, [&](int source) {
        const double cost = problem_.conversion(value, source, target);
        if (cost < best) best = cost, conversion.from = source;
      });
      way.cost += best;
      if (best != kImpossible) way.conversions.push_back(conversion);
    });
  }

  void prune(States& states) const {
    if (states.size() <= kMostLayoutStates) return;
    std::vector<double> costs;
    for (const auto& [needs, entry] : states) costs.push_back(at(entry).cost);
    const auto last = costs.begin() + kMostLayoutStates - 1;
    std::nth_element(costs.begin(), last, costs.end());
    const double limit = *last;
    size_t kept = 0;
    std::erase_if(states, [&](const auto& state) {
      return at(state.second).cost > limit || ++kept > kMostLayoutStates;
    });
  }

  LayoutPlan plan_of(int entry) const {
    LayoutPlan plan;
    plan.cost = at(entry).cost;
    plan.nodes.resize(problem_.nodes.size());
    for (LayoutPlan::Choice& choice : plan.nodes) {  // the first node was decided last
      const Entry& e = at(entry);
      if (e.option >= 0) {
        const Way& way = ways_[static_cast<size_t>(e.stored)];
        choice = {.option = e.option, .stored = way.stored, .conversions = way.conversions};
      }
      entry = e.before;
    }
    return plan;
  }

  const LayoutProblem& problem_;
  const ForcedOption forced_;
  std::vector<Entry> entries_;
  std::vector<Way> ways_;
};

}  // namespace

LayoutPlan choose_layouts(const LayoutProblem& problem, ForcedOption forced) {
  return Search(problem, forced).run();
}

}  // namespace qloom::passes
