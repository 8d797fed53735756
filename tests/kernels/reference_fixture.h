// tests/kernels/reference_fixture.h: random nodes for reference kernels, and how their results are
// compared with the interpreter.
#pragma once

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

namespace qloom::kernels::reference_tests {

using Random = std::mt19937_64;
inline int64_t between(Random& r, int64_t lo, int64_t hi) {
  return std::uniform_int_distribution<int64_t>(lo, hi)(r);
}
inline bool chance(Random& r, double p) {
  return std::uniform_real_distribution<double>(0, 1)(r) < p;
}

inline const KernelDef* kernel_of(const OpDef& op) {
  for (const KernelDef* kernel : all_kernels())
    if (kernel->reference_op == &op) return kernel;
  return nullptr;
}

inline std::vector<Storage> storages_of(const TensorType& type) {
  std::vector<Storage> out;
  const auto grid = type.has_codes() ? type.numeric.grid() : std::nullopt;
  const int zero = grid && grid->lo < 0 && grid->lo > -256 ? static_cast<int>(-grid->lo) : 0;
  for (const Storage s :
       {Storage::f32(), Storage::bytes(zero), Storage::words(), Storage::dwords(), Storage::bits()})
    if (fits(type, s)) out.push_back(s);
  return out;
}

inline Numeric random_numeric(Random& r) {
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
inline Scale random_scale(Random& r, const Numeric& numeric, const Shape& shape,
                          bool power_of_two) {
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

inline TensorType random_type(Random& r, Shape shape) {
  const Numeric numeric = random_numeric(r);
  const Scale scale = random_scale(r, numeric, shape, chance(r, 0.5));
  return {std::move(shape), numeric, scale};
}

inline Tensor random_data(Random& r, const TensorType& type, int64_t samples) {
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

inline bool is_batched(const TensorType& type) {
  return std::any_of(type.shape.begin(), type.shape.end(), [](Dim d) { return d.is_batch(); });
}

/// A value as bytes of a storage: sample after sample, or once where it is the same for all.
inline std::vector<uint8_t> stored(const RuntimeValue& value, const TensorType& type,
                                   Storage storage, int64_t samples) {
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

inline Shape image(Random& r, bool flat) {
  Shape s{Dim::batch()};
  if (!flat) s.emplace_back(between(r, 1, 6));
  s.emplace_back(between(r, 1, 7));
  s.emplace_back(between(r, 1, 6));
  return s;
}

}  // namespace qloom::kernels::reference_tests
