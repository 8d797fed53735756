// tests/graph/op_runner.h: one op on one input, in both evaluations.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "graph/builder.h"
#include "graph/interpret.h"
#include "tests/support/random_graph.h"
#include "tests/support/round_trip.h"

namespace qloom::testing {

inline Quantizer quantizer(const char* text) { return std::get<Quantizer>(parse_quantizer(text)); }

struct Ran {
  TensorType type;
  std::vector<float> qkeras, canonical;
  Extents extents;
  bool codes = false;
};

// Builds x [N, …] → quantizer (if any) → what `make` adds, and runs it in both evaluations.
inline Ran run(const Tensor& x, const char* quantize,
               const std::function<ValueId(Builder&, ValueId)>& make,
               const EvaluationOptions& options = {}) {
  Builder b("one");
  Shape shape{Dim::batch()};
  shape.insert(shape.end(), x.extents().begin() + 1, x.extents().end());
  ValueId v = b.input("x", shape);
  if (quantize) v = b.quantize(quantizer(quantize), v, "x_q");
  v = make(b, v);
  b.output("y", v);
  const TensorType type = b.type(v);
  const Graph g = b.finish();
  const std::vector<Tensor> inputs{x};
  check_round_trip(g, inputs);
  EvaluationOptions o = options;
  o.evaluation = Evaluation::qkeras;
  const RuntimeValue q = interpret(g, inputs, o)[0];
  o.evaluation = Evaluation::canonical;
  const RuntimeValue c = interpret(g, inputs, o)[0];
  EXPECT_EQ(c.data.dtype() == DType::i64, type.has_codes());
  EXPECT_EQ(qloom::bind(type.shape, x.extents()[0]), c.data.extents());
  const Tensor fq = to_f32(q), fc = to_f32(c);
  return {type,
          {fq.f32().begin(), fq.f32().end()},
          {fc.f32().begin(), fc.f32().end()},
          fc.extents(),
          type.has_codes()};
}

inline Tensor tensor(Extents extents, std::vector<float> values) {
  return Tensor(std::move(extents), std::move(values));
}
inline Tensor quarters(Extents extents, uint64_t seed, int64_t reach = 8) {
  Random random(seed);
  std::vector<float> v(static_cast<size_t>(element_count(extents)));
  for (float& f : v) f = static_cast<float>(random.integer(-reach, reach)) / 4;
  return Tensor(std::move(extents), std::move(v));
}
using Floats = std::vector<float>;
inline constexpr const char* kGrid = "quantized_bits(8, 3, 0)";  // step 1/16

inline void expect_both(const Ran& r, const Floats& values) {
  EXPECT_EQ(r.qkeras, values);
  EXPECT_EQ(r.canonical, values);
}

}  // namespace qloom::testing
