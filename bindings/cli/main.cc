// bindings/cli/main.cc: the command `qloom`. Exit codes: 0 success, 1 the answer is no, 2 wrong
// usage or unreadable input.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "graph/support/version.h"

int main(int argc, char** argv) {
  CLI::App app{"qloom: runs and measures deeply quantised neural networks on CPUs", "qloom"};
  app.set_version_flag("--version", "qloom " + std::string(qloom::version()));
  try {
    app.parse(argc, argv);
    if (argc == 1) std::fputs(app.help().c_str(), stdout);
    return 0;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "qloom: %s\n", error.what());
    return 2;
  }
}
