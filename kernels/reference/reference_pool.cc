// kernels/reference/reference_pool.cc — maximum, average or sum over windows.
// Average: the sum, exact where x has codes on one step per channel, else float64; rounded to
// float32; one float32 division by the number of cells inside. Sum: without the division.
#include <algorithm>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "kernels/kernels_table.h"
#include "kernels/reference/products.h"

namespace qloom::kernels {
namespace {

using reference::Axis;
using reference::Frame;

struct Windows {
  explicit Windows(const ReferenceSpec& spec) {
    const auto pool = from_attributes<ops::Pool>(spec.attributes);
    const std::string_view padding = names_of(pool.padding)[static_cast<size_t>(pool.padding)];
    const Extents x = qloom::bind(spec.operands.at(0).shape, 1),
                  y = qloom::bind(spec.results.at(0).shape, 1);
    const size_t rank = x.size();
    qloom_assert((rank == 3 || rank == 4) && y.size() == rank && x.back() == y.back() &&
                     pool.sizes.size() == rank - 2 && pool.strides.size() == rank - 2,
                 spec.kernel, ": ", spec.operands[0], " to ", spec.results[0]);
    const auto axis = [&](size_t i) {
      return reference::axis_of(x[i + 1], y[i + 1], pool.sizes[i], pool.strides[i], 1, padding);
    };
    if (rank == 4) rows = axis(0);
    columns = axis(rank - 3);
    channels = x.back();
  }

  /// first(pixel) for the first pixel of each window, next(pixel) for the others, done(cells,
  /// output) after it; pixels and outputs as offsets of their first channel.
  template <class First, class Next, class Done>
  void visit(const First& first, const Next& next, const Done& done) const noexcept {
    int64_t out = 0;
    for (int64_t i = 0; i < rows.out; ++i)
      for (int64_t j = 0; j < columns.out; ++j, out += channels) {
        int64_t cells = 0;
        for (int64_t r = rows.first_tap(i); r < rows.end_tap(i); ++r)
          for (int64_t t = columns.first_tap(j); t < columns.end_tap(j); ++t) {
            const int64_t pixel = (rows.at(i, r) * columns.in + columns.at(j, t)) * channels;
            if (cells++ == 0)
              first(pixel, out);
            else
              next(pixel, out);
          }
        if (cells > 0) done(cells, out);
      }
  }

  Axis rows, columns;
  int64_t channels = 1;
};

template <class T>
class Maximum final : public reference::Call {
 public:
  explicit Maximum(const ReferenceSpec& spec) : Call(spec), x_(*this, 0), windows_(spec) {}

 private:
  void sample(const Frame& frame) const noexcept override {
    const T* x = x_.at(frame);
    T* y = result<T>(frame);
    const int64_t n = windows_.channels;
    windows_.visit(
        [&](int64_t pixel, int64_t out) { std::copy(x + pixel, x + pixel + n, y + out); },
        [&](int64_t pixel, int64_t out) {
          for (int64_t c = 0; c < n; ++c) {
            const T v = x[pixel + c];
            if (v > y[out + c] || v != v) y[out + c] = v;  // NaN stays
          }
        },
        [](int64_t, int64_t) {});
    store(frame, y);
  }
  reference::Input<T> x_;
  Windows windows_;
};

/// T: int64_t where the sum is exact, double else.
template <class T>
class Average final : public reference::Call {
 public:
  explicit Average(const ReferenceSpec& spec)
      : Call(spec),
        x_(*this, 0),
        windows_(spec),
        divides_(attributes<ops::Pool>().kind == ops::PoolKind::average) {
    sums_ = reserve_array<T>(windows_.channels);
  }

 private:
  void sample(const Frame& frame) const noexcept override {
    const T* x = x_.at(frame);
    float* y = result<float>(frame);
    T* sums = reinterpret_cast<T*>(frame.scratch + sums_);
    const int64_t n = windows_.channels;
    windows_.visit(
        [&](int64_t pixel, int64_t) {
          for (int64_t c = 0; c < n; ++c) sums[c] = T{0} + x[pixel + c];
        },
        [&](int64_t pixel, int64_t) {
          for (int64_t c = 0; c < n; ++c) sums[c] += x[pixel + c];
        },
        [&](int64_t cells, int64_t out) {
          for (int64_t c = 0; c < n; ++c) {
            double sum = static_cast<double>(sums[c]);
            if constexpr (std::integral<T>) sum *= x_.layout().step(c);  // alike in all pixels
            const auto rounded = static_cast<float>(sum);
            y[out + c] = divides_ ? rounded / static_cast<float>(cells) : rounded;
          }
        });
    store(frame, y);
  }
  reference::Input<T> x_;
  Windows windows_;
  bool divides_;
  int64_t sums_ = 0;
};

/// Sums of codes that are stored as codes.
class CodeSum final : public reference::Call {
 public:
  explicit CodeSum(const ReferenceSpec& spec) : Call(spec), x_(*this, 0), windows_(spec) {}

 private:
  void sample(const Frame& frame) const noexcept override {
    const int64_t* x = x_.at(frame);
    auto* y = result<int64_t>(frame);
    const int64_t n = windows_.channels;
    windows_.visit(
        [&](int64_t pixel, int64_t out) { std::copy(x + pixel, x + pixel + n, y + out); },
        [&](int64_t pixel, int64_t out) {
          for (int64_t c = 0; c < n; ++c) y[out + c] += x[pixel + c];
        },
        [](int64_t, int64_t) {});
    store(frame, y);
  }
  reference::Input<int64_t> x_;
  Windows windows_;
};

std::unique_ptr<ReferenceCall> prepare(const ReferenceSpec& spec) {
  const ops::PoolKind kind = from_attributes<ops::Pool>(spec.attributes).kind;
  if (kind == ops::PoolKind::sum && spec.results.at(0).has_codes())
    return std::make_unique<CodeSum>(spec);
  if (kind == ops::PoolKind::max)
    return reference::codes_or_values<Maximum<int64_t>, Maximum<float>>(spec);
  const TensorType& x = spec.operands.at(0);
  std::vector<int64_t> axes{1};
  if (x.rank() == 4) axes.push_back(2);
  if (x.has_codes() &&
      reference::step_is_constant_along(reference::Layout(x, Storage::f32()), axes))
    return std::make_unique<Average<int64_t>>(spec);
  return std::make_unique<Average<double>>(spec);
}

double cost(const Query& query) {
  double cells = 1;
  for (const int64_t size : from_attributes<ops::Pool>(query.node->attributes).sizes)
    cells *= static_cast<double>(size);
  return reference::elements_ns(query, 1.0 + 0.9 * cells);
}

}  // namespace

extern constinit const KernelDef reference_pool{
    .name = "reference_pool",
    .doc = "Maximum, average or sum over windows, in plain loops.",
    .source = "own",
    .reference_op = &ops::pool,
    .reference = prepare,
    .reference_ns = cost};

}  // namespace qloom::kernels
