#include "passes/analysis/qtools/wiring.h"

#include <algorithm>

#include "graph/support/error.h"

namespace qloom::qtools {
namespace {

bool is_linear(const QuantizerOrFunction& what) {
  const auto* f = std::get_if<ActivationFunction>(&what);
  return std::holds_alternative<std::monostate>(what) || (f != nullptr && f->name == "linear");
}

}  // namespace

Wiring::Wiring(const QtoolsModel& model, const std::vector<QtoolsType>& sources,
               const Context& context)
    : model_(model),
      in_(model.layers.size() + 2),
      out_(model.layers.size() + 2),
      present_(model.layers.size() + 2, true),
      declared_(model.layers.size()) {
  const auto shape_of = [&](size_t layer) {
    return EdgeShape{model.layers[layer].output_shape,
                     model.layers[layer].class_name == "InputLayer"};
  };
  for (size_t to = 0; to < model.layers.size(); ++to) {
    for (const size_t from : model.layers[to].inputs) {
      Edge edge{from, to, shape_of(from), {}};
      const auto input = std::ranges::find(model.inputs, from);
      if (input != model.inputs.end())
        edge.type = sources[static_cast<size_t>(input - model.inputs.begin())];
      connect(std::move(edge));
    }
  }
  for (size_t layer = 0; layer < model.layers.size(); ++layer) {
    if (model.layers[layer].class_name == "InputLayer")
      connect({source(), layer, shape_of(layer), {}});
    if (out_[layer].empty()) connect({layer, sink(), shape_of(layer), {}});
  }
  bypass("Dropout", context);
  bypass("InputLayer", context);
  for (const size_t layer : order()) {
    const ModelLayer& l = model.layers[layer];
    if (l.activation && !is_linear(*l.activation)) declared_[layer] = l.activation;
    for (const size_t e : out_[layer])
      edges_[e].type = declared_[layer] ? EdgeType(*declared_[layer]) : EdgeType();
  }
}

void Wiring::connect(Edge edge) {
  for (const size_t e : out_[edge.from])
    if (edges_[e].to == edge.to) {  // one edge for each pair: the later one's attributes
      edges_[e] = std::move(edge);
      return;
    }
  out_[edge.from].push_back(edges_.size());
  in_[edge.to].push_back(edges_.size());
  edges_.push_back(std::move(edge));
}

void Wiring::remove(size_t node) {
  for (const size_t e : in_[node]) std::erase(out_[edges_[e].from], e);
  for (const size_t e : out_[node]) std::erase(in_[edges_[e].to], e);
  in_[node].clear();
  out_[node].clear();
  present_[node] = false;
}

void Wiring::bypass(std::string_view class_name, const Context& context) {
  for (size_t node = 0; node < model_.layers.size(); ++node) {
    if (model_.layers[node].class_name != class_name) continue;
    for (const size_t i : std::vector<size_t>(in_[node]))
      for (const size_t o : std::vector<size_t>(out_[node])) {
        if (edges_[i].shape != edges_[o].shape)
          Context{context.refusals, model_.layers[node].name}.refuse(
              "AssertionError",
              join_text("QTools cannot bypass a ", class_name,
                        " that reads an input of the model; bypassed all the same"));
        Edge edge = edges_[o];
        edge.from = edges_[i].from;
        // What a refused bypass would carry is the input's type, wrapped as every input's shape.
        if (edges_[i].shape != edges_[o].shape) {
          edge.shape = edges_[i].shape;
          edge.type = edges_[i].type;
        }
        connect(std::move(edge));
      }
    remove(node);
  }
}

std::vector<size_t> Wiring::order() const {
  std::vector<size_t> waits(in_.size()), ready, out;
  for (size_t node = 0; node < in_.size(); ++node) waits[node] = in_[node].size();
  // Source and sink are the first nodes, then layers.
  for (const size_t node : {source(), sink()})
    if (waits[node] == 0) ready.push_back(node);
  for (size_t node = 0; node < model_.layers.size(); ++node)
    if (waits[node] == 0 && present_[node]) ready.push_back(node);
  while (!ready.empty()) {
    const std::vector<size_t> generation = std::move(ready);
    ready.clear();
    for (const size_t node : generation) {
      if (node < model_.layers.size()) out.push_back(node);
      for (const size_t e : out_[node])
        if (--waits[edges_[e].to] == 0) ready.push_back(edges_[e].to);
    }
  }
  return out;
}

std::vector<const Edge*> Wiring::incoming(size_t layer) const {
  std::vector<const Edge*> out;
  for (const size_t e : in_[layer]) out.push_back(&edges_[e]);
  return out;
}

std::vector<size_t> Wiring::readers(size_t layer) const {
  std::vector<size_t> out;
  for (const size_t e : out_[layer])
    if (edges_[e].to < model_.layers.size()) out.push_back(edges_[e].to);
  return out;
}

std::optional<size_t> Wiring::first_output() const {
  if (in_[sink()].empty()) return std::nullopt;
  return edges_[in_[sink()].front()].from;
}

void Wiring::set_outgoing(size_t layer, const QtoolsType& type) {
  for (const size_t e : out_[layer]) edges_[e].type = type;
}

bool Wiring::is_first(size_t layer) const {
  return std::ranges::any_of(in_[layer], [&](size_t e) { return edges_[e].from == source(); });
}

bool Wiring::is_last(size_t layer) const {
  return std::ranges::any_of(out_[layer], [&](size_t e) { return edges_[e].to == sink(); });
}

}  // namespace qloom::qtools
