#include "tests/kernels/problem.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <span>
#include <stdexcept>

#include "graph/ops_table.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::testing {

using kernels::Query;
using kernels::Storage;
using kernels::TailOutput;
using kernels::TailScalar;
using kernels::Window;

namespace {

constexpr uint8_t kCanary = 0xA5;

Shape shape_of(int64_t h, int64_t w, int64_t c) { return {Dim::batch(), h, w, c}; }

}  // namespace

int64_t uniform(std::mt19937_64& rng, int64_t lo, int64_t hi) {
  return lo + static_cast<int64_t>(rng() % static_cast<uint64_t>(hi - lo + 1));
}

int64_t random_code(const Numeric& numeric, std::mt19937_64& rng) {
  const Numeric::Grid grid = *numeric.grid();
  switch (numeric.kind()) {
    case Numeric::Kind::binary:
      return uniform(rng, 0, 1) == 0 ? -1 : 1;
    case Numeric::Kind::power_of_two: {
      const int64_t steps = (numeric.max_exponent() - numeric.min_exponent()) / numeric.stride();
      const int64_t e = numeric.min_exponent() + uniform(rng, 0, steps) * numeric.stride();
      const int64_t magnitude = int64_t{1} << (e + grid.fraction);
      return numeric.is_signed() && uniform(rng, 0, 1) == 0 ? -magnitude : magnitude;
    }
    default:
      return uniform(rng, grid.lo, grid.hi);
  }
}

Window dense_window(int64_t c, int64_t n) {
  Window w;
  w.c = c;
  w.n = n;
  return w;
}

Window pool_window(int64_t h, int64_t w, int64_t c, int64_t kernel_h, int64_t kernel_w,
                   int64_t stride, Pad pad) {
  return conv_window(h, w, c, c, kernel_h, kernel_w, stride, 1, c, pad);
}

Window conv_window(int64_t h, int64_t w, int64_t c, int64_t n, int64_t kernel_h, int64_t kernel_w,
                   int64_t stride, int64_t dilation, int64_t groups, Pad pad) {
  Window g;
  g.h = h;
  g.w = w;
  g.c = c;
  g.n = n;
  g.kernel_h = kernel_h;
  g.kernel_w = kernel_w;
  g.stride_h = h == 1 && kernel_h == 1 ? 1 : stride;
  g.stride_w = stride;
  g.dilation_h = kernel_h == 1 ? 1 : dilation;
  g.dilation_w = kernel_w == 1 ? 1 : dilation;
  g.groups = groups;
  const int64_t reach_h = (kernel_h - 1) * g.dilation_h + 1,
                reach_w = (kernel_w - 1) * g.dilation_w + 1;
  auto extent = [&](int64_t size, int64_t reach, int64_t s, int64_t& before) {
    int64_t out = 0;
    if (pad == Pad::valid) {
      out = size < reach ? 0 : (size - reach) / s + 1;
    } else {
      out = (size + s - 1) / s;
      const int64_t total = std::max<int64_t>(0, (out - 1) * s + reach - size);
      before = pad == Pad::causal ? reach - 1 : total / 2;
      if (pad == Pad::causal) out = (size - 1) / s + 1;
    }
    if (out <= 0) throw std::invalid_argument("no output");
    return out;
  };
  g.out_h = extent(h, reach_h, g.stride_h, g.pad_top);
  g.out_w = extent(w, reach_w, g.stride_w, g.pad_left);
  return g;
}

Problem::Problem(const ProblemSpec& spec) : spec_(spec) {
  std::mt19937_64 rng(spec.seed);
  const Window& w = spec_.window;  // the output's is drawn where elements move
  query_.name = spec_.name;
  query_.root = spec_.elementwise ? nullptr : w.is_dense() ? &ops::dense : &ops::conv;
  query_.window = w;
  if (spec_.target) query_.target = &*spec_.target;
  query_.input = {shape_of(w.h, w.w, w.c), spec_.f32_input ? Numeric::float32() : spec_.input, {}};
  make_input(rng);
  query_.f32_accumulator = spec_.f32_input && !spec_.elementwise;
  if (spec_.softmax)
    query_.root = &ops::softmax;
  else if (spec_.motion != Motion::none)
    make_motion(rng);
  else if (spec_.pooling != kernels::Pooling::none)
    make_pooling();
  else if (!spec_.elementwise)
    make_weights(rng);
  compute_accumulators();
  make_tail(rng);
  if (spec_.parts) make_parts(rng);
  query_.tail = &tail_;
  kernels::check_tail(tail_, w.n, spec_.f32_input);
  compute_outputs();
}

void Problem::make_input(std::mt19937_64& rng) {
  const Window& w = spec_.window;
  const auto n = static_cast<size_t>(spec_.count * w.h * w.w * w.c);
  if (spec_.f32_input) {
    for (size_t i = 0; i < n; ++i)
      f32_input_.push_back(static_cast<float>(uniform(rng, -2000, 2000)) / 64.0F);
    if (spec_.elementwise) return;
    // Numbers far apart, so that a sum in another order would lose other bits.
    for (float& v : f32_input_)
      if (spec_.softmax)
        v /= 8;
      else if (uniform(rng, 0, 2) == 0)
        v = std::ldexp(v, -35);
    const bool compares = spec_.softmax || spec_.pooling == kernels::Pooling::maximum;
    if (!compares || spec_.tail != TailKind::plain) return;
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const float special[] = {std::numeric_limits<float>::quiet_NaN(), -0.0F, 0.0F, -kInfinity,
                             kInfinity};
    for (float& v : f32_input_)
      if (uniform(rng, 0, spec_.softmax ? 49 : 9) == 0) v = special[uniform(rng, 0, 4)];
    return;
  }
  for (size_t i = 0; i < n; ++i) input_.push_back(random_code(spec_.input, rng));
}

void Problem::make_weights(std::mt19937_64& rng) {
  const Window& w = spec_.window;
  const int64_t size = w.kernel_h * w.kernel_w * (w.c / w.groups) * w.n;
  if (spec_.f32_input) {
    query_.weights = {{w.kernel_h, w.kernel_w, w.c / w.groups, w.n}, Numeric::float32(), {}};
    std::vector<float> values;  // equal magnitudes too, so that sums cancel
    for (int64_t i = 0; i < size; ++i)
      values.push_back(uniform(rng, 0, 1) == 0 ? static_cast<float>(uniform(rng, -1, 1))
                                               : static_cast<float>(uniform(rng, -999, 999)) / 700);
    query_.weight_values = Tensor({w.kernel_h, w.kernel_w, w.c / w.groups, w.n}, std::move(values));
    return;
  }
  std::vector<int64_t> codes;
  for (int64_t i = 0; i < size; ++i) codes.push_back(random_code(spec_.weights, rng));
  query_.weights = {{w.kernel_h, w.kernel_w, w.c / w.groups, w.n}, spec_.weights, {}};
  // The exact interval of each accumulator.
  const Numeric::Grid grid = *spec_.input.grid();
  const bool padded = w.has_padding();
  for (int64_t n = 0; n < w.n; ++n) {
    int64_t lo = 0, hi = 0;
    for (int64_t k = 0; k < size / w.n; ++k) {
      const int64_t c = codes[static_cast<size_t>(k * w.n + n)];
      int64_t a = c * grid.lo, b = c * grid.hi;
      if (a > b) std::swap(a, b);
      lo += padded ? std::min<int64_t>(a, 0) : a;
      hi += padded ? std::max<int64_t>(b, 0) : b;
    }
    query_.accumulator_lo.push_back(lo);
    query_.accumulator_hi.push_back(hi);
  }
  weight_codes_ = Tensor({w.kernel_h, w.kernel_w, w.c / w.groups, w.n}, std::move(codes));
  query_.weight_codes = &weight_codes_;
}

void Problem::make_pooling() {
  const Window& w = spec_.window;
  query_.pooling = spec_.pooling;
  query_.root = &ops::pool;
  if (spec_.f32_input) return;
  const Numeric::Grid grid = *spec_.input.grid();
  const int64_t cells = spec_.pooling == kernels::Pooling::sum ? w.kernel_h * w.kernel_w : 1;
  query_.accumulator_lo = {w.has_padding() ? std::min<int64_t>(grid.lo * cells, grid.lo)
                                           : grid.lo * cells};
  query_.accumulator_hi = {w.has_padding() ? std::max<int64_t>(grid.hi * cells, grid.hi)
                                           : grid.hi * cells};
}

template <class Begin, class Term>
void Problem::for_each_term(const Begin& begin, const Term& term) const {
  const Window& w = spec_.window;
  const int64_t group_c = w.c / w.groups, group_n = w.n / w.groups;
  for (int64_t s = 0; s < spec_.count; ++s)
    for (int64_t oy = 0; oy < w.out_h; ++oy)
      for (int64_t ox = 0; ox < w.out_w; ++ox)
        for (int64_t n = 0; n < w.n; ++n) {
          begin();
          for (int64_t ky = 0; ky < w.kernel_h; ++ky)
            for (int64_t kx = 0; kx < w.kernel_w; ++kx) {
              const int64_t y = oy * w.stride_h + ky * w.dilation_h - w.pad_top;
              const int64_t x = ox * w.stride_w + kx * w.dilation_w - w.pad_left;
              if (y < 0 || y >= w.h || x < 0 || x >= w.w) continue;
              for (int64_t c = 0; c < group_c; ++c) {
                const int64_t channel = n / group_n * group_c + c;
                term(static_cast<size_t>(((s * w.h + y) * w.w + x) * w.c + channel),
                     static_cast<size_t>(((ky * w.kernel_w + kx) * group_c + c) * w.n + n));
              }
            }
        }
}

void Problem::compute_accumulators() {
  using kernels::Pooling;
  if (spec_.elementwise) {
    accumulators_ = input_;
    f32_accumulators_ = f32_input_;
    return;
  }
  if (spec_.softmax) return compute_softmax();
  if (spec_.motion != Motion::none) return compute_motion();
  const bool pools = spec_.pooling != Pooling::none;
  if (!spec_.f32_input) {
    const auto weights = pools ? std::span<const int64_t>() : weight_codes_.i64();
    bool first = true;
    for_each_term(
        [&] {
          accumulators_.push_back(0);
          first = true;
        },
        [&](size_t at, size_t weight) {
          int64_t& sum = accumulators_.back();
          if (spec_.pooling == Pooling::maximum)
            sum = first ? input_[at] : std::max(sum, input_[at]);
          else
            sum += input_[at] * (pools ? 1 : weights[weight]);
          first = false;
        });
    return;
  }
  if (spec_.pooling == Pooling::maximum) {
    bool first = true;
    for_each_term(
        [&] {
          f32_accumulators_.push_back(0);
          first = true;
        },
        [&](size_t at, size_t) {
          float& best = f32_accumulators_.back();
          const float v = f32_input_[at];
          if (first || v > best || v != v) best = v;
          first = false;
        });
    return;
  }
  const auto weights = pools ? std::span<const float>() : query_.weight_values->f32();
  std::vector<double> sums;
  for_each_term([&] { sums.push_back(0); },
                [&](size_t at, size_t weight) {
                  sums.back() += static_cast<double>(f32_input_[at]) *
                                 (pools ? 1.0 : static_cast<double>(weights[weight]));
                });
  for (const double sum : sums) f32_accumulators_.push_back(static_cast<float>(sum));
}

void Problem::compute_softmax() {
  const auto n = static_cast<size_t>(spec_.window.n);
  for (size_t first = 0; first < f32_input_.size(); first += n) {
    double largest = -std::numeric_limits<double>::infinity(), sum = 0;
    for (size_t i = 0; i < n; ++i) largest = std::max<double>(largest, f32_input_[first + i]);
    std::vector<double> powers;
    for (size_t i = 0; i < n; ++i) {
      powers.push_back(std::exp(f32_input_[first + i] - largest));
      sum += powers.back();
    }
    for (const double power : powers) f32_accumulators_.push_back(static_cast<float>(power / sum));
  }
}

void Problem::compute_outputs() {
  const int64_t total = spec_.count * spec_.window.out_h * spec_.window.out_w * spec_.window.n;
  outputs_.resize(tail_.outputs.size());
  for (int64_t i = 0; i < total; ++i) {
    std::vector<TailScalar> operands;
    for (const auto& codes : operands_)
      operands.push_back(TailScalar::integer(static_cast<int32_t>(codes[static_cast<size_t>(i)])));
    const TailScalar a =
        spec_.f32_input
            ? TailScalar::real(f32_accumulators_[static_cast<size_t>(i)])
            : TailScalar::integer(static_cast<int32_t>(accumulators_[static_cast<size_t>(i)]));
    const auto values = kernels::run_tail(tail_, a, i % spec_.window.n, operands);
    for (size_t k = 0; k < tail_.outputs.size(); ++k)
      outputs_[k].push_back(values[static_cast<size_t>(tail_.outputs[k].step)]);
  }
}

const Query& Problem::query_for(const kernels::KernelDef& kernel) {
  Query& query = queries_[&kernel];
  query = query_;
  query.input_storage = kernel.input_storage(query_);
  return query;
}

double Problem::most_frequent_share() const {
  double worst = 0;
  for (const auto& output : outputs_) {
    std::map<int64_t, int> counts;
    int most = 0;
    for (const TailScalar& v : output) {
      int32_t bits = v.i;
      if (v.is_f32) std::memcpy(&bits, &v.f, 4);
      most = std::max(most, ++counts[bits]);
    }
    worst = std::max(worst, static_cast<double>(most) / static_cast<double>(output.size()));
  }
  return worst;
}

std::string Problem::walk(const Query& query, const std::vector<uint8_t>& constants,
                          int64_t scratch_bytes, const Run& run, int64_t count, int64_t items,
                          bool compares) {
  const Window& w = spec_.window;
  const int64_t slack = kernels::kSlackBytes;
  std::vector<std::vector<uint8_t>> blocks;
  auto block = [&](int64_t bytes) -> uint8_t* {
    blocks.emplace_back(static_cast<size_t>(bytes + 2 * slack), kCanary);
    return blocks.back().data() + slack;
  };
  blocks.reserve(16);
  memory_.clear();
  std::vector<void*> buffers;
  std::vector<int64_t> pitches;  // bytes per sample
  auto add = [&](uint8_t* at, int64_t bytes, bool writable, int64_t samples = 0) {
    buffers.push_back(at);
    pitches.push_back(samples > 0 ? bytes / samples : 0);
    memory_.push_back({at - slack, at + bytes + slack, writable});
  };
  auto store = [&](uint8_t* at, const std::vector<int64_t>& codes, Storage storage, int64_t last) {
    std::memset(at, 0,
                static_cast<size_t>(static_cast<int64_t>(codes.size()) / last *
                                    kernels::run_bytes(storage, last)));
    for (size_t i = 0; i < codes.size(); ++i)
      kernels::write_code(at, storage, static_cast<int64_t>(i), last, codes[i]);
  };

  const int64_t in_bytes = spec_.count * w.h * w.w * kernels::run_bytes(query.input_storage, w.c);
  uint8_t* in = block(in_bytes);
  if (!f32_input_.empty())
    std::memcpy(in, f32_input_.data(), f32_input_.size() * 4);
  else
    store(in, input_, query.input_storage, w.c);
  add(in, in_bytes, false, spec_.count);
  const int64_t positions = w.out_h * w.out_w;
  for (size_t i = 0; i < operands_.size(); ++i) {
    const Storage storage = tail_.operands[i].storage;
    const int64_t bytes = spec_.count * positions * kernels::run_bytes(storage, w.n);
    uint8_t* at = block(bytes);
    store(at, operands_[i], storage, w.n);
    add(at, bytes, false, spec_.count);
  }
  uint8_t* c = block(static_cast<int64_t>(constants.size()));
  if (!constants.empty()) std::memcpy(c, constants.data(), constants.size());
  add(c, static_cast<int64_t>(constants.size()), false);
  std::vector<uint8_t*> out;
  for (size_t k = 0; k < tail_.outputs.size(); ++k) {
    const int64_t bytes = output_bytes(k, count);
    out.push_back(block(bytes));
    add(out.back(), bytes, true, count);
  }
  uint8_t* scratch = block(scratch_bytes);
  add(scratch, scratch_bytes, true);

  run(buffers.data(), count, 0, items);
  if (std::string text = compares ? compare(out, count) : ""; !text.empty() || items == 1)
    return text;

  constexpr int64_t kParts = 3;
  for (size_t k = 0; k < out.size(); ++k)
    std::memset(out[k], kCanary, static_cast<size_t>(output_bytes(k, count)));
  const int64_t parts = std::min(kParts, items);
  for (int64_t s = count - 1; s >= 0; --s)
    for (int64_t part = parts - 1; part >= 0; --part) {
      std::memset(scratch, kCanary, static_cast<size_t>(scratch_bytes));
      std::vector<void*> of_sample = buffers;
      for (size_t i = 0; i < of_sample.size(); ++i)
        of_sample[i] = static_cast<uint8_t*>(of_sample[i]) + s * pitches[i];
      run(of_sample.data(), 1, part * items / parts, (part + 1) * items / parts);
    }
  const std::string text = compares ? compare(out, count) : "";
  return text.empty() ? "" : "computed in parts: " + text;
}

int64_t Problem::output_bytes(size_t k, int64_t count) const {
  const Window& w = spec_.window;
  return count * w.out_h * w.out_w * kernels::pitch_of(tail_.outputs[k], w.n);
}

std::vector<uint8_t> Problem::runs_of(size_t k, const uint8_t* out, int64_t count,
                                      bool& touched) const {
  const TailOutput& output = tail_.outputs[k];
  const int64_t n = spec_.window.n, run = kernels::run_bytes(output.storage, n);
  const int64_t used = output.storage.kind == Storage::Kind::bits ? (n + 7) / 8 : run;
  const int64_t bytes = output_bytes(k, count);
  std::vector<uint8_t> runs(static_cast<size_t>(bytes / output.pitch * run), 0);
  for (int64_t i = 0; i < bytes + kernels::kSlackBytes; ++i) {
    const int64_t at = i % output.pitch - output.offset;
    if (i < bytes && at >= 0 && at < used)
      runs[static_cast<size_t>(i / output.pitch * run + at)] = out[i];
    else
      touched = touched || out[i] != kCanary;
  }
  return runs;
}

std::string Problem::compare(const std::vector<uint8_t*>& out, int64_t count) const {
  const Window& w = spec_.window;
  const int64_t positions = w.out_h * w.out_w, slack = kernels::kSlackBytes;
  for (size_t k = 0; k < tail_.outputs.size(); ++k) {
    const Storage storage = tail_.outputs[k].storage;
    bool touched = false;
    std::vector<uint8_t> runs;
    if (tail_.outputs[k].pitch > 0) runs = runs_of(k, out[k], count, touched);
    if (touched)
      return "output " + std::to_string(k) + ": something beside its channels was written";
    const uint8_t* const result = runs.empty() ? out[k] : runs.data();
    const int64_t bytes = count * positions * kernels::run_bytes(storage, w.n);
    std::vector<uint8_t> expected(static_cast<size_t>(bytes), 0);
    const int64_t total = count * positions * w.n;
    for (int64_t i = 0; i < total; ++i) {
      const TailScalar& v = outputs_[k][static_cast<size_t>(i)];
      if (v.is_f32) {
        // Which NaN an operation makes is the processor's choice: any stands for any.
        float got;
        std::memcpy(&got, result + i * 4, 4);
        const float wanted = std::isnan(v.f) && std::isnan(got) ? got : v.f;
        std::memcpy(expected.data() + i * 4, &wanted, 4);
      } else
        kernels::write_code(expected.data(), storage, i, w.n, v.i);
    }
    if (std::memcmp(expected.data(), result, expected.size()) != 0) {
      int64_t at = 0;
      while (expected[static_cast<size_t>(at)] == result[at]) ++at;
      if (storage.kind == Storage::Kind::bits)
        return "output " + std::to_string(k) + " (bits) differs at byte " + std::to_string(at);
      const int64_t i = at / kernels::element_bytes(storage);
      const TailScalar& v = outputs_[k][static_cast<size_t>(i)];
      std::string text = "output " + std::to_string(k) + " differs at sample " +
                         std::to_string(i / (positions * w.n)) + ", position " +
                         std::to_string(i / w.n % positions) + ", channel " +
                         std::to_string(i % w.n) + ": expected ";
      if (v.is_f32) {
        float got;
        std::memcpy(&got, result + i * 4, 4);
        return text + std::to_string(v.f) + ", got " + std::to_string(got);
      }
      return text + std::to_string(v.i) + ", got " +
             std::to_string(kernels::read_code(result, storage, i, w.n));
    }
    // Nothing may be written before an output (after it: slack).
    for (int64_t i = 1; i <= slack; ++i)
      if (out[k][-i] != kCanary)
        return "output " + std::to_string(k) + ": a byte before the buffer was written";
  }
  return "";
}

}  // namespace qloom::testing
