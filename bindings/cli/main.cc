// bindings/cli/main.cc: the command `qloom`. Exit codes: 0 success, 1 the answer is no, 2 wrong
// usage or unreadable input.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "bindings/cli/command.h"
#include "bindings/cli/commands_table.h"
#include "graph/support/error.h"
#include "graph/support/version.h"

int main(int argc, char** argv) {
  using namespace qloom;
  CLI::App app{"qloom: runs and measures deeply quantised neural networks on CPUs", "qloom"};
  app.set_version_flag("--version", "qloom " + std::string(version()));
  app.footer(
      "Each command explains itself: qloom COMMAND --help\nExit codes: 0 yes, 1 no, 2 wrong usage "
      "or input");
  app.require_subcommand(0, 1);
  std::function<int()> action;
  for (const cli::CommandDef* command : cli::commands::all_commands()) {
    CLI::App* sub = app.add_subcommand(std::string(command->name), std::string(command->doc));
    sub->footer("Example:\n  " + std::string(command->example));
    sub->final_callback([&action, run = command->add(*sub)] { action = run; });
  }
  try {
    // CLI11 would only say that an argument was not expected.
    if (argc > 1 && argv[1][0] != '-') {
      std::string names;
      bool known = false;
      for (const cli::CommandDef* command : cli::commands::all_commands()) {
        names += (names.empty() ? "" : ", ") + std::string(command->name);
        known = known || command->name == argv[1];
      }
      qloom_check(known, "there is no command '", argv[1], "': the commands are ", names);
    }
    app.parse(argc, argv);
    if (!action) {
      std::fputs(app.help().c_str(), stdout);
      return argc == 1 ? cli::kSuccess : cli::kUsage;
    }
    return action();
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    const std::string command =
        app.get_subcommands().empty() ? "" : " " + app.get_subcommands()[0]->get_name();
    std::fprintf(stderr, "qloom: %s (see qloom%s --help)\n", error.what(), command.c_str());
  } catch (const UserError& error) {
    std::fprintf(stderr, "qloom: %s\n", error.what());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "qloom: internal error: %s\n", error.what());
  }
  return cli::kUsage;
}
