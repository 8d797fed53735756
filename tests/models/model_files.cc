#include "tests/models/model_files.h"

#include <cmath>
#include <random>
#include <stdexcept>

#include "bindings/import/read.h"
#include "tests/support/paths.h"

namespace qloom::testing {
namespace {

struct Listed {
  const char* name;
  const char* path;  // below models/
  const char* weights;
};

constexpr Listed kListed[] = {
    {"digits_binary", "own/digits_binary.h5", ""},
    {"digits_cnn_w4a4", "own/digits_cnn_w4a4.h5", ""},
    {"digits_folded", "own/digits_folded.h5", ""},
    {"digits_po2", "own/digits_po2.h5", ""},
    {"digits_rnn", "own/digits_rnn.h5", ""},
    {"digits_ternary", "own/digits_ternary.h5", ""},
    {"jets_mlp", "own/jets_mlp.h5", ""},
    {"mobilenet_w4a4", "own/mobilenet_w4a4_arch.json", "own/mobilenet_w4a4_weights.h5"},
    {"resnet8_w1a1", "own/resnet8_w1a1_arch.json", "own/resnet8_w1a1_weights.h5"},
    {"resnet8_w2a2", "own/resnet8_w2a2_arch.json", "own/resnet8_w2a2_weights.h5"},
    {"qkeras_3layer", "public/example-models/keras/qkeras_3layer.json",
     "public/example-models/keras/qkeras_3layer_weights.h5"},
    {"qkeras_mnist_dense", "public/example-models/keras/qkeras_mnist_dense.json",
     "public/example-models/keras/qkeras_mnist_dense_weights.h5"},
    {"jet_images", "public/example-models/keras/jetTagger_Conv2D_Small.json",
     "public/example-models/keras/jetTagger_Conv2D_Small_weights.h5"},
    {"keras_conv1d_small", "public/example-models/keras/KERAS_conv1d_small.json",
     "public/example-models/keras/KERAS_conv1d_small_weights.h5"},
    {"ad08",
     "public/tiny_results_v0.7/open/hls4ml-finn/code/ad/AD08/training/trained_model/model.h5", ""},
    {"rn06",
     "public/hls4ml-finn-mlperftiny-CIFAR10/hls4ml/resnet_v1_eembc_quantized_tiny/model_best.h5",
     ""},
    {"svhn_folded", "public/AI_ON_FPGA/models/quantized_svhn.h5", ""},
    {"tiny_wakeword",
     "public/tiny/benchmark/training/streaming_wakeword/trained_models/str_ww_ref_model.h5", ""},
    {"activation_inside_layers", "reports/activation_inside_layers.h5", ""},
    {"default_alpha_per_channel", "reports/default_alpha_per_channel.h5", ""},
    {"pool_strides_and_same_average", "reports/pool_strides_and_same_average.h5", ""},
    {"relu_third_argument", "reports/relu_third_argument.h5", ""},
};

}  // namespace

ModelFile demo_model() {
  return {"digits_cnn_w4a4", (source_dir() / "tests/data/models/digits_cnn_w4a4.h5").string(), ""};
}

std::vector<ModelFile> shared_models() {
  std::vector<ModelFile> out;
  if (!shared_dir()) return out;
  const auto folder = *shared_dir() / "models";
  for (const Listed& l : kListed)
    out.push_back(
        {l.name, (folder / l.path).string(), *l.weights != 0 ? (folder / l.weights).string() : ""});
  return out;
}

ModelFile shared_model(const std::string& name) {
  for (const ModelFile& file : shared_models())
    if (file.name == name) return file;
  throw std::runtime_error("no shared model " + name);
}

KerasModel with_changed_weights(const ModelFile& file, uint32_t seed) {
  KerasModel model = read_keras_model(file.path, {.weights = file.weights});
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  for (KerasLayer& layer : model.layers)
    for (KerasWeight& weight : layer.weights) {
      const bool positive = weight.name.find("variance") != std::string::npos;
      double squares = 0;
      for (const float v : weight.values) squares += static_cast<double>(v) * v;
      const auto size = static_cast<double>(weight.values.size());
      const float typical = static_cast<float>(std::sqrt(squares / size)) + 0.01F;
      for (float& v : weight.values)
        v = positive ? v * std::exp(0.3F * normal(random)) : v + 0.5F * typical * normal(random);
    }
  return model;
}

}  // namespace qloom::testing
