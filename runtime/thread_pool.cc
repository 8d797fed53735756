#include "runtime/thread_pool.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "graph/support/error.h"

namespace qloom::runtime {
namespace {

// Batches follow each other closely: a thread that waits this long for the next one spares both
// sides the way through the kernel (about 50 µs), and costs a few µs where none comes.
constexpr int kSpins = 2000;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

template <class Done>
bool spin(const Done& done) {
  for (int i = 0; i < kSpins; ++i) {
    if (done()) return true;
    pause();
  }
  return done();
}

}  // namespace

struct ThreadPool::State {
  using Body = std::function<void(int64_t, int)>;

  explicit State(int threads) : threads(threads) {
    helpers.reserve(static_cast<size_t>(threads - 1));
    try {
      for (int worker = 1; worker < threads; ++worker)
        helpers.emplace_back([this, worker] { help(worker); });
    } catch (...) {  // the system has no more threads: end those that run
      finish();
      throw;
    }
  }

  ~State() { finish(); }

  void finish() {
    {
      const std::lock_guard lock(mutex);
      stop = true;
      jobs.fetch_add(1);
    }
    wake.notify_all();
    for (std::thread& helper : helpers) helper.join();
  }

  void work(int worker) {
    for (int64_t part; (part = next.fetch_add(1)) < parts;) (*body)(part, worker);
  }

  void help(int worker) {
    uint64_t seen = 0;
    for (;;) {
      if (!spin([&] { return jobs.load() != seen; })) {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return jobs.load() != seen; });
      }
      {
        // A helper that wakes after the job is done must not touch it: run has returned.
        const std::lock_guard lock(mutex);
        seen = jobs.load();
        if (stop) return;
        if (!open) continue;
        active.fetch_add(1);
      }
      work(worker);
      {
        const std::lock_guard lock(mutex);
        active.fetch_sub(1);
      }
      done.notify_one();
    }
  }

  void run(int64_t job_parts, const Body& job_body) {
    {
      const std::lock_guard lock(mutex);
      body = &job_body;
      parts = job_parts;
      next.store(0);
      open = true;
      jobs.fetch_add(1);
    }
    wake.notify_all();
    work(0);
    spin([&] { return active.load() == 0; });
    std::unique_lock lock(mutex);
    open = false;
    done.wait(lock, [&] { return active.load() == 0; });
    body = nullptr;
  }

  const int threads;
  std::mutex mutex;
  std::condition_variable wake, done;
  std::atomic<uint64_t> jobs{0};  // changes under the mutex; read outside while spinning
  std::atomic<int> active{0};     // helpers inside the job; likewise
  std::atomic<int64_t> next{0};
  bool open = false, stop = false;  // under the mutex
  const Body* body = nullptr;       // written before open, read by those who saw it
  int64_t parts = 0;
  std::vector<std::thread> helpers;
};

ThreadPool::ThreadPool(int threads) {
  qloom_check(threads >= 1 && threads <= 1024, "a pool of ", threads,
              " threads; possible are 1 to 1024");
  state_ = std::make_unique<State>(threads);
}

ThreadPool::~ThreadPool() = default;

int ThreadPool::threads() const { return state_->threads; }

void ThreadPool::run(int64_t parts,
                     const std::function<void(int64_t part, int worker)>& body) noexcept {
  if (state_->threads == 1 || parts <= 1) {
    for (int64_t part = 0; part < parts; ++part) body(part, 0);
    return;
  }
  state_->run(parts, body);
}

}  // namespace qloom::runtime
