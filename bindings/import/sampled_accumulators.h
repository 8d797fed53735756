// bindings/import/sampled_accumulators.h: how many bits sums need, judged by a sample.
#pragma once

#include <span>

#include "bindings/import/keras_description.h"
#include "graph/tensor.h"
#include "passes/analysis/qtools/estimate.h"

namespace qloom {

enum class SampleMode : uint8_t {
  conservative,  ///< worst sums over the range that each layer's input has on the sample
  sampled        ///< the largest output of each layer on the sample
};

/// Runs the interpreter on `inputs` (one f32 tensor for each input of the model, batch first).
/// `unfolded`: a model without folded layers (`unfold_model`), its weights assigned; a graph must
/// be possible for it. Where one layer only is analysed, QKeras looks at the first sample alone,
/// and so do we. Throws UserError as importing does. Source: QKeras qkeras/estimate.py,
/// analyze_accumulator_from_sample.
[[nodiscard]] qtools::AccumulatorBits analyze_accumulator_from_sample(
    const KerasModel& unfolded, std::span<const Tensor> inputs, SampleMode mode);

}  // namespace qloom
