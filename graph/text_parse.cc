// graph/text_parse.cc — reads the text form of graphs. First into statements, since the data of
// constants follows after all graphs; then statements into a Graph, whose types are inferred again
// and compared with those that were written.
#include <bit>
#include <cmath>
#include <map>
#include <memory>

#include "graph/interpret.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/text.h"
#include "graph/text_reader.h"

namespace qloom {
namespace {

using text::Reader;

constexpr int kMaxDepth = 16;  // bodies within bodies

struct Body;

struct Result {
  int64_t number = 0;
  std::string type;  // as written
  size_t at = 0;
};

struct Statement {
  size_t at = 0;
  std::string name, op;
  std::vector<Result> results;
  std::vector<int64_t> operands;
  Attributes attributes;
  std::vector<Origin> origins;
  std::unique_ptr<Body> body;
  std::string body_name;
};

struct OutputStatement {
  size_t at = 0;
  std::string name;
  int64_t number = 0;
};

struct Body {
  std::vector<Statement> statements;
  std::vector<OutputStatement> outputs;
};

struct Parser {
  explicit Parser(std::string_view source) : in(source) {}

  Reader in;
  EvaluationOptions options;
  std::map<int64_t, Tensor> data, scales;  // by value number

  // UserErrors thrown while building get the place of the statement.
  template <class Build>
  auto located(size_t at, Build&& build) {
    try {
      return build();
    } catch (const UserError& e) {
      if (std::string_view(e.what()).starts_with(Reader::kErrorPrefix)) throw;  // has its place
      in.set_position(at);
      in.fail(e.what());
    }
  }

  int64_t number() {
    in.expect("%");
    return in.integer();
  }

  Origin origin() {
    Origin o;
    const std::string name = in.name();
    if (in.take(":")) {
      o.file = name;
      o.line = static_cast<int>(in.integer());
      return o;
    }
    o.layer = name;
    if (in.take("(")) {
      o.layer_class = in.name();
      in.expect(")");
    }
    return o;
  }

  void option() {
    if (in.take("division")) {
      in.expect("reciprocal");
      options.division = Division::reciprocal;
    } else if (in.take("batch_norm")) {
      in.expect("fused_multiply_add");
      options.batch_norm = BatchNormRounding::fused_multiply_add;
    } else if (in.take("internal_sigmoid")) {
      const bool smooth = in.take("smooth");
      if (!smooth) in.expect("real");
      options.internal_sigmoid = smooth ? InternalSigmoid::smooth : InternalSigmoid::real;
    } else {
      in.fail("expected division, batch_norm or internal_sigmoid");
    }
  }

  Body body(int depth) {
    if (depth > kMaxDepth) in.fail("bodies are nested too deeply");
    Body out;
    while (!in.take("}")) {
      if (depth == 0 && in.take("option")) {
        option();
        continue;
      }
      const size_t at = in.position();
      if (in.take("output")) {
        std::string name = in.name();
        in.expect("=");
        out.outputs.push_back({at, std::move(name), number()});
        continue;
      }
      Statement s;
      s.at = at;
      do {
        Result r;
        r.number = number();
        if (s.results.empty()) s.name = in.name();
        in.expect(":");
        r.at = in.position();
        r.type = in.until(",=");
        s.results.push_back(std::move(r));
      } while (in.take(","));
      in.expect("=");
      s.op = in.name();
      if (in.take("(")) {
        do s.operands.push_back(number());
        while (in.take(","));
        in.expect(")");
      }
      if (const size_t begin = in.position(); in.take("{")) {
        in.set_position(begin);
        const std::string_view written = in.until("@\n");
        // "{…} body {" without an origin: the attributes end at their own brace.
        const size_t end = end_of_braces(written);
        s.attributes = located(begin, [&] { return Attributes::parse(written.substr(0, end)); });
        in.set_position(begin + end);
      }
      if (in.take("@")) do
          s.origins.push_back(origin());
        while (in.take(","));
      if (in.take("body")) {
        s.body_name = in.name();
        in.expect("{");
        s.body = std::make_unique<Body>(body(depth + 1));
      }
      out.statements.push_back(std::move(s));
    }
    return out;
  }

  static size_t end_of_braces(std::string_view s) {
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < s.size(); ++i) {
      if (quoted) {
        if (s[i] == '\\')
          ++i;
        else if (s[i] == '\'')
          quoted = false;
        continue;
      }
      if (s[i] == '\'') quoted = true;
      if (s[i] == '{') ++depth;
      if (s[i] == '}' && --depth == 0) return i + 1;
    }
    return s.size();
  }

  void constants() {
    in.expect("constants");
    in.expect("{");
    while (!in.take("}")) {
      const int64_t n = number();
      const bool scale = in.take("scale");
      const size_t at = in.position();
      const bool f32 = in.take("f32"), f64 = !f32 && in.take("f64");
      if (!f32 && !f64) in.expect("i64");
      if (scale != f64) in.fail("scales are f64, data is f32 or i64");
      Extents extents;
      for (const Dim d : shape()) {
        if (d.is_batch()) in.fail("data with a batch axis");
        extents.push_back(d.extent());
      }
      in.expect(":");
      const int64_t count = located(at, [&] { return element_count(extents); });
      const auto read = [&](auto one) {
        std::vector<decltype(one())> values;  // grows with the text, not with what it claims
        for (int64_t i = 0; i < count; ++i) values.push_back(one());
        return Tensor(extents, std::move(values));
      };
      Tensor t = f32 ? read([&] { return std::bit_cast<float>(static_cast<uint32_t>(in.hex(8))); })
                 : f64 ? read([&] { return std::bit_cast<double>(in.hex(16)); })
                       : read([&] { return in.integer(); });
      if (!(scale ? scales : data).emplace(n, std::move(t)).second) in.fail("data is there twice");
    }
  }

  Shape shape() {
    in.expect("[");
    Shape out;
    if (in.take("]")) return out;
    do {
      if (in.take("N")) {
        out.push_back(Dim::batch());
        continue;
      }
      const int64_t e = in.integer();
      if (e < 0) in.fail("a negative extent");
      out.emplace_back(e);
    } while (in.take(","));
    in.expect("]");
    return out;
  }

  // The type of an input or constant; its scale per axis is in the constants section.
  TensorType type(const Result& r) {
    const size_t back = in.position();
    in.set_position(r.at);
    TensorType t;
    t.shape = shape();
    const size_t at = in.position();
    std::string numeric(in.until(",=\xc3"));  // "×" begins with this byte
    t.numeric = located(at, [&] { return Numeric::parse(numeric); });
    if (in.take("×")) {
      if (in.take("scale")) {
        const auto it = scales.find(r.number);
        if (it == scales.end()) in.fail("the scale's data is missing");
        check_scale(t.shape, it->second);
        t.scale = Scale::constant(it->second);
      } else {
        t.scale = Scale::constant(in.real());
      }
    }
    in.set_position(back);
    return t;
  }

  void check_scale(const Shape& shape, const Tensor& scale) {
    bool fits = static_cast<size_t>(scale.rank()) == shape.size() && scale.size() > 0;
    for (size_t i = 0; fits && i < shape.size(); ++i)
      fits = scale.extents()[i] == 1 || shape[i] == Dim(scale.extents()[i]);
    if (!fits) in.fail("the scale's extents do not fit the shape");
  }

  void check_constant(const Statement& s, const TensorType& t, const Tensor& values) {
    in.set_position(s.at);
    bool fits = static_cast<size_t>(values.rank()) == t.shape.size() &&
                values.dtype() == (t.has_codes() ? DType::i64 : DType::f32);
    for (size_t i = 0; fits && i < t.shape.size(); ++i)
      fits = t.shape[i] == Dim(values.extents()[i]);
    if (!fits) in.fail("the constant's data does not fit its type");
    if (!t.has_codes()) return;
    const Numeric::Grid grid = *t.numeric.grid();
    for (const int64_t c : values.i64())
      if (c < grid.lo || c > grid.hi) in.fail(join_text("code ", c, " is outside of ", t));
  }

  Graph build(const Body& body, std::string name) {
    Graph graph;
    graph.name = std::move(name);
    graph.set_options(options);
    std::map<int64_t, ValueId> values;
    const auto value = [&](int64_t n, size_t at) {
      const auto it = values.find(n);
      if (it != values.end()) return it->second;
      in.set_position(at);
      in.fail(join_text("%", n, " is not defined before"));
    };
    for (const Statement& s : body.statements) {
      std::vector<ValueId> operands;
      for (const int64_t n : s.operands) operands.push_back(value(n, s.at));
      located(s.at, [&] { add(graph, s, std::move(operands)); });
      Node& node = graph.node(graph.find(s.name)->id);
      node.origins = s.origins;
      if (node.results.size() != s.results.size()) {
        in.set_position(s.at);
        in.fail(join_text("the node has ", node.results.size(), " results"));
      }
      for (size_t i = 0; i < s.results.size(); ++i)
        if (!values.emplace(s.results[i].number, node.results[i]).second) {
          in.set_position(s.at);
          in.fail(join_text("%", s.results[i].number, " is defined twice"));
        }
      for (size_t i = 0; i < s.results.size(); ++i)
        compare_type(graph.type(node.results[i]), s.results[i], values);
    }
    for (const OutputStatement& o : body.outputs)
      located(o.at, [&] { graph.add_output(o.name, value(o.number, o.at)); });
    return graph;
  }

  void add(Graph& graph, const Statement& s, std::vector<ValueId> operands) {
    const OpDef* op = find_op(s.op);
    qloom_check(op, "'", s.op, "' is no op");
    qloom_check(op->has_body == (s.body != nullptr),
                "only regions and scans have a body, and all have");
    qloom_check(s.results.size() == 1 ||
                    (op != &ops::input && op != &ops::constant && op != &ops::variable),
                "an input, constant or variable has one result");
    if (op == &ops::input) {
      (void)graph.add_input(s.name, type(s.results[0]));
    } else if (op == &ops::constant) {
      const auto it = data.find(s.results[0].number);
      qloom_check(it != data.end(), "the constant's data is missing");
      TensorType t = type(s.results[0]);
      check_constant(s, t, it->second);
      (void)graph.add_constant(s.name, it->second, std::move(t));
    } else if (op == &ops::scan) {
      (void)graph.add_scan(s.name, std::move(operands), s.attributes, build(*s.body, s.body_name),
                           s.origins);
    } else if (op == &ops::variable) {
      const auto it = data.find(s.results[0].number);
      qloom_check(it != data.end(), "the variable's initial value is missing");
      const TensorType t = type(s.results[0]);
      qloom_check(t.numeric.is_float32() && it->second.dtype() == DType::f32,
                  "a variable is float32");
      (void)graph.add_variable(s.name, it->second, !t.shape.empty() && t.shape[0].is_batch());
    } else if (op == &ops::region) {
      (void)graph.add_region(s.name, std::move(operands), build(*s.body, s.body_name), s.origins);
    } else {
      (void)graph.add(*op, s.name, std::move(operands), s.attributes);
    }
  }

  // What inference says has to be what was written; a scale's values are not compared, they follow.
  void compare_type(const TensorType& type, const Result& r,
                    const std::map<int64_t, ValueId>& values) {
    std::string text = to_string(type.shape) + " " + type.numeric.to_string();
    if (type.scale.is_dynamic()) {
      for (const auto& [n, v] : values)
        if (v == type.scale.source()) text += join_text(" × scale(%", n, ")");
    } else {
      text += type.scale.to_string();
    }
    if (text == r.type) return;
    in.set_position(r.at);
    in.fail(join_text("the type is ", text, ", not ", r.type));
  }
};

}  // namespace

Graph parse_graph(std::string_view source) {
  Parser p(source);
  p.in.expect("graph");
  std::string name = p.in.name();
  p.in.expect("{");
  const Body body = p.body(0);
  p.constants();
  if (!p.in.at_end()) p.in.fail("text after the end");
  return p.build(body, std::move(name));
}

}  // namespace qloom
