#include "graph/graph.h"

#include <algorithm>
#include <unordered_set>

#include "graph/interpret.h"
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"

namespace qloom {

struct Graph::Data {
  struct Value {
    TensorType type;
    NodeId producer;
    int index = 0;
  };
  EvaluationOptions options;
  std::vector<std::unique_ptr<Node>> nodes;  // by id; null when erased
  std::vector<Value> values;                 // by id
  std::vector<ValueId> inputs;
  std::vector<Output> outputs;

  Value& value(ValueId v) {
    qloom_assert(v.valid() && static_cast<size_t>(v.index) < values.size() &&
                     values[static_cast<size_t>(v.index)].producer.valid(),
                 "no value ", v);
    return values[static_cast<size_t>(v.index)];
  }
  Node& node(NodeId n) {
    qloom_assert(n.valid() && static_cast<size_t>(n.index) < nodes.size() &&
                     nodes[static_cast<size_t>(n.index)],
                 "no node ", n);
    return *nodes[static_cast<size_t>(n.index)];
  }
  NodeId next_node() const { return NodeId{static_cast<int32_t>(nodes.size())}; }
  ValueId next_value(size_t ahead = 0) const {
    return ValueId{static_cast<int32_t>(values.size() + ahead)};
  }
  // Puts the node into the arena with results of these types.
  Node& insert(std::unique_ptr<Node> node, std::vector<TensorType> types) {
    node->id = next_node();
    for (size_t i = 0; i < types.size(); ++i) {
      node->results.push_back(next_value());
      values.push_back({std::move(types[i]), node->id, static_cast<int>(i)});
    }
    nodes.push_back(std::move(node));
    return *nodes.back();
  }
};

namespace {

std::vector<TensorType> infer(const Graph& graph, const Node& node,
                              std::span<const ValueId> results) {
  std::vector<TensorType> types;
  std::vector<const Node*> constants;
  for (const ValueId v : node.operands) {
    types.push_back(graph.type(v));
    constants.push_back(graph.constant_of(v));
  }
  return node.op->infer({node, types, constants, graph.options(), results});
}

void check_operand_count(const Node& node) {
  const auto& defs = node.op->operands;
  size_t least = 0;
  for (const OperandDef& d : defs) least += d.optional ? 0 : 1;
  const bool variadic = !defs.empty() && defs.back().variadic;
  const size_t count = node.operands.size();
  qloom_check(count >= least && (variadic || count <= defs.size()), ops::label(node), ": has ",
              count, " operands, expected ", least, variadic ? " or more" : "");
}

std::unique_ptr<Node> make_node(const OpDef& op, std::string name, std::vector<Origin> origins) {
  auto node = std::make_unique<Node>();
  node->op = &op;
  node->name = std::move(name);
  node->origins = std::move(origins);
  return node;
}

std::vector<Origin> origins_of(Origin origin) {
  if (origin == Origin{}) return {};
  return {std::move(origin)};
}

}  // namespace

std::string Origin::to_string() const {
  if (!layer.empty()) return layer_class.empty() ? layer : layer + " (" + layer_class + ")";
  return file.empty() ? "" : file + ":" + std::to_string(line);
}

Graph::Graph() : d_(std::make_unique<Data>()) {}
Graph::~Graph() = default;
Graph::Graph(Graph&&) noexcept = default;
Graph& Graph::operator=(Graph&&) noexcept = default;

Graph Graph::clone() const {
  Graph out;
  out.name = name;
  out.d_->options = d_->options;
  out.d_->values = d_->values;
  out.d_->inputs = d_->inputs;
  out.d_->outputs = d_->outputs;
  for (const auto& node : d_->nodes) {
    auto& copy = out.d_->nodes.emplace_back();
    if (!node) continue;
    copy = make_node(*node->op, node->name, node->origins);
    copy->id = node->id;
    copy->attributes = node->attributes;
    copy->operands = node->operands;
    copy->results = node->results;
    copy->constant = node->constant;
    if (node->body) copy->body = std::make_unique<Graph>(node->body->clone());
  }
  return out;
}

const EvaluationOptions& Graph::options() const { return d_->options; }

void Graph::set_options(const EvaluationOptions& options) {
  d_->options = options;
  for (const auto& node : d_->nodes)
    if (node && node->body) node->body->set_options(options);
}

ValueId Graph::add_input(std::string node_name, TensorType type, Origin origin) {
  qloom_check(!find(node_name), "input '", node_name, "': the name is taken");
  auto node = make_node(ops::input, std::move(node_name), origins_of(std::move(origin)));
  const ValueId v = d_->insert(std::move(node), {std::move(type)}).results[0];
  d_->inputs.push_back(v);
  return v;
}

ValueId Graph::add_constant(std::string node_name, Tensor values, Origin origin) {
  TensorType type;
  type.shape.assign(values.extents().begin(), values.extents().end());
  type.numeric = ops::tightest_numeric(values.f32());
  if (type.has_codes()) values = to_codes(values, type);
  return add_constant(std::move(node_name), std::move(values), std::move(type), std::move(origin));
}

ValueId Graph::add_constant(std::string node_name, Tensor codes, TensorType type, Origin origin) {
  qloom_check(!find(node_name), "constant '", node_name, "': the name is taken");
  qloom_assert(qloom::bind(type.shape, -1) == codes.extents(), "constant '", node_name,
               "': the data does not have the extents of ", type);
  qloom_assert(codes.dtype() == (type.has_codes() ? DType::i64 : DType::f32), "constant '",
               node_name, "': ", type, " cannot be held as ", name_of(codes.dtype()));
  if (type.has_codes()) {
    const Numeric::Grid grid = *type.numeric.grid();
    for (const int64_t c : codes.i64())
      qloom_assert(c >= grid.lo && c <= grid.hi, "constant '", node_name, "': code ", c,
                   " is outside of ", type);
  }
  auto node = make_node(ops::constant, std::move(node_name), origins_of(std::move(origin)));
  node->constant = std::move(codes);
  return d_->insert(std::move(node), {std::move(type)}).results[0];
}

ValueId Graph::add_variable(std::string node_name, Tensor initial, bool per_sample, Origin origin) {
  auto node = make_node(ops::variable, std::move(node_name), origins_of(std::move(origin)));
  qloom_check(!find(node->name), ops::label(*node), ": the name is taken");
  const Extents& extents = initial.extents();
  TensorType type{{extents.begin(), extents.end()}, Numeric::float32(), {}};
  if (per_sample) {
    qloom_check(!extents.empty() && extents[0] == 1, ops::label(*node),
                ": the initial value of a state per sample has the shape ", to_string(type.shape),
                ", expected 1 on the leading axis");
    type.shape[0] = Dim::batch();
  }
  qloom_assert(initial.dtype() == DType::f32, ops::label(*node), ": the initial value is no f32");
  node->constant = std::move(initial);
  return d_->insert(std::move(node), {std::move(type)}).results[0];
}

Node& Graph::add(const OpDef& op, std::string node_name, std::vector<ValueId> operands,
                 Attributes attributes, Origin origin) {
  auto node = make_node(op, std::move(node_name), origins_of(std::move(origin)));
  qloom_check(!find(node->name), ops::label(*node), ": the name is taken");
  for (const ValueId v : operands) (void)d_->value(v);
  node->operands = std::move(operands);
  check_operand_count(*node);
  try {
    node->attributes = op.attrs(attributes);
  } catch (const UserError& e) {
    throw UserError(ops::label(*node) + ": " + e.what());
  }
  const ValueId ahead[] = {d_->next_value(0), d_->next_value(1)};
  std::vector<TensorType> types = infer(*this, *node, ahead);
  return d_->insert(std::move(node), std::move(types));
}

Node& Graph::add_region(std::string node_name, std::vector<ValueId> operands, Graph body,
                        std::vector<Origin> origins) {
  return add_body(ops::region, std::move(node_name), std::move(operands), {}, std::move(body),
                  std::move(origins));
}

Node& Graph::add_scan(std::string node_name, std::vector<ValueId> operands, Attributes attributes,
                      Graph body, std::vector<Origin> origins) {
  return add_body(ops::scan, std::move(node_name), std::move(operands), std::move(attributes),
                  std::move(body), std::move(origins));
}

Node& Graph::add_body(const OpDef& op, std::string node_name, std::vector<ValueId> operands,
                      Attributes attributes, Graph body, std::vector<Origin> origins) {
  auto node = make_node(op, std::move(node_name), std::move(origins));
  qloom_check(!find(node->name), ops::label(*node), ": the name is taken");
  for (const ValueId v : operands) (void)d_->value(v);
  node->operands = std::move(operands);
  check_operand_count(*node);
  node->attributes = op.attrs(attributes);
  body.set_options(options());
  node->body = std::make_unique<Graph>(std::move(body));
  if (node->is(ops::scan)) ops::settle_scan(*this, *node);
  std::vector<ValueId> ahead;
  for (size_t i = 0; i < node->body->outputs().size(); ++i) ahead.push_back(d_->next_value(i));
  std::vector<TensorType> types = infer(*this, *node, ahead);
  return d_->insert(std::move(node), std::move(types));
}

void Graph::add_output(std::string output_name, ValueId value) {
  (void)d_->value(value);
  for (const Output& o : d_->outputs)
    qloom_check(o.name != output_name, "output '", output_name, "': the name is taken");
  d_->outputs.push_back({std::move(output_name), value});
}

std::span<const ValueId> Graph::inputs() const { return d_->inputs; }
std::span<const Graph::Output> Graph::outputs() const { return d_->outputs; }
const Node& Graph::node(NodeId id) const { return d_->node(id); }
Node& Graph::node(NodeId id) { return d_->node(id); }
const TensorType& Graph::type(ValueId v) const { return d_->value(v).type; }
const Node& Graph::producer(ValueId v) const { return d_->node(d_->value(v).producer); }
int Graph::result_index(ValueId v) const { return d_->value(v).index; }

const Node* Graph::constant_of(ValueId v) const {
  const Node& n = producer(v);
  return n.is(ops::constant) ? &n : nullptr;
}

std::vector<NodeId> Graph::users(ValueId v) const {
  std::vector<NodeId> out;
  for (const NodeId id : order()) {
    const auto& operands = node(id).operands;
    if (std::find(operands.begin(), operands.end(), v) != operands.end()) out.push_back(id);
  }
  return out;
}

bool Graph::is_output(ValueId v) const {
  return std::any_of(d_->outputs.begin(), d_->outputs.end(),
                     [&](const Output& o) { return o.value == v; });
}

bool Graph::used_once(ValueId v) const {
  if (is_output(v)) return false;
  int64_t uses = 0;
  for (const auto& n : d_->nodes)
    if (n) uses += std::count(n->operands.begin(), n->operands.end(), v);
  return uses == 1;
}

std::vector<NodeId> Graph::order() const {
  // Depth first over operands, roots in order of insertion; without recursion, since graphs are
  // deep.
  enum class Mark : uint8_t { fresh, open, done };
  std::vector<Mark> marks(d_->nodes.size(), Mark::fresh);
  std::vector<NodeId> out, stack;
  for (const auto& root : d_->nodes) {
    if (!root) continue;
    stack.push_back(root->id);
    while (!stack.empty()) {
      const NodeId id = stack.back();
      Mark& mark = marks[static_cast<size_t>(id.index)];
      if (mark != Mark::fresh) {
        if (mark == Mark::open) out.push_back(id);
        mark = Mark::done;
        stack.pop_back();
        continue;
      }
      mark = Mark::open;
      const Node& n = d_->node(id);
      for (size_t i = n.operands.size(); i-- > 0;) {
        const NodeId p = d_->value(n.operands[i]).producer;
        const Mark m = marks[static_cast<size_t>(p.index)];
        // Open nodes are those whose operands are being visited: the path from the root to here.
        qloom_assert(m != Mark::open, "graph '", name, "': node '", d_->node(p).name,
                     "' depends on itself");
        if (m == Mark::fresh) stack.push_back(p);
      }
    }
  }
  return out;
}

size_t Graph::node_count() const {
  return static_cast<size_t>(std::count_if(d_->nodes.begin(), d_->nodes.end(),
                                           [](const auto& n) { return n != nullptr; }));
}

const Node* Graph::find(std::string_view node_name) const {
  for (const auto& n : d_->nodes)
    if (n && n->name == node_name) return n.get();
  return nullptr;
}

std::string Graph::fresh_name(std::string_view stem) const {
  std::string candidate(stem);
  for (int i = 1; find(candidate); ++i) candidate = join_text(stem, ".", i);
  return candidate;
}

void Graph::replace_all_uses(ValueId from, ValueId to) {
  (void)d_->value(from);
  (void)d_->value(to);
  for (const auto& n : d_->nodes)
    if (n) std::replace(n->operands.begin(), n->operands.end(), from, to);
  for (Output& o : d_->outputs)
    if (o.value == from) o.value = to;
  for (Data::Value& v : d_->values)
    if (v.type.scale.is_dynamic() && v.type.scale.source() == from)
      v.type.scale = Scale::dynamic(to);
}

void Graph::set_operand(NodeId id, int index, ValueId value) {
  (void)d_->value(value);
  Node& n = d_->node(id);
  qloom_assert(index >= 0 && static_cast<size_t>(index) < n.operands.size(), "node '", n.name,
               "' has no operand ", index);
  n.operands[static_cast<size_t>(index)] = value;
}

void Graph::erase(NodeId id) {
  const Node& n = d_->node(id);
  for (const ValueId v : n.results) {
    qloom_assert(!is_output(v), "node '", n.name, "' is erased but is an output");
    for (const auto& user : d_->nodes)
      if (user && user->id != id)
        qloom_assert(
            std::find(user->operands.begin(), user->operands.end(), v) == user->operands.end(),
            "node '", n.name, "' is erased but used by '", user->name, "'");
  }
  for (const ValueId v : n.results) {
    d_->values[static_cast<size_t>(v.index)] = {};
    std::erase(d_->inputs, v);
  }
  d_->nodes[static_cast<size_t>(id.index)].reset();
}

int Graph::remove_dead() {
  std::vector<bool> live(d_->nodes.size(), false);
  std::vector<NodeId> work;
  const auto mark = [&](ValueId v) {
    const NodeId p = d_->value(v).producer;
    if (live[static_cast<size_t>(p.index)]) return;
    live[static_cast<size_t>(p.index)] = true;
    work.push_back(p);
  };
  for (const ValueId v : d_->inputs) mark(v);
  for (const Output& o : d_->outputs) mark(o.value);
  for (const auto& n : d_->nodes)
    if (n && n->is(ops::assign)) mark(n->results[0]);
  while (!work.empty()) {
    const NodeId id = work.back();
    work.pop_back();
    const Node& n = d_->node(id);
    for (const ValueId v : n.operands) mark(v);
    for (const ValueId v : n.results)
      if (const Scale& s = d_->value(v).type.scale; s.is_dynamic()) mark(s.source());
  }
  int removed = 0;
  for (size_t i = 0; i < live.size(); ++i) {
    if (!d_->nodes[i] || live[i]) continue;
    for (const ValueId v : d_->nodes[i]->results) d_->values[static_cast<size_t>(v.index)] = {};
    d_->nodes[i].reset();
    ++removed;
  }
  return removed;
}

void Graph::set_input_type(ValueId input, TensorType type) {
  qloom_assert(producer(input).is(ops::input), "value ", input, " is no input of graph '", name,
               "'");
  d_->value(input).type = std::move(type);
}

void Graph::infer_body(const Node& node) {
  if (node.is(ops::scan)) return ops::settle_scan(*this, node);
  Graph& body = *node.body;
  for (size_t i = 0; i < node.operands.size() && i < body.inputs().size(); ++i)
    body.set_input_type(body.inputs()[i], ops::body_input_type(type(node.operands[i])));
  body.infer_types();
}

void Graph::infer_types() {
  for (const NodeId id : order()) {
    Node& n = d_->node(id);
    if (n.body) infer_body(n);
    std::vector<TensorType> types = infer(*this, n, n.results);
    if (types.empty()) continue;  // inputs and constants have the type they were given
    qloom_assert(types.size() == n.results.size(), ops::label(n), ": inference gives ",
                 types.size(), " results, the node has ", n.results.size());
    for (size_t i = 0; i < types.size(); ++i) d_->value(n.results[i]).type = std::move(types[i]);
  }
}

void Graph::replace_output(int index, ValueId value) {
  (void)d_->value(value);
  qloom_assert(index >= 0 && static_cast<size_t>(index) < d_->outputs.size(), "no output ", index);
  d_->outputs[static_cast<size_t>(index)].value = value;
}

void Graph::clear_outputs() { d_->outputs.clear(); }

}  // namespace qloom
