// QKeras's names in C++: quantizers and layers as structs, against the tables that define them.
#include <gtest/gtest.h>

#include <set>

#include "bindings/cpp/layers.h"
#include "bindings/cpp/quantizers.h"
#include "bindings/cpp/recurrent_layers.h"
#include "bindings/import/layer.h"
#include "bindings/import/layers_table.h"
#include "graph/quantizers_table.h"

namespace qloom {
namespace {

using namespace qkeras;

template <class... T>
struct List {
  template <class F>
  static void each(F&& f) {
    (f(T{}), ...);
  }
};

using Quantizers = List<bernoulli, binary, quantized_bits, quantized_bits_learnable_po2,
                        quantized_bits_msqe_po2, quantized_hswish, quantized_linear, quantized_po2,
                        quantized_relu, quantized_relu_po2, quantized_sigmoid, quantized_tanh,
                        quantized_ulaw, stochastic_binary, stochastic_ternary, ternary>;

using Layers =
    List<Activation, ActivityRegularization, Add, AlphaDropout, Average, AveragePooling1D,
         AveragePooling2D, BatchNormalization, Bidirectional, Concatenate, Conv1D, Conv1DTranspose,
         Conv2D, Conv2DTranspose, Cropping1D, Cropping2D, Dense, DepthwiseConv2D, Dot, Dropout, ELU,
         Embedding, Flatten, GaussianDropout, GaussianNoise, GlobalAveragePooling1D,
         GlobalAveragePooling2D, GlobalMaxPooling1D, GlobalMaxPooling2D, GRU, Identity,
         LayerNormalization, LeakyReLU, LSTM, Masking, Maximum, MaxPooling1D, MaxPooling2D, Minimum,
         Multiply, Permute, PReLU, QActivation, QAdaptiveActivation, QAveragePooling2D,
         QBatchNormalization, QBidirectional, QConv1D, QConv2D, QConv2DBatchnorm, QConv2DTranspose,
         QDense, QDenseBatchnorm, QDepthwiseConv2D, QDepthwiseConv2DBatchnorm,
         QDepthwiseConv2DTranspose, QGlobalAveragePooling2D, QGRU, QLSTM, QScaleShift,
         QSeparableConv1D, QSeparableConv2D, QSeparableConv2DTranspose, QSimpleRNN, ReLU,
         RepeatVector, Rescaling, Reshape, RNN, SeparableConv1D, SeparableConv2D, SimpleRNN,
         Softmax, SpatialDropout1D, SpatialDropout2D, Subtract, ThresholdedReLU, UpSampling1D,
         UpSampling2D, ZeroPadding1D, ZeroPadding2D>;

TEST(QuantizerStructs, HaveQKerasArgumentsInOrderWithDefaults) {
  std::set<std::string_view> seen;
  Quantizers::each([&](const auto& q) {
    SCOPED_TRACE(q.kQuantizer);
    const QuantizerDef* def = find_quantizer(q.kQuantizer);
    ASSERT_NE(def, nullptr);
    seen.insert(def->name);
    const std::vector<ArgumentDef> expected = def->arguments();
    const Attributes arguments = q.arguments();
    ASSERT_EQ(arguments.entries().size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(arguments.entries()[i].first, expected[i].name);
      EXPECT_EQ(arguments.entries()[i].second, expected[i].default_value) << expected[i].name;
    }
  });
  for (const QuantizerDef* def : quantizers::all_quantizers())
    EXPECT_TRUE(seen.contains(def->name)) << def->name << " has no struct in quantizers.h";
}

TEST(QuantizerStructs, AreWrittenAsInPythonOrByName) {
  const Quantizer text = std::get<Quantizer>(parse_quantizer("quantized_bits(4,0,1,alpha=1.0)"));
  EXPECT_EQ(Quantizer(quantized_bits(4, 0, 1, true, 1.0)), text);
  EXPECT_EQ(Quantizer(quantized_bits{.bits = 4, .symmetric = 1, .alpha = 1.0}), text);
  EXPECT_EQ(Quantizer(ternary{.alpha = "auto_po2"}),
            std::get<Quantizer>(parse_quantizer("ternary(alpha='auto_po2')")));
}

TEST(QuantizerArguments, SayNothingNoneTextOrObject) {
  EXPECT_FALSE(QuantizerArgument().config().has_value());
  EXPECT_TRUE(QuantizerArgument(nullptr).config()->is_null());
  EXPECT_EQ(QuantizerArgument("relu").config(), ConfigValue(std::string("relu")));
  const ConfigValue object =
      *QuantizerArgument(quantized_bits{.bits = 3, .alpha = AttributeValue::Reals{1, 0.5}})
           .config();
  EXPECT_EQ(object.find("class_name")->to_string(), "\"quantized_bits\"");
  EXPECT_EQ(object.find("config")->find("bits")->to_string(), "3");
  EXPECT_EQ(object.find("config")->find("alpha")->array()->size(), 2U);
}

TEST(LayerStructs, CoverEveryClassThatTheImporterKnows) {
  std::set<std::string> seen;
  Layers::each([&](const auto& layer) {
    const Layer described = to_layer(layer);
    SCOPED_TRACE(described.class_name);
    EXPECT_TRUE(seen.insert(described.class_name).second);
    const keras::LayerDef* def = keras::find_layer(described.class_name);
    ASSERT_NE(def, nullptr);
    for (const auto& [key, value] : described.config) {
      const auto has = [&](auto keys) { return std::ranges::find(keys, key) != keys.end(); };
      EXPECT_TRUE(has(def->keys) || has(def->ignored)) << key;
    }
  });
  // Made by Network::input and by expressions.
  for (const char* name : {"InputLayer", "TFOpLambda", "ops.Add", "ops.Subtract", "ops.Multiply"})
    seen.insert(name);
  for (const keras::LayerDef* def : keras::layers::all_layers())
    for (const std::string_view name : def->class_names)
      EXPECT_TRUE(seen.contains(std::string(name))) << name << " has no struct in layers.h";
}

TEST(LayerStructs, SayOnlyWhatIsSaid) {
  const Layer pool = to_layer(MaxPooling2D{});
  EXPECT_EQ(ConfigValue(pool.config).to_string(200),
            R"({"pool_size": 2, "padding": "valid", "data_format": "channels_last"})");
  const Layer pad = to_layer(ZeroPadding2D{.padding = {{0, 1}, {2, 3}}});
  EXPECT_EQ(pad.config[0].second.to_string(), "[[0, 1], [2, 3]]");
  const Layer norm = to_layer(QBatchNormalization{.gamma_quantizer = nullptr});
  EXPECT_TRUE(ConfigValue(norm.config).find("gamma_quantizer")->is_null());
  EXPECT_EQ(ConfigValue(norm.config).find("beta_quantizer"), nullptr);
}

}  // namespace
}  // namespace qloom
