#include "passes/build_program.h"

#include <algorithm>

#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"

namespace qloom::passes {
namespace {

using kernels::Storage;
using runtime::Buffer;
using runtime::Call;
using runtime::Program;

constexpr int64_t kAlignment = 64;

class Builder {
 public:
  Builder(const Graph& graph, const Selection& selection, const CompileOptions& options)
      : graph_(graph), selection_(selection), options_(options) {}

  Program run(const std::vector<size_t>& chosen, const std::vector<std::string>& symbols) {
    program_.model = graph_.name;
    for (ValueId input : graph_.inputs()) program_.inputs.push_back(input_port(input));
    for (size_t i = 0; i < selection_.calls.size(); ++i) {
      const Selected& call = selection_.calls[i];
      const Choice& choice = call.choices[chosen[i]];
      program_.calls.push_back(choice.kernel->is_compiled()
                                   ? compiled_call(call, choice, symbols[i])
                                   : prepared_call(call, choice));
    }
    for (const auto& output : graph_.outputs()) {
      qloom_check(graph_.constant_of(output.value) == nullptr, "output '", output.name,
                  "' is a constant: it depends on no input");
      const TensorType& type = graph_.type(output.value);
      program_.outputs.push_back({.name = output.name,
                                  .shape = type.shape,
                                  .buffer = buffer({output.value, Storage::f32()}),
                                  .type = type,
                                  .check_finite = false});
    }
    for (NodeId id : graph_.order()) {
      const Node& node = graph_.node(id);
      if (node.op->whole_batch != nullptr && node.op->whole_batch(node))
        program_.whole_batch = true;
    }
    return std::move(program_);
  }

 private:
  int buffer(Stored stored) {
    stored = selection_.resolve(stored, graph_);
    for (size_t i = 0; i < keys_.size(); ++i)
      if (keys_[i] == stored) return static_cast<int>(i);
    const TensorType& type = graph_.type(stored.value);
    Buffer b;
    b.name = join_text(graph_.producer(stored.value).name, " ", stored.storage);
    if (graph_.result_index(stored.value) > 0)
      b.name += join_text(" #", graph_.result_index(stored.value));
    b.bytes_per_sample = kernels::bytes_per_sample(type.shape, stored.storage);
    program_.buffers.push_back(std::move(b));
    keys_.push_back(stored);
    return static_cast<int>(keys_.size()) - 1;
  }

  int scratch(const std::string& name, int64_t bytes) {
    Buffer b;
    b.name = name + " scratch";
    b.bytes_per_sample = bytes;
    b.is_scratch = true;
    program_.buffers.push_back(std::move(b));
    keys_.push_back({ValueId{}, Storage{}});
    return static_cast<int>(keys_.size()) - 1;
  }

  runtime::Port input_port(ValueId input) {
    const Node& node = graph_.producer(input);
    return {.name = node.name,
            .shape = graph_.type(input).shape,
            .buffer = buffer({input, Storage::f32()}),
            .type = graph_.type(input),
            .check_finite = feeds_a_quantizer(input)};
  }

  /// NaN has no code. Where a quantizer lies further behind, NaN still reaches it.
  [[nodiscard]] bool feeds_a_quantizer(ValueId input) const {
    std::vector<ValueId> open{input};
    std::vector<ValueId> seen;
    while (!open.empty()) {
      const ValueId v = open.back();
      open.pop_back();
      if (std::find(seen.begin(), seen.end(), v) != seen.end()) continue;
      seen.push_back(v);
      if (graph_.type(v).has_codes()) return true;
      for (NodeId user : graph_.users(v)) {
        const Node& node = graph_.node(user);
        if (node.op == &ops::quantize) return true;
        open.insert(open.end(), node.results.begin(), node.results.end());
      }
    }
    return false;
  }

  Call start(const Selected& selected, const Choice& choice) {
    Call call;
    call.node = selected.name;
    call.layers = selected.report.layers;
    call.kernel = std::string(choice.kernel->name);
    call.predicted_ns = choice.predicted_ns;
    call.macs = selected.report.macs;
    for (const Stored& input : selected.inputs) call.buffers.push_back(buffer(input));
    return call;
  }

  Call compiled_call(const Selected& selected, const Choice& choice, const std::string& symbol) {
    Call call = start(selected, choice);
    call.symbol = symbol;
    call.work_items =
        kernels::work_items(*choice.kernel, *choice.query, choice.variant, options_.target);
    call.buffers.push_back(-1);
    for (const Stored& output : selected.outputs) call.buffers.push_back(buffer(output));
    const auto& kernel = *choice.kernel;
    if (kernel.pack != nullptr) {
      const std::vector<uint8_t> bytes =
          kernel.pack(*choice.query, choice.variant, options_.target);
      auto& constants = program_.constants;
      constants.resize((constants.size() + kAlignment - 1) / kAlignment * kAlignment);
      call.constants_offset = static_cast<int64_t>(constants.size());
      call.constants_bytes = static_cast<int64_t>(bytes.size());
      constants.insert(constants.end(), bytes.begin(), bytes.end());
    }
    if (kernel.scratch_bytes != nullptr) {
      const int64_t bytes = kernel.scratch_bytes(*choice.query, choice.variant, options_.target);
      if (bytes > 0) call.buffers.push_back(scratch(selected.name, bytes));
    }
    return call;
  }

  Call prepared_call(const Selected& selected, const Choice& choice) {
    Call call = start(selected, choice);
    const kernels::ReferenceSpec& spec = *choice.spec;
    for (const Stored& output : selected.outputs) call.buffers.push_back(buffer(output));
    const int64_t bytes = choice.kernel->prepare()(spec)->scratch_bytes();
    if (bytes > 0) call.buffers.push_back(scratch(selected.name, bytes));
    call.reference = static_cast<int>(program_.references.size());
    program_.references.push_back(spec);
    return call;
  }

  const Graph& graph_;
  const Selection& selection_;
  const CompileOptions& options_;
  Program program_;
  std::vector<Stored> keys_;  ///< by buffer
};

}  // namespace

runtime::Program build_program(const Graph& graph, const Selection& selection,
                               const std::vector<size_t>& chosen,
                               const std::vector<std::string>& symbols,
                               const CompileOptions& options) {
  return Builder(graph, selection, options).run(chosen, symbols);
}

}  // namespace qloom::passes
