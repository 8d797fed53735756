// kernels/reference/reference_elementwise.cc — one float32 operation per element, with
// broadcasting. Where the result has codes, its type promises that both operands and it stay within
// 2^24 steps of a power of two, so that the float32 operation is exact and the code is value /
// step.
#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "kernels/kernels_table.h"
#include "kernels/reference/reference.h"

namespace qloom::kernels {
namespace {

using ops::Elementwise;

class Binary final : public reference::Call {
 public:
  explicit Binary(const ReferenceSpec& spec)
      : Call(spec), a_(*this, 0), b_(*this, 1), attributes_(attributes<ops::ElementwiseOp>()) {
    by_reciprocal_ = attributes_.kind == Elementwise::divide && attributes_.constant_divisor &&
                     options().division == Division::reciprocal;
    to_ = qloom::bind(result_type().shape, 1);
    elements_ = elements_per_sample(result_type().shape);
    a_at_ = places(a_.layout());
    b_at_ = places(b_.layout());
  }

 private:
  /// Element of the operand for each of the result; empty where it is the same one.
  std::vector<int64_t> places(const reference::Layout& layout) const {
    if (layout.extents == to_) return {};
    const std::vector<int64_t> from = broadcast_strides(layout.extents, to_),
                               own = reference::strides_of(to_);
    std::vector<int64_t> out;
    for (int64_t i = 0; i < elements_; ++i) {
      int64_t at = 0;
      for (size_t axis = 0; axis < to_.size(); ++axis) at += i / own[axis] % to_[axis] * from[axis];
      out.push_back(at);
    }
    return out;
  }

  template <class Operation>
  void each(const reference::Frame& frame, const Operation& operation) const noexcept {
    const float *a = a_.at(frame), *b = b_.at(frame);
    float* y = result<float>(frame);
    for (int64_t i = 0; i < elements_; ++i) {
      const auto at = static_cast<size_t>(i);
      y[i] = operation(a[a_at_.empty() ? i : a_at_[at]], b[b_at_.empty() ? i : b_at_[at]]);
    }
    store(frame, y);
  }

  void sample(const reference::Frame& frame) const noexcept override {
    switch (attributes_.kind) {
      case Elementwise::add:
        return each(frame, [](float a, float b) { return a + b; });
      case Elementwise::subtract:
        return each(frame, [](float a, float b) { return a - b; });
      case Elementwise::multiply:
        return each(frame, [](float a, float b) { return a * b; });
      case Elementwise::divide:
        if (by_reciprocal_) return each(frame, [](float a, float b) { return a * (1.0f / b); });
        return each(frame, [](float a, float b) { return a / b; });
      case Elementwise::maximum:  // NaN passes
        return each(frame, [](float a, float b) { return a != a || a > b ? a : b; });
      case Elementwise::minimum:
        return each(frame, [](float a, float b) { return a != a || a < b ? a : b; });
    }
  }

  reference::Input<float> a_, b_;
  ops::ElementwiseOp attributes_;
  bool by_reciprocal_ = false;
  Extents to_;
  int64_t elements_ = 0;
  std::vector<int64_t> a_at_, b_at_;
};

std::unique_ptr<ReferenceCall> prepare(const ReferenceSpec& spec) {
  return std::make_unique<Binary>(spec);
}

double cost(const Query& query) { return reference::elements_ns(query, 2.5); }

}  // namespace

extern constinit const KernelDef reference_elementwise{
    .name = "reference_elementwise",
    .doc = "One float32 operation per element, with broadcasting.",
    .source = "own",
    .reference_op = &ops::elementwise,
    .reference = prepare,
    .reference_ns = cost};

}  // namespace qloom::kernels
