// Each reference kernel against the interpreter's canonical evaluation: random typed operands in
// every storage that holds them, constant or not, results in every storage at once; bit-equal.
#include "tests/kernels/reference_fixture.h"

namespace qloom::kernels::reference_tests {
namespace {

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
}  // namespace qloom::kernels::reference_tests
