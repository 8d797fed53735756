// kernels/move/move_lanes.cc: elements in another place: slices, permutations, repetitions, zeros
// around.
//
// The result's axes are walked in loops; each knows how far its neighbours lie apart in x (Move),
// so that one kernel does what differs only in these distances. Along the last axis:
//   next to each other   read where they are
//   elsewhere            gathered one by one in scratch, then read there
//   outside of x         zeros, or the code 0
// A run is cut into vectors for the tail. Axes whose runs touch each other are one run, where the
// tail does not ask for channels. Where there is no tail, bytes are copied, whatever they mean.
//
// Source: own.

#include <algorithm>

#include "graph/support/error.h"
#include "kernels/kernel.h"
#include "kernels/kernels_table.h"
#include "kernels/move/blocks.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {
namespace {

using jit::Element;
using jit::Emitter;
using jit::Value;

Verdict match(const Query& q) {
  if (q.move.axes.empty())
    return Verdict::no("root is ",
                       q.root == nullptr ? std::string_view("elementwise") : q.root->name,
                       ", this kernel moves elements");
  if (q.tail == nullptr) return Verdict::no("the tail is not lowered");
  if (q.f32_accumulator && !fits(q.input, Storage::f32()))
    return Verdict::no("input is ", q.input, ", this kernel reads float32");
  return Verdict::yes();
}

Storage input_storage(const Query& q) {
  return q.f32_accumulator ? Storage::f32() : plain_storage(q.input);
}

std::vector<Variant> variants(const Query&, const jit::Target&) { return {{1, 1, 0}}; }

bool is_direct(const Query& q) {
  return std::ranges::all_of(q.tail->outputs, [&](const TailOutput& output) {
    return output.storage == q.input_storage &&
           q.tail->steps[static_cast<size_t>(output.step)].op == TailOp::accumulator;
  });
}

/// Runs of any length will do: no table goes along the channels, no bits are packed in runs, each
/// run of the outputs begins where the one before it ends.
bool is_flat(const Tail& tail) {
  const auto in_bits = [](const auto& x) { return x.storage.kind == Storage::Kind::bits; };
  return std::ranges::none_of(tail.tables, &TailTable::per_channel) &&
         std::ranges::none_of(tail.outputs, in_bits) && !has_parts(tail) &&
         std::ranges::none_of(tail.operands,
                              [&](const TailOperand& o) { return in_bits(o) || o.pitch > 0; });
}

struct Plan {
  std::vector<Move::Axis> outer;  ///< walked in loops
  Move::Axis run;                 ///< the last axis, or several as one
  bool direct = false;
  int64_t size = 1;  ///< bytes of an element of x
  int lanes = 8;
  int64_t positions = 1;  ///< runs of a sample
  int64_t items = 1;      ///< parts of a sample: of its first axis
};

bool is_whole(const Move::Axis& axis) { return axis.before == 0 && axis.inside == axis.extent; }

Plan plan_of(const Query& q, const jit::Target& target) {
  Plan plan;
  plan.direct = is_direct(q);
  plan.size = element_bytes(q.input_storage);
  plan.lanes = channel_lanes(target);
  plan.outer = q.move.axes;
  plan.run = plan.outer.back();
  plan.outer.pop_back();
  const bool flat = is_flat(*q.tail);
  // The run swallows axes that continue it.
  while (!plan.outer.empty()) {
    const Move::Axis& axis = plan.outer.back();
    Move::Axis& run = plan.run;
    if (axis.extent == 1 && is_whole(axis)) {
      plan.outer.pop_back();
      continue;
    }
    if (!flat || !is_whole(run)) break;
    if (run.extent == 1) {
      run = axis;
    } else if (axis.stride == run.stride * run.extent) {
      run.before = axis.before * run.extent;
      run.inside = axis.inside * run.extent;
      run.extent *= axis.extent;
    } else {
      break;
    }
    plan.outer.pop_back();
  }
  std::erase_if(plan.outer, [](const Move::Axis& a) { return a.extent == 1 && is_whole(a); });
  for (const Move::Axis& axis : plan.outer) plan.positions *= axis.extent;
  if (!plan.outer.empty() && is_whole(plan.outer[0])) plan.items = plan.outer[0].extent;
  return plan;
}

int64_t run_length(const Plan& plan) { return plan.run.extent; }

std::vector<uint8_t> pack(const Query& q, const Variant&, const jit::Target& target) {
  const Plan plan = plan_of(q, target);
  std::vector<uint8_t> out;
  append_tail(out, *q.tail, run_length(plan), plan.lanes);
  return out;
}

int64_t scratch_bytes(const Query& q, const Variant&, const jit::Target& target) {
  const Plan plan = plan_of(q, target);
  return !plan.direct && (plan.run.stride != 1 || !is_whole(plan.run))
             ? run_length(plan) * plan.size
             : 0;
}

int64_t work_items(const Query& q, const Variant&, const jit::Target& target) {
  return plan_of(q, target).items;
}

/// Emits one function.
class Moves {
 public:
  Moves(const Query& q, Emitter& e)
      : q_(q),
        e_(e),
        plan_(plan_of(q, e.target())),
        layout_(lay_out_tail(*q.tail, run_length(plan_), plan_.lanes)),
        uses_scratch_(scratch_bytes(q, {}, e.target()) > 0),
        b_(kernel_buffers(e, *q.tail, uses_scratch_)) {
    for (const Dim d : q.input.shape)
      if (d.is_static()) sample_elements_ *= d.extent();
  }

  void emit() {
    emit_clear_bits(e_, q_, plan_, b_);
    e_.loop("samples", e_.integer(0), e_.count(), 1, 16, [&](Value sample) {
      const Value from = e_.offset(
          b_.input,
          e_.add(e_.multiply(sample, sample_elements_ * plan_.size), q_.move.first * plan_.size));
      axis(0, from, sample);
    });
  }

 private:
  /// Bits behind the last channel of this call's runs.
  static void emit_clear_bits(Emitter& e, const Query& q, const Plan& plan,
                              const KernelBuffers& b) {
    if (!needs_clear_bits(*q.tail, run_length(plan))) return;
    const int64_t rest = plan.positions / plan.items;
    e.loop("clear", e.integer(0), e.count(), 1, 16, [&](Value sample) {
      const Value first = e.multiply(sample, plan.positions);
      kernels::emit_clear_bits(e, *q.tail, b.outputs,
                               e.add(first, e.multiply(begin_of(e, plan), rest)),
                               e.add(first, e.multiply(end_of(e, plan), rest)), run_length(plan));
    });
  }
  static Value begin_of(Emitter& e, const Plan& plan) {
    return plan.items > 1 ? e.begin() : e.integer(0);
  }
  static Value end_of(Emitter& e, const Plan& plan) {
    return plan.items > 1 ? e.end() : e.integer(plan.items);
  }

  /// The axes from `k` on. `from`: their first element in x, not valid outside of x; `position`: of
  /// the runs that the axes before have counted.
  void axis(size_t k, Value from, Value position) {
    if (k == plan_.outer.size()) return run(from, position);
    const Move::Axis& a = plan_.outer[k];
    const auto part = [&](std::string_view name, Value begin, Value end, bool inside) {
      e_.loop(name, begin, end, 1, static_cast<double>(a.extent), [&](Value i) {
        Value at = from;
        if (from.valid() && inside)
          at = e_.offset(from, e_.multiply(e_.add(i, -a.before), a.stride * plan_.size));
        axis(k + 1, inside ? at : Value{}, e_.add(e_.multiply(position, a.extent), i));
      });
    };
    if (!from.valid()) return part("outside", e_.integer(0), e_.integer(a.extent), false);
    if (k == 0 && plan_.items > 1) return part("moved", e_.begin(), e_.end(), true);
    const int64_t behind = a.before + a.inside;
    if (a.before > 0) part("before", e_.integer(0), e_.integer(a.before), false);
    part("moved", e_.integer(a.before), e_.integer(behind), true);
    if (behind < a.extent) part("behind", e_.integer(behind), e_.integer(a.extent), false);
  }

  void run(Value from, Value position) {
    const TailPlace place =
        place_at(e_, *q_.tail, b_.constants, b_.operands, b_.outputs, position, run_length(plan_));
    if (plan_.direct) {
      for (const Value to : place.outputs) copy(from, to);
      return;
    }
    const bool in_place = from.valid() && !uses_scratch_;
    if (uses_scratch_) copy(from, b_.scratch);
    tails(in_place ? from : uses_scratch_ ? b_.scratch : Value{}, place);
  }

  /// A run of elements, as bytes, to where they lie next to each other.
  void copy(Value from, Value to) {
    const Move::Axis& r = plan_.run;
    if (!from.valid()) return fill(to, 0, r.extent);
    fill(to, 0, r.before);
    if (r.stride == 1)
      emit_copy_run(e_, e_.offset(to, r.before * plan_.size), from, r.inside * plan_.size);
    else
      one_by_one(from, e_.offset(to, r.before * plan_.size));
    fill(to, r.before + r.inside, r.extent);
  }

  void one_by_one(Value from, Value to) {
    constexpr int64_t kTogether = 8;
    const Element element = plan_.size == 1   ? Element::i8
                            : plan_.size == 2 ? Element::i16
                                              : Element::i32;
    const int64_t distance = plan_.run.stride * plan_.size;
    const auto move = [&](Value first, int64_t count) {
      const Value source = e_.offset(from, e_.multiply(first, distance));
      const Value target = e_.offset(to, e_.multiply(first, plan_.size));
      for (int64_t i = 0; i < count; ++i)
        e_.store(e_.offset(target, i * plan_.size),
                 e_.load(e_.offset(source, i * distance), element));
    };
    const int64_t whole = plan_.run.inside / kTogether * kTogether;
    if (whole > 0)
      e_.loop("elements", e_.integer(0), e_.integer(whole), kTogether, 0,
              [&](Value first) { move(first, kTogether); });
    move(e_.integer(whole), plan_.run.inside - whole);
  }

  /// Elements [begin, end) of a run that lie outside of x.
  void fill(Value to, int64_t begin, int64_t end) {
    if (begin == end) return;
    const Storage s = q_.input_storage;
    const int64_t zero = s.kind == Storage::Kind::bytes ? s.zero : 0;
    const Value first = e_.offset(to, begin * plan_.size);
    emit_byte_vectors(e_, (end - begin) * plan_.size, [&](Value at, int lanes, int valid) {
      store_lanes(e_, e_.offset(first, at), e_.splat(e_.integer(zero, Element::i8), lanes), valid);
    });
  }

  /// The tail of a run that lies at `from`; outside of x where that is not valid.
  void tails(Value from, TailPlace place) {
    const auto vector = [&](Value channel, int valid) {
      place.channel = channel;
      place.valid_lanes = valid;
      const Element element = q_.f32_accumulator ? Element::f32 : Element::i32;
      const Value x = from.valid()
                          ? emit_load(e_, q_.input, q_.input_storage, from, channel, plan_.lanes)
                          : e_.zeros(element, plan_.lanes);
      emit_tail(e_, *q_.tail, layout_, x, place);
    };
    emit_vectors(e_, run_length(plan_), plan_.lanes, vector);
  }

  const Query& q_;
  Emitter& e_;
  const Plan plan_;
  const TailLayout layout_;
  const bool uses_scratch_;
  const KernelBuffers b_;
  int64_t sample_elements_ = 1;
};

void emit(const Query& q, const Variant&, Emitter& e) { Moves(q, e).emit(); }

}  // namespace

extern constinit const KernelDef move_lanes{
    .name = "move_lanes",
    .doc = "Slices, permutations, repetitions and zeros around: elements in another place.",
    .source = "own",
    .match = match,
    .input_storage = input_storage,
    .variants = variants,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .emit = emit,
    .work_items = work_items,
    .stores_parts = true};

}  // namespace qloom::kernels
