// What a finished block is: the bits, the same at both ends, and the report that says how they came about.
#pragma once

#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/secret.hpp"
#include "quantum/qkd/keyrate/acceptance.hpp"
#include "quantum/qkd/octets.hpp"
#include "quantum/qkd/photonics/link.hpp"
#include "quantum/qkd/reconciliation/reconciliation.hpp"

namespace qanat::qkd {

struct LinkTag;
using LinkId = Name<LinkTag>;
inline constexpr std::size_t link_id_size_max = 64;
inline constexpr std::size_t agreement_size = 32;
inline constexpr std::size_t thresholds_digest_size = 32;

/// Which disclosures of error correction are charged. Counting only one direction of Cascade is disputed (Tupkary, Luetkenhaus,
/// arXiv:2307.00576): Bob's questions show his parities too. `both_directions` charges what either side's key gave away and is the default.
enum class LeakModel : std::uint8_t { one_way, both_directions };
/// "one_way", "both_directions".
std::string_view name(LeakModel model) noexcept;

/// Where a link's first authentication keys came from: brought to both ends, or agreed with post-quantum cryptography (process/first_key.hpp), which
/// makes the link's start rest on assumptions about computing.
enum class FirstKey : std::uint8_t { pre_shared, pqc };
/// "pre_shared", "pqc".
std::string_view name(FirstKey first_key) noexcept;

/// When a block was made, at this end: the one part of a report that differs between the ends.
struct BlockTimes {
  UnixMs began_ms = 0;
  std::uint64_t wall_ms = 0;  // from there until the key was finished
  bool operator==(const BlockTimes&) const = default;
};

/// How a block's key came about: all that went into its length, and what came out.
struct BlockReport {
  std::uint64_t n_sift = 0;                                   // sifted bits in the key basis
  std::array<std::uint64_t, intensity_count> key_counts{};    // of them, by intensity
  std::array<std::uint64_t, intensity_count> key_errors{};    // corrected bits by intensity, as Bob told
  std::array<std::uint64_t, intensity_count> check_counts{};  // check basis, by intensity
  std::array<std::uint64_t, intensity_count> check_errors{};
  std::array<double, intensity_count> mu{};  // mean photon numbers
  std::array<double, intensity_count> p{};   // their probabilities
  double key_basis_probability = 0.0;
  std::uint64_t gates = 0;  // pulses sent while the block was collected
  double qber_key = 0.0;    // key_errors over n_sift
  double qber_check = 0.0;  // check_errors over check_counts
  ReconciliationMethod reconciliation{};
  Disclosed disclosed;
  LeakModel leak_model = LeakModel::both_directions;
  double leak_charged = 0.0;  // lambda_EC: by the model, with the verification hash
  Bound bound{};
  LengthRule length_rule = LengthRule::fixed;
  std::uint8_t rung = 0;  // fixed length: which of the ladder
  Bytes thresholds;       // fixed length: SHA-256 of the rung's thresholds
  double vacuum = 0.0;    // what the bound says: see BoundOutput
  double single = 0.0;
  double single_check = 0.0;
  double single_errors = 0.0;
  double phase_error = 0.0;
  std::uint64_t length = 0;  // l: secret bits before authentication took its share
  double eps_sec = 0.0;
  double eps_cor = 0.0;
  std::uint64_t authentication_bits_spent = 0;     // on this block's tags
  std::uint64_t authentication_bits_refilled = 0;  // out of `length`, into the pools
  FirstKey first_key = FirstKey::pre_shared;
  double simulated_time_s = 0.0;  // gates / gate rate: how long the optics would have taken
  Bytes agreement;                // 32 octets: a digest of all of the above and of the verification of the key
  BlockTimes times;

  void write(OctetWriter& out) const;
  [[nodiscard]] static Result<BlockReport> read(OctetReader& in);
  /// SHA-256 over link, block id, the report without `agreement` and `times`, and the key's verification key and hash.
  [[nodiscard]] Bytes digest(const LinkId& link, std::uint64_t block_id, ByteView verification_key, ByteView verification_hash) const;
  bool operator==(const BlockReport&) const = default;

 private:
  void write_shared(OctetWriter& out) const;
};

struct KeyBlock {
  std::uint64_t block_id = 0;
  Secret bits;                  // packed, least significant bit of an octet first; bit_count of them
  std::uint64_t bit_count = 0;  // length less what the authentication pools took
  BlockReport report;
};

inline constexpr std::size_t link_key_bits = 256;
inline constexpr std::size_t link_key_octets = link_key_bits / 8;

/// A block goes to the key manager in pieces of at most this many bits, each with a block id of its own: 8192 keys.
inline constexpr std::size_t piece_bits_max = std::size_t{1} << 21;
/// The block's id and those after it, one per piece, whole keys alone. Block ids of a link are far enough apart (SessionSettings::ids_per_block).
std::vector<KeyBlock> in_pieces(const KeyBlock& block);

/// The first 16 octets of SHA-256("qanat qkd key id" ‖ u16 length ‖ link id ‖ u64 block id ‖ u32 index).
KeyId key_id(const LinkId& link, std::uint64_t block_id, std::uint32_t index);

}  // namespace qanat::qkd
