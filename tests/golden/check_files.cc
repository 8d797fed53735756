// tests/golden/check_files.cc: bundles of model files: each form of each model is one outcome.
#include <algorithm>
#include <array>
#include <utility>

#include "bindings/import/keras_import.h"
#include "bindings/import/read.h"
#include "graph/support/error.h"
#include "tests/golden/model_case.h"

namespace qloom::golden {
namespace {

/// True when a layer's ranges follow the input in inference calls too.
bool adapts_at_inference(const KerasModel& model) {
  return std::ranges::any_of(model.layers, [&](const KerasLayer& layer) {
    return layer.class_name == "QAdaptiveActivation" &&
           !model.view(layer)["ema_freeze_delay"].is_none();
  });
}

Outcome check_form(const Bundle& bundle, const Json& c, const std::string& form,
                   const RunOptions& options) {
  const std::string name = c.at("name").get<std::string>() + " [" + form + "]";
  // The files lie in the folder of the bundle's name.
  const auto folder = [&] {
    const std::string stem = bundle.path().substr(bundle.folder().size());
    return stem.substr(0, stem.find('.')) + "/";
  }();
  const auto path = [&](const char* key) {
    const auto file = c.at("files").at(key).get<std::string>();
    const std::string found = find_file(bundle, options, folder + file);
    qloom_check(!found.empty(), bundle.path(), ": ", folder, file, " is missing");
    return found;
  };
  const bool is_whole = form == "h5" || form == "keras";
  if (!is_whole && !c.at("files").contains("json"))
    return Outcome::skip(name, "the library wrote no architecture");
  const KerasModel model = is_whole
                               ? read_keras_model(path(form.c_str()))
                               : read_keras_model(path("json"), {.weights = path(form.c_str())});
  if (const std::string reason = unknown_layers(model); !reason.empty())
    return Outcome::skip(name, reason);
  const Call call{tensors(bundle, c.at("inputs")), tensors(bundle, c.at("outputs"))};
  const Graph graph = import_keras(model, {.evaluation = preset_of(options)});
  std::string text;
  if (adapts_at_inference(model)) {
    // The file holds the ranges after the recorded call, which was made with those of before: as
    // the first call after loading, whose integer bits nobody has computed yet.
    const Graph kept = import_keras(model, {.evaluation = preset_of(options), .keep_state = true});
    State state;
    text = compare_with_state(kept, call, 1e-6, state);
  } else {
    text = compare_call(graph, name, call, false, options);
  }
  return text.empty() ? Outcome::pass(name) : Outcome::fail(name, text);
}

}  // namespace

std::vector<Outcome> check_files(const Bundle& bundle, const RunOptions& options,
                                 const Listener& listener) {
  std::vector<Outcome> outcomes;
  for (const Json& c : bundle.cases()) {
    for (const auto& [form, file] : c.at("files").items()) {
      if (form == "json") continue;  // goes with the weights
      try {
        outcomes.push_back(check_form(bundle, c, form, options));
      } catch (const std::exception& error) {
        outcomes.push_back(Outcome::fail(c.at("name").get<std::string>() + " [" + form + "]",
                                         join_text("unexpected error: ", error.what())));
      }
      if (listener) listener(outcomes.back());
    }
  }
  return outcomes;
}

}  // namespace qloom::golden
