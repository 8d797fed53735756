#include "bindings/import/sides.h"

namespace qloom::keras {
namespace {

constexpr int64_t kMost = int64_t{1} << 31;

int64_t cells(const ConfigView& v) {
  const int64_t n = v.as_integer();
  if (n < 0 || n > kMost) v.fail_expected("a number of cells, from 0");
  return n;
}

}  // namespace

std::vector<Sides> read_sides(const ConfigView& view, size_t spatial_axes) {
  std::vector<Sides> out;
  for (size_t k = 0; k < spatial_axes; ++k) {
    ConfigView v = view;
    // In one dimension the list is the pair itself; in two it has an entry per axis.
    if (view.value().array() != nullptr && spatial_axes == 2) {
      if (view.size() != spatial_axes) view.fail_expected("an entry for each of 2 axes");
      v = view[k];
    }
    if (v.value().array() != nullptr) {
      if (v.size() != 2) v.fail_expected("a pair (before, after)");
      out.push_back({cells(v[size_t{0}]), cells(v[size_t{1}])});
    } else {
      out.push_back({cells(v), cells(v)});
    }
  }
  return out;
}

}  // namespace qloom::keras
