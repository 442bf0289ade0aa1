// Puts the inner loops of one instruction set together. `Lanes` brings:
//   V         one or two field elements, a vector type of 64-bit words (coefficient 0 in bit 0 of word 0)
//   Constant  {V value, V shifted}, a factor as in Factor
//   load, store (any alignment), broadcast, times(V, Constant), product(V, V)
//   corner    a -> a + floor(a t / y^128): with the mirrored coefficients the passage between a basis and its dual; its own inverse
//   multiply4 the product of two 256-bit polynomials
//   firsts, seconds (two elements only): (a0, a1), (b0, b1) -> (a0, b0) and (a1, b1)
#pragma once

#include "quantum/qkd/amplification/conversion_kernel.hpp"
#include "quantum/qkd/amplification/product_kernel.hpp"
#include "quantum/qkd/amplification/transform_kernel.hpp"
#include "quantum/qkd/amplification/transpose_kernel.hpp"

namespace qanat::qkd::gf2 {

template <class Lanes>
constexpr Kernels kernel_table() {
  return {.multiply = ProductKernel<Lanes>::multiply,
          .convert = Conversion<Lanes>::convert,
          .gather = BitTranspose<Lanes>::gather,
          .scatter = BitTranspose<Lanes>::scatter,
          .transform = PointwiseKernel<Lanes>::transform,
          .scale = PointwiseKernel<Lanes>::scale,
          .scale_add = PointwiseKernel<Lanes>::scale_add,
          .mirror = BitTranspose<Lanes>::mirror};
}

}  // namespace qanat::qkd::gf2
