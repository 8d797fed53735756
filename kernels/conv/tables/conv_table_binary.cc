// kernels/conv/tables/conv_table_binary.cc: convolution, binary and ternary weights × binary
// inputs, by lookups in constant tables: two outputs at once. The arithmetic is that of
// binary_tables.h.
//
// Source: low-bit kernel survey, K1 (dual-row constant tables) and K2 (one of a for weights 1, one
// of not a for weights -1), without the mask when nibbles are split.

#include <algorithm>
#include <array>
#include <bit>

#include "graph/support/error.h"
#include "kernels/conv/tables/binary_tables.h"
#include "kernels/kernel.h"
#include "kernels/kernels_table.h"

namespace qloom::kernels {
namespace {

using Plan = BinaryTablesPlan;

constexpr uint8_t kNoWeight = 128;
constexpr int64_t kMostWord = 65535;

/// Whether weights take two planes; null where they take no value that this kernel knows.
std::optional<bool> is_ternary(const Query& q) {
  const std::vector<int64_t> levels = weight_levels(q);
  if (levels.front() < -1 || levels.back() > 1) return std::nullopt;
  return std::ranges::find(levels, 0) != levels.end();
}

Verdict match(const Query& q) {
  if (Verdict v = has_constant_codes(q); !v) return v;
  if (Verdict v = fits_int32(q); !v) return v;
  if (!q.input.numeric.is_binary())
    return Verdict::no("input is ", q.input, ", this kernel needs binary");
  const std::optional<bool> ternary = is_ternary(q);
  if (!ternary)
    return Verdict::no("weights are ", q.weights, ", this kernel needs codes -1, 0 and 1");
  const Window& w = q.window;
  if (w.groups != 1) return Verdict::no(w.groups, " groups, this kernel needs one");
  if (w.c % 4 != 0) return Verdict::no(w.c, " input channels, this kernel needs a multiple of 4");
  if (w.out_w < 2) return Verdict::no("rows of one output, this kernel computes pairs");
  if (w.kernel_h * w.kernel_w * w.c > kMostWord)
    return Verdict::no("sums of ", w.kernel_h * w.kernel_w * w.c, " products, this kernel adds in ",
                       "words of up to ", kMostWord);
  if (*ternary && w.has_padding())
    if (const int64_t classes = border_classes(w).count(); classes > kMostClasses)
      return Verdict::no("windows stick out in ", classes, " ways");
  if (w.n < 8) return Verdict::no(w.n, " output channels, this kernel needs at least 8");
  return Verdict::yes();
}

Storage input_storage(const Query&) { return Storage::bits(); }

std::vector<Variant> variants(const Query& q, const jit::Target& target) {
  const Window& w = q.window;
  const int64_t lanes = w.n <= 16 ? 16 : target.vector_bytes;
  const int64_t vectors = (w.n + lanes - 1) / lanes, pairs = w.out_h * ((w.out_w + 1) / 2);
  // Two registers of sums for each pair and vector; rows: pairs.
  constexpr std::array<std::array<int, 2>, 6> kShapes{
      {{2, 2}, {1, 4}, {1, 2}, {3, 1}, {2, 1}, {1, 1}}};
  std::vector<Variant> list;
  for (const auto& [rows, columns] : kShapes)
    if (rows <= pairs && columns <= vectors) list.push_back({rows, columns, 0});
  return list;
}

/// Tables of one plane (0: weights 1, or binary ones; 1: weights -1).
void append_tables(std::vector<uint8_t>& out, const Plan& plan, int plane) {
  auto matches = [&](int state, int weights) {
    if (plan.planes == 2)
      return std::popcount(static_cast<unsigned>((plane == 0 ? state : ~state) & weights));
    return state == plan.padding ? 2 : 4 - std::popcount(static_cast<unsigned>(state ^ weights));
  };
  for (int s0 = 0; s0 < plan.states; ++s0)
    for (int s1 = 0; s1 < plan.states; ++s1)
      for (int i = 0; i < Plan::kTableBytes; ++i)
        out.push_back(static_cast<uint8_t>(matches(s0, i) + 16 * matches(s1, i)));
}

/// What is added to twice the matches of a class, for each channel.
std::vector<int32_t> constants_of(const Query& q, const Plan& plan, int64_t of_class) {
  const Window& w = q.window;
  const auto codes = q.weight_codes->i64();
  std::vector<int32_t> all(static_cast<size_t>(plan.vectors * plan.lanes), 0);
  size_t at = 0;
  for (int64_t y = 0; y < w.kernel_h; ++y)
    for (int64_t x = 0; x < w.kernel_w; ++x) {
      const bool inside = !plan.classes || plan.classes->inside(of_class, y, x);
      for (int64_t c = 0; c < w.c; ++c)
        for (int64_t n = 0; n < w.n; ++n) {
          const int64_t code = codes[at++];
          // Padding is state 0, where each -1 is a match that does not count.
          all[static_cast<size_t>(n)] -= inside ? (code != 0 ? 1 : 0) : (code < 0 ? 2 : 0);
        }
    }
  return all;
}

std::vector<uint8_t> pack(const Query& q, const Variant& v, const jit::Target& target) {
  const Plan plan = binary_tables_plan(q, v, target);
  const Window& w = q.window;
  std::vector<uint8_t> tables;
  for (int plane = 0; plane < plan.planes; ++plane) append_tables(tables, plan, plane);

  const auto codes = q.weight_codes->i64();
  std::vector<uint8_t> packed;
  auto row = [&](int64_t run, int64_t group, int plane, int64_t first, int columns) {
    for (int64_t n = first; n < first + int64_t{columns} * plan.lanes; ++n) {
      if (group >= plan.run || n >= w.n) {
        packed.push_back(kNoWeight);
        continue;
      }
      // Runs are contiguous in the kernel too: [R, S, C, K].
      const int64_t channel = (run * plan.run + group) * 4;
      const int64_t value = plane == 0 ? 1 : -1;
      uint8_t nibble = 0;
      for (int64_t c = 0; c < 4; ++c)
        nibble |= static_cast<uint8_t>(
            (codes[static_cast<size_t>((channel + c) * w.n + n)] == value) << c);
      packed.push_back(nibble);
    }
  };
  auto tile = [&](int64_t first, int columns) {
    for (int64_t step = 0; step < plan.steps; ++step)
      for (int64_t k = 0; k < Plan::kGroupsPerStep; ++k)
        for (int plane = 0; plane < plan.planes; ++plane)
          row(step / plan.steps_per_run, step % plan.steps_per_run * Plan::kGroupsPerStep + k,
              plane, first, columns);
  };
  for (int64_t t = 0; t < plan.full_tiles; ++t) tile(t * v.columns * plan.lanes, v.columns);
  tile(plan.full_tiles * v.columns * plan.lanes, plan.rest_columns);

  std::vector<int32_t> steps;
  for (int64_t step = 0; step < plan.steps; ++step) {
    const int64_t run = step / plan.steps_per_run;
    const int64_t start = w.dilation_w == 1 ? plan.tap_offset(run, 0)
                                            : plan.tap_offset(run / w.kernel_w, run % w.kernel_w);
    steps.push_back(
        static_cast<int32_t>(start + step % plan.steps_per_run * Plan::kGroupsPerStep * 2));
  }
  std::vector<int32_t> class_table;
  if (plan.classes) class_table = plan.classes->offsets(plan.class_bytes);
  std::vector<uint8_t> constants;
  if (plan.words || plan.planes == 2)
    for (int64_t k = 0; k < plan.class_count(); ++k) {
      const std::vector<int32_t> of_class = constants_of(q, plan, k);
      if (plan.words)
        plan.words->append(constants, w.n, plan.lanes, 2, of_class);
      else
        append(constants, of_class);
      constants.resize(static_cast<size_t>((k + 1) * plan.class_bytes));
    }
  std::vector<uint8_t> out;
  auto expect = [&](int64_t at, int64_t place, std::string_view what) {
    qloom_assert(at == place, q.name, ": ", what, " misplaced");
  };
  expect(append(out, tables), plan.tables, "tables");
  expect(append(out, packed), plan.weights, "weights");
  expect(append(out, steps), plan.step_table, "step table");
  expect(append(out, plan.pairs), plan.pair_table, "pair table");
  expect(append(out, class_table), plan.class_table, "class table");
  expect(append(out, constants), plan.constants, "constants");
  append_tail(out, *q.tail, w.n, Plan::kTailLanes);
  return out;
}

int64_t work_items(const Query& q, const Variant& v, const jit::Target&) {
  return binary_tables_split(q, v).items;
}

int64_t scratch_bytes(const Query& q, const Variant& v, const jit::Target& target) {
  return binary_tables_plan(q, v, target).scratch_bytes;
}

}  // namespace

extern constinit const KernelDef conv_table_binary{
    .name = "conv_table_binary",
    .doc =
        "Convolution, binary and ternary weights × binary: lookups in constant tables of matches, "
        "two outputs at once.",
    .source = "low-bit kernel survey, K1 and K2",
    .match = match,
    .input_storage = input_storage,
    .variants = variants,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .emit = binary_tables_emit,
    .work_items = work_items,
    .stores_parts = true,
    .over_counted = {.zen4 = 1.05, .zen5 = 1.15, .avx2 = 1.22},
    .weight_bits = 2};

}  // namespace qloom::kernels
