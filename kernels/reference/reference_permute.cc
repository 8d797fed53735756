// kernels/reference/reference_permute.cc — axes in another order.
#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "kernels/kernels_table.h"
#include "kernels/reference/reference.h"

namespace qloom::kernels {
namespace {

template <class T>
class Permute final : public reference::Call {
 public:
  explicit Permute(const ReferenceSpec& spec) : Call(spec), x_(*this, 0) {
    const auto axes = attributes<ops::Permute>().axes;
    const Extents& from = x_.layout().extents;
    const std::vector<int64_t> strides = reference::strides_of(from);
    qloom_assert(axes.size() == from.size(), spec.kernel, ": ", axes.size(), " axes for ", type(0));
    Extents to;
    for (const int64_t axis : axes) to.push_back(from.at(static_cast<size_t>(axis)));
    const std::vector<int64_t> own = reference::strides_of(to);
    for (int64_t i = 0; i < x_.layout().elements; ++i) {
      int64_t at = 0;
      for (size_t a = 0; a < to.size(); ++a)
        at += i / own[a] % to[a] * strides[static_cast<size_t>(axes[a])];
      source_.push_back(at);
    }
  }

 private:
  void sample(const reference::Frame& frame) const noexcept override {
    const T* x = x_.at(frame);
    T* y = result<T>(frame);
    for (size_t i = 0; i < source_.size(); ++i) y[i] = x[source_[i]];
    store(frame, y);
  }
  reference::Input<T> x_;
  std::vector<int64_t> source_;  // element of x for each of the result
};

double cost(const Query& query) { return reference::elements_ns(query, 1.3); }

}  // namespace

extern constinit const KernelDef reference_permute{
    .name = "reference_permute",
    .doc = "Axes in another order.",
    .source = "own",
    .reference_op = &ops::permute,
    .reference = reference::codes_or_values<Permute<int64_t>, Permute<float>>,
    .reference_ns = cost};

}  // namespace qloom::kernels
