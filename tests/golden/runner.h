// tests/golden/runner.h: checks bundles of reference results case by case. Behind `qloom-golden`
// and behind the golden tests.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bindings/golden/bundle.h"

namespace qloom::golden {

enum class Result : uint8_t { passed, failed, skipped };

/// What became of one case, or of one file form of a case.
struct Outcome {
  std::string name;  ///< "files/cnn [h5]"
  Result result = Result::passed;
  std::string text;  ///< failed: the first differing value; skipped: the reason
  [[nodiscard]] static Outcome pass(std::string name) {
    return {std::move(name), Result::passed, ""};
  }
  [[nodiscard]] static Outcome fail(std::string name, std::string text) {
    return {std::move(name), Result::failed, std::move(text)};
  }
  [[nodiscard]] static Outcome skip(std::string name, std::string reason) {
    return {std::move(name), Result::skipped, std::move(reason)};
  }
};

/// A node of a compiled model that no emitted kernel takes.
struct ReferenceUse {
  std::string case_name, node, kernel;
  double share = 0;  ///< of the model's predicted time
};

struct RunOptions {
  /// Folder that paths in a bundle may be relative to, beside the bundle's own; with a trailing
  /// slash, or "".
  std::string root = {};
  /// Preset of EvaluationOptions; "": the one that the bundle's results were made with (eager).
  std::string evaluation = {};
  bool interpreter_only = false;  ///< models and layers: leave the compiled model out
  /// Where to note the reference kernels of compiled models; null: nowhere. They are then compiled
  /// as in a build without Halide.
  std::vector<ReferenceUse>* references = nullptr;
};

/// Called after each case, for progress and for printing as they come.
using Listener = std::function<void(const Outcome&)>;

/// Kind of a bundle: "quantizers", "strings", "layers", "files", "models", "broken", "qtools", or
/// "unknown".
[[nodiscard]] std::string kind_of(const Bundle& bundle);

/// Checks every case of the bundle; its kind says how. Throws UserError when the bundle cannot be
/// read or is of a kind that is not known.
std::vector<Outcome> run_bundle(const std::string& path, const RunOptions& options,
                                const Listener& listener = {});

/// The checks of one kind each, one file each. A case that cannot be checked for want of a feature
/// is skipped with the reason; an error that a case does not expect is a failure, never thrown.
std::vector<Outcome> check_quantizers(const Bundle&, const RunOptions&, const Listener&);
std::vector<Outcome> check_strings(const Bundle&, const RunOptions&, const Listener&);
std::vector<Outcome> check_layers(const Bundle&, const RunOptions&, const Listener&);
std::vector<Outcome> check_files(const Bundle&, const RunOptions&, const Listener&);
std::vector<Outcome> check_models(const Bundle&, const RunOptions&, const Listener&);
std::vector<Outcome> check_broken(const Bundle&, const RunOptions&, const Listener&);
std::vector<Outcome> check_qtools(const Bundle&, const RunOptions&, const Listener&);

struct Counts {
  int64_t passed = 0, failed = 0, skipped = 0;
  bool operator==(const Counts&) const = default;
};
[[nodiscard]] Counts count(const std::vector<Outcome>& outcomes);

}  // namespace qloom::golden
