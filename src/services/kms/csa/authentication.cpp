#include "services/kms/csa/authentication.hpp"

#include "base/check.hpp"

namespace qanat::kms::csa {
namespace {

constexpr std::string_view proof_label{"qanat csa v1 authentication", sizeof("qanat csa v1 authentication")};  // with the zero octet that ends it

void add_field(Bytes& out, ByteView field) {
  CHECK(field.size() <= 65535);
  out.push_back(static_cast<std::uint8_t>(field.size() >> 8U));
  out.push_back(static_cast<std::uint8_t>(field.size()));
  append(out, field);
}

}  // namespace

Bytes proof_text(const ProofOf& proof) {
  Bytes out = to_bytes(proof_label);
  out.push_back(proof.step);
  append(out, proof.key.view());
  for (unsigned shift = 32; shift > 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(proof.version >> (shift - 8)));
  add_field(out, proof.challenge);
  add_field(out, proof.countering);
  add_field(out, as_bytes(proof.claimant));
  add_field(out, as_bytes(proof.verifier));
  add_field(out, as_bytes(proof.context));
  return out;
}

}  // namespace qanat::kms::csa
