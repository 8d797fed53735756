#include "bindings/cpp/load.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <sstream>

#include "bindings/cpp/tuned.h"
#include "bindings/import/read.h"
#include "graph/quantizers_table.h"
#include "graph/support/plugin.h"
#include "graph/support/version.h"
#include "jit/cache.h"
#include "jit/sha256.h"
#include "kernels/kernels_table.h"

namespace qloom {
namespace {

/// Digest of a file's bytes; none where it cannot be read (then reading it for import says why).
std::optional<jit::Digest> digest_of(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return std::nullopt;
  struct stat status{};
  bool good = fstat(file, &status) == 0 && S_ISREG(status.st_mode);
  jit::Sha256 hash;
  std::vector<uint8_t> block(1 << 20);
  while (good) {
    const ssize_t n = read(file, block.data(), block.size());
    good = n >= 0;
    if (n <= 0) break;
    hash.add(std::span(block).first(static_cast<size_t>(n)));
  }
  close(file);
  return good ? std::optional(hash.digest()) : std::nullopt;
}

/// Content of the model: its file, and the one with its weights.
struct Source {
  Source(const std::string& path, const std::string& weights)
      : model(digest_of(path)), weights(weights.empty() ? jit::Digest() : digest_of(weights)) {}
  [[nodiscard]] bool readable() const { return model.has_value() && weights.has_value(); }
  bool operator==(const Source&) const = default;
  std::optional<jit::Digest> model, weights;
};

/// Which build of the library would compile it: another one may emit other code, though the version
/// is the same.
std::string build_text() {
  std::ostringstream out;
  out << version() << " code " << jit::kCodeVersion << " program " << runtime::kProgramVersion;
  for (const char* name :
       {"/libqloom.so", "/libqloom_compiler.so", "/libqloom_halide.so", "/libqloom_onednn.so"}) {
    struct stat s{};
    if (stat((library_folder() + name).c_str(), &s) == 0)
      out << ' ' << s.st_size << ' ' << s.st_mtim.tv_sec << '.' << s.st_mtim.tv_nsec;
  }
  return out.str();
}

/// All options that change what is compiled. Names of nodes and kernels hold no newline.
std::string options_text(const LoadOptions& o) {
  std::ostringstream out;
  const passes::CompileOptions& c = o.compile;
  out << "evaluation " << o.import.evaluation << "\nsplit_softmax " << o.import.split_softmax
      << "\nphase " << static_cast<int>(o.import.phase) << "\nkeep_state " << o.import.keep_state
      << "\nrandom_seed " << (o.import.random_seed ? std::to_string(*o.import.random_seed) : "")
      << "\nweights " << !o.weights.empty() << "\nfloat_mode " << static_cast<int>(c.float_mode)
      << "\nstop_after " << c.passes.stop_after << "\nexhaustive_limit " << c.exhaustive_limit
      << "\nexpected_samples " << c.expected_samples << "\nbatch " << c.batch << "\nchains "
      << c.chains << ' ' << c.chain_tile << "\nconcat_in_place "
      << static_cast<int>(c.concat_in_place);
  for (const std::string& name : c.passes.disabled) out << "\ndisabled_pass " << name;
  for (const auto& [node, kernel] : c.pinned) out << "\npinned " << node << '\n' << kernel;
  for (const std::string& name : c.disabled_kernels) out << "\ndisabled_kernel " << name;
  // Stored times are no part of the key: a compiled model stays as good as it was.
  if (c.times != nullptr) out << "\ntimes " << c.times->to_text();
  return out.str();
}

/// What is asked for beside the model is made by compiling: dumps.
bool wants_compilation(const passes::CompileOptions& c) {
  return !c.passes.dump_directory.empty() || !c.compiler.dump_directory.empty() ||
         c.compiler.assembly;
}

/// Kernels and quantizers from outside the library: their code is no part of any key.
bool has_registered() {
  return !kernels::kernels_registry().added().empty() ||
         !quantizers::quantizers_registry().added().empty();
}

jit::CacheKey key_of(const Source& source, const LoadOptions& options) {
  jit::CacheKey key;
  key.add("qloom model").add(build_text()).add(options_text(options));
  key.add(options.compile.target.to_string());
  key.add(std::span<const uint8_t>(*source.model));
  key.add(std::span<const uint8_t>(*source.weights));
  return key;
}

std::shared_ptr<const runtime::Model> model_of(const jit::CacheEntry& entry) {
  return std::make_shared<const runtime::Model>(
      runtime::deserialize({entry.payload.get(), entry.payload_bytes}), entry.code);
}

/// `cache`: for measured times; null: none are stored, nor used.
passes::Compilation compile_file(const std::string& path, const LoadOptions& options,
                                 jit::Cache* cache, bool in_memory, LoadedModel& out) {
  passes::CompileOptions compile = options.compile;
  Graph graph = load_graph(path, options.weights, options.import);
  if (options.tune)
    compile.times = tune_and_store(graph, compile, cache, options.tune_seconds, out.tuned);
  else if (compile.times == nullptr && cache != nullptr)
    compile.times = stored_times(*cache, compile.target);
  compile.in_memory = in_memory;
  return passes::compile(std::move(graph), compile);
}

}  // namespace

Graph load_graph(const std::string& path, const std::string& weights,
                 const ImportOptions& options) {
  return import_keras(read_keras_model(path, {.weights = weights}), options);
}

LoadedModel load_model(const std::string& path, const LoadOptions& options) {
  LoadedModel out;
  std::optional<jit::Cache> cache;
  if (options.use_cache) cache.emplace(options.cache_folder);
  const auto finish = [&] {
    if (!cache) return;
    out.notices.insert(out.notices.begin(), cache->notices().begin(), cache->notices().end());
  };
  const bool registered = has_registered();
  if (cache && registered)
    out.notices.emplace_back(
        "kernels or quantizers were registered from outside: compiled models are not cached");
  const bool usable = cache && cache->enabled() && !registered;
  const std::optional<Source> source =
      usable ? std::optional<Source>(std::in_place, path, options.weights) : std::nullopt;
  if (!source || !source->readable()) {
    out.model = compile_file(path, options, cache ? &*cache : nullptr, true, out).model;
    finish();
    return out;
  }
  const jit::CacheKey key = key_of(*source, options);
  if (!wants_compilation(options.compile) && !options.tune)
    if (const auto entry = cache->look_up(key)) {
      try {
        out.model = model_of(*entry);
        out.from_cache = true;
        finish();
        return out;
      } catch (const InternalError& error) {  // checked bytes that we cannot read: compile anew
        out.notices.push_back(join_text("a cached model is not used: ", error.what()));
      }
    }
  passes::Compilation compiled = compile_file(path, options, &*cache, false, out);
  // A file that changed meanwhile must not be stored under the name of what it was. A model of
  // reference calls alone has no code to store.
  if (!compiled.objects.empty() && Source(path, options.weights) == *source) {
    try {
      if (const auto entry = cache->store(key, jit::compiler().link(compiled.objects),
                                          runtime::serialize(compiled.program)))
        out.model = model_of(*entry);
    } catch (const InternalError& error) {
      out.notices.push_back(join_text("the model is not cached: ", error.what()));
    }
  }
  if (out.model == nullptr)
    out.model = std::make_shared<const runtime::Model>(
        std::move(compiled.program), passes::load_in_memory(compiled.objects, compiled.graph.name));
  finish();
  return out;
}

}  // namespace qloom
