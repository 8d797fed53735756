// bindings/cpp/quantizers.h: QKeras's quantizers as values, with its names, arguments in its order,
// and its defaults:
//   quantized_bits(4, 0, 1)                      as in Python
//   quantized_bits{.bits = 4, .alpha = "auto"}   by name
// tests/bindings/cpp_quantizers_test.cc compares them with the definitions in graph/quantizers/.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "bindings/cpp/argument.h"
#include "graph/attributes.h"
#include "graph/quantizer.h"
#include "graph/support/fields.h"

/// QKeras's and Keras's names: quantizers here, layers in bindings/cpp/layers.h. Arguments of type
/// AttributeValue may be none (`{}`), a number, text or a list, as QKeras documents them: `alpha`
/// is none, a number, a list (one per channel), "auto" or "auto_po2".
namespace qloom::qkeras {

/// 0 or 1 at random; at inference where the sigmoid of x exceeds a half.
struct bernoulli {
  static constexpr std::string_view kQuantizer = "bernoulli";
  AttributeValue alpha = {};
  double temperature = 6.0;
  bool use_real_sigmoid = true;
  void fields(auto&& f) const {
    f("alpha", alpha);
    f("temperature", temperature);
    f("use_real_sigmoid", use_real_sigmoid);
  }
  [[nodiscard]] Attributes arguments() const { return to_attributes(*this); }
  operator Quantizer() const { return Quantizer::from_config(kQuantizer, arguments()); }
};

/// −1 or +1 (0 or 1 with use_01), times a scale.
struct binary {
  static constexpr std::string_view kQuantizer = "binary";
  bool use_01 = false;
  AttributeValue alpha = {};
  bool use_stochastic_rounding = false;
  AttributeValue scale_axis = {};
  AttributeValue elements_per_scale = {};
  AttributeValue min_po2_exponent = {};
  AttributeValue max_po2_exponent = {};
  void fields(auto&& f) const {
    f("use_01", use_01);
    f("alpha", alpha);
    f("use_stochastic_rounding", use_stochastic_rounding);
    f("scale_axis", scale_axis);
    f("elements_per_scale", elements_per_scale);
    f("min_po2_exponent", min_po2_exponent);
    f("max_po2_exponent", max_po2_exponent);
  }
  [[nodiscard]] Attributes arguments() const { return to_attributes(*this); }
  operator Quantizer() const { return Quantizer::from_config(kQuantizer, arguments()); }
};

/// Fixed point of `bits` bits, `integer` of them left of the point (the sign not counted).
struct quantized_bits {
  static constexpr std::string_view kQuantizer = "quantized_bits";
  int64_t bits = 8;
  int64_t integer = 0;
  int64_t symmetric = 0;
  bool keep_negative = true;
  AttributeValue alpha = {};
  bool use_stochastic_rounding = false;
  AttributeValue scale_axis = {};
  double qnoise_factor = 1.0;
  AttributeValue var_name = {};
  bool use_ste = true;
  bool use_variables = false;
  AttributeValue elements_per_scale = {};
  AttributeValue min_po2_exponent = {};
  AttributeValue max_po2_exponent = {};
  AttributeValue post_training_scale = {};
  void fields(auto&& f) const {
    f("bits", bits);
    f("integer", integer);
    f("symmetric", symmetric);
    f("keep_negative", keep_negative);
    f("alpha", alpha);
    f("use_stochastic_rounding", use_stochastic_rounding);
    f("scale_axis", scale_axis);
    f("qnoise_factor", qnoise_factor);
    f("var_name", var_name);
    f("use_ste", use_ste);
    f("use_variables", use_variables);
    f("elements_per_scale", elements_per_scale);
    f("min_po2_exponent", min_po2_exponent);
    f("max_po2_exponent", max_po2_exponent);
    f("post_training_scale", post_training_scale);
  }
  [[nodiscard]] Attributes arguments() const { return to_attributes(*this); }
  operator Quantizer() const { return Quantizer::from_config(kQuantizer, arguments()); }
};

/// Fixed point with a trained scale that is a power of two.
struct quantized_bits_learnable_po2 {
  static constexpr std::string_view kQuantizer = "quantized_bits_learnable_po2";
  int64_t bits = 4;
  bool keep_negative = true;
  AttributeValue scale_axis = {};
  bool per_channel_scale = false;
  AttributeValue init_scale = {};
  bool use_second_moments_msqe_opt = true;
  double second_moments_ema_decay = 0.999;
  bool use_sqrt_of_msqe_weight = true;
  bool use_outlier_mask_msqe_weight = true;
  bool use_stable_scale_exponent = false;
  double stable_scale_ema_decay = 0.99;
  double min_init_scale = 0.00001;
  bool use_po2_scale_ceil = true;
  bool use_po2_scale_msqe_round = true;
  void fields(auto&& f) const {
    f("bits", bits);
    f("keep_negative", keep_negative);
    f("scale_axis", scale_axis);
    f("per_channel_scale", per_channel_scale);
    f("init_scale", init_scale);
    f("use_second_moments_msqe_opt", use_second_moments_msqe_opt);
    f("second_moments_ema_decay", second_moments_ema_decay);
    f("use_sqrt_of_msqe_weight", use_sqrt_of_msqe_weight);
    f("use_outlier_mask_msqe_weight", use_outlier_mask_msqe_weight);
    f("use_stable_scale_exponent", use_stable_scale_exponent);
    f("stable_scale_ema_decay", stable_scale_ema_decay);
    f("min_init_scale", min_init_scale);
    f("use_po2_scale_ceil", use_po2_scale_ceil);
    f("use_po2_scale_msqe_round", use_po2_scale_msqe_round);
  }
  [[nodiscard]] Attributes arguments() const { return to_attributes(*this); }
  operator Quantizer() const { return Quantizer::from_config(kQuantizer, arguments()); }
};

/// Fixed point with the power-of-two scale of least squared error.
struct quantized_bits_msqe_po2 {
  static constexpr std::string_view kQuantizer = "quantized_bits_msqe_po2";
  int64_t bits = 4;
  bool keep_negative = true;
  AttributeValue scale_axis = {};
  bool per_channel_scale = false;
  AttributeValue init_scale = {};
  bool use_second_moments_msqe_opt = true;
  double second_moments_ema_decay = 0.999;
  bool use_sqrt_of_msqe_weight = true;
  bool use_outlier_mask_msqe_weight = true;
  bool use_stable_scale_exponent = false;
  double stable_scale_ema_decay = 0.99;
  double outlier_mask_sigma = 2.0;
  int64_t num_lls_iters = 3;
  bool should_line_search = true;
  int64_t line_search_range = 6;
  void fields(auto&& f) const {
    f("bits", bits);
    f("keep_negative", keep_negative);
    f("scale_axis", scale_axis);
    f("per_channel_scale", per_channel_scale);
    f("init_scale", init_scale);
    f("use_second_moments_msqe_opt", use_second_moments_msqe_opt);
    f("second_moments_ema_decay", second_moments_ema_decay);
    f("use_sqrt_of_msqe_weight", use_sqrt_of_msqe_weight);
    f("use_outlier_mask_msqe_weight", use_outlier_mask_msqe_weight);
    f("use_stable_scale_exponent", use_stable_scale_exponent);
    f("stable_scale_ema_decay", stable_scale_ema_decay);
    f("outlier_mask_sigma", outlier_mask_sigma);
    f("num_lls_iters", num_lls_iters);
    f("should_line_search", should_line_search);
    f("line_search_range", line_search_range);
  }
  [[nodiscard]] Attributes arguments() const { return to_attributes(*this); }
  operator Quantizer() const { return Quantizer::from_config(kQuantizer, arguments()); }
};

/// x · relu(x + shift) / bound, in fixed point.
struct quantized_hswish {
  static constexpr std::string_view kQuantizer = "quantized_hswish";
  int64_t bits = 8;
  int64_t integer = 0;
  int64_t symmetric = 0;
  AttributeValue alpha = {};
  bool use_stochastic_rounding = false;
  AttributeValue scale_axis = {};
  double qnoise_factor = 1.0;
  AttributeValue var_name = {};
  bool use_variables = false;
  int64_t relu_shift = 3;
  int64_t relu_upper_bound = 6;
  void fields(auto&& f) const {
    f("bits", bits);
    f("integer", integer);
    f("symmetric", symmetric);
    f("alpha", alpha);
    f("use_stochastic_rounding", use_stochastic_rounding);
    f("scale_axis", scale_axis);
    f("qnoise_factor", qnoise_factor);
    f("var_name", var_name);
    f("use_variables", use_variables);
    f("relu_shift", relu_shift);
    f("relu_upper_bound", relu_upper_bound);
  }
  [[nodiscard]] Attributes arguments() const { return to_attributes(*this); }
  operator Quantizer() const { return Quantizer::from_config(kQuantizer, arguments()); }
};

/// Fixed point, symmetric unless said otherwise; its scale does not change the grid.
struct quantized_linear {
  static constexpr std::string_view kQuantizer = "quantized_linear";
  int64_t bits = 8;
  int64_t integer = 0;
  int64_t symmetric = 1;
  bool keep_negative = true;
  AttributeValue alpha = {};
  bool use_stochastic_rounding = false;
  AttributeValue scale_axis = {};
  double qnoise_factor = 1.0;
  AttributeValue var_name = {};
  bool use_variables = false;
  void fields(auto&& f) const {
    f("bits", bits);
    f("integer", integer);
    f("symmetric", symmetric);
    f("keep_negative", keep_negative);
    f("alpha", alpha);
    f("use_stochastic_rounding", use_stochastic_rounding);
    f("scale_axis", scale_axis);
    f("qnoise_factor", qnoise_factor);
    f("var_name", var_name);
    f("use_variables", use_variables);
  }
  [[nodiscard]] Attributes arguments() const { return to_attributes(*this); }
  operator Quantizer() const { return Quantizer::from_config(kQuantizer, arguments()); }
};

/// ± powers of two, the exponent of `bits` − 1 bits.
struct quantized_po2 {
  static constexpr std::string_view kQuantizer = "quantized_po2";
  int64_t bits = 8;
  AttributeValue max_value = {};
  bool use_stochastic_rounding = false;
  bool quadratic_approximation = false;
  std::string log2_rounding = "rnd";
  double qnoise_factor = 1.0;
  AttributeValue var_name = {};
  bool use_ste = true;
  bool use_variables = false;
  void fields(auto&& f) const {
    f("bits", bits);
    f("max_value", max_value);
    f("use_stochastic_rounding", use_stochastic_rounding);
    f("quadratic_approximation", quadratic_approximation);
    f("log2_rounding", log2_rounding);
    f("qnoise_factor", qnoise_factor);
    f("var_name", var_name);
    f("use_ste", use_ste);
    f("use_variables", use_variables);
  }
  [[nodiscard]] Attributes arguments() const { return to_attributes(*this); }
  operator Quantizer() const { return Quantizer::from_config(kQuantizer, arguments()); }
};

/// Rectifier in unsigned fixed point.
struct quantized_relu {
  static constexpr std::string_view kQuantizer = "quantized_relu";
  int64_t bits = 8;
  int64_t integer = 0;
  int64_t use_sigmoid = 0;
  double negative_slope = 0.0;
  bool use_stochastic_rounding = false;
  AttributeValue relu_upper_bound = {};
  bool is_quantized_clip = true;
  double qnoise_factor = 1.0;
  AttributeValue var_name = {};
  bool use_ste = true;
  bool use_variables = false;
  bool enable_fast_inference = false;
  void fields(auto&& f) const {
    f("bits", bits);
    f("integer", integer);
    f("use_sigmoid", use_sigmoid);
    f("negative_slope", negative_slope);
    f("use_stochastic_rounding", use_stochastic_rounding);
    f("relu_upper_bound", relu_upper_bound);
    f("is_quantized_clip", is_quantized_clip);
    f("qnoise_factor", qnoise_factor);
    f("var_name", var_name);
    f("use_ste", use_ste);
    f("use_variables", use_variables);
    f("enable_fast_inference", enable_fast_inference);
  }
  [[nodiscard]] Attributes arguments() const { return to_attributes(*this); }
  operator Quantizer() const { return Quantizer::from_config(kQuantizer, arguments()); }
};

/// Rectifier with powers of two.
struct quantized_relu_po2 {
  static constexpr std::string_view kQuantizer = "quantized_relu_po2";
  int64_t bits = 8;
  AttributeValue max_value = {};
  int64_t negative_slope = 0;
  bool use_stochastic_rounding = false;
  bool quadratic_approximation = false;
  std::string log2_rounding = "rnd";
  double qnoise_factor = 1.0;
  AttributeValue var_name = {};
  bool use_ste = true;
  bool use_variables = false;
  void fields(auto&& f) const {
    f("bits", bits);
    f("max_value", max_value);
    f("negative_slope", negative_slope);
    f("use_stochastic_rounding", use_stochastic_rounding);
    f("quadratic_approximation", quadratic_approximation);
    f("log2_rounding", log2_rounding);
    f("qnoise_factor", qnoise_factor);
    f("var_name", var_name);
    f("use_ste", use_ste);
    f("use_variables", use_variables);
  }
  [[nodiscard]] Attributes arguments() const { return to_attributes(*this); }
  operator Quantizer() const { return Quantizer::from_config(kQuantizer, arguments()); }
};

/// Sigmoid in fixed point between 0 and 1.
struct quantized_sigmoid {
  static constexpr std::string_view kQuantizer = "quantized_sigmoid";
  int64_t bits = 8;
  bool symmetric = false;
  bool use_real_sigmoid = false;
  bool use_stochastic_rounding = false;
  void fields(auto&& f) const {
    f("bits", bits);
    f("symmetric", symmetric);
    f("use_real_sigmoid", use_real_sigmoid);
    f("use_stochastic_rounding", use_stochastic_rounding);
  }
  [[nodiscard]] Attributes arguments() const { return to_attributes(*this); }
  operator Quantizer() const { return Quantizer::from_config(kQuantizer, arguments()); }
};

/// Tanh in fixed point between −1 and 1.
struct quantized_tanh {
  static constexpr std::string_view kQuantizer = "quantized_tanh";
  int64_t bits = 8;
  bool use_stochastic_rounding = false;
  bool symmetric = false;
  bool use_real_tanh = false;
  void fields(auto&& f) const {
    f("bits", bits);
    f("use_stochastic_rounding", use_stochastic_rounding);
    f("symmetric", symmetric);
    f("use_real_tanh", use_real_tanh);
  }
  [[nodiscard]] Attributes arguments() const { return to_attributes(*this); }
  operator Quantizer() const { return Quantizer::from_config(kQuantizer, arguments()); }
};

/// Logarithmic steps (µ-law).
struct quantized_ulaw {
  static constexpr std::string_view kQuantizer = "quantized_ulaw";
  int64_t bits = 8;
  int64_t integer = 0;
  int64_t symmetric = 0;
  double u = 255.0;
  void fields(auto&& f) const {
    f("bits", bits);
    f("integer", integer);
    f("symmetric", symmetric);
    f("u", u);
  }
  [[nodiscard]] Attributes arguments() const { return to_attributes(*this); }
  operator Quantizer() const { return Quantizer::from_config(kQuantizer, arguments()); }
};

/// binary with a random choice in training.
struct stochastic_binary {
  static constexpr std::string_view kQuantizer = "stochastic_binary";
  AttributeValue alpha = {};
  double temperature = 6.0;
  bool use_real_sigmoid = true;
  void fields(auto&& f) const {
    f("alpha", alpha);
    f("temperature", temperature);
    f("use_real_sigmoid", use_real_sigmoid);
  }
  [[nodiscard]] Attributes arguments() const { return to_attributes(*this); }
  operator Quantizer() const { return Quantizer::from_config(kQuantizer, arguments()); }
};

/// ternary with a random choice in training.
struct stochastic_ternary {
  static constexpr std::string_view kQuantizer = "stochastic_ternary";
  AttributeValue alpha = {};
  AttributeValue threshold = {};
  double temperature = 8.0;
  bool use_real_sigmoid = true;
  int64_t number_of_unrolls = 5;
  void fields(auto&& f) const {
    f("alpha", alpha);
    f("threshold", threshold);
    f("temperature", temperature);
    f("use_real_sigmoid", use_real_sigmoid);
    f("number_of_unrolls", number_of_unrolls);
  }
  [[nodiscard]] Attributes arguments() const { return to_attributes(*this); }
  operator Quantizer() const { return Quantizer::from_config(kQuantizer, arguments()); }
};

/// −1, 0 or +1, times a scale; 0 below the threshold.
struct ternary {
  static constexpr std::string_view kQuantizer = "ternary";
  AttributeValue alpha = {};
  AttributeValue threshold = {};
  bool use_stochastic_rounding = false;
  int64_t number_of_unrolls = 5;
  void fields(auto&& f) const {
    f("alpha", alpha);
    f("threshold", threshold);
    f("use_stochastic_rounding", use_stochastic_rounding);
    f("number_of_unrolls", number_of_unrolls);
  }
  [[nodiscard]] Attributes arguments() const { return to_attributes(*this); }
  operator Quantizer() const { return Quantizer::from_config(kQuantizer, arguments()); }
};

}  // namespace qloom::qkeras
