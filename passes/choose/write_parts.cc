#include "passes/choose/write_parts.h"

#include <algorithm>
#include <map>
#include <optional>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"
#include "kernels/tail/tail_emit.h"
#include "passes/choose/region_kernels.h"
#include "passes/loops.h"

namespace qloom::passes {
namespace {

using kernels::Storage;

int64_t channels_of(const TensorType& type) { return kernels::last_extent(type.shape); }

/// What a cache line costs that is written in addition, in part or whole: measured on Zen 4 where
/// results exceed the first-level cache, 0.7 to 2 cycles.
constexpr double kCyclesPerLine = 1.6;

/// Samples whose runs of the last axis lie one behind the other.
bool has_runs(const TensorType& type) {
  const Shape& shape = type.shape;
  return shape.size() >= 2 && shape[0].is_batch() &&
         std::all_of(shape.begin() + 1, shape.end(),
                     [](Dim d) { return d.is_static() && d.extent() > 0; });
}

/// Whether elements of `x` stored so are elements of `y`.
bool same_elements(const TensorType& x, const TensorType& y, Storage storage) {
  if (!kernels::fits(x, storage) || x.has_codes() != y.has_codes()) return false;
  if (!x.has_codes()) return x.scale.is_none() && y.scale.is_none();
  if (storage.kind == Storage::Kind::bits && x.numeric.kind() != y.numeric.kind()) return false;
  if (x.scale.is_dynamic() || y.scale.is_dynamic()) return false;
  const Tensor a = x.step(), b = y.step();
  return a.size() == 1 && b.size() == 1 && a.f64()[0] == b.f64()[0];
}

/// An operand of a concatenation, from this channel of the result on.
struct Operand {
  ValueId value;
  int64_t channel = 0;
};

/// Where an operand with this first channel lies in runs of `whole` channels; none where packed
/// bits share a byte with a neighbour's, or some are left that nobody writes.
std::optional<Part> part_of(int64_t channel, int64_t whole, Storage storage) {
  const int64_t pitch = kernels::run_bytes(storage, whole);
  if (storage.kind != Storage::Kind::bits)
    return Part{pitch, channel * kernels::element_bytes(storage)};
  if (channel % 8 != 0 || (whole + 7) / 8 != pitch) return std::nullopt;
  return Part{pitch, channel / 8};
}

class Writer {
 public:
  Writer(const Graph& graph, Selection& selection, const CompileOptions& options)
      : graph_(graph),
        selection_(selection),
        options_(options),
        dropped_(selection.calls.size(), false) {}

  void run() {
    for (size_t i = 0; i < calls().size(); ++i)
      if (is_concatenation(calls()[i])) join(i);
    // Those that others have looked through, and nobody else reads.
    for (size_t i = calls().size(); i-- > 0;)
      if (calls()[i].node.valid() && concatenation(graph_.node(calls()[i].node)) &&
          std::ranges::none_of(calls()[i].outputs, [&](const Stored& s) { return is_read(s); }))
        dropped_[i] = true;
    size_t left = 0;
    for (size_t i = 0; i < calls().size(); ++i)
      if (!dropped_[i]) {
        if (left != i) calls()[left] = std::move(calls()[i]);
        ++left;
      }
    calls().resize(left);
  }

 private:
  std::vector<Selected>& calls() { return selection_.calls; }
  [[nodiscard]] const std::vector<Selected>& calls() const { return selection_.calls; }

  /// Along the last axis.
  [[nodiscard]] bool concatenation(const Node& node) const {
    return node.op == &ops::concat && has_runs(graph_.type(node.results[0])) &&
           from_attributes<ops::Concat>(node.attributes).axis ==
               graph_.type(node.results[0]).rank() - 1;
  }

  [[nodiscard]] bool is_concatenation(const Selected& call) const {
    if (!call.node.valid() || call.loop >= 0) return false;
    const auto pinned = [&](const auto& pin) { return pin.first == call.name; };
    return concatenation(graph_.node(call.node)) && std::ranges::none_of(options_.pinned, pinned);
  }

  /// The value whose memory it shares, as long as runs stay whole.
  [[nodiscard]] ValueId origin(ValueId value) const {
    for (auto at = selection_.alias.find(value); at != selection_.alias.end();
         at = selection_.alias.find(value)) {
      const TensorType &from = graph_.type(at->second), &to = graph_.type(value);
      if (!has_runs(from) || channels_of(from) != channels_of(to)) break;
      value = at->second;
    }
    return value;
  }

  void add_operands(const Node& node, int64_t channel, std::vector<Operand>& out) const {
    for (const ValueId operand : node.operands) {
      const ValueId value = origin(operand);
      const Node& producer = graph_.producer(value);
      if (concatenation(producer))
        add_operands(producer, channel, out);
      else
        out.push_back({value, channel});
      channel += channels_of(graph_.type(value));
    }
  }

  /// The call of an emitted region that computes a value.
  [[nodiscard]] std::optional<size_t> call_of(ValueId value) const {
    const Node& node = graph_.producer(value);
    if (node.op != &ops::region) return std::nullopt;
    for (size_t i = 0; i < calls().size(); ++i)
      if (calls()[i].node == node.id) return calls()[i].loop < 0 ? std::optional(i) : std::nullopt;
    return std::nullopt;
  }

  [[nodiscard]] bool is_read(const Stored& stored) const {
    const auto reads = [&](ValueId value, Storage storage) {
      return selection_.resolve({value, storage}, graph_) == stored;
    };
    for (size_t i = 0; i < calls().size(); ++i)
      for (const Stored& input : calls()[i].inputs)
        if (!dropped_[i] && reads(input.value, input.storage)) return true;
    for (const auto& output : graph_.outputs())
      if (reads(output.value, Storage::f32())) return true;
    for (const NodeId id : graph_.order()) {
      const Node& node = graph_.node(id);
      if (!is_loop_op(node)) continue;
      for (const ValueId operand : node.operands)
        if (reads(operand, loop_storage(graph_, node))) return true;
    }
    return false;
  }

  /// Makes the call of a concatenation superfluous, and those that convert its result, or else
  /// itself alone, where that is possible and pays.
  void join(size_t index) {
    const ValueId whole = graph_.node(calls()[index].node).results[0];
    std::vector<size_t> superfluous{index};
    for (size_t i = index + 1; i < calls().size(); ++i)
      if (!calls()[i].node.valid() && calls()[i].outputs[0].value == whole)
        superfluous.push_back(i);
    if (!join(index, superfluous) && superfluous.size() > 1) join(index, {index});
  }

  bool join(size_t index, const std::vector<size_t>& superfluous) {
    std::vector<Stored> wanted;
    double before = 0, after = 0;
    for (const size_t i : superfluous) {
      dropped_[i] = true;
      before += calls()[i].choices.front().predicted_ns;
    }
    for (const size_t i : superfluous)
      for (const Stored& output : calls()[i].outputs)
        if (is_read(output)) wanted.push_back(output);
    std::map<size_t, Selected> made;
    if (!wanted.empty() && plan(graph_.node(calls()[index].node), wanted, made)) {
      for (const auto& [i, call] : made) {
        before += calls()[i].choices.front().predicted_ns;
        after += call.choices.front().predicted_ns;
      }
      if (after < before || options_.concat_in_place == ConcatInPlace::where_possible) {
        for (auto& [i, call] : made) calls()[i] = std::move(call);
        return true;
      }
    }
    for (const size_t i : superfluous) dropped_[i] = false;
    return false;
  }

  /// The calls that would write a concatenation's operands so; false where some cannot.
  bool plan(const Node& node, const std::vector<Stored>& wanted,
            std::map<size_t, Selected>& made) const {
    const TensorType& whole = graph_.type(node.results[0]);
    std::vector<Operand> operands;
    add_operands(node, 0, operands);
    for (const Operand& operand : operands) {
      const auto producer = call_of(operand.value);
      if (!producer) return false;
      Selected& call = made.try_emplace(*producer, calls()[*producer]).first->second;
      for (const Stored& output : wanted) {
        const TensorType& type = graph_.type(operand.value);
        const auto part = part_of(operand.channel, channels_of(whole), output.storage);
        if (!part || !same_elements(type, whole, output.storage)) return false;
        call.parts.resize(call.outputs.size());
        call.outputs.push_back(output);
        call.results.emplace_back(graph_.result_index(operand.value), output.storage);
        call.parts.push_back(*part);
        call.report.parts.push_back(join_text("channels ", operand.channel, "..",
                                              operand.channel + channels_of(type) - 1, " of '",
                                              node.name, "' as ", output.storage));
      }
    }
    for (auto& [i, call] : made) {
      if (!remake(call)) return false;
      const Selected& before = calls()[i];
      const double more =
          kCyclesPerLine * (lines(call) - lines(before)) / options_.target.rates.clock_ghz;
      const double least = before.choices.front().predicted_ns + more;
      for (Choice& choice : call.choices)
        choice.predicted_ns = std::max(choice.predicted_ns, least);
    }
    return true;
  }

  /// Cache lines of a sample that a call writes.
  [[nodiscard]] double lines(const Selected& call) const {
    double lines = 0;
    for (size_t i = 0; i < call.outputs.size(); ++i) {
      const auto& [result, storage] = call.results[i];
      const TensorType& type =
          graph_.type(graph_.node(call.node).results[static_cast<size_t>(result)]);
      const int64_t bytes = kernels::run_bytes(storage, channels_of(type));
      const auto runs = static_cast<double>(kernels::bytes_per_sample(type.shape, storage) / bytes);
      const int64_t pitch =
          i < call.parts.size() && call.parts[i].pitch > 0 ? call.parts[i].pitch : bytes;
      constexpr double kLine = 64;
      lines += runs * std::min(static_cast<double>(pitch), kLine + static_cast<double>(bytes - 1)) /
               kLine;
    }
    return lines;
  }

  /// Chooses again, for the outputs that somebody reads.
  bool remake(Selected& call) const {
    size_t left = 0, text = 0, texts = 0;
    for (size_t i = 0; i < call.outputs.size(); ++i) {
      const bool is_part = call.parts[i].pitch > 0, keep = is_read(call.outputs[i]);
      if (keep) {
        call.outputs[left] = call.outputs[i];
        call.results[left] = call.results[i];
        call.parts[left++] = call.parts[i];
        if (is_part) call.report.parts[text++] = call.report.parts[texts];
      }
      if (is_part) ++texts;
    }
    call.outputs.resize(left, call.outputs.front());
    call.results.resize(left);
    call.parts.resize(left);
    call.report.parts.resize(text);

    RegionKernels& kernels = *selection_.regions.at(call.node);
    const auto group =
        std::ranges::find(kernels.groups(), call.inputs[0].storage, &RegionKernels::Group::input);
    qloom_assert(group != kernels.groups().end(), "'", call.name, "' has lost its kernels");
    RegionKernels::Layout layout{{}, call.results, call.parts};
    for (size_t i = 1; i < call.inputs.size(); ++i)
      layout.operands.push_back(call.inputs[i].storage);
    call.choices = kernels.choices(static_cast<size_t>(group - kernels.groups().begin()), layout);
    if (call.choices.empty()) return false;
    call.report.candidates = kernels.candidates(layout);
    call.report.results = call.results;
    call.report.output.clear();
    for (const auto& [result, storage] : call.results)
      call.report.output +=
          join_text(call.report.output.empty() ? "" : "; ",
                    graph_.type(graph_.node(call.node).results[static_cast<size_t>(result)]),
                    " as ", storage);
    const Choice& choice = call.choices.front();
    call.report.tail_form = choice.tail->form;
    call.report.tail_proof = choice.tail->proof;
    return true;
  }

  const Graph& graph_;
  Selection& selection_;
  const CompileOptions& options_;
  std::vector<bool> dropped_;  ///< calls
};

}  // namespace

void write_parts(const Graph& graph, Selection& selection, const CompileOptions& options) {
  Writer(graph, selection, options).run();
}

}  // namespace qloom::passes
