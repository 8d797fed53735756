// bindings/import/layers/batch_normalization.cc: y = (x - mean) / sqrt(variance + epsilon) · gamma
// + beta along one axis or several, in the order of operations that the library uses:
//   QBatchNormalization, Keras 3, ranks other than 4, fused=False   x·inv + (beta - mean·inv)
//   Keras 2's BatchNormalization on 4 axes                          (x - mean)·inv + beta
// QBatchNormalization quantizes its parameters; its defaults are powers of two, not none. Gamma and
// variance are promoted to auto_po2 as kernels are.
// Source: QKeras qkeras/qnormalization.py.
#include <algorithm>

#include "bindings/import/statistics.h"
#include "graph/support/error.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"BatchNormalization", "QBatchNormalization"};
constexpr std::string_view kKeys[] = {"axis",
                                      "epsilon",
                                      "momentum",
                                      "center",
                                      "scale",
                                      "fused",
                                      "renorm",
                                      "beta_quantizer",
                                      "gamma_quantizer",
                                      "mean_quantizer",
                                      "variance_quantizer",
                                      "inverse_quantizer"};
// `activation` is stored and ignored by QBatchNormalization itself; the rest concerns optimizers
// and renormalization.
constexpr std::string_view kIgnored[] = {"activation",   "renorm_clipping",    "renorm_momentum",
                                         "synchronized", "virtual_batch_size", "adjustment",
                                         "beta_range",   "gamma_range"};

std::vector<std::string_view> weights(const ConfigView& config) {
  std::vector<std::string_view> names;
  if (config["scale"].bool_or(true)) names.emplace_back("gamma");
  if (config["center"].bool_or(true)) names.emplace_back("beta");
  names.emplace_back("moving_mean");
  names.emplace_back("moving_variance");
  return names;
}

// Axes from 1, ascending.
std::vector<int64_t> read_axes(const LayerBuilder& layer) {
  const ConfigView view = layer.config("axis");
  const int rank = layer.rank(layer.input());
  std::vector<int64_t> axes;
  const auto take = [&](int64_t axis) { axes.push_back(axis < 0 ? axis + rank : axis); };
  if (!view.exists()) {
    take(-1);
  } else if (view.value().array() != nullptr) {
    for (size_t k = 0; k < view.size(); ++k) take(view[k].as_integer());
  } else {
    take(view.as_integer());
  }
  std::sort(axes.begin(), axes.end());
  const bool is_unique = std::adjacent_find(axes.begin(), axes.end()) == axes.end();
  if (axes.empty() || !is_unique || axes.front() < 1 || axes.back() >= rank) {
    view.fail_expected(join_text("one or more of the axes 1 to ", rank - 1));
  }
  return axes;
}

struct Parameters {
  ValueId gamma, beta, mean, variance;
};

// The statistics that x is normalized with: stored ones, or those of the batch, towards which the
// stored ones then move. `flat`: an input whose axis `axis` has all channels.
struct Statistics {
  ValueId mean, variance;
};
Statistics statistics_of(LayerBuilder& layer, ValueId flat, int64_t axis, const Extents& stored,
                         bool is_fused) {
  const ValueId mean = layer.statistic("moving_mean", stored, "the extents of axis");
  const ValueId variance = layer.statistic("moving_variance", stored, "the extents of axis");
  if (!layer.is_training()) return {mean, variance};
  const auto rate = static_cast<float>(1.0 - layer.config("momentum").real_or(0.99));
  Expressions e(layer, "batch");
  const BatchStatistics batch = batch_statistics(e, e(flat), layer.shape(flat), axis);
  const auto as_stored = [&](Term v) { return stored.size() == 1 ? v : e.reshape(v, stored); };
  const Term batch_mean = as_stored(batch.mean), batch_variance = as_stored(batch.variance);
  layer.set_state("moving_mean", moved(e(mean), batch_mean, rate).id);
  layer.set_state("moving_variance",
                  moved(e(variance), is_fused ? batch.unbiased : batch_variance, rate).id);
  return {batch_mean.id, batch_variance.id};
}

// The four parameters, quantized, with one axis of `channels`. Several axes are stored with the
// input's rank, size 1 elsewhere.
Parameters read_parameters(LayerBuilder& layer, ValueId flat, int64_t axis, const Extents& stored,
                           bool is_fused) {
  const bool is_q = layer.is_quantized();
  const int64_t channels = element_count(stored);
  const auto flattened = [&](ValueId v, const QuantizerOrFunction& quantizer,
                             std::string_view part) {
    v = layer.quantized(v, quantizer, part);
    return stored.size() == 1 ? v : layer.graph.reshape(v, {channels}, layer.name(part) + "_flat");
  };
  const auto read = [&](std::string_view part, const QuantizerOrFunction& quantizer) {
    return flattened(layer.weight(part, stored, "the extents of axis"), quantizer, part);
  };
  const auto fill = [&](std::string_view part, float value) {
    return layer.graph.constant(layer.name(part), Tensor::filled({channels}, value));
  };
  const QuantizerOrFunction none;
  Parameters p;
  p.gamma = layer.config("scale").bool_or(true)
                ? read("gamma", is_q ? layer.weight_quantizer("gamma_quantizer",
                                                              "quantized_relu_po2(6,2048)")
                                     : none)
                : fill("gamma", 1.0F);
  p.beta = layer.config("center").bool_or(true)
               ? read("beta", is_q ? layer.quantizer("beta_quantizer", "quantized_po2(5)") : none)
               : fill("beta", 0.0F);
  const Statistics statistics = statistics_of(layer, flat, axis, stored, is_fused);
  p.mean =
      flattened(statistics.mean,
                is_q ? layer.quantizer("mean_quantizer", "quantized_po2(5)") : none, "moving_mean");
  p.variance =
      flattened(statistics.variance,
                is_q ? layer.weight_quantizer("variance_quantizer",
                                              "quantized_relu_po2(6,quadratic_approximation=True)")
                     : none,
                "moving_variance");
  return p;
}

void read_inverse_quantizer(const LayerBuilder& layer, ops::BatchNorm& norm) {
  const QuantizerOrFunction inverse = layer.quantizer("inverse_quantizer");
  if (std::holds_alternative<std::monostate>(inverse)) return;
  const auto* quantizer = std::get_if<Quantizer>(&inverse);
  if (quantizer == nullptr)
    layer.config("inverse_quantizer").fail("a plain function is not supported here");
  const bool gamma_is_none = std::holds_alternative<std::monostate>(
      layer.quantizer("gamma_quantizer", "quantized_relu_po2(6,2048)"));
  const bool variance_is_none = std::holds_alternative<std::monostate>(
      layer.quantizer("variance_quantizer", "quantized_relu_po2(6,quadratic_approximation=True)"));
  if (!gamma_is_none || !variance_is_none) {
    layer.config("inverse_quantizer")
        .fail(
            "with it, gamma_quantizer and variance_quantizer must be null: a value would "
            "be quantized twice (QKeras refuses it too)");
  }
  norm.inverse_quantizer = quantizer->name();
  norm.inverse_arguments = quantizer->arguments();
}

// Several axes become one, at the end.
struct Merged {
  ValueId x;
  std::vector<int64_t> split;  ///< extents before they were merged
  std::vector<int64_t> back;   ///< the order of axes that undoes the permutation
};
Merged merge_axes(LayerBuilder& layer, const std::vector<int64_t>& axes, int64_t channels) {
  const Shape shape = layer.shape(layer.input());
  std::vector<int64_t> order;
  for (int64_t k = 0; k < static_cast<int64_t>(shape.size()); ++k) {
    if (std::find(axes.begin(), axes.end(), k) == axes.end()) order.push_back(k);
  }
  const size_t outer = order.size();
  order.insert(order.end(), axes.begin(), axes.end());
  std::vector<int64_t> merged;
  Merged m;
  m.back.resize(order.size());
  for (size_t k = 0; k < order.size(); ++k) {
    m.back[static_cast<size_t>(order[k])] = static_cast<int64_t>(k);
    if (k == 0) continue;
    const int64_t extent = shape[static_cast<size_t>(order[k])].extent();
    if (k < outer) merged.push_back(extent);
    m.split.push_back(extent);
  }
  merged.push_back(channels);
  m.x = layer.graph.permute(layer.input(), order, layer.name("axes_last"));
  m.x = layer.graph.reshape(m.x, merged, layer.name("axes_merged"));
  return m;
}

ValueId build(LayerBuilder& layer) {
  if (layer.config("renorm").bool_or(false))
    layer.config("renorm").fail("batch renormalization is not supported");
  const ValueId x = layer.input();
  const Shape shape = layer.shape(x);
  const std::vector<int64_t> axes = read_axes(layer);
  int64_t channels = 1;
  for (const int64_t a : axes) channels *= shape[static_cast<size_t>(a)].extent();

  ops::BatchNorm norm;
  norm.epsilon = layer.config("epsilon").real_or(1e-3);
  if (layer.is_quantized()) read_inverse_quantizer(layer, norm);
  const ConfigView fused = layer.config("fused");
  const bool may_fuse = fused.is_none() || fused.as_bool();
  const bool is_fused = !layer.is_quantized() && !layer.is_keras3() && may_fuse &&
                        shape.size() == 4 && axes.size() == 1 && (axes[0] == 1 || axes[0] == 3);
  norm.form = is_fused ? ops::BatchNormForm::centered : ops::BatchNormForm::affine;
  if (axes.size() == 1) {
    norm.axis = axes[0];
    const Parameters p = read_parameters(layer, x, norm.axis, {channels}, is_fused);
    return layer.graph.batch_norm(x, p.gamma, p.beta, p.mean, p.variance, norm, layer.name());
  }
  Extents stored(shape.size(), 1);
  for (const int64_t a : axes)
    stored[static_cast<size_t>(a)] = shape[static_cast<size_t>(a)].extent();
  const Merged m = merge_axes(layer, axes, channels);
  norm.axis = layer.rank(m.x) - 1;
  const Parameters p = read_parameters(layer, m.x, norm.axis, stored, false);
  ValueId y = layer.graph.batch_norm(m.x, p.gamma, p.beta, p.mean, p.variance, norm,
                                     layer.name("normalize"));
  y = layer.graph.reshape(y, m.split, layer.name("axes_split"));
  return layer.graph.permute(y, m.back, layer.name());
}

}  // namespace

extern constinit const LayerDef batch_normalization{
    .class_names = kClasses,
    .doc = "Normalization with stored statistics.",
    .keys = kKeys,
    .ignored = kIgnored,
    .mask = MaskUse::passes,
    .training = "statistics of the batch, moving averages",
    .weights = weights,
    .build = build};

}  // namespace qloom::keras::layers
