// passes/analysis/qtools/layer_rules.h: one layer's entry in the data-type map.
#pragma once

#include "passes/analysis/qtools/batch_norm.h"
#include "passes/analysis/qtools/data_map.h"

namespace qloom::qtools {

/// Computes the entry of one layer and writes its output type on the edges that leave it.
class LayerWalk {
 public:
  LayerWalk(const QtoolsModel& model, const MapOptions& options, Wiring& wiring, size_t layer,
            const Context& context);
  LayerTypes run();

  /// QTools has no rule for the class and passes the input's type on.
  [[nodiscard]] static bool has_no_rule(std::string_view layer_class);

 private:
  struct Rule {
    bool (*matches)(std::string_view layer_class);
    QtoolsType (LayerWalk::*output)();  ///< fills the entry, gives the computed output type
  };
  static const Rule kRules[];

  // A branch each of generate_layer_data_type_map.
  QtoolsType merge_layer();
  QtoolsType shape_layer();
  QtoolsType average_layer();
  QtoolsType activation_layer();
  QtoolsType batch_norm_layer();
  QtoolsType mac_layer();
  QtoolsType folded_layer();
  QtoolsType other_layer();

  /// The layer has no quantizers of its own, or they do not count.
  [[nodiscard]] bool is_plain() const { return is_plain(layer_); }
  [[nodiscard]] bool is_plain(const ModelLayer& layer) const {
    return options_.for_reference || !layer.quantizers;
  }
  [[nodiscard]] QtoolsType intermediate_type() const;
  /// Of weights in plain layers; of their products, sums and outputs.
  [[nodiscard]] QtoolsType default_weight_type() const;
  [[nodiscard]] QtoolsType default_result_type() const;
  [[nodiscard]] QtoolsType named_or_refused(const std::string& name) const;
  [[nodiscard]] QtoolsType converted(const QuantizerOrFunction& what) const;
  /// For what must be a type QTools knows: "weight", "bias", "activation".
  [[nodiscard]] QtoolsType required(const QuantizerOrFunction& what, std::string_view of) const;
  [[nodiscard]] QtoolsType passed_or_default() const;
  [[nodiscard]] BatchNormTypes batch_norm_types(const ModelLayer& norm) const;
  /// How many values weight `index` of a layer has, after its quantizer if it is not quantized yet.
  [[nodiscard]] int64_t count_values(const ModelLayer& layer, size_t index) const;
  /// The scale that an auto_po2 quantized_bits found at its last call.
  [[nodiscard]] LearnedScale scale_of(const ModelLayer& layer, size_t quantizer) const;
  [[nodiscard]] const HardwareWeights* hardware() const;

  void put(std::string key, const QtoolsType& type) {
    entry_.parts.push_back({std::move(key), type});
  }
  void put(std::string key, const Operation& operation) {
    entry_.parts.push_back({std::move(key), operation.out, operation});
  }
  void put_weights(const QtoolsType& weight, const std::optional<QtoolsType>& bias);
  [[nodiscard]] Operation overridden(Operation operation) const;

  const QtoolsModel& model_;
  const MapOptions& options_;
  Wiring& wiring_;
  size_t index_;
  const ModelLayer& layer_;
  Context context_;
  std::vector<QtoolsType> inputs_;
  EdgeShape input_shape_;  ///< the largest
  LayerTypes entry_;
};

}  // namespace qloom::qtools
