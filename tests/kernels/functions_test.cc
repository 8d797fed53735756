// Float functions: formulas against the interpreter's own arithmetic, and emitted against plain.
#include <gtest/gtest.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "graph/builder.h"
#include "graph/interpret.h"
#include "jit/compiler.h"
#include "jit/count_emit.h"
#include "kernels/functions/float_function.h"
#include "kernels/tail/tail_emit.h"
#include "tests/kernels/problem.h"
#include "tests/support/interpreting_emitter.h"

namespace qloom::testing {
namespace {

using kernels::FloatFunction;

FloatFunction function_at(int i) { return static_cast<FloatFunction>(i); }

std::vector<float> interpreted(FloatFunction f, const std::vector<float>& x) {
  Builder b("one");
  const ValueId in = b.input("x", {Dim::batch(), 1});
  b.output("y", b.activation(in, {.function = std::string(kernels::name_of(f))}, "f"));
  const Graph g = b.finish();
  const std::vector<Tensor> inputs{Tensor({static_cast<int64_t>(x.size()), 1}, x)};
  const Tensor y = to_f32(interpret(g, inputs, {.evaluation = Evaluation::canonical})[0]);
  return {y.f32().begin(), y.f32().end()};
}

bool same(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) || (a != a && b != b);
}

std::vector<float> special_values() {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> list{0,    1,     10,      16,    15.99F,    40,           88.8F,  103.97F,
                          104,  709,   710,     1e30F, kInfinity, 0x1p-149F,    1e-40F, 0x1p-126F,
                          0.5F, 0.35F, 0.3466F, 5.5F,  9.01F,     0x1.62e43p-1F};
  for (size_t i = 0, n = list.size(); i < n; ++i) list.push_back(-list[i]);
  list.push_back(std::numeric_limits<float>::quiet_NaN());
  return list;
}

/// y[i] = f(x[i]) for `count` floats; buffers: x, y.
void emit_loop(jit::Emitter& e, FloatFunction f, int lanes) {
  const jit::Value in = e.buffer(0), out = e.buffer(1);
  e.loop("i", e.integer(0), e.count(), lanes, 32, [&](jit::Value i) {
    const jit::Value at = e.multiply(i, 4);
    e.store(e.offset(out, at),
            emit_function(e, f, e.load(e.offset(in, at), jit::Element::f32, lanes)));
  });
}

/// Floats whose bits are `step` apart, from `first` on.
void expect_equal_on(uint32_t first, uint64_t step) {
  std::vector<std::vector<float>> blocks{special_values()};
  for (uint64_t bits = first; bits < uint64_t{1} << 32; bits += step) {
    if (blocks.back().size() >= 1 << 16) blocks.emplace_back();
    blocks.back().push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  }
  for (int i = 0; i < kernels::kFloatFunctions; ++i) {
    int64_t different = 0;
    float example = 0;
    for (const std::vector<float>& x : blocks) {
      const std::vector<float> expected = interpreted(function_at(i), x);
      for (size_t k = 0; k < x.size(); ++k)
        if (!same(kernels::apply(function_at(i), x[k]), expected[k])) ++different, example = x[k];
    }
    EXPECT_EQ(different, 0) << name_of(function_at(i)) << ", for instance of " << example << ": "
                            << apply(function_at(i), example);
  }
}

TEST(FloatFunctions, EqualTheInterpreter) { expect_equal_on(12345, 9973); }

TEST(FloatFunctionsLong, EqualTheInterpreter) { expect_equal_on(54321, 499); }

TEST(FloatFunctions, EmittedEqualPlainOnEveryTarget) {
  constexpr int kLanes = 16;
  std::vector<float> x = special_values();
  std::mt19937_64 rng(7);
  while (x.size() < 512) {
    const auto bits = static_cast<uint32_t>(rng());
    x.push_back(x.size() % 2 == 0 ? std::bit_cast<float>(bits)
                                  : static_cast<float>(uniform(rng, -4000, 4000)) / 100);
  }
  const auto expect = [&](FloatFunction f, const std::vector<float>& y, Lowering lowering) {
    for (size_t k = 0; k < x.size(); ++k)
      ASSERT_TRUE(same(y[k], apply(f, x[k])))
          << name_of(f) << "(" << x[k] << ") is " << apply(f, x[k]) << ", " << to_string(lowering)
          << " gives " << y[k];
  };
  std::vector<float> y(x.size());
  void* buffers[] = {x.data(), y.data()};
  const auto count = static_cast<int64_t>(x.size());
  for (const Lowering lowering : lowerings()) {
    if (lowering == Lowering::interpreted) {
      for (int i = 0; i < kernels::kFloatFunctions; ++i) {
        InterpretingEmitter e(target_of(lowering));
        emit_loop(e, function_at(i), kLanes);
        e.run(buffers, count, 0, 1);
        expect(function_at(i), y, lowering);
      }
      continue;
    }
    std::vector<jit::FunctionSource> sources;
    for (int i = 0; i < kernels::kFloatFunctions; ++i)
      sources.push_back({std::string(name_of(function_at(i))),
                         [i](jit::Emitter& e) { emit_loop(e, function_at(i), kLanes); }});
    const auto object = jit::compiler().compile(sources, target_of(lowering), {});
    const auto code = jit::compiler().load(object.elf, "functions");
    for (int i = 0; i < kernels::kFloatFunctions; ++i) {
      const auto run =
          reinterpret_cast<jit::KernelFunction>(code->symbol(sources[static_cast<size_t>(i)].name));
      run(buffers, count, 0, 1);
      expect(function_at(i), y, lowering);
    }
  }
}

/// Nanoseconds per element: emitted, predicted, and one number after the other.
TEST(FloatFunctions, PrintTimes) {
  if (std::getenv("QLOOM_TEST_VERBOSE") == nullptr) GTEST_SKIP() << "for QLOOM_TEST_VERBOSE";
  const jit::Target target = jit::Target::host();
  const int lanes = 4 * kernels::channel_lanes(target);
  constexpr int64_t kElements = 4096;
  std::vector<float> x, y(kElements);
  for (int64_t i = 0; i < kElements; ++i) x.push_back(static_cast<float>(i % 977 - 488) / 100);
  const auto best_of = [&](const std::function<void()>& run) {
    double best = 1e30;
    for (int i = 0; i < 300; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      run();
      const std::chrono::duration<double, std::nano> ns = std::chrono::steady_clock::now() - begin;
      best = std::min(best, ns.count());
    }
    return best / kElements;
  };
  for (int i = 0; i < kernels::kFloatFunctions; ++i) {
    const FloatFunction f = function_at(i);
    const jit::FunctionSource source{"f", [&](jit::Emitter& e) { emit_loop(e, f, lanes); }};
    const auto object = jit::compiler().compile({&source, 1}, target, {});
    const auto code = jit::compiler().load(object.elf, "function");
    const auto run = reinterpret_cast<jit::KernelFunction>(code->symbol("f"));
    void* buffers[] = {x.data(), y.data()};
    const double emitted = best_of([&] { run(buffers, kElements, 0, 1); });
    const double plain = best_of([&] {
      for (size_t k = 0; k < x.size(); ++k) y[k] = apply(f, x[k]);
    });
    const jit::Counts counts = jit::count_operations(source, target, kElements);
    std::printf("%-12s emitted %.2f predicted %.2f plain %.2f ns, stack %d\n",
                std::string(name_of(f)).c_str(), emitted,
                jit::predicted_ns(counts, target, 8 * kElements) / kElements, plain,
                object.functions[0].inner_loop_stack_accesses);
  }
}

}  // namespace
}  // namespace qloom::testing
