// tests/golden/check_qtools.h: what the checks of QTools's results share, one file for each kind of
// case. Each gives "" or what differs first.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bindings/golden/bundle.h"
#include "bindings/import/keras_description.h"
#include "passes/analysis/qtools/settings.h"
#include "tests/golden/runner.h"

namespace qloom::golden {

[[nodiscard]] std::string check_qtools_operator(const Json& c);
[[nodiscard]] std::string check_qtools_model(const Bundle& bundle, const Json& c,
                                             const RunOptions& options);
[[nodiscard]] std::string check_qtools_parallelism(const Bundle& bundle, const Json& c,
                                                   const RunOptions& options);

/// A qstats case and, as a second outcome, what needs the model to run. `model`: the case that it
/// names.
[[nodiscard]] std::vector<Outcome> check_qtools_qstats(const Bundle& bundle, const Json& c,
                                                       const Json& model,
                                                       const RunOptions& options);

/// The files of a case's model: beside the bundle, under the root, or in the folder of models
/// beside that of the bundles. Empty if one is in none of them.
[[nodiscard]] std::vector<std::string> model_files(const Bundle& bundle, const Json& c,
                                                   const RunOptions& options);
/// The model of a case: its architecture and weights, or its files.
[[nodiscard]] KerasModel keras_model_of(const Bundle& bundle, const Json& c,
                                        const RunOptions& options);

/// Equal as the README of the bundles says: truth values are 0 and 1, numbers within 1e-12, order
/// of keys does not count. "" or the path of the first difference with both values.
[[nodiscard]] std::string difference(const Json& got, const Json& expected,
                                     const std::string& path = "");
/// The process whose settings a run of QTools sees: "start" or "after".
[[nodiscard]] const qtools::Process& process_of(std::string_view state);
/// What QTools raises must be among our refusals: "" or what is missing. `error`: {"type", …}.
[[nodiscard]] std::string check_refusal(const std::vector<qtools::Refusal>& refusals,
                                        const Json& error);

}  // namespace qloom::golden
