#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "jit/code.h"
#include "jit/sha256.h"

namespace qloom::jit {

/// SHA-256 of what determines the compiled model: file bytes, options, target. kCodeVersion is
/// always part of it. A value.
class CacheKey {
 public:
  CacheKey();
  CacheKey& add(std::span<const uint8_t> bytes);  ///< length-prefixed: no two sequences collide
  CacheKey& add(std::string_view text);
  [[nodiscard]] Digest digest() const { return hash_.digest(); }
  [[nodiscard]] std::string hex() const;  ///< the digest as 64 digits

 private:
  Sha256 hash_;
};

/// An entry: one file, a shared object followed by the serialised Program and packed constants.
struct CacheEntry {
  /// dlopen of the very descriptor that was checked; null where an empty object was stored.
  std::shared_ptr<const Code> code;
  std::shared_ptr<const uint8_t[]> payload;  ///< in memory, aligned to 64 bytes
  size_t payload_bytes = 0;
};

/// Compiled models on disk. It holds executable code, so: folder 0700, owned by the effective user;
/// entries opened with O_NOFOLLOW relative to the folder, owner and mode checked on the descriptor,
/// checksum verified, then exactly that descriptor given to dlopen; written to a temporary name and
/// renamed; size cap with eviction of the least recently used; off when the process is set-uid.
/// Whatever is wrong with the cache, look_up answers "not there" with a notice and store does
/// nothing with a notice: never a wrong answer, never code that we did not write. Neither throws.
/// Any number of processes may use one folder; a Cache belongs to one thread at a time.
class Cache {
 public:
  /// `folder` "": $QLOOM_CACHE_DIR, else $XDG_CACHE_HOME/qloom, else $HOME/.cache/qloom, else
  /// disabled. QLOOM_CACHE=off disables. `max_bytes`: size cap (default 1 GiB).
  explicit Cache(std::string folder = "", int64_t max_bytes = int64_t{1} << 30);

  [[nodiscard]] bool enabled() const { return enabled_; }
  [[nodiscard]] const std::string& folder() const { return folder_; }
  /// Notices gathered so far ("cache disabled: folder is writable by others"), for the caller to
  /// show.
  [[nodiscard]] const std::vector<std::string>& notices() const { return notices_; }

  [[nodiscard]] std::optional<CacheEntry> look_up(const CacheKey& key);
  /// Stores and returns the entry as if looked up; none when it could not be stored or loaded.
  std::optional<CacheEntry> store(const CacheKey& key, std::span<const uint8_t> shared_object,
                                  std::span<const uint8_t> payload);

 private:
  /// Why the cache cannot be used; empty when it can.
  std::string set_up(const std::string& wanted);
  void disable(const std::string& why);
  void notice(const std::string& text);

  bool enabled_ = false;
  std::string folder_;
  int64_t max_bytes_ = 0;
  std::vector<std::string> notices_;
};

}  // namespace qloom::jit
