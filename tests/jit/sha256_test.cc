#include "jit/sha256.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "jit/cache.h"

namespace qloom::jit {
namespace {

std::string hex(const Digest& d) {
  std::string text;
  for (uint8_t b : d) {
    text += "0123456789abcdef"[b >> 4];
    text += "0123456789abcdef"[b & 15];
  }
  return text;
}

Digest of_text(const std::string& text) {
  return sha256({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

// Examples of FIPS 180-4 and its validation programme.
TEST(Sha256, EqualsPublishedExamples) {
  EXPECT_EQ(hex(of_text("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(of_text("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(of_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hex(of_text(std::string(1000000, 'a'))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, SameInPiecesOfAnyLength) {
  std::vector<uint8_t> bytes(1000);
  std::iota(bytes.begin(), bytes.end(), 0);
  for (size_t n = 0; n < 200; ++n) {
    const std::span<const uint8_t> all(bytes.data(), n);
    for (size_t cut : {size_t{0}, size_t{1}, n / 3, n / 2, n}) {
      if (cut > n) continue;
      Sha256 hash;
      hash.add(all.first(cut));
      EXPECT_EQ(hash.digest(), sha256(all.first(cut)));
      hash.add(all.subspan(cut));
      EXPECT_EQ(hash.digest(), sha256(all)) << n << " cut at " << cut;
    }
  }
}

TEST(Sha256, NativeEqualsPortable) {
  if (!detail::has_native_sha256()) GTEST_SKIP() << "this processor has no SHA instructions";
  std::mt19937 random(1);
  std::vector<uint8_t> bytes(64 * 40);
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(random());
  for (size_t blocks : {1, 2, 7, 40}) {
    uint32_t a[8], b[8];
    for (int i = 0; i < 8; ++i) a[i] = b[i] = random();
    detail::sha256_blocks_portable(a, bytes.data(), blocks);
    detail::sha256_blocks_native(b, bytes.data(), blocks);
    for (int i = 0; i < 8; ++i) EXPECT_EQ(a[i], b[i]) << blocks;
  }
}

TEST(CacheKey, NoTwoSequencesCollide) {
  const std::string ab = CacheKey().add("ab").hex();
  EXPECT_EQ(ab.size(), 64u);
  EXPECT_EQ(ab, CacheKey().add("ab").hex());
  EXPECT_NE(ab, CacheKey().add("a").add("b").hex());
  EXPECT_NE(ab, CacheKey().add("").add("ab").hex());
  EXPECT_NE(CacheKey().add("").hex(), CacheKey().hex());
}

TEST(CacheKey, CopiesAreIndependent) {
  CacheKey a;
  a.add("x");
  CacheKey b = a;
  b.add("y");
  EXPECT_EQ(a.hex(), CacheKey().add("x").hex());
  EXPECT_EQ(b.hex(), CacheKey().add("x").add("y").hex());
}

}  // namespace
}  // namespace qloom::jit
