// Each reference kernel against the interpreter's canonical evaluation: random typed operands in
// every storage that holds them, constant or not, results in every storage at once; bit-equal.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <random>
#include <set>

#include "graph/graph.h"
#include "graph/interpret.h"
#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/quantizer.h"
#include "graph/support/fields.h"
#include "kernels/kernels_table.h"
#include "kernels/storage.h"

namespace qloom::kernels {
namespace {

using Random = std::mt19937_64;
int64_t between(Random& r, int64_t lo, int64_t hi) {
  return std::uniform_int_distribution<int64_t>(lo, hi)(r);
}
bool chance(Random& r, double p) { return std::uniform_real_distribution<double>(0, 1)(r) < p; }

const KernelDef* kernel_of(const OpDef& op) {
  for (const KernelDef* kernel : all_kernels())
    if (kernel->reference_op == &op) return kernel;
  return nullptr;
}

std::vector<Storage> storages_of(const TensorType& type) {
  std::vector<Storage> out;
  const auto grid = type.has_codes() ? type.numeric.grid() : std::nullopt;
  const int zero = grid && grid->lo < 0 && grid->lo > -256 ? static_cast<int>(-grid->lo) : 0;
  for (const Storage s :
       {Storage::f32(), Storage::bytes(zero), Storage::words(), Storage::dwords(), Storage::bits()})
    if (fits(type, s)) out.push_back(s);
  return out;
}

Numeric random_numeric(Random& r) {
  switch (between(r, 0, 9)) {
    case 0:
    case 1:
      return Numeric::float32();
    case 2:
      return Numeric::fixed(8, static_cast<int>(between(r, -1, 8)), false);
    case 3:
      return Numeric::fixed(12, 5, true, true);
    case 4:
      return Numeric::binary(static_cast<int>(between(r, 0, 2)));
    case 5:
      return Numeric::bit();
    case 6:
      return Numeric::ternary(1);
    case 7:
      return Numeric::power_of_two(-4, 2, true, chance(r, 0.5));
    case 8:
      return Numeric::integers(-70000, 5, 2);
    default:
      return Numeric::fixed(4, 3, true);
  }
}

/// Per tensor, or along the last axis (not for float32, whose values carry no step).
Scale random_scale(Random& r, const Numeric& numeric, const Shape& shape, bool power_of_two) {
  if (numeric.is_float32()) return {};
  const auto one = [&] {
    return power_of_two || chance(r, 0.3)
               ? std::ldexp(1.0, static_cast<int>(between(r, -4, 3)))
               : static_cast<double>(
                     static_cast<float>(0.1 + 0.01 * static_cast<double>(between(r, 1, 99))));
  };
  const bool varies = shape.size() > 1 && shape.back().is_static() && chance(r, 0.35);
  if (!varies) return chance(r, 0.4) ? Scale() : Scale::constant(one());
  std::vector<double> values;
  for (int64_t i = 0; i < shape.back().extent(); ++i) values.push_back(one());
  Extents extents(shape.size(), 1);
  extents.back() = shape.back().extent();
  return Scale::constant(Tensor(extents, values));
}

TensorType random_type(Random& r, Shape shape) {
  const Numeric numeric = random_numeric(r);
  const Scale scale = random_scale(r, numeric, shape, chance(r, 0.5));
  return {std::move(shape), numeric, scale};
}

Tensor random_data(Random& r, const TensorType& type, int64_t samples) {
  const Extents extents = qloom::bind(type.shape, samples);
  const auto n = static_cast<size_t>(element_count(extents));
  if (!type.has_codes()) {
    std::normal_distribution<float> normal(0, 2);
    std::vector<float> values(n);
    for (float& v : values) v = chance(r, 0.1) ? 0.0f : normal(r);
    return Tensor(extents, std::move(values));
  }
  const Numeric::Grid grid = *type.numeric.grid();
  std::vector<int64_t> codes(n);
  for (int64_t& code : codes) do
      code = between(r, grid.lo, grid.hi);
    while (!type.numeric.contains(std::ldexp(static_cast<double>(code), -grid.fraction)));
  return Tensor(extents, std::move(codes));
}

bool is_batched(const TensorType& type) {
  return std::any_of(type.shape.begin(), type.shape.end(), [](Dim d) { return d.is_batch(); });
}

/// A value as bytes of a storage: sample after sample, or once where it is the same for all.
std::vector<uint8_t> stored(const RuntimeValue& value, const TensorType& type, Storage storage,
                            int64_t samples) {
  if (!is_batched(type)) samples = 1;
  const int64_t bytes = bytes_per_sample(type.shape, storage);
  const int64_t elements = elements_per_sample(type.shape);
  const Tensor floats = to_f32(value);
  std::vector<uint8_t> out(static_cast<size_t>(bytes * samples), 0);
  for (int64_t s = 0; s < samples; ++s)
    for (int64_t i = 0; i < elements; ++i) {
      const auto at = static_cast<size_t>(s * elements + i);
      if (storage.kind == Storage::Kind::f32)
        std::memcpy(&out[at * 4], &floats.f32()[at], 4);
      else
        write_code(out.data() + s * bytes, storage, i, last_extent(type.shape),
                   value.data.i64()[at]);
    }
  return out;
}

struct Job {
  const OpDef* op;
  Attributes attributes;
  std::vector<TensorType> operands;
  std::vector<bool> constant;
  EvaluationOptions options = {};
};

class Reference : public ::testing::Test {
 protected:
  /// Interpreter and kernel on random data; counts what was seen.
  void check(const Job& job, Random& r) {
    const KernelDef* kernel = kernel_of(*job.op);
    ASSERT_NE(kernel, nullptr) << job.op->name << " has no reference kernel";
    const int64_t samples = between(r, 1, 5);
    Graph graph;
    graph.set_options(job.options);
    std::vector<ValueId> values;
    std::vector<RuntimeValue> data;
    for (size_t i = 0; i < job.operands.size(); ++i) {
      const TensorType& type = job.operands[i];
      const std::string name = "x" + std::to_string(i);
      const Tensor tensor = random_data(r, type, samples);
      if (!job.constant[i])
        values.push_back(graph.add_input(name, type));
      else if (type.has_codes())
        values.push_back(graph.add_constant(name, tensor, type));
      else
        values.push_back(graph.add_constant(name, tensor));
      TensorType bound = graph.type(values.back());
      for (Dim& d : bound.shape) d = Dim(d.bind(samples));
      const bool coded = job.constant[i] && bound.has_codes() && !type.has_codes();
      data.push_back(coded ? constant_value(graph, graph.producer(values.back()))
                           : RuntimeValue{bound, tensor});
    }
    Node& node = graph.add(*job.op, "node", values, job.attributes);
    const std::vector<RuntimeValue> expected = evaluate(graph, node, data, job.options);

    ReferenceSpec spec;
    spec.kernel = kernel->name;
    spec.attributes = node.attributes;
    spec.options = to_attributes(job.options);
    std::vector<std::vector<uint8_t>> buffers;
    for (size_t i = 0; i < values.size(); ++i) {
      const TensorType type = graph.type(values[i]);
      spec.operands.push_back(type);
      const std::vector<Storage> possible = storages_of(type);
      ASSERT_FALSE(possible.empty()) << type;
      const auto pick = between(r, 0, static_cast<int64_t>(possible.size()) - 1);
      spec.operand_storages.push_back(possible[static_cast<size_t>(pick)]);
      if (job.constant[i])
        spec.constants.emplace_back(static_cast<int>(i), data[i].data);
      else
        buffers.push_back(stored(data[i], type, spec.operand_storages.back(), samples));
    }
    constexpr size_t kGuard = 64;
    const size_t first_output = buffers.size();
    for (size_t k = 0; k < node.results.size(); ++k) {
      spec.results.push_back(graph.type(node.results[k]));
      for (const Storage s : storages_of(spec.results.back())) {
        spec.outputs.emplace_back(static_cast<int>(k), s);
        buffers.emplace_back(
            static_cast<size_t>(bytes_per_sample(spec.results.back().shape, s) * samples) + kGuard,
            0xa5);
      }
      if (storages_of(spec.results.back()).empty()) {  // wider than any storage: nearest values
        spec.outputs.emplace_back(static_cast<int>(k), Storage::f32());
        buffers.emplace_back(
            static_cast<size_t>(bytes_per_sample(spec.results.back().shape, Storage::f32()) *
                                samples) +
                kGuard,
            0xa5);
      }
    }
    std::string label = join_text(job.op->name, " ", node.attributes);
    for (size_t i = 0; i < spec.operands.size(); ++i)
      label += join_text("\n  operand ", spec.operands[i], job.constant[i] ? " constant" : "",
                         " in ", spec.operand_storages[i]);
    label += join_text("\n  result ", spec.results[0], ", ", samples, " samples");

    std::unique_ptr<ReferenceCall> call;
    ASSERT_NO_THROW(call = kernel->reference(spec)) << label;
    buffers.emplace_back(static_cast<size_t>(call->scratch_bytes()) + kGuard, 0xa5);
    std::vector<void*> pointers;
    for (auto& b : buffers) pointers.push_back(b.data());
    call->run(pointers.data(), samples);

    for (size_t b = first_output; b < buffers.size(); ++b)
      for (size_t i = buffers[b].size() - kGuard; i < buffers[b].size(); ++i)
        ASSERT_EQ(buffers[b][i], 0xa5) << label << "\n  buffer " << b << " written past its end";
    for (size_t o = 0; o < spec.outputs.size(); ++o) {
      const auto [index, storage] = spec.outputs[o];
      const auto k = static_cast<size_t>(index);
      std::vector<uint8_t>& got = buffers[first_output + o];
      got.resize(got.size() - kGuard);
      if (!is_batched(spec.results[k]))
        got.resize(static_cast<size_t>(bytes_per_sample(spec.results[k].shape, storage)));
      const std::vector<uint8_t> want = stored(expected[k], spec.results[k], storage, samples);
      ASSERT_EQ(got, want) << label << "\n  result " << k << " in " << storage;
      if (k == 0) seen_[storage.to_string()].insert(got.begin(), got.end());
    }
    ++(spec.results[0].has_codes() ? coded_ : floating_);
  }

  /// Both kinds of results occurred, and they were not all alike.
  void expect_variety(bool codes, bool floats) {
    if (codes) {
      EXPECT_GT(coded_, 20);
    }
    if (floats) {
      EXPECT_GT(floating_, 20);
    }
    EXPECT_GT(seen_["f32"].size(), 20u);
    if (codes) {
      EXPECT_GT(seen_.size(), 3u);
    }
  }

  int coded_ = 0, floating_ = 0;
  std::map<std::string, std::set<uint8_t>> seen_;
};

Shape image(Random& r, bool flat) {
  Shape s{Dim::batch()};
  if (!flat) s.emplace_back(between(r, 1, 6));
  s.emplace_back(between(r, 1, 7));
  s.emplace_back(between(r, 1, 6));
  return s;
}

TEST_F(Reference, EveryOpHasOne) {
  for (const OpDef* op : ops::all_ops()) {
    // What is no computation: compiled models keep no state yet (passes/compile.h).
    static const std::set<std::string_view> kNone{"input", "constant", "variable", "assign",
                                                  "random"};
    if (kNone.contains(op->name) || op->has_body) continue;
    EXPECT_NE(kernel_of(*op), nullptr) << op->name;
  }
  for (const KernelDef* kernel : all_kernels()) {
    EXPECT_EQ(kernel->is_reference(), kernel->reference_op != nullptr) << kernel->name;
    EXPECT_EQ(kernel->is_reference(), kernel->reference_ns != nullptr) << kernel->name;
    if (kernel->is_reference()) {
      EXPECT_EQ(kernel->name, join_text("reference_", kernel->reference_op->name));
    }
  }
}

TEST_F(Reference, Conv) {
  Random r(1);
  for (int i = 0; i < 600; ++i) {
    const bool flat = chance(r, 0.3);
    const Shape x = image(r, flat);
    const int64_t c = x.back().extent();
    ops::Conv conv;
    conv.strides.assign(flat ? 1 : 2, between(r, 1, 3));
    conv.dilations.assign(flat ? 1 : 2, conv.strides[0] == 1 ? between(r, 1, 2) : 1);
    conv.padding = static_cast<ops::Padding>(between(r, 0, flat ? 2 : 1));
    conv.groups = chance(r, 0.4) ? c : (c % 2 == 0 && chance(r, 0.5) ? 2 : 1);
    Shape w;
    for (size_t a = 1; a + 1 < x.size(); ++a) {
      int64_t taps = between(r, 1, 3);
      if (conv.padding == ops::Padding::valid)
        while ((taps - 1) * conv.dilations[0] + 1 > x[a].extent()) --taps;
      w.emplace_back(taps);
    }
    w.emplace_back(c / conv.groups);
    w.emplace_back(conv.groups * between(r, 1, 4));
    ASSERT_NO_FATAL_FAILURE(check({&ops::conv,
                                   to_attributes(conv),
                                   {random_type(r, x), random_type(r, w)},
                                   {false, chance(r, 0.8)}},
                                  r));
  }
  expect_variety(true, true);
}

TEST_F(Reference, ConvTranspose) {
  Random r(11);
  for (int i = 0; i < 400; ++i) {
    const bool flat = chance(r, 0.3);
    const Shape x = image(r, flat);
    const int64_t c = x.back().extent();
    ops::ConvTranspose conv;
    conv.padding = static_cast<ops::Padding>(between(r, 0, 1));
    conv.groups = chance(r, 0.4) ? c : (c % 2 == 0 && chance(r, 0.5) ? 2 : 1);
    conv.strides.clear();
    conv.dilations.clear();
    Shape w;
    const bool more = chance(r, 0.2);
    for (size_t a = 1; a + 1 < x.size(); ++a) {
      w.emplace_back(between(r, 1, 4));
      conv.strides.push_back(between(r, 1, 3));
      conv.dilations.push_back(chance(r, 0.2) ? 2 : 1);
      // Keras's extents with it may be empty for `same` and even kernels.
      const bool fits = conv.padding == ops::Padding::valid || w.back().extent() % 2 == 1;
      if (more && fits) conv.output_padding.push_back(between(r, 0, conv.strides.back() - 1));
    }
    if (conv.output_padding.size() != conv.strides.size()) conv.output_padding.clear();
    w.emplace_back(c / conv.groups);
    w.emplace_back(conv.groups * between(r, 1, 4));
    ASSERT_NO_FATAL_FAILURE(check({&ops::conv_transpose,
                                   to_attributes(conv),
                                   {random_type(r, x), random_type(r, w)},
                                   {false, chance(r, 0.8)}},
                                  r));
  }
  expect_variety(true, true);
}

TEST_F(Reference, Resize) {
  Random r(12);
  for (int i = 0; i < 300; ++i) {
    const Shape x = image(r, chance(r, 0.4));
    ops::Resize resize;
    resize.scales.clear();
    for (size_t a = 1; a + 1 < x.size(); ++a) resize.scales.push_back(between(r, 1, 3));
    if (chance(r, 0.3)) resize.interpolation = ops::Interpolation::bilinear;
    ASSERT_NO_FATAL_FAILURE(
        check({&ops::resize, to_attributes(resize), {random_type(r, x)}, {false}}, r));
  }
  expect_variety(true, true);
}

TEST_F(Reference, Slice) {
  Random r(13);
  for (int i = 0; i < 300; ++i) {
    const Shape x = image(r, chance(r, 0.4));
    ops::Slice slice;
    slice.axis = between(r, 1, static_cast<int64_t>(x.size()) - 1);
    const int64_t extent = x[static_cast<size_t>(slice.axis)].extent();
    slice.begin = between(r, 0, extent - 1);
    slice.stride = chance(r, 0.3) ? -1 : between(r, 1, extent);
    const int64_t room = slice.stride < 0 ? slice.begin : extent - 1 - slice.begin;
    slice.count = between(r, 1, room / std::abs(slice.stride) + 1);
    ASSERT_NO_FATAL_FAILURE(
        check({&ops::slice, to_attributes(slice), {random_type(r, x)}, {false}}, r));
  }
  expect_variety(true, true);
}

TEST_F(Reference, Gather) {
  Random r(14);
  for (int i = 0; i < 200; ++i) {
    const int64_t rows = between(r, 2, 9);
    Shape table{rows, between(r, 1, 5)}, indices{Dim::batch()};
    if (chance(r, 0.6)) indices.emplace_back(between(r, 1, 6));
    const TensorType numbers{indices, Numeric::integers(0, rows - 1, 0), {}};
    ASSERT_NO_FATAL_FAILURE(
        check({&ops::gather, {}, {random_type(r, table), numbers}, {chance(r, 0.8), false}}, r));
  }
  expect_variety(true, true);
}

TEST_F(Reference, ConvOfWideCodesAndVaryingSteps) {
  Random r(2);
  for (int i = 0; i < 100; ++i) {
    // Steps that vary within a sum, and sums beyond 32 bits.
    const Shape x{Dim::batch(), 4, 5, 3}, w{3, 2, 3, 4};
    TensorType tx{x, Numeric::fixed(16, 3, true), {}}, tw{w, Numeric::fixed(16, 2, true), {}};
    tx.scale = Scale::constant(Tensor({1, 1, 1, 3}, std::vector<double>{0.5, 4, 1}));
    if (i % 2) {
      std::vector<double> scales;
      for (int k = 0; k < 18; ++k)
        scales.push_back(std::ldexp(1.0, static_cast<int>(between(r, -3, 0))));
      tw.scale = Scale::constant(Tensor({3, 2, 3, 1}, scales));
    }
    ASSERT_NO_FATAL_FAILURE(check({&ops::conv, {}, {tx, tw}, {false, i % 3 != 0}}, r));
  }
  EXPECT_GT(coded_, 90);
}

TEST_F(Reference, Dense) {
  Random r(3);
  for (int i = 0; i < 300; ++i) {
    const int64_t c = between(r, 1, 40);
    Shape x{Dim::batch()};
    if (chance(r, 0.3)) x.emplace_back(between(r, 1, 4));
    x.emplace_back(c);
    ASSERT_NO_FATAL_FAILURE(check({&ops::dense,
                                   {},
                                   {random_type(r, x), random_type(r, {c, between(r, 1, 9)})},
                                   {false, chance(r, 0.8)}},
                                  r));
  }
  expect_variety(true, true);
}

TEST_F(Reference, Pool) {
  Random r(4);
  for (int i = 0; i < 400; ++i) {
    const bool flat = chance(r, 0.3);
    const Shape x = image(r, flat);
    ops::Pool pool;
    pool.kind = static_cast<ops::PoolKind>(between(r, 0, 2));
    pool.padding = static_cast<ops::Padding>(between(r, 0, 1));
    pool.sizes.clear();
    for (size_t a = 1; a + 1 < x.size(); ++a)
      pool.sizes.push_back(between(r, 1, std::min<int64_t>(3, x[a].extent())));
    pool.strides.assign(pool.sizes.size(), between(r, 1, 3));
    ASSERT_NO_FATAL_FAILURE(
        check({&ops::pool, to_attributes(pool), {random_type(r, x)}, {false}}, r));
  }
  expect_variety(true, true);
}

TEST_F(Reference, Reduce) {
  Random r(5);
  for (int i = 0; i < 400; ++i) {
    const Shape x = image(r, chance(r, 0.4));
    ops::Reduce reduce;
    reduce.kind = static_cast<ops::ReduceKind>(between(r, 0, 3));
    for (size_t a = 1; a < x.size(); ++a)
      if (chance(r, 0.5)) reduce.axes.push_back(static_cast<int64_t>(a));
    if (reduce.axes.empty()) reduce.axes.push_back(1);
    reduce.keep_dims = chance(r, 0.5);
    if (reduce.kind == ops::ReduceKind::mean) reduce.correction = between(r, 0, 2);
    ASSERT_NO_FATAL_FAILURE(
        check({&ops::reduce, to_attributes(reduce), {random_type(r, x)}, {false}}, r));
  }
  expect_variety(true, true);
}

TEST_F(Reference, Elementwise) {
  Random r(6);
  for (int i = 0; i < 800; ++i) {
    const Shape x = image(r, chance(r, 0.5));
    ops::ElementwiseOp op;
    op.kind = static_cast<ops::Elementwise>(between(r, 0, 5));
    Shape y = x;
    if (chance(r, 0.3))
      y = {x.back()};
    else if (chance(r, 0.3))
      y[1] = 1;
    TensorType a = random_type(r, x), b = random_type(r, y);
    if (op.kind == ops::Elementwise::divide) b.numeric = Numeric::integers(3, 9, 1);  // no 0/0
    const bool constant = !y[0].is_batch() || (y.size() == 1);
    op.constant_divisor = constant && op.kind == ops::Elementwise::divide;
    const bool swap = op.kind != ops::Elementwise::divide && chance(r, 0.3);
    Job job{&ops::elementwise, to_attributes(op), {a, b}, {false, constant}};
    if (swap) {
      std::swap(job.operands[0], job.operands[1]);
      job.constant = {constant, false};
    }
    job.options.division = chance(r, 0.5) ? Division::reciprocal : Division::divide;
    ASSERT_NO_FATAL_FAILURE(check(job, r));
  }
  expect_variety(true, true);
}

TEST_F(Reference, Concat) {
  Random r(7);
  for (int i = 0; i < 300; ++i) {
    const Shape x = image(r, chance(r, 0.5));
    const auto axis = static_cast<size_t>(between(r, 1, static_cast<int64_t>(x.size()) - 1));
    Job job{&ops::concat, to_attributes(ops::Concat{static_cast<int64_t>(axis)}), {}, {}};
    const TensorType common = random_type(r, x);
    const int kind = static_cast<int>(between(r, 0, 2));
    for (int64_t k = between(r, 1, 4); k > 0; --k) {
      Shape part = x;
      part[axis] = Dim(between(r, 1, 4));
      TensorType t{part, common.numeric, {}};
      if (kind == 0) t = random_type(r, part);
      if (kind == 1) t.numeric = Numeric::fixed(6, static_cast<int>(between(r, 0, 4)), true);
      if (kind >= 1 && common.scale.is_per_tensor() && !t.is_float32()) t.scale = common.scale;
      if (kind == 0 && !t.is_float32())  // grids of powers of two
        t.scale = random_scale(r, t.numeric, part, true);
      job.operands.push_back(t);
      job.constant.push_back(false);
    }
    ASSERT_NO_FATAL_FAILURE(check(job, r));
  }
  expect_variety(true, true);
}

TEST_F(Reference, ReshapePermutePad) {
  Random r(8);
  for (int i = 0; i < 500; ++i) {
    const Shape x = image(r, chance(r, 0.5));
    const TensorType type = random_type(r, x);
    ops::Reshape reshape;
    if (chance(r, 0.5))
      reshape.extents = {-1};
    else
      reshape.extents = {x.back().extent(), -1};
    TensorType whole = type;
    if (!whole.scale.is_per_tensor()) whole.scale = {};
    ASSERT_NO_FATAL_FAILURE(check({&ops::reshape, to_attributes(reshape), {whole}, {false}}, r));
    ops::Permute permute;
    for (size_t a = 0; a < x.size(); ++a) permute.axes.push_back(static_cast<int64_t>(a));
    std::shuffle(permute.axes.begin() + 1, permute.axes.end(), r);
    ASSERT_NO_FATAL_FAILURE(check({&ops::permute, to_attributes(permute), {type}, {false}}, r));
    ops::Pad pad;
    for (const Dim d : x) {
      pad.before.push_back(d.is_batch() ? 0 : between(r, 0, 2));
      pad.after.push_back(d.is_batch() ? 0 : between(r, 0, 2));
    }
    ASSERT_NO_FATAL_FAILURE(check({&ops::pad, to_attributes(pad), {type}, {false}}, r));
  }
  expect_variety(true, true);
}

TEST_F(Reference, BatchNorm) {
  Random r(9);
  for (int i = 0; i < 300; ++i) {
    const Shape x = image(r, chance(r, 0.5));
    ops::BatchNorm bn;
    bn.axis = chance(r, 0.7) ? static_cast<int64_t>(x.size()) - 1 : 1;
    bn.form = static_cast<ops::BatchNormForm>(between(r, 0, 1));
    if (bn.form == ops::BatchNormForm::affine && chance(r, 0.3)) {
      bn.inverse_quantizer = "quantized_bits";
      bn.inverse_arguments = Attributes{{"bits", 8}, {"integer", 3}, {"alpha", 1.0}};
    }
    const Shape c{x[static_cast<size_t>(bn.axis)]};
    const TensorType any{c, Numeric::float32(), {}};
    TensorType variance{c, Numeric::integers(0, 900, 6), Scale::constant(0.3)};
    const bool constant = !bn.inverse_quantizer.empty() || chance(r, 0.7);
    Job job{&ops::batch_norm,
            to_attributes(bn),
            {random_type(r, x), any, any, any, variance},
            {false, constant, constant, constant, constant}};
    job.options.batch_norm = static_cast<BatchNormRounding>(between(r, 0, 1));
    ASSERT_NO_FATAL_FAILURE(check(job, r));
  }
  expect_variety(false, true);
}

TEST_F(Reference, Activation) {
  Random r(10);
  for (const char* name : {"linear",         "relu",
                           "leaky_relu",     "elu",
                           "selu",           "softplus",
                           "softsign",       "swish",
                           "gelu",           "exponential",
                           "mish",           "sigmoid",
                           "tanh",           "keras_hard_sigmoid",
                           "hard_sigmoid",   "smooth_sigmoid",
                           "binary_sigmoid", "hard_tanh",
                           "smooth_tanh",    "binary_tanh"})
    for (int i = 0; i < 40; ++i) {
      ops::Activation a;
      a.function = name;
      const std::string_view function = name;
      if (function == "relu" && chance(r, 0.5)) a.max_value = static_cast<double>(between(r, 0, 6));
      if (function == "relu" && chance(r, 0.2)) a.threshold = 0.5;
      if ((function == "relu" && chance(r, 0.3)) || function == "leaky_relu")
        a.negative_slope = 0.3;
      if (function == "elu") a.alpha = chance(r, 0.5) ? 1.0 : 0.7;
      ASSERT_NO_FATAL_FAILURE(check(
          {&ops::activation, to_attributes(a), {random_type(r, image(r, chance(r, 0.5)))}, {false}},
          r));
    }
  expect_variety(true, true);
}

TEST_F(Reference, SoftmaxAndMasking) {
  Random r(11);
  for (int i = 0; i < 200; ++i) {
    const Shape x = image(r, chance(r, 0.5));
    const int64_t axis = chance(r, 0.5) ? -1 : 1;
    ASSERT_NO_FATAL_FAILURE(
        check({&ops::softmax, to_attributes(ops::Softmax{axis}), {random_type(r, x)}, {false}}, r));
    TensorType sparse = random_type(r, x);
    if (chance(r, 0.5)) sparse.numeric = Numeric::ternary();
    if (sparse.numeric.is_float32()) sparse.scale = {};
    ASSERT_NO_FATAL_FAILURE(
        check({&ops::masking, to_attributes(ops::Masking{0.0}), {sparse}, {false}}, r));
  }
  expect_variety(true, true);
}

TEST_F(Reference, Quantize) {
  Random r(12);
  const char* const texts[] = {"quantized_bits(4,0,1)",
                               "quantized_bits(8,3,0,alpha=1.0)",
                               "quantized_bits(16,7)",
                               "quantized_bits(1,0)",
                               "quantized_relu(4,1)",
                               "quantized_relu(8,0,1)",
                               "quantized_relu(6,2,negative_slope=0.25)",
                               "quantized_tanh(6)",
                               "quantized_sigmoid(5)",
                               "quantized_po2(4)",
                               "quantized_relu_po2(4,2)",
                               "quantized_ulaw(6)",
                               "binary(alpha=0.5)",
                               "binary(use_01=True,alpha=1.0)",
                               "ternary(alpha=1.0,threshold=0.4)",
                               "quantized_hswish(6,2,0)",
                               "quantized_linear(6,1)",
                               "quantized_bits(24,4)",
                               "quantized_bits(4,0,1,alpha='auto')",
                               "quantized_bits(4,0,1,alpha='auto_po2')",
                               "binary(alpha='auto')",
                               "ternary()"};
  for (const char* text : texts) {
    const auto parsed = parse_quantizer(text);
    const auto& q = std::get<Quantizer>(parsed);
    const int jobs = q.values().bits() > 12 ? 3 : 25;  // tables of many thresholds take time
    for (int i = 0; i < jobs; ++i) {
      ops::Quantize a{std::string(q.name()), q.arguments()};
      Job job{
          &ops::quantize, to_attributes(a), {random_type(r, image(r, chance(r, 0.5)))}, {false}};
      job.options.division = chance(r, 0.5) ? Division::reciprocal : Division::divide;
      ASSERT_NO_FATAL_FAILURE(check(job, r)) << text;
    }
  }
  expect_variety(true, true);
}

TEST(ReferenceSpecs, WhatDoesNotFitIsRefused) {
  ReferenceSpec spec;
  spec.kernel = "reference_dense";
  const TensorType x{{Dim::batch(), 3}, Numeric::fixed(8, 0, true), {}},
      w{{3, 2}, Numeric::fixed(8, 0, true), {}},
      y{{Dim::batch(), 2}, Numeric::fixed(30, 0, true), {}};
  spec.operands = {x, w};
  spec.results = {y};
  spec.operand_storages = {Storage::bytes(128), Storage::bytes(128)};
  spec.outputs = {{0, Storage::dwords()}};
  spec.options = to_attributes(EvaluationOptions{});
  const auto prepare = [](const ReferenceSpec& s) { (void)reference_dense.reference(s); };
  EXPECT_NO_THROW(prepare(spec));
  ReferenceSpec bad = spec;
  bad.operand_storages[0] = Storage::bits();
  EXPECT_THROW(prepare(bad), InternalError);
  bad = spec;
  bad.outputs[0].second = Storage::words();
  EXPECT_THROW(prepare(bad), InternalError);
  bad = spec;
  bad.operands[1].shape[0] = 4;
  EXPECT_THROW(prepare(bad), InternalError);
  bad = spec;
  bad.results[0].numeric = Numeric::fixed(30, 1, true);  // another step
  EXPECT_THROW(prepare(bad), InternalError);
  bad = spec;
  bad.constants = {{1, Tensor::filled({3, 2}, 0.5f)}};  // values where codes belong
  EXPECT_THROW(prepare(bad), InternalError);
}

}  // namespace
}  // namespace qloom::kernels
