#pragma once

#include <vector>

#include "bindings/import/keras_description.h"

namespace qloom::keras {

/// The calls in a layer's `inbound_nodes`, in the forms of Keras 2 (lists of
/// `[layer, node, tensor, kwargs]`, one nesting level less for op layers, nested structures, dicts)
/// and Keras 3 (`{"args": …, "kwargs": …}` with `keras_history`). Throws UserError naming the
/// layer.
[[nodiscard]] std::vector<KerasCall> read_calls(const ConfigView& inbound_nodes);

/// `input_layers` or `output_layers`: a list of references, one reference, or a dict of them.
[[nodiscard]] std::vector<InputRef> read_references(const ConfigView& references);

/// Every reference names a layer and one of its calls. Throws UserError naming both ends. (Whether
/// a layer has that many outputs is known only to who interprets it.)
void check_references(const KerasModel& model);

/// All calls, each after the calls it reads; otherwise in file order. Throws UserError showing the
/// layers of a cycle.
[[nodiscard]] std::vector<KerasCallRef> topological_order(const KerasModel& model);

}  // namespace qloom::keras
