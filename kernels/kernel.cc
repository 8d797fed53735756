#include "kernels/kernel.h"

#include <algorithm>

#include "graph/support/error.h"
#include "jit/count_emit.h"
#include "kernels/kernels_table.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {

bool Window::has_padding() const {
  return pad_top > 0 || pad_left > 0 || (out_h - 1) * stride_h + (kernel_h - 1) * dilation_h >= h ||
         (out_w - 1) * stride_w + (kernel_w - 1) * dilation_w >= w;
}

std::string Variant::to_string() const {
  std::string text = std::to_string(rows) + "x" + std::to_string(columns);
  if (option != 0) text += " option " + std::to_string(option);
  if (without_avx512) text += " in AVX2";
  return text;
}

WeightFacts weight_facts(const Tensor& codes) {
  WeightFacts facts;
  auto& levels = facts.levels;
  for (const int64_t code : codes.i64()) {
    facts.lo = std::min(facts.lo, code);
    facts.hi = std::max(facts.hi, code);
  }
  for (const int64_t code : codes.i64()) {
    if (levels.size() > 4) break;
    if (!levels.empty() && (code == levels.front() || code == levels.back())) continue;
    const auto at = std::ranges::lower_bound(levels, code);
    if (at == levels.end() || *at != code) levels.insert(at, code);
  }
  return facts;
}

jit::FunctionSource source_of(const KernelDef& kernel, const Query& query, const Variant& variant,
                              std::string symbol) {
  qloom_assert(kernel.emit != nullptr, "kernel ", kernel.name, " is not emitted");
  // The query is held by the caller as long as the source is used.
  return {std::move(symbol),
          [&kernel, &query, variant](jit::Emitter& e) { kernel.emit(query, variant, e); },
          variant.without_avx512};
}

std::vector<uint8_t> packed(const KernelDef& kernel, const Query& query, const Variant& variant,
                            const jit::Target& target) {
  return kernel.pack == nullptr ? std::vector<uint8_t>()
                                : kernel.pack(query, variant, variant.target_on(target));
}

int64_t scratch_bytes(const KernelDef& kernel, const Query& query, const Variant& variant,
                      const jit::Target& target) {
  return kernel.scratch_bytes == nullptr
             ? 0
             : kernel.scratch_bytes(query, variant, variant.target_on(target));
}

bool reads_exactly(const KernelDef& kernel, const Query& query, const Variant& variant,
                   const jit::Target& target) {
  return kernel.reads_exactly != nullptr &&
         kernel.reads_exactly(query, variant, variant.target_on(target));
}

int64_t work_items(const KernelDef& kernel, const Query& query, const Variant& variant,
                   const jit::Target& target) {
  if (kernel.work_items == nullptr) return 1;
  const int64_t items = kernel.work_items(query, variant, variant.target_on(target));
  qloom_assert(items >= 1, "kernel ", kernel.name, ": a sample of ", items, " work items");
  return items;
}

double OverCounted::on(const jit::Target& target) const {
  if (target.lowering == jit::Lowering::avx2 && avx2 > 0) return avx2;
  return target.rates.family == "zen5" ? zen5 : zen4;
}

namespace {

/// What a sample's inputs and outputs take.
int64_t activation_bytes(const Query& query) {
  int64_t bytes = 0;
  if (query.spec != nullptr) {
    const ReferenceSpec& spec = *query.spec;
    for (size_t i = 0; i < spec.operands.size(); ++i)
      bytes += bytes_per_sample(spec.operands[i].shape, spec.operand_storages[i]);
    for (const auto& [result, storage] : spec.outputs)
      bytes += bytes_per_sample(spec.results[static_cast<size_t>(result)].shape, storage);
    return bytes;
  }
  const Window& w = query.window;
  bytes = w.h * w.w * run_bytes(query.input_storage, w.c);
  for (const TailOutput& output : query.tail->outputs)
    bytes += w.out_h * w.out_w * run_bytes(output.storage, w.n);
  return bytes;
}

int64_t swept_bytes(const KernelDef& kernel, const Query& query, const Variant& variant,
                    const jit::Target& target) {
  if (kernel.swept_bytes != nullptr)
    if (const int64_t bytes = kernel.swept_bytes(query, variant, target); bytes > 0) return bytes;
  int64_t swept = activation_bytes(query);
  swept += scratch_bytes(kernel, query, variant, target);
  if (query.weight_codes != nullptr)
    swept += static_cast<int64_t>(static_cast<double>(query.weight_codes->size()) *
                                  kernel.weight_bits / 8);
  if (query.weight_values) swept += query.weight_values->size() * int64_t{sizeof(double)};
  return swept;
}

}  // namespace

double predicted_ns(const KernelDef& kernel, const Query& query, const Variant& variant,
                    const jit::Target& machine, int64_t count) {
  if (kernel.is_reference()) return kernel.reference_ns(query);
  const jit::Target target = variant.target_on(machine);
  const jit::Counts counts =
      jit::count_operations(source_of(kernel, query, variant, "count"), target, count,
                            work_items(kernel, query, variant, target));
  // Activations of all samples go through the caches: another kernel wrote, another will read them.
  const int64_t activations = activation_bytes(query);
  const double streamed = jit::streamed_ns(target, activations, activations * count);
  return std::max(
      streamed, kernel.over_counted.on(target) *
                    jit::predicted_ns(counts, target, swept_bytes(kernel, query, variant, target)) /
                    static_cast<double>(count));
}

const KernelDef* find_kernel(std::string_view name) {
  for (const KernelDef* kernel : all_kernels())
    if (kernel->name == name) return kernel;
  return nullptr;
}

void register_kernel(const KernelDef& def) {
  const auto need = [&](bool present, std::string_view member) {
    qloom_check(present, "kernel '", def.name, "' cannot be registered: it has no `", member, "`");
  };
  need(!def.name.empty(), "name");
  need(!def.doc.empty(), "doc");
  if (def.is_reference()) {
    need(def.reference_op != nullptr, "reference_op");
    need(def.reference_ns != nullptr, "reference_ns");
  } else if (def.pipeline != nullptr || def.primitive != nullptr) {
    need(def.node_op != nullptr, "node_op");
    need(def.missing != nullptr, "missing");
    need(def.takes != nullptr, "takes");
    need(def.node_ns != nullptr, "node_ns");
  } else if (def.node_op != nullptr) {
    need(def.takes != nullptr, "takes");
    need(def.emit != nullptr, "emit");
  } else {
    need(def.match != nullptr, "match");
    need(def.input_storage != nullptr, "input_storage");
    need(def.variants != nullptr, "variants");
    need(def.pack != nullptr, "pack");
    need(def.emit != nullptr, "emit");
  }
  kernels_registry().add(def, "kernel");
}

}  // namespace qloom::kernels
