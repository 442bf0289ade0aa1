// Somebody with a terminal: its keys and certificates, and its row at the KMS that serves it.
#pragma once

#include "services/kms/kp/terminals.hpp"
#include "trusted_network.hpp"
#include "wire/qfc2.hpp"

namespace qanat::kms {

struct Person {
  Identity identity;
  crypto::Signer signer;
  crypto::CertificateBundle bundle;
  crypto::Decapsulator encryption;
  Terminal terminal;
  wire::Fingerprints fps;
};

inline Person make_person(test::TrustedNetwork& network, const Identity& who, const Number& number) {
  using test::must;
  crypto::Signer signer = must(crypto::Signer::generate(network.suite(), network.rng()));
  crypto::Decapsulator encryption = must(crypto::Decapsulator::generate(network.suite(), network.rng()));
  const crypto::SubjectNames names{.common_name = who.name, .element = who, .number = number, .dns = {}, .home_kms = ElementName("kms-a")};
  crypto::CertificateBundle bundle = network.bundle(names, signer.verifying_key(), encryption.encapsulation_key());
  const Terminal terminal{.uid = Uid(who.name),
                          .number = number,
                          .classical = bundle.classical_signing.der(),
                          .ml_dsa = bundle.ml_dsa_signing.der(),
                          .encryption = encryption.encapsulation_key(),
                          .enc_kid = wire::key_id_of(network.suite(), encryption.encapsulation_key()),
                          .encryption_classical = bundle.classical_encryption.der(),
                          .encryption_ml_kem = bundle.ml_kem_encryption.der(),
                          .confirmed = false};
  const auto fps = wire::fingerprints(network.suite(), terminal.classical, terminal.ml_dsa);
  return {.identity = who, .signer = std::move(signer), .bundle = std::move(bundle), .encryption = std::move(encryption), .terminal = terminal, .fps = fps};
}

/// The KMS serves it from here on.
inline Result<void> put_terminal(store::Transaction& transaction, const Terminal& terminal) {
  TRY(save_enrolment(transaction, {.terminal = terminal, .h_enrol = Bytes(32, 1), .answer = Bytes(8, 1), .sealed_encryption = {}}));
  return confirm_terminal(transaction, terminal.uid);
}

}  // namespace qanat::kms
