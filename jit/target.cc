#include "jit/target.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <sstream>
#include <string_view>

#include "graph/support/error.h"
#include "jit/environment.h"
#include "jit/processors.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace qloom::jit {
namespace {

constexpr std::array<std::string_view, 4> kLoweringNames = {"avx512", "avx2", "neon", "portable"};

/// Names of targets that use nothing beyond their architecture.
constexpr std::string_view kAnyX86 = "x86-64", kAnyArm = "aarch64";

struct Registers {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

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

std::vector<std::string> names_of(std::span<const Feature> features) {
  std::vector<std::string> names;
  for (const Feature& f : features) names.emplace_back(f.name);
  return names;
}

void set_caches(Target& t, const Caches& caches) {
  t.l1_bytes = caches.l1_bytes;
  t.l2_bytes = caches.l2_bytes;
  t.l3_bytes = caches.l3_bytes;
}

/// Any x86-64; with the rates of a family.
Target x86_baseline(const X86Processor& row) {
  Target t;
  t.triple = "x86_64-unknown-linux-gnu";
  t.cpu = "x86-64";
  t.tune = row.tune[0] ? row.tune : "x86-64";
  t.rates = row.rates;
  set_caches(t, row.caches);
  return t;
}

void use_avx2(Target& t) {
  t.features = names_of(kV3);
  t.cpu = "x86-64-v3";
  if (t.tune == "x86-64") t.tune = "haswell";
  t.lowering = Lowering::avx2;
  t.vector_bytes = 32;
}

/// On top of use_avx2.
void use_avx512(Target& t, const X86Processor& row) {
  for (std::string& name : names_of(kV4)) t.features.push_back(std::move(name));
  std::sort(t.features.begin(), t.features.end());
  t.cpu = "x86-64-v4";
  // Schedules of processors without 64-byte vectors would split them.
  t.tune = row.vendor == 'a' ? "znver4" : "icelake-server";
  t.lowering = Lowering::avx512;
  t.vector_bytes = 64;
  if (*row.wide.source != 0) t.rates.source = row.wide.source;
  t.rates.vector_alu = row.wide.vector_alu;
  t.rates.shuffle = row.wide.shuffle;
  t.rates.multiply = row.wide.multiply;
  t.rates.load = row.wide.load;
  t.rates.store = row.wide.store;
  t.rates.store_width = row.wide.store_width;
  t.rates.l1_bytes = row.wide.l1_bytes;
  t.rates.l2_bytes = row.wide.l2_bytes;
}

/// Any AArch64, scheduled for one processor; `dots`: it has FEAT_DotProd.
Target arm_target(const ArmProcessor& row, bool dots) {
  Target t;
  t.triple = "aarch64-unknown-linux-gnu";
  t.cpu = "generic";
  t.tune = row.name;
  t.rates = row.rates;
  set_caches(t, row.caches);
  if (dots) {
    t.features = {"+dotprod"};
    t.lowering = Lowering::neon;
  }
  return t;
}

#if defined(__x86_64__)

Registers cpuid(uint32_t leaf, uint32_t subleaf = 0) {
  Registers r;
  if (!__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx)) return {};
  return r;
}

/// The operating system saves the registers that these bits of XCR0 stand for.
bool saves(uint32_t bits) {
  if (!(cpuid(1).ecx >> 27 & 1)) return false;  // OSXSAVE: xgetbv exists
  uint32_t low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & bits) == bits;
}
constexpr uint32_t kSavesAvx = 0x06, kSavesAvx512 = 0xe6;

bool has_all(std::span<const Feature> features, uint32_t saved) {
  return saves(saved) && std::ranges::all_of(features, [](const Feature& f) {
           return (cpuid(f.leaf).*f.word >> f.bit & 1) != 0;
         });
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

const X86Processor& row_of(const Processor& p) {
  const char vendor = p.amd ? 'a' : p.intel ? 'i' : '*';
  for (const X86Processor& row : x86_processors()) {
    if ((row.vendor == vendor || row.vendor == '*') && p.family >= row.family_low &&
        p.family <= row.family_high && p.model >= row.model_low && p.model <= row.model_high) {
      return row;
    }
  }
  qloom_assert(false, "the last row of the port table fits everything");
  return x86_processors().back();
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

std::string processor_text() {
  const Registers r = cpuid(1);
  std::string name;
  for (uint32_t leaf = 0x80000002; leaf <= 0x80000004; ++leaf) {
    const Registers text = cpuid(leaf);
    for (const uint32_t word : {text.eax, text.ebx, text.ecx, text.edx})
      for (int i = 0; i < 4; ++i)
        if (const char c = static_cast<char>(word >> (8 * i)); c >= ' ') name += c;
  }
  return join_text(name, " signature ", r.eax);
}

Target baseline() {
  const Processor p = processor();
  Target t = x86_baseline(row_of(p));
  if (const int64_t n = cache_bytes(p, 1)) t.l1_bytes = n;
  if (const int64_t n = cache_bytes(p, 2)) t.l2_bytes = n;
  if (const int64_t n = cache_bytes(p, 3)) t.l3_bytes = n;
  return t;
}

Target with_avx2() {
  Target t = baseline();
  if (has_all(kV3, kSavesAvx)) use_avx2(t);
  return t;
}

Target best() {
  Target t = with_avx2();
  if (t.lowering == Lowering::avx2 && has_all(kV4, kSavesAvx512))
    use_avx512(t, row_of(processor()));
  return t;
}

#elif defined(__aarch64__)

/// MIDR_EL1, where the system lets programs read it.
std::optional<uint64_t> main_id() {
  if (!(getauxval(AT_HWCAP) & HWCAP_CPUID)) return std::nullopt;
  uint64_t id = 0;
  __asm__("mrs %0, MIDR_EL1" : "=r"(id));
  return id;
}

std::string processor_text() { return join_text("AArch64 ", main_id().value_or(0)); }

const ArmProcessor& arm_row() {
  const std::optional<uint64_t> id = main_id();
  for (const ArmProcessor& row : arm_processors()) {
    if (id && (*id >> 24 & 255) == 0x41 && static_cast<int>(*id >> 4 & 4095) == row.part)
      return row;
  }
  return arm_processors().front();
}

Target baseline() { return arm_target(arm_row(), false); }
Target with_avx2() { return baseline(); }
Target best() { return arm_target(arm_row(), (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0); }

#else

std::string machine_name() {
  utsname name{};
  return uname(&name) == 0 ? name.machine : "unknown";
}

std::string processor_text() { return machine_name(); }

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

std::string this_processor() { return processor_text(); }

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

Target Target::named(std::string_view name) {
  for (const X86Processor& row : x86_processors()) {
    if (name.empty() || row.name != name) continue;
    Target t = x86_baseline(row);
    use_avx2(t);
    if (row.avx512) use_avx512(t, row);
    return t;
  }
  for (const ArmProcessor& row : arm_processors())
    if (row.name == name) return arm_target(row, true);
  if (name == kAnyX86) return x86_baseline(x86_processors().back());
  if (name == kAnyArm) return arm_target(arm_processors().front(), false);
  std::string known;
  for (const std::string_view other : names()) known += join_text(known.empty() ? "" : ", ", other);
  throw UserError(join_text("there is no target '", name, "'; there are ", known));
}

Target Target::without_avx512() const {
  if (lowering != Lowering::avx512) return *this;
  Target t = *this;
  for (const X86Processor& row : x86_processors())
    if (row.avx512 && row.rates.family == rates.family) {
      t.rates = row.rates;
      t.tune = row.tune;
      break;
    }
  use_avx2(t);
  return t;
}

std::vector<std::string_view> Target::names() {
  std::vector<std::string_view> out;
  for (const X86Processor& row : x86_processors())
    if (!row.name.empty()) out.push_back(row.name);
  for (const ArmProcessor& row : arm_processors()) out.push_back(row.name);
  out.push_back(kAnyX86);
  out.push_back(kAnyArm);
  return out;
}

bool Target::runs_here() const {
  static const Target here = best();  // asking the processor takes long on virtual machines
  return triple == here.triple && std::ranges::includes(here.features, features);
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
