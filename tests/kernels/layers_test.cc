// The kernels on layers of real networks: each has a variant whose inner loops stay in registers,
// and a cost. With QLOOM_TEST_VERBOSE set, prints measured beside predicted times of all variants.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "jit/compiler.h"
#include "kernels/kernels_table.h"
#include "tests/kernels/problem.h"
#include "tests/support/limits.h"

namespace qloom::testing {
namespace {

using kernels::KernelDef;
using kernels::Variant;

std::vector<ProblemSpec> layers() {
  const Numeric u2 = Numeric::fixed(2, 0, false), s2 = Numeric::fixed(2, 0, true);
  const Numeric u4 = Numeric::fixed(4, 0, false), s4 = Numeric::fixed(4, 0, true);
  const Numeric u8 = Numeric::fixed(8, 0, false), s8 = Numeric::fixed(8, 0, true);
  const Numeric b = Numeric::binary(), t = Numeric::ternary();
  std::vector<ProblemSpec> list;
  auto add = [&](std::string name, kernels::Window w, Numeric a, Numeric weights, TailKind tail) {
    ProblemSpec spec;
    spec.name = std::move(name);
    spec.window = w;
    spec.input = a;
    spec.weights = weights;
    spec.tail = tail;
    spec.count = 4;
    if (jit::Target::host().has_dot()) spec.target = jit::Target::host();
    list.push_back(spec);
  };
  const auto same = Pad::same, valid = Pad::valid;
  add("resnet8 stem", conv_window(32, 32, 3, 16, 3, 3, 1, 1, 1, same), u8, s8,
      TailKind::scale_round);
  for (const auto& [kind, a, w, tail] :
       {std::tuple{"w2a2", u2, s2, TailKind::thresholds},
        std::tuple{"ba4", u4, b, TailKind::thresholds},
        std::tuple{"ta4", u4, t, TailKind::thresholds}, std::tuple{"ta1", b, t, TailKind::bits},
        std::tuple{"w1a1", b, b, TailKind::bits}}) {
    const std::string n = std::string("resnet8 ") + kind;
    add(n + " 32x32x16", conv_window(32, 32, 16, 16, 3, 3, 1, 1, 1, same), a, w, tail);
    add(n + " 32x32x16/2", conv_window(32, 32, 16, 32, 3, 3, 2, 1, 1, same), a, w, tail);
    add(n + " 16x16x32", conv_window(16, 16, 32, 32, 3, 3, 1, 1, 1, same), a, w,
        TailKind::residual);
    add(n + " 8x8x64", conv_window(8, 8, 64, 64, 3, 3, 1, 1, 1, same), a, w, tail);
    add(n + " shortcut", conv_window(32, 32, 16, 32, 1, 1, 2, 1, 1, same), a, w, TailKind::plain);
  }
  add("resnet8 fc", dense_window(64, 10), u2, s8, TailKind::float_chain);
  add("digits conv1", conv_window(8, 8, 1, 16, 3, 3, 1, 1, 1, same), s8, s4, TailKind::scale_round);
  add("digits conv2", conv_window(8, 8, 16, 24, 3, 3, 1, 1, 1, valid), u4, s4,
      TailKind::scale_round);
  add("digits dense", dense_window(216, 10), u4, s4, TailKind::float_chain);
  add("digits po2", conv_window(8, 8, 16, 24, 3, 3, 1, 1, 1, valid), u4,
      Numeric::power_of_two(-10, 0, true), TailKind::scale_round);
  add("mobilenet dw 48", conv_window(48, 48, 8, 8, 3, 3, 1, 1, 8, same), u4, s4,
      TailKind::thresholds);
  add("mobilenet pw 48", conv_window(48, 48, 8, 16, 1, 1, 1, 1, 1, same), u4, s4,
      TailKind::thresholds);
  add("mobilenet dw 24/2", conv_window(48, 48, 16, 16, 3, 3, 2, 1, 16, same), u4, s4,
      TailKind::float_chain);
  add("mobilenet pw 12", conv_window(12, 12, 64, 64, 1, 1, 1, 1, 1, same), u4, s4,
      TailKind::scale_round);
  add("mobilenet dw 6", conv_window(6, 6, 128, 128, 3, 3, 1, 1, 128, same), u4, s4,
      TailKind::scale_round);
  add("mobilenet pw 3", conv_window(3, 3, 256, 256, 1, 1, 1, 1, 1, same), u4, s4,
      TailKind::thresholds);
  add("binary dw 28x28x64", conv_window(28, 28, 64, 64, 3, 3, 1, 1, 64, same), b, b,
      TailKind::packed);
  add("binary dw 14x14x512", conv_window(14, 14, 512, 512, 3, 3, 1, 1, 512, same), b, t,
      TailKind::packed);
  add("quicknet 14x14x256", conv_window(14, 14, 256, 256, 3, 3, 1, 1, 1, same), b, b,
      TailKind::bits);
  add("birealnet 56x56x64", conv_window(56, 56, 64, 64, 3, 3, 1, 1, 1, same), b, b, TailKind::bits);
  add("birealnet 28x28x128", conv_window(28, 28, 128, 128, 3, 3, 1, 1, 1, same), b, b,
      TailKind::bits);
  add("ternary 28x28x128", conv_window(28, 28, 128, 128, 3, 3, 1, 1, 1, same), t, t,
      TailKind::thresholds);
  add("w1a2 28x28x128", conv_window(28, 28, 128, 128, 3, 3, 1, 1, 1, same), u2, b,
      TailKind::thresholds);
  add("w8a8 28x28x128", conv_window(28, 28, 128, 128, 3, 3, 1, 1, 1, same), u8, s8,
      TailKind::scale_round);
  add("w8a8 16x16x32", conv_window(16, 16, 32, 32, 3, 3, 1, 1, 1, same), s8, s8,
      TailKind::scale_round);
  auto pool = [&](std::string name, kernels::Pooling kind, kernels::Window w, TailKind tail) {
    add(std::move(name), w, u4, u4, tail);
    list.back().pooling = kind;
  };
  pool("digits max pool 28x28x16", kernels::Pooling::maximum,
       pool_window(28, 28, 16, 2, 2, 2, valid), TailKind::plain);
  pool("binary max pool 28x28x128", kernels::Pooling::maximum,
       pool_window(28, 28, 128, 2, 2, 2, valid), TailKind::packed);
  list.back().input = list.back().weights = b;
  pool("quicknet max pool 112x112", kernels::Pooling::maximum,
       pool_window(112, 112, 64, 3, 3, 2, same), TailKind::plain);
  list.back().f32_input = true;
  pool("resnet8 average 8x8x64", kernels::Pooling::sum, pool_window(8, 8, 64, 8, 8, 1, valid),
       TailKind::float_chain);
  add("float stem 32x32x3", conv_window(32, 32, 3, 16, 3, 3, 1, 1, 1, same), u8, s8,
      TailKind::scale_round);
  list.back().f32_input = true;
  add("float dense 256", dense_window(256, 1000), u8, s8, TailKind::float_chain);
  list.back().f32_input = true;
  add("float dw 12x12x64", conv_window(12, 12, 64, 64, 3, 3, 1, 1, 64, same), u8, s8,
      TailKind::float_chain);
  list.back().f32_input = true;
  ProblemSpec input;
  input.name = "quantize 32x32x3";
  input.elementwise = input.f32_input = true;
  input.window.h = input.window.w = input.window.out_h = input.window.out_w = 32;
  input.window.c = input.window.n = 3;
  input.tail = TailKind::scale_round;
  list.push_back(input);
  input.window.c = input.window.n = 16;
  input.name = "residual 32x32x16";
  input.f32_input = false;
  input.tail = TailKind::residual;
  list.push_back(input);
  input.f32_input = true;
  input.tail = TailKind::functions;
  for (const uint64_t seed : {1, 4}) {
    input.name = "functions 32x32x16 seed " + std::to_string(seed);
    input.seed = seed;
    list.push_back(input);
  }
  for (const int64_t classes : {10, 1000}) {
    add("softmax " + std::to_string(classes), dense_window(classes, classes), u8, s8,
        TailKind::plain);
    list.back().softmax = list.back().f32_input = true;
    list.back().count = 16;
  }
  return list;
}

double best_ns(const std::function<void()>& run) {
  double best = 1e30;
  for (int i = 0; i < 30; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    run();
    best = std::min(
        best,
        std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

TEST(Layers, EachKernelHasAVariantWithoutStackTraffic) {
  if (jit::Target::host().lowering == jit::Lowering::portable) GTEST_SKIP() << "needs AVX2";
  const bool verbose = std::getenv("QLOOM_TEST_VERBOSE") != nullptr;
  const jit::Target target = jit::Target::host();
  int selected = 0;
  const std::vector<ProblemSpec> all = layers();
  constexpr size_t kStep = kSanitized ? 5 : 1;  // emitted code has no checks that they could add
  for (size_t at = 0; at < all.size(); at += kStep) {
    const ProblemSpec& spec = all[at];
    if (std::getenv("QLOOM_ONLY") && spec.name != std::getenv("QLOOM_ONLY")) continue;
    Problem problem(spec);
    for (const KernelDef* kernel : kernels::all_kernels()) {
      if (!kernel->is_for_regions() || !kernel->match(problem.query())) continue;
      const kernels::Query& q = problem.query_for(*kernel);
      const std::vector<Variant> list = kernel->variants(q, target);
      std::vector<jit::FunctionSource> sources;
      for (size_t i = 0; i < list.size(); ++i)
        sources.push_back(kernels::source_of(*kernel, q, list[i], "v" + std::to_string(i)));
      const jit::CompiledObject object = jit::compiler().compile(
          sources, target,
          {.assembly = std::getenv("QLOOM_DUMP") != nullptr,
           .dump_directory = std::getenv("QLOOM_DUMP") ? std::getenv("QLOOM_DUMP") : ""});
      const auto code = jit::compiler().load(object.elf, spec.name);
      int clean = 0;
      for (size_t i = 0; i < list.size(); ++i) {
        const int accesses = object.functions[i].inner_loop_stack_accesses;
        clean += accesses == 0 ? 1 : 0;
        const double predicted = kernels::predicted_ns(*kernel, q, list[i], target, spec.count);
        EXPECT_GT(predicted, 0) << spec.name << " " << kernel->name << " " << list[i].to_string();
        const auto constants = kernels::packed(*kernel, q, list[i], target);
        const int64_t scratch = kernels::scratch_bytes(*kernel, q, list[i], target);
        const auto function =
            reinterpret_cast<jit::KernelFunction>(code->symbol("v" + std::to_string(i)));
        const int64_t items = kernels::work_items(*kernel, q, list[i], target);
        double measured = 0;
        const std::string text = problem.difference(
            q, constants, scratch,
            [&](void* const* buffers, int64_t count, int64_t begin, int64_t end) {
              function(buffers, count, begin, end);
              if (verbose && end - begin == items)
                measured = best_ns([&] { function(buffers, count, begin, end); }) /
                           static_cast<double>(count);
            },
            spec.count, items);
        EXPECT_EQ(text, "") << spec.name << " " << kernel->name << " " << list[i].to_string();
        if (verbose)
          std::printf(
              "%-24s %-18s %-6s stack %3d code %6d B predicted %9.0f measured %9.0f ns  %6.1f "
              "MAC/ns\n",
              spec.name.c_str(), std::string(kernel->name).c_str(), list[i].to_string().c_str(),
              accesses, static_cast<int>(object.functions[i].code_bytes), predicted, measured,
              spec.elementwise || spec.softmax
                  ? 0
                  : static_cast<double>(spec.window.macs()) / measured);
      }
      EXPECT_GT(clean, 0) << spec.name << ": every variant of " << kernel->name
                          << " spills in its inner loop";
      ++selected;
    }
  }
  EXPECT_GE(selected, 30 / static_cast<int>(kStep));
}

}  // namespace
}  // namespace qloom::testing
