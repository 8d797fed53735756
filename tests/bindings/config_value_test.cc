#include "bindings/import/config_value.h"

#include <gtest/gtest.h>

#include "bindings/import/json.h"
#include "tests/bindings/expect_error.h"

namespace qloom {
namespace {

using testing::expect_user_error;

class ConfigViewTest : public ::testing::Test {
 protected:
  ConfigValue value_ = keras::parse_json(R"({
      "units": 4, "half": 2.5, "flag": 1, "nothing": null, "name": "fc", "sizes": [3, 5], "two": 2,
      "bad": [1, -1], "huge": 1e400, "nested": {"list": [{"x": 1}]}})",
                                         "test");
  ConfigView view_{value_, "m.h5: layer 'fc' (QDense)"};
};

TEST_F(ConfigViewTest, ReadsWhatIsThere) {
  EXPECT_EQ(view_["units"].as_positive(), 4);
  EXPECT_EQ(view_["half"].as_real(), 2.5);
  EXPECT_EQ(view_["units"].as_real(), 4.0);
  EXPECT_TRUE(view_["flag"].as_bool());
  EXPECT_TRUE(view_["nothing"].is_none());
  EXPECT_TRUE(view_["nothing"].exists());
  EXPECT_FALSE(view_["absent"].exists());
  EXPECT_EQ(view_["name"].as_choice({"fc", "conv"}), "fc");
  EXPECT_EQ(view_["sizes"].as_positives(2), (std::vector<int64_t>{3, 5}));
  EXPECT_EQ(view_["two"].as_positives(2), (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(view_["absent"].integer_or(7), 7);
  EXPECT_EQ(view_["nested"]["list"][size_t{0}]["x"].as_integer(), 1);
}

TEST_F(ConfigViewTest, ErrorsNameOwnerPathExpectedAndFound) {
  const std::string owner = "m.h5: layer 'fc' (QDense): ";
  expect_user_error([&] { (void)view_["half"].as_positive(); },
                    {owner + "half: expected a positive integer, found 2.5"});
  expect_user_error([&] { (void)view_["absent"].as_positive(); },
                    {owner + "absent: this key is missing"});
  expect_user_error([&] { (void)view_["huge"].as_positive(); },
                    {"huge: expected a positive integer, found Infinity"});
  expect_user_error([&] { (void)view_["huge"].as_real(); }, {"huge", "finite"});
  expect_user_error([&] { (void)view_["bad"].as_positives(2); }, {"bad", "[1, -1]"});
  expect_user_error([&] { (void)view_["sizes"].as_positives(3); }, {"sizes", "list of 3"});
  expect_user_error([&] { (void)view_["units"].as_text(); }, {"units", "a string", "4"});
  expect_user_error([&] { (void)view_["units"].as_bool(); }, {"units", "true or false"});
  expect_user_error([&] { (void)view_["name"].as_choice({"same", "valid"}); },
                    {"'same' 'valid'", "\"fc\""});
  expect_user_error([&] { (void)view_["nested"]["list"][size_t{0}]["x"].as_text(); },
                    {"nested.list[0].x"});
  expect_user_error([&] { (void)view_["nested"]["list"][size_t{1}]; },
                    {"nested.list", "1 elements"});
  expect_user_error([&] { (void)view_["units"]["x"]; }, {"units", "an object"});
}

TEST(ConfigValue, PrintsAsJsonAndIsCutBetweenCharacters) {
  const ConfigValue v = keras::parse_json(R"({"a": [1, 2.0, null, true, "q\"\n"]})", "test");
  EXPECT_EQ(v.to_string(), R"({"a": [1, 2.0, null, true, "q\"\u000a"]})");
  EXPECT_EQ(ConfigValue(std::string("ééé")).to_string(4), "\"é…");
}

TEST(ConfigValue, MembersAreSetReplacedAndRemoved) {
  ConfigValue v = ConfigValue::Object();
  v.set("a", int64_t{1});
  v.set("b", int64_t{2});
  v.set("a", int64_t{3});
  EXPECT_EQ(v.to_string(), R"({"a": 3, "b": 2})");
  v.remove("a");
  EXPECT_EQ(v.to_string(), R"({"b": 2})");
}

}  // namespace
}  // namespace qloom
