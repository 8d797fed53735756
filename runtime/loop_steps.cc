#include "runtime/loop_steps.h"

#include <algorithm>
#include <cstring>

namespace qloom::runtime {
namespace {

/// Rows of `bytes` bytes from one place to another.
void copy_rows(uint8_t* to, int64_t to_pitch, const uint8_t* from, int64_t from_pitch,
               int64_t bytes, int64_t rows) {
  for (int64_t i = 0; i < rows; ++i)
    std::memcpy(to + i * to_pitch, from + i * from_pitch, static_cast<size_t>(bytes));
}

}  // namespace

LoopSteps::LoopSteps(const Program& program, const std::vector<size_t>& first_pointer)
    : program_(program), repeats_(program.calls.size(), 1) {
  for (const Loop& loop : program.loops) plan(loop, first_pointer);
}

void LoopSteps::plan(const Loop& loop, const std::vector<size_t>& first_pointer) {
  Plan plan;
  plan.states.resize(loop.states.size());
  plan.views.resize(loop.sequences.size());
  for (int i = loop.first; i < loop.last; ++i) {
    const auto call = static_cast<size_t>(i);
    repeats_[call] = loop.steps;
    for (size_t k = 0; k < program_.calls[call].buffers.size(); ++k) {
      const int buffer = program_.calls[call].buffers[k];
      const size_t pointer = first_pointer[call] + k;
      for (size_t s = 0; s < loop.states.size(); ++s) {
        if (!loop.states[s].exchange) continue;
        if (buffer == loop.states[s].before) plan.states[s].before.push_back(pointer);
        if (buffer == loop.states[s].after) plan.states[s].after.push_back(pointer);
      }
      for (size_t s = 0; s < loop.sequences.size(); ++s) {
        if (!loop.sequences[s].view || buffer != loop.sequences[s].step) continue;
        plan.views[s].push_back(pointer);
        pitches_.push_back({pointer, loop.steps});
      }
    }
  }
  plans_.push_back(std::move(plan));
}

bool LoopSteps::touches(int buffer) const {
  return std::ranges::any_of(program_.loops, [&](const Loop& loop) {
    return std::ranges::any_of(loop.states,
                               [&](const Loop::State& s) { return s.initial == buffer; }) ||
           std::ranges::any_of(loop.sequences,
                               [&](const Loop::Sequence& s) { return s.whole == buffer; });
  });
}

uint8_t* LoopSteps::place(const LoopMemory& memory, int buffer) const {
  const Buffer& b = program_.buffers[static_cast<size_t>(buffer)];
  return memory.arena + b.offset_fixed + b.offset_per_sample * memory.capacity;
}

/// Where the calls of this step have a buffer: at an odd step those of a state have changed places.
const uint8_t* LoopSteps::step_at(const Loop& loop, const LoopMemory& memory, int buffer,
                                  int64_t step) const {
  for (const Loop::State& s : loop.states)
    if (s.exchange && step % 2 == 1 && (s.before == buffer || s.after == buffer))
      return place(memory, s.before == buffer ? s.after : s.before);
  return place(memory, buffer);
}

void LoopSteps::begin(const Loop& loop, const LoopMemory& memory, int64_t count) const {
  for (const Loop::State& s : loop.states) {
    const int64_t bytes = bytes_of(s.before);
    if (s.initial >= 0)
      copy_rows(place(memory, s.before), 0, place(memory, s.initial), 0, count * bytes, 1);
    else
      copy_rows(place(memory, s.before), bytes, memory.constants + s.constants_offset, 0, bytes,
                count);
  }
}

void LoopSteps::begin_step(size_t index, const LoopMemory& memory, int64_t step,
                           int64_t count) const {
  const Loop& loop = program_.loops[index];
  for (size_t k = 0; k < loop.sequences.size(); ++k) {
    const Loop::Sequence& s = loop.sequences[k];
    if (s.collected) continue;
    const int64_t bytes = bytes_of(s.step);
    uint8_t* const from =
        place(memory, s.whole) + (s.reverse ? loop.steps - 1 - step : step) * bytes;
    for (const size_t use : plans_[index].views[k]) memory.pointers[use] = from;
    if (!s.view) copy_rows(place(memory, s.step), bytes, from, bytes * loop.steps, bytes, count);
  }
}

void LoopSteps::end_step(size_t index, const LoopMemory& memory, int64_t step,
                         int64_t count) const {
  const Loop& loop = program_.loops[index];
  for (const Loop::Sequence& s : loop.sequences) {
    if (!s.collected) continue;
    const int64_t bytes = bytes_of(s.step);
    copy_rows(place(memory, s.whole) + step * bytes, bytes * loop.steps,
              step_at(loop, memory, s.step, step), bytes, bytes, count);
  }
  for (const Loop::State& s : loop.states)
    if (!s.exchange && s.before != s.after)
      copy_rows(place(memory, s.before), 0, step_at(loop, memory, s.after, step), 0,
                count * bytes_of(s.before), 1);
  exchange(index, memory);
}

void LoopSteps::exchange(size_t index, const LoopMemory& memory) const {
  const Loop& loop = program_.loops[index];
  for (size_t k = 0; k < loop.states.size(); ++k) {
    const Plan::State& uses = plans_[index].states[k];
    if (!loop.states[k].exchange || (uses.before.empty() && uses.after.empty())) continue;
    void* const before = place(memory, loop.states[k].before);
    void* const after = place(memory, loop.states[k].after);
    const bool in_place = uses.before.empty() ? memory.pointers[uses.after[0]] == after
                                              : memory.pointers[uses.before[0]] == before;
    for (const size_t use : uses.before) memory.pointers[use] = in_place ? after : before;
    for (const size_t use : uses.after) memory.pointers[use] = in_place ? before : after;
  }
}

}  // namespace qloom::runtime
