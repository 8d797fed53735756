// Problems of roots that move elements: slices, permutations, repetitions, zeros around, rows of a
// table, bilinear interpolation.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "graph/ops_table.h"
#include "tests/kernels/problem.h"

namespace qloom::testing {
namespace {

using kernels::Move;

Move::Axis axis_of(int64_t extent, int64_t stride) {
  return {.extent = extent, .stride = stride, .before = 0, .inside = extent};
}

/// The axes of x as they are.
Move whole(const kernels::Window& w) {
  return {{axis_of(w.h, w.w * w.c), axis_of(w.w, w.c), axis_of(w.c, 1)}, 0};
}

Move slice(const kernels::Window& w, std::mt19937_64& rng) {
  Move move = whole(w);
  Move::Axis& axis = move.axes[static_cast<size_t>(uniform(rng, 0, 2))];
  const int64_t extent = axis.extent, stride = uniform(rng, 1, 3),
                begin = uniform(rng, 0, extent - 1);
  const bool forwards = uniform(rng, 0, 1) == 0;
  const int64_t most = (forwards ? extent - 1 - begin : begin) / stride + 1;
  move.first = begin * axis.stride;
  axis = axis_of(uniform(rng, 1, most), axis.stride * (forwards ? stride : -stride));
  return move;
}

Move permute(const kernels::Window& w, std::mt19937_64& rng) {
  Move move = whole(w);
  std::shuffle(move.axes.begin(), move.axes.end(), rng);
  return move;
}

Move repeat(const kernels::Window& w, std::mt19937_64& rng) {
  Move move = whole(w);
  move.axes.insert(move.axes.begin() + 1, axis_of(uniform(rng, 1, 3), 0));
  move.axes.insert(move.axes.begin() + 3, axis_of(uniform(rng, 1, 3), 0));
  return move;
}

Move pad(const kernels::Window& w, std::mt19937_64& rng) {
  Move move = whole(w);
  for (Move::Axis& axis : move.axes) {
    if (uniform(rng, 0, 2) == 0) continue;
    axis.before = uniform(rng, 0, 2);
    axis.extent += axis.before + uniform(rng, 0, 2);
  }
  return move;
}

float mix(float a, float b, float distance) { return a + (b - a) * distance; }

}  // namespace

void Problem::make_motion(std::mt19937_64& rng) {
  kernels::Window& w = spec_.window;
  switch (spec_.motion) {
    case Motion::none:
      return;
    case Motion::slice:
      query_.root = &ops::slice;
      query_.move = slice(w, rng);
      break;
    case Motion::permute:
      query_.root = &ops::permute;
      query_.move = permute(w, rng);
      break;
    case Motion::repeat:
      query_.root = &ops::resize;
      query_.move = repeat(w, rng);
      break;
    case Motion::pad:
      query_.root = &ops::pad;
      query_.move = pad(w, rng);
      break;
    case Motion::rows:
      return make_rows(rng);
    case Motion::bilinear:
      query_.root = &ops::resize;
      w.out_h = w.h * uniform(rng, 1, 3);
      w.out_w = w.w * uniform(rng, 1, 3);
      w.n = w.c;
      query_.window = w;
      return;
  }
  w.n = query_.move.axes.back().extent;
  w.out_w = 1;
  w.out_h = 1;
  for (const Move::Axis& axis : query_.move.axes) w.out_h *= axis.extent;
  w.out_h /= w.n;
  query_.window = w;
  if (spec_.f32_input) return;
  const Numeric::Grid grid = *spec_.input.grid();
  query_.accumulator_lo = {grid.lo};
  query_.accumulator_hi = {grid.hi};
}

/// A table of up to nine rows, each of one or two runs of n; numbers beyond it and none.
void Problem::make_rows(std::mt19937_64& rng) {
  kernels::Window& w = spec_.window;
  const int64_t rows = uniform(rng, 1, 9), runs = uniform(rng, 1, 2), n = w.c;
  query_.root = &ops::gather;
  query_.input = {{Dim::batch(), w.h, w.w}, Numeric::float32(), {}};
  const Extents shape{rows, runs, n};
  const Numeric numeric = spec_.f32_input ? Numeric::float32() : spec_.input;
  query_.weights = {{rows, runs, n}, numeric, {}};
  input_.clear();
  f32_input_.clear();
  for (int64_t i = 0; i < spec_.count * w.h * w.w; ++i)
    f32_input_.push_back(uniform(rng, 0, 19) == 0
                             ? std::numeric_limits<float>::quiet_NaN()
                             : static_cast<float>(uniform(rng, -6, 4 * rows + 6)) / 4);
  if (spec_.f32_input) {
    std::vector<float> values;
    for (int64_t i = 0; i < rows * runs * n; ++i)
      values.push_back(static_cast<float>(uniform(rng, -2000, 2000)) / 64.0F);
    query_.weight_values = Tensor(shape, std::move(values));
  } else {
    std::vector<int64_t> codes;
    for (int64_t i = 0; i < rows * runs * n; ++i) codes.push_back(random_code(spec_.input, rng));
    weight_codes_ = Tensor(shape, std::move(codes));
    query_.weight_codes = &weight_codes_;
    const Numeric::Grid grid = *spec_.input.grid();
    query_.accumulator_lo = {grid.lo};
    query_.accumulator_hi = {grid.hi};
  }
  w.out_h = w.h * w.w * runs;
  w.out_w = 1;
  w.n = n;
  w.c = 1;
  query_.window = w;
}

void Problem::compute_motion() {
  if (spec_.motion == Motion::rows) return compute_rows();
  if (spec_.motion == Motion::bilinear) return compute_bilinear();
  const kernels::Window& w = spec_.window;
  const auto& axes = query_.move.axes;
  const int64_t sample = w.h * w.w * w.c, total = w.out_h * w.out_w * w.n;
  for (int64_t s = 0; s < spec_.count; ++s)
    for (int64_t i = 0; i < total; ++i) {
      int64_t rest = i, at = query_.move.first;
      bool inside = true;
      for (size_t k = axes.size(); k-- > 0;) {
        const int64_t index = rest % axes[k].extent - axes[k].before;
        rest /= axes[k].extent;
        inside = inside && index >= 0 && index < axes[k].inside;
        at += index * axes[k].stride;
      }
      const auto from = static_cast<size_t>(s * sample + at);
      if (spec_.f32_input)
        f32_accumulators_.push_back(inside ? f32_input_[from] : 0);
      else
        accumulators_.push_back(inside ? input_[from] : 0);
    }
}

void Problem::compute_rows() {
  const Extents& table =
      query_.weight_values ? query_.weight_values->extents() : query_.weight_codes->extents();
  const int64_t row = table[1] * table[2];
  for (const float number : f32_input_) {
    const float kept = std::isnan(number) ? 0 : std::trunc(number);
    const auto at = static_cast<int64_t>(std::clamp(kept, 0.0F, static_cast<float>(table[0] - 1)));
    for (int64_t i = 0; i < row; ++i) {
      const auto from = static_cast<size_t>(at * row + i);
      if (spec_.f32_input)
        f32_accumulators_.push_back(query_.weight_values->f32()[from]);
      else
        accumulators_.push_back(weight_codes_.i64()[from]);
    }
  }
}

void Problem::compute_bilinear() {
  const kernels::Window& w = spec_.window;
  struct Place {
    int64_t first, second;
    float distance;
  };
  const auto place = [](int64_t j, int64_t in, int64_t out) {
    const float ratio = 1.0F / static_cast<float>(out / in);
    const float at = (static_cast<float>(j) + 0.5F) * ratio - 0.5F, below = std::floor(at);
    return Place{std::max<int64_t>(static_cast<int64_t>(below), 0),
                 std::min<int64_t>(static_cast<int64_t>(std::ceil(at)), in - 1), at - below};
  };
  for (int64_t s = 0; s < spec_.count; ++s)
    for (int64_t y = 0; y < w.out_h; ++y)
      for (int64_t x = 0; x < w.out_w; ++x)
        for (int64_t c = 0; c < w.c; ++c) {
          const Place row = place(y, w.h, w.out_h), column = place(x, w.w, w.out_w);
          const auto pixel = [&](int64_t i, int64_t j) {
            return f32_input_[static_cast<size_t>(((s * w.h + i) * w.w + j) * w.c + c)];
          };
          f32_accumulators_.push_back(mix(
              mix(pixel(row.first, column.first), pixel(row.first, column.second), column.distance),
              mix(pixel(row.second, column.first), pixel(row.second, column.second),
                  column.distance),
              row.distance));
        }
}

}  // namespace qloom::testing
