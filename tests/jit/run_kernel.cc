#include "tests/jit/run_kernel.h"

#include <cmath>
#include <iterator>
#include <limits>

#include "graph/support/error.h"

namespace qloom::jit::testing {

Lanes random_lanes(Element e, int lanes, bool special, std::mt19937_64& random) {
  Lanes v(e, lanes);
  const int width = 8 * bytes_of(e);
  for (int i = 0; i < lanes; ++i) {
    const uint64_t r = random();
    const auto kind = static_cast<int>(random() % 8);
    if (e == Element::f32) {
      constexpr float kInfinity = std::numeric_limits<float>::infinity();
      constexpr float kSpecial[] = {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN(),
                                    3e38f, -3e38f};
      constexpr float kPlain[] = {0.0f,    -0.0f,         0.5f,          -0.5f,       1.5f,
                                  2.5f,    8388607.5f,    8388608.0f,    -8388609.0f, 1e-40f,
                                  -1e-45f, 2147483520.0f, -2147483520.0f};
      const double spread = std::ldexp(1.0, static_cast<int>(r % 33) - 4) / 8;
      const double uniform = static_cast<double>(random() >> 11) * 0x1p-52 - 1;
      float x = static_cast<float>(uniform * spread);
      if (kind == 0) x = kPlain[r % std::size(kPlain)];
      if (kind == 1 && special) x = kSpecial[r % std::size(kSpecial)];
      if (kind == 2) x = static_cast<float>(static_cast<int>(r % 2001) - 1000) / 2;
      v.set_real(i, x);
    } else {
      const uint64_t top = uint64_t{1} << (width - 1);
      const uint64_t extremes[] = {0, 1, ~uint64_t{0}, top, top - 1, 2};
      v.set(i, static_cast<int64_t>(kind == 0 ? extremes[r % std::size(extremes)] : r));
    }
  }
  return v;
}

bool same(const Lanes& a, const Lanes& b) {
  if (a.element != b.element || a.lanes != b.lanes) return false;
  if (a.element != Element::f32) return a.bytes == b.bytes;
  for (int i = 0; i < a.lanes; ++i) {
    const bool nan = std::isnan(a.real(i)) && std::isnan(b.real(i));
    if (!nan && a.get(i) != b.get(i)) return false;
  }
  return true;
}

std::string print(const Lanes& v) {
  std::string text;
  for (int i = 0; i < v.lanes; ++i) {
    text +=
        (i ? " " : "") + (v.element == Element::f32 ? join_text(v.real(i)) : join_text(v.get(i)));
  }
  return text;
}

std::vector<Target> runnable_targets() {
  std::vector<Target> targets = {Target::portable()};
  if (Target::avx2().lowering == Lowering::avx2) targets.push_back(Target::avx2());
  if (Target::host().lowering == Lowering::avx512) targets.push_back(Target::host());
  return targets;
}

std::shared_ptr<const Code> build(const std::vector<FunctionSource>& functions,
                                  const Target& target) {
  const CompiledObject object = compiler().compile(functions, target, {});
  return compiler().load(object.elf, functions.front().name);
}

void build_and_run(const std::function<void(Emitter&)>& emit, const Target& target,
                   const std::vector<void*>& buffers, int64_t count) {
  const auto code = build({{"kernel", emit}}, target);
  auto* run = reinterpret_cast<KernelFunction>(code->symbol("kernel"));
  qloom_assert(run, "the kernel has no symbol");
  run(buffers.data(), count, 0, 1);
}

}  // namespace qloom::jit::testing
