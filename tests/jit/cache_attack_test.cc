// What the cache must withstand: damage, foreign owners, open modes, links, disks that refuse.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "jit/cache.h"
#include "tests/jit/cache_fixture.h"

namespace qloom::jit {
namespace {

namespace fs = std::filesystem;
using testing::CacheTest;
using testing::in_child;
using testing::read_file;
using testing::write_file;

constexpr uid_t kOther = 65534;

TEST_F(CacheTest, EveryDamagedByteIsNoticed) {
  const fs::path path = stored(1);
  const std::vector<uint8_t> good = read_file(path);
  ASSERT_GT(good.size(), 1500u);
  int refused = 0, tried = 0;
  for (size_t at = 0; at < good.size(); at += at + 200 < good.size() ? 11 : 1) {
    std::vector<uint8_t> bad = good;
    bad[at] ^= static_cast<uint8_t>(1 << at % 8);
    write_file(path, bad);
    Cache cache(folder_);
    ++tried;
    refused += !cache.look_up(key(1)) && cache.notices().size() == 1;
  }
  EXPECT_EQ(refused, tried);
  write_file(path, good);
  Cache cache(folder_);
  expect_entry(cache.look_up(key(1)), 1);
}

TEST_F(CacheTest, EveryOtherLengthIsNoticed) {
  const fs::path path = stored(1);
  const std::vector<uint8_t> good = read_file(path);
  for (size_t n = 0; n < good.size(); n += n < 200 || n + 200 > good.size() ? 7 : 97) {
    write_file(path, {good.begin(), good.begin() + static_cast<ptrdiff_t>(n)});
    expect_ignored(1, "ignored: it is damaged");
  }
  std::vector<uint8_t> longer = good;
  longer.insert(longer.end(), good.begin(), good.begin() + 64);
  write_file(path, longer);
  expect_ignored(1, "ignored: it is damaged");
  // A footer in its place, but too much before it.
  longer = good;
  longer.insert(longer.begin(), 64, 0);
  write_file(path, longer);
  expect_ignored(1, "ignored: it is damaged");
}

TEST_F(CacheTest, DamagedEntriesAreReplaced) {
  const fs::path path = stored(1);
  write_file(path, {1, 2, 3});
  Cache cache(folder_);
  EXPECT_FALSE(cache.look_up(key(1)).has_value());
  expect_entry(cache.store(key(1), object(1), payload(1)), 1);
  expect_entry(cache.look_up(key(1)), 1);
}

TEST_F(CacheTest, HugeFilesAreNotRead) {
  const fs::path path = stored(1);
  ASSERT_EQ(truncate(path.c_str(), off_t{1} << 42), 0);  // sparse
  expect_ignored(1, "ignored: it is damaged");
}

TEST_F(CacheTest, EntriesUnderAnotherNameAreIgnored) {
  fs::rename(stored(1), path_of(2));
  expect_ignored(2, "ignored: it is damaged");
}

TEST_F(CacheTest, EntriesOfAnotherVersionAreIgnored) {
  const fs::path path = stored(1);
  std::vector<uint8_t> bytes = read_file(path);
  uint8_t* version = bytes.data() + bytes.size() - 96 + 12;
  ++*version;
  const std::span<const uint8_t> checked(bytes.data(), bytes.size() - 32);
  const Digest checksum = sha256(checked);
  std::copy(checksum.begin(), checksum.end(), bytes.end() - 32);
  write_file(path, bytes);
  expect_ignored(1, "ignored: it is of another version");
}

TEST_F(CacheTest, FilesOpenToOthersAreIgnored) {
  const fs::path path = stored(1);
  for (mode_t mode : {0666, 0620, 0602}) {
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    expect_ignored(1, "is writable by others");
  }
  ASSERT_EQ(chmod(path.c_str(), 0644), 0);
  expect_ignored(1, "is accessible to others");
  ASSERT_EQ(chmod(path.c_str(), 0600), 0);
  Cache cache(folder_);
  expect_entry(cache.look_up(key(1)), 1);
}

TEST_F(CacheTest, FoldersOpenToOthersDisableTheCache) {
  stored(1);
  for (mode_t mode : {0777, 0720, 01777}) {
    ASSERT_EQ(chmod(folder_.c_str(), mode), 0);
    expect_disabled(folder_, "is writable by others");
  }
  ASSERT_EQ(chmod(folder_.c_str(), 0755), 0);
  expect_disabled(folder_, "is accessible to others");
}

TEST_F(CacheTest, FoldersAreCheckedAtEachUse) {
  stored(1);
  Cache cache(folder_);
  ASSERT_EQ(chmod(folder_.c_str(), 0777), 0);
  EXPECT_FALSE(cache.look_up(key(1)).has_value());
  EXPECT_FALSE(cache.enabled());
  ASSERT_EQ(cache.notices().size(), 1u);
  EXPECT_NE(cache.notices()[0].find("is writable by others"), std::string::npos);
}

TEST_F(CacheTest, LinksAreNotFollowed) {
  const fs::path path = stored(1), elsewhere = root_ / "elsewhere";
  fs::rename(path, elsewhere);
  fs::create_symlink(elsewhere, path);
  expect_ignored(1, "cannot be opened: Too many levels of symbolic links");
  fs::remove(path);
  fs::rename(elsewhere, path);
  fs::rename(folder_, root_ / "moved");
  fs::create_directory_symlink(root_ / "moved", folder_);
  expect_disabled(folder_, "cannot be opened: Not a directory");
}

TEST_F(CacheTest, StoringReplacesALinkInsteadOfFollowingIt) {
  stored(2);
  const fs::path victim = root_ / "victim";
  write_file(victim, {42});
  fs::create_symlink(victim, path_of(1));
  Cache cache(folder_);
  expect_entry(cache.store(key(1), object(1), payload(1)), 1);
  EXPECT_EQ(read_file(victim), std::vector<uint8_t>{42});
  EXPECT_FALSE(fs::is_symlink(path_of(1)));
}

TEST_F(CacheTest, OtherKindsOfFilesAreIgnored) {
  stored(2);
  ASSERT_EQ(mkfifo(path_of(1).c_str(), 0600), 0);
  expect_ignored(1, "is not a regular file");
  fs::remove(path_of(1));
  fs::create_directory(path_of(1));
  expect_ignored(1, "is not a regular file");
  Cache cache(folder_);
  EXPECT_FALSE(cache.store(key(1), object(1), payload(1)).has_value());
  EXPECT_EQ(cache.notices().size(), 1u);
  write_file(root_ / "file", {1});
  expect_disabled(root_ / "file", "cannot be opened: Not a directory");
  expect_disabled(root_ / "file" / "below", "cannot be opened: Not a directory");
}

TEST_F(CacheTest, ForeignOwners) {
  if (geteuid() != 0) GTEST_SKIP() << "giving files to another user needs root";
  const fs::path path = stored(1);
  ASSERT_EQ(chown(path.c_str(), kOther, kOther), 0);
  expect_ignored(1, "belongs to user 65534, not to 0");
  ASSERT_EQ(chown(path.c_str(), 0, 0), 0);
  ASSERT_EQ(chown(folder_.c_str(), kOther, kOther), 0);
  expect_disabled(folder_, "belongs to user 65534, not to 0");
}

TEST_F(CacheTest, BorrowedRightsDisableTheCache) {
  if (geteuid() != 0) GTEST_SKIP() << "changing the user needs root";
  stored(1);
  // As after starting a set-uid program: another real user, our effective one.
  EXPECT_TRUE(in_child([&] {
    if (setresuid(kOther, 0, 0) != 0) return false;
    Cache cache(folder_);
    return !cache.enabled() && !cache.look_up(key(1)) &&
           !cache.store(key(1), object(1), payload(1)) &&
           cache.notices()[0] == "cache disabled: the process runs with another user's rights";
  }));
}

/// Runs `body` in a child that has a file system of its own on `folder`: true or false as it
/// returns, or "cannot" where this machine lets no one mount.
enum class Outcome { yes, no, cannot };
Outcome with_mount(const fs::path& folder, unsigned long flags, const char* data,
                   const std::function<bool()>& body) {
  fs::create_directory(folder);
  const pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWNS) != 0 || mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("none", folder.c_str(), "tmpfs", flags, data) != 0) {
      _exit(2);
    }
    _exit(body() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status)) return Outcome::no;
  return WEXITSTATUS(status) == 0   ? Outcome::yes
         : WEXITSTATUS(status) == 2 ? Outcome::cannot
                                    : Outcome::no;
}

TEST_F(CacheTest, FullDisk) {
  static_cast<void>(object(1));
  const auto outcome = with_mount(root_ / "small", 0, "size=64k,mode=0700", [&] {
    Cache cache(root_ / "small");
    const bool fits = cache.store(key(1), object(1), payload(1)).has_value();
    const bool refused = !cache.store(key(2), object(1), payload(1, 200000)).has_value();
    const bool said = cache.notices().size() == 1 && cache.notices()[0].ends_with(strerror(ENOSPC));
    const auto files = std::distance(fs::directory_iterator(root_ / "small"), {});
    const auto first = cache.look_up(key(1));
    return fits && refused && said && files == 1 && first && is_entry(*first, 1);
  });
  if (outcome == Outcome::cannot) GTEST_SKIP() << "this machine lets no one mount a file system";
  EXPECT_EQ(outcome, Outcome::yes);
}

TEST_F(CacheTest, DiskWithoutExecution) {
  static_cast<void>(object(1));
  const auto outcome = with_mount(root_ / "noexec", MS_NOEXEC, "mode=0700", [&] {
    Cache cache(root_ / "noexec");
    return !cache.store(key(1), object(1), payload(1)) && cache.notices().size() == 1 &&
           cache.notices()[0].find("cannot be loaded") != std::string::npos;
  });
  if (outcome == Outcome::cannot) GTEST_SKIP() << "this machine lets no one mount a file system";
  EXPECT_EQ(outcome, Outcome::yes);
}

TEST_F(CacheTest, ReadOnlyDisk) {
  static_cast<void>(object(1));
  const fs::path folder = root_ / "readonly";
  const auto outcome = with_mount(folder, 0, "mode=0700", [&] {
    bool good = Cache(folder).store(key(1), object(1), payload(1)).has_value();
    good = good && mount("none", folder.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0;
    Cache cache(folder);
    const auto first = cache.look_up(key(1));
    good = good && first && is_entry(*first, 1) && cache.notices().empty();
    return good && !cache.store(key(2), object(1), payload(1)) && cache.notices().size() == 1 &&
           cache.notices()[0].ends_with(strerror(EROFS));
  });
  if (outcome == Outcome::cannot) GTEST_SKIP() << "this machine lets no one mount a file system";
  EXPECT_EQ(outcome, Outcome::yes);
}

}  // namespace
}  // namespace qloom::jit
