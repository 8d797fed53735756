// kernels/reference/reference_pad.cc — zeros around x.
#include <algorithm>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "kernels/kernels_table.h"
#include "kernels/reference/reference.h"

namespace qloom::kernels {
namespace {

template <class T>
class Pad final : public reference::Call {
 public:
  explicit Pad(const ReferenceSpec& spec) : Call(spec), x_(*this, 0) {
    const auto before = attributes<ops::Pad>().before;
    const Extents &from = x_.layout().extents, to = qloom::bind(result_type().shape, 1);
    elements_ = elements_per_sample(result_type().shape);
    qloom_assert(before.size() == from.size() && to.size() == from.size(), spec.kernel, ": ",
                 before.size(), " entries for ", type(0));
    if constexpr (std::integral<T>) {
      // Codes may get another grid, one for the whole tensor.
      const reference::Layout out(result_type(), Storage::f32());
      if (out.steps.size() == 1) x_.multiply_by(reference::factors_between(x_.layout(), out));
    }
    const std::vector<int64_t> own = reference::strides_of(from),
                               strides = reference::strides_of(to);
    for (int64_t i = 0; i < x_.layout().elements; ++i) {
      int64_t at = 0;
      for (size_t a = 0; a < to.size(); ++a) at += (i / own[a] % from[a] + before[a]) * strides[a];
      qloom_assert(at < elements_, spec.kernel, ": ", type(0), " does not fit into ",
                   result_type());
      place_.push_back(at);
    }
  }

 private:
  void sample(const reference::Frame& frame) const noexcept override {
    const T* x = x_.at(frame);
    T* y = result<T>(frame);
    std::fill(y, y + elements_, T{0});
    for (size_t i = 0; i < place_.size(); ++i) y[place_[i]] = x[i];
    store(frame, y);
  }
  reference::Input<T> x_;
  int64_t elements_ = 0;
  std::vector<int64_t> place_;  // element of the result for each of x
};

double cost(const Query& query) { return reference::elements_ns(query, 0.8); }

}  // namespace

extern constinit const KernelDef reference_pad{
    .name = "reference_pad",
    .doc = "Zeros around x.",
    .source = "own",
    .reference_op = &ops::pad,
    .reference = reference::codes_or_values<Pad<int64_t>, Pad<float>>,
    .reference_ns = cost};

}  // namespace qloom::kernels
