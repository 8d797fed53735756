#include "kernels/reference/products.h"

#include <algorithm>
#include <limits>

namespace qloom::kernels::reference {
namespace {

/// sums[k] += value · row[k]
template <class T>
void add_row(T* __restrict sums, T value, const T* __restrict row, int64_t n) noexcept {
  for (int64_t k = 0; k < n; ++k) sums[k] += value * row[k];
}
/// sums[k] += values[k] · row[k]
template <class T>
void add_products(T* __restrict sums, const T* __restrict values, const T* __restrict row,
                  int64_t n) noexcept {
  for (int64_t k = 0; k < n; ++k) sums[k] += values[k] * row[k];
}

template <class T>
void pixel_sums(const ProductShape& s, const T* image, const T* w, int64_t i, int64_t j,
                T* sums) noexcept {
  const int64_t channels = s.inputs * s.groups, per_group = s.outputs / s.groups;
  std::fill(sums, sums + s.outputs, T{0});
  for (int64_t r = s.rows.first_tap(i); r < s.rows.end_tap(i); ++r)
    for (int64_t t = s.columns.first_tap(j); t < s.columns.end_tap(j); ++t) {
      const int64_t row = s.rows.at(i, r), column = s.columns.at(j, t);
      if (row < 0 || column < 0) continue;
      const T* pixel = image + (row * s.columns.in + column) * channels;
      const T* tap = w + (s.rows.stored_tap(r) * s.columns.taps + s.columns.stored_tap(t)) *
                             s.inputs * s.outputs;
      if (s.inputs == 1 && per_group == 1) {
        add_products(sums, pixel, tap, s.outputs);
        continue;
      }
      for (int64_t group = 0; group < s.groups; ++group)
        for (int64_t c = 0; c < s.inputs; ++c)
          add_row(sums + group * per_group, pixel[group * s.inputs + c],
                  tap + c * s.outputs + group * per_group, per_group);
    }
}

template <class T>
class Products final : public Call {
 public:
  Products(const ReferenceSpec& spec, const ProductShape& shape)
      : Call(spec), shape_(shape), x_(*this, 0), w_(*this, 1) {
    const int64_t channels = shape.inputs * shape.groups;
    qloom_assert(x_.layout().elements == shape.rows.in * shape.columns.in * channels &&
                     w_.layout().elements ==
                         shape.rows.taps * shape.columns.taps * shape.inputs * shape.outputs &&
                     elements_per_sample(result_type().shape) ==
                         shape.rows.out * shape.columns.out * shape.outputs,
                 spec.kernel, ": ", type(0), " and ", type(1), " do not make ", result_type());
    if constexpr (std::integral<T>) align_steps();
  }

 private:
  /// Finds the steps left outside of the sums, and checks that they make the declared ones.
  void align_steps()
    requires std::integral<T>
  {
    const Layout &x = x_.layout(), &w = w_.layout(), out(result_type(), Storage::f32());
    double x_step = x.steps[0];
    if (x.steps.size() > 1) {
      x_step = *std::min_element(x.steps.begin(), x.steps.end());
      x_.multiply_by(factors_to(x.steps, std::vector<double>(x.steps.size(), x_step)));
    }
    const auto channels = static_cast<size_t>(shape_.outputs);
    std::vector<double> w_steps(channels, w.steps[0]);
    if (w.steps.size() > 1) {
      for (size_t i = 0; i < w.steps.size(); ++i)
        w_steps[i % channels] =
            i < channels ? w.steps[i] : std::min(w_steps[i % channels], w.steps[i]);
      std::vector<double> spread(w.steps.size());
      for (size_t i = 0; i < spread.size(); ++i) spread[i] = w_steps[i % channels];
      w_.multiply_by(factors_to(w.steps, spread));
    }
    for (size_t k = 0; k < channels; ++k)
      qloom_assert(x_step * w_steps[k] == out.step(static_cast<int64_t>(k)), spec().kernel,
                   ": products of ", type(0), " and ", type(1), " have the step ",
                   x_step * w_steps[k], " in channel ", k, ", declared is ", result_type());
  }

  std::vector<int64_t> factors_to(const std::vector<double>& from, const std::vector<double>& to) {
    std::vector<int64_t> factors;
    bool changes = false;
    for (size_t i = 0; i < from.size(); ++i) {
      const double factor = from[i] == to[i] ? 1 : from[i] / to[i];
      qloom_assert(factor >= 1 && factor < 0x1p62 &&
                       factor == static_cast<double>(static_cast<int64_t>(factor)),
                   spec().kernel, ": steps of ", type(0), " and ", type(1),
                   " do not factor out of the sum");
      factors.push_back(static_cast<int64_t>(factor));
      changes = changes || factor != 1;
    }
    if (!changes) factors.clear();
    return factors;
  }

  void sample(const Frame& frame) const noexcept override {
    const T *x = x_.at(frame), *w = w_.at(frame);
    T* const sums = result<T>(frame);
    T* pixel = sums;
    for (int64_t i = 0; i < shape_.rows.out; ++i)
      for (int64_t j = 0; j < shape_.columns.out; ++j, pixel += shape_.outputs)
        pixel_sums(shape_, x, w, i, j, pixel);
    store(frame, sums);
  }

  ProductShape shape_;
  Input<T> x_, w_;
};

int64_t ceil_div(int64_t n, int64_t d) { return n <= 0 ? 0 : (n + d - 1) / d; }

}  // namespace

int64_t Axis::first_tap(int64_t i) const { return ceil_div(before - i * stride, dilation); }
int64_t Axis::end_tap(int64_t i) const {
  return std::min(taps, ceil_div((in - 1) * spread + 1 + before - i * stride, dilation));
}

Axis axis_of(int64_t in, int64_t out, int64_t taps, int64_t stride, int64_t dilation,
             std::string_view padding) {
  Axis a{.in = in, .out = out, .taps = taps, .stride = stride, .dilation = dilation};
  const int64_t reach = (taps - 1) * dilation;
  if (padding == "causal") a.before = reach;
  if (padding == "same") a.before = std::max<int64_t>((out - 1) * stride + reach + 1 - in, 0) / 2;
  return a;
}

ProductShape product_shape(
    const ReferenceSpec& spec, std::span<const int64_t> strides, std::span<const int64_t> dilations,
    int64_t groups, const std::function<Axis(int64_t x, int64_t w, int64_t y, size_t i)>& axis) {
  const Extents x = qloom::bind(spec.operands.at(0).shape, 1),
                w = qloom::bind(spec.operands.at(1).shape, 1),
                y = qloom::bind(spec.results.at(0).shape, 1);
  const size_t rank = x.size();
  qloom_assert((rank == 3 || rank == 4) && w.size() == rank && y.size() == rank &&
                   strides.size() == rank - 2 && dilations.size() == rank - 2,
               spec.kernel, ": ", spec.operands[0], " and ", spec.operands[1]);
  const auto of = [&](size_t i) { return axis(x[i + 1], w[i], y[i + 1], i); };
  ProductShape s;
  if (rank == 4) s.rows = of(0);
  s.columns = of(rank - 3);
  s.groups = groups;
  s.inputs = w[rank - 2];
  s.outputs = w[rank - 1];
  return s;
}

std::unique_ptr<ReferenceCall> make_products(const ReferenceSpec& spec, const ProductShape& shape) {
  const TensorType& result = spec.results.at(0);
  if (!result.has_codes()) return std::make_unique<Products<double>>(spec, shape);
  if (fits(result, Storage::dwords())) return std::make_unique<Products<uint32_t>>(spec, shape);
  return std::make_unique<Products<uint64_t>>(spec, shape);
}

}  // namespace qloom::kernels::reference
