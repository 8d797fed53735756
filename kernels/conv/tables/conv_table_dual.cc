// kernels/conv/tables/conv_table_dual.cc: convolution, binary or ternary weights × binary, ternary
// or 2-bit inputs, by lookups in tables of two outputs at once.
//
// The arithmetic is that of table_layout.h with two outputs in the nibbles of a byte: for binary
// weights and inputs three lookups of 2 · 4 products fill a nibble, for ternary weights and binary
// inputs seven of 2 · 2, for ternary both three of 2 · 2.
//
// Source: low-bit kernel survey, K1 and K2 (dual-row tables), with the tables of neighbouring
// outputs side by side, so that a vector needs no more than 16 output channels.

#include "kernels/conv/tables/table_layout.h"
#include "kernels/kernels_table.h"

namespace qloom::kernels {
namespace {

Verdict match(const Query& q) {
  if (Verdict v = takes_tables(q); !v) return v;
  const TableTerms terms = table_terms(q);
  if (dual_lookups(terms) < 2)
    return Verdict::no("input is ", q.input, ", weights are ", q.weights, ": an entry reaches ",
                       terms.largest, ", this kernel needs at most 7");
  return Verdict::yes();
}

using Shared = TableKernel<true>;

}  // namespace

extern constinit const KernelDef conv_table_dual{
    .name = "conv_table_dual",
    .doc =
        "Convolution, binary or ternary weights × one or two bits: lookups in tables of sums, "
        "two outputs at once.",
    .source = "low-bit kernel survey, K1 and K2",
    .match = match,
    .input_storage = table_storage,
    .variants = Shared::variants,
    .pack = Shared::pack,
    .scratch_bytes = Shared::scratch_bytes,
    .emit = Shared::emit,
    .work_items = Shared::work_items,
    .stores_parts = true,
    .over_counted = {.zen4 = 1.1, .zen5 = 1.2, .avx2 = 1.18},
    .swept_bytes = Shared::swept_bytes,
    .weight_bits = 4};

}  // namespace qloom::kernels
