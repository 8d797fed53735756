#include "kernels/tail/tail.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "graph/support/error.h"
#include "kernels/functions/float_function.h"

namespace qloom::kernels {
namespace {

/// How many earlier steps an operation reads.
int arity(TailOp op) {
  switch (op) {
    case TailOp::accumulator:
    case TailOp::operand:
    case TailOp::constant:
      return 0;
    case TailOp::to_f32:
    case TailOp::to_int:
    case TailOp::round_even:
    case TailOp::square_root:
    case TailOp::function:
    case TailOp::count_ge:
      return 1;
    case TailOp::fused_multiply_add:
    case TailOp::select:
      return 3;
    default:
      return 2;
  }
}

/// Integers wrap, as vector instructions do.
int32_t wrap(uint32_t v) { return static_cast<int32_t>(v); }

int32_t to_int(float f) {
  // Outside of int32 the tail's author promised never to come; what the instruction gives then.
  if (!(f >= -2147483648.0F && f < 2147483648.0F)) return std::numeric_limits<int32_t>::min();
  return static_cast<int32_t>(std::nearbyintf(f));
}

int32_t int_binary(TailOp op, int32_t a, int32_t b) {
  const auto ua = static_cast<uint32_t>(a), ub = static_cast<uint32_t>(b);
  switch (op) {
    case TailOp::add:
      return wrap(ua + ub);
    case TailOp::subtract:
      return wrap(ua - ub);
    case TailOp::multiply:
      return wrap(ua * ub);
    case TailOp::minimum:
      return a < b ? a : b;
    case TailOp::maximum:
      return a > b ? a : b;
    case TailOp::bit_xor:
      return wrap(ua ^ ub);
    case TailOp::bit_and:
      return wrap(ua & ub);
    case TailOp::shift_left:
      return wrap(ua << (ub & 31));
    case TailOp::shift_right:
      return a >> (ub & 31);
    case TailOp::greater_equal:
      return a >= b ? 1 : 0;
    default:
      fail_internal(std::source_location::current(), "tail: not an integer operation");
  }
}

float f32_binary(TailOp op, float a, float b) {
  switch (op) {
    case TailOp::add:
      return a + b;
    case TailOp::subtract:
      return a - b;
    case TailOp::multiply:
      return a * b;
    case TailOp::divide:
      return a / b;
    case TailOp::minimum:
      return a < b ? a : b;
    case TailOp::maximum:
      return a > b ? a : b;
    default:
      fail_internal(std::source_location::current(), "tail: not a float operation");
  }
}

int64_t table_columns(const TailTable& table, int64_t channels) {
  return table.per_channel ? channels : 1;
}

TailScalar table_value(const TailTable& table, int64_t row, int64_t channel) {
  int64_t at = table.per_channel ? channel : 0;
  if (row > 0) {  // rows × channels; the number of channels follows from the size
    const auto size = static_cast<int64_t>(table.is_f32 ? table.f32.size() : table.i32.size());
    at += row * (size / table.rows);
  }
  const auto i = static_cast<size_t>(at);
  return table.is_f32 ? TailScalar::real(table.f32[i]) : TailScalar::integer(table.i32[i]);
}

}  // namespace

std::optional<int64_t> integer_of(const Tail& tail, int ref) {
  const TailStep& step = tail.steps[static_cast<size_t>(ref)];
  if (step.op != TailOp::constant) return std::nullopt;
  const TailTable& table = tail.tables[static_cast<size_t>(step.index)];
  if (table.is_f32 || table.per_channel) return std::nullopt;
  return table.i32[0];
}

ScaledStep scaled_step(const Tail& tail, int ref) {
  ScaledStep scaled{.x = ref};
  const auto strip = [&](TailOp op, int64_t& constant) {
    const TailStep& step = tail.steps[static_cast<size_t>(scaled.x)];
    if (step.op != op) return;
    if (const auto value = integer_of(tail, step.b)) constant = *value, scaled.x = step.a;
  };
  strip(TailOp::add, scaled.more);
  strip(TailOp::multiply, scaled.factor);
  return scaled;
}

bool has_parts(const Tail& tail) {
  return std::ranges::any_of(tail.outputs, [](const TailOutput& o) { return o.pitch > 0; });
}

std::vector<bool> f32_steps(const Tail& tail, bool f32_accumulator) {
  std::vector<bool> is_f32;
  is_f32.reserve(tail.steps.size());
  for (size_t i = 0; i < tail.steps.size(); ++i) {
    const TailStep& step = tail.steps[i];
    const int refs[] = {step.a, step.b, step.c};
    const int n = arity(step.op);
    for (int k = 0; k < n; ++k)
      qloom_assert(refs[k] >= 0 && refs[k] < static_cast<int>(i), "tail: step ", i,
                   " refers to step ", refs[k]);
    auto kind = [&](int k) { return static_cast<bool>(is_f32[static_cast<size_t>(refs[k])]); };
    auto require = [&](int k, bool f32) {
      qloom_assert(kind(k) == f32, "tail: step ", i, ": operand ", k, " must be ",
                   f32 ? "f32" : "int");
    };
    switch (step.op) {
      case TailOp::accumulator:
        is_f32.push_back(f32_accumulator);
        break;
      case TailOp::operand:
        qloom_assert(step.index >= 0 && step.index < static_cast<int>(tail.operands.size()),
                     "tail: step ", i, ": no operand ", step.index);
        is_f32.push_back(tail.operands[static_cast<size_t>(step.index)].storage.kind ==
                         Storage::Kind::f32);
        break;
      case TailOp::constant:
      case TailOp::count_ge: {
        qloom_assert(step.index >= 0 && step.index < static_cast<int>(tail.tables.size()),
                     "tail: step ", i, ": no table ", step.index);
        const TailTable& table = tail.tables[static_cast<size_t>(step.index)];
        if (step.op == TailOp::count_ge) {
          require(0, false);
          qloom_assert(!table.is_f32, "tail: step ", i, ": thresholds must be int");
        } else {
          qloom_assert(table.rows == 1, "tail: step ", i, ": a constant has one row");
        }
        is_f32.push_back(table.is_f32);
        break;
      }
      case TailOp::to_f32:
        require(0, false);
        is_f32.push_back(true);
        break;
      case TailOp::to_int:
        require(0, true);
        is_f32.push_back(false);
        break;
      case TailOp::function:
        qloom_assert(step.index >= 0 && step.index < kFloatFunctions, "tail: step ", i,
                     ": no function ", step.index);
        [[fallthrough]];
      case TailOp::round_even:
      case TailOp::square_root:
        require(0, true);
        is_f32.push_back(true);
        break;
      case TailOp::fused_multiply_add:
        for (int k = 0; k < 3; ++k) require(k, true);
        is_f32.push_back(true);
        break;
      case TailOp::divide:
        require(0, true);
        require(1, true);
        is_f32.push_back(true);
        break;
      case TailOp::bit_xor:
      case TailOp::bit_and:
      case TailOp::shift_left:
      case TailOp::shift_right:
        require(0, false);
        require(1, false);
        is_f32.push_back(false);
        break;
      case TailOp::add:
      case TailOp::subtract:
      case TailOp::multiply:
      case TailOp::minimum:
      case TailOp::maximum:
        require(1, kind(0));
        is_f32.push_back(kind(0));
        break;
      case TailOp::greater_equal:
        require(1, kind(0));
        is_f32.push_back(false);
        break;
      case TailOp::select:
        require(0, false);
        require(2, kind(1));
        is_f32.push_back(kind(1));
        break;
    }
  }
  return is_f32;
}

void run_tail(const Tail& tail, TailScalar accumulator, int64_t channel,
              std::span<const TailScalar> operands, std::vector<TailScalar>& values) {
  values.clear();
  for (const TailStep& step : tail.steps) {
    auto at = [&](int ref) -> const TailScalar& { return values[static_cast<size_t>(ref)]; };
    TailScalar r;
    switch (step.op) {
      case TailOp::accumulator:
        r = accumulator;
        break;
      case TailOp::operand:
        r = operands[static_cast<size_t>(step.index)];
        break;
      case TailOp::constant:
        r = table_value(tail.tables[static_cast<size_t>(step.index)], 0, channel);
        break;
      case TailOp::count_ge: {
        const TailTable& table = tail.tables[static_cast<size_t>(step.index)];
        int32_t n = 0;
        for (int row = 0; row < table.rows; ++row)
          n += at(step.a).i >= table_value(table, row, channel).i ? 1 : 0;
        r = TailScalar::integer(n);
        break;
      }
      case TailOp::to_f32:
        r = TailScalar::real(static_cast<float>(at(step.a).i));
        break;
      case TailOp::to_int:
        r = TailScalar::integer(to_int(at(step.a).f));
        break;
      case TailOp::round_even:
        r = TailScalar::real(std::nearbyintf(at(step.a).f));
        break;
      case TailOp::square_root:
        r = TailScalar::real(std::sqrt(at(step.a).f));
        break;
      case TailOp::function:
        r = TailScalar::real(apply(static_cast<FloatFunction>(step.index), at(step.a).f));
        break;
      case TailOp::fused_multiply_add:
        r = TailScalar::real(std::fmaf(at(step.a).f, at(step.b).f, at(step.c).f));
        break;
      case TailOp::select:
        r = at(step.a).i != 0 ? at(step.b) : at(step.c);
        break;
      case TailOp::greater_equal:
        r = TailScalar::integer(at(step.a).is_f32
                                    ? (at(step.a).f >= at(step.b).f ? 1 : 0)
                                    : int_binary(step.op, at(step.a).i, at(step.b).i));
        break;
      default:
        r = at(step.a).is_f32
                ? TailScalar::real(f32_binary(step.op, at(step.a).f, at(step.b).f))
                : TailScalar::integer(int_binary(step.op, at(step.a).i, at(step.b).i));
    }
    values.push_back(r);
  }
}

std::vector<TailScalar> run_tail(const Tail& tail, TailScalar accumulator, int64_t channel,
                                 std::span<const TailScalar> operands) {
  std::vector<TailScalar> values;
  values.reserve(tail.steps.size());
  run_tail(tail, accumulator, channel, operands, values);
  return values;
}

std::vector<TailScalar> run_tail(const Tail& tail, int32_t accumulator, int64_t channel,
                                 std::span<const TailScalar> operands) {
  return run_tail(tail, TailScalar::integer(accumulator), channel, operands);
}

void check_tail(const Tail& tail, int64_t channels, bool f32_accumulator) {
  for (size_t i = 0; i < tail.tables.size(); ++i) {
    const TailTable& table = tail.tables[i];
    qloom_assert(table.rows >= 1, "tail: table ", i, " has no rows");
    const auto expected = static_cast<size_t>(table.rows * table_columns(table, channels));
    const size_t found = table.is_f32 ? table.f32.size() : table.i32.size();
    qloom_assert(found == expected, "tail: table ", i, " has ", found, " entries instead of ",
                 expected);
    qloom_assert((table.is_f32 ? table.i32.size() : table.f32.size()) == 0, "tail: table ", i,
                 " has entries of both kinds");
  }
  const std::vector<bool> is_f32 = f32_steps(tail, f32_accumulator);
  qloom_assert(!tail.outputs.empty(), "tail: no outputs");
  for (size_t i = 0; i < tail.outputs.size(); ++i) {
    const TailOutput& output = tail.outputs[i];
    qloom_assert(output.step >= 0 && output.step < static_cast<int>(tail.steps.size()),
                 "tail: output ", i, " is step ", output.step);
    const bool wants_f32 = output.storage.kind == Storage::Kind::f32;
    qloom_assert(static_cast<bool>(is_f32[static_cast<size_t>(output.step)]) == wants_f32,
                 "tail: output ", i, " is stored as ", output.storage, ", its step is ",
                 wants_f32 ? "int" : "f32");
  }
}

}  // namespace qloom::kernels
