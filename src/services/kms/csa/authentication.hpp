// Entity authentication by challenge and response, one way and both ways: own formats after the pattern of ISO/IEC 9798-3 and 9798-4 (whose texts were not at
// hand: no conformance is claimed).
//
//   verifier B                                   claimant A
//   challenge R_B            ->
//                            <-                  (R_A for both ways) proof 1 over R_B, R_A, A, B
//   (both ways) proof 2 over R_A, R_B, B, A  ->
//
// Which step a proof is of, who claims and who verifies stand in what is signed, so that no proof comes back as another (reflection), and none is for somebody else.
#pragma once

#include <cstdint>
#include <string_view>

#include "services/kms/csa/sealed_text.hpp"

namespace qanat::kms::csa {

inline constexpr std::size_t challenge_octets = 32;      // those that the CSA draws
inline constexpr std::size_t challenge_octets_min = 16;  // those of others
inline constexpr std::size_t challenge_octets_max = 64;

struct ProofOf {
  std::uint8_t step = 1;  // 1: the claimant's answer; 2: the verifier's own, both ways
  CsaKeyId key;
  std::uint32_t version = 0;
  ByteView challenge;   // drawn by who verifies this proof
  ByteView countering;  // drawn by who makes it; empty: one way alone
  std::string_view claimant;
  std::string_view verifier;
  std::string_view context;
};
/// What is signed, or what the MAC is over: each field with its length in front.
Bytes proof_text(const ProofOf& proof);

}  // namespace qanat::kms::csa
