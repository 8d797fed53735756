// qloom-bench-report: the README's tables and the plot, from one JSON of results.
#include "bench/support/report.h"

#include <cstdio>
#include <fstream>
#include <sstream>

#include "bench/support/program.h"
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

int run(const Arguments& a) {
  if (!a.models.empty())
    write_file(a.results,
               merge_results(read(a.models), a.kernels.empty() ? "" : read(a.kernels), a.commit));
  const std::string results = read(a.results), markdown = markdown_of(results);
  if (!a.plot.empty()) write_file(a.plot, plot_of(results));
  if (a.readme.empty()) {
    std::fputs(markdown.c_str(), stdout);
  } else {
    write_file(a.readme, replace_section(read(a.readme), "bench", "\n" + markdown, a.readme));
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
  return qloom::bench::run_program(app, argc, argv, [&] { return qloom::bench::run(a); });
}
