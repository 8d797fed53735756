#include "passes/choose/convert.h"

#include <algorithm>

#include "graph/support/error.h"
#include "kernels/kernels_table.h"
#include "passes/tail/tail_builder.h"

namespace qloom::passes {
namespace {

using kernels::Query;
using kernels::Storage;
using kernels::Tail;
using kernels::TailOp;

/// How many neighbouring elements a conversion takes as channels: those of the last axis, or of all
/// axes from the first on along which the step varies.
int64_t channels_of(const TensorType& type) {
  const Shape& shape = type.shape;
  if (shape.empty() || !shape.back().is_static()) return 1;
  size_t first = shape.size() - 1;
  if (type.has_codes()) {
    const Tensor step = type.step();
    const Extents& extents = step.extents();
    for (size_t i = 0; i < extents.size(); ++i)
      if (extents[i] != 1) {
        first = std::min(first, shape.size() - extents.size() + i);
        break;
      }
  }
  int64_t n = 1;
  for (size_t i = first; i < shape.size(); ++i)
    if (shape[i].is_static()) n *= shape[i].extent();
  return n;
}

/// The step of each channel, or its inverse. Codes of at most 22 bits: a product that is rounded
/// once or twice is still nearest to the right integer.
std::vector<float> factors(const TensorType& type, bool inverse, int64_t channels) {
  const Tensor step = type.step();
  const auto value = [&](double s) { return static_cast<float>(inverse ? 1 / s : s); };
  if (step.size() == 1) return {value(step.f64()[0])};
  const Extents& extents = step.extents();
  const size_t rank = type.shape.size(), missing = rank - extents.size();
  std::vector<float> out(static_cast<size_t>(channels));
  for (size_t i = 0; i < out.size(); ++i) {
    auto rest = static_cast<int64_t>(i);
    int64_t at = 0, distance = 1;
    for (size_t axis = rank; axis-- > missing && type.shape[axis].is_static();) {
      const int64_t extent = type.shape[axis].extent(), steps = extents[axis - missing];
      if (steps != 1) at += rest % extent * distance;
      distance *= steps;
      rest /= extent;
    }
    out[i] = value(step.f64()[static_cast<size_t>(at)]);
  }
  return out;
}

Tail conversion_tail(const TensorType& type, Storage from, Storage to, int64_t channels) {
  TailBuilder b(channels);
  int step = b.accumulator();
  if (from.kind == Storage::Kind::f32 && to.kind != Storage::Kind::f32)
    step = b.step(TailOp::to_int,
                  b.step(TailOp::multiply, step, b.constant(factors(type, true, channels))));
  else if (from.kind != Storage::Kind::f32 && to.kind == Storage::Kind::f32)
    step = b.step(TailOp::multiply, b.step(TailOp::to_f32, step),
                  b.constant(factors(type, false, channels)));
  b.tail().outputs.push_back({.step = step, .type = type, .storage = to, .value_index = 0});
  b.tail().form = "conversion";
  return std::move(b.tail());
}

}  // namespace

std::vector<Choice> conversion_choices(const TensorType& type, Storage from, Storage to,
                                       const std::string& name, const CompileOptions& options) {
  // Codes of more bits than a float32 holds cannot be read back.
  if (from.kind == Storage::Kind::f32 && to.kind != Storage::Kind::f32 &&
      !kernels::fits(type, from))
    return {};
  // Packed bits go run by run of the last axis.
  const int64_t channels = channels_of(type);
  if ((from.kind == Storage::Kind::bits || to.kind == Storage::Kind::bits) &&
      channels != kernels::last_extent(type.shape))
    return {};
  auto query = std::make_shared<Query>();
  query->name = name;
  query->input = type;
  query->input_storage = from;
  query->window.n = query->window.c = channels;
  query->window.h = query->window.out_h =
      elements_per_sample(type.shape) / std::max<int64_t>(channels, 1);
  const auto tail = std::make_shared<const Tail>(conversion_tail(type, from, to, channels));
  query->tail = tail.get();
  std::vector<Choice> choices;
  for (const kernels::KernelDef* kernel : kernels::all_kernels()) {
    if (!kernel->is_for_regions() || kernel->experimental || !kernel->match(*query)) continue;
    for (const auto& variant : kernel->variants(*query, options.target))
      choices.push_back({.kernel = kernel,
                         .variant = variant,
                         .query = query,
                         .tail = tail,
                         .predicted_ns = kernels::predicted_ns(*kernel, *query, variant,
                                                               options.target, options.batch)});
  }
  std::stable_sort(choices.begin(), choices.end(), [](const Choice& a, const Choice& b) {
    return a.predicted_ns < b.predicted_ns;
  });
  return choices;
}

}  // namespace qloom::passes
