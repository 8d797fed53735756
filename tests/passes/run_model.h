#pragma once

#include <string>
#include <vector>

#include "graph/tensor.h"
#include "passes/compile.h"
#include "runtime/executor.h"

namespace qloom::test {

/// Runs a compiled model, with its chains and without; fails the test where a run fails or both
/// differ in a bit.
[[nodiscard]] std::vector<Tensor> run_model(const passes::Compilation& compiled,
                                            const std::vector<Tensor>& inputs, int64_t samples,
                                            int threads = 1, int64_t tile = 0);

/// Runs it once.
[[nodiscard]] std::vector<Tensor> run_model_as(const passes::Compilation& compiled,
                                               const std::vector<Tensor>& inputs, int64_t samples,
                                               const runtime::ExecutorOptions& options);

/// Equal numbers (-0 equals 0), element by element.
void expect_equal(const Tensor& got, const Tensor& want, const std::string& what);

/// Equal, or within 4 ulp or 1e-6 where exp and the like leave room (a softmax, sigmoid or tanh).
void expect_equal_or_ulps(const Tensor& got, const Tensor& want, const std::string& what);

/// Compiles and runs on three random samples: the outputs are those of the interpreter.
void expect_agrees(const Graph& graph, const passes::CompileOptions& options);

/// Of the region or node of this name. Throws std::runtime_error where there is none.
[[nodiscard]] const passes::RegionReport& report(const passes::Compilation& c,
                                                 const std::string& name);

}  // namespace qloom::test
