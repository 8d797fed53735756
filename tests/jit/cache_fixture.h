// tests/jit/cache_fixture.h: a cache in a folder of its own, with entries that can be told apart.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "jit/cache.h"
#include "tests/support/scratch_folder.h"

namespace qloom::jit::testing {

class CacheTest : public ::testing::Test {
 protected:
  void SetUp() override;

  [[nodiscard]] static CacheKey key(int n);
  /// A shared object whose function answers `n`; compiled once per number.
  [[nodiscard]] static const std::vector<uint8_t>& object(int n);
  /// Bytes that only entry `n` has.
  [[nodiscard]] static std::vector<uint8_t> payload(int n, size_t bytes = 1000);
  [[nodiscard]] static int answer(const Code& code);

  /// Everything of entry `n`; the payload's length is taken as it is.
  static void expect_entry(const std::optional<CacheEntry>& entry, int n);
  /// True when the entry is whole and its own; for child processes, which cannot report.
  [[nodiscard]] static bool is_entry(const CacheEntry& entry, int n);

  /// Stores entry `n`, which must succeed, and returns the path of its file.
  std::filesystem::path stored(int n);
  [[nodiscard]] std::filesystem::path path_of(int n) const;
  /// A new Cache on the folder answers "not there" for `n`, and its only notice contains `why`.
  void expect_ignored(int n, const std::string& why);
  /// A new Cache on `folder` is disabled, and says why.
  static void expect_disabled(const std::filesystem::path& folder, const std::string& why);

  qloom::testing::ScratchFolder scratch_;
  std::filesystem::path root_ = scratch_.path();
  std::filesystem::path folder_ = root_ / "cache";  ///< the cache's; not there yet
};

/// Runs `body` in a child process. True when it returned true; false when it did not or was killed.
[[nodiscard]] bool in_child(const std::function<bool()>& body);

[[nodiscard]] std::vector<uint8_t> read_file(const std::filesystem::path& path);
/// Writes with mode 0600, in place of what was there.
void write_file(const std::filesystem::path& path, const std::vector<uint8_t>& bytes);

}  // namespace qloom::jit::testing
