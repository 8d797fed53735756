// kernels/reference/reference_gather.cc — rows of a table by their numbers; a number outside of the
// table stands for the nearest row.
#include <algorithm>
#include <cmath>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "kernels/kernels_table.h"
#include "kernels/reference/reference.h"

namespace qloom::kernels {
namespace {

template <class T>
class Rows final : public reference::Call {
 public:
  explicit Rows(const ReferenceSpec& spec)
      : Call(spec),
        table_(*this, 0),
        indices_(*this, 1),
        last_(table_.layout().extents.at(0) - 1),
        row_(table_.layout().elements / table_.layout().extents.at(0)) {}

 private:
  void sample(const reference::Frame& frame) const noexcept override {
    const T* table = table_.at(frame);
    const float* indices = indices_.at(frame);
    T* y = result<T>(frame);
    for (int64_t i = 0; i < indices_.layout().elements; ++i) {
      // NaN is the first row.
      const float index =
          std::min(std::max(0.0f, std::trunc(indices[i])), static_cast<float>(last_));
      const auto at = std::min(static_cast<int64_t>(index), last_);
      std::copy_n(table + at * row_, row_, y + i * row_);
    }
    store(frame, y);
  }
  reference::Input<T> table_;
  reference::Input<float> indices_;
  int64_t last_, row_;
};

double cost(const Query& query) { return reference::elements_ns(query, 0.8); }

}  // namespace

extern constinit const KernelDef reference_gather{
    .name = "reference_gather",
    .doc = "Rows of a table by their numbers.",
    .source = "own",
    .reference_op = &ops::gather,
    .reference = reference::codes_or_values<Rows<int64_t>, Rows<float>>,
    .reference_ns = cost};

}  // namespace qloom::kernels
