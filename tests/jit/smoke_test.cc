// The shortest way through the compiler: emit, compile, load, run; and link, open, run.
#include <gtest/gtest.h>

#include <vector>

#include "jit/compiler.h"

namespace qloom::jit {
namespace {

/// y[i] = x[i] + 3 for `count` bytes, a vector at a time.
void add_three(Emitter& e) {
  const Value x = e.buffer(0), y = e.buffer(1);
  const Value three = e.splat(e.integer(3, Element::i8), e.bytes());
  e.loop("i", e.integer(0), e.count(), e.bytes(), 100, [&](Value i) {
    e.store(e.offset(y, i), e.add(e.load(e.offset(x, i), Element::i8, e.bytes()), three));
  });
}

TEST(Smoke, EmitsCompilesAndRuns) {
  const FunctionSource source{"add_three", add_three};
  const CompiledObject object =
      compiler().compile({&source, 1}, Target::host(), {.assembly = true});
  ASSERT_EQ(object.functions.size(), 1u);
  EXPECT_EQ(object.functions[0].name, "add_three");
  EXPECT_GT(object.functions[0].code_bytes, 10);
  EXPECT_EQ(object.functions[0].inner_loop_stack_accesses, 0) << object.functions[0].assembly;
  const auto code = compiler().load(object.elf, "smoke");
  auto* run = reinterpret_cast<KernelFunction>(code->symbol("add_three"));
  ASSERT_NE(run, nullptr);
  EXPECT_EQ(code->symbol("add_four"), nullptr);
  std::vector<uint8_t> x(128), y(128);
  for (int i = 0; i < 128; ++i) x[i] = static_cast<uint8_t>(i * 7);
  void* buffers[] = {x.data(), y.data()};
  run(buffers, 128, 0, 1);
  for (int i = 0; i < 128; ++i) EXPECT_EQ(y[i], static_cast<uint8_t>(i * 7 + 3)) << i;
}

}  // namespace
}  // namespace qloom::jit
