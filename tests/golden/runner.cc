#include "tests/golden/runner.h"

#include "graph/support/error.h"

namespace qloom::golden {

std::string kind_of(const Bundle& bundle) {
  const Json& cases = bundle.cases();
  if (cases.empty() || !cases.front().is_object()) return "unknown";
  const Json& c = cases.front();
  if (c.contains("string") || c.contains("identifier")) return "strings";
  if (c.contains("family") && c.contains("kwargs")) return "quantizers";
  return "unknown";
}

std::vector<Outcome> run_bundle(const std::string& path, const RunOptions& options,
                                const Listener& listener) {
  const Bundle bundle(path);
  const std::string kind = kind_of(bundle);
  if (kind == "quantizers") return check_quantizers(bundle, options, listener);
  if (kind == "strings") return check_strings(bundle, options, listener);
  throw UserError(join_text(path, ": bundles of this kind are not known"));
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
