#include "passes/choose/node_choices.h"

#include <algorithm>
#include <cmath>

#include "graph/support/error.h"
#include "graph/support/fields.h"
#include "kernels/kernels_table.h"
#include "passes/edit.h"
#include "passes/query.h"

namespace qloom::passes {
namespace {

using kernels::KernelDef;
using kernels::Query;
using kernels::ReferenceSpec;

/// What the kernel says of the node; fills in the time if it is yes.
Verdict verdict_of(const KernelDef& kernel, const Query& query, const ReferenceSpec& spec,
                   const CompileOptions& options, double& ns) {
  if (kernel.is_reference()) {
    if (kernel.match != nullptr)
      if (Verdict verdict = kernel.match(query); !verdict) return verdict;
    ns = kernel.reference_ns(query);
    return Verdict::yes();
  }
  if (kernel.emit != nullptr) {
    Verdict verdict = kernel.takes(spec);
    if (verdict) ns = kernels::predicted_ns(kernel, query, {}, options.target, options.batch);
    return verdict;
  }
  if (std::string missing = kernel.missing(); !missing.empty()) return Verdict::no(missing);
  if (kernel.reorders_sums && options.float_mode != FloatMode::fast)
    return Verdict::no("adds floats in another order: only with float_mode fast");
  Verdict verdict = kernel.takes(spec);
  if (verdict) ns = kernel.node_ns(spec);
  return verdict;
}

bool is_pipeline(const Choice& choice) { return choice.kernel->pipeline != nullptr; }

bool is_pinned(const Selected& call, const CompileOptions& options) {
  return std::any_of(options.pinned.begin(), options.pinned.end(),
                     [&](const auto& pin) { return pin.first == call.name; });
}

/// The best choice that needs no Halide; null if there is none.
const Choice* other_than_pipeline(const Selected& call) {
  for (const Choice& choice : call.choices)
    if (!is_pipeline(choice)) return &choice;
  return nullptr;
}

void drop(Selected& call, const std::string& reason) {
  const std::string name(call.choices.front().kernel->name);
  std::erase_if(call.choices, is_pipeline);
  for (Candidate& candidate : call.report.candidates)
    if (candidate.kernel == name) {
      candidate.matches = false;
      candidate.reason = reason;
    }
  call.report.kernel = std::string(call.choices.front().kernel->name);
  call.report.predicted_ns = call.choices.front().predicted_ns;
}

}  // namespace

ReferenceSpec reference_spec(const Graph& graph, const Node& node,
                             const std::vector<std::pair<int, kernels::Storage>>& results) {
  ReferenceSpec spec;
  spec.attributes = node.attributes;
  for (size_t i = 0; i < node.operands.size(); ++i) {
    const TensorType& type = graph.type(node.operands[i]);
    spec.operands.push_back(type);
    spec.operand_storages.push_back(kernels::plain_storage(type));
    if (const Node* constant = graph.constant_of(node.operands[i]))
      spec.constants.emplace_back(static_cast<int>(i), *constant->constant);
  }
  for (ValueId result : node.results) spec.results.push_back(graph.type(result));
  spec.outputs = results;
  EvaluationOptions options = graph.options();
  options.evaluation = Evaluation::canonical;
  spec.options = to_attributes(options);
  return spec;
}

std::vector<Choice> node_choices(const Graph& graph, const Node& node,
                                 const std::vector<std::pair<int, kernels::Storage>>& results,
                                 const CompileOptions& options,
                                 const std::function<std::string(const KernelDef&)>& ruled_out,
                                 std::vector<Candidate>& candidates) {
  Query query = query_of(graph, node);
  query.input_storage = kernels::plain_storage(query.input);
  const ReferenceSpec base = reference_spec(graph, node, results);
  std::vector<Choice> choices;
  for (const KernelDef* kernel : kernels::all_kernels()) {
    if ((kernel->is_reference() ? kernel->reference_op : kernel->node_op) != node.op) continue;
    Candidate candidate{
        .kernel = std::string(kernel->name), .matches = false, .reason = ruled_out(*kernel)};
    if (candidate.reason.empty()) {
      auto spec = std::make_shared<ReferenceSpec>(base);
      spec->kernel = candidate.kernel;
      auto own = std::make_shared<Query>(query);
      if (kernel->emit != nullptr) own->spec = spec;
      const Verdict verdict = verdict_of(*kernel, *own, *spec, options, candidate.predicted_ns);
      candidate.matches = static_cast<bool>(verdict);
      if (verdict)
        choices.push_back({.kernel = kernel,
                           .variant = {},
                           .query = std::move(own),
                           .spec = std::move(spec),
                           .predicted_ns = candidate.predicted_ns});
      else
        candidate.reason = verdict.reason();
    }
    candidates.push_back(std::move(candidate));
  }
  if (choices.empty()) {
    std::string all;
    for (const Candidate& c : candidates) all += "\n  " + c.kernel + ": " + c.reason;
    throw UserError(join_text(node.op->name, " '", node.name, "': no kernel takes it", all));
  }
  std::stable_sort(choices.begin(), choices.end(), [](const Choice& a, const Choice& b) {
    return a.predicted_ns < b.predicted_ns;
  });
  return choices;
}

std::string faster_apart(const Graph& graph, const Node& region, double region_ns,
                         const CompileOptions& options) {
  const Node* root = root_of(*region.body);
  if (root == nullptr) return {};
  const auto pinned = std::find_if(options.pinned.begin(), options.pinned.end(),
                                   [&](const auto& pin) { return pin.first == region.name; });
  if (pinned != options.pinned.end()) return {};
  const ReferenceSpec spec = reference_spec(*region.body, *root, {{0, kernels::Storage::f32()}});
  for (const KernelDef* kernel : kernels::all_kernels()) {
    if (kernel->primitive == nullptr || kernel->node_op != root->op || kernel->experimental ||
        std::find(options.disabled_kernels.begin(), options.disabled_kernels.end(), kernel->name) !=
            options.disabled_kernels.end() ||
        !kernel->missing().empty() || !kernel->takes(spec))
      continue;
    // What follows reads and writes the sums once more, eight at a time.
    const double chain_ns =
        0.15 * static_cast<double>(elements_per_sample(graph.type(region.results[0]).shape));
    const double ns = kernel->node_ns(spec) + chain_ns;
    if (ns < region_ns)
      return join_text("is run in parts: ", kernel->name, " and a chain take ", std::lround(ns),
                       " ns a sample, one kernel ", std::lround(region_ns), " ns");
  }
  return {};
}

void drop_dear_pipelines(Selection& selection, const CompileOptions& options) {
  const auto saved_ms = [&](const Selected& call) {
    const double ns = other_than_pipeline(call)->predicted_ns - call.choices.front().predicted_ns;
    return ns * 1e-6 * static_cast<double>(options.expected_samples);
  };
  const auto text = [&](double saved, double cost, const char* whose) {
    return join_text("not worth compiling: ", whose, " would save ", std::lround(saved), " ms on ",
                     options.expected_samples, " samples and cost ", std::lround(cost), " ms");
  };
  constexpr jit::PipelineStart kStart = jit::kPipelineStart;
  std::vector<Selected*> calls;
  double saved = 0;
  bool opened = false;  // whatever the cost: a pipeline without alternative
  for (Selected& call : selection.calls) {
    if (!is_pipeline(call.choices.front())) continue;
    if (is_pinned(call, options) || other_than_pipeline(call) == nullptr) {
      opened = true;
    } else if (saved_ms(call) < kStart.each_ms) {
      drop(call, text(saved_ms(call), kStart.each_ms, "it"));
    } else {
      calls.push_back(&call);
      saved += saved_ms(call);
    }
  }
  const double cost = kStart.open_ms + kStart.each_ms * static_cast<double>(calls.size());
  if (opened || saved >= cost) return;
  for (Selected* call : calls) drop(*call, text(saved, cost, "Halide in this model"));
}

}  // namespace qloom::passes
