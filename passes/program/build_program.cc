#include "passes/program/build_program.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "graph/interpret.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"
#include "passes/edit.h"
#include "passes/loops.h"

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
    for (const auto& [index, parts] : parts_)
      program_.buffers[static_cast<size_t>(index)].writers = parts;
    add_loops();
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
    stored = resolve(stored);
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

  /// Aliases share memory. What a loop leaves of a state lies in one of the state's two buffers;
  /// which one follows from the number of steps.
  [[nodiscard]] Stored resolve(Stored stored) const {
    stored = selection_.resolve(stored, graph_);
    const Node& node = graph_.producer(stored.value);
    if (node.op != &loop_carry || stored.storage != loop_storage(graph_, node)) return stored;
    const Node& state = partner_of(graph_, node);
    const Stored before{state.results[0], stored.storage},
        after = selection_.resolve({node.operands[0], stored.storage}, graph_);
    const bool odd = node.attributes["steps"].as_integer() % 2 == 1;
    return exchanges(node) && odd ? after : before;
  }

  /// Whether the buffers of a state can change places: the one that is written is of a call in the
  /// loop, and of no other state.
  [[nodiscard]] bool exchanges(const Node& carry) const {
    const kernels::Storage storage = loop_storage(graph_, carry);
    const auto source = [&](const Node& node) {
      return selection_.resolve({node.operands[0], storage}, graph_);
    };
    const Stored after = source(carry);
    if (is_loop_op(graph_.producer(after.value)) || graph_.constant_of(after.value) != nullptr)
      return false;
    for (const NodeId id : graph_.order()) {
      const Node& node = graph_.node(id);
      if (node.op == &loop_carry && node.id != carry.id && source(node) == after &&
          loop_storage(graph_, node) == storage)
        return false;
    }
    const auto loops = loops_of(graph_);
    return loops.contains(graph_.producer(after.value).id);
  }

  void add_loops() {
    std::map<int64_t, runtime::Loop> loops;
    for (const NodeId id : graph_.order()) {
      const Node& node = graph_.node(id);
      if (!is_loop_op(node)) continue;
      runtime::Loop& loop = loops[node.attributes["loop"].as_integer()];
      loop.steps = node.attributes["steps"].as_integer();
      const kernels::Storage storage = loop_storage(graph_, node);
      const auto at = [&](ValueId value) { return buffer({value, storage}); };
      if (node.op == &loop_step) {
        if (!is_needed(node)) continue;
        loop.sequences.push_back({.whole = at(node.operands[0]),
                                  .step = at(node.results[0]),
                                  .collected = false,
                                  .reverse = node.attributes["reverse"].as_bool(),
                                  .view = view_pitch(graph_, node.results[0]) > 0});
      } else if (node.op == &loop_collect) {
        if (!is_needed(node)) continue;
        loop.sequences.push_back({.whole = at(node.results[0]),
                                  .step = at(node.operands[0]),
                                  .collected = true,
                                  .reverse = false,
                                  .view = false});
      } else if (node.op == &loop_carry) {
        loop.states.push_back(state_of(node, storage));
      }
    }
    for (auto& [index, loop] : loops) {
      place_loop(index, loop);
      program_.loops.push_back(std::move(loop));
    }
    std::ranges::stable_sort(program_.loops, {}, &runtime::Loop::first);
  }

  /// Somebody reads it.
  [[nodiscard]] bool is_needed(const Node& node) const {
    return graph_.is_output(node.results[0]) || !graph_.users(node.results[0]).empty();
  }

  runtime::Loop::State state_of(const Node& carry, kernels::Storage storage) {
    const Node& state = partner_of(graph_, carry);
    const ValueId initial = state.operands[0];
    runtime::Loop::State out;
    out.before = buffer({state.results[0], storage});
    out.after = buffer(selection_.resolve({carry.operands[0], storage}, graph_));
    out.exchange = exchanges(carry);
    const TensorType& type = graph_.type(state.results[0]);
    const int64_t bytes = kernels::bytes_per_sample(type.shape, storage);
    if (!is_needed(state)) {  // written only
      out.constants_offset = append_constants(std::vector<uint8_t>(static_cast<size_t>(bytes), 0));
      return out;
    }
    if (graph_.constant_of(initial) == nullptr) {
      out.initial = buffer({initial, storage});
      return out;
    }
    out.constants_offset = append_constants(initial_state(type, storage, initial, bytes));
    return out;
  }

  /// A constant as one sample of a state.
  [[nodiscard]] std::vector<uint8_t> initial_state(const TensorType& type, kernels::Storage storage,
                                                   ValueId constant, int64_t bytes) const {
    EvaluationOptions options = graph_.options();
    options.evaluation = Evaluation::canonical;
    const Tensor given = to_f32(constant_value(graph_, graph_.producer(constant), options));
    const auto values = given.f32();
    const int64_t elements = elements_per_sample(type.shape);
    std::vector<uint8_t> out(static_cast<size_t>(bytes), 0);
    if (storage.kind == kernels::Storage::Kind::f32) {
      for (int64_t i = 0; i < elements; ++i) {
        const float v = values[static_cast<size_t>(i) % values.size()];
        std::memcpy(out.data() + i * 4, &v, 4);
      }
      return out;
    }
    const Tensor codes = to_codes(
        given, {Shape(given.extents().begin(), given.extents().end()), type.numeric, type.scale});
    const auto list = codes.i64();
    for (int64_t i = 0; i < elements; ++i)
      kernels::write_code(out.data(), storage, i, kernels::last_extent(type.shape),
                          list[static_cast<size_t>(i) % list.size()]);
    return out;
  }

  /// Calls of the loop, which lie next to each other.
  void place_loop(int64_t index, runtime::Loop& loop) const {
    const auto& calls = selection_.calls;
    const auto in_loop = [&](const Selected& call) { return call.loop == index; };
    const auto first = std::ranges::find_if(calls, in_loop);
    qloom_check(first != calls.end(), "graph '", graph_.name,
                "': a recurrent layer without a single operation cannot be compiled");
    loop.first = static_cast<int>(first - calls.begin());
    loop.last = loop.first + static_cast<int>(std::ranges::count_if(calls, in_loop));
  }

  int64_t append_constants(const std::vector<uint8_t>& bytes) {
    auto& constants = program_.constants;
    constants.resize((constants.size() + kAlignment - 1) / kAlignment * kAlignment);
    const auto offset = static_cast<int64_t>(constants.size());
    constants.insert(constants.end(), bytes.begin(), bytes.end());
    return offset;
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
    call.reads_exactly =
        kernels::reads_exactly(*choice.kernel, *choice.query, choice.variant, options_.target);
    call.buffers.push_back(-1);
    for (size_t i = 0; i < selected.outputs.size(); ++i) {
      call.buffers.push_back(buffer(selected.outputs[i]));
      if (i < selected.parts.size() && selected.parts[i].pitch > 0) ++parts_[call.buffers.back()];
    }
    const auto& kernel = *choice.kernel;
    if (kernel.pack != nullptr) {
      const std::vector<uint8_t> bytes =
          kernels::packed(kernel, *choice.query, choice.variant, options_.target);
      call.constants_offset = append_constants(bytes);
      call.constants_bytes = static_cast<int64_t>(bytes.size());
    }
    const int64_t bytes =
        kernels::scratch_bytes(kernel, *choice.query, choice.variant, options_.target);
    if (bytes > 0) call.buffers.push_back(scratch(selected.name, bytes));
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
  std::map<int, int> parts_;  ///< by buffer: how many are written to it
};

}  // namespace

runtime::Program build_program(const Graph& graph, const Selection& selection,
                               const std::vector<size_t>& chosen,
                               const std::vector<std::string>& symbols,
                               const CompileOptions& options) {
  return Builder(graph, selection, options).run(chosen, symbols);
}

}  // namespace qloom::passes
