// bench/support/program.h: what the programs of this folder share on the command line.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

namespace qloom::bench {

/// What a program that measures models is told.
struct ModelArguments {
  std::vector<std::string> models;
  std::string evaluation = "predict";
};
void add_model_options(CLI::App& app, ModelArguments& arguments);

/// Writes a file anew. Throws UserError naming it where that fails.
void write_file(const std::string& path, const std::string& text);

/// Parses the arguments and runs; the program's exit code. Wrong usage and exceptions are told on
/// stderr and give 2.
[[nodiscard]] int run_program(CLI::App& app, int argc, char** argv,
                              const std::function<int()>& run);

}  // namespace qloom::bench
