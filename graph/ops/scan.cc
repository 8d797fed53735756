// graph/ops/scan.cc — a body evaluated once for each time step, with states that go from step to
// step: recurrent layers.
//
// The type of a state inside the body is the smallest that holds its initial value and what the
// body makes of it (settle_states); where there is none after a few steps, it is float32.
#include <algorithm>

#include "graph/ops/attributes.h"
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {

TensorType step_type(const TensorType& x) {
  Shape shape = x.shape;
  shape.erase(shape.begin() + 1);
  if (x.scale.is_dynamic()) return {std::move(shape), Numeric::float32(), {}};
  if (x.scale.is_per_tensor()) return {std::move(shape), x.numeric, x.scale};
  const int64_t along[] = {1};
  if (!constant_along(x.scale, x.rank(), along)) return {std::move(shape), Numeric::float32(), {}};
  const Tensor values = x.scale.values();
  Extents extents = values.extents();
  if (values.rank() == x.rank()) extents.erase(extents.begin() + 1);
  return {std::move(shape), x.numeric,
          Scale::constant(
              Tensor(extents, std::vector<double>(values.f64().begin(), values.f64().end())))};
}

TensorType collected_type(const TensorType& step, Dim steps) {
  Shape shape = step.shape;
  shape.insert(shape.begin() + 1, steps);
  if (step.scale.is_dynamic()) return {std::move(shape), Numeric::float32(), {}};
  if (step.scale.is_per_tensor()) return {std::move(shape), step.numeric, step.scale};
  const Tensor values = step.scale.values();
  Extents extents = values.extents();
  if (values.rank() == step.rank()) extents.insert(extents.begin() + 1, 1);
  return {std::move(shape), step.numeric,
          Scale::constant(
              Tensor(extents, std::vector<double>(values.f64().begin(), values.f64().end())))};
}

namespace {

constexpr OperandDef kOperands[] = {{.name = "x"},
                                    {.name = "more", .optional = true, .variadic = true}};

// Larger codes are no exact float32 multiples in every storage.
constexpr int64_t kLargestStateCode = int64_t{1} << 22;
constexpr int kWidenings = 4;

bool small_codes(const TensorType& type) {
  if (!type.has_codes()) return true;
  const Numeric::Grid grid = *type.numeric.grid();
  return grid.lo >= -kLargestStateCode && grid.hi <= kLargestStateCode;
}

// The initial value as the body sees it: a constant may leave out the batch axis.
TensorType initial_type(const TensorType& operand, const Shape& shape) {
  TensorType type = body_input_type(operand);
  type.shape = shape;
  if (!type.scale.is_per_tensor()) return {shape, Numeric::float32(), {}};
  return type;
}

std::vector<TensorType> infer(const InferContext& c) {
  qloom_assert(c.node.body, label(c.node), ": a scan without a body");
  const auto a = from_attributes<Scan>(c.node.attributes);
  const Graph& body = *c.node.body;
  const auto sequences = static_cast<size_t>(a.sequences), states = static_cast<size_t>(a.states);
  check(c, a.sequences >= 1 && a.states >= 0 && sequences + states <= c.operands.size(),
        "there are ", c.operands.size(), " operands for ", a.sequences, " sequences and ", a.states,
        " states");
  check(c, body.inputs().size() == c.operands.size(), "the body has ", body.inputs().size(),
        " inputs, the scan ", c.operands.size(), " operands");
  check(c, body.outputs().size() >= std::max<size_t>(states, 1), "the body has ",
        body.outputs().size(), " outputs for ", a.states, " states");
  const Shape& first = c.operands[0].shape;
  for (size_t i = 0; i < c.operands.size(); ++i) {
    const TensorType &inside = body.type(body.inputs()[i]), &outside = c.operands[i];
    if (i < sequences) {
      check(c, outside.rank() >= 2 && outside.shape[0] == first[0] && outside.shape[1] == first[1],
            "sequence ", i, " does not have the batch and the time steps of the first");
      check(c, inside == step_type(outside), "body input ", i, " is ", inside, ", a step of ",
            outside, " is ", step_type(outside));
    } else if (i < sequences + states) {
      const TensorType after = body.type(body.outputs()[i - sequences].value);
      check(c, after.shape == inside.shape, "state ", i - sequences, " is ", inside,
            " before a step and ", after, " after it");
      check(c, holds(inside, after) && holds(inside, initial_type(outside, inside.shape)), "state ",
            i - sequences, " is ", inside, ", which does not hold ", after, " and ", outside);
    } else {
      check(c, inside == body_input_type(outside), "body input ", i, " is ", inside, ", operand ",
            i, " is ", outside);
    }
  }
  check(c, first[1].is_static(), "the time axis is the batch axis");
  std::vector<TensorType> types;
  for (size_t k = 0; k < body.outputs().size(); ++k)
    types.push_back(k < states ? body.type(body.inputs()[sequences + k])
                               : collected_type(body.type(body.outputs()[k].value), first[1]));
  return types;
}

// Values of one step out of [N, T, …].
template <class T>
std::vector<T> one_step(std::span<const T> x, const Extents& extents, int64_t step) {
  const int64_t batch = extents[0], steps = extents[1];
  const int64_t inner = batch * steps == 0 ? 0 : static_cast<int64_t>(x.size()) / (batch * steps);
  std::vector<T> out;
  for (int64_t n = 0; n < batch; ++n) {
    const auto from = x.begin() + (n * steps + step) * inner;
    out.insert(out.end(), from, from + inner);
  }
  return out;
}

// A value as one of `type`, which holds it.
RuntimeValue converted(const RuntimeValue& x, TensorType type, const EvaluationOptions& options) {
  type.shape.assign(x.data.extents().begin(), x.data.extents().end());
  const bool codes = options.evaluation == Evaluation::canonical && type.has_codes();
  if (!codes) return {type, to_f32(x)};
  if (x.data.dtype() != DType::i64) return {type, to_codes(x.data, type)};
  return {type, Tensor(x.data.extents(), codes_as(x, type))};
}

// Constants may leave out the batch axis.
RuntimeValue repeated(const RuntimeValue& x, const Extents& extents) {
  if (x.data.extents() == extents) return x;
  RuntimeValue out = x;
  out.type.shape.assign(extents.begin(), extents.end());
  const auto repeat = [&](const auto& values) {
    std::vector<std::decay_t<decltype(values[0])>> all;
    while (static_cast<int64_t>(all.size()) < element_count(extents))
      all.insert(all.end(), values.begin(), values.end());
    return Tensor(extents, std::move(all));
  };
  out.data = x.data.dtype() == DType::i64 ? repeat(x.data.i64()) : repeat(x.data.f32());
  return out;
}

// Collects what one output of the body is at each step: [N, …] → [N, T, …].
class Collected {
 public:
  void add(const RuntimeValue& value) { steps_.push_back(value); }
  RuntimeValue finish(const EvaluateContext& c, size_t index) const {
    Extents extents = steps_.front().data.extents();
    extents.insert(extents.begin() + 1, static_cast<int64_t>(steps_.size()));
    if (!wants_codes(c, index)) {
      std::vector<Tensor> values;
      for (const RuntimeValue& v : steps_) values.push_back(to_f32(v));
      return result(c, extents, together<float>(extents, [&](size_t t) { return values[t].f32(); }),
                    index);
    }
    return result(c, extents,
                  together<int64_t>(extents, [&](size_t t) { return steps_[t].data.i64(); }),
                  index);
  }

 private:
  template <class T, class At>
  std::vector<T> together(const Extents& extents, const At& at) const {
    std::vector<T> out;
    const auto batch = static_cast<size_t>(extents[0]);
    for (size_t n = 0; n < batch; ++n)
      for (size_t t = 0; t < steps_.size(); ++t) {
        const auto values = at(t);
        const size_t inner = values.size() / batch;
        out.insert(out.end(), values.begin() + static_cast<ptrdiff_t>(n * inner),
                   values.begin() + static_cast<ptrdiff_t>((n + 1) * inner));
      }
    return out;
  }
  std::vector<RuntimeValue> steps_;
};

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const auto a = from_attributes<Scan>(c.node.attributes);
  const Graph& body = *c.node.body;
  const auto sequences = static_cast<size_t>(a.sequences), states = static_cast<size_t>(a.states);
  const Extents& first = c.operands[0].data.extents();
  const int64_t batch = first[0], steps = first[1];

  std::vector<RuntimeValue> inputs;
  for (size_t i = 0; i < c.operands.size(); ++i) {
    const TensorType& inside = body.type(body.inputs()[i]);
    if (i >= sequences && i < sequences + states)
      inputs.push_back(
          converted(repeated(c.operands[i], qloom::bind(inside.shape, batch)), inside, c.options));
    else
      inputs.push_back(c.operands[i]);
  }
  std::vector<Collected> collected(body.outputs().size() - states);
  for (int64_t k = 0; k < steps; ++k) {
    const int64_t step = a.reverse ? steps - 1 - k : k;
    for (size_t i = 0; i < sequences; ++i) {
      const RuntimeValue& x = c.operands[i];
      TensorType type = body.type(body.inputs()[i]);
      Extents extents = x.data.extents();
      extents.erase(extents.begin() + 1);
      type.shape.assign(extents.begin(), extents.end());
      const bool codes = x.data.dtype() == DType::i64 && type.has_codes();
      if (codes) {
        inputs[i] = {type, Tensor(extents, one_step(x.data.i64(), x.data.extents(), step))};
      } else {
        const Tensor f = to_f32(x);
        inputs[i] = {type, Tensor(extents, one_step(f.f32(), x.data.extents(), step))};
      }
    }
    const std::vector<RuntimeValue> outputs = interpret_values(body, inputs, c.options, {});
    for (size_t s = 0; s < states; ++s)
      inputs[sequences + s] =
          converted(outputs[s], body.type(body.inputs()[sequences + s]), c.options);
    for (size_t o = states; o < outputs.size(); ++o) collected[o - states].add(outputs[o]);
  }
  std::vector<RuntimeValue> results;
  for (size_t s = 0; s < states; ++s) results.push_back(inputs[sequences + s]);
  for (size_t o = 0; o < collected.size(); ++o)
    results.push_back(collected[o].finish(c, states + o));
  return results;
}

OpCounts count(const Node& node, std::span<const TensorType> operands,
               std::span<const TensorType> results) {
  const OpCounts one = region.count(node, operands, results);
  const int64_t steps = operands[0].shape[1].extent();
  return {.multiply_accumulates = one.multiply_accumulates * steps, .other = one.other * steps};
}

bool whole_batch(const Node& node) { return region.whole_batch(node); }

}  // namespace

void settle_scan(const Graph& graph, const Node& node) {
  const auto a = from_attributes<Scan>(node.attributes);
  Graph& body = *node.body;
  const auto sequences = static_cast<size_t>(a.sequences), states = static_cast<size_t>(a.states);
  if (body.inputs().size() != node.operands.size() || body.outputs().size() < states) return;
  std::vector<TensorType> state;
  for (size_t i = 0; i < node.operands.size(); ++i) {
    const TensorType& outside = graph.type(node.operands[i]);
    const ValueId inside = body.inputs()[i];
    if (i < sequences) {
      if (outside.rank() < 2) return;  // infer says why not
      body.set_input_type(inside, step_type(outside));
    } else if (i < sequences + states) {
      state.push_back(initial_type(outside, body.type(inside).shape));
      if (!small_codes(state.back())) state.back() = {state.back().shape, Numeric::float32(), {}};
    } else {
      body.set_input_type(inside, body_input_type(outside));
    }
  }
  for (int round = 0;; ++round) {
    for (size_t s = 0; s < states; ++s) body.set_input_type(body.inputs()[sequences + s], state[s]);
    body.infer_types();
    bool settled = true;
    for (size_t s = 0; s < states; ++s) {
      const TensorType& after = body.type(body.outputs()[s].value);
      if (after.shape != state[s].shape || holds(state[s], after)) continue;
      const TensorType both[] = {state[s], after};
      TensorType wider = join_types(state[s].shape, both);
      if (round >= kWidenings || !small_codes(wider) || !wider.scale.is_per_tensor())
        wider = {state[s].shape, Numeric::float32(), {}};
      state[s] = std::move(wider);
      settled = false;
    }
    if (settled) return;
  }
}

extern constinit const OpDef scan{
    .name = "scan",
    .doc =
        "Evaluates its body once for each time step of its sequences; states go from step to step, "
        "other outputs are collected.",
    .operands = kOperands,
    .attrs = attrs_of<Scan>,
    .has_body = true,
    .infer = infer,
    .evaluate = evaluate,
    .count = count,
    .whole_batch = whole_batch};

}  // namespace qloom::ops
