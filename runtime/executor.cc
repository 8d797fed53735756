#include "runtime/executor.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <limits>
#include <new>
#include <optional>

#include "graph/support/error.h"
#include "graph/support/float_environment.h"
#include "runtime/finite.h"
#include "runtime/fork_cost.h"
#include "runtime/loop_steps.h"
#include "runtime/memory.h"

namespace qloom::runtime {
namespace {

using kernels::kSlackBytes;
// A thread of a pool that was just made needs up to 0.15 ms until it is there, on an idle machine;
// on a busy one a time slice.
constexpr int64_t kForkPatienceNs = 5'000'000, kForkRetryPatienceNs = 300'000;
constexpr double kSlowForkNs = 2000;  // threads that wait for each other take a tenth of that
constexpr int64_t kRarestForkRuns = 1 << 16;

int64_t l2_bytes() {
  const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return bytes > 0 ? bytes : 512 * 1024;
}

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct BadValue {
  int64_t sample = std::numeric_limits<int64_t>::max();
  size_t input = 0;
  int64_t index = 0;
  float value = 0;
};

/// Elements before the batch axis: 1 where it is the first.
int64_t outer_of(const Shape& shape) {
  int64_t outer = 1;
  for (const Dim& d : shape) {
    if (d.is_batch()) return std::max<int64_t>(outer, 1);
    outer *= d.extent();
  }
  return 1;
}

/// Elements from one sample to the next, and from one index before the batch axis to the next.
struct Pitches {
  int64_t sample = 0, outer = 0;
};
void copy_samples(float* to, Pitches to_pitch, const float* from, Pitches from_pitch, int64_t count,
                  int64_t outer, int64_t inner) {
  for (int64_t n = 0; n < count; ++n)
    for (int64_t o = 0; o < outer; ++o)
      std::copy_n(from + n * from_pitch.sample + o * from_pitch.outer, inner,
                  to + n * to_pitch.sample + o * to_pitch.outer);
}

/// What one thread works with.
struct alignas(64) Worker {
  Memory arena;
  std::atomic<bool> busy{false};
  std::vector<void*> pointers;  ///< of all calls, one after the other
  std::vector<void*> of_part;   ///< of a part of a sample of one call
  std::vector<double> best_ns;  ///< per call
  BadValue bad;
};

struct InputPlan {
  /// Positions in Worker::pointers that name this input's buffer.
  std::vector<size_t> uses;
  /// Read by reference calls only, which stay within the sample.
  bool exact_reads = true;
  bool in_loop = false;  ///< read by a loop, which expects it in the arena
};

/// What is kept from run to run: samples × elements.
struct KeptValues {
  std::vector<float> now, next;
};

}  // namespace

struct Executor::State {
  State(std::shared_ptr<const Model> m, const ExecutorOptions& o)
      : model(std::move(m)), program(model->program()), options(o) {
    qloom_check(o.threads >= 1 && o.threads <= 1024, "an executor with ", o.threads,
                " threads; possible are 1 to 1024");
    qloom_check(o.tile >= 0 && o.tile <= 1 << 20, "a tile of ", o.tile,
                " samples; possible are 1 to 2^20, 0 to have it chosen");
    plan_calls();
    tile = program.whole_batch ? 0 : o.tile > 0 ? o.tile : samples_per_tile(program, l2_bytes());
    if (program.whole_batch) options.threads = 1;
    workers = std::vector<Worker>(static_cast<size_t>(options.threads));
    for (Worker& worker : workers) {
      worker.pointers.resize(pointer_count);
      worker.of_part.resize(most_pointers);
      worker.best_ns.assign(program.calls.size(), std::numeric_limits<double>::infinity());
    }
    if (!make_arenas(std::max<int64_t>(tile, 1))) throw std::bad_alloc();
    measured.assign(program.calls.size(), 0);
    if (options.threads == 1) return;
    if (o.pool == nullptr) own_pool = std::make_unique<ThreadPool>(options.threads);
    pool = o.pool != nullptr ? o.pool : own_pool.get();
    const bool has_items =
        std::ranges::any_of(program.calls, [](const Call& call) { return call.work_items > 1; });
    measures_fork = options.fork_ns < 0 && has_items;
    fork_ns = measures_fork ? measure_fork_ns(*pool, options.threads, kForkPatienceNs)
                            : std::max(0.0, options.fork_ns);
  }

  void plan_calls() {
    in_ports = program.all_inputs();
    out_ports = program.all_outputs();
    all_inputs.resize(in_ports.size());
    all_outputs.resize(out_ports.size());
    kept.resize(program.kept.size());
    for (const Port& port : in_ports) in_outer.push_back(outer_of(port.shape));
    for (const Port& port : out_ports) out_outer.push_back(outer_of(port.shape));
    for (const Port& port : in_ports) input_elements.push_back(elements_per_sample(port.shape));
    input_plans.resize(in_ports.size());
    for (size_t i = 0; i < program.calls.size(); ++i) {
      first_pointer.push_back(pointer_count);
      most_pointers = std::max(most_pointers, program.calls[i].buffers.size());
      for (const int buffer : program.calls[i].buffers) {
        const bool shared = buffer >= 0 && !program.buffers[static_cast<size_t>(buffer)].is_scratch;
        pitches.push_back(shared ? program.buffers[static_cast<size_t>(buffer)].bytes_per_sample
                                 : 0);
        is_own.push_back(!shared);
        for (size_t k = 0; k < in_ports.size(); ++k)
          if (in_ports[k].buffer == buffer) {
            input_plans[k].uses.push_back(pointer_count);
            const bool exact = program.calls[i].reads_exactly && pointer_count == first_pointer[i];
            if (program.calls[i].reference < 0 && !exact) input_plans[k].exact_reads = false;
          }
        ++pointer_count;
      }
    }
    for (const Chain& chain : program.chains) {
      first_of_chain.push_back(pointer_count);
      for (const int buffer : chain.call.buffers) {
        for (size_t k = 0; k < in_ports.size(); ++k)
          if (in_ports[k].buffer == buffer) input_plans[k].uses.push_back(pointer_count);
        ++pointer_count;
      }
    }
    loops.emplace(program, first_pointer);
    for (const LoopSteps::Pitch& pitch : loops->pitches()) pitches[pitch.pointer] *= pitch.times;
    for (size_t k = 0; k < in_ports.size(); ++k)
      input_plans[k].in_loop = loops->touches(in_ports[k].buffer);
    for (const Port& port : out_ports) output_elements.push_back(elements_per_sample(port.shape));
  }

  /// Memory for `samples`; false when there is none (what was there is kept).
  bool make_arenas(int64_t samples) noexcept {
    const int64_t made = (samples + 7) / 8 * 8;  // buffers begin at 64-byte boundaries
    int64_t bytes = 0;
    if (__builtin_mul_overflow(program.arena_bytes_per_sample, made, &bytes) ||
        __builtin_add_overflow(bytes, program.arena_bytes_fixed + 2 * kSlackBytes, &bytes))
      return false;
    for (Worker& worker : workers) {
      Memory arena = allocate_memory(static_cast<size_t>(bytes));
      if (arena == nullptr) return false;
      worker.arena = std::move(arena);
      size_t at = 0;
      const auto place_all = [&](const Call& call) {
        for (const int b : call.buffers)
          worker.pointers[at++] =
              b < 0 ? const_cast<uint8_t*>(model->constants() + call.constants_offset)
                    : place(worker, b, made);
      };
      for (const Call& call : program.calls) place_all(call);
      for (const Chain& chain : program.chains) place_all(chain.call);
    }
    capacity = made;
    return true;
  }

  [[nodiscard]] uint8_t* place(const Worker& worker, int buffer, int64_t made) const {
    const Buffer& b = program.buffers[static_cast<size_t>(buffer)];
    return worker.arena.get() + kSlackBytes + b.offset_fixed + b.offset_per_sample * made;
  }

  [[nodiscard]] LoopMemory memory_of(Worker& worker) const {
    return {worker.arena.get() + kSlackBytes, capacity, model->constants(), worker.pointers.data()};
  }

  /// Finds the first value of the tile that is not finite, by sample, then input.
  bool check_finite(int64_t first, int64_t count, Worker& worker) const {
    BadValue bad;
    for (size_t i = 0; i < in_ports.size(); ++i) {
      if (!in_ports[i].check_finite) continue;
      const int64_t inner = input_elements[i] / in_outer[i], n = count * inner;
      for (int64_t o = 0; o < in_outer[i]; ++o) {
        const float* x = inputs[i].data() + (o * samples + first) * inner;
        const int64_t at = first_not_finite(x, n);
        if (at < n && first + at / inner < bad.sample)
          bad = {first + at / inner, i, o * inner + at % inner, x[at]};
      }
    }
    if (bad.sample < worker.bad.sample) worker.bad = bad;
    return bad.sample == BadValue().sample;
  }

  /// Kernels read up to kSlackBytes around a buffer: where the caller's memory goes on so far on
  /// both sides, or nobody reads so, his own memory is the buffer.
  void bind_input(size_t i, int64_t first, int64_t count, Worker& worker) const {
    const InputPlan& plan = input_plans[i];
    const int64_t elements = input_elements[i];
    const float* x = inputs[i].data() + first * elements;
    const int64_t slack = kSlackBytes / static_cast<int64_t>(sizeof(float));
    const bool inside = first * elements >= slack && (samples - first - count) * elements >= slack;
    uint8_t* const own = place(worker, in_ports[i].buffer, capacity);
    const bool is_output = std::any_of(out_ports.begin(), out_ports.end(), [&](const Port& port) {
      return port.buffer == in_ports[i].buffer;
    });
    const bool direct =
        (plan.exact_reads || inside) && !is_output && !plan.in_loop && in_outer[i] == 1;
    if (in_outer[i] > 1)
      copy_samples(reinterpret_cast<float*>(own), {elements, elements / in_outer[i]},
                   inputs[i].data() + first * (elements / in_outer[i]),
                   {elements / in_outer[i], samples * (elements / in_outer[i])}, count, in_outer[i],
                   elements / in_outer[i]);
    else if (!direct && count * elements > 0)
      std::memcpy(own, x, static_cast<size_t>(count * elements) * sizeof(float));
    void* const pointer = direct ? const_cast<float*>(x) : static_cast<void*>(own);
    for (const size_t use : plan.uses) worker.pointers[use] = pointer;
  }

  /// A tile, on whichever worker is free: there are as many as bodies at the same time, and where a
  /// pool runs more of them, these wait for those.
  void run_tile(int64_t part) noexcept {
    for (size_t i = static_cast<size_t>(part);; ++i) {
      Worker& worker = workers[i % workers.size()];
      if (worker.busy.exchange(true, std::memory_order_acquire)) continue;
      run_tile(part, worker);
      worker.busy.store(false, std::memory_order_release);
      return;
    }
  }

  void run_tile(int64_t part, Worker& worker) noexcept {
    const int64_t first = part * step, count = std::min(step, samples - first);
    if (first_bad.load(std::memory_order_relaxed) < part) return;  // a lower tile is refused
    const FloatEnvironment environment;
    if (!check_finite(first, count, worker)) {
      int64_t lowest = first_bad.load();
      while (part < lowest && !first_bad.compare_exchange_weak(lowest, part)) {
      }
      return;
    }
    for (size_t i = 0; i < input_plans.size(); ++i) bind_input(i, first, count, worker);
    const auto run_call = [&](size_t i) {
      timed(i, first, count, worker, [&] {
        const Model::Bound& call = model->bound()[i];
        void* const* pointers = worker.pointers.data() + first_pointer[i];
        if (call.function != nullptr)
          call.function(pointers, count, 0, program.calls[i].work_items);
        else
          call.reference->run(pointers, count);
      });
    };
    const bool chains = options.chains && !options.profile && options.trace == nullptr;
    loops->run_calls(memory_of(worker), count, run_call, [&](size_t chain) {
      if (chains)
        model->chains()[chain](worker.pointers.data() + first_of_chain[chain], count, 0, 1);
      return chains;
    });
    copy_outputs(first, count, worker);
  }

  /// Calls f, and says how long it took to those who asked.
  template <class F>
  void timed(size_t call, int64_t first, int64_t count, Worker& worker, const F& f) noexcept {
    if (!options.profile && options.trace == nullptr) return f();
    const int64_t start = now_ns();
    f();
    const int64_t end = now_ns();
    worker.best_ns[call] = std::min(worker.best_ns[call],
                                    static_cast<double>(end - start) / static_cast<double>(count));
    if (options.trace != nullptr)
      options.trace->add({static_cast<int32_t>(call),
                          static_cast<int32_t>(&worker - workers.data()), first, count, start,
                          end});
  }

  void copy_outputs(int64_t first, int64_t count, const Worker& worker) const noexcept {
    for (size_t i = 0; i < out_ports.size(); ++i) {
      const int64_t n = count * output_elements[i], inner = output_elements[i] / out_outer[i];
      if (out_outer[i] > 1)
        copy_samples(outputs[i].data() + first * inner, {inner, samples * inner},
                     reinterpret_cast<const float*>(place(worker, out_ports[i].buffer, capacity)),
                     {output_elements[i], inner}, count, out_outer[i], inner);
      else if (n > 0)
        std::memcpy(outputs[i].data() + first * output_elements[i],
                    place(worker, out_ports[i].buffer, capacity),
                    static_cast<size_t>(n) * sizeof(float));
    }
  }

  // --- threads share each call ------------------------------------------------------------------

  /// Where the other threads had no time while the fork was measured, looks again, ever more
  /// seldom: in a batch that could be shared.
  void measure_fork_again() noexcept {
    if (!measures_fork || fork_ns < kSlowForkNs || ++runs_since_fork < runs_until_fork) return;
    runs_since_fork = 0;
    runs_until_fork = std::min(kRarestForkRuns, 2 * runs_until_fork);
    fork_ns = std::min(fork_ns, measure_fork_ns(*pool, options.threads, kForkRetryPatienceNs));
  }

  /// Parts into which a call on `n` samples is cut; 1: they would not pay for being handed out.
  [[nodiscard]] int64_t parts_of(size_t call, int64_t n) const {
    const Call& c = program.calls[call];
    if (c.work_items <= 1) return 1;
    const int64_t parts = std::min<int64_t>(options.threads, n * c.work_items);
    const double gain = c.predicted_ns / static_cast<double>(loops->repeats(call)) *
                        static_cast<double>(n) *
                        (1 - 1 / static_cast<double>(std::max<int64_t>(parts, 1)));
    return gain > fork_ns ? parts : 1;
  }

  /// Calls to be shared, where that is predicted to be faster for `n` samples than tiles of
  /// `tile_step`; else 0.
  [[nodiscard]] int64_t calls_to_share(int64_t n, int64_t tile_step) const {
    if (options.threads == 1 || n < 1 || n > capacity || program.whole_batch) return 0;
    double all = 0, together = 0;
    int64_t shared = 0;
    for (size_t i = 0; i < program.calls.size(); ++i) {
      const double ns = program.calls[i].predicted_ns * static_cast<double>(n);
      const int64_t parts = parts_of(i, n);
      all += ns;
      together += ns / static_cast<double>(parts) +
                  (parts > 1 ? fork_ns * static_cast<double>(loops->repeats(i)) : 0);
      shared += parts > 1 ? 1 : 0;
    }
    const int64_t tiles = (n + tile_step - 1) / tile_step;
    const int64_t rounds = (tiles + options.threads - 1) / options.threads;
    return together * static_cast<double>(n) < all * static_cast<double>(tile_step * rounds)
               ? shared
               : 0;
  }

  /// The batch in one arena; calls that are worth it run in parts.
  void run_shared() noexcept {
    const FloatEnvironment environment;
    Worker& main = workers[0];
    if (!check_finite(0, samples, main)) return;
    for (size_t i = 0; i < input_plans.size(); ++i) bind_input(i, 0, samples, main);
    const auto run_call = [&](size_t i) {
      timed(i, 0, samples, main, [&] {
        const Model::Bound& call = model->bound()[i];
        void* const* pointers = main.pointers.data() + first_pointer[i];
        const int64_t parts = parts_of(i, samples);
        if (parts > 1)
          pool->for_parts(parts, [&](int64_t part) { run_part(i, part, parts); });
        else if (call.function != nullptr)
          call.function(pointers, samples, 0, program.calls[i].work_items);
        else
          call.reference->run(pointers, samples);
      });
    };
    loops->run_calls(memory_of(main), samples, run_call, [](size_t) { return false; });
    copy_outputs(0, samples, main);
  }

  /// Work items of all samples in order, of which this part has its share; with scratch of its own.
  void run_part(size_t index, int64_t part, int64_t parts) noexcept {
    const FloatEnvironment environment;
    Worker& worker = workers[static_cast<size_t>(part)];
    const Call& call = program.calls[index];
    const int64_t items = call.work_items, all = samples * items, end = (part + 1) * all / parts;
    for (int64_t at = part * all / parts; at < end;) {
      const int64_t sample = at / items, first = at % items;
      const bool whole = first == 0 && end - at >= items;
      const int64_t count = whole ? (end - at) / items : 1;
      const int64_t last = whole ? items : std::min(items, first + end - at);
      for (size_t k = 0; k < call.buffers.size(); ++k) {
        const size_t p = first_pointer[index] + k;
        worker.of_part[k] =
            is_own[p] ? worker.pointers[p]
                      : static_cast<uint8_t*>(workers[0].pointers[p]) + sample * pitches[p];
      }
      model->bound()[index].function(worker.of_part.data(), count, first, last);
      at += whole ? count * items : last - first;
    }
  }

  template <class Spans>
  Status check_sizes(const char* what, const std::vector<Port>& ports,
                     const std::vector<int64_t>& elements, const Spans& spans) const {
    if (spans.size() != ports.size())
      return Status::error(StatusCode::invalid_argument, "model '%s' has %zu %ss, given are %zu",
                           program.model.c_str(), ports.size(), what, spans.size());
    for (size_t i = 0; i < ports.size(); ++i) {
      int64_t wanted = 0;
      if (__builtin_mul_overflow(elements[i], samples, &wanted) ||
          static_cast<uint64_t>(wanted) != spans[i].size())
        return Status::error(StatusCode::invalid_argument,
                             "%s '%s' has %lld elements per sample: %lld samples need %lld, given "
                             "are %zu",
                             what, ports[i].name.c_str(), static_cast<long long>(elements[i]),
                             static_cast<long long>(samples), static_cast<long long>(wanted),
                             spans[i].size());
    }
    return {};
  }

  /// Samples per tile: equal tiles for each thread; where one is enough, of whole eights if
  /// possible.
  [[nodiscard]] int64_t step_of(int64_t n) const {
    if (program.whole_batch) return std::max<int64_t>(n, 1);
    const int64_t share = (n + options.threads - 1) / options.threads;
    if (options.threads > 1 && share > tile) {
      // Of so many tiles or up to twice as many, those whose last one is fullest.
      const int64_t fewest = (share + tile - 1) / tile;
      const auto size = [&](int64_t tiles) { return (share + tiles - 1) / tiles; };
      int64_t best = fewest;
      for (int64_t tiles = fewest; tiles <= 2 * fewest; ++tiles)
        if (tiles * size(tiles) < best * size(best)) best = tiles;
      return size(best);
    }
    return std::max<int64_t>(1, std::min(tile, share <= 8 ? share : (share + 7) / 8 * 8));
  }

  Status run() noexcept {
    if (samples < 0)
      return Status::error(StatusCode::invalid_argument, "%lld samples",
                           static_cast<long long>(samples));
    if (Status s = check_sizes("input", program.inputs, input_elements, inputs); !s.ok()) return s;
    if (Status s = check_sizes("output", program.outputs, output_elements, outputs); !s.ok())
      return s;
    if (samples == 0) return {};
    if (Status s = bind_kept(); !s.ok()) return s;
    if (program.whole_batch && samples > capacity && !make_arenas(samples))
      return Status::error(StatusCode::out_of_memory,
                           "model '%s' depends on the whole batch; no memory for %lld samples",
                           program.model.c_str(), static_cast<long long>(samples));
    first_bad.store(std::numeric_limits<int64_t>::max());
    for (Worker& worker : workers) worker.bad = BadValue();
    step = step_of(samples);
    const int64_t tiles = (samples + step - 1) / step;
    if (samples < options.threads) measure_fork_again();
    if (calls_to_share(samples, step) > 0) {
      run_shared();
    } else if (options.threads == 1 || tiles == 1) {
      for (int64_t part = 0; part < tiles; ++part) run_tile(part, workers[0]);
    } else {
      pool->for_parts(tiles, [this](int64_t part) { run_tile(part); });
    }
    if (options.profile)
      for (const Worker& worker : workers)
        for (size_t i = 0; i < measured.size(); ++i)
          if (const double ns = worker.best_ns[i] * static_cast<double>(loops->repeats(i));
              ns < (measured[i] > 0 ? measured[i] : ns + 1))
            measured[i] = ns;
    Status result = status();
    if (result.ok())
      for (KeptValues& k : kept) std::swap(k.now, k.next);
    return result;
  }

  /// What is kept goes in and out behind what is the caller's.
  Status bind_kept() noexcept {
    if (kept.empty()) return {};
    if (kept_samples == 0) {
      try {
        for (size_t k = 0; k < kept.size(); ++k) {
          const std::vector<float>& one = program.kept[k].initial;
          kept[k].next.resize(one.size() * static_cast<size_t>(samples));
          kept[k].now.resize(kept[k].next.size());
          for (auto to = kept[k].now.begin(); to != kept[k].now.end() && !one.empty();)
            to = std::copy(one.begin(), one.end(), to);
        }
      } catch (const std::exception&) {
        return Status::error(StatusCode::out_of_memory,
                             "model '%s' keeps state; no memory for that of %lld samples",
                             program.model.c_str(), static_cast<long long>(samples));
      }
      kept_samples = samples;
    }
    if (samples != kept_samples)
      return Status::error(StatusCode::invalid_argument,
                           "model '%s' keeps the state of %lld samples, given are %lld: reset its "
                           "states first",
                           program.model.c_str(), static_cast<long long>(kept_samples),
                           static_cast<long long>(samples));
    std::ranges::copy(inputs, all_inputs.begin());
    std::ranges::copy(outputs, all_outputs.begin());
    for (size_t k = 0; k < kept.size(); ++k) {
      all_inputs[program.inputs.size() + k] = kept[k].now;
      all_outputs[program.outputs.size() + k] = kept[k].next;
    }
    inputs = all_inputs;
    outputs = all_outputs;
    return {};
  }

  Status status() const noexcept {
    BadValue bad;
    for (const Worker& worker : workers)
      if (worker.bad.sample < bad.sample) bad = worker.bad;
    if (bad.sample == BadValue().sample) return {};
    return Status::error(StatusCode::not_finite,
                         "input '%s', sample %lld, index %lld: the value %g cannot be quantized",
                         in_ports[bad.input].name.c_str(), static_cast<long long>(bad.sample),
                         static_cast<long long>(bad.index), static_cast<double>(bad.value));
  }

  const std::shared_ptr<const Model> model;
  const Program& program;
  ExecutorOptions options;
  std::unique_ptr<ThreadPool> own_pool;
  ParallelFor* pool = nullptr;  ///< null with one thread
  double fork_ns = 0;
  bool measures_fork = false;
  int64_t runs_since_fork = 0, runs_until_fork = 16;
  std::vector<Port> in_ports, out_ports;     ///< the caller's, then what is kept
  std::vector<int64_t> in_outer, out_outer;  ///< elements before the batch axis
  std::vector<KeptValues> kept;
  int64_t kept_samples = 0;  ///< 0: nothing has been kept yet
  std::vector<std::span<const float>> all_inputs;
  std::vector<std::span<float>> all_outputs;
  std::vector<InputPlan> input_plans;
  std::optional<LoopSteps> loops;
  std::vector<int64_t> input_elements, output_elements;  ///< per sample
  std::vector<size_t> first_pointer;                     ///< per call, in Worker::pointers
  std::vector<size_t> first_of_chain;                    ///< per chain, likewise
  size_t pointer_count = 0, most_pointers = 0;
  std::vector<int64_t> pitches;  ///< per pointer: bytes from one sample to the next
  std::vector<bool> is_own;      ///< per pointer: scratch or constants, not shared by parts
  int64_t tile = 0;              ///< samples per tile
  int64_t capacity = 0;          ///< samples that the arenas are made for
  std::vector<Worker> workers;
  std::vector<double> measured;

  // The batch that runs.
  std::span<const std::span<const float>> inputs;
  std::span<const std::span<float>> outputs;
  int64_t samples = 0, step = 0;
  std::atomic<int64_t> first_bad{0};  ///< lowest tile with a value that is not finite
};

Executor::Executor(std::shared_ptr<const Model> model, ExecutorOptions options)
    : state_(std::make_unique<State>(std::move(model), options)) {}
Executor::~Executor() = default;
Executor::Executor(Executor&&) noexcept = default;

Status Executor::run(std::span<const std::span<const float>> inputs,
                     std::span<const std::span<float>> outputs, int64_t samples) noexcept {
  if (state_ == nullptr)
    return Status::error(StatusCode::invalid_argument, "this executor was moved from");
  state_->inputs = inputs;
  state_->outputs = outputs;
  state_->samples = samples;
  return state_->run();
}

std::vector<std::string> Executor::states() const {
  std::vector<std::string> names;
  for (const Kept& k : state_->program.kept) names.push_back(k.before.name);
  return names;
}

std::span<const float> Executor::state(std::string_view name) const {
  for (size_t k = 0; k < state_->kept.size() && state_->kept_samples > 0; ++k)
    if (state_->program.kept[k].before.name == name) return state_->kept[k].now;
  return {};
}

void Executor::reset_states() noexcept { state_->kept_samples = 0; }

std::span<const double> Executor::measured_ns() const { return state_->measured; }
int64_t Executor::tile() const { return state_->tile; }
int64_t Executor::shared_calls(int64_t samples) const {
  return state_->calls_to_share(samples, state_->step_of(samples));
}
double Executor::fork_ns() const { return state_->fork_ns; }

}  // namespace qloom::runtime
