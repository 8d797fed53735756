// kernels/reference/reference_step_mask.cc — which time steps have an element that is not the mask
// value.
#include <algorithm>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "kernels/kernels_table.h"
#include "kernels/reference/reference.h"

namespace qloom::kernels {
namespace {

class StepMask final : public reference::Call {
 public:
  explicit StepMask(const ReferenceSpec& spec)
      : Call(spec),
        x_(*this, 0),
        mask_(static_cast<float>(attributes<ops::StepMask>().mask_value)) {
    steps_ = elements_per_sample(result_type().shape);
    features_ = x_.layout().elements / std::max<int64_t>(steps_, 1);
  }

 private:
  void sample(const reference::Frame& frame) const noexcept override {
    const float* x = x_.at(frame);
    auto* y = result<int64_t>(frame);
    for (int64_t t = 0; t < steps_; ++t, x += features_)
      y[t] = std::all_of(x, x + features_, [this](float v) { return v == mask_; }) ? 0 : 1;
    store(frame, y);
  }
  reference::Input<float> x_;
  float mask_;
  int64_t steps_ = 0, features_ = 0;
};

std::unique_ptr<ReferenceCall> prepare(const ReferenceSpec& spec) {
  return std::make_unique<StepMask>(spec);
}

double cost(const Query& query) { return reference::elements_ns(query, 6); }

}  // namespace

extern constinit const KernelDef reference_step_mask{
    .name = "reference_step_mask",
    .doc = "1 for time steps with an element that is not the mask value, else 0.",
    .source = "own",
    .reference_op = &ops::step_mask,
    .reference = prepare,
    .reference_ns = cost};

}  // namespace qloom::kernels
