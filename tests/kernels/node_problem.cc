#include "tests/kernels/node_problem.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "graph/graph.h"
#include "graph/interpret.h"
#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "kernels/kernels_table.h"

namespace qloom::testing {
namespace {

using kernels::ReferenceSpec;
using kernels::Storage;
using Random = std::mt19937_64;

int64_t between(Random& r, int64_t lo, int64_t hi) {
  return std::uniform_int_distribution<int64_t>(lo, hi)(r);
}
bool chance(Random& r, double p) { return std::uniform_real_distribution<double>(0, 1)(r) < p; }
template <class T>
T pick(Random& r, std::initializer_list<T> list) {
  return list.begin()[between(r, 0, static_cast<int64_t>(list.size()) - 1)];
}

Numeric random_numeric(Random& r) {
  return pick(r, {Numeric::float32(), Numeric::float32(), Numeric::fixed(8, 8, false),
                  Numeric::fixed(4, 1, false), Numeric::fixed(7, 3, true),
                  Numeric::fixed(12, 5, true, true), Numeric::ternary(1), Numeric::binary(),
                  Numeric::integers(-70000, 5, 2), Numeric::integers(-288, 288, 0)});
}

/// Attributes and operand shapes.
struct Draw {
  Attributes attributes;
  std::vector<Shape> shapes;
  int constant_from = -1;  ///< operands from here on are constants
};

Shape image(Random& r, bool flat) {
  const int64_t c = pick<int64_t>(r, {1, 3, 8, 16, 24, 33, 64});
  if (flat) return {Dim::batch(), between(r, 1, 20), c};
  return {Dim::batch(), between(r, 1, 12), between(r, 1, 12), c};
}

Draw draw_pool(Random& r) {
  const bool flat = chance(r, 0.3);
  ops::Pool pool;
  pool.kind = static_cast<ops::PoolKind>(between(r, 0, 2));
  pool.padding = static_cast<ops::Padding>(between(r, 0, 1));
  pool.sizes.clear(), pool.strides.clear();
  for (int a = 0; a < (flat ? 1 : 2); ++a) {
    pool.sizes.push_back(between(r, 1, 4));
    pool.strides.push_back(between(r, 1, 4));
  }
  return {to_attributes(pool), {image(r, flat)}};
}

Draw draw_softmax(Random& r) {
  Shape x{Dim::batch(), between(r, 1, 12)};
  if (chance(r, 0.4)) x.emplace_back(between(r, 1, 20));
  ops::Softmax softmax;
  softmax.axis = chance(r, 0.7) ? -1 : 1;
  return {to_attributes(softmax), {std::move(x)}};
}

Draw draw_activation(Random& r) {
  ops::Activation a;
  a.function = pick<const char*>(r, {"linear",         "relu",
                                     "leaky_relu",     "elu",
                                     "selu",           "softplus",
                                     "softsign",       "swish",
                                     "gelu",           "exponential",
                                     "mish",           "sigmoid",
                                     "tanh",           "keras_hard_sigmoid",
                                     "hard_sigmoid",   "smooth_sigmoid",
                                     "binary_sigmoid", "hard_tanh",
                                     "smooth_tanh",    "binary_tanh"});
  if (a.function == "leaky_relu" || (a.function == "relu" && chance(r, 0.4)))
    a.negative_slope = 0.25;
  if (a.function == "relu" && chance(r, 0.4)) a.max_value = 6;
  if (a.function == "relu" && chance(r, 0.2)) a.threshold = 0.5;
  if (a.function == "elu" && chance(r, 0.5)) a.alpha = 0.7;
  return {to_attributes(a), {image(r, chance(r, 0.5))}};
}

Draw draw_conv(Random& r) {
  const bool flat = chance(r, 0.3);
  const Shape x = image(r, flat);
  const int64_t c = x.back().extent();
  ops::Conv conv;
  conv.strides.assign(flat ? 1 : 2, between(r, 1, 2));
  conv.dilations.assign(flat ? 1 : 2, conv.strides[0] == 1 ? between(r, 1, 2) : 1);
  conv.padding = static_cast<ops::Padding>(between(r, 0, flat ? 2 : 1));
  conv.groups = chance(r, 0.3) ? c : (c % 2 == 0 && chance(r, 0.3) ? 2 : 1);
  Shape k;
  for (int a = 0; a < (flat ? 1 : 2); ++a) k.emplace_back(between(r, 1, 4));
  k.emplace_back(c / conv.groups);
  k.emplace_back(conv.groups * between(r, 1, conv.groups == c ? 2 : 20));
  return {to_attributes(conv), {x, k}, 1};
}

Draw draw_dense(Random& r) {
  Shape x{Dim::batch()};
  if (chance(r, 0.3)) x.emplace_back(between(r, 1, 7));
  x.emplace_back(between(r, 1, 100));
  const Shape w{x.back(), between(r, 1, 40)};
  return {Attributes(), {x, w}, 1};
}

Draw draw_permute(Random& r) {
  const Shape x = image(r, chance(r, 0.4));
  ops::Permute p;
  for (int64_t a = 0; a < static_cast<int64_t>(x.size()); ++a) p.axes.push_back(a);
  std::shuffle(p.axes.begin() + 1, p.axes.end(), r);
  return {to_attributes(p), {x}};
}

Draw draw_pad(Random& r) {
  const Shape x = image(r, chance(r, 0.4));
  ops::Pad p;
  p.before.assign(x.size(), 0), p.after.assign(x.size(), 0);
  for (size_t a = 1; a + 1 < x.size(); ++a)
    p.before[a] = between(r, 0, 3), p.after[a] = between(r, 0, 3);
  return {to_attributes(p), {x}};
}

Draw draw_concat(Random& r) {
  const Shape x = image(r, chance(r, 0.4));
  ops::Concat c;
  c.axis = between(r, 1, static_cast<int64_t>(x.size()) - 1);
  Draw d{to_attributes(c), {}};
  for (int64_t i = between(r, 2, 3); i > 0; --i) {
    Shape part = x;
    part[static_cast<size_t>(c.axis)] = Dim(between(r, 1, 17));
    d.shapes.push_back(std::move(part));
  }
  return d;
}

Draw draw_step_mask(Random& r) {
  Shape x{Dim::batch(), between(r, 1, 20)};
  if (chance(r, 0.2)) x.emplace_back(between(r, 1, 4));
  x.emplace_back(chance(r, 0.5) ? 1 : between(r, 1, 40));
  return {to_attributes(ops::StepMask{chance(r, 0.7) ? 0.0 : 1.0}), {std::move(x)}};
}

Draw draw_reduce(Random& r) {
  const Shape x = image(r, chance(r, 0.4));
  ops::Reduce reduce;
  reduce.kind = static_cast<ops::ReduceKind>(between(r, 0, 3));
  reduce.keep_dims = chance(r, 0.5);
  for (int64_t a = 1; a + 1 < static_cast<int64_t>(x.size()); ++a) reduce.axes.push_back(a);
  return {to_attributes(reduce), {x}};
}

Draw draw_elementwise(Random& r) {
  const Shape x = image(r, chance(r, 0.4));
  ops::ElementwiseOp op;
  op.kind = static_cast<ops::Elementwise>(between(r, 0, 5));
  op.constant_divisor = chance(r, 0.2);
  Shape y = x;  // a value per channel, per pixel, or all
  for (size_t a = 1; a < y.size(); ++a)
    if (chance(r, 0.4)) y[a] = Dim(1);
  const bool first = chance(r, 0.3);
  return {to_attributes(op), first ? std::vector<Shape>{y, x} : std::vector<Shape>{x, y}};
}

struct Drawer {
  const OpDef* op;
  Draw (*draw)(Random&);
};
constexpr Drawer kDrawers[] = {{&ops::pool, draw_pool},
                               {&ops::softmax, draw_softmax},
                               {&ops::activation, draw_activation},
                               {&ops::conv, draw_conv},
                               {&ops::dense, draw_dense},
                               {&ops::permute, draw_permute},
                               {&ops::pad, draw_pad},
                               {&ops::concat, draw_concat},
                               {&ops::step_mask, draw_step_mask},
                               {&ops::reduce, draw_reduce},
                               {&ops::elementwise, draw_elementwise}};

float random_float(Random& r, bool special) {
  if (special && chance(r, 0.05))
    return pick(r, {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                    -std::numeric_limits<float>::infinity(), -0.0f, 1e-42f, 3e38f, -3e38f});
  if (chance(r, 0.1)) return chance(r, 0.5) ? 0.0f : -0.0f;
  const float v = std::normal_distribution<float>(0, 2)(r);
  return chance(r, 0.3) ? std::round(v) : v;  // equal ones among them
}

Tensor random_data(Random& r, const TensorType& type, int64_t samples, bool special) {
  const Extents extents = qloom::bind(type.shape, samples);
  const auto n = static_cast<size_t>(element_count(extents));
  if (!type.has_codes()) {
    std::vector<float> values(n);
    for (float& v : values) v = random_float(r, special);
    return Tensor(extents, std::move(values));
  }
  const Numeric::Grid grid = *type.numeric.grid();
  std::vector<int64_t> codes(n);
  for (int64_t& code : codes) code = between(r, grid.lo, grid.hi);
  return Tensor(extents, std::move(codes));
}

std::vector<uint8_t> stored(const Tensor& data, const TensorType& type, Storage storage,
                            int64_t samples) {
  const int64_t bytes = kernels::bytes_per_sample(type.shape, storage);
  const int64_t elements = elements_per_sample(type.shape);
  std::vector<uint8_t> out(static_cast<size_t>(bytes * samples), 0);
  for (int64_t s = 0; s < samples; ++s)
    for (int64_t i = 0; i < elements; ++i) {
      const auto at = static_cast<size_t>(s * elements + i);
      if (!type.has_codes())
        std::memcpy(&out[at * 4], &data.f32()[at], 4);
      else
        kernels::write_code(out.data() + s * bytes, storage, i, kernels::last_extent(type.shape),
                            data.i64()[at]);
    }
  return out;
}

constexpr size_t kGuard = 64;
constexpr size_t kSlack = kernels::kSlackBytes;

}  // namespace

std::optional<NodeProblem> random_node(const NodeRequest& request, Random& r) {
  const auto drawer = std::find_if(std::begin(kDrawers), std::end(kDrawers),
                                   [&](const Drawer& d) { return d.op == request.op; });
  qloom_assert(drawer != std::end(kDrawers), "no random nodes for op ", request.op->name);
  const Draw draw = drawer->draw(r);
  NodeProblem p;
  p.samples = between(r, 1, 9);
  Graph graph;
  std::vector<ValueId> values;
  std::vector<Tensor> data;
  const Numeric numeric = request.only_floats ? Numeric::float32() : random_numeric(r);
  const bool one_grid = chance(r, 0.7);
  for (size_t i = 0; i < draw.shapes.size(); ++i) {
    const bool constant = draw.constant_from >= 0 && static_cast<int>(i) >= draw.constant_from &&
                          request.constant_weights;
    const Numeric own = request.only_floats || one_grid ? numeric : random_numeric(r);
    TensorType type{draw.shapes[i], own, {}};
    if (!own.is_float32() && chance(r, 0.4))
      type.scale = Scale::constant(chance(r, 0.5) ? 0.25 : 0.3700000047683716);
    const std::string name = "x" + std::to_string(i);
    data.push_back(
        random_data(r, type, constant ? 1 : p.samples, request.special_values && !constant));
    values.push_back(!constant          ? graph.add_input(name, type)
                     : type.has_codes() ? graph.add_constant(name, data.back(), type)
                                        : graph.add_constant(name, data.back()));
    p.spec.operands.push_back(graph.type(values.back()));
    p.spec.operand_storages.push_back(kernels::plain_storage(p.spec.operands.back()));
    if (constant)
      p.spec.constants.emplace_back(static_cast<int>(i), *graph.producer(values.back()).constant);
    else
      p.inputs.push_back(stored(data.back(), type, p.spec.operand_storages.back(), p.samples));
  }
  Node* node = nullptr;
  try {
    node = &graph.add(*request.op, "node", values, draw.attributes);
  } catch (const UserError&) {
    return std::nullopt;  // no output
  }
  p.spec.attributes = node->attributes;
  p.spec.options = to_attributes(EvaluationOptions{});
  p.spec.results.push_back(graph.type(node->results[0]));
  const TensorType& y = p.spec.results[0];
  if (elements_per_sample(y.shape) == 0) return std::nullopt;
  p.spec.outputs.emplace_back(0, kernels::plain_storage(y));
  if (y.has_codes() && chance(r, 0.3)) p.spec.outputs.emplace_back(0, Storage::f32());
  if (y.has_codes() && chance(r, 0.2) && kernels::fits(y, Storage::dwords()))
    p.spec.outputs.emplace_back(0, Storage::dwords());
  if (y.has_codes() && kernels::fits(y, Storage::bits()) && chance(r, 0.3))
    p.spec.outputs.emplace_back(0, Storage::bits());
  p.name = join_text(request.op->name, " ", p.spec.attributes);
  for (size_t i = 0; i < p.spec.operands.size(); ++i)
    p.name += join_text("\n  operand ", p.spec.operands[i], " in ", p.spec.operand_storages[i]);
  p.name += join_text("\n  result ", y);
  for (const auto& [result, storage] : p.spec.outputs) p.name += join_text(" in ", storage);
  p.name += join_text(", ", p.samples, " samples");
  return p;
}

NodeFrames::NodeFrames(const NodeProblem& p, bool unused_buffer, int64_t scratch_bytes) {
  for (const auto& bytes : p.inputs) {
    inputs_.emplace_back(bytes.size() + 2 * kSlack, 0x5a);
    std::copy(bytes.begin(), bytes.end(), inputs_.back().begin() + kSlack);
  }
  for (const auto& [result, storage] : p.spec.outputs) {
    const TensorType& type = p.spec.results[static_cast<size_t>(result)];
    outputs_.emplace_back(
        static_cast<size_t>(kernels::bytes_per_sample(type.shape, storage) * p.samples) + kSlack +
            kGuard,
        0xa5);
  }
  scratch_.assign(static_cast<size_t>(scratch_bytes) + kSlack, 0xa5);
  for (auto& b : inputs_) pointers.push_back(b.data() + kSlack);
  if (unused_buffer) pointers.push_back(nullptr);
  for (auto& b : outputs_) pointers.push_back(b.data());
  pointers.push_back(scratch_.data());
}

std::vector<std::vector<uint8_t>> NodeFrames::take(const NodeProblem& p) {
  for (auto& b : outputs_) {
    if (std::any_of(b.end() - kGuard, b.end(), [](uint8_t v) { return v != 0xa5; }))
      throw std::runtime_error(p.name + ": written behind an output");
    b.resize(b.size() - kSlack - kGuard);
  }
  return std::move(outputs_);
}

std::vector<std::vector<uint8_t>> run_prepared(const kernels::KernelDef& kernel,
                                               const NodeProblem& problem) {
  ReferenceSpec spec = problem.spec;
  spec.kernel = std::string(kernel.name);
  const auto call = kernel.prepare()(spec);
  NodeFrames frames(problem, false, call->scratch_bytes());
  call->run(frames.pointers.data(), problem.samples);
  return frames.take(problem);
}

std::vector<std::vector<uint8_t>> run_compiled(jit::KernelFunction function,
                                               const NodeProblem& problem, int64_t scratch_bytes) {
  NodeFrames frames(problem, true, scratch_bytes);
  function(frames.pointers.data(), problem.samples, 0, 1);
  return frames.take(problem);
}

std::string first_difference(const NodeProblem& problem, size_t output,
                             const std::vector<uint8_t>& got, const std::vector<uint8_t>& want,
                             double relative) {
  if (got.size() != want.size()) return join_text(got.size(), " bytes, not ", want.size());
  if (problem.spec.outputs[output].second != Storage::f32()) {
    for (size_t i = 0; i < got.size(); ++i)
      if (got[i] != want[i])
        return join_text("byte ", i, ": ", int{got[i]}, ", expected ", int{want[i]});
    return {};
  }
  double largest = 1;
  for (size_t i = 0; relative > 0 && i + 4 <= want.size(); i += 4) {
    float value = 0;
    std::memcpy(&value, &want[i], 4);
    largest = std::max(largest, std::abs(double{value}));
  }
  for (size_t i = 0; i + 4 <= got.size(); i += 4) {
    if (std::memcmp(&got[i], &want[i], 4) == 0) continue;
    float a = 0, b = 0;
    std::memcpy(&a, &got[i], 4);
    std::memcpy(&b, &want[i], 4);
    if (std::isnan(a) && std::isnan(b)) continue;
    if (relative > 0 && std::abs(double{a} - b) <= relative * largest) continue;
    return join_text("element ", i / 4, ": ", a, ", expected ", b);
  }
  return {};
}

const kernels::KernelDef& reference_of(const OpDef& op) {
  for (const kernels::KernelDef* kernel : kernels::all_kernels())
    if (kernel->reference_op == &op) return *kernel;
  qloom_assert(false, "no reference kernel for ", op.name);
  std::abort();
}

}  // namespace qloom::testing
