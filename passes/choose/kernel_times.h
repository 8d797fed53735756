// passes/choose/kernel_times.h: what kernels were measured to take on this machine, in place of
// what is predicted.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace qloom::passes {

/// A kernel in one variant, for one shape of node.
struct KernelTime {
  std::string kernel, variant;  ///< as Variant::to_string; "" where kernels have none
  double ns = 0;                ///< per sample, > 0
  bool operator==(const KernelTime&) const = default;
};

/// Measured times by shape_of. A value.
class KernelTimes {
 public:
  /// Null where the shape was not measured.
  [[nodiscard]] const std::vector<KernelTime>* of(std::string_view shape) const;
  [[nodiscard]] bool knows(std::string_view shape, std::string_view kernel,
                           std::string_view variant) const;
  /// Replaces what there was of this shape. Throws InternalError where it holds a newline or tab.
  void set(const std::string& shape, std::vector<KernelTime> times);
  void erase(const std::string& shape) { shapes_.erase(shape); }
  /// Takes over all of `other`.
  void merge(const KernelTimes& other);
  [[nodiscard]] bool empty() const { return shapes_.empty(); }
  [[nodiscard]] size_t size() const { return shapes_.size(); }
  /// A line for each time: shape, kernel, variant, nanoseconds, with tabs between.
  [[nodiscard]] std::string to_text() const;
  /// Inverse of to_text. Throws UserError naming the line.
  [[nodiscard]] static KernelTimes parse(std::string_view text);
  bool operator==(const KernelTimes&) const = default;

 private:
  std::map<std::string, std::vector<KernelTime>, std::less<>> shapes_;
};

/// What nodes have in common that take equally long with a kernel: ops, attributes, shapes and
/// value sets, not names nor values of constants; and the samples of a call. A digest.
[[nodiscard]] std::string shape_of(const Graph& graph, const Node& node, int64_t batch);

}  // namespace qloom::passes
