#include "bindings/cli/command.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "bindings/cli/support/progress.h"
#include "bindings/cpp/load.h"

namespace qloom::cli {

Graph ModelArguments::load(bool split_softmax) const {
  std::vector<std::string> notes;
  Graph graph = [&] {
    const Progress progress("reading " + path);
    return load_graph(path, weights,
                      {.evaluation = evaluation, .split_softmax = split_softmax, .notes = &notes});
  }();
  for (const std::string& note : notes) std::fprintf(stderr, "qloom: note: %s\n", note.c_str());
  return graph;
}

std::string to_string(passes::FloatMode mode) {
  return mode == passes::FloatMode::fast ? "fast" : "reproducible";
}

void add_float_mode(CLI::App& app, passes::FloatMode& mode) {
  app.add_option_function<std::string>(
         "--float-mode",
         [&mode](const std::string& text) {
           mode = text == "fast" ? passes::FloatMode::fast : passes::FloatMode::reproducible;
         },
         "reproducible: float layers give the same bits everywhere; fast: kernels that sum floats "
         "in another order may be chosen")
      ->check(CLI::IsMember({"reproducible", "fast"}))
      ->default_str("reproducible");
}

void add_tune_flag(CLI::App& app, bool& tune) {
  app.add_flag(
      "--tune", tune,
      "time the best kernels of each distinct shape on this machine (some seconds) and keep "
      "what was found beside the compiled models, for every later compilation");
}

void add_wide_flag(CLI::App& app, bool& wide) {
  app.add_flag("--wide", wide, "do not fit lines to the terminal (without one: to 80 columns)");
}

void add_json_flag(CLI::App& app, bool& json) {
  app.add_flag("--json", json, "print JSON for machines");
}

void add_model_arguments(CLI::App& app, ModelArguments& arguments) {
  app.add_option("MODEL", arguments.path,
                 "a Keras model (.h5, .keras), or an architecture .json together with --weights")
      ->required();
  app.add_option("--weights", arguments.weights,
                 "weights (.h5, .weights.h5) that belong to an architecture .json");
  app.add_option("--evaluation", arguments.evaluation,
                 "how TensorFlow was run: eager calls, `predict`, or `predict` with oneDNN")
      ->check(CLI::IsMember({"eager", "predict", "predict_onednn"}))
      ->capture_default_str();
  add_json_flag(app, arguments.json);
}

size_t output_width(bool wide) {
  if (wide) return 0;
  winsize size{};
  if (isatty(STDOUT_FILENO) == 1 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    return std::max<size_t>(size.ws_col, 40);
  return 80;
}

}  // namespace qloom::cli
