#include "quantum/qkd/amplification/kernels.hpp"

#include "base/check.hpp"

namespace qanat::qkd::gf2 {

std::string_view name(CarrylessPath path) {
  switch (path) {
    case CarrylessPath::portable:
      return "portable";
    case CarrylessPath::pclmul:
      return "PCLMULQDQ";
    case CarrylessPath::vpclmul:
      return "VPCLMULQDQ, AVX2";
  }
  CHECK(false);
}

bool supported(CarrylessPath path) {
#if defined(__x86_64__)
  switch (path) {
    case CarrylessPath::portable:
      return true;
    case CarrylessPath::pclmul:
      return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
    case CarrylessPath::vpclmul:
      return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
  }
  CHECK(false);
#else
  return path == CarrylessPath::portable;
#endif
}

CarrylessPath fastest_path() {
  if (supported(CarrylessPath::vpclmul)) return CarrylessPath::vpclmul;
  return supported(CarrylessPath::pclmul) ? CarrylessPath::pclmul : CarrylessPath::portable;
}

const Kernels& kernels(CarrylessPath path) {
  CHECK(supported(path));
  switch (path) {
    case CarrylessPath::portable:
      return portable_kernels();
    case CarrylessPath::pclmul:
      return pclmul_kernels();
    case CarrylessPath::vpclmul:
      return vpclmul_kernels();
  }
  CHECK(false);
}

}  // namespace qanat::qkd::gf2
