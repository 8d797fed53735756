#include "passes/tail/fold_scales.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "passes/tail/tail_builder.h"

// Every float32 step of the tail becomes a step of the new one and an exponent: value = new·2^e.
// Values that take part are made of integers below 2^31 and few constants of moderate size, so they
// stay far from where floats lose bits: 3·16 + 4·12 binary places of factors and 24 of a difference
// are less than 126. An operand stored as f32 may hold anything: what depends on it keeps its
// factors.

namespace qloom::passes {
namespace {

using kernels::Tail;
using kernels::TailOp;
using kernels::TailStep;
using kernels::TailTable;

constexpr int kFactor = 16, kFactors = 3;  ///< of constants that are multiplied
constexpr int kPower = 12, kPowers = 4;    ///< of powers of two
constexpr int kTerm = 24;                  ///< of other constants

/// k where all entries are 2^k.
std::optional<int> power_of(const TailTable& table) {
  int exponent = 0;
  for (const float v : table.f32)
    if (v <= 0 || std::frexp(v, &exponent) != 0.5F || v != table.f32[0]) return std::nullopt;
  return exponent - 1;
}

bool is_near(const TailTable& table, int far) {
  return std::ranges::all_of(table.f32, [far](float v) {
    return v == 0 || (std::isfinite(v) && std::abs(std::ilogb(v)) <= far);
  });
}

class Folder {
 public:
  Folder(const Tail& tail, int64_t channels)
      : tail_(tail), is_f32_(kernels::f32_steps(tail)), builder_(channels) {}

  /// False where it is not worth while or not safe.
  [[nodiscard]] bool applies() const {
    int factors = 0, powers = 0;
    for (const TailStep& step : tail_.steps) {
      switch (step.op) {
        case TailOp::function:
        case TailOp::divide:
        case TailOp::fused_multiply_add:
          return false;
        case TailOp::constant:
          if (table_of(step).is_f32 && !is_near(table_of(step), kTerm)) return false;
          break;
        case TailOp::multiply: {
          const TailTable* constant = constant_of(step.b);
          if (constant == nullptr) break;
          const bool power = power_of(*constant).has_value();
          if (!is_near(*constant, power ? kPower : kFactor)) return false;
          ++(power ? powers : factors);
          break;
        }
        default:
          break;
      }
    }
    return powers > 0 && powers <= kPowers && factors <= kFactors;
  }

  Tail run() {
    builder_.tail().operands = tail_.operands;
    for (size_t i = 0; i < tail_.steps.size(); ++i) made_.push_back(make(tail_.steps[i], i));
    for (kernels::TailOutput output : tail_.outputs) {
      output.step = plain(output.step);
      builder_.tail().outputs.push_back(output);
    }
    builder_.prune();
    builder_.tail().form = tail_.form;
    builder_.tail().proof = tail_.proof;
    return std::move(builder_.tail());
  }

 private:
  struct Scaled {
    int step = -1, exponent = 0;
    bool any_size = false;  ///< depends on an operand stored as f32
  };

  [[nodiscard]] const TailTable& table_of(const TailStep& step) const {
    return tail_.tables[static_cast<size_t>(step.index)];
  }
  /// The float table that a step of the old tail is, or null.
  [[nodiscard]] const TailTable* constant_of(int step) const {
    if (step < 0) return nullptr;
    const TailStep& s = tail_.steps[static_cast<size_t>(step)];
    return s.op == TailOp::constant && table_of(s).is_f32 ? &table_of(s) : nullptr;
  }

  int scaled_constant(const TailTable& table, int exponent) {
    std::vector<float> values = table.f32;
    for (float& v : values) v = std::ldexp(v, exponent);
    return builder_.constant(std::move(values));
  }

  Scaled make(const TailStep& step, size_t index) {
    switch (step.op) {
      case TailOp::accumulator:
      case TailOp::operand:
        return {builder_.step(step.op, -1, -1, -1, step.index), 0, is_f32_[index]};
      case TailOp::constant: {
        const TailTable& table = table_of(step);
        return {table.is_f32 ? builder_.constant(table.f32) : builder_.constant(table.i32)};
      }
      case TailOp::count_ge: {
        const TailTable& table = table_of(step);
        std::vector<int32_t> thresholds = table.i32;
        return {builder_.count_ge(plain(step.a), table.rows, std::move(thresholds))};
      }
      case TailOp::multiply:
        if (is_f32_[index] && constant_of(step.b) != nullptr && constant_of(step.a) == nullptr)
          return product(made_[static_cast<size_t>(step.a)], step.b);
        break;
      case TailOp::add:
      case TailOp::subtract:
      case TailOp::minimum:
      case TailOp::maximum:
        if (is_f32_[index]) return combined(step);
        break;
      default:
        break;
    }
    bool any_size = false;
    const auto ref = [&](int r) {
      if (r < 0) return -1;
      any_size = any_size || made_[static_cast<size_t>(r)].any_size;
      return plain(r);
    };
    const int a = ref(step.a), b = ref(step.b), c = ref(step.c);
    return {builder_.step(step.op, a, b, c, step.index), 0, any_size && is_f32_[index]};
  }

  Scaled product(Scaled x, int constant) {
    const auto power = power_of(*constant_of(constant));
    if (power && !x.any_size) return {x.step, x.exponent + *power};
    return {builder_.step(TailOp::multiply, x.step, made_[static_cast<size_t>(constant)].step),
            x.exponent, x.any_size};
  }

  Scaled combined(const TailStep& step) {
    for (const bool second : {true, false}) {
      const TailTable* constant = constant_of(second ? step.b : step.a);
      if (constant == nullptr) continue;
      const Scaled x = made_[static_cast<size_t>(second ? step.a : step.b)];
      const int c = scaled_constant(*constant, -x.exponent);
      return {second ? builder_.step(step.op, x.step, c) : builder_.step(step.op, c, x.step),
              x.exponent, x.any_size};
    }
    Scaled a = made_[static_cast<size_t>(step.a)], b = made_[static_cast<size_t>(step.b)];
    if (a.exponent != b.exponent) {
      if (b.any_size || (!a.any_size && (takes_factor(a.step) || !takes_factor(b.step))))
        a = {times(a.step, a.exponent - b.exponent), b.exponent};
      else
        b = {times(b.step, b.exponent - a.exponent), a.exponent};
    }
    return {builder_.step(step.op, a.step, b.step), a.exponent, a.any_size || b.any_size};
  }

  /// The value itself.
  int plain(int old) {
    Scaled& x = made_[static_cast<size_t>(old)];
    if (x.exponent != 0) x = {times(x.step, x.exponent), 0};
    return x.step;
  }

  [[nodiscard]] const TailTable* new_constant(int step) {
    const TailStep& s = builder_.tail().steps[static_cast<size_t>(step)];
    if (s.op != TailOp::constant) return nullptr;
    const TailTable& table = builder_.tail().tables[static_cast<size_t>(s.index)];
    return table.is_f32 ? &table : nullptr;
  }
  /// Whether a step of the new tail times a power of two costs nothing.
  bool takes_factor(int step) {
    const TailStep s = builder_.tail().steps[static_cast<size_t>(step)];
    switch (s.op) {
      case TailOp::multiply:
        return new_constant(s.b) != nullptr;
      case TailOp::add:
      case TailOp::subtract:
      case TailOp::minimum:
      case TailOp::maximum:
        return (new_constant(s.b) != nullptr && takes_factor(s.a)) ||
               (new_constant(s.a) != nullptr && takes_factor(s.b));
      default:
        return false;
    }
  }
  /// A step of the new tail times 2^exponent.
  int times(int step, int exponent) {
    if (exponent == 0) return step;
    const TailStep s = builder_.tail().steps[static_cast<size_t>(step)];
    if (const TailTable* table = new_constant(step)) {
      const TailTable copy = *table;
      return scaled_constant(copy, exponent);
    }
    if (!takes_factor(step))
      return builder_.step(TailOp::multiply, step, builder_.real(std::ldexp(1.0F, exponent)));
    if (s.op == TailOp::multiply) return builder_.step(s.op, s.a, times(s.b, exponent));
    return builder_.step(s.op, times(s.a, exponent), times(s.b, exponent));
  }

  const Tail& tail_;
  std::vector<bool> is_f32_;
  TailBuilder builder_;
  std::vector<Scaled> made_;  ///< by step of the old tail
};

}  // namespace

Tail fold_scales(const Tail& tail, int64_t channels) {
  Folder folder(tail, channels);
  if (!folder.applies()) return tail;
  return folder.run();
}

}  // namespace qloom::passes
