#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qloom::jit {

/// How the emitter's words become instructions.
///   avx512    x86-64 with AVX-512 as Ice Lake and Zen 4 have it: byte dot products (VNNI), byte
///             population counts, GFNI
///   avx2      x86-64 with AVX2
///   neon      AArch64 with dot products of bytes (FEAT_DotProd)
///   portable  plain vector operations that any target has; also what the absence of those gets
enum class Lowering : uint8_t { avx512, avx2, neon, portable };

/// Rates of one core, in operations of one full vector per cycle, for the cost model. Data with its
/// source, per processor family: "measured", or "computed" from public port tables.
struct PortRates {
  std::string source;  ///< for people
  /// Whose they are, as Target::named says it, for other figures that were measured on one: "zen5".
  /// Empty where they are nobody's.
  std::string_view family = "";
  double vector_alu = 3.35;  ///< all vector operations together: the pipes are shared
  double shuffle = 2;        ///< table lookups, interleaves, packs, shifts
  double multiply = 2;       ///< multiply-add pairs, multiplies, float arithmetic
  double load = 2, store = 1;
  double store_width = 64;  ///< bytes a cycle
  double scalar = 4;
  double total = 5.5;  ///< all micro-operations together
  double clock_ghz = 3.2;
  double l1_bytes = 58, l2_bytes = 28, l3_bytes = 16, memory_bytes = 6;  ///< per cycle
};

/// The processor that code is made for. A value.
struct Target {
  std::string triple;                 ///< "x86_64-unknown-linux-gnu"
  std::string cpu;                    ///< LLVM's name of what the code may use: "x86-64-v3"
  std::string tune;                   ///< LLVM's name of the processor it is scheduled for
  std::vector<std::string> features;  ///< LLVM's spelling: "+avx2", sorted
  Lowering lowering = Lowering::portable;
  int vector_bytes = 16;  ///< width in which kernels think
  int64_t l1_bytes = 32768, l2_bytes = 524288, l3_bytes = int64_t{8} << 20;
  PortRates rates;

  /// Dot products of four bytes are one exact instruction.
  [[nodiscard]] bool has_dot() const {
    return lowering == Lowering::avx512 || lowering == Lowering::neon;
  }

  /// This machine, without loading LLVM (cpuid). Code is made for x86-64-v4 with VNNI, VBMI,
  /// BITALG, VPOPCNTDQ and GFNI where the machine has all of them, else for x86-64-v3, else for the
  /// architecture's baseline; QLOOM_TARGET=avx2 and =portable ask for the second and the last.
  /// Throws UserError naming the architecture where it is neither x86-64 nor AArch64, or the value
  /// of QLOOM_TARGET where that is unknown or this machine cannot run it.
  [[nodiscard]] static Target host();
  /// Same machine, AVX2 at most; portable() where it has not even that.
  [[nodiscard]] static Target avx2();
  /// Same machine, no vector extension used beyond the architecture's baseline.
  [[nodiscard]] static Target portable();
  /// Any machine of a kind, as jit/processors.h knows it: "zen3", "icelake", "neoverse-n1", …, and
  /// "x86-64" and "aarch64" with nothing beyond the architecture. Code is made for it and kernels
  /// are chosen by its rates; this machine need not be able to run it. Throws UserError listing all
  /// names where there is none such.
  [[nodiscard]] static Target named(std::string_view name);
  [[nodiscard]] static std::vector<std::string_view> names();
  /// The same processor, told to use AVX2 at most; itself where it has no AVX-512.
  [[nodiscard]] Target without_avx512() const;
  /// This machine can run code that is made for it.
  [[nodiscard]] bool runs_here() const;
  [[nodiscard]] std::string to_string() const;  ///< stable: part of cache keys
};

}  // namespace qloom::jit
