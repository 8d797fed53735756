#include "tests/jit/cache_fixture.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <map>

#include "jit/compiler.h"

namespace qloom::jit::testing {

namespace fs = std::filesystem;

void CacheTest::SetUp() { unsetenv("QLOOM_CACHE"); }

CacheKey CacheTest::key(int n) { return CacheKey().add("test").add(std::to_string(n)); }

const std::vector<uint8_t>& CacheTest::object(int n) {
  static std::map<int, std::vector<uint8_t>> made;
  std::vector<uint8_t>& object = made[n];
  if (object.empty()) {
    const FunctionSource f{"answer",
                           [n](Emitter& e) { e.store(e.buffer(0), e.integer(n, Element::i32)); }};
    const auto compiled = compiler().compile({&f, 1}, Target::portable(), {}).elf;
    object = compiler().link({&compiled, 1});
  }
  return object;
}

std::vector<uint8_t> CacheTest::payload(int n, size_t bytes) {
  std::vector<uint8_t> v(bytes);
  for (size_t i = 0; i < bytes; ++i) v[i] = static_cast<uint8_t>(i * 7 + i / 256 + n);
  return v;
}

int CacheTest::answer(const Code& code) {
  int32_t result = -1;
  void* buffers[] = {&result};
  if (void* run = code.symbol("answer")) reinterpret_cast<KernelFunction>(run)(buffers, 0, 0, 1);
  return result;
}

bool CacheTest::is_entry(const CacheEntry& entry, int n) {
  const std::vector<uint8_t> expected = payload(n, entry.payload_bytes);
  return entry.code && answer(*entry.code) == n && entry.payload_bytes > 0 &&
         std::equal(expected.begin(), expected.end(), entry.payload.get());
}

void CacheTest::expect_entry(const std::optional<CacheEntry>& entry, int n) {
  ASSERT_TRUE(entry.has_value());
  EXPECT_TRUE(is_entry(*entry, n));
  EXPECT_EQ(answer(*entry->code), n);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(entry->payload.get()) % 64, 0u);
}

fs::path CacheTest::path_of(int n) const { return folder_ / (key(n).hex() + ".qloom"); }

fs::path CacheTest::stored(int n) {
  Cache cache(folder_);
  expect_entry(cache.store(key(n), object(n), payload(n)), n);
  EXPECT_TRUE(cache.notices().empty());
  return path_of(n);
}

void CacheTest::expect_ignored(int n, const std::string& why) {
  Cache cache(folder_);
  EXPECT_TRUE(cache.enabled());
  EXPECT_FALSE(cache.look_up(key(n)).has_value());
  ASSERT_EQ(cache.notices().size(), 1u);
  EXPECT_NE(cache.notices()[0].find(why), std::string::npos) << cache.notices()[0];
}

void CacheTest::expect_disabled(const fs::path& folder, const std::string& why) {
  Cache cache(folder);
  EXPECT_FALSE(cache.enabled());
  ASSERT_EQ(cache.notices().size(), 1u);
  EXPECT_EQ(cache.notices()[0].find("cache disabled: "), 0u) << cache.notices()[0];
  EXPECT_NE(cache.notices()[0].find(why), std::string::npos) << cache.notices()[0];
  EXPECT_FALSE(cache.store(key(1), object(1), payload(1)).has_value());
  EXPECT_FALSE(cache.look_up(key(1)).has_value());
}

bool in_child(const std::function<bool()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body() ? 0 : 1);
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::vector<uint8_t> read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const fs::path& path, const std::vector<uint8_t>& bytes) {
  fs::remove(path);
  std::ofstream out(path, std::ios::binary);
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
}

}  // namespace qloom::jit::testing
