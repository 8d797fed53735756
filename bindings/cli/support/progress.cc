#include "bindings/cli/support/progress.h"

#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>

namespace qloom::cli {

struct Progress::State {
  explicit State(std::string t) : text(std::move(t)), thread([this] { show(); }) {}
  ~State() {
    {
      const std::lock_guard lock(mutex);
      done = true;
    }
    wake.notify_one();
    thread.join();
    if (shown) std::fputs("\r\033[K", stderr);
  }

  void show() {
    const auto start = std::chrono::steady_clock::now();
    std::unique_lock lock(mutex);
    while (!wake.wait_for(lock, std::chrono::milliseconds(500), [this] { return done; })) {
      const auto passed =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      if (passed < 1) continue;
      shown = true;
      std::fprintf(stderr, "\r\033[K%s … %.0f s", text.c_str(), passed);
      std::fflush(stderr);
    }
  }

  std::string text;
  std::mutex mutex;
  std::condition_variable wake;
  bool done = false, shown = false;
  std::thread thread;  // last: it uses the others
};

Progress::Progress(std::string text) {
  if (isatty(STDERR_FILENO) == 1) state_ = std::make_unique<State>(std::move(text));
}
Progress::~Progress() = default;

}  // namespace qloom::cli
