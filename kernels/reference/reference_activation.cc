// kernels/reference/reference_activation.cc — plain functions of each element, by name.
// Piecewise-linear ones are rounded operation by operation; what needs exp, erf or tanh is computed
// in float64 and rounded once, by the formulas of emitted kernels: no choice of a kernel changes a
// bit.
#include <algorithm>
#include <array>
#include <cmath>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "kernels/functions/float_function.h"
#include "kernels/kernels_table.h"
#include "kernels/reference/reference.h"

namespace qloom::kernels {
namespace {

struct Parameters {
  explicit Parameters(const ops::Activation& a)
      : has_top(a.max_value.has_value()),
        top(static_cast<float>(a.max_value.value_or(0))),
        slope(static_cast<float>(a.negative_slope)),
        has_slope(a.negative_slope != 0),
        threshold(static_cast<float>(a.threshold)),
        alpha(static_cast<float>(a.alpha)),
        has_alpha(a.alpha != 1) {}
  bool has_top;
  float top, slope;
  bool has_slope;
  float threshold, alpha;
  bool has_alpha;
};

float unit(float v) {  // NaN passes
  if (v > 1) return 1;
  return v < 0 ? 0.0f : v;
}
/// clip(slope·x + 1/2, 0, 1)
float hard(float slope, float x) { return unit(slope * x + 0.5f); }
float rounded(float v) { return std::nearbyint(v) + 0.0f; }  // no -0
float two_sided(float v) { return 2.0f * v - 1.0f; }

float relu(const Parameters& p, float x) {
  if (p.has_top && x >= p.top) return p.top;
  if (std::isnan(x) || x > p.threshold) return x;
  return p.has_slope ? p.slope * (x - p.threshold) : 0.0f;
}
float elu(const Parameters& p, float x) {
  if (x > 0) return x;
  const float y = apply(FloatFunction::elu, x);
  return p.has_alpha ? p.alpha * y : y;
}
template <FloatFunction f>
float function(const Parameters&, float x) {
  return apply(f, x);
}

struct Function {
  std::string_view name;
  float (*apply)(const Parameters&, float);
};

using P = const Parameters&;
constexpr Function kFunctions[] = {
    {"linear", [](P, float x) { return x; }},
    {"relu", relu},
    {"leaky_relu", [](P p, float x) { return x > 0 ? x : p.slope * x; }},
    {"elu", elu},
    {"selu", function<FloatFunction::selu>},
    {"softplus", function<FloatFunction::softplus>},
    {"softsign", [](P, float x) { return x / (1.0f + std::abs(x)); }},
    {"swish", [](P, float x) { return x * apply(FloatFunction::sigmoid, x); }},
    {"gelu", function<FloatFunction::gelu>},
    {"exponential", function<FloatFunction::exponential>},
    {"mish", function<FloatFunction::mish>},
    {"sigmoid", function<FloatFunction::sigmoid>},
    {"tanh", function<FloatFunction::tanh>},
    {"keras_hard_sigmoid", [](P, float x) { return hard(0.2f, x); }},
    {"hard_sigmoid", [](P, float x) { return hard(0.5f, x); }},
    {"smooth_sigmoid", [](P, float x) { return hard(0.1875f, x); }},
    {"binary_sigmoid", [](P, float x) { return rounded(hard(0.5f, x)); }},
    {"hard_tanh", [](P, float x) { return two_sided(hard(0.5f, x)); }},
    {"smooth_tanh", [](P, float x) { return two_sided(hard(0.1875f, x)); }},
    {"binary_tanh", [](P, float x) { return two_sided(rounded(hard(0.5f, x))); }},
    {"sqrt", [](P, float x) { return std::sqrt(x); }},
    {"abs", [](P, float x) { return std::fabs(x); }},
    {"log2", [](P, float x) { return static_cast<float>(std::log2(double{x})); }},
    {"exp2", [](P, float x) { return static_cast<float>(std::exp2(double{x})); }},
    {"ceil", [](P, float x) { return std::ceil(x); }},
    {"round", [](P, float x) { return rounded(x); }},
    {"is_positive", [](P, float x) { return x > 0 ? 1.0f : 0.0f; }},
};

class Values final : public reference::Call {
 public:
  explicit Values(const ReferenceSpec& spec)
      : Call(spec), x_(*this, 0), parameters_(attributes<ops::Activation>()) {
    const std::string name = attributes<ops::Activation>().function;
    for (const Function& f : kFunctions)
      if (f.name == name) apply_ = f.apply;
    qloom_assert(apply_ != nullptr, spec.kernel, " knows no function '", name, "'");
  }

 private:
  void sample(const reference::Frame& frame) const noexcept override {
    const float* x = x_.at(frame);
    float* y = result<float>(frame);
    for (int64_t i = 0; i < x_.layout().elements; ++i) y[i] = apply_(parameters_, x[i]);
    store(frame, y);
  }
  reference::Input<float> x_;
  Parameters parameters_;
  float (*apply_)(const Parameters&, float) = nullptr;
};

/// linear and relu on codes: clipped to the declared interval, which begins at 0 for relu.
class Codes final : public reference::Call {
 public:
  explicit Codes(const ReferenceSpec& spec)
      : Call(spec),
        x_(*this, 0),
        clips_(attributes<ops::Activation>().function == "relu"),
        top_(result_type().numeric.grid()->hi) {
    const reference::Layout out(result_type(), Storage::f32());
    qloom_assert(reference::factors_between(x_.layout(), out).empty(), spec.kernel, ": ", type(0),
                 " has other steps than ", result_type());
  }

 private:
  void sample(const reference::Frame& frame) const noexcept override {
    const int64_t* x = x_.at(frame);
    if (!clips_) return store(frame, x);
    int64_t* y = result<int64_t>(frame);
    for (int64_t i = 0; i < x_.layout().elements; ++i)
      y[i] = std::min(std::max<int64_t>(x[i], 0), top_);
    store(frame, y);
  }
  reference::Input<int64_t> x_;
  bool clips_;
  int64_t top_;
};

std::unique_ptr<ReferenceCall> prepare(const ReferenceSpec& spec) {
  const std::string function = from_attributes<ops::Activation>(spec.attributes).function;
  const bool on_codes = function == "linear" || function == "relu";
  if (on_codes && spec.results.at(0).has_codes()) return std::make_unique<Codes>(spec);
  return std::make_unique<Values>(spec);
}

double cost(const Query& query) { return reference::elements_ns(query, 20); }

}  // namespace

extern constinit const KernelDef reference_activation{
    .name = "reference_activation",
    .doc = "A plain function of each element, by name.",
    .source = "own",
    .reference_op = &ops::activation,
    .reference = prepare,
    .reference_ns = cost};

}  // namespace qloom::kernels
