#include "crypto/kdf.hpp"

#include <botan/hash.h>
#include <botan/mac.h>

#include <array>
#include <memory>
#include <string>

#include "base/check.hpp"
#include "crypto/algorithm_names.hpp"

namespace qanat::crypto {
namespace {

// Botan takes HMAC keys up to this length; nothing here comes near.
constexpr std::size_t hmac_key_octets_max = 4096;

// Both kinds of functions are made once for each thread: Botan finds them by their names and puts them together anew each time, which takes as long as a few
// hundred octets. Between two uses they hold nothing.
template <class Function>
using OfEachHash = std::array<std::unique_ptr<Function>, 3>;

Botan::HashFunction& hash_function(Hash hash) {
  thread_local OfEachHash<Botan::HashFunction> made;
  std::unique_ptr<Botan::HashFunction>& one = made.at(static_cast<std::size_t>(hash));
  if (!one) one = Botan::HashFunction::create_or_throw(botan_name(hash));
  one->clear();
  return *one;
}

Botan::MessageAuthenticationCode& hmac_function(Hash hash) {
  thread_local OfEachHash<Botan::MessageAuthenticationCode> made;
  std::unique_ptr<Botan::MessageAuthenticationCode>& one = made.at(static_cast<std::size_t>(hash));
  if (!one) one = Botan::MessageAuthenticationCode::create_or_throw("HMAC(" + std::string(botan_name(hash)) + ")");
  return *one;
}

/// This thread's HMAC under a key, of which it is wiped at the end. One at a time.
class KeyedHmac {
 public:
  KeyedHmac(Hash hash, ByteView key) : mac_(hmac_function(hash)) {
    CHECK(key.size() <= hmac_key_octets_max);
    mac_.set_key(key);
  }
  ~KeyedHmac() { mac_.clear(); }
  KeyedHmac(const KeyedHmac&) = delete;
  KeyedHmac& operator=(const KeyedHmac&) = delete;

  void update(ByteView octets) { mac_.update(octets); }
  /// Begins anew under the same key.
  void final(std::span<std::uint8_t> out) { mac_.final(out); }

 private:
  Botan::MessageAuthenticationCode& mac_;
};

// RFC 5869, 2.2: PRK = HMAC(salt, IKM). An absent salt is a string of zeros, which HMAC's padding makes the same as the empty key.
Secret extract(Hash hash, ByteView salt, const Secret& ikm) {
  KeyedHmac mac(hash, salt);
  mac.update(ikm.reveal());
  Secret prk(digest_size(hash));
  mac.final(prk.writable());
  return prk;
}

}  // namespace

std::size_t digest_size(Hash hash) noexcept { return hash == Hash::sha384 ? 48 : 32; }

Bytes digest(Hash hash, std::initializer_list<ByteView> parts) {
  Botan::HashFunction& function = hash_function(hash);
  for (const ByteView part : parts) function.update(part);
  Bytes out(digest_size(hash));
  function.final(out);
  return out;
}

Bytes hmac(Hash hash, const Secret& key, std::initializer_list<ByteView> parts) {
  KeyedHmac mac(hash, key.reveal());
  for (const ByteView part : parts) mac.update(part);
  Bytes out(digest_size(hash));
  mac.final(out);
  return out;
}

Secret hkdf_extract(Hash hash, ByteView salt, const Secret& ikm) { return extract(hash, salt, ikm); }
Secret hkdf_extract(Hash hash, const Secret& salt, const Secret& ikm) { return extract(hash, salt.reveal(), ikm); }

// RFC 5869, 2.3: T(i) = HMAC(PRK, T(i-1) ‖ info ‖ i), T(0) empty; the output is T(1) ‖ T(2) ‖ …, cut off.
Secret hkdf_expand(Hash hash, const Secret& prk, std::initializer_list<ByteView> info, std::size_t size) {
  const std::size_t block = digest_size(hash);
  CHECK(size > 0 && size <= 255 * block);
  Secret out((size + block - 1) / block * block);
  KeyedHmac mac(hash, prk.reveal());
  ByteView before;
  std::uint8_t number = 0;
  for (std::span<std::uint8_t> left = out.writable(); !left.empty(); left = left.subspan(block)) {
    ++number;
    mac.update(before);
    for (const ByteView part : info) mac.update(part);
    mac.update({&number, 1});
    mac.final(left.first(block));
    before = left.first(block);
  }
  if (out.size() == size) return out;
  return Secret::copy_of(out.writable().first(size));
}

}  // namespace qanat::crypto
