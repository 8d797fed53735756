// kernels/reference/reference_quantize.cc — a quantizer applied to a value.
// Monotone quantizers: thresholds (quantizer_table.h), looked up by binary search. Others, and
// those with a scale from the data: the quantizer's own `forward`, which allocates.
#include <cmath>
#include <cstring>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "kernels/kernels_table.h"
#include "kernels/reference/quantizer_table.h"
#include "kernels/reference/reference.h"

namespace qloom::kernels {
namespace {

using reference::Frame;

class Lookup final : public reference::Call {
 public:
  Lookup(const ReferenceSpec& spec, std::vector<reference::QuantizerTable> tables)
      : Call(spec), x_(*this, 0), tables_(std::move(tables)) {
    qloom_assert(tables_.size() == 1 || static_cast<int64_t>(tables_.size()) == x_.layout().last,
                 spec.kernel, ": ", tables_.size(), " scales for ", type(0));
  }

 private:
  void sample(const Frame& frame) const noexcept override {
    const float* x = x_.at(frame);
    int64_t* y = result<int64_t>(frame);
    const size_t channels = tables_.size();
    for (int64_t i = 0; i < x_.layout().elements; ++i)
      y[i] = tables_[channels == 1 ? 0 : static_cast<size_t>(i) % channels].code(x[i]);
    store(frame, y);
  }
  reference::Input<float> x_;
  std::vector<reference::QuantizerTable> tables_;
};

class Direct final : public reference::Call {
 public:
  Direct(const ReferenceSpec& spec, Quantizer quantizer, const QuantizeOptions& options)
      : Call(spec),
        x_(*this, 0),
        quantizer_(std::move(quantizer)),
        options_(options),
        whole_batch_(spec.results.size() > 1) {
    const Shape& shape = type(0).shape;
    qloom_assert(!whole_batch_ || !x_.layout().batched || shape[0].is_batch(), spec.kernel,
                 ": a scale from the data needs the batch first, x is ", type(0));
    // What the quantizer refuses it refuses here.
    (void)forward(std::vector<float>(static_cast<size_t>(x_.layout().elements), 0.0f), 1);
  }

  void run(void* const* buffers, int64_t count) const noexcept override {
    if (!whole_batch_) return Call::run(buffers, count);
    Frame frame{
        buffers, 0,
        static_cast<char*>(
            buffers[spec().operands.size() - spec().constants.size() + spec().outputs.size()])};
    const int64_t n = x_.layout().elements, samples = x_.layout().batched ? count : 1;
    std::vector<float> x(static_cast<size_t>(samples * n));
    for (; frame.sample < samples; ++frame.sample)
      std::memcpy(x.data() + frame.sample * n, x_.at(frame),
                  static_cast<size_t>(n) * sizeof(float));
    const Quantized out = forward(std::move(x), samples);
    for (frame.sample = 0; frame.sample < samples; ++frame.sample)
      store_from(frame, out, frame.sample * n);
    const std::vector<float> scale = scale_of(out);
    const int64_t per_sample = elements_per_sample(spec().results[1].shape);
    const int64_t scales = static_cast<int64_t>(scale.size()) / std::max<int64_t>(1, per_sample);
    for (frame.sample = 0; frame.sample < scales; ++frame.sample)
      store(frame, scale.data() + frame.sample * per_sample, 1);
  }

 private:
  Quantized forward(std::vector<float> x, int64_t samples) const {
    return quantizer_.forward(Tensor(qloom::bind(type(0).shape, samples), std::move(x)), options_);
  }

  void sample(const Frame& frame) const noexcept override {
    const float* x = x_.at(frame);
    const Quantized out = forward(std::vector<float>(x, x + x_.layout().elements), 1);
    store_from(frame, out, 0);
  }

  /// The elements of `out` from `begin` on are those of this sample.
  void store_from(const Frame& frame, const Quantized& out, int64_t begin) const {
    if (result_has_codes() && out.codes) return store(frame, out.codes->i64().data() + begin);
    float* y = result<float>(frame);
    const int64_t n = x_.layout().elements;
    if (out.codes && out.step) {
      const Extents& extents = out.codes->extents();
      const std::vector<int64_t> from = broadcast_strides(out.step->extents(), extents),
                                 own = reference::strides_of(extents);
      for (int64_t i = 0; i < n; ++i) {
        int64_t at = 0;
        for (size_t a = 0; a < own.size(); ++a) at += (begin + i) / own[a] % extents[a] * from[a];
        const auto code = static_cast<double>(out.codes->i64()[static_cast<size_t>(begin + i)]);
        y[i] = static_cast<float>(code * out.step->f64()[static_cast<size_t>(at)]);
      }
    } else {
      const Tensor& values = out.q ? *out.q : out.y;
      for (int64_t i = 0; i < n; ++i) y[i] = values.f32()[static_cast<size_t>(begin + i)];
    }
    store(frame, y);
  }

  /// The scale that belongs to the value set: step = 2^-fraction × scale.
  std::vector<float> scale_of(const Quantized& out) const {
    const Numeric values = quantizer_.values();
    std::vector<float> scale;
    if (out.step && values.grid()) {
      for (const double step : out.step->f64())
        scale.push_back(static_cast<float>(std::ldexp(step, values.grid()->fraction)));
      return scale;
    }
    if (!out.scale) return {1.0f};
    return {out.scale->f32().begin(), out.scale->f32().end()};
  }

  reference::Input<float> x_;
  Quantizer quantizer_;
  QuantizeOptions options_;
  bool whole_batch_;
};

std::unique_ptr<ReferenceCall> prepare(const ReferenceSpec& spec) {
  const auto a = from_attributes<ops::Quantize>(spec.attributes);
  const auto o = from_attributes<EvaluationOptions>(spec.options);
  const QuantizeOptions options{.internal_sigmoid = o.internal_sigmoid, .division = o.division};
  Quantizer quantizer = Quantizer::from_config(a.quantizer, a.arguments);
  if (spec.results.size() == 1 && spec.results[0].has_codes())
    if (auto tables = reference::quantizer_tables(quantizer, options))
      return std::make_unique<Lookup>(spec, std::move(*tables));
  return std::make_unique<Direct>(spec, std::move(quantizer), options);
}

double cost(const Query& query) { return reference::elements_ns(query, 20); }

}  // namespace

extern constinit const KernelDef reference_quantize{
    .name = "reference_quantize",
    .doc = "A quantizer: thresholds where it is monotone, else its definition itself.",
    .source = "own",
    .reference_op = &ops::quantize,
    .reference = prepare,
    .reference_ns = cost};

}  // namespace qloom::kernels
