#include "passes/tail/body_function.h"

#include <algorithm>
#include <bit>
#include <map>
#include <set>

#include "graph/op.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "passes/edit.h"

namespace qloom::passes {
namespace {

/// A source of the given type with one value per point and column.
RuntimeValue crafted(const TensorType& declared, std::span<const int64_t> ordinals,
                     int64_t columns) {
  TensorType type = declared;
  Extents extents(type.shape.size(), 1);
  extents.front() = static_cast<int64_t>(ordinals.size()) / columns;
  extents.back() = columns;
  type.shape.assign(extents.begin(), extents.end());
  if (type.has_codes())
    return {.type = type,
            .data = Tensor(extents, std::vector<int64_t>(ordinals.begin(), ordinals.end()))};
  std::vector<float> values(ordinals.size());
  std::transform(ordinals.begin(), ordinals.end(), values.begin(), float_of);
  return {.type = type, .data = Tensor(extents, std::move(values))};
}

}  // namespace

int64_t ordinal_of(float value) {
  const auto bits = std::bit_cast<int32_t>(value);
  return bits >= 0 ? int64_t{bits} : -int64_t{bits & 0x7FFFFFFF} - 1;
}

float float_of(int64_t ordinal) {
  const uint32_t bits = ordinal >= 0 ? static_cast<uint32_t>(ordinal)
                                     : 0x80000000U | static_cast<uint32_t>(-(ordinal + 1));
  return std::bit_cast<float>(bits);
}

BodyFunction::BodyFunction(const Graph& body, ValueId source, const EvaluationOptions& options)
    : body_(body),
      source_(source),
      type_(body.type(source)),
      options_(options),
      order_(body.order()) {
  options_.evaluation = Evaluation::canonical;
}

BodyFunction BodyFunction::over_floats() const {
  BodyFunction out = *this;
  out.type_.numeric = Numeric::float32();
  out.type_.scale = {};
  return out;
}

bool BodyFunction::is_function(ValueId value) const {
  if (value == source_ || is_constant(body_, value)) return true;
  const Node& node = body_.producer(value);
  if (node.op == &ops::input) return false;
  return std::all_of(node.operands.begin(), node.operands.end(),
                     [&](ValueId v) { return is_function(v); });
}

bool BodyFunction::is_uniform(ValueId value) const {
  if (value == source_) return !type_.has_codes() || type_.scale.is_per_tensor();
  if (const Node* constant = body_.constant_of(value))
    return constant->constant->size() == 1 && body_.type(value).scale.is_per_tensor();
  const Node& node = body_.producer(value);
  const TensorType& type = body_.type(value);
  if (type.has_codes() && !type.scale.is_per_tensor()) return false;
  return std::all_of(node.operands.begin(), node.operands.end(),
                     [&](ValueId v) { return is_uniform(v); });
}

std::optional<std::vector<int>> BodyFunction::directions(ValueId value) const {
  const size_t n = is_uniform(value) ? 1 : static_cast<size_t>(channels());
  if (value == source_) return std::vector<int>(n, 1);
  if (is_constant(body_, value)) return std::vector<int>(n, 0);
  const Node& node = body_.producer(value);
  if (node.op->direction == nullptr) return std::nullopt;
  std::vector<TensorType> types;
  std::vector<const Node*> constants;
  for (ValueId operand : node.operands) {
    types.push_back(body_.type(operand));
    constants.push_back(body_.constant_of(operand));
  }
  std::vector<int> out(n, 0);
  for (size_t i = 0; i < node.operands.size(); ++i) {
    if (constants[i] != nullptr) continue;
    const auto inner = directions(node.operands[i]);
    if (!inner) return std::nullopt;
    const auto own = node.op->direction(node, static_cast<int>(i), types, constants);
    if (own.size() != 1 && own.size() != n) return std::nullopt;
    for (size_t c = 0; c < n; ++c) {
      const int before = (*inner)[inner->size() == 1 ? 0 : c];
      int d = 0;
      switch (own[own.size() == 1 ? 0 : c]) {
        case Direction::up:
          d = before;
          break;
        case Direction::down:
          d = -before;
          break;
        case Direction::constant:
          d = 0;
          break;
        default:
          if (before == 0) break;
          return std::nullopt;
      }
      // Two operands that both depend on the source must pull the same way.
      if (out[c] != 0 && d != 0 && out[c] != d) return std::nullopt;
      if (d != 0) out[c] = d;
    }
  }
  return out;
}

std::vector<RuntimeValue> BodyFunction::evaluate(std::span<const ValueId> values,
                                                 std::span<const int64_t> ordinals, int64_t columns,
                                                 std::span<const Further> further) const {
  std::set<ValueId> needed(values.begin(), values.end());
  std::map<ValueId, RuntimeValue> known;
  known.emplace(source_, crafted(type_, ordinals, columns));
  for (const Further& f : further)
    known.emplace(f.input, crafted(body_.type(f.input), f.ordinals, columns));
  for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
    const Node& node = body_.node(*it);
    bool wanted = false;
    for (ValueId result : node.results)
      wanted = wanted || (needed.contains(result) && !known.contains(result));
    if (wanted) needed.insert(node.operands.begin(), node.operands.end());
  }
  for (NodeId id : order_) {
    const Node& node = body_.node(id);
    bool wanted = false;
    for (ValueId result : node.results)
      wanted = wanted || (needed.contains(result) && !known.contains(result));
    if (!wanted) continue;
    if (node.op == &ops::constant) {
      known.emplace(node.results[0], constant_value(body_, node, options_));
      continue;
    }
    qloom_assert(node.op != &ops::input, "body '", body_.name, "': input '", node.name,
                 "' has no value");
    std::vector<RuntimeValue> operands;
    for (ValueId operand : node.operands) operands.push_back(known.at(operand));
    std::vector<RuntimeValue> results = qloom::evaluate(body_, node, operands, options_);
    for (size_t i = 0; i < node.results.size(); ++i)
      known.insert_or_assign(node.results[i], std::move(results[i]));
  }
  std::vector<RuntimeValue> out;
  for (ValueId value : values) out.push_back(known.at(value));
  return out;
}

std::vector<int64_t> BodyFunction::codes(ValueId value, std::span<const int64_t> ordinals,
                                         int64_t columns) const {
  const ValueId values[] = {value};
  const auto result = evaluate(values, ordinals, columns);
  const auto codes = result[0].data.i64();
  qloom_assert(codes.size() == ordinals.size(), "body '", body_.name, "': a tail value has ",
               codes.size(), " elements for ", ordinals.size(), " points");
  return {codes.begin(), codes.end()};
}

}  // namespace qloom::passes
