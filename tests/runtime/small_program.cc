#include "tests/runtime/small_program.h"

#include <cstring>

namespace qloom::runtime {
namespace {

constexpr float kFactors[kElements] = {0.5f, -1.25f, 3.0f, 0.1f, -7.0f};

void scale_sample(const float* x, const float* y, const float* factors, float* out) {
  for (int64_t i = 0; i < kElements; ++i) out[i] = (x[i] + y[i]) * factors[i];
}

void mix_sample(const float* x, float* prefix, float* out) {
  float sum = 0;
  for (int64_t i = 0; i < kElements; ++i) prefix[i] = sum += x[i];
  for (int64_t i = 0; i < kOutputs; ++i) out[i] = prefix[i + 2] - prefix[i];
}

}  // namespace

// Buffers: x, y, constants, scaled.
void scale_call(void* const* buffers, int64_t count, int64_t, int64_t) {
  for (int64_t s = 0; s < count; ++s)
    scale_sample(static_cast<const float*>(buffers[0]) + s * kElements,
                 static_cast<const float*>(buffers[1]) + s * kElements,
                 static_cast<const float*>(buffers[2]),
                 static_cast<float*>(buffers[3]) + s * kElements);
  // Kernels may write so much behind what they store; who reads it gets what he deserves.
  std::memset(static_cast<float*>(buffers[3]) + count * kElements, 0xff, kernels::kSlackBytes);
}

// Buffers: scaled, constants, mixed, scratch.
void mix_call(void* const* buffers, int64_t count, int64_t, int64_t) {
  auto* scratch = static_cast<float*>(buffers[3]);
  for (int64_t s = 0; s < count; ++s)
    mix_sample(static_cast<const float*>(buffers[0]) + s * kElements, scratch,
               static_cast<float*>(buffers[2]) + s * kOutputs);
}

namespace {

// The same for work items [begin, end) of each sample: elements. Nothing else is written.
void scale_items(void* const* buffers, int64_t count, int64_t begin, int64_t end) {
  const auto* x = static_cast<const float*>(buffers[0]);
  const auto* y = static_cast<const float*>(buffers[1]);
  const auto* factors = static_cast<const float*>(buffers[2]);
  auto* out = static_cast<float*>(buffers[3]);
  for (int64_t s = 0; s < count; ++s)
    for (int64_t i = s * kElements + begin; i < s * kElements + end; ++i)
      out[i] = (x[i] + y[i]) * factors[i - s * kElements];
}

void mix_items(void* const* buffers, int64_t count, int64_t begin, int64_t end) {
  auto* prefix = static_cast<float*>(buffers[3]);
  for (int64_t s = 0; s < count; ++s) {
    const float* x = static_cast<const float*>(buffers[0]) + s * kElements;
    float* out = static_cast<float*>(buffers[2]) + s * kOutputs;
    float sum = 0;
    for (int64_t i = 0; i < kElements; ++i) prefix[i] = sum += x[i];
    for (int64_t i = begin; i < end; ++i) out[i] = prefix[i + 2] - prefix[i];
    for (int64_t i = 0; i < kElements; ++i) prefix[i] = -1;  // nobody else may need it
  }
}

}  // namespace

std::shared_ptr<const jit::Code> small_code() {
  return std::make_shared<FunctionTable>(
      std::map<std::string, jit::KernelFunction>{{"scale", scale_call},
                                                 {"mix", mix_call},
                                                 {"scale_items", scale_items},
                                                 {"mix_items", mix_items}});
}

Program small_program() {
  Program p;
  p.model = "small";
  const TensorType in{{Dim::batch(), kElements}, Numeric::float32(), {}};
  const TensorType out{{Dim::batch(), kOutputs}, Numeric::float32(), {}};
  p.inputs = {{"x", in.shape, 0, in, true}, {"y", in.shape, 1, in, false}};
  p.outputs = {{"mixed", out.shape, 3, out, false}};
  const int64_t bytes = 24, gap = 256;  // 20 bytes a sample, rounded up to a multiple of 8
  p.buffers = {{"x", 20, 0, 0, -1, 0, false},
               {"y", 20, bytes, gap, -1, 0, false},
               {"scaled", 20, 2 * bytes, 2 * gap, 0, 1, false},
               {"mixed", 12, 3 * bytes, 3 * gap, 1, 2, false},
               {"scratch", 40, 3 * bytes + 16, 4 * gap, 1, 1, true}};
  p.arena_bytes_per_sample = 3 * bytes + 16;
  p.arena_bytes_fixed = 5 * gap;
  p.calls.resize(2);
  p.calls[0].node = "scaled";
  p.calls[0].layers = {"dense_1", "act"};
  p.calls[0].kernel = "test_scale";
  p.calls[0].symbol = "scale";
  p.calls[0].buffers = {0, 1, -1, 2};
  p.calls[0].constants_offset = 64;
  p.calls[0].constants_bytes = sizeof kFactors;
  p.calls[0].predicted_ns = 1.5;
  p.calls[0].macs = 5;
  p.calls[1].node = "mixed";
  p.calls[1].kernel = "test_mix";
  p.calls[1].symbol = "mix";
  p.calls[1].buffers = {2, -1, 3, 4};
  p.constants.assign(64 + sizeof kFactors, 0);
  std::memcpy(p.constants.data() + 64, kFactors, sizeof kFactors);
  p.certificates = {"mixed: not certified: a test"};
  p.notes = {"made by hand"};
  return p;
}

Program shared_program() {
  Program p = small_program();
  p.calls[0].symbol = "scale_items";
  p.calls[0].work_items = kElements;
  p.calls[0].predicted_ns = 1000;
  p.calls[1].symbol = "mix_items";
  p.calls[1].work_items = kOutputs;
  p.calls[1].predicted_ns = 500;
  return p;
}

std::vector<float> small_result(const std::vector<float>& x, const std::vector<float>& y) {
  const size_t samples = x.size() / kElements;
  std::vector<float> out(samples * kOutputs);
  for (size_t s = 0; s < samples; ++s) {
    float scaled[kElements], prefix[kElements];
    scale_sample(x.data() + s * kElements, y.data() + s * kElements, kFactors, scaled);
    mix_sample(scaled, prefix, out.data() + s * kOutputs);
  }
  return out;
}

std::vector<float> numbers(int64_t count, uint64_t seed) {
  std::vector<float> out;
  for (int64_t i = 0; i < count; ++i) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    out.push_back(static_cast<float>(static_cast<int64_t>(seed >> 33) - (int64_t{1} << 30)) / 3e8f);
  }
  return out;
}

}  // namespace qloom::runtime
