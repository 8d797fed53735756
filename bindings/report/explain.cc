#include "bindings/report/explain.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "bindings/report/table.h"
#include "graph/support/error.h"

namespace qloom::report {
namespace {

std::string joined(const std::vector<std::string>& parts, const char* separator) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : separator) + part;
  return out;
}

/// Lines that continue indented.
std::string lines(const std::string& text, size_t width) {
  std::string out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    const size_t indent = std::min<size_t>(line.find_first_not_of(' '), line.size()) + 2;
    out += wrapped(line, width == 0 ? 0 : width - indent, indent) + "\n";
  }
  return out;
}

std::string padded(std::string text, size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

/// A line of a region's page: what, then text that continues under itself.
std::string line(const char* what, const std::string& text, size_t width) {
  constexpr size_t kIndent = 15;
  return "  " + padded(what, kIndent - 2) +
         wrapped(text, width == 0 ? 0 : width - kIndent, kIndent) + "\n";
}

}  // namespace

const measure::NodeChoice* choice_of(const passes::RegionReport& region,
                                     const measure::ChoiceReport* measured) {
  if (measured == nullptr) return nullptr;
  const auto found = std::ranges::find(measured->nodes, region.name, &measure::NodeChoice::node);
  return found == measured->nodes.end() ? nullptr : &*found;
}

double measured_ns(const measure::NodeChoice* choice, const std::string& kernel) {
  if (choice == nullptr) return 0;
  double out = choice->pick.kernel == kernel ? choice->pick.measured_ns : 0;
  for (const measure::Alternative& other : choice->others)
    if (other.kernel == kernel && other.measured_ns > 0 && (out == 0 || other.measured_ns < out))
      out = other.measured_ns;
  return out;
}

std::string to_text(const passes::RegionReport& r, size_t width,
                    const measure::NodeChoice* measured) {
  std::string out = r.name + "  (" + r.op + ")\n";
  out += line("layers", joined(r.layers, " → "), width);
  out += line("inputs", joined(r.inputs, "; "), width);
  out += line("output", r.output, width);
  if (!r.parts.empty()) out += line("writes", joined(r.parts, "; "), width);
  if (r.accumulator)
    out +=
        line("accumulator", join_text(r.accumulator->first, " .. ", r.accumulator->second), width);
  if (!r.tail_form.empty()) out += line("tail", r.tail_form + ": " + r.tail_proof, width);
  out += line(
      "kernel",
      join_text(r.kernel, r.variant.empty() ? "" : " ", r.variant,
                r.tuned ? ", tuned: measured to take " : ", predicted ", duration(r.predicted_ns),
                measured == nullptr ? "" : ", measured " + duration(measured->pick.measured_ns),
                " a sample", r.macs > 0 ? " (" + grouped(r.macs) + " MACs)" : ""),
      width);
  constexpr size_t kIndent = 27;
  for (const passes::Candidate& c : r.candidates) {
    std::string text = c.matches ? duration(c.predicted_ns) : c.reason;
    if (const double ns = measured_ns(measured, c.kernel); ns > 0)
      text += " predicted, " + duration(ns) + " measured";
    out += join_text("    ", c.matches ? "+" : "-", " ", padded(c.kernel, 20), " ",
                     wrapped(text, width == 0 ? 0 : width - kIndent, kIndent), "\n");
  }
  for (const passes::LayoutAlternative& a : r.alternatives)
    out += line("instead", a.what + ": the network takes " + duration(a.more_ns) + " more", width);
  return out + "\n";
}

std::string to_text(const passes::ChainReport& chain, size_t width) {
  return "one function  (chain)\n" + line("calls", joined(chain.regions, ", "), width) +
         line("tile",
              join_text(chain.tile, chain.tile == 1 ? " sample, " : " samples, ",
                        grouped(chain.scratch_bytes), " bytes of scratch"),
              width) +
         (chain.fused.empty() ? "" : line("fused", joined(chain.fused, "; "), width)) +
         line("time",
              join_text("predicted ", duration(chain.predicted_ns), " a sample, ",
                        duration(chain.apart_ns), " call by call"),
              width) +
         "\n";
}

std::string to_text(const passes::Compilation& c, size_t width,
                    const measure::ChoiceReport* measured) {
  std::string out = lines(join_text("code for ", c.target.cpu, " (", c.target.triple,
                                    "); times predicted by the rates of ", c.target.rates.source),
                          width) +
                    "\n";
  for (const passes::RegionReport& region : c.regions)
    out += to_text(region, width, choice_of(region, measured));
  for (const passes::ChainReport& chain : c.chains) out += to_text(chain, width);
  if (measured != nullptr)
    out +=
        join_text(std::lround(100 * measured->share_predicted(measure::kNearMeasured)),
                  " % of the nodes predicted within ", measure::kNearMeasured, " % of measured\n",
                  std::lround(100 * measured->share_chosen(measure::kNearFastest)),
                  " % of the picks within ", measure::kNearFastest, " × the fastest\n\n");
  for (const passes::Certificate& certificate : c.certificates)
    out += lines(certificate.to_string(), width);
  for (const std::string& note : c.notes) out += lines("note: " + note, width);
  return out;
}

}  // namespace qloom::report
