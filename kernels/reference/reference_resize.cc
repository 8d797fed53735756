// kernels/reference/reference_resize.cc — spatial axes a whole number of times as long.
#include <algorithm>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "kernels/kernels_table.h"
#include "kernels/move/interpolation.h"
#include "kernels/reference/reference.h"

namespace qloom::kernels {
namespace {

std::vector<Between> places(int64_t in, int64_t scale, bool interpolates) {
  if (interpolates) return interpolation(in, scale);
  std::vector<Between> out;
  for (int64_t j = 0; j < in * scale; ++j) out.push_back({j / scale, j / scale, 0});
  return out;
}

struct Places {
  explicit Places(const ReferenceSpec& spec) {
    const auto resize = from_attributes<ops::Resize>(spec.attributes);
    const Extents x = qloom::bind(spec.operands.at(0).shape, 1);
    const bool interpolates = resize.interpolation == ops::Interpolation::bilinear;
    rows = x.size() == 4 ? places(x[1], resize.scales[0], interpolates) : std::vector<Between>(1);
    columns = places(x[x.size() - 2], resize.scales.back(), interpolates);
    width = x[x.size() - 2];
    channels = x.back();
  }
  std::vector<Between> rows, columns;
  int64_t width = 1, channels = 1;
};

template <class T>
class Repeat final : public reference::Call {
 public:
  explicit Repeat(const ReferenceSpec& spec) : Call(spec), x_(*this, 0), places_(spec) {}

 private:
  void sample(const reference::Frame& frame) const noexcept override {
    const T* x = x_.at(frame);
    T* y = result<T>(frame);
    T* to = y;
    for (const Between& row : places_.rows)
      for (const Between& column : places_.columns)
        to = std::copy_n(x + (row.first * places_.width + column.first) * places_.channels,
                         places_.channels, to);
    store(frame, y);
  }
  reference::Input<T> x_;
  Places places_;
};

class Interpolate final : public reference::Call {
 public:
  explicit Interpolate(const ReferenceSpec& spec) : Call(spec), x_(*this, 0), places_(spec) {}

 private:
  static float mix(float a, float b, float distance) noexcept { return a + (b - a) * distance; }
  void sample(const reference::Frame& frame) const noexcept override {
    const float* x = x_.at(frame);
    float* y = result<float>(frame);
    float* to = y;
    const auto pixel = [&](int64_t row, int64_t column) {
      return x + (row * places_.width + column) * places_.channels;
    };
    for (const Between& row : places_.rows)
      for (const Between& column : places_.columns) {
        const float *a = pixel(row.first, column.first), *b = pixel(row.first, column.second),
                    *c = pixel(row.second, column.first), *d = pixel(row.second, column.second);
        for (int64_t k = 0; k < places_.channels; ++k)
          *to++ =
              mix(mix(a[k], b[k], column.distance), mix(c[k], d[k], column.distance), row.distance);
      }
    store(frame, y);
  }
  reference::Input<float> x_;
  Places places_;
};

std::unique_ptr<ReferenceCall> prepare(const ReferenceSpec& spec) {
  if (from_attributes<ops::Resize>(spec.attributes).interpolation == ops::Interpolation::bilinear)
    return std::make_unique<Interpolate>(spec);
  return reference::codes_or_values<Repeat<int64_t>, Repeat<float>>(spec);
}

double cost(const Query& query) { return reference::elements_ns(query, 1.5); }

}  // namespace

extern constinit const KernelDef reference_resize{
    .name = "reference_resize",
    .doc = "Spatial axes a whole number of times as long, in plain loops.",
    .source = "own",
    .reference_op = &ops::resize,
    .reference = prepare,
    .reference_ns = cost};

}  // namespace qloom::kernels
