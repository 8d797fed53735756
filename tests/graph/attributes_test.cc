#include "graph/attributes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "graph/ops/attributes.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"

namespace qloom {
namespace {

template <class Make>
std::string message(Make&& make) {
  try {
    (void)make();
  } catch (const UserError& e) {
    return e.what();
  }
  return "no error";
}

TEST(Attributes, TextParsesBack) {
  const Attributes a{
      {"none", {}},
      {"yes", true},
      {"no", false},
      {"integer", int64_t{-9223372036854775807}},
      {"real", 0.1},
      {"whole", 3.0},
      {"tiny", std::numeric_limits<double>::denorm_min()},
      {"infinite", -HUGE_VAL},
      {"text", "it's a \\ and a\nline, {[('"},
      {"empty", ""},
      {"integers", AttributeValue::Integers{1, -2, 3}},
      {"reals", AttributeValue::Reals{0.5, 2.0, 1e300}},
      {"nested", Attributes{{"bits", 4}, {"alpha", "auto"}, {"deep", Attributes{}}}}};
  const Attributes back = Attributes::parse(a.to_string());
  EXPECT_EQ(back, a) << a;
  EXPECT_EQ(back.to_string(), a.to_string());
  EXPECT_EQ(Attributes::parse("{}"), Attributes{});
  EXPECT_EQ(
      Attributes({{"strides", AttributeValue::Integers{1, 1}}, {"padding", "same"}}).to_string(),
      "{strides=[1, 1], padding='same'}");
}

TEST(Attributes, ConvertsOnlyWithoutLoss) {
  EXPECT_EQ(AttributeValue(3.0).as_integer(), 3);
  EXPECT_EQ(AttributeValue(true).as_integer(), 1);
  EXPECT_EQ(AttributeValue(1).as_bool(), true);
  EXPECT_EQ(AttributeValue(2).as_real(), 2.0);
  EXPECT_EQ(AttributeValue(AttributeValue::Integers{1, 2}).as_reals(),
            (AttributeValue::Reals{1, 2}));
  EXPECT_EQ(message([] { return AttributeValue(0.5).as_integer(); }),
            "attribute value 0.5 is not an integer");
  EXPECT_EQ(message([] { return AttributeValue(2).as_bool(); }),
            "attribute value 2 is not a boolean");
  EXPECT_EQ(message([] { return AttributeValue("4").as_real(); }),
            "attribute value '4' is not a number");
  EXPECT_EQ(message([] { return AttributeValue(std::nan("")).as_integer(); }),
            "attribute value nan is not an integer");
}

TEST(Attributes, HasPythonsTruth) {
  for (const AttributeValue& v : {AttributeValue(), AttributeValue(false), AttributeValue(0),
                                  AttributeValue(0.0), AttributeValue("")})
    EXPECT_FALSE(v.truthy()) << v;
  for (const AttributeValue& v : {AttributeValue(true), AttributeValue(-1), AttributeValue(0.5),
                                  AttributeValue("0"), AttributeValue(AttributeValue::Integers{0})})
    EXPECT_TRUE(v.truthy()) << v;
}

TEST(Attributes, ParseNamesThePlace) {
  for (const char* bad : {"", "{", "{a}", "{a=}", "{a=1", "{a=1,}", "{a=1} x", "{a='x}",
                          "{a=[1, 'x']}", "{a=1, a=2}", "{a=maybe}", "{a=1.2.3}"}) {
    const std::string text = message([&] { return Attributes::parse(bad); });
    EXPECT_NE(text.find(" at position "), std::string::npos) << bad << ": " << text;
  }
  EXPECT_NE(message([] { return Attributes::parse(std::string(5000, '{')); }), "no error");
}

TEST(Fields, CompleteAndCheck) {
  const Attributes a = attrs_of<ops::Conv>({{"padding", "same"}});
  EXPECT_EQ(a.to_string(), "{strides=[1, 1], dilations=[1, 1], padding='same', groups=1}");
  EXPECT_EQ(from_attributes<ops::Conv>(a).padding, ops::Padding::same);
  EXPECT_EQ(message([] { return attrs_of<ops::Conv>({{"stride", 1}}); }),
            "unknown attribute 'stride'; known: {strides=[1, 1], dilations=[1, 1], "
            "padding='valid', groups=1}");
  EXPECT_EQ(message([] { return attrs_of<ops::Conv>({{"padding", "full"}}); }),
            "attribute 'padding': 'full' is none of valid, same, causal");
  EXPECT_EQ(message([] { return attrs_of<ops::Conv>({{"groups", "many"}}); }),
            "attribute value 'many' is not an integer");
  EXPECT_EQ(attrs_of<ops::Activation>({{"max_value", 6}})["max_value"], AttributeValue(6.0));
}

}  // namespace
}  // namespace qloom
