// Reference kernels of ops that move, choose or mask elements against the interpreter.
#include "tests/kernels/reference_fixture.h"

namespace qloom::kernels::reference_tests {
namespace {

TEST_F(Reference, Resize) {
  Random r(12);
  for (int i = 0; i < 300; ++i) {
    const Shape x = image(r, chance(r, 0.4));
    ops::Resize resize;
    resize.scales.clear();
    for (size_t a = 1; a + 1 < x.size(); ++a) resize.scales.push_back(between(r, 1, 3));
    if (chance(r, 0.3)) resize.interpolation = ops::Interpolation::bilinear;
    ASSERT_NO_FATAL_FAILURE(
        check({&ops::resize, to_attributes(resize), {random_type(r, x)}, {false}}, r));
  }
  expect_variety(true, true);
}

TEST_F(Reference, Slice) {
  Random r(13);
  for (int i = 0; i < 300; ++i) {
    const Shape x = image(r, chance(r, 0.4));
    ops::Slice slice;
    slice.axis = between(r, 1, static_cast<int64_t>(x.size()) - 1);
    const int64_t extent = x[static_cast<size_t>(slice.axis)].extent();
    slice.begin = between(r, 0, extent - 1);
    slice.stride = chance(r, 0.3) ? -1 : between(r, 1, extent);
    const int64_t room = slice.stride < 0 ? slice.begin : extent - 1 - slice.begin;
    slice.count = between(r, 1, room / std::abs(slice.stride) + 1);
    ASSERT_NO_FATAL_FAILURE(
        check({&ops::slice, to_attributes(slice), {random_type(r, x)}, {false}}, r));
  }
  expect_variety(true, true);
}

TEST_F(Reference, Gather) {
  Random r(14);
  for (int i = 0; i < 200; ++i) {
    const int64_t rows = between(r, 2, 9);
    Shape table{rows, between(r, 1, 5)}, indices{Dim::batch()};
    if (chance(r, 0.6)) indices.emplace_back(between(r, 1, 6));
    const TensorType numbers{indices, Numeric::integers(0, rows - 1, 0), {}};
    ASSERT_NO_FATAL_FAILURE(
        check({&ops::gather, {}, {random_type(r, table), numbers}, {chance(r, 0.8), false}}, r));
  }
  expect_variety(true, true);
}

TEST_F(Reference, Concat) {
  Random r(7);
  for (int i = 0; i < 300; ++i) {
    const Shape x = image(r, chance(r, 0.5));
    const auto axis = static_cast<size_t>(between(r, 1, static_cast<int64_t>(x.size()) - 1));
    Job job{&ops::concat, to_attributes(ops::Concat{static_cast<int64_t>(axis)}), {}, {}};
    const TensorType common = random_type(r, x);
    const int kind = static_cast<int>(between(r, 0, 2));
    for (int64_t k = between(r, 1, 4); k > 0; --k) {
      Shape part = x;
      part[axis] = Dim(between(r, 1, 4));
      TensorType t{part, common.numeric, {}};
      if (kind == 0) t = random_type(r, part);
      if (kind == 1) t.numeric = Numeric::fixed(6, static_cast<int>(between(r, 0, 4)), true);
      if (kind >= 1 && common.scale.is_per_tensor() && !t.is_float32()) t.scale = common.scale;
      if (kind == 0 && !t.is_float32())  // grids of powers of two
        t.scale = random_scale(r, t.numeric, part, true);
      job.operands.push_back(t);
      job.constant.push_back(false);
    }
    ASSERT_NO_FATAL_FAILURE(check(job, r));
  }
  expect_variety(true, true);
}

TEST_F(Reference, ReshapePermutePad) {
  Random r(8);
  for (int i = 0; i < 500; ++i) {
    const Shape x = image(r, chance(r, 0.5));
    const TensorType type = random_type(r, x);
    ops::Reshape reshape;
    if (chance(r, 0.5))
      reshape.extents = {-1};
    else
      reshape.extents = {x.back().extent(), -1};
    TensorType whole = type;
    if (!whole.scale.is_per_tensor()) whole.scale = {};
    ASSERT_NO_FATAL_FAILURE(check({&ops::reshape, to_attributes(reshape), {whole}, {false}}, r));
    ops::Permute permute;
    for (size_t a = 0; a < x.size(); ++a) permute.axes.push_back(static_cast<int64_t>(a));
    std::shuffle(permute.axes.begin() + 1, permute.axes.end(), r);
    ASSERT_NO_FATAL_FAILURE(check({&ops::permute, to_attributes(permute), {type}, {false}}, r));
    ops::Pad pad;
    for (const Dim d : x) {
      pad.before.push_back(d.is_batch() ? 0 : between(r, 0, 2));
      pad.after.push_back(d.is_batch() ? 0 : between(r, 0, 2));
    }
    ASSERT_NO_FATAL_FAILURE(check({&ops::pad, to_attributes(pad), {type}, {false}}, r));
  }
  expect_variety(true, true);
}

TEST_F(Reference, SoftmaxAndMasking) {
  Random r(11);
  for (int i = 0; i < 200; ++i) {
    const Shape x = image(r, chance(r, 0.5));
    const int64_t axis = chance(r, 0.5) ? -1 : 1;
    ASSERT_NO_FATAL_FAILURE(
        check({&ops::softmax, to_attributes(ops::Softmax{axis}), {random_type(r, x)}, {false}}, r));
    TensorType sparse = random_type(r, x);
    if (chance(r, 0.5)) sparse.numeric = Numeric::ternary();
    if (sparse.numeric.is_float32()) sparse.scale = {};
    ASSERT_NO_FATAL_FAILURE(
        check({&ops::masking, to_attributes(ops::Masking{0.0}), {sparse}, {false}}, r));
  }
  expect_variety(true, true);
}

}  // namespace
}  // namespace qloom::kernels::reference_tests
