// kernels/reference/reference_select.cc — element by element, one of two values.
#include "graph/ops_table.h"
#include "kernels/kernels_table.h"
#include "kernels/reference/reference.h"

namespace qloom::kernels {
namespace {

template <class T>
class Select final : public reference::Call {
 public:
  explicit Select(const ReferenceSpec& spec)
      : Call(spec), condition_(*this, 0), a_(*this, 1), b_(*this, 2) {
    to_ = qloom::bind(result_type().shape, 1);
    elements_ = elements_per_sample(result_type().shape);
    condition_at_ = places(condition_.layout());
    a_at_ = places(a_.layout());
    b_at_ = places(b_.layout());
    if constexpr (std::integral<T>) {
      scale_to_result(a_, 1);
      scale_to_result(b_, 2);
    }
  }

 private:
  /// Codes on the grid of the result, which holds both.
  void scale_to_result(reference::Input<T>& x, size_t operand)
    requires std::integral<T>
  {
    TensorType wanted = result_type();
    wanted.shape = type(operand).shape;
    x.multiply_by(
        reference::factors_between(x.layout(), reference::Layout(wanted, Storage::f32())));
  }

  /// Element of the operand for each of the result.
  std::vector<int64_t> places(const reference::Layout& layout) const {
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

  void sample(const reference::Frame& frame) const noexcept override {
    const float* condition = condition_.at(frame);
    const T *a = a_.at(frame), *b = b_.at(frame);
    T* y = result<T>(frame);
    for (int64_t i = 0; i < elements_; ++i) {
      const auto at = static_cast<size_t>(i);
      y[i] = condition[condition_at_[at]] != 0 ? a[a_at_[at]] : b[b_at_[at]];
    }
    store(frame, y);
  }

  reference::Input<float> condition_;
  reference::Input<T> a_, b_;
  Extents to_;
  int64_t elements_ = 0;
  std::vector<int64_t> condition_at_, a_at_, b_at_;
};

double cost(const Query& query) { return reference::elements_ns(query, 2.5); }

}  // namespace

extern constinit const KernelDef reference_select{
    .name = "reference_select",
    .doc = "One of two values, element by element.",
    .source = "own",
    .reference_op = &ops::select,
    .reference = reference::codes_or_values<Select<int64_t>, Select<float>>,
    .reference_ns = cost};

}  // namespace qloom::kernels
