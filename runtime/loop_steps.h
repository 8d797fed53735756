// runtime/loop_steps.h: what an executor does between the calls of a loop: steps of sequences are
// taken and collected, states change places.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/program.h"

namespace qloom::runtime {

/// An arena and the pointers of all calls into it.
struct LoopMemory {
  uint8_t* arena = nullptr;            ///< where buffers at offset 0 begin
  int64_t capacity = 0;                ///< samples that it is made for
  const uint8_t* constants = nullptr;  ///< Program::constants
  void** pointers = nullptr;           ///< of all calls, one after the other
};

class LoopSteps {
 public:
  /// `first_pointer`: of each call. The program must live as long.
  LoopSteps(const Program& program, const std::vector<size_t>& first_pointer);

  /// How often a call is made.
  [[nodiscard]] int64_t repeats(size_t call) const { return repeats_[call]; }
  /// Bytes from one sample to the next at these pointers are so many times those of the buffer.
  struct Pitch {
    size_t pointer = 0;
    int64_t times = 1;
  };
  [[nodiscard]] const std::vector<Pitch>& pitches() const { return pitches_; }
  /// Buffers that loops read or write themselves, outside of calls.
  [[nodiscard]] bool touches(int buffer) const;

  /// run(call) for every call of the program, in order, as often as its loop says, on `count`
  /// samples. Where run_chain(chain) says that it has done the calls of a chain, they are passed.
  template <class Run, class RunChain>
  void run_calls(const LoopMemory& memory, int64_t count, const Run& run,
                 const RunChain& run_chain) const {
    size_t call = 0, chain = 0, k = 0;
    while (true) {
      const bool at_loop =
          k < program_.loops.size() && static_cast<size_t>(program_.loops[k].first) == call;
      const bool at_chain = chain < program_.chains.size() &&
                            static_cast<size_t>(program_.chains[chain].first) == call;
      // A loop without calls stands in front of the chain that begins at the same call.
      const bool empty = at_loop && program_.loops[k].first == program_.loops[k].last;
      if (at_chain && !empty) {
        if (run_chain(chain)) {
          call = static_cast<size_t>(program_.chains[chain++].last);
          while (k < program_.loops.size() && static_cast<size_t>(program_.loops[k].last) <= call &&
                 static_cast<size_t>(program_.loops[k].first) < call)
            ++k;
          continue;
        }
        ++chain;
      }
      if (!at_loop) {
        if (call == program_.calls.size()) return;
        run(call++);
        continue;
      }
      const Loop& loop = program_.loops[k];
      begin(loop, memory, count);
      for (int64_t step = 0; step < loop.steps; ++step) {
        begin_step(k, memory, step, count);
        for (call = static_cast<size_t>(loop.first); call < static_cast<size_t>(loop.last); ++call)
          run(call);
        end_step(k, memory, step, count);
      }
      if (loop.steps % 2 == 1) exchange(k, memory);  // as they were
      call = static_cast<size_t>(loop.last);
      ++k;
    }
  }

 private:
  /// Where the calls of a loop find what changes from step to step: positions in the pointers.
  struct Plan {
    struct State {
      std::vector<size_t> before, after;
    };
    std::vector<State> states;
    std::vector<std::vector<size_t>> views;  ///< per sequence; empty where the step is copied
  };

  void plan(const Loop& loop, const std::vector<size_t>& first_pointer);
  [[nodiscard]] int64_t bytes_of(int buffer) const {
    return program_.buffers[static_cast<size_t>(buffer)].bytes_per_sample;
  }
  [[nodiscard]] uint8_t* place(const LoopMemory& memory, int buffer) const;
  [[nodiscard]] const uint8_t* step_at(const Loop& loop, const LoopMemory& memory, int buffer,
                                       int64_t step) const;
  void begin(const Loop& loop, const LoopMemory& memory, int64_t count) const;
  void begin_step(size_t loop, const LoopMemory& memory, int64_t step, int64_t count) const;
  void end_step(size_t loop, const LoopMemory& memory, int64_t step, int64_t count) const;
  void exchange(size_t loop, const LoopMemory& memory) const;

  const Program& program_;
  std::vector<Plan> plans_;
  std::vector<int64_t> repeats_;
  std::vector<Pitch> pitches_;
};

}  // namespace qloom::runtime
