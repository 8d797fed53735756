#include <algorithm>
#include <optional>

#include "graph/ops/attributes.h"
#include "graph/ops/geometry.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"
#include "passes/edit.h"
#include "passes/pass.h"

// The outputs of a transposed convolution fall into phases: those whose positions differ by whole
// strides. Each phase is an ordinary convolution with some of the taps. All of them together are
// one, with an output channel for each phase and channel:
//
//   y[q·s + r, k] = Σ_δ Σ_c x[q + δ, c] · K[δ, c, (r, k)]      K[δ, …, (r, k)] = kernel[p, c, k]
//   with p·d = r + before - s·δ where such a tap exists, else 0
//
// and the phases are then laid between each other: [N, Q, P, (r, t, k)] → [N, Q·s, P·t, k].
//
// Along each axis the outputs may be counted from up to s - 1 places earlier, which are cut off
// afterwards: so that the taps of all phases begin at the same input. Whatever multiplies less.
//
// The sums of float32 values go through the inputs in the same order as the op's own.

namespace qloom::passes {
namespace {

/// One axis: q counts `count` groups of `stride` outputs, of which the first `lead` and those from
/// lead + out on are cut off. Tap δ of the convolution meets input q + first + δ.
struct Axis {
  ops::TransposedAxis transposed;
  int64_t lead = 0, count = 1;
  int64_t first = 0, taps = 1;
  [[nodiscard]] int64_t pad_before() const { return std::max<int64_t>(-first, 0); }
  [[nodiscard]] int64_t pad_after() const {
    return std::max<int64_t>(count - 1 + first + taps - transposed.in, 0);
  }
  /// The tap of the kernel that phase r has at δ, or -1.
  [[nodiscard]] int64_t tap(int64_t r, int64_t delta) const {
    ops::TransposedAxis shifted = transposed;
    shifted.before -= lead;
    // Input 0 seen from the group of outputs that begins -(first + delta) groups further.
    return shifted.tap(first + delta, r);
  }
  [[nodiscard]] int64_t work() const { return count * taps; }
};

Axis axis_with(const ops::TransposedAxis& t, int64_t lead) {
  Axis a{.transposed = t, .lead = lead, .count = (t.out + lead + t.stride - 1) / t.stride};
  const int64_t before = t.before - lead, reach = (t.taps - 1) * t.dilation;
  // Inputs i with 0 <= r + before - s·i <= reach for some phase r; i is relative to q.
  const auto floor_div = [](int64_t n, int64_t d) { return n >= 0 ? n / d : -((-n + d - 1) / d); };
  const int64_t last = floor_div(t.stride - 1 + before, t.stride);
  a.first = -floor_div(reach - before, t.stride);
  // Within the input on both sides, so that zeros are the only thing that is added to it.
  a.first = std::min<int64_t>(a.first, 0);
  a.taps = std::max(last, t.in - a.count) - a.first + 1;
  return a;
}

Axis best_axis(const ops::TransposedAxis& t) {
  const Axis plain = axis_with(t, 0), aligned = axis_with(t, t.before % t.stride);
  return aligned.work() < plain.work() ? aligned : plain;
}

struct Parts {
  std::vector<Axis> axes;
  int64_t inputs = 1, outputs = 1, groups = 1;
  [[nodiscard]] int64_t phases() const {
    int64_t n = 1;
    for (const Axis& a : axes) n *= a.transposed.stride;
    return n;
  }
};

/// Calls with (element of the new kernel, element of the old one, or -1).
template <class Visit>
void for_each_tap(const Parts& p, Visit&& visit) {
  const bool flat = p.axes.size() == 1;
  const Axis none;
  const Axis &rows = flat ? none : p.axes[0], &columns = p.axes.back();
  const int64_t per_group = p.outputs / p.groups;
  size_t to = 0;
  for (int64_t i = 0; i < rows.taps; ++i)
    for (int64_t j = 0; j < columns.taps; ++j)
      for (int64_t c = 0; c < p.inputs; ++c)
        for (int64_t g = 0; g < p.groups; ++g)
          for (int64_t r = 0; r < rows.transposed.stride; ++r)
            for (int64_t t = 0; t < columns.transposed.stride; ++t) {
              const int64_t row = rows.tap(r, i), column = columns.tap(t, j);
              for (int64_t k = 0; k < per_group; ++k, ++to) {
                const int64_t from =
                    ((row * columns.transposed.taps + column) * p.inputs + c) * p.outputs +
                    g * per_group + k;
                visit(to, row < 0 || column < 0 ? -1 : from);
              }
            }
}

template <class T>
std::vector<T> moved(const Parts& p, std::span<const T> from, size_t count) {
  std::vector<T> out(count, T{0});
  for_each_tap(p, [&](size_t to, int64_t at) {
    if (at >= 0) out[to] = from[static_cast<size_t>(at)];
  });
  return out;
}

/// A scale along input or output channels, for the channels of all phases.
std::optional<Scale> scale_of(const Parts& p, const TensorType& kernel) {
  if (kernel.scale.is_per_tensor()) return kernel.scale;
  const Tensor values = kernel.scale.values();
  const Extents& e = values.extents();
  if (values.rank() != kernel.rank()) return std::nullopt;
  for (size_t i = 0; i < p.axes.size(); ++i)
    if (e[i] != 1) return std::nullopt;
  const int64_t inputs = e[e.size() - 2], outputs = e.back(), per_group = p.outputs / p.groups;
  if (outputs == 1) return kernel.scale;
  std::vector<double> out;
  for (int64_t c = 0; c < inputs; ++c)
    for (int64_t g = 0; g < p.groups; ++g)
      for (int64_t phase = 0; phase < p.phases(); ++phase)
        for (int64_t k = 0; k < per_group; ++k)
          out.push_back(values.f64()[static_cast<size_t>(c * outputs + g * per_group + k)]);
  Extents extents(e.size(), 1);
  extents[extents.size() - 2] = inputs;
  extents.back() = outputs * p.phases();
  return Scale::constant(Tensor(extents, std::move(out)));
}

std::optional<Parts> parts_of(const Graph& graph, const Node& node) {
  const auto conv = from_attributes<ops::ConvTranspose>(node.attributes);
  const Shape &x = graph.type(node.operands[0]).shape, &w = graph.type(node.operands[1]).shape;
  Parts p;
  for (size_t i = 0; i + 2 < x.size(); ++i) {
    // With both, phases would have different dilations (Keras refuses it too).
    if (conv.strides[i] > 1 && conv.dilations[i] > 1) return std::nullopt;
    std::optional<int64_t> more;
    if (!conv.output_padding.empty()) more = conv.output_padding[i];
    p.axes.push_back(best_axis(ops::transposed_axis(
        x[i + 1].extent(), w[i].extent(), conv.strides[i], conv.dilations[i], conv.padding, more)));
  }
  p.inputs = w[w.size() - 2].extent();
  p.outputs = w.back().extent();
  p.groups = conv.groups;
  return p;
}

/// The kernel of the convolution of all phases, as a constant.
std::optional<ValueId> phase_kernel(Graph& graph, const Parts& p, ValueId kernel) {
  const Node& constant = *graph.constant_of(kernel);
  const TensorType type = graph.type(kernel);
  const auto scale = scale_of(p, type);
  if (!scale) return std::nullopt;
  Extents extents;
  for (const Axis& a : p.axes) extents.push_back(a.taps);
  extents.push_back(p.inputs);
  extents.push_back(p.outputs * p.phases());
  const auto count = static_cast<size_t>(element_count(extents));
  bool has_gaps = false;
  for_each_tap(p, [&](size_t, int64_t at) { has_gaps = has_gaps || at < 0; });
  TensorType moved_type{Shape(extents.begin(), extents.end()), type.numeric, *scale};
  const AddLike add(graph, constant);
  const std::string name = constant.name + ".phases";
  if (type.has_codes()) {
    const Numeric::Grid grid = *type.numeric.grid();
    if (has_gaps && !type.numeric.contains(0))  // binary weights become ternary
      moved_type.numeric = Numeric::integers(std::min<int64_t>(grid.lo, 0),
                                             std::max<int64_t>(grid.hi, 0), grid.fraction);
    return add.constant(name, Tensor(extents, moved(p, constant.constant->i64(), count)),
                        std::move(moved_type));
  }
  return add.constant(name, Tensor(extents, moved(p, constant.constant->f32(), count)),
                      std::move(moved_type));
}

/// Adds nodes of one origin, one after the other.
class Chain {
 public:
  Chain(Graph& graph, const Node& node, ValueId x) : add_(graph, node), name_(node.name), x(x) {}
  void add(const OpDef& op, std::string_view part, Attributes attributes,
           std::vector<ValueId> more = {}) {
    more.insert(more.begin(), x);
    x = add_(op, join_text(name_, ".", part), std::move(more), std::move(attributes));
  }

 private:
  AddLike add_;
  std::string name_;

 public:
  ValueId x;
};

/// [N, Q…, (g, r…, k)] → [N, Q…·r…, (g, k)].
void lay_between(Chain& chain, const Parts& p) {
  const int64_t per_group = p.outputs / p.groups;
  const auto n = static_cast<int64_t>(p.axes.size());
  std::vector<int64_t> apart, together;
  for (const Axis& a : p.axes) apart.push_back(a.count);
  apart.push_back(p.groups);
  for (const Axis& a : p.axes) apart.push_back(a.transposed.stride);
  apart.push_back(per_group);
  std::vector<int64_t> order{0};
  for (int64_t i = 0; i < n; ++i) {
    order.push_back(1 + i);      // groups of outputs …
    order.push_back(n + 2 + i);  // … and the phases within
  }
  order.push_back(n + 1);
  order.push_back(2 * n + 2);
  for (const Axis& a : p.axes) together.push_back(a.count * a.transposed.stride);
  together.push_back(p.outputs);
  chain.add(ops::reshape, "apart", to_attributes(ops::Reshape{apart}));
  chain.add(ops::permute, "between", to_attributes(ops::Permute{order}));
  chain.add(ops::reshape, "together", to_attributes(ops::Reshape{together}));
}

int run(Graph& graph, const PassContext&) {
  int rewrites = 0;
  for (NodeId id : graph.order()) {
    if (graph.node(id).op != &ops::conv_transpose) continue;
    const Node& node = graph.node(id);
    if (graph.constant_of(node.operands[1]) == nullptr) continue;
    const auto p = parts_of(graph, node);
    if (!p) continue;
    const auto kernel = phase_kernel(graph, *p, node.operands[1]);
    if (!kernel) continue;
    const auto conv = from_attributes<ops::ConvTranspose>(node.attributes);
    const ValueId old = node.results[0];
    const std::string name = node.name;
    Chain chain(graph, node, node.operands[0]);

    ops::Pad pad;
    pad.before.assign(p->axes.size() + 2, 0);
    pad.after = pad.before;
    for (size_t i = 0; i < p->axes.size(); ++i) {
      pad.before[i + 1] = p->axes[i].pad_before();
      pad.after[i + 1] = p->axes[i].pad_after();
    }
    const auto is_zero = [](int64_t cells) { return cells == 0; };
    if (!std::ranges::all_of(pad.before, is_zero) || !std::ranges::all_of(pad.after, is_zero))
      chain.add(ops::pad, "padded", to_attributes(pad));
    ops::Conv ordinary;
    ordinary.strides.assign(p->axes.size(), 1);
    ordinary.dilations = ordinary.strides;
    ordinary.groups = p->groups;
    chain.add(ops::conv, "phases", to_attributes(ordinary), {*kernel});
    if (p->phases() > 1) lay_between(chain, *p);
    for (size_t i = 0; i < p->axes.size(); ++i) {
      const Axis& a = p->axes[i];
      if (a.lead == 0 && a.count * a.transposed.stride == a.transposed.out) continue;
      chain.add(
          ops::slice, "cropped",
          to_attributes(ops::Slice{
              .axis = static_cast<int64_t>(i + 1), .begin = a.lead, .count = a.transposed.out}));
    }
    qloom_assert(graph.type(chain.x).shape == graph.type(old).shape, "'", name,
                 "': its phases give ", graph.type(chain.x), ", expected ", graph.type(old));
    graph.replace_all_uses(old, chain.x);
    graph.node(id).name = graph.fresh_name(name + ".whole");
    graph.node(graph.producer(chain.x).id).name = name;
    graph.erase(id);
    ++rewrites;
  }
  return rewrites;
}

}  // namespace

extern constinit const PassDef split_transposed{
    .name = "split_transposed",
    .doc = R"(Makes transposed convolutions ordinary ones, with an output channel for each phase.
              conv_transpose(x, w) with strides [s, t]  →
                reshape(permute(reshape(conv(pad(x), w'))))   w' [R', S', C, s·t·K]
              Needs: constant kernels (fold_constants).  Gives: no conv_transpose with one.)",
    .run = run};

}  // namespace qloom::passes
