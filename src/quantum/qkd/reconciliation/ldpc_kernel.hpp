// One iteration of the decoder, portable and for AVX2. Both compute the same, octet for octet.
#pragma once

#include <cstdint>
#include <vector>

#include "quantum/qkd/reconciliation/ldpc_decoder.hpp"

namespace qanat::qkd {

inline constexpr std::size_t ldpc_belief_mirror = 32;
inline constexpr std::size_t ldpc_belief_stride = circulant_bits + ldpc_belief_mirror;

struct LdpcIteration {
  const LdpcGraph& graph;
  std::int8_t* beliefs;
  std::int8_t* messages;
  const std::uint8_t* parity;
  std::size_t step;  // of the plan
};

/// How many parities the messages into the checks did not satisfy.
std::size_t iterate_portable(const LdpcIteration& work);
std::size_t iterate_avx2(const LdpcIteration& work);

}  // namespace qanat::qkd
