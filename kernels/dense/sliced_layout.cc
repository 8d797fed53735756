#include "kernels/dense/sliced_layout.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "graph/support/error.h"
#include "kernels/conv/geometry.h"
#include "kernels/tail/tail_direction.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {
namespace {

constexpr int64_t kLargestWeight = 7;  // of a few bits: others have cheaper products
constexpr int64_t kMostWords = 512;    // that are added for a unit: the length of a layer's code
constexpr int64_t kMostAsked = int64_t{1} << 17;  // values that a layer's tail is asked for
constexpr int64_t kMostChanges = 64;              // of an output's bit
constexpr int64_t kMostOutputs = 16;              // of the last layer, float32 in registers

Elements elements_in(const Query& q) {
  if (q.input_storage.kind == Storage::Kind::bits) {
    if (q.input.numeric.is_binary()) return {.bits = 1, .scale = 2, .zero = 1, .packed = true};
    return {.packed = true};
  }
  const auto largest = static_cast<uint64_t>(largest_byte(q, q.input_storage));
  return {.bits = std::max(1, static_cast<int>(std::bit_width(largest))),
          .scale = 1,
          .zero = q.input_storage.zero,
          .packed = false};
}

int64_t weight(const Query& q, int64_t c, int64_t unit) {
  return q.weight_codes->i64()[static_cast<size_t>(c * q.window.n + unit)];
}

std::vector<Digit> digits_of(const Query& q) {
  std::vector<Digit> digits;
  for (size_t place = 0; kLargestWeight >> place != 0; ++place) {
    Digit digit{.place = place};
    for (int64_t unit = 0; unit < q.window.n; ++unit) {
      int64_t terms = 0;
      for (int64_t c = 0; c < q.window.c; ++c) terms += std::abs(weight(q, c, unit)) >> place & 1;
      digit.terms = std::max(digit.terms, terms);
    }
    if (digit.terms > 0) digits.push_back(digit);
  }
  return digits;
}

Held held_of(const Query& q, const Elements& in, int64_t unit) {
  Held held{.scale = in.scale};
  for (int64_t c = 0; c < q.window.c; ++c) {
    const int64_t w = weight(q, c, unit);
    held.largest += in.top() * std::abs(w);
    held.constant -= in.scale * in.top() * std::max<int64_t>(0, -w) + in.zero * w;
  }
  return held;
}

Verdict match_layer(const Query& q) {
  const Storage::Kind kind = q.input_storage.kind;
  if (kind != Storage::Kind::bits && kind != Storage::Kind::bytes)
    return Verdict::no("'", q.name, "' takes its input as ", q.input_storage);
  const CodeRange range = weight_range(q);
  if (range.lo < -kLargestWeight || range.hi > kLargestWeight)
    return Verdict::no("weight codes of '", q.name, "' reach [", range.lo, ", ", range.hi, "]");
  const Elements in = elements_in(q);
  int64_t words = 0;
  for (const Digit& digit : digits_of(q)) words += digit.terms * in.bits;
  if (words == 0) return Verdict::no("all weights of '", q.name, "' are 0");
  if (words > kMostWords)
    return Verdict::no("a unit of '", q.name, "' adds ", words, " words, code is made for ",
                       kMostWords);
  return Verdict::yes();
}

/// What is held for the accumulators that occur: for others the tail is proved for nothing.
std::pair<int64_t, int64_t> range_of(const Query& q, const Held& held, int64_t unit) {
  const auto n = static_cast<size_t>(unit);
  const int64_t lo = q.accumulator_lo[n] - held.constant, hi = q.accumulator_hi[n] - held.constant;
  return {std::max<int64_t>(0, (lo + held.scale - 1) / held.scale),
          std::min(held.largest, hi / held.scale)};
}

bool is_monotone(const Query& q, int64_t unit) {
  return direction_of(*q.tail, q.tail->outputs[0].step, unit) != TailDirection::unknown;
}

/// Fills in `changes`; false where there are too many.
bool find_changes(SlicedLayer& layer) {
  const Query& q = *layer.q;
  const TailOutput& output = q.tail->outputs[0];
  layer.changes.assign(static_cast<size_t>(layer.out_bits), {});
  layer.changes_given.assign(static_cast<size_t>(layer.out_bits), 0);
  for (int64_t unit = 0; unit < q.window.n; ++unit) {
    const Held& held = layer.held[static_cast<size_t>(unit)];
    const auto [lo, hi] = range_of(q, held, unit);
    const auto result = [&](int64_t h) -> int64_t {
      const auto accumulator = static_cast<int32_t>(held.accumulator(h));
      const auto values = run_tail(*q.tail, accumulator, unit, {});
      const int64_t code = values[static_cast<size_t>(output.step)].i;
      if (output.storage.kind == Storage::Kind::bits) return code > 0 ? 1 : 0;
      const int64_t x = code + output.storage.zero;
      qloom_assert(x >= 0 && x >> layer.out_bits == 0, q.name, ": result ", x, " beyond ",
                   layer.out_bits, " bits");
      return x;
    };
    std::vector<Changes> bits(static_cast<size_t>(layer.out_bits));
    int64_t before = result(lo);
    for (size_t j = 0; j < bits.size(); ++j) bits[j].first = (before >> j & 1) != 0;
    const auto changes = [&](int64_t h) {
      const int64_t x = result(h);
      for (size_t j = 0; j < bits.size(); ++j)
        if (((x ^ before) >> j & 1) != 0) bits[j].at.push_back(h);
      before = x;
    };
    if (is_monotone(q, unit))
      for_changes(lo, hi, result, changes);
    else
      for (int64_t h = lo + 1; h <= hi; ++h) changes(h);
    for (size_t j = 0; j < bits.size(); ++j) {
      const auto count = static_cast<int64_t>(bits[j].at.size());
      if (count > kMostChanges) return false;
      layer.changes_given[j] = std::max(layer.changes_given[j], count);
      layer.changes[j].push_back(std::move(bits[j]));
    }
  }
  return true;
}

/// Byte offsets of the planes that each unit adds.
std::vector<int32_t> offsets_of(const SlicedPlan& plan, const SlicedLayer& layer,
                                const Digit& digit) {
  const Query& q = *layer.q;
  std::vector<int32_t> offsets;
  for (int64_t unit = 0; unit < q.window.n; ++unit) {
    int64_t terms = 0;
    for (int64_t c = 0; c < q.window.c; ++c) {
      const int64_t w = weight(q, c, unit);
      if ((std::abs(w) >> digit.place & 1) == 0) continue;
      offsets.push_back(static_cast<int32_t>(plan.plane(layer, c, w < 0)));
      ++terms;
    }
    for (; terms < digit.terms; ++terms) offsets.push_back(static_cast<int32_t>(plan.zeros()));
  }
  return offsets;
}

/// For each unit and bit: all ones where the parity is turned, then the limits of each change.
std::vector<int64_t> limits_of(const SlicedLayer& layer) {
  std::vector<int64_t> limits;
  for (int64_t unit = 0; unit < layer.q->window.n; ++unit)
    for (size_t j = 0; j < layer.changes.size(); ++j) {
      Changes changes = layer.changes[j][static_cast<size_t>(unit)];
      // A sum is at least 0: one more such change turns the parity.
      while (static_cast<int64_t>(changes.at.size()) < layer.changes_given[j]) {
        changes.at.push_back(0);
        changes.first = !changes.first;
      }
      limits.push_back(changes.first ? -1 : 0);
      for (const int64_t at : changes.at)
        for (int64_t k = 0; k < layer.planes; ++k) limits.push_back((at >> k & 1) == 0 ? -1 : 0);
    }
  return limits;
}

}  // namespace

Verdict match_sliced(const DenseRun& run) {
  for (size_t i = 0; i < run.size(); ++i) {
    const Query& q = *run[i];
    const bool last = i + 1 == run.size();
    if (!is_quantizer(q))
      if (Verdict v = match_layer(q); !v) return v;
    const Storage::Kind stored = q.tail->outputs[0].storage.kind;
    if (!last && stored != Storage::Kind::bits && stored != Storage::Kind::bytes)
      return Verdict::no("'", q.name, "' is stored as ", q.tail->outputs[0].storage);
    if (last && q.window.n > kMostOutputs)
      return Verdict::no("'", q.name, "' has ", q.window.n, " float32 results, registers hold ",
                         kMostOutputs);
    if (last || is_quantizer(q)) continue;
    int64_t asked = 0;
    for (int64_t unit = 0; unit < q.window.n; ++unit)
      if (!is_monotone(q, unit)) {
        const auto [lo, hi] = range_of(q, held_of(q, elements_in(q), unit), unit);
        asked += hi - lo;
      }
    if (asked > kMostAsked)
      return Verdict::no("the tail of '", q.name, "' is not monotone, and its sums have ", asked,
                         " values, more than ", kMostAsked);
  }
  return Verdict::yes();
}

std::optional<SlicedPlan> sliced_plan(const DenseRun& run, const jit::Target& target,
                                      int plane_bytes) {
  SlicedPlan plan;
  plan.vector = plane_bytes;
  plan.lanes = channel_lanes(target);
  plan.quantizes = is_quantizer(*run[0]);
  Places constants;
  int64_t region[2] = {0, 0};
  for (size_t i = plan.quantizes ? 1 : 0; i < run.size(); ++i) {
    SlicedLayer layer;
    const Query& q = *(layer.q = run[i].get());
    layer.in = elements_in(q);
    layer.digits = digits_of(q);
    int64_t largest = 1;
    for (int64_t unit = 0; unit < q.window.n; ++unit) {
      layer.held.push_back(held_of(q, layer.in, unit));
      largest = std::max(largest, layer.held.back().largest);
    }
    layer.planes = std::bit_width(static_cast<uint64_t>(largest));
    for (Digit& digit : layer.digits) digit.at = constants.next(q.window.n * digit.terms * 4);
    if (i + 1 < run.size()) {
      layer.out_bits = elements_in(*run[i + 1]).bits;
      if (!find_changes(layer)) return std::nullopt;
      layer.limits = constants.next(q.window.n * layer.limits_of_unit() * 8);
    } else {
      layer.sums = constants.next(q.window.n * 4);
      layer.tail = constants.next(lay_out_tail(*q.tail, q.window.n, plan.lanes).bytes);
    }
    int64_t& bytes = region[plan.layers.size() % 2];
    bytes = std::max(bytes, plan.plane(layer, plan.channels(layer), false));
    plan.layers.push_back(std::move(layer));
  }
  plan.constants = constants.next(0);
  const SlicedLayer& last = plan.layers.back();
  Places scratch;
  plan.rows = scratch.next(plan.quantizes ? plan.tile() * elements_of(*run[0]) + kSlackBytes : 0);
  for (int i = 0; i < 2; ++i)
    plan.regions[i] = scratch.next(region[i] - plan.zeros()) - plan.zeros();
  plan.sums = scratch.next(last.q->window.n * last.planes * plan.vector);
  plan.scratch = scratch.next(0);
  return plan;
}

std::vector<uint8_t> pack_sliced(const SlicedPlan& plan) {
  std::vector<uint8_t> out;
  for (const SlicedLayer& layer : plan.layers) {
    const Query& q = *layer.q;
    for (const Digit& digit : layer.digits)
      qloom_assert(append(out, offsets_of(plan, layer, digit)) == digit.at, q.name,
                   ": offsets misplaced");
    if (layer.out_bits > 0) {
      qloom_assert(append(out, limits_of(layer)) == layer.limits, q.name, ": limits misplaced");
      continue;
    }
    std::vector<int32_t> sums;
    for (const Held& held : layer.held) sums.push_back(static_cast<int32_t>(held.constant));
    qloom_assert(append(out, sums) == layer.sums, q.name, ": sums misplaced");
    append_tail(out, *q.tail, q.window.n, plan.lanes);
  }
  return out;
}

}  // namespace qloom::kernels
