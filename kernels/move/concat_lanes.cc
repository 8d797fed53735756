// kernels/move/concat_lanes.cc: operands one after the other along an axis.
//
// What stands together of an operand, from the axis to the end, is a run; the result is one run of
// each operand after the other, so often as the axes before say.
//   all in one storage with equal codes   runs are copied as bytes, whatever they mean
//   along the last axis                   a row is gathered in scratch, each operand's codes times
//                                         their step over the result's, and stored from there
//   along another axis                    rows of the last axis stay whole: read, and stored
//
// Source: own.

#include <cmath>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "kernels/kernels_table.h"
#include "kernels/move/blocks.h"
#include "kernels/tail/node_tail.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {
namespace {

using jit::Element;
using jit::Emitter;
using jit::Value;

/// What codes of the operand are multiplied by to be codes of the result; 0 where that is no whole
/// number.
int64_t factor_between(const TensorType& x, const TensorType& y) {
  const double ratio = x.step().f64()[0] / y.step().f64()[0];
  return ratio >= 1 && ratio < 1e9 && ratio == std::floor(ratio) ? std::llround(ratio) : 0;
}

struct Part {
  TensorType type;
  Storage storage;
  int64_t factor = 1;  ///< of its codes
  int64_t rows = 1;    ///< of the last axis, in a run
  int64_t last = 1;
};

struct Plan {
  explicit Plan(const ReferenceSpec& spec) {
    const TensorType& y = spec.results[0];
    const int64_t axis = from_attributes<ops::Concat>(spec.attributes).axis;
    codes = y.has_codes();
    along_last = axis == y.rank() - 1;
    last = last_extent(y.shape);
    for (int64_t a = 1; a < axis; ++a) runs *= y.shape[static_cast<size_t>(a)].extent();
    for (size_t i = 0; i < spec.operands.size(); ++i) {
      const TensorType& x = spec.operands[i];
      parts.push_back({.type = x,
                       .storage = spec.operand_storages[i],
                       .factor = codes ? factor_between(x, y) : 1,
                       .rows = elements_per_sample(x.shape) / (runs * last_extent(x.shape)),
                       .last = last_extent(x.shape)});
      rows += parts.back().rows;
    }
    if (along_last) rows = 1;
    is_direct = true;
    for (const Part& part : parts) {
      is_direct = is_direct && part.factor == 1 && part.type.has_codes() == codes &&
                  (part.storage.kind != Storage::Kind::bits || !along_last);
      for (const auto& [result, storage] : spec.outputs)
        is_direct = is_direct && storage == part.storage;
    }
  }
  std::vector<Part> parts;
  bool codes = false, along_last = false, is_direct = false;
  int64_t runs = 1;  ///< of the result, a sample
  int64_t rows = 0;  ///< of the last axis, in a run of the result
  int64_t last = 1;
};

Verdict takes(const ReferenceSpec& spec) {
  if (from_attributes<ops::Concat>(spec.attributes).axis < 1) return Verdict::no("along the batch");
  if (Verdict v = can_store(spec); !v) return v;
  const TensorType& y = spec.results[0];
  for (size_t i = 0; i < spec.operands.size(); ++i) {
    const TensorType& x = spec.operands[i];
    if (Verdict v = can_read(spec, i); !v) return v;
    if (!y.has_codes()) continue;
    if (!x.has_codes()) return Verdict::no(x, " has no codes, ", y, " has");
    const int64_t factor = factor_between(x, y);
    const auto grid = *x.numeric.grid();
    if (factor == 0 || std::max(-grid.lo, grid.hi) > INT32_MAX / factor)
      return Verdict::no("steps of ", x, " are no whole number of those of ", y);
  }
  return Verdict::yes();
}

int64_t scratch_bytes(const Query& q, const Variant&, const jit::Target&) {
  const Plan plan(*q.spec);
  return plan.along_last && !plan.is_direct ? plan.last * 4 : 0;
}

/// Emits one function.
class Joining {
 public:
  Joining(const ReferenceSpec& spec, Emitter& e)
      : e_(e),
        plan_(spec),
        tail_(storing_tail(spec)),
        lanes_(channel_lanes(e.target())),
        layout_(lay_out_tail(tail_, plan_.last, lanes_)) {
    int index = 0;
    for (size_t i = 0; i < plan_.parts.size(); ++i) inputs_.push_back(e.buffer(index++));
    ++index;  // constants, of which there are none
    for (size_t i = 0; i < tail_.outputs.size(); ++i) outputs_.push_back(e.buffer(index++));
    if (plan_.along_last && !plan_.is_direct) scratch_ = e.buffer(index);
  }

  void emit() {
    if (!plan_.is_direct) emit_clear_bits(e_, tail_, outputs_, plan_.runs * plan_.rows, plan_.last);
    e_.loop("runs", e_.integer(0), e_.multiply(e_.count(), plan_.runs), 1,
            16.0 * static_cast<double>(plan_.runs), [&](Value run) {
              if (plan_.is_direct) return copy(run);
              if (plan_.along_last) return gather(run);
              store_rows(run);
            });
  }

 private:
  static int64_t row_bytes(const Part& part) { return run_bytes(part.storage, part.last); }

  void copy(Value run) {
    int64_t whole = 0, before = 0;
    for (const Part& part : plan_.parts) whole += part.rows * row_bytes(part);
    for (size_t i = 0; i < plan_.parts.size(); ++i) {
      const int64_t bytes = plan_.parts[i].rows * row_bytes(plan_.parts[i]);
      const Value from = e_.offset(inputs_[i], e_.multiply(run, bytes));
      for (const Value& output : outputs_)
        emit_copy_run(e_, e_.offset(output, e_.add(e_.multiply(run, whole), before)), from, bytes);
      before += bytes;
    }
  }

  /// Elements of a row of an operand as codes or values of the result.
  Value load(const Part& part, Value row, Value channel) {
    Value x = emit_load(e_, part.type, part.storage, row, channel, lanes_);
    if (part.factor != 1)
      x = e_.multiply(x, e_.splat(e_.integer(part.factor, Element::i32), lanes_));
    if (plan_.codes || !part.type.has_codes()) return x;
    const auto step = static_cast<float>(part.type.step().f64()[0]);
    return e_.multiply(e_.to_f32(x), e_.splat(e_.real(step), lanes_));
  }

  void store(Value x, TailPlace& place, Value channel, int valid) {
    place.channel = channel;
    place.valid_lanes = valid;
    emit_tail(e_, tail_, layout_, x, place);
  }

  void gather(Value run) {
    int64_t before = 0;
    for (size_t i = 0; i < plan_.parts.size(); ++i) {
      const Part& part = plan_.parts[i];
      const Value row = e_.offset(inputs_[i], e_.multiply(run, row_bytes(part)));
      // What lies behind the part is written by the next, or read by nobody.
      emit_vectors(e_, part.last, lanes_, [&](Value channel, int) {
        e_.store(e_.offset(e_.offset(scratch_, before * 4), e_.multiply(channel, 4)),
                 load(part, row, channel));
      });
      before += part.last;
    }
    TailPlace place = place_at(e_, tail_, {}, {}, outputs_, run, plan_.last);
    emit_vectors(e_, plan_.last, lanes_, [&](Value channel, int valid) {
      const Value x = e_.load(e_.offset(scratch_, e_.multiply(channel, 4)),
                              plan_.codes ? Element::i32 : Element::f32, lanes_);
      store(x, place, channel, valid);
    });
  }

  void store_rows(Value run) {
    int64_t before = 0;
    for (size_t i = 0; i < plan_.parts.size(); ++i) {
      const Part& part = plan_.parts[i];
      e_.loop("rows", e_.integer(0), e_.integer(part.rows), 1, 0, [&](Value r) {
        const Value from = e_.add(e_.multiply(run, part.rows), r);
        const Value row = e_.offset(inputs_[i], e_.multiply(from, row_bytes(part)));
        const Value position = e_.add(e_.add(e_.multiply(run, plan_.rows), before), r);
        TailPlace place = place_at(e_, tail_, {}, {}, outputs_, position, plan_.last);
        emit_vectors(e_, plan_.last, lanes_, [&](Value channel, int valid) {
          store(load(part, row, channel), place, channel, valid);
        });
      });
      before += part.rows;
    }
  }

  Emitter& e_;
  const Plan plan_;
  const Tail tail_;
  const int lanes_;
  const TailLayout layout_;
  std::vector<Value> inputs_, outputs_;
  Value scratch_;
};

void emit(const Query& q, const Variant&, Emitter& e) { Joining(*q.spec, e).emit(); }

}  // namespace

extern constinit const KernelDef concat_lanes{.name = "concat_lanes",
                                              .doc = "Operands one after the other along an axis.",
                                              .source = "own",
                                              .scratch_bytes = scratch_bytes,
                                              .emit = emit,
                                              .node_op = &ops::concat,
                                              .takes = takes};

}  // namespace qloom::kernels
