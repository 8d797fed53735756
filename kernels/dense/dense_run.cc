#include "kernels/dense/dense_run.h"

#include <algorithm>
#include <map>
#include <utility>

#include "graph/ops_table.h"
#include "kernels/conv/geometry.h"

namespace qloom::kernels {

extern constinit const DenseRunDef dense_lanes, dense_sliced;

namespace {

constexpr std::array kRuns = {&dense_lanes, &dense_sliced};

}  // namespace

std::span<const DenseRunDef* const> all_dense_runs() { return kRuns; }

const DenseRunDef* find_dense_run(std::string_view name) {
  const auto found = std::ranges::find(kRuns, name, &DenseRunDef::name);
  return found == kRuns.end() ? nullptr : *found;
}

bool is_quantizer(const Query& q) { return q.root == nullptr; }
int64_t elements_of(const Query& q) { return q.window.out_h * q.window.out_w * q.window.n; }

Verdict check_dense_run(const DenseRun& run) {
  const size_t first = !run.empty() && is_quantizer(*run[0]) ? 1 : 0;
  if (run.size() < first + 2) return Verdict::no("these are no two dense layers");
  if (first == 1) {
    const Query& q = *run[0];
    if (!q.input.is_float32() || q.input_storage != Storage::f32())
      return Verdict::no("the first input is ", q.input, " as ", q.input_storage,
                         ", only float32 is quantized here");
    if (std::ranges::any_of(q.tail->tables, [](const TailTable& t) { return t.per_channel; }))
      return Verdict::no("inputs are quantized channel by channel");
  }
  for (size_t i = 0; i < run.size(); ++i) {
    const Query& q = *run[i];
    if (i >= first) {
      if (q.root != &ops::dense || !q.window.is_dense())
        return Verdict::no("'", q.name, "' is no dense layer on whole samples");
      if (Verdict v = has_constant_codes(q); !v) return v;
      if (Verdict v = fits_int32(q); !v) return v;
    }
    if (!q.tail->operands.empty() || q.tail->outputs.size() != 1)
      return Verdict::no("'", q.name, "' has further operands or results");
    if (has_parts(*q.tail)) return Verdict::no("'", q.name, "' is written into a concatenation");
    const Storage stored = q.tail->outputs[0].storage;
    if (i + 1 == run.size() && stored != Storage::f32())
      return Verdict::no("the last result is stored as ", stored, ", not float32");
    if (i + 1 < run.size() &&
        (stored != run[i + 1]->input_storage || elements_of(q) != run[i + 1]->window.c))
      return Verdict::no("'", q.name, "' is not what '", run[i + 1]->name, "' takes");
  }
  return Verdict::yes();
}

std::array<jit::Value, 4> emit_transpose(jit::Emitter& e, const std::array<jit::Value, 4>& x) {
  const auto wide = [&](jit::Value v) { return e.bitcast(v, jit::Element::i64); };
  const auto a = wide(e.interleave_low(x[0], x[1])), b = wide(e.interleave_high(x[0], x[1]));
  const auto c = wide(e.interleave_low(x[2], x[3])), d = wide(e.interleave_high(x[2], x[3]));
  std::array<jit::Value, 4> out{e.interleave_low(a, c), e.interleave_high(a, c),
                                e.interleave_low(b, d), e.interleave_high(b, d)};
  for (jit::Value& v : out) v = e.bitcast(v, x[0].element);
  return out;
}

void emit_store_samples(jit::Emitter& e, std::vector<jit::Value> units, jit::Value to,
                        const std::function<int64_t(int, int)>& sample) {
  const auto count = static_cast<int64_t>(units.size());
  while (units.size() % 4 != 0) units.push_back(units.back());
  std::vector<std::array<jit::Value, 4>> blocks;
  for (size_t u = 0; u < units.size(); u += 4)
    blocks.push_back(emit_transpose(e, {units[u], units[u + 1], units[u + 2], units[u + 3]}));
  std::map<int64_t, std::pair<int, int>> places;  // by sample
  for (int p = 0; p < 4; ++p)
    for (int i = 0; i < units[0].lanes / 4; ++i) places[sample(p, i)] = {p, i};
  for (const auto& [at, place] : places)
    for (size_t b = 0; b < blocks.size(); ++b)
      e.store(e.offset(to, (at * count + static_cast<int64_t>(b) * 4) * 4),
              e.slice(blocks[b][static_cast<size_t>(place.first)], 4 * place.second, 4));
}

}  // namespace qloom::kernels
