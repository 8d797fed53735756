// bench/support/suite.h: rows to measure: layers × widths, from the files of bench/suites/.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "graph/ops/attributes.h"

namespace qloom::bench {

/// What the operands of a layer are. The names say weights × activations: w4a8, ta8 (ternary
/// weights), ba4 (binary weights), bb (binary × binary).
struct Widths {
  std::string_view name;
  std::string_view input;    ///< QKeras string of the quantizer before the layer, and after it
  float input_lo, input_hi;  ///< where inputs are drawn from, uniformly
  std::string_view weights;  ///< QKeras string
  bool trained_like;  ///< weights normal with standard deviation 1/4; else uniform in [-1, 1]
};
/// Null when there is none of this name.
[[nodiscard]] const Widths* find_widths(std::string_view name);
[[nodiscard]] std::string widths_names();

enum class LayerOp : uint8_t { conv, depthwise, dense };

/// One row.
struct LayerSpec {
  std::string name;  ///< layer and class: "block0_conv1/w4a4"
  LayerOp op = LayerOp::conv;
  const Widths* widths = nullptr;
  std::string class_name;  ///< what reports call the widths; the suite may rename them
  int64_t h = 1, w = 1, c = 1, n = 1;
  int64_t kernel_h = 1, kernel_w = 1, stride = 1, dilation = 1, groups = 1;
  ops::Padding padding = ops::Padding::same;
  int64_t batch = 1;  ///< samples a call
};

/// Parses a suite. A line is empty, a comment (`# …`), or
///   widths NAME[=CLASS] …                   of the layers that follow, each with each; CLASS: its
///   name in reports batch B                                 samples a call, for the layers that
///   follow conv NAME HxWxC N KxK [stride S] [dilation D] [groups G] [valid] depthwise NAME HxWxC
///   KxK [stride S] [valid] dense NAME C N
/// Throws UserError naming `file`, line, what was expected and found.
[[nodiscard]] std::vector<LayerSpec> parse_suite(std::string_view text, const std::string& file);
/// The suite of a file, or of a name: bench/suites/NAME.txt in the source folder. Throws UserError
/// that lists the suites.
[[nodiscard]] std::vector<LayerSpec> read_suite(const std::string& name_or_path);
[[nodiscard]] std::vector<std::string> suite_names();

}  // namespace qloom::bench
