// Arithmetic of field elements in vector registers, the same for one and for two elements at a time. Compiled with the instruction set of the file that
// includes it, like kernel_table.hpp.
#pragma once

#include "quantum/qkd/amplification/field128.hpp"

namespace qanat::qkd::gf2 {

/// `Lanes`, a type of the including file alone, derives from this and brings clmul<selection>(a, b) (word `selection` & 15 of a times word `selection` >> 4
/// of b), up and down (by one word, within each element) and tail() (modulus_tail as an element).
template <class Lanes, class Vector>
struct VectorArithmetic {
  using V = Vector;
  struct Constant {
    V value;
    V shifted;
  };

  static V times(V a, const Constant& c) {
    const V low = Lanes::template clmul<0x00>(a, c.value) ^ Lanes::template clmul<0x01>(a, c.shifted);
    const V high = Lanes::template clmul<0x10>(a, c.value) ^ Lanes::template clmul<0x11>(a, c.shifted);
    return low ^ Lanes::up(high) ^ Lanes::template clmul<0x01>(high, Lanes::tail());
  }
  static V product(V a, V b) {
    const V middle = Lanes::template clmul<0x10>(a, b) ^ Lanes::template clmul<0x01>(a, b);
    V high = Lanes::template clmul<0x11>(a, b) ^ Lanes::down(middle);
    const V fold = Lanes::template clmul<0x01>(high, Lanes::tail());
    high ^= Lanes::down(fold);
    return Lanes::template clmul<0x00>(a, b) ^ Lanes::up(middle ^ fold) ^ Lanes::template clmul<0x00>(high, Lanes::tail());
  }
  static V corner(V a) { return a ^ Lanes::down(Lanes::template clmul<0x01>(a, Lanes::tail())); }

  struct Two {
    V low;
    V high;
  };
  /// Per element the product of two 128-bit polynomials.
  static Two multiply2(V a, V b) {
    const V low = Lanes::template clmul<0x00>(a, b);
    const V high = Lanes::template clmul<0x11>(a, b);
    const V middle = Lanes::template clmul<0x00>(a ^ Lanes::down(a), b ^ Lanes::down(b)) ^ low ^ high;
    return {low ^ Lanes::up(middle), high ^ Lanes::down(middle)};
  }

 private:
  VectorArithmetic() = default;
  friend Lanes;
};

}  // namespace qanat::qkd::gf2
