#include "passes/select_kernels.h"

#include <algorithm>
#include <optional>
#include <set>

#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "kernels/kernels_table.h"
#include "passes/convert.h"
#include "passes/edit.h"
#include "passes/inference_table.h"
#include "passes/node_choices.h"
#include "passes/query.h"
#include "passes/tail/lower_tail.h"
#include "passes/tail/verify_tail.h"

namespace qloom::passes {
namespace {

using kernels::KernelDef;
using kernels::Query;
using kernels::Storage;
using kernels::Tail;
using kernels::Variant;

std::string kernel_names() {
  std::string names;
  for (const KernelDef* kernel : kernels::all_kernels())
    names += (names.empty() ? "" : ", ") + std::string(kernel->name);
  return names;
}

/// "KERNEL VARIANT" → KERNEL.
std::string_view pinned_kernel(std::string_view pin) { return pin.substr(0, pin.find(' ')); }

void check_names(const CompileOptions& options) {
  for (const std::string& name : options.disabled_kernels)
    qloom_check(kernels::find_kernel(name) != nullptr, "cannot disable kernel '", name,
                "': the kernels are ", kernel_names());
  for (const auto& [node, name] : options.pinned)
    qloom_check(kernels::find_kernel(pinned_kernel(name)) != nullptr, "cannot pin node '", node,
                "' to kernel '", name, "': the kernels are ", kernel_names());
}

/// Storage in which a value is handed to a reference kernel or a tail: the narrowest.
Storage plain(const TensorType& type) { return kernels::plain_storage(type); }

/// A region that no emitted kernel can run, or that is faster in parts; and why.
struct Unfit {
  NodeId region;
  std::string reason;
};

class Selector {
 public:
  Selector(const Graph& graph, const CompileOptions& options) : graph_(graph), options_(options) {}

  /// None: the first region that must be dissolved is in `unfit`.
  std::optional<Selection> run(std::vector<Unfit>& unfit) {
    for (const auto& output : graph_.outputs()) need(output.value, Storage::f32());
    std::vector<NodeId> order = graph_.order();
    std::vector<Selected> backwards;
    for (auto it = order.rbegin(); it != order.rend(); ++it) {
      const Node& node = graph_.node(*it);
      if (node.op == &ops::constant) continue;
      if (node.op == &ops::input) {
        convert_input(node, backwards);
        continue;
      }
      if (!is_needed(node)) continue;
      if (node.op == &ops::reshape && reshape(node, backwards)) continue;
      Selected call = start(node);
      if (node.op == &ops::region) {
        std::string reason = choose_emitted(node, call);
        if (!reason.empty())
          reason = "runs on reference kernels: " + reason;
        else if (options_.float_mode == FloatMode::fast)
          reason = faster_apart(graph_, node, call.choices.front().predicted_ns, options_);
        if (!reason.empty()) {
          unfit.push_back({node.id, reason});
          return std::nullopt;
        }
      } else {
        choose_alone(node, call);
      }
      for (const Stored& input : call.inputs) need(input.value, input.storage);
      backwards.push_back(std::move(call));
    }
    selection_.calls.assign(std::make_move_iterator(backwards.rbegin()),
                            std::make_move_iterator(backwards.rend()));
    return std::move(selection_);
  }

 private:
  void need(ValueId value, Storage storage) {
    auto& storages = needs_[value];
    if (std::find(storages.begin(), storages.end(), storage) == storages.end())
      storages.push_back(storage);
  }
  [[nodiscard]] bool is_needed(const Node& node) const {
    return std::any_of(node.results.begin(), node.results.end(),
                       [&](ValueId v) { return needs_.contains(v); });
  }

  /// The caller hands over float32: whatever else is needed is converted first.
  void convert_input(const Node& node, std::vector<Selected>& backwards) {
    const ValueId value = node.results[0];
    for (const Storage& storage : needs_[value])
      if (storage != Storage::f32())
        backwards.push_back(conversion(value, Storage::f32(), storage));
  }

  Selected conversion(ValueId value, Storage from, Storage to) {
    Selected call;
    call.name = graph_.producer(value).name + ".as_" + to.to_string();
    call.inputs = {{value, from}};
    call.outputs = {{value, to}};
    call.choices = conversion_choices(graph_.type(value), from, to, call.name, options_);
    call.report.name = call.name;
    call.report.op = "convert";
    call.report.inputs = {describe(value, from)};
    call.report.output = describe(value, to);
    call.report.results = {{0, to}};
    call.report.emitted = true;
    adopt(call);
    return call;
  }

  /// Shares memory where it can; converts where a packed storage lays the result out differently.
  bool reshape(const Node& node, std::vector<Selected>& backwards) {
    const ValueId x = node.operands[0], y = node.results[0];
    if (is_constant(graph_, x)) return false;
    selection_.alias[y] = x;
    const auto storages = needs_[y];
    for (const Storage& storage : storages) {
      if (same_layout(graph_.type(x).shape, graph_.type(y).shape, storage)) {
        need(x, storage);
        continue;
      }
      const Storage from = plain(graph_.type(y));
      backwards.push_back(conversion(y, from, storage));
      need(x, from);
    }
    return true;
  }

  [[nodiscard]] std::string describe(ValueId value, Storage storage) const {
    return join_text(graph_.type(value), " as ", storage);
  }

  Selected start(const Node& node) {
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
    for (size_t i = 0; i < node.results.size(); ++i)
      for (const Storage& storage : needs_[node.results[i]]) {
        call.outputs.push_back({node.results[i], storage});
        call.results.emplace_back(static_cast<int>(i), storage);
        report.results.emplace_back(static_cast<int>(i), storage);
        report.output += (report.output.empty() ? "" : "; ") + describe(node.results[i], storage);
      }
    return call;
  }

  [[nodiscard]] bool disabled(const KernelDef& kernel) const {
    return std::find(options_.disabled_kernels.begin(), options_.disabled_kernels.end(),
                     kernel.name) != options_.disabled_kernels.end();
  }
  [[nodiscard]] const std::string* pin(const std::string& node) const {
    for (const auto& [name, kernel] : options_.pinned)
      if (name == node) return &kernel;
    return nullptr;
  }
  /// Why an option rules the kernel out; empty if none does.
  [[nodiscard]] std::string ruled_out(const KernelDef& kernel, const std::string& node) const {
    if (disabled(kernel)) return "disabled by an option";
    const std::string* pinned = pin(node);
    if (pinned != nullptr && pinned_kernel(*pinned) != kernel.name)
      return "an option pins " + *pinned;
    if (kernel.experimental && pinned == nullptr) return "experimental: chosen only when asked for";
    return {};
  }

  /// Fills in choices and inputs. Returns why there are none.
  std::string choose_emitted(const Node& node, Selected& call) {
    const Graph& body = *node.body;
    const bool rooted = root_of(body) != nullptr;
    TailRequest request;
    request.region = &node;
    request.outputs = call.results;
    request.options = graph_.options();
    request.fused_multiply_add = options_.target.lowering != jit::Lowering::portable;
    request.exhaustive_limit = options_.exhaustive_limit;
    const std::vector<int> operands = tail_operands(body);
    for (int i : operands)
      request.operand_storages.push_back(plain(graph_.type(node.operands[static_cast<size_t>(i)])));
    Query base = query_of(graph_, node);
    base.target = &options_.target;
    if (rooted) {
      request.accumulator = {base.accumulator_lo, base.accumulator_hi};
      const auto lo = std::min_element(base.accumulator_lo.begin(), base.accumulator_lo.end());
      const auto hi = std::max_element(base.accumulator_hi.begin(), base.accumulator_hi.end());
      if (lo != base.accumulator_lo.end()) call.report.accumulator = {*lo, *hi};
      if (*lo < INT32_MIN + 1 || *hi > INT32_MAX - 1)
        return join_text("the accumulator [", *lo, ", ", *hi, "] leaves 32 bits");
    }
    std::vector<std::pair<Storage, std::shared_ptr<const Tail>>> tails;  // by input storage
    std::string reason;
    for (const KernelDef* kernel : kernels::all_kernels()) {
      if (kernel->emit == nullptr) continue;
      Candidate candidate{.kernel = std::string(kernel->name),
                          .matches = false,
                          .reason = ruled_out(*kernel, node.name)};
      auto query = std::make_shared<Query>(base);
      query->input_storage = plain(query->input);
      if (candidate.reason.empty()) {
        auto tail =
            tail_for(request, rooted ? Storage::dwords() : query->input_storage, tails, reason);
        if (tail == nullptr) return reason;
        query->tail = tail.get();
        const Verdict verdict = kernel->match(*query);
        if (verdict) {
          query->input_storage = kernel->input_storage(*query);
          if (!rooted) {
            tail = tail_for(request, query->input_storage, tails, reason);
            if (tail == nullptr) return reason;
            query->tail = tail.get();
          }
          qloom_assert(query->input_storage.kind == Storage::Kind::f32 ||
                           kernels::fits(query->input, query->input_storage),
                       kernel->name, " asks for ", query->input, " as ", query->input_storage);
          candidate.matches = true;
          add_variants(*kernel, query, tail, call, candidate);
        } else {
          candidate.reason = verdict.reason();
        }
      }
      call.report.candidates.push_back(std::move(candidate));
    }
    if (call.choices.empty()) {
      std::string all;
      for (const Candidate& c : call.report.candidates)
        all += (all.empty() ? "" : "; ") + c.kernel + ": " + c.reason;
      return "no emitted kernel takes it: " + all;
    }
    std::stable_sort(
        call.choices.begin(), call.choices.end(),
        [](const Choice& a, const Choice& b) { return a.predicted_ns < b.predicted_ns; });
    // Variants of other kernels, or that want another input storage, are no replacement once
    // producers know what to store.
    const Choice& best = call.choices.front();
    std::erase_if(call.choices, [&](const Choice& c) {
      return c.query->input_storage != best.query->input_storage;
    });
    call.inputs.push_back({node.operands[0], call.choices.front().query->input_storage});
    for (size_t i = 0; i < operands.size(); ++i)
      call.inputs.push_back(
          {node.operands[static_cast<size_t>(operands[i])], request.operand_storages[i]});
    for (const Stored& input : call.inputs)
      call.report.inputs.push_back(describe(input.value, input.storage));
    call.report.emitted = true;
    adopt(call);
    return {};
  }

  std::shared_ptr<const Tail> tail_for(
      TailRequest& request, Storage input,
      std::vector<std::pair<Storage, std::shared_ptr<const Tail>>>& tails, std::string& reason) {
    for (const auto& [storage, tail] : tails)
      if (storage == input) return tail;
    request.input_storage = input;
    LoweredTail lowered = lower_tail(request);
    if (!lowered.tail) {
      reason = "its tail cannot be lowered: " + lowered.reason;
      return nullptr;
    }
    const bool f32_source =
        root_of(*request.region->body) == nullptr && input.kind == Storage::Kind::f32;
    kernels::check_tail(*lowered.tail,
                        graph_.type(request.region->results[0]).shape.back().extent(), f32_source);
    const std::string verified = verify_tail(request, *lowered.tail);
    lowered.tail->proof += (lowered.tail->proof.empty() ? "" : "; ") + verified;
    return tails.emplace_back(input, std::make_shared<const Tail>(std::move(*lowered.tail))).second;
  }

  void add_variants(const KernelDef& kernel, const std::shared_ptr<Query>& query,
                    const std::shared_ptr<const Tail>& tail, Selected& call, Candidate& candidate) {
    const std::string* pinned = pin(call.name);
    const bool one = pinned != nullptr && pinned->find(' ') != std::string::npos;
    for (const Variant& variant : kernel.variants(*query, options_.target)) {
      const std::string name = variant.to_string();
      if (one && *pinned != join_text(kernel.name, " ", name)) continue;
      const double ns = kernels::predicted_ns(kernel, *query, variant, options_.target);
      candidate.variants.emplace_back(name, ns);
      call.choices.push_back({.kernel = &kernel,
                              .variant = variant,
                              .query = query,
                              .tail = tail,
                              .predicted_ns = ns});
    }
    qloom_check(!candidate.variants.empty(), "cannot pin node '", call.name, "' to '",
                one ? *pinned : "", "': the kernel has no such variant there");
    std::stable_sort(candidate.variants.begin(), candidate.variants.end(),
                     [](const auto& a, const auto& b) { return a.second < b.second; });
    candidate.predicted_ns = candidate.variants.front().second;
  }

  void choose_alone(const Node& node, Selected& call) {
    call.choices = node_choices(
        graph_, node, call.results, options_,
        [&](const KernelDef& kernel) { return ruled_out(kernel, node.name); },
        call.report.candidates);
    for (ValueId operand : node.operands)
      if (!is_constant(graph_, operand))
        call.inputs.push_back({operand, plain(graph_.type(operand))});
    for (const Stored& input : call.inputs)
      call.report.inputs.push_back(describe(input.value, input.storage));
    adopt(call);
  }

  /// The report says what the first choice is.
  static void adopt(Selected& call) {
    const Choice& choice = call.choices.front();
    call.report.kernel = std::string(choice.kernel->name);
    call.report.predicted_ns = choice.predicted_ns;
    if (choice.tail != nullptr) {
      call.report.variant = choice.variant.to_string();
      call.report.tail_form = choice.tail->form;
      call.report.tail_proof = choice.tail->proof;
    }
  }

  const Graph& graph_;
  const CompileOptions& options_;
  std::map<ValueId, std::vector<Storage>> needs_;
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
