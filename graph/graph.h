#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/attributes.h"
#include "graph/op.h"
#include "graph/support/ids.h"
#include "graph/tensor.h"
#include "graph/tensor_type.h"

namespace qloom {

/// Where a node comes from: a layer of a file, or a line of the caller's program.
struct Origin {
  std::string layer = {};        ///< Keras layer name; "" if not from a file
  std::string layer_class = {};  ///< Keras class name
  std::string file = {};         ///< the caller's source file
  int line = 0;
  bool operator==(const Origin&) const = default;
  [[nodiscard]] std::string to_string() const;  ///< "conv1 (QConv2D)" or "train.cc:41"
};

/// A node: an op on values. There is one Node type for all ops. Ops `input`, `constant` and
/// `variable` have no operands. A `region` and a `scan` own a body.
struct Node {
  NodeId id;
  const OpDef* op = nullptr;
  std::string name;  ///< unique in its graph
  Attributes attributes;
  std::vector<ValueId> operands;
  std::vector<ValueId> results;
  std::vector<Origin> origins;     ///< several after fusion, in data-flow order
  std::optional<Tensor> constant;  ///< op `constant`: f32 values, or i64 codes where the type
                                   ///< has_codes(); op `variable`: its initial value
  std::unique_ptr<Graph> body;     ///< ops with `has_body`: region, scan
  [[nodiscard]] bool is(const OpDef& def) const { return op == &def; }
};

/// A DAG of SSA values, each with a type: no memory, no order beyond data flow. Owns its nodes;
/// everybody else holds NodeId and ValueId. Move-only.
class Graph {
 public:
  Graph();
  ~Graph();
  Graph(Graph&&) noexcept;
  Graph& operator=(Graph&&) noexcept;
  [[nodiscard]] Graph clone() const;  ///< deep copy; ids are kept

  std::string name;
  /// Switches that inference and constant folding of this graph use (division by constants in
  /// automatic scales).
  [[nodiscard]] const EvaluationOptions& options() const;
  void set_options(const EvaluationOptions&);

  // --- building -------------------------------------------------------------------------------
  /// A graph input of the given type (op `input`). The name must be new.
  ValueId add_input(std::string name, TensorType type, Origin origin = {});
  /// A constant. f32 values: the type becomes float32, or the tightest grid of at most 16 bits that
  /// holds all values exactly (so 9.0 is integers(9, 9, 0)).
  ValueId add_constant(std::string name, Tensor values, Origin origin = {});
  /// A constant of quantized values: i64 codes of the given type.
  ValueId add_constant(std::string name, Tensor codes, TensorType type, Origin origin = {});
  /// State that is kept from call to call, by this name (which must be new in the graph): float32
  /// of the initial value's extents. `per_sample`: the leading axis is the batch; the initial value
  /// has extent 1 there and every sample starts with it. Not within the body of a region.
  ValueId add_variable(std::string name, Tensor initial, bool per_sample = false,
                       Origin origin = {});
  /// Any other op: attributes are completed, types inferred. `before`: position in order (default:
  /// end). Returns the node. Throws UserError from `infer`.
  Node& add(const OpDef& op, std::string name, std::vector<ValueId> operands,
            Attributes attributes = {}, Origin origin = {});
  /// A region with the given body: body inputs correspond to operands, body outputs to results.
  Node& add_region(std::string name, std::vector<ValueId> operands, Graph body,
                   std::vector<Origin> origins);
  /// A scan (graph/ops/attributes.h) with the given body. The types of the body's inputs are set
  /// here: shapes of states must be what they will be, everything else follows from the operands.
  Node& add_scan(std::string name, std::vector<ValueId> operands, Attributes attributes, Graph body,
                 std::vector<Origin> origins);
  void add_output(std::string name, ValueId value);

  // --- reading --------------------------------------------------------------------------------
  [[nodiscard]] std::span<const ValueId> inputs() const;
  struct Output {
    std::string name;
    ValueId value;
  };
  [[nodiscard]] std::span<const Output> outputs() const;
  [[nodiscard]] const Node& node(NodeId) const;
  [[nodiscard]] Node& node(NodeId);
  [[nodiscard]] const TensorType& type(ValueId) const;
  [[nodiscard]] const Node& producer(ValueId) const;
  [[nodiscard]] int result_index(ValueId) const;  ///< which result of its producer
  /// The producer if it is a constant, else null.
  [[nodiscard]] const Node* constant_of(ValueId) const;
  /// Nodes that use the value, in order, each once; graph outputs are not counted here.
  [[nodiscard]] std::vector<NodeId> users(ValueId) const;
  [[nodiscard]] bool is_output(ValueId) const;
  /// Used by exactly one operand of one node and not an output.
  [[nodiscard]] bool used_once(ValueId) const;
  /// All nodes in topological order (stable: insertion order where data flow allows).
  [[nodiscard]] std::vector<NodeId> order() const;
  [[nodiscard]] size_t node_count() const;
  [[nodiscard]] const Node* find(std::string_view node_name) const;
  /// A name that no node has yet: the stem, or stem.1, stem.2, …
  [[nodiscard]] std::string fresh_name(std::string_view stem) const;

  // --- editing (passes) -----------------------------------------------------------------------
  /// Every use of `from` (outputs included) becomes a use of `to`.
  void replace_all_uses(ValueId from, ValueId to);
  void set_operand(NodeId node, int index, ValueId value);
  /// The node must have no users and be no output.
  void erase(NodeId);
  /// Removes nodes that no output and no `assign` depends on (inputs stay). Returns how many.
  int remove_dead();
  /// Infers all types again, in order. Throws as `infer` does.
  void infer_types();
  void replace_output(int index, ValueId value);
  /// The type of a body's input, which follows from an operand outside.
  void set_input_type(ValueId input, TensorType type);
  /// Rename an output, or drop all (used when building bodies).
  void clear_outputs();

 private:
  Node& add_body(const OpDef& op, std::string name, std::vector<ValueId> operands,
                 Attributes attributes, Graph body, std::vector<Origin> origins);
  void infer_body(const Node& node);
  struct Data;
  std::unique_ptr<Data> d_;
};

/// Throws InternalError naming node and rule: ids valid, operands defined before use, no cycle,
/// names unique, types equal to what inference says, bodies verified, constants fit their types,
/// each variable is assigned at most once.
void verify(const Graph& graph);

}  // namespace qloom
