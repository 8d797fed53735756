// passes/analysis/qtools/energy.h: what a sample costs in energy, bytes and bit operations, read
// off a data-type map.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "passes/analysis/qtools/data_map.h"
#include "passes/analysis/qtools/memory.h"

namespace qloom::qtools {

/// Where tensors live; the defaults are QTools's.
struct EnergyOptions {
  const Process* process = processes().data();
  std::string weights_memory = "dram";      ///< "dram", "sram" or "fixed": wired in, no access
  std::string activations_memory = "dram";  ///< the same, for all but the model's border
  int64_t min_sram_bits = 0;                ///< 0: each tensor has an SRAM of its own size
  bool through_sram = true;                 ///< inputs and outputs: from DRAM by way of SRAM
  bool sram_per_bit = false;                ///< see MemoryAccess
};

/// The memories by name; throws UserError that lists them.
[[nodiscard]] MemoryKind find_memory(std::string_view name);

/// pJ for one sample.
struct LayerEnergy {
  size_t layer = 0;  ///< position in the model
  std::string name, class_name;
  double inputs = 0, outputs = 0, parameters = 0, operations = 0;  ///< not rounded

  [[nodiscard]] double all() const { return inputs + outputs + parameters + operations; }
  /// To two decimals, as reported.
  [[nodiscard]] std::array<double, 4> rounded() const;
  /// Sum of the rounded costs that count for the class.
  [[nodiscard]] double counted() const;
};

struct EnergyReport {
  std::vector<LayerEnergy> layers;  ///< in the model's order
  std::vector<Refusal> refusals;
  bool sram_per_bit = false;                  ///< as asked for
  [[nodiscard]] int64_t total_cost() const;   ///< everything, truncated
  [[nodiscard]] int64_t counted_sum() const;  ///< the counted costs, truncated
};
/// Source: qkeras/qtools/qenergy/qenergy.py, run_qtools.py. Throws UserError for an unknown memory
/// of weights; QTools takes an unknown memory of activations for one without cost.
[[nodiscard]] EnergyReport energy_of(const QtoolsModel& model, const DataMap& map,
                                     const EnergyOptions& options = {});

/// Numbers for a roofline.
struct Roofline {
  int64_t ace = 0;  ///< multiplications × bits of input × bits of weight
  int64_t weight_bytes = 0;
  double activation_bytes = 0;  ///< outputs of QActivation layers
  int64_t ace_float = 0, weight_bytes_float = 0;
  double activation_bytes_float = 0;
  std::vector<Refusal> refusals;
};
/// `float_bits`: of the float network it is compared with. Source: run_qtools.py,
/// get_roofline_numbers.
[[nodiscard]] Roofline roofline_of(const QtoolsModel& model, const DataMap& map,
                                   bool include_model_input = true, int64_t float_bits = 32);

}  // namespace qloom::qtools
