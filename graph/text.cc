// graph/text.cc — graphs as text, and comparison of graphs. The reader is in text_parse.cc.
#include "graph/text.h"

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "graph/interpret.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/text_reader.h"

namespace qloom {
namespace {

using text::name_text;

std::string hex(uint64_t bits, int digits) {
  std::string out(static_cast<size_t>(digits), '0');
  for (int i = digits; i-- > 0; bits >>= 4)
    out[static_cast<size_t>(i)] = "0123456789abcdef"[bits & 15];
  return out;
}

std::string origin_text(const Origin& o) {
  if (!o.layer.empty() || o.file.empty())
    return name_text(o.layer) +
           (o.layer_class.empty() ? "" : " (" + name_text(o.layer_class) + ")");
  return name_text(o.file) + ":" + std::to_string(o.line);
}

// Writes one text: values are numbered in the order in which they are defined, bodies included.
class Writer {
 public:
  explicit Writer(bool constants) : constants_(constants) {}

  std::string text(const Graph& graph) {
    out_ = "graph " + name_text(graph.name) + " {\n";
    const EvaluationOptions &o = graph.options(), plain;
    if (o.division != plain.division) out_ += "  option division reciprocal\n";
    if (o.batch_norm != plain.batch_norm) out_ += "  option batch_norm fused_multiply_add\n";
    if (o.internal_sigmoid != plain.internal_sigmoid)
      out_ += join_text("  option internal_sigmoid ",
                        o.internal_sigmoid == InternalSigmoid::smooth ? "smooth" : "real", "\n");
    nodes(graph, "  ");
    out_ += "}\n";
    if (constants_) out_ += "constants {\n" + data_ + "}\n";
    return std::move(out_);
  }

 private:
  using Numbers = std::unordered_map<ValueId, int>;

  std::string type(const TensorType& t, const Numbers& numbers) const {
    std::string out = to_string(t.shape) + " " + t.numeric.to_string();
    if (!t.scale.is_dynamic()) return out + t.scale.to_string();
    const auto it = numbers.find(t.scale.source());
    return out + " × scale(%" + (it == numbers.end() ? "?" : std::to_string(it->second)) + ")";
  }

  void nodes(const Graph& graph, const std::string& indent) {
    Numbers numbers;
    for (const NodeId id : graph.order()) {
      const Node& node = graph.node(id);
      for (const ValueId v : node.results) numbers[v] = next_++;
      std::string line;
      for (size_t i = 0; i < node.results.size(); ++i) {
        const ValueId v = node.results[i];
        line += join_text(i == 0 ? "%" : ", %", numbers[v]);
        if (i == 0) line += " " + name_text(node.name);
        line += ": " + type(graph.type(v), numbers);
      }
      line += join_text(" = ", node.op->name);
      std::string operands;
      for (const ValueId v : node.operands)
        operands += join_text(operands.empty() ? "%" : ", %", numbers.at(v));
      if (!operands.empty()) line += "(" + operands + ")";
      if (!node.attributes.empty()) line += " " + node.attributes.to_string();
      for (size_t i = 0; i < node.origins.size(); ++i)
        line += (i == 0 ? " @ " : ", ") + origin_text(node.origins[i]);
      out_ += indent + line;
      if (node.body) {
        out_ += " body " + name_text(node.body->name) + " {\n";
        nodes(*node.body, indent + "  ");
        out_ += indent + "}";
      }
      out_ += "\n";
      if (node.is(ops::input) || node.constant) {
        const TensorType& t = graph.type(node.results[0]);
        if (node.constant) data(join_text("%", numbers[node.results[0]]), *node.constant);
        if (t.scale.is_constant() && !t.scale.is_per_tensor())
          data(join_text("%", numbers[node.results[0]], " scale"), t.scale.values());
      }
    }
    for (const Graph::Output& o : graph.outputs())
      out_ += join_text(indent, "output ", name_text(o.name), " = %", numbers.at(o.value), "\n");
  }

  void data(const std::string& what, const Tensor& t) {
    if (!constants_) return;
    data_ += join_text("  ", what, " ", name_of(t.dtype()), " ",
                       to_string(Shape(t.extents().begin(), t.extents().end())), ":");
    switch (t.dtype()) {
      case DType::f32:
        for (const float v : t.f32()) data_ += " " + hex(std::bit_cast<uint32_t>(v), 8);
        break;
      case DType::f64:
        for (const double v : t.f64()) data_ += " " + hex(std::bit_cast<uint64_t>(v), 16);
        break;
      case DType::i64:
        for (const int64_t v : t.i64()) data_ += " " + std::to_string(v);
        break;
    }
    data_ += "\n";
  }

  bool constants_;
  int next_ = 0;
  std::string out_, data_;
};

bool equal_constants(const std::optional<Tensor>& a, const std::optional<Tensor>& b) {
  return a.has_value() == b.has_value() && (!a || a->same_bits(*b));
}

std::string dot_text(std::string_view s) {
  std::string out;
  for (const char c : s) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::string to_text(const Graph& graph, bool constants) { return Writer(constants).text(graph); }

bool equal(const Graph& a, const Graph& b) {
  const std::vector<NodeId> oa = a.order(), ob = b.order();
  if (a.name != b.name || oa.size() != ob.size() || a.inputs().size() != b.inputs().size() ||
      a.outputs().size() != b.outputs().size())
    return false;
  EvaluationOptions pa = a.options(), pb = b.options();
  pa.evaluation = pb.evaluation;  // no part of a graph
  if (pa != pb) return false;
  std::unordered_map<ValueId, ValueId> to;  // values of a → values of b
  const auto same = [&](ValueId va, ValueId vb) {
    const auto it = to.find(va);
    return it != to.end() && it->second == vb;
  };
  for (size_t i = 0; i < oa.size(); ++i) {
    const Node &na = a.node(oa[i]), &nb = b.node(ob[i]);
    if (na.op != nb.op || na.name != nb.name || na.attributes != nb.attributes ||
        na.origins != nb.origins || na.operands.size() != nb.operands.size() ||
        na.results.size() != nb.results.size() || !equal_constants(na.constant, nb.constant) ||
        (na.body != nullptr) != (nb.body != nullptr))
      return false;
    for (size_t j = 0; j < na.operands.size(); ++j)
      if (!same(na.operands[j], nb.operands[j])) return false;
    for (size_t j = 0; j < na.results.size(); ++j) to[na.results[j]] = nb.results[j];
    for (size_t j = 0; j < na.results.size(); ++j) {
      const TensorType &ta = a.type(na.results[j]), &tb = b.type(nb.results[j]);
      if (ta.scale.is_dynamic() != tb.scale.is_dynamic()) return false;
      if (ta.scale.is_dynamic() ? ta.shape != tb.shape || ta.numeric != tb.numeric ||
                                      !same(ta.scale.source(), tb.scale.source())
                                : ta != tb)
        return false;
    }
    if (na.body && !equal(*na.body, *nb.body)) return false;
  }
  for (size_t i = 0; i < a.inputs().size(); ++i)
    if (!same(a.inputs()[i], b.inputs()[i])) return false;
  for (size_t i = 0; i < a.outputs().size(); ++i)
    if (a.outputs()[i].name != b.outputs()[i].name ||
        !same(a.outputs()[i].value, b.outputs()[i].value))
      return false;
  return true;
}

std::string to_dot(const Graph& graph) {
  std::string out = "digraph \"" + dot_text(graph.name) + "\" {\n  node [shape=box];\n";
  const auto edge = [&](ValueId from, const std::string& to) {
    out += join_text("  n", graph.producer(from).id, " -> ", to, ";\n");
  };
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    std::string label = join_text(node.op->name, "\\n", dot_text(node.name));
    std::string layers;
    for (const Origin& o : node.origins)
      if (!o.layer.empty()) layers += (layers.empty() ? "" : ", ") + dot_text(o.to_string());
    if (!layers.empty()) label += "\\n" + layers;
    for (const ValueId v : node.results) label += "\\n" + dot_text(graph.type(v).to_string());
    out += join_text("  n", id, " [label=\"", label, "\"];\n");
    for (const ValueId v : node.operands) edge(v, join_text("n", id));
  }
  for (size_t i = 0; i < graph.outputs().size(); ++i) {
    out += join_text("  out", i, " [label=\"", dot_text(graph.outputs()[i].name),
                     "\", shape=ellipse];\n");
    edge(graph.outputs()[i].value, join_text("out", i));
  }
  return out + "}\n";
}

}  // namespace qloom
