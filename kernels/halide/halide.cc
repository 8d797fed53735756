#include "kernels/halide/halide.h"

#include <algorithm>

#include "graph/support/error.h"

namespace qloom::kernels::halide {
namespace {

using Element = jit::PipelineBuffer::Element;

Verdict check(const TensorType& type, Storage storage) {
  if (storage.kind == Storage::Kind::bits) return Verdict::no(type, " lies in bits");
  if (type.shape.size() < 2 || !type.shape[0].is_batch())
    return Verdict::no("a pipeline needs the batch first and another axis, not ", type);
  for (size_t a = 1; a < type.shape.size(); ++a)
    if (!type.shape[a].is_static() || type.shape[a].extent() < 1)
      return Verdict::no("axis ", a, " of ", type, " has no fixed extent");
  if (type.has_codes() && type.step().size() != 1)
    return Verdict::no(type, " has a step per channel");
  if (elements_per_sample(type.shape) > int64_t{1} << 28)
    return Verdict::no(type, " has more than 2^28 elements a sample");
  return Verdict::yes();
}

jit::PipelineBuffer buffer(const TensorType& type, Storage storage) {
  jit::PipelineBuffer b;
  switch (storage.kind) {
    case Storage::Kind::f32:
      b.element = Element::f32;
      break;
    case Storage::Kind::bytes:
      b.element = Element::u8;
      break;
    case Storage::Kind::words:
      b.element = Element::i16;
      break;
    case Storage::Kind::dwords:
      b.element = Element::i32;
      break;
    case Storage::Kind::bits:
      qloom_assert(false, "a pipeline reads no bits");
  }
  const Extents extents = qloom::bind(type.shape, 1);
  b.extents.assign(extents.begin() + 1, extents.end());
  b.zero = storage.kind == Storage::Kind::bytes ? storage.zero : 0;
  if (type.has_codes()) b.step = type.step().f64()[0];
  return b;
}

}  // namespace

std::string missing() { return jit::pipelines_missing(); }

Verdict plain_buffers(const ReferenceSpec& spec) {
  if (!spec.constants.empty())
    return Verdict::no("operand ", spec.constants[0].first, " is a constant");
  for (size_t i = 0; i < spec.operands.size(); ++i)
    if (Verdict v = check(spec.operands[i], spec.operand_storages[i]); !v) return v;
  for (const auto& [result, storage] : spec.outputs)
    if (Verdict v = check(spec.results[static_cast<size_t>(result)], storage); !v) return v;
  return Verdict::yes();
}

jit::PipelineSource source(const ReferenceSpec& spec, std::string symbol, std::string_view pipeline,
                           Attributes parameters) {
  jit::PipelineSource s{.symbol = std::move(symbol),
                        .pipeline = std::string(pipeline),
                        .parameters = std::move(parameters),
                        .inputs = {},
                        .outputs = {}};
  for (size_t i = 0; i < spec.operands.size(); ++i)
    s.inputs.push_back(buffer(spec.operands[i], spec.operand_storages[i]));
  for (const auto& [result, storage] : spec.outputs)
    s.outputs.push_back(buffer(spec.results[static_cast<size_t>(result)], storage));
  return s;
}

int64_t elements(const ReferenceSpec& spec, size_t result) {
  return elements_per_sample(spec.results[result].shape);
}

Storage::Kind kind(const ReferenceSpec& spec) { return spec.operand_storages.at(0).kind; }

bool is_mixed(const ReferenceSpec& spec) {
  for (const auto& [result, storage] : spec.outputs)
    if (storage != spec.operand_storages.at(0)) return true;
  return false;
}

double vectors(const ReferenceSpec& spec, const TensorType& type, int64_t most_lanes) {
  int64_t bytes = 4;
  const auto narrow = [&](Storage s) {
    bytes = std::min<int64_t>(bytes, s.kind == Storage::Kind::bytes   ? 1
                                     : s.kind == Storage::Kind::words ? 2
                                                                      : 4);
  };
  for (const Storage s : spec.operand_storages) narrow(s);
  for (const auto& [result, storage] : spec.outputs) narrow(storage);
  const int64_t last = last_extent(type.shape);
  int64_t lanes = std::min(32 / bytes, most_lanes);
  while (lanes > last) lanes /= 2;
  const int64_t per_row = (last + lanes - 1) / lanes;
  return static_cast<double>(elements_per_sample(type.shape) / last * per_row);
}

const Measured& measured(std::span<const Measured> table, std::string_view what) {
  for (const Measured& row : table)
    if (row.what == what) return row;
  qloom_assert(false, "no time was measured for '", what, "'");
  return table.front();
}

}  // namespace qloom::kernels::halide
