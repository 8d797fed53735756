#include "bench/support/program.h"

#include <cstdio>
#include <exception>
#include <fstream>

#include "graph/support/error.h"

namespace qloom::bench {

void add_model_options(CLI::App& app, ModelArguments& arguments) {
  app.add_option("MODELS", arguments.models, "model files, or folders with models")->required();
  app.add_option("--evaluation", arguments.evaluation, "how TensorFlow was run")
      ->check(CLI::IsMember({"eager", "predict", "predict_onednn"}))
      ->capture_default_str();
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.flush();
  qloom_check(file.good(), path, ": cannot be written");
}

int run_program(CLI::App& app, int argc, char** argv, const std::function<int()>& run) {
  try {
    app.parse(argc, argv);
    return run();
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), error.what());
    return 2;
  }
}

}  // namespace qloom::bench
