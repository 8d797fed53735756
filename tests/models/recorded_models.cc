#include "tests/models/recorded_models.h"

#include <algorithm>
#include <filesystem>
#include <random>

#include "bindings/import/keras_import.h"
#include "bindings/import/read.h"
#include "graph/support/error.h"
#include "tests/golden/made_weights.h"
#include "tests/support/paths.h"

namespace qloom::testing {
namespace {

using golden::Json;

/// The file of a case that is read: the whole model, else the architecture with its weights.
std::pair<std::string, std::string> files_of(const Json& c, const std::string& folder) {
  std::string architecture, weights;
  for (const auto& file : c.at("files").get<std::vector<std::string>>()) {
    const std::string path = folder + file;
    if (file.ends_with(".onnx") || !std::filesystem::exists(path)) continue;
    if (file.ends_with("_weights.h5"))
      weights = path;
    else if (!file.ends_with(".json") && !file.ends_with(".weights.h5"))
      return {path, ""};
    else if (file.ends_with(".json") && architecture.empty())
      architecture = path;
  }
  return {architecture, weights};
}

/// A network of make_large.py: its weights are made from its architecture and the statistics stored
/// beside it.
KerasModel generated_model(const std::string& architecture) {
  KerasModel model = read_keras_model(architecture, {.weights_optional = true});
  golden::make_weights(model, architecture.substr(0, architecture.rfind("_arch")) + "_norm.npz");
  return model;
}

Tensor first_samples(const Tensor& x, int64_t samples) {
  Extents extents = x.extents();
  const int64_t size = x.size() / extents[0] * samples;
  extents[0] = samples;
  const auto values = x.f32().first(static_cast<size_t>(size));
  return {extents, std::vector<float>(values.begin(), values.end())};
}

}  // namespace

std::vector<std::string> for_each_recorded_model(
    bool with_generated, const std::function<void(const RecordedModel&)>& visit) {
  std::vector<std::string> left_out;
  for (const char* part : {"own", "public", "reports"}) {
    const std::filesystem::path folder = *shared_dir() / "models" / part;
    std::vector<std::string> bundles;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      std::filesystem::path data = entry.path();
      if (data.extension() == ".json" && std::filesystem::exists(data.replace_extension(".bin")))
        bundles.push_back(entry.path().string());
    }
    std::ranges::sort(bundles);
    for (const std::string& path : bundles) {
      const golden::Bundle bundle(path);
      for (const Json& c : bundle.cases()) {
        const auto [file, weights] = files_of(c, bundle.folder());
        if (file.empty()) continue;  // ONNX
        const bool is_generated = file.ends_with("_arch.json") && weights.empty();
        if (is_generated && !with_generated) continue;
        const std::string name = c.at("name").get<std::string>();
        try {
          const KerasModel model =
              is_generated ? generated_model(file) : read_keras_model(file, {.weights = weights});
          Graph graph = import_keras(model, {.split_softmax = true});
          visit({name, std::move(graph), golden::expected_of(bundle, c)});
        } catch (const UserError& error) {
          left_out.push_back(name + ": " + error.what());
        }
      }
    }
  }
  return left_out;
}

std::vector<Tensor> samples_like(const std::vector<Tensor>& recorded, int64_t samples) {
  std::vector<Tensor> out;
  std::mt19937 random(1);
  for (const Tensor& x : recorded) {
    const int64_t known = x.extents()[0], size = x.size() / known;
    if (samples <= known) {
      out.push_back(first_samples(x, samples));
      continue;
    }
    std::vector<float> values(x.f32().begin(), x.f32().end());
    float largest = 0;
    for (const float v : values) largest = std::max(largest, std::fabs(v));
    std::normal_distribution<float> noise(0, 0.1F * largest);
    std::uniform_int_distribution<int64_t> any(0, known - 1);
    std::uniform_real_distribution<float> share(-0.5F, 1.5F);
    values.reserve(static_cast<size_t>(samples * size));
    for (int64_t n = known; n < samples; ++n) {
      const auto a = static_cast<size_t>(any(random) * size),
                 b = static_cast<size_t>(any(random) * size);
      const float of_a = share(random);
      for (size_t i = 0; i < static_cast<size_t>(size); ++i)
        values.push_back(of_a * values[a + i] + (1 - of_a) * values[b + i] + noise(random));
    }
    Extents extents = x.extents();
    extents[0] = samples;
    out.emplace_back(std::move(extents), std::move(values));
  }
  return out;
}

std::vector<Tensor> wide_samples_like(const std::vector<Tensor>& recorded, int64_t samples) {
  std::vector<Tensor> out;
  std::mt19937 random(2);
  std::normal_distribution<float> wide(0.0F, 1000.0F);
  for (const Tensor& x : recorded) {
    Extents extents = x.extents();
    extents[0] = samples;
    std::vector<float> values(static_cast<size_t>(element_count(extents)));
    for (float& v : values) v = wide(random);
    out.emplace_back(std::move(extents), std::move(values));
  }
  return out;
}

}  // namespace qloom::testing
