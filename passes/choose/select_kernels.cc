#include "passes/choose/select_kernels.h"

#include <algorithm>
#include <optional>
#include <set>
#include <tuple>

#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "kernels/kernels_table.h"
#include "passes/choose/choose_layouts.h"
#include "passes/choose/convert.h"
#include "passes/choose/node_choices.h"
#include "passes/choose/region_kernels.h"
#include "passes/edit.h"
#include "passes/inference_table.h"
#include "passes/loops.h"
#include "passes/query.h"

namespace qloom::passes {
namespace {

using kernels::KernelDef;
using kernels::Query;
using kernels::Storage;

/// A region that no emitted kernel can run, or that is faster in parts; and why.
struct Unfit {
  NodeId region;
  std::string reason;
};

std::vector<Storage> storages_in(StorageSet set, const std::vector<Storage>& all) {
  std::vector<Storage> out;
  for (size_t i = 0; i < all.size(); ++i)
    if ((set >> i & 1) != 0) out.push_back(all[i]);
  return out;
}

bool is_alias(const Graph& graph, const Node& node) {
  return node.op == &ops::reshape && !is_constant(graph, node.operands[0]);
}

class Selector {
 public:
  Selector(const Graph& graph, const CompileOptions& options)
      : graph_(graph), options_(options), loops_(loops_of(graph)) {}

  /// None: the first region that must be dissolved is in `unfit`.
  std::optional<Selection> run(std::vector<Unfit>& unfit) {
    find_needed();
    for (const NodeId id : needed_) {
      const Node& node = graph_.node(id);
      for (const ValueId result : node.results) storage(result, plain(result));
      if (node.op != &ops::region) continue;
      RegionKernels::Outputs usual;
      for (size_t i = 0; i < node.results.size(); ++i)
        if (read_.contains(node.results[i]))
          usual.emplace_back(static_cast<int>(i), plain(node.results[i]));
      auto& kernels = selection_.regions[id];
      kernels = std::make_shared<RegionKernels>(graph_, node, options_, std::move(usual));
      if (!kernels->unfit().empty()) {
        unfit.push_back({id, "runs on reference kernels: " + kernels->unfit()});
        return std::nullopt;
      }
      for (const RegionKernels::Group& group : kernels->groups())
        storage(node.operands[0], group.input);
    }
    state_problem();
    const LayoutPlan plan = choose_layouts(problem_);
    qloom_assert(!plan.nodes.empty(), "graph '", graph_.name,
                 "': no choice of storages fits together");
    if (options_.float_mode == FloatMode::fast) {
      for (size_t n = 0; n < needed_.size(); ++n) {
        const LayoutPlan::Choice& chosen = plan.nodes[n];
        if (!selection_.regions.contains(needed_[n]) || chosen.option < 0) continue;
        const double ns = cost(n, static_cast<size_t>(chosen.option), chosen.stored);
        std::string reason = faster_apart(graph_, graph_.node(needed_[n]), ns, options_);
        if (reason.empty()) continue;
        unfit.push_back({needed_[n], std::move(reason)});
        return std::nullopt;
      }
    }
    for (size_t n = 0; n < needed_.size(); ++n) assemble(n, plan);
    gather_loops();
    return std::move(selection_);
  }

 private:
  /// A group of kernels, and the storages of the tail's operands.
  struct RegionOption {
    size_t group = 0;
    std::vector<Storage> operands;
  };

  // --- values and their storages ----------------------------------------------------------------

  [[nodiscard]] Storage plain(ValueId value) const {
    return kernels::plain_storage(graph_.type(value));
  }
  int number(ValueId value) {
    const auto [place, is_new] = numbers_.try_emplace(value, static_cast<int>(values_.size()));
    if (is_new) values_.push_back({value, {}});
    return place->second;
  }
  std::vector<Storage>& storages(ValueId value) {
    return values_[static_cast<size_t>(number(value))].second;
  }
  /// Number of a storage among those that somebody might want the value in.
  int storage(ValueId value, Storage s) {
    std::vector<Storage>& all = storages(value);
    const auto at = std::ranges::find(all, s);
    if (at != all.end()) return static_cast<int>(at - all.begin());
    all.push_back(s);
    return static_cast<int>(all.size()) - 1;
  }
  LayoutProblem::Need need(ValueId value, Storage s) { return {number(value), storage(value, s)}; }

  /// Nodes that something needed depends on, in order, and values that are read.
  void find_needed() {
    for (const auto& output : graph_.outputs()) read_.insert(output.value);
    const std::vector<NodeId> order = graph_.order();
    for (auto it = order.rbegin(); it != order.rend(); ++it) {
      const Node& node = graph_.node(*it);
      const bool needed =
          node.op == &ops::input ||
          std::ranges::any_of(node.results, [&](ValueId v) { return read_.contains(v); });
      if (node.op == &ops::constant || !needed) continue;
      needed_.push_back(*it);
      for (const ValueId operand : node.operands)
        if (!is_constant(graph_, operand)) read_.insert(operand);
    }
    std::ranges::reverse(needed_);
  }

  // --- the problem ------------------------------------------------------------------------------

  void state_problem() {
    for (const auto& output : graph_.outputs())
      if (!is_constant(graph_, output.value))
        problem_.outputs.push_back(need(output.value, Storage::f32()));
    for (const NodeId id : needed_) {
      const Node& node = graph_.node(id);
      if (node.op == &ops::input) storage(node.results[0], Storage::f32());
      if (is_loop_op(node)) {
        storage(node.results[0], loop_storage(graph_, node));
        if (!is_constant(graph_, node.operands[0]))
          storage(node.operands[0], loop_storage(graph_, node));
      } else if (node.op != &ops::region && !is_alias(graph_, node))
        for (const ValueId operand : node.operands)
          if (!is_constant(graph_, operand)) storage(operand, plain(operand));
    }
    // Storages of two values that share memory go by the same numbers.
    for (auto it = needed_.rbegin(); it != needed_.rend(); ++it)
      if (const Node& node = graph_.node(*it); is_alias(graph_, node)) {
        for (const Storage& s : std::vector<Storage>(storages(node.results[0])))
          storage(node.operands[0], s);
      }
    for (const NodeId id : needed_)
      if (const Node& node = graph_.node(id); is_alias(graph_, node))
        storages(node.results[0]) = std::vector<Storage>(storages(node.operands[0]));
    for (const NodeId id : needed_) state_node(graph_.node(id));
    problem_.cost = [this](int node, int option, const std::vector<StorageSet>& stored) {
      return cost(static_cast<size_t>(node), static_cast<size_t>(option), stored);
    };
    problem_.conversion = [this](int value, int from, int to) {
      const std::vector<Choice>& choices = conversions(value, from, to);
      return choices.empty() ? kImpossible : choices.front().predicted_ns;
    };
  }

  void state_node(const Node& node) {
    LayoutProblem::Node stated;
    std::vector<RegionOption> region;
    for (const ValueId result : node.results) stated.results.push_back(number(result));
    if (node.op == &ops::input) {
      stated.fixed = StorageSet{1} << storage(node.results[0], Storage::f32());
      stated.options.push_back({});
    } else if (is_loop_op(node)) {
      const Storage s = loop_storage(graph_, node);
      stated.fixed = StorageSet{1} << storage(node.results[0], s);
      stated.options.emplace_back();
      if (!is_constant(graph_, node.operands[0]))
        stated.options[0].push_back(need(node.operands[0], s));
      for (size_t i = 1; i < node.operands.size(); ++i)
        stated.options[0].push_back(
            need(node.operands[i], loop_storage(graph_, graph_.producer(node.operands[i]))));
    } else if (is_alias(graph_, node)) {
      const ValueId x = node.operands[0], y = node.results[0];
      stated.options.push_back({});
      stated.alias = number(x);
      stated.source = storage(y, plain(y));
      for (size_t i = 0; i < storages(y).size(); ++i)
        if (same_layout(graph_.type(x).shape, graph_.type(y).shape, storages(y)[i]))
          stated.shared |= StorageSet{1} << i;
    } else if (node.op == &ops::region) {
      region = region_options(node, stated);
      if (node.results.size() == 1)
        stated.fallback = StorageSet{1} << storage(node.results[0], plain(node.results[0]));
    } else {
      stated.options.emplace_back();
      for (const ValueId operand : node.operands)
        if (!is_constant(graph_, operand))
          stated.options[0].push_back(need(operand, plain(operand)));
    }
    problem_.nodes.push_back(std::move(stated));
    options_of_.push_back(std::move(region));
  }

  std::vector<RegionOption> region_options(const Node& node, LayoutProblem::Node& stated) {
    constexpr size_t kMost = 16;
    const RegionKernels& kernels = *selection_.regions.at(node.id);
    // Operands in their plain storage, or in what others might want them in anyway.
    std::vector<std::vector<Storage>> layouts{{}};
    for (const int position : kernels.operands()) {
      const ValueId operand = node.operands[static_cast<size_t>(position)];
      std::vector<std::vector<Storage>> longer;
      std::vector<Storage> candidates{plain(operand)};
      for (const Storage& s : storages(operand))
        if (s != candidates[0] && s.kind != Storage::Kind::f32 &&
            kernels::fits(graph_.type(operand), s) && view_pitch(graph_, operand) == 0)
          candidates.push_back(s);
      if (layouts.size() * candidates.size() * kernels.groups().size() > kMost)
        candidates.resize(1);
      for (const Storage& s : candidates)
        for (std::vector<Storage> layout : layouts) {
          layout.push_back(s);
          longer.push_back(std::move(layout));
        }
      layouts = std::move(longer);
    }
    std::vector<RegionOption> out;
    for (size_t group = 0; group < kernels.groups().size(); ++group)
      for (const std::vector<Storage>& layout : layouts) {
        std::vector<LayoutProblem::Need> needs{
            need(node.operands[0], kernels.groups()[group].input)};
        for (size_t i = 0; i < layout.size(); ++i)
          needs.push_back(
              need(node.operands[static_cast<size_t>(kernels.operands()[i])], layout[i]));
        stated.options.push_back(std::move(needs));
        out.push_back({group, layout});
      }
    return out;
  }

  [[nodiscard]] RegionKernels::Outputs outputs_of(size_t n,
                                                  const std::vector<StorageSet>& stored) const {
    RegionKernels::Outputs outputs;
    const std::vector<int>& results = problem_.nodes[n].results;
    for (size_t r = 0; r < results.size(); ++r)
      for (const Storage& s :
           storages_in(stored[r], values_[static_cast<size_t>(results[r])].second))
        outputs.emplace_back(static_cast<int>(r), s);
    return outputs;
  }

  double cost(size_t n, size_t option, const std::vector<StorageSet>& stored) {
    const auto region = selection_.regions.find(needed_[n]);
    if (region == selection_.regions.end()) {
      const Node& node = graph_.node(needed_[n]);
      if (node.op == &ops::input || is_loop_op(node)) return 0;
      return alone(n, outputs_of(n, stored)).choices.front().predicted_ns;
    }
    const RegionOption& o = options_of_[n][option];
    return region->second->cost(o.group, {o.operands, outputs_of(n, stored)});
  }

  /// Kernels of a node that is no region.
  struct Alone {
    std::vector<Choice> choices;
    std::vector<Candidate> candidates;
  };
  const Alone& alone(size_t n, const RegionKernels::Outputs& outputs) {
    std::string key;
    for (const auto& [result, storage] : outputs) key += join_text(result, " ", storage, " ");
    const auto [place, is_new] = alone_.try_emplace({n, std::move(key)});
    if (is_new) {
      const Node& node = graph_.node(needed_[n]);
      const auto forbidden = [&](const KernelDef& kernel) {
        return ruled_out(kernel, node.name, options_);
      };
      place->second.choices =
          node_choices(graph_, node, outputs, options_, forbidden, place->second.candidates);
      if (options_.times != nullptr)
        use_times(options_.times->of(shape_of(graph_, node, options_.batch)), place->second);
    }
    return place->second;
  }

  /// Measured times in place of predicted ones, cheapest first again.
  static void use_times(const std::vector<KernelTime>* times, Alone& alone) {
    if (times == nullptr) return;
    double worst = 0;
    std::set<const KernelDef*> measured;
    for (Choice& choice : alone.choices)
      for (const KernelTime& time : *times) {
        if (time.kernel != choice.kernel->name) continue;
        worst = std::max(worst, time.ns / choice.predicted_ns);
        choice.predicted_ns = time.ns;
        measured.insert(choice.kernel);
      }
    for (Choice& choice : alone.choices) {
      if (worst > 0 && !measured.contains(choice.kernel)) choice.predicted_ns *= worst;
      for (Candidate& candidate : alone.candidates)
        if (candidate.kernel == choice.kernel->name) candidate.predicted_ns = choice.predicted_ns;
    }
    std::ranges::stable_sort(alone.choices, {}, &Choice::predicted_ns);
  }

  const std::vector<Choice>& conversions(int value, int from, int to) {
    const auto [place, is_new] = conversions_.try_emplace({value, from, to});
    if (is_new) {
      const auto& [id, all] = values_[static_cast<size_t>(value)];
      const Storage target = all[static_cast<size_t>(to)];
      place->second = conversion_choices(graph_.type(id), all[static_cast<size_t>(from)], target,
                                         conversion_name(id, target), options_);
    }
    return place->second;
  }
  [[nodiscard]] std::string conversion_name(ValueId value, Storage to) const {
    return graph_.producer(value).name + ".as_" + to.to_string();
  }

  // --- the selection ----------------------------------------------------------------------------

  void assemble(size_t n, const LayoutPlan& plan) {
    const LayoutPlan::Choice& chosen = plan.nodes[n];
    if (chosen.option < 0) return;
    const Node& node = graph_.node(needed_[n]);
    if (is_alias(graph_, node)) {
      selection_.alias[node.results[0]] = node.operands[0];
    } else if (node.op != &ops::input && !is_loop_op(node)) {
      Selected call = start(node, outputs_of(n, chosen.stored));
      if (node.op == &ops::region)
        choose_emitted(n, plan, call);
      else
        choose_alone(n, call);
      for (const Stored& input : call.inputs)
        call.report.inputs.push_back(describe(input.value, input.storage));
      if (!loops_.contains(node.id)) call.report.shape = shape_of(graph_, node, options_.batch);
      repeat(call, node.id);
      adopt(call);
      selection_.calls.push_back(std::move(call));
    }
    for (const LayoutPlan::Conversion& c : chosen.conversions) {
      const auto& [value, all] = values_[static_cast<size_t>(c.value)];
      const Storage from = all[static_cast<size_t>(c.from)], to = all[static_cast<size_t>(c.to)];
      Selected call;
      call.name = conversion_name(value, to);
      call.inputs = {{value, from}};
      call.outputs = {{value, to}};
      call.choices = conversions(c.value, c.from, c.to);
      call.report.name = call.name;
      call.report.op = "convert";
      call.report.inputs = {describe(value, from)};
      call.report.output = describe(value, to);
      call.report.results = {{0, to}};
      repeat(call, node.id);
      adopt(call);
      selection_.calls.push_back(std::move(call));
    }
  }

  /// Counts and times of a call within a loop are those of all its steps.
  void repeat(Selected& call, NodeId node) const {
    const auto loop = loops_.find(node);
    if (loop == loops_.end()) return;
    call.loop = loop->second;
    const int64_t repeats = repeats_of(graph_, loops_, node);
    call.report.macs *= repeats;
    for (Choice& choice : call.choices) choice.predicted_ns *= static_cast<double>(repeats);
    for (Candidate& candidate : call.report.candidates) {
      candidate.predicted_ns *= static_cast<double>(repeats);
      for (auto& [variant, ns] : candidate.variants) ns *= static_cast<double>(repeats);
    }
    for (LayoutAlternative& a : call.report.alternatives) a.more_ns *= static_cast<double>(repeats);
  }

  /// Calls of a loop next to each other: others that came between them go before it, or, where they
  /// need what it yields, behind it.
  void gather_loops() {
    std::vector<Selected>& calls = selection_.calls;
    int64_t loops = 0;
    for (const Selected& call : calls) loops = std::max(loops, call.loop + 1);
    for (int64_t loop = 0; loop < loops; ++loop) {
      const auto in_loop = [&](const Selected& call) { return call.loop == loop; };
      const auto first = std::ranges::find_if(calls, in_loop);
      if (first == calls.end()) continue;
      const auto last = std::find_if(calls.rbegin(), calls.rend(), in_loop).base();
      const auto rank = [&](const Selected& call) {
        return in_loop(call) ? 1 : needs(call, loop) ? 2 : 0;
      };
      std::stable_sort(first, last,
                       [&](const Selected& a, const Selected& b) { return rank(a) < rank(b); });
    }
  }
  [[nodiscard]] bool needs(const Selected& call, int64_t loop) const {
    for (const NodeId id : needed_) {
      const Node& node = graph_.node(id);
      if ((node.op != &loop_carry && node.op != &loop_collect) ||
          node.attributes["loop"].as_integer() != loop)
        continue;
      for (const Stored& input : call.inputs)
        if (depends_on(graph_, input.value, id)) return true;
    }
    return false;
  }

  [[nodiscard]] std::string describe(ValueId value, Storage storage) const {
    return join_text(graph_.type(value), " as ", storage);
  }

  Selected start(const Node& node, RegionKernels::Outputs outputs) {
    Selected call;
    call.node = node.id;
    call.name = node.name;
    RegionReport& report = call.report;
    report.name = node.name;
    report.op = std::string(node.op->name);
    if (node.op == &ops::region) {
      const Node* root = root_of(*node.body);
      report.op = root != nullptr ? std::string(root->op->name) : "elementwise";
    }
    for (const Origin& origin : node.origins)
      if (!origin.layer.empty() && std::find(report.layers.begin(), report.layers.end(),
                                             origin.layer) == report.layers.end())
        report.layers.push_back(origin.layer);
    report.macs = macs_of(graph_, node);
    report.both_quantized = both_quantized(graph_, node);
    for (const auto& [result, storage] : outputs) {
      const ValueId value = node.results[static_cast<size_t>(result)];
      call.outputs.push_back({value, storage});
      report.output += (report.output.empty() ? "" : "; ") + describe(value, storage);
    }
    report.results = outputs;
    call.results = std::move(outputs);
    return call;
  }

  void choose_emitted(size_t n, const LayoutPlan& plan, Selected& call) {
    const Node& node = graph_.node(needed_[n]);
    RegionKernels& kernels = *selection_.regions.at(node.id);
    const RegionOption& option = options_of_[n][static_cast<size_t>(plan.nodes[n].option)];
    const RegionKernels::Layout layout{option.operands, call.results};
    call.choices = kernels.choices(option.group, layout);
    call.report.candidates = kernels.candidates(layout);
    call.report.alternatives = alternatives(n, plan);
    const Query& query = *call.choices.front().query;
    if (query.root != nullptr && !query.accumulator_lo.empty())
      call.report.accumulator = {*std::ranges::min_element(query.accumulator_lo),
                                 *std::ranges::max_element(query.accumulator_hi)};
    call.inputs.push_back({node.operands[0], kernels.groups()[option.group].input});
    for (size_t i = 0; i < option.operands.size(); ++i)
      call.inputs.push_back(
          {node.operands[static_cast<size_t>(kernels.operands()[i])], option.operands[i]});
  }

  /// What the network would take with other storages of this region's input and result.
  std::vector<LayoutAlternative> alternatives(size_t n, const LayoutPlan& plan) {
    std::vector<LayoutAlternative> out;
    const RegionKernels& kernels = *selection_.regions.at(needed_[n]);
    const std::vector<RegionOption>& options = options_of_[n];
    const LayoutPlan::Choice& chosen = plan.nodes[n];
    const auto option = static_cast<size_t>(chosen.option);
    for (size_t group = 0; group < kernels.groups().size(); ++group) {
      double best = kImpossible;
      for (size_t o = 0; o < options.size(); ++o)
        if (group != options[option].group && options[o].group == group)
          best = std::min(
              best, choose_layouts(problem_, {static_cast<int>(n), static_cast<int>(o)}).cost);
      if (best < kImpossible)
        out.push_back({join_text("input as ", kernels.groups()[group].input), best - plan.cost});
    }
    if (chosen.stored.size() != 1) return out;
    // Other sets of storages for the one result, the rest converted by calls of their own.
    const int value = problem_.nodes[n].results[0];
    const std::vector<Storage>& all = values_[static_cast<size_t>(value)].second;
    StorageSet needed = chosen.stored[0];
    for (const LayoutPlan::Conversion& c : chosen.conversions) needed |= StorageSet{1} << c.to;
    const auto total = [&](StorageSet set) {
      double ns = cost(n, option, {set});
      for (int to = 0; to < static_cast<int>(all.size()); ++to) {
        if (((needed & ~set) >> to & 1) == 0) continue;
        double best = kImpossible;
        for (int from = 0; from < static_cast<int>(all.size()); ++from)
          if ((set >> from & 1) != 0) best = std::min(best, problem_.conversion(value, from, to));
        ns += best;
      }
      return ns;
    };
    for (StorageSet set = needed; set != 0; set = (set - 1) & needed) {
      if (set == chosen.stored[0]) continue;
      const double other = total(set);
      if (other == kImpossible) continue;
      std::string what = "result stored as";
      for (const Storage& s : storages_in(set, all)) what += join_text(" ", s);
      if (set != needed) what += ", the rest converted";
      out.push_back({what, other - total(chosen.stored[0])});
    }
    return out;
  }

  void choose_alone(size_t n, Selected& call) {
    const Alone& found = alone(n, call.results);
    call.choices = found.choices;
    call.report.candidates = found.candidates;
    for (const ValueId operand : graph_.node(needed_[n]).operands)
      if (!is_constant(graph_, operand)) call.inputs.push_back({operand, plain(operand)});
  }

  /// The report says what the first choice is.
  static void adopt(Selected& call) {
    const Choice& choice = call.choices.front();
    call.report.kernel = std::string(choice.kernel->name);
    call.report.emitted = choice.kernel->emit != nullptr;
    call.report.predicted_ns = choice.predicted_ns;
    if (choice.tail != nullptr) {
      call.report.variant = choice.variant.to_string();
      call.report.tail_form = choice.tail->form;
      call.report.tail_proof = choice.tail->proof;
    }
  }

  const Graph& graph_;
  const CompileOptions& options_;
  const std::map<NodeId, int64_t> loops_;
  std::vector<NodeId> needed_;  ///< nodes of the problem, in order
  std::set<ValueId> read_;
  std::map<ValueId, int> numbers_;
  std::vector<std::pair<ValueId, std::vector<Storage>>> values_;  ///< by number
  LayoutProblem problem_;
  std::vector<std::vector<RegionOption>> options_of_;  ///< by node; regions only
  std::map<std::tuple<int, int, int>, std::vector<Choice>> conversions_;
  std::map<std::pair<size_t, std::string>, Alone> alone_;
  Selection selection_;
};

/// Elementwise ops set free by a dissolved conv become chains of their own.
void form_chains(Graph& graph) {
  const PassDef* const passes[] = {&form_elementwise_regions, &fuse_pointwise, &fuse_residual,
                                   &fuse_pointwise};
  run_passes(graph, passes, {}, nullptr);
}

}  // namespace

bool same_layout(const Shape& a, const Shape& b, Storage storage) {
  if (storage.kind != Storage::Kind::bits) return true;
  const auto whole_words = [](const Shape& s) {
    return !s.empty() && s.back().is_static() && s.back().extent() % 64 == 0;
  };
  return a.back() == b.back() || (whole_words(a) && whole_words(b));
}

Stored Selection::resolve(Stored s, const Graph& graph) const {
  for (auto it = alias.find(s.value); it != alias.end(); it = alias.find(s.value)) {
    if (!same_layout(graph.type(it->second).shape, graph.type(s.value).shape, s.storage)) break;
    s.value = it->second;
  }
  return s;
}

Selection select_kernels(Graph& graph, const CompileOptions& options,
                         std::vector<std::string>& notes) {
  check_names(options);
  while (true) {
    std::vector<Unfit> unfit;
    if (auto selection = Selector(graph, options).run(unfit)) {
      drop_dear_pipelines(*selection, options);
      return std::move(*selection);
    }
    for (const Unfit& u : unfit) {
      const Node& region = graph.node(u.region);
      notes.push_back(join_text("'", region.name, "' ", u.reason));
      const bool rooted = root_of(*region.body) != nullptr;
      dissolve(graph, u.region);
      if (rooted) form_chains(graph);
    }
  }
}

}  // namespace qloom::passes
