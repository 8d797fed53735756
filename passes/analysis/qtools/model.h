// passes/analysis/qtools/model.h: what QTools knows of a Keras model. Plain data, filled by who
// reads models: classes, wiring, shapes, quantizers and weights of all layers, whether or not a
// graph can be built of them.
#pragma once

#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/quantizer.h"
#include "graph/tensor.h"

namespace qloom::qtools {

inline constexpr int64_t kUnknownExtent = -1;

/// A variable of a layer. Without weights in the file there is a shape and no value.
struct ModelWeight {
  Extents shape;
  std::optional<Tensor> value;  ///< f32
};

/// A layer as Keras has it. Positions in `QtoolsModel::layers` name layers.
struct ModelLayer {
  std::string name, class_name;
  /// Who feeds its first call, in the order of the arguments; empty for an InputLayer.
  std::vector<size_t> inputs = {};
  int64_t calls = 1;       ///< 0: nothing uses it
  bool is_nested = false;  ///< it lies in a nested model
  /// Batch first; kUnknownExtent where it is open. `input_shapes`: of `inputs`.
  Extents output_shape = {};
  std::vector<Extents> input_shapes = {};

  /// `get_quantizers()`, in QKeras's order; none for a Keras class.
  std::optional<std::vector<QuantizerOrFunction>> quantizers = {};
  /// The `activation` attribute, none where the class has none. A QActivation's is its quantizer.
  std::optional<QuantizerOrFunction> activation = {};
  /// The integer bits of an adaptive activation are numbers that Python's JSON cannot write.
  bool is_adaptive = false;
  std::vector<ModelWeight> weights = {};  ///< in the order of `get_weights()`
  bool use_bias = true;                   ///< where the class has a bias
  bool scale = true, center = true;       ///< of a batch normalisation
  Extents kernel_size = {};               ///< as written; empty where the class has none
  Extents pool_size = {};  ///< as written; empty for global pooling and other classes
  Extents dot_axes = {};   ///< of a Dot, one for each input

  /// quantizers[index], nothing if there are none.
  [[nodiscard]] const QuantizerOrFunction& quantizer(size_t index) const;
};

/// A model: `layers` in the order of Keras's `model.layers`, InputLayers included.
struct QtoolsModel {
  std::string name;
  bool is_functional = true;
  std::vector<ModelLayer> layers = {};
  std::vector<size_t> inputs = {};  ///< InputLayers, in the order of `model.inputs`

  /// Position of a layer in Keras's own list, which lacks the InputLayer of a Sequential model.
  [[nodiscard]] int64_t keras_index(size_t layer) const;
};

/// Product of numbers that a file gives. Throws UserError where 64 bits do not hold it.
[[nodiscard]] int64_t checked_product(std::initializer_list<int64_t> factors);
/// Of extents; open ones count 1.
[[nodiscard]] int64_t checked_product(std::span<const int64_t> extents);
/// Product of all extents but the first; open ones count 1.
[[nodiscard]] int64_t elements_per_sample(const Extents& shape);

}  // namespace qloom::qtools
