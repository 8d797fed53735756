// kernels/dense/dense_lanes.cc: dense layers one behind the other, samples in the lanes: a tile of
// as many samples as a vector has 32-bit lanes goes through all layers.
//
// Layout. A vector of activations holds four neighbouring channels of each sample, a dword each. A
// unit's sum over a tile is one vector; its weights are dwords that are broadcast from memory:
//   sum[s] += dot4(activations[k][s], weights[unit][k])
// So layers with few units leave no lane empty, and between layers nothing is broadcast, shuffled
// within samples or stored by single samples.
//
// 1. Inputs: 16 channels of a sample are 16 bytes. Four vectors of them are transposed as 4 × 4
//    dwords within 16-byte lanes, which leaves samples in the order of kOrder: lane 4·q + p holds
//    sample q + p·lanes/4. All that is between does not care.
// 2. Each layer: groups of kUnits units in a loop. Tails go along the lanes with one channel's
//    constants; the bytes of four units are stored as rows of samples, and taken up by the next
//    layer as dwords with one permutation.
// 3. Outputs, float32: the same transposition of four units puts samples in order again. Pieces of
//    four are stored in the order of samples: what they write too far is written again.
//
// Source: own; DESIGN 4, samples in the lanes.
#include <algorithm>
#include <array>

#include "graph/support/error.h"
#include "kernels/conv/geometry.h"
#include "kernels/dense/dense_run.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {
namespace {

using jit::Element;
using jit::Emitter;
using jit::Value;

constexpr int64_t kUnits = 8;          // sums at the same time: as many as hide a product's latency
constexpr int64_t kMostChannels = 64;  // of a layer's input: 16 registers of activations
constexpr int64_t kPiece = 16;         // bytes of a sample that are transposed together

int64_t round_up(int64_t v, int64_t to) { return (v + to - 1) / to * to; }

/// Offsets in the constants and in scratch.
struct Plan {
  struct Layer {
    int64_t weights = 0, initial = 0, tail = 0;
    int64_t steps = 0;  ///< vectors of activations
    int64_t units = 0;
    [[nodiscard]] int64_t whole() const { return units / kUnits * kUnits; }
  };
  std::vector<Layer> layers;
  int64_t lanes = 0;
  int64_t pieces = 0;                   ///< of a sample's input
  int64_t input = 0, rows[2] = {0, 0};  ///< in scratch: pieces, rows of units by turns
  int64_t scratch = 0;
};

Plan plan_of(const DenseRun& run, const jit::Target& target) {
  Plan plan;
  plan.lanes = channel_lanes(target);
  int64_t constants = 0, most = 0;
  const auto place = [&](int64_t bytes) {
    const int64_t at = round_up(constants, 64);
    constants = at + bytes;
    return at;
  };
  for (const auto& q : run) {
    if (is_quantizer(*q)) continue;
    Plan::Layer layer;
    const bool first = plan.layers.empty();
    layer.steps = round_up(q->window.c, first ? kPiece : 4) / 4;
    layer.units = q->window.n;
    layer.weights = place(layer.units * layer.steps * 4);
    layer.initial = place(layer.units * 4);
    layer.tail = place(lay_out_tail(*q->tail, layer.units, static_cast<int>(plan.lanes)).bytes);
    if (first) plan.pieces = layer.steps * 4 / kPiece;
    plan.layers.push_back(layer);
    most = std::max(most, round_up(layer.units, 4));
  }
  Places places;
  plan.input = places.next(plan.pieces * kPiece * plan.lanes);
  for (int64_t& rows : plan.rows) rows = places.next(most * plan.lanes);
  plan.scratch = places.next(0);
  return plan;
}

/// Emits the function; see the top of this file.
class RunEmitter {
 public:
  RunEmitter(const DenseRun& run, const Plan& plan, Emitter& e)
      : run_(run),
        e_(e),
        plan_(plan),
        lanes_(static_cast<int>(plan_.lanes)),
        input_(e.buffer(0)),
        constants_(e.buffer(1)),
        output_(e.buffer(2)),
        scratch_(e.buffer(3)) {
    std::vector<int64_t> order;
    for (int64_t s = 0; s < plan_.lanes; ++s)
      for (int64_t unit = 0; unit < 4; ++unit) order.push_back(unit * plan_.lanes + s);
    order_ = order;
  }

  void emit() {
    e_.loop("tiles", e_.integer(0), e_.count(), plan_.lanes, 4, [&](Value sample) {
      const size_t first = is_quantizer(*run_[0]) ? 1 : 0;
      std::vector<Value> activations = first == 1 ? quantized(sample) : loaded(sample);
      for (size_t i = 0; i < plan_.layers.size(); ++i) {
        const bool last = i + 1 == plan_.layers.size();
        layer(*run_[first + i], plan_.layers[i], activations, last, plan_.rows[i % 2], sample);
        if (!last) activations = rows_taken(plan_.layers[i].units, plan_.rows[i % 2]);
      }
    });
  }

 private:
  [[nodiscard]] int64_t vector_bytes() const { return 4 * plan_.lanes; }
  Value channel_after(Value channel, int64_t more) {
    return more == 0 ? channel : e_.add(channel, more);
  }

  // --- inputs -----------------------------------------------------------------------------------

  std::vector<Value> quantized(Value sample) {
    const Query& q = *run_[0];
    const int64_t inputs = elements_of(q);
    const TailLayout layout = lay_out_tail(*q.tail, inputs, kPiece);
    for (int64_t piece = 0; piece < plan_.pieces; ++piece) {
      TailBatch batch(e_, *q.tail, layout);
      const Value channel = e_.integer(piece * kPiece);
      for (int64_t s = 0; s < plan_.lanes; ++s) {
        const Value row = e_.offset(input_, e_.multiply(e_.add(sample, s), inputs * 4));
        TailPlace place;
        place.tables = constants_;  // has none
        place.channel = channel;
        // The first channel of a piece lies at its own beginning.
        place.outputs = {
            e_.offset(scratch_, plan_.input + (piece * plan_.lanes + s) * kPiece - piece * kPiece)};
        place.valid_lanes = kPiece;
        place.follows = s % 4 != 0;
        batch.add(emit_load(e_, q.input, q.input_storage, row, channel, kPiece), place);
      }
      batch.emit();
    }
    return transposed([&](int64_t piece, int64_t at) {
      return e_.load(e_.offset(scratch_, plan_.input + piece * plan_.lanes * kPiece + at),
                     Element::i8, static_cast<int>(vector_bytes()));
    });
  }

  std::vector<Value> loaded(Value sample) {
    const int64_t channels = run_[0]->window.c;
    return transposed([&](int64_t piece, int64_t at) {
      std::vector<Value> parts;
      for (int64_t i = 0; i < vector_bytes() / kPiece; ++i) {
        const Value row = e_.offset(input_, e_.multiply(e_.add(sample, at / kPiece + i), channels));
        parts.push_back(e_.load(e_.offset(row, piece * kPiece), Element::i8, kPiece));
      }
      while (parts.size() > 1) {
        std::vector<Value> wider;
        for (size_t i = 0; i < parts.size(); i += 2)
          wider.push_back(e_.concat(parts[i], parts[i + 1]));
        parts = std::move(wider);
      }
      return parts[0];
    });
  }

  /// part(piece, at): bytes [at, at + a vector) of the pieces of all samples.
  template <class Part>
  std::vector<Value> transposed(const Part& part) {
    std::vector<Value> activations;
    for (int64_t piece = 0; piece < plan_.pieces; ++piece) {
      std::array<Value, 4> x;
      for (int64_t i = 0; i < 4; ++i)
        x[static_cast<size_t>(i)] = e_.bitcast(part(piece, i * vector_bytes()), Element::i32);
      for (const Value v : emit_transpose(e_, x)) activations.push_back(e_.bitcast(v, Element::i8));
    }
    return activations;
  }

  // --- layers -----------------------------------------------------------------------------------

  /// What a layer has stored as rows of samples, four of them to a vector.
  std::vector<Value> rows_taken(int64_t units, int64_t rows) {
    const Value order = e_.vector_constant(Element::i8, order_);
    std::vector<Value> activations;
    for (int64_t at = 0; at < units; at += 4)
      activations.push_back(e_.permute_bytes(e_.load(e_.offset(scratch_, rows + at * plan_.lanes),
                                                     Element::i8, static_cast<int>(vector_bytes())),
                                             order));
    return activations;
  }

  void layer(const Query& q, const Plan::Layer& layer, const std::vector<Value>& activations,
             bool last, int64_t rows, Value sample) {
    std::vector<Value> results;  // of the last layer: float32, a vector a unit
    const auto group = [&](Value first, int64_t units) {
      const std::vector<Value> sums = sums_of(q, layer, activations, first, units);
      if (last)
        floats(q, layer, sums, first, results);
      else
        store_rows(q, layer, sums, first, rows);
    };
    if (last) {  // few, and stored together
      for (int64_t unit = 0; unit < layer.units; unit += kUnits)
        group(e_.integer(unit), std::min(kUnits, layer.units - unit));
      // Samples as `transposed` has left them.
      emit_store_samples(e_, std::move(results),
                         e_.offset(output_, e_.multiply(sample, layer.units * 4)),
                         [&](int p, int i) { return p * (lanes_ / 4) + i; });
      return;
    }
    e_.loop("units", e_.integer(0), e_.integer(layer.whole()), kUnits, 0,
            [&](Value first) { group(first, kUnits); });
    if (layer.units > layer.whole()) group(e_.integer(layer.whole()), layer.units - layer.whole());
  }

  std::vector<Value> sums_of(const Query& q, const Plan::Layer& layer,
                             const std::vector<Value>& activations, Value first, int64_t units) {
    const Value initial = e_.offset(e_.offset(constants_, layer.initial), e_.multiply(first, 4));
    const Value weights =
        e_.offset(e_.offset(constants_, layer.weights), e_.multiply(first, layer.steps * 4));
    std::vector<Value> sums;
    for (int64_t u = 0; u < units; ++u)
      sums.push_back(q.input_storage.zero == 0
                         ? e_.zeros(Element::i32, lanes_)
                         : e_.load_splat(e_.offset(initial, u * 4), Element::i32, lanes_));
    for (int64_t k = 0; k < layer.steps; ++k)
      for (int64_t u = 0; u < units; ++u) {
        const Value w =
            e_.load_splat(e_.offset(weights, (k * units + u) * 4), Element::i32, lanes_);
        Value& sum = sums[static_cast<size_t>(u)];
        sum = e_.add_dot_u8s8(sum, activations[static_cast<size_t>(k)], e_.bitcast(w, Element::i8));
      }
    return sums;
  }

  TailPlace place_of(const Plan::Layer& layer, Value channel) {
    TailPlace place;
    place.tables = e_.offset(constants_, layer.tail);
    place.channel = channel;
    place.valid_lanes = lanes_;
    place.one_channel = true;
    return place;
  }

  void store_rows(const Query& q, const Plan::Layer& layer, const std::vector<Value>& sums,
                  Value first, int64_t rows) {
    const TailLayout layout = lay_out_tail(*q.tail, layer.units, lanes_);
    TailBatch batch(e_, *q.tail, layout);
    for (size_t u = 0; u < sums.size(); ++u) {
      const Value channel = channel_after(first, static_cast<int64_t>(u));
      TailPlace place = place_of(layer, channel);
      // The tail adds the channel once: a row of samples follows the one before it.
      place.outputs = {e_.offset(e_.offset(scratch_, rows), e_.multiply(channel, plan_.lanes - 1))};
      place.follows = u % 4 != 0;
      batch.add(sums[u], place);
    }
    batch.emit();
  }

  void floats(const Query& q, const Plan::Layer& layer, const std::vector<Value>& sums, Value first,
              std::vector<Value>& results) {
    const TailLayout layout = lay_out_tail(*q.tail, layer.units, lanes_);
    for (size_t u = 0; u < sums.size(); ++u)
      results.push_back(
          emit_tail_values(e_, *q.tail, layout, sums[u],
                           place_of(layer, channel_after(first, static_cast<int64_t>(u))))[0]);
  }

  const DenseRun& run_;
  Emitter& e_;
  const Plan& plan_;
  const int lanes_;
  Value input_, constants_, output_, scratch_;
  std::vector<int64_t> order_;
};

std::vector<uint8_t> pack_run(const DenseRun& run, const Plan& plan) {
  std::vector<uint8_t> out;
  size_t index = 0;
  for (const auto& query : run) {
    if (is_quantizer(*query)) continue;
    const Query& q = *query;
    const Plan::Layer& layer = plan.layers[index++];
    const auto codes = q.weight_codes->i64();
    std::vector<uint8_t> weights;
    for (int64_t first = 0; first < layer.units; first += kUnits)
      for (int64_t k = 0; k < layer.steps; ++k)
        for (int64_t unit = first; unit < std::min(first + kUnits, layer.units); ++unit)
          for (int64_t c = 4 * k; c < 4 * k + 4; ++c)
            weights.push_back(
                c < q.window.c
                    ? static_cast<uint8_t>(codes[static_cast<size_t>(c * layer.units + unit)])
                    : 0);
    qloom_assert(append(out, weights) == layer.weights, q.name, ": weights misplaced");
    qloom_assert(append(out, initial_sums(q, layer.units)) == layer.initial, q.name,
                 ": initial sums misplaced");
    append_tail(out, *q.tail, layer.units, static_cast<int>(plan.lanes));
  }
  return out;
}

class LanesFunction final : public DenseFunction {
 public:
  LanesFunction(const DenseRun& run, const jit::Target& target)
      : run_(run), plan_(plan_of(run, target)) {}
  [[nodiscard]] int64_t tile() const override { return plan_.lanes; }
  [[nodiscard]] std::vector<uint8_t> pack() const override { return pack_run(run_, plan_); }
  [[nodiscard]] int64_t scratch_bytes() const override { return plan_.scratch; }
  void emit(Emitter& e) const override { RunEmitter(run_, plan_, e).emit(); }

 private:
  DenseRun run_;
  Plan plan_;
};

std::vector<std::unique_ptr<DenseFunction>> prepare(const DenseRun& run,
                                                    const jit::Target& target) {
  std::vector<std::unique_ptr<DenseFunction>> functions;
  functions.push_back(std::make_unique<LanesFunction>(run, target));
  return functions;
}

Verdict match(const DenseRun& run, const jit::Target& target) {
  if (!target.has_dot()) return Verdict::no("the target has no dot products");
  for (const auto& query : run) {
    const Query& q = *query;
    if (is_quantizer(q)) {
      if (elements_of(q) % kPiece != 0)
        return Verdict::no(elements_of(q), " inputs are not whole pieces of ", kPiece);
      if (q.tail->outputs[0].storage.kind != Storage::Kind::bytes)
        return Verdict::no("'", q.name, "' is stored as ", q.tail->outputs[0].storage);
      continue;
    }
    if (q.input_storage.kind != Storage::Kind::bytes)
      return Verdict::no("'", q.name, "' takes its input as ", q.input_storage);
    const CodeRange range = weight_range(q);
    if (range.lo < -128 || range.hi > 127)
      return Verdict::no("weight codes of '", q.name, "' reach [", range.lo, ", ", range.hi, "]");
    if (q.window.c > kMostChannels)
      return Verdict::no("'", q.name, "' has ", q.window.c, " inputs, registers hold ",
                         kMostChannels);
  }
  return Verdict::yes();
}

}  // namespace

extern constinit const DenseRunDef dense_lanes{
    .name = "dense_lanes",
    .doc = "Dense layers one behind the other by dot products of bytes, a sample in each lane.",
    .where = "lanes",
    .match = match,
    .prepare = prepare};

}  // namespace qloom::kernels
