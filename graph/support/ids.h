// graph/support/ids.h: handles into a graph's arena. Distinct types: a node is not a value.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <ostream>

namespace qloom {

/// Index of something in its owner; −1 names nothing.
template <class Tag>
struct Id {
  int32_t index = -1;

  [[nodiscard]] constexpr bool valid() const { return index >= 0; }
  constexpr auto operator<=>(const Id&) const = default;

  friend std::ostream& operator<<(std::ostream& out, Id id) { return out << id.index; }
};

using NodeId = Id<struct NodeTag>;
using ValueId = Id<struct ValueTag>;

}  // namespace qloom

template <class Tag>
struct std::hash<qloom::Id<Tag>> {
  size_t operator()(qloom::Id<Tag> id) const noexcept { return std::hash<int32_t>{}(id.index); }
};
