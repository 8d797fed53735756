// qloom-golden: checks bundles of reference results.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "tests/golden/runner.h"

int main(int argc, char** argv) {
  CLI::App app{
      "Checks bundles of reference results: quantizers, strings, layers, files, models, "
      "broken files.\nPrints every case that fails with the first value that differs."};
  app.footer(
      "Example: qloom-golden ../shared/golden/quantizers.json ../shared/golden/strings.json\n"
      "Exit code: 0 no failure, 1 failures, 2 a bundle or an argument cannot be used.");
  qloom::golden::RunOptions options;
  std::vector<std::string> bundles;
  bool list_skipped = false;
  app.add_option("--root", options.root, "folder that model files named in a bundle may lie under")
      ->check(CLI::ExistingDirectory);
  app.add_option("--evaluation", options.evaluation, "how the reference was run")
      ->check(CLI::IsMember({"eager", "predict", "predict_onednn"}));
  app.add_flag("--list-skipped", list_skipped, "print every skipped case with the reason");
  app.add_flag("--interpreter-only", options.interpreter_only,
               "layers and models: do not compile, run the interpreter only");
  std::vector<qloom::golden::ReferenceUse> references;
  bool list_references = false;
  app.add_flag(
      "--list-references", list_references,
      "layers, files and models: print what runs on reference kernels, compiled as without "
      "Halide; models are compiled only");
  app.add_option("BUNDLE", bundles, "NAME.json, with NAME.bin beside it")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  if (!options.root.empty() && options.root.back() != '/') options.root += '/';
  if (list_references) options.references = &references;
  qloom::golden::Counts total;
  for (const std::string& bundle : bundles) {
    try {
      const auto outcomes =
          qloom::golden::run_bundle(bundle, options, [&](const qloom::golden::Outcome& o) {
            if (o.result == qloom::golden::Result::failed)
              std::printf("FAILED  %s: %s\n", o.name.c_str(), o.text.c_str());
            if (o.result == qloom::golden::Result::skipped && list_skipped)
              std::printf("skipped %s: %s\n", o.name.c_str(), o.text.c_str());
            std::fflush(stdout);
          });
      const auto counts = qloom::golden::count(outcomes);
      total.passed += counts.passed;
      total.failed += counts.failed;
      total.skipped += counts.skipped;
      if (bundles.size() > 1)
        std::printf("%s: %ld passed, %ld failed, %ld skipped\n", bundle.c_str(),
                    static_cast<long>(counts.passed), static_cast<long>(counts.failed),
                    static_cast<long>(counts.skipped));
    } catch (const std::exception& error) {
      std::fprintf(stderr, "qloom-golden: %s\n", error.what());
      return 2;
    }
  }
  for (const qloom::golden::ReferenceUse& use : references)
    std::printf("%s: %s runs on %s, %.1f %% of the time\n", use.case_name.c_str(), use.node.c_str(),
                use.kernel.c_str(), 100 * use.share);
  std::printf("%ld passed, %ld failed, %ld skipped\n", static_cast<long>(total.passed),
              static_cast<long>(total.failed), static_cast<long>(total.skipped));
  return total.failed == 0 ? 0 : 1;
}
