// The cache in its daily use: entries, eviction, several processes, settings.
#include "jit/cache.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <fstream>

#include "tests/jit/cache_fixture.h"

namespace qloom::jit {
namespace {

namespace fs = std::filesystem;
using testing::CacheTest;
using testing::in_child;

TEST_F(CacheTest, StoresAndFinds) {
  Cache cache(folder_);
  EXPECT_TRUE(cache.enabled());
  EXPECT_FALSE(cache.look_up(key(1)).has_value());
  expect_entry(cache.store(key(1), object(1), payload(1)), 1);
  expect_entry(cache.look_up(key(1)), 1);
  EXPECT_FALSE(cache.look_up(key(2)).has_value());
  EXPECT_TRUE(cache.notices().empty());
  EXPECT_TRUE(in_child([&] {
    Cache other(folder_);
    const auto entry = other.look_up(key(1));
    return entry && is_entry(*entry, 1) && other.notices().empty();
  }));
}

TEST_F(CacheTest, FolderAndEntriesArePrivate) {
  const mode_t old = umask(0);
  const fs::path path = stored(1);
  umask(old);
  struct stat s{};
  ASSERT_EQ(stat(folder_.c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 0777, 0700u);
  ASSERT_EQ(stat(path.c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 0777, 0600u);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1) << "a temporary file was left";
}

TEST_F(CacheTest, PayloadsOfAnySize) {
  Cache cache(folder_);
  for (size_t bytes : {0, 1, 63, 64, 65, 100000}) {
    const auto entry = cache.store(key(1), object(1), payload(1, bytes));
    ASSERT_TRUE(entry.has_value()) << bytes;
    EXPECT_EQ(entry->payload_bytes, bytes);
    EXPECT_TRUE(bytes == 0 || is_entry(*entry, 1)) << bytes;
  }
}

TEST_F(CacheTest, ReplacedEntriesLeaveLoadedCodeAlone) {
  Cache cache(folder_);
  const auto first = cache.store(key(1), object(1), payload(1));
  const auto second = cache.store(key(1), object(2), payload(2));
  expect_entry(first, 1);
  expect_entry(second, 2);
  expect_entry(cache.look_up(key(1)), 2);
}

TEST_F(CacheTest, CodeOutlivesCacheAndFile) {
  std::optional<CacheEntry> entry;
  {
    Cache cache(folder_);
    entry = cache.store(key(1), object(1), payload(1));
  }
  fs::remove_all(folder_);
  expect_entry(entry, 1);
}

TEST_F(CacheTest, EvictsTheLeastRecentlyUsed) {
  const auto one_entry = static_cast<int64_t>(fs::file_size(stored(1)));
  fs::remove_all(folder_);
  Cache cache(folder_, 3 * one_entry + one_entry / 2);
  const time_t now = time(nullptr);
  for (int n : {1, 2, 3}) {
    expect_entry(cache.store(key(n), object(n), payload(n)), n);
    const timespec used[2] = {{now - 100 + n, 0}, {now - 100 + n, 0}};  // clocks are coarse
    ASSERT_EQ(utimensat(AT_FDCWD, path_of(n).c_str(), used, 0), 0);
  }
  expect_entry(cache.look_up(key(1)), 1);
  expect_entry(cache.store(key(4), object(4), payload(4)), 4);
  EXPECT_TRUE(fs::exists(path_of(1)));
  EXPECT_FALSE(fs::exists(path_of(2))) << "it was not used for the longest time";
  EXPECT_TRUE(fs::exists(path_of(3)));
  EXPECT_TRUE(cache.notices().empty());
}

TEST_F(CacheTest, EvictionTouchesOnlyEntries) {
  stored(1);
  std::ofstream(folder_ / "letter.txt") << std::string(100000, 'x');
  Cache cache(folder_, static_cast<int64_t>(fs::file_size(path_of(1))) + 100);
  expect_entry(cache.store(key(2), object(2), payload(2)), 2);
  EXPECT_FALSE(fs::exists(path_of(1)));
  EXPECT_TRUE(fs::exists(folder_ / "letter.txt"));
}

TEST_F(CacheTest, EntriesLargerThanTheCacheAreNotStored) {
  Cache cache(folder_, 4096);
  EXPECT_FALSE(cache.store(key(1), object(1), payload(1, 10000)).has_value());
  ASSERT_EQ(cache.notices().size(), 1u);
  EXPECT_NE(cache.notices()[0].find("is larger than the cache may be (4096)"), std::string::npos);
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(CacheTest, AbandonedTemporaryFilesAreRemoved) {
  stored(1);
  std::ofstream(folder_ / ".tmp-1-old") << "half an entry";
  std::ofstream(folder_ / ".tmp-2-new") << "half an entry";
  const timespec long_ago[2] = {{1000000000, 0}, {1000000000, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, (folder_ / ".tmp-1-old").c_str(), long_ago, 0), 0);
  stored(2);
  EXPECT_FALSE(fs::exists(folder_ / ".tmp-1-old"));
  EXPECT_TRUE(fs::exists(folder_ / ".tmp-2-new")) << "somebody may be writing it";
}

TEST_F(CacheTest, KilledWhileWriting) {
  static_cast<void>(object(1));  // compiled before the clock runs
  static_cast<void>(object(2));
  int found = 0, killed = 0;
  for (int round = 0; round < 60; ++round) {
    int writes[2];
    ASSERT_EQ(pipe(writes), 0);
    const pid_t child = fork();
    if (child == 0) {
      Cache cache(folder_);
      for (int i = 0;; ++i) {
        // The first child is killed once there is an entry, the others however far they are.
        if (i == (round == 0 ? 1 : 0) && write(writes[1], "", 1) != 1) _exit(1);
        cache.store(key(1), object(1 + i % 2), payload(1 + i % 2, 300000 + 100 * i));
      }
    }
    close(writes[1]);
    char byte = 1;
    EXPECT_EQ(read(writes[0], &byte, 1), 1) << "the child cannot write";
    close(writes[0]);
    usleep(300 + 397 * (round * 7 % 40));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    killed += WIFSIGNALED(status);
    Cache cache(folder_);
    const auto entry = cache.look_up(key(1));
    EXPECT_TRUE(cache.notices().empty()) << cache.notices()[0];
    if (!entry) continue;
    ++found;
    EXPECT_TRUE(is_entry(*entry, 1) || is_entry(*entry, 2)) << "half of one and half of the other";
  }
  EXPECT_EQ(killed, 60);
  EXPECT_GT(found, 0);
}

TEST_F(CacheTest, ManyProcessesAtOnce) {
  for (int n : {1, 2, 3}) static_cast<void>(object(n));
  std::vector<pid_t> children;
  for (int c = 0; c < 4; ++c) {
    const pid_t child = fork();
    if (child != 0) {
      children.push_back(child);
      continue;
    }
    // A cap that makes them evict each other's entries.
    Cache cache(folder_, static_cast<int64_t>(2 * (object(1).size() + 25000)));
    bool good = cache.enabled();
    for (int i = 0; i < 60 && good; ++i) {
      const int n = 1 + (i + c) % 3;
      if (i % 2) cache.store(key(n), object(n), payload(n, 20000));
      const auto entry = cache.look_up(key(n));
      good = !entry || is_entry(*entry, n);
    }
    _exit(good && cache.notices().empty() ? 0 : 1);
  }
  for (pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
}

// --- settings
// -------------------------------------------------------------------------------------

TEST_F(CacheTest, FolderComesFromTheEnvironment) {
  const auto folder_with = [](std::vector<std::pair<const char*, std::string>> set) {
    for (const char* name : {"QLOOM_CACHE_DIR", "XDG_CACHE_HOME", "HOME"}) unsetenv(name);
    for (const auto& [name, value] : set) setenv(name, value.c_str(), 1);
    return Cache().folder();
  };
  const std::string a = root_ / "a", b = root_ / "b", c = root_ / "c";
  EXPECT_TRUE(in_child([&] {
    return folder_with({{"QLOOM_CACHE_DIR", a}, {"XDG_CACHE_HOME", b}, {"HOME", c}}) == a &&
           folder_with({{"XDG_CACHE_HOME", b}, {"HOME", c}}) == b + "/qloom" &&
           folder_with({{"HOME", c}}) == c + "/.cache/qloom" &&
           folder_with({{"XDG_CACHE_HOME", "relative"}, {"HOME", c}}) == c + "/.cache/qloom";
  }));
  EXPECT_TRUE(fs::is_directory(c + "/.cache/qloom"));
}

TEST_F(CacheTest, NoHome) {
  EXPECT_TRUE(in_child([&] {
    for (const char* name : {"QLOOM_CACHE_DIR", "XDG_CACHE_HOME", "HOME"}) unsetenv(name);
    Cache cache;
    return !cache.enabled() && cache.notices().size() == 1 &&
           cache.notices()[0].ends_with(
               "none of QLOOM_CACHE_DIR, XDG_CACHE_HOME and HOME names a folder");
  }));
}

TEST_F(CacheTest, OffOnRequest) {
  stored(1);
  EXPECT_TRUE(in_child([&] {
    setenv("QLOOM_CACHE", "off", 1);
    Cache cache(folder_);
    return !cache.enabled() && !cache.look_up(key(1)) &&
           !cache.store(key(2), object(1), payload(1)) && cache.notices().empty();
  }));
  EXPECT_TRUE(in_child([&] {
    setenv("QLOOM_CACHE", "of", 1);
    Cache cache(folder_);
    return !cache.enabled() &&
           cache.notices()[0] == "cache disabled: QLOOM_CACHE is 'of', expected 'on' or 'off'";
  }));
}

}  // namespace
}  // namespace qloom::jit
