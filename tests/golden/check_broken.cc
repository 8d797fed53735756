// tests/golden/check_broken.cc: a list of files that are damaged, or odd and valid. Each must be
// refused with a message that names what is wrong, or be read and give the model's outputs, within
// a second and 100 MB.
#include <algorithm>
#include <cctype>
#include <fstream>
#include <optional>

#include "bindings/golden/compare.h"
#include "bindings/import/keras_import.h"
#include "bindings/import/read.h"
#include "graph/support/error.h"
#include "tests/golden/model_case.h"
#include "tests/support/limits.h"

namespace qloom::golden {
namespace {

constexpr double kMilliseconds = 1000;
constexpr int64_t kMegabytes = 100;

/// A figure of /proc/self/status in MB; 0 where there is none.
int64_t megabytes(const std::string& key) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(key)) return std::stoll(line.substr(key.size())) / 1024;
  return 0;
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

/// The case of the bundle of whole files beside this list that the file is a variant of: named by
/// the intact one of both files, or cnn, from which most are made.
std::optional<Call> reference(const Bundle& bundle, const std::string& file,
                              const std::string& weights) {
  const Bundle files(bundle.folder() + "files.json");
  std::string stem = "cnn";
  for (const std::string& name : {file, weights})
    if (name.find('/') == std::string::npos && !name.empty())
      stem = name.substr(0, std::min(name.find("_weights.h5"), name.find('.')));
  for (const Json& c : files.cases())
    if (c.at("name") == stem)
      return Call{tensors(files, c.at("inputs")), tensors(files, c.at("outputs"))};
  return std::nullopt;
}

Outcome check_file(const Bundle& bundle, const Json& c, const RunOptions& options) {
  const auto file = c.at("file").get<std::string>();
  const std::string weights = c.value("weights", "");
  const std::string name = weights.empty() ? file : file + " + " + weights;
  const auto expect = c.at("expect").get<std::string>();
  const std::string path = find_file(bundle, options, "files/" + file);
  qloom_check(!path.empty(), bundle.path(), ": files/", file, " is missing");
  std::string weights_path;
  if (!weights.empty()) weights_path = find_file(bundle, options, "files/" + weights);
  // An architecture alone must fail while it is read.
  const bool architecture = file.ends_with(".json") && weights.empty();

  if (!testing::kSanitized) std::ofstream("/proc/self/clear_refs") << 5;  // the peak starts anew
  const int64_t before = megabytes("VmRSS:");
  const double start = testing::milliseconds_of_this_thread();
  std::optional<Graph> graph;
  std::string message;
  try {
    const KerasModel model =
        read_keras_model(path, {.weights = weights_path, .architecture_only = architecture});
    if (!architecture) graph = import_keras(model, {.evaluation = preset_of(options)});
    if (architecture && expect == "accept") return Outcome::pass(name);
  } catch (const UserError& error) {
    message = error.what();
  }
  const double milliseconds = testing::milliseconds_of_this_thread() - start;
  const int64_t grown = megabytes("VmHWM:") - before;
  if (!testing::kSanitized && milliseconds > kMilliseconds)
    return Outcome::fail(name, join_text("took ", milliseconds, " ms"));
  if (!testing::kSanitized && grown > kMegabytes)
    return Outcome::fail(name, join_text("took ", grown, " MB"));

  if (!message.empty()) {
    if (expect == "accept") return Outcome::fail(name, join_text("refused: ", message));
    for (const Json& word : c.at("names"))
      if (lower(message).find(lower(word.get<std::string>())) == std::string::npos)
        return Outcome::fail(name,
                             join_text("the refusal does not name ", word.dump(), ": ", message));
    return Outcome::pass(name);
  }
  if (expect == "refuse") return Outcome::fail(name, "accepted");
  // An odd architecture that may be read is another model than the intact one.
  if (expect == "either" && file.ends_with(".json") && file.find('/') != std::string::npos)
    return Outcome::pass(name);
  // Values in float16 are not those of the reference.
  if (file.find("float16") != std::string::npos || weights.find("float16") != std::string::npos ||
      !graph)
    return Outcome::pass(name);
  const std::optional<Call> call = reference(bundle, file, weights);
  qloom_check(call.has_value(), bundle.path(), ": no reference for ", name);
  const std::string text = compare_call(*graph, name, *call, false, options);
  return text.empty() ? Outcome::pass(name) : Outcome::fail(name, text);
}

}  // namespace

std::vector<Outcome> check_broken(const Bundle& bundle, const RunOptions& options,
                                  const Listener& listener) {
  std::vector<Outcome> outcomes;
  for (const Json& c : bundle.cases()) {
    try {
      outcomes.push_back(check_file(bundle, c, options));
    } catch (const std::exception& error) {
      outcomes.push_back(Outcome::fail(c.at("file").get<std::string>(),
                                       join_text("unexpected error: ", error.what())));
    }
    if (listener) listener(outcomes.back());
  }
  return outcomes;
}

}  // namespace qloom::golden
