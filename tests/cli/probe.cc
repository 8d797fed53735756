// tests/cli/probe.cc: a fresh process that loads a model, runs one sample and reads its own memory
// map.
//   qloom-test-probe MODEL CACHE_FOLDER → one line: from_cache milliseconds first_value libraries…
#include <chrono>
#include <cstdio>
#include <fstream>
#include <set>
#include <string>

#include "bindings/cpp/load.h"
#include "runtime/executor.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const auto start = std::chrono::steady_clock::now();
  qloom::LoadOptions options;
  options.cache_folder = argv[2];
  const qloom::LoadedModel loaded = qloom::load_model(argv[1], options);
  const qloom::runtime::Program& program = loaded.model->program();
  std::vector<float> input(static_cast<size_t>(qloom::elements_per_sample(program.inputs[0].shape)),
                           0.5F);
  std::vector<float> output(
      static_cast<size_t>(qloom::elements_per_sample(program.outputs[0].shape)));
  qloom::runtime::Executor executor(loaded.model);
  const std::span<const float> in[] = {input};
  const std::span<float> out[] = {output};
  const qloom::Status status = executor.run(in, out, 1);
  const double ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.message());
    return 1;
  }
  std::set<std::string> libraries;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const size_t slash = line.find_last_of('/');
    if (slash != std::string::npos && line.find(".so") != std::string::npos)
      libraries.insert(line.substr(slash + 1));
  }
  std::printf("%d %.3f %.9g", loaded.from_cache ? 1 : 0, ms, static_cast<double>(output[0]));
  for (const std::string& library : libraries) std::printf(" %s", library.c_str());
  std::printf("\n");
  for (const std::string& notice : loaded.notices) std::fprintf(stderr, "%s\n", notice.c_str());
  return 0;
}
