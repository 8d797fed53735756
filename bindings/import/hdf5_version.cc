// bindings/import/hdf5_version.cc: which HDF5 reads `.h5` files. The version is the loaded
// library's, not the header's.
#include <hdf5.h>

/// Writes major, minor and release number of the HDF5 library in use. Returns 0, or −1 when the
/// library does not start.
extern "C" int qloom_hdf5_version(unsigned version[3]) {
  return H5get_libversion(&version[0], &version[1], &version[2]) < 0 ? -1 : 0;
}
