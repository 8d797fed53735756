#include "runtime/model.h"

#include <algorithm>
#include <new>

#include "graph/support/error.h"
#include "graph/support/float_environment.h"

namespace qloom::runtime {

Model::Model(Program program, std::shared_ptr<const jit::Code> code)
    : program_(std::move(program)), code_(std::move(code)) {
  const FloatEnvironment environment;  // reference calls prepare thresholds and factors
  program_.verify();
  bound_.reserve(program_.calls.size());
  for (const Call& call : program_.calls) {
    Bound bound;
    if (call.reference >= 0) {
      const kernels::ReferenceSpec& spec = program_.references[static_cast<size_t>(call.reference)];
      const kernels::KernelDef* kernel = kernels::find_kernel(spec.kernel);
      qloom_assert(kernel != nullptr && kernel->prepare() != nullptr, "call '", call.node,
                   "': there is no reference kernel '", spec.kernel, "'");
      bound.reference = kernel->prepare()(spec);
      const int64_t scratch = bound.reference->scratch_bytes();
      if (scratch > 0) {
        const Buffer* last = call.buffers.empty() || call.buffers.back() < 0
                                 ? nullptr
                                 : &program_.buffers[static_cast<size_t>(call.buffers.back())];
        qloom_assert(last != nullptr && last->is_scratch && last->bytes_per_sample >= scratch,
                     "call '", call.node, "' (", spec.kernel, ") needs ", scratch,
                     " bytes of scratch");
      }
    } else {
      bound.function = function_of(call);
    }
    bound_.push_back(std::move(bound));
  }
  for (const Chain& chain : program_.chains) chains_.push_back(function_of(chain.call));
  constexpr size_t kSlack = kernels::kSlackBytes;
  const size_t bytes = program_.constants.size();
  constants_ = allocate_memory(bytes + 2 * kSlack);
  if (constants_ == nullptr) throw std::bad_alloc();
  std::fill_n(constants_.get(), kSlack, uint8_t{0});
  std::copy(program_.constants.begin(), program_.constants.end(), constants_.get() + kSlack);
  std::fill_n(constants_.get() + kSlack + bytes, kSlack, uint8_t{0});
}

jit::KernelFunction Model::function_of(const Call& call) const {
  qloom_assert(code_ != nullptr, "call '", call.node, "' needs the function ", call.symbol,
               ", the model has no code");
  const auto function = reinterpret_cast<jit::KernelFunction>(code_->symbol(call.symbol));
  qloom_assert(function != nullptr, "call '", call.node, "': the code has no function ",
               call.symbol);
  return function;
}

}  // namespace qloom::runtime
