// A real file, and the same file damaged: one byte here, a cut there.
#include "bindings/import/hdf5.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <sstream>

#include "bindings/import/read_weights.h"
#include "tests/bindings/expect_error.h"
#include "tests/support/paths.h"

namespace qloom {
namespace {

using keras::Hdf5File;
using keras::Hdf5Object;
using testing::expect_user_error;

std::string bytes_of(const std::string& name) {
  std::ifstream in(testing::source_dir() / "tests/data/import" / name, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// Everything a loader asks of a full model.
void read_all(std::string bytes) {
  Hdf5File file(std::move(bytes), "damaged.h5");
  const Hdf5Object root = file.root();
  (void)file.text(root, "keras_version");
  (void)file.text(root, "model_config");
  (void)keras::read_weight_groups(file, keras::find_weights(file));
}

std::string put(std::string bytes, size_t at, uint64_t value, int width) {
  for (int k = 0; k < width; ++k)
    bytes[at + static_cast<size_t>(k)] = static_cast<char>(value >> (8 * k) & 255);
  return bytes;
}

TEST(Hdf5, ReadsAFullModel) {
  Hdf5File file(bytes_of("cnn.h5"), "cnn.h5");
  const Hdf5Object root = file.root();
  EXPECT_EQ(file.text(root, "keras_version"), "2.15.0");
  EXPECT_TRUE(file.text(root, "model_config")->starts_with("{\"class_name\": \"Sequential\""));
  EXPECT_EQ(file.text(root, "absent"), std::nullopt);
  EXPECT_EQ(file.children(root), (std::vector<std::string>{"model_weights"}));
  const auto groups = keras::read_weight_groups(file, keras::find_weights(file));
  ASSERT_EQ(groups.size(), 8u);
  EXPECT_EQ(groups[0].name, "conv1");
  ASSERT_EQ(groups[0].weights.size(), 2u);
  EXPECT_EQ(groups[0].weights[0].name, "conv1/kernel:0");
  EXPECT_EQ(groups[0].weights[0].shape, (std::vector<int64_t>{3, 3, 2, 4}));
  EXPECT_EQ(groups[0].weights[0].values.size(), 72u);
  EXPECT_EQ(groups[1].name, "act1");
  EXPECT_TRUE(groups[1].weights.empty());
}

TEST(Hdf5, FindsPathsAndSaysWhatIsMissing) {
  Hdf5File file(bytes_of("cnn_weights.h5"), "cnn_weights.h5");
  const Hdf5Object root = file.root();
  EXPECT_TRUE(file.find(root, "conv1/conv1/kernel:0")->is_dataset);
  EXPECT_TRUE(file.find(root, "/conv1//conv1/")->is_group);
  EXPECT_FALSE(file.find(root, "conv1/conv2"));
  EXPECT_FALSE(file.find(root, "conv1/conv1/kernel:0/deeper"));
  expect_user_error([&] { (void)file.read_float32(root); }, {"cnn_weights.h5", "no dataset"});
}

TEST(Hdf5, NamesWhatIsDamaged) {
  const std::string good = bytes_of("cnn.h5");
  read_all(good);
  const size_t tree = good.find("TREE");
  const size_t heap = good.find("GCOL");
  const size_t node = good.find("SNOD");
  expect_user_error([] { read_all(""); }, {"damaged.h5", "signature"});
  expect_user_error([&] { read_all(good.substr(0, 7)); }, {"signature"});
  expect_user_error([&] { read_all(good.substr(0, 20)); }, {"truncated"});
  expect_user_error([&] { read_all(good.substr(0, good.size() / 2)); }, {"truncated"});
  expect_user_error([&] { read_all(put(good, 8, 3, 1)); },
                    {"superblock version 3", "h5py's default"});
  expect_user_error([&] { read_all(put(good, 13, 4, 1)); }, {"size of offsets 4"});
  expect_user_error([&] { read_all(put(put(good, tree + 5, 1, 1), tree + 32, tree, 8)); },
                    {"B-tree", "twice"});
  expect_user_error([&] { read_all(put(good, tree + 32, uint64_t{1} << 60, 8)); },
                    {"address", "outside the file"});
  expect_user_error([&] { read_all(put(good, tree + 32, ~uint64_t{0} - 3, 8)); },
                    {"address", "outside the file"});
  expect_user_error([&] { read_all(put(good, heap + 8, uint64_t{1} << 50, 8)); }, {"global heap"});
  expect_user_error([&] { read_all(put(good, node + 6, 65535, 2)); }, {"symbol"});
  expect_user_error([&] { read_all(put(good, 64, good.size() - 2, 8)); },
                    {"address", "object header"});
}

// Two weights that share their bytes are legal HDF5, but a list of many such names would ask for
// any amount of memory: more than the file has bytes is refused.
TEST(Hdf5, OverlappingDataIsBoundedByTheFile) {
  Hdf5File file(bytes_of("cnn_weights.h5"), "cnn_weights.h5");
  const auto kernel = file.find(file.root(), "conv1/conv1/kernel:0");
  expect_user_error(
      [&] {
        for (int k = 0; k < 100000; ++k) (void)file.read_float32(*kernel);
      },
      {"overlap"});
}

TEST(Hdf5, RandomDamageIsAnErrorOrHarmlessButNeverACrash) {
  const std::string good = bytes_of("cnn.h5");
  std::mt19937 random(20250611);
  int refused = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string bad = good;
    const int changes = 1 + static_cast<int>(random() % 4);
    for (int c = 0; c < changes; ++c) {
      // Half of the damage near the structures, which are small beside the text and the data.
      constexpr std::string_view kMarks[] = {"TREE", "SNOD", "HEAP", "GCOL"};
      size_t at = random() % bad.size();
      if (random() % 2 == 0) {
        const size_t mark = good.find(kMarks[random() % 4], random() % (good.size() / 2));
        at = mark == std::string::npos ? at : std::min(mark + random() % 64, bad.size() - 1);
      }
      bad[at] = static_cast<char>(random());
    }
    if (random() % 8 == 0) bad.resize(random() % bad.size());
    try {
      read_all(bad);
    } catch (const UserError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
  EXPECT_LT(refused, 4000);
}

TEST(Hdf5, ConvertsEveryNumberType) {
  using keras::Hdf5Type;
  const auto type = [](Hdf5Type::Kind kind, uint64_t size, bool is_signed, bool big_endian) {
    Hdf5Type t;
    t.kind = kind;
    t.size = size;
    t.is_signed = is_signed;
    t.big_endian = big_endian;
    return t;
  };
  const auto one = [](std::string_view bytes, const Hdf5Type& t) {
    return keras::convert_to_float32(bytes, t).at(0);
  };
  constexpr auto kReal = Hdf5Type::Kind::real;
  constexpr auto kInteger = Hdf5Type::Kind::integer;
  EXPECT_EQ(one(std::string_view("\x00\x3e", 2), type(kReal, 2, true, false)), 1.5f);
  EXPECT_EQ(one(std::string_view("\x01\x00", 2), type(kReal, 2, true, false)), 0x1p-24f);
  EXPECT_EQ(one(std::string_view("\xff\x7b", 2), type(kReal, 2, true, false)), 65504.0f);
  EXPECT_EQ(one(std::string_view("\x00\xfc", 2), type(kReal, 2, true, false)),
            -std::numeric_limits<float>::infinity());
  EXPECT_EQ(one(std::string_view("\x00\x00\xc0\xbf", 4), type(kReal, 4, true, false)), -1.5f);
  EXPECT_EQ(one(std::string_view("\xbf\xc0\x00\x00", 4), type(kReal, 4, true, true)), -1.5f);
  EXPECT_EQ(one(std::string_view("\x3f\xf8\0\0\0\0\0\0", 8), type(kReal, 8, true, true)), 1.5f);
  EXPECT_EQ(one(std::string_view("\xfe", 1), type(kInteger, 1, true, false)), -2.0f);
  EXPECT_EQ(one(std::string_view("\xfe", 1), type(kInteger, 1, false, false)), 254.0f);
  EXPECT_EQ(one(std::string_view("\xff\xfe", 2), type(kInteger, 2, true, true)), -2.0f);
  EXPECT_EQ(
      one(std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff", 8), type(kInteger, 8, true, false)),
      -1.0f);
}

}  // namespace
}  // namespace qloom
