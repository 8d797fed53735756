#include "passes/program/emit_chain.h"

#include <algorithm>

#include "kernels/conv/geometry.h"

namespace qloom::passes {
namespace {

using jit::Binary;
using jit::Emitter;
using jit::Value;
using runtime::Call;
using runtime::Loop;

/// One tile: `count` samples from `first` on.
class Tile {
 public:
  Tile(const ChainPlan& plan, Emitter& e, Value first, Value count)
      : plan_(plan), e_(e), first_(first), count_(count) {}

  void run() {
    int call = plan_.first;
    for (const Loop& loop : plan_.loops) {
      run_calls(call, loop.first);
      run_loop(loop);
      call = loop.last;
    }
    run_calls(call, plan_.last);
  }

 private:
  [[nodiscard]] const ChainPlan::Place& place(int buffer) const { return plan_.places.at(buffer); }
  [[nodiscard]] int64_t bytes(int buffer) const { return place(buffer).bytes_per_sample; }

  /// Where a call finds the tile's part of a buffer.
  Value pointer(int buffer) {
    if (const auto moved = moved_.find(buffer); moved != moved_.end()) return moved->second;
    return pointer_itself(buffer);
  }
  Value pointer_itself(int buffer) {
    const ChainPlan::Place& p = place(buffer);
    if (p.argument < 0) return e_.offset(e_.buffer(plan_.scratch), p.offset);
    return e_.offset(e_.buffer(p.argument), e_.multiply(first_, p.bytes_per_sample));
  }
  void run_calls(int first, int last) {
    for (int call = first; call < last;) {
      const auto fused = std::ranges::find(plan_.fused, call, &ChainPlan::Fused::first);
      if (fused == plan_.fused.end()) {
        run_call(call++);
        continue;
      }
      run_fused(*fused, e_.integer(0));
      call = fused->last;
    }
  }

  /// From form `form` on; moved_ says where what is left begins, behind `done` samples.
  void run_fused(const ChainPlan::Fused& fused, Value done, size_t form = 0) {
    if (form == fused.forms.size()) {
      for (int call = fused.first; call < fused.last; ++call) run_call(call);
      return;
    }
    const ChainPlan::Form& f = fused.forms[form];
    const Value all = count_, whole = e_.binary(Binary::bit_and, all, e_.integer(-f.tile));
    const jit::Variable left = e_.variable(e_.subtract(all, whole));
    e_.if_less(e_.integer(0), whole, [&] { call_form(fused, f, e_.integer(0), whole); });
    e_.if_less(e_.integer(f.worth - 1), e_.get(left), [&] {
      e_.if_less(e_.integer(f.tile - 1), e_.add(done, all), [&] {
        call_form(fused, f, e_.subtract(all, e_.integer(f.tile)), e_.integer(f.tile));
        e_.set(left, e_.integer(0));
      });
    });
    e_.if_less(e_.integer(0), e_.get(left), [&] {
      const auto moved = moved_;
      count_ = e_.subtract(all, whole);
      for (const int b : {fused.input, fused.output}) moved_[b] = behind(b, whole);
      run_fused(fused, e_.add(done, whole), form + 1);
      moved_ = moved;
    });
    count_ = all;
  }

  /// A buffer's part behind as many samples.
  Value behind(int b, Value samples) {
    return e_.offset(pointer(b), e_.multiply(samples, bytes(b)));
  }

  /// `count` samples from `first` on, whole tiles.
  void call_form(const ChainPlan::Fused& fused, const ChainPlan::Form& f, Value first,
                 Value count) {
    const Value pointers[] = {behind(fused.input, first), constants(f.constants_offset),
                              behind(fused.output, first),
                              e_.offset(e_.buffer(plan_.scratch), fused.scratch)};
    e_.call(f.symbol, pointers, count, e_.integer(0), e_.integer(1));
  }

  Value constants(int64_t offset) { return e_.offset(e_.buffer(plan_.constants), offset); }

  void run_call(int index) {
    const Call& call = plan_.calls[static_cast<size_t>(index - plan_.first)];
    std::vector<Value> pointers;
    for (const int b : call.buffers)
      pointers.push_back(b < 0 ? constants(call.constants_offset) : pointer(b));
    e_.call(call.symbol, pointers, count_, e_.integer(0), e_.integer(call.work_items));
  }

  /// `bytes` bytes of each sample.
  void copy_rows(Value to, int64_t to_pitch, Value from, int64_t from_pitch, int64_t bytes) {
    e_.loop("rows", e_.integer(0), count_, 1, static_cast<double>(plan_.tile), [&](Value row) {
      kernels::emit_copy(e_, e_.offset(to, e_.multiply(row, to_pitch)),
                         e_.offset(from, e_.multiply(row, from_pitch)), bytes);
    });
  }

  void run_loop(const Loop& loop) {
    for (const Loop::State& s : loop.states) {
      const int64_t n = bytes(s.before);
      if (s.initial >= 0)
        copy_rows(pointer(s.before), n, pointer(s.initial), n, n);
      else
        copy_rows(pointer(s.before), n, constants(s.constants_offset), 0, n);
    }
    // Two steps a round: behind them the buffers of states are where they were.
    const int64_t even = loop.steps / 2 * 2;
    e_.loop("steps", e_.integer(0), e_.integer(even), 2, 0, [&](Value step) {
      run_step(loop, step, false);
      run_step(loop, e_.add(step, 1), true);
    });
    if (loop.steps > even) run_step(loop, e_.integer(even), false);
  }

  void run_step(const Loop& loop, Value step, bool odd) {
    moved_.clear();
    for (const Loop::State& s : loop.states) {
      if (!s.exchange || !odd) continue;
      const Value before = pointer_itself(s.before), after = pointer_itself(s.after);
      moved_[s.before] = after;
      moved_[s.after] = before;
    }
    for (const Loop::Sequence& s : loop.sequences) {
      if (s.collected) continue;
      const int64_t n = bytes(s.step);
      const Value index = s.reverse ? e_.subtract(e_.integer(loop.steps - 1), step) : step;
      const Value from = e_.offset(pointer_itself(s.whole), e_.multiply(index, n));
      if (s.view)
        moved_[s.step] = from;
      else
        copy_rows(pointer_itself(s.step), n, from, n * loop.steps, n);
    }
    for (int call = loop.first; call < loop.last; ++call) run_call(call);
    for (const Loop::Sequence& s : loop.sequences) {
      if (!s.collected) continue;
      const int64_t n = bytes(s.step);
      copy_rows(e_.offset(pointer_itself(s.whole), e_.multiply(step, n)), n * loop.steps,
                pointer(s.step), n, n);
    }
    for (const Loop::State& s : loop.states)
      if (!s.exchange && s.before != s.after)
        copy_rows(pointer(s.before), bytes(s.before), pointer(s.after), bytes(s.before),
                  bytes(s.before));
    moved_.clear();
  }

  const ChainPlan& plan_;
  Emitter& e_;
  Value first_, count_;
  std::map<int, Value> moved_;  ///< buffers that lie elsewhere in this step
};

}  // namespace

void emit_chain(const ChainPlan& plan, Emitter& e) {
  // All pointers before any loop.
  for (const auto& [buffer, place] : plan.places)
    if (place.argument >= 0) static_cast<void>(e.buffer(place.argument));
  const Value count = e.count();
  e.loop("tiles", e.integer(0), count, plan.tile, 1, [&](Value first) {
    const Value left = e.subtract(count, first);
    Tile(plan, e, first, e.binary(Binary::min_signed, left, e.integer(plan.tile))).run();
  });
}

}  // namespace qloom::passes
