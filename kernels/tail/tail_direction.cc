#include "kernels/tail/tail_direction.h"

#include <optional>
#include <vector>

namespace qloom::kernels {
namespace {

using Direction = TailDirection;

Direction turned(Direction d) {
  if (d == Direction::rises) return Direction::falls;
  return d == Direction::falls ? Direction::rises : d;
}

/// Of what rises with both.
Direction both(Direction a, Direction b) {
  if (a == Direction::constant) return b;
  if (b == Direction::constant || a == b) return a;
  return Direction::unknown;
}

class Directions {
 public:
  Directions(const Tail& tail, int64_t channel) : tail_(tail), channel_(channel) {}

  Direction of(int ref) {
    const TailStep& step = tail_.steps[static_cast<size_t>(ref)];
    switch (step.op) {
      case TailOp::accumulator:
        return Direction::rises;
      case TailOp::constant:
        return Direction::constant;
      case TailOp::to_f32:
      case TailOp::to_int:
      case TailOp::round_even:
      case TailOp::square_root:
      case TailOp::count_ge:
        return of(step.a);
      case TailOp::add:
      case TailOp::minimum:
      case TailOp::maximum:
        return both(of(step.a), of(step.b));
      case TailOp::subtract:
      case TailOp::greater_equal:
        return both(of(step.a), turned(of(step.b)));
      case TailOp::multiply:
        return product(step.a, step.b);
      case TailOp::divide:
        return quotient(step.a, step.b);
      case TailOp::fused_multiply_add:
        return both(product(step.a, step.b), of(step.c));
      case TailOp::shift_left:
      case TailOp::shift_right:
        return of(step.b) == Direction::constant ? of(step.a) : Direction::unknown;
      case TailOp::bit_xor:
        return flipped(step.a, step.b);
      default:
        return Direction::unknown;
    }
  }

 private:
  /// The value of a constant step; nothing where it is made of other constants.
  std::optional<double> constant(int ref) const {
    const TailStep& step = tail_.steps[static_cast<size_t>(ref)];
    if (step.op != TailOp::constant) return std::nullopt;
    const TailTable& table = tail_.tables[static_cast<size_t>(step.index)];
    const auto column = static_cast<size_t>(table.per_channel ? channel_ : 0);
    return table.is_f32 ? table.f32[column] : table.i32[column];
  }

  Direction scaled(int ref, std::optional<double> by) {
    if (of(ref) == Direction::constant) return Direction::constant;
    if (!by || *by != *by) return Direction::unknown;
    return *by >= 0 ? of(ref) : turned(of(ref));
  }

  Direction product(int a, int b) {
    if (of(b) == Direction::constant) return scaled(a, constant(b));
    return of(a) == Direction::constant ? scaled(b, constant(a)) : Direction::unknown;
  }

  Direction quotient(int a, int b) {
    if (of(b) != Direction::constant) return Direction::unknown;
    const auto by = constant(b);
    return by == 0 ? Direction::unknown : scaled(a, by);  // both infinities and no number
  }

  Direction flipped(int a, int b) {
    if (of(b) != Direction::constant) return Direction::unknown;
    const auto mask = constant(b);
    if (mask == 0) return of(a);
    return mask == -1 ? turned(of(a)) : Direction::unknown;
  }

  const Tail& tail_;
  int64_t channel_;
};

void between(int64_t lo, int64_t at_lo, int64_t hi, int64_t at_hi,
             const std::function<int64_t(int64_t)>& value,
             const std::function<void(int64_t)>& found) {
  if (at_lo == at_hi) return;
  if (hi - lo == 1) return found(hi);
  const int64_t middle = lo + (hi - lo) / 2, at_middle = value(middle);
  between(lo, at_lo, middle, at_middle, value, found);
  between(middle, at_middle, hi, at_hi, value, found);
}

}  // namespace

TailDirection direction_of(const Tail& tail, int step, int64_t channel) {
  return Directions(tail, channel).of(step);
}

void for_changes(int64_t lo, int64_t hi, const std::function<int64_t(int64_t)>& value,
                 const std::function<void(int64_t)>& found) {
  if (lo < hi) between(lo, value(lo), hi, value(hi), value, found);
}

}  // namespace qloom::kernels
