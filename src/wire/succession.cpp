#include "wire/succession.hpp"

#include "crypto/x509.hpp"

#include "wire/reader.hpp"

namespace qanat::wire {
namespace {

constexpr std::string_view label = "Succession";
constexpr std::uint8_t succession_version = 1;

void put_certificates(Writer& out, const Succession& link) {
  out.opaque("classical certificate", link.classical, succession_certificate_bounds);
  out.opaque("ML-DSA certificate", link.ml_dsa, succession_certificate_bounds);
}

Result<Succession> read_link(const crypto::Suite& suite, Reader& in) {
  Succession out;
  ASSIGN_OR_RETURN(const ByteView former_classical, in.fixed("former classical fingerprint", suite.digest));
  ASSIGN_OR_RETURN(const ByteView former_pq, in.fixed("former ML-DSA fingerprint", suite.digest));
  out.former = {.classical = to_bytes(former_classical), .pq = to_bytes(former_pq)};
  ASSIGN_OR_RETURN(const ByteView classical, in.opaque("classical certificate", succession_certificate_bounds));
  out.classical = to_bytes(classical);
  ASSIGN_OR_RETURN(const ByteView ml_dsa, in.opaque("ML-DSA certificate", succession_certificate_bounds));
  out.ml_dsa = to_bytes(ml_dsa);
  ASSIGN_OR_RETURN(const ByteView signature, in.fixed("signature", suite.signature()));
  out.signature = to_bytes(signature);
  return out;
}

}  // namespace

Result<Bytes> succession_tbs(const Succession& link) {
  Writer out;
  out.raw(as_bytes(qfc2_magic));
  out.u8(succession_version);
  out.u8(static_cast<std::uint8_t>(label.size()));
  out.raw(as_bytes(label));
  put_certificates(out, link);
  out.raw(link.former.classical);
  out.raw(link.former.pq);
  return std::move(out).finish();
}

Result<Succession> make_succession(const crypto::Suite& suite, Fingerprints former, Bytes classical, Bytes ml_dsa, const crypto::Signer& former_signer,
                                   crypto::Rng& rng) {
  CHECK(former.classical.size() == suite.digest && former.pq.size() == suite.digest);
  Succession out{.former = std::move(former), .classical = std::move(classical), .ml_dsa = std::move(ml_dsa), .signature = {}};
  ASSIGN_OR_RETURN(const Bytes tbs, succession_tbs(out));
  out.signature = former_signer.sign(tbs, rng);
  return out;
}

Result<Bytes> encode_successions(const crypto::Suite& suite, std::span<const Succession> links) {
  if (links.size() > succession_links_max) return fail(ErrorCode::invalid_argument, "successions: more than " + std::to_string(succession_links_max));
  Writer out;
  out.u8(static_cast<std::uint8_t>(links.size()));
  for (const Succession& link : links) {
    out.fixed("former classical fingerprint", link.former.classical, suite.digest);
    out.fixed("former ML-DSA fingerprint", link.former.pq, suite.digest);
    put_certificates(out, link);
    out.fixed("signature", link.signature, suite.signature());
  }
  return std::move(out).finish();
}

Result<std::vector<Succession>> parse_successions(const crypto::Suite& suite, ByteView octets) {
  Reader in(octets);
  ASSIGN_OR_RETURN(const std::uint8_t number, in.u8("number of successions"));
  if (number > succession_links_max) return fail(ErrorCode::invalid_argument, "successions: more than " + std::to_string(succession_links_max));
  std::vector<Succession> out;
  for (std::size_t i = 0; i < number; ++i) {
    ASSIGN_OR_RETURN(Succession link, read_link(suite, in));
    out.push_back(std::move(link));
  }
  TRY(in.finish());
  return out;
}

Result<void> verify_succession(const Succession& link, const crypto::Verifier& former) {
  ASSIGN_OR_RETURN(const Bytes tbs, succession_tbs(link));
  if (const auto held = former.verify(tbs, link.signature); !held) return fail_in("succession", held.error());
  return {};
}

Result<SignerCertificates> follow(const crypto::Suite& suite, SignerCertificates kept, std::span<const Succession> links) {
  for (const Succession& link : links) {
    if (link.former != fingerprints(suite, kept.classical, kept.ml_dsa)) return fail(ErrorCode::denied, "succession: follows other certificates");
    ASSIGN_OR_RETURN(const auto classical, crypto::Certificate::parse(kept.classical));
    ASSIGN_OR_RETURN(const auto ml_dsa, crypto::Certificate::parse(kept.ml_dsa));
    ASSIGN_OR_RETURN(const auto verifier, crypto::Verifier::from_key(suite, {.point = classical.public_key(), .ml_dsa = ml_dsa.public_key()}));
    TRY(verify_succession(link, verifier));
    kept = {.classical = link.classical, .ml_dsa = link.ml_dsa};
  }
  return kept;
}

}  // namespace qanat::wire
