// Every value of a real architecture, replaced by values that make no sense there: an error that
// names the file, or a graph; never a crash, an endless loop or an internal error.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "bindings/import/json.h"
#include "bindings/import/keras_import.h"
#include "bindings/import/read.h"
#include "bindings/import/read_architecture.h"
#include "graph/support/error.h"
#include "tests/support/paths.h"

namespace qloom {
namespace {

// Every value below `v`, containers included.
void collect(ConfigValue& v, std::vector<ConfigValue*>& out) {
  out.push_back(&v);
  if (auto* elements = std::get_if<ConfigValue::Array>(&v.value)) {
    for (ConfigValue& e : *elements) collect(e, out);
  } else if (auto* members = std::get_if<ConfigValue::Object>(&v.value)) {
    for (auto& [key, member] : *members) collect(member, out);
  }
}

const ConfigValue::Array& nonsense() {
  static const ConfigValue kList =
      keras::parse_json(R"json([null, true, 0, -1, 3, 1000, 4611686018427387904, -0.5,
      1e308, NaN, "", "x", "quantized_bits(4,0,1)", [], [0], [-1, -1], [1, 1, 1],
      [4611686018427387904, 4611686018427387904], [null, 4611686018427387904, 4611686018427387904, 2], {}, {"a": 1},
      {"class_name": "quantized_relu", "config": {"bits": 3}}, [["act1", 0, 0, {}]]])json",
                        "nonsense");
  return *kList.array();
}

struct Counts {
  int refused = 0, accepted = 0;
};

Counts try_nonsense(KerasModel model) {
  (void)import_keras(model);  // sound before it is damaged
  Counts counts;
  for (KerasLayer& layer : model.layers) {
    std::vector<ConfigValue*> places;
    collect(layer.config, places);
    // From the back: the places inside a container are visited before the container itself moves.
    for (size_t k = places.size(); k-- > 0;) {
      for (const ConfigValue& bad : nonsense()) {
        ConfigValue kept = std::move(*places[k]);
        *places[k] = bad;
        try {
          (void)import_keras(model);
          ++counts.accepted;
        } catch (const UserError& error) {
          ++counts.refused;
          // The layer itself, or a later one that its output does not suit.
          EXPECT_TRUE(std::string(error.what()).starts_with(model.file + ": layer '"))
              << error.what();
        } catch (const std::exception& error) {
          ADD_FAILURE() << layer.name << ": " << kept.to_string() << " → " << bad.to_string()
                        << ": " << error.what();
        }
        *places[k] = std::move(kept);
      }
    }
  }
  return counts;
}

TEST(HostileConfig, NonsenseInARealModelIsAnErrorOrHarmless) {
  const Counts counts =
      try_nonsense(read_keras_model((testing::source_dir() / "tests/data/import/cnn.h5").string()));
  EXPECT_GT(counts.refused, 1000);
  EXPECT_GT(counts.accepted, 100);
}

TEST(HostileConfig, NonsenseInOtherLayersIsAnErrorOrHarmless) {
  KerasModel model = parse_keras_architecture(
      R"json({"class_name": "Sequential", "config": {"name": "s", "layers": [
      {"class_name": "InputLayer", "config": {"name": "in", "batch_input_shape": [null, 4, 4, 2], "sparse": false}},
      {"class_name": "Rescaling", "config": {"name": "rescaling", "scale": [0.5, 2.0], "offset": 1.0}},
      {"class_name": "ZeroPadding2D", "config": {"name": "pad", "padding": [[1, 1], [1, 1]], "data_format": "channels_last"}},
      {"class_name": "QDepthwiseConv2D", "config": {"name": "dw", "kernel_size": [3, 3], "strides": [1, 1],
       "padding": "valid", "dilation_rate": [1, 1], "depth_multiplier": 1, "use_bias": false,
       "depthwise_quantizer": {"class_name": "quantized_po2", "config": {"bits": 4, "max_value": 1}}}},
      {"class_name": "QBatchNormalization", "config": {"name": "qbn", "axis": [3], "epsilon": 0.001, "center": true,
       "scale": true, "beta_quantizer": "quantized_bits(8,2,1)", "inverse_quantizer": null}},
      {"class_name": "BatchNormalization", "config": {"name": "bn", "axis": 1, "epsilon": 0.001, "center": false, "scale": false}},
      {"class_name": "LeakyReLU", "config": {"name": "leaky", "alpha": 0.125}},
      {"class_name": "ReLU", "config": {"name": "relu", "max_value": 6.0, "negative_slope": 0.0, "threshold": 0.0}},
      {"class_name": "QAveragePooling2D", "config": {"name": "qavg", "pool_size": [2, 2], "strides": [1, 1],
       "padding": "same", "average_quantizer": "quantized_bits(6,0,1)", "activation": null}},
      {"class_name": "Reshape", "config": {"name": "reshape", "target_shape": [16, 2]}},
      {"class_name": "Masking", "config": {"name": "masking", "mask_value": 0.0}},
      {"class_name": "QConv1D", "config": {"name": "c1", "filters": 2, "kernel_size": [2], "strides": [1], "groups": 2,
       "padding": "causal", "use_bias": false, "kernel_quantizer": {"class_name": "ternary", "config": {"alpha": null}}}},
      {"class_name": "MaxPooling1D", "config": {"name": "max", "pool_size": [2], "strides": [2], "padding": "valid"}},
      {"class_name": "GlobalMaxPooling1D", "config": {"name": "global", "keepdims": false}},
      {"class_name": "Softmax", "config": {"name": "softmax", "axis": -1}}]}})json",
      "s.json");
  const auto weight = [](const char* name, std::vector<int64_t> shape, size_t count) {
    return KerasWeight{name, std::move(shape), std::vector<float>(count, 0.5F)};
  };
  set_weights(model,
              {weight("dw", {3, 3, 2, 1}, 18), weight("gamma", {2}, 2), weight("beta", {2}, 2),
               weight("mean", {2}, 2), weight("variance", {2}, 2), weight("mean", {4}, 4),
               weight("variance", {4}, 4), weight("c1", {2, 1, 2}, 4)});
  const Counts counts = try_nonsense(std::move(model));
  EXPECT_GT(counts.refused, 1000);
  EXPECT_GT(counts.accepted, 100);
}

TEST(HostileConfig, NonsenseInTheWiringIsAnErrorOrHarmless) {
  // A functional architecture: two branches that meet.
  const std::string text = R"json({"class_name": "Functional", "config": {"name": "f", "layers": [
      {"name": "a", "class_name": "InputLayer", "config": {"name": "a", "batch_input_shape": [null, 4]}, "inbound_nodes": []},
      {"name": "r", "class_name": "ReLU", "config": {"name": "r"}, "inbound_nodes": [[["a", 0, 0, {}]]]},
      {"name": "t", "class_name": "Add", "config": {"name": "t"}, "inbound_nodes": [[["a", 0, 0, {}], ["r", 0, 0, {}]]]}],
      "input_layers": [["a", 0, 0]], "output_layers": [["t", 0, 0]]}, "keras_version": "2.15.0"})json";
  int refused = 0;
  int accepted = 0;
  ConfigValue architecture = keras::parse_json(text, "f.json");
  std::vector<ConfigValue*> places;
  collect(architecture, places);
  for (size_t k = places.size(); k-- > 0;) {
    for (const ConfigValue& bad : nonsense()) {
      ConfigValue kept = std::move(*places[k]);
      *places[k] = bad;
      try {
        (void)import_keras(keras::read_architecture(architecture, "f.json"));
        ++accepted;
      } catch (const UserError& error) {
        ++refused;
        EXPECT_TRUE(std::string(error.what()).starts_with("f.json")) << error.what();
      } catch (const std::exception& error) {
        ADD_FAILURE() << kept.to_string() << " → " << bad.to_string() << ": " << error.what();
      }
      *places[k] = std::move(kept);
    }
  }
  EXPECT_GT(refused, 500);
  EXPECT_GT(accepted, 50);
}

}  // namespace
}  // namespace qloom
