#include "quantum/qkd/process/first_key.hpp"

#include "crypto/kdf.hpp"

namespace qanat::qkd {
namespace {

constexpr std::string_view label = "qanat qkd first key";

/// ML-KEM first, as in docs/protocol.
Secret derive(const crypto::Suite& suite, const Secret& ml_kem, const Secret& classical, const LinkId& link, ByteView request, ByteView answer) {
  const Secret both = Secret::concat({&ml_kem, &classical});
  const Secret prk = crypto::hkdf_extract(suite.hash, as_bytes(label), both);
  const Bytes said = crypto::digest(suite.hash, {request, answer});
  return crypto::hkdf_expand(suite.hash, prk, {as_bytes(label), said, link.view()}, 2 * first_keys * one_time_key_size);
}

}  // namespace

FirstKeyRequest::FirstKeyRequest(const crypto::Suite& suite, crypto::Decapsulator pair) : suite_(&suite), pair_(std::move(pair)) {
  const crypto::EncapsulationKey& key = pair_.encapsulation_key();
  message_ = concat({key.point, key.ml_kem});
}

Result<FirstKeyRequest> FirstKeyRequest::make(const crypto::Suite& suite, crypto::Rng& random) {
  ASSIGN_OR_RETURN(crypto::Decapsulator pair, crypto::Decapsulator::generate(suite, random));
  return FirstKeyRequest(suite, std::move(pair));
}

Result<Secret> FirstKeyRequest::finish(const LinkId& link, ByteView answer) const {
  OctetReader in(answer);
  const ByteView classical = in.octets(suite_->point);
  const ByteView ml_kem = in.octets(suite_->ml_kem_ct);
  TRY(in.finish("first key"));
  ASSIGN_OR_RETURN(const crypto::SharedSecrets secrets, pair_.decapsulate(crypto::KemForm::to_ephemeral, classical, ml_kem));
  return Result<Secret>(derive(*suite_, secrets.ml_kem, secrets.classical, link, message_, answer));
}

Result<FirstKeyAnswer> answer_first_key(const crypto::Suite& suite, const LinkId& link, ByteView request, crypto::Rng& random) {
  OctetReader in(request);
  crypto::EncapsulationKey key;
  key.point = to_bytes(in.octets(suite.point));
  key.ml_kem = to_bytes(in.octets(suite.ml_kem_public));
  TRY(in.finish("first key"));
  ASSIGN_OR_RETURN(const crypto::Encapsulation made, crypto::encapsulate(suite, crypto::KemForm::to_ephemeral, key, random));
  FirstKeyAnswer out{.message = concat({made.ct_classical, made.ct_ml_kem}), .preshared = {}};
  out.preshared = derive(suite, made.ss_ml_kem, made.ss_classical, link, request, out.message);
  return Result<FirstKeyAnswer>(std::move(out));
}

}  // namespace qanat::qkd
