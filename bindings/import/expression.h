// bindings/import/expression.h: formulas of layers, written as formulas:
//   Expressions e(layer, "folded");
//   const Term inverse = e(gamma) / e.apply("sqrt", e(variance) + epsilon);
#pragma once

#include <string>
#include <string_view>

#include "bindings/import/layer.h"

namespace qloom::keras {

class Expressions;

/// A value in a formula.
struct Term {
  Expressions* owner;
  ValueId id;
};

/// Adds a node for each operation, one float32 rounding each. Where all operands are constants the
/// result is one too, so that formulas of weights alone leave nothing to compute.
class Expressions {
 public:
  /// Nodes are called "layer/part", "layer/part.1", ….
  Expressions(LayerBuilder& layer, std::string_view part);

  Term operator()(ValueId value) { return {this, value}; }
  Term constant(double value);
  Term combine(ops::Elementwise kind, Term a, Term b);
  Term maximum(Term a, Term b) { return combine(ops::Elementwise::maximum, a, b); }
  Term minimum(Term a, Term b) { return combine(ops::Elementwise::minimum, a, b); }
  /// A function by name: "sqrt", "log2", … (ops::Activation).
  Term apply(std::string_view function, Term x);
  /// 1 / sqrt(x), both rounded.
  Term reciprocal_root(Term x);
  /// 1 where x is above the limit, else 0.
  Term is_above(Term x, Term limit);
  /// `a` where the condition is 1, `b` where it is 0: condition·a + (1 - condition)·b, exact for
  /// finite values.
  Term choose(Term condition, Term a, Term b);
  Term reshape(Term x, const Extents& extents);
  Term permute(Term x, const std::vector<int64_t>& axes);
  Term reduce(Term x, ops::Reduce reduce);
  /// The constant's values; the term must be one.
  [[nodiscard]] Tensor values(Term x) const;
  [[nodiscard]] bool is_constant(Term x) const;

 private:
  Term folded(ValueId value);

  LayerBuilder& layer_;
  std::string name_;
};

inline Term operator+(Term a, Term b) { return a.owner->combine(ops::Elementwise::add, a, b); }
inline Term operator-(Term a, Term b) { return a.owner->combine(ops::Elementwise::subtract, a, b); }
inline Term operator*(Term a, Term b) { return a.owner->combine(ops::Elementwise::multiply, a, b); }
inline Term operator/(Term a, Term b) { return a.owner->combine(ops::Elementwise::divide, a, b); }
inline Term operator+(Term a, double b) { return a + a.owner->constant(b); }
inline Term operator-(Term a, double b) { return a - a.owner->constant(b); }
inline Term operator*(Term a, double b) { return a * a.owner->constant(b); }
inline Term operator+(double a, Term b) { return b.owner->constant(a) + b; }
inline Term operator-(double a, Term b) { return b.owner->constant(a) - b; }
inline Term operator*(double a, Term b) { return b.owner->constant(a) * b; }
inline Term operator/(double a, Term b) { return b.owner->constant(a) / b; }

}  // namespace qloom::keras
