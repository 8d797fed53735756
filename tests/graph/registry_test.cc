// Tables that a program adds to while it runs.
#include "graph/support/registry.h"

#include <gtest/gtest.h>

#include <thread>

#include "graph/quantizer.h"
#include "graph/quantizers_table.h"
#include "tests/bindings/expect_error.h"

namespace qloom {
namespace {

using testing::expect_user_error;

struct Entry {
  std::string_view name;
};

constexpr Entry kA{"a"}, kB{"b"}, kC{"c"}, kOtherA{"a"};
constexpr const Entry* kTable[] = {&kA, &kB};

TEST(Registry, AddsBehindTheTableAndKeepsWhatItGave) {
  Registry<Entry> registry(kTable);
  const auto before = registry.all();
  EXPECT_TRUE(registry.added().empty());
  registry.add(kC, "entry");
  EXPECT_EQ(before.size(), 2U);
  EXPECT_EQ(before[1], &kB);
  ASSERT_EQ(registry.all().size(), 3U);
  EXPECT_EQ(registry.all()[2], &kC);
  ASSERT_EQ(registry.added().size(), 1U);
  EXPECT_EQ(registry.added()[0], &kC);
}

TEST(Registry, RefusesANameTwice) {
  Registry<Entry> registry(kTable);
  expect_user_error([&] { registry.add(kA, "entry"); }, {"entry 'a'", "there is it already"});
  expect_user_error([&] { registry.add(kOtherA, "entry"); }, {"'a'", "another of that name"});
  EXPECT_TRUE(registry.added().empty());
}

TEST(Registry, CanBeReadWhileItGrows) {
  std::vector<std::string> names;
  for (int i = 0; i < 200; ++i) names.push_back("entry" + std::to_string(i));
  std::vector<Entry> entries;
  for (const std::string& name : names) entries.push_back({name});
  Registry<Entry> registry(kTable);
  std::atomic<bool> done = false;
  size_t seen = 0;
  std::thread reader([&] {
    while (!done.load()) {
      const auto all = registry.all();
      EXPECT_GE(all.size(), seen);
      seen = all.size();
      for (const Entry* e : all) EXPECT_FALSE(e->name.empty());
    }
  });
  for (const Entry& e : entries) registry.add(e, "entry");
  done = true;
  reader.join();
  EXPECT_EQ(registry.added().size(), names.size());
}

TEST(RegisterQuantizer, RefusesWhatIsIncomplete) {
  QuantizerDef def = quantizers::quantized_bits;
  expect_user_error([&] { register_quantizer(def); }, {"quantized_bits", "another of that name"});
  def.name = "not a name";
  expect_user_error([&] { register_quantizer(def); }, {"'not a name'", "letters, digits and _"});
  def.name = "my_bits";
  def.forward = nullptr;
  expect_user_error([&] { register_quantizer(def); }, {"my_bits", "it has no `forward`"});
  EXPECT_EQ(find_quantizer("my_bits"), nullptr);
}

}  // namespace
}  // namespace qloom
