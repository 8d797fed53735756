// jit/llvm/load.h: an object into this process, by ORC.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "jit/code.h"

namespace qloom::jit {

class Loader {
 public:
  Loader();
  ~Loader();
  /// As Compiler::load. Thread-safe. The result keeps this loader alive.
  [[nodiscard]] std::shared_ptr<const Code> load(std::span<const uint8_t> elf,
                                                 const std::string& name);

  struct Session;

 private:
  std::shared_ptr<Session> session_;
};

}  // namespace qloom::jit
