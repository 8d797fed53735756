// graph/ops/random.cc: the key of a stream of random numbers, by seed and counter: the same ones
// give the same numbers whenever and wherever they are asked for.
#include "graph/draws.h"
#include "graph/ops/attributes.h"
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {{.name = "counter"}};

std::vector<TensorType> infer(const InferContext& c) {
  const Shape& counter = c.operands[0].shape;
  check(c, counter.size() == 1 && counter[0].is_static() && counter[0].extent() > 0,
        "the counter has the shape ", to_string(counter), ", expected one axis, not the batch's");
  return {{{4}, Numeric::float32(), {}}};
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const auto a = from_attributes<Random>(c.node.attributes);
  auto key = static_cast<uint64_t>(a.seed);
  const Tensor counter = to_f32(c.operands[0]);
  for (const float v : counter.f32())
    key = Draws::key(key, static_cast<uint64_t>(static_cast<int64_t>(v)));
  std::vector<float> parts;
  for (int shift = 0; shift < 64; shift += 16)
    parts.push_back(static_cast<float>(key >> shift & 0xffff));
  return single(result(c, {4}, std::move(parts)));
}

OpCounts count(const Node&, std::span<const TensorType>, std::span<const TensorType>) { return {}; }

}  // namespace

extern constinit const OpDef random{.name = "random",
                                    .doc = "The key of a stream of random numbers.",
                                    .operands = kOperands,
                                    .attrs = attrs_of<Random>,
                                    .infer = infer,
                                    .evaluate = evaluate,
                                    .count = count};

}  // namespace qloom::ops
