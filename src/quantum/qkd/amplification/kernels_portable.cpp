#include "quantum/qkd/amplification/carryless.hpp"
#include "quantum/qkd/amplification/kernel_table.hpp"

namespace qanat::qkd::gf2 {
namespace {

struct PortableLanes {
  typedef std::uint64_t V __attribute__((vector_size(16)));
  struct Constant {
    V value;
    V shifted;
  };

  static V load(const Element* at) { return V{at->low, at->high}; }
  static void store(Element* at, V v) { *at = {.low = v[0], .high = v[1]}; }
  static V broadcast(const Element& e) { return V{e.low, e.high}; }
  static V split(Wide w) { return V{static_cast<std::uint64_t>(w), static_cast<std::uint64_t>(w >> 64)}; }

  static V times(V a, const Constant& c) {
    const Wide low = carryless_product(a[0], c.value[0]) ^ carryless_product(a[1], c.shifted[0]);
    const Wide high = carryless_product(a[0], c.value[1]) ^ carryless_product(a[1], c.shifted[1]);
    return split(low ^ high << 64 ^ carryless_product(static_cast<std::uint64_t>(high >> 64), modulus_tail));
  }
  static V product(V a, V b) {
    const Wide low = carryless_product(a[0], b[0]);
    const Wide middle = carryless_product(a[0], b[1]) ^ carryless_product(a[1], b[0]);
    Wide high = carryless_product(a[1], b[1]) ^ middle >> 64;
    const Wide fold = carryless_product(static_cast<std::uint64_t>(high >> 64), modulus_tail);
    high ^= fold >> 64;
    return split(low ^ middle << 64 ^ fold << 64 ^ carryless_product(static_cast<std::uint64_t>(high), modulus_tail));
  }
  static V corner(V a) {
    a[0] ^= static_cast<std::uint64_t>(carryless_product(a[1], modulus_tail) >> 64);
    return a;
  }

  static void multiply1(std::uint64_t* product, const std::uint64_t* a, const std::uint64_t* b, std::size_t, std::uint64_t*) {
    const Wide w = carryless_product(*a, *b);
    product[0] = static_cast<std::uint64_t>(w);
    product[1] = static_cast<std::uint64_t>(w >> 64);
  }
  static void multiply2(std::uint64_t* product, const std::uint64_t* a, const std::uint64_t* b, std::size_t, std::uint64_t* scratch) {
    ProductKernel<PortableLanes>::karatsuba(product, a, b, 2, 1, scratch, multiply1);
  }
  static void multiply4(std::uint64_t* product, const std::uint64_t* a, const std::uint64_t* b, std::uint64_t* scratch) {
    ProductKernel<PortableLanes>::karatsuba(product, a, b, 4, 2, scratch, multiply2);
  }
};

}  // namespace

const Kernels& portable_kernels() {
  static constexpr Kernels table = kernel_table<PortableLanes>();
  return table;
}

}  // namespace qanat::qkd::gf2
