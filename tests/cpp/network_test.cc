// Networks by program: the same as those of files, bit for bit; weights; messages.
#include "bindings/cpp/network.h"

#include <gtest/gtest.h>

#include <sstream>

#include "bindings/cpp/kernel_lab.h"
#include "bindings/cpp/load.h"
#include "bindings/cpp/stats.h"
#include "bindings/golden/bundle.h"
#include "bindings/golden/compare.h"
#include "bindings/import/read.h"
#include "bindings/report/qtools_json.h"
#include "graph/interpret.h"
#include "graph/text.h"
#include "tests/bindings/expect_error.h"
#include "tests/models/model_files.h"
#include "tests/support/paths.h"

namespace qloom {
namespace {

using namespace qkeras;
using testing::expect_user_error;

/// A UserError with these words that begins with the place of the caller's statement, which may
/// have several lines.
template <class Action>
void expect_error_here(Action&& action, const std::vector<std::string>& words,
                       std::source_location where = std::source_location::current()) {
  std::string text;
  expect_user_error(
      [&] {
        try {
          action();
        } catch (const UserError& error) {
          text = error.what();
          throw;
        }
      },
      words);
  const std::string file = "network_test.cc:";
  ASSERT_TRUE(text.starts_with(file)) << text;
  const int line = std::stoi(text.substr(file.size()));
  const int last = static_cast<int>(where.line());
  EXPECT_LE(line, last + 4) << text;
  EXPECT_GE(line, last - 4) << text;
}

Network digits() {
  const auto q = quantized_bits{.bits = 4, .symmetric = 1, .alpha = 1};
  Network net("digits_cnn_w4a4");
  Symbol x = net.input({8, 8, 1}, "in_q_input");
  x = net.add(QActivation{"quantized_bits(8,1,1,alpha=1)"}, x, "in_q");
  x = net.add(QConv2D{.filters = 16,
                      .kernel_size = {3, 3},
                      .padding = "same",
                      .kernel_quantizer = q,
                      .bias_quantizer = q},
              x, "conv1");
  x = net.add(QActivation{quantized_relu(4)}, x, "relu1");
  x = net.add(QConv2D{.filters = 24, .kernel_size = 3, .kernel_quantizer = q, .bias_quantizer = q},
              x, "conv2");
  x = net.add(QActivation{"quantized_relu(4)"}, x, "relu2");
  x = net.add(MaxPooling2D{}, x, "pool");
  x = net.add(Flatten{}, x, "flat");
  x = net.add(
      QDense{.units = 10, .kernel_quantizer = "quantized_bits(4,0,1,alpha=1)", .bias_quantizer = q},
      x, "fc");
  net.output(net.add(Activation{"softmax"}, x, "softmax"));
  return net;
}

std::string demo_path() { return testing::source_dir() / "tests/data/models/digits_cnn_w4a4.h5"; }

TEST(Network, DigitsByProgramIsDigitsFromTheFile) {
  Network net = digits();
  net.load_weights(demo_path());
  EXPECT_TRUE(net.notes().empty());
  EXPECT_EQ(to_text(net.graph()), to_text(load_graph(demo_path())));

  const golden::Bundle bundle(testing::source_dir() / "tests/data/models/digits_cnn_w4a4_ref.json");
  const golden::Json& one = bundle.cases()[0];
  const Tensor images = bundle.f32(one["inputs"][0]["value"]);
  const LoadedModel file = load_model(demo_path(), {.use_cache = false});
  const CompiledNetwork compiled = net.compile();
  const Tensor scores = compiled.run(images, 2);
  EXPECT_EQ(scores.extents(), (Extents{360, 10}));
  EXPECT_TRUE(scores.same_bits(golden::run_model(file.model, {images}, 1)[0]));
  std::vector<float> plain(3600);
  ASSERT_TRUE(compiled.run(images.f32(), plain, 360).ok());
  EXPECT_TRUE(Tensor({360, 10}, plain).same_bits(scores));
}

/// Every network of a file, its layers added one by one: every family goes the same way.
Network rebuilt(const KerasModel& model) {
  Network net(model.name, {.keras_version = model.keras_version});
  std::vector<std::vector<std::optional<Symbol>>> values(model.layers.size());
  std::vector<std::optional<SharedLayer>> layers(model.layers.size());
  const auto index = [&](const std::string& name) {
    return static_cast<size_t>(model.find(name) - model.layers.data());
  };
  for (const InputRef& ref : model.inputs) {
    const KerasLayer& layer = model.layers[index(ref.layer)];
    const ConfigValue* shape = layer.config.find("batch_input_shape");
    if (shape == nullptr) shape = layer.config.find("batch_shape");
    Extents extents;
    for (size_t k = 1; k < shape->array()->size(); ++k)
      extents.push_back(*(*shape->array())[k].integer());
    values[index(ref.layer)] = {net.input(extents, layer.name)};
  }
  for (const KerasCallRef& ref : model.order) {
    const KerasLayer& layer = model.layers[ref.layer];
    if (layer.class_name == "InputLayer") continue;
    if (!layers[ref.layer])
      layers[ref.layer] = net.share(Layer{layer.class_name, *layer.config.object()}, layer.name);
    std::vector<Symbol> inputs;
    for (const InputRef& input : layer.calls[ref.call].inputs)
      inputs.push_back(*values[index(input.layer)][static_cast<size_t>(input.node)]);
    values[ref.layer].resize(layer.calls.size());
    values[ref.layer][ref.call] = (*layers[ref.layer])(inputs);
  }
  for (const InputRef& ref : model.outputs)
    net.output(*values[index(ref.layer)][static_cast<size_t>(ref.node)]);
  return net;
}

TEST(Network, StatisticsAreThoseOfTheFile) {
  const std::string file =
      (testing::source_dir() / "tests/data/models/digits_cnn_w4a4.h5").string();
  const ModelStats expected = model_stats(file);
  Network net = digits();
  EXPECT_EQ(report::to_json(model_stats(net.description()).map), report::to_json(expected.map));
  net.load_weights(file);
  const ModelStats stats = model_stats(net.description());
  EXPECT_EQ(report::to_json(stats.map), report::to_json(expected.map));
  EXPECT_EQ(stats.energy.total_cost(), expected.energy.total_cost());
  EXPECT_EQ(sparsity_of(stats.model, stats.unfolded).total,
            sparsity_of(expected.model, expected.unfolded).total);
}

TEST(Network, EveryNetworkOfAFileCanBeBuiltByProgram) {
  QLOOM_NEEDS_SHARED();
  int rebuilt_count = 0;
  for (const testing::ModelFile& file : testing::shared_models()) {
    SCOPED_TRACE(file.name);
    const KerasModel model = read_keras_model(file.path, {.weights = file.weights});
    const bool plain = std::ranges::all_of(model.layers, [](const KerasLayer& l) {
      return !l.time_distributed && !l.pruned && l.class_name != "TFOpLambda" &&
             !l.class_name.starts_with("ops.") && l.places.size() < 2;
    });
    if (!plain) continue;
    Network net = rebuilt(model);
    net.load_weights(file.weights.empty() ? file.path : file.weights);
    EXPECT_EQ(to_text(net.graph()), to_text(load_graph(file.path, file.weights)));
    ++rebuilt_count;
  }
  EXPECT_GT(rebuilt_count, 4);
}

TEST(Network, ExpressionsSharedLayersSeveralInputsAndOutputs) {
  Network net("two");
  const Symbol a = net.input({4}, "a"), b = net.input({4}, "b");
  const SharedLayer dense =
      net.share(QDense{.units = 3, .kernel_quantizer = "ternary(alpha=1)"}, "fc");
  const Symbol x = dense(a), y = dense(b);
  net.output(net.add(Concatenate{}, {x - y, x * 0.5}, "both"));
  net.output(y + 1.0);
  net.set_weights("fc", {Tensor({4, 3}, std::vector<float>{1, -1, 0, 1, 1, 0, 0, 0, -1, 0, 1, 1}),
                         Tensor({3}, std::vector<float>{0, 0.5F, 0})});
  const CompiledNetwork compiled = net.compile();
  EXPECT_EQ(compiled.inputs(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(compiled.outputs(), (std::vector<std::string>{"both", "add"}));
  const std::vector<Tensor> out = compiled.run({Tensor({1, 4}, std::vector<float>{1, 2, 3, 4}),
                                                Tensor({1, 4}, std::vector<float>{1, 0, 0, 1})});
  // a: 3, 5 + 0.5, 1; b: 1, 0 + 0.5, 1.
  EXPECT_TRUE(out[0].same_bits(Tensor({1, 6}, std::vector<float>{2, 5, 0, 1.5F, 2.75F, 0.5F})));
  EXPECT_TRUE(out[1].same_bits(Tensor({1, 3}, std::vector<float>{2, 1.5F, 2})));
  EXPECT_TRUE(check(compiled).ok());
  EXPECT_EQ(net.layers(),
            (std::vector<std::string>{"a", "b", "fc", "subtract", "multiply", "both", "add"}));
}

TEST(Network, KnowsShapesAndTypesWhileItIsBuilt) {
  Network net = digits();
  std::ostringstream text;
  text << net;
  EXPECT_NE(text.str().find("conv2 = QConv2D(relu1): [N, 6, 6, 24]"), std::string::npos)
      << text.str();
  EXPECT_NE(text.str().find("output softmax"), std::string::npos) << text.str();
  Network other("other");
  const Symbol q = other.add(QActivation{quantized_relu(4, 2)}, other.input({5}));
  EXPECT_EQ(q.layer(), "q_activation");
  EXPECT_EQ(q.shape(), (Shape{Dim::batch(), 5}));
  EXPECT_EQ(q.type().numeric, Numeric::fixed(4, 2, false));
  std::ostringstream symbol;
  symbol << q;
  EXPECT_EQ(symbol.str(), "q_activation: [N, 5] fixed(4, 2, unsigned)");
}

TEST(Network, SaysWhatItIsAndWhatBecameOfIt) {
  Network net = digits();
  net.initialize(3);
  const CompiledNetwork compiled = net.compile();
  EXPECT_EQ(net.summary(), compiled.summary());
  EXPECT_NE(compiled.summary().find("conv1 (QConv2D)"), std::string::npos);
  EXPECT_NE(compiled.summary().find("quantized_relu(bits=4)"), std::string::npos);
  EXPECT_NE(compiled.explain().find("conv_pairs"), std::string::npos);
  std::ostringstream program;
  program << compiled;
  EXPECT_NE(program.str().find("conv_pairs("), std::string::npos) << program.str();
  const CompiledNetwork pinned = net.compile({.disabled_kernels = {"conv_pairs"}});
  EXPECT_EQ(pinned.explain().find("+ conv_pairs"), std::string::npos);
  EXPECT_TRUE(check(pinned, 3).ok());
}

TEST(NetworkWeights, InitializeIsSeededAndKeepsWhatIsSet) {
  Network a = digits(), b = digits(), c = digits();
  a.set_weight("fc", "bias", std::vector<float>(10, 0.25F));
  a.initialize(5);
  b.initialize(5);
  c.initialize(6);
  EXPECT_EQ(a.weight("fc", "bias").f32()[3], 0.25F);
  EXPECT_EQ(b.weight("fc", "bias").f32()[3], 0.0F);
  EXPECT_TRUE(a.weight("conv1", "kernel").same_bits(b.weight("conv1", "kernel")));
  EXPECT_FALSE(a.weight("conv1", "kernel").same_bits(c.weight("conv1", "kernel")));
  const auto kernel = a.weight("fc", "kernel");
  const auto [lo, hi] = std::ranges::minmax(kernel.f32());
  const float limit = std::sqrt(6.0F / static_cast<float>(kernel.extents()[0] + 10));
  EXPECT_LT(hi, limit);
  EXPECT_GT(hi, 0.9F * limit);
  EXPECT_LT(lo, -0.9F * limit);
}

TEST(NetworkWeights, OfAFileThatHasOnlySome) {
  Network net("part");
  Symbol x = net.input({8, 8, 1});
  x = net.add(QConv2D{.filters = 16, .kernel_size = 3, .kernel_quantizer = "ternary()"}, x,
              "conv1");
  net.output(net.add(QDense{.units = 2}, net.add(Flatten{}, x), "new"));
  expect_error_here([&] { net.load_weights(demo_path()); }, {"'new'"});
  EXPECT_FALSE(net.weights("conv1")[0].is_set);
  net.load_weights(demo_path(), /*only_matching=*/true);
  EXPECT_TRUE(net.weights("conv1")[0].is_set);
  EXPECT_FALSE(net.weights("new")[0].is_set);
  EXPECT_EQ(net.notes(), std::vector<std::string>{"the weights of 'conv2', 'fc' are not used"});
}

TEST(NetworkErrors, NameLineLayerExpectedAndFound) {
  Network net("wrong");
  const Symbol image = net.input({8, 8, 1}, "image");
  const Symbol flat = net.add(Flatten{}, image, "flat");
  expect_error_here([&] { net.add(QConv2D{.filters = 4, .kernel_size = 3}, flat, "conv"); },
                    {"layer 'conv' (QConv2D)", "shape [N, 64], expected 4 axes"});
  expect_error_here([&] { net.add(QConv2D{.filters = 4, .kernel_size = 9}, image, "conv"); },
                    {"layer 'conv'", "kernel_size", "a window of 9", "input of 8"});
  expect_error_here([&] { net.add(QDense{.kernel_quantizer = "ternary()"}, flat, "fc"); },
                    {"layer 'fc' (QDense): units", "found 0"});
  expect_error_here(
      [&] { net.add(QDense{.units = 4, .kernel_quantizer = "quantized_bits(4,0"}, flat, "fc"); },
      {"layer 'fc' (QDense): kernel_quantizer", "')' is missing"});
  expect_error_here(
      [&] { net.add(QDense{.units = 4, .kernel_quantizer = quantized_bits(99)}, flat, "fc"); },
      {"layer 'fc' (QDense): kernel_quantizer", "bits", "99"});
  expect_error_here(
      [&] { net.add(Layer{"QDense", {{"units", int64_t{4}}, {"unit", true}}}, flat); },
      {"layer 'q_dense' (QDense)", "unit", "unknown"});
  expect_error_here([&] { net.add(Layer{"QDence"}, flat); },
                    {"(QDence)", "there is no such class", "QDense"});
  expect_error_here([&] { net.add(Flatten{}, image, "flat"); },
                    {"layer 'flat'", "taken by", "Flatten", "network_test.cc"});
  expect_error_here([&] { net.add(Add{}, image); }, {"Add", "1 inputs, expected 2"});
  expect_error_here([&] { (void)(image + flat); }, {"[N, 8, 8, 1]", "[N, 64]"});
  expect_error_here([&] { net.input({0}, "none"); }, {"InputLayer", "batch_input_shape"});
  Network other("other");
  expect_error_here([&] { other.add(Flatten{}, image); }, {"another network"});
  expect_error_here([&] { (void)net.graph(); }, {"'wrong' has no output"});
  // After all that the network is as before.
  EXPECT_EQ(net.layers(), (std::vector<std::string>{"image", "flat"}));

  net.output(net.add(QDense{.units = 2}, flat, "fc"));
  expect_error_here(
      [&] { (void)net.compile(); },
      {"variables without values", "layer 'fc' (QDense): kernel [64, 2]", "bias [2]"});
  expect_error_here([&] { net.set_weight("fc", "kernal", std::vector<float>(128)); },
                    {"layer 'fc' (QDense)", "no variable 'kernal'", "kernel, bias"});
  expect_error_here([&] { net.set_weight("fc", "bias", std::vector<float>(3)); },
                    {"bias: expected 2 values (shape [2]), found 3"});
  expect_error_here([&] { net.set_weight("fc", "bias", Tensor::filled({1, 2}, 0)); },
                    {"bias: expected shape [2], found [1, 2]"});
  expect_error_here([&] { net.set_weight("fc", "bias", Tensor::filled({2}, NAN)); },
                    {"expected finite values, found nan at element 0"});
  expect_error_here([&] { net.set_weight("fd", "bias", Tensor::filled({2}, 0)); },
                    {"no layer 'fd'", "'image', 'flat', 'fc'"});
  expect_error_here([&] { net.load_weights("/nowhere.h5"); }, {"/nowhere.h5"});
  net.initialize();
  expect_error_here([&] { (void)net.compile({.disabled_kernels = {"magic"}}); },
                    {"cannot disable kernel 'magic'"});
  expect_user_error([&] { (void)net.compile().run(Tensor::filled({2, 8, 8}, 0)); },
                    {"input 'image' has shape [2, 8, 8]", "[N, 8, 8, 1]"});
}

TEST(NetworkErrors, SharedLayersKeepTheirShapes) {
  Network net("shared");
  const SharedLayer fc = net.share(QDense{.units = 2}, "fc");
  expect_error_here([&] { net.set_weight("fc", "bias", Tensor::filled({2}, 0)); },
                    {"has no shape before the layer is called"});
  (void)fc(net.input({3}, "a"));
  const Symbol b = net.input({4}, "b");
  expect_error_here(
      [&] { (void)fc(b); },
      {"layer 'fc'", "kernel has shape [3, 2] from the first call", "expects [4, 2]"});
}

}  // namespace
}  // namespace qloom
