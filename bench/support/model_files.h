// bench/support/model_files.h: models on a command line.
#pragma once

#include <string>
#include <vector>

namespace qloom::bench {

/// Each argument a model file, or a folder: its models in the order of their names (.h5 and .keras;
/// files of weights alone, NAME_weights.h5 and .weights.h5, are left out). Throws UserError for
/// what is not there and for a folder without models.
[[nodiscard]] std::vector<std::string> model_files(const std::vector<std::string>& arguments);

}  // namespace qloom::bench
