// Words and kernels as code of processors that this machine is not: equal to plain loops, byte for
// byte. What runs here says nothing of speed.
#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "jit/compiler.h"
#include "tests/emulation/guest_run.h"
#include "tests/jit/word_cases.h"
#include "tests/kernels/sweep.h"

namespace qloom::testing {

static void PrintTo(const Guest& guest, std::ostream* out) { *out << guest.name; }

namespace {

class OnGuest : public ::testing::TestWithParam<Guest> {};
class OnGuestLong : public OnGuest {};
const auto by_name = [](const auto& info) { return std::string(info.param.name); };
INSTANTIATE_TEST_SUITE_P(Emulation, OnGuest, ::testing::ValuesIn(guests()), by_name);
INSTANTIATE_TEST_SUITE_P(Emulation, OnGuestLong, ::testing::ValuesIn(guests()), by_name);

/// Every `step`th case.
void check_words(const Guest& guest, size_t step) {
  namespace words = jit::testing;
  std::mt19937_64 random(20240607);
  std::vector<jit::FunctionSource> functions;
  std::vector<const words::Case*> cases;
  std::vector<words::CaseMemory> memories;
  std::vector<GuestCall> calls;
  for (size_t i = 0; i < words::all_cases().size(); i += step) {
    const words::Case& c = words::all_cases()[i];
    cases.push_back(&c);
    functions.push_back(words::function_of(c));
    memories.push_back(words::memory_of(c, random));
    GuestCall call{.symbol = c.name, .buffers = {}, .count = words::kCaseRounds};
    for (const auto& bytes : memories.back().buffers)
      call.buffers.push_back({.use = GuestBuffer::Use::input, .bytes = bytes});
    call.buffers.back().use = GuestBuffer::Use::results;
    calls.push_back(std::move(call));
  }
  const auto unfit =
      run_in_guest(guest, jit::compiler().compile(functions, guest.target, {}).elf, calls);
  EXPECT_LT(unfit.size() * 20, calls.size());
  for (size_t i = 0; i < calls.size(); ++i) {
    if (unfit.contains(calls[i].symbol)) continue;
    memories[i].buffers.back() = calls[i].buffers.back().bytes;
    EXPECT_EQ(words::difference(*cases[i], memories[i]), "");
  }
}

void check_kernels(const Guest& guest, uint64_t seed, int per_kernel, int64_t limit_macs) {
  const Sweep sweep = make_sweep(seed, per_kernel, 1, limit_macs, guest.target);
  const std::vector<std::string> differences = run_jobs(sweep.jobs, guest);
  for (size_t i = 0; i < differences.size() && i < 10; ++i) ADD_FAILURE() << differences[i];
  EXPECT_EQ(differences.size(), 0U) << "of " << sweep.jobs.size() << " jobs";
}

TEST_P(OnGuest, SampleOfWordsEqualsPlainCode) {
  QLOOM_NEEDS_GUEST(GetParam());
  check_words(GetParam(), 5);
}

TEST_P(OnGuest, SampleOfKernelsAgreesWithPlainLoops) {
  QLOOM_NEEDS_GUEST(GetParam());
  check_kernels(GetParam(), sweep_seed() + 300, 6, 30000);
}

TEST_P(OnGuest, RunsOfDenseLayersAgreeWithPlainLoops) {
  QLOOM_NEEDS_GUEST(GetParam());
  std::vector<std::unique_ptr<DenseRunProblem>> problems;
  std::vector<DenseRunJob> jobs;
  for (uint64_t i = 0; i < 6; ++i) {
    problems.push_back(std::make_unique<DenseRunProblem>(random_run(sweep_seed() + 400 + i, 512)));
    for (DenseRunJob& job : jobs_of(*problems.back(), GetParam().target))
      jobs.push_back(std::move(job));
  }
  EXPECT_GE(jobs.size(), 3U);
  for (const std::string& difference : run_jobs(jobs, GetParam())) ADD_FAILURE() << difference;
}

/// Calls write their own results and nothing else, and a guest that ends otherwise is an error.
TEST_P(OnGuest, CallsAreMadeAsAsked) {
  QLOOM_NEEDS_GUEST(GetParam());
  const auto adder = [](int64_t by) {
    return [by](jit::Emitter& e) {
      const jit::Value x = e.load(e.buffer(0), jit::Element::i8, 16);
      e.store(e.buffer(1), e.add(x, e.splat(e.integer(by, jit::Element::i8), 16)));
    };
  };
  const std::vector<jit::FunctionSource> functions{{"one", adder(1)}, {"two", adder(2)}};
  std::vector<GuestCall> calls;
  for (const char* symbol : {"two", "one", "two"}) {
    std::vector<uint8_t> x(20);
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<uint8_t>(i + 100 * calls.size());
    GuestCall call{.symbol = symbol, .buffers = {{.bytes = x, .at = 4}}};
    call.buffers.push_back(
        {.use = GuestBuffer::Use::results, .bytes = std::vector<uint8_t>(18, kGuestFill), .at = 1});
    calls.push_back(std::move(call));
  }
  const auto object = jit::compiler().compile(functions, GetParam().target, {}).elf;
  EXPECT_TRUE(run_in_guest(GetParam(), object, calls).empty());
  for (size_t c = 0; c < calls.size(); ++c) {
    const std::vector<uint8_t>& y = calls[c].buffers[1].bytes;
    EXPECT_EQ(y.front(), kGuestFill);
    EXPECT_EQ(y.back(), kGuestFill);
    for (size_t i = 0; i < 16; ++i)
      EXPECT_EQ(y[i + 1], static_cast<uint8_t>(i + 4 + 100 * c + (c == 1 ? 1 : 2)))
          << c << " " << i;
  }
  const jit::FunctionSource wild{"wild", [](jit::Emitter& e) {
                                   // An address that no guest has.
                                   const auto far = e.integer(int64_t{1} << 46);
                                   e.store(e.offset(e.buffer(0), far),
                                           e.zeros(jit::Element::i8, 16));
                                 }};
  std::vector<GuestCall> broken{{.symbol = "wild", .buffers = {calls[0].buffers[1]}}};
  const auto bad = jit::compiler().compile({&wild, 1}, GetParam().target, {}).elf;
  EXPECT_THROW(static_cast<void>(run_in_guest(GetParam(), bad, broken)), std::runtime_error);
}

TEST_P(OnGuestLong, WordsEqualPlainCode) {
  QLOOM_NEEDS_GUEST(GetParam());
  check_words(GetParam(), 1);
}

TEST_P(OnGuestLong, KernelsAgreeWithPlainLoops) {
  QLOOM_NEEDS_GUEST(GetParam());
  // Machines of a minute each: one that takes longer than five is given up.
  for (uint64_t part = 0; part < 16; ++part)
    check_kernels(GetParam(), sweep_seed() + 301 + part, 10, 250000);
}

}  // namespace
}  // namespace qloom::testing
