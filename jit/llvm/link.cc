#include "jit/llvm/link.h"

#include <fcntl.h>
#include <lld/Common/Driver.h>
#include <llvm/Support/CrashRecoveryContext.h>
#include <llvm/Support/raw_ostream.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>

#include "graph/support/error.h"
#include "jit/llvm/codegen.h"
#include "jit/llvm/inspect.h"

LLD_HAS_DRIVER(elf)

namespace qloom::jit {
namespace {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() { close(); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_ = -1;
};

[[noreturn]] void fail(const char* what) {
  qloom_assert(false, "link: ", what, ": ", std::strerror(errno));
  std::abort();
}

Descriptor memory_file(const std::vector<uint8_t>& bytes) {
  Descriptor fd(memfd_create("object", MFD_CLOEXEC));
  if (fd.get() < 0) fail("memfd_create");
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t n = write(fd.get(), bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno != EINTR) fail("write to memory");
    if (n > 0) at += static_cast<size_t>(n);
  }
  return fd;
}

std::vector<uint8_t> read_all(int fd) {
  std::vector<uint8_t> bytes;
  for (;;) {
    constexpr size_t kBlock = 1 << 16;
    const size_t at = bytes.size();
    bytes.resize(at + kBlock);
    const ssize_t n = read(fd, bytes.data() + at, kBlock);
    bytes.resize(at + static_cast<size_t>(n > 0 ? n : 0));
    if (n == 0 || (n < 0 && errno != EINTR)) return bytes;
  }
}

std::mutex link_mutex;  // lld keeps its state in globals
bool lld_is_broken = false;

}  // namespace

std::vector<uint8_t> link_objects(std::span<const std::vector<uint8_t>> objects) {
  std::lock_guard lock(link_mutex);
  qloom_assert(!lld_is_broken, "link: lld failed before and cannot run again in this process");
  std::vector<Descriptor> inputs;
  std::vector<std::string> paths;
  for (const std::vector<uint8_t>& object : objects) {
    // What lld finds by itself it may call fatal, and then it cannot run again.
    const llvm::StringRef bytes(reinterpret_cast<const char*>(object.data()), object.size());
    check_object({bytes, "object"}, "link");
    paths.push_back(inputs.emplace_back(memory_file(object)).path());
  }
  // lld replaces regular files by a temporary one beside them; into a pipe it writes, so the result
  // needs neither a folder nor space on a disk.
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail("pipe");
  Descriptor read_end(ends[0]), write_end(ends[1]);
  const std::string output = write_end.path();
  std::vector<const char*> arguments = {
      "ld.lld",     "-shared",     "--threads=1",      "--no-undefined",
      "-z",         "noexecstack", "--hash-style=gnu", "--build-id=none",
      "-Bsymbolic", "-o",          output.c_str()};
  for (const std::string& path : paths) arguments.push_back(path.c_str());
  std::vector<uint8_t> linked;
  std::thread reader([&] { linked = read_all(read_end.get()); });
  std::string messages;
  lld::Result result{1, true};
  {
    llvm::raw_string_ostream text(messages);
    // Without recovery lld ends the process on an error that it calls fatal.
    const std::unique_lock switches(switches_mutex());
    llvm::CrashRecoveryContext::Enable();
    result = lld::lldMain(arguments, text, text, {{lld::Gnu, &lld::elf::link}});
    llvm::CrashRecoveryContext::Disable();
    set_switches();
  }
  write_end.close();
  reader.join();
  lld_is_broken = !result.canRunAgain;
  qloom_assert(result.retCode == 0 && !linked.empty(), "link: lld returned ", result.retCode, ": ",
               messages);
  return linked;
}

}  // namespace qloom::jit
