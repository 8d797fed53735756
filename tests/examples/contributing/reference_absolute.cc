// tests/examples/contributing/reference_absolute.cc: what runs |x| where no emitted kernel does.
#include <cmath>
#include <cstdlib>

#include "kernels/reference/reference.h"
#include "tests/examples/example_ops_table.h"  // in its place: "graph/ops_table.h"

namespace qloom::kernels {
namespace {

template <class T>
class Absolute final : public reference::Call {
 public:
  explicit Absolute(const ReferenceSpec& spec) : Call(spec), x_(*this, 0) {}

 private:
  void sample(const reference::Frame& frame) const noexcept override {
    const T* x = x_.at(frame);
    T* y = result<T>(frame);
    for (int64_t i = 0; i < x_.layout().elements; ++i) y[i] = std::abs(x[i]);
    store(frame, y);
  }
  reference::Input<T> x_;
};

double cost(const Query& query) { return reference::elements_ns(query, 4); }

}  // namespace

extern constinit const KernelDef reference_absolute{
    .name = "reference_absolute",
    .doc = "The magnitude of each element.",
    .source = "own",
    .reference_op = &ops::absolute,
    .reference = reference::codes_or_values<Absolute<int64_t>, Absolute<float>>,
    .reference_ns = cost};

}  // namespace qloom::kernels
