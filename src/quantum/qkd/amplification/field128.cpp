#include "quantum/qkd/amplification/field128.hpp"

#include "base/check.hpp"

namespace qanat::qkd::gf2 {
namespace {

constexpr unsigned degree = 128;

bool bit(Element a, unsigned i) { return ((i < 64 ? a.low >> i : a.high >> (i - 64)) & 1U) != 0; }

/// a y.
Element times_y(Element a) {
  const std::uint64_t carry = a.high >> 63;
  return {.low = a.low << 1 ^ (0 - carry & modulus_tail), .high = a.high << 1 | a.low >> 63};
}

/// The equations z^2 + z = c, which are linear in z, in echelon form.
class ArtinSchreier {
 public:
  ArtinSchreier() {
    for (unsigned i = 0; i < degree; ++i) {
      Element argument = i < 64 ? Element{.low = std::uint64_t{1} << i, .high = 0} : Element{.low = 0, .high = std::uint64_t{1} << (i - 64)};
      Element image = multiply_bitwise(argument, argument) ^ argument;
      for (unsigned j = degree; j-- > 0;) {
        if (!bit(image, j)) continue;
        if (!known_[j]) {
          known_[j] = true;
          image_[j] = image;
          argument_[j] = argument;
          break;
        }
        image = image ^ image_[j];
        argument = argument ^ argument_[j];
      }
    }
  }
  /// One of the two z; c must have trace 0.
  [[nodiscard]] Element solve(Element c) const {
    Element z;
    for (unsigned j = degree; j-- > 0;) {
      if (!bit(c, j)) continue;
      CHECK(known_[j]);
      c = c ^ image_[j];
      z = z ^ argument_[j];
    }
    return z;
  }

 private:
  std::array<bool, degree> known_{};
  std::array<Element, degree> image_{};
  std::array<Element, degree> argument_{};
};

Factor factor(Element value) {
  Element shifted = value;
  for (int i = 0; i < 64; ++i) shifted = times_y(shifted);
  return {.value = value, .shifted = shifted};
}

TransformConstants compute() {
  const ArtinSchreier equations;
  TransformConstants out{};
  out.cantor[0] = factor({.low = 1, .high = 0});
  for (std::size_t i = 1; i < out.cantor.size(); ++i) out.cantor[i] = factor(equations.solve(out.cantor[i - 1].value));
  out.coset[0] = factor({.low = 2, .high = 0});
  for (std::size_t i = 1; i < out.coset.size(); ++i) out.coset[i] = factor(equations.solve(out.coset[i - 1].value));
  for (std::size_t b = 0; b < out.low.size(); ++b) {
    Factor sum{};
    for (std::size_t i = 0; i < 8; ++i) {
      if ((b >> i & 1U) != 0) sum = sum ^ out.cantor[i + 1];
    }
    out.low[b] = sum.value;
    out.low_shifted[b] = sum.shifted;
  }
  return out;
}

}  // namespace

Element multiply_bitwise(Element a, Element b) {
  Element sum;
  for (unsigned i = 0; i < degree; ++i) {
    if (bit(b, i)) sum = sum ^ a;
    a = times_y(a);
  }
  return sum;
}

const TransformConstants& transform_constants() {
  static const TransformConstants constants = compute();
  return constants;
}

}  // namespace qanat::qkd::gf2
