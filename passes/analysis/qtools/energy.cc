#include "passes/analysis/qtools/energy.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "graph/support/error.h"
#include "passes/analysis/qtools/layer_classes.h"

namespace qloom::qtools {
namespace {

struct NamedMemory {
  std::string_view name;
  MemoryKind kind;
};
constexpr NamedMemory kMemories[] = {
    {"dram", MemoryKind::dram}, {"sram", MemoryKind::sram}, {"fixed", MemoryKind::none}};

constexpr std::string_view kPlainAverages[] = {"AveragePooling2D", "AvgPool2D", "GlobalAvgPool2D",
                                               "GlobalAveragePooling2D"};
constexpr std::string_view kPricedMerges[] = {"Add", "Multiply", "Subtract"};

bool is_one_of(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

/// As printf's %.2f does it.
double to_cents(double value) {
  std::array<char, 400> text{};
  std::snprintf(text.data(), text.size(), "%.2f", value);
  return std::strtod(text.data(), nullptr);
}

/// As int() does; what 64 bits do not hold becomes their largest number.
int64_t truncated(double value) {
  constexpr double kLimit = 9.2e18;
  return std::fabs(value) < kLimit ? static_cast<int64_t>(value)
                                   : std::numeric_limits<int64_t>::max();
}

class LayerCosts {
 public:
  /// `before`: of the layer whose output is read first; null where there is none.
  LayerCosts(const EnergyOptions& options, const ModelLayer& layer, const LayerTypes& types,
             const LayerTypes* before, const Context& context)
      : options_(options), layer_(layer), types_(types), before_(before), context_(context) {}

  LayerEnergy run() {
    LayerEnergy out{.layer = types_.layer, .name = layer_.name, .class_name = layer_.class_name};
    // Shapes in the order of the arguments, types in that of the edges, matched by position.
    const size_t pairs = std::min(layer_.input_shapes.size(), types_.inputs.size());
    for (size_t k = 0; k < pairs; ++k)
      out.inputs += activations(elements_per_sample(layer_.input_shapes[k]), types_.inputs[k].bits,
                                types_.is_first);
    out.outputs = activations(types_.output_shape.elements(), types_.output.bits, types_.is_last);
    out.parameters = parameters();
    out.operations = operations();
    return out;
  }

 private:
  double access(MemoryAccess how, int64_t elements, int64_t bits) const {
    how.through_sram = options_.through_sram;
    how.sram_per_bit = options_.sram_per_bit;
    how.min_sram_bits = options_.min_sram_bits;
    const double energy = memory_energy(*options_.process, how, elements, bits);
    if (std::isfinite(energy)) return energy;
    context_.refuse("ValueError", "a tensor without bits has no SRAM; taken as free");
    return 0;
  }

  /// Of the convolution that this batch normalisation is merged with; else null.
  const Part* merged(std::string_view key) const {
    const bool is_merged = before_ != nullptr && types_.find("gamma_quantizer") == nullptr &&
                           before_->find("bn_inverse_quantizer") != nullptr;
    return is_merged ? before_->find(key) : nullptr;
  }

  double activations(int64_t elements, int64_t bits, bool at_border) const {
    MemoryKind memory = MemoryKind::none;
    for (const NamedMemory& m : kMemories)
      if (m.name == options_.activations_memory) memory = m.kind;
    return access({.memory = memory, .at_model_border = at_border}, elements, bits);
  }

  double weights(int64_t elements, const QtoolsType& type) const {
    return access({.memory = find_memory(options_.weights_memory)}, elements, type.bits);
  }

  double parameters() const {
    double energy = 0;
    if (is_batch_norm(layer_.class_name)) {
      const int64_t channels = layer_.weights.empty() ? 0 : layer_.weights[0].shape.at(0);
      if (types_.find("gamma_quantizer") == nullptr) {
        context_.refuse("KeyError",
                        "QTools wants the parameters of a batch normalisation that is merged with "
                        "the layer before it; taken as an inverse, and a bias as wide as the sum, "
                        "with a product and a sum for each element");
        const Part* inverse = merged("bn_inverse_quantizer");
        return inverse == nullptr ? 0
                                  : weights(channels, inverse->type) +
                                        weights(channels, merged("fused_accumulator")->type);
      }
      for (const char* key :
           {"gamma_quantizer", "beta_quantizer", "mean_quantizer", "variance_quantizer"})
        energy += weights(channels, types_.find(key)->type);
    } else if (is_multiply_accumulate(layer_.class_name)) {
      const Part& weight = *types_.find("weight_quantizer");
      energy += weights(element_count(*weight.shape), weight.type);
      if (const Part* bias = types_.find("bias_quantizer"))
        energy += weights(bias->shape->at(0), bias->type);
    }
    return energy;
  }

  /// Energy of one operation. QTools has no price for floats of odd widths, which it makes of a
  /// float and a wider or narrower fixed point number; nor for float results of gates, which are
  /// priced as what they are made of, fixed point.
  double once(const QtoolsType& result, Implementation implementation, double bits) const {
    if (const auto energy = operation_energy(*options_.process, result, implementation, bits))
      return *energy;
    const bool is_float =
        implementation == Implementation::add || implementation == Implementation::mul;
    const QtoolsType type =
        is_float ? QtoolsType::floating(result.bits > 32 ? 32 : 16) : int8_type();
    context_.refuse("KeyError", join_text("QTools has no price for ", to_string(implementation),
                                          " with a ", result.bits, "-bit float result; taken as ",
                                          is_float ? type.to_string() : "fixed point"));
    return *operation_energy(*options_.process, type, implementation, bits);
  }

  double once(const Operation& operation) const {
    return operation.gates->factor *
           once(operation.out, operation.implementation, operation.gates->bits);
  }

  double operations() const {
    const auto count = static_cast<double>(types_.operation_count);
    const std::string_view name = layer_.class_name;
    if (const Part* inverse = is_batch_norm(name) ? merged("bn_inverse_quantizer") : nullptr) {
      const QtoolsType& sum = merged("fused_accumulator")->type;
      return count * (once(multiply(inverse->type, merged("accumulator")->type)) +
                      once(sum, Implementation::add, static_cast<double>(sum.bits)));
    }
    if (is_batch_norm(name)) {
      double energy = 0;  // the addition of beta is not priced
      for (const char* key : {"internal_divide_quantizer", "internal_multiplier"})
        if (const Operation* operation = types_.operation(key)) energy += once(*operation);
      return energy * count;
    }
    if (is_one_of(kPricedMerges, name)) {
      const Operation& merge = *types_.merge_operation();
      // Each factor in QTools's order: the product is rounded at every step.
      return static_cast<double>(types_.inputs.size() - 1) * count * merge.gates->factor *
             once(merge.out, merge.implementation, merge.gates->bits);
    }
    if (is_one_of(kPlainAverages, name)) {
      context_.refuse("AttributeError",
                      "QTools looks for the accumulator of an average pooling under another name; "
                      "taken as one addition for each counted element");
      const QtoolsType& sum = types_.find("pool_sum_accumulator")->type;
      return count * once(sum, Implementation::add, static_cast<double>(sum.bits));
    }
    // Transposed and folded layers, pooling, and what is unknown are free in QTools.
    if (!is_multiply_accumulate(name) || contains(name, "Transpose")) return 0;
    const QtoolsType& sum = types_.find("accumulator")->type;
    return count * (once(*types_.operation("multiplier")) +
                    once(sum, Implementation::add, static_cast<double>(sum.bits)));
  }

  const EnergyOptions& options_;
  const ModelLayer& layer_;
  const LayerTypes& types_;
  const LayerTypes* before_;
  Context context_;
};

/// Bytes of `elements` numbers, cut as int(elements * bits / 8.0).
int64_t bytes_of(int64_t elements, int64_t bits) {
  return truncated(static_cast<double>(checked_product({elements, bits})) / 8.0);
}

}  // namespace

MemoryKind find_memory(std::string_view name) {
  std::string known;
  for (const NamedMemory& m : kMemories) {
    if (m.name == name) return m.kind;
    known += (known.empty() ? "" : ", ") + std::string(m.name);
  }
  throw UserError(join_text("there is no memory '", name, "': expected one of ", known));
}

std::array<double, 4> LayerEnergy::rounded() const {
  return {to_cents(inputs), to_cents(outputs), to_cents(parameters), to_cents(operations)};
}

double LayerEnergy::counted() const {
  const CountedCosts costs = counted_costs(class_name);
  const std::array<double, 4> v = rounded();
  double sum = 0;
  if (costs.inputs) sum += v[0];
  if (costs.outputs) sum += v[1];
  if (costs.parameters) sum += v[2];
  if (costs.operations) sum += v[3];
  return sum;
}

int64_t EnergyReport::total_cost() const {
  double sum = 0;
  for (const LayerEnergy& l : layers) sum += l.all();
  return truncated(sum);
}

int64_t EnergyReport::counted_sum() const {
  double sum = 0;
  for (const LayerEnergy& l : layers) sum += l.counted();
  return truncated(sum);
}

EnergyReport energy_of(const QtoolsModel& model, const DataMap& map, const EnergyOptions& options) {
  (void)find_memory(options.weights_memory);  // an unknown one is an error in a model of any kind
  EnergyReport report{.layers = {}, .refusals = {}, .sram_per_bit = options.sram_per_bit};
  for (const ModelLayer& layer : model.layers)
    if (const LayerTypes* types = map.find(layer.name)) {
      const LayerTypes* before =
          layer.inputs.empty() ? nullptr : map.find(model.layers[layer.inputs[0]].name);
      report.layers.push_back(
          LayerCosts(options, layer, *types, before, {report.refusals, layer.name}).run());
    }
  return report;
}

Roofline roofline_of(const QtoolsModel& model, const DataMap& map, bool include_model_input,
                     int64_t float_bits) {
  Roofline out;
  for (const LayerTypes& l : map.layers) {
    const ModelLayer& layer = model.layers[l.layer];
    if (l.class_name == "QActivation") {
      const int64_t elements = l.output_shape.elements();
      out.activation_bytes += static_cast<double>(bytes_of(elements, l.output.exported_bits()));
      out.activation_bytes_float += static_cast<double>(bytes_of(elements, float_bits));
    }
    const Part* weight = l.find("weight_quantizer");
    if (weight == nullptr) continue;
    out.ace += checked_product(
        {l.operation_count, l.inputs.at(0).exported_bits(), weight->type.exported_bits()});
    out.ace_float += checked_product({l.operation_count, float_bits, float_bits});
    const int64_t elements = element_count(*weight->shape);
    out.weight_bytes += bytes_of(elements, weight->type.exported_bits());
    out.weight_bytes_float += bytes_of(elements, float_bits);
    const Part* bias = l.find("bias_quantizer");
    if (bias != nullptr && layer.use_bias && layer.weights.size() > 1) {
      // Its real length, other than in the map.
      const int64_t length = element_count(layer.weights[1].shape);
      out.weight_bytes += bytes_of(length, bias->type.exported_bits());
      out.weight_bytes_float += bytes_of(length, float_bits);
    }
  }
  if (!include_model_input) return out;
  if (model.inputs.size() > 1)
    out.refusals.push_back(
        {"", "TypeError", "QTools takes the size of one model input; the sum is taken"});
  for (size_t k = 0; k < model.inputs.size(); ++k) {
    const auto elements =
        static_cast<double>(elements_per_sample(model.layers[model.inputs[k]].output_shape));
    out.activation_bytes += elements * static_cast<double>(map.sources[k].bits) / 8.0;
    out.activation_bytes_float += elements * static_cast<double>(float_bits) / 8.0;
  }
  return out;
}

}  // namespace qloom::qtools
