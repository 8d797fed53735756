#include "tests/emulation/guest_run.h"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "jit/compiler.h"

namespace qloom::testing {
namespace {

/// Goes through the calls that a problem makes of a job: `run` may differ, their order does not.
struct Prepared {
  const Job* job;
  std::vector<uint8_t> constants;
  int64_t scratch_bytes = 0, items = 1;
  std::vector<size_t> calls;  ///< made of it, in order

  Prepared(const Job& j, const jit::Target& target) : job(&j) {
    const kernels::Query& q = j.problem->query_for(*j.kernel);
    constants = kernels::packed(*j.kernel, q, j.variant, target);
    scratch_bytes = kernels::scratch_bytes(*j.kernel, q, j.variant, target);
    items = kernels::work_items(*j.kernel, q, j.variant, target);
  }
};

/// The call with copies of the memory that it may use.
GuestCall record(const std::vector<Problem::Memory>& memory, std::string symbol,
                 void* const* buffers, int64_t count, int64_t begin, int64_t end) {
  GuestCall call{
      .symbol = std::move(symbol), .buffers = {}, .count = count, .begin = begin, .end = end};
  for (size_t i = 0; i < memory.size(); ++i) {
    const Problem::Memory& m = memory[i];
    using Use = GuestBuffer::Use;
    // Scratch comes last.
    call.buffers.push_back({.use = !m.writable              ? Use::input
                                   : i + 1 == memory.size() ? Use::scratch
                                                            : Use::results,
                            .bytes = {m.begin, m.end},
                            .at = static_cast<const uint8_t*>(buffers[i]) - m.begin});
  }
  return call;
}

/// What the guest has written is written here too; bytes that it left alone may be another part's.
void play(const GuestCall& call, void* const* buffers) {
  for (size_t i = 0; i < call.buffers.size(); ++i) {
    const GuestBuffer& buffer = call.buffers[i];
    if (buffer.use != GuestBuffer::Use::results) continue;
    uint8_t* to = static_cast<uint8_t*>(buffers[i]) - buffer.at;
    for (size_t k = 0; k < buffer.bytes.size(); ++k)
      if (buffer.bytes[k] != kGuestFill) to[k] = buffer.bytes[k];
  }
}

}  // namespace

std::vector<std::string> run_jobs(std::span<const Job> jobs, const Guest& guest) {
  std::vector<jit::FunctionSource> sources;
  std::vector<Prepared> prepared;
  std::vector<GuestCall> calls;
  for (size_t i = 0; i < jobs.size(); ++i) {
    sources.push_back(source_of(jobs[i], i));
    Prepared& p = prepared.emplace_back(jobs[i], guest.target);
    Problem& problem = *jobs[i].problem;
    problem.replay(
        problem.query_for(*jobs[i].kernel), p.constants, p.scratch_bytes,
        [&](void* const* buffers, int64_t count, int64_t begin, int64_t end) {
          p.calls.push_back(calls.size());
          calls.push_back(
              record(problem.memory(), sources.back().name, buffers, count, begin, end));
        },
        problem.spec().count, p.items);
  }
  const auto unfit =
      run_in_guest(guest, jit::compiler().compile(sources, guest.target, {}).elf, calls);
  std::vector<std::string> differences;
  // What the emulator gets wrong may hide some jobs of a kernel, not most of them.
  std::map<std::string_view, std::pair<size_t, size_t>> hidden;  // unfit jobs, all jobs
  for (size_t i = 0; i < jobs.size(); ++i) {
    auto& [of_kernel, all] = hidden[jobs[i].kernel->name];
    of_kernel += unfit.contains(sources[i].name) ? 1 : 0;
    ++all;
  }
  for (const auto& [kernel, jobs_of] : hidden)
    if (jobs_of.first * 2 > jobs_of.second)
      differences.push_back("the emulator runs too little of " + std::string(kernel) +
                            ": all but " + std::to_string(jobs_of.first) + " of " +
                            std::to_string(jobs_of.second));
  for (const Prepared& p : prepared) {
    if (p.calls.empty() || unfit.contains(calls[p.calls.front()].symbol)) continue;
    Problem& problem = *p.job->problem;
    size_t made = 0;
    const std::string text = problem.difference(
        problem.query_for(*p.job->kernel), p.constants, p.scratch_bytes,
        [&](void* const* buffers, int64_t, int64_t, int64_t) {
          play(calls.at(p.calls.at(made++)), buffers);
        },
        problem.spec().count, p.items);
    if (!text.empty())
      differences.push_back(p.job->name() + " " + std::string(guest.name) + ": " + text);
  }
  return differences;
}

std::vector<std::string> run_jobs(const std::vector<DenseRunJob>& jobs, const Guest& guest) {
  const std::vector<jit::FunctionSource> sources = sources_of(jobs);
  std::vector<GuestCall> calls;
  for (size_t i = 0; i < jobs.size(); ++i) {
    DenseRunProblem& problem = *jobs[i].problem;
    static_cast<void>(problem.difference(
        *jobs[i].function, [&](void* const* buffers, int64_t count, int64_t begin, int64_t end) {
          calls.push_back(record(problem.memory(), sources[i].name, buffers, count, begin, end));
        }));
  }
  const auto unfit =
      run_in_guest(guest, jit::compiler().compile(sources, guest.target, {}).elf, calls);
  std::vector<std::string> differences;
  if (unfit.size() * 2 > jobs.size())
    differences.push_back("the emulator runs all but " + std::to_string(unfit.size()) + " of " +
                          std::to_string(jobs.size()) + " functions of dense layers");
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (unfit.contains(sources[i].name)) continue;
    const std::string text = jobs[i].problem->difference(
        *jobs[i].function,
        [&](void* const* buffers, int64_t, int64_t, int64_t) { play(calls[i], buffers); });
    if (!text.empty()) differences.push_back(jobs[i].name + " " + guest.name + ": " + text);
  }
  return differences;
}

}  // namespace qloom::testing
