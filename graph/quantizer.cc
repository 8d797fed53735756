#include "graph/quantizer.h"

#include <algorithm>
#include <cmath>

#include "graph/quantizers_table.h"
#include "graph/support/error.h"

namespace qloom {
namespace {

/// Bits beyond this are no quantizer anyone means, and would not fit the integers of the codes.
constexpr int64_t kMaxBits = 62;

std::string known_names(const std::vector<ArgumentDef>& arguments) {
  std::string names;
  for (const ArgumentDef& a : arguments) names += (names.empty() ? "" : ", ") + std::string(a.name);
  return names;
}

/// Refuses values of a kind that the argument cannot have. What an argument may be follows from its
/// default; where that is None, whoever reads the argument decides.
void check_kind(const QuantizerDef& def, const ArgumentDef& argument, const AttributeValue& value) {
  const AttributeValue& usual = argument.default_value;
  const auto expect = [&](bool holds, std::string_view expected) {
    qloom_check(holds, def.name, ": ", argument.name, " must be ", expected, ", found ", value);
  };
  if (argument.name == "bits") {
    const bool integral = value.is_number() && std::rint(value.as_real()) == value.as_real();
    expect(integral && value.as_real() >= 0 && value.as_real() <= kMaxBits,
           "an integer of 0 to 62");
  } else if (argument.name == "integer") {
    const bool number = value.is_number() && std::rint(value.as_real()) == value.as_real() &&
                        std::fabs(value.as_real()) < 1024;
    expect(number || value.is_list(), "an integer");
  } else if (usual.is_number()) {
    expect(value.is_number(), "a number");
  } else if (usual.is_string()) {
    expect(value.is_string(), "a text");
  }
}

}  // namespace

Quantizer::Quantizer(const QuantizerDef& def, Attributes arguments) : def_(&def) {
  const std::vector<ArgumentDef> known = def.arguments();
  for (const auto& [name, value] : arguments.entries()) {
    const bool found =
        std::ranges::any_of(known, [&](const ArgumentDef& a) { return a.name == name; });
    if (!found)  // the list of names is longer than most quantizers take to make
      throw UserError(
          join_text(def.name, ": unknown argument '", name, "'; it has ", known_names(known)));
  }
  for (const ArgumentDef& argument : known) {
    const AttributeValue* given = arguments.find(argument.name);
    if (given != nullptr) check_kind(def, argument, *given);
    arguments_.set(argument.name, given != nullptr ? *given : argument.default_value);
  }
  if (def.construct != nullptr) def.construct(arguments_);
}

ScaleRule Quantizer::scale() const {
  return def_->scale != nullptr ? def_->scale(arguments_) : ScaleRule{};
}

Quantized Quantizer::forward(const Tensor& x, const QuantizeOptions& o) const {
  return def_->forward(arguments_, x, o);
}

bool Quantizer::is_uncertain(float x) const {
  return def_->uncertain != nullptr && def_->uncertain(arguments_, x);
}

bool Quantizer::is_monotone() const {
  return def_->monotone != nullptr && def_->monotone(arguments_);
}

void Quantizer::set_trainable_parameter() {
  if (def_->set_trainable_parameter != nullptr) def_->set_trainable_parameter(arguments_);
}

void Quantizer::set(std::string_view name, AttributeValue value) {
  if (!arguments_.has(name))
    throw UserError(join_text(def_->name, ": no argument '", name, "'; it has ",
                              known_names(def_->arguments())));
  arguments_.set(name, std::move(value));
}

std::string Quantizer::to_string() const {
  std::string text = std::string(name()) + "(";
  for (const ArgumentDef& argument : def_->arguments()) {
    const AttributeValue& value = arguments_[argument.name];
    if (value == argument.default_value && argument.name != "bits") continue;
    text += (text.back() == '(' ? "" : ", ") + std::string(argument.name) + "=" + value.to_string();
  }
  return text + ")";
}

Attributes Quantizer::config() const { return def_->config(arguments_); }

std::vector<std::string> Quantizer::notes() const {
  return def_->notes != nullptr ? def_->notes(arguments_) : std::vector<std::string>{};
}

Quantizer Quantizer::from_config(std::string_view class_name, const Attributes& config) {
  const QuantizerDef* def = find_quantizer(class_name);
  qloom_check(def != nullptr, "unknown quantizer class '", class_name, "'");
  Attributes arguments = config;
  if (def->accept_config != nullptr) def->accept_config(arguments);
  return Quantizer(*def, std::move(arguments));
}

const QuantizerDef* find_quantizer(std::string_view class_name) {
  for (const QuantizerDef* def : quantizers::all_quantizers())
    if (def->name == class_name) return def;
  return nullptr;
}

void register_quantizer(const QuantizerDef& def) {
  const auto word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  qloom_check(!def.name.empty() && std::ranges::all_of(def.name, word), "quantizer '", def.name,
              "' cannot be registered: its name must be letters, digits and _");
  const auto need = [&](bool present, std::string_view member) {
    qloom_check(present, "quantizer '", def.name, "' cannot be registered: it has no `", member,
                "`");
  };
  need(!def.doc.empty(), "doc");
  need(def.arguments != nullptr, "arguments");
  need(def.values != nullptr, "values");
  need(def.forward != nullptr, "forward");
  need(def.config != nullptr, "config");
  need(def.to_string != nullptr, "to_string");
  need(def.max != nullptr, "max");
  need(def.min != nullptr, "min");
  quantizers::quantizers_registry().add(def, "quantizer");
}

}  // namespace qloom
