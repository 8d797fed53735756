// What inspection says of machine code: sizes, stack traffic in inner loops, assembly.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/jit/run_kernel.h"
#include "tests/support/scratch_folder.h"

namespace qloom::jit {
namespace {

/// Sums `live` vectors in registers over an inner loop.
FunctionSource sums(int live) {
  return {"sums_" + std::to_string(live), [live](Emitter& e) {
            std::vector<Variable> sum;
            for (int k = 0; k < live; ++k)
              sum.push_back(e.variable(e.zeros(Element::i32, e.bytes() / 4)));
            const Value in = e.buffer(0), out = e.buffer(1);
            e.loop("i", e.integer(0), e.count(), 1, 100, [&](Value i) {
              for (int k = 0; k < live; ++k) {
                const Value v = e.load(e.offset(in, e.multiply(e.add(i, 3 * k), e.bytes())),
                                       Element::i32, e.bytes() / 4);
                e.set(sum[k], e.add(e.get(sum[k]), e.multiply(v, e.get(sum[(k + 1) % live]))));
              }
            });
            for (int k = 0; k < live; ++k) e.store(e.offset(out, k * e.bytes()), e.get(sum[k]));
          }};
}

FunctionReport report_of(const FunctionSource& f, const Target& target) {
  CompilerFlags flags;
  flags.assembly = true;
  return compiler().compile({&f, 1}, target, flags).functions.at(0);
}

TEST(Inspect, FewLiveVectorsTouchNoStack) {
  for (const Target& target : testing::runnable_targets()) {
    const FunctionReport r = report_of(sums(4), target);
    EXPECT_EQ(r.inner_loop_stack_accesses, 0) << r.assembly;
    EXPECT_EQ(r.name, "sums_4");
  }
}

TEST(Inspect, TooManyLiveVectorsAreReported) {
  for (const Target& target : testing::runnable_targets()) {
    const FunctionReport r = report_of(sums(48), target);
    EXPECT_GT(r.inner_loop_stack_accesses, 8) << r.assembly;
    EXPECT_NE(r.assembly.find("(%rsp)"), std::string::npos);
  }
}

TEST(Inspect, StackTrafficOutsideInnerLoopsIsNoMatter) {
  // Sixteen live vectors and pointers to them around an inner loop that needs one register.
  const FunctionSource f{"outer", [](Emitter& e) {
                           const Value in = e.buffer(0), out = e.buffer(1);
                           std::vector<Variable> sum;
                           for (int k = 0; k < 24; ++k)
                             sum.push_back(e.variable(e.load(in, Element::i32, e.bytes() / 4)));
                           e.loop("outer", e.integer(0), e.count(), 1, 10, [&](Value i) {
                             for (int k = 0; k < 24; ++k)
                               e.set(sum[k], e.multiply(e.get(sum[k]), e.get(sum[(k + 5) % 24])));
                             const Variable inner = e.variable(e.zeros(Element::i8, 16));
                             e.loop("inner", e.integer(0), i, 1, 10, [&](Value j) {
                               e.set(inner,
                                     e.add(e.get(inner), e.load(e.offset(in, j), Element::i8, 16)));
                             });
                             e.store(e.offset(out, e.multiply(i, 16)), e.get(inner));
                           });
                           for (int k = 0; k < 24; ++k)
                             e.store(e.offset(out, e.bytes() * k), e.get(sum[k]));
                         }};
  const FunctionReport r = report_of(f, Target::avx2());
  EXPECT_EQ(r.inner_loop_stack_accesses, 0) << r.assembly;
  EXPECT_NE(r.assembly.find("(%rsp)"), std::string::npos) << "the outer loop was meant to spill";
}

TEST(Inspect, SizesAddUpAndAssemblyIsOnlyOnRequest) {
  const std::vector<FunctionSource> functions = {sums(2), sums(8)};
  const CompiledObject object = compiler().compile(functions, Target::avx2(), {});
  ASSERT_EQ(object.functions.size(), 2u);
  EXPECT_LT(object.functions[0].code_bytes, object.functions[1].code_bytes);
  EXPECT_LT(object.functions[1].code_bytes, static_cast<int64_t>(object.elf.size()));
  EXPECT_TRUE(object.functions[0].assembly.empty());
}

TEST(Inspect, EqualFunctionsShareTheirCode) {
  FunctionSource first = sums(8), second = sums(8), other = sums(2);
  first.name = "first", second.name = "second", other.name = "other";
  const FunctionSource functions[] = {first, second, other};
  const CompiledObject object = compiler().compile(functions, Target::avx2(), {});
  ASSERT_EQ(object.functions.size(), 3u);
  const auto code = compiler().load(object.elf, "shared");
  EXPECT_EQ(code->symbol("first"), code->symbol("second"));
  EXPECT_NE(code->symbol("first"), code->symbol("other"));
}

TEST(Inspect, Avx2CodeUsesNoWiderRegisters) {
  if (Target::avx2().lowering != Lowering::avx2) GTEST_SKIP() << "this processor has no AVX2";
  const FunctionReport r = report_of(sums(8), Target::avx2());
  EXPECT_NE(r.assembly.find("%ymm"), std::string::npos);
  EXPECT_EQ(r.assembly.find("%zmm"), std::string::npos);
  const FunctionReport p = report_of(sums(8), Target::portable());
  EXPECT_EQ(p.assembly.find("%ymm"), std::string::npos);
}

TEST(Inspect, DumpsWhatWasMade) {
  namespace fs = std::filesystem;
  const qloom::testing::ScratchFolder folder;
  CompilerFlags flags;
  flags.dump_directory = folder.path();
  const FunctionSource f = sums(2);
  static_cast<void>(compiler().compile({&f, 1}, Target::avx2(), flags));
  for (const char* ending : {".emitted.ll", ".ll", ".o", ".s"}) {
    const fs::path file = folder / ("sums_2" + std::string(ending));
    EXPECT_TRUE(fs::exists(file) && fs::file_size(file) > 100) << file;
  }
}

}  // namespace
}  // namespace qloom::jit
