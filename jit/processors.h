// jit/processors.h: what is known of processors without running on one: rates, caches, and how LLVM
// calls them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "jit/target.h"

namespace qloom::jit {

/// What changes in the rates for vectors of 64 bytes.
struct Wide {
  const char* source = "";  ///< "": as for vectors of 32 bytes
  double vector_alu = 2, shuffle = 1, multiply = 1, load = 2, store = 1, store_width = 64,
         l1_bytes = 110, l2_bytes = 48;
};

/// What one core has for itself, and the last level, in bytes.
struct Caches {
  int64_t l1_bytes = 32768, l2_bytes = 524288, l3_bytes = int64_t{8} << 20;
};

/// A family of x86-64 processors. A row fits when the vendor is its own and family and model, as
/// cpuid says them, lie in its ranges. What the rates do not say is Zen 3's.
struct X86Processor {
  std::string_view name;  ///< for Target::named; "": not by name
  char vendor;            ///< 'a' AMD, 'i' Intel, '*' any
  int family_low, family_high, model_low, model_high;
  const char* tune;  ///< LLVM's scheduling model; "": none
  bool avx512;       ///< has all that Lowering::avx512 uses, in every model of the row
  Caches caches;     ///< of a server of the family; a host says its own
  PortRates rates;
  Wide wide = {};
};

/// The first row that fits is taken; the last fits everything. README.md says how they were made.
[[nodiscard]] std::span<const X86Processor> x86_processors();

/// What the processor that this runs on calls itself, with the numbers of its model: times of one
/// say nothing of another.
[[nodiscard]] std::string this_processor();

/// An AArch64 processor with dot products (FEAT_DotProd).
struct ArmProcessor {
  std::string_view name;  ///< LLVM's, and that of Target::named
  int part;               ///< MIDR_EL1, bits 4 to 15, of implementer 0x41
  Caches caches;
  PortRates rates;
};

/// The first row is also what an unknown processor gets.
[[nodiscard]] std::span<const ArmProcessor> arm_processors();

}  // namespace qloom::jit
