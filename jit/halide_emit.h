// jit/halide_emit.h: Halide pipelines → object code. The interface alone: libHalide and its headers
// are seen by the plug-in that implements it (kernels/halide/pipelines).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "graph/attributes.h"
#include "jit/target.h"

namespace qloom::jit {

/// Elements of a buffer of a pipeline and what they stand for: row-major, one sample after the
/// other, `value = (element - zero) · step`.
struct PipelineBuffer {
  enum class Element : uint8_t { u8, i16, i32, f32 };
  Element element = Element::f32;
  std::vector<int64_t> extents;  ///< of one sample, outermost first; never empty
  int zero = 0;                  ///< u8 only
  double step = 0;               ///< 0: no codes, elements are values (f32)
  bool operator==(const PipelineBuffer&) const = default;
};

/// A pipeline by its name in the plug-in's table, and what it is made for. The function that comes
/// of it is a KernelFunction; its buffers: inputs, one that is not used (where emitted kernels have
/// constants), outputs.
struct PipelineSource {
  std::string symbol;
  std::string pipeline;
  Attributes parameters;
  std::vector<PipelineBuffer> inputs, outputs;
};

/// The plug-in behind an interface.
class PipelineCompiler {
 public:
  virtual ~PipelineCompiler() = default;
  /// One relocatable object with a function for each source. Calls nothing but memcpy, memmove and
  /// memset. Throws InternalError with Halide's message. One call at a time.
  [[nodiscard]] virtual std::vector<uint8_t> compile(std::span<const PipelineSource> sources,
                                                     const Target& target) = 0;
};

/// Why there are no pipelines here ("built without Halide", a missing file); empty if there are.
/// Loads nothing.
[[nodiscard]] std::string pipelines_missing();

/// Opens libqloom_halide.so, which lies beside libqloom.so, and with it libHalide. Thread-safe; the
/// compiler lives as long as the process. Throws UserError naming the file when it does not load or
/// does not fit this version.
[[nodiscard]] PipelineCompiler& pipeline_compiler();

/// What Halide costs before the first sample runs, in milliseconds. Measured on AMD EPYC (Zen 5,
/// shared host), single timings: see kernels/halide/README.md.
struct PipelineStart {
  double open_ms;  ///< loading libHalide and the first pipeline of a process
  double each_ms;  ///< a pipeline after that
};
inline constexpr PipelineStart kPipelineStart{.open_ms = 250, .each_ms = 80};

}  // namespace qloom::jit
