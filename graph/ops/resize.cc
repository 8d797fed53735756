// graph/ops/resize.cc — spatial axes a whole number of times as long: each element repeated, or
// values between neighbours.
#include <algorithm>
#include <cmath>

#include "graph/ops/attributes.h"
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {{.name = "x"}};
constexpr int64_t kMaxScale = int64_t{1} << 20;

std::vector<TensorType> infer(const InferContext& c) {
  const auto r = from_attributes<Resize>(c.node.attributes);
  const TensorType& x = c.operands[0];
  check(c, x.rank() == 3 || x.rank() == 4, "x has ", x.rank(),
        " axes, expected [N, H, W, C] or [N, T, C]");
  const auto spatial = static_cast<size_t>(x.rank() - 2);
  check(c, r.scales.size() == spatial, "scales has ", r.scales.size(), " entries, expected ",
        spatial);
  Shape shape = x.shape;
  std::vector<int64_t> axes;
  for (size_t i = 0; i < spatial; ++i) {
    check(c, r.scales[i] >= 1 && r.scales[i] <= kMaxScale, "a scale of ", r.scales[i],
          ", possible are 1 to ", kMaxScale);
    check(c, x.shape[i + 1].is_static() && x.shape[i + 1].extent() >= 1, "axis ", i + 1,
          " is the batch axis or empty");
    shape[i + 1] = Dim(x.shape[i + 1].extent() * r.scales[i]);
    axes.push_back(static_cast<int64_t>(i + 1));
  }
  const bool keeps = r.interpolation == Interpolation::nearest && !x.scale.is_dynamic() &&
                     constant_along(x.scale, x.rank(), axes);
  if (keeps) return {{std::move(shape), x.numeric, x.scale}};
  return {{std::move(shape), Numeric::float32(), {}}};
}

// x as [samples, rows, columns, channels].
struct Image {
  int64_t samples = 1, rows = 1, columns = 1, channels = 1;
  [[nodiscard]] size_t at(int64_t n, int64_t i, int64_t j) const {
    return static_cast<size_t>(((n * rows + i) * columns + j) * channels);
  }
};

template <class T>
std::vector<T> repeated(std::span<const T> x, const Image& from, int64_t rows, int64_t columns) {
  std::vector<T> y;
  for (int64_t n = 0; n < from.samples; ++n)
    for (int64_t i = 0; i < from.rows * rows; ++i)
      for (int64_t j = 0; j < from.columns * columns; ++j) {
        const auto first =
            x.begin() + static_cast<std::ptrdiff_t>(from.at(n, i / rows, j / columns));
        y.insert(y.end(), first, first + from.channels);
      }
  return y;
}

// The two elements around an output, and how far it lies from the first.
struct Between {
  int64_t first, second;
  float distance;
};
Between between(int64_t out, int64_t scale, int64_t in) {
  const float ratio = 1.0F / static_cast<float>(scale);
  const float at = (static_cast<float>(out) + 0.5F) * ratio - 0.5F;
  const float below = std::floor(at);
  return {std::max<int64_t>(static_cast<int64_t>(below), 0),
          std::min<int64_t>(static_cast<int64_t>(std::ceil(at)), in - 1), at - below};
}

std::vector<float> interpolated(std::span<const float> x, const Image& from, int64_t rows,
                                int64_t columns) {
  const auto mix = [](float a, float b, float distance) { return a + (b - a) * distance; };
  std::vector<float> y;
  for (int64_t n = 0; n < from.samples; ++n)
    for (int64_t i = 0; i < from.rows * rows; ++i) {
      const Between r = between(i, rows, from.rows);
      for (int64_t j = 0; j < from.columns * columns; ++j) {
        const Between c = between(j, columns, from.columns);
        for (int64_t k = 0; k < from.channels; ++k) {
          const auto value = [&](int64_t row, int64_t column) {
            return x[from.at(n, row, column) + static_cast<size_t>(k)];
          };
          const float above = mix(value(r.first, c.first), value(r.first, c.second), c.distance);
          const float below = mix(value(r.second, c.first), value(r.second, c.second), c.distance);
          y.push_back(mix(above, below, r.distance));
        }
      }
    }
  return y;
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const auto r = from_attributes<Resize>(c.node.attributes);
  const RuntimeValue& x = c.operands[0];
  Extents extents = x.data.extents();
  Image image{.samples = extents[0], .columns = extents[extents.size() - 2]};
  if (extents.size() == 4) image.rows = extents[1];
  image.channels = extents.back();
  const int64_t rows = extents.size() == 4 ? r.scales[0] : 1, columns = r.scales.back();
  for (size_t i = 0; i < r.scales.size(); ++i) extents[i + 1] *= r.scales[i];
  if (wants_codes(c))
    return single(result(c, extents, repeated(x.data.i64(), image, rows, columns)));
  const Tensor f = to_f32(x);
  return single(result(c, extents,
                       r.interpolation == Interpolation::nearest
                           ? repeated(f.f32(), image, rows, columns)
                           : interpolated(f.f32(), image, rows, columns)));
}

OpCounts count(const Node& node, std::span<const TensorType>, std::span<const TensorType> results) {
  const bool moves =
      from_attributes<Resize>(node.attributes).interpolation == Interpolation::nearest;
  return {.other = moves ? 0 : 6 * elements_per_sample(results[0].shape)};
}

}  // namespace

extern constinit const OpDef resize{
    .name = "resize",
    .doc = "Spatial axes a whole number of times as long, by repetition or bilinear interpolation.",
    .operands = kOperands,
    .attrs = attrs_of<Resize>,
    .infer = infer,
    .evaluate = evaluate,
    .count = count};

}  // namespace qloom::ops
