// tests/golden/model_case.h: what the checks of layers, files and models share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bindings/golden/bundle.h"
#include "bindings/import/keras_description.h"
#include "graph/graph.h"
#include "graph/interpret.h"
#include "passes/compile.h"
#include "runtime/executor.h"
#include "tests/golden/runner.h"

namespace qloom::golden {

/// Layers that no importer reads yet, as "layers: LSTM, QGRU"; "" when all are known. Throws
/// UserError when a layer that must be known is among them.
[[nodiscard]] std::string unknown_layers(const KerasModel& model);

/// The preset to evaluate with: the one asked for, else eager, with which references are made.
[[nodiscard]] std::string preset_of(const RunOptions& options);

/// Expected outputs of one call.
struct Call {
  std::vector<Tensor> inputs;
  std::vector<Tensor> outputs;
};

/// The graph compiled as the options say; reference kernels are noted under the case's name.
[[nodiscard]] passes::Compilation compiled_case(const Graph& graph, const std::string& case_name,
                                                const RunOptions& options);

/// Compares every output of the call, in the interpreter (qkeras evaluation) and, unless the
/// options leave it out, in the compiled model. `exact`: equal bits; else within 4 ulp or 1e-6 of
/// the largest magnitude (1 at least). Empty, or the first difference.
[[nodiscard]] std::string compare_call(const Graph& graph, const std::string& case_name,
                                       const Call& call, bool exact, const RunOptions& options);

/// The same in the interpreter alone, with state: `state` is changed as the call does. `relative`:
/// of the largest magnitude (1 at least); 0: equal bits.
[[nodiscard]] std::string compare_with_state(const Graph& graph, const Call& call, double relative,
                                             State& state);

/// The same with the compiled model, whose executor keeps the state.
[[nodiscard]] std::string compare_with_executor(const Graph& graph, const Call& call,
                                                double relative, runtime::Executor& executor,
                                                const runtime::Program& program);

/// The file beside the bundle or under the root; "" when it is in neither.
[[nodiscard]] std::string find_file(const Bundle& bundle, const RunOptions& options,
                                    const std::string& file);

/// All tensors of a list, as float32.
[[nodiscard]] std::vector<Tensor> tensors(const Bundle& bundle, const Json& list);

}  // namespace qloom::golden
