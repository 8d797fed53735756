// qloom stats as a person uses it.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/cli/page.h"
#include "tests/cli/process.h"
#include "tests/support/paths.h"

namespace qloom::testing {
namespace {

using Json = nlohmann::json;

const std::string& model() {
  static const std::string path = data_file("models/digits_cnn_w4a4.h5");
  return path;
}

/// The page shows what is printed, and explains each column: no more, no less.
TEST(Stats, ThePageShowsAndExplainsWhatIsPrinted) {
  for (const std::vector<std::string>& options :
       std::vector<std::vector<std::string>>{{},
                                             {"--rules", "qkeras"},
                                             {"--energy"},
                                             {"--throughput", "0.0001"},
                                             {"--accumulators", "-1", "1"}}) {
    std::vector<std::string> arguments{"stats", model()};
    std::string command = "qloom stats tests/data/models/digits_cnn_w4a4.h5";
    for (const std::string& option : options) {
      arguments.push_back(option);
      command += " " + option;
    }
    SCOPED_TRACE(command);
    const Finished f = run_program("qloom", arguments);
    ASSERT_EQ(f.exit_code, 0) << f.err;
    const Shown shown = shown_on_page("passes/analysis/qtools/README.md", command);
    EXPECT_TRUE(f.out.ends_with(shown.text)) << "the page shows another text than\n" << f.out;
    EXPECT_GT(columns_of(f.out).size(), 1U) << f.out;
    EXPECT_EQ(columns_of(f.out), shown.columns);
    EXPECT_LE(widest_line(f.out), 80U);
  }
}

TEST(Stats, EveryModelFitsATerminal) {
  QLOOM_NEEDS_SHARED();
  const std::vector<KerasFile> files = shared_keras_files({"own", "public", "reports"});
  EXPECT_GT(files.size(), 40U);
  for (const auto& [path, weights] : files)
    for (const char* rules : {"", "qkeras"}) {
      std::vector<std::string> arguments{"stats", path, "--energy"};
      if (!weights.empty()) arguments.insert(arguments.end(), {"--weights", weights});
      if (*rules != 0) arguments.insert(arguments.end(), {"--rules", rules});
      const Finished f = run_program("qloom", arguments);
      // HGQ's layers are not ours.
      const bool is_foreign = path.find("/hgq_") != std::string::npos;
      EXPECT_EQ(f.exit_code, is_foreign ? 2 : 0) << path << ": " << f.err;
      EXPECT_LE(widest_line(f.out), 80U) << path << "\n" << f.out;
    }
}

TEST(Stats, RulesAreSoundWhereTheyCanBe) {
  const auto json = [](std::vector<std::string> options) {
    options.insert(options.begin(), {"stats", model(), "--json"});
    const Finished f = run_program("qloom", options);
    EXPECT_EQ(f.exit_code, 0) << f.err;
    return Json::parse(f.out);
  };
  const Json sound = json({});
  EXPECT_EQ(sound["rules"], "sound");
  const Json conv1 = sound["sound"]["layers"][2];
  EXPECT_EQ(conv1["layer"], "conv1");
  EXPECT_EQ(conv1["sums"][0]["by"], "mul");
  EXPECT_EQ(conv1["sums"][0]["sum"]["bits"], 15);
  EXPECT_EQ(conv1["sums"][0]["exact"]["bits"], 14);
  EXPECT_GT(sound["sound"]["energy"]["total_cost"], 0);
  EXPECT_EQ(json({"--rules", "qkeras"}).count("sound"), 0U);
  // An option that only QTools has asks for its rules.
  EXPECT_EQ(json({"--reference"})["rules"], "qkeras");
  const Finished both = run_program("qloom", {"stats", model(), "--reference", "--rules", "sound"});
  EXPECT_EQ(both.exit_code, 2);
  EXPECT_NE(both.err.find("a reference without quantizers"), std::string::npos) << both.err;
}

TEST(Stats, EveryPartFitsEightyColumns) {
  const Finished f = run_program("qloom", {"stats", model(), "--energy", "--qstats", "--throughput",
                                           "0.0001", "--accumulators", "-1", "1"});
  ASSERT_EQ(f.exit_code, 0) << f.err;
  EXPECT_LE(widest_line(f.out), 80U) << f.out;
  for (const char* text : {"smult_4_8", "Total Sparsity", "pJ a sample"})
    EXPECT_NE(f.out.find(text), std::string::npos) << text << " is missing in\n" << f.out;
}

TEST(Stats, FileAndJsonHoldTheMap) {
  const ScratchFolder scratch;
  const std::string path = scratch / "map.json";
  const Finished f = run_program("qloom", {"stats", model(), "--json", "--qtools-json", path,
                                           "--input-quantizer", "quantized_bits(8,2,1)"});
  ASSERT_EQ(f.exit_code, 0) << f.err;
  const Json out = Json::parse(f.out), file = Json::parse(text_of(path));
  EXPECT_EQ(out["data_type_map"], file);
  EXPECT_EQ(file["source_quantizers"][0]["int_bits"], 3);
  EXPECT_EQ(file["conv1"]["multiplier"]["op_type"], "mul");
  EXPECT_EQ(file["conv1"]["operation_count"], 9216);
  EXPECT_EQ(out["sound"]["layers"][0]["output"]["type"], "s8.3");  // the input, quantized
  EXPECT_TRUE(out["refusals"].empty());
}

TEST(Stats, JsonHoldsSearchAndAccumulators) {
  const Finished f = run_program(
      "qloom", {"stats", model(), "--json", "--throughput", "0.0001", "--accumulators", "0", "2"});
  ASSERT_EQ(f.exit_code, 0) << f.err;
  const Json out = Json::parse(f.out);
  EXPECT_EQ(out["accumulators"]["layers"].size(), 3U);
  double gates = 0;
  for (const Json& stage : out["parallelism"]["path"]) gates += stage["gates"].get<double>();
  EXPECT_NEAR(out["parallelism"]["gates"].get<double>(), gates, 1e-9 * gates);
  EXPECT_EQ(out["parallelism"]["path"].back()["elements"], 10);
}

TEST(Stats, MemoryAndProcessChangeEnergy) {
  const auto energy = [](std::vector<std::string> options) {
    options.insert(options.begin(), {"stats", model(), "--json"});
    const Finished f = run_program("qloom", options);
    EXPECT_EQ(f.exit_code, 0) << f.err;
    return Json::parse(f.out)["energy"]["total_cost"].get<int64_t>();
  };
  const int64_t dram = energy({}), sram = energy({"--weights-memory", "sram"}),
                wired = energy({"--weights-memory", "fixed"});
  EXPECT_GT(dram, sram);
  EXPECT_GT(sram, wired);
  EXPECT_GT(dram, energy({"--inputs-in-sram"}));
  EXPECT_NE(sram, energy({"--weights-memory", "sram", "--process", "start"}));
}

TEST(Stats, BadOptionsAreNamed) {
  const Finished two = run_program(
      "qloom", {"stats", model(), "--input-quantizer", "int8", "--input-quantizer", "int8"});
  EXPECT_EQ(two.exit_code, 2);
  EXPECT_NE(two.err.find("2 source types are given, the model has 1"), std::string::npos)
      << two.err;
  const Finished unknown = run_program("qloom", {"stats", model(), "--keras-quantizer", "fp64"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_NE(unknown.err.find("fp64"), std::string::npos) << unknown.err;
  EXPECT_EQ(run_program("qloom", {"stats", model(), "--rules", "none"}).exit_code, 2);
  const Finished range = run_program("qloom", {"stats", model(), "--accumulators", "1", "-1"});
  EXPECT_EQ(range.exit_code, 2);
  EXPECT_NE(range.err.find("1 is above -1"), std::string::npos) << range.err;
}

}  // namespace
}  // namespace qloom::testing
