#pragma once

#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bindings/cpp/compiled.h"
#include "bindings/cpp/layers.h"
#include "bindings/cpp/quantizers.h"
#include "bindings/import/keras_description.h"
#include "graph/graph.h"
#include "graph/tensor.h"
#include "graph/tensor_type.h"
#include "passes/compile.h"

namespace qloom {

class Network;
namespace cpp {
struct NetworkState;
}

/// A tensor of a network: what one call of a layer gives. A small value; valid as long as its
/// network.
class Symbol {
 public:
  [[nodiscard]] const std::string& layer() const;  ///< the layer that gives it
  [[nodiscard]] const Shape& shape() const;        ///< the batch axis first
  /// Shape, value set and scale, with the weights that `Network::initialize` would give.
  [[nodiscard]] const TensorType& type() const;

 private:
  friend struct cpp::NetworkState;
  Symbol(cpp::NetworkState& network, size_t layer, size_t call)
      : network_(&network), layer_(layer), call_(call) {}
  cpp::NetworkState* network_;
  size_t layer_, call_;
};
/// "conv1: [N, 8, 8, 16] fixed(4, 0, unsigned)".
std::ostream& operator<<(std::ostream&, const Symbol&);

/// The inputs of a layer: one symbol, or several in braces.
class Symbols {
 public:
  Symbols(const Symbol& one) : symbols_{one} {}
  Symbols(std::initializer_list<Symbol> several) : symbols_(several) {}
  Symbols(std::vector<Symbol> several) : symbols_(std::move(several)) {}
  [[nodiscard]] std::span<const Symbol> all() const { return symbols_; }

 private:
  std::vector<Symbol> symbols_;
};

/// A layer that may be called more than once, with the same weights.
class SharedLayer {
 public:
  Symbol operator()(const Symbols& inputs,
                    std::source_location where = std::source_location::current()) const;

 private:
  friend class Network;
  SharedLayer(cpp::NetworkState& network, size_t layer) : network_(&network), layer_(layer) {}
  cpp::NetworkState* network_;
  size_t layer_;
};

struct NetworkOptions {
  /// Whose conventions plain Keras layers follow: Keras 2 and 3 differ in hard_sigmoid and in the
  /// rounding order of BatchNormalization.
  std::string keras_version = "2.15.0";
};

struct WeightInfo {
  std::string name;  ///< "kernel", "bias", "gamma", …
  Extents shape;
  bool is_set = false;
};

/// A network under construction: a DAG of Keras and QKeras layers, written layer by layer.
///
///   Network net("tiny");
///   Symbol x = net.input({8, 8, 1}, "image");
///   x = net.add(QConv2D{.filters = 4, .kernel_size = 3, .kernel_quantizer = "ternary()"}, x);
///   net.output(net.add(QActivation{quantized_relu(4)}, x));
///   net.initialize(1);
///   CompiledNetwork compiled = net.compile();
///
/// It becomes the description that a Keras file would hold, and goes the way of a file from there:
/// the same layers give the same graph, bit for bit. Errors are UserErrors that begin with the
/// caller's file and line and name the layer, what was expected and what was found; after one the
/// network is as before the call.
class Network {
 public:
  using Where = std::source_location;

  explicit Network(std::string name = "network", NetworkOptions options = {});
  ~Network();
  Network(Network&&) noexcept;
  Network& operator=(Network&&) noexcept;

  /// A float32 input. `shape`: of one sample, without the batch axis. "" names it input_1, ….
  Symbol input(const Extents& shape, std::string name = "", Where where = Where::current());
  /// Adds a layer and calls it. "" names it as Keras does: q_conv2d, q_conv2d_1, …. Names are
  /// unique; weights are loaded by them.
  Symbol add(const Layer& layer, const Symbols& inputs, std::string name = "",
             Where where = Where::current());
  template <LayerStruct L>
  Symbol add(const L& layer, const Symbols& inputs, std::string name = "",
             Where where = Where::current()) {
    return add(to_layer(layer), inputs, std::move(name), where);
  }
  /// Adds a layer that is called later, as often as needed.
  SharedLayer share(const Layer& layer, std::string name = "", Where where = Where::current());
  template <LayerStruct L>
  SharedLayer share(const L& layer, std::string name = "", Where where = Where::current()) {
    return share(to_layer(layer), std::move(name), where);
  }
  /// Makes a symbol an output, called like its layer. Outputs keep the order of these calls.
  void output(const Symbol& symbol, Where where = Where::current());

  /// The variables of a layer, in the order of Keras's `layer.weights`. Throws for unknown layers.
  [[nodiscard]] std::vector<WeightInfo> weights(std::string_view layer,
                                                Where where = Where::current()) const;
  /// Sets one variable. `values` are row-major float32; a Tensor's shape is checked too.
  void set_weight(std::string_view layer, std::string_view weight, std::span<const float> values,
                  Where where = Where::current());
  void set_weight(std::string_view layer, std::string_view weight, const Tensor& values,
                  Where where = Where::current());
  /// Sets all variables of a layer, in the order of `weights`.
  void set_weights(std::string_view layer, const std::vector<Tensor>& values,
                   Where where = Where::current());
  [[nodiscard]] Tensor weight(std::string_view layer, std::string_view weight,
                              Where where = Where::current()) const;
  /// Sets every variable that is not set as Keras initializes it: kernels Glorot-uniform, gamma and
  /// moving_variance 1, the rest 0. Equal seeds give equal values.
  void initialize(uint64_t seed = 1, Where where = Where::current());
  /// Reads weights from a Keras file (a whole model `.h5` or `.keras`, or `.weights.h5`) by layer
  /// name; with equally many layers on both sides by position, as Keras does, which `notes` says.
  /// With `only_matching` layers that the file does not name keep what they have.
  void load_weights(const std::string& path, bool only_matching = false,
                    Where where = Where::current());

  /// What a user should know: weights matched by position, weights that were not used.
  [[nodiscard]] const std::vector<std::string>& notes() const;
  [[nodiscard]] std::vector<std::string> layers() const;  ///< names, in the order of adding

  /// What a Keras file would hold: for `model_stats(net.description())`. Layers that lack a
  /// variable's values have none. Throws where there is no output.
  [[nodiscard]] KerasModel description(Where where = Where::current()) const;
  /// The graph of plain ops, each knowing its layer. `evaluation`: as in ImportOptions. Throws for
  /// layers without weights, all at once, and where there is no output.
  [[nodiscard]] Graph graph(const std::string& evaluation = "predict",
                            Where where = Where::current()) const;
  [[nodiscard]] CompiledNetwork compile(const passes::CompileOptions& options = {},
                                        Where where = Where::current()) const;
  /// Layer by layer: shapes, value sets, parameters, MACs, what each quantizer really does.
  [[nodiscard]] std::string summary(Where where = Where::current()) const;

 private:
  std::unique_ptr<cpp::NetworkState> state_;
  friend std::ostream& operator<<(std::ostream&, const Network&);
};

/// The layers as they were added, a line each.
std::ostream& operator<<(std::ostream&, const Network&);

/// An operand of an expression; remembers the line.
struct SymbolOperand {
  SymbolOperand(const Symbol& s, std::source_location where = std::source_location::current())
      : symbol(s), where(where) {}
  Symbol symbol;
  std::source_location where;
};

/// Expressions are layers too: sums, differences and products of two symbols, or of one and a
/// number.
[[nodiscard]] Symbol operator+(const SymbolOperand& a, const Symbol& b);
[[nodiscard]] Symbol operator-(const SymbolOperand& a, const Symbol& b);
[[nodiscard]] Symbol operator*(const SymbolOperand& a, const Symbol& b);
[[nodiscard]] Symbol operator+(const SymbolOperand& a, double b);
[[nodiscard]] Symbol operator-(const SymbolOperand& a, double b);
[[nodiscard]] Symbol operator*(const SymbolOperand& a, double b);

}  // namespace qloom
