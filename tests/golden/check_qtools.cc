// tests/golden/check_qtools.cc: results of QTools, kind by kind.
#include "tests/golden/check_qtools.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "graph/support/error.h"

namespace qloom::golden {
namespace {

double number_of(const Json& value) {
  return value.is_boolean() ? (value.get<bool>() ? 1 : 0) : value.get<double>();
}

bool is_number(const Json& value) { return value.is_number() || value.is_boolean(); }

/// Models that are stored as files lie in another folder, which not everybody has.
std::string reason_to_skip(const Bundle& bundle, const Json& c, const RunOptions& options) {
  if (!c.contains("files")) return "";
  return model_files(bundle, c, options).empty() ? "its model's files lie elsewhere" : "";
}

std::string check_case(const Bundle& bundle, const Json& c, const RunOptions& options) {
  const auto kind = c.at("kind").get<std::string>();
  if (kind == "model") return check_qtools_model(bundle, c, options);
  if (kind == "parallelism") return check_qtools_parallelism(bundle, c, options);
  qloom_check(kind == "operator", "kind ", kind, " is not known");
  return check_qtools_operator(c);
}

}  // namespace

std::string difference(const Json& got, const Json& expected, const std::string& path) {
  const auto differs = [&] {
    return join_text(path.empty() ? "it" : path, " is ", got.dump(), ", expected ",
                     expected.dump());
  };
  if (is_number(got) && is_number(expected)) {
    const double a = number_of(got), b = number_of(expected);
    const double tolerance = 1e-12 * std::max(std::fabs(a), std::fabs(b));
    return a == b || std::fabs(a - b) <= tolerance ? "" : differs();
  }
  if (got.is_object() && expected.is_object()) {
    for (const auto& [key, value] : expected.items()) {
      if (!got.contains(key)) return join_text(path, ".", key, " is missing");
      if (std::string text = difference(got[key], value, path + "." + key); !text.empty())
        return text;
    }
    for (const auto& [key, value] : got.items())
      if (!expected.contains(key)) return join_text(path, ".", key, " is not expected");
    return "";
  }
  if (got.is_array() && expected.is_array() && got.size() == expected.size()) {
    for (size_t i = 0; i < got.size(); ++i)
      if (std::string text = difference(got[i], expected[i], join_text(path, "[", i, "]"));
          !text.empty())
        return text;
    return "";
  }
  return got == expected ? "" : differs();
}

const qtools::Process& process_of(std::string_view state) {
  return qtools::find_process(state == "start" ? "start" : "horowitz");
}

std::string check_refusal(const std::vector<qtools::Refusal>& refusals, const Json& error) {
  const auto type = error.at("type").get<std::string>();
  if (std::ranges::find(refusals, type, &qtools::Refusal::exception) != refusals.end()) return "";
  std::string text = join_text("QTools raises ", type, " (", error.at("message").get<std::string>(),
                               "); ours refuses ");
  if (refusals.empty()) return text + "nothing";
  for (const qtools::Refusal& r : refusals) text += r.exception + " (" + r.why + ") ";
  return text;
}

std::vector<Outcome> check_qtools(const Bundle& bundle, const RunOptions& options,
                                  const Listener& listener) {
  std::map<std::string, const Json*> models;
  std::vector<Outcome> outcomes;
  for (const Json& c : bundle.cases()) {
    const auto name = c.at("name").get<std::string>();
    const bool is_qstats = c.at("kind") == "qstats";
    if (c.at("kind") == "model") models[name] = &c;
    const Json& model = is_qstats ? *models.at(c.at("model").get<std::string>()) : c;
    std::vector<Outcome> found;
    try {
      const std::string reason = reason_to_skip(bundle, model, options);
      if (!reason.empty())
        found.push_back(Outcome::skip(name, reason));
      else if (is_qstats)
        found = check_qtools_qstats(bundle, c, model, options);
      else if (const std::string text = check_case(bundle, c, options); !text.empty())
        found.push_back(Outcome::fail(name, text));
      else
        found.push_back(Outcome::pass(name));
    } catch (const std::exception& error) {
      found = {Outcome::fail(name, join_text("unexpected error: ", error.what()))};
    }
    for (const Outcome& outcome : found) {
      outcomes.push_back(outcome);
      if (listener) listener(outcome);
    }
  }
  return outcomes;
}

}  // namespace qloom::golden
