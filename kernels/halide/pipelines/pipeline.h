// kernels/halide/pipelines/pipeline.h: what pipelines are written with. With HalideObject the only
// files that see Halide's headers (10 to 20 s a file).
#pragma once

#include <Halide.h>

#include <functional>
#include <string_view>
#include <vector>

#include "jit/halide_emit.h"

namespace qloom::kernels {

/// Coordinates of an element in its sample, outermost first, as in the extents.
using Place = std::vector<Halide::Expr>;

/// What a pipeline is made from, and the words it is written with.
class PipelineBuild {
 public:
  PipelineBuild(const jit::PipelineSource& source, int vector_bytes);

  [[nodiscard]] const jit::PipelineSource& source() const { return source_; }
  [[nodiscard]] const Attributes& parameters() const { return source_.parameters; }
  [[nodiscard]] const jit::PipelineBuffer& input(size_t i) const { return source_.inputs.at(i); }
  [[nodiscard]] const jit::PipelineBuffer& output(size_t i = 0) const {
    return source_.outputs.at(i);
  }
  /// Where an element of the outputs lies: one variable per axis of the first output.
  [[nodiscard]] Place place() const;

  /// The stored element; its code (int32); its value (float32, as the reference kernels decode it:
  /// the float nearest to code · step).
  [[nodiscard]] Halide::Expr element(size_t input, const Place& place) const;
  [[nodiscard]] Halide::Expr code(size_t input, const Place& place) const;
  [[nodiscard]] Halide::Expr value(size_t input, const Place& place) const;

  /// Adds the next output: an element as it is stored, a code, or a value (as the reference kernels
  /// encode it). All outputs have the extents of the first.
  void store_element(Halide::Expr element);
  void store_code(const Halide::Expr& code);
  void store_value(const Halide::Expr& value);
  /// Stores all outputs part by part: for each part, elements [begin, begin + extent) of `axis` (an
  /// index of the place) get `element(place in the part)`, a
  /// code or a value. Parts do not
  /// overlap; together they are the whole axis.
  struct Part {
    int begin, extent;
    std::function<Halide::Expr(const Place&)> element;
  };
  void store_parts(size_t axis, const std::vector<Part>& parts, bool codes);
  /// Stores a code or value in all outputs.
  void store_codes(const Halide::Expr& code);
  void store_values(const Halide::Expr& value);
  /// True when element(0) and every output are stored alike: then elements can be moved as they
  /// are.
  [[nodiscard]] bool is_stored_alike() const;

  /// Elements of the narrowest stored type in a vector, at most `extent` (a power of two).
  [[nodiscard]] int lanes(int64_t extent) const;

  /// Schedules what the outputs need (a Func per output, whole samples inside); after all stores.
  [[nodiscard]] Halide::Pipeline finish();
  [[nodiscard]] std::vector<Halide::Argument> arguments() const;
  [[nodiscard]] const std::vector<Halide::ImageParam>& params() const { return params_; }

  Halide::Var sample{"sample"};
  /// A Func that is computed once per sample of the outputs, kept on the stack.
  void compute_per_sample(Halide::Func f) { per_sample_.push_back(std::move(f)); }

 private:
  [[nodiscard]] std::vector<Halide::Expr> arguments_of(const Place& place) const;
  [[nodiscard]] Halide::Expr stored_code(const Halide::Expr& code) const;
  [[nodiscard]] Halide::Expr stored_value(const Halide::Expr& value) const;
  [[nodiscard]] Halide::Func next_output() const;
  const jit::PipelineSource& source_;
  int vector_bytes_;
  std::vector<Halide::ImageParam> params_;
  std::vector<Halide::Var> axes_;  ///< outermost first
  std::vector<Halide::Func> outputs_, per_sample_;
};

/// A pipeline of the table.
struct PipelineDef {
  std::string_view name;
  void (*build)(PipelineBuild&);
};

/// All sources in one object (halide_object.cc).
[[nodiscard]] std::vector<uint8_t> halide_object(std::span<const jit::PipelineSource> sources,
                                                 const jit::Target& target);

}  // namespace qloom::kernels
