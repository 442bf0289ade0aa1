// Products in GF(2)[x] by the Frobenius additive Fourier transform (W. Li, M.-S. Chen, P.-C. Kuo, C.-M. Cheng, B.-Y. Yang, ISSAC 2018):
// a polynomial over GF(2) of degree below 2^l is determined by its values on the coset w + V_k of GF(2^128), k = l - 7, because the 128
// Frobenius conjugates of that coset are disjoint and f(x)^2 = f(x^2). So 2^k values of 128 bits carry 2^l bits, half of what packing 64
// bits to an element would need. Our own: the modulus (field128.hpp) under which bits become elements without arithmetic, and the
// transposed form, which yields the middle of a product (what a Toeplitz matrix needs) from transforms of its length.
//
// Written as matrices over GF(2), with K the polynomial that load_factor() took: multiply() is a -> a K, so that with A = F^-1 D F its
// transpose is F^T D^T F^-T: correlate() takes s to (sum over m of K[m] s[j + m])_j by transposed transforms.
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.hpp"
#include "base/secret.hpp"
#include "quantum/qkd/amplification/kernels.hpp"

namespace qanat::qkd::gf2 {

/// Octets of a Secret seen as words or elements. Zero at first, wiped at the end.
template <class T>
class SecretArray {
 public:
  SecretArray() = default;
  explicit SecretArray(std::size_t count) : octets_(count * sizeof(T)), view_(reinterpret_cast<T*>(octets_.writable().data()), count) {}
  [[nodiscard]] std::span<T> view() noexcept { return view_; }
  [[nodiscard]] T* data() noexcept { return view_.data(); }
  void wipe() noexcept { qanat::wipe(octets_.writable()); }

 private:
  Secret octets_;
  std::span<T> view_;
};

/// Transforms of 2^bits_log bits, transform_bits_log_min <= bits_log <= transform_bits_log_max, with their buffers: 3 times 2^bits_log bits,
/// 4 times when several correlations are summed.
class TransformProduct {
 public:
  TransformProduct(CarrylessPath path, unsigned bits_log);

  /// 2^bits_log bits to fill in before, and to read after, the operations below; each uses up what was there.
  [[nodiscard]] std::span<std::uint64_t> bits() noexcept { return bits_.view(); }

  /// The values of the polynomial in bits() become the factor of what follows.
  void load_factor();
  /// bits() times the factor; the product's degree must be below 2^bits_log.
  void multiply();
  /// Adds the correlation of the factor with bits() to the sum.
  void correlate();
  /// bits() becomes the sum of (sum over m of factor[m] bits[j + m]) at j, right for each j up to 2^bits_log - 1 minus the largest degree of
  /// a factor. The sum is empty again.
  void take_sum();

  /// Overwrites all buffers; the object can be used again.
  void wipe() noexcept;
  [[nodiscard]] unsigned bits_log() const { return bits_log_; }

 private:
  [[nodiscard]] std::size_t points() const { return std::size_t{1} << points_log_; }
  const Kernels& kernels_;
  unsigned bits_log_;
  unsigned points_log_;
  bool summed_ = false;
  SecretArray<std::uint64_t> bits_;
  SecretArray<Element> factor_;
  SecretArray<Element> sum_;
  SecretArray<Element> term_;
  SecretArray<std::uint64_t> scratch_;
};

inline constexpr unsigned transform_bits_log_min = 8 + element_bits_log;
inline constexpr unsigned transform_bits_log_max = transform_points_log_max + element_bits_log;

}  // namespace qanat::qkd::gf2
