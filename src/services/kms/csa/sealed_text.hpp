// What leaves the CSA encrypted: own formats over the suites' AEADs (docs/operations/csa.md, ADR 27). A header names key and version, and the associated data
// binds header and the caller's context, so that a text opens under nothing else.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/id.hpp"
#include "services/kms/csa/algorithms.hpp"

namespace qanat::kms::csa {

struct CsaKeyIdTag;
using CsaKeyId = Id<CsaKeyIdTag, 16>;  // a key of the CSA; drawn

/// What was sealed: one kind never opens as another.
enum class SealedKind : std::uint8_t { text = 1, data_key = 2, exported_key = 3 };

struct SealedHeader {
  SealedKind kind{};
  CsaKeyId key;
  std::uint32_t version = 0;
  bool operator==(const SealedHeader&) const = default;
};
inline constexpr std::uint8_t sealed_format = 1;
inline constexpr std::size_t sealed_header_octets = 1 + 1 + CsaKeyId::size + 4;
inline constexpr std::size_t sealed_overhead = sealed_header_octets + crypto::aead_iv + crypto::aead_tag;

/// format ‖ kind ‖ key ‖ version, big-endian.
Bytes encode(const SealedHeader& header);
/// Of a whole text; invalid_argument if it is too short or of another format.
Result<SealedHeader> parse_sealed_header(ByteView sealed);

/// header ‖ nonce ‖ ciphertext ‖ tag. `nonce`: 12 octets drawn for this text; the caller counts them (at most 2^32 for a key: SP 800-38D, 8.3).
Bytes seal_text(const Algorithm& algorithm, const Secret& key, const SealedHeader& header, ByteView nonce, std::string_view context, ByteView plaintext);
/// `denied` if it was changed, or sealed for another context. The header must be that of `sealed`.
Result<Secret> open_text(const Algorithm& algorithm, const Secret& key, const SealedHeader& header, std::string_view context, ByteView sealed);

/// What an exported key is, besides its octets: all of it is authenticated.
struct ExportedAs {
  const Algorithm& algorithm;
  Usage usage;
};
/// A key under a KEM's public key: header ‖ encapsulation ‖ sealed octets, the sealing key and nonce derived from the shared secret, which serves once.
Result<Bytes> wrap_key(const Algorithm& kem, ByteView public_key, const SealedHeader& header, const ExportedAs& as, std::string_view context, const Secret& material,
                       crypto::Rng& rng);
/// `denied` if it was changed, is for another KEM key, or is announced as something else. Who made it is not said by that: anybody may have the public key
/// (export_statement.hpp).
Result<Secret> unwrap_key(const Algorithm& kem, const Secret& kem_material, const ExportedAs& as, std::string_view context, ByteView wrapped);

}  // namespace qanat::kms::csa
