// qloom-bench-report: the README's tables and the plot, from one JSON of results.
#include "bench/support/report.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "graph/support/error.h"

namespace qloom::bench {
namespace {

struct Arguments {
  std::string results, models, kernels, commit = "unknown", readme, plot;
};

std::string read(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  qloom_check(file.good(), path, ": cannot be read");
  return text.str();
}

void write(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.flush();
  qloom_check(file.good(), path, ": cannot be written");
}

int run(const Arguments& a) {
  if (!a.models.empty())
    write(a.results,
          merge_results(read(a.models), a.kernels.empty() ? "" : read(a.kernels), a.commit));
  const std::string results = read(a.results), markdown = markdown_of(results);
  if (!a.plot.empty()) write(a.plot, plot_of(results));
  if (a.readme.empty()) {
    std::fputs(markdown.c_str(), stdout);
  } else {
    write(a.readme, replace_section(read(a.readme), "bench", "\n" + markdown, a.readme));
  }
  return 0;
}

}  // namespace
}  // namespace qloom::bench

int main(int argc, char** argv) {
  qloom::bench::Arguments a;
  CLI::App app{"Writes tables and a plot from results", "qloom-bench-report"};
  app.add_option("RESULTS", a.results, "one JSON of results: read, or written with --models")
      ->required();
  app.add_option("--models", a.models, "what qloom-bench-models --json wrote");
  app.add_option("--kernels", a.kernels, "what qloom-bench-kernels --json wrote")
      ->needs("--models");
  app.add_option("--commit", a.commit, "what was measured")->capture_default_str();
  app.add_option("--readme", a.readme,
                 "put the tables between `<!-- bench: begin -->` and `<!-- bench: end -->` of this "
                 "file; else they are printed");
  app.add_option("--plot", a.plot, "write the plot (SVG) to this file");
  try {
    app.parse(argc, argv);
    return qloom::bench::run(a);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "qloom-bench-report: %s\n", error.what());
    return 2;
  }
}
