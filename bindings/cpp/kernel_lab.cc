#include "bindings/cpp/kernel_lab.h"

#include <algorithm>
#include <optional>
#include <ostream>
#include <random>

#include "bindings/cpp/network.h"
#include "bindings/measure/speed.h"
#include "bindings/report/table.h"
#include "graph/interpret.h"
#include "graph/support/error.h"
#include "kernels/kernels_table.h"

namespace qloom {
namespace {

using kernels::KernelDef;

std::vector<Tensor> random_inputs(const Graph& graph, int64_t samples, uint64_t seed, float reach) {
  std::mt19937_64 generator(seed);
  std::vector<Tensor> out;
  for (const ValueId input : graph.inputs()) {
    Extents extents = bind(graph.type(input).shape, samples);
    std::vector<float> values(static_cast<size_t>(element_count(extents)));
    for (float& v : values) v = reach * (2 * static_cast<float>(generator() >> 40) * 0x1p-24F - 1);
    out.emplace_back(std::move(extents), std::move(values));
  }
  return out;
}

const KernelDef& kernel_named(std::string_view name) {
  const KernelDef* kernel = kernels::find_kernel(name);
  std::string names;
  for (const KernelDef* k : kernels::all_kernels())
    names += (names.empty() ? "" : ", ") + std::string(k->name);
  qloom_check(kernel != nullptr, "there is no kernel '", name, "'; the kernels: ", names);
  return *kernel;
}

passes::CompileOptions pinned(passes::CompileOptions options, const std::string& region,
                              std::string_view kernel) {
  std::erase_if(options.pinned, [&](const auto& pin) { return pin.first == region; });
  options.pinned.emplace_back(region, kernel);
  return options;
}

/// A reason with # for its numbers, so that equal ones are counted together.
std::string without_numbers(std::string_view reason) {
  std::string out;
  for (const char c : reason) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit)
      out += c;
    else if (out.empty() || out.back() != '#')
      out += '#';
  }
  return out;
}

/// Compiled with a region on a kernel; none where it does not take it, with the reason.
std::optional<CompiledNetwork> compile_with(const Graph& graph,
                                            const passes::CompileOptions& options,
                                            const std::string& region, std::string_view kernel,
                                            std::string& reason) {
  try {
    CompiledNetwork network(graph.clone(), pinned(options, region, kernel));
    for (const passes::RegionReport& r : network.compilation().regions) {
      if (r.name != region) continue;
      if (r.kernel == kernel) return network;
      for (const passes::Candidate& c : r.candidates)
        if (c.kernel == kernel) reason = c.reason;
    }
    for (const std::string& note : network.compilation().notes)
      if (note.find("'" + region + "'") != std::string::npos) reason = note;
  } catch (const UserError& error) {  // nothing else takes it either, being pinned
    reason = error.what();
  }
  if (reason.empty()) reason = "the region does not exist with it";
  return std::nullopt;
}

// ---- random networks ----------------------------------------------------------------------------

using namespace qkeras;  // NOLINT(google-build-using-namespace): names of layers

class Draw {
 public:
  explicit Draw(uint64_t seed) : generator_(seed) {}
  int64_t integer(int64_t lo, int64_t hi) {
    return lo + static_cast<int64_t>(generator_() % static_cast<uint64_t>(hi - lo + 1));
  }
  const char* pick(std::initializer_list<const char*> from) {
    return from.begin()[integer(0, static_cast<int64_t>(from.size()) - 1)];
  }

 private:
  std::mt19937_64 generator_;
};

const char* weight_quantizer(Draw& draw) {
  return draw.pick({"quantized_bits(4,0,1,alpha=1)", "quantized_bits(8,0,1,alpha=1)",
                    "quantized_bits(2,0,1,alpha=1)", "quantized_bits(3,0,1,alpha='auto_po2')",
                    "quantized_bits(4,0,1,alpha='auto')", "ternary(alpha=1)", "binary(alpha=1)",
                    "binary(alpha='auto_po2')", "quantized_po2(4,1)"});
}

/// The layer under test; 2-D where there are images.
Symbol add_layer(Network& net, const Symbol& x, Draw& draw) {
  const char* q = weight_quantizer(draw);
  const int64_t units = draw.integer(1, 40);
  const bool bias = draw.integer(0, 1) == 1;
  if (x.shape().size() == 2)
    return net.add(QDense{.units = units, .use_bias = bias, .kernel_quantizer = q}, x, "layer");
  const char* padding = draw.pick({"same", "valid"});
  const int64_t kernel = draw.integer(1, 3), stride = draw.integer(1, 2);
  if (x.shape().size() == 3)
    return net.add(QConv1D{.filters = units,
                           .kernel_size = kernel,
                           .strides = stride,
                           .padding = draw.pick({"same", "valid", "causal"}),
                           .use_bias = bias,
                           .kernel_quantizer = q},
                   x, "layer");
  if (draw.integer(0, 3) == 0)
    return net.add(QDepthwiseConv2D{.kernel_size = kernel,
                                    .strides = stride,
                                    .padding = padding,
                                    .use_bias = bias,
                                    .depthwise_quantizer = q},
                   x, "layer");
  const int64_t groups = x.shape().back().extent() % 2 == 0 ? draw.integer(1, 2) : 1;
  return net.add(QConv2D{.filters = groups * draw.integer(1, 20),
                         .kernel_size = {kernel, draw.integer(1, 3)},
                         .strides = stride,
                         .padding = padding,
                         .dilation_rate = stride == 1 ? draw.integer(1, 2) : 1,
                         .groups = groups,
                         .use_bias = bias,
                         .kernel_quantizer = q},
                 x, "layer");
}

/// Input quantizer, layer, and what follows: an activation, a normalization, a residual sum.
Graph random_network(uint64_t seed) {
  Draw draw(seed);
  Network net("check" + std::to_string(seed));
  const int64_t channels = draw.integer(1, 40);
  const Extents shapes[] = {{channels}, {draw.integer(4, 12), channels}, {7, 6, channels}};
  Symbol x = net.input(shapes[draw.integer(0, 2)], "image");
  x = net.add(QActivation{draw.pick({"quantized_bits(8,1,1,alpha=1)", "quantized_relu(4,1)",
                                     "quantized_bits(2,1,1,alpha=1)", "quantized_relu(8,1)",
                                     "ternary(alpha=1)", "binary(alpha=1)",
                                     "quantized_bits(4,1,1,alpha=1)"})},
              x, "image_q");
  x = add_layer(net, x, draw);
  if (draw.integer(0, 2) == 0) x = net.add(BatchNormalization{}, x, "norm");
  if (draw.integer(0, 3) > 0)
    x = net.add(QActivation{draw.pick({"quantized_relu(4,2)", "quantized_bits(6,3,1,alpha=1)",
                                       "quantized_relu(3,1)", "binary(alpha=1)", "relu"})},
                x, "act");
  if (x.shape().size() == 4 && draw.integer(0, 2) == 0)
    x = draw.integer(0, 1) == 0 ? net.add(MaxPooling2D{.padding = "same"}, x, "pool")
                                : net.add(AveragePooling2D{.padding = "same"}, x, "pool");
  if (draw.integer(0, 3) == 0) {
    const Symbol other = net.add(QActivation{"quantized_bits(5,2,1,alpha=1)"}, x, "other");
    x = net.add(QActivation{"quantized_bits(6,3,1,alpha=1)"}, net.add(Add{}, {x, other}, "sum"),
                "sum_q");
  }
  net.output(x);
  net.initialize(seed);
  const bool pruned = draw.integer(0, 3) == 0;
  for (const std::string& layer : net.layers())
    for (const WeightInfo& w : net.weights(layer)) {
      const auto initial = net.weight(layer, w.name).f32();
      std::vector<float> values(initial.begin(), initial.end());
      if (w.name == "bias" || w.name == "beta" || w.name == "moving_mean") {
        // Zeros would hide mistakes.
        for (float& v : values) v = static_cast<float>(draw.integer(-32, 32)) / 32;
      } else if (pruned && w.name == "kernel") {
        // Seven of eight input channels are cut off.
        const auto out = static_cast<size_t>(w.shape.back());
        const auto in = static_cast<size_t>(w.shape[w.shape.size() - 2]);
        for (size_t k = 0; k < values.size(); ++k)
          if (k / out % in % 8 != 0) values[k] = 0;
      }
      net.set_weight(layer, w.name, values);
    }
  return net.graph();
}

}  // namespace

NetworkCheck check(const CompiledNetwork& network, int64_t samples, uint64_t seed, float reach) {
  const Graph& graph = network.graph();
  const std::vector<Tensor> inputs = random_inputs(graph, samples, seed, reach);
  EvaluationOptions options = graph.options();
  options.evaluation = Evaluation::canonical;
  const std::vector<RuntimeValue> expected = interpret(graph, inputs, options);
  const std::vector<Tensor> got = network.run(inputs);
  NetworkCheck out;
  for (size_t i = 0; i < got.size(); ++i) {
    const Tensor want = to_f32(expected[i]);
    const int64_t elements = got[i].size() / std::max<int64_t>(samples, 1);
    out.values += got[i].size();
    for (int64_t k = 0; k < got[i].size(); ++k) {
      const float a = got[i].f32()[static_cast<size_t>(k)];
      const float b = want.f32()[static_cast<size_t>(k)];
      if (Tensor::scalar(a).same_bits(Tensor::scalar(b))) continue;
      if (out.different++ == 0)
        out.first = join_text("output '", network.outputs()[i], "', sample ", k / elements,
                              ", element ", k % elements, ": ", a, ", the interpreter gives ", b);
    }
  }
  return out;
}

KernelCheck check_kernel(std::string_view name, const KernelCheckOptions& options) {
  const KernelDef& kernel = kernel_named(name);
  KernelCheck out;
  out.kernel = kernel.name;
  passes::CompileOptions compile;
  compile.target = options.target;
  for (int n = 0; n < options.networks; ++n) {
    const uint64_t seed = options.seed * 1000 + static_cast<uint64_t>(n);
    const Graph graph = random_network(seed);
    const CompiledNetwork base(graph.clone(), compile);
    for (const passes::RegionReport& r : base.compilation().regions) {
      const auto candidate =
          std::ranges::find(r.candidates, std::string(name), &passes::Candidate::kernel);
      if (candidate == r.candidates.end() || r.op == "convert") continue;
      ++out.regions;
      if (!candidate->matches && !kernel.experimental) {
        ++out.refusals[without_numbers(candidate->reason)];
        continue;
      }
      std::string reason;
      const auto network = compile_with(graph, compile, r.name, name, reason);
      if (!network) {
        ++out.refusals[without_numbers(reason)];
        continue;
      }
      ++out.matched;
      if (const NetworkCheck c = check(*network, 9, seed); !c.ok())
        out.failures.push_back(join_text(graph.name, ", region '", r.name, "' (",
                                         r.inputs.empty() ? "" : r.inputs[0], "): ", c.different,
                                         " of ", c.values, " values differ; ", c.first));
    }
  }
  return out;
}

std::ostream& operator<<(std::ostream& out, const KernelCheck& c) {
  out << c.kernel << ": asked " << c.regions << " times, ran " << c.matched << ", "
      << (c.failures.empty() ? std::string("equal in every bit")
                             : std::to_string(c.failures.size()) + " failures")
      << "\n";
  for (const std::string& failure : c.failures) out << "  " << failure << "\n";
  for (const auto& [reason, count] : c.refusals)
    out << "  no (" << count << "): " << reason << "\n";
  return out;
}

std::vector<KernelTime> compare_kernels(const Graph& graph, std::string_view region,
                                        const KernelTimeOptions& options) {
  const CompiledNetwork base(graph.clone(), options.compile);
  const auto& regions = base.compilation().regions;
  auto found = std::ranges::find(regions, std::string(region), &passes::RegionReport::name);
  if (found == regions.end())
    found = std::ranges::find_if(regions, [&](const passes::RegionReport& r) {
      return std::ranges::find(r.layers, std::string(region)) != r.layers.end();
    });
  std::string names;
  for (const passes::RegionReport& r : regions)
    names += (names.empty() ? "'" : ", '") + r.name + "'";
  qloom_check(found != regions.end(), "there is no region '", region, "'; the regions: ", names);

  std::vector<KernelTime> out;
  std::vector<std::shared_ptr<const runtime::Model>> models;
  std::vector<size_t> timed;  // position in `out`, beside models
  for (const passes::Candidate& c : found->candidates) {
    const KernelDef& kernel = kernel_named(c.kernel);
    const auto added = kernels::kernels_registry().added();
    KernelTime time{.kernel = c.kernel,
                    .matches = c.matches,
                    .reason = c.reason,
                    .predicted_ns = c.predicted_ns,
                    .chosen = c.kernel == found->kernel,
                    .is_registered = std::ranges::find(added, &kernel) != added.end()};
    if (c.matches || kernel.experimental) {
      const auto network = compile_with(graph, options.compile, found->name, c.kernel, time.reason);
      time.matches = network.has_value();
      if (network) {
        time.reason.clear();
        for (const passes::RegionReport& r : network->compilation().regions)
          if (r.name == found->name) time.predicted_ns = r.predicted_ns;
        models.push_back(network->model());
        timed.push_back(out.size());
      }
    }
    out.push_back(std::move(time));
  }
  if (!models.empty()) {
    const auto inputs = measure::random_inputs(base.model()->program(), options.batch);
    const auto calls =
        measure::measure_calls(models, inputs, options.batch, options.rounds, options.seconds);
    for (size_t m = 0; m < models.size(); ++m) {
      const auto& program = models[m]->program().calls;
      for (size_t k = 0; k < program.size(); ++k)
        if (program[k].node == found->name && program[k].kernel == out[timed[m]].kernel)
          out[timed[m]].measured_ns = calls[m][k].best;
    }
  }
  std::ranges::stable_sort(out, [](const KernelTime& a, const KernelTime& b) {
    if (a.matches != b.matches) return a.matches;
    return a.matches && a.measured_ns < b.measured_ns;
  });
  return out;
}

std::ostream& operator<<(std::ostream& out, std::span<const KernelTime> times) {
  report::Table table({"kernel", "predicted", "measured", ""});
  for (const KernelTime& t : times) {
    std::string marks = t.chosen ? "chosen" : "";
    if (t.is_registered) marks += marks.empty() ? "registered" : ", registered";
    table.add({t.kernel, t.matches ? report::duration(t.predicted_ns) : "-",
               t.matches ? report::duration(t.measured_ns) : "-", t.matches ? marks : t.reason});
  }
  return out << table.to_string();
}

}  // namespace qloom
