#include "passes/query.h"

#include <algorithm>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"
#include "passes/edit.h"
#include "passes/tail/accumulator.h"

namespace qloom::passes {
namespace {

using kernels::Window;

/// Zeros before the first element along one axis.
int64_t padding_before(ops::Padding padding, int64_t in, int64_t out, int64_t kernel,
                       int64_t stride, int64_t dilation) {
  const int64_t reach = (kernel - 1) * dilation + 1;
  if (padding == ops::Padding::causal) return reach - 1;
  if (padding == ops::Padding::valid) return 0;
  return std::max<int64_t>((out - 1) * stride + reach - in, 0) / 2;
}

Window conv_window(const Graph& graph, const Node& node) {
  const auto conv = from_attributes<ops::Conv>(node.attributes);
  const Shape& x = graph.type(node.operands[0]).shape;
  const Shape& k = graph.type(node.operands[1]).shape;
  const Shape& y = graph.type(node.results[0]).shape;
  Window w;
  w.groups = conv.groups;
  w.c = x.back().extent();
  w.n = y.back().extent();
  const size_t axes = x.size() - 2;
  w.w = x[axes].extent();
  w.out_w = y[axes].extent();
  w.kernel_w = k[axes - 1].extent();
  w.stride_w = conv.strides.back();
  w.dilation_w = conv.dilations.back();
  w.pad_left = padding_before(conv.padding, w.w, w.out_w, w.kernel_w, w.stride_w, w.dilation_w);
  if (axes == 2) {
    w.h = x[1].extent();
    w.out_h = y[1].extent();
    w.kernel_h = k[0].extent();
    w.stride_h = conv.strides.front();
    w.dilation_h = conv.dilations.front();
    w.pad_top = padding_before(conv.padding, w.h, w.out_h, w.kernel_h, w.stride_h, w.dilation_h);
  }
  return w;
}

/// Axes between batch and channels as rows.
int64_t rows_of(const Shape& shape) {
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i)
    if (shape[i].is_static()) rows *= shape[i].extent();
  return rows;
}

int64_t last_of(const Shape& shape) {
  return shape.empty() || !shape.back().is_static() ? 1 : shape.back().extent();
}

}  // namespace

Window window_of(const Graph& graph, const Node& node) {
  if (node.op == &ops::conv) return conv_window(graph, node);
  const Shape& x = graph.type(node.operands[0]).shape;
  const Shape& y = graph.type(node.results[0]).shape;
  Window w;
  w.h = rows_of(x);
  w.c = last_of(x);
  w.out_h = rows_of(y);
  w.n = last_of(y);
  return w;
}

kernels::Query query_of(const Graph& graph, const Node& node) {
  kernels::Query q;
  q.name = node.name;
  q.node = &node;
  q.input = graph.type(node.operands[0]);
  const Graph& inner = node.op == &ops::region ? *node.body : graph;
  const Node* root = node.op == &ops::region ? root_of(*node.body) : &node;
  if (root != nullptr && (root->op == &ops::conv || root->op == &ops::dense)) {
    q.root = root->op;
    q.window = window_of(inner, *root);
    q.weights = inner.type(root->operands[1]);
    const Node* weights = inner.constant_of(root->operands[1]);
    if (weights != nullptr && q.weights.has_codes() && q.input.has_codes()) {
      q.weight_codes = &*weights->constant;
      q.facts =
          std::make_shared<const kernels::WeightFacts>(kernels::weight_facts(*q.weight_codes));
      Interval interval = accumulator_interval(inner, *root);
      q.accumulator_lo = std::move(interval.lo);
      q.accumulator_hi = std::move(interval.hi);
    }
  } else {
    q.window = window_of(graph, node);
  }
  return q;
}

namespace {

const Node* product_of(const Graph& graph, const Node& node, const Graph*& inner) {
  inner = node.op == &ops::region ? node.body.get() : &graph;
  const Node* root = node.op == &ops::region ? root_of(*node.body) : &node;
  if (root == nullptr || (root->op != &ops::conv && root->op != &ops::dense)) return nullptr;
  return root;
}

}  // namespace

int64_t macs_of(const Graph& graph, const Node& node) {
  const Graph* inner = nullptr;
  const Node* root = product_of(graph, node, inner);
  if (root == nullptr || root->op->count == nullptr) return 0;
  std::vector<TensorType> operands, results;
  for (ValueId v : root->operands) operands.push_back(inner->type(v));
  for (ValueId v : root->results) results.push_back(inner->type(v));
  return root->op->count(*root, operands, results).multiply_accumulates;
}

bool both_quantized(const Graph& graph, const Node& node) {
  const Graph* inner = nullptr;
  const Node* root = product_of(graph, node, inner);
  return root != nullptr && inner->type(root->operands[0]).has_codes() &&
         inner->type(root->operands[1]).has_codes();
}

}  // namespace qloom::passes
