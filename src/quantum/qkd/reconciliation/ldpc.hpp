// One-way error correction with blind retry. Alice sends each frame's parities under a low-density code (ldpc_code.hpp) and a check of 32 bits;
// Bob decodes, and says for each frame that failed how many more parities he wants (Kiktenko et al. 2017, arXiv 1612.03673). Those
// refine what he has: nothing disclosed is ever wasted, and no frame needs to be sent again.
//
// What is counted (Disclosed). by_alice: of each frame every parity and the check, but never more than the frame has bits of key, for all of them are functions
// of those bits. by_bob: eight bits per frame and answer, for the octet with which Bob says afterwards whether that frame decoded and what it
// still lacks; also for the last one, which is only implied by his asking nothing more. These octets depend on both keys.
//
// The forms. Integers are big-endian; parities are rows of 16 octets, bit z being bit (z mod 8), from the least significant, of octet z/8.
//   question 1 "send":  0x01
//   answer 1:           0x01, rows of a full frame u16, rows of the last frame u16 (0: too short for a code, sent in the clear), then per frame
//                       its rows and the check u32, or its bits
//   question 2 "more":  0x02, per frame that the answer before was about an octet: 0 it is corrected, 1..254 that many rows more, 255 in the clear
//   answer 2:           0x02, per frame that is not corrected its rows, or its bits
//
// A frame that does not decode with all the rows that its code has is asked for in the clear: an error burst in one frame shall not cost the block. It
// counts whole, and at most one in `ldpc_frames_per_clear` frames may come to that: beyond, the block is not worth correcting, Bob ends
// with `conflict` and Alice refuses with `exhausted`.
#pragma once

#include "quantum/qkd/reconciliation/reconciliation.hpp"

namespace qanat::qkd {

inline constexpr std::size_t ldpc_check_bits = 32;
inline constexpr std::size_t ldpc_octet_bits = 8;  // of Bob's verdict on one frame
inline constexpr std::size_t ldpc_frames_per_clear = 16;

/// `key` outlives the reference. invalid_argument for a setup out of range (a key of other size, error rate, seed).
Result<std::unique_ptr<ReconciliationReference>> make_ldpc_reference(const ReconciliationSetup& setup, const Secret& key);
Result<std::unique_ptr<ReconciliationCorrector>> make_ldpc_corrector(const ReconciliationSetup& setup, Secret key);

}  // namespace qanat::qkd
