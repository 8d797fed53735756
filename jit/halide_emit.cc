#include "jit/halide_emit.h"

#include <unistd.h>

#include "graph/support/error.h"
#include "graph/support/plugin.h"
#include "jit/compiler.h"

namespace qloom::jit {
namespace {

PipelineCompiler* open() {
  const Plugin plugin = Plugin::open("qloom_halide");
  const int version = plugin.function<int()>("qloom_halide_version")();
  qloom_check(version == kCodeVersion, library_folder(),
              "/libqloom_halide.so makes code of version ", version, ", libqloom.so needs ",
              kCodeVersion, ": install both from one build");
  return plugin.function<PipelineCompiler*()>("qloom_halide_create")();
}

}  // namespace

std::string pipelines_missing() {
#ifdef QLOOM_WITHOUT_HALIDE
  return "built without Halide";
#else
  const std::string path = library_folder() + "/libqloom_halide.so";
  return access(path.c_str(), R_OK) == 0 ? "" : path + " is missing";
#endif
}

PipelineCompiler& pipeline_compiler() {
  if (const std::string missing = pipelines_missing(); !missing.empty())
    throw UserError("there are no Halide pipelines: " + missing);
  static PipelineCompiler* const instance = open();  // an exception leaves it to the next call
  return *instance;
}

}  // namespace qloom::jit
