// tests/golden/check_strings.cc: bundles of texts and configuration objects that name a quantizer.
//
// What QKeras refuses must be refused, and what it accepts must give the same class and arguments,
// with two exceptions, each decided from the text itself:
//   1. QKeras accepts a text and silently misreads it (misread() below): refusing is right.
//   2. QKeras refuses or misreads a text that has one clear meaning (clear_extension() below):
//      giving that meaning is right.
// Objects are read as a model file has them: as the activation of a QActivation layer.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>

#include "bindings/import/json.h"
#include "bindings/import/keras_import.h"
#include "bindings/import/read_architecture.h"
#include "graph/graph.h"
#include "graph/ops/attributes.h"
#include "graph/quantizer.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"
#include "tests/golden/runner.h"
#include "tests/golden/texts.h"
#include "tests/golden/values.h"

namespace qloom::golden {
namespace {

bool is_blank(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

/// Activation functions that a text may name: QKeras's six and Keras's.
const std::set<std::string, std::less<>> kFunctions{"hard_sigmoid",
                                                    "smooth_sigmoid",
                                                    "binary_sigmoid",
                                                    "hard_tanh",
                                                    "smooth_tanh",
                                                    "binary_tanh",
                                                    "elu",
                                                    "exponential",
                                                    "gelu",
                                                    "linear",
                                                    "mish",
                                                    "relu",
                                                    "relu6",
                                                    "selu",
                                                    "sigmoid",
                                                    "softmax",
                                                    "softplus",
                                                    "softsign",
                                                    "swish",
                                                    "tanh"};

/// Why QKeras's reading of what it accepts is not what stands there; "" where it is.
std::string misread(const Json& c) {
  if (c.at("result") == "other" ||
      (c.at("result") == "function" && !kFunctions.contains(c.at("name").get<std::string>())))
    return "names something that is no quantizer and no activation function";
  if (c.at("result") == "object") {
    const QuantizerDef* def = find_quantizer(c.at("class").get<std::string>());
    if (def == nullptr) return "names a layer";
    for (const ArgumentDef& a : def->arguments())
      if (a.default_value.is_number() && c.at("config").contains(a.name) &&
          c.at("config").at(std::string(a.name)).is_string())
        return "a text where a number is needed";
  }
  if (!c.contains("string")) return "";
  return misread_text(c.at("string").get<std::string>());
}

/// The text without blanks around "(", ")", "," and "=", and with single blanks in lists. `extends`
/// is set where QKeras refuses or misreads what a reader with real lists and quotes understands:
/// commas in lists and quotes, a list of one number or without a name, several blanks in a list,
/// blanks after a value.
std::string normal_form(const std::string& text, bool& extends) {
  std::string result;
  char quote = 0;
  extends = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      extends = extends || c == ',';
      if (c == quote) quote = 0;
      result += c;
    } else if (c == '\'' || c == '"') {
      quote = c;
      result += c;
    } else if (c == '[') {
      const size_t end = std::min(text.find(']', i), text.size() - 1);
      const bool named = !result.empty() && result.back() == '=';
      std::string list;
      for (size_t k = i + 1; k < end; ++k) {
        const bool separates = is_blank(text[k]) || text[k] == ',';
        extends = extends || text[k] == ',' || (separates && is_blank(text[k - 1]));
        if (!separates)
          list += text[k];
        else if (!list.empty() && list.back() != ' ')
          list += ' ';
      }
      extends = extends || !named || list.find(' ') == std::string::npos;
      result += '[' + list + ']';
      i = end;
    } else if (c == '(' || c == ')' || c == ',' || c == '=') {
      const bool blank = !result.empty() && is_blank(result.back());
      extends = extends || (blank && (c == ')' || c == ','));
      while (!result.empty() && is_blank(result.back())) result.pop_back();
      result += c;
      while (i + 1 < text.size() && is_blank(text[i + 1])) ++i;
    } else {
      result += c;
    }
  }
  return result;
}

/// What a configuration object, number or list means as the activation of a layer in a file.
QuantizerOrFunction read_identifier(const Json& identifier) {
  const Json model = {
      {"class_name", "Sequential"},
      {"config",
       {{"name", "m"},
        {"layers",
         {{{"class_name", "InputLayer"},
           {"config", {{"name", "i"}, {"batch_input_shape", {nullptr, 2}}, {"dtype", "float32"}}}},
          {{"class_name", "QActivation"},
           {"config", {{"name", "t"}, {"activation", identifier}}}}}}}}};
  const std::string text = model.dump();
  const Graph graph = import_keras(keras::read_architecture(keras::parse_json(text, "m"), "m"),
                                   {.evaluation = "eager"});
  const Node& node = graph.producer(graph.outputs()[0].value);
  if (node.op->name == "input") return {};
  if (node.op->name == "quantize") {
    const auto q = from_attributes<ops::Quantize>(node.attributes);
    return Quantizer(*find_quantizer(q.quantizer), q.arguments);
  }
  if (node.op->name == "softmax") return ActivationFunction{"softmax"};
  return ActivationFunction{from_attributes<ops::Activation>(node.attributes).function};
}

/// Equal as Python compares: 1 == 1.0 == True.
bool python_equal(const AttributeValue& a, const AttributeValue& b) {
  if (a.is_number() && b.is_number())
    return a.as_real() == b.as_real() || (std::isnan(a.as_real()) && std::isnan(b.as_real()));
  return a == b;
}

bool python_equal(const Attributes& a, const Attributes& b) {
  return std::ranges::equal(a.entries(), b.entries(), [](const auto& x, const auto& y) {
    return x.first == y.first && python_equal(x.second, y.second);
  });
}

std::string check_object(const Bundle& bundle, const Json& c, const Quantizer& q) {
  if (c.at("class") != q.name())
    return join_text("class ", q.name(), ", expected ", c.at("class").dump());
  const Json& config = c.at("config");
  const Attributes saved = q.config();
  if (!config.contains("error")) {
    bool same = saved.entries().size() == config.size();
    for (const auto& [key, value] : config.items()) {
      const AttributeValue* have = saved.find(key);
      same = same && have != nullptr && equals(bundle, *have, value);
    }
    if (!same) return join_text("config: ", saved, ", expected ", config.dump());
  }
  for (const auto& [key, value] : c.at("attributes").items()) {
    // Attributes that a class inherits and its constructor does not take are not arguments.
    const AttributeValue* have = q.arguments().find(key);
    if (have != nullptr && !equals(bundle, *have, value))
      return join_text(key, ": ", *have, ", expected ", value.dump());
  }
  const Json& printed = c.at("str");
  try {
    const std::string text = q.def().to_string(q.arguments());
    if (printed != text) return join_text("str: ", text, ", expected ", printed.dump());
    if (c.value("str_reads_back", false) &&
        !python_equal(std::get<Quantizer>(parse_quantizer(text)).config(), saved))
      return join_text("str: ", text, " does not read back");
  } catch (const UserError& error) {
    if (printed.is_string()) return join_text("str: ", error.what());
  }
  const auto again = std::get<Quantizer>(parse_quantizer(q.to_string()));
  if (again.name() != q.name() || !python_equal(again.arguments(), q.arguments()))
    return join_text(q.to_string(), " does not read back");
  return "";
}

/// Empty when the case passes, else why it does not.
std::string check_case(const Bundle& bundle, const Json& c) {
  const bool is_text = c.contains("string");
  const std::string text = is_text ? c.at("string").get<std::string>() : "";
  QuantizerOrFunction got;
  try {
    got = is_text ? parse_quantizer(text) : read_identifier(c.at("identifier"));
  } catch (const UserError& refusal) {
    if (c.contains("error") || !misread(c).empty()) return "";
    return join_text("refused: ", refusal.what());
  }
  std::string difference;
  if (c.contains("error")) {
    difference =
        join_text("accepted; QKeras refuses: ", c.at("error").at("message").get<std::string>());
  } else if (c.at("result") == "none") {
    difference = std::holds_alternative<std::monostate>(got) ? "" : "expected nothing";
  } else if (const auto* function = std::get_if<ActivationFunction>(&got)) {
    if (c.at("result") != "function" || c.at("name") != function->name)
      difference = join_text("function ", function->name, ", expected ", c.dump());
  } else if (const auto* quantizer = std::get_if<Quantizer>(&got)) {
    difference = c.at("result") == "object" ? check_object(bundle, c, *quantizer)
                                            : join_text("expected ", c.at("result").dump());
  } else {
    difference = join_text("nothing, expected ", c.at("result").dump());
  }
  if (difference.empty() || !is_text) return difference;
  // One clear meaning that QKeras does not see: the same as that of the plain spelling.
  bool extends = false;
  const std::string plain = normal_form(text, extends);
  return extends && parse_quantizer(plain) == got ? "" : difference;
}

}  // namespace

std::vector<Outcome> check_strings(const Bundle& bundle, const RunOptions&,
                                   const Listener& listener) {
  std::vector<Outcome> outcomes;
  for (const Json& c : bundle.cases()) {
    const std::string name = c.contains("string")       ? c.at("string").dump()
                             : c.contains("identifier") ? c.at("identifier").dump()
                                                        : "?";
    try {
      const std::string text = check_case(bundle, c);
      outcomes.push_back(text.empty() ? Outcome::pass(name) : Outcome::fail(name, text));
    } catch (const std::exception& error) {
      outcomes.push_back(Outcome::fail(name, join_text("unexpected error: ", error.what())));
    }
    if (listener) listener(outcomes.back());
  }
  return outcomes;
}

}  // namespace qloom::golden
