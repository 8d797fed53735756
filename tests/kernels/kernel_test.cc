// What a KernelDef says of itself.
#include "kernels/kernel.h"

#include <gtest/gtest.h>

namespace qloom::kernels {
namespace {

using jit::Lowering;
using jit::Target;

TEST(OverCounted, IsWhatTheFamilyMeasured) {
  const OverCounted both{.zen4 = 1.5, .zen5 = 2};
  ASSERT_EQ(Target::named("zen5").lowering, Lowering::avx512);
  EXPECT_EQ(both.on(Target::named("zen5")), 2);
  EXPECT_EQ(both.on(Target::named("zen4")), 1.5);
  for (const char* others : {"icelake", "skylake", "neoverse-n1", "aarch64", "x86-64"})
    EXPECT_EQ(both.on(Target::named(others)), 1.5) << others;
  // What rates say of themselves in words decides nothing.
  Target reworded = Target::named("zen5");
  reworded.rates.source = "measured";
  EXPECT_EQ(both.on(reworded), 2);
}

TEST(OverCounted, IsOneFigureForAvx2) {
  const OverCounted all{.zen4 = 1.5, .zen5 = 2, .avx2 = 3};
  EXPECT_EQ(all.on(Target::named("zen3")), 3);
  EXPECT_EQ(all.on(Target::named("zen5")), 2);
  EXPECT_EQ(all.on(Target::named("neoverse-n1")), 1.5);
  Target narrow = Target::named("zen5");
  narrow.lowering = Lowering::avx2;
  EXPECT_EQ(all.on(narrow), 3);
  EXPECT_EQ((OverCounted{.zen4 = 1.5, .zen5 = 2}).on(narrow), 2);
}

}  // namespace
}  // namespace qloom::kernels
