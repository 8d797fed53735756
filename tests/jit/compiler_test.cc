// Compiling, loading and linking: lifetimes, threads, errors.
#include "jit/compiler.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "graph/support/error.h"
#include "graph/support/plugin.h"
#include "jit/shared_object.h"
#include "tests/jit/run_kernel.h"
#include "tests/support/scratch_folder.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
using LeaksAllowed = __lsan::ScopedDisabler;
#else
struct LeaksAllowed {
  LeaksAllowed() {}  // not trivial, so that a variable of it counts as used
};
#endif

namespace qloom::jit {
namespace {

/// *buffers[0] += n, with the number from a constant vector, so that data is linked too.
FunctionSource adder(const std::string& name, int n) {
  return {name, [n](Emitter& e) {
            const std::vector<int64_t> lanes = {n, 2 * n, 3 * n, 5 * n};
            const Value v = e.load(e.buffer(0), Element::i32, 4);
            e.store(e.buffer(0), e.add(v, e.vector_constant(Element::i32, lanes)));
          }};
}

void expect_adds(const Code& code, const std::string& name, int n) {
  auto* run = reinterpret_cast<KernelFunction>(code.symbol(name));
  ASSERT_NE(run, nullptr) << name;
  int32_t x[4] = {1, 1, 1, 1};
  void* buffers[] = {x};
  run(buffers, 0, 0, 1);
  EXPECT_EQ(x[0], 1 + n);
  EXPECT_EQ(x[3], 1 + 5 * n);
}

std::vector<uint8_t> object_of(const std::vector<FunctionSource>& functions) {
  return compiler().compile(functions, Target::host(), {}).elf;
}

/// An anonymous file that holds `bytes`.
int file_of(std::span<const uint8_t> bytes) {
  const int fd = memfd_create("test", MFD_CLOEXEC);
  EXPECT_EQ(write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  return fd;
}

/// What a new process of this program prints, with libqloom.so taken from `folder`.
std::string output_with_library_in(const std::filesystem::path& folder) {
  const std::string command = "LD_LIBRARY_PATH='" + folder.string() + "' '" +
                              std::filesystem::read_symlink("/proc/self/exe").string() +
                              "' --gtest_filter='Smoke.*' 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  if (!pipe) return "";
  std::string text;
  for (char block[4096]; const size_t n = fread(block, 1, sizeof block, pipe);)
    text.append(block, n);
  pclose(pipe);
  return text;
}

TEST(Compiler, MissingPluginIsNamed) {
  namespace fs = std::filesystem;
  const qloom::testing::ScratchFolder scratch;
  const fs::path folder = scratch.path();
  fs::create_symlink(library_folder() + "/libqloom.so", folder / "libqloom.so");
  const std::string alone = output_with_library_in(folder);
  EXPECT_NE(alone.find("cannot load " + folder.string() + "/libqloom_compiler.so"), alone.npos)
      << alone;
  EXPECT_NE(alone.find("FAILED"), alone.npos);
  fs::create_symlink(library_folder() + "/libqloom_compiler.so", folder / "libqloom_compiler.so");
  const std::string together = output_with_library_in(folder);
  EXPECT_EQ(together.find("FAILED"), together.npos) << together;
}

TEST(Compiler, ManyFunctionsInOneObject) {
  std::vector<FunctionSource> functions;
  for (int i = 0; i < 5; ++i) functions.push_back(adder("add" + std::to_string(i), i));
  const auto code = testing::build(functions, Target::host());
  for (int i = 0; i < 5; ++i) expect_adds(*code, "add" + std::to_string(i), i);
}

/// Masks and registers that AVX-512 has are in one, not in the other.
TEST(Compiler, FunctionsWithoutAvx512BesideOthers) {
  // Compiled on any machine, run where it can be.
  const Target host = Target::host();
  const Target target = host.lowering == Lowering::avx512 ? host : Target::named("zen4");
  FunctionSource with{"with", [](Emitter& e) {
                        const int lanes = e.bytes() / 2;
                        const Value a = e.load(e.buffer(0), Element::i16, lanes);
                        const Value b = e.load(e.buffer(1), Element::i16, lanes);
                        const Value more = e.compare(Compare::greater_signed, a, b);
                        e.store(e.buffer(0), e.select(more, e.add(a, b), b));
                      }};
  FunctionSource without = with;
  without.name = "without";
  without.without_avx512 = true;
  const std::vector<FunctionSource> functions{with, without};
  const CompiledObject object =
      compiler().compile(functions, target, {.assembly = true, .dump_directory = ""});
  ASSERT_EQ(object.functions.size(), 2U);
  for (const FunctionReport& f : object.functions) {
    const bool wide = f.name == "with";
    EXPECT_EQ(f.assembly.find("zmm") != std::string::npos, wide) << f.assembly;
    EXPECT_EQ(f.assembly.find("%k") != std::string::npos, wide) << f.assembly;
  }
  if (!target.runs_here()) return;
  const auto code = compiler().load(object.elf, "functions");
  for (const char* name : {"with", "without"}) {
    std::vector<int16_t> a(32), b(32, 7);
    for (int16_t i = 0; i < 32; ++i) a[static_cast<size_t>(i)] = i;
    void* buffers[] = {a.data(), b.data()};
    reinterpret_cast<KernelFunction>(code->symbol(name))(buffers, 1, 0, 1);
    const size_t lanes = std::string_view(name) == "with" ? 32 : 16;
    for (size_t i = 0; i < lanes; ++i) EXPECT_EQ(a[i], i > 7 ? static_cast<int>(i) + 7 : 7) << i;
  }
}

/// Sums in the order in which the kernel takes them, also once lld has run in this process.
TEST(Compiler, LinkingChangesNoLaterCode) {
  const FunctionSource sum{"sum", [](Emitter& e) {
                             const Value mask = e.splat(e.integer(15, Element::i32), 8);
                             const auto term = [&](int i) {
                               const Value at = e.offset(e.buffer(0), e.integer(32 * i));
                               return e.binary(Binary::bit_and, e.load(at, Element::i32, 8), mask);
                             };
                             Value all = term(0);
                             for (int i = 1; i < 12; ++i) all = e.add(all, term(i));
                             e.store(e.buffer(1), all);
                           }};
  const std::vector<uint8_t> before = object_of({sum});
  EXPECT_FALSE(compiler().link({&before, 1}).empty());
  EXPECT_EQ(object_of({sum}), before);
}

TEST(Compiler, CodesOfEqualNamesAreApart) {
  const auto first = compiler().load(object_of({adder("add", 3)}), "same");
  auto second = compiler().load(object_of({adder("add", 4)}), "same");
  expect_adds(*first, "add", 3);
  expect_adds(*second, "add", 4);
  second.reset();
  expect_adds(*first, "add", 3);
}

TEST(Compiler, CodeIsFreedWithItsLastOwner) {
  const auto executable_mappings = [] {
    std::ifstream maps("/proc/self/maps");
    std::string line;
    int n = 0;
    while (std::getline(maps, line)) n += line.find("r-xp 00000000 00:00 0") != line.npos;
    return n;
  };
  const auto object = object_of({adder("add", 1)});
  const int before = executable_mappings();
  std::vector<std::shared_ptr<const Code>> many;
  for (int i = 0; i < 20; ++i) many.push_back(compiler().load(object, "many"));
  EXPECT_GT(executable_mappings(), before);
  many.clear();
  EXPECT_LE(executable_mappings(), before + 1);
}

TEST(Compiler, SeveralThreadsAtOnce) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 5; ++i) {
        const int n = 10 * t + i;
        const auto object = object_of({adder("add", n)});
        expect_adds(*compiler().load(object, "thread"), "add", n);
        const auto linked = compiler().link({&object, 1});
        const int fd = file_of(linked);
        std::string why;
        const auto code = open_shared_object(fd, why);
        close(fd);
        ASSERT_NE(code, nullptr) << why;
        expect_adds(*code, "add", n);
      }
    });
  }
  for (std::thread& t : threads) t.join();
}

TEST(Link, SeveralObjectsBecomeOneLibrary) {
  const std::vector<std::vector<uint8_t>> objects = {object_of({adder("one", 1), adder("two", 2)}),
                                                     object_of({adder("three", 3)})};
  std::vector<uint8_t> linked = compiler().link(objects);
  linked.insert(linked.end(), 100000, 0xab);  // what follows is none of the loader's business
  const int fd = file_of(linked);
  std::string why;
  const auto code = open_shared_object(fd, why);
  close(fd);
  ASSERT_NE(code, nullptr) << why;
  expect_adds(*code, "one", 1);
  expect_adds(*code, "two", 2);
  expect_adds(*code, "three", 3);
  EXPECT_EQ(code->symbol("four"), nullptr);
}

TEST(Link, DescriptorsOfOneNumberAreNotMixedUp) {
  std::vector<std::shared_ptr<const Code>> codes;
  int number = -1;
  for (int n = 1; n <= 3; ++n) {
    const auto object = object_of({adder("add", n)});
    const int fd = file_of(compiler().link({&object, 1}));
    EXPECT_TRUE(number < 0 || fd == number) << "this test needs the number to be used again";
    number = fd;
    std::string why;
    codes.push_back(open_shared_object(fd, why));
    close(fd);
    ASSERT_NE(codes.back(), nullptr) << why;
  }
  for (int n = 1; n <= 3; ++n) expect_adds(*codes[n - 1], "add", n);
}

TEST(Link, RefusesWhatIsNoObject) {
  std::vector<std::vector<uint8_t>> objects = {{'n', 'o', 't', ' ', 'e', 'l', 'f'}};
  EXPECT_THROW(static_cast<void>(compiler().link(objects)), InternalError);
  objects[0] = object_of({adder("add", 7)});
  std::vector<uint8_t> cut(objects[0].begin(), objects[0].begin() + 200);
  EXPECT_THROW(static_cast<void>(compiler().link({&cut, 1})), InternalError);
  objects.push_back(objects[0]);
  EXPECT_THROW(static_cast<void>(compiler().link(objects)), InternalError) << "add is there twice";
  objects.pop_back();
  EXPECT_GT(compiler().link(objects).size(), 300u) << "the linker must run again after errors";
}

TEST(Load, RefusesWhatIsNoObject) {
  const std::vector<uint8_t> text = {'n', 'o', 't', ' ', 'e', 'l', 'f'};
  EXPECT_THROW(static_cast<void>(compiler().load(text, "text")), InternalError);
  auto object = object_of({adder("add", 7)});
  object.resize(150);
  EXPECT_THROW(static_cast<void>(compiler().load(object, "cut")), InternalError);
}

TEST(Compiler, FatalErrorsOfLlvmAreExceptions) {
  Target wrong = Target::portable();
  wrong.lowering = Lowering::avx2;  // instructions that this processor is said not to have
  const FunctionSource f{"impossible", [](Emitter& e) {
                           const Value v = e.load(e.buffer(0), Element::i8, 32);
                           e.store(e.buffer(1), e.table_lookup(v, v));
                         }};
  const LeaksAllowed llvm_leaks_what_it_held;
  try {
    static_cast<void>(compiler().compile({&f, 1}, wrong, {}));
    FAIL() << "no error";
  } catch (const InternalError& error) {
    EXPECT_NE(std::string(error.what()).find("kernel 'impossible': "), std::string::npos)
        << error.what();
  }
  expect_adds(*testing::build({adder("add", 9)}, Target::host()), "add", 9);
}

TEST(Compiler, UnknownTargetsAreRefused) {
  Target wrong = Target::portable();
  wrong.triple = "vax-dec-vms";
  const FunctionSource f = adder("add", 1);
  try {
    static_cast<void>(compiler().compile({&f, 1}, wrong, {}));
    FAIL() << "no error";
  } catch (const InternalError& error) {
    EXPECT_NE(std::string(error.what()).find("target 'vax-dec-vms'"), std::string::npos)
        << error.what();
  }
}

TEST(Compiler, ExceptionsOfKernelsPassThrough) {
  const FunctionSource f{"thrower", [](Emitter&) { throw UserError("said the kernel"); }};
  EXPECT_THROW(static_cast<void>(compiler().compile({&f, 1}, Target::host(), {})), UserError);
}

TEST(Compiler, TwoFunctionsOfOneNameAreRefused) {
  const std::vector<FunctionSource> functions = {adder("add", 1), adder("add", 2)};
  EXPECT_THROW(static_cast<void>(compiler().compile(functions, Target::host(), {})), InternalError);
}

}  // namespace
}  // namespace qloom::jit
