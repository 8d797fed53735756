// kernels/onednn/plugin/onednn_plugin.cc: primitives of oneDNN as calls of a Program. The only file
// that sees oneDNN.
//
// A primitive is made for a fixed number of samples. A call holds some, for 16 samples and for one
// (dense layers also for 64), and a batch goes through the largest that still fit. Threads share a
// call: each run takes one of its contexts, which hold what oneDNN wants for an execution. The one
// OpenMP thread that a pool thread gets is itself.
#include <array>
#include <atomic>
#include <dnnl.hpp>
#include <limits>

#include "graph/support/error.h"
#include "jit/compiler.h"
#include "kernels/onednn/onednn.h"

extern "C" void omp_set_num_threads(int);  // libgomp, which libdnnl uses

namespace qloom::kernels::onednn {
namespace {

using Dims = dnnl::memory::dims;
using Description = dnnl::memory::desc;
using Kind = Primitive::Kind;
constexpr auto kF32 = dnnl::memory::data_type::f32;

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

/// A primitive for so many samples.
struct Step {
  int64_t samples = 1;
  dnnl::primitive primitive;
  Description source, result, weights, scratch;
  dnnl::memory packed;  ///< weights as the primitive wants them; empty for pools and softmax
};

/// Channels last: rows × columns × channels.
Description image(int64_t n, int64_t h, int64_t w, int64_t c) {
  return {Dims{n, c, h, w}, kF32, dnnl::memory::format_tag::nhwc};
}

/// [R, S, C/groups, K], the outputs of a group side by side.
Description kernel(const Window& w) {
  const int64_t c = w.c / w.groups, k = w.n / w.groups, row = w.kernel_w * c * w.n;
  if (w.groups == 1) return {Dims{k, c, w.kernel_h, w.kernel_w}, kF32, Dims{1, w.n, row, c * w.n}};
  return {Dims{w.groups, k, c, w.kernel_h, w.kernel_w}, kF32, Dims{k, 1, w.n, row, c * w.n}};
}

/// The same without an order: the primitive chooses.
Description any(const Description& d) {
  return {d.get_dims(), kF32, dnnl::memory::format_tag::any};
}

template <class Descriptor>
void finish(Step& step, const Descriptor& descriptor) {
  step.scratch = descriptor.scratchpad_desc();
  step.weights = descriptor.weights_desc();
}

Step make_step(const Primitive& p, int64_t samples, const dnnl::primitive_attr& attributes) {
  const Window& w = p.window;
  Step step;
  step.samples = samples;
  const Dims strides{w.stride_h, w.stride_w}, sizes{w.kernel_h, w.kernel_w};
  const Dims before{w.pad_top, w.pad_left}, after{p.pad_bottom, p.pad_right};
  switch (p.kind) {
    case Kind::convolution: {
      step.source = image(samples, w.h, w.w, w.c);
      step.result = image(samples, w.out_h, w.out_w, w.n);
      const dnnl::convolution_forward::primitive_desc d(
          engine(), dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
          step.source, any(kernel(w)), step.result, strides,
          Dims{w.dilation_h - 1, w.dilation_w - 1}, before, after, attributes);
      step.primitive = dnnl::convolution_forward(d);
      finish(step, d);
      break;
    }
    case Kind::inner_product: {
      const int64_t rows = samples * w.h;
      step.source = {Dims{rows, w.c}, kF32, dnnl::memory::format_tag::ab};
      step.result = {Dims{rows, w.n}, kF32, dnnl::memory::format_tag::ab};
      const dnnl::inner_product_forward::primitive_desc d(
          engine(), dnnl::prop_kind::forward_inference, step.source,
          {Dims{w.n, w.c}, kF32, dnnl::memory::format_tag::any}, step.result, attributes);
      step.primitive = dnnl::inner_product_forward(d);
      finish(step, d);
      break;
    }
    case Kind::max_pool:
    case Kind::average_pool: {
      step.source = image(samples, w.h, w.w, w.c);
      step.result = image(samples, w.out_h, w.out_w, w.n);
      const auto algorithm = p.kind == Kind::max_pool
                                 ? dnnl::algorithm::pooling_max
                                 : dnnl::algorithm::pooling_avg_exclude_padding;
      const dnnl::pooling_forward::primitive_desc d(engine(), dnnl::prop_kind::forward_inference,
                                                    algorithm, step.source, step.result, strides,
                                                    sizes, Dims{0, 0}, before, after, attributes);
      step.primitive = dnnl::pooling_forward(d);
      finish(step, d);
      break;
    }
    case Kind::softmax: {
      const Dims dims{samples * p.outer, p.axis, p.inner};
      step.source = step.result = {dims, kF32, dnnl::memory::format_tag::abc};
      const dnnl::softmax_forward::primitive_desc d(engine(), dnnl::prop_kind::forward_inference,
                                                    dnnl::algorithm::softmax_accurate, step.source,
                                                    step.result, 1, attributes);
      step.primitive = dnnl::softmax_forward(d);
      finish(step, d);
      break;
    }
  }
  return step;
}

void pack_weights(Step& step, const Primitive& p, dnnl::stream& stream) {
  if (p.weights.empty()) return;
  const Window& w = p.window;
  const Description own = p.kind == Kind::convolution
                              ? kernel(w)
                              : Description{Dims{w.n, w.c}, kF32, dnnl::memory::format_tag::ba};
  dnnl::memory plain(own, engine(), const_cast<float*>(p.weights.data()));
  step.packed = dnnl::memory(step.weights, engine());
  dnnl::reorder(plain, step.packed).execute(stream, plain, step.packed);
  stream.wait();
}

/// What one execution of one step needs: memories whose data is set before it.
struct Execution {
  dnnl::memory source, result, scratch;
  std::array<dnnl_exec_arg_t, 4> arguments{};
  int count = 0;

  explicit Execution(const Step& step)
      : source(step.source, engine(), DNNL_MEMORY_NONE),
        result(step.result, engine(), DNNL_MEMORY_NONE),
        scratch(step.scratch, engine(), DNNL_MEMORY_NONE) {
    add(DNNL_ARG_SRC, source);
    add(DNNL_ARG_DST, result);
    add(DNNL_ARG_SCRATCHPAD, scratch);
    if (step.packed) add(DNNL_ARG_WEIGHTS, step.packed);
  }
  void add(int index, const dnnl::memory& memory) {
    arguments[static_cast<size_t>(count++)] = {index, memory.get()};
  }
};

struct Context {
  dnnl::stream stream{engine()};
  std::vector<Execution> executions;  ///< by step
  std::atomic_flag busy = ATOMIC_FLAG_INIT;
};

/// More threads than that wait for each other.
constexpr size_t kContexts = 32;

class Call final : public ReferenceCall {
 public:
  explicit Call(const Primitive& p) {
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    omp_set_num_threads(1);
    dnnl::stream stream(engine());
    std::vector<int64_t> sizes{16, 1};
    if (p.kind == Kind::inner_product || p.kind == Kind::softmax) sizes.insert(sizes.begin(), 64);
    for (const int64_t samples : sizes) {
      steps_.push_back(make_step(p, samples, attributes));
      pack_weights(steps_.back(), p, stream);
      scratch_ = std::max(scratch_, static_cast<int64_t>(steps_.back().scratch.get_size()));
    }
    for (Context& c : contexts_)
      for (const Step& step : steps_) c.executions.emplace_back(step);
    source_bytes_ = static_cast<int64_t>(steps_.back().source.get_size());
    result_bytes_ = static_cast<int64_t>(steps_.back().result.get_size());
  }

  [[nodiscard]] int64_t scratch_bytes() const override { return scratch_; }

  void run(void* const* buffers, int64_t count) const noexcept override {
    omp_set_num_threads(1);
    Context& context = acquire();
    auto* source = static_cast<char*>(buffers[0]);
    auto* result = static_cast<char*>(buffers[1]);
    void* scratch = scratch_ > 0 ? buffers[2] : nullptr;
    for (size_t s = 0; s < steps_.size(); ++s)
      while (count >= steps_[s].samples) {
        execute(context, s, source, result, scratch);
        source += source_bytes_ * steps_[s].samples;
        result += result_bytes_ * steps_[s].samples;
        count -= steps_[s].samples;
      }
    context.busy.clear(std::memory_order_release);
  }

 private:
  Context& acquire() const noexcept {
    for (size_t i = 0;; i = (i + 1) % kContexts)
      if (!contexts_[i].busy.test_and_set(std::memory_order_acquire)) return contexts_[i];
  }

  /// Where the library fails (out of memory), the result is NaN: never a wrong number.
  void execute(Context& context, size_t s, void* source, void* result, void* scratch) const {
    const Execution& e = context.executions[s];
    const bool done = dnnl_memory_set_data_handle(e.source.get(), source) == dnnl_success &&
                      dnnl_memory_set_data_handle(e.result.get(), result) == dnnl_success &&
                      dnnl_memory_set_data_handle(e.scratch.get(), scratch) == dnnl_success &&
                      dnnl_primitive_execute(steps_[s].primitive.get(), context.stream.get(),
                                             e.count, e.arguments.data()) == dnnl_success &&
                      dnnl_stream_wait(context.stream.get()) == dnnl_success;
    if (done) return;
    auto* y = static_cast<float*>(result);
    std::fill(y, y + result_bytes_ / 4 * steps_[s].samples,
              std::numeric_limits<float>::quiet_NaN());
  }

  std::vector<Step> steps_;  ///< largest first, the last for one sample
  mutable std::array<Context, kContexts> contexts_;
  int64_t scratch_ = 0, source_bytes_ = 0, result_bytes_ = 0;
};

}  // namespace
}  // namespace qloom::kernels::onednn

extern "C" {

/// kCodeVersion that this plug-in was built with.
int qloom_onednn_version() { return qloom::jit::kCodeVersion; }

/// The caller owns the call.
qloom::kernels::ReferenceCall* qloom_onednn_prepare(
    const qloom::kernels::onednn::Primitive& primitive) {
  try {
    return new qloom::kernels::onednn::Call(primitive);
  } catch (const dnnl::error& error) {
    qloom::qloom_assert(false, "oneDNN: ", error.what());
    return nullptr;
  }
}
}
