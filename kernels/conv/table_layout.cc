#include "kernels/conv/table_layout.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "kernels/tail_emit.h"

namespace qloom::kernels {
namespace {

constexpr int64_t kLargestLevel = 4;
constexpr uint8_t kNoWeight = 128;
constexpr int64_t kByteTop = 255;

/// Vector operations of `steps` steps of `n` lookups.
int64_t cost_of(TableSums sums, int64_t steps, int64_t n) {
  switch (sums) {
    case TableSums::bytes:
      return steps * 2 * n;
    case TableSums::words:
      return steps * (2 * n + 2);
    case TableSums::dual:
      break;
  }
  return steps * (2 * n + 3);
}

void choose_steps(TablePlan& plan, int64_t lookups) {
  const int64_t largest = plan.terms.largest;
  const int64_t in_bytes = kByteTop / largest;
  constexpr int64_t kEnough = 16;  // fewer lookups a chunk do not pay for a loop of their own
  int64_t most = 4;
  if (plan.sums == TableSums::dual) {
    most = dual_lookups(plan.terms);
  } else if (in_bytes < kEnough && in_bytes < lookups) {
    plan.sums = TableSums::words;
    most = in_bytes;
  } else {
    most = std::min<int64_t>(2, in_bytes);
  }
  int64_t best = 0;
  for (int64_t n = std::min(most, lookups); n >= 1; --n) {
    const int64_t cost = cost_of(plan.sums, (lookups + n - 1) / n, n);
    if (best != 0 && cost >= best) continue;
    best = cost;
    plan.lookups_per_step = static_cast<int>(n);
  }
  plan.steps = (lookups + plan.lookups_per_step - 1) / plan.lookups_per_step;
  if (plan.sums == TableSums::words) {
    plan.chunk = plan.steps;
    plan.chunks = 1;
  } else {
    const int64_t fits = std::max<int64_t>(1, in_bytes / plan.lookups_per_step);
    plan.chunks = (plan.steps + fits - 1) / fits;
    plan.chunk = (plan.steps + plan.chunks - 1) / plan.chunks;
    plan.steps = plan.chunk * plan.chunks;
  }
  plan.lookups = plan.steps * plan.lookups_per_step;
}

/// Numbers of the ways in which the taps of one axis can lie inside, per output.
std::vector<int> classes_of_axis(int64_t outputs, int64_t kernel, int64_t stride, int64_t dilation,
                                 int64_t before, int64_t size,
                                 std::vector<std::vector<bool>>& all) {
  std::map<std::vector<bool>, int> seen;
  std::vector<int> list;
  for (int64_t o = 0; o < outputs; ++o) {
    std::vector<bool> inside;
    for (int64_t k = 0; k < kernel; ++k) {
      const int64_t at = o * stride + k * dilation - before;
      inside.push_back(at >= 0 && at < size);
    }
    const auto [it, is_new] = seen.emplace(inside, static_cast<int>(all.size()));
    if (is_new) all.push_back(inside);
    list.push_back(it->second);
  }
  return list;
}

struct Classes {
  std::vector<std::vector<bool>> rows, columns;
  std::vector<int> of_row, of_column;
};
Classes classes_of(const Window& w) {
  Classes c;
  c.of_row = classes_of_axis(w.out_h, w.kernel_h, w.stride_h, w.dilation_h, w.pad_top, w.h, c.rows);
  c.of_column =
      classes_of_axis(w.out_w, w.kernel_w, w.stride_w, w.dilation_w, w.pad_left, w.w, c.columns);
  return c;
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
  const auto pitch = static_cast<size_t>(plan.constants_pitch() / 4);
  std::vector<int32_t> all(static_cast<size_t>(plan.classes) * pitch, 0);
  Classes classes;
  if (terms.excludes_padding) classes = classes_of(w);
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
          bool inside = true;
          if (terms.excludes_padding) {  // there may be one class whose windows all stick out
            const auto columns = static_cast<int64_t>(classes.columns.size());
            inside = classes.rows[static_cast<size_t>(k / columns)][static_cast<size_t>(y)] &&
                     classes.columns[static_cast<size_t>(k % columns)][static_cast<size_t>(x)];
          }
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
    const Classes classes = classes_of(w);
    constexpr size_t kMostClasses = 256;
    if (classes.rows.size() * classes.columns.size() > kMostClasses)
      return Verdict::no("windows stick out in ", classes.rows.size() * classes.columns.size(),
                         " ways");
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
  choose_steps(plan, w.kernel_h * w.kernel_w * plan.groups);
  plan.pixels = std::max(1, target.vector_bytes / kTableBytes);
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
  if (plan.terms.excludes_padding) {
    const Classes classes = classes_of(w);
    const auto columns = static_cast<int>(classes.columns.size());
    plan.classes = static_cast<int64_t>(classes.rows.size()) * columns;
    for (const int row : classes.of_row)
      for (const int column : classes.of_column)
        plan.class_offsets.push_back(
            static_cast<int32_t>((row * columns + column) * plan.constants_pitch()));
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
  constexpr std::array<std::array<int, 2>, 6> kNarrow{
      {{2, 2}, {1, 4}, {3, 1}, {2, 1}, {1, 2}, {1, 1}}};
  const bool in_bytes =
      table_plan(q, {.rows = 1, .columns = 1}, target, dual).sums == TableSums::bytes;
  constexpr int kMostSplit = 8;
  std::vector<Variant> list;
  auto consider = [&](int rows, int columns) {
    if (rows <= blocks && columns <= vectors) list.push_back({rows, columns, 0});
  };
  if (target.vector_bytes >= 64)
    for (const auto& [rows, columns] : kWide) {
      if (in_bytes || rows * columns <= kMostSplit) consider(rows, columns);
    }
  else
    for (const auto& [rows, columns] : kNarrow) consider(rows, columns);
  return list;
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
        const int64_t channel = n - in + in / 2 + in % 2 * (kTableChannels / 2);
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
    const int64_t at = std::min(k, used - 1);
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
  expect(append(out, channel_constants(plan, codes)), plan.constants_at, "constants");
  expect(append(out, plan.class_offsets), plan.classes_at, "classes");
  append_tail(out, *q.tail, w.n, channel_lanes(target));
  return out;
}

}  // namespace qloom::kernels
