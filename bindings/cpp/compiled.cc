#include "bindings/cpp/compiled.h"

#include <ostream>

#include "bindings/golden/compare.h"
#include "bindings/report/explain.h"
#include "bindings/report/summary.h"
#include "graph/support/error.h"

namespace qloom {
namespace {

passes::CompileOptions with_code(passes::CompileOptions options) {
  options.in_memory = true;
  return options;
}

template <class Ports>
std::vector<std::string> names_of(const Ports& ports) {
  std::vector<std::string> names;
  for (const runtime::Port& port : ports) names.push_back(port.name);
  return names;
}

}  // namespace

CompiledNetwork::CompiledNetwork(Graph graph, const passes::CompileOptions& options)
    : graph_(std::make_shared<const Graph>(std::move(graph))),
      compilation_(std::make_shared<const passes::Compilation>(
          passes::compile(graph_->clone(), with_code(options)))) {}

std::vector<Tensor> CompiledNetwork::run(const std::vector<Tensor>& inputs, int threads) const {
  return golden::run_model(model(), inputs, threads);
}

Tensor CompiledNetwork::run(const Tensor& input, int threads) const {
  std::vector<Tensor> outputs = run(std::vector{input}, threads);
  qloom_check(outputs.size() == 1, "the network has ", outputs.size(),
              " outputs; run a list of tensors");
  return std::move(outputs[0]);
}

Status CompiledNetwork::run(std::span<const float> input, std::span<float> output,
                            int64_t samples) const {
  return executor().run({&input, 1}, {&output, 1}, samples);
}

runtime::Executor CompiledNetwork::executor(runtime::ExecutorOptions options) const {
  return runtime::Executor(model(), options);
}

std::string CompiledNetwork::summary() const {
  return report::to_text(report::summary_of(*graph_));
}

std::string CompiledNetwork::explain() const { return report::to_text(*compilation_); }

std::vector<std::string> CompiledNetwork::inputs() const {
  return names_of(model()->program().inputs);
}
std::vector<std::string> CompiledNetwork::outputs() const {
  return names_of(model()->program().outputs);
}

std::ostream& operator<<(std::ostream& out, const CompiledNetwork& network) {
  return out << network.model()->program().to_text();
}

}  // namespace qloom
