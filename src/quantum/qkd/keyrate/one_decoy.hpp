// Finite-key length of decoy-state BB84 with one decoy. Two proofs over the same photon-number estimates:
//  - Wiesemann, Krause, Tupkary, Lütkenhaus, Rusca, Walenta, arXiv:2405.16578 v3 (2026), in the form of the authors' published program:
//    eps_sec = 15 eps_0, random sampling by Serfling, vacuum events not counted;
//  - Rusca, Boaron, Grünenfelder, Martin, Zbinden, APL 112, 171104 (2018), equations (A16)-(A25): eps_sec = 19 eps_1.
// Both bound the vacuum events from above through the errors in the *key* basis, which are known only after error correction.
#pragma once

#include "quantum/qkd/keyrate/evidence.hpp"

namespace qanat::qkd {

/// Check nothing; key_length and worst_case do.
BoundOutput wiesemann2026(const Evidence& evidence);
BoundOutput rusca2018(const Evidence& evidence);

}  // namespace qanat::qkd
