#include "quantum/qkd/amplification/transform.hpp"

#include <utility>

#include "base/check.hpp"

namespace qanat::qkd::gf2 {

TransformProduct::TransformProduct(CarrylessPath path, unsigned bits_log)
    : kernels_(kernels(path)),
      bits_log_(bits_log),
      points_log_(bits_log - element_bits_log),
      bits_((std::size_t{1} << bits_log) / 64),
      factor_(std::size_t{1} << points_log_),
      sum_(std::size_t{1} << points_log_),
      scratch_(transpose_scratch) {
  CHECK(bits_log >= transform_bits_log_min && bits_log <= transform_bits_log_max);
}

void TransformProduct::load_factor() {
  kernels_.convert(bits_.data(), bits_log_, MapForm::forward);
  kernels_.gather(bits_.data(), factor_.data(), points_log_, Basis::power, scratch_.data());
  kernels_.transform(factor_.data(), points_log_, MapForm::forward);
}

void TransformProduct::multiply() {
  CHECK(!summed_);
  kernels_.convert(bits_.data(), bits_log_, MapForm::forward);
  kernels_.gather(bits_.data(), sum_.data(), points_log_, Basis::power, scratch_.data());
  kernels_.transform(sum_.data(), points_log_, MapForm::forward);
  kernels_.scale(sum_.data(), factor_.data(), points());
  kernels_.transform(sum_.data(), points_log_, MapForm::inverse);
  kernels_.scatter(sum_.data(), bits_.data(), points_log_, Basis::power, scratch_.data());
  kernels_.convert(bits_.data(), bits_log_, MapForm::inverse);
}

void TransformProduct::correlate() {
  if (summed_ && term_.view().empty()) term_ = SecretArray<Element>(points());
  SecretArray<Element>& values = summed_ ? term_ : sum_;
  kernels_.convert(bits_.data(), bits_log_, MapForm::inverse_transposed);
  kernels_.gather(bits_.data(), values.data(), points_log_, Basis::dual, scratch_.data());
  kernels_.transform(values.data(), points_log_, MapForm::inverse_transposed);
  if (summed_) {
    kernels_.scale_add(sum_.data(), values.data(), factor_.data(), points());
  } else {
    kernels_.scale(values.data(), factor_.data(), points());
  }
  summed_ = true;
}

void TransformProduct::take_sum() {
  CHECK(summed_);
  kernels_.transform(sum_.data(), points_log_, MapForm::transposed);
  kernels_.scatter(sum_.data(), bits_.data(), points_log_, Basis::dual, scratch_.data());
  kernels_.convert(bits_.data(), bits_log_, MapForm::transposed);
  summed_ = false;
}

void TransformProduct::wipe() noexcept {
  bits_.wipe();
  factor_.wipe();
  sum_.wipe();
  term_.wipe();
  scratch_.wipe();
  summed_ = false;
}

}  // namespace qanat::qkd::gf2
