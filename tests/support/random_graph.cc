#include "tests/support/random_graph.h"

#include <string>

#include "graph/builder.h"
#include "graph/quantizer.h"

namespace qloom::testing {

uint64_t Random::next() {  // splitmix64
  uint64_t z = state_ += 0x9E3779B97F4A7C15ULL;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

int64_t Random::integer(int64_t lo, int64_t hi) {
  return lo + static_cast<int64_t>(next() % static_cast<uint64_t>(hi - lo + 1));
}

float Random::real(float lo, float hi) {
  return lo + (hi - lo) * static_cast<float>(next() >> 40) * 0x1p-24F;
}

namespace {

// Quantizers by what they make: their strings as a user writes them.
constexpr const char* kExactWeights[] = {"quantized_bits(4, 0, 1, alpha=1.0)",
                                         "quantized_bits(3, 1, 1, alpha=1.0)",
                                         "quantized_bits(8, 2, 1, alpha=1.0)",
                                         "quantized_bits(2, 0, 1, alpha=1.0)",
                                         "quantized_bits(4, 0, 1, alpha='auto_po2')",
                                         "quantized_bits(5, 0, 1, alpha=0.5)",
                                         "ternary(alpha=1.0)",
                                         "binary(alpha=1.0)",
                                         "binary(alpha='auto_po2')",
                                         "ternary(alpha='auto_po2')",
                                         "quantized_po2(4, 1)",
                                         "quantized_linear(4, 0)"};
constexpr const char* kFloatWeights[] = {
    "quantized_bits(4, 0, 1, alpha='auto')", "quantized_bits(6, 0, 1, alpha=0.3)",
    "binary(alpha='auto')", "ternary(alpha='auto')", "quantized_linear(4, 0, alpha='auto')"};
constexpr const char* kExactActivations[] = {
    "quantized_bits(4, 0, 1)", "quantized_bits(8, 2, 1)", "quantized_bits(6, 1, 0)",
    "quantized_bits(3, 2, 1)", "quantized_relu(4, 2)",    "quantized_relu(8, 0)",
    "quantized_relu(2, 1)",    "quantized_relu(1, 1)",    "binary(alpha=1.0)",
    "ternary(alpha=1.0)",      "quantized_po2(4, 1)",     "quantized_relu_po2(4, 2)",
    "quantized_tanh(4)",       "quantized_sigmoid(4)",    "quantized_linear(5, 1)"};
constexpr const char* kFloatActivations[] = {"quantized_ulaw(6)", "quantized_hswish(6)",
                                             "quantized_bits(6, 1, 1, alpha=0.3)"};
constexpr const char* kDataActivations[] = {"quantized_bits(4, 0, 1, alpha='auto')",
                                            "quantized_bits(4, 0, 1, alpha='auto_po2')"};

class Maker {
 public:
  Maker(uint64_t seed, const RandomGraphOptions& options)
      : random_(seed), options_(options), builder_("random" + std::to_string(seed)) {}

  Graph make() {
    const bool flat = random_.chance(25);
    Shape shape{Dim::batch()};
    for (int i = 0; i < (flat ? 1 : 2); ++i) shape.emplace_back(random_.integer(3, 9));
    shape.emplace_back(random_.integer(1, 6));
    value_ = builder_.input("x", shape);
    if (!options_.float_parts || random_.chance(85)) activation_quantizer();
    keep();
    for (int i = 0; i < options_.layers; ++i) layer();
    if (random_.chance(70)) {
      value_ = builder_.reshape(value_, {-1}, "flatten");
      weights({extent(1), random_.integer(1, 9)},
              [&](ValueId w) { return builder_.dense(value_, w); });
      if (random_.chance(50)) bias();
    }
    builder_.output("y", value_);
    if (options_.float_parts && random_.chance(30)) builder_.output("p", builder_.softmax(value_));
    return builder_.finish();
  }

 private:
  [[nodiscard]] const Shape& shape() const { return builder_.type(value_).shape; }
  [[nodiscard]] int64_t extent(size_t axis) const { return shape()[axis].extent(); }
  [[nodiscard]] size_t spatial() const { return shape().size() - 2; }
  [[nodiscard]] int64_t channels() const { return shape().back().extent(); }
  void keep() { kept_.push_back(value_); }

  Tensor floats(Extents extents, float reach) {
    std::vector<float> v(static_cast<size_t>(element_count(extents)));
    for (float& f : v) f = random_.real(-reach, reach);
    return Tensor(std::move(extents), std::move(v));
  }
  // Multiples of 1/8, so that sums stay on a power-of-two grid.
  Tensor eighths(Extents extents) {
    std::vector<float> v(static_cast<size_t>(element_count(extents)));
    for (float& f : v) f = static_cast<float>(random_.integer(-16, 16)) / 8.0F;
    return Tensor(std::move(extents), std::move(v));
  }

  template <class Use>
  void weights(Extents extents, Use&& use) {
    ValueId w = builder_.constant("kernel", floats(extents, 1.2F));
    if (options_.float_parts && random_.chance(30)) {
      if (random_.chance(70)) w = builder_.apply(parse_quantizer(random_.pick(kFloatWeights)), w);
    } else {
      w = builder_.apply(parse_quantizer(random_.pick(kExactWeights)), w);
    }
    value_ = use(w);
  }

  void bias() {
    const Extents e{channels()};
    const bool exact = !options_.float_parts || random_.chance(70);
    const ValueId b = builder_.constant("bias", exact ? eighths(e) : floats(e, 2));
    value_ = builder_.add(value_, b, "bias_add");
  }

  void activation_quantizer() {
    const bool data = options_.data_scales && random_.chance(20);
    const bool real = options_.float_parts && random_.chance(12);
    const char* text = data   ? random_.pick(kDataActivations)
                       : real ? random_.pick(kFloatActivations)
                              : random_.pick(kExactActivations);
    value_ = builder_.apply(parse_quantizer(text), value_);
  }

  void batch_norm() {
    const Extents e{channels()};
    std::vector<float> variance(static_cast<size_t>(channels()));
    for (float& v : variance) v = random_.real(0.25F, 2.0F);
    ops::BatchNorm a;
    if (spatial() == 2 && random_.chance(50)) a.form = ops::BatchNormForm::centered;
    value_ = builder_.batch_norm(value_, builder_.constant("gamma", floats(e, 1.5F)),
                                 builder_.constant("beta", floats(e, 1)),
                                 builder_.constant("mean", floats(e, 1)),
                                 builder_.constant("variance", Tensor(e, std::move(variance))), a);
  }

  void conv() {
    ops::Conv c;
    Extents kernel;
    c.strides.clear();
    c.dilations.clear();
    c.padding = random_.chance(60)                     ? ops::Padding::same
                : spatial() == 1 && random_.chance(50) ? ops::Padding::causal
                                                       : ops::Padding::valid;
    for (size_t i = 0; i < spatial(); ++i) {
      const int64_t n = extent(i + 1);
      const bool fits = c.padding != ops::Padding::valid;
      kernel.push_back(random_.integer(1, fits ? 4 : std::min<int64_t>(n, 4)));
      const int64_t widest = kernel[i] > 1 ? (n - 1) / (kernel[i] - 1) : 1;
      c.dilations.push_back(random_.chance(20) && (fits || widest >= 2) ? 2 : 1);
      c.strides.push_back(c.dilations[i] == 1 && n > 3 && random_.chance(30) ? 2 : 1);
    }
    const int64_t in = channels();
    const int kind = static_cast<int>(random_.integer(0, 9));
    int64_t out = random_.integer(1, 7);
    if (kind < 3) {  // depthwise
      c.groups = in;
      out = in * random_.integer(1, 2);
    } else if (kind < 5 && in % 2 == 0) {
      c.groups = 2;
      out = 2 * random_.integer(1, 3);
    }
    kernel.push_back(in / c.groups);
    kernel.push_back(out);
    weights(kernel, [&](ValueId w) { return builder_.conv(value_, w, c); });
    if (random_.chance(50)) bias();
    if (options_.float_parts && random_.chance(40)) batch_norm();
    if (random_.chance(80)) activation_quantizer();
  }

  void pool() {
    ops::Pool p;
    p.kind = random_.chance(50) ? ops::PoolKind::max : ops::PoolKind::average;
    p.sizes.clear();
    p.strides.clear();
    // Averages over other counts than powers of two leave the grid.
    const bool exact = !options_.float_parts && p.kind == ops::PoolKind::average;
    p.padding = !exact && random_.chance(40) ? ops::Padding::same : ops::Padding::valid;
    for (size_t i = 0; i < spatial(); ++i) {
      const int64_t n = extent(i + 1);
      p.sizes.push_back(std::min<int64_t>(n, exact ? 2 : random_.integer(1, 3)));
      p.strides.push_back(random_.integer(1, 2));
    }
    value_ = builder_.pool(value_, p);
  }

  void conv_transpose() {
    ops::ConvTranspose c;
    Extents kernel;
    c.strides.clear();
    c.dilations.clear();
    c.padding = random_.chance(50) ? ops::Padding::same : ops::Padding::valid;
    for (size_t i = 0; i < spatial(); ++i) {
      kernel.push_back(random_.integer(1, 4));
      c.strides.push_back(random_.integer(1, extent(i + 1) < 6 ? 3 : 1));
      c.dilations.push_back(c.strides[i] == 1 && random_.chance(20) ? 2 : 1);
    }
    const int64_t in = channels();
    int64_t out = random_.integer(1, 5);
    if (random_.chance(30)) {  // depthwise
      c.groups = in;
      out = in;
    }
    kernel.push_back(in / c.groups);
    kernel.push_back(out);
    weights(kernel, [&](ValueId w) { return builder_.conv_transpose(value_, w, c); });
    if (random_.chance(50)) bias();
    if (options_.float_parts && random_.chance(30)) batch_norm();
    if (random_.chance(80)) activation_quantizer();
  }

  void resize() {
    ops::Resize r;
    r.scales.clear();
    for (size_t i = 0; i < spatial(); ++i)
      r.scales.push_back(random_.integer(1, extent(i + 1) < 6 ? 2 : 1));
    if (options_.float_parts && random_.chance(30)) r.interpolation = ops::Interpolation::bilinear;
    value_ = builder_.resize(value_, r);
  }

  void slice() {
    const auto axis =
        static_cast<size_t>(random_.integer(1, static_cast<int64_t>(shape().size()) - 1));
    const int64_t begin = random_.integer(0, extent(axis) - 1);
    const int64_t count = random_.integer(1, extent(axis) - begin);
    value_ = builder_.slice(value_,
                            {.axis = static_cast<int64_t>(axis), .begin = begin, .count = count});
  }

  // Convolutions of one value with one activation, concatenated with each other and perhaps it.
  void branches() {
    const ValueId from = value_;
    const char* activation = random_.pick(kExactActivations);
    std::vector<ValueId> parts;
    for (int64_t i = 0, n = random_.integer(2, 3); i < n; ++i) {
      value_ = from;
      Extents kernel(spatial(), random_.integer(1, 3));
      kernel.push_back(channels());
      kernel.push_back(random_.chance(20) ? 8 * random_.integer(1, 3) : random_.integer(1, 7));
      const std::vector<int64_t> ones(spatial(), 1);
      weights(kernel, [&](ValueId w) {
        return builder_.conv(from, w,
                             {.strides = ones, .dilations = ones, .padding = ops::Padding::same});
      });
      if (random_.chance(30)) bias();
      value_ = builder_.apply(parse_quantizer(activation), value_);
      keep();
      parts.push_back(value_);
    }
    if (random_.chance(20)) parts.push_back(random_.pick(parts));
    value_ = builder_.concat(std::move(parts), static_cast<int64_t>(shape().size()) - 1);
  }

  // An earlier value that has the shape of this one, if there is any.
  std::optional<ValueId> partner(bool ignore_channels) {
    std::vector<ValueId> fit;
    for (const ValueId v : kept_) {
      Shape a = builder_.type(v).shape, b = shape();
      if (ignore_channels) a.back() = b.back();
      if (a == b) fit.push_back(v);
    }
    if (fit.empty()) return std::nullopt;
    return random_.pick(fit);
  }

  void layer() {
    switch (random_.integer(0, 13)) {
      default:
        conv();
        break;
      case 4:
        pool();
        break;
      case 5:
        if (const auto other = partner(false)) {
          constexpr ops::Elementwise kKinds[] = {
              ops::Elementwise::add,      ops::Elementwise::add,     ops::Elementwise::subtract,
              ops::Elementwise::multiply, ops::Elementwise::maximum, ops::Elementwise::minimum};
          value_ = builder_.elementwise(random_.pick(kKinds), value_, *other);
          activation_quantizer();
        }
        break;
      case 6:
        if (const auto other = partner(true))
          value_ = builder_.concat({value_, *other}, static_cast<int64_t>(shape().size()) - 1);
        break;
      case 7: {
        std::vector<int64_t> before(shape().size(), 0), after(shape().size(), 0);
        for (size_t i = 0; i < spatial(); ++i) {
          before[i + 1] = random_.integer(0, 2);
          after[i + 1] = random_.integer(0, 2);
        }
        value_ = builder_.pad(value_, before, after);
        break;
      }
      case 8: {
        ops::Activation a;
        a.function = "relu";
        if (random_.chance(50)) a.max_value = 2.0;
        if (options_.float_parts && random_.chance(50)) {
          a.function = random_.chance(50) ? "sigmoid" : "leaky_relu";
          a.negative_slope = 0.3;
        }
        value_ = builder_.activation(value_, a);
        if (options_.float_parts) activation_quantizer();
        break;
      }
      case 9:
        activation_quantizer();
        break;
      case 10:
        conv_transpose();
        break;
      case 11:
        resize();
        break;
      case 12:
        slice();
        break;
      case 13:
        branches();
        break;
    }
    keep();
  }

  Random random_;
  RandomGraphOptions options_;
  Builder builder_;
  ValueId value_;
  std::vector<ValueId> kept_;
};

}  // namespace

Graph random_graph(uint64_t seed, const RandomGraphOptions& options) {
  return Maker(seed, options).make();
}

std::vector<Tensor> random_inputs(const Graph& graph, int64_t batch, uint64_t seed) {
  Random random(seed);
  std::vector<Tensor> out;
  for (const ValueId v : graph.inputs()) {
    Extents extents = qloom::bind(graph.type(v).shape, batch);
    std::vector<float> values(static_cast<size_t>(element_count(extents)));
    for (float& f : values)
      f = random.chance(50) ? static_cast<float>(random.integer(-256, 256)) / 64.0F
                            : random.real(-4, 4);
    out.emplace_back(std::move(extents), std::move(values));
  }
  return out;
}

}  // namespace qloom::testing
