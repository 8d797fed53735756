// Programs made of reference calls alone, from a graph, one call per node: run by the executor in
// any split, they yield what the interpreter does.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <thread>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "graph/builder.h"
#include "graph/interpret.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "kernels/kernels_table.h"
#include "runtime/executor.h"
#include "tests/runtime/small_program.h"
#include "tests/support/count_allocations.h"

namespace qloom::runtime {
namespace {

using kernels::Storage;

const kernels::KernelDef* reference_of(const OpDef& op) {
  for (const kernels::KernelDef* kernel : kernels::all_kernels())
    if (kernel->reference_op == &op) return kernel;
  return nullptr;
}

/// One call per node, every value in its own place in the arena.
Program program_of(const Graph& graph) {
  Program p;
  p.model = graph.name;
  std::map<ValueId, int> buffer_of;
  std::map<ValueId, Storage> storage_of;
  const auto add_buffer = [&](ValueId value, const std::string& name, Storage storage) {
    buffer_of[value] = static_cast<int>(p.buffers.size());
    storage_of[value] = storage;
    Buffer b;
    b.name = name;
    b.bytes_per_sample = kernels::bytes_per_sample(graph.type(value).shape, storage);
    p.buffers.push_back(b);
  };
  for (const ValueId value : graph.inputs()) {
    add_buffer(value, graph.producer(value).name, Storage::f32());
    const TensorType& type = graph.type(value);
    p.inputs.push_back({graph.producer(value).name, type.shape, buffer_of[value], type, true});
  }
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (node.is(ops::input) || node.is(ops::constant)) continue;
    kernels::ReferenceSpec spec;
    Call call;
    call.node = node.name;
    call.kernel = spec.kernel = reference_of(*node.op)->name;
    spec.attributes = node.attributes;
    spec.options = to_attributes(graph.options());
    for (size_t i = 0; i < node.operands.size(); ++i) {
      const ValueId v = node.operands[i];
      spec.operands.push_back(graph.type(v));
      if (const Node* constant = graph.constant_of(v)) {
        spec.operand_storages.push_back(kernels::plain_storage(graph.type(v)));
        spec.constants.emplace_back(static_cast<int>(i), *constant->constant);
      } else {
        spec.operand_storages.push_back(storage_of.at(v));
        call.buffers.push_back(buffer_of.at(v));
      }
    }
    for (size_t i = 0; i < node.results.size(); ++i) {
      const ValueId v = node.results[i];
      spec.results.push_back(graph.type(v));
      const bool out = graph.is_output(v);
      add_buffer(v, node.name, out ? Storage::f32() : kernels::plain_storage(graph.type(v)));
      spec.outputs.emplace_back(static_cast<int>(i), storage_of[v]);
      call.buffers.push_back(buffer_of[v]);
    }
    const int64_t scratch = reference_of(*node.op)->reference(spec)->scratch_bytes();
    if (scratch > 0) {
      call.buffers.push_back(static_cast<int>(p.buffers.size()));
      Buffer b;
      b.name = node.name + " scratch";
      b.bytes_per_sample = scratch;
      b.is_scratch = true;
      p.buffers.push_back(b);
    }
    if (node.op->whole_batch != nullptr && node.op->whole_batch(node)) p.whole_batch = true;
    call.reference = static_cast<int>(p.references.size());
    p.references.push_back(std::move(spec));
    p.calls.push_back(std::move(call));
  }
  for (const Graph::Output& output : graph.outputs()) {
    const TensorType& type = graph.type(output.value);
    p.outputs.push_back({output.name, type.shape, buffer_of.at(output.value), type, false});
  }
  for (Buffer& b : p.buffers) {
    b.first_use = -1;
    b.last_use = static_cast<int>(p.calls.size());
    b.offset_per_sample = p.arena_bytes_per_sample;
    b.offset_fixed = p.arena_bytes_fixed;
    if (b.is_scratch)
      p.arena_bytes_fixed += (b.bytes_per_sample + 63) / 64 * 64;
    else
      p.arena_bytes_per_sample += (b.bytes_per_sample + 7) / 8 * 8;
    p.arena_bytes_fixed += kernels::kSlackBytes;
  }
  return p;
}

Quantizer quantizer(std::string_view text) { return std::get<Quantizer>(parse_quantizer(text)); }

Tensor weights(Extents extents, uint64_t seed) {
  const int64_t n = element_count(extents);
  return Tensor(std::move(extents), numbers(n, seed));
}

/// Two quantized layers with a residual, pooling and a softmax.
Graph small_network(const char* activation,
                    const char* kernel = "quantized_bits(4,0,1,alpha='auto')") {
  Builder b("small_network");
  const ValueId x = b.quantize(quantizer("quantized_bits(6,2,1,alpha=1.0)"),
                               b.input("x", {Dim::batch(), 6, 6, 3}));
  const auto w = [&](const char* name, Extents extents, uint64_t seed) {
    return b.quantize(quantizer(kernel), b.constant(name, weights(std::move(extents), seed)));
  };
  ops::Conv same;
  same.padding = ops::Padding::same;
  const ValueId a = b.quantize(quantizer(activation), b.conv(x, w("w1", {3, 3, 3, 8}, 1), same));
  const ValueId c = b.quantize(quantizer(activation), b.conv(a, w("w2", {3, 3, 8, 8}, 2), same));
  const ValueId pooled = b.pool(b.add(a, c), {.kind = ops::PoolKind::max});
  const ValueId flat = b.reshape(pooled, {-1});
  const ValueId logits =
      b.add(b.dense(flat, w("w3", {72, 5}, 3)), b.constant("bias", weights({5}, 4)));
  b.output("logits", logits);
  b.output("classes", b.softmax(logits));
  return b.finish();
}

struct Outputs {
  std::vector<float> logits, classes;
  bool operator==(const Outputs&) const = default;
};

Outputs run(Executor& executor, const std::vector<float>& x, int64_t samples) {
  Outputs out{std::vector<float>(static_cast<size_t>(samples * 5)),
              std::vector<float>(static_cast<size_t>(samples * 5))};
  const std::span<const float> in[] = {x};
  const std::span<float> spans[] = {out.logits, out.classes};
  const Status status = executor.run(in, spans, samples);
  EXPECT_TRUE(status.ok()) << status.message();
  return out;
}

Outputs interpreted(const Graph& graph, const std::vector<float>& x, int64_t samples) {
  const Tensor in[] = {Tensor({samples, 6, 6, 3}, x)};
  const auto values = interpret(graph, in, graph.options());
  const Tensor a = to_f32(values[0]), b = to_f32(values[1]);
  return {{a.f32().begin(), a.f32().end()}, {b.f32().begin(), b.f32().end()}};
}

TEST(ReferenceProgram, EqualsTheInterpreterInEverySplit) {
  const Graph graph = small_network("quantized_relu(4,1)");
  const auto model = std::make_shared<Model>(deserialize(serialize(program_of(graph))), nullptr);
  constexpr int64_t kSamples = 37;
  const std::vector<float> x = numbers(kSamples * 108, 5);
  const Outputs expected = interpreted(graph, x, kSamples);
  EXPECT_GT(*std::max_element(expected.logits.begin(), expected.logits.end()), 1);
  for (const int threads : {1, 2, 3, 4})
    for (const int64_t tile : {0, 1, 5, 8, 64}) {
      Executor executor(model, {.threads = threads, .tile = tile});
      EXPECT_EQ(run(executor, x, kSamples), expected) << threads << " threads, tile " << tile;
      const std::vector<float> half(x.begin(), x.begin() + 11 * 108);
      const Outputs part = run(executor, half, 11);
      EXPECT_TRUE(std::equal(part.logits.begin(), part.logits.end(), expected.logits.begin()));
    }
}

TEST(ReferenceProgram, TwoExecutorsOnOneModel) {
  const Graph graph = small_network("quantized_relu(4,1)");
  const auto model = std::make_shared<Model>(program_of(graph), nullptr);
  const std::vector<float> x = numbers(20 * 108, 6);
  const Outputs expected = interpreted(graph, x, 20);
  std::vector<std::thread> threads;
  std::vector<int> equal(2, 0);
  for (size_t t = 0; t < 2; ++t)
    threads.emplace_back([&, t] {
      Executor executor(model, {.threads = 2, .tile = 3});
      for (int i = 0; i < 5; ++i) equal[t] += run(executor, x, 20) == expected ? 1 : 0;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(equal, (std::vector<int>{5, 5}));
}

TEST(ReferenceProgram, AScaleFromTheDataSeesTheWholeBatch) {
  const Graph graph = small_network("quantized_bits(4,0,1,alpha='auto')");
  const Program program = program_of(graph);
  EXPECT_TRUE(program.whole_batch);
  const auto model = std::make_shared<Model>(program, nullptr);
  Executor executor(model, {.threads = 4, .tile = 2});
  for (const int64_t samples : {2, 30, 7}) {
    const std::vector<float> x = numbers(samples * 108, 7 + static_cast<uint64_t>(samples));
    EXPECT_EQ(run(executor, x, samples), interpreted(graph, x, samples)) << samples;
  }
}

TEST(ReferenceProgram, RunNeverAllocates) {
  if (!counts_allocations()) GTEST_SKIP() << "the sanitizer has its own operator new";
  // Weights are quantized at run time here; a scale from the data would allocate.
  const Graph graph = small_network("quantized_relu(4,1)", "quantized_bits(4,0,1,alpha=0.5)");
  const auto model = std::make_shared<Model>(program_of(graph), nullptr);
  Executor executor(model, {.threads = 2});
  const std::vector<float> x = numbers(40 * 108, 8);
  std::vector<float> logits(200), classes(200);
  const std::span<const float> in[] = {x};
  const std::span<float> out[] = {logits, classes};
  const int64_t before = allocation_count();
  const bool ok = executor.run(in, out, 40).ok();
  EXPECT_EQ(allocation_count() - before, 0);
  EXPECT_TRUE(ok);
}

#if defined(__x86_64__)
TEST(ReferenceProgram, TheCallersFloatModeChangesNothing) {
  const Graph graph = small_network("quantized_bits(6,0,1,alpha=0.3)");
  const std::vector<float> x = numbers(9 * 108, 9);
  const Outputs expected = interpreted(graph, x, 9);
  const unsigned before = _mm_getcsr();
  // Flush to zero, denormals are zero, truncate.
  const unsigned odd = 0x1f80 | 0x8040 | 0x6000;
  _mm_setcsr(odd);
  const Outputs again = interpreted(graph, x, 9);
  Executor executor(std::make_shared<Model>(program_of(graph), nullptr));
  const Outputs got = run(executor, x, 9);
  const unsigned after = _mm_getcsr();
  _mm_setcsr(before);
  EXPECT_EQ(after & ~0x3fu, odd);
  EXPECT_EQ(again, expected);
  EXPECT_EQ(got, expected);
}
#endif

TEST(ReferenceProgram, MissingScratchAndWrongSizesAreFound) {
  Program program = program_of(small_network("quantized_relu(4,1)"));
  Program small = program;
  for (Buffer& b : small.buffers)
    if (b.is_scratch) b.bytes_per_sample = 64;
  EXPECT_THROW(Model(small, nullptr), InternalError);
  Program unknown = program;
  unknown.references[0].kernel = "reference_of_nothing";
  EXPECT_THROW(Model(unknown, nullptr), InternalError);
  Program wrong = program;
  wrong.references[0].operand_storages[0] = Storage::words();
  EXPECT_THROW(wrong.verify(), InternalError);
}

}  // namespace
}  // namespace qloom::runtime
