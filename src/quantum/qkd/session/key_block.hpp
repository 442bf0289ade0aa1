// What a finished block is: the bits, the same at both ends, and the report that says how they came about.
#pragma once

#include <string>
#include <vector>

#include "base/id.hpp"
#include "base/secret.hpp"
#include "quantum/qkd/octets.hpp"
#include "quantum/qkd/photonics/link.hpp"

namespace qanat::qkd {

struct LinkTag;
using LinkId = Name<LinkTag>;
inline constexpr std::size_t link_id_size_max = 64;

/// Which disclosures of error correction are charged. Counting only one direction of Cascade is disputed (Tupkary, Luetkenhaus,
/// arXiv:2307.00576): Bob's questions show his parities too. `both_directions` charges twice the parities and is the default.
enum class LeakModel : std::uint8_t { alice_parities, both_directions };

struct BlockReport {
  std::uint64_t n_sift = 0;                                   // sifted bits in the key basis, n_X
  std::array<std::uint64_t, intensity_count> key_counts{};    // n_X by intensity
  std::array<std::uint64_t, intensity_count> check_counts{};  // n_Z by intensity
  std::array<std::uint64_t, intensity_count> check_errors{};  // m_Z by intensity
  double qber_key = 0.0;                                      // corrected bits over n_X
  double qber_check = 0.0;                                    // m_Z over n_Z
  std::uint64_t leak_one_way = 0;                             // Alice's parities
  std::uint64_t leak_all = 0;                                 // parities of both directions
  LeakModel leak_model = LeakModel::both_directions;
  double leak_charged = 0.0;       // lambda_EC: by the model, with the verification hash
  double phase_error_bound = 0.0;  // phi_X
  std::uint64_t length = 0;        // l: secret bits before authentication took its share
  double eps_sec = 0.0;
  double eps_cor = 0.0;
  std::uint64_t authentication_bits_spent = 0;     // on this block's tags
  std::uint64_t authentication_bits_refilled = 0;  // out of `length`, into the pools
  std::string bound;                               // "Lim 2014"
  double simulated_time_s = 0.0;                   // gates / gate rate: how long the optics would have taken
  std::uint64_t wall_ms = 0;                       // at this end; the one value that differs between the ends

  void write(OctetWriter& out) const;
  [[nodiscard]] static Result<BlockReport> read(OctetReader& in);
  bool operator==(const BlockReport&) const = default;
};

struct KeyBlock {
  std::uint64_t block_id = 0;
  Secret bits;                  // packed as in pack_bits; bit_count of them
  std::uint64_t bit_count = 0;  // length less what the authentication pools took
  BlockReport report;
};

inline constexpr std::size_t link_key_bits = 256;

struct LinkKey {
  KeyId id;
  Secret key;  // 32 octets
};

/// The first 16 octets of SHA-256("qanat qkd key id" ‖ u16 length ‖ link id ‖ u64 block id ‖ u32 index).
KeyId key_id(const LinkId& link, std::uint64_t block_id, std::uint32_t index);
/// The block as 256-bit link keys, in order; fewer than 256 bits at the end are discarded.
std::vector<LinkKey> split(const LinkId& link, const KeyBlock& block);

}  // namespace qanat::qkd
