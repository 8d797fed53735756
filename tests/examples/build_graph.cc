// tests/examples/build_graph.cc: a network of mixed precision, built by hand, compiled, run, and
// compared with the reference interpreter bit by bit.
#include <cstdio>
#include <random>

#include "graph/builder.h"
#include "graph/interpret.h"
#include "passes/compile.h"
#include "runtime/executor.h"

using namespace qloom;

namespace {

std::mt19937_64 generator(4);

Tensor random(Extents extents, float reach) {
  std::uniform_real_distribution<float> uniform(-reach, reach);
  std::vector<float> values(static_cast<size_t>(element_count(extents)));
  for (float& v : values) v = uniform(generator);
  return Tensor(std::move(extents), std::move(values));
}

/// A constant and its quantizer.
ValueId weights(Builder& b, const std::string& name, Extents extents, const char* quantizer) {
  return b.apply(parse_quantizer(quantizer), b.constant(name, random(std::move(extents), 1)));
}

Graph build() {
  Builder b("mixed");
  // 12×12 images of three channels, 8 bits.
  ValueId x = b.input("image", {Dim::batch(), 12, 12, 3});
  x = b.apply(parse_quantizer("quantized_bits(8, 1, 1, alpha=1.0)"), x, "image_q");
  // 4-bit weights, 3-bit activations.
  x = b.conv(x, weights(b, "w1", {3, 3, 3, 16}, "quantized_bits(4, 0, 1, alpha=1.0)"),
             {.padding = ops::Padding::same}, "conv1");
  x = b.add(x, weights(b, "b1", {16}, "quantized_bits(6, 1, 1, alpha=1.0)"), "bias1");
  x = b.apply(parse_quantizer("quantized_relu(3, 2)"), x, "act1");
  x = b.pool(x, {.kind = ops::PoolKind::max}, "pool");
  // Ternary weights with a scale for each channel, a skipped connection around them.
  const ValueId skipped = x;
  x = b.conv(x, weights(b, "w2", {3, 3, 16, 16}, "ternary(alpha='auto_po2')"),
             {.padding = ops::Padding::same}, "conv2");
  x = b.apply(parse_quantizer("quantized_relu(3, 2)"), x, "act2");
  x = b.add(x, skipped, "sum");
  // One bit from here on.
  x = b.apply(parse_quantizer("binary(alpha=1.0)"),
              b.add(x, b.constant("shift", Tensor::scalar(-2.0F))), "sign");
  x = b.conv(x, weights(b, "w3", {3, 3, 16, 32}, "binary(alpha=1.0)"), {.strides = {2, 2}},
             "conv3");
  x = b.apply(parse_quantizer("quantized_bits(6, 5, 1, alpha=1.0)"), x, "act3");
  x = b.reshape(x, {-1}, "flat");
  x = b.dense(x, weights(b, "w4", {2 * 2 * 32, 10}, "quantized_po2(4, 1)"), "fc");
  b.output("logits", x);
  return b.finish();
}

}  // namespace

int main() {
  constexpr int64_t kSamples = 32;
  const Graph graph = build();
  const Tensor images = random({kSamples, 12, 12, 3}, 2);

  const passes::Compilation compiled = passes::compile(graph.clone());
  for (const passes::RegionReport& region : compiled.regions)
    std::printf("%-12s %-22s %s\n", region.name.c_str(), region.kernel.c_str(),
                region.tail_form.c_str());
  runtime::Executor executor(compiled.model, {.threads = 2});
  std::vector<float> logits(kSamples * 10);
  const std::span<const float> in[] = {images.f32()};
  const std::span<float> out[] = {logits};
  if (const Status status = executor.run(in, out, kSamples); !status.ok()) {
    std::printf("%s\n", status.message());
    return 1;
  }

  EvaluationOptions options = graph.options();
  options.evaluation = Evaluation::canonical;
  const Tensor expected = to_f32(interpret(graph, std::vector{images}, options)[0]);
  const bool equal = Tensor({kSamples, 10}, logits).same_bits(expected);
  std::printf("%s\n", equal ? "all 320 values are equal" : "values differ");
  return equal ? 0 : 1;
}
