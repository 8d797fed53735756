// tests/jit/run_kernel.h: emits, compiles and runs small kernels on arrays of bytes.
#pragma once

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "jit/compiler.h"

namespace qloom::jit::testing {

/// A vector as it lies in memory.
struct Lanes {
  Element element = Element::i8;
  int lanes = 1;
  std::vector<uint8_t> bytes;

  Lanes(Element e, int n) : element(e), lanes(n), bytes(static_cast<size_t>(n) * bytes_of(e)) {}

  template <class T>
  [[nodiscard]] T as(int i) const {
    T v;
    std::memcpy(&v, bytes.data() + static_cast<size_t>(i) * sizeof(T), sizeof(T));
    return v;
  }
  /// Lane i, sign extended.
  [[nodiscard]] int64_t get(int i) const {
    switch (bytes_of(element)) {
      case 1:
        return as<int8_t>(i);
      case 2:
        return as<int16_t>(i);
      case 4:
        return as<int32_t>(i);
      default:
        return as<int64_t>(i);
    }
  }
  /// Lane i, zero extended.
  [[nodiscard]] uint64_t unsigned_at(int i) const {
    const int width = 8 * bytes_of(element);
    const auto v = static_cast<uint64_t>(get(i));
    return width == 64 ? v : v & ((uint64_t{1} << width) - 1);
  }
  [[nodiscard]] float real(int i) const { return as<float>(i); }
  /// Truncates.
  void set(int i, int64_t v) {
    std::memcpy(bytes.data() + static_cast<size_t>(i) * bytes_of(element), &v, bytes_of(element));
  }
  void set_real(int i, float v) { std::memcpy(bytes.data() + 4 * static_cast<size_t>(i), &v, 4); }
};

/// Random lanes with many extremes. Reals: halves, tiny and large numbers, and with `special` also
/// NaN and infinities; without it all lie below 2^31 in magnitude.
[[nodiscard]] Lanes random_lanes(Element e, int lanes, bool special, std::mt19937_64& random);

/// Equal bits; any NaN equals any other.
[[nodiscard]] bool same(const Lanes& a, const Lanes& b);
[[nodiscard]] std::string print(const Lanes& v);

/// Both targets that this machine can run: the host and the portable one.
[[nodiscard]] std::vector<Target> runnable_targets();

/// Compiles all functions together and loads them.
[[nodiscard]] std::shared_ptr<const Code> build(const std::vector<FunctionSource>& functions,
                                                const Target& target);

/// Compiles one function and calls it.
void build_and_run(const std::function<void(Emitter&)>& emit, const Target& target,
                   const std::vector<void*>& buffers, int64_t count);

}  // namespace qloom::jit::testing
