// qloom stats: bit widths, operations, energy and memory of a model, as QTools counts them.
#include "bindings/report/stats.h"

#include <malloc.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>

#include "bindings/cli/command.h"
#include "bindings/cli/support/progress.h"
#include "bindings/report/qtools_json.h"
#include "graph/support/error.h"

namespace qloom::cli::commands {
namespace {

struct Arguments {
  std::string path, qtools_json;
  StatsOptions options;
  std::vector<std::string> sources;
  std::vector<double> accumulators;  ///< the ends of a range
  double throughput = 0;
  qtools::ParallelismOptions parallelism;
  bool energy = false, qstats = false, json = false, wide = false;
};

template <class Entry>
std::vector<std::string> names_of(std::span<const Entry> entries) {
  std::vector<std::string> out;
  for (const Entry& e : entries) out.emplace_back(e.name);
  return out;
}

/// The weights are copied and dropped a few times. Memory that goes back to the kernel in between
/// has to be cleared and mapped again, which took half of the time.
void keep_freed_memory() {
  constexpr int kLargest = 1 << 30;
  mallopt(M_MMAP_THRESHOLD, kLargest);
  mallopt(M_TRIM_THRESHOLD, kLargest);
  mallopt(M_TOP_PAD, 64 << 20);
}

int run(const Arguments& a) {
  keep_freed_memory();
  StatsOptions options = a.options;
  if (!a.sources.empty()) options.map.sources = a.sources;
  const ModelStats stats = [&] {
    const Progress progress("reading " + a.path);
    return model_stats(a.path, options);
  }();
  for (const std::string& note : stats.notes)
    std::fprintf(stderr, "qloom: note: %s\n", note.c_str());
  if (!a.qtools_json.empty()) {
    std::ofstream out(a.qtools_json);
    out << report::to_json(stats.map).dump(4);
    out.flush();
    qloom_check(out.good(), a.qtools_json, ": cannot be written");
  }
  std::optional<qtools::AccumulatorBits> accumulators;
  if (!a.accumulators.empty()) {
    qloom_check(a.accumulators[0] <= a.accumulators[1], "--accumulators: ", a.accumulators[0],
                " is above ", a.accumulators[1]);
    accumulators = analyze_accumulator(
        stats.unfolded, same_range(stats.unfolded, a.accumulators[0], a.accumulators[1]));
  }
  std::optional<qtools::Parallelism> parallelism;
  if (a.throughput > 0) {
    qtools::ParallelismOptions asked = a.parallelism;
    asked.throughput = a.throughput;
    asked.as_qtools = stats.rules == "qkeras";
    qtools::MapOptions map = options.map;
    map.process = &qtools::find_process(options.process);
    parallelism = find_parallelism(stats.model, map, asked);
  }
  if (a.json) {
    nlohmann::ordered_json out = report::to_json(stats, a.qstats);
    if (accumulators) out["accumulators"] = report::to_json(*accumulators);
    if (parallelism) out["parallelism"] = report::to_json(*parallelism);
    std::puts(out.dump(2).c_str());
    return kSuccess;
  }
  const size_t width = output_width(a.wide);
  std::string text = report::to_text(stats, width);
  if (a.energy) text += "\n" + report::energy_text(stats, width);
  if (a.qstats) text += report::qstats_text(stats);
  if (accumulators)
    text += "\n" + report::to_text(*accumulators, a.accumulators[0], a.accumulators[1], width);
  if (parallelism) text += "\n" + report::to_text(*parallelism, width);
  std::fputs(text.c_str(), stdout);
  return kSuccess;
}

std::function<int()> add(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  qtools::MapOptions& map = a->options.map;
  qtools::EnergyOptions& energy = a->options.energy;
  app.add_option("MODEL", a->path, "a Keras model (.h5, .keras), or an architecture .json")
      ->required();
  app.add_option("--weights", a->options.weights,
                 "weights (.h5, .weights.h5) that belong to an architecture .json");
  app.add_option("--input-quantizer", a->sources,
                 "type of a model input, once for each: a quantizer, or fp32, fp16, int8, int16, "
                 "int32 (default: quantized_bits(8,0,1))")
      ->expected(1)
      ->take_all();
  app.add_option("--rules", a->options.rules,
                 "which rules give the types: sound, true for every run and read off the graph, or "
                 "qkeras, as QTools has them (default: sound, else qkeras)")
      ->check(CLI::IsMember(names_of(qtools::rule_sets())));
  app.add_option("--process", a->options.process, "technology that energies are counted in")
      ->check(CLI::IsMember(names_of(qtools::processes())))
      ->capture_default_str();
  app.add_option("--weights-memory", energy.weights_memory, "where weights lie; fixed: wired in")
      ->check(CLI::IsMember({"dram", "sram", "fixed"}))
      ->capture_default_str();
  app.add_option("--activations-memory", energy.activations_memory,
                 "where tensors between layers lie")
      ->check(CLI::IsMember({"dram", "sram", "fixed"}))
      ->capture_default_str();
  app.add_option("--min-sram", energy.min_sram_bits,
                 "bits of the SRAM; 0: each tensor has one of its own size")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 48))
      ->capture_default_str();
  app.add_flag("!--inputs-in-sram", energy.through_sram,
               "the model's inputs and outputs lie in SRAM, not in DRAM behind it");
  app.add_flag("--sram-per-bit", energy.sram_per_bit,
               "an access to SRAM costs for each bit; QTools prices 64 bits as one");
  app.add_option("--keras-quantizer", map.keras_quantizer,
                 "type of weights of layers without quantizers");
  app.add_option("--keras-accumulator", map.keras_accumulator,
                 "type of their products, sums and outputs");
  app.add_flag("--reference", map.for_reference, "as if no layer had a quantizer");
  app.add_flag("--trained", map.is_inference,
               "count the values that power-of-two weights really have");
  app.add_flag("!--quantize-weights", map.model_weights_already_quantized,
               "with --trained: quantize the weights first");
  app.add_flag("--learned-scales", map.scales_from_weights,
               "use the scales that auto_po2 finds for the weights");
  app.add_flag("--fuse-batch-norm", a->options.fuse_batch_norm,
               "merge a QBatchNormalization with the convolution before it, as hardware does");
  app.add_flag("--energy", a->energy, "show what energy each layer takes for what");
  app.add_flag("--qstats", a->qstats, "show QKeras's print_qstats as well");
  app.add_option("--accumulators", a->accumulators,
                 "show what QKeras's analyze_accumulator says for layers whose inputs lie between "
                 "these two numbers")
      ->expected(2);
  app.add_option("--throughput", a->throughput,
                 "show unroll factors of a pipeline that takes this many samples a clock")
      ->check(CLI::Range(1e-15, 1e15));
  app.add_option("--elements", a->parallelism.out_elements_per_clock,
                 "with --throughput: elements that the last layer delivers a clock")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  app.add_option("--qtools-json", a->qtools_json, "write QTools's data-type map to this file");
  add_wide_flag(app, a->wide);
  add_json_flag(app, a->json);
  return [a] { return run(*a); };
}

}  // namespace

extern const CommandDef stats{
    .name = "stats",
    .doc = "Show bit widths, operations, energy and memory of a model, as QTools counts them",
    .example =
        "qloom stats model.h5 --input-quantizer \"quantized_bits(8,0,1)\" --energy\n"
        "  qloom stats model.h5 --weights-memory sram --qtools-json map.json",
    .add = add};

}  // namespace qloom::cli::commands
