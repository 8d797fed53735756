#include "passes/query.h"

#include <algorithm>

#include "graph/interpret.h"
#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"
#include "passes/edit.h"
#include "passes/moves.h"
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

/// A pool, or a reduction of whole images: a window of one channel each.
Window pool_window(const Graph& graph, const Node& node) {
  const Shape& x = graph.type(node.operands[0]).shape;
  Window w;
  w.c = w.n = w.groups = x.back().extent();
  const size_t axes = x.size() - 2;
  w.w = x[axes].extent();
  if (axes == 2) w.h = x[1].extent();
  if (node.op == &ops::reduce) {
    w.kernel_h = w.h;
    w.kernel_w = w.w;
    return w;
  }
  const auto pool = from_attributes<ops::Pool>(node.attributes);
  const Shape& y = graph.type(node.results[0]).shape;
  w.out_w = y[axes].extent();
  w.kernel_w = pool.sizes.back();
  w.stride_w = pool.strides.back();
  w.pad_left = padding_before(pool.padding, w.w, w.out_w, w.kernel_w, w.stride_w, 1);
  if (axes == 2) {
    w.out_h = y[1].extent();
    w.kernel_h = pool.sizes.front();
    w.stride_h = pool.strides.front();
    w.pad_top = padding_before(pool.padding, w.h, w.out_h, w.kernel_h, w.stride_h, 1);
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

/// [N, H, W, C] or [N, T, C], and twice as long or more.
Window resize_window(const Shape& x, const Shape& y) {
  Window w;
  const size_t axes = x.size() - 2;
  w.c = x.back().extent();
  w.n = y.back().extent();
  w.w = x[axes].extent();
  w.out_w = y[axes].extent();
  if (axes == 2) {
    w.h = x[1].extent();
    w.out_h = y[1].extent();
  }
  return w;
}

/// Of a root whose codes are as its type says.
void read_interval(const TensorType& result, kernels::Query& q) {
  q.f32_accumulator = !result.has_codes();
  if (!result.has_codes()) return;
  const auto grid = *result.numeric.grid();
  q.accumulator_lo = {grid.lo};
  q.accumulator_hi = {grid.hi};
}

void read_table(const Graph& graph, ValueId table, kernels::Query& q) {
  q.weights = graph.type(table);
  const Node* constant = graph.constant_of(table);
  if (constant == nullptr) return;
  if (!q.f32_accumulator) {
    q.weight_codes = &*constant->constant;
    return;
  }
  EvaluationOptions options = graph.options();
  options.evaluation = Evaluation::canonical;
  q.weight_values = to_f32(constant_value(graph, *constant, options));
}

}  // namespace

std::optional<kernels::Pooling> pooling_of(const Node& node) {
  using kernels::Pooling;
  if (node.op == &ops::pool) {
    const auto kind = from_attributes<ops::Pool>(node.attributes).kind;
    if (kind == ops::PoolKind::max) return Pooling::maximum;
    if (kind == ops::PoolKind::sum) return Pooling::sum;
  } else if (node.op == &ops::reduce) {
    const auto kind = from_attributes<ops::Reduce>(node.attributes).kind;
    if (kind == ops::ReduceKind::max) return Pooling::maximum;
    if (kind == ops::ReduceKind::sum) return Pooling::sum;
  }
  return std::nullopt;
}

bool reduces_image(const Graph& graph, const Node& node) {
  const int rank = graph.type(node.operands[0]).rank();
  const auto axes = from_attributes<ops::Reduce>(node.attributes).axes;
  return (rank == 3 || rank == 4) && graph.type(node.operands[0]).shape[0].is_batch() &&
         axes == (rank == 4 ? std::vector<int64_t>{1, 2} : std::vector<int64_t>{1});
}

Window window_of(const Graph& graph, const Node& node) {
  if (node.op == &ops::conv) return conv_window(graph, node);
  if (node.op == &ops::pool || (node.op == &ops::reduce && reduces_image(graph, node)))
    return pool_window(graph, node);
  const Shape& x = graph.type(node.operands[0]).shape;
  const Shape& y = graph.type(node.results[0]).shape;
  if (node.op == &ops::resize) return resize_window(x, y);
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
    q.f32_accumulator = !inner.type(root->results[0]).has_codes();
    if (weights != nullptr && q.f32_accumulator) {
      EvaluationOptions options = inner.options();
      options.evaluation = Evaluation::canonical;
      q.weight_values = to_f32(constant_value(inner, *weights, options));
    } else if (weights != nullptr && q.weights.has_codes() && q.input.has_codes()) {
      q.weight_codes = &*weights->constant;
      q.facts =
          std::make_shared<const kernels::WeightFacts>(kernels::weight_facts(*q.weight_codes));
      Interval interval = accumulator_interval(inner, *root);
      q.accumulator_lo = std::move(interval.lo);
      q.accumulator_hi = std::move(interval.hi);
    }
  } else if (root != nullptr && (root->op == &ops::pool || root->op == &ops::reduce)) {
    q.root = root->op;
    q.window = window_of(inner, *root);
    q.pooling = pooling_of(*root).value_or(kernels::Pooling::none);
    read_interval(inner.type(root->results[0]), q);
  } else if (root != nullptr && root->op == &ops::softmax) {
    q.root = root->op;
    q.window = window_of(inner, *root);
    q.f32_accumulator = true;
  } else if (root != nullptr && moves_elements(inner, *root)) {
    q.root = root->op;
    q.window = window_of(inner, *root);
    q.move = move_of(inner, *root).value_or(kernels::Move());
    read_interval(inner.type(root->results[0]), q);
    if (root->op == &ops::gather) read_table(inner, root->operands[0], q);
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
