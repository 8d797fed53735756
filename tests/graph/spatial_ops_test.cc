// Ops that change spatial extents: values by hand, and the transposed convolution as the transpose
// of the ordinary one.
#include <gtest/gtest.h>

#include "graph/builder.h"
#include "graph/interpret.h"
#include "graph/support/error.h"
#include "tests/graph/op_runner.h"

namespace qloom::testing {
namespace {

Ran transposed(const Tensor& x, const Tensor& kernel, const ops::ConvTranspose& conv) {
  return run(x, kGrid, [&](Builder& b, ValueId v) {
    return b.conv_transpose(v, b.constant("w", kernel), conv);
  });
}

TEST(ConvTranspose, ScattersEachInput) {
  // 1 2 with taps 1 10 100, stride 2: 1 10 100+2 20 200.
  const Tensor x({1, 2, 1}, Floats{1, 2}), w({3, 1, 1}, Floats{1, 10, 100});
  ops::ConvTranspose conv{.strides = {2}, .dilations = {1}};
  const Ran valid = transposed(x, w, conv);
  expect_both(valid, {1, 10, 102, 20, 200});
  EXPECT_TRUE(valid.codes);
  conv.padding = ops::Padding::same;  // 2·2 outputs, none cut off in front: (3 - 2) / 2 = 0
  expect_both(transposed(x, w, conv), {1, 10, 102, 20});
  conv.output_padding = {1};  // (2 - 1)·2 + 3 - 2·1 + 1
  expect_both(transposed(x, w, conv), {1, 10, 102, 20});
  conv.padding = ops::Padding::valid;
  expect_both(transposed(x, w, conv), {1, 10, 102, 20, 200, 0});
  // A stride beyond the kernel leaves zeros; dilation spreads the taps.
  expect_both(transposed(x, w, {.strides = {4}, .dilations = {1}}), {1, 10, 100, 0, 2, 20, 200, 0});
  expect_both(transposed(x, w, {.strides = {1}, .dilations = {2}}), {1, 2, 10, 20, 100, 200});
}

TEST(ConvTranspose, InGroupsAndBothDimensions) {
  const Tensor x({1, 1, 2, 2}, Floats{1, 2, 3, 4});
  const Tensor w({2, 1, 1, 2}, Floats{1, 10, 2, 20});  // rows 0 and 1, a filter per channel
  expect_both(transposed(x, w, {.groups = 2}), {1, 20, 3, 40, 2, 40, 6, 80});
}

// <conv(x), y> = <x, conv_transpose(y)> for every geometry.
TEST(ConvTranspose, IsTheTranspose) {
  Random random(5);
  for (int i = 0; i < 60; ++i) {
    ops::Conv conv;
    conv.padding = random.chance(50) ? ops::Padding::same : ops::Padding::valid;
    conv.groups = random.integer(1, 2);
    Extents x{1}, w;
    for (size_t axis = 0; axis < 2; ++axis) {
      w.push_back(random.integer(1, 4));
      conv.strides[axis] = random.integer(1, 3);
      // So many inputs that the transpose has just as many outputs.
      const int64_t out = random.integer(1, 4);
      x.push_back(conv.padding == ops::Padding::same
                      ? out * conv.strides[axis]
                      : out * conv.strides[axis] +
                            std::max<int64_t>(w.back() - conv.strides[axis], 0));
    }
    const int64_t in = 2 * random.integer(1, 2), filters = 2 * random.integer(1, 2);
    x.push_back(in);
    w.push_back(in / conv.groups);
    w.push_back(filters);
    const Tensor input = quarters(x, static_cast<uint64_t>(2 * i + 1)),
                 kernel = quarters(w, static_cast<uint64_t>(2 * i + 2));
    const Ran forward = run(input, nullptr, [&](Builder& b, ValueId v) {
      return b.conv(v, b.constant("w", kernel), conv);
    });
    const Tensor other = quarters(forward.extents, static_cast<uint64_t>(i + 1000));
    // The same kernel, its inputs and outputs of each group exchanged.
    const int64_t per_group = filters / conv.groups, inputs = in / conv.groups;
    std::vector<float> turned(kernel.f32().size());
    for (int64_t tap = 0; tap < w[0] * w[1]; ++tap)
      for (int64_t c = 0; c < inputs; ++c)
        for (int64_t g = 0; g < conv.groups; ++g)
          for (int64_t k = 0; k < per_group; ++k)
            turned[static_cast<size_t>((tap * per_group + k) * in + g * inputs + c)] =
                kernel.f32()[static_cast<size_t>((tap * inputs + c) * filters + g * per_group + k)];
    const Tensor backward_kernel({w[0], w[1], per_group, in}, std::move(turned));
    const ops::ConvTranspose back{
        .strides = conv.strides, .padding = conv.padding, .groups = conv.groups};
    const Ran backward = run(other, nullptr, [&](Builder& b, ValueId v) {
      return b.conv_transpose(v, b.constant("w", backward_kernel), back);
    });
    ASSERT_EQ(backward.extents, x) << "case " << i;
    double a = 0, b = 0;
    for (size_t k = 0; k < forward.qkeras.size(); ++k)
      a += static_cast<double>(forward.qkeras[k]) * static_cast<double>(other.f32()[k]);
    for (size_t k = 0; k < backward.qkeras.size(); ++k)
      b += static_cast<double>(backward.qkeras[k]) * static_cast<double>(input.f32()[k]);
    EXPECT_EQ(a, b) << "case " << i;  // multiples of 1/64: exact
  }
}

TEST(ConvTranspose, RefusesWhatHasNoMeaning) {
  const Tensor x({1, 2, 1}, Floats{1, 2}), w({3, 1, 1}, Floats{1, 10, 100});
  EXPECT_THROW(transposed(x, w, {.strides = {2, 2}, .dilations = {1}}), UserError);
  EXPECT_THROW(transposed(x, w, {.strides = {0}, .dilations = {1}}), UserError);
  EXPECT_THROW(
      transposed(x, w, {.strides = {1}, .dilations = {1}, .padding = ops::Padding::causal}),
      UserError);
  EXPECT_THROW(transposed(x, w, {.strides = {2}, .dilations = {1}, .output_padding = {2}}),
               UserError);
  EXPECT_THROW(transposed(x, w, {.strides = {1}, .dilations = {1}, .groups = 2}), UserError);
}

TEST(Resize, RepeatsOrInterpolates) {
  const Tensor x({1, 2, 2, 1}, Floats{0, 1, 2, 4});
  const auto resized = [&](ops::Resize resize) {
    return run(x, kGrid, [&](Builder& b, ValueId v) { return b.resize(v, resize); });
  };
  const Ran nearest = resized({.scales = {1, 3}});
  expect_both(nearest, {0, 0, 0, 1, 1, 1, 2, 2, 2, 4, 4, 4});
  EXPECT_TRUE(nearest.codes);
  // Outputs lie at -1/4, 1/4, 3/4, 5/4 of the inputs.
  expect_both(resized({.scales = {1, 2}, .interpolation = ops::Interpolation::bilinear}),
              {0, 0.25F, 0.75F, 1, 2, 2.5F, 3.5F, 4});
  expect_both(resized({.scales = {2, 1}, .interpolation = ops::Interpolation::bilinear}),
              {0, 1, 0.5F, 1.75F, 1.5F, 3.25F, 2, 4});
  EXPECT_THROW(resized({.scales = {2}}), UserError);
  EXPECT_THROW(resized({.scales = {0, 2}}), UserError);
}

TEST(Gather, TakesRows) {
  const Tensor table({3, 2}, Floats{1, 2, 3, 4, 5, 6});
  const auto gathered = [&](Floats indices) {
    return run(Tensor({1, 2}, std::move(indices)), nullptr,
               [&](Builder& b, ValueId v) { return b.gather(b.constant("table", table), v); });
  };
  const Ran rows = gathered({2, 0.9F});
  expect_both(rows, {5, 6, 1, 2});
  EXPECT_EQ(rows.extents, (Extents{1, 2, 2}));
  EXPECT_TRUE(rows.codes);
  EXPECT_THROW(gathered({3, 0}), UserError);
  EXPECT_THROW(gathered({-1, 0}), UserError);
}

}  // namespace
}  // namespace qloom::testing
