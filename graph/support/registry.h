#pragma once

#include <atomic>
#include <deque>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "graph/support/error.h"

namespace qloom {

/// A constant table to which a program may add entries while it runs: kernels and quantizers from
/// outside the library. Entries are never removed and must live as long as the program. All
/// functions may be called from any thread; what `all` gave stays valid, without later entries.
template <class Def>
class Registry {
 public:
  using Entries = std::span<const Def* const>;

  explicit Registry(Entries table) : table_size_(table.size()) {
    lists_.emplace_back(table.begin(), table.end());
    current_.store(&lists_.back(), std::memory_order_release);
  }

  /// The table in its order, then what was added, in the order of adding.
  [[nodiscard]] Entries all() const { return *current_.load(std::memory_order_acquire); }
  /// What was added.
  [[nodiscard]] Entries added() const { return all().subspan(table_size_); }

  /// `kind` is what messages call an entry ("kernel"). Throws UserError when the name is taken.
  void add(const Def& def, std::string_view kind) {
    const std::lock_guard lock(mutex_);
    for (const Def* known : lists_.back())
      qloom_check(known->name != def.name, kind, " '", def.name,
                  "' cannot be registered: there is ",
                  known == &def ? "it already" : "another of that name");
    lists_.push_back(lists_.back());
    lists_.back().push_back(&def);
    current_.store(&lists_.back(), std::memory_order_release);
  }

 private:
  size_t table_size_;
  std::mutex mutex_;
  std::deque<std::vector<const Def*>> lists_;  // readers may hold any of them
  std::atomic<const std::vector<const Def*>*> current_;
};

}  // namespace qloom
