// tests/golden/check_qtools_qstats.cc: QKeras's older statistics: operations, weights, sparsity,
// sizes of accumulators.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "bindings/import/qtools_model.h"
#include "bindings/import/sampled_accumulators.h"
#include "bindings/import/unfold_model.h"
#include "graph/support/error.h"
#include "passes/analysis/qtools/estimate.h"
#include "tests/golden/check_qtools.h"
#include "tests/golden/model_case.h"

namespace qloom::golden {
namespace {

using qtools::AccumulatorBits;
using qtools::Estimate;
using qtools::EstimatedType;
using qtools::LayerEstimate;
using qtools::QtoolsModel;
using qtools::Sparsity;

Json to_json(const EstimatedType& t) { return {t.mode, t.bits, t.is_signed ? 1 : 0}; }

Json operations_of(const Estimate& estimate) {
  Json out = Json::object();
  for (const LayerEstimate& l : estimate.layers) {
    const EstimatedType& w = l.weights[0];
    const bool several = l.weights.size() > 1;
    Json types = Json::array();
    for (const EstimatedType& t : l.weights) types.push_back(to_json(t));
    out[l.name] = {
        {"type",
         {l.operation,
          {w.mode, l.input.mode},
          {w.bits, l.input.bits},
          {w.is_signed, l.input.is_signed}}},
        {"number_of_operations", l.operations},
        {"number_of_weights", several ? Json(l.weight_counts) : Json(l.weight_counts[0])},
        {"number_of_bias", l.bias_count},
        {"type_of_weights", several ? types : types[0]},
        {"type_of_bias", to_json(l.bias)}};
  }
  return out;
}

/// To four decimals, as it is printed.
Json rounded(double v) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.4f", v);
  return std::strtod(text.data(), nullptr);
}

/// The four blocks that print_qstats writes.
Json printed_of(const Estimate& estimate, const Sparsity& sparsity) {
  Json out{{"operations", Json::object()},
           {"operation_types", Json::object()},
           {"weights", Json::object()},
           {"sparsity", Json::object()},
           {"total_bits", estimate.weight_bits()},
           {"total_sparsity", rounded(sparsity.total)}};
  for (const LayerEstimate& l : estimate.layers) {
    out["operations"][l.name] = {l.operations, l.operation_name()};
    for (size_t k = 0; k < l.weights.size(); ++k) {
      const std::string suffix = l.weights.size() > 1 ? join_text("_", k) : "";
      out["weights"][l.name + "_weights" + suffix] = {l.weight_counts[k], l.weights[k].bits};
    }
    out["weights"][l.name + "_bias"] = {l.bias_count, l.bias.bits};
  }
  for (const auto& [name, total] : estimate.operation_totals())
    out["operation_types"][name] = total;
  for (const auto& [name, share] : sparsity.layers) out["sparsity"][name] = rounded(share);
  return out;
}

/// A bernoulli quantizer draws at random: what depends on drawn values cannot be compared.
bool draws_at_random(const QtoolsModel& model) {
  const auto is_random = [](const QuantizerOrFunction& what) {
    const auto* q = std::get_if<Quantizer>(&what);
    return q != nullptr && q->name() == "bernoulli";
  };
  for (const qtools::ModelLayer& l : model.layers) {
    if (l.activation && is_random(*l.activation)) return true;
    if (l.quantizers && std::ranges::any_of(*l.quantizers, is_random)) return true;
  }
  return false;
}

/// Keras failed to read its own file when the case was made: nothing to compare with.
bool was_not_loaded(const Json& part) {
  return part.contains("error") && part.at("error").at("message").get<std::string>().find(
                                       "unknown TensorShape") != std::string::npos;
}

std::string check_bits(const AccumulatorBits& bits, const Json& expected) {
  if (expected.contains("error") && expected.at("error").is_object())
    return check_refusal(bits.refusals, expected.at("error"));
  if (!bits.refusals.empty()) return "refused: " + bits.refusals[0].why;
  Json got = Json::object();
  for (const auto& [name, n] : bits.layers) got[name] = n;
  return difference(got, expected);
}

std::string check_statistics(const Json& c, const QtoolsModel& model, const QtoolsModel& unfolded) {
  const Estimate estimate = estimate_operations(unfolded);
  const Sparsity sparsity = sparsity_of(model, unfolded);
  const bool random = draws_at_random(model);
  const Json& operations = c.at("operations");
  if (operations.contains("error")) {
    if (std::string text = check_refusal(estimate.refusals, operations.at("error")); !text.empty())
      return text;
  } else {
    if (!estimate.refusals.empty()) return "refused: " + estimate.refusals[0].why;
    if (std::string text = difference(operations_of(estimate), operations, "operations");
        !text.empty())
      return text;
  }
  Json printed = c.at("printed");
  if (printed.contains("error")) {
    if (!was_not_loaded(printed))
      if (std::string text = check_refusal(estimate.refusals, printed.at("error")); !text.empty())
        return text;
    const Json& recorded = c.at("sparsity");
    if (!random && !was_not_loaded(recorded)) {
      Json layers = Json::object();
      for (const auto& [name, share] : sparsity.layers) layers[name] = rounded(share);
      Json expected = recorded;
      for (auto& [name, share] : expected["layers"].items()) share = rounded(share.get<double>());
      expected["total"] = rounded(expected["total"].get<double>());
      if (std::string text =
              difference({{"total", rounded(sparsity.total)}, {"layers", layers}}, expected);
          !text.empty())
        return "sparsity: " + text;
    }
  } else {
    if (!sparsity.refusals.empty()) return "refused: " + sparsity.refusals[0].why;
    Json got = printed_of(estimate, sparsity);
    for (Json* side : {&got, &printed})
      if (random) {
        side->erase("sparsity");
        side->erase("total_sparsity");
      }
    if (std::string text = difference(got, printed, "printed"); !text.empty()) return text;
  }
  qtools::InputRanges ranges;
  for (const auto& [layer, range] : c.at("ranges").items())
    ranges[layer] = {range[0].get<double>(), range[1].get<double>()};
  const std::string text = check_bits(analyze_accumulator(unfolded, ranges), c.at("accumulator"));
  return text.empty() ? "" : "accumulator: " + text;
}

std::string check_samples(const Bundle& bundle, const Json& c, const KerasModel& unfolded) {
  const std::vector<Tensor> sample = tensors(bundle, c.at("sample"));
  for (const auto& [key, mode] : {std::pair{"accumulator_conservative", SampleMode::conservative},
                                  std::pair{"accumulator_sampled", SampleMode::sampled}})
    if (std::string text =
            check_bits(analyze_accumulator_from_sample(unfolded, sample, mode), c.at(key));
        !text.empty())
      return join_text(key, ": ", text);
  return "";
}

}  // namespace

std::vector<Outcome> check_qtools_qstats(const Bundle& bundle, const Json& c, const Json& model,
                                         const RunOptions& options) {
  const auto outcome = [](const std::string& name, const std::string& text) {
    return text.empty() ? Outcome::pass(name) : Outcome::fail(name, text);
  };
  const KerasModel keras = with_assigned_weights(keras_model_of(bundle, model, options));
  const KerasModel unfolded = unfold_model(keras);
  const QtoolsModel known = qtools_model_of(keras);
  const auto name = c.at("name").get<std::string>();
  std::vector<Outcome> out{outcome(name, check_statistics(c, known, qtools_model_of(unfolded)))};
  if (draws_at_random(known)) return out;
  // Nothing runs where nothing is analysed.
  const bool runs = std::ranges::any_of(known.layers, [](const qtools::ModelLayer& l) {
    return qtools::has_analyzed_accumulator(l.class_name);
  });
  const std::string reason = runs ? unknown_layers(unfolded) : "";
  out.push_back(reason.empty() ? outcome(name + " [sample]", check_samples(bundle, c, unfolded))
                               : Outcome::skip(name + " [sample]", reason));
  return out;
}

}  // namespace qloom::golden
