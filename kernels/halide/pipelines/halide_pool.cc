// kernels/halide/pipelines/halide_pool.cc: maximum or average over windows.
// Parameters: kind, sizes, strides, before (cells outside ahead of the first): rows, columns;
// exact: 1 where the sum is taken on codes.
#include "kernels/pipelines_table.h"

namespace qloom::kernels::pipelines {
namespace {

using Halide::Expr;

/// One axis of the windows. `at`: the input's coordinate of a tap, `inside`: whether it is one.
struct Axis {
  int in, size, stride, before, out;
  Expr index;  ///< of the window
  [[nodiscard]] bool is_inside() const { return before == 0 && (out - 1) * stride + size <= in; }
  [[nodiscard]] Expr raw(const Expr& tap) const { return index * stride - before + tap; }
  [[nodiscard]] Expr at(const Expr& tap) const {
    return is_inside() ? raw(tap) : Halide::clamp(raw(tap), 0, in - 1);
  }
  [[nodiscard]] Expr inside(const Expr& tap) const {
    return is_inside() ? Halide::Internal::const_true() : raw(tap) >= 0 && raw(tap) < in;
  }
  [[nodiscard]] Expr cells() const {
    if (is_inside()) return size;
    return Halide::min(index * stride - before + size, in) -
           Halide::max(index * stride - before, 0);
  }
};

struct Windows {
  explicit Windows(const PipelineBuild& b) : build(b), place(b.place()) {
    const auto sizes = b.parameters()["sizes"].as_integers(),
               strides = b.parameters()["strides"].as_integers(),
               before = b.parameters()["before"].as_integers();
    for (size_t a = 0; a < sizes.size(); ++a)
      axes.push_back({static_cast<int>(b.input(0).extents[a]), static_cast<int>(sizes[a]),
                      static_cast<int>(strides[a]), static_cast<int>(before[a]),
                      static_cast<int>(b.output().extents[a]), place[a]});
  }
  /// A tap's pixel.
  [[nodiscard]] Place pixel(const std::vector<Expr>& taps) const {
    Place p = place;
    for (size_t a = 0; a < axes.size(); ++a) p[a] = axes[a].at(taps[a]);
    return p;
  }
  [[nodiscard]] Expr inside(const std::vector<Expr>& taps) const {
    Expr all = Halide::Internal::const_true();
    for (size_t a = 0; a < axes.size(); ++a) all = all && axes[a].inside(taps[a]);
    return all;
  }
  [[nodiscard]] bool is_inside() const {
    return std::all_of(axes.begin(), axes.end(), [](const Axis& a) { return a.is_inside(); });
  }
  [[nodiscard]] int taps() const {
    int n = 1;
    for (const Axis& a : axes) n *= a.size;
    return n;
  }
  [[nodiscard]] Expr cells() const {
    Expr n = 1;
    for (const Axis& a : axes) n = n * a.cells();
    return n;
  }
  /// All taps in ascending order: with the first, then each next.
  template <class Term, class Combine>
  [[nodiscard]] Expr unrolled(const Term& term, const Combine& combine) const {
    Expr sum;
    const int columns = axes.back().size;
    for (int t = 0; t < taps(); ++t) {
      std::vector<Expr> tap;
      if (axes.size() == 2) tap.emplace_back(t / columns);
      tap.emplace_back(t % columns);
      const Expr next = term(tap);
      sum = sum.defined() ? combine(sum, next) : next;
    }
    return sum;
  }
  const PipelineBuild& build;
  Place place;
  std::vector<Axis> axes;  ///< rows if there are two, columns
};

/// Cells outside are clamped to the border, which every window that reaches over it holds: taking
/// one twice changes no maximum.
void maximum(PipelineBuild& b, const Windows& w) {
  const bool alike = b.is_stored_alike();
  const bool codes = b.input(0).step != 0;
  const auto term = [&](const std::vector<Expr>& tap) {
    if (alike) return b.element(0, w.pixel(tap));
    return codes ? b.code(0, w.pixel(tap)) : b.value(0, w.pixel(tap));
  };
  const auto larger = [&](const Expr& best, const Expr& next) {
    if (!next.type().is_float() || codes) return Halide::max(best, next);
    return Halide::select(next > best || next != next, next, best);  // NaN stays
  };
  const Expr y = w.unrolled(term, larger);
  if (!alike) return codes ? b.store_codes(y) : b.store_values(y);
  for (size_t i = 0; i < b.source().outputs.size(); ++i) b.store_element(y);
}

void average(PipelineBuild& b, const Windows& w) {
  const bool exact = b.parameters()["exact"].as_bool();
  const double step = b.input(0).step;
  const auto term = [&](const std::vector<Expr>& tap) {
    Expr x = exact ? b.code(0, w.pixel(tap)) : Halide::cast<double>(b.value(0, w.pixel(tap)));
    return w.is_inside() ? x : Halide::select(w.inside(tap), x, Halide::cast(x.type(), 0));
  };
  const auto plus = [](const Expr& sum, const Expr& next) { return sum + next; };
  Expr sum = w.unrolled(term, plus);
  // From +0 on, as the reference: a sum is never -0.
  sum = exact ? Halide::cast<double>(sum) * Expr(step) : Halide::cast<double>(0) + sum;
  b.store_values(Halide::cast<float>(sum) / Halide::cast<float>(w.cells()));
}

void build(PipelineBuild& b) {
  const Windows w(b);
  if (b.parameters()["kind"].as_string() == "max")
    maximum(b, w);
  else
    average(b, w);
}

}  // namespace

extern constinit const PipelineDef halide_pool{.name = "pool", .build = build};

}  // namespace qloom::kernels::pipelines
