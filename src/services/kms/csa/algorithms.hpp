// What keys of the CSA are made of: every algorithm of the suites as one table, and what is computed with a key. No I/O, no policy.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/device.hpp"
#include "crypto/lone_signer.hpp"
#include "crypto/suite.hpp"

namespace qanat::kms::csa {

enum class Family : std::uint8_t { aead, mac, signature, kem };

struct Algorithm {
  std::string_view name;  // as it stands in requests and rows
  Family family{};
  std::size_t material = 0;      // octets of the secret key
  std::size_t public_key = 0;    // octets; 0: the key has no public half
  std::size_t result = 0;        // octets of a MAC, a signature or an encapsulation
  crypto::Aead aead{};           // of Family::aead
  crypto::Hash hash{};           // of Family::mac
  std::optional<crypto::LoneScheme> lone = {};  // of Family::signature: one scheme alone; otherwise the suite's two over the same octets
  crypto::SuiteId suite{};       // of Family::signature and Family::kem: where their lengths stand
};
std::span<const Algorithm> all_algorithms() noexcept;
Result<const Algorithm*> find_algorithm(std::string_view name);

/// What a key is for: one thing, so that what it makes for one purpose passes for nothing in another.
enum class Usage : std::uint8_t { encryption, mac, signature, authentication, encapsulation };
inline constexpr Usage all_usages[] = {Usage::encryption, Usage::mac, Usage::signature, Usage::authentication, Usage::encapsulation};
std::string_view name(Usage usage) noexcept;
/// invalid_argument for no usage, or one that the algorithm is not fit for.
Result<Usage> parse_usage(std::string_view text, const Algorithm& algorithm);

/// A fresh secret key: symmetric ones are the device's random octets.
Result<Secret> generate(const Algorithm& algorithm, crypto::CryptoDevice& device);
/// The public half; empty where there is none. invalid_argument if the octets are no secret key of this algorithm.
Result<Bytes> public_half(const Algorithm& algorithm, const Secret& material);

/// r‖s, the ML-DSA signature, or one after the other. internal if the material is not of the algorithm.
Result<Bytes> sign(const Algorithm& algorithm, const Secret& material, ByteView message, crypto::Rng& rng);
/// `denied` unless it holds, also for one of the wrong length.
Result<void> verify(const Algorithm& algorithm, ByteView public_key, ByteView message, ByteView signature);

struct SharedKey {
  Bytes ciphertext;  // classical ‖ ML-KEM
  Secret secret;     // 32 octets
};
inline constexpr std::size_t shared_key_octets = 32;
/// To a static hybrid public key (point ‖ ML-KEM key): SM2 public-key encryption or ECDH, and ML-KEM, combined as docs/protocol/qfc2.md has it, bound to `context`.
/// invalid_argument for a public key that is none.
Result<SharedKey> encapsulate(const Algorithm& algorithm, ByteView public_key, ByteView context, crypto::Rng& rng);
/// invalid_argument for a wrong length, `denied` where the classical half does not hold. ML-KEM rejects implicitly: a changed ciphertext gives another secret.
Result<Secret> decapsulate(const Algorithm& algorithm, const Secret& material, ByteView ciphertext, ByteView context);

}  // namespace qanat::kms::csa
