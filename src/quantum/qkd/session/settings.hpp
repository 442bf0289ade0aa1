// What both ends of a link must agree on before they make keys together.
#pragma once

#include <optional>

#include "quantum/qkd/photonics/link.hpp"
#include "quantum/qkd/session/key_block.hpp"

namespace qanat::qkd {

inline constexpr std::size_t block_size_min = 100;
inline constexpr std::size_t block_size_max = std::size_t{1} << 27;

struct SessionSettings {
  LinkId link;
  LinkParameters parameters;
  std::size_t block_size = 100'000;  // sifted key-basis bits that a block has at least, n_key
  double eps_sec = 1e-10;
  double eps_cor = 1e-15;
  double qber_max = 0.11;  // in either basis; above it a block is given up
  ReconciliationMethod reconciliation = ReconciliationMethod::cascade;
  std::optional<Bound> bound;  // none: by the number of decoys, see effective_bound()
  LengthRule length_rule = LengthRule::fixed;  // the one that the bounds' proofs cover
  LeakModel leak_model = LeakModel::both_directions;
  FirstKey first_key = FirstKey::pre_shared;
  std::size_t authentication_reserve = 8;  // keys per direction that blocks leave for reconnecting
  std::size_t authentication_target = 64;  // keys per direction that each block fills up to out of its yield

  /// The one asked for; otherwise Wiesemann et al. for links with one decoy and Lim et al. for links with two.
  [[nodiscard]] Bound effective_bound() const;
  /// Of length_rule `fixed`: what both ends compute before a block begins, from the link's model and these settings alone. Errors as of
  /// propose_ladder.
  [[nodiscard]] Result<AcceptanceLadder> acceptance_ladder() const;
  /// Block ids that a block uses up: enough for the pieces (in_pieces) of all that it could yield.
  [[nodiscard]] std::uint64_t ids_per_block() const;
  [[nodiscard]] Result<void> validate() const;
  /// SHA-256 over all of it; the handshake compares it.
  [[nodiscard]] Bytes fingerprint() const;
};

}  // namespace qanat::qkd
