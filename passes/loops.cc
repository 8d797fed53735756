#include "passes/loops.h"

#include <algorithm>

#include "graph/ops/attributes.h"
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"
#include "passes/edit.h"

namespace qloom::passes {
namespace {

// `also`: states that nobody reads behind the loop; they are kept with what somebody reads.
constexpr OperandDef kOperands[] = {{.name = "x"},
                                    {.name = "also", .optional = true, .variadic = true}};

OpCounts count(const Node&, std::span<const TensorType>, std::span<const TensorType>) { return {}; }

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  fail_internal(std::source_location::current(),
                ops::label(c.node) + ": loops are no part of what is evaluated");
}

std::vector<TensorType> infer_step(const InferContext& c) {
  return {ops::step_type(c.operands[0])};
}

std::vector<TensorType> infer_collect(const InferContext& c) {
  const auto a = from_attributes<LoopSequence>(c.node.attributes);
  return {ops::collected_type(c.operands[0], Dim(a.steps))};
}

std::vector<TensorType> infer_state(const InferContext& c) {
  const auto a = from_attributes<LoopState>(c.node.attributes);
  Shape shape{Dim::batch()};
  shape.insert(shape.end(), a.extents.begin(), a.extents.end());
  return {{std::move(shape), Numeric::parse(a.numeric), Scale::constant(a.scale)}};
}

using ValueMap = std::map<ValueId, ValueId>;

class Flattener {
 public:
  explicit Flattener(const Graph& graph) : graph_(graph) {}

  Graph run() {
    out_.name = graph_.name;
    out_.set_options(graph_.options());
    for (const ValueId input : graph_.inputs())
      copy_node(graph_, graph_.producer(input), out_, map_);
    for (const NodeId id : graph_.order()) {
      const Node& node = graph_.node(id);
      if (node.op == &ops::scan)
        scan(node);
      else if (node.op != &ops::input)
        copy_node(graph_, node, out_, map_);
    }
    for (const Graph::Output& o : graph_.outputs()) out_.add_output(o.name, map_.at(o.value));
    return std::move(out_);
  }

 private:
  ValueId add(const OpDef& op, const std::string& stem, ValueId x, Attributes attributes,
              const Node& scan, std::vector<ValueId> also = {}) {
    also.insert(also.begin(), x);
    return AddLike(out_, scan)(op, stem, std::move(also), std::move(attributes));
  }

  void scan(const Node& node) {
    const auto a = from_attributes<ops::Scan>(node.attributes);
    const Graph& body = *node.body;
    const auto sequences = static_cast<size_t>(a.sequences), states = static_cast<size_t>(a.states);
    const LoopSequence sequence{loops_, graph_.type(node.operands[0]).shape[1].extent(), a.reverse};
    ValueMap inner;
    std::vector<Attributes> state_attributes;
    for (size_t i = 0; i < node.operands.size(); ++i) {
      const ValueId outside = map_.at(node.operands[i]), inside = body.inputs()[i];
      const std::string stem = node.name + "/" + body.producer(inside).name;
      if (i < sequences) {
        inner[inside] = add(loop_step, stem, outside, to_attributes(sequence), node);
      } else if (i < sequences + states) {
        const TensorType& type = body.type(inside);
        LoopState state{.loop = loops_,
                        .steps = sequence.steps,
                        .state = static_cast<int64_t>(i - sequences),
                        .numeric = type.numeric.to_string(),
                        .scale = type.scale.per_tensor()};
        for (size_t d = 1; d < type.shape.size(); ++d)
          state.extents.push_back(type.shape[d].extent());
        state_attributes.push_back(to_attributes(state));
        inner[inside] = add(loop_state, stem, outside, state_attributes.back(), node);
      } else {
        inner[inside] = outside;
      }
    }
    for (const NodeId id : body.order()) {
      const Node& n = body.node(id);
      if (n.op == &ops::input) continue;
      qloom_check(n.op != &ops::scan, ops::label(node),
                  ": a scan within a scan cannot be compiled");
      copy_node(body, n, out_, inner);
    }
    const auto is_read = [&](size_t k) {
      return graph_.is_output(node.results[k]) || !graph_.users(node.results[k]).empty();
    };
    std::vector<ValueId> also;
    for (const bool read : {false, true})
      for (size_t k = 0; k < body.outputs().size(); ++k) {
        if (is_read(k) != read) continue;
        const ValueId value = inner.at(body.outputs()[k].value);
        const std::string stem = join_text(node.name, k < states ? "/after" : "/all", k);
        if (read)
          map_[node.results[k]] =
              k < states
                  ? add(loop_carry, stem, value, state_attributes[k], node, std::move(also))
                  : add(loop_collect, stem, value, to_attributes(sequence), node, std::move(also));
        else if (k < states && !body.users(body.inputs()[sequences + k]).empty())
          also.push_back(add(loop_carry, stem, value, state_attributes[k], node));
        if (read) also.clear();
      }
    ++loops_;
  }

  const Graph& graph_;
  Graph out_;
  ValueMap map_;
  int64_t loops_ = 0;
};

}  // namespace

extern constinit const OpDef loop_step{.name = "loop_step",
                                       .doc = "One step of a sequence.",
                                       .operands = kOperands,
                                       .attrs = attrs_of<LoopSequence>,
                                       .infer = infer_step,
                                       .evaluate = evaluate,
                                       .count = count};
extern constinit const OpDef loop_state{.name = "loop_state",
                                        .doc = "A state before a step.",
                                        .operands = kOperands,
                                        .attrs = attrs_of<LoopState>,
                                        .infer = infer_state,
                                        .evaluate = evaluate,
                                        .count = count};
extern constinit const OpDef loop_carry{.name = "loop_carry",
                                        .doc = "A state behind the last step.",
                                        .operands = kOperands,
                                        .attrs = attrs_of<LoopState>,
                                        .infer = infer_state,
                                        .evaluate = evaluate,
                                        .count = count};
extern constinit const OpDef loop_collect{.name = "loop_collect",
                                          .doc = "What a value is at each step.",
                                          .operands = kOperands,
                                          .attrs = attrs_of<LoopSequence>,
                                          .infer = infer_collect,
                                          .evaluate = evaluate,
                                          .count = count};

bool is_loop_op(const Node& node) {
  return node.op == &loop_step || node.op == &loop_state || node.op == &loop_carry ||
         node.op == &loop_collect;
}

bool has_scans(const Graph& graph) {
  return std::ranges::any_of(graph.order(),
                             [&](NodeId id) { return graph.node(id).op == &ops::scan; });
}

Graph flatten_scans(const Graph& graph) { return Flattener(graph).run(); }

std::map<NodeId, int64_t> loops_of(const Graph& graph) {
  std::map<NodeId, int64_t> loops;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (node.op == &loop_step || node.op == &loop_state)
      loops[id] = node.attributes["loop"].as_integer();
    if (is_loop_op(node)) continue;
    for (const ValueId operand : node.operands)
      if (const auto at = loops.find(graph.producer(operand).id); at != loops.end())
        loops[id] = at->second;
  }
  return loops;
}

int64_t repeats_of(const Graph& graph, const std::map<NodeId, int64_t>& loops, NodeId node) {
  const auto at = loops.find(node);
  if (at == loops.end()) return 1;
  for (const NodeId id : graph.order())
    if (const Node& n = graph.node(id);
        is_loop_op(n) && n.attributes["loop"].as_integer() == at->second)
      return n.attributes["steps"].as_integer();
  return 1;
}

const Node& partner_of(const Graph& graph, const Node& node) {
  const OpDef* other = node.op == &loop_state ? &loop_carry : &loop_state;
  for (const NodeId id : graph.order()) {
    const Node& n = graph.node(id);
    if (n.op == other && n.attributes == node.attributes) return n;
  }
  fail_internal(std::source_location::current(), "a state of a loop has no other end");
}

kernels::Storage loop_storage(const Graph& graph, const Node& node) {
  const TensorType& type = graph.type(node.results[0]);
  if (node.op == &loop_step || node.op == &loop_collect) {
    const kernels::Storage storage = kernels::plain_storage(type);
    return storage == kernels::plain_storage(graph.type(node.operands[0]))
               ? storage
               : kernels::Storage::f32();
  }
  const auto [state, carry] = node.op == &loop_state ? std::pair(&node, &partner_of(graph, node))
                                                     : std::pair(&partner_of(graph, node), &node);
  const ValueId initial = state->operands[0];
  const bool same_before = graph.users(state->results[0]).empty() || is_constant(graph, initial) ||
                           graph.type(initial) == type;
  if (same_before && graph.type(carry->operands[0]) == type) return kernels::plain_storage(type);
  return kernels::Storage::f32();
}

int64_t view_pitch(const Graph& graph, ValueId value) {
  const Node& node = graph.producer(value);
  if (node.op != &loop_step || graph.type(value).rank() != 2) return 0;
  for (const NodeId id : graph.users(value)) {
    const Node& user = graph.node(id);
    if (user.op != &ops::region || user.operands[0] == value) return 0;
  }
  return kernels::bytes_per_sample(graph.type(value).shape, loop_storage(graph, node)) *
         node.attributes["steps"].as_integer();
}

}  // namespace qloom::passes
