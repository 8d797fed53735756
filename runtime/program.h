#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "graph/attributes.h"
#include "graph/tensor_type.h"
#include "kernels/kernel.h"
#include "kernels/storage.h"

namespace qloom::runtime {

/// The second IR, nearly trivial: a flat list of one instruction, *call this kernel on these
/// buffers*, plus a memory plan.

/// Memory for one value in one storage, for a tile of samples: bytes_per_sample × tile, with
/// kernels::kSlackBytes before and after.
struct Buffer {
  std::string name;
  int64_t bytes_per_sample = 0;
  /// Filled in by plan_memory: position in the arena is offset_per_sample × tile + offset_fixed.
  int64_t offset_per_sample = 0, offset_fixed = 0;
  int first_use = 0, last_use = 0;  ///< calls, inclusive; -1: model input
  bool is_scratch = false;          ///< not per sample: bytes_per_sample is its whole size
  /// How often it is written, each time another part of it (a concatenation's operands); it may be
  /// read when all are there.
  int writers = 1;
};

/// A model input or output: what the caller hands over, always float32 values, row-major. The batch
/// axis may be any of `shape`; in the buffer it is the first.
struct Port {
  std::string name;
  Shape shape;
  int buffer = -1;  ///< f32 storage
  TensorType type;
  bool check_finite = false;  ///< inputs: feeds a quantizer, so NaN and infinity are refused
};

/// What a run leaves for the next, in each sample: read at `before` as the last run wrote it at
/// `after`.
struct Kept {
  Port before, after;
  std::vector<float> initial;  ///< of every sample, for the first run
};

struct Call {
  std::string node;  ///< name of the region or node, for profiles and messages
  std::vector<std::string> layers;
  std::string kernel;        ///< KernelDef name
  std::string symbol;        ///< emitted function; "" for a reference call
  int reference = -1;        ///< index into Program::references, or -1
  std::vector<int> buffers;  ///< in the kernel's buffer order; -1 stands for the call's constants
  int64_t constants_offset = 0, constants_bytes = 0;  ///< in Program::constants, 64-byte aligned
  double predicted_ns = 0;                            ///< per sample, of all steps of its loop
  int64_t macs = 0;                                   ///< per sample, of all steps
  int64_t work_items = 1;      ///< that a sample may be cut into (KernelDef::work_items)
  bool reads_exactly = false;  ///< nothing around its first buffer (KernelDef::reads_exactly)
};

/// Calls [first, last) that are made once for each of `steps` time steps, on all samples of a tile
/// at a time.
struct Loop {
  /// A value that goes from step to step: `before` is read, `after` is written.
  struct State {
    int before = -1, after = -1;
    /// What it begins with: a buffer, or -1: one sample in Program::constants, for all samples.
    int initial = -1;
    int64_t constants_offset = 0;
    /// `before` and `after` change places behind each step; else `after` is copied. See final_of.
    bool exchange = true;
  };
  /// Steps of one value side by side in each sample, and one of them for all samples.
  struct Sequence {
    int whole = -1, step = -1;
    bool collected = false;  ///< written behind each step, in order of execution; else read before
    bool reverse = false;    ///< read from the last to the first
    /// The calls read the step within the whole (TailOperand::pitch); `step` names it only.
    bool view = false;
  };
  int first = 0, last = 0;
  int64_t steps = 1;
  std::vector<State> states;
  std::vector<Sequence> sequences;
  /// The buffer that a state lies in behind the loop.
  [[nodiscard]] int final_of(const State& state) const {
    return state.exchange && steps % 2 == 1 ? state.after : state.before;
  }
};

/// One emitted function that does the work of calls [first, last), loops among them included: tile
/// by tile of samples, with what only they read and write in its scratch. Both forms are at hand:
/// an executor makes the calls themselves where each is timed, or where threads share it.
struct Chain {
  int first = 0, last = 0;
  int64_t tile = 1;  ///< samples
  /// Buffers as of an emitted kernel: what it reads, its constants, what it writes, scratch.
  Call call;
};

struct Program {
  std::string model;
  std::vector<Port> inputs, outputs;  ///< of the caller
  std::vector<Kept> kept;             ///< by name
  std::vector<Buffer> buffers;
  std::vector<Call> calls;
  std::vector<Loop> loops;    ///< in order, apart from each other
  std::vector<Chain> chains;  ///< in order, apart from each other; no loop lies across an end
  std::vector<kernels::ReferenceSpec> references;
  std::vector<uint8_t> constants;
  int64_t arena_bytes_per_sample = 0, arena_bytes_fixed = 0;
  bool whole_batch = false;               ///< some node depends on the whole batch: never split
  std::vector<std::string> certificates;  ///< one text per output
  std::vector<std::string> notes;

  [[nodiscard]] std::vector<Port> all_inputs() const;   ///< the caller's, then what is kept
  [[nodiscard]] std::vector<Port> all_outputs() const;  ///< likewise
  /// Throws InternalError naming call and rule: indices in range, buffers written as often as
  /// they say and before they are read, buffers of reference calls as large as their types say,
  /// constants in range and at multiples of 64, buffers of loops as large as their steps, buffers
  /// within the arena at 64-byte multiples (offset_fixed % 64 == 0, offset_per_sample % 8 == 0:
  /// arenas are made for a multiple of 8 samples), and kSlackBytes between buffers that are live
  /// together. Slack at both ends of the arena is the executor's.
  void verify() const;
  /// Readable listing.
  [[nodiscard]] std::string to_text() const;
};

/// Samples, in eights, at most `most`, that half of a cache of `cache_bytes` holds; the other half
/// is for what else the program needs.
[[nodiscard]] int64_t samples_that_fit(const Program& program, int64_t cache_bytes, int64_t most);
/// Samples of a tile: of those that fit 256, or as many as the program's chains take at once.
[[nodiscard]] int64_t samples_per_tile(const Program& program, int64_t cache_bytes);

/// Version of the byte form below; raised whenever a field changes. Part of every cache key.
inline constexpr uint32_t kProgramVersion = 6;
/// Byte form for the cache. deserialize throws InternalError on anything it does not expect (the
/// cache has checked a checksum, so it never should).
[[nodiscard]] std::vector<uint8_t> serialize(const Program&);
[[nodiscard]] Program deserialize(std::span<const uint8_t>);

}  // namespace qloom::runtime
