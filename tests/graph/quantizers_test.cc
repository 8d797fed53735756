// Laws that every quantizer keeps, over the table of quantizers and settings of each; how closely
// they follow QKeras is a matter of tests/golden.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "graph/quantizer.h"
#include "graph/quantizers/support/arithmetic.h"
#include "graph/quantizers_table.h"
#include "graph/support/error.h"

namespace qloom {
namespace {

/// Settings of each class that take their scale from the arguments alone.
const std::vector<std::string> kFixed{
    "quantized_linear(4)",
    "quantized_linear(1)",
    "quantized_linear(5, 2, 0, False)",
    "quantized_linear(4, alpha=0.3)",
    "quantized_bits(1)",
    "quantized_bits(2, 0, 1, alpha=1.0)",
    "quantized_bits(4, 1)",
    "quantized_bits(4, 1, 1)",
    "quantized_bits(6, -2, 0, False)",
    "quantized_bits(8, 8, 1)",
    "quantized_bits(4, alpha=0.25)",
    "quantized_bits(4, alpha='auto', post_training_scale=0.75)",
    "binary()",
    "binary(use_01=True, alpha=2.0)",
    "stochastic_binary(alpha=0.5)",
    "ternary()",
    "ternary(alpha=2.0, threshold=0.7)",
    "stochastic_ternary(alpha=0.5)",
    "quantized_relu(4)",
    "quantized_relu(6, 2)",
    "quantized_relu(4, 2, 0, 0.5)",
    "quantized_relu(2, 0, 0, 0.25)",
    "quantized_relu(6, 2, 1)",
    "quantized_relu(4, 1, relu_upper_bound=1.5, is_quantized_clip=False)",
    "quantized_relu(4, 1, enable_fast_inference=True)",
    "quantized_tanh(4)",
    "quantized_tanh(4, symmetric=True, use_real_tanh=True)",
    "quantized_sigmoid(4)",
    "quantized_sigmoid(5, 1, 1)",
    "quantized_ulaw(6)",
    "quantized_po2(4)",
    "quantized_po2(4, 2)",
    "quantized_po2(4, quadratic_approximation=True)",
    "quantized_po2(8, log2_rounding='floor')",
    "quantized_relu_po2(4)",
    "quantized_relu_po2(8)",
    "quantized_relu_po2(4, 2, 0.25)",
    "quantized_hswish(6, 2)",
};

/// Settings that take their scale from the data.
const std::vector<std::string> kFromData{
    "quantized_linear(4, alpha='auto')",
    "quantized_linear(4, alpha='auto_po2')",
    "quantized_bits(2, alpha='auto')",
    "quantized_bits(4, 1, alpha='auto_po2')",
    "quantized_bits(4, alpha='auto_po2', scale_axis=1, elements_per_scale=2)",
    "quantized_hswish(4, 1, alpha='auto')",
    "binary(alpha='auto')",
    "stochastic_binary('auto_po2')",
    "ternary(alpha='auto')",
    "stochastic_ternary('auto_po2')",
};

Quantizer made(const std::string& text) { return std::get<Quantizer>(parse_quantizer(text)); }

/// Every setting, the classes that no text reaches included.
std::vector<Quantizer> all_settings() {
  std::vector<Quantizer> result;
  for (const auto* list : {&kFixed, &kFromData})
    for (const std::string& text : *list) result.push_back(made(text));
  for (const char* name : {"quantized_bits_learnable_po2", "quantized_bits_msqe_po2"})
    result.push_back(Quantizer::from_config(name, {{"bits", 4}, {"per_channel_scale", true}}));
  result.push_back(made("bernoulli(temperature=3.0)"));
  return result;
}

/// Random numbers of several magnitudes, points and ties of fine grids, their neighbours, zeros.
std::vector<float> probes() {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> x{0.0f, -0.0f, 1e-30f, -1e-30f, 1e-7f, 0.33f, -0.33f};
  for (int i = 0; i < 400; ++i)
    x.push_back(normal(random) * std::exp2(static_cast<float>(i % 9 - 4)));
  for (int k = -80; k <= 80; ++k) x.push_back(static_cast<float>(k) / 32.0f);
  for (int e = -12; e <= 6; ++e) x.push_back(std::exp2(static_cast<float>(e)));
  const size_t n = x.size();
  for (size_t i = 0; i < n; ++i)
    for (const float towards : {-HUGE_VALF, HUGE_VALF}) x.push_back(std::nextafter(x[i], towards));
  return x;
}

Tensor column(const std::vector<float>& x) { return Tensor({std::ssize(x), 1}, x); }

/// A weight tensor [12, 4] with a spread per channel.
Tensor weights() {
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  std::vector<float> x;
  for (int i = 0; i < 48; ++i)
    x.push_back(normal(random) * std::exp2(static_cast<float>(i % 4 - 2)));
  return Tensor({12, 4}, std::move(x));
}

TEST(QuantizersTest, EveryClassIsComplete) {
  std::set<std::string_view> names;
  std::set<std::string_view> tested;
  for (const Quantizer& q : all_settings()) tested.insert(q.name());
  for (const QuantizerDef* def : quantizers::all_quantizers()) {
    SCOPED_TRACE(def->name);
    EXPECT_TRUE(names.insert(def->name).second);
    EXPECT_EQ(find_quantizer(def->name), def);
    EXPECT_FALSE(def->doc.empty());
    EXPECT_FALSE(def->source.empty());
    EXPECT_TRUE(tested.contains(def->name)) << "has no setting in this test";
    for (const bool has : {def->arguments != nullptr, def->values != nullptr,
                           def->forward != nullptr, def->config != nullptr,
                           def->to_string != nullptr, def->max != nullptr, def->min != nullptr})
      EXPECT_TRUE(has);
  }
  EXPECT_GE(names.size(), 16u);
}

TEST(QuantizersTest, PrintedFormReadsBack) {
  for (const Quantizer& q : all_settings()) {
    if (!q.def().by_name) continue;
    const std::string text = q.to_string();
    EXPECT_EQ(parse_quantizer(text), QuantizerOrFunction(q)) << text;
  }
}

TEST(QuantizersTest, ConfigurationReadsBack) {
  for (const Quantizer& q : all_settings()) {
    const Quantizer again = Quantizer::from_config(q.name(), q.config());
    EXPECT_EQ(again.config(), q.config()) << q.to_string();
  }
}

TEST(QuantizersTest, ValuesAreMembersTimesScale) {
  const auto check = [](const Quantizer& q, const Tensor& x) {
    SCOPED_TRACE(q.to_string());
    const Quantized got = q.forward(x);
    const Numeric set = q.values();
    if (set.is_float32()) return;
    const auto strides = got.scale ? broadcast_strides(got.scale->extents(), x.extents())
                                   : std::vector<int64_t>(x.extents().size(), 0);
    size_t distinct_zero = 0;
    for (int64_t i = 0; i < x.size(); ++i) {
      const auto at = static_cast<size_t>(i);
      int64_t channel = 0;
      for (int64_t a = x.rank() - 1, rest = i; a >= 0; --a) {
        channel += rest % x.extents()[static_cast<size_t>(a)] * strides[static_cast<size_t>(a)];
        rest /= x.extents()[static_cast<size_t>(a)];
      }
      const double scale =
          got.scale ? static_cast<double>(got.scale->f32()[static_cast<size_t>(channel)]) : 1.0;
      const auto value = static_cast<double>(got.q->f32()[at]);
      distinct_zero += value == 0 ? 1 : 0;
      if (scale == 0) {
        EXPECT_EQ(value, 0);
        continue;
      }
      // The product of member and scale was rounded once: undo that on the grid.
      double member = value / scale;
      if (const auto grid = set.grid())
        member = std::ldexp(std::rint(std::ldexp(member, grid->fraction)), -grid->fraction);
      EXPECT_TRUE(set.contains(member)) << member << " from " << x.f32()[at] << " in " << set;
    }
    EXPECT_LT(distinct_zero, static_cast<size_t>(x.size())) << "nothing but zeros";
  };
  for (const std::string& text : kFixed) check(made(text), column(probes()));
  for (const std::string& text : kFromData) check(made(text), weights());
}

TEST(QuantizersTest, CodesTimesStepIsTheValue) {
  const auto check = [](const Quantizer& q, const Tensor& x) {
    SCOPED_TRACE(q.to_string());
    const Quantized got = q.forward(x);
    if (!got.codes) {
      EXPECT_TRUE(q.values().is_float32() || !q.values().grid());
      return;
    }
    const auto strides = broadcast_strides(got.step->extents(), x.extents());
    for (int64_t i = 0; i < x.size(); ++i) {
      const int64_t columns = x.extents()[1];
      const auto step =
          got.step->f64()[static_cast<size_t>(i / columns * strides[0] + i % columns * strides[1])];
      const auto at = static_cast<size_t>(i);
      EXPECT_EQ(static_cast<float>(static_cast<double>(got.codes->i64()[at]) * step),
                got.q->f32()[at]);
    }
  };
  for (const std::string& text : kFixed) check(made(text), column(probes()));
  for (const std::string& text : kFromData) check(made(text), weights());
}

/// Settings that map each of their values to itself. Others need not: alpha of quantized_bits comes
/// after the rounding, a sigmoid or a slope moves values, 2^13 floors to 2^12 (the logarithm).
TEST(QuantizersTest, QuantizedValuesStay) {
  for (const char* text : {"quantized_linear(4)",
                           "quantized_linear(1)",
                           "quantized_linear(5, 2, 0, False)",
                           "quantized_linear(4, alpha=0.3)",
                           "quantized_bits(1)",
                           "quantized_bits(2, 0, 1)",
                           "quantized_bits(4, 1)",
                           "quantized_bits(6, -2, 0, False)",
                           "quantized_bits(8, 8, 1)",
                           "binary()",
                           "binary(alpha=3.0)",
                           "stochastic_binary(alpha=0.5)",
                           "ternary()",
                           "ternary(alpha=2.0, threshold=0.7)",
                           "stochastic_ternary(alpha=0.5)",
                           "quantized_relu(4)",
                           "quantized_relu(6, 2)",
                           "quantized_relu(4, 1, relu_upper_bound=1.5, is_quantized_clip=False)",
                           "quantized_tanh(4)",
                           "quantized_po2(4)",
                           "quantized_po2(4, 2)",
                           "quantized_relu_po2(4)",
                           "quantized_relu_po2(6, 1)"}) {
    SCOPED_TRACE(text);
    const Tensor once = *made(text).forward(column(probes())).q;
    const Tensor twice = *made(text).forward(once).q;
    EXPECT_TRUE(twice.same_bits(once));
  }
}

TEST(QuantizersTest, MonotoneWhereClaimed) {
  int claimed = 0;
  for (const std::string& text : kFixed) {
    const Quantizer q = made(text);
    if (!q.is_monotone()) continue;
    SCOPED_TRACE(text);
    ++claimed;
    std::vector<float> x = probes();
    std::ranges::sort(x);
    const Quantized got = q.forward(column(x));
    const auto values = got.q->f32();
    for (size_t i = 1; i < x.size(); ++i)
      ASSERT_LE(values[i - 1], values[i]) << "between " << x[i - 1] << " and " << x[i];
  }
  EXPECT_GE(claimed, 25);
  for (const std::string& text : kFromData) EXPECT_FALSE(made(text).is_monotone()) << text;
}

/// Number of distinct values that a fine sweep of [-9, 9] reaches.
size_t distinct_values(const std::string& text) {
  std::vector<float> x;
  for (int k = -9 * 512; k <= 9 * 512; ++k) x.push_back(static_cast<float>(k) / 512.0f);
  const Tensor q = *made(text).forward(column(x)).q;
  return std::set<float>(q.f32().begin(), q.f32().end()).size();
}

TEST(QuantizersTest, CountsOfValues) {
  const std::vector<std::pair<std::string, size_t>> expected{
      {"quantized_linear(1)", 2},
      {"quantized_linear(3)", 7},
      {"quantized_linear(3,0,0)", 8},
      {"quantized_linear(3,0,0,False)", 8},
      {"quantized_bits(1)", 2},
      {"quantized_bits(2)", 4},
      {"quantized_bits(2,0,1)", 3},
      {"quantized_bits(4)", 16},
      {"quantized_bits(4,2,1)", 15},
      {"quantized_bits(3,0,0,False)", 8},
      {"binary()", 2},
      {"binary(use_01=1)", 2},
      {"ternary()", 3},
      {"quantized_relu(3)", 8},
      {"quantized_relu(4,2,0,0.5)", 12},
      {"quantized_relu(4,0,1)", 9},
      {"quantized_tanh(3)", 8},
      {"quantized_tanh(3,symmetric=True)", 7},
      {"quantized_sigmoid(3)", 8},
      {"quantized_sigmoid(3,1)", 7},
      {"quantized_ulaw(3)", 4},
      {"quantized_po2(3)", 8},
      {"quantized_po2(2)", 4},
      {"quantized_relu_po2(2)", 4},
      {"quantized_relu_po2(2,1)", 5}};
  for (const auto& [text, count] : expected) EXPECT_EQ(distinct_values(text), count) << text;
}

// Thresholds of QKeras's exponent with a correctly rounded logarithm: the smallest float32 that
// yields exponent k, rounding to nearest and down.
TEST(QuantizersTest, LogarithmThresholds) {
  struct Row {
    int k;
    uint32_t round, floor;
  };
  constexpr Row kRows[] = {
      {-23, 0x33B504F6, 0x33FFFFF0}, {-15, 0x37B504FC, 0x38000000}, {-12, 0x393504EB, 0x397FFFF8},
      {-5, 0x3CB504F5, 0x3CFFFFFE},  {-1, 0x3EB504F4, 0x3F000000},  {0, 0x3F3504F4, 0x3F800000},
      {3, 0x40B504F4, 0x40FFFFFF},   {8, 0x433504F4, 0x437FFFFD},   {13, 0x45B504FC, 0x46000001},
      {16, 0x473504EC, 0x477FFFF9},  {24, 0x4B3504F1, 0x4B7FFFF1},  {30, 0x4E3504E6, 0x4E800001}};
  const auto exponent = [](uint32_t bits, bool floor) {
    const float e = quantizers::log2_by_ln(std::bit_cast<float>(bits), Division::divide);
    return static_cast<int>(floor ? std::floor(e) : std::rint(e));
  };
  for (const Row& row : kRows) {
    EXPECT_EQ(exponent(row.round, false), row.k);
    EXPECT_EQ(exponent(row.round - 1, false), row.k - 1) << row.k;
    EXPECT_EQ(exponent(row.floor, true), row.k);
    EXPECT_EQ(exponent(row.floor - 1, true), row.k - 1) << row.k;
  }
}

TEST(QuantizersTest, ConstantDivisionsMayMultiplyWithTheReciprocal) {
  const Tensor x({2, 3}, std::vector<float>{0.23f, 2.76f, 0.1f, 0.53f, -1.9f, 0.3f});
  const Quantizer q = made("quantized_bits(4, alpha='auto')");
  const Quantized graph = q.forward(x, {.division = Division::reciprocal});
  for (size_t i = 0; i < 3; ++i) {
    const float top = std::max(std::fabs(x.f32()[i]), std::fabs(x.f32()[i + 3]));
    EXPECT_EQ(graph.scale->f32()[i], top * 2.0f * (1.0f / 14.0f) * 8.0f);
  }
}

TEST(QuantizersTest, TrainableParameterHook) {
  Quantizer bits = made("quantized_bits(4)");
  bits.set_trainable_parameter();
  EXPECT_EQ(bits.to_string(), "quantized_bits(bits=4, symmetric=True, alpha='auto_po2')");
  Quantizer fixed = made("quantized_bits(4, alpha=1.0)");
  fixed.set_trainable_parameter();
  EXPECT_EQ(fixed.to_string(), "quantized_bits(bits=4, alpha=1.0)");
  Quantizer relu = made("quantized_relu(4)");
  relu.set_trainable_parameter();
  EXPECT_EQ(relu, made("quantized_relu(4)"));
}

TEST(QuantizersTest, NotesNameWhatIsOftenMeantOtherwise) {
  EXPECT_EQ(
      made("quantized_relu(8,0,1)").notes(),
      std::vector<std::string>{"use_sigmoid = 1: the sigmoid form, which uses every second code"});
  EXPECT_EQ(made("quantized_bits(8,8,1)").notes(),
            std::vector<std::string>{"integer = 8 of 8 bits: the step is 2.0"});
  EXPECT_EQ(made("quantized_bits(8,0,1)").notes(), std::vector<std::string>{});
}

struct Refusal {
  const char* text;
  const char* message;
};

class QuantizerTextTest : public ::testing::TestWithParam<Refusal> {};

TEST_P(QuantizerTextTest, IsRefusedWithAReason) {
  try {
    static_cast<void>(parse_quantizer(GetParam().text));
    FAIL() << "accepted";
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find(GetParam().message), std::string::npos)
        << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(
    Refusals, QuantizerTextTest,
    ::testing::Values(
        Refusal{"quantized_bits(int(4),0)", "position 18: a second '('"},
        Refusal{"quantized_bits(4)(0)", "position 17: text after the closing parenthesis"},
        Refusal{"quantized_bits(4,0)junk", "position 19: text after the closing parenthesis"},
        Refusal{"quantized_bits(4,alpha=auto)",
                "'auto' is no number, list, True, False or None; texts need quotes"},
        Refusal{"quantized_bits(4,alpha='auto\")", "a quote is not closed"},
        Refusal{"quantized_bits(4,alpha=''auto'')", "do not match"},
        Refusal{"quantized_bits(4,alpha=)", "a value is missing"},
        Refusal{"quantized_bits(4,,0)", "an argument is missing"},
        Refusal{"quantized_bits(4,0,)", "an argument is missing"},
        Refusal{"quantized_bits(4,0", "')' is missing"},
        Refusal{"quantized_bits(bits=4,0)", "'0' without a name follows an argument with a name"},
        Refusal{"quantized_bits(4,bits=5)", "'bits' is given twice"},
        Refusal{"quantized_bits(4,magic=5)", "unknown argument 'magic'; it has bits, integer"},
        Refusal{"quantized_bits('a')", "bits must be an integer of 0 to 62, found 'a'"},
        Refusal{"quantized_bits(1000)", "bits must be an integer of 0 to 62, found 1000"},
        Refusal{"quantized_bits(4,keep_negative='no')",
                "keep_negative must be a number, found 'no'"},
        Refusal{"quantized_bits(4,alpha='sometimes')",
                "alpha must be None, a number, 'auto' or 'auto_po2'"},
        Refusal{"quantized_relu(4,negative_slope=0.3)",
                "negative_slope must be 0 or a power of two, found 0.3"},
        Refusal{"quantized_po2(4,max_value=-1)", "max_value must not be negative, found -1"},
        Refusal{"quantized_tanh(1,2,3,4,5)", "quantized_tanh takes at most 4 arguments"},
        Refusal{"quantized_magic(4)", "unknown quantizer or activation function 'quantized_magic'"},
        Refusal{"relu(6)", "'relu' is a function and takes no arguments here"},
        Refusal{"", "unknown quantizer or activation function ''"},
        Refusal{"quantized_bits_msqe_po2(4)", "unknown quantizer"}));

TEST(QuantizerTextTest, ListsQuotesAndBlanksMeanWhatTheySay) {
  const QuantizerOrFunction lists =
      parse_quantizer("binary(alpha='auto',scale_axis=[2 3],elements_per_scale=[2 4])");
  EXPECT_EQ(
      parse_quantizer("binary( alpha = \"auto\" , scale_axis=[ 2, 3 ], elements_per_scale=[2,4] )"),
      lists);
  EXPECT_EQ(made("quantized_bits(4,alpha=[1])").arguments()["alpha"],
            AttributeValue(AttributeValue::Integers{1}));
  EXPECT_EQ(made("quantized_bits(4,var_name='a, b')").arguments()["var_name"],
            AttributeValue("a, b"));
  EXPECT_EQ(made("quantized_bits(1_0)"), made("quantized_bits(+10)"));
  EXPECT_EQ(parse_quantizer("silu"), QuantizerOrFunction(ActivationFunction{"swish"}));
}

// Texts made of pieces of valid ones: read or refused, and what is read can be used or refuses.
TEST(QuantizerTextTest, AnyTextIsReadOrRefused) {
  const std::vector<std::string> pieces{"quantized_bits",
                                        "quantized_relu",
                                        "quantized_po2",
                                        "ternary",
                                        "binary",
                                        "quantized_linear",
                                        "quantized_ulaw",
                                        "quantized_hswish",
                                        "quantized_tanh",
                                        "quantized_sigmoid",
                                        "quantized_relu_po2",
                                        "(",
                                        ")",
                                        ",",
                                        "=",
                                        "[",
                                        "]",
                                        "{",
                                        "}",
                                        "'",
                                        "\"",
                                        " ",
                                        "4",
                                        "-1",
                                        "0",
                                        "1e9",
                                        "99999999999999999999",
                                        "nan",
                                        "inf",
                                        "0.25",
                                        "True",
                                        "None",
                                        "alpha",
                                        "'auto'",
                                        "'auto_po2'",
                                        "integer",
                                        "bits",
                                        "negative_slope",
                                        "max_value",
                                        "symmetric",
                                        "scale_axis",
                                        "elements_per_scale",
                                        "post_training_scale",
                                        "[1 2]",
                                        "[0, 1]",
                                        "{shape=[1, 2], values=[1, 2]}",
                                        "relu_upper_bound",
                                        "is_quantized_clip=False",
                                        "quadratic_approximation=1",
                                        "u",
                                        "\xc3"};
  std::mt19937 random(23);
  const Tensor x({2, 2}, std::vector<float>{0.25f, -1.0f, 3.0f, 0.0f});
  int read = 0;
  for (int i = 0; i < 40000; ++i) {
    // Half of the texts are well formed but for the values.
    std::string text = pieces[random() % 11];
    if (i % 2 == 0) {
      for (unsigned k = random() % 9; k > 0; --k) text += pieces[random() % pieces.size()];
    } else {
      text += "(";
      const unsigned count = random() % 4;
      for (unsigned k = 0; k < count; ++k) text += (k == 0 ? "" : ",") + pieces[22 + random() % 11];
      text += ")";
    }
    try {
      const QuantizerOrFunction what = parse_quantizer(text);
      const auto* q = std::get_if<Quantizer>(&what);
      if (q == nullptr) continue;
      ++read;
      static_cast<void>(q->values());
      static_cast<void>(q->scale());
      static_cast<void>(q->is_monotone());
      static_cast<void>(q->notes());
      static_cast<void>(q->config());
      static_cast<void>(parse_quantizer(q->to_string()));
      const Quantized got = q->forward(x);
      EXPECT_EQ(got.y.extents(), x.extents());
    } catch (const UserError&) {
    } catch (const std::exception& error) {
      FAIL() << text << ": " << error.what();
    }
  }
  EXPECT_GT(read, 1000);
}

TEST(QuantizersTest, RefusesWhatQKerasRefusesAtTheCall) {
  const Tensor x = weights();
  const auto message = [&](const std::string& text) -> std::string {
    try {
      static_cast<void>(made(text).forward(x));
      return "";
    } catch (const UserError& error) {
      return error.what();
    }
  };
  EXPECT_EQ(message("quantized_bits(4,alpha='auto',scale_axis=-1)"),
            "quantized_bits: scale_axis must not be negative, found -1");
  EXPECT_EQ(message("quantized_bits(4,alpha='auto',elements_per_scale=2)"),
            "quantized_bits: elements_per_scale needs alpha 'auto_po2', found 'auto'");
  EXPECT_EQ(message("binary(alpha='auto',scale_axis=1,elements_per_scale=3)"),
            "binary: axis 1 has extent 4, which 3 elements per scale do not divide");
  EXPECT_EQ(message("ternary(alpha='auto',number_of_unrolls=0)"),
            "ternary: number_of_unrolls must be 1 or more, found 0");
  EXPECT_NE(message("bernoulli()").find("at random"), std::string::npos);
  EXPECT_NE(message("quantized_relu(4,-1)").find("integer"), std::string::npos);
}

/// The widest grid: exponents -64 to -2 make codes up to 2^62, which must exist.
TEST(Quantizers, PowersOfTwoHaveCodesUpToTheLargest) {
  const Quantizer q = made("quantized_po2(6, 0.25, quadratic_approximation=True)");
  const Quantized out = q.forward(Tensor({3}, std::vector<float>{0.25F, -1.0F, 0.0625F}));
  ASSERT_TRUE(q.values().grid().has_value());
  ASSERT_TRUE(out.codes.has_value());
  const auto codes = out.codes->i64();
  EXPECT_EQ(codes[0], int64_t{1} << 62);
  EXPECT_EQ(codes[1], -(int64_t{1} << 62));
  EXPECT_EQ(codes[2], int64_t{1} << 60);
}

/// In quadratic mode powers of two themselves are thresholds; else they lie far from any.
TEST(Quantizers, NameInputsWhereTheLogarithmIsUncertain) {
  const Quantizer quadratic = made("quantized_po2(5, 4, quadratic_approximation=True)");
  EXPECT_TRUE(quadratic.is_uncertain(0.5F));
  EXPECT_TRUE(quadratic.is_uncertain(-0.5F));
  EXPECT_FALSE(quadratic.is_uncertain(0.25F));
  EXPECT_FALSE(quadratic.is_uncertain(0));
  const Quantizer plain = made("quantized_relu_po2(4, 2)");
  EXPECT_FALSE(plain.is_uncertain(0.5F));
  EXPECT_TRUE(plain.is_uncertain(0.70710678F));
  EXPECT_FALSE(plain.is_uncertain(0.7072F));
  EXPECT_FALSE(plain.is_uncertain(-0.70710678F));  // without a slope all negative inputs are alike
  EXPECT_FALSE(made("quantized_relu(4, 2)").has_uncertain_inputs());
}

}  // namespace
}  // namespace qloom
