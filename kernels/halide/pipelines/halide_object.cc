// kernels/halide/pipelines/halide_object.cc: pipelines → one object, and the plug-in's entry.
//
// Halide's functions take a halide_buffer_t per buffer. Each gets a function around it with the
// signature of an emitted kernel, which fills those in on its stack; sizes being constants, they
// fold away but for the number of samples.
#include <cstring>
#include <mutex>

#include "graph/support/error.h"
#include "jit/code.h"
#include "jit/compiler.h"
#include "kernels/halide/pipelines/pipeline.h"
#include "kernels/pipelines_table.h"

namespace qloom::kernels {
namespace {

using Halide::Expr;
namespace ir = Halide::Internal;

/// What the target's code may use. No runtime, no checks: sizes are known when the model is
/// compiled. Floats are rounded as written.
Halide::Target halide_target(const jit::Target& target) {
  using Feature = Halide::Target;
  std::vector<Feature::Feature> features{Feature::NoRuntime, Feature::NoAsserts,
                                         Feature::NoBoundsQuery, Feature::StrictFloat};
  const bool is_x86 = target.triple.starts_with("x86_64");
  qloom_check(is_x86 || target.triple.starts_with("aarch64"), "Halide pipelines are not made for ",
              target.triple);
  if (is_x86 && target.lowering != jit::Lowering::portable)
    for (const Feature::Feature f : {Feature::SSE41, Feature::AVX, Feature::F16C, Feature::AVX2})
      features.push_back(f);
  return {Halide::Target::Linux, is_x86 ? Halide::Target::X86 : Halide::Target::ARM, 64, features};
}

/// halide_buffer_t of buffer `index` of the kernel.
Expr descriptor(const Halide::Type& type, const jit::PipelineBuffer& buffer, size_t index) {
  ir::BufferBuilder b;
  b.host = ir::Load::make(Halide::Handle(), "buffers", static_cast<int>(index), Halide::Buffer<>(),
                          Halide::Parameter(), ir::const_true(), ir::ModulusRemainder());
  b.type = type;
  b.dimensions = static_cast<int>(buffer.extents.size()) + 1;
  int stride = 1;
  for (size_t d = buffer.extents.size(); d-- > 0;) {
    b.mins.emplace_back(0);
    b.extents.emplace_back(static_cast<int>(buffer.extents[d]));
    b.strides.emplace_back(stride);
    stride *= static_cast<int>(buffer.extents[d]);
  }
  b.mins.emplace_back(0);
  b.extents.push_back(Halide::cast<int>(ir::Variable::make(Halide::Int(64), "count")));
  b.strides.emplace_back(stride);
  return b.build();
}

const PipelineDef& find(const std::string& name) {
  for (const PipelineDef* def : pipelines::all_pipelines())
    if (def->name == name) return *def;
  qloom_assert(false, "there is no Halide pipeline '", name, "'");
  std::abort();
}

void append(Halide::Module& module, const jit::PipelineSource& source, int vector_bytes) {
  PipelineBuild build(source, vector_bytes);
  find(source.pipeline).build(build);
  Halide::Pipeline pipeline = build.finish();
  const std::string inner = source.symbol + "_loops";
  const Halide::Module lowered = pipeline.compile_to_module(
      build.arguments(), inner, module.target(), Halide::LinkageType::Internal);
  for (const ir::LoweredFunc& f : lowered.functions()) module.append(f);
  module.set_any_strict_float(true);
  std::vector<Expr> descriptors;
  for (size_t i = 0; i < source.inputs.size(); ++i)
    descriptors.push_back(descriptor(build.params()[i].type(), source.inputs[i], i));
  for (size_t i = 0; i < source.outputs.size(); ++i)
    descriptors.push_back(
        descriptor(pipeline.outputs()[i].type(), source.outputs[i], source.inputs.size() + 1 + i));
  const Expr call = ir::Call::make(Halide::Int(32), inner, descriptors, ir::Call::Extern);
  const std::vector<ir::LoweredArgument> arguments{
      {"buffers", Halide::Argument::InputScalar, Halide::Handle(), 0, {}},
      {"count", Halide::Argument::InputScalar, Halide::Int(64), 0, {}},
      {"begin", Halide::Argument::InputScalar, Halide::Int(64), 0, {}},  // one work item: all
      {"end", Halide::Argument::InputScalar, Halide::Int(64), 0, {}}};
  module.append(ir::LoweredFunc(source.symbol, arguments, ir::Evaluate::make(call),
                                Halide::LinkageType::External, Halide::NameMangling::C));
}

class HalideCompiler final : public jit::PipelineCompiler {
 public:
  std::vector<uint8_t> compile(std::span<const jit::PipelineSource> sources,
                               const jit::Target& target) override {
    const std::lock_guard lock(mutex_);
    return halide_object(sources, target);
  }

 private:
  std::mutex mutex_;
};

}  // namespace

std::vector<uint8_t> halide_object(std::span<const jit::PipelineSource> sources,
                                   const jit::Target& target) {
  qloom_assert(!sources.empty(), "no pipelines to compile");
  std::string names;
  for (const auto& s : sources) names += (names.empty() ? "" : ", ") + s.symbol;
  try {
    Halide::Module module(sources.front().symbol, halide_target(target));
    for (const auto& source : sources)
      append(module, source, target.lowering == jit::Lowering::portable ? 16 : 32);
    const Halide::Buffer<uint8_t> object = module.compile_to_buffer();
    return {object.data(), object.data() + object.number_of_elements()};
  } catch (const Halide::Error& error) {
    qloom_assert(false, "Halide, compiling ", names, ": ", error.what());
    std::abort();
  }
}

}  // namespace qloom::kernels

extern "C" {

/// kCodeVersion that this plug-in was built with.
int qloom_halide_version() { return qloom::jit::kCodeVersion; }

/// The one compiler of the process; never freed.
qloom::jit::PipelineCompiler* qloom_halide_create() { return new qloom::kernels::HalideCompiler; }
}
