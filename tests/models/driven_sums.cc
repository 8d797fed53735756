#include "tests/models/driven_sums.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "bindings/golden/compare.h"
#include "graph/interpret.h"
#include "graph/ops/attributes.h"
#include "graph/ops/geometry.h"
#include "graph/ops/sum_of_products.h"
#include "graph/ops_table.h"
#include "graph/quantizer.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"
#include "passes/compile.h"
#include "passes/edit.h"

namespace qloom::testing {
namespace {

using qtools::SoundSum;

/// The quantizer that the sum's input comes from, or one whose values hold those of the input.
std::optional<ops::Quantize> source_of(const Graph& whole, const TensorType& x, ValueId value) {
  const Node* source = &whole.producer(value);
  while (source->is(ops::reshape) || source->is(ops::permute) || source->is(ops::pool) ||
         source->is(ops::pad))
    source = &whole.producer(source->operands[0]);
  if (source->is(ops::quantize) && whole.type(source->results[0]).numeric == x.numeric) {
    auto quantize = from_attributes<ops::Quantize>(source->attributes);
    if (Quantizer::from_config(quantize.quantizer, quantize.arguments).is_monotone())
      return quantize;
  }
  if (x.numeric.kind() != Numeric::Kind::fixed) return std::nullopt;
  const auto grid = *x.numeric.grid();
  const double scale = x.step().f64()[0] * std::exp2(grid.fraction);
  const int bits = x.numeric.bits() + (grid.lo < 0 ? 0 : 1);
  const Quantizer wide = std::get<Quantizer>(parse_quantizer(
      "quantized_bits(" + std::to_string(bits) + "," + std::to_string(bits - 1 - grid.fraction) +
      ",0,alpha=" + std::to_string(scale) + ")"));
  return ops::Quantize{.quantizer = std::string(wide.name()), .arguments = wide.arguments()};
}

/// Copies what a value is computed from.
void copy_with_operands(const Graph& from, ValueId value, Graph& to,
                        std::map<ValueId, ValueId>& map) {
  if (map.contains(value)) return;
  const Node& node = from.producer(value);
  for (const ValueId operand : node.operands) copy_with_operands(from, operand, to, map);
  passes::copy_node(from, node, to, map);
}

/// A sum cut out of its network: a quantizer, the products, the bias.
struct Cut {
  Graph graph;   ///< outputs: the products, the sum
  TensorType x;  ///< what the sum reads in the network
  ops::Quantize quantize;
};

std::optional<Cut> cut_out(const Graph& whole, const SoundSum& s, std::string& why) {
  const Node& node = *whole.find(s.node);
  Cut cut;
  cut.x = whole.type(node.operands[0]);
  if (!cut.x.has_codes() || !cut.x.scale.is_per_tensor()) {
    why = cut.x.scale.is_dynamic() ? "its input has a scale from the data"
          : cut.x.has_codes()      ? "its input has a scale for each channel"
                                   : "its input is float32";
    return std::nullopt;
  }
  const auto quantize = source_of(whole, cut.x, node.operands[0]);
  if (!quantize) {
    why = "no quantizer has exactly the values of its input, " + cut.x.numeric.to_string();
    return std::nullopt;
  }
  cut.quantize = *quantize;
  cut.graph.set_options(whole.options());
  const ValueId input = cut.graph.add_input("cut", {cut.x.shape, Numeric::float32(), {}});
  std::map<ValueId, ValueId> map;
  map[node.operands[0]] =
      cut.graph.add(ops::quantize, "cut.quantized", {input}, to_attributes(cut.quantize))
          .results[0];
  const ValueId sum = whole.find(s.sum_node)->results[0];
  copy_with_operands(whole, sum, cut.graph, map);
  cut.graph.add_output("products", map.at(node.results[0]));
  cut.graph.add_output("sum", map.at(sum));
  cut.graph.infer_types();
  return cut;
}

/// Which elements of x an output in the middle reads, by the tap of the kernel: each(x element,
/// kernel row), the kernel seen as [rows, outputs]. `inputs`: of a group, `first`: its first.
template <class Each>
void for_each_tap(const Node& node, const TensorType& w, const Extents& x, int64_t channel,
                  Each&& each) {
  const int64_t outputs = w.shape.back().extent(), channels = x.back();
  if (node.is(ops::dense)) {
    const int64_t inputs = w.shape[0].extent();
    for (int64_t row = 0; row < element_count(x) / inputs; ++row)
      for (int64_t i = 0; i < inputs; ++i) each(row * inputs + i, i);
    return;
  }
  // Along one axis: input position and tap of what the middle output reads.
  using Pairs = std::vector<std::pair<int64_t, int64_t>>;
  int64_t groups = 1;
  const auto along = [&](size_t a) {
    Pairs pairs;
    if (node.is(ops::conv)) {
      const auto conv = from_attributes<ops::Conv>(node.attributes);
      groups = conv.groups;
      const ops::SpatialAxis axis = ops::spatial_axis(
          x[a + 1], w.shape[a].extent(), conv.strides[a], conv.dilations[a], conv.padding);
      const int64_t middle = axis.out / 2;
      for (int64_t t = 0; t < axis.taps; ++t)
        if (axis.inside(middle, t)) pairs.emplace_back(axis.at(middle, t), t);
    } else {
      const auto conv = from_attributes<ops::ConvTranspose>(node.attributes);
      groups = conv.groups;
      std::optional<int64_t> more;
      if (!conv.output_padding.empty()) more = conv.output_padding[a];
      const ops::TransposedAxis axis = ops::transposed_axis(
          x[a + 1], w.shape[a].extent(), conv.strides[a], conv.dilations[a], conv.padding, more);
      for (int64_t i = 0; i < axis.in; ++i)
        if (const int64_t t = axis.tap(i, axis.out / 2); t >= 0) pairs.emplace_back(i, t);
    }
    return pairs;
  };
  const bool flat = x.size() == 3;
  const Pairs rows = flat ? Pairs{{0, 0}} : along(0), columns = along(x.size() - 3);
  const int64_t width = x[x.size() - 2], taps = w.shape[x.size() - 3].extent();
  const int64_t inputs = channels / groups, first = channel / (outputs / groups) * inputs;
  for (const auto& [i, r] : rows)
    for (const auto& [j, t] : columns)
      for (int64_t c = 0; c < inputs; ++c)
        each((i * width + j) * channels + first + c, (r * taps + t) * inputs + c);
}

/// What a quantizer turns into these codes of type x, each an end of `grid`; empty if nothing is
/// found. Most keep their own values; some divide by their scale first, clip far below, or make 1
/// of 0.
Tensor quantized_to(const Quantizer& quantizer, const TensorType& x, const Numeric::Grid& grid,
                    const std::vector<int64_t>& codes, int64_t samples) {
  const double step = x.step().f64()[0], unit = std::exp2(-grid.fraction);
  const auto as_floats = [&](auto&& value) {
    std::vector<float> values;
    for (const int64_t code : codes) values.push_back(static_cast<float>(value(code)));
    return Tensor(qloom::bind(x.shape, samples), std::move(values));
  };
  const auto exact = [&](int64_t code) { return static_cast<double>(code) * step; };
  const Tensor wanted = as_floats(exact);
  const Tensor candidates[] = {
      wanted, as_floats([&](int64_t code) { return static_cast<double>(code) * unit; }),
      as_floats([&](int64_t code) { return code == grid.hi ? 1e4 : -1e4; })};
  for (const Tensor& candidate : candidates) {
    const Quantized got = quantizer.forward(candidate);
    if (std::ranges::equal((got.q ? *got.q : got.y).f32(), wanted.f32())) return candidate;
  }
  return {};
}

/// Channels whose sums reach furthest, up and down.
std::vector<int64_t> furthest(const std::vector<int64_t>& weights, int64_t outputs,
                              const Numeric::Grid& x, int64_t most) {
  std::vector<int64_t> positive(static_cast<size_t>(outputs)), negative(positive);
  for (size_t i = 0; i < weights.size(); ++i)
    (weights[i] > 0 ? positive : negative)[i % positive.size()] += weights[i];
  std::vector<int64_t> by_high(positive.size()), channels;
  for (size_t k = 0; k < by_high.size(); ++k) by_high[k] = static_cast<int64_t>(k);
  std::vector<int64_t> by_low = by_high;
  const auto sum = [&](int64_t k, int64_t of_positive, int64_t of_negative) {
    const auto at = static_cast<size_t>(k);
    return positive[at] * of_positive + negative[at] * of_negative;
  };
  std::ranges::sort(by_high,
                    [&](int64_t a, int64_t b) { return sum(a, x.hi, x.lo) > sum(b, x.hi, x.lo); });
  std::ranges::sort(by_low,
                    [&](int64_t a, int64_t b) { return sum(a, x.lo, x.hi) < sum(b, x.lo, x.hi); });
  for (size_t k = 0; k < by_high.size() && static_cast<int64_t>(k) < most; ++k)
    channels.insert(channels.end(), {by_high[k], by_low[k]});
  return channels;
}

}  // namespace

std::string outside(std::span<const int64_t> codes, const Numeric& numeric) {
  const auto grid = numeric.grid();
  if (!grid) return "";
  const bool all = numeric.kind() == Numeric::Kind::fixed;  // of the interval
  std::map<int64_t, bool> members;                          // few, where not all are
  bool is_member = false;
  for (size_t i = 0; i < codes.size(); ++i) {
    const int64_t code = codes[i];
    if (!all && code >= grid->lo && code <= grid->hi && (i == 0 || code != codes[i - 1])) {
      const auto [known, is_new] = members.try_emplace(code);
      if (is_new)
        known->second = numeric.contains(std::ldexp(static_cast<double>(code), -grid->fraction));
      is_member = known->second;
    }
    if (code < grid->lo || code > grid->hi || (!all && !is_member))
      return "code " + std::to_string(code) + " is not in " + numeric.to_string();
  }
  return "";
}

DrivenSum drive_sum(const Graph& graph, const Graph& folded, const SoundSum& s,
                    int64_t most_channels) {
  DrivenSum out;
  std::optional<Cut> cut = cut_out(graph, s, out.not_driven);
  if (!cut) return out;
  const Node& node = *graph.find(s.node);
  const Node* kernel = folded.constant_of(folded.find(s.node)->operands[1]);
  if (kernel == nullptr || kernel->constant->dtype() != DType::i64) {
    out.not_driven = kernel == nullptr ? "its kernel is computed" : "its kernel is float32";
    return out;
  }
  // On one grid for all channels of the input.
  const auto products = ops::sum_of_products(cut->x, folded.type(kernel->results[0]));
  qloom_assert(products, s.node, " is no integer");
  std::vector<int64_t> weights;
  for (const uint64_t code : products->w_codes(*kernel->constant))
    weights.push_back(static_cast<int64_t>(code));
  const TensorType& w = graph.type(node.operands[1]);
  const int64_t outputs = w.shape.back().extent();
  // What the input can really be: its own sum may be narrower with the weights as they are.
  const TensorType& folded_x = folded.type(folded.find(s.node)->operands[0]);
  auto grid = *cut->x.numeric.grid();
  if (folded_x.has_codes() && folded_x.scale == cut->x.scale &&
      folded_x.numeric.grid()->fraction == grid.fraction)
    grid = *folded_x.numeric.grid();
  const std::vector<int64_t> channels = furthest(weights, outputs, grid, most_channels);

  const auto samples = static_cast<int64_t>(channels.size()) * 2;
  const Extents one = qloom::bind(cut->x.shape, 1);
  const auto size = static_cast<size_t>(element_count(one));
  std::vector<int64_t> codes;
  for (const int64_t k : channels)
    for (const bool largest : {true, false}) {
      // A type need not hold 0: padding does.
      std::vector<int64_t> sample(size, grid.lo);
      for_each_tap(node, w, one, k, [&](int64_t at, int64_t row) {
        const bool positive = weights[static_cast<size_t>(row * outputs + k)] > 0;
        sample[static_cast<size_t>(at)] = positive == largest ? grid.hi : grid.lo;
      });
      codes.insert(codes.end(), sample.begin(), sample.end());
    }
  const Quantizer quantizer =
      Quantizer::from_config(cut->quantize.quantizer, cut->quantize.arguments);
  const std::vector<Tensor> inputs{quantized_to(quantizer, cut->x, grid, codes, samples)};
  if (inputs[0].size() == 0) {
    out.not_driven = "nothing found that " + quantizer.to_string() + " turns into its ends";
    return out;
  }

  EvaluationOptions options = graph.options();
  options.evaluation = Evaluation::canonical;
  const std::vector<RuntimeValue> got = interpret(cut->graph, inputs, options);
  for (const Numeric& numeric : {s.sum, s.exact})
    if (const std::string text = outside(got[1].data.i64(), numeric); !text.empty())
      out.wrong = text;
  out.values = got[1].data.size();
  const passes::Compilation compiled = passes::compile(cut->graph.clone());
  const std::vector<Tensor> run = golden::run_model(compiled.model, inputs, 1);
  for (size_t k = 0; k < run.size(); ++k)
    if (!std::ranges::equal(run[k].f32(), to_f32(got[k]).f32()))
      out.wrong = "compiled code gives something else";
  const auto interval = *folded.type(folded.find(s.node)->results[0]).numeric.grid();
  const auto fraction = got[0].type.numeric.grid()->fraction;
  const auto [least, most] = std::ranges::minmax(got[0].data.i64());
  const auto same = [&](int64_t code, int64_t end) {
    return std::ldexp(static_cast<double>(code), -fraction) ==
           std::ldexp(static_cast<double>(end), -interval.fraction);
  };
  out.reached_low = same(least, interval.lo);
  out.reached_high = same(most, interval.hi);
  return out;
}

}  // namespace qloom::testing
