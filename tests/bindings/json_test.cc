#include "bindings/import/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/bindings/expect_error.h"

namespace qloom {
namespace {

using keras::parse_json;
using testing::expect_user_error;

ConfigValue parse(std::string_view text) { return parse_json(text, "model.json"); }

TEST(Json, ReadsEveryKindOfValue) {
  const ConfigValue v =
      parse(R"( {"a": [null, true, false, -3, 2.5, 1e3, "x"], "b": {}, "c": []} )");
  const ConfigValue::Array& a = *v.find("a")->array();
  ASSERT_EQ(a.size(), 7u);
  EXPECT_TRUE(a[0].is_null());
  EXPECT_TRUE(*a[1].boolean());
  EXPECT_FALSE(*a[2].boolean());
  EXPECT_EQ(*a[3].integer(), -3);
  EXPECT_EQ(*a[4].real(), 2.5);
  EXPECT_EQ(*a[5].real(), 1000.0);
  EXPECT_EQ(*a[6].text(), "x");
  EXPECT_TRUE(v.find("b")->object()->empty());
  EXPECT_TRUE(v.find("c")->array()->empty());
}

TEST(Json, KeepsKeysInOrderAndTheLastOfEqualOnes) {
  const ConfigValue v = parse(R"({"z": 1, "a": 2, "z": 3})");
  ASSERT_EQ(v.object()->size(), 2u);
  EXPECT_EQ((*v.object())[0].first, "z");
  EXPECT_EQ(*(*v.object())[0].second.integer(), 3);
}

TEST(Json, TakesPythonsNonFiniteWords) {
  const ConfigValue v = parse("[NaN, Infinity, -Infinity]");
  EXPECT_TRUE(std::isnan(*(*v.array())[0].real()));
  EXPECT_EQ(*(*v.array())[1].real(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(*(*v.array())[2].real(), -std::numeric_limits<double>::infinity());
}

TEST(Json, NumbersBeyondTheirRangeAreWhatPythonMakesOfThem) {
  const ConfigValue v = parse(
      "[9223372036854775807, 9223372036854775808, 1e400, -1e400, 1e-400, "
      "0.0001e-999999999999999999999, "
      "0.00001e500, 100000e-330]");
  const ConfigValue::Array& a = *v.array();
  EXPECT_EQ(*a[0].integer(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(*a[1].real(), 9223372036854775808.0);
  EXPECT_EQ(*a[2].real(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(*a[3].real(), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(*a[4].real(), 0.0);
  EXPECT_EQ(*a[5].real(), 0.0);
  EXPECT_EQ(*a[6].real(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(*a[7].real(), 0.0);
}

TEST(Json, KeepsTheValueOfFloat32Numbers) {
  EXPECT_EQ(*parse("9.999999747378752e-05").real(), static_cast<double>(1e-4f));
}

TEST(Json, DecodesEscapesAndUtf8) {
  EXPECT_EQ(*parse(R"("\u00e9\ud83d\ude00\n\"\\\/\t")").text(), "é😀\n\"\\/\t");
  EXPECT_EQ(*parse("\"é😀\"").text(), "é😀");
  EXPECT_EQ(*parse(R"("\ud83dx")").text(), "\uFFFDx");
}

TEST(Json, SkipsAByteOrderMark) { EXPECT_EQ(*parse("\xEF\xBB\xBF 7").integer(), 7); }

TEST(Json, Depth64IsFineAndHostileDepthIsRefused) {
  const std::string open(64, '[');
  const std::string close(64, ']');
  EXPECT_NE(parse(open + close).array(), nullptr);
  expect_user_error([] { parse(std::string(200000, '[')); }, {"model.json", "json", "depth"});
  std::string objects;
  for (int k = 0; k < 100000; ++k) objects += "{\"a\":";
  expect_user_error([&] { parse(objects); }, {"depth"});
}

TEST(Json, ManyValuesAreRefusedBeforeTheyFillMemory) {
  std::string text = "[0";
  for (int k = 0; k < 2'000'001; ++k) text += ",0";
  expect_user_error([&] { parse(text + "]"); }, {"values"});
}

TEST(Json, NamesLineAndColumnOfAnError) {
  expect_user_error([] { parse("{\"a\": 1,\n \"b\" 2}"); },
                    {"model.json", "json", "line 2", "column 6"});
}

TEST(Json, RefusesMalformedText) {
  for (const char* text :
       {"", "  ", "{", "[1,", "[1 2]", "{\"a\":}", "{a: 1}", "[1]x", "01", "-", "1.", "1e", "tru",
        "\"abc", "\"\\x\"", "\"\\u12\"", "{\"a\": 1,}", "[,]", "\"\x01\""}) {
    expect_user_error([&] { parse(text); }, {"not valid JSON"});
  }
}

TEST(Json, RefusesInvalidUtf8) {
  for (const char* text :
       {"\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\""}) {
    expect_user_error([&] { parse(text); }, {"utf-8"});
  }
}

TEST(Json, EveryPrefixOfAValidTextIsRefused) {
  const std::string text = R"({"a": [null, true, -3.5e2, "x\u00e9"], "b": {"c": NaN}})";
  ASSERT_NE(parse(text).object(), nullptr);
  for (size_t k = 0; k < text.size(); ++k) {
    EXPECT_THROW(parse(text.substr(0, k)), UserError) << text.substr(0, k);
  }
}

}  // namespace
}  // namespace qloom
