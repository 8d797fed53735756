#include "passes/analysis/qtools/settings.h"

#include <algorithm>

#include "graph/support/error.h"

namespace qloom::qtools {
namespace {

constexpr Polynomial kFixedAdd{{0.003125, 0}, 2}, kFixedMul{{0.002994791667, 0.001041666667, 0}, 3},
    kFp16Add{{0.4}, 1}, kFp16Mul{{1.1}, 1}, kFp32Add{{0.9}, 1}, kFp32Mul{{3.7}, 1},
    kDram{{20.3125, 0}, 2};
// The cubic goes through 8 KB, 32 KB and 1 MB caches (10, 20 and 100 pJ for 64 bits), divided by
// 64; QTools multiplies it by words of 64 bits all the same.
constexpr Polynomial kSramCubic{{9.02427321e-04, -2.68847858e-02, 2.08900804e-01, 0}, 4},
    kSramQuadratic{{0.02455, -0.2656, 0.8661}, 3};

constexpr Process kProcesses[] = {
    {.name = "horowitz",
     .doc =
         "45 nm, figures of M. Horowitz (ISSCC 2014); without a quantizer: quantized_bits(8,0,1)",
     .fixed_add = kFixedAdd,
     .fixed_mul = kFixedMul,
     .fp16_add = kFp16Add,
     .fp16_mul = kFp16Mul,
     .fp32_add = kFp32Add,
     .fp32_mul = kFp32Mul,
     .sram = kSramCubic,
     .dram = kDram,
     .intermediate_type = int8_type},
    {.name = "start",
     .doc = "QTools before its first object: another SRAM curve; without a quantizer: float32",
     .fixed_add = kFixedAdd,
     .fixed_mul = kFixedMul,
     .fp16_add = kFp16Add,
     .fp16_mul = kFp16Mul,
     .fp32_add = kFp32Add,
     .fp32_mul = kFp32Mul,
     .sram = kSramQuadratic,
     .dram = kDram,
     .intermediate_type = [] { return QtoolsType::floating(32); }}};

struct Counted {
  std::string_view layer_class;
  CountedCosts costs;
};
constexpr CountedCosts kOutputsOnly{false, true, false, false},
    kParametersOnly{false, false, true, false}, kOperationsOnly{false, false, false, true};
constexpr Counted kCounted[] = {{"QActivation", kOutputsOnly},
                                {"QAdaptiveActivation", kOutputsOnly},
                                {"Activation", kOutputsOnly},
                                {"QBatchNormalization", kParametersOnly},
                                {"BatchNormalization", kParametersOnly},
                                {"Add", kOperationsOnly},
                                {"Subtract", kOperationsOnly},
                                {"MaxPooling2D", kOperationsOnly}};

}  // namespace

double Polynomial::operator()(double x) const {
  double y = 0;
  for (size_t k = 0; k < terms; ++k) y = y * x + coefficients[k];
  return std::max(y, 0.0);
}

std::span<const Process> processes() { return kProcesses; }

const Process& find_process(std::string_view name) {
  std::string known;
  for (const Process& p : kProcesses) {
    if (p.name == name) return p;
    known += (known.empty() ? "" : ", ") + std::string(p.name);
  }
  throw UserError(join_text("there is no process '", name, "': expected one of ", known));
}

CountedCosts counted_costs(std::string_view layer_class) {
  const auto* found = std::ranges::find(kCounted, layer_class, &Counted::layer_class);
  return found == std::end(kCounted) ? CountedCosts{} : found->costs;
}

}  // namespace qloom::qtools
