#include "jit/cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <new>

#include "graph/support/error.h"
#include "jit/compiler.h"
#include "jit/environment.h"
#include "jit/shared_object.h"

namespace qloom::jit {
namespace {

constexpr std::string_view kSuffix = ".qloom";
constexpr std::string_view kTemporary = ".tmp-";
constexpr size_t kAlignment = 64;         // of the payload in file and memory
constexpr time_t kAbandonedAfter = 3600;  // seconds: a temporary file nobody writes any more

/// The end of an entry: shared object, zeros up to a multiple of 64, payload, footer.
struct Footer {
  char magic[8];
  uint32_t format;
  uint32_t code_version;
  uint64_t shared_object_bytes;  ///< with the zeros
  uint64_t payload_bytes;
  Digest key;
  Digest checksum;  ///< of all that precedes it
};
constexpr char kMagic[8] = {'q', 'l', 'o', 'o', 'm', 'j', 'i', 't'};
constexpr uint32_t kFormat = 1;
constexpr size_t kFooterBytes = sizeof(Footer);
static_assert(kFooterBytes == 96);

/// The footer as the file holds it.
std::span<const uint8_t> bytes_of(const Footer& f) {
  return {reinterpret_cast<const uint8_t*>(&f), kFooterBytes};
}

/// Of the content and of the footer up to its checksum.
template <class... Parts>
Digest checksum(const Footer& footer, const Parts&... content) {
  Sha256 hash;
  (hash.add(content), ...);
  hash.add(bytes_of(footer).first(kFooterBytes - sizeof(Digest)));
  return hash.digest();
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  [[nodiscard]] bool open() const { return fd_ >= 0; }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

std::string reason() { return std::strerror(errno); }

/// The process acts for another user than the one who started it.
bool is_privileged() {
  return getauxval(AT_SECURE) != 0 || getuid() != geteuid() || getgid() != getegid();
}

/// Why a folder or file must not be trusted; empty when it may be. `kind`: S_IFDIR or S_IFREG.
std::string distrust(const struct stat& s, mode_t kind) {
  if ((s.st_mode & S_IFMT) != kind)
    return kind == S_IFDIR ? "is not a folder" : "is not a regular file";
  if (s.st_uid != geteuid()) return join_text("belongs to user ", s.st_uid, ", not to ", geteuid());
  if (s.st_mode & 022) return "is writable by others";
  if (s.st_mode & 055) return "is accessible to others (chmod go= it)";
  return "";
}

/// Creates the folder and those above it; those that exist stay as they are.
void create_folder(const std::string& path) {
  for (size_t at = 1; at != path.npos;) {
    at = path.find('/', at + 1);
    mkdir(path.substr(0, at).c_str(), 0700);  // an error shows when the folder is opened
  }
}

/// Opens the folder, each time anew: its owner and mode may have changed.
int open_folder(const std::string& path, std::string& why) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    why = "cannot be opened: " + reason();
    return -1;
  }
  struct stat s{};
  why = fstat(fd, &s) == 0 ? distrust(s, S_IFDIR) : reason();
  if (why.empty()) return fd;
  close(fd);
  return -1;
}

bool read_at(int fd, size_t offset, uint8_t* to, size_t n) {
  for (size_t at = 0; at < n;) {
    const ssize_t got = pread(fd, to + at, n - at, static_cast<off_t>(offset + at));
    if (got == 0 || (got < 0 && errno != EINTR)) return false;
    if (got > 0) at += static_cast<size_t>(got);
  }
  return true;
}

bool write_all(int fd, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno != EINTR) return false;
    if (put > 0) bytes = bytes.subspan(static_cast<size_t>(put));
  }
  return true;
}

using Memory = std::shared_ptr<uint8_t[]>;

Memory allocate(size_t n) {
  auto* p = static_cast<uint8_t*>(::operator new[](n, std::align_val_t{kAlignment}));
  return Memory(p, [](uint8_t* q) { ::operator delete[](q, std::align_val_t{kAlignment}); });
}

/// Reads and checks an entry, then loads its code. Empty, and the reason in `why`, when anything is
/// not as we wrote it.
std::optional<CacheEntry> load_entry(int fd, const Digest& key, int64_t largest, std::string& why) {
  struct stat s{};
  why = fstat(fd, &s) == 0 ? distrust(s, S_IFREG) : reason();
  if (!why.empty()) return std::nullopt;
  why = "is damaged";
  if (s.st_size < static_cast<off_t>(kFooterBytes) || s.st_size > largest) return std::nullopt;
  const auto size = static_cast<size_t>(s.st_size), content = size - kFooterBytes;
  Footer footer;
  if (!read_at(fd, content, reinterpret_cast<uint8_t*>(&footer), kFooterBytes)) return std::nullopt;
  if (std::memcmp(footer.magic, kMagic, sizeof kMagic) != 0) return std::nullopt;
  if (footer.format != kFormat || footer.code_version != static_cast<uint32_t>(kCodeVersion)) {
    why = "is of another version";
    return std::nullopt;
  }
  if (footer.key != key || footer.shared_object_bytes % kAlignment != 0 ||
      footer.shared_object_bytes > content ||
      footer.payload_bytes != content - footer.shared_object_bytes) {
    return std::nullopt;
  }
  // A copy: a mapping would change, or fail, when someone truncates the file.
  const Memory memory = allocate(content);
  if (!read_at(fd, 0, memory.get(), content)) return std::nullopt;
  if (checksum(footer, std::span<const uint8_t>(memory.get(), content)) != footer.checksum)
    return std::nullopt;
  std::shared_ptr<const Code> code;
  if (footer.shared_object_bytes > 0) {
    std::string refused;
    code = open_shared_object(fd, refused);
    if (!code) {
      why = "cannot be loaded: " + refused;
      return std::nullopt;
    }
  }
  const timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
  futimens(fd, now);  // last use, for eviction; on a read-only disk there is none
  return CacheEntry{std::move(code),
                    {memory, memory.get() + footer.shared_object_bytes},
                    static_cast<size_t>(footer.payload_bytes)};
}

struct Found {
  std::string name;
  int64_t bytes;
  timespec used;
};

/// Removes entries, least recently used first, until all fit into `max_bytes`, and temporary files
/// that were abandoned. Never touches the entry `keep`, nor files of other names.
void evict(int folder, int64_t max_bytes, const std::string& keep) {
  const int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* list = copy >= 0 ? fdopendir(copy) : nullptr;
  if (!list) {
    if (copy >= 0) close(copy);
    return;
  }
  std::vector<Found> entries;
  int64_t total = 0;
  while (const dirent* e = readdir(list)) {
    const std::string_view name = e->d_name;
    const bool entry = name.size() == 64 + kSuffix.size() && name.ends_with(kSuffix);
    const bool temporary = name.starts_with(kTemporary);
    struct stat s{};
    if ((!entry && !temporary) || fstatat(folder, e->d_name, &s, AT_SYMLINK_NOFOLLOW) != 0)
      continue;
    if (temporary && time(nullptr) - s.st_mtime > kAbandonedAfter) unlinkat(folder, e->d_name, 0);
    if (!entry) continue;
    total += s.st_size;
    if (name != keep) entries.push_back({std::string(name), s.st_size, s.st_mtim});
  }
  closedir(list);
  std::sort(entries.begin(), entries.end(), [](const Found& a, const Found& b) {
    return std::pair(a.used.tv_sec, a.used.tv_nsec) < std::pair(b.used.tv_sec, b.used.tv_nsec);
  });
  for (const Found& e : entries) {
    if (total <= max_bytes) break;
    if (unlinkat(folder, e.name.c_str(), 0) == 0) total -= e.bytes;
  }
}

/// A name that no other writer has: process, time and a number. O_EXCL catches what is left.
std::string temporary_name() {
  static std::atomic<uint32_t> next = 0;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return join_text(kTemporary, getpid(), "-", now.tv_sec, "-", now.tv_nsec, "-", next++);
}

std::string chosen_folder() {
  if (std::string folder = value_of(Environment::cache_dir); !folder.empty()) return folder;
  // XDG base directory specification: a relative path is to be ignored.
  if (const std::string base = value_of(Environment::xdg_cache_home); base.starts_with('/')) {
    return base + "/qloom";
  }
  if (const std::string home = value_of(Environment::home); home.starts_with('/')) {
    return home + "/.cache/qloom";
  }
  return "";
}

}  // namespace

CacheKey::CacheKey() {
  add("qloom");
  add(std::to_string(kCodeVersion));
}

CacheKey& CacheKey::add(std::span<const uint8_t> bytes) {
  std::array<uint8_t, 8> size;
  for (int i = 0; i < 8; ++i) size[i] = static_cast<uint8_t>(uint64_t{bytes.size()} >> (8 * i));
  hash_.add(size);
  hash_.add(bytes);
  return *this;
}

CacheKey& CacheKey::add(std::string_view text) {
  return add({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

std::string CacheKey::hex() const {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (uint8_t b : digest()) {
    text += kDigits[b >> 4];
    text += kDigits[b & 15];
  }
  return text;
}

Cache::Cache(std::string folder, int64_t max_bytes)
    : folder_(std::move(folder)), max_bytes_(max_bytes) {
  const std::string wanted = value_of(Environment::cache);
  if (wanted == "off") return;  // asked for: no notice
  const std::string why = set_up(wanted);
  enabled_ = why.empty();
  if (!enabled_) disable(why);
}

std::string Cache::set_up(const std::string& wanted) {
  if (!wanted.empty() && wanted != "on") {
    return join_text(name_of(Environment::cache), " is '", wanted, "', expected 'on' or 'off'");
  }
  if (is_privileged()) return "the process runs with another user's rights";
  if (folder_.empty()) folder_ = chosen_folder();
  if (folder_.empty()) {
    return join_text("none of ", name_of(Environment::cache_dir), ", ",
                     name_of(Environment::xdg_cache_home), " and ", name_of(Environment::home),
                     " names a folder");
  }
  while (folder_.size() > 1 && folder_.ends_with('/')) folder_.pop_back();
  create_folder(folder_);
  std::string why;
  const Descriptor fd(open_folder(folder_, why));
  return fd.open() ? "" : "folder " + folder_ + " " + why;
}

void Cache::disable(const std::string& why) {
  enabled_ = false;
  notice("cache disabled: " + why);
}

void Cache::notice(const std::string& text) {
  if (std::find(notices_.begin(), notices_.end(), text) == notices_.end()) notices_.push_back(text);
}

std::optional<CacheEntry> Cache::look_up(const CacheKey& key) {
  if (!enabled_) return std::nullopt;
  std::string why;
  const Descriptor folder(open_folder(folder_, why));
  if (!folder.open()) {
    disable("folder " + folder_ + " " + why);
    return std::nullopt;
  }
  const std::string name = key.hex() + std::string(kSuffix);
  // O_NONBLOCK: a FIFO in the entry's place must not make us wait.
  const Descriptor file(
      openat(folder.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!file.open()) {
    if (errno != ENOENT)
      notice(join_text("cache entry ", folder_, "/", name, " cannot be opened: ", reason()));
    return std::nullopt;
  }
  std::optional<CacheEntry> entry;
  try {
    entry = load_entry(file.get(), key.digest(), max_bytes_, why);
  } catch (const std::bad_alloc&) {
    why = "does not fit into memory";
  }
  if (!entry) notice(join_text("cache entry ", folder_, "/", name, " ignored: it ", why));
  return entry;
}

std::optional<CacheEntry> Cache::store(const CacheKey& key, std::span<const uint8_t> shared_object,
                                       std::span<const uint8_t> payload) {
  if (!enabled_) return std::nullopt;
  std::string why;
  const Descriptor folder(open_folder(folder_, why));
  if (!folder.open()) {
    disable("folder " + folder_ + " " + why);
    return std::nullopt;
  }
  const std::vector<uint8_t> zeros((kAlignment - shared_object.size() % kAlignment) % kAlignment);
  Footer footer{};
  std::memcpy(footer.magic, kMagic, sizeof kMagic);
  footer.format = kFormat;
  footer.code_version = static_cast<uint32_t>(kCodeVersion);
  footer.shared_object_bytes = shared_object.size() + zeros.size();
  footer.payload_bytes = payload.size();
  footer.key = key.digest();
  footer.checksum = checksum(footer, shared_object, zeros, payload);
  const auto total =
      static_cast<int64_t>(footer.shared_object_bytes + payload.size() + kFooterBytes);
  if (total > max_bytes_) {
    notice(join_text("cache: an entry of ", total, " bytes is larger than the cache may be (",
                     max_bytes_, ")"));
    return std::nullopt;
  }

  // A reader sees the whole entry or none: it gets its name when it is complete.
  const std::string name = key.hex() + std::string(kSuffix);
  const std::string temporary = temporary_name();
  {
    const Descriptor file(openat(folder.get(), temporary.c_str(),
                                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file.open()) {
      notice(join_text("cache: cannot write to ", folder_, ": ", reason()));
      return std::nullopt;
    }
    bool good = true;
    for (auto part : {shared_object, std::span<const uint8_t>(zeros), payload, bytes_of(footer)}) {
      good = good && write_all(file.get(), part);
    }
    // The umask may have taken bits away, but a default access list may have added some.
    good = good && fchmod(file.get(), 0600) == 0;
    if (!good) {
      notice(join_text("cache: cannot write to ", folder_, ": ", reason()));
      unlinkat(folder.get(), temporary.c_str(), 0);
      return std::nullopt;
    }
  }
  if (renameat(folder.get(), temporary.c_str(), folder.get(), name.c_str()) != 0) {
    notice(join_text("cache: cannot write to ", folder_, ": ", reason()));
    unlinkat(folder.get(), temporary.c_str(), 0);
    return std::nullopt;
  }
  evict(folder.get(), max_bytes_, name);
  return look_up(key);
}

}  // namespace qloom::jit
