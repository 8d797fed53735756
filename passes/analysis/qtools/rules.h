// passes/analysis/qtools/rules.h: the sets of rules that a model can be mapped by.
#pragma once

#include <span>
#include <string_view>

namespace qloom::qtools {

struct RuleSet {
  std::string_view name;
  std::string_view doc;
};

/// "sound" (`sound_report`) and "qkeras" (`map_types`); the first is the default.
[[nodiscard]] std::span<const RuleSet> rule_sets();
/// Throws UserError that lists the names.
[[nodiscard]] const RuleSet& find_rules(std::string_view name);

}  // namespace qloom::qtools
