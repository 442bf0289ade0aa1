// Terminals that enrol at CAS through their KMS, without a network.
#pragma once

#include "cas_fixture.hpp"
#include "wire/key_schedule.hpp"

namespace qanat::cas {

inline const Number alice_number("+8613800000001");

class TerminalFixture : public CasFixture {
 protected:
  crypto::SubjectNames names(std::string_view uri = "qanat://a/app1/alice", Number number = alice_number) {
    return terminal_names(identity(uri), number, ElementName("kms-a"));
  }
  Requester alice() { return Requester(suite_, *rng_, names()); }
  crypto::EncapsulationKey new_pair() { return must(crypto::Decapsulator::generate(suite_, *rng_)).encapsulation_key(); }
  wire::Enrol message(const Requester& requester) {
    wire::Enrol out;
    out.uid = Uid("alice");
    out.number = alice_number;
    out.kms_id = ElementName("kms-a");
    out.device_kind = Kind::app1;
    out.nonce = rng_->bytes(wire::nonce_size);
    out.csr_classical = requester.classical;
    out.csr_pq = requester.ml_dsa;
    out.ephemeral = {.point = Bytes(suite_.point, 4), .ml_kem = Bytes(suite_.ml_kem_public, 5)};
    out.mac = Bytes(suite_.digest);
    return out;
  }
  /// As the KMS sends it; an empty key: the terminal made its own.
  Result<net::Response> enrol_with(const wire::Enrol& asked, const crypto::EncapsulationKey& encryption, const Identity& agent = kms_a,
                                   std::string uid = "alice") {
    const auto framed = must(wire::frame(suite_, 1, asked));
    wire::Json body = wire::Json::object({{"uid", uid}, {"enrol", wire::to_base64(framed.octets)}});
    if (!encryption.point.empty()) {
      body.set("encryption", wire::Json::object({{"classical", wire::to_base64(encryption.point)}, {"ml_kem", wire::to_base64(encryption.ml_kem)}}));
    }
    return call(Endpoint::ce1_terminal, json_request(agent, body));
  }
};

}  // namespace qanat::cas
