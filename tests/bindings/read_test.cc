#include "bindings/import/read.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "bindings/import/json.h"
#include "tests/bindings/expect_error.h"
#include "tests/support/paths.h"
#include "tests/support/scratch_folder.h"

namespace qloom {
namespace {

namespace fs = std::filesystem;
using testing::expect_user_error;

std::string data(const std::string& name) {
  return (testing::source_dir() / "tests/data/import" / name).string();
}

class ReadTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& content) {
    const fs::path path = folder_ / name;
    std::ofstream(path, std::ios::binary) << content;
    return path.string();
  }
  testing::ScratchFolder scratch_;
  fs::path folder_ = scratch_.path();
};

size_t values_in(const KerasModel& m) {
  size_t count = 0;
  for (const KerasWeightGroup& g : m.weight_groups) {
    for (const KerasWeight& w : g.weights) count += w.values.size();
  }
  return count;
}

TEST_F(ReadTest, FullModelAndArchitectureWithWeightsAreTheSame) {
  const KerasModel full = read_keras_model(data("cnn.h5"));
  const KerasModel split = read_keras_model(data("cnn.json"), {.weights = data("cnn_weights.h5")});
  EXPECT_EQ(full.name, "cnn");
  EXPECT_EQ(full.keras_version, "2.15.0");
  EXPECT_EQ(split.keras_version, "2.15.0");
  ASSERT_EQ(full.layers.size(), 9u);
  ASSERT_EQ(split.layers.size(), 9u);
  for (size_t k = 0; k < full.layers.size(); ++k) {
    EXPECT_EQ(full.layers[k].name, split.layers[k].name);
    EXPECT_EQ(full.layers[k].class_name, split.layers[k].class_name);
    EXPECT_EQ(full.layers[k].config, split.layers[k].config) << full.layers[k].name;
  }
  ASSERT_EQ(full.weight_groups.size(), split.weight_groups.size());
  EXPECT_GT(values_in(full), 200u);
  for (size_t k = 0; k < full.weight_groups.size(); ++k) {
    ASSERT_EQ(full.weight_groups[k].weights.size(), split.weight_groups[k].weights.size());
    for (size_t w = 0; w < full.weight_groups[k].weights.size(); ++w) {
      EXPECT_EQ(full.weight_groups[k].weights[w].values, split.weight_groups[k].weights[w].values);
    }
  }
}

TEST_F(ReadTest, KindIsToldByContentNotByName) {
  fs::copy_file(data("cnn.h5"), folder_ / "model.json");
  EXPECT_EQ(read_keras_model((folder_ / "model.json").string()).layers.size(), 9u);
}

TEST_F(ReadTest, AFullModelServesAsWeights) {
  const KerasModel m = read_keras_model(data("cnn.json"), {.weights = data("cnn.h5")});
  EXPECT_TRUE(m.has_weights);
  EXPECT_GT(values_in(m), 200u);
}

TEST_F(ReadTest, ArchitectureAloneOnlyWhenAsked) {
  expect_user_error([&] { (void)read_keras_model(data("cnn.json")); }, {"cnn.json", "--weights"});
  const KerasModel m = read_keras_model(data("cnn.json"), {.architecture_only = true});
  EXPECT_EQ(m.layers.size(), 9u);
  EXPECT_FALSE(m.has_weights);
}

TEST_F(ReadTest, RefusesOtherFilesByName) {
  expect_user_error([&] { (void)read_keras_model(write("a.h5", "")); }, {"a.h5", "empty"});
  expect_user_error([&] { (void)read_keras_model(write("b.h5", "this is not a model\n")); },
                    {"b.h5", "no Keras model"});
  expect_user_error([&] { (void)read_keras_model(write("c.h5", "PK\x03\x04zip")); },
                    {"c.h5", "ZIP"});
  expect_user_error([&] { (void)read_keras_model((folder_ / "absent.h5").string()); },
                    {"absent.h5", "No such file"});
  expect_user_error([&] { (void)read_keras_model(folder_.string()); },
                    {folder_.string(), "folder"});
  write("saved_model.pb", "x");
  expect_user_error([&] { (void)read_keras_model(folder_.string()); },
                    {folder_.string(), "SavedModel"});
  expect_user_error([&] { (void)read_keras_model(data("cnn_weights.h5")); },
                    {"cnn_weights.h5", "model_config", "--weights"});
  expect_user_error(
      [&] { (void)read_keras_model(data("cnn.json"), {.weights = data("cnn.json")}); },
      {"cnn.json", "JSON", "weights"});
  expect_user_error(
      [&] {
        (void)read_keras_model(
            write("k1.json", R"({"class_name": "Sequential", "config": [{"class_name":
      "Dense", "config": {"name": "d", "batch_input_shape": [null, 4]}}], "keras_version": "1.2.2"})"));
      },
      {"k1.json", "Keras 1.2.2"});
}

// The order of variables in a bundle of golden/files.json is that of model.weights: trainable ones
// of all layers are not grouped, so names decide.
TEST(ReadGolden, EveryFileHasTheWeightsOfItsModel) {
  QLOOM_NEEDS_SHARED();
  const fs::path golden = *testing::shared_dir() / "golden";
  std::ifstream in(golden / "files.json");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const ConfigValue bundle = keras::parse_json(text, "files.json");
  std::ifstream bin(golden / "files.bin", std::ios::binary);
  const std::string values{std::istreambuf_iterator<char>(bin), {}};
  int compared = 0;
  for (const ConfigValue& c : *bundle.find("cases")->array()) {
    const ConfigView golden_case(c, *c.find("name")->text());
    const auto path = [&](const char* form) {
      return (golden / "files" / golden_case["files"][form].as_text()).string();
    };
    for (const KerasModel& m : {read_keras_model(path("h5")),
                                read_keras_model(path("json"), {.weights = path("weights")})}) {
      for (size_t k = 0; k < golden_case["weights"].size(); ++k) {
        const ConfigView expected = golden_case["weights"][k];
        const std::string name = expected["name"].as_text();
        const KerasWeight* found = nullptr;
        int same_name = 0;
        for (const KerasWeightGroup& g : m.weight_groups) {
          for (const KerasWeight& w : g.weights) {
            if (w.name != name) continue;
            ++same_name;
            found = &w;
          }
        }
        ASSERT_NE(found, nullptr) << golden_case.owner() << " " << name;
        if (same_name > 1 || expected["value"]["dtype"].as_text() != "f32") continue;
        const auto at = static_cast<size_t>(expected["value"]["offset"].as_integer());
        ASSERT_LE(at + found->values.size() * 4, values.size());
        EXPECT_EQ(std::memcmp(found->values.data(), values.data() + at, found->values.size() * 4),
                  0)
            << golden_case.owner() << " " << name;
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, 150);
}

TEST(ReadGolden, RealFilesOfEveryEraAreRead) {
  QLOOM_NEEDS_SHARED();
  int read = 0;
  for (const char* folder : {"models/own", "models/public", "models/reports"}) {
    for (const auto& entry : fs::recursive_directory_iterator(*testing::shared_dir() / folder)) {
      const std::string path = entry.path().string();
      if (!path.ends_with(".h5") || path.ends_with("weights.h5")) continue;
      try {
        const KerasModel m = read_keras_model(path);
        EXPECT_GT(m.layers.size(), 1u) << path;
        EXPECT_GT(values_in(m), 0u) << path;
        ++read;
      } catch (const UserError& error) {
        // A weights file with another name.
        EXPECT_NE(std::string(error.what()).find("weights only"), std::string::npos)
            << error.what();
      }
    }
  }
  EXPECT_GE(read, 15);
}

}  // namespace
}  // namespace qloom
