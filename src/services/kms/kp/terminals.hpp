// KP's pool of public keys: the terminals of this domain with their certificates and encryption keys.
#pragma once

#include <optional>

#include "crypto/hybrid_kem.hpp"
#include "crypto/x509.hpp"
#include "store/store.hpp"
#include "wire/qfc2.hpp"

namespace qanat::kms {

struct Terminal {
  Uid uid;
  Number number;
  Bytes classical;  // DER of the signing certificates
  Bytes ml_dsa;
  crypto::EncapsulationKey encryption;
  Bytes enc_kid;
  bool confirmed = false;  // it has proved that it holds its keys
};

/// What a terminal's enrolment left: the answer, to be given again if the same request comes again, and the private keys until it confirms.
struct Enrolment {
  Terminal terminal;
  Bytes h_enrol;
  Bytes answer;                // 02 EnrolDeliver, octets
  Bytes sealed_encryption;     // under the device; empty if the terminal made its keys
};

Result<void> save_enrolment(store::Transaction& transaction, const Enrolment& enrolment);
Result<std::optional<Enrolment>> find_enrolment(store::Transaction& transaction, const Uid& uid);
Result<std::optional<Terminal>> find_terminal(store::Transaction& transaction, const Uid& uid);
Result<std::optional<Terminal>> find_terminal(store::Transaction& transaction, const Number& number);
/// The terminal has its keys: the private ones and the answer are erased here.
Result<void> confirm_terminal(store::Transaction& transaction, const Uid& uid);

}  // namespace qanat::kms
