// tests/cli/process.h: programs as a person starts them.
#pragma once

#include <string>
#include <vector>

#include "tests/support/scratch_folder.h"

namespace qloom::testing {

struct Finished {
  int exit_code = -1;  ///< 128 + signal when killed
  std::string out, err;
};

/// Runs a program, by its path or found in $PATH, with extra environment ("NAME=value"), no
/// standard input. Throws std::runtime_error when it cannot be started.
[[nodiscard]] Finished run_command(std::vector<std::string> words,
                                   const std::vector<std::string>& environment = {});

/// Runs build/<preset>/bin/NAME with arguments and extra environment ("NAME=value"; "NAME=" takes
/// the variable away), no standard input. Unless that says otherwise, the cache is none but that of
/// this process's calls: what the user has in theirs, or has switched off, changes nothing.
[[nodiscard]] Finished run_program(const std::string& name,
                                   const std::vector<std::string>& arguments,
                                   const std::vector<std::string>& environment = {});

/// A file below tests/data/.
[[nodiscard]] std::string data_file(const std::string& name);

}  // namespace qloom::testing
