// kernels/reference/reference_masking.cc — time steps whose features all equal a value become
// zeros.
#include <algorithm>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "kernels/kernels_table.h"
#include "kernels/reference/reference.h"

namespace qloom::kernels {
namespace {

template <class T>
class Masking final : public reference::Call {
 public:
  explicit Masking(const ReferenceSpec& spec)
      : Call(spec),
        values_(*this, 0),
        x_(*this, 0),
        mask_(static_cast<float>(attributes<ops::Masking>().mask_value)) {}

 private:
  void sample(const reference::Frame& frame) const noexcept override {
    const float* values = values_.at(frame);
    const T* x = x_.at(frame);
    T* y = result<T>(frame);
    const int64_t features = x_.layout().last;
    for (int64_t i = 0; i < x_.layout().elements; i += features) {
      const float mask = mask_;
      const bool masked =
          std::all_of(values + i, values + i + features, [=](float v) { return v == mask; });
      // A product as Keras forms it: -1·0 is -0, inf·0 NaN.
      for (int64_t k = i; k < i + features; ++k) y[k] = x[k] * (masked ? T{0} : T{1});
    }
    store(frame, y);
  }
  reference::Input<float> values_;
  reference::Input<T> x_;
  float mask_;
};

double cost(const Query& query) { return reference::elements_ns(query, 6); }

}  // namespace

extern constinit const KernelDef reference_masking{
    .name = "reference_masking",
    .doc = "Time steps whose features all equal a value become zeros.",
    .source = "own",
    .reference_op = &ops::masking,
    .reference = reference::codes_or_values<Masking<int64_t>, Masking<float>>,
    .reference_ns = cost};

}  // namespace qloom::kernels
