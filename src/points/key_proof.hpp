// What is proved of a quantum key, from the QKD block that it lay in to the KMS that takes it: which bound on its min-entropy, how small the
// failure probability, and where the photons were. Carried with the keys over Kq-1, X-1, Kq-2 and Km-3.
//
// eps is composable: a block whose keys are eps_cor-correct and eps_sec-secret stays so in every use (Renner 2005; Portmann and Renner 2022),
// and what is used together fails with at most the sum. Nothing is proved of a key with eps = 1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "wire/json.hpp"
#include "wire/reader.hpp"
#include "wire/writer.hpp"

namespace qanat::points {

/// The bounds that the length of a key rests on: one bit each, since a relayed key rests on those of all its hops.
enum class ProofBound : std::uint8_t {
  none = 1,             // nobody said
  vendor = 2,           // a closed QKD system's word
  gllp = 4,             // asymptotic: nothing is proved of a finite block
  wiesemann_2026 = 8,   // finite, one decoy
  rusca_2018 = 16,      // finite, one decoy
  lim_2014 = 32,        // finite, two decoys
};
inline constexpr std::uint8_t bounds_all = 63;
inline constexpr std::uint8_t bounds_finite = 8 | 16 | 32;

/// Where the photons of a key's hops were: one bit each.
enum class Photons : std::uint8_t { unknown = 1, simulated = 2, vendor = 4, measured = 8 };
inline constexpr std::uint8_t photons_all = 15;

struct KeyProof {
  std::uint8_t bounds = static_cast<std::uint8_t>(ProofBound::none);
  std::uint8_t photons = static_cast<std::uint8_t>(Photons::unknown);
  double eps = 1.0;  // correctness and secrecy together; 0 < eps ≤ 1
  bool operator==(const KeyProof&) const = default;

  /// As the block's QKD names them; an unknown bound, or an eps that is none, proves nothing.
  static KeyProof of_block(std::string_view bound, std::optional<double> eps_sec, std::optional<double> eps_cor, bool simulated);
  /// "finite", "asymptotic", "vendor" or "none": the weakest that it rests on.
  [[nodiscard]] std::string_view grade() const noexcept;
};

/// Keys that are used together: all bounds, all kinds of photons, the sum of the eps.
KeyProof together(const KeyProof& one, const KeyProof& other);
/// Two statements about the same keys: the weaker counts.
KeyProof weaker(const KeyProof& one, const KeyProof& other);

/// What a key must be worth: nothing but these bounds and photons, and an eps of at most this.
struct ProofDemand {
  std::uint8_t bounds = bounds_all;
  std::uint8_t photons = photons_all;
  double eps_max = 1.0;
  bool operator==(const ProofDemand&) const = default;

  [[nodiscard]] bool is_any() const { return *this == ProofDemand(); }
  /// The demand that only what meets both meets.
  [[nodiscard]] ProofDemand and_also(const ProofDemand& other) const {
    return {.bounds = static_cast<std::uint8_t>(bounds & other.bounds),
            .photons = static_cast<std::uint8_t>(photons & other.photons),
            .eps_max = eps_max < other.eps_max ? eps_max : other.eps_max};
  }
  [[nodiscard]] bool is_met_by(const KeyProof& proof) const {
    return (proof.bounds & ~bounds) == 0 && (proof.photons & ~photons) == 0 && proof.eps <= eps_max;
  }
};
/// "finite (wiesemann-2026), eps 1e-09, photons simulated"
std::string describe(const KeyProof& proof);
/// "bound wiesemann-2026, eps at most 1e-09, photons measured"
std::string describe(const ProofDemand& demand);

/// Octets: u8 bounds ‖ u8 photons ‖ u64 eps (IEEE 754 binary64). A set that is empty or has unknown members, or an eps that is not in (0, 1],
/// is refused.
inline constexpr std::size_t proof_size = 10;
void write(wire::Writer& out, const KeyProof& proof);
void write(wire::Writer& out, const ProofDemand& demand);
Result<KeyProof> read_proof(wire::Reader& in, std::string_view field);
Result<ProofDemand> read_demand(wire::Reader& in, std::string_view field);
Bytes octets_of(const KeyProof& proof);

/// {"bounds": ["wiesemann-2026"], "eps": 1e-9, "photons": ["simulated"]}
wire::Json write(const KeyProof& proof);
Result<KeyProof> read_proof(const wire::Json& body);
wire::Json write(const ProofDemand& demand);
Result<ProofDemand> read_demand(const wire::Json& body);

/// What a demand may call its bounds: a bound's name, or "finite", "one-decoy-finite", "two-decoy-finite", "published" (finite or not), "any".
Result<std::uint8_t> bounds_demanded(std::string_view text);
/// "measured", "real" (measured, or behind a vendor's interface), "any".
Result<std::uint8_t> photons_demanded(std::string_view text);
/// A demand as a KMS (Km-3) and an SAE (ETSI GS QKD 014) write it: the members "bound", "photons" in these words and "eps_max", above 0 and at most 1; each may
/// be absent, others are not looked at.
Result<ProofDemand> read_named_demand(const wire::Json& body);

}  // namespace qanat::points
