// jit/llvm/compiler.cc: the plug-in's entry and the way of a kernel through it.
#include "jit/compiler.h"

#include <llvm/ADT/StringExtras.h>
#include <llvm/IR/DiagnosticInfo.h>
#include <llvm/IR/DiagnosticPrinter.h>
#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/StructuralHash.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Transforms/Utils/FunctionComparator.h>

#include <fstream>
#include <map>
#include <set>

#include "jit/llvm/codegen.h"
#include "jit/llvm/errors.h"
#include "jit/llvm/inspect.h"
#include "jit/llvm/link.h"
#include "jit/llvm/llvm_emit.h"
#include "jit/llvm/load.h"

namespace qloom::jit {
namespace {

std::string text_of(const llvm::Module& module) {
  std::string text;
  llvm::raw_string_ostream out(text);
  module.print(out, nullptr);
  return text;
}

void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  qloom_check(out.good(), "cannot write ", path);
}

/// LLVM's diagnostics of one module: without a handler, an error would end the process.
class Diagnostics {
 public:
  explicit Diagnostics(llvm::LLVMContext& context) {
    context.setDiagnosticHandlerCallBack(handle, this);
  }
  void check(const std::string& what) const { qloom_assert(errors_.empty(), what, ": ", errors_); }

 private:
  static void handle(const llvm::DiagnosticInfo* info, void* self) {
    if (info->getSeverity() != llvm::DS_Error) return;
    llvm::raw_string_ostream out(static_cast<Diagnostics*>(self)->errors_);
    llvm::DiagnosticPrinterRawOStream printer(out);
    info->print(printer);
    out << "; ";
  }
  std::string errors_;
};

std::string name_list(std::span<const FunctionSource> functions) {
  std::string list;
  for (const FunctionSource& f : functions)
    list += (list.empty() ? "kernel '" : ", '") + f.name + "'";
  return list;
}

/// Functions of one module. One that repeats an earlier one, instruction by instruction, becomes a
/// second name of it: layers of equal shape differ in constants, not in code.
class SharedFunctions {
 public:
  void add(llvm::Function& function) {
    std::vector<llvm::Function*>& alike = kept_[llvm::StructuralHash(function, true)];
    for (llvm::Function* earlier : alike) {
      if (llvm::FunctionComparator(earlier, &function, &globals_).compare() != 0) continue;
      const std::string name = function.getName().str();
      function.eraseFromParent();
      llvm::GlobalAlias::create(name, earlier);
      return;
    }
    alike.push_back(&function);
  }

 private:
  std::map<uint64_t, std::vector<llvm::Function*>> kept_;
  llvm::GlobalNumberState globals_;
};

class LlvmCompiler final : public Compiler {
 public:
  CompiledObject compile(std::span<const FunctionSource> functions, const Target& target,
                         const CompilerFlags& flags) override {
    qloom_assert(!functions.empty(), "compile: no functions");
    FatalErrorScope fatal(name_list(functions));
    auto machine = target_machine(target);
    llvm::LLVMContext context;
    const Diagnostics diagnostics(context);
    llvm::Module module(functions[0].name, context);
    module.setTargetTriple(target.triple);
    module.setDataLayout(machine->createDataLayout());
    SharedFunctions shared;
    std::set<std::string> callees;
    for (const FunctionSource& f : functions) shared.add(emit(f, module, target, flags, callees));
    const bool dump = !flags.dump_directory.empty();
    const std::string stem = flags.dump_directory + "/" + functions[0].name;
    if (dump) write_file(stem + ".emitted.ll", text_of(module));
    optimize(module, *machine);
    if (dump) write_file(stem + ".ll", text_of(module));
    const auto object = assemble(module, *machine);
    diagnostics.check(fatal.what());
    if (dump) write_file(stem + ".o", {object.data(), object.size()});
    const llvm::MemoryBufferRef bytes(llvm::StringRef(object.data(), object.size()),
                                      functions[0].name);
    ObjectReport report = inspect(bytes, *machine, flags.assembly || dump);
    for (const std::string& name : report.undefined) {
      qloom_assert(callees.contains(name), fatal.what(), ": the code calls '", name,
                   "', which no kernel may");
    }
    for (FunctionReport& f : report.functions) {
      if (dump) write_file(flags.dump_directory + "/" + f.name + ".s", f.assembly);
      if (!flags.assembly) f.assembly.clear();
    }
    return {{object.begin(), object.end()}, std::move(report.functions)};
  }

  std::vector<uint8_t> link(std::span<const std::vector<uint8_t>> objects) override {
    FatalErrorScope fatal("link");
    return link_objects(objects);
  }

  using Compiler::load;
  std::shared_ptr<const Code> load(std::span<const std::vector<uint8_t>> objects,
                                   const std::string& name) override {
    FatalErrorScope fatal("load '" + name + "'");
    return loader_.load(objects, name);
  }

 private:
  static llvm::Function& emit(const FunctionSource& source, llvm::Module& module,
                              const Target& target, const CompilerFlags& flags,
                              std::set<std::string>& callees) {
    const Target of_function = source.without_avx512 ? target.without_avx512() : target;
    LlvmEmitter emitter(module, source.name, of_function);
    source.emit(emitter);
    callees.insert(emitter.callees().begin(), emitter.callees().end());
    llvm::Function& function = emitter.finish();
    // Else the function has all features of the machine that the module is compiled for.
    if (source.without_avx512)
      function.addFnAttr("target-features", llvm::join(of_function.features, ","));
    std::string problem;
    llvm::raw_string_ostream out(problem);
    if (!llvm::verifyFunction(function, &out)) return function;
    if (!flags.dump_directory.empty()) {
      write_file(flags.dump_directory + "/" + source.name + ".invalid.ll", text_of(module));
    }
    fail_internal(std::source_location::current(),
                  join_text("kernel '", source.name, "': ", problem));
  }

  Loader loader_;
};

}  // namespace
}  // namespace qloom::jit

extern "C" {

/// kCodeVersion that this plug-in was built with.
int qloom_compiler_version() { return qloom::jit::kCodeVersion; }

/// The one compiler of the process; never freed, since code may outlive everything else.
qloom::jit::Compiler* qloom_compiler_create() { return new qloom::jit::LlvmCompiler; }
}
