#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "jit/code.h"
#include "runtime/executor.h"
#include "runtime/model.h"
#include "runtime/program.h"

namespace qloom::runtime {

/// Functions of the test in the place of emitted ones.
class FunctionTable : public jit::Code {
 public:
  explicit FunctionTable(std::map<std::string, jit::KernelFunction> functions)
      : functions_(std::move(functions)) {}
  [[nodiscard]] void* symbol(std::string_view name) const override {
    const auto found = functions_.find(std::string(name));
    return found == functions_.end() ? nullptr : reinterpret_cast<void*>(found->second);
  }

 private:
  std::map<std::string, jit::KernelFunction> functions_;
};

inline constexpr int64_t kElements = 5, kOutputs = 3;

/// The calls of the program below.
void scale_call(void* const* buffers, int64_t count, int64_t begin, int64_t end);
void mix_call(void* const* buffers, int64_t count, int64_t begin, int64_t end);
[[nodiscard]] std::shared_ptr<const jit::Code> small_code();

/// x [N, 5], y [N, 5] → scaled = (x + y)·constants → mixed [N, 3], with scratch in between.
[[nodiscard]] Program small_program();
/// The same with calls that are cut into work items, predicted to take 1000 and 500 ns.
[[nodiscard]] Program shared_program();
/// What both should yield, sample by sample.
[[nodiscard]] std::vector<float> small_result(const std::vector<float>& x,
                                              const std::vector<float>& y);
/// Values that are all different and not round.
[[nodiscard]] std::vector<float> numbers(int64_t count, uint64_t seed);

/// Inputs and outputs of the programs above.
struct SmallBatch {
  explicit SmallBatch(int64_t samples, uint64_t seed = 1)
      : samples(samples),
        x(numbers(samples * kElements, seed)),
        y(numbers(samples * kElements, seed + 1000)),
        mixed(static_cast<size_t>(samples * kOutputs), -12345.0f) {}
  [[nodiscard]] Status run(Executor& executor) {
    const std::span<const float> in[] = {x, y};
    const std::span<float> out[] = {mixed};
    return executor.run(in, out, samples);
  }
  int64_t samples;
  std::vector<float> x, y, mixed;
};

}  // namespace qloom::runtime
