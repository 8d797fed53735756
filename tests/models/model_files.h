// tests/models/model_files.h: real trained networks that the tests go through.
#pragma once

#include <string>
#include <vector>

#include "bindings/import/keras_description.h"

namespace qloom::testing {

struct ModelFile {
  std::string name, path, weights;
  bool trained = true;  ///< false: generated weights, calibrated
};

/// The network that lies in tests/data/.
[[nodiscard]] ModelFile demo_model();
/// Every network of the shared models that this version can read; none where there is no shared
/// data.
[[nodiscard]] std::vector<ModelFile> shared_models();
[[nodiscard]] ModelFile shared_model(const std::string& name);

/// The model with every weight changed at random; variances stay positive. Seeded.
[[nodiscard]] KerasModel with_changed_weights(const ModelFile& file, uint32_t seed);

}  // namespace qloom::testing
