#include "bench/support/layer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <new>
#include <random>

#include "graph/builder.h"
#include "graph/interpret.h"
#include "graph/support/error.h"
#include "graph/support/float_environment.h"

namespace qloom::bench {
namespace {

using kernels::kSlackBytes;
constexpr std::align_val_t kAlignment{64};
constexpr int64_t kNextOutputs = 32;

Tensor uniform(Extents extents, float lo, float hi, std::mt19937_64& random) {
  std::uniform_real_distribution<float> draw(lo, hi);
  std::vector<float> values(static_cast<size_t>(element_count(extents)));
  for (float& v : values) v = draw(random);
  return Tensor(std::move(extents), std::move(values));
}

Tensor weights_of(const Widths& widths, Extents extents, std::mt19937_64& random) {
  if (!widths.trained_like) return uniform(std::move(extents), -1, 1, random);
  std::normal_distribution<float> draw(0, 0.25F);
  std::vector<float> values(static_cast<size_t>(element_count(extents)));
  for (float& v : values) v = std::clamp(draw(random), -1.0F, 1.0F);
  return Tensor(std::move(extents), std::move(values));
}

/// float32 values of a quantizer at each element of x.
std::vector<float> quantized(std::string_view quantizer, const Tensor& x) {
  Builder b("quantizer");
  b.output("y", b.apply(parse_quantizer(quantizer), b.input("x", {Dim::batch(), x.size()})));
  const Graph graph = b.finish();
  const auto y = interpret(graph, std::vector{x.reshaped({1, x.size()})}, {});
  const Tensor values = to_f32(y[0]);
  return {values.f32().begin(), values.f32().end()};
}

/// Normalization as training leaves it: mean and variance of the sums that the inputs give.
struct Statistics {
  std::vector<float> mean, variance;
};

Statistics statistics_of(const LayerSpec& spec, const Tensor& weights, std::mt19937_64& random) {
  const std::vector<float> x = quantized(
      spec.widths->input, uniform({4096}, spec.widths->input_lo, spec.widths->input_hi, random));
  double mean = 0, square = 0;
  for (const float v : x) mean += v / 4096.0, square += v * v / 4096.0;
  const std::vector<float> w = quantized(spec.widths->weights, weights);
  const auto outputs = static_cast<size_t>(weights.extents().back());
  Statistics out{std::vector<float>(outputs), std::vector<float>(outputs)};
  for (size_t i = 0; i < w.size(); ++i) {
    out.mean[i % outputs] += static_cast<float>(mean) * w[i];
    out.variance[i % outputs] += static_cast<float>(square - mean * mean) * w[i] * w[i];
  }
  return out;
}

/// The network; `whole`: with the layer after it, which is left out where only the layer's output
/// is asked for.
Graph network(const LayerSpec& spec, bool whole) {
  std::mt19937_64 random(7);
  const Widths& widths = *spec.widths;
  Builder b(spec.name);
  const bool dense = spec.op == LayerOp::dense;
  const auto layer = [&](ValueId x, int64_t c, int64_t n, int64_t kernel_h, int64_t kernel_w,
                         bool depthwise, const std::string& name, Tensor& weights) {
    const int64_t groups = depthwise ? c : name == "layer" ? spec.groups : 1;
    Extents extents{c, n};
    if (!dense) extents = {kernel_h, kernel_w, c / groups, n};
    weights = weights_of(widths, std::move(extents), random);
    const ValueId w =
        b.apply(parse_quantizer(widths.weights), b.constant(name + "_kernel", weights));
    if (dense) return b.dense(x, w, name);
    const bool first = name == "layer";
    return b.conv(x, w,
                  {.strides = std::vector<int64_t>(2, first ? spec.stride : 1),
                   .dilations = std::vector<int64_t>(2, first ? spec.dilation : 1),
                   .padding = first ? spec.padding : ops::Padding::same,
                   .groups = groups},
                  name);
  };
  Shape shape{Dim::batch(), spec.h, spec.w, spec.c};
  if (dense) shape = {Dim::batch(), spec.c};
  ValueId x = b.input("x", std::move(shape));
  x = b.apply(parse_quantizer(widths.input), x, "before");
  Tensor weights;
  x = layer(x, spec.c, spec.n, spec.kernel_h, spec.kernel_w, spec.op == LayerOp::depthwise, "layer",
            weights);
  const Statistics s = statistics_of(spec, weights, random);
  x = b.batch_norm(x, b.constant("gamma", uniform({spec.n}, 0.5F, 1.5F, random)),
                   b.constant("beta", uniform({spec.n}, -0.5F, 1, random)),
                   b.constant("mean", Tensor({spec.n}, s.mean)),
                   b.constant("variance", Tensor({spec.n}, s.variance)),
                   {.form = dense ? ops::BatchNormForm::affine : ops::BatchNormForm::centered},
                   "layer_norm");
  x = b.apply(parse_quantizer(widths.input), x, "layer_after");
  if (whole) {
    // A pointwise layer follows a depthwise one; else one like this.
    const bool pointwise = spec.op == LayerOp::depthwise;
    Tensor unused;
    x = layer(x, spec.n, std::min(spec.n, kNextOutputs), pointwise ? 1 : spec.kernel_h,
              pointwise ? 1 : spec.kernel_w, false, "next", unused);
  }
  b.output("y", x);
  return b.finish();
}

struct Free {
  void operator()(uint8_t* p) const { ::operator delete(p, kAlignment); }
};

}  // namespace

struct Layer::State {
  passes::Compilation compiled;
  std::vector<float> input;  ///< in the middle of memory that may be read around it
  std::unique_ptr<uint8_t, Free> arena;
  std::vector<std::vector<void*>> pointers;  ///< by call
  size_t first = 0, last = 0;                ///< calls that are timed: [first, last)
  size_t layer = 0;                          ///< the call of the layer itself
  size_t output_call = 0, output_buffer = 0;
  kernels::Storage storage;
  std::string kernel;

  void call(size_t i, int64_t samples) const noexcept {
    const runtime::Model::Bound& bound = compiled.model->bound()[i];
    if (bound.function != nullptr)
      bound.function(pointers[i].data(), samples, 0, compiled.program.calls[i].work_items);
    else
      bound.reference->run(pointers[i].data(), samples);
  }
};

namespace {

/// Whether a call belongs to a node: it is its region, made from it, or converts its result.
bool belongs_to(const runtime::Call& call, std::string_view node) {
  return call.node == node || call.node.starts_with(std::string(node) + "_") ||
         call.node.starts_with(std::string(node) + ".");
}

}  // namespace

Layer::Layer(const LayerSpec& spec, const passes::CompileOptions& options)
    : spec_(spec), state_(std::make_unique<State>()) {
  State& s = *state_;
  passes::CompileOptions for_batch = options;
  for_batch.batch = spec.batch;
  s.compiled = passes::compile(network(spec, true), for_batch);
  const runtime::Program& program = s.compiled.program;
  const int64_t batch = spec.batch;
  // Each buffer has memory of its own: calls run again and again, in any order.
  std::vector<int64_t> offsets;
  int64_t bytes = kSlackBytes;
  for (const runtime::Buffer& buffer : program.buffers) {
    offsets.push_back(bytes);
    bytes += buffer.bytes_per_sample * (buffer.is_scratch ? 1 : batch) + kSlackBytes + 63;
    bytes -= bytes % 64;
  }
  s.arena.reset(static_cast<uint8_t*>(::operator new(static_cast<size_t>(bytes), kAlignment)));
  std::memset(s.arena.get(), 0, static_cast<size_t>(bytes));
  std::mt19937_64 random(99);
  Extents extents = bind(program.inputs[0].shape, batch);
  const Tensor x = uniform(extents, spec.widths->input_lo, spec.widths->input_hi, random);
  s.input.assign(x.f32().begin(), x.f32().end());
  const auto place = [&](int b) -> void* {
    return s.arena.get() + offsets[static_cast<size_t>(b)];
  };
  for (const runtime::Call& call : program.calls) {
    std::vector<void*>& pointers = s.pointers.emplace_back();
    for (const int b : call.buffers)
      pointers.push_back(
          b < 0 ? const_cast<uint8_t*>(s.compiled.model->constants() + call.constants_offset)
                : place(b));
  }
  std::memcpy(place(program.inputs[0].buffer), s.input.data(), s.input.size() * sizeof(float));

  // Everything from behind the input quantizer to the next layer. A conversion of the quantizer's
  // result belongs to the layer: it did not get what it asked for.
  const auto& calls = program.calls;
  size_t quantizer = 0, next = calls.size();
  for (size_t i = 0; i < calls.size(); ++i) {
    if (calls[i].node == "before" || calls[i].node == "x") quantizer = i;
    if (calls[i].node == "layer") s.layer = i;
    if (next == calls.size() && belongs_to(calls[i], "next")) next = i;
  }
  s.first = quantizer + 1;
  s.last = next;
  qloom_assert(s.first <= s.layer && s.layer < s.last, spec.name, ": calls in an odd order\n",
               program.to_text());
  // The output: what the last call before the next layer wrote.
  s.output_call = s.last - 1;
  const passes::RegionReport& report = s.compiled.regions[s.output_call];
  const std::vector<int>& buffers = calls[s.output_call].buffers;
  const auto constants = std::find(buffers.begin(), buffers.end(), -1);
  qloom_assert(report.results.size() == 1 || report.op == "convert", spec.name,
               ": the layer has several outputs");
  // Inputs, [constants,] one output[, scratch].
  s.output_buffer =
      constants == buffers.end() ? 1 : static_cast<size_t>(constants - buffers.begin()) + 1;
  s.storage = report.results.at(0).second;
  const passes::RegionReport& own = s.compiled.regions[s.layer];
  s.kernel = own.kernel + (own.variant.empty() ? "" : " " + own.variant);
  const FloatEnvironment environment;
  for (size_t i = 0; i < s.first; ++i) s.call(i, batch);
}

Layer::~Layer() = default;

void Layer::run() const noexcept {
  const FloatEnvironment environment;
  const State& s = *state_;
  for (size_t i = s.first; i < s.last; ++i) s.call(i, spec_.batch);
}

int64_t Layer::mismatches() const {
  const State& s = *state_;
  const Graph graph = network(spec_, false);
  const Shape& shape = graph.type(graph.inputs()[0]).shape;
  const auto expected =
      interpret(graph, std::vector{Tensor(bind(shape, spec_.batch), s.input)}, graph.options());
  const auto codes = expected[0].data.i64();
  const bool is_binary = expected[0].type.numeric.kind() == Numeric::Kind::binary;
  const int64_t last = kernels::last_extent(expected[0].type.shape);
  const auto* data = static_cast<const uint8_t*>(s.pointers[s.output_call][s.output_buffer]);
  const int64_t per_sample = static_cast<int64_t>(codes.size()) / spec_.batch;
  const int64_t stride =
      kernels::bytes_per_sample(graph.type(graph.outputs()[0].value).shape, s.storage);
  int64_t out = 0;
  for (int64_t i = 0; i < static_cast<int64_t>(codes.size()); ++i) {
    int64_t code =
        kernels::read_code(data + i / per_sample * stride, s.storage, i % per_sample, last);
    if (s.storage.kind == kernels::Storage::Kind::bits && is_binary) code = 2 * code - 1;
    out += code == codes[static_cast<size_t>(i)] ? 0 : 1;
  }
  return out;
}

double Layer::most_frequent_share() const {
  const State& s = *state_;
  const Graph graph = network(spec_, false);
  const Shape& shape = graph.type(graph.outputs()[0].value).shape;
  const auto* data = static_cast<const uint8_t*>(s.pointers[s.output_call][s.output_buffer]);
  const int64_t elements = elements_per_sample(shape);
  std::map<int64_t, int64_t> counts;
  int64_t most = 0;
  for (int64_t i = 0; i < elements; ++i)
    most = std::max(most,
                    ++counts[kernels::read_code(data, s.storage, i, kernels::last_extent(shape))]);
  return static_cast<double>(most) / static_cast<double>(elements);
}

int64_t Layer::macs() const { return state_->compiled.program.calls[state_->layer].macs; }

double Layer::predicted_ns() const {
  double out = 0;
  for (size_t i = state_->first; i < state_->last; ++i)
    out += state_->compiled.program.calls[i].predicted_ns;
  return out;
}

const std::string& Layer::kernel() const { return state_->kernel; }

int64_t Layer::bytes() const {
  const State& s = *state_;
  const runtime::Program& program = s.compiled.program;
  const runtime::Call& first = program.calls[s.first];
  const runtime::Call& last = program.calls[s.output_call];
  const auto size = [&](int b) {
    return program.buffers[static_cast<size_t>(b)].bytes_per_sample * spec_.batch;
  };
  return size(first.buffers[0]) + program.calls[s.layer].constants_bytes +
         size(last.buffers[s.output_buffer]);
}

}  // namespace qloom::bench
