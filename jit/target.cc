#include "jit/target.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <span>
#include <sstream>
#include <string_view>

#include "graph/support/error.h"
#include "jit/environment.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace qloom::jit {
namespace {

constexpr std::array<std::string_view, 3> kLoweringNames = {"avx512", "avx2", "portable"};

#if defined(__x86_64__)

struct Registers {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf = 0) {
  Registers r;
  if (!__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx)) return {};
  return r;
}

/// One of the features that x86-64-v3 consists of, and where cpuid says so.
struct Feature {
  const char* name;  ///< LLVM's spelling
  uint32_t leaf;
  uint32_t Registers::* word;
  int bit;
};
constexpr Feature kV3[] = {
    {"+avx", 1, &Registers::ecx, 28},
    {"+avx2", 7, &Registers::ebx, 5},
    {"+bmi", 7, &Registers::ebx, 3},
    {"+bmi2", 7, &Registers::ebx, 8},
    {"+f16c", 1, &Registers::ecx, 29},
    {"+fma", 1, &Registers::ecx, 12},
    {"+lzcnt", 0x80000001, &Registers::ecx, 5},
    {"+movbe", 1, &Registers::ecx, 22},
    {"+popcnt", 1, &Registers::ecx, 23},
    {"+sse4.2", 1, &Registers::ecx, 20},
};

/// What the avx512 lowering uses beyond it.
constexpr Feature kV4[] = {
    {"+avx512bitalg", 7, &Registers::ecx, 12},    {"+avx512bw", 7, &Registers::ebx, 30},
    {"+avx512cd", 7, &Registers::ebx, 28},        {"+avx512dq", 7, &Registers::ebx, 17},
    {"+avx512f", 7, &Registers::ebx, 16},         {"+avx512vbmi", 7, &Registers::ecx, 1},
    {"+avx512vl", 7, &Registers::ebx, 31},        {"+avx512vnni", 7, &Registers::ecx, 11},
    {"+avx512vpopcntdq", 7, &Registers::ecx, 14}, {"+gfni", 7, &Registers::ecx, 8},
};

/// The operating system saves the registers that these bits of XCR0 stand for.
bool saves(uint32_t bits) {
  if (!(cpuid(1).ecx >> 27 & 1)) return false;  // OSXSAVE: xgetbv exists
  uint32_t low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & bits) == bits;
}
constexpr uint32_t kSavesAvx = 0x06, kSavesAvx512 = 0xe6;

/// All of the features, or none of them.
std::vector<std::string> all_or_none(std::span<const Feature> features, uint32_t saved) {
  std::vector<std::string> found;
  for (const Feature& f : features) {
    if (!(cpuid(f.leaf).*f.word >> f.bit & 1)) return {};
    found.emplace_back(f.name);
  }
  return saves(saved) ? found : std::vector<std::string>{};
}

struct Processor {
  bool amd = false, intel = false;
  int family = 0, model = 0;
};

Processor processor() {
  const Registers vendor = cpuid(0), r = cpuid(1);
  Processor p;
  p.amd = vendor.ebx == 0x68747541;    // "Auth"
  p.intel = vendor.ebx == 0x756e6547;  // "Genu"
  p.family = static_cast<int>(r.eax >> 8 & 15);
  p.model = static_cast<int>(r.eax >> 4 & 15);
  if (p.family == 15 || (p.intel && p.family == 6))
    p.model += static_cast<int>(r.eax >> 16 & 15) << 4;
  if (p.family == 15) p.family += static_cast<int>(r.eax >> 20 & 255);
  return p;
}

/// What changes in the rates for vectors of 64 bytes.
struct Wide {
  const char* source = "";
  double vector_alu = 2, shuffle = 1, multiply = 1, load = 2, store = 1, store_width = 64,
         l1_bytes = 110, l2_bytes = 48;
};

/// Rates and scheduling model of processors; the first row that fits is taken. A row fits when the
/// vendor is its own and family and model lie in its ranges. What a row does not say is Zen 3's.
/// README.md says how they were made.
struct Row {
  char vendor;  ///< 'a' AMD, 'i' Intel, '*' any
  int family_low, family_high, model_low, model_high;
  const char* tune;
  PortRates rates;
  Wide wide = {};
};
// clang-format off: a row is easier to read as a row
const std::vector<Row>& rows() {
  static const PortRates zen4{
      .source = "Zen 4, measured (family 25 model 17)",
      .clock_ghz = 3.7, .l1_bytes = 58, .l2_bytes = 32, .l3_bytes = 27, .memory_bytes = 4.5};
  static const Wide zen4_wide{
      .source = "Zen 4, 64 bytes, measured (family 25 model 17): two halves of 32",
      .vector_alu = 1.8, .store_width = 32, .l1_bytes = 58, .l2_bytes = 32};
  static const std::vector<Row> kRows = {
      {'a', 0x17, 0x17, 0x00, 0x2f, "znver1",
       {.source = "Zen 1, computed: an operation of 256 bits is two of 128",
        .vector_alu = 1.7, .shuffle = 1, .multiply = 0.5, .load = 1, .store = 0.5, .total = 4.5,
        .clock_ghz = 3.0, .l1_bytes = 30, .l2_bytes = 20, .l3_bytes = 12, .memory_bytes = 5}},
      {'a', 0x17, 0x17, 0x30, 0xff, "znver2",
       {.source = "Zen 2, computed from Zen 3: one pipe for multiply-add pairs",
        .vector_alu = 3.0, .multiply = 1, .total = 5}},
      {'a', 0x19, 0x19, 0x10, 0x1f, "znver3", zen4, zen4_wide},  // Genoa, Storm Peak
      {'a', 0x19, 0x19, 0x60, 0x7f, "znver3", zen4, zen4_wide},  // Raphael, Phoenix
      {'a', 0x19, 0x19, 0xa0, 0xaf, "znver3", zen4, zen4_wide},  // Bergamo
      {'a', 0x19, 0x19, 0x00, 0xff, "znver3",
       {.source = "Zen 3, measured (family 25 model 1)"}},
      {'a', 0x1a, 0xff, 0x00, 0xff, "znver3",
       {.source = "Zen 5, measured (family 26 model 2); bytes per cycle computed",
        .vector_alu = 3.9, .store = 2, .scalar = 5, .total = 7,
        .clock_ghz = 4.2, .l1_bytes = 60, .l2_bytes = 32},
       {.source = "Zen 5, 64 bytes, measured (family 26 model 2); bytes per cycle computed",
        .vector_alu = 3.9, .shuffle = 2, .multiply = 2, .l1_bytes = 120, .l2_bytes = 60}},
      {'i', 6, 6, 0x7d, 0xff, "icelake-client",
       {.source = "Ice Lake and later, computed: three vector ports, two of them shuffle",
        .vector_alu = 2.7, .shuffle = 1.5, .store = 2, .total = 4.8, .clock_ghz = 3.4},
       {.source = "Ice Lake and later, 64 bytes, computed: two vector ports, one of them shuffles"}},
      {'i', 6, 6, 0x00, 0x7c, "skylake",
       {.source = "Haswell to Skylake, computed: three vector ports, one of them shuffles",
        .vector_alu = 2.7, .shuffle = 1, .multiply = 1.5, .total = 3.8, .clock_ghz = 3.4}},
      {'*', 0, 0xffff, 0x00, 0xffff, "",
       {.source = "unknown processor, computed: three vector ports, one of them shuffles",
        .vector_alu = 2.7, .shuffle = 1, .multiply = 1, .total = 3.8, .clock_ghz = 3.0}},
  };
  return kRows;
}
// clang-format on

const Row& row_of(const Processor& p) {
  const char vendor = p.amd ? 'a' : p.intel ? 'i' : '*';
  for (const Row& row : rows()) {
    if ((row.vendor == vendor || row.vendor == '*') && p.family >= row.family_low &&
        p.family <= row.family_high && p.model >= row.model_low && p.model <= row.model_high) {
      return row;
    }
  }
  qloom_assert(false, "the last row of the port table fits everything");
  return rows().back();
}

/// Bytes of the data cache of `level`; 0 when cpuid does not say. Leaf 4 is Intel's, 0x8000001d
/// AMD's; both have the same layout.
int64_t cache_bytes(const Processor& p, uint32_t level) {
  const uint32_t leaf = p.amd ? 0x8000001d : 4;
  for (uint32_t i = 0; i < 8; ++i) {
    const Registers r = cpuid(leaf, i);
    const uint32_t type = r.eax & 31;
    if (type == 0) return 0;
    if (type == 2 || (r.eax >> 5 & 7) != level) continue;  // 2: instructions
    const int64_t ways = (r.ebx >> 22) + 1, partitions = (r.ebx >> 12 & 1023) + 1;
    const int64_t line = (r.ebx & 4095) + 1, sets = int64_t{r.ecx} + 1;
    return ways * partitions * line * sets;
  }
  return 0;
}

Target baseline() {
  const Processor p = processor();
  const Row& row = row_of(p);
  Target t;
  t.triple = "x86_64-unknown-linux-gnu";
  t.cpu = "x86-64";
  t.tune = row.tune[0] ? row.tune : "x86-64";
  t.rates = row.rates;
  if (const int64_t n = cache_bytes(p, 1)) t.l1_bytes = n;
  if (const int64_t n = cache_bytes(p, 2)) t.l2_bytes = n;
  if (const int64_t n = cache_bytes(p, 3)) t.l3_bytes = n;
  return t;
}

Target with_avx2() {
  Target t = baseline();
  t.features = all_or_none(kV3, kSavesAvx);
  if (t.features.empty()) return t;
  t.cpu = "x86-64-v3";
  if (t.tune == "x86-64") t.tune = "haswell";
  t.lowering = Lowering::avx2;
  t.vector_bytes = 32;
  return t;
}

Target best() {
  Target t = with_avx2();
  const std::vector<std::string> more = all_or_none(kV4, kSavesAvx512);
  if (t.features.empty() || more.empty()) return t;
  t.features.insert(t.features.end(), more.begin(), more.end());
  std::sort(t.features.begin(), t.features.end());
  t.cpu = "x86-64-v4";
  // Schedules of processors without 64-byte vectors would split them.
  const Processor p = processor();
  t.tune = p.amd ? "znver4" : "icelake-server";
  t.lowering = Lowering::avx512;
  t.vector_bytes = 64;
  const Wide& wide = row_of(p).wide;
  if (*wide.source != 0) t.rates.source = wide.source;
  t.rates.vector_alu = wide.vector_alu;
  t.rates.shuffle = wide.shuffle;
  t.rates.multiply = wide.multiply;
  t.rates.load = wide.load;
  t.rates.store = wide.store;
  t.rates.store_width = wide.store_width;
  t.rates.l1_bytes = wide.l1_bytes;
  t.rates.l2_bytes = wide.l2_bytes;
  return t;
}

#elif defined(__aarch64__)

Target baseline() {
  Target t;
  t.triple = "aarch64-unknown-linux-gnu";
  t.cpu = t.tune = "generic";
  t.rates = {.source = "AArch64, computed: two 128-bit pipes",
             .vector_alu = 2,
             .shuffle = 2,
             .multiply = 1,
             .load = 2,
             .store = 1,
             .total = 4,
             .clock_ghz = 2.5,
             .l1_bytes = 32,
             .l2_bytes = 20};
  return t;
}

Target with_avx2() { return baseline(); }
Target best() { return baseline(); }

#else

std::string machine_name() {
  utsname name{};
  return uname(&name) == 0 ? name.machine : "unknown";
}

Target baseline() {
  throw UserError(join_text("this machine is ", machine_name(),
                            ": qloom makes code for x86_64 and aarch64 only"));
}

Target with_avx2() { return baseline(); }
Target best() { return baseline(); }

#endif

}  // namespace

Target Target::host() {
  const std::string wanted = value_of(Environment::target);
  if (wanted == "portable") return portable();
  if (wanted == "avx2") {
    Target t = avx2();
    qloom_check(t.lowering == Lowering::avx2, name_of(Environment::target),
                " is 'avx2', which this processor does not have");
    return t;
  }
  qloom_check(wanted.empty(), name_of(Environment::target), " is '", wanted,
              "': expected nothing, 'avx2' or 'portable'");
  return best();
}

Target Target::avx2() {
  Target t = with_avx2();
  return t.lowering == Lowering::avx2 ? t : portable();
}

Target Target::portable() {
  Target t = baseline();
  t.lowering = Lowering::portable;
  t.vector_bytes = 16;
  return t;
}

std::string Target::to_string() const {
  std::ostringstream out;
  out << triple << " cpu=" << cpu << " tune=" << tune << " features=";
  for (const std::string& f : features) out << f << ',';
  out << " lowering=" << kLoweringNames[static_cast<size_t>(lowering)] << " bytes=" << vector_bytes
      << " caches=" << l1_bytes << ',' << l2_bytes << ',' << l3_bytes;
  // The rates choose kernels, and so decide what is compiled.
  const PortRates& r = rates;
  out << " rates=";
  for (double v : {r.vector_alu, r.shuffle, r.multiply, r.load, r.store, r.store_width, r.scalar,
                   r.total, r.clock_ghz, r.l1_bytes, r.l2_bytes, r.l3_bytes, r.memory_bytes}) {
    out << v << ',';
  }
  return out.str();
}

}  // namespace qloom::jit
