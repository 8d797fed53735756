#include "bench/support/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "graph/support/error.h"

namespace qloom::bench {
namespace {

using Json = nlohmann::ordered_json;

Json parse(const std::string& text, const char* what) {
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    throw UserError(join_text(what, ": ", error.what()));
  }
}

/// Three significant digits, no exponent, thousands apart.
std::string rounded(double value) {
  if (value <= 0 || !std::isfinite(value)) return "-";
  const int digits = static_cast<int>(std::floor(std::log10(value)));
  if (digits < 2) return fmt::format("{:.{}f}", value, std::min(2 - digits, 4));
  const double unit = std::pow(10, digits - 2);
  const std::string text = fmt::format("{:.0f}", std::round(value / unit) * unit);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i > 0 && (text.size() - i) % 3 == 0) out += ',';
    out += text[i];
  }
  return out;
}

std::string shape_of(const Json& s) {
  if (s.at("kh") == 1 && s.at("h") == 1)
    return fmt::format("dense {} → {}", s.at("c").get<int>(), s.at("n").get<int>());
  return fmt::format("{}×{}×{} → {}, {}×{}", s.at("h").get<int>(), s.at("w").get<int>(),
                     s.at("c").get<int>(), s.at("n").get<int>(), s.at("kh").get<int>(),
                     s.at("kw").get<int>());
}

std::string models_table(const Json& models) {
  if (models.empty()) return {};
  const int threads = models[0].at("all_threads").at("threads").get<int>();
  std::string out = fmt::format(
      "| network | MACs | samples a second, 1 thread | {} threads | 1 sample alone, µs | GMAC/s | "
      "× fp32 peak | "
      "start cold / warm, ms | memory, MB |\n|---|---|---|---|---|---|---|---|---|\n",
      threads);
  for (const Json& m : models)
    out += fmt::format(
        "| {} | {} | {} | {} | {} | {} | {:.2f} | {:.0f} / {:.1f} | {:.0f} |\n",
        m.at("model").get<std::string>(), rounded(m.at("macs_per_sample")),
        rounded(m.at("samples_per_second")), rounded(m.at("all_threads").at("samples_per_second")),
        rounded(m.at("batch_1_latency_ns").at("min").get<double>() / 1e3), rounded(m.at("gmacs")),
        m.at("ratio_to_fp32_peak").get<double>(), m.at("start_cold_ms").get<double>(),
        m.at("start_warm_ms").get<double>(), m.at("peak_rss_bytes").get<double>() / 1e6);
  return out + "\n";
}

std::string kernels_table(const Json& rows) {
  if (rows.empty()) return {};
  std::string out =
      "| layer | weights × activations | time, µs | GMAC/s | × fp32 peak | predicted ÷ measured | "
      "kernel |\n"
      "|---|---|---|---|---|---|---|\n";
  for (const Json& r : rows) {
    qloom_check(r.at("mismatches") == 0, r.at("name").get<std::string>(), ": ",
                r.at("mismatches").get<int64_t>(), " wrong outputs are no result");
    const double time = r.at("time_ns");
    out +=
        fmt::format("| {} | {} | {} | {} | {:.2f} | {:.2f} | {} |\n", shape_of(r.at("shape")),
                    r.at("class").get<std::string>(), rounded(time / 1e3), rounded(r.at("gmacs")),
                    r.at("ratio_to_fp32").get<double>(), r.at("predicted_ns").get<double>() / time,
                    r.at("kernel").get<std::string>());
  }
  return out + "\n";
}

struct Bar {
  std::string label;
  double value = 0;
  bool network = false;
};

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
  return out;
}

/// A round step that cuts `range` into at most eight.
double step_of(double range) {
  double step = std::pow(10, std::floor(std::log10(range)));
  for (const double factor : {0.1, 0.2, 0.5, 1.0, 2.0, 5.0})
    if (range / (step * factor) <= 8) return step * factor;
  return step * 10;
}

}  // namespace

std::string merge_results(const std::string& models, const std::string& kernels,
                          const std::string& commit) {
  Json out = parse(models, "models");
  qloom_check(out.contains("machine") && out.contains("models"), "models: no machine or no models");
  out["commit"] = commit;
  out["kernels"] = kernels.empty() ? Json::array() : parse(kernels, "kernels");
  return out.dump(1) + "\n";
}

std::string markdown_of(const std::string& results) {
  const Json r = parse(results, "results");
  try {
    const Json& m = r.at("machine");
    std::string out = fmt::format(
        "Measured on {}, {} cores, code for {}; commit {}. Best of many short repetitions; "
        "the fp32 peak is what the "
        "same core did in the same seconds with float32 multiply-adds in registers.\n\n",
        m.at("processor").get<std::string>(), m.at("cores").get<int>(),
        m.at("target").get<std::string>(), r.at("commit").get<std::string>());
    return out + models_table(r.at("models")) + kernels_table(r.at("kernels"));
  } catch (const Json::exception& error) {
    throw UserError(join_text("results: ", error.what()));
  }
}

std::string plot_of(const std::string& results) {
  const Json r = parse(results, "results");
  std::vector<Bar> bars;
  try {
    for (const Json& m : r.at("models"))
      bars.push_back({m.at("model"), m.at("ratio_to_fp32_peak"), true});
    const size_t networks = bars.size();
    for (const Json& k : r.at("kernels"))
      bars.push_back({k.at("class").get<std::string>() + "  " + shape_of(k.at("shape")),
                      k.at("ratio_to_fp32"), false});
    const auto larger = [](const Bar& a, const Bar& b) { return a.value > b.value; };
    std::stable_sort(bars.begin(), bars.begin() + static_cast<ptrdiff_t>(networks), larger);
    std::stable_sort(bars.begin() + static_cast<ptrdiff_t>(networks), bars.end(), larger);
  } catch (const Json::exception& error) {
    throw UserError(join_text("results: ", error.what()));
  }
  qloom_check(!bars.empty(), "results: nothing to plot");
  constexpr double kLeft = 230, kPlot = 500, kRow = 20, kTop = 56, kGap = 26;
  double widest = 0;
  for (const Bar& bar : bars) widest = std::max(widest, bar.value);
  widest = std::max(widest * 1.08, 1.0);
  const bool both = bars.front().network && !bars.back().network;
  const double bottom = kTop + kRow * static_cast<double>(bars.size()) + (both ? kGap : 0);
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1:.0f}\" viewBox=\"0 0 "
      "{0} {1:.0f}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" "
      "fill=\"#ffffff\"/>\n"
      "<text x=\"16\" y=\"24\" font-size=\"15\" fill=\"#222222\">Multiply-accumulates a second, as "
      "multiples of "
      "the core's fp32 peak (one thread)</text>\n",
      kLeft + kPlot + 30, bottom + 34);
  const auto x = [&](double value) { return kLeft + kPlot * value / widest; };
  for (double tick = 0; tick <= widest; tick += step_of(widest))
    out += fmt::format(
        "<line x1=\"{0:.1f}\" y1=\"{1:.0f}\" x2=\"{0:.1f}\" y2=\"{2:.0f}\" stroke=\"#dddddd\"/>"
        "<text x=\"{0:.1f}\" y=\"{3:.0f}\" text-anchor=\"middle\" fill=\"#555555\">{4:g}</text>\n",
        x(tick), kTop - 8, bottom, bottom + 18, tick);
  out += fmt::format(
      "<line x1=\"{0:.1f}\" y1=\"{1:.0f}\" x2=\"{0:.1f}\" y2=\"{2:.0f}\" stroke=\"#888888\" "
      "stroke-dasharray=\"4 3\"/>\n",
      x(1), kTop - 8, bottom);
  double y = kTop;
  for (size_t i = 0; i < bars.size(); ++i) {
    const Bar& bar = bars[i];
    if (i > 0 && bars[i - 1].network && !bar.network) {
      y += kGap;
      out += fmt::format(
          "<text x=\"{}\" y=\"{:.0f}\" text-anchor=\"end\" fill=\"#222222\" "
          "font-weight=\"bold\">whole layers</text>\n",
          kLeft - 8, y - 7);
    } else if (i == 0) {
      out += fmt::format(
          "<text x=\"{}\" y=\"{:.0f}\" text-anchor=\"end\" fill=\"#222222\" "
          "font-weight=\"bold\">{}</text>\n",
          kLeft - 8, y - 7, bar.network ? "networks" : "whole layers");
    }
    out += fmt::format(
        "<text x=\"{0}\" y=\"{1:.0f}\" text-anchor=\"end\" fill=\"#222222\">{2}</text>"
        "<rect x=\"{3}\" y=\"{4:.0f}\" width=\"{5:.1f}\" height=\"{6}\" fill=\"{7}\"/>"
        "<text x=\"{8:.1f}\" y=\"{1:.0f}\" fill=\"#222222\">{9:.2f}</text>\n",
        kLeft - 8, y + 14, escaped(bar.label), kLeft, y + 3, x(bar.value) - kLeft, kRow - 6,
        bar.network ? "#3366aa" : "#cc7722", x(bar.value) + 5, bar.value);
    y += kRow;
  }
  return out + "</svg>\n";
}

std::string replace_section(std::string_view text, std::string_view name, std::string_view content,
                            const std::string& file) {
  const std::string begin = join_text("<!-- ", name, ": begin -->"),
                    end = join_text("<!-- ", name, ": end -->");
  const size_t first = text.find(begin), last = text.find(end);
  qloom_check(first != std::string_view::npos && last != std::string_view::npos && first < last,
              file, ": no `", begin, "` … `", end, "`");
  std::string out(text.substr(0, first + begin.size()));
  out += "\n";
  out += content;
  out += text.substr(last);
  return out;
}

}  // namespace qloom::bench
