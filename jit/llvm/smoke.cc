// jit/llvm/smoke.cc: the smallest way through LLVM's ORC: a module, a function, its address.
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/Module.h>
#include <llvm/Support/TargetSelect.h>

#include <memory>
#include <utility>

namespace {

using namespace llvm;

Expected<std::unique_ptr<orc::LLJIT>> jit_add() {
  auto jit = orc::LLJITBuilder().create();
  if (!jit) return jit.takeError();
  auto context = std::make_unique<LLVMContext>();
  auto module = std::make_unique<Module>("smoke", *context);
  module->setDataLayout((*jit)->getDataLayout());
  Type* i32 = Type::getInt32Ty(*context);
  auto* function = Function::Create(FunctionType::get(i32, {i32, i32}, false),
                                    Function::ExternalLinkage, "add", *module);
  IRBuilder<> builder(BasicBlock::Create(*context, "entry", function));
  builder.CreateRet(builder.CreateAdd(function->getArg(0), function->getArg(1)));
  if (auto error = (*jit)->addIRModule({std::move(module), std::move(context)})) {
    return error;
  }
  return jit;
}

}  // namespace

/// Compiles `int add(int, int)` and calls it: *sum = a + b. Returns 0, or −1 when LLVM refuses.
extern "C" int qloom_jit_smoke(int a, int b, int* sum) {
  InitializeNativeTarget();
  InitializeNativeTargetAsmPrinter();
  auto jit = jit_add();
  if (!jit) {
    consumeError(jit.takeError());
    return -1;
  }
  auto address = (*jit)->lookup("add");
  if (!address) {
    consumeError(address.takeError());
    return -1;
  }
  *sum = address->toPtr<int(int, int)>()(a, b);
  return 0;
}
