// QTools's known faults, one by one (numbers as in the specification, section 17): the rules
// `qkeras` reproduce each, or say that QTools raises; the rules `sound` do not have it. B20 and B21
// are in qtools_pipelines_test.cc; B32 is code that nothing calls.
#include <gtest/gtest.h>

#include <functional>
#include <numeric>

#include "bindings/cpp/qloom.h"
#include "bindings/report/qtools_json.h"
#include "bindings/report/sound.h"
#include "bindings/report/stats.h"

namespace qloom {
namespace {

using namespace qkeras;
using Json = nlohmann::ordered_json;
using qtools::LayerTypes;
using qtools::Part;
using qtools::QtoolsType;
using qtools::SoundLayer;

/// Both answers for one network.
struct Both {
  ModelStats stats;

  [[nodiscard]] const LayerTypes& types(std::string_view layer) const {
    const LayerTypes* found = stats.map.find(layer);
    if (found == nullptr) throw std::runtime_error("no layer " + std::string(layer));
    return *found;
  }
  /// "s8.1" of a part of the map, "output" or "input"; "-" where there is none.
  [[nodiscard]] std::string qkeras(std::string_view layer, std::string_view part) const {
    const LayerTypes& found = types(layer);
    if (part == "output") return report::short_text(found.output);
    if (part == "input") return report::short_text(found.inputs.at(0));
    const Part* p = found.find(part);
    return p == nullptr ? "-" : report::short_text(p->type);
  }
  [[nodiscard]] std::string by(std::string_view layer, std::string_view part) const {
    return std::string(to_string(types(layer).operation(part)->implementation));
  }
  [[nodiscard]] bool raises(std::string_view exception) const {
    for (const auto* list : {&stats.map.refusals, &stats.energy.refusals, &stats.roofline.refusals})
      for (const qtools::Refusal& r : *list)
        if (r.exception == exception) return true;
    return false;
  }
  template <class Report>
  static const qtools::LayerEnergy& energy_in(const Report& report, std::string_view layer) {
    for (const qtools::LayerEnergy& e : report.layers)
      if (e.name == layer) return e;
    throw std::runtime_error("no energy of " + std::string(layer));
  }
  [[nodiscard]] const qtools::LayerEnergy& qkeras_energy(std::string_view layer) const {
    return energy_in(stats.energy, layer);
  }
  [[nodiscard]] const qtools::LayerEnergy& sound_energy(std::string_view layer) const {
    return energy_in(stats.sound->energy, layer);
  }
  [[nodiscard]] const SoundLayer& sound(std::string_view layer) const {
    for (const SoundLayer& l : stats.sound->layers)
      if (l.name == layer) return l;
    throw std::runtime_error("no layer " + std::string(layer));
  }
  [[nodiscard]] std::string sound_output(std::string_view layer) const {
    return report::short_text(sound(layer).output);
  }
};

Both both(const std::function<Symbol(Network&)>& build, const StatsOptions& options = {}) {
  Network net("m");
  net.output(build(net));
  net.initialize(1);
  StatsOptions sound = options;
  sound.rules = "sound";
  return {model_stats(net.description(), sound)};
}

/// By the rules of QTools alone, for options that only these have.
ModelStats qkeras_stats(const std::function<Symbol(Network&)>& build, StatsOptions options) {
  Network net("m");
  net.output(build(net));
  net.initialize(1);
  options.rules = "qkeras";
  return model_stats(net.description(), options);
}

bool raises(const ModelStats& stats, std::string_view exception) {
  return Both{stats}.raises(exception);
}

Symbol quantized_input(Network& net, const Extents& shape, const char* quantizer) {
  return net.add(QActivation{quantizer}, net.input(shape, "x"), "q");
}

QDense dense(int64_t units, const char* kernel = "quantized_bits(4,0,1,alpha=1)") {
  return {.units = units, .use_bias = false, .kernel_quantizer = kernel};
}

QConv2D conv(int64_t filters, Sizes size) {
  return {.filters = filters,
          .kernel_size = size,
          .use_bias = false,
          .kernel_quantizer = "quantized_bits(4,0,1,alpha=1)"};
}

TEST(QtoolsFaults, B1TypesThatPassALayer) {
  const Both b = both([](Network& net) {
    const Symbol x = quantized_input(net, {2, 3}, "quantized_tanh(8)");
    return net.add(dense(2), net.add(Flatten{}, x, "flat"), "fc");
  });
  EXPECT_EQ(b.qkeras("flat", "output"), "ternary");
  EXPECT_EQ(b.by("fc", "multiplier"), "mux");
  EXPECT_EQ(b.sound_output("flat"), "s8.1");
  EXPECT_EQ(report::to_json(*b.stats.sound)["layers"][3]["sums"][0]["by"], "mul");
}

TEST(QtoolsFaults, B2AndOfABitWithoutItsName) {
  const Both b = both([](Network& net) {
    return net.add(dense(2, "quantized_relu(1,1)"),
                   quantized_input(net, {3}, "quantized_relu(6,2)"), "fc");
  });
  EXPECT_EQ(b.by("fc", "multiplier"), "and");
  EXPECT_EQ(b.qkeras("fc", "multiplier"), "u6.1");  // of a number below 4
  EXPECT_EQ(report::short_text(b.sound("fc").sums.at(0).product), "u6.2");
}

TEST(QtoolsFaults, B3PowersOfTwoAndABit) {
  const QtoolsType po2 = QtoolsType::po2(4, true), bit = QtoolsType::binary(true);
  EXPECT_EQ(report::short_text(qtools::add(po2, bit).out), "s6.6");  // its bits, as if fixed point
  EXPECT_EQ(report::short_text(qtools::add(bit, po2).out), "s9.5");
  // A normalization's intermediate numbers are floats here.
  const Both b = both([](Network& net) {
    return net.add(QBatchNormalization{.beta_quantizer = "binary(use_01=True,alpha=1)"},
                   quantized_input(net, {3}, "quantized_po2(4)"), "bn");
  });
  EXPECT_EQ(b.sound_output("bn"), "f32");
}

TEST(QtoolsFaults, B4EnergyOfAnAverage) {
  const Both b = both([](Network& net) {
    return net.add(AveragePooling2D{}, quantized_input(net, {4, 4, 2}, "quantized_bits(8,0,1)"),
                   "pool");
  });
  EXPECT_TRUE(b.raises("AttributeError"));
  EXPECT_GT(b.qkeras_energy("pool").operations, 0);
  EXPECT_GT(b.sound_energy("pool").operations, 0);
}

TEST(QtoolsFaults, B5GlobalAverageOfAnInput) {
  const auto build = [](Network& net) {
    return net.add(GlobalAveragePooling2D{}, net.input({4, 4, 2}, "x"), "pool");
  };
  StatsOptions options;
  options.map.sources = {{"quantized_bits(8,0,1)"}};
  const Both b = both(build, options);
  EXPECT_EQ(b.qkeras("pool", "pool_sum_accumulator"), "s8.1");  // of 16 terms
  EXPECT_EQ(b.sound_output("pool"), "s12.1");                   // sixteenths
}

TEST(QtoolsFaults, B6NormalizationOfAnInput) {
  const Both b = both(
      [](Network& net) { return net.add(BatchNormalization{}, net.input({4, 4, 2}, "x"), "bn"); });
  EXPECT_TRUE(report::to_json(b.stats.map)["bn"]["output_quantizer"]["shape"][0].is_array());
  // A write of one element, and of 32.
  StatsOptions sram;
  sram.energy.through_sram = false;
  EXPECT_LT(b.qkeras_energy("bn").outputs, b.sound_energy("bn").outputs / 8);
}

TEST(QtoolsFaults, B7SramCostsByBit) {
  const auto build = [](Network& net) {
    return net.add(dense(64), quantized_input(net, {64}, "quantized_bits(8,0,1)"), "fc");
  };
  StatsOptions words, bits;
  words.energy.weights_memory = bits.energy.weights_memory = "sram";
  bits.energy.sram_per_bit = true;
  const Both a = both(build, words), b = both(build, bits);
  EXPECT_DOUBLE_EQ(64 * a.qkeras_energy("fc").parameters, b.qkeras_energy("fc").parameters);
  EXPECT_DOUBLE_EQ(64 * a.sound_energy("fc").parameters, b.sound_energy("fc").parameters);
  EXPECT_GT(a.sound_energy("fc").parameters, 0);
}

TEST(QtoolsFaults, B8EnergyOfAMergedNormalization) {
  const auto build = [](Network& net) {
    const Symbol x = quantized_input(net, {4, 4, 2}, "quantized_bits(8,0,1)");
    return net.add(QBatchNormalization{.gamma_quantizer = nullptr,
                                       .mean_quantizer = "quantized_bits(6,0,1)",
                                       .variance_quantizer = nullptr,
                                       .inverse_quantizer = "quantized_bits(8,0,1)"},
                   net.add(conv(2, 1), x, "conv"), "bn");
  };
  StatsOptions options;
  options.fuse_batch_norm = true;
  const ModelStats merged = qkeras_stats(build, options);
  EXPECT_TRUE(raises(merged, "KeyError"));
  const qtools::LayerEnergy& bn = Both::energy_in(merged.energy, "bn");
  EXPECT_GT(bn.operations, 0);
  EXPECT_GT(bn.parameters, 0);
  EXPECT_GT(both(build).sound_energy("bn").operations, 0);
}

TEST(QtoolsFaults, B9SmallPowersOfTwo) {
  const Both b = both([](Network& net) {
    return net.add(dense(2, "quantized_po2(4,1)"),
                   quantized_input(net, {3}, "quantized_bits(4,0,1)"), "fc");
  });
  // 4 bits, at most 1: QTools takes exponents from -4 to 0, QKeras goes down to -8.
  EXPECT_EQ(b.qkeras("fc", "multiplier"), "s8.1");
  const Numeric weight = b.sound("fc").sums.at(0).weight;
  EXPECT_EQ(weight.min_exponent(), -8);
  EXPECT_EQ(weight.max_exponent(), 0);
  EXPECT_GE(b.sound("fc").sums.at(0).product.bits(), 11);  // 4 bits, eight places further down
}

/// A layer that QTools takes to be free.
void expect_free(const std::function<Symbol(Network&, const Symbol&)>& layer,
                 const Extents& shape = {4, 4, 2}) {
  const Both b = both([&](Network& net) {
    return layer(net, quantized_input(net, shape, "quantized_bits(4,0,1)"));
  });
  const std::string name = b.stats.map.layers.back().name;
  EXPECT_EQ(b.qkeras_energy(name).operations, 0) << name;
  EXPECT_GT(b.sound_energy(name).operations, 0) << name;
}

TEST(QtoolsFaults, B10LayersThatLookFree) {
  expect_free([](Network& net, const Symbol& x) {
    return net.add(QConv2DBatchnorm{.filters = 2,
                                    .kernel_size = 2,
                                    .kernel_quantizer = "quantized_bits(4,0,1)",
                                    .bias_quantizer = "quantized_bits(8,2,1)"},
                   x);
  });
  expect_free([](Network& net, const Symbol& x) {
    return net.add(
        QConv2DTranspose{
            .filters = 2, .kernel_size = 2, .kernel_quantizer = "quantized_bits(4,0,1)"},
        x);
  });
  expect_free([](Network& net, const Symbol& x) {
    return net.add(QAveragePooling2D{.average_quantizer = "quantized_bits(8,0,1)"}, x);
  });
  expect_free([](Network& net, const Symbol& x) {
    return net.add(QSeparableConv2D{.filters = 2,
                                    .kernel_size = 2,
                                    .depthwise_quantizer = "quantized_bits(4,0,1)",
                                    .pointwise_quantizer = "quantized_bits(4,0,1)"},
                   x);
  });
  expect_free([](Network& net, const Symbol& x) {
    const Symbol other = net.add(QActivation{"quantized_relu(4,1)"}, x);
    return net.add(Maximum{}, {x, other});
  });
  expect_free(
      [](Network& net, const Symbol& x) {
        return net.add(QSimpleRNN{.units = 3,
                                  .kernel_quantizer = "quantized_bits(4,0,1)",
                                  .recurrent_quantizer = "quantized_bits(4,0,1)"},
                       x);
      },
      {5, 2});
}

TEST(QtoolsFaults, B11BiasOfADepthwiseConvolution) {
  const Both b = both([](Network& net) {
    return net.add(QDepthwiseConv2D{.kernel_size = 2,
                                    .depthwise_quantizer = "quantized_bits(4,0,1,alpha=1)",
                                    .bias_quantizer = "quantized_bits(8,2,1,alpha=1)"},
                   quantized_input(net, {4, 4, 3}, "quantized_bits(4,0,1)"), "dw");
  });
  EXPECT_EQ(report::to_json(b.stats.map)["dw"]["bias_quantizer"]["shape"], 1);
  EXPECT_EQ(b.sound("dw").weight_bits, 2 * 2 * 3 * 4 + 3 * 8);
}

TEST(QtoolsFaults, B12TermsOfATransposedConvolution) {
  const Both b = both([](Network& net) {
    return net.add(QConv2DTranspose{.filters = 16,
                                    .kernel_size = 2,
                                    .strides = 2,
                                    .use_bias = false,
                                    .kernel_quantizer = "quantized_bits(4,0,1,alpha=1)"},
                   quantized_input(net, {3, 3, 1}, "quantized_bits(4,0,1)"), "up");
  });
  // Kernel [2, 2, 16 outputs, 1 input]: 64 terms there. An output has a single product.
  EXPECT_EQ(b.qkeras("up", "accumulator"), "s13.7");
  const SoundLayer& up = b.sound("up");
  EXPECT_EQ(up.sums.at(0).sum, up.sums.at(0).product);
  EXPECT_EQ(b.types("up").operation_count, 6 * 6 * 16 * 2 * 2);
  EXPECT_EQ(up.operations, 3 * 3 * 16 * 2 * 2);  // each input meets each tap
}

TEST(QtoolsFaults, B13FloatsOfOddWidths) {
  const QtoolsType sum = QtoolsType::fixed(45, 20, true), bias = QtoolsType::floating(32);
  EXPECT_EQ(report::short_text(qtools::add(sum, bias).out), "f45");
  EXPECT_FALSE(qtools::operation_energy(qtools::processes()[0], qtools::add(sum, bias).out,
                                        qtools::Implementation::add, 45));
  const Both b = both([](Network& net) {
    return net.add(QDense{.units = 2, .kernel_quantizer = "quantized_bits(16,0,1,alpha=1)"},
                   quantized_input(net, {300}, "quantized_bits(16,0,1)"), "fc");
  });
  EXPECT_EQ(b.sound_output("fc"), "f32");  // the bias has no quantizer
  EXPECT_GT(b.sound_energy("fc").operations, 0);
  // A sum of 40 bits and a bias of float32.
  StatsOptions options;
  options.process = "start";
  const ModelStats odd = qkeras_stats(
      [](Network& net) {
        return net.add(QDense{.units = 2, .kernel_quantizer = "quantized_bits(16,0,1,alpha=1)"},
                       quantized_input(net, {300}, "quantized_bits(16,0,1)"), "fc");
      },
      options);
  EXPECT_TRUE(raises(odd, "KeyError"));
  EXPECT_GE(Both::energy_in(odd.energy, "fc").operations, 300 * 2 * 0.9);  // of a float32 sum
}

TEST(QtoolsFaults, B14FloatsFromAMux) {
  const auto build = [](Network& net) {
    return net.add(Dense{.units = 2}, quantized_input(net, {3}, "binary(alpha=1)"), "fc");
  };
  StatsOptions options;
  options.map.keras_accumulator = "fp32";
  const ModelStats stats = qkeras_stats(build, options);
  EXPECT_TRUE(raises(stats, "KeyError"));
  EXPECT_GT(Both::energy_in(stats.energy, "fc").operations, 0);  // by mux and adder
  EXPECT_GT(both(build).sound_energy("fc").operations, 0);
}

TEST(QtoolsFaults, B15CountsOfPoolingAndConcatenation) {
  const Both b = both([](Network& net) {
    const Symbol x = quantized_input(net, {4, 4, 2}, "quantized_bits(8,0,1)");
    const Symbol a = net.add(AveragePooling2D{}, x, "plain");
    const Symbol q =
        net.add(QAveragePooling2D{.average_quantizer = "quantized_bits(8,0,1)"}, x, "quantized");
    return net.add(Concatenate{}, {a, q}, "both");
  });
  EXPECT_EQ(b.types("plain").operation_count, 2 * 4);
  EXPECT_EQ(b.types("quantized").operation_count, 0);
  EXPECT_EQ(b.types("both").operation_count, 2 * 2 * 2);
  EXPECT_GE(b.sound("plain").operations, 2 * 2 * 2 * 3);  // three additions for each output
  EXPECT_GE(b.sound("quantized").operations, 2 * 2 * 2 * 3);
  EXPECT_EQ(b.sound("both").operations, 0);  // moves what is there
}

TEST(QtoolsFaults, B16IntegerBitsOfTanh) {
  const Both b = both([](Network& net) {
    return net.add(QActivation{"quantized_tanh(8)"}, net.input({3}, "x"), "tanh");
  });
  EXPECT_EQ(b.qkeras("tanh", "output"), "s8.0");
  EXPECT_EQ(b.sound_output("tanh"), "s8.1");
}

TEST(QtoolsFaults, B17OneTypeForAllInputs) {
  const auto build = [](Network& net) {
    const Symbol a = net.input({3}, "a"), b = net.input({3}, "b"), c = net.input({3}, "c"),
                 d = net.input({3}, "d");
    return net.add(Add{}, {a, b, c, d}, "sum");
  };
  StatsOptions options;
  options.map.sources = {{"int8"}};
  options.map.single_source = true;
  // Four inputs, a word of four letters: each becomes a type of its own, an unknown one.
  StatsOptions several = options;
  several.map.sources = {{"int8", "int8", "int8", "int8"}};
  several.map.single_source = false;
  const Both b = both(build, options);
  EXPECT_EQ(b.stats.map.sources.size(), 4U);
  for (const QtoolsType& t : b.stats.map.sources)
    EXPECT_EQ(report::short_text(t), "s8.1");  // the default, which is the same here
  for (const Numeric& in : b.sound("sum").inputs) EXPECT_EQ(report::short_text(in), "s8.1");
  EXPECT_EQ(b.sound_output("sum"), both(build, several).sound_output("sum"));
}

TEST(QtoolsFaults, B18MergesThatCrash) {
  const auto merge = [](auto layer, bool twice) {
    return both([&](Network& net) {
      const Symbol x = quantized_input(net, {4}, "quantized_relu(4,1)");
      const Symbol y = net.add(QActivation{"quantized_relu(6,3)"}, x, "y");
      return net.add(layer, {x, twice ? x : y}, "merge");
    });
  };
  const Both subtract = merge(Subtract{}, false), dot = merge(Dot{}, false);
  EXPECT_TRUE(subtract.raises("AttributeError"));
  EXPECT_EQ(subtract.sound_output("merge"), "s7.4");  // 0 to 15 eighths less 0 to 63 eighths
  EXPECT_TRUE(dot.raises("AttributeError"));
  EXPECT_EQ(dot.sound_output("merge"), "u12.6");  // four products of 15 · 63
  // One edge for both operands.
  const Both twice = merge(Add{}, true);
  EXPECT_EQ(twice.types("merge").inputs.size(), 1U);
  EXPECT_EQ(twice.sound("merge").inputs.size(), 2U);
  EXPECT_EQ(twice.sound_output("merge"), "u5.2");
  EXPECT_TRUE(merge(Multiply{}, true).raises("UnboundLocalError"));
  EXPECT_EQ(merge(Multiply{}, true).sound_output("merge"), "u8.2");
}

TEST(QtoolsFaults, B19OrderOfMergedInputs) {
  const auto build = [](Network& net) {
    const Symbol x = quantized_input(net, {4}, "quantized_relu(4,1)");
    const Symbol y = net.add(QActivation{"binary(alpha=1)"}, x, "y");
    return net.add(Multiply{}, {y, x}, "merge");
  };
  // A set's order there; the arguments' here, in both.
  const Both b = both(build), again = both(build);
  EXPECT_EQ(report::short_text(b.types("merge").inputs.at(0)), "±1");
  EXPECT_EQ(report::short_text(b.sound("merge").inputs.at(0)), "±1");
  EXPECT_EQ(report::to_json(b.stats.map), report::to_json(again.stats.map));
}

TEST(QtoolsFaults, B22ConvolutionsInOneDimension) {
  const Both b = both([](Network& net) {
    return net.add(QConv1D{.filters = 2,
                           .kernel_size = 3,
                           .use_bias = false,
                           .kernel_quantizer = "quantized_bits(4,0,1,alpha=1)"},
                   quantized_input(net, {8, 2}, "quantized_bits(4,0,1)"), "c");
  });
  EXPECT_EQ(b.qkeras("c", "accumulator"), "s10.4");  // 6 terms; there after a fatal message
  EXPECT_EQ(b.sound("c").sums.at(0).sum.bits(), 10);
}

TEST(QtoolsFaults, B23QuantizersWithoutAType) {
  struct Case {
    const char *text, *type;
  };
  for (const auto& [text, type] :
       {Case{"quantized_hswish(6,1,1)", "s6.2"}, Case{"quantized_sigmoid(4)", "u4.0"},
        Case{"quantized_linear(6,2,keep_negative=False)", "u6.2"}}) {
    const Both b =
        both([&](Network& net) { return net.add(QActivation{text}, net.input({3}, "x"), "act"); });
    EXPECT_TRUE(b.raises("TagMissingError") || b.raises("KeyError")) << text;
    EXPECT_EQ(b.qkeras("act", "output"), type) << text;  // marked
    EXPECT_FALSE(b.sound("act").output.is_float32()) << text;
  }
}

TEST(QtoolsFaults, B24LayersWithoutARule) {
  const Both b = both([](Network& net) {
    const Symbol x = quantized_input(net, {4, 4, 2}, "quantized_bits(4,0,1)");
    const Symbol y = net.add(ReLU{}, net.add(ZeroPadding2D{}, x, "pad"), "relu");
    return net.add(Softmax{}, net.add(Flatten{}, y, "flat"), "softmax");
  });
  EXPECT_EQ(b.stats.map.passed_through, (std::vector<std::string>{"pad", "relu", "softmax"}));
  EXPECT_EQ(b.qkeras("relu", "output"), "s4.1");
  EXPECT_EQ(b.qkeras("softmax", "output"), "s4.1");
  EXPECT_EQ(b.sound_output("relu"), "u3.0");
  EXPECT_EQ(b.sound_output("softmax"), "f32");
}

TEST(QtoolsFaults, B25AverageOrSum) {
  const Both b = both([](Network& net) {
    return net.add(AveragePooling2D{}, quantized_input(net, {4, 4, 2}, "quantized_bits(8,0,1)"),
                   "pool");
  });
  EXPECT_EQ(b.qkeras("pool", "output"), "s10.3");  // a sum
  EXPECT_EQ(b.sound_output("pool"), "s10.1");      // quarters of the input's steps
}

TEST(QtoolsFaults, B26SignOfAQuotient) {
  const QtoolsType po2 = QtoolsType::po2(4, false, 2);
  std::vector<qtools::Refusal> refusals;
  const qtools::Context context{refusals, "bn"};
  EXPECT_EQ(report::short_text(qtools::divide(po2, po2, context).out), "po2(5)");
  const Both b = both([](Network& net) {
    return net.add(QBatchNormalization{.gamma_quantizer = "quantized_relu_po2(4,2)",
                                       .variance_quantizer = "quantized_relu_po2(4,2)"},
                   quantized_input(net, {3}, "quantized_relu(4,1)"), "bn");
  });
  EXPECT_EQ(b.sound_output("bn"), "f32");  // no quotient with a type of its own
}

TEST(QtoolsFaults, B27ParametersOfANormalization) {
  const auto of = [](bool all) {
    return both([&](Network& net) {
      return net.add(QBatchNormalization{.center = all, .scale = all},
                     quantized_input(net, {64}, "quantized_bits(4,0,1)"), "bn");
    });
  };
  const Both full = of(true), part = of(false);
  EXPECT_NE(part.qkeras("bn", "gamma_quantizer"), "-");
  EXPECT_NE(part.qkeras("bn", "beta_quantizer"), "-");
  EXPECT_LT(part.sound("bn").weight_bits, full.sound("bn").weight_bits);
}

TEST(QtoolsFaults, B28NormalizationsThatAreNotListed) {
  const auto build = [](Network& net) {
    const Symbol x = quantized_input(net, {4, 4, 2}, "quantized_bits(4,0,1)");
    return net.add(BatchNormalization{}, net.add(conv(2, 1), x), "plain");
  };
  StatsOptions options;
  options.fuse_batch_norm = true;
  const ModelStats stats = qkeras_stats(build, options);
  EXPECT_TRUE(raises(stats, "KeyError"));
  EXPECT_NE(stats.map.find("plain")->find("gamma_quantizer"), nullptr);  // taken as not merged
}

TEST(QtoolsFaults, B29WeightsAndQuantizersByPosition) {
  const auto counted = [](bool quantized) {
    Network net("m");
    net.output(net.add(QBatchNormalization{.center = false,
                                           .scale = false,
                                           .beta_quantizer = "quantized_bits(2,0,1,alpha=1)",
                                           .variance_quantizer = "quantized_relu_po2(4)"},
                       quantized_input(net, {4}, "quantized_bits(4,0,1)"), "bn"));
    net.set_weights("bn",
                    {Tensor::filled({4}, 0), Tensor({4}, std::vector<float>{0.3F, 0.24F, 1, 4})});
    StatsOptions options;
    options.rules = "qkeras";
    options.map.is_inference = true;
    options.map.model_weights_already_quantized = quantized;
    const ModelStats stats = model_stats(net.description(), options);
    return stats.map.find("bn")->find("variance_quantizer")->type.value_count;
  };
  EXPECT_EQ(counted(true), 4);
  // The variance is weight 1 of 2; quantizer 1 of 5 is beta's, which has 0, a half, and two more.
  EXPECT_EQ(counted(false), 2);
}

TEST(QtoolsFaults, B30CountsOfABiasThatIsNotThere) {
  const auto build = [](Network& net) {
    return net.add(QDense{.units = 2,
                          .use_bias = false,
                          .kernel_quantizer = "quantized_bits(4,0,1)",
                          .bias_quantizer = "quantized_po2(4)"},
                   quantized_input(net, {3}, "quantized_bits(4,0,1)"), "fc");
  };
  StatsOptions options;
  options.map.is_inference = true;
  const ModelStats stats = qkeras_stats(build, options);
  EXPECT_TRUE(raises(stats, "IndexError"));
  EXPECT_EQ(stats.map.find("fc")->find("bias_quantizer"), nullptr);
  EXPECT_EQ(both(build).sound("fc").weight_bits, 3 * 2 * 4);
}

TEST(QtoolsFaults, B31GroupsOfAConvolution) {
  const Both b = both([](Network& net) {
    QConv2D grouped = conv(4, 3);
    grouped.groups = 2;
    return net.add(grouped, quantized_input(net, {6, 6, 4}, "quantized_bits(4,0,1)"), "c");
  });
  EXPECT_EQ(b.types("c").operation_count, 4 * 4 * 4 * 9 * 4);
  EXPECT_EQ(b.sound("c").operations, 4 * 4 * 4 * 9 * 2);
}

TEST(QtoolsFaults, B33ResultsDoNotDependOnWhatCameBefore) {
  const auto energy = [](const char* process) {
    StatsOptions options;
    options.process = process;
    const Both b = both(
        [](Network& net) {
          return net.add(Dense{.units = 2}, quantized_input(net, {3}, "quantized_bits(4,0,1)"),
                         "fc");
        },
        options);
    return std::pair(report::to_json(b.stats.map).dump(), b.stats.sound->energy.total_cost());
  };
  const auto start = energy("start"), horowitz = energy("horowitz");
  EXPECT_NE(start.first, horowitz.first);  // the type of what has no quantizer
  EXPECT_EQ(energy("start"), start);
  EXPECT_EQ(energy("horowitz"), horowitz);
}

}  // namespace
}  // namespace qloom
