#include "kernels/conv/tables/table_layout.h"

#include <algorithm>
#include <numeric>

#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "kernels/conv/border_classes.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {
namespace {

constexpr int64_t kLargestLevel = 4;
constexpr uint8_t kNoWeight = 128;
constexpr int64_t kByteTop = 255;

/// Lookups whose tables lie one behind the other.
int64_t contiguous_lookups(const TablePlan& plan) {
  const Window& w = plan.window;
  return w.stride_w == 1 && w.dilation_w == 1 ? w.kernel_w * plan.groups : plan.groups;
}

/// Steps of `n` lookups.
struct Steps {
  int64_t n = 1, steps = 0, chunk = 0, chunks = 1;
  int64_t cost = 0;  ///< vector operations, about
};
Steps steps_of(const TablePlan& plan, int64_t lookups, int64_t n) {
  Steps s{.n = n, .steps = (lookups + n - 1) / n};
  const bool in_words = plan.sums == TableSums::words;
  const int64_t fits = std::max<int64_t>(1, kByteTop / plan.terms.largest / n);
  s.chunks = in_words ? 1 : (s.steps + fits - 1) / fits;
  s.chunk = (s.steps + s.chunks - 1) / s.chunks;
  s.steps = s.chunk * s.chunks;
  constexpr int64_t kSplit = 3;  // to words
  const int64_t more = plan.sums == TableSums::dual ? 2 : in_words ? 2 : 0;
  s.cost = s.steps * (2 * n + more);
  if (plan.vector_bytes() >= 64) return s;
  const int64_t offsets = contiguous_lookups(plan) % n == 0 ? 1 : n;  // a quarter of the tile's
  s.cost += s.chunks * kSplit + s.steps * (1 + offsets) / 4;
  return s;
}

void choose_steps(TablePlan& plan, int64_t lookups) {
  const int64_t in_bytes = kByteTop / plan.terms.largest;
  // Fewer lookups a chunk do not pay for a loop of their own; nor do more, where sums in bytes and
  // in words together have no room in the registers.
  const int64_t enough = plan.vector_bytes() >= 64 ? 16 : 64;
  int64_t most = 2;
  if (plan.sums == TableSums::dual) {
    most = dual_lookups(plan.terms);
  } else if (in_bytes < enough && in_bytes < lookups) {
    plan.sums = TableSums::words;
    most = 16;
  }
  most = std::min({most, in_bytes, lookups});
  Steps best;
  for (int64_t n = most; n >= 1; --n)
    if (const Steps s = steps_of(plan, lookups, n); n == most || s.cost < best.cost) best = s;
  plan.lookups_per_step = static_cast<int>(best.n);
  plan.steps = best.steps;
  plan.chunk = best.chunk;
  plan.chunks = best.chunks;
  plan.lookups = best.steps * best.n;
  plan.follow = contiguous_lookups(plan) % best.n == 0;
}

int64_t level_index(const TableTerms& terms, int64_t code) {
  return std::ranges::find(terms.levels, code) - terms.levels.begin();
}

/// Weight of a channel as packed: those behind the last are levels[0], with x = 0.
int64_t packed_level(const TablePlan& plan, std::span<const int64_t> codes, int64_t tap, int64_t c,
                     int64_t n) {
  const Window& w = plan.window;
  if (c >= w.c) return plan.terms.levels[0];
  return codes[static_cast<size_t>((tap * w.c + c) * w.n + n)];
}

std::vector<int32_t> channel_constants(const TablePlan& plan, std::span<const int64_t> codes) {
  const Window& w = plan.window;
  const TableTerms& terms = plan.terms;
  // Constant of each tap and channel, then sums over the taps of each class.
  const auto pitch = static_cast<size_t>(plan.vectors * kTableChannels);
  std::vector<int32_t> all(static_cast<size_t>(plan.classes) * pitch, 0);
  BorderClasses classes;
  if (terms.excludes_padding) classes = border_classes(w);
  for (int64_t y = 0; y < w.kernel_h; ++y)
    for (int64_t x = 0; x < w.kernel_w; ++x)
      for (int64_t n = 0; n < w.n; ++n) {
        int64_t packed = 0, real = 0;  // of all taps; of taps inside
        for (int64_t c = 0; c < plan.groups * terms.channels; ++c) {
          const int64_t v = packed_level(plan, codes, y * w.kernel_w + x, c, n);
          if (v < 0) packed += terms.scale * terms.top * v;
          if (c < w.c) real -= terms.zero * v;
        }
        for (int64_t k = 0; k < plan.classes; ++k) {
          // There may be one class whose windows all stick out.
          const bool inside = !terms.excludes_padding || classes.inside(k, y, x);
          all[static_cast<size_t>(k) * pitch + static_cast<size_t>(n)] +=
              static_cast<int32_t>(packed + (inside ? real : 0));
        }
      }
  return all;
}

}  // namespace

Storage table_storage(const Query& q) {
  if (q.input.numeric.is_binary() || q.input.numeric.kind() == Numeric::Kind::bit)
    return Storage::bits();
  return plain_storage(q.input);
}

TableTerms table_terms(const Query& q) {
  TableTerms terms;
  terms.levels = weight_levels(q);
  terms.channels = terms.levels.size() <= 2 ? 4 : 2;
  const size_t wanted = terms.channels == 4 ? 2 : 4;
  while (terms.levels.size() < wanted) terms.levels.push_back(terms.levels.back());
  const Storage storage = table_storage(q);
  terms.bits = storage.kind == Storage::Kind::bits;
  if (q.input.numeric.is_binary()) {
    terms.scale = 2;
    terms.zero = 1;
    terms.excludes_padding = q.window.has_padding();
  } else if (!terms.bits) {
    terms.zero = storage.zero;
    terms.top = largest_byte(q, storage);
  }
  int64_t most = 1;
  for (const int64_t v : terms.levels) most = std::max(most, (v < 0 ? -v : v) * terms.top);
  terms.largest = terms.channels * most;
  return terms;
}

int64_t dual_lookups(const TableTerms& terms) { return 15 / terms.largest; }

Verdict takes_tables(const Query& q) {
  if (Verdict v = has_constant_codes(q); !v) return v;
  if (Verdict v = fits_int32(q); !v) return v;
  const Window& w = q.window;
  if (w.groups != 1) return Verdict::no(w.groups, " groups, this kernel needs one");
  if (w.out_w < 2) return Verdict::no("rows of one output, this kernel computes several at once");
  const std::vector<int64_t> levels = weight_levels(q);
  if (levels.size() > 4)
    return Verdict::no("weights are ", q.weights, " with more than four values");
  for (const int64_t v : levels)
    if (v < -kLargestLevel || v > kLargestLevel)
      return Verdict::no("weights are ", q.weights, " with code ", v, ", this kernel needs codes ",
                         -kLargestLevel, "..", kLargestLevel);
  const Storage storage = table_storage(q);
  if (storage.kind != Storage::Kind::bits && storage.kind != Storage::Kind::bytes)
    return Verdict::no("input is ", q.input, ", this kernel needs few bits");
  const TableTerms terms = table_terms(q);
  if (terms.largest > kByteTop)
    return Verdict::no("input is ", q.input, ", weights are ", q.weights, ": an entry reaches ",
                       terms.largest, ", this kernel needs at most ", kByteTop);
  constexpr int64_t kWordTop = 65535;
  const int64_t groups = (w.c + terms.channels - 1) / terms.channels;
  const int64_t sum = w.kernel_h * w.kernel_w * groups * terms.largest;
  if (sum > kWordTop)
    return Verdict::no("sums reach ", sum, ", this kernel adds in words of up to ", kWordTop);
  if (terms.excludes_padding) {
    const int64_t classes = border_classes(w).count();
    if (classes > kMostClasses) return Verdict::no("windows stick out in ", classes, " ways");
  }
  return Verdict::yes();
}

int64_t TablePlan::reached(int64_t phase) const {
  int64_t last = -1;
  for (int64_t k = 0; k < window.kernel_w; ++k) {
    const int64_t x = k * window.dilation_w;
    if (x % phases == phase) last = x / phases;
  }
  return last < 0 ? 0 : distance + last;
}

TablePlan table_plan(const Query& q, const Variant& v, const jit::Target& target, bool dual) {
  TablePlan plan;
  const Window& w = plan.window = q.window;
  plan.terms = table_terms(q);
  plan.sums = dual ? TableSums::dual : TableSums::bytes;
  plan.groups = (w.c + plan.terms.channels - 1) / plan.terms.channels;
  plan.pixels = std::max(1, target.vector_bytes / kTableBytes);
  choose_steps(plan, w.kernel_h * w.kernel_w * plan.groups);
  plan.halves = dual ? 2 : 1;
  plan.vectors = (w.n + kTableChannels - 1) / kTableChannels;

  plan.distance = (w.out_w + plan.parts() - 1) / plan.parts();
  // A variant may come from a target with narrower vectors, where there are more blocks.
  plan.rows = static_cast<int>(std::min<int64_t>(v.rows, w.out_h * plan.distance));
  plan.columns = static_cast<int>(std::min<int64_t>(v.columns, plan.vectors));
  plan.full_tiles = plan.vectors / plan.columns;
  plan.rest_columns = static_cast<int>(plan.vectors % plan.columns);
  plan.geometry = geometry_of(w, q.input_storage);
  plan.phases = w.stride_w;
  for (int64_t phase = 0; phase < plan.phases; ++phase)
    plan.pitch = std::max(plan.pitch, plan.reached(phase));
  plan.row_step = w.kernel_h == 1 ? w.stride_h : std::gcd(w.stride_h, w.dilation_h);

  const int64_t reach = (w.kernel_h - 1) * w.dilation_h / plan.row_step + 1;
  const int64_t stride = w.stride_h / plan.row_step;
  const int64_t fewest = (plan.rows + plan.distance - 1) / plan.distance;
  const int64_t room = target.l2_bytes / 2 / plan.row_bytes();
  plan.band = std::clamp<int64_t>((room - reach) / stride + 1, std::min(fewest, w.out_h), w.out_h);
  // Equal ones: the last begins earlier and repeats rows.
  const int64_t bands = (w.out_h + plan.band - 1) / plan.band;
  plan.band = std::max(fewest, (w.out_h + bands - 1) / bands);
  plan.band_rows = (plan.band - 1) * stride + reach;
  for (int64_t y = 0; y < plan.band; ++y)
    for (int64_t i = 0; i < plan.distance; ++i)
      plan.blocks.push_back({static_cast<int32_t>(plan.place(y * stride, 0, i, 0)),
                             static_cast<int32_t>(y * w.out_w + i)});
  // In vectors of 64 bytes comparisons fill masks, and more rows of thresholds are slower in words.
  if (!plan.terms.excludes_padding && plan.vector_bytes() < 64)
    plan.words = WordTail::of(*q.tail, w.kernel_h * w.kernel_w * plan.groups * plan.terms.largest);
  if (plan.terms.excludes_padding) {
    const BorderClasses classes = border_classes(w);
    plan.classes = classes.count();
    plan.class_offsets = classes.offsets(plan.constants_pitch());
  }

  Places places;
  plan.weights_at = places.next(plan.full_tiles * plan.tile_bytes(plan.columns) +
                                plan.tile_bytes(plan.rest_columns));
  plan.offsets_at = places.next(plan.lookups * 4);
  plan.blocks_at = places.next(static_cast<int64_t>(plan.blocks.size() * sizeof(TableBlock)));
  plan.constants_at = places.next(plan.classes * plan.constants_pitch());
  plan.classes_at = places.next(static_cast<int64_t>(plan.class_offsets.size()) * 4);
  plan.tail_at = places.next(0);
  Places scratch;
  plan.copy_at = scratch.next(plan.geometry.scratch_bytes + kTableChannels);
  plan.tables_at = scratch.next(plan.band_rows * plan.row_bytes());
  plan.sums_at =
      scratch.next(int64_t{2} * plan.rows * plan.columns * plan.halves * plan.vector_bytes());
  plan.scratch_bytes = scratch.next(0);
  return plan;
}

std::vector<Variant> table_variants(const Query& q, const jit::Target& target, bool dual) {
  const Window& w = q.window;
  const int64_t vectors = (w.n + kTableChannels - 1) / kTableChannels;
  const int64_t block = std::max(1, target.vector_bytes / kTableBytes) * (dual ? 2 : 1);
  const int64_t blocks = w.out_h * ((w.out_w + block - 1) / block);
  // Registers: a sum (dual: two) for each block and vector, a table for each block.
  // Where they are added in bytes, more sums fit.
  constexpr std::array<std::array<int, 2>, 13> kWide{{{8, 2},
                                                      {4, 4},
                                                      {8, 1},
                                                      {4, 2},
                                                      {2, 4},
                                                      {6, 1},
                                                      {3, 2},
                                                      {2, 2},
                                                      {4, 1},
                                                      {3, 1},
                                                      {2, 1},
                                                      {1, 4},
                                                      {1, 1}}};
  constexpr std::array<std::array<int, 2>, 8> kNarrow{
      {{3, 2}, {2, 2}, {1, 4}, {4, 1}, {3, 1}, {2, 1}, {1, 2}, {1, 1}}};
  const TablePlan plan = table_plan(q, {.rows = 1, .columns = 1}, target, dual);
  const bool in_bytes = plan.sums == TableSums::bytes;
  // Sums of more than four vectors leave the registers once a step.
  constexpr int kLongStep = 12, kInRegisters = 4;
  const bool is_long = plan.sums == TableSums::words && plan.lookups_per_step >= kLongStep;
  constexpr int kMostSplit = 8;
  std::vector<Variant> list;
  auto consider = [&](int rows, int columns) {
    if (rows <= blocks && columns <= vectors) list.push_back({rows, columns, 0});
  };
  if (target.vector_bytes >= 64) {
    for (const auto& [rows, columns] : kWide) {
      if (in_bytes || rows * columns <= kMostSplit) consider(rows, columns);
    }
    // Repeating index vectors is free with AVX2, and a tail may work on words; where entries are so
    // large that each step's sums go to words, wide vectors gain more by their registers.
    constexpr size_t kNarrowTried = 2;
    std::vector<Variant> narrow;
    if (target.lowering == jit::Lowering::avx512 && plan.sums != TableSums::words)
      narrow = table_variants(q, target.without_avx512(), dual);
    narrow.resize(std::min(narrow.size(), kNarrowTried));
    for (Variant& v : narrow) {
      v.without_avx512 = true;
      list.push_back(v);
    }
  } else {
    for (const auto& [rows, columns] : kNarrow)
      if (in_bytes || is_long || rows * columns <= kInRegisters) consider(rows, columns);
  }
  return list;
}

int64_t table_swept_bytes(const Query& q, const Variant& v, const jit::Target& target, bool dual) {
  if (target.vector_bytes >= 64) return 0;
  const TablePlan plan = table_plan(q, v, target, dual);
  return plan.tile_bytes(plan.columns) + plan.lookups * plan.rows * plan.vector_bytes();
}

std::vector<uint8_t> table_pack(const Query& q, const Variant& v, const jit::Target& target,
                                bool dual) {
  const TablePlan plan = table_plan(q, v, target, dual);
  const Window& w = q.window;
  const TableTerms& terms = plan.terms;
  const auto codes = q.weight_codes->i64();
  const int64_t used = w.kernel_h * w.kernel_w * plan.groups;
  const int bits = terms.channels == 4 ? 1 : 2;

  std::vector<uint8_t> packed;
  auto tile = [&](int64_t first, int columns) {
    for (int64_t k = 0; k < plan.lookups; ++k)
      for (int64_t n = first; n < first + int64_t{columns} * kTableChannels; ++n) {
        // Byte 2j is channel j, byte 2j + 1 channel 8 + j: words split into runs of channels.
        const int64_t in = (n - first) % kTableChannels;
        const int64_t channel = plan.words ? n : n - in + in / 2 + in % 2 * (kTableChannels / 2);
        if (k >= used || channel >= w.n) {
          packed.push_back(kNoWeight);
          continue;
        }
        int64_t nibble = 0;
        for (int64_t i = 0; i < terms.channels; ++i)
          nibble |= level_index(terms, packed_level(plan, codes, k / plan.groups,
                                                    k % plan.groups * terms.channels + i, channel))
                    << (i * bits);
        packed.push_back(static_cast<uint8_t>(nibble));
      }
  };
  for (int64_t t = 0; t < plan.full_tiles; ++t)
    tile(t * plan.columns * kTableChannels, plan.columns);
  tile(plan.full_tiles * plan.columns * kTableChannels, plan.rest_columns);

  std::vector<int32_t> offsets;
  for (int64_t k = 0; k < plan.lookups; ++k) {
    // Steps behind the last one look at the last lookups again, to no effect.
    const int64_t n = plan.lookups_per_step;
    const int64_t at = plan.follow ? std::min(k / n * n, used - n) + k % n : std::min(k, used - 1);
    const int64_t tap = at / plan.groups, x = tap % w.kernel_w * w.dilation_w;
    offsets.push_back(
        static_cast<int32_t>(plan.place(tap / w.kernel_w * w.dilation_h / plan.row_step,
                                        x % plan.phases, x / plan.phases, at % plan.groups)));
  }

  std::vector<uint8_t> out;
  auto expect = [&](int64_t at, int64_t place, std::string_view what) {
    qloom_assert(at == place, q.name, ": ", what, " misplaced");
  };
  expect(append(out, packed), plan.weights_at, "weights");
  expect(append(out, offsets), plan.offsets_at, "offsets");
  expect(append(out, plan.blocks), plan.blocks_at, "blocks");
  const std::vector<int32_t> constants = channel_constants(plan, codes);
  std::vector<uint8_t> words;
  if (plan.words) plan.words->append(words, w.n, kTableChannels, terms.scale, constants);
  expect(plan.words ? append(out, words) : append(out, constants), plan.constants_at, "constants");
  expect(append(out, plan.class_offsets), plan.classes_at, "classes");
  append_tail(out, *q.tail, w.n, channel_lanes(target));
  return out;
}

}  // namespace qloom::kernels
