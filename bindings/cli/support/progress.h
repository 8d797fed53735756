// bindings/cli/support/progress.h: says what is going on when it takes longer than a second.
#pragma once

#include <memory>
#include <string>

namespace qloom::cli {

/// While it lives, and once a second has passed, a line on a terminal's standard error shows the
/// text and the seconds. Nothing where standard error is no terminal.
class Progress {
 public:
  explicit Progress(std::string text);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace qloom::cli
