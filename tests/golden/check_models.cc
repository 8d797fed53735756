// tests/golden/check_models.cc: bundles of whole models with the outputs of every layer: each form
// of the model's files is one outcome.
#include "bindings/golden/compare.h"
#include "bindings/import/keras_import.h"
#include "bindings/import/read.h"
#include "graph/support/error.h"
#include "tests/golden/made_weights.h"
#include "tests/golden/model_case.h"
#include "tests/golden/values.h"

namespace qloom::golden {
namespace {

/// One way to read the model: one file, or an architecture with its weights.
struct Form {
  std::string name;
  std::string file;
  std::string weights;
};

bool ends(const std::string& text, std::string_view end) { return text.ends_with(end); }

std::vector<Form> forms_of(const Json& c) {
  std::string weights, whole;
  const auto files = c.at("files").get<std::vector<std::string>>();
  for (const std::string& file : files) {
    if (ends(file, "_weights.h5")) weights = file;
    if (ends(file, ".keras")) whole = file;
  }
  std::vector<Form> forms;
  for (const std::string& file : files) {
    if (ends(file, "_weights.h5")) continue;
    const std::string name = file.substr(file.rfind('/') + 1);
    if (ends(file, ".weights.h5"))  // with the architecture of the archive beside it
      forms.push_back({name, whole, file});
    else
      forms.push_back({name, file, ends(file, ".json") ? weights : ""});
  }
  return forms;
}

std::string describe(const Comparison& result) {
  for (const auto& [who, list] :
       {std::pair{"interpreter", &result.interpreter}, std::pair{"compiled", &result.compiled}})
    for (const OutputComparison& o : *list)
      if (!o.within) {
        std::string text =
            join_text(who, ": output '", o.name, "': ", o.equal_values, " of ", o.values,
                      " equal, up to ", o.max_ulp, " ulp and ", o.max_abs,
                      o.argmax_equal ? "" : ", another largest element", "; ", o.certificate);
        if (result.first_difference)
          text += join_text("; first layer that differs: ", result.first_difference->layer, " at ",
                            result.first_difference->index, ": got ", result.first_difference->got,
                            ", expected ", result.first_difference->expected);
        return text;
      }
  return "";
}

Outcome check_form(const Bundle& bundle, const Json& c, const Form& form,
                   const RunOptions& options) {
  const std::string name = c.at("name").get<std::string>() + " [" + form.name + "]";
  if (ends(form.file, ".onnx")) return Outcome::skip(name, "form: onnx");
  std::string paths[2];
  for (size_t i = 0; i < 2; ++i) {
    const std::string& file = i == 0 ? form.file : form.weights;
    if (file.empty()) continue;
    paths[i] = find_file(bundle, options, file);
    if (!paths[i].empty()) continue;
    if (i == 1 && !c.value("weights_stored", true)) continue;  // too large: made here
    return Outcome::fail(name, join_text(file, " lies neither beside the bundle nor under --root"));
  }
  const bool made = paths[1].empty() && !form.weights.empty();
  KerasModel model = read_keras_model(paths[0], {.weights = paths[1], .weights_optional = made});
  if (made)  // "NAME_weights.h5" from "NAME_norm.npz"
    make_weights(model, bundle.folder() + form.weights.substr(0, form.weights.rfind("weights")) +
                            "norm.npz");
  if (const std::string reason = unknown_layers(model); !reason.empty())
    return Outcome::skip(name, reason);
  const Graph graph =
      import_keras(model, {.evaluation = preset_of(options), .split_softmax = true});
  if (options.references != nullptr) {
    static_cast<void>(compiled_case(graph, name, options));
    return Outcome::pass(name);
  }
  const Expected expected = expected_of(bundle, c);
  const Comparison result = compare(graph, expected, 1, !options.interpreter_only);
  return result.within_contract ? Outcome::pass(name) : Outcome::fail(name, describe(result));
}

}  // namespace

std::vector<Outcome> check_models(const Bundle& bundle, const RunOptions& options,
                                  const Listener& listener) {
  std::vector<Outcome> outcomes;
  for (const Json& c : bundle.cases()) {
    for (const Form& form : forms_of(c)) {
      try {
        outcomes.push_back(check_form(bundle, c, form, options));
      } catch (const std::exception& error) {
        outcomes.push_back(Outcome::fail(c.at("name").get<std::string>() + " [" + form.name + "]",
                                         join_text("unexpected error: ", error.what())));
      }
      if (listener) listener(outcomes.back());
    }
  }
  return outcomes;
}

}  // namespace qloom::golden
