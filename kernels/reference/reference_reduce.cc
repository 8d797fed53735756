// kernels/reference/reference_reduce.cc — sum, mean, maximum or minimum over whole axes.
// Sum: exact where x has codes on one step along the axes, else float64 in ascending order, rounded
// once. Mean: that sum in float32, divided once by the count.
#include <algorithm>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "kernels/kernels_table.h"
#include "kernels/reference/reference.h"

namespace qloom::kernels {
namespace {

using reference::Frame;

/// Where the elements of x go.
struct Targets {
  explicit Targets(const ReferenceSpec& spec) {
    const auto axes = from_attributes<ops::Reduce>(spec.attributes).axes;
    const Extents x = qloom::bind(spec.operands.at(0).shape, 1);
    std::vector<int64_t> strides(x.size(), 0);
    const std::vector<int64_t> own = reference::strides_of(x);
    for (size_t a = x.size(); a-- > 0;)
      if (std::find(axes.begin(), axes.end(), static_cast<int64_t>(a)) == axes.end()) {
        strides[a] = results;
        results *= x[a];
      } else {
        count *= x[a];
      }
    qloom_assert(results == elements_per_sample(spec.results.at(0).shape), spec.kernel, ": ",
                 spec.operands[0], " to ", spec.results[0]);
    for (int64_t i = 0; i < results * count; ++i) {
      int64_t at = 0;
      for (size_t a = 0; a < x.size(); ++a) at += i / own[a] % x[a] * strides[a];
      target.push_back(at);
    }
    source.assign(static_cast<size_t>(results), 0);
    for (size_t i = target.size(); i-- > 0;)
      source[static_cast<size_t>(target[i])] = static_cast<int64_t>(i);
  }
  int64_t results = 1, count = 1;
  std::vector<int64_t> target;  // of each element of x
  std::vector<int64_t> source;  // the first element of x of each result
};

template <class T>
class Extreme final : public reference::Call {
 public:
  explicit Extreme(const ReferenceSpec& spec)
      : Call(spec),
        x_(*this, 0),
        t_(spec),
        max_(attributes<ops::Reduce>().kind == ops::ReduceKind::max) {}

 private:
  void sample(const Frame& frame) const noexcept override {
    const T* x = x_.at(frame);
    T* y = result<T>(frame);
    for (size_t o = 0; o < t_.source.size(); ++o) y[o] = x[t_.source[o]];
    for (size_t i = 0; i < t_.target.size(); ++i) {
      T& best = y[t_.target[i]];
      if ((max_ ? x[i] > best : x[i] < best) || x[i] != x[i]) best = x[i];  // NaN stays
    }
    store(frame, y);
  }
  reference::Input<T> x_;
  Targets t_;
  bool max_;
};

/// T: int64_t where the sum is exact, double else.
template <class T>
class Sum final : public reference::Call {
 public:
  explicit Sum(const ReferenceSpec& spec)
      : Call(spec),
        x_(*this, 0),
        t_(spec),
        mean_(attributes<ops::Reduce>().kind == ops::ReduceKind::mean),
        divisor_(std::max<int64_t>(t_.count - attributes<ops::Reduce>().correction, 1)) {
    values_ = reserve_array<float>(t_.results);
    if (mean_) return;
    if constexpr (std::integral<T>)
      if (result_has_codes()) {  // the steps of the sum are those of x
        const reference::Layout out(result_type(), Storage::f32());
        for (size_t o = 0; o < t_.source.size(); ++o)
          qloom_assert(out.step(static_cast<int64_t>(o)) == x_.layout().step(t_.source[o]),
                       spec.kernel, ": ", type(0), " has other steps than ", result_type());
      }
  }

 private:
  void sample(const Frame& frame) const noexcept override {
    const T* x = x_.at(frame);
    T* sums = result<T>(frame);
    std::fill(sums, sums + t_.results, T{0});
    for (size_t i = 0; i < t_.target.size(); ++i) sums[t_.target[i]] += x[i];
    if (std::integral<T> && result_has_codes() && !mean_) return store(frame, sums);
    float* y = reinterpret_cast<float*>(frame.scratch + values_);
    for (int64_t o = 0; o < t_.results; ++o) {
      double sum = static_cast<double>(sums[o]);
      if constexpr (std::integral<T>) sum *= x_.layout().step(t_.source[static_cast<size_t>(o)]);
      y[o] = static_cast<float>(sum);
      if (mean_) y[o] /= static_cast<float>(divisor_);
    }
    store(frame, y);
  }
  reference::Input<T> x_;
  Targets t_;
  bool mean_;
  int64_t divisor_;
  int64_t values_ = 0;
};

std::unique_ptr<ReferenceCall> prepare(const ReferenceSpec& spec) {
  const auto r = from_attributes<ops::Reduce>(spec.attributes);
  qloom_assert(!r.over_batch, spec.kernel, " sees one sample at a time");
  if (r.kind == ops::ReduceKind::max || r.kind == ops::ReduceKind::min)
    return reference::codes_or_values<Extreme<int64_t>, Extreme<float>>(spec);
  const TensorType& x = spec.operands.at(0);
  if (x.has_codes() &&
      reference::step_is_constant_along(reference::Layout(x, Storage::f32()), r.axes))
    return std::make_unique<Sum<int64_t>>(spec);
  return std::make_unique<Sum<double>>(spec);
}

double cost(const Query& query) {
  return 0.65 * static_cast<double>(elements_per_sample(query.input.shape));
}

}  // namespace

extern constinit const KernelDef reference_reduce{
    .name = "reference_reduce",
    .doc = "Sum, mean, maximum or minimum over whole axes, in plain loops.",
    .source = "own",
    .reference_op = &ops::reduce,
    .reference = prepare,
    .reference_ns = cost};

}  // namespace qloom::kernels
