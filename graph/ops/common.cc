#include "graph/ops/common.h"

#include <algorithm>
#include <cmath>

namespace qloom::ops {
namespace {

// Exponent of a power of two.
int exponent_of(double power) { return std::ilogb(power); }

bool shift_fits(int64_t code, int shift) {
  if (code == 0) return true;
  if (shift > 62) return false;
  const __int128 v = static_cast<__int128>(code) << shift;
  const __int128 limit = static_cast<__int128>(1) << 62;
  return v >= -limit && v <= limit;
}

}  // namespace

std::string label(const Node& node) {
  std::string out = join_text(node.op->name, " '", node.name, "'");
  if (node.origins.empty()) return out;
  const Origin& origin = node.origins.front();
  if (!origin.layer.empty()) return out + " of " + origin.to_string();
  return origin.file.empty() ? out : out + " (" + origin.to_string() + ")";
}

void fail(const InferContext& context, const std::string& text) {
  std::string message = label(context.node) + ": " + text;
  const auto& defs = context.node.op->operands;
  std::vector<std::string> names;
  size_t width = 0;
  for (size_t i = 0; i < context.operands.size(); ++i) {
    const bool variadic = i + 1 >= defs.size() && !defs.empty() && defs.back().variadic;
    std::string name = variadic          ? join_text(defs.back().name, i + 1 - defs.size())
                       : i < defs.size() ? std::string(defs[i].name)
                                         : join_text("operand ", i);
    width = std::max(width, name.size());
    names.push_back(std::move(name));
  }
  for (size_t i = 0; i < names.size(); ++i)
    message += "\n  " + names[i] + ":" + std::string(width - names[i].size() + 1, ' ') +
               context.operands[i].to_string();
  throw UserError(message);
}

int64_t check_axis(const InferContext& context, int64_t axis, int rank) {
  check(context, axis >= -rank && axis < rank, "axis ", axis, " is not an axis of ", rank,
        " dimensions");
  return front_axis(axis, rank);
}

Shape broadcast(const InferContext& context, const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()), Dim(1));
  for (size_t i = 0; i < out.size(); ++i) {
    const Dim da = i < a.size() ? a[a.size() - 1 - i] : Dim(1);
    const Dim db = i < b.size() ? b[b.size() - 1 - i] : Dim(1);
    check(context, da == db || da == Dim(1) || db == Dim(1), "the shapes ", to_string(a), " and ",
          to_string(b), " do not broadcast");
    out[out.size() - 1 - i] = da == Dim(1) ? db : da;
  }
  return out;
}

Extents broadcast_extents(const Extents& a, const Extents& b) {
  Extents out(std::max(a.size(), b.size()), 1);
  for (size_t i = 0; i < out.size(); ++i) {
    const int64_t ea = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t eb = i < b.size() ? b[b.size() - 1 - i] : 1;
    qloom_assert(ea == eb || ea == 1 || eb == 1, "extents ", ea, " and ", eb, " do not broadcast");
    out[out.size() - 1 - i] = ea == 1 ? eb : ea;
  }
  return out;
}

Tensor constant_f32(const Node& constant, const TensorType& type) {
  return to_f32({type, *constant.constant});
}

Numeric tightest_numeric(std::span<const float> values) {
  // Each finite float is odd · 2^e. The grid is the smallest e of all; codes then have to fit.
  int exponent = 0;
  bool any = false;
  for (const float v : values) {
    if (!std::isfinite(v)) return Numeric::float32();
    if (v == 0) continue;
    int e = 0;
    const double fraction = std::frexp(std::abs(static_cast<double>(v)), &e);
    const auto mantissa = static_cast<uint64_t>(std::ldexp(fraction, 24));
    const int zeros = __builtin_ctzll(mantissa);
    if (zeros < 24 - 17) return Numeric::float32();  // this value alone takes more than 16 bits
    e += zeros - 24;
    exponent = any ? std::min(exponent, e) : e;
    any = true;
  }
  if (!any) return Numeric::integers(0, 0, 0);
  double lo = INFINITY, hi = -INFINITY;
  for (const float v : values) {
    const double code = std::ldexp(static_cast<double>(v), -exponent);
    lo = std::min(lo, code);
    hi = std::max(hi, code);
  }
  if (lo < -32768 || hi > 65535) return Numeric::float32();
  const Numeric n =
      Numeric::integers(static_cast<int64_t>(lo), static_cast<int64_t>(hi), -exponent);
  return n.bits() <= 16 ? n : Numeric::float32();
}

std::optional<PowerGrid> power_grid(const TensorType& type) {
  if (!type.has_codes() || !type.scale.is_power_of_two()) return std::nullopt;
  const Numeric::Grid grid = *type.numeric.grid();
  const Tensor scale = type.scale.values();
  const auto [smallest, largest] = std::minmax_element(scale.f64().begin(), scale.f64().end());
  const int shift = exponent_of(*largest) - exponent_of(*smallest);
  if (!shift_fits(grid.lo, shift) || !shift_fits(grid.hi, shift)) return std::nullopt;
  // The interval holds what the coarsest channel reaches; finer channels lie inside only where the
  // interval contains zero, so their own ends are joined.
  const auto scaled = [&](int64_t code) {
    return std::pair(code, static_cast<int64_t>(static_cast<__int128>(code) << shift));
  };
  const auto [lo0, lo1] = scaled(grid.lo);
  const auto [hi0, hi1] = scaled(grid.hi);
  const int exponent = exponent_of(*smallest) - grid.fraction;
  if (std::abs(exponent) > 900) return std::nullopt;
  return PowerGrid{std::min(lo0, lo1), std::max(hi0, hi1), exponent};
}

std::optional<PowerGrid> on_exponent(const PowerGrid& grid, int exponent) {
  const int shift = grid.exponent - exponent;
  qloom_assert(shift >= 0, "a grid is re-expressed on a coarser one");
  if (!shift_fits(grid.lo, shift) || !shift_fits(grid.hi, shift)) return std::nullopt;
  const auto moved = [&](int64_t c) {
    return static_cast<int64_t>(static_cast<__int128>(c) << (c == 0 ? 0 : shift));
  };
  return PowerGrid{moved(grid.lo), moved(grid.hi), exponent};
}

std::vector<int64_t> codes_on(const RuntimeValue& value, int exponent) {
  const std::span<const int64_t> codes = value.data.i64();
  const Tensor step = value.type.step();
  std::vector<int> shifts;
  for (const double s : step.f64()) {
    shifts.push_back(exponent_of(s) - exponent);
    qloom_assert(shifts.back() >= 0, "codes are re-expressed on a coarser grid");
  }
  std::vector<int64_t> out(codes.begin(), codes.end());
  const auto move = [](int64_t code, int shift) {
    return code == 0 ? 0 : static_cast<int64_t>(static_cast<uint64_t>(code) << shift);
  };
  if (shifts.size() == 1) {
    for (int64_t& c : out) c = move(c, shifts[0]);
    return out;
  }
  const Extents& extents = value.data.extents();
  const std::vector<int64_t> none(extents.size(), 0);
  for_each_offset(extents, broadcast_strides(step.extents(), extents), none,
                  [&](int64_t i, int64_t s, int64_t) {
                    auto& c = out[static_cast<size_t>(i)];
                    c = move(c, shifts[static_cast<size_t>(s)]);
                  });
  return out;
}

TensorType join_types(Shape shape, std::span<const TensorType> operands,
                      std::optional<int64_t> axis) {
  const TensorType plain{shape, Numeric::float32(), {}};
  const bool coded = std::all_of(operands.begin(), operands.end(),
                                 [](const TensorType& t) { return t.has_codes(); });
  if (!coded) return plain;
  std::vector<int64_t> along;
  if (axis) along.push_back(*axis);
  if (std::all_of(operands.begin(), operands.end(), [&](const TensorType& t) {
        return t.scale == operands[0].scale && constant_along(t.scale, t.rank(), along);
      })) {
    Numeric numeric = operands[0].numeric;
    for (const TensorType& t : operands) numeric = join(numeric, t.numeric);
    if (numeric.grid()) return {std::move(shape), numeric, operands[0].scale};
    return plain;
  }
  std::optional<PowerGrid> all;
  for (const TensorType& t : operands) {
    const auto grid = power_grid(t);
    if (!grid) return plain;
    if (!all) {
      all = grid;
      continue;
    }
    const int exponent = std::min(all->exponent, grid->exponent);
    const auto a = on_exponent(*all, exponent), b = on_exponent(*grid, exponent);
    if (!a || !b) return plain;
    all = PowerGrid{std::min(a->lo, b->lo), std::max(a->hi, b->hi), exponent};
  }
  return {std::move(shape), all->numeric(), {}};
}

// Another fraction under the same scale (exact either way, since the set holds all members), or
// another grid altogether.
std::vector<int64_t> codes_as(const RuntimeValue& value, const TensorType& type) {
  if (value.type.scale != type.scale) return codes_on(value, -type.numeric.grid()->fraction);
  const int shift = type.numeric.grid()->fraction - value.type.numeric.grid()->fraction;
  std::vector<int64_t> out(value.data.i64().begin(), value.data.i64().end());
  for (int64_t& code : out)
    if (code != 0)
      code =
          shift < 0 ? code >> -shift : static_cast<int64_t>(static_cast<uint64_t>(code) << shift);
  return out;
}

bool holds(const TensorType& outer, const TensorType& inner) {
  if (outer.is_float32() && outer.scale.is_none()) return true;
  if (!outer.has_codes() || !inner.has_codes()) return false;
  if (outer.scale == inner.scale) return outer.numeric.contains(inner.numeric);
  // join_types gives a plain interval of one power-of-two grid there.
  const auto grid = power_grid(inner);
  return grid && outer.scale.is_none() && outer.numeric.contains(grid->numeric());
}

Scale compressed_scale(Extents extents, std::vector<double> values) {
  for (size_t axis = 0; axis < extents.size(); ++axis) {
    if (extents[axis] <= 1) continue;
    int64_t inner = 1;
    for (size_t i = axis + 1; i < extents.size(); ++i) inner *= extents[i];
    const int64_t n = extents[axis], outer = static_cast<int64_t>(values.size()) / (inner * n);
    const auto at = [&](int64_t o, int64_t i, int64_t j) {
      return values[static_cast<size_t>((o * n + i) * inner + j)];
    };
    bool same = true;
    for (int64_t o = 0; o < outer && same; ++o)
      for (int64_t i = 1; i < n && same; ++i)
        for (int64_t j = 0; j < inner && same; ++j) same = at(o, i, j) == at(o, 0, j);
    if (!same) continue;
    std::vector<double> reduced;
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t j = 0; j < inner; ++j) reduced.push_back(at(o, 0, j));
    values = std::move(reduced);
    extents[axis] = 1;
  }
  if (values.empty()) return {};
  return Scale::constant(Tensor(std::move(extents), std::move(values)));
}

std::vector<double> spread(const Tensor& scale, const Extents& extents) {
  std::vector<double> out(static_cast<size_t>(element_count(extents)));
  const std::vector<int64_t> none(extents.size(), 0);
  const auto from = scale.f64();
  for_each_offset(extents, broadcast_strides(scale.extents(), extents), none,
                  [&](int64_t i, int64_t s, int64_t) {
                    out[static_cast<size_t>(i)] = from[static_cast<size_t>(s)];
                  });
  return out;
}

bool constant_along(const Scale& scale, int rank, std::span<const int64_t> axes) {
  if (scale.is_dynamic()) return false;
  const Tensor values = scale.values();
  for (const int64_t axis : axes) {
    const int64_t at = axis - (rank - values.rank());
    if (at >= 0 && values.extents()[static_cast<size_t>(at)] != 1) return false;
  }
  return true;
}

bool is_positive(const Scale& scale) {
  const Tensor values = scale.values();
  return std::all_of(values.f64().begin(), values.f64().end(), [](double s) { return s > 0; });
}

bool wants_codes(const EvaluateContext& context, size_t index) {
  return context.options.evaluation == Evaluation::canonical && context.results[index].has_codes();
}

namespace {
RuntimeValue typed(const EvaluateContext& context, size_t index, Tensor data) {
  TensorType type = context.results[index];
  if (type.scale.is_dynamic()) type = {{}, Numeric::float32(), {}};
  type.shape.assign(data.extents().begin(), data.extents().end());
  return {std::move(type), std::move(data)};
}
}  // namespace

RuntimeValue result(const EvaluateContext& context, Extents extents, std::vector<float> values,
                    size_t index) {
  return typed(context, index, Tensor(std::move(extents), std::move(values)));
}

RuntimeValue result(const EvaluateContext& context, Extents extents, std::vector<int64_t> codes,
                    size_t index) {
  const Numeric::Grid grid = *context.results[index].numeric.grid();
  for (size_t i = 0; i < codes.size(); ++i)
    if (codes[i] < grid.lo || codes[i] > grid.hi) [[unlikely]]
      qloom_assert(false, label(context.node), ": code ", codes[i], " at element ", i,
                   " is outside of ", context.results[index]);
  return typed(context, index, Tensor(std::move(extents), std::move(codes)));
}

std::vector<RuntimeValue> single(RuntimeValue value) {
  std::vector<RuntimeValue> out;
  out.push_back(std::move(value));
  return out;
}

void check_finite(const Node& node, const Tensor& x) {
  const std::span<const float> values = x.f32();
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) [[likely]]
      continue;
    std::string index;
    auto rest = static_cast<int64_t>(i);
    int64_t sample = 0;
    for (size_t axis = x.extents().size(); axis-- > 0;) {
      const int64_t at = rest % x.extents()[axis];
      rest /= x.extents()[axis];
      if (axis == 0)
        sample = at;
      else
        index = std::to_string(at) + (index.empty() ? "" : ", ") + index;
    }
    throw UserError(join_text(label(node), ": x is ", std::isnan(values[i]) ? "NaN" : "infinite",
                              " at sample ", sample, ", index [", index,
                              "]; only finite values can be quantized"));
  }
}

}  // namespace qloom::ops
