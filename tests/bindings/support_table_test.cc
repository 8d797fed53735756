// The README's table of layers, quantizers and functions is what the tables of the library say.
// QLOOM_WRITE_README=1 writes it; read the difference before it is committed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "bindings/import/layer.h"
#include "bindings/import/layers_table.h"
#include "graph/quantizer.h"
#include "graph/quantizers_table.h"
#include "graph/support/error.h"
#include "tests/support/paths.h"

namespace qloom {
namespace {

// What QKeras exports (spec: layers, section 2), and where it is in the table, where it is no
// class of ours. A class that is missing from both fails.
struct Exported {
  std::string_view name;
  std::string_view built_as = "";  // a function: the layers that it builds
};
constexpr Exported kExported[] = {
    {"QDense"},
    {"QActivation"},
    {"QAdaptiveActivation"},
    {"QConv1D"},
    {"QConv2D"},
    {"QConv2DTranspose"},
    {"QSeparableConv1D"},
    {"QSeparableConv2D"},
    {"QDepthwiseConv2D"},
    {"QMobileNetSeparableConv2D", "QDepthwiseConv2D, QActivation, Dropout, QConv2D, Activation"},
    {"QDepthwiseConv2DTranspose"},
    {"QSeparableConv2DTranspose"},
    {"QConv2DBatchnorm"},
    {"QDepthwiseConv2DBatchnorm"},
    {"QDenseBatchnorm"},
    {"QBatchNormalization"},
    {"QAveragePooling2D"},
    {"QGlobalAveragePooling2D"},
    {"QOctaveConv2D", "QConv2D, QSeparableConv2D, QAveragePooling2D, UpSampling2D, Add"},
    {"OctaveConv2D", "Conv2D, SeparableConv2D, AveragePooling2D, UpSampling2D, Add"},
    {"QSimpleRNN"},
    {"QLSTM"},
    {"QGRU"},
    {"QSimpleRNNCell", "RNN"},
    {"QLSTMCell", "RNN"},
    {"QGRUCell", "RNN"},
    {"QBidirectional"},
    {"QScaleShift"},
};

constexpr std::string_view kFunctions[] = {"hard_sigmoid", "smooth_sigmoid", "binary_sigmoid",
                                           "hard_tanh",    "smooth_tanh",    "binary_tanh"};

constexpr std::string_view kBegin = "<!-- support: begin -->\n", kEnd = "<!-- support: end -->";

std::string row(const std::vector<std::string>& cells) {
  std::string out = "|";
  for (const std::string& cell : cells) out += " " + cell + " |";
  return out + "\n";
}

std::string code(std::string_view name) { return join_text("`", name, "`"); }

std::string support_table() {
  std::string out =
      "\n" + row({"layer", "what it is", "inference", "training phase"}) + "|---|---|---|---|\n";
  std::vector<const keras::LayerDef*> defs(keras::layers::all_layers().begin(),
                                           keras::layers::all_layers().end());
  std::ranges::sort(defs, {}, [](const keras::LayerDef* d) { return d->class_names[0]; });
  for (const keras::LayerDef* def : defs) {
    std::string names;
    for (const std::string_view name : def->class_names)
      names += (names.empty() ? "" : ", ") + code(name);
    out += row({names, std::string(def->doc), "compiled",
                def->training.empty() ? "as at inference"
                                      : join_text("interpreter only: ", def->training)});
  }
  for (const Exported& e : kExported)
    if (!e.built_as.empty())
      out += e.name.ends_with("Cell")
                 ? row({code(e.name) + " (a cell)", join_text("within ", e.built_as), "compiled",
                        "as at inference"})
                 : row({code(e.name) + " (a function)", join_text("builds ", e.built_as),
                        "compiled", "of each layer"});
  out += "\n" + row({"quantizer", "what it is", "inference", "training phase"}) +
         "|---|---|---|---|\n";
  for (const QuantizerDef* def : quantizers::all_quantizers()) {
    std::set<std::string> arguments;
    for (const ArgumentDef& a : def->arguments()) arguments.emplace(a.name);
    const char* const drawn = "interpreter only: draws from a seed";
    out +=
        row({code(def->name), std::string(def->doc), def->name == "bernoulli" ? drawn : "compiled",
             def->draws == nullptr ? "as at inference"
             : arguments.contains("use_stochastic_rounding")
                 ? join_text(drawn, ", with use_stochastic_rounding")
                 : drawn});
  }
  out += "\n" + row({"function", "inference", "training phase"}) + "|---|---|---|\n";
  for (const std::string_view name : kFunctions)
    out += row({code(name), "compiled", "as at inference"});
  return out + "\n";
}

std::string read(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(SupportTable, NamesAllThatQKerasExports) {
  for (const Exported& e : kExported) {
    EXPECT_TRUE(keras::find_layer(e.name) != nullptr || !e.built_as.empty()) << e.name;
    std::istringstream parts{std::string(e.built_as)};
    for (std::string part; parts >> part;) {
      if (part.ends_with(",")) part.pop_back();
      EXPECT_NE(keras::find_layer(part), nullptr) << e.name << " builds " << part;
    }
  }
  for (const std::string_view name : kFunctions)
    EXPECT_EQ(std::get<ActivationFunction>(parse_quantizer(name)).name, name);
}

TEST(SupportTable, IsTheReadmes) {
  const auto path = testing::source_dir() / "README.md";
  const std::string readme = read(path);
  const size_t begin = readme.find(kBegin), end = readme.find(kEnd);
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  const size_t first = begin + kBegin.size();
  const std::string wanted = support_table();
  if (std::getenv("QLOOM_WRITE_README") != nullptr) {
    std::ofstream(path) << readme.substr(0, first) << wanted << readme.substr(end);
    return;
  }
  EXPECT_EQ(readme.substr(first, end - first), wanted)
      << "write it with QLOOM_WRITE_README=1 qloom-test-bindings --gtest_filter='SupportTable.*'";
}

}  // namespace
}  // namespace qloom
