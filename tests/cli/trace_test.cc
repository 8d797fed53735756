// qloom trace: statistics of each layer on samples, against plain loops over what it writes.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "bindings/cli/support/npy.h"
#include "bindings/golden/bundle.h"
#include "tests/cli/page.h"
#include "tests/cli/process.h"

namespace qloom::testing {
namespace {

using Json = nlohmann::json;

TEST(Trace, SaysWhatTheWrittenArraysHold) {
  const ScratchFolder scratch;
  const std::string model = data_file("models/digits_cnn_w4a4.h5");
  const golden::Bundle bundle(data_file("models/digits_cnn_w4a4_ref.json"));
  const golden::Json& one = bundle.cases()[0];
  const Tensor all = bundle.f32(one["inputs"][0]["value"]);
  constexpr int64_t kSamples = 20;
  Extents extents = all.extents();
  extents[0] = kSamples;
  const auto head = all.f32().first(static_cast<size_t>(element_count(extents)));
  cli::write_arrays(scratch / "x.npy",
                    {{"", Tensor(extents, std::vector<float>(head.begin(), head.end()))}});

  const Finished f = run_program("qloom", {"trace", model, "--input", scratch / "x.npy", "--values",
                                           scratch / "layers", "--json"});
  ASSERT_EQ(f.exit_code, 0) << f.err;
  const Json out = Json::parse(f.out);
  EXPECT_EQ(out["samples"], kSamples);
  std::vector<std::string> names;
  int saturated = 0;
  for (const Json& l : out["layers"]) {
    const auto name = l["name"].get<std::string>();
    SCOPED_TRACE(name);
    names.push_back(name);
    const Tensor written = cli::read_arrays(scratch / ("layers/" + name + ".npy"))[0].second;
    EXPECT_EQ(written.size(), l["values"]);
    EXPECT_EQ(std::ranges::min(written.f32()), l["min"].get<float>());
    EXPECT_EQ(std::ranges::max(written.f32()), l["max"].get<float>());
    const auto zeros = static_cast<double>(std::ranges::count(written.f32(), 0.0F));
    EXPECT_DOUBLE_EQ(l["zeros"].get<double>(), zeros / static_cast<double>(written.size()));
    if (name == "relu1" || name == "relu2") {                        // codes 0 to 15 of step 1/16
      const auto ends = std::ranges::count(written.f32(), 0.9375F);  // 0 is no clipped value
      EXPECT_GT(ends, 0);
      EXPECT_DOUBLE_EQ(l["saturated"].get<double>(),
                       static_cast<double>(ends) / static_cast<double>(written.size()));
      EXPECT_DOUBLE_EQ(l["unused"].get<double>(),
                       1 - (l["max"].get<double>() - l["min"].get<double>()) / 0.9375);
      ++saturated;
    }
    if (name == "conv1") {
      EXPECT_TRUE(l["saturated"].is_null());  // a sum has no quantizer to clip it
      EXPECT_GT(l["unused"].get<double>(), 0);
    }
  }
  EXPECT_EQ(saturated, 2);
  EXPECT_EQ(names, (std::vector<std::string>{"in_q_input", "in_q", "conv1", "relu1", "conv2",
                                             "relu2", "pool", "flat", "fc", "softmax"}));
  // The last layer is what the reference recorded.
  const Tensor probabilities = cli::read_arrays(scratch / "layers/softmax.npy")[0].second;
  const Tensor expected = bundle.f32(one["outputs"][0]["value"]);
  for (int64_t i = 0; i < probabilities.size(); ++i)
    EXPECT_NEAR(probabilities.f32()[static_cast<size_t>(i)], expected.f32()[static_cast<size_t>(i)],
                1e-6);

  const Finished text = run_program("qloom", {"trace", model, "--input", scratch / "x.npy"});
  EXPECT_EQ(text.exit_code, 0);
  const Shown shown =
      shown_on_page("bindings/report/README.md",
                    "qloom trace tests/data/models/digits_cnn_w4a4.h5 --input x.npy");
  EXPECT_EQ(text.out, shown.text);
  EXPECT_EQ(columns_of(text.out), shown.columns);
}

TEST(Trace, NamesInputsThatDoNotFit) {
  const ScratchFolder scratch;
  cli::write_arrays(scratch / "x.npy", {{"", Tensor::filled({2, 5}, 1)}});
  const Finished f = run_program(
      "qloom", {"trace", data_file("models/digits_cnn_w4a4.h5"), "--input", scratch / "x.npy"});
  EXPECT_EQ(f.exit_code, 2);
  EXPECT_NE(f.err.find("in_q_input"), std::string::npos) << f.err;
}

}  // namespace
}  // namespace qloom::testing
