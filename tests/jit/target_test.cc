#include "jit/target.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "graph/support/error.h"

namespace qloom::jit {
namespace {

/// Sets an environment variable for the length of a scope.
class Setting {
 public:
  Setting(const char* name, const char* value) : name_(name) {
    const char* old = std::getenv(name);
    if (old) old_ = old;
    had_ = old != nullptr;
    setenv(name, value, 1);
  }
  ~Setting() { had_ ? setenv(name_, old_.c_str(), 1) : unsetenv(name_); }

 private:
  const char* name_;
  std::string old_;
  bool had_ = false;
};

TEST(Target, HostIsWhatTheProcessorHas) {
  const Setting none("QLOOM_TARGET", "");
  const Target t = Target::host();
#if defined(__x86_64__)
  EXPECT_EQ(t.triple, "x86_64-unknown-linux-gnu");
  EXPECT_EQ(Target::avx2().lowering == Lowering::avx2, __builtin_cpu_supports("avx2") != 0);
  EXPECT_EQ(t.lowering == Lowering::avx512,
            __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512bitalg") && __builtin_cpu_supports("avx512vbmi") &&
                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("gfni"));
#endif
  constexpr int kBytes[] = {64, 32, 16, 16};
  EXPECT_EQ(t.vector_bytes, kBytes[static_cast<int>(t.lowering)]);
  EXPECT_GE(t.l1_bytes, 8192);
  EXPECT_GE(t.l2_bytes, t.l1_bytes);
  EXPECT_FALSE(t.rates.source.empty());
}

TEST(Target, ByName) {
  for (const std::string_view name : Target::names()) {
    const Target t = Target::named(name);
    const bool arm = name == "aarch64" || name == "neoverse-n1" || name == "cortex-a76";
    EXPECT_EQ(t.triple.starts_with("aarch64"), arm) << name;
    const bool measured = t.rates.source.find("measured") != std::string::npos;
    EXPECT_NE(measured, t.rates.source.find("computed from") != std::string::npos ||
                            t.rates.source.find("computed:") != std::string::npos)
        << name << ": " << t.rates.source;
    EXPECT_TRUE(std::ranges::is_sorted(t.features)) << name;
    const bool of_family = t.rates.family == name;
    EXPECT_EQ(of_family, name != "x86-64" && !arm) << name << ": " << t.rates.family;
  }
  EXPECT_EQ(Target::named("zen3").lowering, Lowering::avx2);
  EXPECT_EQ(Target::named("zen3").rates.vector_alu, PortRates().vector_alu);
  EXPECT_EQ(Target::named("icelake").lowering, Lowering::avx512);
  EXPECT_EQ(Target::named("icelake").vector_bytes, 64);
  EXPECT_EQ(Target::named("neoverse-n1").lowering, Lowering::neon);
  EXPECT_TRUE(Target::named("cortex-a76").has_dot());
  EXPECT_EQ(Target::named("aarch64").lowering, Lowering::portable);
  EXPECT_NE(Target::named("cortex-a76").to_string(), Target::named("neoverse-n1").to_string());
  try {
    static_cast<void>(Target::named("z80"));
    FAIL();
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find("'z80'; there are zen1, zen2, zen4"),
              std::string::npos)
        << error.what();
  }
}

TEST(Target, TheSameProcessorWithoutAvx512) {
  const Target narrow = Target::named("zen4").without_avx512();
  EXPECT_EQ(narrow.lowering, Lowering::avx2);
  EXPECT_EQ(narrow.vector_bytes, 32);
  EXPECT_EQ(narrow.rates.source, "Zen 4, measured (family 25 model 17)");
  EXPECT_TRUE(std::ranges::none_of(narrow.features, [](const std::string& feature) {
    return feature.starts_with("+avx512") || feature == "+gfni";
  }));
  EXPECT_NE(Target::named("icelake").without_avx512().rates.vector_alu,
            Target::named("icelake").rates.vector_alu);
  for (const char* name : {"zen3", "x86-64", "neoverse-n1"})
    EXPECT_EQ(Target::named(name).without_avx512().to_string(), Target::named(name).to_string());
  EXPECT_EQ(Target::host().without_avx512().to_string(), Target::host().lowering == Lowering::avx512
                                                             ? Target::avx2().to_string()
                                                             : Target::host().to_string());
}

TEST(Target, RunsHereWhatThisMachineHas) {
  EXPECT_TRUE(Target::portable().runs_here());
  EXPECT_TRUE(Target::avx2().runs_here());
#if defined(__x86_64__)
  EXPECT_TRUE(Target::named("x86-64").runs_here());
  EXPECT_FALSE(Target::named("aarch64").runs_here());
  EXPECT_EQ(Target::named("zen3").runs_here(), Target::avx2().lowering == Lowering::avx2);
  const Setting none("QLOOM_TARGET", "");
  EXPECT_EQ(Target::named("icelake").runs_here(), Target::host().lowering == Lowering::avx512);
#endif
}

TEST(Target, PortableOnRequest) {
  const Setting wanted("QLOOM_TARGET", "portable");
  EXPECT_EQ(Target::host().to_string(), Target::portable().to_string());
  EXPECT_EQ(Target::host().lowering, Lowering::portable);
  EXPECT_TRUE(Target::host().features.empty());
}

TEST(Target, Avx2OnRequest) {
  if (Target::avx2().lowering != Lowering::avx2) GTEST_SKIP() << "this processor has no AVX2";
  const Setting wanted("QLOOM_TARGET", "avx2");
  const Target t = Target::host();
  EXPECT_EQ(t.to_string(), Target::avx2().to_string());
  EXPECT_EQ(t.vector_bytes, 32);
  EXPECT_FALSE(t.has_dot());
}

TEST(Target, UnknownRequestIsNamed) {
  const Setting wanted("QLOOM_TARGET", "vector");
  try {
    static_cast<void>(Target::host());
    FAIL() << "no error";
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(), "QLOOM_TARGET is 'vector': expected nothing, 'avx2' or 'portable'");
  }
}

TEST(Target, TextTellsTargetsApart) {
  const Target a = Target::portable();
  Target b = a;
  EXPECT_EQ(a.to_string(), b.to_string());
  b.features.emplace_back("+avx2");
  EXPECT_NE(a.to_string(), b.to_string());
  b = a;
  b.rates.shuffle += 0.125;
  EXPECT_NE(a.to_string(), b.to_string());
  b = a;
  b.l2_bytes *= 2;
  EXPECT_NE(a.to_string(), b.to_string());
}

}  // namespace
}  // namespace qloom::jit
