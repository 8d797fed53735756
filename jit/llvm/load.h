// jit/llvm/load.h: objects into this process, by ORC.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "jit/code.h"

namespace qloom::jit {

class Loader {
 public:
  Loader();
  ~Loader();
  /// As Compiler::load. Thread-safe. The result keeps this loader alive.
  [[nodiscard]] std::shared_ptr<const Code> load(std::span<const std::vector<uint8_t>> objects,
                                                 const std::string& name);

  struct Session;

 private:
  std::shared_ptr<Session> session_;
};

}  // namespace qloom::jit
