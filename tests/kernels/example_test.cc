// The example that kernels/README.md opens with.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "graph/ops_table.h"
#include "jit/code.h"
#include "jit/compiler.h"
#include "kernels/kernels_table.h"
#include "tests/bindings/expect_error.h"

namespace qloom {
namespace {

using kernels::KernelDef;
using kernels::Variant;

TEST(Example, ConvolutionFromQueryToResult) {
  // All weights 1, so that each sum is that of a 3×3×16 piece of the input.
  std::vector<int64_t> weights(3 * 3 * 16 * 24);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<int64_t>(i % 11) - 5;
  const Tensor codes({3, 3, 16, 24}, weights);
  kernels::Tail tail;
  tail.steps = {{kernels::TailOp::accumulator}};
  tail.outputs.push_back(
      {.step = 0, .type = {}, .storage = kernels::Storage::dwords(), .value_index = 0});
  kernels::Query query;
  query.name = "conv2";
  query.root = &ops::conv;
  query.window = {
      .h = 8, .w = 8, .c = 16, .out_h = 6, .out_w = 6, .n = 24, .kernel_h = 3, .kernel_w = 3};
  query.input = {{Dim::batch(), 8, 8, 16}, Numeric::fixed(4, 0, false), {}};
  query.weights = {{3, 3, 16, 24}, Numeric::fixed(4, 0, true), {}};
  query.weight_codes = &codes;
  query.accumulator_lo.assign(24, -5 * 15 * 144);
  query.accumulator_hi.assign(24, 5 * 15 * 144);
  query.tail = &tail;

  const jit::Target target = jit::Target::host();
  const KernelDef* best = nullptr;
  Variant best_variant;
  double best_ns = 0;
  for (const KernelDef* kernel : kernels::all_kernels()) {
    if (!kernel->is_for_regions()) continue;
    const Verdict verdict = kernel->match(query);
    EXPECT_NE(verdict.ok(), !verdict.reason().empty());
    if (!verdict) continue;
    query.input_storage = kernel->input_storage(query);
    for (const Variant& variant : kernel->variants(query, target)) {
      const double ns = kernels::predicted_ns(*kernel, query, variant, target);
      if (best == nullptr || ns < best_ns) {
        best = kernel;
        best_variant = variant;
        best_ns = ns;
      }
    }
  }
  ASSERT_NE(best, nullptr);
  EXPECT_EQ(best, kernels::find_kernel("conv_winograd"));
  query.input_storage = best->input_storage(query);
  EXPECT_EQ(query.input_storage, kernels::Storage::bytes(0));

  const auto source = kernels::source_of(*best, query, best_variant, "conv2");
  const auto object = jit::compiler().compile({&source, 1}, target, {});
  const auto code = jit::compiler().load(object.elf, "conv2");
  const auto run = reinterpret_cast<jit::KernelFunction>(code->symbol("conv2"));
  ASSERT_NE(run, nullptr);
  std::vector<uint8_t> constants = kernels::packed(*best, query, best_variant, target);
  constants.resize(constants.size() + kernels::kSlackBytes);
  std::vector<uint8_t> input(8 * 8 * 16 + 2 * kernels::kSlackBytes);
  for (size_t i = 0; i < 8 * 8 * 16; ++i)
    input[kernels::kSlackBytes + i] = static_cast<uint8_t>(i % 13);
  std::vector<int32_t> output(6 * 6 * 24 + 64);
  std::vector<uint8_t> scratch(
      static_cast<size_t>(kernels::scratch_bytes(*best, query, best_variant, target)) +
      2 * kernels::kSlackBytes);
  void* buffers[] = {input.data() + kernels::kSlackBytes, constants.data(), output.data(),
                     scratch.data() + kernels::kSlackBytes};
  run(buffers, 1, 0, kernels::work_items(*best, query, best_variant, target));
  for (int y = 0; y < 6; ++y)
    for (int x = 0; x < 6; ++x)
      for (int n = 0; n < 24; ++n) {
        int64_t sum = 0;
        for (int i = 0; i < 3; ++i)
          for (int k = 0; k < 48; ++k)
            sum += (((y + i) * 8 + x) * 16 + k) % 13 *
                   weights[static_cast<size_t>((i * 48 + k) * 24 + n)];
        ASSERT_EQ(output[static_cast<size_t>((y * 6 + x) * 24 + n)], sum)
            << y << " " << x << " " << n;
      }
}

TEST(Example, RefusalsSayWhy) {
  const Tensor codes({3, 3, 4, 8}, std::vector<int64_t>(3 * 3 * 4 * 8, 40000));
  kernels::Tail tail;
  kernels::Query query;
  query.root = &ops::conv;
  query.window = {
      .h = 8, .w = 8, .c = 4, .out_h = 6, .out_w = 6, .n = 8, .kernel_h = 3, .kernel_w = 3};
  query.input = {{Dim::batch(), 8, 8, 4}, Numeric::float32(), {}};
  query.weights = {{3, 3, 4, 8}, Numeric::fixed(17, 0, true), {}};
  auto reason = [&](const char* name) { return kernels::find_kernel(name)->match(query).reason(); };
  auto expect = [&](const char* name, const std::string& part) {
    EXPECT_NE(reason(name).find(part), std::string::npos) << name << ": " << reason(name);
  };
  for (const char* name : {"conv_pairs", "conv_xnor", "conv_table_binary", "depthwise_pairs"})
    expect(name, "float32, this kernel needs codes");
  expect("elementwise_chain", "root is conv");
  query.input.numeric = Numeric::fixed(4, 0, true);
  expect("conv_pairs", "needs constant codes");
  query.weight_codes = &codes;
  expect("conv_pairs", "the tail is not lowered");
  query.tail = &tail;
  query.accumulator_lo.assign(8, 0);
  query.accumulator_hi.assign(8, int64_t{1} << 31);
  expect("conv_pairs", "accumulator of channel 0 reaches [0, 2147483648]");
  query.accumulator_hi.assign(8, 1000);
  expect("conv_pairs", "weight codes reach [0, 40000]");
  expect("depthwise_pairs", "1 groups of 4 channels");
  expect("conv_xnor", "this kernel needs binary");
  query.input.numeric = Numeric::binary();
  expect("conv_xnor", "with code 40000");
  query.window.h = query.window.w = 60000;
  expect("conv_pairs", "beyond the 32-bit offsets");
}

TEST(Example, RegisteringRefusesWhatIsIncomplete) {
  KernelDef def = *kernels::find_kernel("conv_pairs");
  testing::expect_user_error([&] { kernels::register_kernel(def); },
                             {"kernel 'conv_pairs'", "another of that name"});
  def.name = "conv_mine";
  def.pack = nullptr;
  testing::expect_user_error([&] { kernels::register_kernel(def); },
                             {"kernel 'conv_mine'", "it has no `pack`"});
  EXPECT_EQ(kernels::find_kernel("conv_mine"), nullptr);
}

TEST(Example, EveryKernelHasNameAndDoc) {
  for (const KernelDef* kernel : kernels::all_kernels()) {
    EXPECT_FALSE(kernel->name.empty());
    EXPECT_FALSE(kernel->doc.empty()) << kernel->name;
    EXPECT_EQ(kernels::find_kernel(kernel->name), kernel) << kernel->name << ": name is not unique";
    const int ways = (kernel->emit != nullptr) + (kernel->reference != nullptr) +
                     (kernel->pipeline != nullptr) + (kernel->primitive != nullptr);
    EXPECT_EQ(ways, 1) << kernel->name << ": emitted, reference, pipeline or primitive";
  }
  EXPECT_EQ(kernels::find_kernel("no such kernel"), nullptr);
}

}  // namespace
}  // namespace qloom
