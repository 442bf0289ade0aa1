#include "services/cas/acme/nonces.hpp"

#include "crypto/kdf.hpp"
#include "wire/base64.hpp"

namespace qanat::cas {
namespace {

constexpr std::size_t number_octets = 8;
constexpr std::size_t tag_octets = 16;
constexpr std::size_t nonce_key_octets = 32;

Bytes number_to_octets(std::uint64_t number) {
  Bytes out(number_octets);
  for (std::size_t i = 0; i < number_octets; ++i) out[i] = static_cast<std::uint8_t>(number >> 8U * (number_octets - 1 - i));
  return out;
}

std::optional<std::uint64_t> number_in(std::string_view nonce) {
  const auto octets = wire::from_base64url(nonce);
  if (!octets || octets->size() != number_octets + tag_octets) return std::nullopt;
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < number_octets; ++i) out = out << 8U | (*octets)[i];
  return out;
}

}  // namespace

Nonces::Nonces(crypto::Rng& rng, std::uint64_t outstanding_max) : key_(rng.secret(nonce_key_octets)), used_(outstanding_max) {}

std::string Nonces::text(std::uint64_t number) const {
  Bytes octets = number_to_octets(number);
  const Bytes tag = crypto::hmac(crypto::Hash::sha256, key_, {octets});
  append(octets, ByteView(tag).first(tag_octets));
  return wire::to_base64url(octets);
}

std::string Nonces::give() {
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    number = next_++;
    used_[number % used_.size()] = false;
  }
  return text(number);
}

bool Nonces::spend(std::string_view nonce) {
  const auto number = number_in(nonce);
  if (!number || !equal_constant_time(as_bytes(text(*number)), as_bytes(nonce))) return false;
  const std::lock_guard lock(mutex_);
  const std::size_t place = *number % used_.size();
  if (*number >= next_ || next_ - *number > used_.size() || used_[place]) return false;
  used_[place] = true;
  return true;
}

}  // namespace qanat::cas
