#include "passes/analysis/qtools/memory.h"

#include <algorithm>
#include <cmath>

namespace qloom::qtools {

std::optional<double> operation_energy(const Process& p, const QtoolsType& result,
                                       Implementation implementation, double bits) {
  const bool is_mul = implementation == Implementation::mul;
  if (!result.is_float()) return (is_mul ? p.fixed_mul : p.fixed_add)(bits);
  if (!is_mul && implementation != Implementation::add) return std::nullopt;
  if (result.bits == 16) return (is_mul ? p.fp16_mul : p.fp16_add)(bits);
  if (result.bits == 32) return (is_mul ? p.fp32_mul : p.fp32_add)(bits);
  return std::nullopt;
}

double memory_energy(const Process& p, const MemoryAccess& access, int64_t elements, int64_t bits) {
  constexpr double kWordBits = 64;
  MemoryKind memory = access.memory;
  if (access.at_model_border) memory = access.through_sram ? MemoryKind::dram : MemoryKind::sram;
  const auto total = static_cast<double>(elements) * static_cast<double>(bits);
  const double size = std::log2(std::max(total, static_cast<double>(access.min_sram_bits)));
  const double dram = p.dram(total);
  const double accesses = access.sram_per_bit ? total : std::ceil(total / kWordBits);
  const double sram = accesses * p.sram(size);
  switch (memory) {
    case MemoryKind::dram:
      return access.through_sram ? dram + sram : dram;
    case MemoryKind::sram:
      return sram;
    case MemoryKind::none:
      break;
  }
  return 0;
}

}  // namespace qloom::qtools
