// bindings/import/sides.h: what layers put on or take off both ends of spatial axes.
#pragma once

#include <cstdint>
#include <vector>

#include "bindings/import/config_value.h"

namespace qloom::keras {

struct Sides {
  int64_t before = 0, after = 0;
};
/// A number, one per axis, or a pair (before, after) per axis; in one dimension a list is the pair
/// itself. Throws UserError for negative numbers and other forms.
[[nodiscard]] std::vector<Sides> read_sides(const ConfigView& view, size_t spatial_axes);

}  // namespace qloom::keras
