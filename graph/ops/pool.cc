// graph/ops/pool.cc — maximum, average or sum over windows, channels last, in one or two
// dimensions. Cells outside of x do not count. The average is the exact sum rounded to float32,
// then one float32 division by the number of cells inside.
#include <algorithm>
#include <bit>

#include "graph/ops/attributes.h"
#include "graph/ops/common.h"
#include "graph/ops/geometry.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {{.name = "x"}};
constexpr int64_t kMaxStep = int64_t{1} << 31;

struct Window {
  SpatialAxis rows, columns;
};

Window window_of(const Pool& pool, const Extents& x) {
  Window w;
  if (x.size() == 4) w.rows = spatial_axis(x[1], pool.sizes[0], pool.strides[0], 1, pool.padding);
  w.columns =
      spatial_axis(x[x.size() - 2], pool.sizes.back(), pool.strides.back(), 1, pool.padding);
  return w;
}

int64_t cells_inside(const SpatialAxis& a, int64_t i) {
  const int64_t begin = std::max<int64_t>(a.at(i, 0), 0);
  return std::max<int64_t>(0, std::min(a.at(i, a.taps - 1) + 1, a.in) - begin);
}

// The largest number of cells in a window along the axis; none when some number is no power of two.
// Windows in the middle are full, so only those at the ends are visited; their numbers are an
// arithmetic progression, which leaves the powers of two after a few terms.
std::optional<int64_t> largest_power(const SpatialAxis& a) {
  int64_t largest = 0;
  const auto visit = [&](int64_t i) {
    const int64_t n = cells_inside(a, i);
    largest = std::max(largest, n);
    return std::has_single_bit(static_cast<uint64_t>(n));
  };
  int64_t begin = 0, end = a.out;
  for (bool full = false; begin < end && !full; ++begin) {
    full = cells_inside(a, begin) == a.taps;
    if (!visit(begin)) return std::nullopt;
  }
  for (bool full = false; begin < end && !full; --end) {
    full = cells_inside(a, end - 1) == a.taps;
    if (!visit(end - 1)) return std::nullopt;
  }
  return largest;
}

std::vector<int64_t> spatial_axes(int rank) {
  return rank == 4 ? std::vector<int64_t>{1, 2} : std::vector<int64_t>{1};
}

// Average on a power-of-two grid: code = sum · (largest count / count), on a grid finer by the
// largest count.
std::optional<PowerGrid> average_grid(const TensorType& x, const Window& w, int64_t* largest) {
  const auto grid = power_grid(x);
  if (!grid) return std::nullopt;
  const auto rows = largest_power(w.rows), columns = largest_power(w.columns);
  if (!rows || !columns) return std::nullopt;
  *largest = *rows * *columns;
  const int shift = std::countr_zero(static_cast<uint64_t>(*largest));
  const auto finer = on_exponent(*grid, grid->exponent - shift);
  if (!finer || !finer->within(kExactCodes)) return std::nullopt;
  return finer;
}

// Sums of codes; a window holds at most this many cells, some may hold fewer.
Numeric sum_of_cells(const TensorType& x, const Window& w) {
  const auto most = [](const SpatialAxis& a) { return std::min(a.taps, a.in); };
  const Numeric::Grid grid = *x.numeric.grid();
  const bool always = w.rows.before == 0 && w.rows.after == 0 && w.columns.before == 0 &&
                      w.columns.after == 0;  // every window is full
  const int64_t lo = always ? grid.lo : std::min<int64_t>(grid.lo, 0),
                hi = always ? grid.hi : std::max<int64_t>(grid.hi, 0);
  const int64_t cells = most(w.rows) * most(w.columns);
  return product(Numeric::integers(lo, hi, grid.fraction), Numeric::integers(cells, cells, 0));
}

std::vector<TensorType> infer(const InferContext& c) {
  const auto pool = from_attributes<Pool>(c.node.attributes);
  const TensorType& x = c.operands[0];
  check(c, x.rank() == 3 || x.rank() == 4, "x has ", x.rank(),
        " axes, expected [N, H, W, C] or [N, T, C]");
  const auto spatial = static_cast<size_t>(x.rank() - 2);
  check(c, pool.sizes.size() == spatial && pool.strides.size() == spatial, "sizes has ",
        pool.sizes.size(), " and strides ", pool.strides.size(), " entries, expected ", spatial);
  for (size_t i = 0; i < spatial; ++i)
    check(c,
          pool.sizes[i] >= 1 && pool.strides[i] >= 1 && pool.sizes[i] < kMaxStep &&
              pool.strides[i] < kMaxStep,
          "sizes and strides have to be positive and below 2^31");
  check(c, pool.padding != Padding::causal, "padding 'causal' is not defined for pooling");
  for (size_t i = 1; i < x.shape.size(); ++i)
    check(c, x.shape[i].is_static(), "x has the batch symbol on axis ", i);
  const Window w = window_of(pool, qloom::bind(x.shape, 1));
  check(c, w.rows.out >= 1 && w.columns.out >= 1, "the window does not fit into x");
  Shape shape{x.shape[0]};
  if (x.rank() == 4) shape.emplace_back(w.rows.out);
  shape.emplace_back(w.columns.out);
  shape.push_back(x.shape.back());

  if (pool.kind == PoolKind::max) {
    if (x.has_codes() && constant_along(x.scale, x.rank(), spatial_axes(x.rank())) &&
        is_positive(x.scale))
      return {{shape, x.numeric, x.scale}};
    return {{shape, Numeric::float32(), {}}};
  }
  if (pool.kind == PoolKind::sum) {
    if (!x.has_codes() || !constant_along(x.scale, x.rank(), spatial_axes(x.rank())))
      return {{shape, Numeric::float32(), {}}};
    const Numeric total = sum_of_cells(x, w);
    return {{shape, total, total.is_float32() ? Scale() : x.scale}};
  }
  int64_t largest = 1;
  if (const auto grid = average_grid(x, w, &largest)) return {{shape, grid->numeric(), {}}};
  return {{shape, Numeric::float32(), {}}};
}

// Calls visit(output index, offset of the window's cell in x) for each cell inside, and
// done(output index, count) after each window; per channel.
template <class Begin, class Visit, class Done>
void for_each_window(const Window& w, int64_t samples, int64_t channels, Begin&& begin,
                     Visit&& visit, Done&& done) {
  int64_t out = 0;
  for (int64_t n = 0; n < samples; ++n)
    for (int64_t i = 0; i < w.rows.out; ++i)
      for (int64_t j = 0; j < w.columns.out; ++j)
        for (int64_t c = 0; c < channels; ++c, ++out) {
          begin();
          for (int64_t r = 0; r < w.rows.taps; ++r)
            for (int64_t t = 0; t < w.columns.taps; ++t)
              if (w.rows.inside(i, r) && w.columns.inside(j, t))
                visit(static_cast<size_t>(
                    ((n * w.rows.in + w.rows.at(i, r)) * w.columns.in + w.columns.at(j, t)) *
                        channels +
                    c));
          done(static_cast<size_t>(out), cells_inside(w.rows, i) * cells_inside(w.columns, j),
               static_cast<size_t>(c));
        }
}

template <class T>
std::vector<T> maximum(const Window& w, const Extents& out, std::span<const T> x) {
  std::vector<T> y(static_cast<size_t>(element_count(out)));
  bool first = true;
  T best{};
  for_each_window(
      w, out[0], out.back(), [&] { first = true; },
      [&](size_t at) {
        // NaN stays: a comparison with NaN is false either way round.
        if (first || x[at] > best || x[at] != x[at]) best = x[at];
        first = false;
      },
      [&](size_t o, int64_t, size_t) { y[o] = best; });
  return y;
}

/// Sums of float32 values, divided by the number of cells for an average.
std::vector<float> sum_or_average(const EvaluateContext& c, const Window& w, const Extents& out,
                                  bool divides) {
  const RuntimeValue& x = c.operands[0];
  const auto finish = [divides](double sum, int64_t count) {
    const auto rounded = static_cast<float>(sum);
    return divides ? rounded / static_cast<float>(count) : rounded;
  };
  std::vector<float> y(static_cast<size_t>(element_count(out)));
  // Codes on one step per channel: the sum is an exact integer. Else a sum in float64.
  if (x.data.dtype() == DType::i64 &&
      constant_along(x.type.scale, x.type.rank(), spatial_axes(x.type.rank()))) {
    const auto codes = x.data.i64();
    const std::vector<double> step = spread(x.type.step(), [&] {
      Extents e(static_cast<size_t>(x.type.rank()), 1);
      e.back() = out.back();
      return e;
    }());
    uint64_t sum = 0;
    for_each_window(
        w, out[0], out.back(), [&] { sum = 0; },
        [&](size_t at) { sum += static_cast<uint64_t>(codes[at]); },
        [&](size_t o, int64_t count, size_t channel) {
          const double exact = static_cast<double>(static_cast<int64_t>(sum)) * step[channel];
          y[o] = finish(exact, count);
        });
    return y;
  }
  const Tensor f = to_f32(x);
  const auto values = f.f32();
  double sum = 0;
  for_each_window(
      w, out[0], out.back(), [&] { sum = 0; },
      [&](size_t at) { sum += static_cast<double>(values[at]); },
      [&](size_t o, int64_t count, size_t) { y[o] = finish(sum, count); });
  return y;
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const auto pool = from_attributes<Pool>(c.node.attributes);
  const RuntimeValue& x = c.operands[0];
  const Extents& in = x.data.extents();
  const Window w = window_of(pool, in);
  Extents out{in[0]};
  if (in.size() == 4) out.push_back(w.rows.out);
  out.push_back(w.columns.out);
  out.push_back(in.back());
  if (pool.kind == PoolKind::max) {
    if (wants_codes(c)) return single(result(c, out, maximum(w, out, x.data.i64())));
    const Tensor f = to_f32(x);
    return single(result(c, out, maximum(w, out, f.f32())));
  }
  if (!wants_codes(c))
    return single(result(c, out, sum_or_average(c, w, out, pool.kind == PoolKind::average)));
  if (pool.kind == PoolKind::sum) {
    std::vector<int64_t> sums(static_cast<size_t>(element_count(out)));
    int64_t total = 0;
    for_each_window(
        w, out[0], out.back(), [&] { total = 0; }, [&](size_t at) { total += x.data.i64()[at]; },
        [&](size_t o, int64_t, size_t) { sums[o] = total; });
    return single(result(c, out, std::move(sums)));
  }
  int64_t largest = 1;
  const auto grid = average_grid(x.type, w, &largest);
  qloom_assert(grid, label(c.node), ": the average has no grid");
  const std::vector<int64_t> codes =
      codes_on(x, grid->exponent + std::countr_zero(static_cast<uint64_t>(largest)));
  std::vector<int64_t> y(static_cast<size_t>(element_count(out)));
  int64_t sum = 0;
  for_each_window(
      w, out[0], out.back(), [&] { sum = 0; }, [&](size_t at) { sum += codes[at]; },
      [&](size_t o, int64_t count, size_t) { y[o] = sum * (largest / count); });
  return single(result(c, out, std::move(y)));
}

OpCounts count(const Node& node, std::span<const TensorType>, std::span<const TensorType> results) {
  const auto pool = from_attributes<Pool>(node.attributes);
  return {.other = elements_per_sample(results[0].shape) * element_count(pool.sizes)};
}

}  // namespace

extern constinit const OpDef pool{
    .name = "pool",
    .doc = "Maximum, average or sum over windows; cells outside of x do not count.",
    .operands = kOperands,
    .attrs = attrs_of<Pool>,
    .infer = infer,
    .evaluate = evaluate,
    .count = count};

}  // namespace qloom::ops
