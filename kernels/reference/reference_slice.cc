// kernels/reference/reference_slice.cc — elements of one axis at equal distances.
#include <algorithm>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "kernels/kernels_table.h"
#include "kernels/reference/reference.h"

namespace qloom::kernels {
namespace {

template <class T>
class Slice final : public reference::Call {
 public:
  explicit Slice(const ReferenceSpec& spec) : Call(spec), x_(*this, 0) {
    slice_ = attributes<ops::Slice>();
    const Extents& from = x_.layout().extents;
    const auto axis = static_cast<size_t>(slice_.axis);
    qloom_assert(axis < from.size(), spec.kernel, ": axis ", slice_.axis, " of ", type(0));
    extent_ = from[axis];
    for (size_t a = 0; a < axis; ++a) outer_ *= from[a];
    for (size_t a = axis + 1; a < from.size(); ++a) inner_ *= from[a];
    const int64_t last = slice_.begin + (slice_.count - 1) * slice_.stride;
    qloom_assert(slice_.begin >= 0 && slice_.begin < extent_ && last >= 0 && last < extent_,
                 spec.kernel, ": elements ", slice_.begin, " to ", last, " of ", type(0));
  }

 private:
  void sample(const reference::Frame& frame) const noexcept override {
    const T* x = x_.at(frame);
    T *const y = result<T>(frame), *to = y;
    for (int64_t o = 0; o < outer_; ++o)
      for (int64_t k = 0; k < slice_.count; ++k) {
        const T* from = x + (o * extent_ + slice_.begin + k * slice_.stride) * inner_;
        to = std::copy(from, from + inner_, to);
      }
    store(frame, y);
  }
  reference::Input<T> x_;
  ops::Slice slice_;
  int64_t extent_ = 1, outer_ = 1, inner_ = 1;
};

double cost(const Query& query) { return reference::elements_ns(query, 1.2); }

}  // namespace

extern constinit const KernelDef reference_slice{
    .name = "reference_slice",
    .doc = "Elements of one axis at equal distances.",
    .source = "own",
    .reference_op = &ops::slice,
    .reference = reference::codes_or_values<Slice<int64_t>, Slice<float>>,
    .reference_ns = cost};

}  // namespace qloom::kernels
