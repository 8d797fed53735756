#include "passes/inference_table.h"
#include "passes/pass.h"

namespace qloom::passes {
namespace {

constexpr const PassDef* kInference[] = {
    // Before hoisting, which takes the bits that it makes out of the loop.
    &spread_masks,
    // Recurrent layers first: what leaves a scan is then treated as everything outside.
    &carry_quantized_states,
    &hoist_from_scans,
    // Weights first: types of sums are read off the codes of constant weights.
    &fold_constants,
    // Needs constant kernels; gives convolutions, whose weights the next one looks at.
    &split_transposed,
    // Needs constant codes; before regions, because it decides which sums are integers.
    &refine_weight_grids,
    // Before layouts are moved: its permutations may meet others.
    &turn_softmax,
    // Before layouts are moved: an identity between two reshapes would keep them apart.
    &remove_identities,
    // Before regions: a layout op between a conv and its activation would end the region.
    &sink_layout,
    // Sinking brings layout ops together; what cancels becomes an identity, removed next.
    &merge_layout_chains,
    &remove_identities,
    // Averages as sums: before regions, whose roots the sums become.
    &split_averages,
    &split_masking,
    // Counts of cells that differ are constants by position; sums are split from averages.
    &flatten_positions,
    &repeat_operands,
    &turn_reductions,
    // What these reshape may have been reshaped before.
    &merge_layout_chains,
    &remove_identities,
    // Roots before what follows them.
    &form_regions,
    // Each region's own chain, so that both terms of a residual sum are complete values …
    &fuse_pointwise,
    // … when the sum is moved into the region of one of them …
    &fuse_residual,
    // … and what follows the sum comes after it.
    &fuse_pointwise,
    // Last: a chain that a conv could have taken in must not become a region of its own.
    &form_elementwise_regions,
    &fuse_pointwise,
    &fuse_residual,
    &fuse_pointwise,
    // The same for the bodies of scans, when the types of what they read are settled.
    &optimize_scan_bodies,
};

}  // namespace

std::span<const PassDef* const> inference_pipeline() { return kInference; }

}  // namespace qloom::passes
