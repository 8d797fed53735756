// passes/analysis/qtools/wiring.h: the graph that QTools makes of a model: layers between one
// source and one sink, one edge at most for each pair, InputLayers and Dropout bypassed. Orders are
// part of the result: the JSON, the operands of a Multiply and energies of inputs depend on them.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "passes/analysis/qtools/model.h"
#include "passes/analysis/qtools/type.h"

namespace qloom::qtools {

/// The shape that an edge carries. What comes from an InputLayer is wrapped in a list, and several
/// rules take that list for the shape.
struct EdgeShape {
  Extents extents;
  bool is_list = false;
  /// np.prod(shape[1:]): 1 for a wrapped shape.
  [[nodiscard]] int64_t elements() const { return is_list ? 1 : elements_per_sample(extents); }
  bool operator==(const EdgeShape&) const = default;
};

/// What an edge says of the numbers on it: nothing, what the layer declares, or an inferred type.
using EdgeType = std::variant<std::monostate, QuantizerOrFunction, QtoolsType>;

struct Edge {
  size_t from = 0, to = 0;  ///< nodes
  EdgeShape shape;
  EdgeType type;
};

/// Source: qkeras/qtools/qgraph.py, CreateGraph and GraphPropagateActivationsToEdges.
class Wiring {
 public:
  /// `sources`: types of the model's inputs. Throws nothing: what QTools refuses is noted.
  Wiring(const QtoolsModel& model, const std::vector<QtoolsType>& sources, const Context& context);

  /// Layers in the order of the map: each after what it reads, generation by generation.
  [[nodiscard]] std::vector<size_t> order() const;
  [[nodiscard]] std::vector<const Edge*> incoming(size_t layer) const;
  /// Layers that read this one.
  [[nodiscard]] std::vector<size_t> readers(size_t layer) const;
  /// What a layer declares as its output's type: its quantizer or activation.
  [[nodiscard]] const std::optional<QuantizerOrFunction>& declared(size_t layer) const {
    return declared_[layer];
  }
  /// The first layer that nobody reads.
  [[nodiscard]] std::optional<size_t> first_output() const;
  /// Writes a type on all edges that leave a layer.
  void set_outgoing(size_t layer, const QtoolsType& type);
  /// It reads an input of the model; nobody reads it.
  [[nodiscard]] bool is_first(size_t layer) const;
  [[nodiscard]] bool is_last(size_t layer) const;

 private:
  size_t source() const { return model_.layers.size(); }
  size_t sink() const { return model_.layers.size() + 1; }
  void connect(Edge edge);
  void bypass(std::string_view class_name, const Context& context);
  void remove(size_t node);

  const QtoolsModel& model_;
  std::vector<Edge> edges_;
  /// Positions in edges_, in QTools's order, and whether a node is still there.
  std::vector<std::vector<size_t>> in_, out_;
  std::vector<bool> present_;
  std::vector<std::optional<QuantizerOrFunction>> declared_;
};

}  // namespace qloom::qtools
