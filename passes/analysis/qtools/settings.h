// passes/analysis/qtools/settings.h: the technology that energies are counted in, and the types
// that stand where nothing is said. In QTools these are global and change with the first QTools
// object; here they are values, and the two states have names.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "passes/analysis/qtools/type.h"

namespace qloom::qtools {

/// A polynomial, highest power first, clamped at zero from below.
struct Polynomial {
  std::array<double, 4> coefficients{};
  size_t terms = 0;
  [[nodiscard]] double operator()(double x) const;
};

/// Energies in pJ. Fixed point operations by width, float ones constant, memory: SRAM by log2 of
/// the memory's bits, DRAM by bits.
/// Source: qkeras/qtools/config_public.py, settings.py; M. Horowitz, "Computing's energy problem",
/// ISSCC 2014, 45 nm.
struct Process {
  std::string_view name;
  std::string_view doc;
  Polynomial fixed_add, fixed_mul, fp16_add, fp16_mul, fp32_add, fp32_mul, sram, dram;
  /// What a layer without a quantizer gets.
  QtoolsType (*intermediate_type)() = nullptr;
};

/// The processes that there are. "horowitz": as every QTools object leaves the settings; "start":
/// as they are before the first one, which is what QTools's functions see when called alone.
[[nodiscard]] std::span<const Process> processes();
/// Throws UserError that lists the names.
[[nodiscard]] const Process& find_process(std::string_view name);

/// Which costs of a layer count in a sum.
struct CountedCosts {
  bool inputs = true, outputs = false, parameters = true, operations = true;
};
/// By class name, literally: an activation is merged with the layer before it, so that a tensor is
/// written once. Source: config_public.py, include_energy.
[[nodiscard]] CountedCosts counted_costs(std::string_view layer_class);

}  // namespace qloom::qtools
