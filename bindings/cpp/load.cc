#include "bindings/cpp/load.h"

#include <fstream>
#include <span>
#include <utility>

#include "bindings/import/read.h"
#include "graph/support/error.h"
#include "jit/cache.h"
#include "jit/compiler.h"

namespace qloom {
namespace {

/// Adds a file's bytes in blocks: large files are never held whole.
void add_file(jit::CacheKey& key, const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  qloom_check(in.good(), path, ": cannot be read");
  jit::Sha256 hash;
  std::vector<char> block(size_t{1} << 18);
  while (in.read(block.data(), static_cast<std::streamsize>(block.size())) || in.gcount() > 0)
    hash.add(std::span(reinterpret_cast<const uint8_t*>(block.data()),
                       static_cast<size_t>(in.gcount())));
  qloom_check(in.eof(), path, ": cannot be read to its end");
  key.add(hash.digest());
}

/// Everything that the compiled model depends on: two equal keys mean equal models.
jit::CacheKey key_of(const std::string& path, const LoadOptions& options) {
  jit::CacheKey key;
  add_file(key, path);
  key.add(options.weights.empty() ? "no weights file" : "weights file");
  if (!options.weights.empty()) add_file(key, options.weights);
  key.add(options.import.evaluation).add(options.import.split_softmax ? "logits" : "");
  const passes::CompileOptions& compile = options.compile;
  key.add(compile.target.to_string());
  key.add(compile.float_mode == passes::FloatMode::fast ? "fast" : "reproducible");
  key.add(join_text(runtime::kProgramVersion, " ", compile.exhaustive_limit, " ",
                    compile.passes.stop_after));
  for (const std::string& pass : compile.passes.disabled) key.add("-pass " + pass);
  for (const std::string& kernel : compile.disabled_kernels) key.add("-kernel " + kernel);
  for (const auto& [node, kernel] : compile.pinned) key.add("pin").add(node).add(kernel);
  return key;
}

std::shared_ptr<const runtime::Model> model_of(const jit::CacheEntry& entry) {
  return std::make_shared<const runtime::Model>(
      runtime::deserialize(std::span(entry.payload.get(), entry.payload_bytes)), entry.code);
}

}  // namespace

Graph load_graph(const std::string& path, const std::string& weights,
                 const ImportOptions& options) {
  return import_keras(read_keras_model(path, {.weights = weights}), options);
}

LoadedModel load_model(const std::string& path, const LoadOptions& options) {
  LoadedModel out;
  const jit::CacheKey key = key_of(path, options);
  jit::Cache cache(options.cache_folder);
  const bool use_cache = options.use_cache && cache.enabled();
  if (use_cache) {
    if (const std::optional<jit::CacheEntry> entry = cache.look_up(key)) {
      out.model = model_of(*entry);
      out.from_cache = true;
      out.notices = cache.notices();
      return out;
    }
  }
  passes::CompileOptions compile = options.compile;
  compile.in_memory = true;  // a cache that cannot be written must not stand in the way
  const passes::Compilation compilation =
      passes::compile(load_graph(path, options.weights, options.import), compile);
  out.model = compilation.model;
  // A file that changed while it was read must not be kept under the old bytes' key.
  if (use_cache && !compilation.objects.empty() && key_of(path, options).digest() == key.digest()) {
    const std::vector<uint8_t> linked = jit::compiler().link(compilation.objects);
    (void)cache.store(key, linked,
                      runtime::serialize(compilation.program));  // a failure is a notice
  }
  if (options.use_cache) out.notices = cache.notices();
  return out;
}

}  // namespace qloom
