#include "bench/support/suite.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "graph/support/error.h"

namespace qloom::bench {
namespace {

constexpr std::string_view kBinary = "binary(alpha=1)",
                           kTernary = "ternary(alpha=1,threshold=0.33)",
                           kPo2 = "quantized_po2(4, 1)", kA2 = "quantized_relu(2,1)",
                           kA3 = "quantized_relu(3,1)", kA4 = "quantized_relu(4,1)",
                           kA6 = "quantized_relu(6,1)", kA8 = "quantized_relu(8,2)",
                           kW2 = "quantized_bits(2,0,1,alpha=1)",
                           kW3 = "quantized_bits(3,0,1,alpha=1)",
                           kW4 = "quantized_bits(4,0,1,alpha=1)",
                           kW6 = "quantized_bits(6,0,1,alpha=1)",
                           kW8 = "quantized_bits(8,0,1,alpha=1)";

constexpr Widths kWidths[] = {
    {"bb", kBinary, -1, 1, kBinary, false},  {"tb", kBinary, -1, 1, kTernary, false},
    {"bt", kTernary, -1, 1, kBinary, false}, {"tt", kTernary, -1, 1, kTernary, false},
    {"ba2", kA2, 0, 2, kBinary, false},      {"ba3", kA3, 0, 2, kBinary, false},
    {"ba4", kA4, 0, 2, kBinary, false},      {"ba8", kA8, 0, 4, kBinary, false},
    {"ta2", kA2, 0, 2, kTernary, false},     {"ta4", kA4, 0, 2, kTernary, false},
    {"ta8", kA8, 0, 4, kTernary, false},     {"w2a2", kA2, 0, 2, kW2, false},
    {"w2a4", kA4, 0, 2, kW2, false},         {"w2a8", kA8, 0, 4, kW2, false},
    {"w3a3", kA3, 0, 2, kW3, false},         {"w4a4", kA4, 0, 2, kW4, false},
    {"w4a8", kA8, 0, 4, kW4, false},         {"po2a4", kA4, 0, 2, kPo2, true},
    {"po2a8", kA8, 0, 4, kPo2, true},        {"w6a6", kA6, 0, 2, kW6, false},
    {"w8a8", kA8, 0, 4, kW8, false},         {"w8a8_trained", kA8, 0, 4, kW8, true},
};

/// One line, word by word.
class Line {
 public:
  Line(std::string text, std::string where) : where_(std::move(where)), words_(std::move(text)) {}

  [[nodiscard]] std::string word(const char* what) {
    std::string out;
    qloom_check(static_cast<bool>(words_ >> out), where_, ": expected ", what,
                ", found the end of the line");
    return out;
  }
  /// The next word; "" at the end.
  [[nodiscard]] std::string next() {
    std::string out;
    words_ >> out;
    return out;
  }
  /// Positive numbers with x between them.
  [[nodiscard]] std::vector<int64_t> extents(size_t count, const char* what) {
    const std::string text = word(what);
    std::vector<int64_t> out;
    const char* at = text.data();
    const char* const end = at + text.size();
    while (true) {
      int64_t value = 0;
      const auto [rest, error] = std::from_chars(at, end, value);
      qloom_check(error == std::errc() && value >= 1 && value <= 1 << 16, where_, ": expected ",
                  what, ", found '", text, "'");
      out.push_back(value);
      if (rest == end) break;
      qloom_check(*rest == 'x', where_, ": expected ", what, ", found '", text, "'");
      at = rest + 1;
    }
    qloom_check(out.size() == count, where_, ": expected ", what, ", found '", text, "'");
    return out;
  }
  int64_t number(const char* what) { return extents(1, what)[0]; }
  [[nodiscard]] const std::string& where() const { return where_; }

 private:
  std::string where_;
  std::istringstream words_;
};

struct NamedWidths {
  const Widths* widths;
  std::string class_name;
};

std::vector<NamedWidths> read_widths(Line& line) {
  std::vector<NamedWidths> out;
  for (std::string word = line.word("a width pair"); !word.empty(); word = line.next()) {
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const Widths* widths = find_widths(name);
    qloom_check(widths != nullptr, line.where(), ": unknown widths '", name, "'; there are ",
                widths_names());
    out.push_back({widths, equals == std::string::npos ? name : word.substr(equals + 1)});
  }
  return out;
}

LayerSpec read_layer(const std::string& op, Line& line) {
  LayerSpec l;
  l.name = line.word("a name");
  if (op == "dense") {
    l.op = LayerOp::dense;
    l.c = line.number("the number of inputs");
    l.n = line.number("the number of outputs");
  } else {
    l.op = op == "conv" ? LayerOp::conv : LayerOp::depthwise;
    const auto input = line.extents(3, "the input as HxWxC");
    l.h = input[0], l.w = input[1], l.c = l.n = input[2];
    if (l.op == LayerOp::conv)
      l.n = line.number("the number of outputs");
    else
      l.groups = l.c;
    const auto kernel = line.extents(2, "the kernel as KxK");
    l.kernel_h = kernel[0], l.kernel_w = kernel[1];
  }
  for (std::string option = line.next(); !option.empty(); option = line.next()) {
    if (option == "stride" && l.op != LayerOp::dense)
      l.stride = line.number("a stride");
    else if (option == "dilation" && l.op != LayerOp::dense)
      l.dilation = line.number("a dilation");
    else if (option == "groups" && l.op == LayerOp::conv)
      l.groups = line.number("a number of groups");
    else if (option == "valid" && l.op != LayerOp::dense)
      l.padding = ops::Padding::valid;
    else
      throw UserError(join_text(line.where(), ": unknown option '", option, "' of ", op));
  }
  return l;
}

}  // namespace

const Widths* find_widths(std::string_view name) {
  const auto found = std::ranges::find(kWidths, name, &Widths::name);
  return found == std::end(kWidths) ? nullptr : found;
}

std::string widths_names() {
  std::string out;
  for (const Widths& w : kWidths) out += (out.empty() ? "" : ", ") + std::string(w.name);
  return out;
}

std::vector<LayerSpec> parse_suite(std::string_view text, const std::string& file) {
  std::vector<LayerSpec> out;
  std::vector<NamedWidths> widths;
  int64_t batch = 1;
  std::istringstream lines{std::string(text)};
  int number = 0;
  for (std::string content; std::getline(lines, content);) {
    const std::string where = join_text(file, ":", ++number);
    Line line(content.substr(0, content.find('#')), where);
    const std::string first = line.next();
    if (first.empty()) continue;
    if (first == "widths") {
      widths = read_widths(line);
    } else if (first == "batch") {
      batch = line.number("samples a call");
    } else if (first == "conv" || first == "depthwise" || first == "dense") {
      qloom_check(!widths.empty(), where, ": no `widths` before the first layer");
      LayerSpec layer = read_layer(first, line);
      const std::string name = layer.name;
      layer.batch = batch;
      for (const NamedWidths& w : widths) {
        layer.widths = w.widths;
        layer.class_name = w.class_name;
        layer.name = name + "/" + w.class_name;
        out.push_back(layer);
      }
    } else {
      throw UserError(join_text(
          where, ": expected widths, batch, conv, depthwise or dense, found '", first, "'"));
    }
  }
  qloom_check(!out.empty(), file, ": no layers");
  return out;
}

std::vector<std::string> suite_names() {
  std::vector<std::string> out;
  for (const auto& file : std::filesystem::directory_iterator(QLOOM_SUITES))
    if (file.path().extension() == ".txt") out.push_back(file.path().stem().string());
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<LayerSpec> read_suite(const std::string& name_or_path) {
  const std::string own = std::string(QLOOM_SUITES) + "/" + name_or_path + ".txt";
  const bool is_name = name_or_path.find('/') == std::string::npos && std::filesystem::exists(own);
  const std::string path = is_name ? own : name_or_path;
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file.good() || !std::filesystem::is_regular_file(path)) {
    std::string names;
    for (const std::string& name : suite_names()) names += (names.empty() ? "" : ", ") + name;
    throw UserError(join_text(name_or_path, ": no such suite or file; the suites are ", names));
  }
  return parse_suite(text.str(), is_name ? name_or_path + ".txt" : path);
}

}  // namespace qloom::bench
