#include "jit/llvm/load.h"

#include <llvm/ExecutionEngine/Orc/ExecutionUtils.h>
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/ExecutionEngine/Orc/ObjectLinkingLayer.h>
#include <llvm/Object/ELFObjectFile.h>

#include <atomic>
#include <map>

#include "jit/llvm/codegen.h"
#include "jit/llvm/errors.h"
#include "jit/llvm/inspect.h"

namespace qloom::jit {

/// One ORC session; every Code has a library of its own in it.
struct Loader::Session {
  std::unique_ptr<llvm::orc::LLJIT> jit;
  std::atomic<uint64_t> next = 0;
};

namespace {

/// What compilers make of loops that copy; all that code from Halide may call.
bool is_memory_function(const llvm::orc::SymbolStringPtr& name) {
  return *name == "memcpy" || *name == "memmove" || *name == "memset";
}

class OrcCode final : public Code {
 public:
  OrcCode(std::shared_ptr<Loader::Session> session, std::span<const std::vector<uint8_t>> objects,
          const std::string& name)
      : session_(std::move(session)) {
    const std::string what = "load '" + name + "'";
    llvm::orc::LLJIT& jit = *session_->jit;
    std::vector<std::unique_ptr<llvm::MemoryBuffer>> buffers;
    std::vector<std::string> names;
    for (const std::vector<uint8_t>& object : objects) {
      const llvm::StringRef bytes(reinterpret_cast<const char*>(object.data()), object.size());
      buffers.push_back(llvm::MemoryBuffer::getMemBufferCopy(bytes, name));
      check_object(buffers.back()->getMemBufferRef(), what);
      for (std::string& symbol : exported(*buffers.back(), what))
        names.push_back(std::move(symbol));
    }
    const std::string library = name + "#" + std::to_string(session_->next++);
    library_ = &take(jit.getExecutionSession().createJITDylib(library), what);
    try {
      library_->addGenerator(take(llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(
                                      jit.getDataLayout().getGlobalPrefix(), is_memory_function),
                                  what));
      for (auto& buffer : buffers) take(jit.addObjectFile(*library_, std::move(buffer)), what);
      // All addresses now: an error belongs here, and later nothing of LLVM is called.
      for (const std::string& symbol : names) {
        addresses_[symbol] = take(jit.lookup(*library_, symbol), what).toPtr<void*>();
      }
    } catch (...) {
      unload();
      throw;
    }
  }

  ~OrcCode() override { unload(); }

  void* symbol(std::string_view name) const override {
    const auto found = addresses_.find(name);
    return found == addresses_.end() ? nullptr : found->second;
  }

 private:
  static std::vector<std::string> exported(const llvm::MemoryBuffer& buffer,
                                           const std::string& what) {
    auto file = take(llvm::object::ObjectFile::createELFObjectFile(buffer.getMemBufferRef()), what);
    std::vector<std::string> names;
    for (const llvm::object::ELFSymbolRef symbol : file->symbols()) {
      const uint32_t flags = take(symbol.getFlags(), what);
      if (!(flags & llvm::object::SymbolRef::SF_Global)) continue;
      if (flags & llvm::object::SymbolRef::SF_Undefined) continue;
      names.push_back(take(symbol.getName(), what).str());
    }
    return names;
  }

  void unload() {
    if (llvm::Error error = session_->jit->getExecutionSession().removeJITDylib(*library_)) {
      llvm::consumeError(std::move(error));  // called by the destructor: nobody could handle it
    }
  }

  std::shared_ptr<Loader::Session> session_;
  llvm::orc::JITDylib* library_ = nullptr;
  std::map<std::string, void*, std::less<>> addresses_;
};

}  // namespace

Loader::Loader() : session_(std::make_shared<Session>()) {
  initialize_targets();
  llvm::orc::LLJITBuilder builder;
  builder.setObjectLinkingLayerCreator(
      [](llvm::orc::ExecutionSession& session,
         const llvm::Triple&) -> llvm::Expected<std::unique_ptr<llvm::orc::ObjectLayer>> {
        return std::make_unique<llvm::orc::ObjectLinkingLayer>(session);
      });
  // Objects are complete: what they would find elsewhere in this process is not theirs.
  builder.setLinkProcessSymbolsByDefault(false);
  builder.setPlatformSetUp(llvm::orc::setUpInactivePlatform);  // no initialisers, no thread locals
  session_->jit = take(builder.create(), "ORC session");
}

Loader::~Loader() = default;

std::shared_ptr<const Code> Loader::load(std::span<const std::vector<uint8_t>> objects,
                                         const std::string& name) {
  return std::make_shared<OrcCode>(session_, objects, name);
}

}  // namespace qloom::jit
