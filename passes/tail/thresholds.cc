#include <algorithm>
#include <iterator>
#include <limits>
#include <map>

#include "graph/support/error.h"
#include "passes/tail/code_forms.h"

//   code(x) = V_0 + Σ_{j=1..m} (V_j − V_{j−1}) · [x ≥ T_j]
// with V_0 < … < V_m all codes that occur in any channel and T_j the first x whose code is at least
// V_j: the interval's start where all codes are, one past its end where none is. Rows with the same
// difference are counted together. A channel that falls sees ~x instead (for floats −x).

namespace qloom::passes {
namespace {

using kernels::TailOp;

std::vector<int64_t> levels(const Transitions& t) {
  std::vector<int64_t> codes, own, all;
  for (const auto& channel : t.channels) {  // most have the same ones
    own.assign(1, channel.first);
    for (const auto& s : channel.steps) own.push_back(s.code);
    if (!t.monotone) std::ranges::sort(own);
    if (std::ranges::includes(codes, own)) continue;
    all.clear();
    std::ranges::set_union(codes, own, std::back_inserter(all));
    codes.swap(all);
  }
  codes.erase(std::ranges::unique(codes).begin(), codes.end());
  return codes;
}

/// First ordinal whose code is at least `level`. Floats outside of the interval go with its ends.
int64_t threshold(const Transitions& t, const Transitions::Channel& channel, int64_t level) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (channel.first >= level) return t.source_is_f32 ? ordinal_of(-kInfinity) : channel.lo;
  for (const auto& s : channel.steps)
    if (s.code >= level) return s.at;
  return t.source_is_f32 ? ordinal_of(kInfinity) : channel.hi + 1;
}

/// x, mirrored in the channels that fall.
int oriented(TailBuilder& b, int source, const Transitions& t) {
  if (std::none_of(t.channels.begin(), t.channels.end(), [](const auto& c) { return c.mask != 0; }))
    return source;
  if (t.source_is_f32) {
    std::vector<float> signs;
    for (const auto& c : t.channels) signs.push_back(c.mask != 0 ? -1.0F : 1.0F);
    return b.step(TailOp::multiply, source, b.constant(std::move(signs)));
  }
  std::vector<int32_t> masks;
  for (const auto& c : t.channels) masks.push_back(static_cast<int32_t>(c.mask));
  return b.step(TailOp::bit_xor, source, b.constant(std::move(masks)));
}

/// Step that counts how many of these thresholds (rows × channels) are ≤ x.
int count(TailBuilder& b, int x, const Transitions& t,
          const std::vector<std::vector<int64_t>>& rows) {
  if (!t.source_is_f32) {
    std::vector<int32_t> table;
    for (const auto& row : rows)
      for (int64_t v : row) table.push_back(static_cast<int32_t>(v));
    return b.count_ge(x, static_cast<int>(rows.size()), std::move(table));
  }
  int sum = -1;
  for (const auto& row : rows) {
    std::vector<float> table;
    for (int64_t v : row) table.push_back(float_of(v));
    const int reached = b.step(TailOp::greater_equal, x, b.constant(std::move(table)));
    sum = sum < 0 ? reached : b.step(TailOp::add, sum, reached);
  }
  return sum;
}

}  // namespace

int threshold_rows(const Transitions& t) {
  for (const auto& channel : t.channels) {
    int64_t before = channel.first;
    for (const auto& s : channel.steps) {
      if (s.code < before) return -1;
      before = s.code;
    }
  }
  return static_cast<int>(levels(t).size()) - 1;
}

std::optional<int> lower_thresholds(TailBuilder& b, int source, const Transitions& t,
                                    int max_rows) {
  const int rows = threshold_rows(t);
  if (rows < 0 || rows > max_rows) return std::nullopt;
  const auto codes = levels(t);
  const auto base = static_cast<int32_t>(codes.front());
  if (rows == 0) return b.integer(base);
  std::map<int64_t, std::vector<std::vector<int64_t>>> by_difference;
  for (size_t j = 1; j < codes.size(); ++j) {
    std::vector<int64_t> row;
    for (const auto& channel : t.channels) row.push_back(threshold(t, channel, codes[j]));
    by_difference[codes[j] - codes[j - 1]].push_back(std::move(row));
  }
  const int x = oriented(b, source, t);
  int sum = -1;
  for (const auto& [difference, thresholds] : by_difference) {
    int part = count(b, x, t, thresholds);
    if (difference != 1)
      part = b.step(TailOp::multiply, part, b.integer(static_cast<int32_t>(difference)));
    sum = sum < 0 ? part : b.step(TailOp::add, sum, part);
  }
  return base == 0 ? sum : b.step(TailOp::add, sum, b.integer(base));
}

std::optional<int> lower_changes(TailBuilder& b, int source, const Transitions& t, int max_rows) {
  size_t rows = 0;
  for (const auto& channel : t.channels) rows = std::max(rows, channel.steps.size());
  if (t.source_is_f32 || rows > static_cast<size_t>(max_rows)) return std::nullopt;
  const int x = oriented(b, source, t);
  std::vector<int32_t> first;
  for (const auto& channel : t.channels) first.push_back(static_cast<int32_t>(channel.first));
  int code = b.constant(std::move(first));
  for (size_t j = 0; j < rows; ++j) {
    std::vector<int32_t> at, change;
    for (const auto& channel : t.channels) {
      const bool has = j < channel.steps.size();
      const int64_t before = j == 0 ? channel.first : has ? channel.steps[j - 1].code : 0;
      at.push_back(static_cast<int32_t>(has ? channel.steps[j].at : channel.hi));
      change.push_back(static_cast<int32_t>(has ? channel.steps[j].code - before : 0));
    }
    const int reached = b.step(TailOp::greater_equal, x, b.constant(std::move(at)));
    code =
        b.step(TailOp::add, code, b.step(TailOp::multiply, reached, b.constant(std::move(change))));
  }
  return code;
}

}  // namespace qloom::passes
