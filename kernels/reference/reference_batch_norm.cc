// kernels/reference/reference_batch_norm.cc — batch normalization in Keras's orders of rounding.
//   r = 1 / √(variance + ε), i = r·gamma (quantized if asked for), each operation rounded
//   affine             x·i + (beta − mean·i)
//   centered           (x − mean)·i + beta
//   centered, fused    fma((x − mean)·r, gamma, beta)
#include <cmath>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/quantizer.h"
#include "kernels/kernels_table.h"
#include "kernels/reference/reference.h"

namespace qloom::kernels {
namespace {

using reference::Frame;

class BatchNorm final : public reference::Call {
 public:
  explicit BatchNorm(const ReferenceSpec& spec)
      : Call(spec),
        x_(*this, 0),
        gamma_(*this, 1),
        beta_(*this, 2),
        mean_(*this, 3),
        variance_(*this, 4),
        attributes_(attributes<ops::BatchNorm>()) {
    const Extents& extents = x_.layout().extents;
    const auto rank = static_cast<int64_t>(extents.size());
    const int64_t axis = attributes_.axis < 0 ? attributes_.axis + rank : attributes_.axis;
    qloom_assert(axis >= 0 && axis < rank, spec.kernel, ": axis ", attributes_.axis, " of ",
                 type(0));
    channels_ = extents[static_cast<size_t>(axis)];
    for (auto a = static_cast<size_t>(axis) + 1; a < extents.size(); ++a) inner_ *= extents[a];
    for (const auto* p : {&gamma_, &beta_, &mean_, &variance_})
      qloom_assert(p->layout().elements == channels_, spec.kernel, ": ", p->layout().type, " for ",
                   channels_, " channels");
    const bool fused = options().batch_norm == BatchNormRounding::fused_multiply_add;
    form_ = attributes_.form == ops::BatchNormForm::affine ? Form::affine
            : fused                                        ? Form::fused
                                                           : Form::centered;
    factors_ = reserve_array<float>(channels_);
    if (gamma_.is_constant() && variance_.is_constant()) {
      constant_factors_.resize(static_cast<size_t>(channels_));
      compute(gamma_.constant().data(), variance_.constant().data(), constant_factors_.data());
    }
    qloom_assert(attributes_.inverse_quantizer.empty() || !constant_factors_.empty(), spec.kernel,
                 ": an inverse quantizer needs constant parameters");
  }

 private:
  enum class Form : uint8_t { affine, centered, fused };

  /// i, or r where i is not formed.
  void compute(const float* gamma, const float* variance, float* out) const {
    const auto epsilon = static_cast<float>(attributes_.epsilon);
    for (int64_t k = 0; k < channels_; ++k) {
      const float root = std::sqrt(variance[k] + epsilon);
      const float r = 1.0f / root;
      out[k] = form_ == Form::fused ? r : r * gamma[k];
    }
    if (attributes_.inverse_quantizer.empty() || form_ == Form::fused) return;
    const EvaluationOptions o = options();
    const Quantized q =
        Quantizer::from_config(attributes_.inverse_quantizer, attributes_.inverse_arguments)
            .forward(Tensor({channels_}, std::vector<float>(out, out + channels_)),
                     {.internal_sigmoid = o.internal_sigmoid, .division = o.division});
    const Tensor& value = q.q && o.evaluation == Evaluation::canonical ? *q.q : q.y;
    std::copy(value.f32().begin(), value.f32().end(), out);
  }

  template <class Formula>
  void each(const Frame& frame, const Formula& formula) const noexcept {
    const float *x = x_.at(frame), *gamma = gamma_.at(frame), *beta = beta_.at(frame),
                *mean = mean_.at(frame), *variance = variance_.at(frame);
    const float* factors = constant_factors_.data();
    if (constant_factors_.empty()) {
      auto* own = reinterpret_cast<float*>(frame.scratch + factors_);
      compute(gamma, variance, own);
      factors = own;
    }
    float* y = result<float>(frame);
    const int64_t outer = channels_ * inner_ == 0 ? 0 : x_.layout().elements / (channels_ * inner_);
    int64_t i = 0;
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t k = 0; k < channels_; ++k)
        for (int64_t j = 0; j < inner_; ++j, ++i)
          y[i] = formula(x[i], factors[k], gamma[k], beta[k], mean[k]);
    store(frame, y);
  }

  void sample(const Frame& frame) const noexcept override {
    switch (form_) {
      case Form::affine:
        return each(frame, [](float x, float i, float, float beta, float mean) {
          return x * i + (beta - mean * i);
        });
      case Form::centered:
        return each(frame, [](float x, float i, float, float beta, float mean) {
          return (x - mean) * i + beta;
        });
      case Form::fused:
        return each(frame, [](float x, float r, float gamma, float beta, float mean) {
          return std::fma((x - mean) * r, gamma, beta);
        });
    }
  }

  reference::Input<float> x_, gamma_, beta_, mean_, variance_;
  ops::BatchNorm attributes_;
  Form form_ = Form::affine;
  int64_t channels_ = 0, inner_ = 1;
  int64_t factors_ = 0;
  std::vector<float> constant_factors_;
};

std::unique_ptr<ReferenceCall> prepare(const ReferenceSpec& spec) {
  return std::make_unique<BatchNorm>(spec);
}

double cost(const Query& query) { return reference::elements_ns(query, 10); }

}  // namespace

extern constinit const KernelDef reference_batch_norm{
    .name = "reference_batch_norm",
    .doc = "Batch normalization at inference, rounded in Keras's order.",
    .source = "own",
    .reference_op = &ops::batch_norm,
    .reference = prepare,
    .reference_ns = cost};

}  // namespace qloom::kernels
