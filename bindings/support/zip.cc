#include "bindings/support/zip.h"

#include "graph/support/plugin.h"

namespace qloom {

ZipLibrary& zip_library() {
  return *Plugin::open("qloom_zip").function<ZipLibrary*()>("qloom_zip_library")();
}

}  // namespace qloom
