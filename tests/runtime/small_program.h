#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "jit/code.h"
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
/// What it should yield, sample by sample.
[[nodiscard]] std::vector<float> small_result(const std::vector<float>& x,
                                              const std::vector<float>& y);
/// Values that are all different and not round.
[[nodiscard]] std::vector<float> numbers(int64_t count, uint64_t seed);

}  // namespace qloom::runtime
