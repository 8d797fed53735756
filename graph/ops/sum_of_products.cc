#include "graph/ops/sum_of_products.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace qloom::ops {

std::vector<uint64_t> SumOfProducts::x_codes(const RuntimeValue& value) const {
  if (x_exponent) {
    const std::vector<int64_t> codes = codes_on(value, *x_exponent);
    return {codes.begin(), codes.end()};
  }
  return {value.data.i64().begin(), value.data.i64().end()};
}

std::vector<uint64_t> SumOfProducts::w_codes(const Tensor& codes) const {
  std::vector<uint64_t> out(codes.i64().begin(), codes.i64().end());
  for (size_t i = 0; i < w_factors.size(); ++i) out[i] *= static_cast<uint64_t>(w_factors[i]);
  return out;
}

std::span<const int64_t> SumOfProducts::signed_w_codes(const Tensor& codes,
                                                       std::vector<int64_t>& storage) const {
  if (w_factors.empty()) return codes.i64();
  const std::vector<uint64_t> scaled = w_codes(codes);
  storage.assign(scaled.begin(), scaled.end());
  return storage;
}

TensorType SumOfProducts::type(Shape shape, __int128 lo, __int128 hi) const {
  const __int128 limit = static_cast<__int128>(1) << 62;
  TensorType out{std::move(shape), Numeric::float32(), {}};
  const int64_t fraction = int64_t{x_fraction} + w_fraction;
  if (lo < -limit || hi > limit || std::abs(fraction) > 900) return out;
  std::vector<double> scale;
  for (const double s : w_scale) scale.push_back(s * x_scale);
  if (!std::all_of(scale.begin(), scale.end(), [](double s) { return std::isfinite(s); }))
    return out;
  out.numeric = Numeric::integers(static_cast<int64_t>(lo), static_cast<int64_t>(hi),
                                  static_cast<int>(fraction));
  Extents extents(scale.size() == 1 ? 0 : out.shape.size(), 1);
  if (!extents.empty()) extents.back() = static_cast<int64_t>(scale.size());
  out.scale = Scale::constant(Tensor(std::move(extents), std::move(scale)));
  return out;
}

std::optional<SumOfProducts> sum_of_products(const TensorType& x, const TensorType& w) {
  if (!x.has_codes() || !w.has_codes()) return std::nullopt;
  SumOfProducts s;
  s.x = *x.numeric.grid();
  s.x_fraction = s.x.fraction;
  if (x.scale.is_per_tensor()) {
    s.x_scale = x.scale.per_tensor();
  } else {
    const auto grid = power_grid(x);
    if (!grid) return std::nullopt;
    s.x_exponent = grid->exponent;
    s.x = {grid->lo, grid->hi, -grid->exponent};
    s.x_fraction = -grid->exponent;
  }

  s.w = *w.numeric.grid();
  s.w_fraction = s.w.fraction;
  const Tensor scale = w.scale.values();
  std::vector<int64_t> summed(static_cast<size_t>(w.rank() - 1));
  std::iota(summed.begin(), summed.end(), 0);
  if (constant_along(w.scale, w.rank(), summed)) {
    s.w_scale.assign(scale.f64().begin(), scale.f64().end());
    return s;
  }
  if (!w.scale.is_power_of_two()) return std::nullopt;
  const Extents extents = qloom::bind(w.shape, 1);
  const std::vector<double> all = spread(scale, extents);
  const auto channels = static_cast<size_t>(extents.back());
  s.w_scale.assign(channels, HUGE_VAL);
  for (size_t i = 0; i < all.size(); ++i)
    s.w_scale[i % channels] = std::min(s.w_scale[i % channels], all[i]);
  double largest = 1;
  s.w_factors.reserve(all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    const double factor = all[i] / s.w_scale[i % channels];
    largest = std::max(largest, factor);
    s.w_factors.push_back(factor < 0x1p62 ? static_cast<int64_t>(factor) : 0);
  }
  const double reach = static_cast<double>(std::max(-s.w.lo, s.w.hi)) * largest;
  if (reach > 0x1p62) return std::nullopt;
  const auto top = static_cast<int64_t>(largest);
  s.w.lo = std::min(s.w.lo, s.w.lo * top);
  s.w.hi = std::max(s.w.hi, s.w.hi * top);
  return s;
}

ChannelSums::ChannelSums(size_t channels, const Numeric::Grid& w)
    : sums_(channels), positive_(channels), negative_(channels) {
  const uint64_t reach =
      std::max({uint64_t{1}, static_cast<uint64_t>(std::max(w.hi, int64_t{0})),
                uint64_t{0} - static_cast<uint64_t>(std::min(w.lo, int64_t{0}))});
  block_ = std::max<size_t>(1, (uint64_t{1} << 62) / reach);
}

void ChannelSums::add(std::span<const int64_t> codes, int64_t x_lo, int64_t x_hi) {
  const size_t channels = sums_.size();
  if (channels == 0) return;
  while (!codes.empty()) {
    const size_t rows = std::min(codes.size() / channels, block_);
    std::ranges::fill(positive_, 0);
    std::ranges::fill(negative_, 0);
    for (size_t row = 0; row < rows; ++row)
      for (size_t o = 0; o < channels; ++o) {
        const int64_t w = codes[row * channels + o];
        positive_[o] += std::max<int64_t>(w, 0);
        negative_[o] += std::min<int64_t>(w, 0);
      }
    for (size_t o = 0; o < channels; ++o) {
      sums_[o].add(positive_[o], x_lo, x_hi);
      sums_[o].add(negative_[o], x_lo, x_hi);
    }
    codes = codes.subspan(rows * channels);
  }
}

SumInterval ChannelSums::hull() const {
  if (sums_.empty()) return {};
  SumInterval all = sums_[0];
  for (const SumInterval& one : sums_) all = {std::min(all.lo, one.lo), std::max(all.hi, one.hi)};
  return all;
}

}  // namespace qloom::ops
