#include "tests/kernels/dense_run_problem.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <stdexcept>
#include <utility>

#include "graph/ops_table.h"
#include "jit/compiler.h"
#include "kernels/tail/tail_emit.h"
#include "tests/support/interpreting_emitter.h"

namespace qloom::testing {
namespace {

using kernels::Storage;
using kernels::Tail;
using kernels::TailOp;
using kernels::TailScalar;
using kernels::TailTable;

constexpr uint8_t kFill = 0xA5;

Numeric numeric_of(RunCodes codes) {
  switch (codes) {
    case RunCodes::binary:
      return Numeric::binary();
    case RunCodes::bit:
      return Numeric::bit();
    case RunCodes::three_bits:
      return Numeric::integers(-4, 3, 0);
    case RunCodes::two_bits:
    case RunCodes::folded:
      break;
  }
  return Numeric::integers(0, 3, 0);
}

Storage storage_of(RunCodes codes) {
  if (codes == RunCodes::binary || codes == RunCodes::bit) return Storage::bits();
  return Storage::bytes(codes == RunCodes::three_bits ? 4 : 0);
}

int step(Tail& tail, TailOp op, int a = -1, int b = -1, int c = -1, int index = -1) {
  tail.steps.push_back({op, a, b, c, index});
  return static_cast<int>(tail.steps.size()) - 1;
}
int constant(Tail& tail, std::vector<int32_t> values, bool per_channel = false) {
  tail.tables.push_back({.is_f32 = false,
                         .per_channel = per_channel,
                         .rows = 1,
                         .f32 = {},
                         .i32 = std::move(values)});
  return step(tail, TailOp::constant, -1, -1, -1, static_cast<int>(tail.tables.size()) - 1);
}
int real(Tail& tail, std::vector<float> values) {
  const bool per_channel = values.size() > 1;
  tail.tables.push_back(
      {.is_f32 = true, .per_channel = per_channel, .rows = 1, .f32 = std::move(values), .i32 = {}});
  return step(tail, TailOp::constant, -1, -1, -1, static_cast<int>(tail.tables.size()) - 1);
}
int count_ge(Tail& tail, int a, std::vector<int32_t> thresholds, int rows) {
  tail.tables.push_back({.is_f32 = false,
                         .per_channel = true,
                         .rows = rows,
                         .f32 = {},
                         .i32 = std::move(thresholds)});
  return step(tail, TailOp::count_ge, a, -1, -1, static_cast<int>(tail.tables.size()) - 1);
}

void output(Tail& tail, int of, int64_t n, const Numeric& numeric, Storage storage) {
  kernels::TailOutput o;
  o.step = of;
  o.type = {{Dim::batch(), n}, numeric, {}};
  o.storage = storage;
  tail.outputs.push_back(std::move(o));
}

/// Codes of sums, by thresholds of sums that occur.
void add_codes(Tail& tail, RunCodes codes, std::span<const int64_t> sums, int64_t n,
               std::mt19937_64& rng) {
  const Numeric numeric = numeric_of(codes);
  const auto rows = static_cast<int>(numeric.grid()->hi - numeric.grid()->lo);
  const bool is_binary = codes == RunCodes::binary;
  std::vector<int32_t> thresholds;
  for (int64_t i = 0; i < (is_binary ? 1 : rows) * n; ++i)
    thresholds.push_back(static_cast<int32_t>(sums[rng() % sums.size()]));
  int r = step(tail, TailOp::accumulator);
  if (uniform(rng, 0, 1) == 0) {  // channels that fall: thresholds of ~x
    std::vector<int32_t> masks;
    for (int64_t i = 0; i < n; ++i) masks.push_back(static_cast<int32_t>(-uniform(rng, 0, 1)));
    r = step(tail, TailOp::bit_xor, r, constant(tail, std::move(masks), true));
  }
  r = count_ge(tail, r, std::move(thresholds), is_binary ? 1 : rows);
  if (is_binary) r = step(tail, TailOp::multiply, r, constant(tail, {2}));
  if (codes == RunCodes::folded)
    r = step(tail, TailOp::bit_xor, r, step(tail, TailOp::shift_right, r, constant(tail, {1})));
  if (numeric.grid()->lo != 0)
    r = step(tail, TailOp::add, r, constant(tail, {static_cast<int32_t>(numeric.grid()->lo)}));
  output(tail, r, n, numeric, storage_of(codes));
}

void add_floats(Tail& tail, int64_t n, std::mt19937_64& rng) {
  std::vector<float> scales, offsets;
  for (int64_t i = 0; i < n; ++i) {
    scales.push_back(static_cast<float>(uniform(rng, 1, 1000)) / 300.0F);
    offsets.push_back(static_cast<float>(uniform(rng, -1000, 1000)) / 777.0F);
  }
  int r = step(tail, TailOp::to_f32, step(tail, TailOp::accumulator));
  r = step(tail, TailOp::multiply, r, real(tail, std::move(scales)));
  r = step(tail, TailOp::add, r, real(tail, std::move(offsets)));
  output(tail, r, n, Numeric::float32(), Storage::f32());
}

/// Rounded and clipped codes of float32.
void add_quantizer(Tail& tail, RunCodes codes, int64_t n) {
  const Numeric numeric = numeric_of(codes);
  int r = step(tail, TailOp::accumulator);
  if (codes == RunCodes::binary) {
    r = step(tail, TailOp::greater_equal, r, real(tail, {0.25F}));
    r = step(tail, TailOp::select, r, constant(tail, {1}), constant(tail, {-1}));
  } else {
    r = step(tail, TailOp::round_even, r);
    r = step(tail, TailOp::maximum, r, real(tail, {static_cast<float>(numeric.grid()->lo)}));
    r = step(tail, TailOp::minimum, r, real(tail, {static_cast<float>(numeric.grid()->hi)}));
    r = step(tail, TailOp::to_int, r);
  }
  output(tail, r, n, numeric, storage_of(codes));
}

}  // namespace

DenseRunSpec random_run(uint64_t seed, int64_t count) {
  std::mt19937_64 rng(seed);
  DenseRunSpec spec;
  spec.seed = seed;
  spec.count = count;
  spec.name = "run " + std::to_string(seed);
  spec.quantizes = uniform(rng, 0, 2) == 0;
  const std::vector<Numeric> weights{Numeric::binary(), Numeric::ternary(),
                                     Numeric::integers(-2, 1, 0), Numeric::integers(-7, 7, 0)};
  spec.weights = weights[rng() % weights.size()];
  const int64_t layers = uniform(rng, 2, 4);
  for (int64_t i = 0; i <= layers; ++i) {
    spec.widths.push_back(uniform(rng, 0, 2) == 0 ? uniform(rng, 1, 3) * 16 : uniform(rng, 1, 37));
    if (i < layers) spec.codes.push_back(static_cast<RunCodes>(uniform(rng, 0, kRunCodes - 1)));
  }
  spec.widths.back() = uniform(rng, 1, 11);
  return spec;
}

DenseRunProblem::DenseRunProblem(DenseRunSpec spec) : spec_(std::move(spec)) {
  std::mt19937_64 rng(spec_.seed);
  make_input(rng);
  for (size_t i = 0; i < spec_.codes.size(); ++i) make_layer(i, rng);
}

void DenseRunProblem::make_input(std::mt19937_64& rng) {
  const int64_t c = spec_.widths[0];
  const Numeric numeric = numeric_of(spec_.codes[0]);
  const Storage storage = storage_of(spec_.codes[0]);
  if (!spec_.quantizes) {
    for (int64_t i = 0; i < spec_.count * c; ++i) codes_.push_back(random_code(numeric, rng));
    input_.assign(static_cast<size_t>(spec_.count * kernels::run_bytes(storage, c)), 0);
    for (size_t i = 0; i < codes_.size(); ++i)
      kernels::write_code(input_.data(), storage, static_cast<int64_t>(i), c, codes_[i]);
    return;
  }
  auto& tail = *tails_.emplace_back(std::make_unique<Tail>());
  add_quantizer(tail, spec_.codes[0], c);
  auto query = std::make_shared<kernels::Query>();
  query->name = "quantizer";
  query->window.c = query->window.n = c;
  query->input = {{Dim::batch(), c}, Numeric::float32(), {}};
  query->input_storage = Storage::f32();
  query->tail = &tail;
  kernels::check_tail(tail, c, true);
  run_.push_back(std::move(query));
  for (int64_t i = 0; i < spec_.count * c; ++i) {
    const float x = static_cast<float>(uniform(rng, -400, 400)) / 64.0F;
    const auto* bytes = reinterpret_cast<const uint8_t*>(&x);
    input_.insert(input_.end(), bytes, bytes + sizeof x);
    const auto values = kernels::run_tail(tail, TailScalar::real(x), i % c, {});
    codes_.push_back(values[static_cast<size_t>(tail.outputs[0].step)].i);
  }
}

void DenseRunProblem::make_layer(size_t i, std::mt19937_64& rng) {
  const int64_t c = spec_.widths[i], n = spec_.widths[i + 1];
  const bool last = i + 1 == spec_.codes.size();
  auto query = std::make_shared<kernels::Query>();
  query->name = "layer" + std::to_string(i);
  query->root = &ops::dense;
  query->window = dense_window(c, n);
  query->input = {{Dim::batch(), c}, numeric_of(spec_.codes[i]), {}};
  query->input_storage = storage_of(spec_.codes[i]);
  query->weights = {{c, n}, spec_.weights, {}};
  std::vector<int64_t> w;
  for (int64_t k = 0; k < c * n; ++k) w.push_back(random_code(spec_.weights, rng));
  const Numeric::Grid grid = *query->input.numeric.grid();
  for (int64_t u = 0; u < n; ++u) {
    int64_t lo = 0, hi = 0;
    for (int64_t k = 0; k < c; ++k) {
      const auto [a, b] = std::minmax({w[static_cast<size_t>(k * n + u)] * grid.lo,
                                       w[static_cast<size_t>(k * n + u)] * grid.hi});
      lo += a;
      hi += b;
    }
    query->accumulator_lo.push_back(lo);
    query->accumulator_hi.push_back(hi);
  }
  std::vector<int64_t> sums;
  for (int64_t s = 0; s < spec_.count; ++s)
    for (int64_t u = 0; u < n; ++u) {
      int64_t sum = 0;
      for (int64_t k = 0; k < c; ++k)
        sum += codes_[static_cast<size_t>(s * c + k)] * w[static_cast<size_t>(k * n + u)];
      sums.push_back(sum);
    }
  weights_.push_back(std::make_unique<Tensor>(std::vector<int64_t>{c, n}, std::move(w)));
  query->weight_codes = weights_.back().get();
  auto& tail = *tails_.emplace_back(std::make_unique<Tail>());
  if (last)
    add_floats(tail, n, rng);
  else
    add_codes(tail, spec_.codes[i + 1], sums, n, rng);
  kernels::check_tail(tail, n);
  query->tail = &tail;
  run_.push_back(std::move(query));
  codes_.clear();
  for (size_t k = 0; k < sums.size(); ++k) {
    const TailScalar sum = TailScalar::integer(static_cast<int32_t>(sums[k]));
    const auto values = kernels::run_tail(tail, sum, static_cast<int64_t>(k) % n, {});
    const TailScalar& result = values[static_cast<size_t>(tail.outputs[0].step)];
    if (last)
      expected_.push_back(result.f);
    else
      codes_.push_back(result.i);
  }
}

std::string DenseRunProblem::difference(const kernels::DenseFunction& function,
                                        const Problem::Run& run) {
  constexpr auto kSlack = static_cast<size_t>(kernels::kSlackBytes);
  const auto block = [](size_t bytes) { return std::vector<uint8_t>(bytes + 2 * kSlack, kFill); };
  const std::vector<uint8_t> packed = function.pack();
  std::vector<uint8_t> input = block(input_.size()), constants = block(packed.size()),
                       output = block(expected_.size() * 4),
                       scratch = block(static_cast<size_t>(function.scratch_bytes()));
  std::ranges::copy(input_, input.begin() + kSlack);
  std::ranges::copy(packed, constants.begin() + kSlack);
  memory_.clear();
  std::vector<void*> buffers;
  for (auto* bytes : {&input, &constants, &output, &scratch}) {
    buffers.push_back(bytes->data() + kSlack);
    memory_.push_back(
        {bytes->data(), bytes->data() + bytes->size(), bytes == &output || bytes == &scratch});
  }
  run(buffers.data(), spec_.count, 0, 1);
  const int64_t n = spec_.widths.back();
  for (size_t i = 0; i < expected_.size(); ++i) {
    float got;
    std::memcpy(&got, output.data() + kSlack + 4 * i, 4);
    if (std::memcmp(&got, &expected_[i], 4) != 0)
      return "differs at sample " + std::to_string(static_cast<int64_t>(i) / n) + ", unit " +
             std::to_string(static_cast<int64_t>(i) % n) + ": expected " +
             std::to_string(expected_[i]) + ", got " + std::to_string(got);
  }
  for (size_t i = 0; i < kSlack; ++i)
    if (output[i] != kFill) return "a byte before the output was written";
  return "";
}

std::vector<DenseRunJob> jobs_of(DenseRunProblem& problem, const jit::Target& target) {
  std::vector<DenseRunJob> jobs;
  if (const Verdict v = kernels::check_dense_run(problem.run()); !v)
    throw std::logic_error(problem.spec().name + ": " + std::string(v.reason()));
  for (const kernels::DenseRunDef* def : kernels::all_dense_runs()) {
    if (!def->match(problem.run(), target)) continue;
    for (auto& function : def->prepare(problem.run(), target)) {
      const int64_t tile = function->tile();
      if (problem.spec().count % tile != 0) continue;
      jobs.push_back(
          {&problem, std::move(function),
           problem.spec().name + " " + std::string(def->name) + " " + std::to_string(tile)});
    }
  }
  return jobs;
}

std::vector<jit::FunctionSource> sources_of(const std::vector<DenseRunJob>& jobs) {
  std::vector<jit::FunctionSource> sources;
  for (const DenseRunJob& job : jobs)
    sources.push_back({"run_" + std::to_string(sources.size()),
                       [f = job.function](jit::Emitter& e) { f->emit(e); }});
  return sources;
}

std::vector<std::string> run_jobs(const std::vector<DenseRunJob>& jobs, Lowering lowering) {
  const jit::Target target = target_of(lowering);
  const bool interprets = lowering <= Lowering::interpreted_neon;
  const std::vector<jit::FunctionSource> sources = sources_of(jobs);
  std::shared_ptr<const jit::Code> code;
  if (!interprets)
    code = jit::compiler().load(jit::compiler().compile(sources, target, {}).elf, "dense runs");
  std::vector<std::string> differences;
  for (size_t i = 0; i < jobs.size(); ++i) {
    DenseRunProblem& problem = *jobs[i].problem;
    std::string text;
    if (interprets) {
      InterpretingEmitter e(target);
      jobs[i].function->emit(e);
      try {
        text = problem.difference(*jobs[i].function, [&](void* const* buffers, int64_t count,
                                                         int64_t begin, int64_t end) {
          std::vector<InterpretingEmitter::Region> regions;
          for (const Problem::Memory& m : problem.memory())
            regions.push_back({m.begin, m.end, m.writable});
          e.run(buffers, count, begin, end, std::move(regions));
        });
      } catch (const std::runtime_error& error) {
        text = error.what();
      }
    } else {
      text = problem.difference(
          *jobs[i].function, reinterpret_cast<jit::KernelFunction>(code->symbol(sources[i].name)));
    }
    if (!text.empty())
      differences.push_back(jobs[i].name + " " + to_string(lowering) + ": " + text);
  }
  return differences;
}

}  // namespace qloom::testing
