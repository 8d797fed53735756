// Folded layers taken apart.
#include "bindings/import/unfold_model.h"

#include <gtest/gtest.h>

#include "tests/bindings/expect_error.h"

namespace qloom {
namespace {

/// One channel in, two out, kernel 1×1: all numbers have short squares.
KerasLayer folded(bool use_bias) {
  KerasLayer layer;
  layer.name = "c";
  layer.class_name = "QConv2DBatchnorm";
  layer.config = ConfigValue(ConfigValue::Object{{"filters", ConfigValue(int64_t{2})},
                                                 {"use_bias", ConfigValue(use_bias)},
                                                 {"epsilon", ConfigValue(0.0)},
                                                 {"folding_mode", ConfigValue(std::string("x"))}});
  layer.weights.push_back({"kernel", {1, 1, 1, 2}, {3, 5}});
  if (use_bias) layer.weights.push_back({"bias", {2}, {1, 2}});
  layer.weights.push_back({"gamma", {2}, {2, 1}});
  layer.weights.push_back({"beta", {2}, {10, 20}});
  layer.weights.push_back({"iteration", {}, {7}});
  layer.weights.push_back({"mean", {2}, {4, 6}});
  layer.weights.push_back({"variance", {2}, {4, 0.25}});
  return layer;
}

TEST(UnfoldModel, PutsStatisticsIntoTheWeights) {
  KerasModel model;
  model.layers = {folded(true), folded(false)};
  const KerasModel plain = unfold_model(model);
  // gamma / sqrt(variance): 1 and 2.
  EXPECT_EQ(plain.layers[0].class_name, "QConv2D");
  EXPECT_EQ(plain.layers[0].weights[0].values, (std::vector<float>{3, 10}));
  EXPECT_EQ(plain.layers[0].weights[1].values, (std::vector<float>{7, 12}));
  EXPECT_EQ(plain.layers[1].weights[1].values, (std::vector<float>{6, 8}));
  EXPECT_EQ(plain.layers[1].config.find("folding_mode"), nullptr);
  EXPECT_TRUE(*plain.layers[1].config.find("use_bias")->boolean());
}

TEST(UnfoldModel, NamesALayerWithOtherVariables) {
  KerasModel model;
  model.file = "m.h5";
  model.layers = {folded(true)};
  model.layers[0].weights.resize(4);
  testing::expect_user_error([&] { (void)unfold_model(model); }, {"m.h5", "'c'", "4 weights"});
}

}  // namespace
}  // namespace qloom
