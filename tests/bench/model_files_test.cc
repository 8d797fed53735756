// Models named on a command line.
#include "bench/support/model_files.h"

#include <gtest/gtest.h>

#include <fstream>

#include "graph/support/error.h"
#include "tests/cli/process.h"

namespace qloom::bench {
namespace {

TEST(ModelFiles, FoldersGiveTheirModelsInOrder) {
  const testing::ScratchFolder scratch;
  for (const char* name : {"b.h5", "a.keras", "c_weights.h5", "d.weights.h5", "e.npz", "f.json"})
    std::ofstream(scratch / name) << "x";
  EXPECT_EQ(model_files({scratch.path()}),
            (std::vector<std::string>{scratch / "a.keras", scratch / "b.h5"}));
  EXPECT_EQ(model_files({scratch / "b.h5", scratch / "e.npz"}).size(), 2U);
  EXPECT_THROW((void)model_files({scratch / "missing.h5"}), UserError);
  const testing::ScratchFolder empty;
  EXPECT_THROW((void)model_files({empty.path()}), UserError);
}

}  // namespace
}  // namespace qloom::bench
