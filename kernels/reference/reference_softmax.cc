// kernels/reference/reference_softmax.cc — exp(x − max) / Σ exp(x − max), in float64, rounded once.
// The exponential is that of emitted kernels.
#include <cmath>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "kernels/functions/formulas.h"
#include "kernels/kernels_table.h"
#include "kernels/reference/reference.h"

namespace qloom::kernels {
namespace {

class Softmax final : public reference::Call {
 public:
  explicit Softmax(const ReferenceSpec& spec) : Call(spec), x_(*this, 0) {
    const Extents& extents = x_.layout().extents;
    const auto rank = static_cast<int64_t>(extents.size());
    int64_t axis = attributes<ops::Softmax>().axis;
    if (axis < 0) axis += rank;
    qloom_assert(axis >= 0 && axis < rank, spec.kernel, ": axis ", axis, " of ", type(0));
    n_ = extents[static_cast<size_t>(axis)];
    for (auto a = static_cast<size_t>(axis) + 1; a < extents.size(); ++a) inner_ *= extents[a];
    powers_ = reserve_array<double>(n_);
  }

 private:
  void line(const float* x, double* powers, float* y) const noexcept {
    double largest = -INFINITY;
    for (int64_t i = 0; i < n_; ++i) {
      const double v = x[i * inner_];
      if (largest < v) largest = v;
    }
    double sum = 0;
    for (int64_t i = 0; i < n_; ++i) {
      powers[i] = formulas::exponential(double{x[i * inner_]} - largest);
      sum += powers[i];
    }
    for (int64_t i = 0; i < n_; ++i) y[i * inner_] = static_cast<float>(powers[i] / sum);
  }

  void sample(const reference::Frame& frame) const noexcept override {
    const float* x = x_.at(frame);
    float* y = result<float>(frame);
    auto* powers = reinterpret_cast<double*>(frame.scratch + powers_);
    const int64_t block = n_ * inner_;
    for (int64_t o = 0; block > 0 && o < x_.layout().elements; o += block)
      for (int64_t j = 0; j < inner_; ++j) line(x + o + j, powers, y + o + j);
    store(frame, y);
  }

  reference::Input<float> x_;
  int64_t n_ = 0, inner_ = 1, powers_ = 0;
};

std::unique_ptr<ReferenceCall> prepare(const ReferenceSpec& spec) {
  return std::make_unique<Softmax>(spec);
}

double cost(const Query& query) { return reference::elements_ns(query, 20); }

}  // namespace

extern constinit const KernelDef reference_softmax{
    .name = "reference_softmax",
    .doc = "exp(x - max) / sum along an axis, in float64, rounded once.",
    .source = "own",
    .reference_op = &ops::softmax,
    .reference = prepare,
    .reference_ns = cost};

}  // namespace qloom::kernels
