#include "bindings/cpp/tuned.h"

#include <cmath>

#include "graph/support/error.h"
#include "jit/processors.h"

namespace qloom {
namespace {

jit::CacheKey key_of(const jit::Target& target) {
  jit::CacheKey key;  // the version of the kernels' code is part of it
  key.add("kernel times").add(jit::this_processor()).add(target.to_string());
  return key;
}

}  // namespace

std::shared_ptr<const passes::KernelTimes> stored_times(jit::Cache& cache,
                                                        const jit::Target& target) {
  const auto entry = cache.look_up(key_of(target));
  if (!entry) return nullptr;
  try {
    return std::make_shared<const passes::KernelTimes>(passes::KernelTimes::parse(
        {reinterpret_cast<const char*>(entry->payload.get()), entry->payload_bytes}));
  } catch (const UserError&) {  // checked bytes that we cannot read: as if there were none
    return nullptr;
  }
}

bool store_times(jit::Cache& cache, const jit::Target& target, const passes::KernelTimes& times) {
  if (!cache.enabled()) return false;
  const std::string text = times.to_text();
  return cache
      .store(key_of(target), {}, {reinterpret_cast<const uint8_t*>(text.data()), text.size()})
      .has_value();
}

std::shared_ptr<const passes::KernelTimes> tune_and_store(const Graph& graph,
                                                          const passes::CompileOptions& options,
                                                          jit::Cache* cache, double seconds,
                                                          std::string& summary) {
  const measure::Tuned tuned = measure::tune(graph, {.seconds = seconds}, options);
  auto times = std::make_shared<passes::KernelTimes>();
  if (cache != nullptr)
    if (const auto before = stored_times(*cache, options.target)) *times = *before;
  for (const std::string& shape : tuned.dropped) times->erase(shape);
  times->merge(tuned.times);
  const bool stored = cache != nullptr && store_times(*cache, options.target, *times);
  const auto us = [](double ns) { return std::round(ns) / 1e3; };
  summary =
      join_text("tuned: ", tuned.timed, " shapes timed, times of ", tuned.times.size(), " kept, ",
                tuned.changed, " calls changed, ", us(tuned.before_ns), " µs a sample before and ",
                us(tuned.after_ns), " after", stored ? "" : " (not stored)");
  return times;
}

}  // namespace qloom
