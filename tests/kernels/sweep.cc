#include "tests/kernels/sweep.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "kernels/kernels_table.h"

namespace qloom::testing {

using kernels::KernelDef;
using kernels::Window;

namespace {

std::vector<Numeric> value_sets() {
  std::vector<Numeric> sets{Numeric::binary(),
                            Numeric::ternary(),
                            Numeric::bit(),
                            Numeric::power_of_two(-6, 0, true),
                            Numeric::power_of_two(-10, 3, true, true),
                            Numeric::integers(-3, 10, 0),
                            Numeric::fixed(12, 0, true)};
  for (int bits = 1; bits <= 8; ++bits) {
    sets.push_back(Numeric::fixed(bits, 0, false));
    if (bits > 1) sets.push_back(Numeric::fixed(bits, 0, true));
  }
  return sets;
}

/// A random problem of the sweep's space; throws std::invalid_argument where the combination has no
/// output.
ProblemSpec random_spec(std::mt19937_64& rng) {
  auto pick = [&rng](const auto& list) { return list[rng() % list.size()]; };
  ProblemSpec spec;
  spec.seed = rng();
  spec.tail = static_cast<TailKind>(rng() % kTailKinds);
  const std::vector<Numeric> sets = value_sets();
  spec.input = pick(sets);
  spec.weights = pick(sets);
  if (rng() % 3 == 0) spec.input = spec.weights = Numeric::binary();
  const std::vector<int64_t> ns{1, 3, 8, 10, 16, 24, 33, 64}, cs{1, 3, 5, 8, 16, 64, 65},
      sizes{1, 5, 7, 14};
  const std::vector<std::pair<int64_t, int64_t>> kernel_sizes{{1, 1}, {3, 3}, {5, 5},
                                                              {1, 7}, {3, 3}, {2, 2}};
  const uint64_t form = rng() % 14;
  if (form == 0) {  // dense: counts below, at and above the tiles'
    spec.window = dense_window(pick(cs) * (1 + static_cast<int64_t>(rng() % 3)), pick(ns));
    spec.count = 1 + static_cast<int64_t>(rng() % 17);
  } else if (form == 1) {  // elementwise
    spec.elementwise = true;
    spec.f32_input = rng() % 3 == 0;
    const int64_t h = pick(sizes), w = pick(sizes), n = pick(ns);
    spec.window.h = spec.window.out_h = h;
    spec.window.w = spec.window.out_w = w;
    spec.window.c = spec.window.n = n;
  } else if (form == 2) {  // depthwise
    const int64_t c = pick(cs), multiplier = 1 + static_cast<int64_t>(rng() % 3);
    if (multiplier == 1) {
      spec.input = Numeric::binary();
      if (rng() % 2 == 0) spec.weights = rng() % 2 == 0 ? Numeric::binary() : Numeric::ternary();
    }
    const auto [kh, kw] = pick(kernel_sizes);
    spec.window = conv_window(pick(sizes), pick(sizes), c, c * multiplier, kh, kw, 1 + rng() % 3,
                              1 + rng() % 2, c, static_cast<Pad>(rng() % 2));
  } else if (form == 3) {  // one-dimensional
    const auto kw = static_cast<int64_t>(1 + rng() % 7);
    spec.window = conv_window(1, pick(sizes) + 3, pick(cs), pick(ns), 1, kw, 1 + rng() % 3,
                              1 + rng() % 2, 1, static_cast<Pad>(rng() % 3));
  } else if (form == 13) {  // few bits, 3×3, stride 1: minimal filtering
    const std::vector<int64_t> sides{3, 5, 7, 8, 14};
    const auto bits = [&rng] { return 2 + static_cast<int>(rng() % 3); };
    spec.input = Numeric::fixed(bits(), 0, rng() % 2 == 0);
    spec.weights = rng() % 3 == 0 ? Numeric::ternary() : Numeric::fixed(bits(), 0, true);
    spec.window = conv_window(pick(sides), pick(sides), pick(cs), pick(ns), 3, 3, 1, 1, 1,
                              static_cast<Pad>(rng() % 2));
  } else if (form == 10) {
    spec.softmax = true;
    spec.window.h = spec.window.out_h = pick(sizes);
    spec.window.c = spec.window.n = pick(ns) * (1 + static_cast<int64_t>(rng() % 3));
  } else if (form > 10) {
    constexpr Motion kMotions[] = {Motion::slice, Motion::permute, Motion::repeat,
                                   Motion::pad,   Motion::rows,    Motion::bilinear};
    spec.motion = kMotions[rng() % std::size(kMotions)];
    spec.window.h = pick(sizes);
    spec.window.w = pick(sizes);
    spec.window.c = pick(cs);
  } else if (form >= 8) {  // pooling
    const std::vector<std::pair<int64_t, int64_t>> windows{{2, 2}, {3, 3}, {1, 2}, {5, 5}, {1, 1}};
    const auto [kh, kw] = pick(windows);
    spec.pooling = rng() % 2 == 0 ? kernels::Pooling::maximum : kernels::Pooling::sum;
    spec.window = pool_window(kh == 1 ? 1 : pick(sizes), pick(sizes), pick(cs), kh, kw,
                              1 + rng() % 3, static_cast<Pad>(rng() % 2));
    if (rng() % 4 == 0) {  // of whole images
      const int64_t h = pick(sizes), w = pick(sizes);
      spec.window = pool_window(h, w, pick(cs), h, w, 1, Pad::valid);
    }
  } else {
    const auto [kh, kw] = pick(kernel_sizes);
    int64_t c = pick(cs), n = pick(ns), groups = 1;
    if (rng() % 4 == 0) {
      groups = 2;
      c += c % 2;
      n += n % 2;
    }
    spec.window = conv_window(pick(sizes), pick(sizes), c, n, kh, kw, 1 + rng() % 3, 1 + rng() % 2,
                              groups, static_cast<Pad>(rng() % 2));
  }
  if (spec.softmax || spec.motion == Motion::bilinear)
    spec.f32_input = true;
  else if (form != 1)
    spec.f32_input = rng() % (form == 2 ? 2 : 5) == 0;
  spec.parts = rng() % 3 == 0;
  const Window& w = spec.window;
  spec.name =
      "h" + std::to_string(w.h) + "w" + std::to_string(w.w) + "c" + std::to_string(w.c) + "n" +
      std::to_string(w.n) + "k" + std::to_string(w.kernel_h) + "x" + std::to_string(w.kernel_w) +
      "s" + std::to_string(w.stride_w) + "d" + std::to_string(w.dilation_w) + "g" +
      std::to_string(w.groups) + "p" + std::to_string(w.pad_top) + "," +
      std::to_string(w.pad_left) + (spec.elementwise ? "e" : "") + (spec.softmax ? "softmax" : "") +
      (spec.motion == Motion::none ? ""
                                   : "motion" + std::to_string(static_cast<int>(spec.motion))) +
      (spec.pooling == kernels::Pooling::none      ? ""
       : spec.pooling == kernels::Pooling::maximum ? "max"
                                                   : "sum") +
      (spec.f32_input ? "f" : "") + (spec.parts ? " parts " : " ") + spec.input.to_string() + "·" +
      spec.weights.to_string() + " tail " + std::to_string(static_cast<int>(spec.tail)) +
      " count " + std::to_string(spec.count) + " seed " + std::to_string(spec.seed);
  return spec;
}

}  // namespace

std::vector<const KernelDef*> emitted_kernels() {
  std::vector<const KernelDef*> list;
  for (const KernelDef* kernel : kernels::all_kernels())
    if (kernel->is_for_regions()) list.push_back(kernel);
  return list;
}

uint64_t sweep_seed() {
  const char* text = std::getenv("QLOOM_TEST_SEED");
  return text == nullptr ? 20240607 : std::strtoull(text, nullptr, 10);
}

Sweep make_sweep(uint64_t seed, int per_kernel, int variants, int64_t limit_macs,
                 const std::optional<jit::Target>& target) {
  std::mt19937_64 rng(seed);
  Sweep sweep;
  auto list = emitted_kernels();
  if (!target || target->lowering != jit::Lowering::avx512)
    std::erase(list, kernels::find_kernel("conv_table_wide"));  // says no to all others
  const jit::Target variants_for = target ? *target : target_of(Lowering::interpreted);
  int tries = 0;
  auto done = [&] {
    return std::ranges::all_of(
        list, [&](const KernelDef* k) { return sweep.matched[k->name] >= per_kernel; });
  };
  const int most_tries = 600 * std::max(per_kernel, 20);  // some kernels match rarely
  while (!done() && ++tries < most_tries) {
    std::unique_ptr<Problem> problem;
    try {
      ProblemSpec spec = random_spec(rng);
      spec.target = target;
      if (spec.window.macs() * spec.count > limit_macs) continue;
      problem = std::make_unique<Problem>(spec);
    } catch (const std::invalid_argument&) {
      continue;
    }
    bool used = false;
    for (const KernelDef* kernel : list) {
      if (sweep.matched[kernel->name] >= per_kernel || !kernel->match(problem->query())) continue;
      if (kernels::has_parts(*problem->query().tail) && !kernel->stores_parts) continue;
      ++sweep.matched[kernel->name];
      used = true;
      auto candidates = kernel->variants(problem->query_for(*kernel), variants_for);
      EXPECT_FALSE(candidates.empty()) << problem->spec().name;
      std::shuffle(candidates.begin(), candidates.end(), rng);
      for (size_t i = 0; i < candidates.size() && i < static_cast<size_t>(variants); ++i)
        sweep.jobs.push_back({kernel, problem.get(), candidates[i]});
    }
    if (!used) continue;
    const Window& w = problem->spec().window;
    if (w.out_h * w.out_w * w.n * problem->spec().count >= 64) {
      ++sweep.checked_outputs;
      if (problem->most_frequent_share() > 0.97) ++sweep.constant_outputs;
    }
    sweep.problems.push_back(std::move(problem));
  }
  for (const KernelDef* kernel : list)
    EXPECT_GE(sweep.matched[kernel->name], per_kernel)
        << kernel->name << ": too few problems match";
  // A test whose outputs are constant proves nothing. Some are, by chance: thresholds drawn equal.
  EXPECT_LT(sweep.constant_outputs * 10, sweep.checked_outputs) << "outputs are nearly constant";
  return sweep;
}

}  // namespace qloom::testing
