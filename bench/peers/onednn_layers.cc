// The convolutions and dense layers of a network on oneDNN, one after the other, each on its own
// memory. Quantizers, shortcuts and pooling are left out: no network, but a bound for what one can
// reach on oneDNN's kernels.
//
//   onednn_layers LAYERS f32|int8 BATCH...     a line of LAYERS: groups in_h in_w in_c out_h out_w
//   out_c k_h k_w
//                                              stride top left bottom right
//
// For every number of seconds on standard input, one line: the shortest and the median nanoseconds
// of a pass for each batch. int8 is u8 × s8 → u8 with a scale per channel and a relu, as in a
// quantized network.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

using dnnl::memory;
using Clock = std::chrono::steady_clock;

struct Layer {
  int64_t groups, in_h, in_w, in_c, out_h, out_w, out_c, k_h, k_w, stride, top, left, bottom, right;
};

std::istream& operator>>(std::istream& in, Layer& l) {
  return in >> l.groups >> l.in_h >> l.in_w >> l.in_c >> l.out_h >> l.out_w >> l.out_c >> l.k_h >>
         l.k_w >> l.stride >> l.top >> l.left >> l.bottom >> l.right;
}

class Pass {
 public:
  Pass(const std::vector<Layer>& layers, bool int8, int64_t batch)
      : batch_(batch),
        engine_(dnnl::engine::kind::cpu, 0),
        stream_(engine_),
        data_(int8 ? memory::data_type::u8 : memory::data_type::f32),
        weight_(int8 ? memory::data_type::s8 : memory::data_type::f32),
        bias_(int8 ? memory::data_type::s32 : memory::data_type::f32) {
    for (const Layer& layer : layers) add(layer, int8);
  }

  void run() {
    for (size_t i = 0; i < primitives_.size(); ++i) primitives_[i].execute(stream_, arguments_[i]);
    stream_.wait();
  }

 private:
  void add(const Layer& l, bool int8) {
    const auto any = memory::format_tag::any;
    const bool dense = l.in_h * l.in_w * l.out_h * l.out_w == 1;
    dnnl::primitive_attr attributes;
    dnnl::post_ops relu;
    relu.append_eltwise(dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
    attributes.set_post_ops(relu);
    if (int8) attributes.set_scales_mask(DNNL_ARG_WEIGHTS, l.groups > 1 ? 3 : 1);
    memory::dims source{batch_, l.in_c, l.in_h, l.in_w}, target{batch_, l.out_c, l.out_h, l.out_w};
    memory::dims kernel{l.out_c, l.in_c, l.k_h, l.k_w};
    if (dense) {
      source = {batch_, l.in_c}, target = {batch_, l.out_c}, kernel = {l.out_c, l.in_c};
    } else if (l.groups > 1) {
      kernel = {l.groups, l.out_c / l.groups, l.in_c / l.groups, l.k_h, l.k_w};
    }
    const memory::desc x(source, data_, any), w(kernel, weight_, any), y(target, data_, any);
    const memory::desc b({l.out_c}, bias_, memory::format_tag::a);
    if (dense) {
      keep<dnnl::inner_product_forward>(
          {engine_, dnnl::prop_kind::forward_inference, x, w, b, y, attributes}, int8, l.out_c);
    } else {
      keep<dnnl::convolution_forward>({engine_,
                                       dnnl::prop_kind::forward_inference,
                                       dnnl::algorithm::convolution_direct,
                                       x,
                                       w,
                                       b,
                                       y,
                                       {l.stride, l.stride},
                                       {l.top, l.left},
                                       {l.bottom, l.right},
                                       attributes},
                                      int8, l.out_c);
    }
  }

  memory filled(const memory::desc& desc) {
    memory m(desc, engine_);
    auto* bytes = static_cast<uint8_t*>(m.get_data_handle());
    if (desc.get_data_type() == memory::data_type::f32) {
      std::fill_n(reinterpret_cast<float*>(bytes), desc.get_size() / sizeof(float), 0.5F);
    } else {
      std::fill_n(bytes, desc.get_size(), uint8_t{1});
    }
    return m;
  }

  template <class Primitive>
  void keep(const typename Primitive::primitive_desc& desc, bool int8, int64_t channels) {
    std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, filled(desc.src_desc())},
                                              {DNNL_ARG_WEIGHTS, filled(desc.weights_desc())},
                                              {DNNL_ARG_BIAS, filled(desc.bias_desc())},
                                              {DNNL_ARG_DST, filled(desc.dst_desc())}};
    if (int8) {
      const memory::desc scales({channels}, memory::data_type::f32, memory::format_tag::a);
      arguments.emplace(DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS, filled(scales));
    }
    primitives_.push_back(Primitive(desc));
    arguments_.push_back(std::move(arguments));
  }

  int64_t batch_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  memory::data_type data_, weight_, bias_;
  std::vector<dnnl::primitive> primitives_;
  std::vector<std::unordered_map<int, memory>> arguments_;
};

int run(int argc, char** argv) {
  std::vector<Layer> layers;
  std::ifstream file(argv[1]);
  for (Layer layer; file >> layer;) layers.push_back(layer);
  std::vector<Pass> passes;
  std::vector<std::vector<double>> times(argc - 3);
  for (int i = 3; i < argc; ++i)
    passes.emplace_back(layers, std::string(argv[2]) == "int8", std::stoll(argv[i]));
  for (Pass& pass : passes) pass.run();
  const dnnl_version_t* version = dnnl_version();
  std::cout << version->major << '.' << version->minor << '.' << version->patch << std::endl;
  for (double seconds; std::cin >> seconds;) {
    for (size_t i = 0; i < passes.size(); ++i) {
      const auto end =
          Clock::now() + std::chrono::duration<double>(seconds / double(passes.size()));
      do {
        const auto begin = Clock::now();
        passes[i].run();
        times[i].push_back(std::chrono::duration<double, std::nano>(Clock::now() - begin).count());
      } while (Clock::now() < end);
      std::sort(times[i].begin(), times[i].end());
      std::cout << times[i].front() << ' ' << times[i][times[i].size() / 2] << ' ';
    }
    std::cout << std::endl;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "onednn_layers LAYERS f32|int8 BATCH...\n";
    return 2;
  }
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
