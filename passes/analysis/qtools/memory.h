// passes/analysis/qtools/memory.h: energy of one operation and of one memory access.
#pragma once

#include <optional>
#include <string_view>

#include "passes/analysis/qtools/operators.h"
#include "passes/analysis/qtools/settings.h"

namespace qloom::qtools {

/// Energy in pJ of an operation of `bits` whose result has this type. None for what QTools has no
/// figure for: floats of other widths than 16 and 32, and float results that are not multiplied or
/// added. Source: qenergy.py, OP.
[[nodiscard]] std::optional<double> operation_energy(const Process& process,
                                                     const QtoolsType& result,
                                                     Implementation implementation, double bits);

/// Where a tensor lives. `none` costs nothing: QTools's "fixed", and what it does not know.
enum class MemoryKind : uint8_t { dram, sram, none };

/// How memory is accessed.
struct MemoryAccess {
  MemoryKind memory = MemoryKind::dram;
  bool at_model_border = false;  ///< a model's input or output: `through_sram` decides alone
  bool through_sram = true;      ///< `rd_wr_on_io`: DRAM is read and written through SRAM
  int64_t min_sram_bits = 0;     ///< size of the SRAM; 0: each tensor has one of its own size
  /// SRAM costs for each bit, which is the unit of the process's figures. QTools counts words
  /// of 64.
  bool sram_per_bit = false;
};
/// Energy in pJ to read or write `elements` numbers of `bits` bits. NaN where there is nothing to
/// store and no least size, as in QTools. An access costs SRAM energy by 64-bit words and DRAM
/// energy by bits, unless `sram_per_bit`. Source: qenergy.py, memory_read_energy,
/// memory_write_energy.
[[nodiscard]] double memory_energy(const Process& process, const MemoryAccess& access,
                                   int64_t elements, int64_t bits);

}  // namespace qloom::qtools
