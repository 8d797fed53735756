#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bindings/import/keras_import.h"
#include "passes/compile.h"
#include "runtime/executor.h"
#include "runtime/model.h"

namespace qloom {

struct LoadOptions {
  std::string weights = {};  ///< weights file that goes with an architecture JSON
  ImportOptions import = {};
  passes::CompileOptions compile = {};
  bool use_cache = true;
  std::string cache_folder = {};  ///< "": the default of jit::Cache
  /// Compile anew and time the best kernels of each distinct shape on this machine (seconds); what
  /// is found is stored beside the compiled models and used by every later compilation.
  bool tune = false;
  double tune_seconds = 3;  ///< about, without compiling
};

struct LoadedModel {
  std::shared_ptr<const runtime::Model> model;
  bool from_cache = false;           ///< no import, no passes, no compiler
  std::vector<std::string> notices;  ///< of the cache
  std::string tuned = {};            ///< with LoadOptions::tune: what it gained, in a sentence
};

/// File → runnable model. A cache hit skips import and passes and loads neither LLVM nor HDF5.
/// Throws UserError as reading, importing and compiling do.
[[nodiscard]] LoadedModel load_model(const std::string& path, const LoadOptions& options = {});

/// File → graph, for summary, compare and explain.
[[nodiscard]] Graph load_graph(const std::string& path, const std::string& weights = "",
                               const ImportOptions& options = {});

}  // namespace qloom
