#include "tests/cli/process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "graph/support/plugin.h"
#include "tests/support/paths.h"

namespace qloom::testing {
namespace {

std::string text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace

Finished run_command(std::vector<std::string> words, const std::vector<std::string>& environment) {
  const ScratchFolder scratch;
  const std::string out = scratch / "out", err = scratch / "err", program = words.front();
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string variable = *entry;
    bool replaced = false;
    for (const std::string& added : environment)
      replaced = replaced || variable.starts_with(added.substr(0, added.find('=') + 1));
    if (!replaced) variables.push_back(variable);
  }
  for (const std::string& added : environment)
    if (added.back() != '=') variables.push_back(added);  // "NAME=" takes the variable away
  std::vector<char*> argv, envp;
  for (std::string& word : words) argv.push_back(word.data());
  for (std::string& variable : variables) envp.push_back(variable.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT, 0600);
  pid_t child = 0;
  const int failed =
      posix_spawnp(&child, program.c_str(), &actions, nullptr, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw std::runtime_error(program + " cannot be started");
  int status = 0;
  waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), text_of(out),
          text_of(err)};
}

Finished run_program(const std::string& name, const std::vector<std::string>& arguments,
                     const std::vector<std::string>& environment) {
  std::vector<std::string> words{library_folder() + "/" + name};
  words.insert(words.end(), arguments.begin(), arguments.end());
  static const ScratchFolder cache;
  std::vector<std::string> variables = environment;
  for (const std::string& fresh : {std::string("QLOOM_CACHE="), "QLOOM_CACHE_DIR=" + cache.path()})
    if (std::ranges::none_of(environment, [&](const std::string& given) {
          return given.starts_with(fresh.substr(0, fresh.find('=') + 1));
        }))
      variables.push_back(fresh);
  return run_command(std::move(words), variables);
}

std::string data_file(const std::string& name) {
  return (source_dir() / "tests" / "data" / name).string();
}

}  // namespace qloom::testing
