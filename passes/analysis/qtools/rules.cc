#include "passes/analysis/qtools/rules.h"

#include "graph/support/error.h"

namespace qloom::qtools {
namespace {

constexpr RuleSet kRuleSets[] = {
    {.name = "sound", .doc = "types that hold every value of every run, read off the graph"},
    {.name = "qkeras", .doc = "what QTools says, to the last field, its faults included"}};

}  // namespace

std::span<const RuleSet> rule_sets() { return kRuleSets; }

const RuleSet& find_rules(std::string_view name) {
  std::string known;
  for (const RuleSet& rules : kRuleSets) {
    if (rules.name == name) return rules;
    known += (known.empty() ? "" : ", ") + std::string(rules.name);
  }
  throw UserError(join_text("there is no set of rules '", name, "': expected one of ", known));
}

}  // namespace qloom::qtools
