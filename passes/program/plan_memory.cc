#include <algorithm>
#include <numeric>

#include "passes/program/build_program.h"

// A buffer lies at  offset_per_sample · tile + offset_fixed.  The per-sample parts are packed as if
// tile were 1; the fixed parts grow by more than the slack from one per-sample offset to the next,
// so whatever lies behind another at tile 1 does so, with room between, at every tile. All scratch
// shares one place in front.

namespace qloom::passes {
namespace {

using runtime::Buffer;
using runtime::Program;

constexpr int64_t kGap = kernels::kSlackBytes + 64;

int64_t aligned(int64_t bytes, int64_t to) { return (bytes + to - 1) / to * to; }

/// What a loop reads in every step, or keeps from step to step, lives from its first call to its
/// last.
void keep_through(Program& program, const runtime::Loop& loop, std::vector<bool>& seen) {
  const int last = std::max(loop.first, loop.last - 1);
  const auto keep = [&](int index) {
    Buffer& b = program.buffers[static_cast<size_t>(index)];
    if (!seen[static_cast<size_t>(index)]) b.first_use = b.last_use = loop.first;
    seen[static_cast<size_t>(index)] = true;
    b.first_use = std::min(b.first_use, loop.first);
    b.last_use = std::max(b.last_use, last);
  };
  for (const runtime::Loop::State& s : loop.states) {
    keep(s.before);
    keep(s.after);
    if (s.initial >= 0) keep(s.initial);
  }
  for (const runtime::Loop::Sequence& s : loop.sequences) {
    keep(s.whole);
    keep(s.step);
  }
  // Values from outside the loop that its calls read.
  for (Buffer& b : program.buffers)
    if (b.first_use < loop.first && b.last_use >= loop.first)
      b.last_use = std::max(b.last_use, last);
}

/// A chain goes through its calls again and again: what goes in and out lives all along.
void keep_through(Program& program, const runtime::Chain& chain) {
  for (const int index : chain.call.buffers) {
    if (index < 0) continue;
    Buffer& b = program.buffers[static_cast<size_t>(index)];
    if (b.is_scratch) b.first_use = b.last_use = chain.first;
    b.first_use = std::min(b.first_use, chain.first);
    b.last_use = std::max(b.last_use, chain.last - 1);
  }
}

void find_lifetimes(Program& program) {
  const int calls = static_cast<int>(program.calls.size());
  std::vector<bool> seen(program.buffers.size(), false);
  const auto use = [&](int index, int at) {
    Buffer& b = program.buffers[static_cast<size_t>(index)];
    if (!seen[static_cast<size_t>(index)]) b.first_use = b.last_use = at;
    seen[static_cast<size_t>(index)] = true;
    b.last_use = std::max(b.last_use, at);
  };
  for (const auto& port : program.all_inputs()) use(port.buffer, -1);
  for (int i = 0; i < calls; ++i)
    for (int buffer : program.calls[static_cast<size_t>(i)].buffers)
      if (buffer >= 0) use(buffer, i);
  for (const auto& port : program.all_outputs()) use(port.buffer, std::max(calls - 1, 0));
  for (const runtime::Loop& loop : program.loops) keep_through(program, loop, seen);
  for (const runtime::Chain& chain : program.chains) keep_through(program, chain);
}

bool live_together(const Buffer& a, const Buffer& b) {
  return a.first_use <= b.last_use && b.first_use <= a.last_use;
}

}  // namespace

void plan_memory(Program& program) {
  find_lifetimes(program);
  std::vector<Buffer*> buffers;
  int64_t scratch = 0;
  for (Buffer& b : program.buffers) {
    if (b.is_scratch) {
      b.offset_per_sample = 0;
      b.offset_fixed = 0;
      scratch = std::max(scratch, aligned(b.bytes_per_sample, 64));
    } else {
      buffers.push_back(&b);
    }
  }
  // Largest first: small ones find the holes.
  std::stable_sort(buffers.begin(), buffers.end(), [](const Buffer* a, const Buffer* b) {
    return a->bytes_per_sample > b->bytes_per_sample;
  });
  std::vector<const Buffer*> placed;
  for (Buffer* b : buffers) {
    std::vector<const Buffer*> others;
    for (const Buffer* p : placed)
      if (live_together(*p, *b)) others.push_back(p);
    std::stable_sort(others.begin(), others.end(), [](const Buffer* x, const Buffer* y) {
      return x->offset_per_sample < y->offset_per_sample;
    });
    const int64_t size = std::max<int64_t>(aligned(b->bytes_per_sample, 8), 8);
    int64_t at = 0;
    for (const Buffer* p : others) {
      if (at + size <= p->offset_per_sample) break;
      at = std::max(at,
                    p->offset_per_sample + std::max<int64_t>(aligned(p->bytes_per_sample, 8), 8));
    }
    b->offset_per_sample = at;
    placed.push_back(b);
  }
  std::vector<int64_t> offsets;
  for (const Buffer* b : placed) offsets.push_back(b->offset_per_sample);
  std::sort(offsets.begin(), offsets.end());
  offsets.erase(std::unique(offsets.begin(), offsets.end()), offsets.end());
  program.arena_bytes_per_sample = 0;
  program.arena_bytes_fixed = scratch;
  for (Buffer* b : buffers) {
    const auto rank =
        std::lower_bound(offsets.begin(), offsets.end(), b->offset_per_sample) - offsets.begin();
    b->offset_fixed = scratch + kGap * (rank + 1);
    program.arena_bytes_per_sample =
        std::max(program.arena_bytes_per_sample,
                 b->offset_per_sample + std::max<int64_t>(aligned(b->bytes_per_sample, 8), 8));
    program.arena_bytes_fixed = std::max(program.arena_bytes_fixed, b->offset_fixed + kGap);
  }
}

}  // namespace qloom::passes
