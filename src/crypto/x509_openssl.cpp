#include "crypto/x509_openssl.hpp"

#include <algorithm>
#include <ctime>

namespace qanat::crypto {
namespace {

constexpr std::size_t utc_time_octets = 13;          // YYMMDDHHMMSSZ
constexpr std::size_t generalized_time_octets = 15;  // YYYYMMDDHHMMSSZ
constexpr UnixMs year_10000_s = 253402300800;

}  // namespace

const EVP_MD* digest_for(KeyAlgorithm algorithm) noexcept {
  switch (algorithm) {
    case KeyAlgorithm::sm2:
      return EVP_sm3();
    case KeyAlgorithm::ecdsa_p384:
      return EVP_sha384();
    case KeyAlgorithm::ml_dsa_65:
    case KeyAlgorithm::ml_dsa_87:
      return nullptr;  // pure ML-DSA signs the message itself (RFC 9881 §2)
    case KeyAlgorithm::ml_kem_768:
    case KeyAlgorithm::ml_kem_1024:
      return nullptr;  // signs nothing
  }
  return nullptr;
}

std::unexpected<Error> openssl_failure(std::string_view where) {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  return fail(ErrorCode::internal, std::string(where) + ": OpenSSL: " + (reason != nullptr ? reason : "no reason given"));
}

Asn1OctetString new_distinguishing_id() {
  Asn1OctetString id(ASN1_OCTET_STRING_new());
  if (id && ASN1_OCTET_STRING_set(id.get(), as_bytes(sm2_distinguishing_id).data(), static_cast<int>(sm2_distinguishing_id.size())) != 1) id.reset();
  return id;
}

Result<SigningContext> SigningContext::make(EVP_PKEY* key, KeyAlgorithm algorithm) {
  SigningContext out;
  out.key_.reset(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  out.digest_.reset(EVP_MD_CTX_new());
  if (!out.key_ || !out.digest_) return openssl_failure("signing context");
  // The identity must be in place before DigestSignInit: it is hashed in front of the message (GB/T 32918.2 §5.5).
  if (algorithm == KeyAlgorithm::sm2 &&
      EVP_PKEY_CTX_set1_id(out.key_.get(), sm2_distinguishing_id.data(), static_cast<int>(sm2_distinguishing_id.size())) <= 0) {
    return openssl_failure("SM2 identity");
  }
  EVP_MD_CTX_set_pkey_ctx(out.digest_.get(), out.key_.get());
  if (EVP_DigestSignInit(out.digest_.get(), nullptr, digest_for(algorithm), nullptr, key) <= 0) return openssl_failure("signing context");
  return Result<SigningContext>(std::move(out));
}

Result<UnixMs> read_time(const ASN1_TIME* time) {
  const auto bad = [] { return fail(ErrorCode::invalid_argument, "time: not as RFC 5280 §4.1.2.5 has it, or before 1970"); };
  if (time == nullptr) return bad();
  const ByteView text(ASN1_STRING_get0_data(time), static_cast<std::size_t>(ASN1_STRING_length(time)));
  const std::size_t wanted = ASN1_STRING_type(time) == V_ASN1_UTCTIME ? utc_time_octets : generalized_time_octets;
  if (text.size() != wanted || text.back() != 'Z') return bad();
  if (!std::ranges::all_of(text.first(wanted - 1), [](std::uint8_t octet) { return octet >= '0' && octet <= '9'; })) return bad();
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return bad();
  const std::time_t seconds = timegm(&parts);
  if (seconds < 0) return bad();
  return static_cast<UnixMs>(seconds) * 1000;
}

Result<Asn1Time> make_time(UnixMs at) {
  if (at / 1000 >= year_10000_s) return fail(ErrorCode::invalid_argument, "time: " + std::to_string(at) + " ms lies after the year 9999");
  Asn1Time time(ASN1_TIME_set(nullptr, static_cast<std::time_t>(at / 1000)));
  if (!time) return openssl_failure("time");
  return Result<Asn1Time>(std::move(time));
}

std::string readable_time(UnixMs at) {
  const auto seconds = static_cast<std::time_t>(at / 1000);
  std::tm parts{};
  char text[sizeof "99999-12-31T23:59:59Z"];
  if (gmtime_r(&seconds, &parts) == nullptr) return std::to_string(at) + " ms";
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

Result<Bytes> read_serial(const ASN1_INTEGER* serial) {
  if (serial == nullptr) return fail(ErrorCode::invalid_argument, "serial: absent");
  Bytes out = octets_of(serial);
  const bool positive = ASN1_STRING_type(serial) == V_ASN1_INTEGER && std::ranges::any_of(out, [](std::uint8_t octet) { return octet != 0; });
  if (!positive || out.size() > max_serial_octets) {
    return fail(ErrorCode::invalid_argument, "serial: not a positive number of at most " + std::to_string(max_serial_octets) + " octets");
  }
  return out;
}

}  // namespace qanat::crypto
