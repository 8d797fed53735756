#include "passes/choose/region_kernels.h"

#include <algorithm>
#include <limits>

#include "graph/support/error.h"
#include "kernels/dense/dense_run.h"
#include "kernels/kernels_table.h"
#include "passes/edit.h"
#include "passes/loops.h"
#include "passes/query.h"
#include "passes/tail/verify_tail.h"

namespace qloom::passes {

std::string_view pinned_kernel(std::string_view pin) { return pin.substr(0, pin.find(' ')); }

namespace {

using kernels::KernelDef;
using kernels::Query;
using kernels::Storage;
using kernels::Tail;
using kernels::Variant;

// Another set of outputs changes what a variant takes by a few stores: those that were so much
// slower than the best are not counted again.
constexpr double kInQuestion = 1.25;

std::string kernel_names() {
  std::string names;
  for (const KernelDef* kernel : kernels::all_kernels())
    names += (names.empty() ? "" : ", ") + std::string(kernel->name);
  for (const kernels::DenseRunDef* run : kernels::all_dense_runs())
    names += ", " + std::string(run->name);
  return names;
}

std::string text_of(const std::vector<Storage>& storages) {
  std::string text;
  for (const Storage& s : storages) text += s.to_string() + " ";
  return text;
}

std::string text_of(const RegionKernels::Outputs& outputs) {
  std::string text;
  for (const auto& [result, storage] : outputs) text += join_text(result, " ", storage, " ");
  return text;
}

std::string outputs_text(const RegionKernels::Layout& layout) {
  std::string text = text_of(layout.outputs);
  for (const Part& part : layout.parts)
    text += join_text("+ ", part.offset, " of ", part.pitch, " ");
  return text;
}

const std::string* pin_of(const std::string& node, const CompileOptions& options) {
  for (const auto& [name, pin] : options.pinned)
    // A run of dense layers begins there: what the node's own call would be is open.
    if (name == node && kernels::find_kernel(pinned_kernel(pin)) != nullptr) return &pin;
  return nullptr;
}

bool cheaper(const Choice& a, const Choice& b) { return a.predicted_ns < b.predicted_ns; }

}  // namespace

void check_names(const CompileOptions& options) {
  const auto known = [](std::string_view name) {
    return kernels::find_kernel(name) != nullptr || kernels::find_dense_run(name) != nullptr;
  };
  for (const std::string& name : options.disabled_kernels)
    qloom_check(known(name), "cannot disable kernel '", name, "': the kernels are ",
                kernel_names());
  for (const auto& [node, name] : options.pinned)
    qloom_check(known(pinned_kernel(name)), "cannot pin node '", node, "' to kernel '", name,
                "': the kernels are ", kernel_names());
}

std::string ruled_out(const KernelDef& kernel, const std::string& node,
                      const CompileOptions& options) {
  const auto& disabled = options.disabled_kernels;
  if (std::find(disabled.begin(), disabled.end(), kernel.name) != disabled.end())
    return "disabled by an option";
  const std::string* pinned = pin_of(node, options);
  if (pinned != nullptr && pinned_kernel(*pinned) != kernel.name)
    return "an option pins " + *pinned;
  if (kernel.primitive != nullptr && !options.target.runs_here())
    return "its library makes code for this machine, not for the target";
  if (kernel.experimental && pinned == nullptr) return "experimental: chosen only when asked for";
  return {};
}

RegionKernels::RegionKernels(const Graph& graph, const Node& region, const CompileOptions& options,
                             Outputs usual)
    : graph_(graph),
      region_(region),
      options_(options),
      base_(query_of(graph, region)),
      rooted_(root_of(*region.body) != nullptr),
      operands_(tail_operands(*region.body)) {
  base_.target = &options.target;
  if (options.times != nullptr) times_ = options.times->of(shape_of(graph, region, options.batch));
  for (const int i : operands_)
    plain_.push_back(kernels::plain_storage(graph.type(region.operands[static_cast<size_t>(i)])));
  if (rooted_ && !base_.accumulator_lo.empty()) {
    const int64_t lo = *std::ranges::min_element(base_.accumulator_lo);
    const int64_t hi = *std::ranges::max_element(base_.accumulator_hi);
    if (lo < INT32_MIN + 1 || hi > INT32_MAX - 1) {
      unfit_ = join_text("the accumulator [", lo, ", ", hi, "] leaves 32 bits");
      return;
    }
  }
  const Layout layout{plain_, std::move(usual)};
  for (const KernelDef* kernel : kernels::all_kernels()) {
    if (!kernel->is_for_regions()) continue;
    Candidate candidate{.kernel = std::string(kernel->name),
                        .matches = false,
                        .reason = ruled_out(*kernel, region.name, options)};
    if (candidate.reason.empty()) {
      Query query = base_;
      query.input_storage = kernels::plain_storage(query.input);
      const LoweredOnce& lowered = tail_for(query.input_storage, layout);
      if (lowered.tail == nullptr) {
        unfit_ = lowered.reason;
        return;
      }
      query.tail = lowered.tail.get();
      const Verdict verdict = kernel->match(query);
      if (verdict) {
        candidate.matches = true;
        const Storage input = kernel->input_storage(query);
        qloom_assert(input.kind == Storage::Kind::f32 || kernels::fits(query.input, input),
                     kernel->name, " asks for ", query.input, " as ", input);
        auto group =
            std::ranges::find_if(groups_, [&](const Group& g) { return g.input == input; });
        if (group == groups_.end()) group = groups_.insert(group, {input, {}});
        group->kernels.push_back(kernel);
      } else {
        candidate.reason = verdict.reason();
      }
    }
    verdicts_.push_back(std::move(candidate));
  }
  if (!groups_.empty()) return;
  std::string all;
  for (const Candidate& c : verdicts_)
    all += (all.empty() ? "" : "; ") + c.kernel + ": " + c.reason;
  unfit_ = "no emitted kernel takes it: " + all;
}

TailRequest RegionKernels::request_for(Storage input, const Layout& layout) {
  TailRequest request;
  request.region = &region_;
  request.input_storage = rooted_ ? Storage::dwords() : input;
  request.operand_storages = layout.operands;
  request.outputs = layout.outputs;
  if (rooted_) request.accumulator = {base_.accumulator_lo, base_.accumulator_hi};
  request.options = graph_.options();
  request.fused_multiply_add = options_.target.lowering != jit::Lowering::portable;
  request.exhaustive_limit = options_.exhaustive_limit;
  request.known = &transitions_;
  return request;
}

RegionKernels::LoweredOnce& RegionKernels::tail_for(Storage input, const Layout& layout) {
  const TailRequest request = request_for(input, layout);
  const auto [place, is_new] = tails_.try_emplace(
      Key{request.input_storage.to_string(), text_of(layout.operands), outputs_text(layout)});
  LoweredOnce& once = place->second;
  if (!is_new) return once;
  LoweredTail lowered = lower_tail(request);
  if (!lowered.tail) {
    once.reason = "its tail cannot be lowered: " + lowered.reason;
    return once;
  }
  kernels::check_tail(*lowered.tail, graph_.type(region_.results[0]).shape.back().extent(),
                      rooted_ ? base_.f32_accumulator : input.kind == Storage::Kind::f32);
  for (size_t i = 0; i < lowered.tail->operands.size(); ++i)
    lowered.tail->operands[i].pitch =
        view_pitch(graph_, region_.operands[static_cast<size_t>(operands_[i])]);
  for (size_t i = 0; i < layout.parts.size(); ++i) {
    lowered.tail->outputs[i].pitch = layout.parts[i].pitch;
    lowered.tail->outputs[i].offset = layout.parts[i].offset;
  }
  once.tail = std::make_shared<Tail>(std::move(*lowered.tail));
  return once;
}

void RegionKernels::add_choices(const KernelDef& kernel, Storage input, const Layout& layout,
                                const std::vector<Choice>* among, std::vector<Choice>& out) {
  const LoweredOnce& lowered = tail_for(input, layout);
  if (lowered.tail == nullptr) return;
  const auto query = std::make_shared<Query>(base_);
  query->input_storage = input;
  query->tail = lowered.tail.get();
  const bool parts = kernels::has_parts(*lowered.tail);
  if (!kernel.match(*query) || (parts && !kernel.stores_parts)) return;
  const auto add = [&](const Variant& variant) {
    const double ns =
        kernels::predicted_ns(kernel, *query, variant, options_.target, options_.batch);
    out.push_back({.kernel = &kernel,
                   .variant = variant,
                   .query = query,
                   .tail = lowered.tail,
                   .predicted_ns = ns * correction(kernel, variant.to_string())});
  };
  if (among == nullptr) {
    const std::string* pin = pin_of(region_.name, options_);
    const bool one = pin != nullptr && pin->find(' ') != std::string::npos;
    bool found = false;
    for (const Variant& variant : kernel.variants(*query, options_.target)) {
      if (one && *pin != join_text(kernel.name, " ", variant.to_string())) continue;
      add(variant);
      found = true;
    }
    qloom_check(found || parts, "cannot pin node '", region_.name, "' to '", one ? *pin : "",
                "': the kernel has no such variant there");
    return;
  }
  for (const Choice& choice : *among)
    if (choice.kernel == &kernel &&
        choice.predicted_ns <= among->front().predicted_ns * kInQuestion)
      add(choice.variant);
}

double RegionKernels::correction(const KernelDef& kernel, const std::string& variant) {
  const auto found = corrections_.find({&kernel, variant});
  return found == corrections_.end() ? 1 : found->second;
}

void RegionKernels::learn(const KernelDef& kernel, const std::vector<Choice>& predicted) {
  double worst = 0;
  for (const Choice& choice : predicted)
    for (const KernelTime& time : *times_)
      if (time.kernel == kernel.name && time.variant == choice.variant.to_string()) {
        const double factor = time.ns / choice.predicted_ns;
        corrections_[{&kernel, time.variant}] = factor;
        worst = std::max(worst, factor);
      }
  worst_correction_ = std::max(worst_correction_, worst);
  // What was not measured was predicted to be slower than what was, and stays so.
  if (worst == 0) worst = worst_correction_;
  if (worst == 0) return;
  for (const Choice& choice : predicted)
    corrections_.try_emplace({&kernel, choice.variant.to_string()}, worst);
}

RegionKernels::Key RegionKernels::key_of(Storage input, const Layout& layout) {
  return {input.to_string(), text_of(layout.operands), outputs_text(layout)};
}

const std::vector<Choice>& RegionKernels::all_choices(const KernelDef& kernel, Storage input,
                                                      const Layout& layout) {
  const auto [place, is_new] = counted_.try_emplace({&kernel, key_of(input, layout)});
  if (!is_new) return place->second;
  add_choices(kernel, input, layout, nullptr, place->second);
  if (times_ != nullptr && !first_.contains(&kernel)) {
    learn(kernel, place->second);
    for (Choice& choice : place->second)
      choice.predicted_ns *= correction(kernel, choice.variant.to_string());
  }
  std::ranges::stable_sort(place->second, cheaper);
  if (!place->second.empty()) first_.try_emplace(&kernel, &place->second);
  return place->second;
}

double RegionKernels::kernel_cost(const KernelDef& kernel, Storage input, const Layout& layout) {
  const auto [place, is_new] =
      costs_.try_emplace({&kernel, key_of(input, layout)}, std::numeric_limits<double>::infinity());
  if (!is_new) return place->second;
  const auto first = first_.find(&kernel);
  if (first == first_.end()) {
    const std::vector<Choice>& all = all_choices(kernel, input, layout);
    if (!all.empty()) place->second = all.front().predicted_ns;
    return place->second;
  }
  std::vector<Choice> found;
  add_choices(kernel, input, layout, first->second, found);
  for (const Choice& choice : found) place->second = std::min(place->second, choice.predicted_ns);
  return place->second;
}

double RegionKernels::cost(size_t group, const Layout& layout) {
  double best = std::numeric_limits<double>::infinity();
  for (const KernelDef* kernel : groups_[group].kernels)
    best = std::min(best, kernel_cost(*kernel, groups_[group].input, layout));
  return best;
}

std::vector<Choice> RegionKernels::choices(size_t group, const Layout& layout) {
  const Group& g = groups_[group];
  LoweredOnce& lowered = tail_for(g.input, layout);
  std::vector<Choice> found;
  for (const KernelDef* kernel : g.kernels) {
    const std::vector<Choice>& all = all_choices(*kernel, g.input, layout);
    found.insert(found.end(), all.begin(), all.end());
  }
  std::ranges::stable_sort(found, cheaper);
  if (!lowered.verified && lowered.tail != nullptr) {
    const std::string verified = verify_tail(request_for(g.input, layout), *lowered.tail);
    lowered.tail->proof += (lowered.tail->proof.empty() ? "" : "; ") + verified;
    lowered.verified = true;
  }
  return found;
}

std::vector<Candidate> RegionKernels::candidates(const Layout& layout) {
  std::vector<Candidate> out = verdicts_;
  for (const Group& g : groups_)
    for (const KernelDef* kernel : g.kernels) {
      const auto candidate =
          std::ranges::find_if(out, [&](const Candidate& c) { return c.kernel == kernel->name; });
      const std::vector<Choice>& all = all_choices(*kernel, g.input, layout);
      for (const Choice& choice : all)
        candidate->variants.emplace_back(choice.variant.to_string(), choice.predicted_ns);
      if (!all.empty()) {
        candidate->predicted_ns = all.front().predicted_ns;
        continue;
      }
      candidate->matches = false;
      candidate->reason = "it does not store the results as " + text_of(layout.outputs);
    }
  return out;
}

}  // namespace qloom::passes
