#include "bench/support/machine.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "graph/support/version.h"
#include "jit/target.h"

namespace qloom::bench {
namespace {

/// What code is made for, as a reader knows it.
std::string code_for(const jit::Target& target) {
  constexpr const char* kNames[] = {"AVX-512 with VNNI", "AVX2", "no vector extension"};
  return kNames[static_cast<int>(target.lowering)];
}

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  std::string name, family, model;
  const auto value = [](const std::string& line) {
    const size_t at = line.find(": ");
    return at == std::string::npos ? "" : line.substr(at + 2);
  };
  for (std::string line; std::getline(file, line) && !line.empty();) {
    if (line.starts_with("model name")) name = value(line);
    if (line.starts_with("cpu family")) family = value(line);
    if (line.starts_with("model\t")) model = value(line);
  }
  return family.empty() ? name : name + " (family " + family + ", model " + model + ")";
}

std::string governor() {
  std::ifstream file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  std::string out;
  file >> out;
  return out;
}

}  // namespace

std::string machine_json() {
  const nlohmann::ordered_json out{
      {"processor", processor()}, {"cores", std::thread::hardware_concurrency()},
      {"governor", governor()},   {"target", code_for(jit::Target::host())},
      {"compiler", __VERSION__},  {"version", version()}};
  return out.dump();
}

}  // namespace qloom::bench
