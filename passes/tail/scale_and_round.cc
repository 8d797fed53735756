#include <algorithm>
#include <cmath>
#include <limits>

#include "graph/support/error.h"
#include "passes/tail/code_forms.h"

// code(x) = clamp(round(x·m + b), lo, hi). For a channel that rises with transitions T_k (the first
// x whose code is at least k), x·m + b must reach k − 1/2 between T_k's predecessor and T_k:
//   pred(T_k) < u·k + w <= T_k      with  u = 1/m,  w = u·(−1/2 − b)
// Every pair of levels bounds u:  (pred(T_j) − T_i)/(j − i) < u < (T_j − pred(T_i))/(j − i); for u
// in between there is a w. Middles of both are taken, then the float32 arithmetic that will run is
// tried on both sides of every transition; b may move a few units in the last place.

namespace qloom::passes {
namespace {

using kernels::TailOp;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Level {
  int64_t level;
  double below, at;  ///< x·m + b must reach level − 1/2 in (below, at]
};

double value_of(const Transitions& t, int64_t ordinal) {
  return t.source_is_f32 ? static_cast<double>(float_of(ordinal)) : static_cast<double>(ordinal);
}

float source_f32(const Transitions& t, int64_t ordinal) {
  return t.source_is_f32 ? float_of(ordinal) : static_cast<float>(static_cast<int32_t>(ordinal));
}

/// What the tail will compute; x is the unmirrored source. `fused`: x·m + b rounds once.
int64_t run(float x, float m, float b, float lo, float hi, bool fused) {
  float y = x * m;
  y = fused ? std::fma(x, m, b) : y + b;
  y = y > lo ? y : lo;
  y = y < hi ? y : hi;
  return static_cast<int64_t>(std::nearbyintf(y));
}

struct Affine {
  float m, b;
};

class Fit {
 public:
  /// The codes plus `offset` are what is rounded.
  Fit(const Transitions& t, const Transitions::Channel& channel, int64_t lo, int64_t hi,
      int64_t offset, bool fused)
      : t_(t), channel_(channel), lo_(lo), hi_(hi), offset_(offset), fused_(fused) {}

  [[nodiscard]] bool agrees(Affine a) const {
    int64_t before = channel_.first;
    if (at(channel_.lo, a) != before || at(channel_.hi, a) != channel_.last()) return false;
    for (const auto& s : channel_.steps) {
      if (at(s.at - 1, a) != before || at(s.at, a) != s.code) return false;
      before = s.code;
    }
    return true;
  }

  [[nodiscard]] std::optional<Affine> solve(const std::vector<float>& guesses) const {
    const float sign = channel_.mask != 0 ? -1.0F : 1.0F;
    if (offset_ == 0)
      for (float m : guesses)
        if (agrees({sign * m, 0})) return Affine{sign * m, 0};
    if (channel_.steps.empty()) return constant();
    // Piecewise linear activations: a power of two and a simple sum are what the reference computes
    // with, so nothing else agrees to the last bit of a float.
    for (float m : guesses) {
      const auto& s = channel_.steps.front();
      const double b = static_cast<double>(s.code + offset_) - 0.5 - m * value(s.at);
      const Affine a{sign * m, static_cast<float>(std::nearbyint(b * 256) / 256)};
      if (agrees(a)) return a;
    }
    if (offset_ != 0) return std::nullopt;
    const auto line = middle();
    if (!line) return std::nullopt;
    const double m = 1 / line->first, b = -0.5 - line->second / line->first;
    // A mirrored integer is −x − 1, a mirrored float −x.
    const double shift = channel_.mask != 0 && !t_.source_is_f32 ? m : 0;
    Affine a{static_cast<float>(sign * m), static_cast<float>(b - shift)};
    if (agrees(a)) return a;
    float up = a.b, down = a.b;
    for (int i = 0; i < 8; ++i) {
      up = std::nextafterf(up, HUGE_VALF);
      down = std::nextafterf(down, -HUGE_VALF);
      if (agrees({a.m, up})) return Affine{a.m, up};
      if (agrees({a.m, down})) return Affine{a.m, down};
    }
    return std::nullopt;
  }

 private:
  [[nodiscard]] int64_t at(int64_t ordinal, Affine a) const {
    return run(source_f32(t_, ordinal ^ channel_.mask), a.m, a.b, static_cast<float>(lo_ + offset_),
               static_cast<float>(hi_ + offset_), fused_) -
           offset_;
  }

  [[nodiscard]] std::optional<Affine> constant() const {
    const Affine a{0, static_cast<float>(channel_.first + offset_)};
    if (agrees(a)) return a;
    return std::nullopt;
  }

  [[nodiscard]] std::vector<Level> constraints() const {
    std::vector<Level> out;
    if (channel_.first > lo_) out.push_back({channel_.first, -kInfinity, value(channel_.lo)});
    int64_t code = channel_.first;
    for (const auto& s : channel_.steps)
      for (; code < s.code; ++code) out.push_back({code + 1, value(s.at - 1), value(s.at)});
    if (channel_.last() < hi_) out.push_back({channel_.last() + 1, value(channel_.hi), kInfinity});
    return out;
  }
  /// In the mirrored order, so that values rise with ordinals.
  [[nodiscard]] double value(int64_t ordinal) const { return value_of(t_, ordinal); }

  /// u and w in the middle of what is allowed.
  [[nodiscard]] std::optional<std::pair<double, double>> middle() const {
    const auto levels = constraints();
    // All pairs where that is cheap; else pairs of a level with a few others, and agrees() decides.
    const size_t stride = levels.size() <= 300 ? 1 : levels.size() / 64;
    double u_lo = 0, u_hi = kInfinity;
    for (size_t j = 1; j < levels.size(); ++j)
      for (size_t i = 0; i < j; i += stride) {
        const auto d = static_cast<double>(levels[j].level - levels[i].level);
        u_lo = std::max(u_lo, (levels[j].below - levels[i].at) / d);
        u_hi = std::min(u_hi, (levels[j].at - levels[i].below) / d);
      }
    if (!(u_lo <= u_hi)) return std::nullopt;
    double u = (u_lo + u_hi) / 2;
    if (std::isinf(u_hi)) u = u_lo > 0 ? 1.5 * u_lo : 1;
    if (u <= 0) return std::nullopt;
    double w_lo = -kInfinity, w_hi = kInfinity;
    for (const Level& level : levels) {
      w_lo = std::max(w_lo, level.below - u * static_cast<double>(level.level));
      w_hi = std::min(w_hi, level.at - u * static_cast<double>(level.level));
    }
    if (std::isinf(w_lo) && std::isinf(w_hi)) return std::nullopt;
    if (std::isinf(w_lo)) w_lo = w_hi - u;
    if (std::isinf(w_hi)) w_hi = w_lo + u;
    return std::pair{u, (w_lo + w_hi) / 2};
  }

  const Transitions& t_;
  const Transitions::Channel& channel_;
  int64_t lo_, hi_, offset_;
  bool fused_;
};

}  // namespace

std::optional<int> lower_rounding(TailBuilder& builder, int source, const BodyFunction& function,
                                  ValueId value, const Interval& interval, int64_t& evaluated) {
  const TensorType& type = function.type(value);
  const auto directions = function.directions(value);
  if (!function.source_is_f32() || !function.is_uniform(value) || !directions ||
      (*directions)[0] <= 0)
    return std::nullopt;
  const int64_t begin = interval.lo[0], end = interval.hi[0];
  const std::vector<int64_t> ends = function.codes(value, std::vector<int64_t>{begin, end}, 1);
  const int64_t lo = ends[0], hi = ends[1];
  if (lo < -(int64_t{1} << 22) || hi > int64_t{1} << 22) return std::nullopt;
  const auto m = static_cast<float>(1 / type.step().f64()[0]);
  const auto own = [&](int64_t ordinal) {
    return run(float_of(ordinal), m, 0, static_cast<float>(lo), static_cast<float>(hi), false);
  };
  // The first float of each code: near (k - 1/2)·step.
  std::vector<int64_t> points, expected;
  for (int64_t k = lo + 1; k <= hi; ++k) {
    int64_t below = begin, at = end;
    while (at - below > 1) {
      const int64_t middle = below + (at - below) / 2;
      (own(middle) >= k ? at : below) = middle;
    }
    points.insert(points.end(), {at - 1, at});
    expected.insert(expected.end(), {own(at - 1), own(at)});
  }
  evaluated = static_cast<int64_t>(points.size()) + 2;
  if (own(begin) != lo || own(end) != hi) return std::nullopt;
  if (!points.empty() && function.codes(value, points, 1) != expected) return std::nullopt;
  int x = builder.step(TailOp::multiply, source, builder.real(m));
  x = builder.step(TailOp::maximum, x, builder.real(static_cast<float>(lo)));
  x = builder.step(TailOp::minimum, x, builder.real(static_cast<float>(hi)));
  return builder.step(TailOp::to_int, x);
}

namespace {

std::optional<int> with_offset(TailBuilder& builder, int source, const Transitions& t, double step,
                               bool fused, int64_t lo, int64_t hi, int64_t offset);

}  // namespace

std::optional<int> lower_scale_and_round(TailBuilder& builder, int source, const Transitions& t,
                                         double step, bool fused) {
  if (threshold_rows(t) < 0) return std::nullopt;
  int64_t lo = t.channels[0].first, hi = lo;
  for (const auto& channel : t.channels) {
    lo = std::min(lo, channel.first);
    hi = std::max(hi, channel.last());
  }
  if (lo < -(int64_t{1} << 22) || hi > int64_t{1} << 22) return std::nullopt;
  if (const auto code = with_offset(builder, source, t, step, fused, lo, hi, 0)) return code;
  // What is a sum at 1/2 before it is stretched to ±1 (hard_tanh) is rounded there.
  if (!t.source_is_f32 || lo >= 0) return std::nullopt;
  return with_offset(builder, source, t, step, fused, lo, hi, -lo);
}

namespace {

std::optional<int> with_offset(TailBuilder& builder, int source, const Transitions& t, double step,
                               bool fused, int64_t lo, int64_t hi, int64_t offset) {
  std::vector<float> guesses;
  if (t.source_is_f32) {
    guesses.push_back(static_cast<float>(1 / step));
    // Where the step carries a factor that rounding does not see (alpha), the spacing tells.
    const auto& steps = t.channels[0].steps;
    if (steps.size() >= 2) {
      const double spacing = (value_of(t, steps.back().at) - value_of(t, steps.front().at)) /
                             static_cast<double>(steps.back().code - steps.front().code);
      guesses.push_back(static_cast<float>(std::exp2(-std::round(std::log2(spacing)))));
    }
  }
  std::vector<float> m, b;
  bool bounded = !t.source_is_f32;  // what is rounded fits 32 bits
  for (const auto& channel : t.channels) {
    // Integers beyond 2^24 are rounded on their way to float32: still monotone, so the check holds.
    const auto affine = Fit(t, channel, lo, hi, offset, fused).solve(guesses);
    if (!affine) return std::nullopt;
    for (const int64_t end : {channel.lo, channel.hi})
      bounded = bounded && std::fabs(source_f32(t, end ^ channel.mask) * affine->m + affine->b) <
                               static_cast<float>(int64_t{1} << 30);
    m.push_back(affine->m);
    b.push_back(affine->b);
  }
  int x = t.source_is_f32 ? source : builder.step(TailOp::to_f32, source);
  const int factor = builder.constant(std::move(m));
  if (std::all_of(b.begin(), b.end(), [](float v) { return v == 0; })) {
    x = builder.step(TailOp::multiply, x, factor);
  } else if (fused) {
    x = builder.step(TailOp::fused_multiply_add, x, factor, builder.constant(std::move(b)));
  } else {
    x = builder.step(TailOp::multiply, x, factor);
    x = builder.step(TailOp::add, x, builder.constant(std::move(b)));
  }
  if (bounded) {
    // Integers are compared by pipes that sums of products leave free. Rounding first changes
    // nothing: lo and hi are integers.
    x = builder.step(TailOp::to_int, x);
    x = builder.step(TailOp::maximum, x, builder.integer(static_cast<int32_t>(lo)));
    return builder.step(TailOp::minimum, x, builder.integer(static_cast<int32_t>(hi)));
  }
  x = builder.step(TailOp::maximum, x, builder.real(static_cast<float>(lo + offset)));
  x = builder.step(TailOp::minimum, x, builder.real(static_cast<float>(hi + offset)));
  x = builder.step(TailOp::to_int, x);
  if (offset == 0) return x;
  return builder.step(TailOp::subtract, x, builder.integer(static_cast<int32_t>(offset)));
}

}  // namespace

}  // namespace qloom::passes
