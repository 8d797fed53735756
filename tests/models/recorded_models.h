// tests/models/recorded_models.h: the shared models with what the reference recorded of each.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bindings/golden/compare.h"
#include "graph/graph.h"

namespace qloom::testing {

struct RecordedModel {
  std::string name;
  Graph graph;  ///< as imported, a closing softmax apart
  golden::Expected expected;
};

/// Visits each Keras model of own, public and reports; `with_generated`: quicknet_w1a1 too, whose
/// ten million weights are made here. Returns the names of those that no graph can be built of,
/// with the reason.
std::vector<std::string> for_each_recorded_model(
    bool with_generated, const std::function<void(const RecordedModel&)>& visit);

/// `samples` of them: the recorded ones, then mixtures of two with noise.
[[nodiscard]] std::vector<Tensor> samples_like(const std::vector<Tensor>& recorded,
                                               int64_t samples);
/// As many, far beyond the range of every quantizer to both sides.
[[nodiscard]] std::vector<Tensor> wide_samples_like(const std::vector<Tensor>& recorded,
                                                    int64_t samples);

}  // namespace qloom::testing
