#include "bindings/cli/support/starts.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "bindings/cli/support/npy.h"
#include "graph/support/error.h"

namespace qloom::cli {
namespace {

constexpr int kColdStarts = 3, kWarmStarts = 9;

/// The first `samples` of a batch, in a file.
void write_samples(const std::string& path, const runtime::Program& program,
                   const measure::Arrays& inputs, int64_t samples) {
  NamedArrays arrays;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Extents extents = bind(program.inputs[i].shape, samples);
    arrays.emplace_back(
        program.inputs[i].name,
        Tensor(extents,
               std::vector<float>(inputs[i].begin(), inputs[i].begin() + element_count(extents))));
  }
  write_arrays(path, arrays);
}

}  // namespace

FreshProcesses::FreshProcesses(std::vector<std::string> arguments)
    : arguments_(std::move(arguments)) {
  arguments_.insert(arguments_.begin(), measure::own_executable());
  arguments_.emplace_back("--json");
}

measure::Finished FreshProcesses::run(const std::string& input, const std::string& cache) const {
  std::vector<std::string> command = arguments_;
  command.insert(command.end(), {"--input", input});
  measure::Finished finished = measure::run_process(
      command, {{"QLOOM_CACHE_DIR", folder_.path() + "/" + cache}, {"QLOOM_CACHE", "on"}});
  qloom_check(finished.exit_code == 0, arguments_[0], " ", arguments_[1],
              ": failed in a fresh process");
  return finished;
}

Starts FreshProcesses::measure(const runtime::Program& program, const measure::Arrays& inputs,
                               int64_t batch) const {
  const std::string suffix = program.inputs.size() == 1 ? ".npy" : ".npz";
  const std::string one = folder_.path() + "/one" + suffix, all = folder_.path() + "/all" + suffix;
  write_samples(one, program, inputs, 1);
  Starts out;
  out.cold_ms = out.warm_ms = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kColdStarts; ++i)
    out.cold_ms = std::min(out.cold_ms, run(one, "cache" + std::to_string(i)).ms);
  for (int i = 0; i < kWarmStarts; ++i) out.warm_ms = std::min(out.warm_ms, run(one, "cache0").ms);
  write_samples(all, program, inputs, batch);
  const nlohmann::json report = nlohmann::json::parse(run(all, "cache0").out);
  out.peak_rss_bytes = report.at("peak_rss_bytes").get<int64_t>();
  return out;
}

}  // namespace qloom::cli
