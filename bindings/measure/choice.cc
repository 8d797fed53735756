#include "bindings/measure/choice.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "bindings/measure/speed.h"
#include "graph/support/error.h"

namespace qloom::measure {
namespace {

/// What else matches: by kernel, the best predicted variants first of all kernels, then the second
/// best, so that few compilations see every kernel.
std::vector<Alternative> alternatives_of(const passes::RegionReport& region, int variants) {
  std::vector<Alternative> out;
  for (int v = 0; v < variants; ++v)
    for (const passes::Candidate& c : region.candidates) {
      // Only emitted kernels have variants.
      const std::vector<std::pair<std::string, double>> one{{"", c.predicted_ns}};
      const auto& all = c.variants.empty() ? one : c.variants;
      if (!c.matches || static_cast<size_t>(v) >= all.size()) continue;
      const auto& [variant, ns] = all[static_cast<size_t>(v)];
      if (c.kernel != region.kernel || variant != region.variant)
        out.push_back({c.kernel, variant, ns, 0});
    }
  return out;
}

size_t call_of(const runtime::Program& program, const std::string& node) {
  return static_cast<size_t>(std::ranges::find(program.calls, node, &runtime::Call::node) -
                             program.calls.begin());
}

}  // namespace

double NodeChoice::ratio() const {
  double fastest = pick.measured_ns;
  for (const Alternative& other : others)
    if (other.measured_ns > 0) fastest = std::min(fastest, other.measured_ns);
  return pick.measured_ns / fastest;
}

double ChoiceReport::share_chosen(double ratio) const {
  const auto good =
      std::ranges::count_if(nodes, [&](const NodeChoice& n) { return n.ratio() <= ratio; });
  return nodes.empty() ? 1 : static_cast<double>(good) / static_cast<double>(nodes.size());
}

double ChoiceReport::share_predicted(double percent) const {
  const auto good = std::ranges::count_if(
      nodes, [&](const NodeChoice& n) { return std::abs(n.prediction() - 1) <= percent / 100; });
  return nodes.empty() ? 1 : static_cast<double>(good) / static_cast<double>(nodes.size());
}

ChoiceReport measure_choices(const Graph& graph, const ChoiceOptions& options,
                             const passes::CompileOptions& wanted) {
  passes::CompileOptions compile = wanted;
  compile.batch = options.batch;
  const passes::Compilation picked = passes::compile(graph.clone(), compile);
  ChoiceReport out;
  out.model = picked.program.model;
  size_t most = 0;
  std::set<std::string> shapes;
  for (const passes::RegionReport& region : picked.regions) {
    NodeChoice node;
    node.node = region.name;
    node.op = region.op;
    node.shape = region.shape;
    const bool known = !region.shape.empty() && !shapes.insert(region.shape).second;
    node.pick = {region.kernel, region.variant, region.predicted_ns, 0};
    // A conversion has no name in the graph that an option could pin.
    if (region.op != "convert" && !(known && options.equal_shapes_once))
      node.others = alternatives_of(region, options.variants);
    most = std::max(most, node.others.size());
    out.nodes.push_back(std::move(node));
  }
  std::vector<std::shared_ptr<const runtime::Model>> models{picked.model};
  for (size_t k = 0; k < most; ++k) {
    passes::CompileOptions pins = compile;
    for (const NodeChoice& node : out.nodes)
      if (k < node.others.size()) {
        const Alternative& other = node.others[k];
        pins.pinned.emplace_back(
            node.node, other.variant.empty() ? other.kernel : other.kernel + " " + other.variant);
      }
    models.push_back(passes::compile(graph.clone(), pins).model);
  }
  const Arrays inputs = random_inputs(picked.program, options.batch);
  const auto times = measure_calls(models, inputs, options.batch, options.rounds, options.seconds);
  for (size_t i = 0; i < out.nodes.size(); ++i) {
    NodeChoice& node = out.nodes[i];
    node.pick.measured_ns = times[0][i].median;
    for (size_t k = 0; k < node.others.size(); ++k) {
      const runtime::Program& program = models[k + 1]->program();
      const size_t call = call_of(program, node.node);
      if (call < program.calls.size() && program.calls[call].kernel == node.others[k].kernel)
        node.others[k].measured_ns = times[k + 1][call].median;
    }
    std::ranges::sort(node.others, [](const Alternative& a, const Alternative& b) {
      return a.measured_ns < b.measured_ns;
    });
  }
  return out;
}

}  // namespace qloom::measure
