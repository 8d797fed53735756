// stats and trace on files and options that nobody means: they answer, or say in one line what is
// wrong, and never break. A seeded sample of what a fuzzer tries.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "bindings/cli/support/npy.h"
#include "tests/cli/page.h"
#include "tests/cli/process.h"
#include "tests/support/paths.h"

namespace qloom::testing {
namespace {

using Json = nlohmann::json;

/// Exit code 0, or 2 with one line.
void expect_answer_or_reason(const std::vector<std::string>& arguments) {
  const Finished f = run_program("qloom", arguments);
  std::string command = "qloom";
  for (const std::string& argument : arguments) command += " " + argument.substr(0, 100);
  SCOPED_TRACE(command);
  if (f.exit_code == 0) return;
  EXPECT_EQ(f.exit_code, 2) << f.err;
  EXPECT_EQ(f.out, "");
  std::string reason;
  std::istringstream lines(f.err);
  int reasons = 0;
  for (std::string line; std::getline(lines, line);)
    if (!line.starts_with("qloom: note: ")) {
      reason = line;
      ++reasons;
    }
  EXPECT_EQ(reasons, 1) << f.err;
  EXPECT_TRUE(reason.starts_with("qloom: ")) << f.err;
  EXPECT_EQ(reason.find("internal error"), std::string::npos) << f.err;
}

void expect_reason(const std::vector<std::string>& arguments, const std::string& word) {
  expect_answer_or_reason(arguments);
  const Finished f = run_program("qloom", arguments);
  EXPECT_EQ(f.exit_code, 2) << f.out;
  EXPECT_NE(f.err.find(word), std::string::npos) << f.err << " lacks " << word;
}

void write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// Samples for the small network: two of 8 × 8.
const Extents kShape{2, 8, 8, 1};

std::string bytes_of(float first) {
  std::vector<float> values(static_cast<size_t>(element_count(kShape)), 0.25F);
  values[5] = first;
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

std::string npy(const std::string& header, const std::string& data, int version = 1) {
  std::string out = "\x93NUMPY";
  out += static_cast<char>(version);
  out += '\0';
  for (int k = 0; k < (version == 1 ? 2 : 4); ++k)
    out += static_cast<char>(header.size() >> (8 * k) & 255);
  return out + header + data;
}

std::string header(const std::string& type, const std::string& shape,
                   const std::string& order = "False") {
  return "{'descr': " + type + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
}

TEST(HostileInputs, ArraysOfSamples) {
  const ScratchFolder scratch;
  const std::string model = data_file("models/digits_cnn_w4a4.h5"), path = scratch / "x.npy";
  const std::string data = bytes_of(0), shape = "(2, 8, 8, 1)", f4 = "'<f4'";
  const std::string good = npy(header(f4, shape), data);
  struct Case {
    std::string bytes, word;
  };
  const auto value = [&](float v) { return npy(header(f4, shape), bytes_of(v)); };
  const std::vector<Case> cases{
      {"", "no .npy file"},
      {good.substr(0, 9), "truncated"},
      {good.substr(0, 40), "truncated"},
      {good.substr(0, good.size() - 1), "truncated"},
      {npy(header(f4, shape), data, 9), "version 9"},
      {npy("", data), "has no"},
      {npy("{}", data), "has no"},
      {npy(std::string(60000, '('), data), "has no"},
      {npy(header(f4, std::string(5000, '(')), data), "shape"},
      {npy(header("'|O'", shape), data), "dtype"},
      {npy(header("'<U3'", shape), data), "dtype"},
      {npy(header("'<c8'", shape), data), "dtype"},
      {npy(header("[('a', '<f4')]", shape), data), "structured"},
      {npy(header(f4, shape, "True"), data), "Fortran order"},
      {npy(header(f4, "()"), data), "in_q_input"},
      {npy(header(f4, "(,)"), data), "in_q_input"},
      {npy(header(f4, "(128,)"), data), "in_q_input"},
      {npy(header(f4, "(2, 8, 8)"), data), "in_q_input"},
      {npy(header(f4, "(2, 4, 16, 1)"), data), "in_q_input"},
      {npy(header(f4, "(-2, 8, 8, 1)"), data), "extents"},
      {npy(header(f4, "(2,\n8, 8, 1)"), data), "(2,?8, 8, 1) is no list of extents"},
      {npy(header(std::string(300, '\n') + "'", shape), data), "structured"},
      {npy(header("'\n4x'", shape), data), "dtype '?4x'"},
      {npy(header(f4, "(0, 8, 8, 1)"), ""), "no samples"},
      {npy(header(f4, "(1099511627776, 8, 8, 1)"), data), "truncated"},
      {npy(header(f4, "(4611686018427387904, 8, 8, 1)"), data), ""},
      {npy(header(f4, "(99999999999999999999, 8, 8, 1)"), data), "too large"},
      {value(std::numeric_limits<float>::quiet_NaN()), "NaN at sample 0, index [0, 5, 0]"},
      {value(-std::numeric_limits<float>::infinity()), "infinite at sample 0"},
      {value(1e38F), "1e+38 is too large for quantized_bits"},
      {"PK\x03\x04 no archive", ""}};
  for (const Case& c : cases) {
    write(path, c.bytes);
    expect_reason({"trace", model, "--input", path}, c.word);
  }
  for (const std::string& fine :
       {good, good + "more", value(1e-45F), value(1e30F),
        npy(header("'|i1'", "(1, 8, 8, 1)"), data), npy(header("'>f4'", shape), data)}) {
    write(path, fine);
    for (const char* how : {"--json", "--compiled"})
      EXPECT_EQ(run_program("qloom", {"trace", model, "--input", path, how}).exit_code, 0);
  }
}

TEST(HostileInputs, ArraysWithChangedBytes) {
  const ScratchFolder scratch;
  const std::string model = data_file("models/digits_cnn_w4a4.h5"), path = scratch / "x.npz";
  cli::write_arrays(path, {{"in_q_input", Tensor(kShape, std::vector<float>(128, 0.25F))}});
  const std::string good = text_of(path);
  std::mt19937 random(1);
  const auto below = [&](size_t n) { return random() % n; };
  for (int k = 0; k < 30; ++k) {
    std::string bytes = good;
    for (size_t changes = 1 + below(3); changes > 0; --changes) {
      const size_t at = below(2) == 0 ? below(100) : bytes.size() - 1 - below(120);
      bytes[at] = static_cast<char>(below(256));
    }
    write(path, k % 5 == 0 ? bytes.substr(0, below(bytes.size())) : bytes);
    expect_answer_or_reason({"trace", model, "--input", path});
  }
}

const std::vector<std::vector<std::string>> kOptions{
    {},
    {"--rules", "qkeras", "--qstats", "--energy"},
    {"--throughput", "0.001", "--accumulators", "-1", "1"},
    {"--trained", "--quantize-weights", "--learned-scales", "--fuse-batch-norm"},
    {"--rules", "sound", "--json"}};

void expect_stats_answer(const std::string& path, size_t options) {
  std::vector<std::string> arguments{"stats", path};
  const auto& more = kOptions[options % kOptions.size()];
  arguments.insert(arguments.end(), more.begin(), more.end());
  expect_answer_or_reason(arguments);
}

TEST(HostileInputs, ModelsWithChangedBytes) {
  const ScratchFolder scratch;
  const std::string good = text_of(data_file("models/digits_cnn_w4a4.h5"));
  std::mt19937 random(2);
  const auto below = [&](size_t n) { return random() % n; };
  for (size_t k = 0; k < 40; ++k) {
    std::string bytes = good;
    for (size_t changes = 1 + below(8); changes > 0; --changes)
      bytes[below(below(2) == 0 ? 4096 : bytes.size())] = static_cast<char>(below(256));
    write(scratch / "m.h5", k % 6 == 0 ? bytes.substr(0, below(bytes.size())) : bytes);
    expect_stats_answer(scratch / "m.h5", k);
  }
}

TEST(HostileInputs, ModelsWithChangedSettings) {
  QLOOM_NEEDS_SHARED();
  const std::vector<Json> values{nullptr,
                                 true,
                                 0,
                                 -1,
                                 3,
                                 1e308,
                                 std::numeric_limits<int64_t>::max(),
                                 std::numeric_limits<int64_t>::min(),
                                 "",
                                 "relu",
                                 "quantized_bits(",
                                 "quantized_bits(1000,0,1)",
                                 "quantized_bits(4,500)",
                                 "quantized_mystery(3)",
                                 "quantized_po2(4,-1)",
                                 "quantized_hswish(8)",
                                 "stochastic_binary()",
                                 "causal",
                                 Json::array(),
                                 Json::array({-1, 3}),
                                 Json::array({nullptr, 0, 0, 1}),
                                 Json::array({int64_t{1} << 40, int64_t{1} << 40}),
                                 Json::object(),
                                 {{"class_name", "nope"}, {"config", Json::object()}}};
  const ScratchFolder scratch;
  std::mt19937 random(3);
  const auto below = [&](size_t n) { return random() % n; };
  for (const char* name : {"digits_cnn_w4a4", "digits_mixed", "digits_rnn", "digits_folded"}) {
    const std::string path =
        (*shared_dir() / "models/own" / (std::string(name) + "_arch.json")).string();
    const Json good = Json::parse(text_of(path)), flat = good.flatten();
    for (size_t k = 0; k < 25; ++k) {
      Json changed = good;
      auto at = flat.begin();
      std::advance(at, static_cast<std::ptrdiff_t>(below(flat.size())));
      Json::json_pointer place(at.key());
      for (size_t up = below(3); up > 0 && !place.parent_pointer().empty(); --up)
        place = place.parent_pointer();
      changed[place] = values[below(values.size())];
      write(scratch / "m.json", changed.dump());
      expect_stats_answer(scratch / "m.json", k);
    }
  }
}

TEST(HostileInputs, Options) {
  const std::string model = data_file("models/digits_cnn_w4a4.h5");
  expect_reason({"stats"}, "MODEL is required (see qloom stats --help)");
  expect_reason({"stats", model, "--nope"}, "--nope");
  expect_reason({"stats", model, "--throughput", "0"}, "--throughput");
  expect_reason({"stats", model, "--throughput", "1", "--elements", "99999999999999999999"},
                "--elements");
  expect_reason({"stats", model, "--min-sram", "-1"}, "--min-sram");
  expect_reason({"stats", model, "--accumulators", "nan", "1"}, "nan");
  expect_reason({"stats", model, "--input-quantizer", "quantized_bits(70,0,1)"}, "70");
  expect_reason({"stats", model, "--input-quantizer", "quantized_bits(4,0,1"}, "quantized_bits");
  expect_reason({"stats", model, "--keras-quantizer", "((("}, "(((");
  expect_reason({"stats", model, "--qtools-json", "/nowhere/map.json"}, "/nowhere/map.json");
  expect_reason({"trace", model}, "--input");
}

}  // namespace
}  // namespace qloom::testing
