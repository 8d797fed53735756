#include "tests/golden/runner.h"

#include "graph/support/error.h"

namespace qloom::golden {

std::string kind_of(const Bundle& bundle) {
  const Json& cases = bundle.cases();
  if (cases.empty() || !cases.front().is_object()) return "unknown";
  const auto has = [&](const char* key) { return cases.front().contains(key); };
  if (has("string") || has("identifier")) return "strings";
  if (has("family") && has("kwargs")) return "quantizers";
  if (has("expect") && has("file")) return "broken";
  if (has("calls") && has("json")) return "layers";
  if (has("files") && cases.front()["files"].is_object()) return "files";
  if (has("files") && has("form")) return "models";
  if (has("kind")) return "qtools";
  return "unknown";
}

std::vector<Outcome> run_bundle(const std::string& path, const RunOptions& options,
                                const Listener& listener) {
  const Bundle bundle(path);
  const std::string kind = kind_of(bundle);
  if (kind == "quantizers") return check_quantizers(bundle, options, listener);
  if (kind == "strings") return check_strings(bundle, options, listener);
  if (kind == "layers") return check_layers(bundle, options, listener);
  if (kind == "files") return check_files(bundle, options, listener);
  if (kind == "models") return check_models(bundle, options, listener);
  if (kind == "broken") return check_broken(bundle, options, listener);
  qloom_check(kind == "qtools", path, ": bundles of this kind are not known");
  return check_qtools(bundle, options, listener);
}

Counts count(const std::vector<Outcome>& outcomes) {
  Counts counts;
  for (const Outcome& o : outcomes) {
    counts.passed += o.result == Result::passed ? 1 : 0;
    counts.failed += o.result == Result::failed ? 1 : 0;
    counts.skipped += o.result == Result::skipped ? 1 : 0;
  }
  return counts;
}

}  // namespace qloom::golden
