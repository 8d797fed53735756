#include "bindings/measure/tune.h"

#include <algorithm>
#include <map>

#include "bindings/measure/choice.h"
#include "bindings/measure/speed.h"

namespace qloom::measure {
namespace {

/// Times of all shapes; of nodes of equal shape the first was measured.
passes::KernelTimes times_of(const ChoiceReport& report) {
  passes::KernelTimes times;
  for (const NodeChoice& node : report.nodes) {
    if (node.shape.empty() || times.of(node.shape) != nullptr) continue;
    std::vector<passes::KernelTime> all{
        {node.pick.kernel, node.pick.variant, node.pick.measured_ns}};
    for (const Alternative& other : node.others)
      if (other.measured_ns > 0) all.push_back({other.kernel, other.variant, other.measured_ns});
    if (all.size() > 1) times.set(node.shape, std::move(all));
  }
  return times;
}

struct Call {
  std::string kernel, variant, shape;
  double ns = 0;
};

std::map<std::string, Call> calls_of(const passes::Compilation& c,
                                     const std::vector<CallTime>& times) {
  std::map<std::string, Call> out;
  for (const passes::RegionReport& r : c.regions) out[r.name] = {r.kernel, r.variant, r.shape, 0};
  for (size_t i = 0; i < times.size(); ++i) out[c.program.calls[i].node].ns += times[i].median;
  return out;
}

double total_of(const std::vector<CallTime>& times) {
  double ns = 0;
  for (const CallTime& t : times) ns += t.median;
  return ns;
}

/// Network as chosen by predictions, and with the times.
struct Comparison {
  std::map<std::string, Call> before, after;
  double before_ns = 0, after_ns = 0;
  [[nodiscard]] int changed() const {
    int n = 0;
    for (const auto& [node, call] : after) {
      const auto old = before.find(node);
      n += old == before.end() || old->second.kernel != call.kernel ||
                   old->second.variant != call.variant
               ? 1
               : 0;
    }
    return n;
  }
};

Comparison compare(const Graph& graph, const passes::KernelTimes& times, double seconds, int rounds,
                   passes::CompileOptions compile) {
  const passes::Compilation before = passes::compile(graph.clone(), compile);
  compile.times = std::make_shared<const passes::KernelTimes>(times);
  const passes::Compilation after = passes::compile(graph.clone(), compile);
  const std::shared_ptr<const runtime::Model> models[] = {before.model, after.model};
  const auto measured = measure_calls(models, random_inputs(before.program, compile.batch),
                                      compile.batch, rounds, seconds);
  return {calls_of(before, measured[0]), calls_of(after, measured[1]), total_of(measured[0]),
          total_of(measured[1])};
}

}  // namespace

Tuned tune(const Graph& graph, const TuneOptions& options, const passes::CompileOptions& wanted) {
  passes::CompileOptions compile = wanted;
  compile.times = nullptr;
  compile.in_memory = true;
  const double half = options.seconds / 2;
  Tuned out;
  out.times = times_of(measure_choices(graph,
                                       {.batch = compile.batch,
                                        .rounds = options.rounds,
                                        .seconds = half,
                                        .variants = options.variants,
                                        .equal_shapes_once = true},
                                       compile));
  out.timed = out.times.size();
  Comparison c = compare(graph, out.times, half / 2, options.rounds, compile);
  // A node may gain less than another loses by its storage, and times scatter: the second look
  // decides.
  const auto drop = [&](const std::string& shape) {
    out.times.erase(shape);
    out.dropped.push_back(shape);
  };
  for (const auto& [node, call] : c.after) {
    const auto old = c.before.find(node);
    if (old == c.before.end() || call.shape.empty() || call.ns < old->second.ns ||
        (old->second.kernel == call.kernel && old->second.variant == call.variant))
      continue;
    drop(call.shape);
  }
  if (!out.dropped.empty()) c = compare(graph, out.times, half / 2, options.rounds, compile);
  if (c.changed() > 0 && c.after_ns >= c.before_ns) {
    for (const auto& [node, call] : c.after)
      if (!call.shape.empty()) drop(call.shape);
    c.after = c.before;
    c.after_ns = c.before_ns;
  }
  out.changed = c.changed();
  out.before_ns = c.before_ns;
  out.after_ns = c.after_ns;
  return out;
}

}  // namespace qloom::measure
