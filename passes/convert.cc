#include "passes/convert.h"

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

/// The step of each channel, or its inverse. Codes of at most 22 bits: a product that is rounded
/// once or twice is still nearest to the right integer.
std::vector<float> factors(const TensorType& type, bool inverse) {
  std::vector<float> out;
  const Tensor step = type.step();
  for (double s : step.f64()) out.push_back(static_cast<float>(inverse ? 1 / s : s));
  return out;
}

Tail conversion_tail(const TensorType& type, Storage from, Storage to, int64_t channels) {
  TailBuilder b(channels);
  int step = b.accumulator();
  if (from.kind == Storage::Kind::f32 && to.kind != Storage::Kind::f32)
    step = b.step(TailOp::to_int, b.step(TailOp::multiply, step, b.constant(factors(type, true))));
  else if (from.kind != Storage::Kind::f32 && to.kind == Storage::Kind::f32)
    step = b.step(TailOp::multiply, b.step(TailOp::to_f32, step), b.constant(factors(type, false)));
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
  auto query = std::make_shared<Query>();
  query->name = name;
  query->input = type;
  query->input_storage = from;
  const bool has_channels = !type.shape.empty() && type.shape.back().is_static();
  const int64_t channels = has_channels ? type.shape.back().extent() : 1;
  query->window.n = query->window.c = channels;
  query->window.h = query->window.out_h =
      elements_per_sample(type.shape) / std::max<int64_t>(channels, 1);
  const auto tail = std::make_shared<const Tail>(conversion_tail(type, from, to, channels));
  query->tail = tail.get();
  std::vector<Choice> choices;
  for (const kernels::KernelDef* kernel : kernels::all_kernels()) {
    if (kernel->emit == nullptr || kernel->experimental || !kernel->match(*query)) continue;
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
