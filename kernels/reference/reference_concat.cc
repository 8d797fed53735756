// kernels/reference/reference_concat.cc — operands one after the other along an axis.
#include <algorithm>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "kernels/kernels_table.h"
#include "kernels/reference/reference.h"

namespace qloom::kernels {
namespace {

template <class T>
class Concat final : public reference::Call {
 public:
  explicit Concat(const ReferenceSpec& spec) : Call(spec) {
    const int64_t axis = attributes<ops::Concat>().axis;
    qloom_assert(axis >= 0 && axis < result_type().rank(), spec.kernel, ": axis ", axis, " of ",
                 result_type());
    const Extents to = qloom::bind(result_type().shape, 1);
    for (int64_t a = 0; a < axis; ++a) outer_ *= to[static_cast<size_t>(a)];
    for (size_t i = 0; i < spec.operands.size(); ++i) {
      parts_.emplace_back(*this, i);
      reference::Input<T>& part = parts_.back();
      if constexpr (std::integral<T>) {
        // Another grid: one for the whole tensor, or another fraction under the same scale.
        const reference::Layout& from = part.layout();
        TensorType wanted = result_type();
        wanted.shape = type(i).shape;
        part.multiply_by(
            reference::factors_between(from, reference::Layout(wanted, Storage::f32())));
      }
      runs_.push_back(part.layout().elements / outer_);
      total_ += runs_.back();
    }
    qloom_assert(total_ * outer_ == elements_per_sample(result_type().shape), spec.kernel,
                 ": the operands do not make up ", result_type());
  }

 private:
  void sample(const reference::Frame& frame) const noexcept override {
    T* y = result<T>(frame);
    int64_t before = 0;
    for (size_t p = 0; p < parts_.size(); ++p) {
      const T* x = parts_[p].at(frame);
      for (int64_t o = 0; o < outer_; ++o)
        std::copy(x + o * runs_[p], x + (o + 1) * runs_[p], y + o * total_ + before);
      before += runs_[p];
    }
    store(frame, y);
  }
  std::vector<reference::Input<T>> parts_;
  std::vector<int64_t> runs_;  // elements of each operand that stand together
  int64_t outer_ = 1, total_ = 0;
};

double cost(const Query& query) { return reference::elements_ns(query, 1.2); }

}  // namespace

extern constinit const KernelDef reference_concat{
    .name = "reference_concat",
    .doc = "Operands one after the other along an axis.",
    .source = "own",
    .reference_op = &ops::concat,
    .reference = reference::codes_or_values<Concat<int64_t>, Concat<float>>,
    .reference_ns = cost};

}  // namespace qloom::kernels
