#include "jit/compiler.h"

#include "graph/support/error.h"
#include "graph/support/plugin.h"

namespace qloom::jit {
namespace {

Compiler* open() {
  const Plugin plugin = Plugin::open("qloom_compiler");
  const int version = plugin.function<int()>("qloom_compiler_version")();
  qloom_check(version == kCodeVersion, library_folder(),
              "/libqloom_compiler.so makes code of version ", version, ", libqloom.so needs ",
              kCodeVersion, ": install both from one build");
  return plugin.function<Compiler*()>("qloom_compiler_create")();
}

}  // namespace

Compiler& compiler() {
  static Compiler* const instance = open();  // an exception leaves it to the next call
  return *instance;
}

}  // namespace qloom::jit
