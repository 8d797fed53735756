// The bundles of reference results that lie in tests/data, and the models of a shared folder where
// there is one. How many cases pass, and how many are skipped for what reason, is pinned in
// expected_counts.json: an unlisted skip fails, and so does an unlisted bundle.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>

#include "bindings/golden/compare.h"
#include "bindings/import/keras_import.h"
#include "bindings/import/qtools_model.h"
#include "bindings/import/read.h"
#include "graph/support/error.h"
#include "tests/golden/runner.h"
#include "tests/support/paths.h"

namespace qloom::golden {
namespace {

Json expected_counts() {
  std::ifstream in(testing::source_dir() / "tests/golden/expected_counts.json");
  return Json::parse(in);
}

/// Runs a bundle and compares with the entry of that name in expected_counts.json.
void check(const std::string& name, const std::string& path, const RunOptions& options) {
  const Json all = expected_counts();
  ASSERT_TRUE(all.contains(name)) << name << " is not in expected_counts.json";
  const std::vector<Outcome> outcomes = run_bundle(path, options);
  std::map<std::string, int64_t> skips;
  int64_t passed = 0;
  for (const Outcome& o : outcomes) {
    EXPECT_NE(o.result, Result::failed) << o.name << ": " << o.text;
    passed += o.result == Result::passed ? 1 : 0;
    if (o.result == Result::skipped) ++skips[o.text];
  }
  EXPECT_EQ(passed, all[name]["passed"].get<int64_t>());
  const auto listed = all[name]["skipped"].get<std::map<std::string, int64_t>>();
  EXPECT_EQ(skips, listed) << "skipped cases by reason";
}

/// The bundles that are unpacked beside the tests.
class GoldenTest : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenTest, Bundle) {
  check(GetParam(), std::string(QLOOM_GOLDEN_DATA) + "/" + GetParam() + ".json", {});
}

INSTANTIATE_TEST_SUITE_P(Data, GoldenTest,
                         ::testing::Values("quantizers", "strings", "layers", "files", "files_k3",
                                           "broken", "qtools"),
                         [](const auto& info) { return std::string(info.param); });

/// Every bundle of models, by the name it has in expected_counts.json: "own/digits_po2_ref".
std::vector<std::string> model_bundles() {
  std::vector<std::string> names;
  const Json all = expected_counts();
  for (const auto& [name, counts] : all.items())
    if (name.find('/') != std::string::npos) names.push_back(name);
  return names;
}

class GoldenModelTest : public ::testing::TestWithParam<std::string> {};

TEST_P(GoldenModelTest, Bundle) {
  QLOOM_NEEDS_SHARED();
  const std::string models = (*testing::shared_dir() / "models/").string();
  check(GetParam(), models + GetParam() + ".json", {.root = models + "public/"});
}

INSTANTIATE_TEST_SUITE_P(Shared, GoldenModelTest, ::testing::ValuesIn(model_bundles()),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '/', '_');
                           return name;
                         });

// Layers are compiled, not interpreted: what reference kernels are left for, by case.
TEST(GoldenReferencesTest, LayersRunOnEmittedKernels) {
  // Scales from the activations of the whole batch; values on no grid; a function that is not
  // monotone (kernels/README.md).
  const std::vector<std::string> left{
      "dense_shared_quantizer",  "qact_08_quantized_bits_6_1_1", "qact_09_quantized_bits_6_1_1",
      "qact_16_quantized_ulaw",  "qact_22_ternary_alphaauto",    "qact_25_binary_alphaauto_po2",
      "qact_28_quantized_hswish"};
  std::vector<ReferenceUse> uses;
  const auto outcomes =
      run_bundle(std::string(QLOOM_GOLDEN_DATA) + "/layers.json", {.references = &uses});
  EXPECT_EQ(count(outcomes).failed, 0);
  std::vector<std::string> found;
  for (const ReferenceUse& use : uses) {
    const auto named = std::ranges::find_if(
        left, [&](const std::string& name) { return use.case_name.starts_with(name); });
    EXPECT_TRUE(named != left.end() && use.kernel == "reference_quantize")
        << use.case_name << ": " << use.node << " runs on " << use.kernel;
    if (named != left.end()) found.push_back(*named);
  }
  for (const std::string& name : left)
    EXPECT_TRUE(std::ranges::find(found, name) != found.end()) << name << " is left no more";
}

// Shapes that follow from descriptions, without a graph: of every layer class that QKeras has.
TEST(GoldenDescriptionsTest, ShapesAreThoseOfTheOutputs) {
  const Bundle bundle(std::string(QLOOM_GOLDEN_DATA) + "/layers.json");
  int compared = 0, refused = 0;
  for (const Json& c : bundle.cases()) {
    if (c.contains("error") || !c.contains("calls")) continue;
    SCOPED_TRACE(c.at("name").get<std::string>());
    const KerasModel keras = parse_keras_architecture(c.at("json").get<std::string>(), "model");
    qtools::QtoolsModel model;
    try {
      model = qtools_model_of(keras);
    } catch (const UserError&) {  // a quantizer's text that QKeras misreads
      ++refused;
      continue;
    }
    const Json& outputs = c.at("calls")[0].at("outputs");
    ASSERT_EQ(keras.outputs.size(), outputs.size());
    for (size_t k = 0; k < outputs.size(); ++k) {
      const auto layer =
          std::ranges::find(model.layers, keras.outputs[k].layer, &qtools::ModelLayer::name);
      if (keras.outputs[k].tensor > 0) continue;  // a state
      const Extents expected = bundle.f32(outputs[k]).extents();
      ASSERT_EQ(layer->output_shape.size(), expected.size());
      for (size_t axis = 1; axis < expected.size(); ++axis)
        if (layer->output_shape[axis] != qtools::kUnknownExtent) {
          EXPECT_EQ(layer->output_shape[axis], expected[axis]) << "axis " << axis;
          ++compared;
        }
    }
  }
  EXPECT_GT(compared, 1000);
  EXPECT_LE(refused, 1);
}

TEST(GoldenModelsTest, QtoolsOfStoredModels) {
  QLOOM_NEEDS_SHARED();
  check("qtools_with_models", (*testing::shared_dir() / "golden/qtools.json").string(), {});
}

TEST(GoldenModelsTest, EveryBundleIsListed) {
  QLOOM_NEEDS_SHARED();
  const Json all = expected_counts();
  for (const char* folder : {"own", "public", "reports"})
    for (const auto& entry :
         std::filesystem::directory_iterator(*testing::shared_dir() / "models" / folder)) {
      const std::filesystem::path& path = entry.path();
      if (path.extension() != ".json") continue;
      if (!std::filesystem::exists(std::filesystem::path(path).replace_extension(".bin"))) continue;
      const std::string name = std::string(folder) + "/" + path.stem().string();
      EXPECT_TRUE(all.contains(name)) << name;
    }
}

Comparison compare_own(const std::string& name) {
  const std::string folder = (*testing::shared_dir() / "models/own/").string();
  const KerasModel model =
      read_keras_model(folder + name + "_arch.json", {.weights = folder + name + "_weights.h5"});
  const Bundle bundle(folder + name + "_ref.json");
  return compare(import_keras(model, {.evaluation = "eager", .split_softmax = true}),
                 expected_of(bundle, bundle.cases()[0]));
}

TEST(GoldenModelsTest, CertifiedLogitsAreBitEqual) {
  QLOOM_NEEDS_SHARED();
  for (const char* name : {"digits_cnn_w4a4", "digits_po2", "resnet8_w2a2", "resnet8_w1a1"}) {
    SCOPED_TRACE(name);
    const Comparison result = compare_own(name);
    EXPECT_TRUE(result.within_contract);
    EXPECT_FALSE(result.first_difference.has_value());
    for (const auto* list : {&result.compiled, &result.interpreter}) {
      const auto logits = std::ranges::find(*list, "logits", &OutputComparison::name);
      ASSERT_NE(logits, list->end());
      EXPECT_TRUE(logits->bit_equal()) << logits->equal_values << " of " << logits->values;
      EXPECT_GT(logits->values, 100);
      EXPECT_NE(logits->certificate.find("bit-equal to QKeras"), std::string::npos)
          << logits->certificate;
    }
  }
}

TEST(GoldenModelsTest, AFloatInputIsNamedByTheCertificate) {
  QLOOM_NEEDS_SHARED();
  const Comparison result = compare_own("mobilenet_w4a4");
  EXPECT_TRUE(result.within_contract);
  EXPECT_FALSE(result.first_difference.has_value());
  EXPECT_GT(result.layers_compared, 80);
  for (const char* layer : {"stem", "fc"})
    EXPECT_NE(result.compiled.back().certificate.find(layer), std::string::npos)
        << result.compiled.back().certificate;
}

/// A copy of a packed bundle in a folder of its own, which a test may damage.
class DamagedBundleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(::testing::TempDir()) /
              ("qloom_damaged_bundle_" + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// Copies NAME.json with the cases that `keep` wants, after `change` has been at them, and
  /// NAME.bin.
  std::string copy(const std::string& name, const std::function<bool(Json&)>& keep_and_change) {
    const std::filesystem::path data(QLOOM_GOLDEN_DATA);
    std::ifstream in(data / (name + ".json"));
    Json document = Json::parse(in);
    Json cases = Json::array();
    for (Json& c : document["cases"])
      if (keep_and_change(c)) cases.push_back(c);
    document["cases"] = cases;
    std::ofstream(folder_ / (name + ".json")) << document.dump();
    if (std::filesystem::exists(data / (name + ".bin")))
      std::filesystem::copy_file(data / (name + ".bin"), folder_ / (name + ".bin"),
                                 std::filesystem::copy_options::overwrite_existing);
    return (folder_ / (name + ".json")).string();
  }

  /// The lowest bit of one float of a tensor in NAME.bin.
  void flip(const std::string& name, const Json& tensor, int64_t element) {
    std::fstream file(folder_ / (name + ".bin"), std::ios::in | std::ios::out | std::ios::binary);
    const int64_t at = tensor["offset"].get<int64_t>() + 4 * element;
    file.seekg(at);
    const int byte = file.get();
    file.seekp(at);
    file.put(static_cast<char>(byte ^ 1));
  }

  std::filesystem::path folder_;
};

TEST_F(DamagedBundleTest, OneBitOfOneValueFails) {
  for (const char* family : {"quantized_bits", "quantized_relu", "quantized_tanh"}) {
    Json y;
    const std::string path = copy("quantizers", [&](Json& c) {
      if (!y.is_null() || c["family"] != family || !c.contains("y")) return false;
      y = c["y"];
      return true;
    });
    EXPECT_EQ(count(run_bundle(path, {})), (Counts{1, 0, 0}));
    flip("quantizers", y, 7);
    const auto outcomes = run_bundle(path, {});
    ASSERT_EQ(count(outcomes), (Counts{0, 1, 0}));
    EXPECT_TRUE(outcomes[0].text.starts_with("y[7]: got ")) << outcomes[0].text;
  }
}

TEST_F(DamagedBundleTest, CodesConfigurationsAndBoundsAreCompared) {
  const auto only = [](const char* name, const std::function<void(Json&)>& change) {
    return [=](Json& c) {
      if (c["name"] != name) return false;
      change(c);
      return true;
    };
  };
  const std::vector<std::pair<std::string, std::function<void(Json&)>>> changes{
      {"config", [](Json& c) { c["config"]["integer"] = 1; }},
      {"str", [](Json& c) { c["str"] = "quantized_bits(4,0,1)"; }},
      {"max", [](Json& c) { c["max"] = 2.0; }},
      {"range", [](Json& c) { c["range"] = Json{{"error", {{"type", "E"}, {"message", ""}}}}; }},
      {"step", [](Json& c) { c["step"] = c["x"]; }},
      {"scale", [](Json& c) { c["scale"] = nullptr; }},
      {"error", [](Json& c) { c["error"] = {{"at", "call"}, {"type", "E"}, {"message", ""}}; }},
      {"kwargs", [](Json& c) { c["kwargs"]["magic"] = 1; }}};
  for (const auto& [what, change] : changes) {
    // The fourth case of quantized_bits: 3 bits.
    const std::string path = copy("quantizers", only("114_quantized_bits", change));
    EXPECT_EQ(count(run_bundle(path, {})), (Counts{0, 1, 0})) << what;
  }
  EXPECT_EQ(count(run_bundle(copy("quantizers", only("114_quantized_bits", [](Json&) {})), {})),
            (Counts{1, 0, 0}));
}

TEST_F(DamagedBundleTest, AnotherMeaningOfATextFails) {
  const std::string path = copy("strings", [](Json& c) {
    if (!c.contains("string") || c["string"] != "quantized_bits(4,0,1,alpha=0.5)") return false;
    c["config"]["alpha"] = 0.25;
    return true;
  });
  EXPECT_EQ(count(run_bundle(path, {})), (Counts{0, 1, 0}));
}

TEST_F(DamagedBundleTest, OneBitOfOneExactLayerOutputFails) {
  Json y;
  const std::string path = copy("layers", [&](Json& c) {
    if (c["name"] != "dense_fixed4") return false;
    y = c["calls"][0]["outputs"][0];
    return true;
  });
  EXPECT_EQ(count(run_bundle(path, {})), (Counts{1, 0, 0}));
  flip("layers", y, 3);
  for (const bool interpreter_only : {false, true})
    EXPECT_EQ(count(run_bundle(path, {.interpreter_only = interpreter_only})), (Counts{0, 1, 0}));
}

TEST_F(DamagedBundleTest, ALayerOfLaterWorkIsSkipped) {
  const std::string path = copy("layers", [&](Json& c) {
    if (c["name"] != "dense_fixed4") return false;
    std::string json = c["json"].get<std::string>();
    json.replace(json.find("QDense"), 6, "Permut");  // unknown, and not promised
    c["json"] = json;
    return true;
  });
  EXPECT_EQ(count(run_bundle(path, {})), (Counts{0, 0, 1}));
}

TEST_F(DamagedBundleTest, BundlesThatAreNoneAreRefused) {
  const std::string path = (folder_ / "x.json").string();
  for (const char* text : {"", "{", "[]", "3", "{\"cases\": 3}", "{\"cases\": [{\"a\": 1}]}"}) {
    std::ofstream(path) << text;
    EXPECT_THROW(run_bundle(path, {}), UserError) << text;
  }
  EXPECT_THROW(run_bundle((folder_ / "none.json").string(), {}), UserError);
}

}  // namespace
}  // namespace qloom::golden
