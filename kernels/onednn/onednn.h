// kernels/onednn/onednn.h: what the kernels share that are primitives of oneDNN. The library and
// its headers are seen by the plug-in alone (plugin/).
//
// All of them add floats in an order of the library's own: they are eligible only where float_mode
// is fast. Operands and results are float32 in channels-last order; weights are constants.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/kernel.h"

namespace qloom::kernels::onednn {

/// A primitive as data, for one sample.
struct Primitive {
  enum class Kind : uint8_t { convolution, inner_product, max_pool, average_pool, softmax };
  Kind kind = Kind::convolution;
  Window window = {};  ///< convolution, pools; inner product: c inputs, n outputs, h rows
  int64_t pad_bottom = 0, pad_right = 0;
  std::vector<float> weights = {};         ///< [R, S, C/groups, K] or [C, U]
  int64_t outer = 1, axis = 1, inner = 1;  ///< softmax: along `axis` of [outer, axis, inner]
};

/// That the plug-in's file is missing; empty if it is there. (Built without oneDNN, none of this is
/// in the library.)
[[nodiscard]] std::string missing();

/// Yes where operand 0 and the result are float32, stored so, batch first, and every other operand
/// is a constant.
[[nodiscard]] Verdict takes_floats(const ReferenceSpec& spec);

/// Geometry of operand 0 and the result; `sizes`, `strides`, `dilations` per spatial axis.
void set_window(Primitive& primitive, const ReferenceSpec& spec, const std::vector<int64_t>& sizes,
                const std::vector<int64_t>& strides, const std::vector<int64_t>& dilations,
                std::string_view padding);
/// Values of the constant operand.
[[nodiscard]] std::vector<float> values_of(const ReferenceSpec& spec, int operand);

/// Lanes that a vector of 16 floats has for each output that it computes: 1 where `outputs` fill
/// it.
[[nodiscard]] double share_of_lanes(int64_t outputs);

/// Opens the plug-in and prepares the primitive. Throws UserError where the plug-in does not load,
/// InternalError with oneDNN's message where it refuses.
[[nodiscard]] std::unique_ptr<ReferenceCall> prepare(const Primitive& primitive);

}  // namespace qloom::kernels::onednn
