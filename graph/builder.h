#pragma once

#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "graph/ops/attributes.h"
#include "graph/quantizer.h"

namespace qloom {

/// Builds a Graph op by op; remembers for each node the layer it comes from (importers: set_layer)
/// or the caller's file and line. All functions throw UserError naming node, operands, their types
/// and where the node was built. Names are made unique; "" takes the op's name or the layer's.
class Builder {
 public:
  using Where = std::source_location;
  explicit Builder(std::string graph_name);

  /// Nodes added from now on belong to this layer. "" ends it: the caller's line is used.
  void set_layer(std::string layer, std::string layer_class);

  ValueId input(std::string name, Shape shape, Where where = Where::current());
  ValueId constant(std::string name, Tensor f32, Where where = Where::current());
  /// State by name (Graph::add_variable): its value as far as this graph has come, which is that of
  /// the last `assign` before, if any. The initial value counts where the name is new.
  ValueId variable(const std::string& name, Tensor initial, bool per_sample = false,
                   Where where = Where::current());
  /// From here on the variable has this value; the last one is what the next call of the graph
  /// reads.
  void assign(const std::string& name, ValueId value, Where where = Where::current());
  /// The function or quantizer a QKeras string or object names; `linear` and none add nothing.
  ValueId apply(const QuantizerOrFunction& what, ValueId x, std::string name = "",
                Where where = Where::current());
  /// For a quantizer with a data scale on a non-constant x, the node has the scale as second
  /// result.
  ValueId quantize(const Quantizer& quantizer, ValueId x, std::string name = "",
                   Where where = Where::current());
  /// The same with draws, from the key of a `random`; for quantizers that draw.
  ValueId quantize(const Quantizer& quantizer, ValueId x, ValueId key, std::string name = "",
                   Where where = Where::current());
  /// The key of stream number `counter` of a seed.
  ValueId random(ValueId counter, int64_t seed, std::string name = "",
                 Where where = Where::current());
  ValueId dense(ValueId x, ValueId kernel, std::string name = "", Where where = Where::current());
  ValueId conv(ValueId x, ValueId kernel, ops::Conv conv, std::string name = "",
               Where where = Where::current());
  ValueId conv_transpose(ValueId x, ValueId kernel, ops::ConvTranspose conv, std::string name = "",
                         Where where = Where::current());
  ValueId pool(ValueId x, ops::Pool pool, std::string name = "", Where where = Where::current());
  ValueId elementwise(ops::Elementwise kind, ValueId a, ValueId b, std::string name = "",
                      Where where = Where::current());
  ValueId add(ValueId a, ValueId b, std::string name = "", Where where = Where::current());
  ValueId reduce(ValueId x, ops::Reduce reduce, std::string name = "",
                 Where where = Where::current());
  ValueId concat(std::vector<ValueId> xs, int64_t axis, std::string name = "",
                 Where where = Where::current());
  ValueId reshape(ValueId x, std::vector<int64_t> extents, std::string name = "",
                  Where where = Where::current());
  ValueId permute(ValueId x, std::vector<int64_t> axes, std::string name = "",
                  Where where = Where::current());
  ValueId pad(ValueId x, std::vector<int64_t> before, std::vector<int64_t> after,
              std::string name = "", Where where = Where::current());
  ValueId resize(ValueId x, ops::Resize resize, std::string name = "",
                 Where where = Where::current());
  ValueId gather(ValueId table, ValueId indices, std::string name = "",
                 Where where = Where::current());
  ValueId batch_norm(ValueId x, ValueId gamma, ValueId beta, ValueId mean, ValueId variance,
                     ops::BatchNorm attributes, std::string name = "",
                     Where where = Where::current());
  ValueId activation(ValueId x, ops::Activation activation, std::string name = "",
                     Where where = Where::current());
  ValueId softmax(ValueId x, int64_t axis = -1, std::string name = "",
                  Where where = Where::current());
  ValueId masking(ValueId x, double mask_value, std::string name = "",
                  Where where = Where::current());
  /// `axis` may be counted from the end.
  ValueId slice(ValueId x, ops::Slice slice, std::string name = "", Where where = Where::current());
  /// 1 for the time steps of x [N, T, F] that differ from `mask_value` somewhere.
  ValueId step_mask(ValueId x, double mask_value, std::string name = "",
                    Where where = Where::current());
  ValueId select(ValueId condition, ValueId a, ValueId b, std::string name = "",
                 Where where = Where::current());
  /// Results of a scan: the last states, then what is collected.
  std::vector<ValueId> scan(std::vector<ValueId> operands, ops::Scan scan, Graph body,
                            std::string name = "", Where where = Where::current());
  void output(std::string name, ValueId value);

  [[nodiscard]] const TensorType& type(ValueId v) const { return graph_.type(v); }
  [[nodiscard]] Graph& graph() { return graph_; }
  /// Verifies and hands the graph over.
  [[nodiscard]] Graph finish();

 private:
  Graph graph_;
  Origin layer_;
};

}  // namespace qloom
