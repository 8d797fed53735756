#include "kernels/reference/quantizer_table.h"

#include <gtest/gtest.h>

#include <cmath>

namespace qloom::kernels::reference {
namespace {

Quantizer quantizer(std::string_view text) { return std::get<Quantizer>(parse_quantizer(text)); }

/// Every threshold and its two neighbours, against the definition.
void check_all(std::string_view text) {
  const Quantizer q = quantizer(text);
  const auto tables = quantizer_tables(q, {});
  ASSERT_TRUE(tables) << text;
  std::vector<float> x{0.0f, -0.0f, 1e-40f, -1e-40f, 1e30f, -1e30f};
  const QuantizerTable& table = tables->front();
  EXPECT_GE(table.thresholds.size(), 1u) << text;
  for (const float t : table.thresholds) {
    x.push_back(t);
    x.push_back(std::nextafter(t, -INFINITY));
    x.push_back(std::nextafter(t, INFINITY));
  }
  const Quantized expected = q.forward(Tensor({static_cast<int64_t>(x.size())}, x));
  for (size_t i = 0; i < x.size(); ++i)
    ASSERT_EQ(table.code(x[i]), expected.codes->i64()[i]) << text << " of " << x[i];
}

TEST(QuantizerTable, EqualsTheQuantizerAroundEveryThreshold) {
  for (const char* text :
       {"quantized_bits(4,0,1,alpha=1.0)", "quantized_bits(8,8,1,alpha=1.0)", "quantized_relu(8,2)",
        "quantized_relu(16,8)", "quantized_tanh(4)", "quantized_sigmoid(6)", "binary(alpha=1.0)",
        "ternary(alpha=1.0,threshold=0.3)", "quantized_linear(5,1)"})
    check_all(text);
}

TEST(QuantizerTable, NumberOfThresholds) {
  EXPECT_EQ(quantizer_tables(quantizer("quantized_relu(4,1)"), {})->front().thresholds.size(), 15u);
  EXPECT_EQ(
      quantizer_tables(quantizer("quantized_bits(4,0,1,alpha=1.0)"), {})->front().codes.size(),
      15u);
}

TEST(QuantizerTable, NoneWhereThereCanBeNone) {
  EXPECT_FALSE(quantizer_tables(quantizer("quantized_bits(4,0,1,alpha='auto')"), {}));
  EXPECT_FALSE(quantizer_tables(quantizer("quantized_bits(24,4,alpha=1.0)"), {}));
}

}  // namespace
}  // namespace qloom::kernels::reference
