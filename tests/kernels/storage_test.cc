#include "kernels/storage.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "graph/support/error.h"

namespace qloom::kernels {
namespace {

TensorType type_of(Numeric numeric, Shape shape = {Dim::batch(), 3, 70}) {
  return {std::move(shape), numeric, {}};
}

TEST(Storage, BytesPerSample) {
  const Shape shape{Dim::batch(), 3, 70};
  EXPECT_EQ(bytes_per_sample(shape, Storage::f32()), 840);
  EXPECT_EQ(bytes_per_sample(shape, Storage::bytes(8)), 210);
  EXPECT_EQ(bytes_per_sample(shape, Storage::words()), 420);
  EXPECT_EQ(bytes_per_sample(shape, Storage::dwords()), 840);
  EXPECT_EQ(bytes_per_sample(shape, Storage::bits()), 3 * 16);  // 70 bits take two words
  EXPECT_EQ(bytes_per_sample({Dim::batch()}, Storage::bits()), 8);
  EXPECT_EQ(bytes_per_sample({Dim::batch(), 4, 0}, Storage::bits()), 0);
  EXPECT_EQ(bytes_per_sample({}, Storage::words()), 2);
}

TEST(Storage, PlainStorageIsTheNarrowestThatFits) {
  EXPECT_EQ(plain_storage(type_of(Numeric::float32())), Storage::f32());
  EXPECT_EQ(plain_storage(type_of(Numeric::fixed(4, 3, true))), Storage::bytes(8));
  EXPECT_EQ(plain_storage(type_of(Numeric::fixed(4, 3, true, true))), Storage::bytes(7));
  EXPECT_EQ(plain_storage(type_of(Numeric::fixed(8, 0, false))), Storage::bytes(0));
  EXPECT_EQ(plain_storage(type_of(Numeric::fixed(9, 0, false))), Storage::words());
  EXPECT_EQ(plain_storage(type_of(Numeric::fixed(16, 0, true))), Storage::words());
  EXPECT_EQ(plain_storage(type_of(Numeric::fixed(16, 0, false))), Storage::dwords());
  EXPECT_EQ(plain_storage(type_of(Numeric::integers(-3, 252, 0))), Storage::bytes(3));
  EXPECT_EQ(plain_storage(type_of(Numeric::integers(-3, 253, 0))), Storage::words());
  EXPECT_EQ(plain_storage(type_of(Numeric::integers(300, 310, 0))), Storage::words());
  EXPECT_EQ(plain_storage(type_of(Numeric::fixed(40, 0, true))), Storage::f32());
  EXPECT_EQ(plain_storage(type_of(Numeric::binary())), Storage::bytes(1));
  TensorType dynamic = type_of(Numeric::fixed(4, 3, true));
  dynamic.scale = Scale::dynamic(ValueId{3});
  EXPECT_EQ(plain_storage(dynamic), Storage::f32());
}

TEST(Storage, Fits) {
  EXPECT_TRUE(fits(type_of(Numeric::binary()), Storage::bits()));
  EXPECT_TRUE(fits(type_of(Numeric::bit()), Storage::bits()));
  EXPECT_FALSE(fits(type_of(Numeric::ternary()), Storage::bits()));
  EXPECT_FALSE(fits(type_of(Numeric::ternary()), Storage::bytes(0)));
  EXPECT_TRUE(fits(type_of(Numeric::ternary()), Storage::bytes(1)));
  EXPECT_TRUE(fits(type_of(Numeric::ternary()), Storage::f32()));
  EXPECT_FALSE(fits(type_of(Numeric::float32()), Storage::dwords()));
  EXPECT_TRUE(fits(type_of(Numeric::float32()), Storage::f32()));
  EXPECT_FALSE(fits(type_of(Numeric::fixed(30, 0, true)), Storage::f32()));
}

TEST(Storage, CodesReadBackFromEveryStorage) {
  struct Case {
    Numeric numeric;
    Storage storage;
  };
  const Case cases[] = {{Numeric::integers(-100, 155, 0), Storage::bytes(100)},
                        {Numeric::fixed(16, 0, true), Storage::words()},
                        {Numeric::fixed(32, 0, true), Storage::dwords()},
                        {Numeric::bit(), Storage::bits()}};
  for (const Case& c : cases) {
    const Shape shape{Dim::batch(), 3, 70};
    const Numeric::Grid grid = *c.numeric.grid();
    std::vector<uint8_t> data(static_cast<size_t>(bytes_per_sample(shape, c.storage)), 0);
    std::vector<int64_t> codes;
    uint64_t state = 1;
    for (int i = 0; i < 210; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      codes.push_back(grid.lo + static_cast<int64_t>((state >> 20) %
                                                     static_cast<uint64_t>(grid.hi - grid.lo + 1)));
      write_code(data.data(), c.storage, i, 70, codes.back());
    }
    for (int i = 0; i < 210; ++i)
      EXPECT_EQ(read_code(data.data(), c.storage, i, 70), codes[static_cast<size_t>(i)])
          << c.storage << " element " << i;
  }
}

TEST(Storage, BitsLieLeastSignificantFirstInWholeWords) {
  uint64_t words[4] = {};
  write_code(words, Storage::bits(), 0, 70, 1);
  write_code(words, Storage::bits(), 1, 70, -1);
  write_code(words, Storage::bits(), 69, 70, 1);
  write_code(words, Storage::bits(), 70, 70, 1);  // first of the second run
  EXPECT_EQ(words[0], 1u);
  EXPECT_EQ(words[1], 32u);
  EXPECT_EQ(words[2], 1u);
  EXPECT_EQ(words[3], 0u);
  write_code(words, Storage::bits(), 69, 70, -1);
  EXPECT_EQ(words[1], 0u);
}

TEST(Storage, TextAndMisuse) {
  EXPECT_EQ(Storage::bytes(8).to_string(), "bytes+8");
  EXPECT_EQ(Storage::bytes(0).to_string(), "bytes");
  EXPECT_EQ(Storage::bits().to_string(), "bits");
  float f = 0;
  EXPECT_THROW((void)read_code(&f, Storage::f32(), 0, 1), InternalError);
  EXPECT_THROW(write_code(&f, Storage::f32(), 0, 1, 1), InternalError);
}

}  // namespace
}  // namespace qloom::kernels
