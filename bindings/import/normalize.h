#pragma once

#include "bindings/import/config_value.h"

namespace qloom::keras {

/// Brings every object of a configuration to one form, whatever Keras version wrote it:
///   {module, class_name, config, registered_name, shared_object_id, build_config, …}
///                                                → {class_name, config}
///   class names "Custom>Adam", registered names "qkeras>QDense"  → the part after '>'
///   __tuple__, TensorShape, __numpy__, __tensor__                → lists and numbers
///   function objects (class_name "function")                     → the function's name
///   dtype policies                                               → the name of the policy
/// Layer entries keep `name` and `inbound_nodes`. Classes of Keras 3 operations ("Add" of
/// keras.src.ops.numpy), which share names with layers, become "ops.Add".
[[nodiscard]] ConfigValue normalize(ConfigValue value);

}  // namespace qloom::keras
