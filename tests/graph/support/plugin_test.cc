#include "graph/support/plugin.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "graph/support/error.h"

namespace qloom {
namespace {

TEST(Plugin, FolderHoldsTheLibrary) {
  EXPECT_TRUE(std::filesystem::exists(library_folder() + "/libqloom.so")) << library_folder();
}

TEST(Plugin, MissingFileIsNamed) {
  try {
    (void)Plugin::open("no_such_part");
    FAIL() << "nothing was thrown";
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find("/libno_such_part.so"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace qloom
