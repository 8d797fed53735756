#include "passes/compile.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"
#include "graph/support/float_environment.h"
#include "passes/boundary.h"
#include "passes/choose/select_kernels.h"
#include "passes/choose/write_parts.h"
#include "passes/loops.h"
#include "passes/program/build_program.h"
#include "passes/program/form_chains.h"

namespace qloom::passes {
namespace {

/// What the training phase does, only the interpreter does: variables that all samples share,
/// draws, statistics of the batch.
void check_has_no_phase(const Graph& graph) {
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    const auto where = [&] {
      return node.origins.empty() ? node.name : node.name + "' of '" + node.origins[0].to_string();
    };
    qloom_check(
        !node.is(ops::variable), "'", where(),
        "' is state that all samples share, which compiled models do not keep; the interpreter "
        "runs graphs that do");
    qloom_check(!node.is(ops::random), "'", where(),
                "' is for random draws, which are not compiled; the interpreter runs them");
    qloom_check(!node.is(ops::reduce) || !from_attributes<ops::Reduce>(node.attributes).over_batch,
                "'", where(),
                "' is taken over the batch, which is not compiled; the interpreter runs it");
  }
}

/// A symbol that every linker takes.
std::string symbol_of(size_t call, const std::string& node, size_t attempt) {
  std::string name = join_text("k", call, "_");
  for (char c : node) name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  if (attempt > 0) name += join_text("_v", attempt);
  return name;
}

struct Emitted {
  std::vector<size_t> chosen;        ///< choice of each call
  std::vector<std::string> symbols;  ///< "" for prepared calls
  std::vector<std::vector<uint8_t>> objects;
};

/// Where the next choice is predicted to take so many times as long as the first, that one is kept
/// though it uses the stack: transposes of conv_lanes do with 16 registers, which costs less.
constexpr double kStackCost = 1.2;

/// Compiles the first choice of every call; where registers ran out in an inner loop, the next
/// choice, until none is left that is worth it: then the one with the fewest stack accesses.
Emitted emit(Selection& selection, const CompileOptions& options, std::vector<std::string>& notes) {
  const size_t n = selection.calls.size();
  Emitted out{
      .chosen = std::vector<size_t>(n, 0), .symbols = std::vector<std::string>(n), .objects = {}};
  struct Best {
    size_t choice = 0;
    int accesses = -1;
    std::string symbol;
  };
  std::vector<Best> best(n);
  std::vector<size_t> open;
  for (size_t i = 0; i < n; ++i)
    if (selection.calls[i].choices.front().kernel->emit != nullptr) open.push_back(i);
  while (!open.empty()) {
    std::vector<jit::FunctionSource> functions;
    std::map<std::string, size_t> call_of;
    for (size_t i : open) {
      const Selected& call = selection.calls[i];
      const Choice& choice = call.choices[out.chosen[i]];
      out.symbols[i] = symbol_of(i, call.name, out.chosen[i]);
      call_of[out.symbols[i]] = i;
      functions.push_back(
          kernels::source_of(*choice.kernel, *choice.query, choice.variant, out.symbols[i]));
    }
    jit::CompiledObject object =
        jit::compiler().compile(functions, options.target, options.compiler);
    out.objects.push_back(std::move(object.elf));
    std::vector<size_t> rejected;
    for (const jit::FunctionReport& report : object.functions) {
      const auto found = call_of.find(report.name);
      if (found == call_of.end()) continue;
      const size_t i = found->second;
      const int accesses = report.inner_loop_stack_accesses;
      if (best[i].accesses < 0 || accesses < best[i].accesses)
        best[i] = {.choice = out.chosen[i], .accesses = accesses, .symbol = out.symbols[i]};
      if (accesses == 0) continue;
      const auto& choices = selection.calls[i].choices;
      const size_t next = out.chosen[i] + 1;
      const bool is_last = next >= choices.size() || choices[next].kernel->emit == nullptr;
      if (!is_last && choices[next].predicted_ns <= kStackCost * choices.front().predicted_ns) {
        ++out.chosen[i];
        rejected.push_back(i);
        continue;
      }
      out.chosen[i] = best[i].choice;
      out.symbols[i] = best[i].symbol;
      if (is_last)
        notes.push_back(join_text("'", selection.calls[i].name,
                                  "': every variant uses the stack in its inner loop; ",
                                  best[i].accesses, " accesses remain"));
    }
    std::sort(rejected.begin(), rejected.end());
    open = std::move(rejected);
  }
  return out;
}

/// Compiles the pipelines, all in one object. Where Halide does not load, their calls get the next
/// choice, with a note.
void emit_pipelines(Selection& selection, const CompileOptions& options, Emitted& out,
                    std::vector<std::string>& notes) {
  std::vector<jit::PipelineSource> sources;
  for (size_t i = 0; i < selection.calls.size(); ++i) {
    const Choice& choice = selection.calls[i].choices.front();
    if (choice.kernel->pipeline == nullptr) continue;
    out.symbols[i] = symbol_of(i, selection.calls[i].name, 0);
    sources.push_back(choice.kernel->pipeline(*choice.spec, out.symbols[i]));
  }
  if (sources.empty()) return;
  jit::PipelineCompiler* compiler = nullptr;
  try {
    compiler = &jit::pipeline_compiler();
  } catch (const UserError& error) {
    notes.push_back(join_text("pipelines run on other kernels: ", error.what()));
  }
  if (compiler != nullptr) {
    out.objects.push_back(compiler->compile(sources, options.target));
    return;
  }
  for (size_t i = 0; i < selection.calls.size(); ++i) {
    const auto& choices = selection.calls[i].choices;
    while (choices.at(out.chosen[i]).kernel->pipeline != nullptr) ++out.chosen[i];
    if (out.chosen[i] > 0 && choices.front().kernel->pipeline != nullptr) out.symbols[i].clear();
  }
}

void update_reports(Selection& selection, const Emitted& emitted, const KernelTimes* times,
                    std::vector<RegionReport>& reports) {
  for (size_t i = 0; i < selection.calls.size(); ++i) {
    Selected& call = selection.calls[i];
    const Choice& choice = call.choices[emitted.chosen[i]];
    call.report.kernel = std::string(choice.kernel->name);
    call.report.predicted_ns = choice.predicted_ns;
    if (choice.tail != nullptr) call.report.variant = choice.variant.to_string();
    call.report.tuned = times != nullptr &&
                        times->knows(call.report.shape, call.report.kernel, call.report.variant);
    reports.push_back(call.report);
  }
}

}  // namespace

std::shared_ptr<const jit::Code> load_in_memory(std::span<const std::vector<uint8_t>> objects,
                                                const std::string& name) {
  return objects.empty() ? nullptr : jit::compiler().load(objects, name);
}

Compilation compile(Graph graph, const CompileOptions& options) {
  qloom_check(!options.in_memory || options.target.runs_here(), "code for ", options.target.triple,
              " with ", options.target.features.size(), " features beyond ", options.target.cpu,
              "'s baseline cannot be loaded: this machine does not run it");
  const Boundary boundary = open_boundary(graph);
  check_has_no_phase(graph);
  const FloatEnvironment environment;  // constants are folded and tails verified as they will run
  Compilation out;
  out.target = options.target;
  out.certificates = certificates(graph);
  out.passes = run_passes(graph, inference_pipeline(), options.passes, &out.notes);
  check_batch_first(graph);
  // Kernels are chosen and calls planned without scans: the nodes of a step between those of a
  // loop.
  const bool loops = has_scans(graph);
  Graph flat = loops ? flatten_scans(graph) : Graph();
  Graph& planned = loops ? flat : graph;
  Selection selection = select_kernels(planned, options, out.notes);
  if (options.concat_in_place != ConcatInPlace::never) write_parts(planned, selection, options);
  Emitted emitted = emit(selection, options, out.notes);
  emit_pipelines(selection, options, emitted, out.notes);
  out.program = build_program(planned, selection, emitted.chosen, emitted.symbols, options);
  close_boundary(out.program, boundary);
  for (const Certificate& certificate : out.certificates)
    out.program.certificates.push_back(certificate.to_string());
  out.program.notes = out.notes;
  if (options.chains) {
    FormedChains chains = form_chains(out.program, selection, emitted.chosen, options);
    if (!chains.functions.empty())
      emitted.objects.push_back(
          jit::compiler().compile(chains.functions, options.target, options.compiler).elf);
    out.chains = std::move(chains.reports);
  }
  plan_memory(out.program);
  out.program.verify();
  update_reports(selection, emitted, options.times.get(), out.regions);
  if (options.in_memory) {
    out.model = std::make_shared<const runtime::Model>(out.program,
                                                       load_in_memory(emitted.objects, graph.name));
  }
  out.objects = emitted.objects;
  out.graph = std::move(graph);
  return out;
}

}  // namespace qloom::passes
