// kernels/reference/reference_reshape.cc — the elements of x in the same order; so also any change
// of storage.
#include "graph/ops_table.h"
#include "kernels/kernels_table.h"
#include "kernels/reference/reference.h"

namespace qloom::kernels {
namespace {

template <class T>
class Reshape final : public reference::Call {
 public:
  explicit Reshape(const ReferenceSpec& spec) : Call(spec), x_(*this, 0) {
    qloom_assert(x_.layout().elements == elements_per_sample(result_type().shape), spec.kernel,
                 ": ", type(0), " has other elements than ", result_type());
  }

 private:
  void sample(const reference::Frame& frame) const noexcept override { store(frame, x_.at(frame)); }
  reference::Input<T> x_;
};

double cost(const Query& query) { return reference::elements_ns(query, 4); }

}  // namespace

extern constinit const KernelDef reference_reshape{
    .name = "reference_reshape",
    .doc = "Copies elements in order, from any storage to any other.",
    .source = "own",
    .reference_op = &ops::reshape,
    .reference = reference::codes_or_values<Reshape<int64_t>, Reshape<float>>,
    .reference_ns = cost};

}  // namespace qloom::kernels
