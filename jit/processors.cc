#include "jit/processors.h"

#include <vector>

namespace qloom::jit {
namespace {

constexpr int64_t operator""_kb(unsigned long long n) { return static_cast<int64_t>(n) << 10; }
constexpr int64_t operator""_mb(unsigned long long n) { return static_cast<int64_t>(n) << 20; }

}  // namespace

// clang-format off: a row is easier to read as a row
std::span<const X86Processor> x86_processors() {
  static const PortRates zen4{
      .source = "Zen 4, measured (family 25 model 17)", .family = "zen4",
      .clock_ghz = 3.7, .l1_bytes = 58, .l2_bytes = 32, .l3_bytes = 27, .memory_bytes = 4.5};
  static const Wide zen4_wide{
      .source = "Zen 4, 64 bytes, measured (family 25 model 17): two halves of 32",
      .vector_alu = 1.8, .store_width = 32, .l1_bytes = 58, .l2_bytes = 32};
  constexpr Caches kZen3{32_kb, 512_kb, 32_mb}, kZen4{32_kb, 1_mb, 32_mb};
  static const std::vector<X86Processor> kRows = {
      {"zen1", 'a', 0x17, 0x17, 0x00, 0x2f, "znver1", false, {32_kb, 512_kb, 8_mb},
       {.source = "Zen 1, computed: an operation of 256 bits is two of 128", .family = "zen1",
        .vector_alu = 1.7, .shuffle = 1, .multiply = 0.5, .load = 1, .store = 0.5, .total = 4.5,
        .clock_ghz = 3.0, .l1_bytes = 30, .l2_bytes = 20, .l3_bytes = 12, .memory_bytes = 5}},
      {"zen2", 'a', 0x17, 0x17, 0x30, 0xff, "znver2", false, {32_kb, 512_kb, 16_mb},
       {.source = "Zen 2, computed from Zen 3: one pipe for multiply-add pairs", .family = "zen2",
        .vector_alu = 3.0, .multiply = 1, .total = 5}},
      {"zen4", 'a', 0x19, 0x19, 0x10, 0x1f, "znver3", true, kZen4, zen4, zen4_wide},  // Genoa, Storm Peak
      {"", 'a', 0x19, 0x19, 0x60, 0x7f, "znver3", true, kZen4, zen4, zen4_wide},  // Raphael, Phoenix
      {"", 'a', 0x19, 0x19, 0xa0, 0xaf, "znver3", true, kZen4, zen4, zen4_wide},  // Bergamo
      {"zen3", 'a', 0x19, 0x19, 0x00, 0xff, "znver3", false, kZen3,
       {.source = "Zen 3, measured (family 25 model 1)", .family = "zen3"}},
      {"zen5", 'a', 0x1a, 0xff, 0x00, 0xff, "znver3", true, {48_kb, 1_mb, 32_mb},
       {.source = "Zen 5, measured (family 26 model 2); bytes per cycle computed", .family = "zen5",
        .vector_alu = 3.9, .store = 2, .scalar = 5, .total = 7,
        .clock_ghz = 4.2, .l1_bytes = 60, .l2_bytes = 32},
       {.source = "Zen 5, 64 bytes, measured (family 26 model 2); bytes per cycle computed",
        .vector_alu = 3.9, .shuffle = 2, .multiply = 2, .l1_bytes = 120, .l2_bytes = 60}},
      {"icelake", 'i', 6, 6, 0x7d, 0xff, "icelake-client", true, {48_kb, 1280_kb, 24_mb},
       {.source = "Ice Lake and later, computed: three vector ports, two of them shuffle", .family = "icelake",
        .vector_alu = 2.7, .shuffle = 1.5, .store = 2, .total = 4.8, .clock_ghz = 3.4},
       {.source = "Ice Lake and later, 64 bytes, computed: two vector ports, one of them shuffles"}},
      {"skylake", 'i', 6, 6, 0x00, 0x7c, "skylake", false, {32_kb, 256_kb, 8_mb},
       {.source = "Haswell to Skylake, computed: three vector ports, one of them shuffles", .family = "skylake",
        .vector_alu = 2.7, .shuffle = 1, .multiply = 1.5, .total = 3.8, .clock_ghz = 3.4}},
      {"", '*', 0, 0xffff, 0x00, 0xffff, "", false, {},
       {.source = "unknown processor, computed: three vector ports, one of them shuffles",
        .vector_alu = 2.7, .shuffle = 1, .multiply = 1, .total = 3.8, .clock_ghz = 3.0}},
  };
  return kRows;
}

// What the columns of NEON in count_emit.cc call a shuffle goes to the second vector pipe alone (shifts,
// widening, saturating narrowing), what they call a multiplication to the first alone.
std::span<const ArmProcessor> arm_processors() {
  static const PortRates kTwoPipes{
      .source = "two vector pipes of 16 bytes, computed from Arm's optimization guides of Neoverse N1 and "
                "Cortex-A76 as LLVM's scheduling models have them",
      .vector_alu = 1.9, .shuffle = 1, .multiply = 1, .load = 2, .store = 1, .store_width = 16,
      .scalar = 3, .total = 3.8, .clock_ghz = 2.5, .l1_bytes = 32, .l2_bytes = 20, .l3_bytes = 10, .memory_bytes = 5};
  static const std::vector<ArmProcessor> kRows = {
      {"neoverse-n1", 0xd0c, {64_kb, 1_mb, 32_mb}, kTwoPipes},
      {"cortex-a76", 0xd0b, {64_kb, 512_kb, 2_mb}, kTwoPipes},
  };
  return kRows;
}
// clang-format on

}  // namespace qloom::jit
