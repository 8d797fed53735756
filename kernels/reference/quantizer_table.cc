#include "kernels/reference/quantizer_table.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace qloom::kernels::reference {
namespace {

/// Floats as integers of the same order: -largest … -0, +0 … +largest.
using Key = uint32_t;
float value_of(Key key) { return std::bit_cast<float>(key >> 31 ? key & 0x7fffffffu : ~key); }
Key key_of(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

/// Codes of points[channel][i], all channels in one call of the quantizer; none where it has none.
using Points = std::vector<std::vector<Key>>;
std::optional<std::vector<std::vector<int64_t>>> codes_of(const Quantizer& q,
                                                          const QuantizeOptions& options,
                                                          const Points& points) {
  size_t rows = 0;
  for (const auto& list : points) rows = std::max(rows, list.size());
  const size_t channels = points.size();
  std::vector<float> x(rows * channels, 0.0f);
  for (size_t c = 0; c < channels; ++c)
    for (size_t i = 0; i < points[c].size(); ++i) x[i * channels + c] = value_of(points[c][i]);
  Extents extents{static_cast<int64_t>(rows)};
  if (channels > 1) extents.push_back(static_cast<int64_t>(channels));
  const Quantized out = q.forward(Tensor(std::move(extents), std::move(x)), options);
  if (!out.codes) return std::nullopt;
  std::vector<std::vector<int64_t>> codes(channels);
  for (size_t c = 0; c < channels; ++c)
    for (size_t i = 0; i < points[c].size(); ++i)
      codes[c].push_back(out.codes->i64()[i * channels + c]);
  return codes;
}

struct Interval {
  Key lo, hi;
  int64_t lo_code, hi_code;
};

/// Points beside those that the bisection looked at.
std::vector<Key> check_points(const QuantizerTable& table, Key lowest, Key highest) {
  std::vector<Key> keys;
  for (const float t : table.thresholds)
    if (keys.size() < 4096)
      for (const Key near : {2u, 3u, 1000u, 100000u}) {
        keys.push_back(std::max(key_of(t) - near, lowest));
        keys.push_back(std::min(key_of(t) + near, highest));
      }
  uint64_t state = 42;
  for (int i = 0; i < 2048; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    keys.push_back(lowest + static_cast<Key>((state >> 32) % (highest - lowest)));
  }
  return keys;
}

/// The steps of each channel's code: neighbours with different codes. None where a code descends or
/// there are too many.
using Steps = std::vector<std::vector<Interval>>;
std::optional<Steps> bisect(const Quantizer& q, const QuantizeOptions& options, Steps open) {
  const size_t channels = open.size();
  Steps steps(channels);
  for (;;) {
    Points middles(channels);
    bool done = true;
    for (size_t c = 0; c < channels; ++c) {
      std::vector<Interval> rest;
      for (const Interval& i : open[c]) {
        if (i.lo_code > i.hi_code) return std::nullopt;
        if (i.lo_code == i.hi_code) continue;
        if (i.hi - i.lo == 1) {
          steps[c].push_back(i);
          continue;
        }
        rest.push_back(i);
        middles[c].push_back(i.lo + (i.hi - i.lo) / 2);
      }
      open[c] = std::move(rest);
      if (open[c].size() + steps[c].size() > kMostThresholds) return std::nullopt;
      done = done && open[c].empty();
    }
    if (done) return steps;
    const auto codes = codes_of(q, options, middles);
    if (!codes) return std::nullopt;
    for (size_t c = 0; c < channels; ++c) {
      std::vector<Interval> halves;
      for (size_t i = 0; i < open[c].size(); ++i) {
        const Interval& whole = open[c][i];
        const int64_t code = (*codes)[c][i];
        halves.push_back({whole.lo, middles[c][i], whole.lo_code, code});
        halves.push_back({middles[c][i], whole.hi, code, whole.hi_code});
      }
      open[c] = std::move(halves);
    }
  }
}

}  // namespace

int64_t QuantizerTable::code(float x) const noexcept {
  const auto at = std::upper_bound(thresholds.begin(), thresholds.end(), x) - thresholds.begin();
  return codes[static_cast<size_t>(at)];
}

std::optional<std::vector<QuantizerTable>> quantizer_tables(const Quantizer& q,
                                                            const QuantizeOptions& options) {
  const ScaleRule rule = q.scale();
  if (!q.is_monotone() || rule.kind == ScaleRule::Kind::data || q.values().is_float32())
    return std::nullopt;
  const size_t channels = std::max<size_t>(1, rule.constant.size());
  // Products within the quantizer may overflow for the largest floats, which then have no code.
  std::optional<std::vector<std::vector<int64_t>>> ends;
  Key lowest = 0, highest = 0;
  for (float largest = std::numeric_limits<float>::max(); !ends && largest > 1; largest /= 2) {
    lowest = key_of(-largest);
    highest = key_of(largest);
    ends = codes_of(q, options, Points(channels, {lowest, key_of(-0.0f), key_of(0.0f), highest}));
  }
  if (!ends) return std::nullopt;
  Steps whole(channels);
  for (size_t c = 0; c < channels; ++c) {
    const std::vector<int64_t>& codes = (*ends)[c];
    if (codes[1] != codes[2]) return std::nullopt;  // no threshold tells -0 from +0
    whole[c].push_back({lowest, highest, codes[0], codes[3]});
  }
  auto steps = bisect(q, options, std::move(whole));
  if (!steps) return std::nullopt;
  std::vector<QuantizerTable> tables(channels);
  Points points(channels);
  for (size_t c = 0; c < channels; ++c) {
    std::sort((*steps)[c].begin(), (*steps)[c].end(),
              [](const Interval& a, const Interval& b) { return a.lo < b.lo; });
    tables[c].codes.push_back((*ends)[c][0]);
    for (const Interval& step : (*steps)[c]) {
      tables[c].thresholds.push_back(value_of(step.hi));
      tables[c].codes.push_back(step.hi_code);
    }
    points[c] = check_points(tables[c], lowest, highest);
  }
  const auto expected = codes_of(q, options, points);
  if (!expected) return std::nullopt;
  for (size_t c = 0; c < channels; ++c)
    for (size_t i = 0; i < points[c].size(); ++i)
      if (tables[c].code(value_of(points[c][i])) != (*expected)[c][i]) return std::nullopt;
  return tables;
}

}  // namespace qloom::kernels::reference
