#include "bindings/import/assign_weights.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/bindings/expect_error.h"

namespace qloom {
namespace {

using testing::expect_user_error;

// Layers a, b (with weights) and act (without), weights of the given names, each [1, value].
KerasModel model_with(const std::vector<std::string>& group_names) {
  KerasModel m;
  m.file = "m.h5";
  for (const char* name : {"a", "act", "b"}) {
    KerasLayer l;
    l.name = name;
    l.class_name = l.name == "act" ? "Activation" : "Dense";
    m.layers.push_back(l);
  }
  float value = 1;
  for (const std::string& name : group_names) {
    KerasWeightGroup g{name, {}};
    if (name != "act") g.weights.push_back({name + "/kernel:0", {1, 1}, {value++}});
    m.weight_groups.push_back(g);
  }
  return m;
}

bool needs_weights(const KerasLayer& l) { return l.class_name == "Dense"; }

TEST(AssignWeights, MatchesByNameWhateverTheOrder) {
  KerasModel m = model_with({"b", "act", "a"});
  keras::assign_weights(m, needs_weights);
  EXPECT_EQ(m.find("a")->weights.at(0).values.at(0), 2);
  EXPECT_EQ(m.find("b")->weights.at(0).values.at(0), 1);
  EXPECT_TRUE(m.notes.empty());
}

TEST(AssignWeights, ReportsUnusedWeights) {
  KerasModel m = model_with({"a", "ghost", "b"});
  keras::assign_weights(m, needs_weights);
  EXPECT_EQ(m.find("b")->weights.at(0).values.at(0), 3);
  ASSERT_EQ(m.notes.size(), 1u);
  EXPECT_NE(m.notes[0].find("'ghost'"), std::string::npos);
}

TEST(AssignWeights, FallsBackToPositionAndSaysSo) {
  // After clone_model the names are shifted: `b` of the file belongs to `a`.
  KerasModel m = model_with({"b", "c"});
  keras::assign_weights(m, needs_weights);
  EXPECT_EQ(m.find("a")->weights.at(0).name, "b/kernel:0");
  EXPECT_EQ(m.find("b")->weights.at(0).name, "c/kernel:0");
  ASSERT_EQ(m.notes.size(), 1u);
  EXPECT_NE(m.notes[0].find("by position"), std::string::npos);
}

TEST(AssignWeights, ListsWhatIsLeftOnBothSides) {
  KerasModel m = model_with({"a", "x", "y"});
  expect_user_error([&] { keras::assign_weights(m, needs_weights); },
                    {"m.h5", "no weights for layer 'b'", "'x', 'y'", "2 layers", "3 have some"});
}

TEST(AssignWeights, FindsValuesThatAreNotFinite) {
  KerasModel m = model_with({"a", "b"});
  keras::assign_weights(m, needs_weights);
  keras::check_finite(m);
  m.layers[2].weights[0].values[0] = std::numeric_limits<float>::quiet_NaN();
  expect_user_error([&] { keras::check_finite(m); },
                    {"layer 'b' (Dense)", "b/kernel:0", "nan", "element 0"});
}

}  // namespace
}  // namespace qloom
