// kernels/conv/tables/conv_table_exact.cc: convolution, weights of up to four values × inputs of
// few bits, by lookups in exact tables made from the input.
//
// The arithmetic is that of table_layout.h with one output a byte: the tables of a pixel are made
// once a sample, used by each tap and channel, entries are added in bytes and split into words
// before a byte could overflow.
//
// Source: low-bit kernel survey, K3 (exact tables, in-register widening), K4 (pair index for 2-bit
// weights), with entries of terms that are >= 0, so that signed weights need no more room.

#include "kernels/conv/tables/table_layout.h"
#include "kernels/kernels_table.h"

namespace qloom::kernels {
namespace {

Verdict match(const Query& q) { return takes_tables(q); }

using Shared = TableKernel<false>;

}  // namespace

extern constinit const KernelDef conv_table_exact{
    .name = "conv_table_exact",
    .doc = "Convolution, weights of up to four values × few bits: lookups in tables of exact sums.",
    .source = "low-bit kernel survey, K3 and K4",
    .match = match,
    .input_storage = table_storage,
    .variants = Shared::variants,
    .pack = Shared::pack,
    .scratch_bytes = Shared::scratch_bytes,
    .emit = Shared::emit,
    .work_items = Shared::work_items,
    .stores_parts = true,
    .over_counted = {.zen4 = 1.08, .zen5 = 1.25, .avx2 = 1.15},
    .swept_bytes = Shared::swept_bytes,
    .weight_bits = 4};

}  // namespace qloom::kernels
