// The command line as a person uses it: fresh processes, exit codes, text and JSON.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bindings/cli/support/npy.h"
#include "bindings/golden/bundle.h"
#include "tests/cli/process.h"

namespace qloom::testing {
namespace {

using Json = nlohmann::json;

const std::string& model() {
  static const std::string path = data_file("models/digits_cnn_w4a4.h5");
  return path;
}
const std::string& bundle_path() {
  static const std::string path = data_file("models/digits_cnn_w4a4_ref.json");
  return path;
}

Finished qloom(const std::vector<std::string>& arguments,
               const std::vector<std::string>& environment = {}) {
  return run_program("qloom", arguments, environment);
}

void write_npy(const std::string& path, const Tensor& tensor) {
  const std::vector<uint8_t> bytes = cli::format_npy(tensor);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

TEST(Cli, HelpOfEveryCommandShowsAnExample) {
  for (const char* command :
       {"summary", "run", "compare", "explain", "quantize", "demo", "bench", "stats", "trace"}) {
    const Finished f = qloom({command, "--help"});
    EXPECT_EQ(f.exit_code, 0) << command;
    EXPECT_NE(f.out.find("Example:\n  qloom " + std::string(command)), std::string::npos) << f.out;
  }
}

TEST(Cli, WrongUsageIsTwo) {
  EXPECT_EQ(qloom({"sumary"}).exit_code, 2);
  EXPECT_EQ(qloom({"run", model()}).exit_code, 2);  // no --input
  EXPECT_EQ(qloom({"summary", model(), "--evaluation", "lazy"}).exit_code, 2);
  const Finished missing = qloom({"summary", "no_such_model.h5"});
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_NE(missing.err.find("no_such_model.h5"), std::string::npos) << missing.err;
}

TEST(Cli, QuantizePrintsCodesStepsAndValues) {
  const Finished f = qloom(
      {"quantize", "quantized_bits(4,0,1,alpha=1)", "--json", "--", "0.1", "0.0625", "-0.9", "5"});
  ASSERT_EQ(f.exit_code, 0) << f.err;
  const Json out = Json::parse(f.out);
  const std::vector<int> codes{1, 0, -7, 7};  // 0.0625 is half a step: to even
  ASSERT_EQ(out["values"].size(), codes.size());
  for (size_t i = 0; i < codes.size(); ++i) {
    EXPECT_EQ(out["values"][i]["code"], codes[i]);
    EXPECT_EQ(out["values"][i]["step"], 0.125);
    EXPECT_EQ(out["values"][i]["value"], codes[i] * 0.125);
  }
  const Finished unknown = qloom({"quantize", "quantized_bits(4,symetric=1)", "1"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_NE(unknown.err.find("symetric"), std::string::npos) << unknown.err;
}

TEST(Cli, SummaryCountsWhatTheReferenceCounts) {
  const Finished f = qloom({"summary", model(), "--json"});
  ASSERT_EQ(f.exit_code, 0) << f.err;
  const Json out = Json::parse(f.out);
  const golden::Bundle bundle(bundle_path());
  EXPECT_EQ(out["parameters"], bundle.cases()[0]["parameters"].get<int64_t>());
  EXPECT_EQ(out["macs"], bundle.cases()[0]["macs"].get<int64_t>());
  const Finished text = qloom({"summary", model()});
  EXPECT_NE(text.out.find("conv1 (QConv2D)"), std::string::npos) << text.out;
}

/// Characters of the longest line.
size_t width_of(const std::string& text) {
  std::istringstream lines(text);
  size_t widest = 0;
  for (std::string line; std::getline(lines, line);)
    widest =
        std::max(widest, static_cast<size_t>(std::count_if(
                             line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; })));
  return widest;
}

TEST(Cli, TextFitsEightyColumnsUnlessWide) {
  for (const char* command : {"summary", "explain"}) {
    const Finished narrow = qloom({command, model()}), wide = qloom({command, model(), "--wide"});
    ASSERT_EQ(narrow.exit_code, 0) << narrow.err;
    EXPECT_LE(width_of(narrow.out), 80U) << narrow.out;
    EXPECT_GT(width_of(wide.out), 100U) << wide.out;
    // Nothing is lost but where lines end.
    for (const char* text : {"conv2", "fixed(4, 4, unsigned)"})
      EXPECT_NE(narrow.out.find(text), std::string::npos) << narrow.out;
  }
}

TEST(Cli, BenchReportsWhatWasPromised) {
  const ScratchFolder scratch;
  const Finished f =
      qloom({"bench", model(), "--batch", "16", "--threads", "2", "--seconds", "0.05",
             "--float-mode", "fast", "--trace", scratch / "trace.json", "--json"});
  ASSERT_EQ(f.exit_code, 0) << f.err;
  const Json out = Json::parse(f.out);
  std::vector<std::string> keys, percentiles;
  for (const auto& [key, value] : out.items()) keys.push_back(key);
  for (const auto& [key, value] : out["latency_ns"].items()) percentiles.push_back(key);
  EXPECT_EQ(keys, (std::vector<std::string>{"batch", "fp32_peak_gmacs", "gmacs", "latency_ns",
                                            "macs_per_sample", "model", "peak_rss_bytes",
                                            "ratio_to_fp32_peak", "samples_per_second",
                                            "start_cold_ms", "start_warm_ms", "threads"}));
  EXPECT_EQ(percentiles, (std::vector<std::string>{"min", "p50", "p90", "p99"}));
  EXPECT_EQ(out["batch"], 16);
  EXPECT_EQ(out["threads"], 2);
  EXPECT_EQ(out["macs_per_sample"], 135792);
  const Json& latency = out["latency_ns"];
  EXPECT_GT(latency["min"], 0);
  EXPECT_LE(latency["min"], latency["p50"]);
  EXPECT_LE(latency["p50"], latency["p90"]);
  EXPECT_LE(latency["p90"], latency["p99"]);
  const double gmacs = out["gmacs"], rate = out["samples_per_second"];
  EXPECT_NEAR(gmacs, rate * 135792 / 1e9, 1e-6 * gmacs);
  EXPECT_NEAR(out["ratio_to_fp32_peak"].get<double>(), gmacs / out["fp32_peak_gmacs"].get<double>(),
              1e-9);
  EXPECT_GT(out["start_cold_ms"], out["start_warm_ms"]) << "the cold start compiles";
  EXPECT_GT(out["peak_rss_bytes"], 1 << 20);

  const Json trace = Json::parse(std::ifstream(scratch / "trace.json"));
  std::map<std::string, int64_t> samples;
  for (const Json& event : trace["traceEvents"])
    if (event["ph"] == "X") samples[event["name"]] += event["args"]["samples"].get<int64_t>();
  EXPECT_EQ(samples.size(), 6U) << trace.dump(1);
  EXPECT_EQ(samples["conv2/conv"], 16);
}

TEST(Cli, BenchShowsEachRegionWithinEightyColumns) {
  const Finished f = qloom({"bench", model(), "--seconds", "0.05"});
  ASSERT_EQ(f.exit_code, 0) << f.err;
  EXPECT_LE(width_of(f.out), 80U) << f.out;
  for (const char* text : {"conv2/conv", "predicted", "measured", "P99", "fp32 peak", "resident"})
    EXPECT_NE(f.out.find(text), std::string::npos) << f.out;
  EXPECT_EQ(qloom({"bench", model(), "--batch", "0"}).exit_code, 2);
  EXPECT_EQ(qloom({"bench", "no_such_model.h5"}).exit_code, 2);
  EXPECT_EQ(qloom({"bench", model(), "--float-mode", "loose"}).exit_code, 2);
}

TEST(Cli, AMistypedCommandIsNamedBesideThoseThereAre) {
  const Finished f = qloom({"bnech", model()});
  EXPECT_EQ(f.exit_code, 2);
  EXPECT_NE(f.err.find("no command 'bnech'"), std::string::npos) << f.err;
  EXPECT_NE(f.err.find("bench"), std::string::npos) << f.err;
}

TEST(Cli, ExplainNamesKernelsReasonsAndProofs) {
  const Finished f = qloom({"explain", model(), "--json"});
  ASSERT_EQ(f.exit_code, 0) << f.err;
  const Json out = Json::parse(f.out);
  int with_accumulator = 0, refused_with_reason = 0;
  for (const Json& node : out["nodes"]) {
    EXPECT_FALSE(node["kernel"].get<std::string>().empty());
    with_accumulator += node["accumulator"].is_array() ? 1 : 0;
    for (const Json& c : node["candidates"])
      refused_with_reason +=
          c["verdict"] == "no" && !c["reason"].get<std::string>().empty() ? 1 : 0;
  }
  EXPECT_EQ(with_accumulator, 4);  // two convolutions, a pool, a dense layer
  EXPECT_GT(refused_with_reason, 3);
}

TEST(Cli, TuningIsSaidAndKept) {
  const ScratchFolder scratch;
  const std::string cache = "QLOOM_CACHE_DIR=" + scratch / "cache";
  const Finished before = qloom({"explain", model(), "--wide"}, {cache});
  EXPECT_EQ(before.out.find("tuned: measured"), std::string::npos);
  const Finished tune =
      qloom({"explain", model(), "--tune", "--seconds", "0.1", "--wide"}, {cache});
  ASSERT_EQ(tune.exit_code, 0) << tune.err;
  ASSERT_NE(tune.err.find("qloom: tuned: "), std::string::npos) << tune.err;
  const std::string said = "times of ";
  const size_t at = tune.err.find(said);
  ASSERT_NE(at, std::string::npos) << tune.err;
  // On a busy machine a second look may find that no time is worth keeping.
  const bool kept = std::stoi(tune.err.substr(at + said.size())) > 0;
  EXPECT_EQ(tune.out.find("tuned: measured to take") != std::string::npos, kept) << tune.out;
  const Finished after = qloom({"explain", model(), "--json"}, {cache});
  int tuned = 0;
  const Json out = Json::parse(after.out);
  for (const Json& node : out["nodes"]) tuned += node["tuned"] == true ? 1 : 0;
  EXPECT_EQ(tuned > 0, kept) << tune.err;
  EXPECT_EQ(qloom({"explain", model(), "--tune", "--target", "zen3"}).exit_code, 2);
}

TEST(Cli, ExplainForAnotherProcessor) {
  const Finished f = qloom({"explain", model(), "--target", "neoverse-n1", "--wide"});
  ASSERT_EQ(f.exit_code, 0) << f.err;
  EXPECT_TRUE(
      f.out.starts_with("code for generic (aarch64-unknown-linux-gnu); times predicted by "
                        "the rates of two vector pipes of 16 bytes, computed from"))
      << f.out.substr(0, 300);
  const Json here = Json::parse(qloom({"explain", model(), "--json"}).out);
  const Json there = Json::parse(qloom({"explain", model(), "--target", "zen1", "--json"}).out);
  EXPECT_EQ(there["target"]["cpu"], "x86-64-v3");
  ASSERT_EQ(here["nodes"].size(), there["nodes"].size());
  for (size_t i = 0; i < here["nodes"].size(); ++i)
    EXPECT_NE(here["nodes"][i]["predicted_ns"], there["nodes"][i]["predicted_ns"]);
  const Finished wrong = qloom({"explain", model(), "--target", "z80"});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_NE(wrong.err.find("no target 'z80'; there are zen1"), std::string::npos) << wrong.err;
  EXPECT_EQ(qloom({"explain", model(), "--target", "zen3", "--measure"}).exit_code, 2);
}

TEST(Cli, ExplainMeasuresEachCandidate) {
  const Finished f = qloom({"explain", model(), "--measure", "--seconds", "0.05", "--json"});
  ASSERT_EQ(f.exit_code, 0) << f.err;
  const Json out = Json::parse(f.out);
  for (const Json& node : out["nodes"]) {
    EXPECT_GT(node["measured_ns"], 0) << node["name"];
    EXPECT_GE(node["ratio_to_fastest"], 1) << node["name"];
    for (const Json& c : node["candidates"])
      EXPECT_EQ(c.contains("measured_ns"), c["verdict"] == "yes") << node["name"] << c;
  }
  const Finished text = qloom({"explain", model(), "--measure", "--seconds", "0.05"});
  EXPECT_NE(text.out.find(" ns measured"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("predicted within 25 % of measured"), std::string::npos) << text.out;
  EXPECT_LE(width_of(text.out), 80U) << text.out;
}

TEST(Cli, CompareAgreesAndSaysSo) {
  const Finished f = qloom({"compare", model(), "--golden", bundle_path(), "--json"});
  ASSERT_EQ(f.exit_code, 0) << f.err << f.out;
  const Json out = Json::parse(f.out);
  EXPECT_TRUE(out["within_contract"]);
  EXPECT_TRUE(out["first_difference"].is_null());
  ASSERT_EQ(out["outputs"].size(), 2);
  EXPECT_EQ(out["outputs"][1]["name"], "logits");
  for (const char* where : {"outputs", "interpreter"}) {
    EXPECT_TRUE(out[where][1]["bit_equal"]);
    EXPECT_EQ(out[where][1]["values"], 3600);
  }
}

TEST(Cli, CompareFindsAChangedNumber) {
  const golden::Bundle bundle(bundle_path());
  const golden::Json& one = bundle.cases()[0];
  const ScratchFolder scratch;
  write_npy(scratch / "x.npy", bundle.f32(one["inputs"][0]["value"]));
  const Tensor expected = bundle.f32(one["outputs"][0]["value"]);
  write_npy(scratch / "y.npy", expected);
  EXPECT_EQ(
      qloom({"compare", model(), "--input", scratch / "x.npy", "--expected", scratch / "y.npy"})
          .exit_code,
      0);
  std::vector<float> changed(expected.f32().begin(), expected.f32().end());
  changed[1234] += 0.001F;
  write_npy(scratch / "y.npy", Tensor(expected.extents(), changed));
  const Finished f =
      qloom({"compare", model(), "--input", scratch / "x.npy", "--expected", scratch / "y.npy"});
  EXPECT_EQ(f.exit_code, 1) << f.out;
  EXPECT_NE(f.out.find("BEYOND THE CONTRACT"), std::string::npos) << f.out;
}

TEST(Cli, RunWritesArraysAndAccuracy) {
  const golden::Bundle bundle(bundle_path());
  const golden::Json& one = bundle.cases()[0];
  const ScratchFolder scratch;
  write_npy(scratch / "x.npy", bundle.f32(one["inputs"][0]["value"]));
  write_npy(scratch / "labels.npy", bundle.f32(one["labels"]));
  const std::vector<std::string> cache{"QLOOM_CACHE_DIR=" + scratch / "cache"};
  for (const char* name : {"y.npy", "y.npz"}) {
    const Finished f =
        qloom({"run", model(), "--input", scratch / "x.npy", "--output", scratch / name, "--labels",
               scratch / "labels.npy", "--threads", "2", "--json"},
              cache);
    ASSERT_EQ(f.exit_code, 0) << f.err;
    EXPECT_NEAR(Json::parse(f.out)["accuracy"].get<double>(), one["accuracy"].get<double>(), 1e-9);
    const cli::NamedArrays written = cli::read_arrays(scratch / name);
    ASSERT_EQ(written.size(), 1U);
    EXPECT_EQ(written[0].second.extents(), (Extents{360, 10}));
  }
  write_npy(scratch / "bad.npy", Tensor::filled({2, 8, 7, 1}, 0));
  const Finished shape = qloom({"run", model(), "--input", scratch / "bad.npy"}, cache);
  EXPECT_EQ(shape.exit_code, 2);
  EXPECT_NE(shape.err.find("[2, 8, 7, 1]"), std::string::npos) << shape.err;
  std::vector<float> nan(64 * 3, 0.25F);
  nan[64 + 7] = std::numeric_limits<float>::quiet_NaN();
  write_npy(scratch / "nan.npy", Tensor({3, 8, 8, 1}, nan));
  const Finished refused = qloom({"run", model(), "--input", scratch / "nan.npy"}, cache);
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("sample 1"), std::string::npos) << refused.err;
}

/// An .npz without members: the end record of a zip file alone.
void write_empty_npz(const std::string& path) {
  std::ofstream(path, std::ios::binary) << "PK\5\6" << std::string(18, '\0');
}

TEST(Cli, CompareTakesExpectedArraysByNameAndNeverNone) {
  const golden::Bundle bundle(bundle_path());
  const golden::Json& one = bundle.cases()[0];
  const ScratchFolder scratch;
  const Tensor logits = bundle.f32(one["logits"][0]["value"]);
  const Tensor right = bundle.f32(one["outputs"][0]["value"]);
  write_npy(scratch / "x.npy", bundle.f32(one["inputs"][0]["value"]));
  const auto compare = [&](const cli::NamedArrays& expected) {
    if (expected.empty())
      write_empty_npz(scratch / "y.npz");
    else
      cli::write_arrays(scratch / "y.npz", expected);
    return qloom({"compare", model(), "--evaluation", "eager", "--input", scratch / "x.npy",
                  "--expected", scratch / "y.npz"});
  };
  EXPECT_EQ(compare({{"logits", logits}, {"softmax", right}}).exit_code, 0);
  EXPECT_EQ(compare({{"anything", right}}).exit_code, 0);
  // What is given and not compared is named.
  const Finished odd = compare({{"logits", logits}, {"softmax", right}, {"conv1", right}});
  EXPECT_EQ(odd.exit_code, 2) << odd.out;
  EXPECT_NE(odd.err.find("3 arrays ('logits', 'softmax', 'conv1'), the model has 1 outputs"),
            std::string::npos)
      << odd.err;
  // Nothing compared is no success, and values in another shape are not the same values.
  const Finished nothing = compare({});
  EXPECT_EQ(nothing.exit_code, 2) << nothing.out;
  EXPECT_NE(nothing.err.find("0 arrays (none), the model has 1 outputs"), std::string::npos)
      << nothing.err;
  const Finished flat = compare({{"softmax", right.reshaped({right.size()})}});
  EXPECT_EQ(flat.exit_code, 2) << flat.out;
  EXPECT_NE(flat.err.find("has shape [3600], the model gives [360, 10]"), std::string::npos)
      << flat.err;
}

TEST(Cli, OddArraysAreRefusedByName) {
  const ScratchFolder scratch;
  const auto run = [&](const std::string& file) {
    return qloom({"run", model(), "--input", file, "--no-cache"});
  };
  std::vector<uint8_t> bytes = cli::format_npy(Tensor::filled({2, 8, 8, 1}, 0));
  const std::string_view shape = "(2,8,8,1,)";
  const auto at = std::search(bytes.begin(), bytes.end(), shape.begin(), shape.end());
  ASSERT_NE(at, bytes.end());
  at[1] = '-';  // "(-,8,8,1,)", as of a writer that could not tell the batch
  std::ofstream(scratch / "negative.npy", std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  write_empty_npz(scratch / "none.npz");
  std::filesystem::create_directory(scratch / "folder");
  for (const auto& [file, reason] :
       std::vector<std::pair<std::string, std::string>>{{"negative.npy", "is no list of extents"},
                                                        {"none.npz", "its arrays: none"},
                                                        {"folder", "this is a folder"}}) {
    const Finished f = run(scratch / file);
    EXPECT_EQ(f.exit_code, 2) << file;
    EXPECT_NE(f.err.find(file), std::string::npos) << f.err;
    EXPECT_NE(f.err.find(reason), std::string::npos) << f.err;
  }
  const Tensor images = Tensor::filled({2, 8, 8, 1}, 0);
  cli::write_arrays(scratch / "two.npz", {{"in_q_input", images}, {"mask", images}});
  const Finished two = run(scratch / "two.npz");
  EXPECT_EQ(two.exit_code, 2) << two.out;
  EXPECT_NE(two.err.find("these arrays belong to no input: 'mask'; the inputs: 'in_q_input'"),
            std::string::npos)
      << two.err;
  const Finished compared = qloom(
      {"compare", model(), "--input", scratch / "two.npz", "--expected", scratch / "two.npz"});
  EXPECT_EQ(compared.exit_code, 2) << compared.out;
  EXPECT_NE(compared.err.find("'mask'"), std::string::npos) << compared.err;
  write_npy(scratch / "x.npy", images);
  write_npy(scratch / "labels.npy", Tensor({2}, std::vector<float>{1, 0.5F}));
  const Finished labels = qloom({"run", model(), "--input", scratch / "x.npy", "--labels",
                                 scratch / "labels.npy", "--no-cache"});
  EXPECT_EQ(labels.exit_code, 2) << labels.out;
  EXPECT_NE(labels.err.find("label 0.5 is no class"), std::string::npos) << labels.err;
}

/// from_cache, milliseconds, first value, libraries.
struct Probe {
  int from_cache = -1;
  double ms = 0, value = 0;
  std::string libraries, notices;
};

Probe probe(const std::string& cache, const std::vector<std::string>& environment = {}) {
  const Finished f = run_program("qloom-test-probe", {model(), cache}, environment);
  EXPECT_EQ(f.exit_code, 0) << f.err;
  Probe out;
  std::istringstream in(f.out);
  in >> out.from_cache >> out.ms >> out.value;
  std::getline(in, out.libraries);
  out.notices = f.err;
  return out;
}

TEST(Start, WarmStartLoadsNeitherCompilerNorReader) {
  const ScratchFolder scratch;
  const Probe cold = probe(scratch / "cache"), warm = probe(scratch / "cache");
  EXPECT_EQ(cold.from_cache, 0);
  EXPECT_NE(cold.libraries.find("libLLVM"), std::string::npos)
      << "the probe does not see what it should";
  EXPECT_EQ(warm.from_cache, 1) << warm.notices;
  for (const char* library : {"libLLVM", "Halide", "hdf5", "qloom_compiler", "libzip"})
    EXPECT_EQ(warm.libraries.find(library), std::string::npos)
        << library << " in " << warm.libraries;
  EXPECT_EQ(warm.value, cold.value);
  RecordProperty("cold_ms", std::to_string(cold.ms));
  RecordProperty("warm_ms", std::to_string(warm.ms));
}

TEST(Start, EveryDefectOfTheCacheMeansCompilingAgain) {
  const ScratchFolder scratch;
  const double right = probe(scratch / "cache").value;
  const auto entry_of = [&] {
    for (const auto& file : std::filesystem::directory_iterator(scratch / "cache"))
      if (file.is_regular_file()) return file.path();
    return std::filesystem::path();
  };
  const std::filesystem::path entry = entry_of();
  ASSERT_FALSE(entry.empty());
  // A flipped byte anywhere, a cut file, a file others may write, a folder others may write.
  const auto size = std::filesystem::file_size(entry);
  for (const uintmax_t at : {uintmax_t{100}, size / 3, size / 2, size - 10}) {
    std::fstream file(entry, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(at));
    const char byte = static_cast<char>(file.get() ^ 0x55);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte);
    file.close();
    const Probe p = probe(scratch / "cache");
    EXPECT_EQ(p.from_cache, 0) << "byte " << at;
    EXPECT_EQ(p.value, right);
  }
  std::filesystem::resize_file(entry_of(), size / 2);
  EXPECT_EQ(probe(scratch / "cache").value, right);
  std::filesystem::permissions(entry_of(), std::filesystem::perms(0666));
  Probe p = probe(scratch / "cache");
  EXPECT_EQ(p.from_cache, 0);
  EXPECT_EQ(p.value, right);
  std::filesystem::permissions(scratch / "cache", std::filesystem::perms(0777));
  p = probe(scratch / "cache");
  EXPECT_EQ(p.from_cache, 0);
  EXPECT_EQ(p.value, right);
  EXPECT_FALSE(p.notices.empty()) << "a cache that is not used says why";
}

TEST(Start, NoHomeFolderCompilesInMemory) {
  const Finished f = run_program("qloom-test-probe", {model(), ""},
                                 {"HOME=", "XDG_CACHE_HOME=", "QLOOM_CACHE_DIR="});
  EXPECT_EQ(f.exit_code, 0) << f.err;
  EXPECT_EQ(f.out[0], '0');
}

}  // namespace
}  // namespace qloom::testing
