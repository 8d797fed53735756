#include "passes/analysis/qtools/operators.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "graph/support/error.h"

namespace qloom::qtools {
namespace {

constexpr std::string_view kImplementations[] = {"mul", "shifter", "mux", "xor", "and", "add"};

constexpr size_t index_of(Mode mode) { return static_cast<size_t>(mode); }
template <class Cell>
using ModeTable = std::array<std::array<Cell, kModes>, kModes>;

template <class Cell>
const Cell& cell(const ModeTable<Cell>& table, const QtoolsType& row, const QtoolsType& column) {
  return table[index_of(row.mode)][index_of(column.mode)];
}

// ---- multiplier ----

enum class Multiplier : uint8_t { fixed, shifter, mux, gate, exclusive, adder, floating };
struct MultiplierCell {
  Multiplier rule;
  Mode result;
};

// Rows: the weight. Columns: the input. Order: fixed, po2, ternary, ±1, 0/1, float.
constexpr MultiplierCell kF{Multiplier::floating, Mode::floating};
constexpr ModeTable<MultiplierCell> kMultipliers{{
    {{{Multiplier::fixed, Mode::fixed},
      {Multiplier::shifter, Mode::fixed},
      {Multiplier::mux, Mode::fixed},
      {Multiplier::mux, Mode::fixed},
      {Multiplier::gate, Mode::fixed},
      kF}},
    {{{Multiplier::shifter, Mode::fixed},
      {Multiplier::adder, Mode::po2},
      {Multiplier::mux, Mode::po2},
      {Multiplier::mux, Mode::po2},
      {Multiplier::gate, Mode::po2},
      kF}},
    {{{Multiplier::mux, Mode::fixed},
      {Multiplier::mux, Mode::po2},
      {Multiplier::mux, Mode::ternary},
      {Multiplier::mux, Mode::ternary},
      {Multiplier::gate, Mode::ternary},
      kF}},
    {{{Multiplier::mux, Mode::fixed},
      {Multiplier::mux, Mode::po2},
      {Multiplier::mux, Mode::ternary},
      {Multiplier::exclusive, Mode::binary},
      {Multiplier::gate, Mode::ternary},
      kF}},
    {{{Multiplier::gate, Mode::fixed},
      {Multiplier::gate, Mode::po2},
      {Multiplier::gate, Mode::ternary},
      {Multiplier::gate, Mode::ternary},
      {Multiplier::gate, Mode::bit},
      kF}},
    {{kF, kF, kF, kF, kF, kF}},
}};

bool names(const QtoolsType& type, std::string_view part) {
  return type.name.find(part) != std::string_view::npos;
}

/// A result of a mode with these widths; a po2 keeps the limit of the operand that is one.
QtoolsType shaped(Mode mode, int64_t bits, int64_t int_bits, const QtoolsType& w,
                  const QtoolsType& x) {
  const bool is_signed = w.is_signed || x.is_signed;
  if (mode == Mode::fixed) return QtoolsType::fixed(bits, int_bits, is_signed);
  if (mode == Mode::po2)
    return QtoolsType::po2(bits, is_signed, w.is_po2() ? w.max_value : x.max_value, int_bits);
  QtoolsType t =
      mode == Mode::ternary ? QtoolsType::ternary() : QtoolsType::binary(mode == Mode::bit);
  t.bits = bits;
  t.int_bits = int_bits;
  t.is_signed = is_signed;
  return t;
}

int64_t widest_float(const QtoolsType& a, const QtoolsType& b) {
  return std::max(a.is_float() ? a.bits : 0, b.is_float() ? b.bits : 0);
}

Operation float_multiplier(int64_t bits) {
  return {Implementation::mul, QtoolsType::floating(bits), Gates{1, static_cast<double>(bits)}};
}

/// q shifted by the exponent of p, down by `low` and up by `high` at most.
Operation shift(const QtoolsType& q, const QtoolsType& p, double low, double high) {
  const bool grows = !q.is_signed && p.is_signed;
  const auto bits =
      static_cast<int64_t>(static_cast<double>(q.bits) + low + high) + (grows ? 1 : 0);
  const auto q_bits = static_cast<double>(q.bits);
  Gates gates;
  if (p.value_count > 0) {  // trained weights: a wire for each value that occurs
    gates = {0.3 * static_cast<double>(p.value_count), q_bits};
  } else {
    const double g = std::sqrt(std::ldexp(q_bits, static_cast<int>(p.bits)));
    gates = {1, g * std::log10(g)};
  }
  return {Implementation::shifter,
          QtoolsType::fixed(bits, static_cast<int64_t>(static_cast<double>(q.int_bits) + high),
                            q.is_signed || p.is_signed),
          gates};
}

Operation multiplexer(Mode result, const QtoolsType& w, const QtoolsType& x) {
  // Which operand is selected, and by what, goes by the name of the weight's type.
  const bool weight_selects = names(w, "binary") || names(w, "ternary");
  const QtoolsType& kept = weight_selects ? x : w;
  const QtoolsType& selector = weight_selects ? w : x;
  const bool light = weight_selects ? names(w, "binary") : x.name == "binary";
  const int64_t bits = kept.bits + (!kept.is_signed && selector.is_signed ? 1 : 0);
  return {Implementation::mux,
          shaped(result, bits, result == Mode::po2 ? bits : kept.int_bits, w, x),
          Gates{light ? 0.3 : 0.6, static_cast<double>(kept.bits)}};
}

Operation and_gate(Mode result, const QtoolsType& w, const QtoolsType& x) {
  if (result == Mode::ternary)
    return {Implementation::and_gate, QtoolsType::ternary(), Gates{0.1, 2}};
  const int64_t bits = std::max(w.bits, x.bits);
  // Only this one 0/1 class is recognised: with other 0/1 weights the input's range is lost.
  const bool weight_is_bit = w.name == "binary" && w.zero_one;
  return {Implementation::and_gate,
          shaped(result, bits, weight_is_bit ? x.int_bits : w.int_bits, w, x),
          Gates{0.1, static_cast<double>(bits)}};
}

/// Exponents are added: one bit more.
Operation exponent_adder(const QtoolsType& a, const QtoolsType& b, bool is_signed, double limit) {
  QtoolsType out = QtoolsType::po2(std::max(a.bits, b.bits) + 1, is_signed, limit,
                                   std::max(a.int_bits, b.int_bits) + 1);
  return {Implementation::add, out, Gates{1, static_cast<double>(out.bits)}};
}

bool has_no_limit(const QtoolsType& a, const QtoolsType& b) {
  return a.max_value == -1 || b.max_value == -1;
}

// ---- adder ----

enum class Adder : uint8_t { fixed, converted, floating };
constexpr Adder kX = Adder::fixed, kC = Adder::converted, kL = Adder::floating;
// First operand po2, second 0/1: the exponent's bits are taken for those of a number.
constexpr ModeTable<Adder> kAdders{{{{kX, kC, kX, kX, kX, kL}},
                                    {{kC, kC, kC, kC, kX, kL}},
                                    {{kX, kC, kX, kX, kX, kL}},
                                    {{kX, kC, kX, kX, kX, kL}},
                                    {{kX, kC, kX, kX, kX, kL}},
                                    {{kL, kL, kL, kL, kL, kL}}}};

// ---- divider ----

enum class Divider : uint8_t { float32, shifter, po2_shifter, subtractor, floating, refused };
constexpr Divider kD = Divider::float32, kS = Divider::shifter, kP = Divider::po2_shifter,
                  kM = Divider::subtractor, kN = Divider::floating, kR = Divider::refused;
// Rows: the numerator. A 0/1 or ±1 numerator gives the shifter's widths in a record of a po2.
constexpr ModeTable<Divider> kDividers{{{{kD, kS, kR, kR, kR, kN}},
                                        {{kD, kM, kR, kR, kR, kN}},
                                        {{kD, kS, kR, kR, kR, kN}},
                                        {{kD, kP, kR, kR, kR, kN}},
                                        {{kD, kP, kR, kR, kR, kN}},
                                        {{kN, kN, kR, kR, kR, kN}}}};

// ---- merge layers ----

enum class Merge : uint8_t { sum, product, choice, difference, dot };
struct MergeRule {
  std::string_view layer_class;
  Merge rule;
  double gate_factor;
};
constexpr MergeRule kMerges[] = {
    {"Add", Merge::sum, 1},          {"Subtract", Merge::difference, 1},
    {"Multiply", Merge::product, 1}, {"Dot", Merge::dot, 1},
    {"Maximum", Merge::choice, 0.2}, {"Minimum", Merge::choice, 0.2},
    {"Average", Merge::choice, 1},   {"Concatenate", Merge::choice, 0}};

/// One type for numbers of all of these: `growth` bits more than the widest.
QtoolsType common_type(std::span<const QtoolsType> inputs, int64_t growth) {
  int64_t float_bits = 0, bits = -1, int_bits = -1;
  bool is_signed = false;
  for (const QtoolsType& t : inputs) {
    if (t.is_float()) float_bits = std::max(float_bits, t.bits);
    const QtoolsType f = to_fixed(t);
    bits = std::max(bits, f.bits);
    int_bits = std::max(int_bits, f.int_bits);
    is_signed = is_signed || t.is_signed;
  }
  if (float_bits > 0) return QtoolsType::floating(float_bits);
  return QtoolsType::fixed(bits + growth, int_bits + growth, is_signed);
}

bool all_alike(std::span<const QtoolsType> inputs) {
  return std::ranges::all_of(inputs, [&](const QtoolsType& t) {
    const QtoolsType& first = inputs.front();
    return t.name == first.name && t.bits == first.bits && t.int_bits == first.int_bits &&
           t.is_signed == first.is_signed;
  });
}

Operation multiply_all(std::span<const QtoolsType> inputs, const Context& context) {
  if (inputs.size() == 1) {
    context.refuse("UnboundLocalError",
                   "QTools has one edge for both inputs of a Multiply that squares its input; "
                   "taken as the square");
    return multiply(inputs[0], inputs[0]);
  }
  Operation product{.out = inputs[0]};
  for (const QtoolsType& t : inputs.subspan(1)) product = multiply(product.out, t);
  return product;
}

}  // namespace

std::string_view to_string(Implementation implementation) {
  return kImplementations[static_cast<size_t>(implementation)];
}

Operation multiply(const QtoolsType& w, const QtoolsType& x) {
  const auto [rule, result] = cell(kMultipliers, w, x);
  const bool is_signed = w.is_signed || x.is_signed;
  switch (rule) {
    case Multiplier::floating:
      return float_multiplier(widest_float(w, x));
    case Multiplier::fixed: {
      const int64_t int_bits = w.int_bits + x.int_bits;
      const int64_t bits = int_bits + w.fraction() + x.fraction() + (is_signed ? 1 : 0);
      return {Implementation::mul, QtoolsType::fixed(bits, int_bits, is_signed),
              Gates{1, std::sqrt(static_cast<double>(w.bits) * static_cast<double>(x.bits))}};
    }
    case Multiplier::shifter: {
      const QtoolsType& p = w.is_po2() ? w : x;
      const auto [low, high] = exponent_range(p);
      return shift(w.is_po2() ? x : w, p, low, high);
    }
    case Multiplier::adder:
      return exponent_adder(w, x, is_signed, has_no_limit(w, x) ? -1 : w.max_value * x.max_value);
    case Multiplier::exclusive:
      return {Implementation::xor_gate, shaped(result, 1, 1, w, x), Gates{0.3, 1}};
    case Multiplier::gate:
      return and_gate(result, w, x);
    case Multiplier::mux:
      break;
  }
  return multiplexer(result, w, x);
}

Operation add(const QtoolsType& first, const QtoolsType& second) {
  const Adder rule = cell(kAdders, first, second);
  if (rule == Adder::floating)  // the bits of both, though one may be fixed
    return {Implementation::add, QtoolsType::floating(std::max(first.bits, second.bits)), {}};
  const QtoolsType a = rule == Adder::converted ? to_fixed(first) : first;
  const QtoolsType b = rule == Adder::converted ? to_fixed(second) : second;
  const int64_t int_bits = std::max(a.int_bits, b.int_bits) + 1;
  const bool is_signed = a.is_signed || b.is_signed;
  const int64_t bits = int_bits + (is_signed ? 1 : 0) + std::max(a.fraction(), b.fraction());
  return {Implementation::add, QtoolsType::fixed(bits, int_bits, is_signed), {}};
}

Operation divide(const QtoolsType& n, const QtoolsType& d, const Context& context) {
  switch (cell(kDividers, n, d)) {
    case Divider::refused:
      context.refuse("UnacceptedQuantizerError",
                     join_text("a denominator of type ", d.name,
                               " is not accepted: it has no reciprocal; taken as float32"));
      [[fallthrough]];
    case Divider::float32:
      return float_multiplier(32);
    case Divider::floating:
      return float_multiplier(widest_float(n, d));
    case Divider::subtractor:
      return exponent_adder(n, d, true, has_no_limit(n, d) ? -1 : n.max_value / d.max_value);
    case Divider::shifter:
    case Divider::po2_shifter:
      break;
  }
  const auto [low, high] = exponent_range(d);  // dividing by 2^e shifts the other way
  Operation result = shift(n, d, high, low);
  if (cell(kDividers, n, d) == Divider::po2_shifter) {
    QtoolsType out = QtoolsType::po2(result.out.bits, true, -1, result.out.int_bits);
    out.is_signed = result.out.is_signed;
    result.out = out;
  }
  return result;
}

Operation accumulate(std::span<const int64_t> kernel_shape, const QtoolsType& product,
                     bool extra_term) {
  uint64_t terms = extra_term ? 1 : 0, kernel = 1;
  for (size_t axis = 0; axis + 1 < kernel_shape.size(); ++axis)
    kernel *= static_cast<uint64_t>(kernel_shape[axis]);
  terms += kernel;
  const auto growth = static_cast<int64_t>(terms <= 1 ? 0 : std::bit_width(terms - 1));
  if (product.is_float()) return {Implementation::add, QtoolsType::floating(product.bits), {}};
  const QtoolsType t = to_fixed(product);
  return {Implementation::add,
          QtoolsType::fixed(t.bits + growth, t.int_bits + growth, t.is_signed),
          {}};
}

Operation merge(std::string_view layer_class, std::span<const QtoolsType> inputs,
                const Context& context, int64_t dot_terms) {
  const auto* rule = std::ranges::find(kMerges, layer_class, &MergeRule::layer_class);
  qloom_assert(rule != std::end(kMerges) && !inputs.empty(), layer_class, " is no merge layer");
  QtoolsType out;
  switch (rule->rule) {
    case Merge::product:
      return multiply_all(inputs, context);
    case Merge::dot: {
      context.refuse("AttributeError",
                     "QTools has no rule for Dot; taken as products and their sum");
      const Operation product = multiply(inputs.front(), inputs.back());
      const int64_t shape[] = {dot_terms, 1};
      return {product.implementation, accumulate(shape, product.out, false).out, product.gates};
    }
    case Merge::difference:
      context.refuse("AttributeError",
                     "QTools has no rule for Subtract; taken as an Add that can be negative");
      out = common_type(inputs, 1);
      if (!out.is_float() && !out.is_signed) {
        out.is_signed = true;
        ++out.bits;
      }
      break;
    case Merge::sum:
      out = common_type(inputs, 1);
      break;
    case Merge::choice:
      out = all_alike(inputs) ? inputs.front() : common_type(inputs, 0);
      break;
  }
  return {Implementation::add, out, Gates{rule->gate_factor, static_cast<double>(out.bits)}};
}

Operation adjust_for_scale(Operation product, const LearnedScale& scale, const Context& context) {
  if (scale.has_no_axes)
    context.refuse("ValueError",
                   "QTools takes no scale from a tensor without dimensions; taken as an array of "
                   "one element");
  if (!scale.known) return product;
  // Truncated toward zero, as int() does.
  const auto up = static_cast<int64_t>(std::log2(scale.largest));
  const auto down = static_cast<int64_t>(std::log2(scale.smallest));
  product.out.bits += up - down;
  product.out.int_bits += up;
  return product;
}

}  // namespace qloom::qtools
