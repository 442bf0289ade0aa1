#include "crypto/rsa_key.hpp"

#include <openssl/pem.h>

#include <algorithm>
#include <array>

#include "crypto/scep_cms.hpp"

namespace qanat::crypto {
namespace {

constexpr std::array rsa_bits_made{3072, 4096};
constexpr std::string_view rsa_where = "RSA key";
constexpr std::size_t pkcs8_octets_max = 8192;

Result<std::shared_ptr<const RsaKey::State>> state_of(EvpKey key) {
  auto out = std::make_shared<RsaKey::State>();
  out->public_key_info = to_der<i2d_PUBKEY>(key.get());
  if (out->public_key_info.empty()) return openssl_failure(rsa_where);
  out->key = std::move(key);
  return std::shared_ptr<const RsaKey::State>(std::move(out));
}

}  // namespace

Result<RsaKey> RsaKey::generate(int bits) {
  const ErrorScope errors;
  if (std::ranges::find(rsa_bits_made, bits) == rsa_bits_made.end()) {
    return fail(ErrorCode::invalid_argument, "RSA key: of " + std::to_string(bits) + " bits where 3072 or 4096 are made");
  }
  EvpKey key(EVP_RSA_gen(static_cast<unsigned>(bits)));
  if (!key) return openssl_failure(rsa_where);
  RsaKey out;
  ASSIGN_OR_RETURN(out.state_, state_of(std::move(key)));
  return out;
}

Result<RsaKey> RsaKey::from_pkcs8(const Secret& der) {
  const ErrorScope errors;
  if (der.empty() || der.size() > pkcs8_octets_max) return fail(ErrorCode::invalid_argument, "RSA key: no PKCS#8 of one");
  const ByteView octets = der.reveal();
  const unsigned char* at = octets.data();
  EvpKey key(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(octets.size())));
  if (!key || at != octets.data() + octets.size() || EVP_PKEY_is_a(key.get(), "RSA") != 1) {
    return fail(ErrorCode::invalid_argument, "RSA key: no PKCS#8 of one");
  }
  RsaKey out;
  ASSIGN_OR_RETURN(out.state_, state_of(std::move(key)));
  return out;
}

Result<Secret> RsaKey::pkcs8() const {
  const ErrorScope errors;
  const MemoryBio out(BIO_new(BIO_s_secmem()));
  if (!out || i2d_PKCS8PrivateKey_bio(out.get(), state_->key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) return openssl_failure(rsa_where);
  char* octets = nullptr;
  const long size = BIO_get_mem_data(out.get(), &octets);
  if (size <= 0) return openssl_failure(rsa_where);
  return Secret::copy_of(as_bytes(std::string_view(octets, static_cast<std::size_t>(size))));
}

const Bytes& RsaKey::public_key_info() const noexcept { return state_->public_key_info; }

}  // namespace qanat::crypto
