// passes/analysis/qtools/data_map.h: QTools's data-type map: for each layer of a model the types
// of inputs, weights, products, sums and output, what multiplies, and how often.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "passes/analysis/qtools/model.h"
#include "passes/analysis/qtools/operators.h"
#include "passes/analysis/qtools/settings.h"
#include "passes/analysis/qtools/wiring.h"

namespace qloom::qtools {

/// A layer's record in the dictionary of `model_save_quantized_weights`: all that QTools reads.
struct HardwareWeights {
  bool enable_bn_fusing = false;
  std::string fused_bn_layer_name;
};

/// What QTools's constructor takes, with its defaults.
struct MapOptions {
  const Process* process = processes().data();
  /// Types of the model's inputs: texts as `convert_text` takes them, "" for none. Without the
  /// list: quantized_bits(8, 0, 1). `single_source`: one text was given in place of a list.
  std::optional<std::vector<std::string>> sources = {};
  bool single_source = false;
  bool is_inference = false;  ///< count the different values of power-of-two weights
  bool model_weights_already_quantized = true;
  std::string keras_quantizer = {};    ///< weights and biases of layers without quantizers
  std::string keras_accumulator = {};  ///< their products, sums and outputs
  bool for_reference = false;          ///< as if no layer had quantizers
  std::optional<std::map<std::string, HardwareWeights>> hardware = {};
  /// Scales of auto_po2 quantizers as found after a call: by layer, one for each of its
  /// quantizers. What is not listed counts as never called. `from_weights`: compute them.
  std::map<std::string, std::vector<LearnedScale>> scales = {};
  bool scales_from_weights = false;
};

/// A type in a layer's entry, called as in the exported file.
struct Part {
  std::string key;  ///< "weight_quantizer", "accumulator", …
  QtoolsType type;  ///< of the result, for an operation
  std::optional<Operation> operation = {};
  std::optional<Extents> shape = {};  ///< of weights and biases
  bool shape_is_number = false;       ///< of a bias: a count, not a list
};

struct LayerTypes {
  size_t layer = 0;  ///< position in the model
  std::string name, class_name;
  std::vector<QtoolsType> inputs = {};
  QtoolsType output = {};
  EdgeShape output_shape = {};
  std::vector<Part> parts = {};  ///< in the order of the file
  int64_t operation_count = 0;
  bool is_first = false, is_last = false;  ///< reads an input of the model; read by nobody

  /// Null when there is no such part.
  [[nodiscard]] const Part* find(std::string_view key) const;
  /// The operation of a part; null when there is none.
  [[nodiscard]] const Operation* operation(std::string_view key) const;
  /// What a merge layer's part is called: "Add_quantizer".
  [[nodiscard]] const Operation* merge_operation() const;
};

struct DataMap {
  std::vector<QtoolsType> sources;  ///< of the model's inputs
  std::vector<LayerTypes> layers;   ///< in QTools's order: by generations
  /// What QTools would raise instead of giving this map; the entries come from the rule named.
  std::vector<Refusal> refusals;
  /// A layer without a rule of its own: its input type passes through.
  std::vector<std::string> passed_through;
  /// QTools itself cannot write this map to a file.
  bool is_serializable = true;

  [[nodiscard]] const LayerTypes* find(std::string_view layer) const;
};

/// Source: qkeras/qtools/generate_layer_data_type_map.py, run_qtools.py. Throws UserError for
/// options that do not fit the model: number of source types, names of types.
[[nodiscard]] DataMap map_types(const QtoolsModel& model, const MapOptions& options = {});

/// Which batch normalisations hardware can merge with the layer before: a QBatchNormalization that
/// is all that reads a QConv2D or QDepthwiseConv2D. An entry for each layer with quantizers.
/// Source: qkeras/utils.py, find_bn_fusing_layer_pair, model_save_quantized_weights.
[[nodiscard]] std::map<std::string, HardwareWeights> hardware_weights(const QtoolsModel& model);

/// Times that a layer's operation runs for one sample, as QTools counts them.
/// Source: qtools_util.py, get_operation_count.
[[nodiscard]] int64_t operation_count(const ModelLayer& layer, const Extents& input_shape,
                                      const Context& context);

/// True for "Add", "Multiply", …, "Dot".
[[nodiscard]] bool is_merge(std::string_view layer_class);
/// True for convolutions, dense layers and transposed convolutions, quantized or not; not for those
/// that batch normalisation is folded into.
[[nodiscard]] bool is_multiply_accumulate(std::string_view layer_class);

}  // namespace qloom::qtools
