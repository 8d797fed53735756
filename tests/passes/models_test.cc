// Certificates of real models. What of them runs in emitted kernels, and that compiled code gives
// what the interpreter gives, is tested in tests/models.
#include <gtest/gtest.h>

#include "bindings/cpp/load.h"
#include "passes/certificate.h"
#include "tests/support/paths.h"

namespace qloom::test {
namespace {

passes::Certificate logits(const std::string& name) {
  const auto folder = *testing::shared_dir() / "models" / "own";
  const bool whole = std::filesystem::exists(folder / (name + ".h5"));
  const std::string model = folder / (name + (whole ? ".h5" : "_arch.json"));
  const std::string weights = whole ? "" : (folder / (name + "_weights.h5")).string();
  ImportOptions options;
  options.evaluation = "eager";
  options.split_softmax = true;
  for (const auto& certificate : passes::certificates(load_graph(model, weights, options)))
    if (certificate.output == "logits") return certificate;
  throw std::runtime_error(name + " has no logits");
}

TEST(ModelCertificates, AreExactOnPowerOfTwoGrids) {
  QLOOM_NEEDS_SHARED();
  for (const char* name : {"digits_cnn_w4a4", "digits_po2", "resnet8_w2a2", "resnet8_w1a1"}) {
    const auto c = logits(name);
    EXPECT_TRUE(c.exact) << name << ": " << c.to_string();
  }
}

TEST(ModelCertificates, NameWhatIsNot) {
  QLOOM_NEEDS_SHARED();
  const auto mobilenet = logits("mobilenet_w4a4");
  EXPECT_FALSE(mobilenet.exact);
  ASSERT_EQ(mobilenet.failures.size(), 2U) << mobilenet.to_string();
  EXPECT_EQ(mobilenet.failures[0].layer, "stem");
  EXPECT_EQ(mobilenet.failures[1].layer, "fc");
  // The scale of binary(alpha='auto') is whatever the weights' mean is.
  const auto binary = logits("digits_binary");
  ASSERT_EQ(binary.failures.size(), 2U) << binary.to_string();
  EXPECT_EQ(binary.failures[0].layer, "conv3");
  EXPECT_EQ(binary.failures[1].layer, "bn5");  // no quantizer between it and the logits
}

}  // namespace
}  // namespace qloom::test
