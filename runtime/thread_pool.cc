#include "runtime/thread_pool.h"

#include <atomic>
#include <thread>
#include <vector>

#include "graph/support/error.h"

namespace qloom::runtime {
namespace {

// Jobs follow each other closely: a thread that waits this long for the next one spares both sides
// the way through the kernel (about 50 µs), and costs some 20 µs where none comes.
constexpr int kSpins = 2000;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// One word says everything that threads must agree on: whether a job is open, how many helpers are
// inside, and which job it is. A helper enters by adding itself while the job is open, so the
// caller that closes it knows whom it waits for, and a helper that comes late touches nothing.
constexpr uint32_t kOpen = 1, kStop = 2, kHelper = 4, kJob = 1U << 13;
constexpr uint32_t kHelpers = kJob - kHelper, kJobs = ~(kJob - 1);

}  // namespace

struct ThreadPool::State {
  explicit State(int threads) : threads(threads) {
    helpers.reserve(static_cast<size_t>(threads - 1));
    try {
      for (int i = 1; i < threads; ++i) helpers.emplace_back([this] { help(); });
    } catch (...) {  // the system has no more threads: end those that run
      finish();
      throw;
    }
  }

  ~State() { finish(); }

  void finish() {
    gate.fetch_or(kStop);
    gate.notify_all();
    for (std::thread& helper : helpers) helper.join();
  }

  void work() {
    for (int64_t part; (part = next.fetch_add(1)) < parts;) body(context, part);
  }

  /// Waits until `done(gate)`; spins first.
  template <class Done>
  uint32_t wait(const Done& done) {
    uint32_t now = gate.load();
    for (int i = 0; i < kSpins && !done(now); ++i) {
      pause();
      now = gate.load();
    }
    while (!done(now)) {
      gate.wait(now);
      now = gate.load();
    }
    return now;
  }

  void help() {
    uint32_t seen = 0;  // number of a job that never is: the first one is kJob
    for (;;) {
      uint32_t now = wait([&](uint32_t g) {
        return (g & kStop) != 0 || ((g & kOpen) != 0 && (g & kJobs) != seen);
      });
      if ((now & kStop) != 0) return;
      if (!gate.compare_exchange_strong(now, now + kHelper)) continue;
      seen = now & kJobs;
      work();
      const uint32_t before = gate.fetch_sub(kHelper);
      if ((before & kOpen) == 0 && (before & kHelpers) == kHelper) gate.notify_all();
    }
  }

  void run(int64_t job_parts, Body job_body, void* job_context) {
    parts = job_parts;
    body = job_body;
    context = job_context;
    next.store(0);
    gate.fetch_add(kJob + kOpen);  // nobody is inside: numbers wrap, the other bits are 0
    gate.notify_all();
    work();
    gate.fetch_sub(kOpen);
    wait([](uint32_t g) { return (g & kHelpers) == 0; });
  }

  // One cache line: whoever gets it by entering has all he needs.
  alignas(64) std::atomic<uint32_t> gate{0};
  std::atomic<int64_t> next{0};
  // Written while nobody is inside, read by those who entered.
  Body body = nullptr;
  void* context = nullptr;
  int64_t parts = 0;
  alignas(64) const int threads;
  std::vector<std::thread> helpers;
};

ThreadPool::ThreadPool(int threads) {
  qloom_check(threads >= 1 && threads <= 1024, "a pool of ", threads,
              " threads; possible are 1 to 1024");
  state_ = std::make_unique<State>(threads);
}

ThreadPool::~ThreadPool() = default;

int ThreadPool::threads() const { return state_->threads; }

void ThreadPool::run(int64_t parts, Body body, void* context) noexcept {
  if (state_->threads == 1 || parts <= 1) {
    for (int64_t part = 0; part < parts; ++part) body(context, part);
    return;
  }
  state_->run(parts, body, context);
}

}  // namespace qloom::runtime
