#include "kernels/halide/pipelines/pipeline.h"

#include <algorithm>
#include <cmath>

#include "graph/support/error.h"

namespace qloom::kernels {
namespace {

using Halide::Expr;
using jit::PipelineBuffer;
using Element = PipelineBuffer::Element;

Halide::Type type_of(Element element) {
  switch (element) {
    case Element::u8:
      return Halide::UInt(8);
    case Element::i16:
      return Halide::Int(16);
    case Element::i32:
      return Halide::Int(32);
    case Element::f32:
      return Halide::Float(32);
  }
  return {};
}

bool is_power_of_two(double step) {
  int exponent = 0;
  return std::frexp(step, &exponent) == 0.5 && exponent > -100 && exponent < 100;
}

/// Bounds and strides as numbers: the loops are made for these sizes. The last dimension is the
/// sample.
void set_shape(Halide::OutputImageParam param, const std::vector<int64_t>& extents) {
  int stride = 1;
  for (size_t d = 0; d < extents.size(); ++d) {
    const auto extent = static_cast<int>(extents[extents.size() - 1 - d]);
    param.dim(static_cast<int>(d)).set_bounds(0, extent).set_stride(stride);
    stride *= extent;
  }
  param.dim(static_cast<int>(extents.size())).set_min(0).set_stride(stride);
}

/// Nearest code, ties to even. A power of two divides without rounding.
Expr code_of_value(const Expr& value, double step) {
  if (is_power_of_two(step))
    return Halide::cast<int>(Halide::round(value * static_cast<float>(1 / step)));
  return Halide::cast<int>(Halide::round(Halide::cast<double>(value) / Expr(step)));
}

/// The float32 nearest to code · step.
Expr value_of_code(const Expr& code, double step) {
  if (is_power_of_two(step)) return Halide::cast<float>(code) * static_cast<float>(step);
  return Halide::cast<float>(Halide::cast<double>(code) * Expr(step));
}

}  // namespace

PipelineBuild::PipelineBuild(const jit::PipelineSource& source, int vector_bytes)
    : source_(source), vector_bytes_(vector_bytes) {
  for (size_t i = 0; i < source.inputs.size(); ++i) {
    const PipelineBuffer& b = source.inputs[i];
    params_.emplace_back(type_of(b.element), static_cast<int>(b.extents.size()) + 1,
                         source.symbol + "_x" + std::to_string(i));
    set_shape(params_.back(), b.extents);
  }
  qloom_assert(!source.outputs.empty(), "pipeline ", source.symbol, " has no output");
  for (size_t a = 0; a < source.outputs[0].extents.size(); ++a)
    axes_.emplace_back("axis" + std::to_string(a));
}

Place PipelineBuild::place() const { return {axes_.begin(), axes_.end()}; }

std::vector<Expr> PipelineBuild::arguments_of(const Place& place) const {
  std::vector<Expr> arguments(place.rbegin(), place.rend());
  arguments.emplace_back(sample);
  return arguments;
}

Expr PipelineBuild::element(size_t input, const Place& place) const {
  return params_.at(input)(arguments_of(place));
}

Expr PipelineBuild::code(size_t i, const Place& place) const {
  const PipelineBuffer& b = input(i);
  const Expr e = element(i, place);
  if (b.element == Element::f32) return code_of_value(e, b.step);
  const Expr wide = Halide::cast<int>(e);
  return b.zero == 0 ? wide : wide - b.zero;
}

Expr PipelineBuild::value(size_t i, const Place& place) const {
  const PipelineBuffer& b = input(i);
  return b.element == Element::f32 ? element(i, place) : value_of_code(code(i, place), b.step);
}

/// What is stored in the next output for a code or value.
Expr PipelineBuild::stored_code(const Expr& code) const {
  const PipelineBuffer& b = output(outputs_.size());
  const Expr e = b.element == Element::f32 ? value_of_code(code, b.step)
                 : b.zero == 0             ? code
                                           : code + b.zero;
  return Halide::cast(type_of(b.element), e);
}

Expr PipelineBuild::stored_value(const Expr& value) const {
  const PipelineBuffer& b = output(outputs_.size());
  if (b.element != Element::f32) return stored_code(code_of_value(value, b.step));
  // The value of code 0 is +0, whatever the sign of the float.
  return b.step == 0 ? value : value + 0.0f;
}

Halide::Func PipelineBuild::next_output() const {
  const PipelineBuffer& b = output(outputs_.size());
  qloom_assert(b.extents == output().extents, "outputs of pipeline ", source_.symbol, " differ");
  return Halide::Func(source_.symbol + "_y" + std::to_string(outputs_.size()));
}

void PipelineBuild::store_element(Expr element) {
  const PipelineBuffer& b = output(outputs_.size());
  Halide::Func f = next_output();
  std::vector<Halide::Var> variables(axes_.rbegin(), axes_.rend());
  variables.push_back(sample);
  f(variables) = Halide::cast(type_of(b.element), std::move(element));
  set_shape(f.output_buffer(), b.extents);
  outputs_.push_back(std::move(f));
}

void PipelineBuild::store_code(const Expr& code) { store_element(stored_code(code)); }
void PipelineBuild::store_value(const Expr& value) { store_element(stored_value(value)); }

void PipelineBuild::store_parts(size_t axis, const std::vector<Part>& parts, bool codes) {
  while (outputs_.size() < source_.outputs.size()) {
    const PipelineBuffer& b = output(outputs_.size());
    Halide::Func f = next_output();
    std::vector<Halide::Var> variables(axes_.rbegin(), axes_.rend());
    variables.push_back(sample);
    f(variables) = Halide::undef(type_of(b.element));
    for (size_t i = 0; i < parts.size(); ++i) {
      const Halide::RDom r(0, parts[i].extent);
      Place from = place(), to = place();
      from[axis] = r.x;
      to[axis] = r.x + parts[i].begin;
      const Expr e = parts[i].element(from);
      f(arguments_of(to)) = codes ? stored_code(e) : stored_value(e);
      Halide::Stage stage = f.update(static_cast<int>(i));
      const bool is_last = axis + 1 == axes_.size();
      const int width = lanes(is_last ? parts[i].extent : output().extents.back());
      constexpr auto kTail = Halide::TailStrategy::GuardWithIf;  // a part ends where it ends
      if (!is_last) stage.reorder(axes_.back(), r.x);
      if (width > 1 && is_last) stage.vectorize(r.x, width, kTail);
      if (width > 1 && !is_last) stage.vectorize(axes_.back(), width, kTail);
      if (width == 1) stage.unscheduled();
    }
    set_shape(f.output_buffer(), b.extents);
    outputs_.push_back(std::move(f));
  }
}

void PipelineBuild::store_codes(const Expr& code) {
  while (outputs_.size() < source_.outputs.size()) store_code(code);
}

void PipelineBuild::store_values(const Expr& value) {
  while (outputs_.size() < source_.outputs.size()) store_value(value);
}

bool PipelineBuild::is_stored_alike() const {
  return std::all_of(source_.outputs.begin(), source_.outputs.end(), [&](const auto& b) {
    return b.element == input(0).element && b.zero == input(0).zero && b.step == input(0).step;
  });
}

int PipelineBuild::lanes(int64_t extent) const {
  int bytes = 4;
  for (const auto* list : {&source_.inputs, &source_.outputs})
    for (const PipelineBuffer& b : *list) bytes = std::min(bytes, type_of(b.element).bytes());
  int lanes = vector_bytes_ / bytes;
  while (lanes > extent) lanes /= 2;
  return std::max(lanes, 1);
}

Halide::Pipeline PipelineBuild::finish() {
  qloom_assert(outputs_.size() == source_.outputs.size(), "pipeline ", source_.pipeline, " stores ",
               outputs_.size(), " of ", source_.outputs.size(), " outputs");
  const int width = axes_.empty() ? 1 : lanes(output().extents.back());
  for (Halide::Func& f : outputs_) {
    if (width > 1) f.vectorize(axes_.back(), width);
    for (Halide::Func& inner : per_sample_)
      inner.store_in(Halide::MemoryType::Stack).compute_at(f, sample);
  }
  return Halide::Pipeline(outputs_);
}

std::vector<Halide::Argument> PipelineBuild::arguments() const {
  return {params_.begin(), params_.end()};
}

}  // namespace qloom::kernels
