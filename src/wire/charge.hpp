// Injection (KIM): symmetric keys that a KMS charges into a terminal's secure medium, in three sets as operators keep them. The vocabulary, what a charge
// seals, and the file in which a charge travels offline (docs/protocol/qfc2.md, "Charges").
#pragma once

#include <array>
#include <span>
#include <vector>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/secret.hpp"
#include "crypto/suite.hpp"
#include "wire/qfc2_header.hpp"

namespace qanat::wire {

struct MediumIdTag;
struct ChargeIdTag;
using MediumId = Id<MediumIdTag, 16>;  // a secure medium, for its whole life
using ChargeId = Id<ChargeIdTag, 16>;  // one charge of it

inline constexpr std::size_t charged_key_size = 32;
inline constexpr std::size_t transport_key_size = 32;
inline constexpr std::size_t charge_keys_max = 256;  // of one set in one charge
inline constexpr Bounds charge_sealed_bounds{0, 32768};

/// What the keys of a set are for. A key of one set is never used as one of another: the set stands in each derivation's label.
enum class KeySet : std::uint8_t {
  authentication = 1,  // symmetric mode: the terminal's authentication where certificates cannot be checked
  call = 2,            // F_INJ
  distribution = 3,    // protects the next charge over a wire
};
inline constexpr std::array all_key_sets{KeySet::authentication, KeySet::call, KeySet::distribution};
constexpr std::size_t index_of(KeySet set) noexcept { return static_cast<std::size_t>(set) - 1; }
std::string_view name(KeySet set) noexcept;
Result<KeySet> key_set_from_name(std::string_view text);

/// How a key came into its medium.
enum class Charged : std::uint8_t {
  offline = 1,             // by file, under the medium's transport key: it never leaned on public keys
  wire_under_offline = 2,  // over a wire, under a key of the distribution set that itself counts
  wire = 3,                // over a wire, under public keys alone
};
std::string_view name(Charged charged) noexcept;
/// Whether a key that came so protects where SM2 (or ECDH) and ML-KEM both fall.
constexpr bool counts(Charged charged) noexcept { return charged != Charged::wire; }

/// What the key was drawn from.
enum class ChargeOrigin : std::uint8_t {
  quantum = 1,  // the crypto device's RNG together with a quantum key
  device = 2,   // the crypto device's RNG alone
};
std::string_view name(ChargeOrigin origin) noexcept;

/// Keys with the indexes first, first + 1, …; an index belongs to one key of the medium's set for ever.
struct ChargedKeys {
  std::uint32_t first = 0;
  std::vector<Secret> keys;
};
/// What a charge seals.
struct ChargePayload {
  Charged charged{};
  ChargeOrigin origin{};
  std::array<ChargedKeys, all_key_sets.size()> sets;  // by index_of
  [[nodiscard]] const ChargedKeys& of(KeySet set) const { return sets[index_of(set)]; }
};
/// invalid_argument: more than charge_keys_max keys in a set, none in all, a key of another size, or an index beyond 32 bits.
Result<Secret> encode_charge(const ChargePayload& payload);
Result<ChargePayload> parse_charge(const Secret& octets);

/// A charge as it travels by file: sealed under the medium's transport key of this generation, which nobody has besides the KMS and the medium. Each charge has
/// a generation of its own; the key of the next is derived from it and it is forgotten, so that a medium opens a charge once and none that was made before the
/// last that it opened, and who takes a medium learns nothing of charges that it was given earlier.
struct ChargeFile {
  const crypto::Suite* suite = nullptr;
  MediumId medium;
  ChargeId charge;
  std::uint32_t generation = 0;
  UnixMs made_ms = 0;
  Bytes sealed;
};
inline constexpr std::size_t charge_file_max = 64 * 1024;
inline constexpr std::uint32_t generations_skipped_max = 4096;  // charges whose file never came
Bytes encode(const ChargeFile& file);
Result<ChargeFile> parse_charge_file(ByteView octets);
/// `file` with `sealed` filled in.
Result<ChargeFile> seal_charge_file(ChargeFile file, const Secret& transport_key, const ChargePayload& payload);
/// `denied` if the seal does not hold, or the payload says that it did not come offline.
Result<ChargePayload> open_charge_file(const ChargeFile& file, const Secret& transport_key);
/// The transport key `steps` generations later.
Secret transport_key_after(const crypto::Suite& suite, const Secret& transport_key, std::uint32_t steps);

}  // namespace qanat::wire
