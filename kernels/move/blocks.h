// kernels/move/blocks.h: bytes in vectors, for kernels that move what they do not look at.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "jit/emitter.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {

/// body(first byte, bytes of a vector, of them valid) for each vector of a run of bytes.
template <class Body>
void emit_byte_vectors(jit::Emitter& e, int64_t bytes, const Body& body) {
  const int width = e.bytes();
  const int64_t whole = bytes / width * width;
  const int rest = static_cast<int>(bytes - whole);
  if (whole == width)
    body(e.integer(0), width, width);
  else if (whole > 0)
    e.loop("bytes", e.integer(0), e.integer(whole), width, 0,
           [&](jit::Value at) { body(at, width, width); });
  if (rest > 0)
    body(e.integer(whole),
         std::max(8, static_cast<int>(std::bit_ceil(static_cast<unsigned>(rest)))), rest);
}

/// Copies a run of bytes; up to a vector behind it may be read. (emit_copy of conv/geometry.h reads
/// no more than it copies.)
inline void emit_copy_run(jit::Emitter& e, jit::Value to, jit::Value from, int64_t bytes) {
  emit_byte_vectors(e, bytes, [&](jit::Value at, int lanes, int valid) {
    store_lanes(e, e.offset(to, at), e.load(e.offset(from, at), jit::Element::i8, lanes), valid);
  });
}

}  // namespace qloom::kernels
