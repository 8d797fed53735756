#include "passes/choose/kernel_times.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>

#include "graph/support/error.h"
#include "jit/cache.h"

namespace qloom::passes {
namespace {

void write_type(std::ostream& out, const TensorType& type) {
  out << qloom::to_string(type.shape) << type.numeric.to_string();
}

void write_node(std::ostream& out, const Graph& graph, const Node& node,
                std::map<ValueId, size_t>& numbers) {
  const auto number = [&](ValueId v) {
    return numbers.try_emplace(v, numbers.size()).first->second;
  };
  out << node.op->name << node.attributes.to_string();
  for (const ValueId operand : node.operands) {
    const bool constant = graph.constant_of(operand) != nullptr;
    out << (constant ? " c" : " v") << number(operand);
    write_type(out, graph.type(operand));
  }
  out << " ->";
  for (const ValueId result : node.results) {
    out << ' ' << number(result);
    write_type(out, graph.type(result));
  }
  out << '\n';
  if (node.body == nullptr) return;
  std::map<ValueId, size_t> inner;
  for (const NodeId id : node.body->order())
    write_node(out, *node.body, node.body->node(id), inner);
  for (const Graph::Output& output : node.body->outputs())
    out << "result " << inner.at(output.value);
  out << '\n';
}

bool is_plain(std::string_view text) { return text.find_first_of("\t\n") == text.npos; }

}  // namespace

const std::vector<KernelTime>* KernelTimes::of(std::string_view shape) const {
  const auto at = shapes_.find(shape);
  return at == shapes_.end() ? nullptr : &at->second;
}

bool KernelTimes::knows(std::string_view shape, std::string_view kernel,
                        std::string_view variant) const {
  const std::vector<KernelTime>* times = of(shape);
  return times != nullptr && std::ranges::any_of(*times, [&](const KernelTime& t) {
           return t.kernel == kernel && t.variant == variant;
         });
}

void KernelTimes::set(const std::string& shape, std::vector<KernelTime> times) {
  qloom_assert(is_plain(shape), "kernel times: a shape holds a tab or newline");
  for (const KernelTime& t : times)
    qloom_assert(is_plain(t.kernel) && is_plain(t.variant) && t.ns > 0, "kernel times: ", t.kernel,
                 " ", t.variant, " cannot take ", t.ns, " ns");
  shapes_[shape] = std::move(times);
}

void KernelTimes::merge(const KernelTimes& other) {
  for (const auto& [shape, times] : other.shapes_) shapes_[shape] = times;
}

std::string KernelTimes::to_text() const {
  std::ostringstream out;
  out.precision(17);
  for (const auto& [shape, times] : shapes_)
    for (const KernelTime& t : times)
      out << shape << '\t' << t.kernel << '\t' << t.variant << '\t' << t.ns << '\n';
  return out.str();
}

KernelTimes KernelTimes::parse(std::string_view text) {
  KernelTimes out;
  for (int line = 1; !text.empty(); ++line) {
    const size_t end = text.find('\n');
    std::string_view rest = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    std::array<std::string_view, 4> fields;
    size_t n = 0;
    for (; n < fields.size(); ++n) {
      const size_t tab = rest.find('\t');
      fields[n] = rest.substr(0, tab);
      if (tab == rest.npos) break;
      rest.remove_prefix(tab + 1);
    }
    KernelTime time{std::string(fields[1]), std::string(fields[2]), 0};
    const std::string_view ns = fields[3];
    const auto read = std::from_chars(ns.data(), ns.data() + ns.size(), time.ns);
    qloom_check(
        n == 3 && read.ec == std::errc() && read.ptr == ns.data() + ns.size() && time.ns > 0,
        "kernel times: line ", line,
        ": expected shape, kernel, variant and nanoseconds with tabs between");
    out.shapes_[std::string(fields[0])].push_back(std::move(time));
  }
  return out;
}

std::string shape_of(const Graph& graph, const Node& node, int64_t batch) {
  std::ostringstream text;
  std::map<ValueId, size_t> numbers;
  text << "batch " << batch << '\n';
  write_node(text, graph, node, numbers);
  return jit::CacheKey().add(text.str()).hex().substr(0, 32);
}

}  // namespace qloom::passes
