#pragma once

#include <string>
#include <vector>

#include "passes/choose/select_kernels.h"

namespace qloom::passes {

/// Ways to rewrite a value from one storage to another: the elementwise kernels with a tail that
/// only changes the form. Empty when there is none.
[[nodiscard]] std::vector<Choice> conversion_choices(const TensorType& type, kernels::Storage from,
                                                     kernels::Storage to, const std::string& name,
                                                     const CompileOptions& options);

}  // namespace qloom::passes
