#include "passes/tail/verify_tail.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

#include "graph/support/error.h"
#include "passes/edit.h"
#include "passes/tail/body_function.h"

namespace qloom::passes {
namespace {

using kernels::Storage;
using kernels::Tail;
using kernels::TailScalar;

constexpr int64_t kMostFloatThresholds = 4096;
constexpr size_t kMostChanges = 1 << 10;             ///< of a channel, to be tried on both sides
constexpr int64_t kMostUnproved = int64_t{1} << 20;  ///< points of a layer, some tenths of a second

class Verifier {
 public:
  Verifier(const TailRequest& request, const Tail& tail)
      : request_(request),
        tail_(tail),
        body_(*request.region->body),
        rooted_(root_of(body_) != nullptr),
        source_(tail_source(body_)),
        function_(body_, source_, request.options),
        interval_(source_interval(request)),
        operands_(tail_operands(body_)),
        channels_(function_.channels()),
        random_(20240229) {
    for (const auto& output : tail.outputs)
      values_.push_back(body_.outputs()[static_cast<size_t>(output.value_index)].value);
  }

  std::string run(int64_t exhaustive_points) {
    int64_t total = 0, longest = 0;
    for (int64_t c = 0; c < channels_; ++c) {
      const int64_t n = hi(c) - lo(c) + 1;
      total += n;
      longest = std::max(longest, n);
    }
    const bool every =
        operands_.empty() && !function_.source_is_f32() &&
        (total <= exhaustive_points ||
         (!proved() && longest <= request_.exhaustive_limit && total <= kMostUnproved));
    if (every) {
      constexpr int64_t kBatch = 1 << 12;
      for (int64_t begin = 0; begin < longest; begin += kBatch) {
        std::vector<std::vector<int64_t>> points(static_cast<size_t>(channels_));
        for (int64_t c = 0; c < channels_; ++c)
          for (int64_t x = lo(c) + begin; x <= std::min(hi(c), lo(c) + begin + kBatch - 1); ++x)
            points[static_cast<size_t>(c)].push_back(x);
        check(points);
      }
      return join_text("verified at every accumulator: ", checked_, " points");
    }
    check(chosen_points());
    return join_text("verified ", thresholds_ ? "on both sides of every threshold, " : "",
                     "at the ends and at random: ", checked_, " points");
  }

 private:
  [[nodiscard]] int64_t lo(int64_t c) const {
    return interval_.lo[interval_.lo.size() == 1 ? 0 : static_cast<size_t>(c)];
  }
  [[nodiscard]] int64_t hi(int64_t c) const {
    return interval_.hi[interval_.hi.size() == 1 ? 0 : static_cast<size_t>(c)];
  }

  /// Every output is a code that a chain of monotone operations makes, and the tail has no table of
  /// rising and falling codes.
  [[nodiscard]] bool proved() const {
    return std::all_of(values_.begin(), values_.end(), [&](ValueId v) {
      return body_.type(v).has_codes() && function_.directions(v).has_value();
    });
  }

  std::vector<std::vector<int64_t>> chosen_points() {
    std::vector<std::vector<int64_t>> points(static_cast<size_t>(channels_));
    const int64_t random_points = std::clamp<int64_t>(4096 / channels_, 16, 512);
    for (int64_t c = 0; c < channels_; ++c) {
      auto& p = points[static_cast<size_t>(c)];
      p = {lo(c), hi(c)};
      for (int64_t x : {int64_t{-1}, int64_t{0}, int64_t{1}})
        if (x >= lo(c) && x <= hi(c)) p.push_back(x);
      for (int64_t i = 0; i < random_points; ++i) p.push_back(random_point(c));
      std::ranges::sort(p);
    }
    KnownTransitions& known = request_.known != nullptr ? *request_.known : known_;
    for (size_t k = 0; k < values_.size(); ++k) {
      const ValueId value = values_[k];
      if (!body_.type(value).has_codes() || !function_.is_function(value)) continue;
      // In 2^32 floats each threshold takes 32 questions: only where there are few.
      const auto grid = *body_.type(value).numeric.grid();
      if (function_.source_is_f32() && !function_.is_uniform(value) &&
          (grid.hi - grid.lo) * channels_ > kMostFloatThresholds)
        continue;
      const auto& found =
          known.find(function_, value, request_.exhaustive_limit, [&] { return interval_; });
      if (!found || std::ranges::any_of(found->channels, [](const Transitions::Channel& channel) {
            return channel.steps.size() > kMostChanges;
          }))
        continue;
      thresholds_ = true;
      if (found->monotone) monotone_.push_back(k);
      for (int64_t c = 0; c < channels_; ++c)
        add_sides(found->channels[found->uniform ? 0 : static_cast<size_t>(c)], c,
                  points[static_cast<size_t>(c)]);
    }
    for (auto& p : points) p.erase(std::ranges::unique(p).begin(), p.end());
    return points;
  }

  /// Merges both sides of every threshold of channel `c` into ascending points.
  void add_sides(const Transitions::Channel& channel, int64_t c, std::vector<int64_t>& points) {
    std::vector<int64_t> sides;
    sides.reserve(2 * channel.steps.size());
    for (const auto& s : channel.steps)
      for (const int64_t x : {s.at - 1, s.at}) {
        const int64_t ordinal = x ^ channel.mask;
        if (ordinal >= lo(c) && ordinal <= hi(c)) sides.push_back(ordinal);
      }
    if (channel.mask != 0) std::ranges::reverse(sides);
    std::vector<int64_t> merged(points.size() + sides.size());
    std::ranges::merge(points, sides, merged.begin());
    points = std::move(merged);
  }

  /// What monotone codes do between points follows where they change between neighbours alone.
  void check_gaps(const std::vector<std::vector<int64_t>>& points,
                  const std::vector<RuntimeValue>& expected) const {
    const auto n = static_cast<size_t>(channels_);
    for (const size_t k : monotone_) {
      const auto codes = expected[k].data.i64();
      for (size_t c = 0; c < n; ++c)
        for (size_t r = 1; r < points[c].size(); ++r)
          qloom_assert(
              points[c][r] - points[c][r - 1] == 1 || codes[r * n + c] == codes[(r - 1) * n + c],
              "tail of '", request_.region->name, "': channel ", c, " has a threshold between ",
              points[c][r - 1], " and ", points[c][r], " that was not found");
    }
  }

  int64_t random_point(int64_t c) {
    if (function_.source_is_f32()) {
      // Mostly of ordinary size: few networks see 1e19.
      std::normal_distribution<float> normal(0.0F, 4.0F);
      return std::clamp(ordinal_of(normal(random_)), lo(c), hi(c));
    }
    return std::uniform_int_distribution<int64_t>(lo(c), hi(c))(random_);
  }

  int64_t random_operand(size_t i) {
    const TensorType& type = operand_type(i);
    if (!type.has_codes()) {
      std::normal_distribution<float> normal(0.0F, 4.0F);
      return ordinal_of(normal(random_));
    }
    // Members of the set only: a binary operand is never 0.
    const auto grid = *type.numeric.grid();
    for (int tries = 0; tries < 64; ++tries) {
      const int64_t code = std::uniform_int_distribution<int64_t>(grid.lo, grid.hi)(random_);
      if (type.numeric.contains(std::ldexp(static_cast<double>(code), -grid.fraction))) return code;
    }
    return grid.lo;
  }

  [[nodiscard]] const TensorType& operand_type(size_t i) const {
    return body_.type(body_.inputs()[static_cast<size_t>(operands_[i])]);
  }

  void check(const std::vector<std::vector<int64_t>>& points) {
    size_t rows = 0;
    for (const auto& p : points) rows = std::max(rows, p.size());
    if (rows == 0) return;
    const auto n = static_cast<size_t>(channels_);
    std::vector<int64_t> ordinals(rows * n);
    for (size_t r = 0; r < rows; ++r)
      for (size_t c = 0; c < n; ++c)
        ordinals[r * n + c] = r < points[c].size() ? points[c][r] : lo(static_cast<int64_t>(c));
    std::vector<BodyFunction::Further> further;
    for (size_t i = 0; i < operands_.size(); ++i) {
      auto& f = further.emplace_back();
      f.input = body_.inputs()[static_cast<size_t>(operands_[i])];
      for (size_t k = 0; k < ordinals.size(); ++k) f.ordinals.push_back(random_operand(i));
    }
    const auto expected = function_.evaluate(values_, ordinals, channels_, further);
    check_gaps(points, expected);
    for (size_t c = 0; c < n; ++c)
      for (size_t r = 0; r < points[c].size(); ++r)
        check_point(r * n + c, static_cast<int64_t>(c), ordinals, further, expected);
  }

  /// An element as the tail sees it in this storage.
  static TailScalar scalar(const TensorType& type, Storage storage, int64_t ordinal,
                           int64_t channel) {
    if (!type.has_codes()) return TailScalar::real(float_of(ordinal));
    if (storage.kind != Storage::Kind::f32)
      return TailScalar::integer(static_cast<int32_t>(ordinal));
    const Tensor step = type.step();
    const double s = step.f64()[step.size() == 1 ? 0 : static_cast<size_t>(channel)];
    return TailScalar::real(static_cast<float>(static_cast<double>(ordinal) * s));
  }

  void check_point(size_t at, int64_t channel, const std::vector<int64_t>& ordinals,
                   const std::vector<BodyFunction::Further>& further,
                   const std::vector<RuntimeValue>& expected) {
    const Storage storage = rooted_ ? Storage::dwords() : request_.input_storage;
    const TailScalar x = scalar(body_.type(source_), storage, ordinals[at], channel);
    std::vector<TailScalar>& operands = operands_at_;
    operands.clear();
    for (size_t i = 0; i < further.size(); ++i)
      operands.push_back(
          scalar(operand_type(i), request_.operand_storages[i], further[i].ordinals[at], channel));
    std::vector<TailScalar>& steps = steps_at_;
    kernels::run_tail(tail_, x, channel, operands, steps);
    ++checked_;
    for (size_t k = 0; k < tail_.outputs.size(); ++k) {
      const TailScalar got = steps[static_cast<size_t>(tail_.outputs[k].step)];
      std::string want, found;
      if (got.is_f32) {
        const RuntimeValue& value = expected[k];
        const float f = f32_at(value, at, channel);
        if (std::bit_cast<int32_t>(f) == std::bit_cast<int32_t>(got.f) ||
            (f != f && got.f != got.f))
          continue;
        want = join_text(f);
        found = join_text(got.f);
      } else {
        const int64_t code = expected[k].data.i64()[at];
        if (code == got.i) continue;
        want = join_text("code ", code);
        found = join_text("code ", got.i);
      }
      std::string text =
          join_text("tail of '", request_.region->name, "' (", tail_.form, "): channel ", channel,
                    ", ", rooted_ ? "accumulator " : "input ");
      text +=
          function_.source_is_f32() ? join_text(float_of(ordinals[at])) : join_text(ordinals[at]);
      for (const TailScalar& o : operands)
        text += o.is_f32 ? join_text(", operand ", o.f) : join_text(", operand code ", o.i);
      throw InternalError(join_text(text, ": output ", tail_.outputs[k].value_index, " is ", found,
                                    ", the interpreter says ", want));
    }
  }

  static float f32_at(const RuntimeValue& value, size_t at, int64_t channel) {
    if (value.data.dtype() == DType::f32) return value.data.f32()[at];
    const Tensor step = value.type.step();
    const double s = step.f64()[step.size() == 1 ? 0 : static_cast<size_t>(channel)];
    return static_cast<float>(static_cast<double>(value.data.i64()[at]) * s);
  }

  const TailRequest& request_;
  const Tail& tail_;
  const Graph& body_;
  bool rooted_;  ///< the source is an accumulator
  ValueId source_;
  BodyFunction function_;
  Interval interval_;
  std::vector<int> operands_;
  int64_t channels_;
  std::mt19937_64 random_;
  std::vector<ValueId> values_;
  int64_t checked_ = 0;
  std::vector<TailScalar> operands_at_, steps_at_;  ///< of one point, used again
  bool thresholds_ = false;                         ///< some were found
  std::vector<size_t> monotone_;  ///< those of values_ whose thresholds are among the points
  KnownTransitions known_;        ///< where the request has none
};

}  // namespace

std::string verify_tail(const TailRequest& request, const Tail& tail, int64_t exhaustive_points) {
  return Verifier(request, tail).run(exhaustive_points);
}

}  // namespace qloom::passes
