#include <cstdlib>
#include <memory>

#include "jit/compiler.h"
#include "tests/kernels/problem.h"
#include "tests/support/interpreting_emitter.h"

namespace qloom::testing {

std::string to_string(Lowering lowering) {
  constexpr const char* kNames[] = {
      "interpreted", "interpreted with dots", "interpreted as for NEON", "avx512", "avx2",
      "portable"};
  return kNames[static_cast<int>(lowering)];
}

std::vector<Lowering> lowerings(bool dot) {
  std::vector<Lowering> list{dot ? Lowering::interpreted_dot : Lowering::interpreted};
  if (jit::Target::host().lowering == jit::Lowering::avx512) list.push_back(Lowering::avx512);
  if (dot) return list;
  if (jit::Target::avx2().lowering == jit::Lowering::avx2) list.push_back(Lowering::avx2);
  list.push_back(Lowering::portable);
  return list;
}

jit::Target target_of(Lowering lowering) {
  switch (lowering) {
    case Lowering::avx512:
      return jit::Target::host();
    case Lowering::avx2:
      return jit::Target::avx2();
    case Lowering::portable:
      return jit::Target::portable();
    case Lowering::interpreted:
    case Lowering::interpreted_dot:
      break;
    case Lowering::interpreted_neon:
      return jit::Target::named("neoverse-n1");
  }
  jit::Target target;
  target.vector_bytes = 32;
  if (lowering == Lowering::interpreted_dot) {
    target.vector_bytes = 64;
    target.lowering = jit::Lowering::avx512;
  }
  return target;
}

std::string Job::name() const {
  return problem->spec().name + " " + std::string(kernel->name) + " " + variant.to_string();
}

jit::FunctionSource source_of(const Job& job, size_t index) {
  return kernels::source_of(*job.kernel, job.problem->query_for(*job.kernel), job.variant,
                            "kernel_" + std::to_string(index));
}

namespace {

std::string run_interpreted(const Job& job, const jit::Target& target) {
  const kernels::Query& q = job.problem->query_for(*job.kernel);
  InterpretingEmitter e(job.variant.target_on(target));
  job.kernel->emit(q, job.variant, e);
  const auto constants = kernels::packed(*job.kernel, q, job.variant, target);
  const int64_t scratch = kernels::scratch_bytes(*job.kernel, q, job.variant, target);
  try {
    return job.problem->difference(
        q, constants, scratch,
        [&](void* const* buffers, int64_t count, int64_t begin, int64_t end) {
          std::vector<InterpretingEmitter::Region> regions;
          for (const Problem::Memory& m : job.problem->memory())
            regions.push_back({m.begin, m.end, m.writable});
          if (kernels::reads_exactly(*job.kernel, q, job.variant, target)) {
            regions[0].begin += kernels::kSlackBytes;
            regions[0].end -= kernels::kSlackBytes;
          }
          e.run(buffers, count, begin, end, std::move(regions));
        },
        job.problem->spec().count, kernels::work_items(*job.kernel, q, job.variant, target));
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

}  // namespace

std::vector<std::string> run_jobs(const std::vector<Job>& jobs, Lowering lowering) {
  std::vector<std::string> differences;
  const jit::Target target = target_of(lowering);
  if (lowering <= Lowering::interpreted_neon) {
    for (const Job& job : jobs)
      if (std::string text = run_interpreted(job, target); !text.empty())
        differences.push_back(job.name() + " " + to_string(lowering) + ": " + text);
    return differences;
  }
  std::vector<jit::FunctionSource> sources;
  for (size_t i = 0; i < jobs.size(); ++i) sources.push_back(source_of(jobs[i], i));
  const jit::CompiledObject object = jit::compiler().compile(sources, target, {});
  const std::shared_ptr<const jit::Code> code = jit::compiler().load(object.elf, "kernel tests");
  for (size_t i = 0; i < jobs.size(); ++i) {
    const Job& job = jobs[i];
    const kernels::Query& q = job.problem->query_for(*job.kernel);
    const auto function =
        reinterpret_cast<jit::KernelFunction>(code->symbol("kernel_" + std::to_string(i)));
    if (function == nullptr) {
      differences.push_back(job.name() + ": no symbol");
      continue;
    }
    const auto constants = kernels::packed(*job.kernel, q, job.variant, target);
    const int64_t scratch = kernels::scratch_bytes(*job.kernel, q, job.variant, target);
    if (std::string text =
            job.problem->difference(q, constants, scratch, function, job.problem->spec().count,
                                    kernels::work_items(*job.kernel, q, job.variant, target));
        !text.empty())
      differences.push_back(job.name() + " " + to_string(lowering) + ": " + text);
  }
  return differences;
}

}  // namespace qloom::testing
