// tests/emulation/guest.h: code for processors that this machine is not, run by an emulator.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "jit/target.h"

namespace qloom::testing {

/// What a call finds behind one of its pointers.
struct GuestBuffer {
  enum class Use : uint8_t {
    input,    ///< `bytes`, only read
    results,  ///< bytes.size() of kGuestFill; afterwards `bytes` is what the call left
    scratch   ///< bytes.size() of anything, shared by all calls
  };
  Use use = Use::input;
  std::vector<uint8_t> bytes;
  int64_t at = 0;  ///< of the bytes, where the pointer points
};
inline constexpr uint8_t kGuestFill = 0xa5;

struct GuestCall {
  std::string symbol;
  std::vector<GuestBuffer> buffers;
  int64_t count = 1, begin = 0, end = 1;
};

/// An emulated machine. Nothing that is seen on one says how fast code is.
struct Guest {
  const char* name;
  jit::Target target;
  bool bare;  ///< x86-64 without an operating system, in Bochs; else AArch64 by QEMU, as a process
  /// What must be installed to use it, or "".
  [[nodiscard]] std::string missing() const;
};

/// AVX-512 and AArch64, with NEON's dot products and without.
[[nodiscard]] std::span<const Guest> guests();

/// Makes the calls, functions of `object` (relocatable, made for the guest's target), one after the
/// other on one machine. Returns the functions with instructions that the emulator is known to get
/// wrong: what they leave proves nothing. Throws std::runtime_error with what the tools said.
[[nodiscard]] std::set<std::string> run_in_guest(const Guest& guest,
                                                 std::span<const uint8_t> object,
                                                 std::span<GuestCall> calls);

}  // namespace qloom::testing

/// Skips the test where the emulator is not installed.
#define QLOOM_NEEDS_GUEST(guest) \
  if (const std::string what = (guest).missing(); !what.empty()) GTEST_SKIP() << "needs " << what
