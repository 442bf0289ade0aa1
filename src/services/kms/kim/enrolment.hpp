// Steps 1 and 2 at the KMS: agent for a terminal's certificates, maker of its encryption keys (policy of the paper), and their injection
// sealed to the terminal. The private keys are wiped when the terminal confirms.
#pragma once

#include "node/node.hpp"
#include "node/steps.hpp"
#include "services/kms/kma/ledger.hpp"
#include "services/kms/kp/encryption_pairs.hpp"
#include "services/kms/kp/terminals.hpp"
#include "wire/key_schedule.hpp"

namespace qanat::kms {

class EnrolmentService {
 public:
  EnrolmentService(node::Node& node, store::Store& store, EncryptionPairs& pairs, Ledger& ledger, node::StepTrace& trace)
      : node_(node), store_(store), pairs_(pairs), ledger_(ledger), trace_(trace) {}

  Result<net::Response> enrol(const net::Request& http);    // km1_enrol: 01 Enrol → envelope with 02 EnrolDeliver
  Result<net::Response> receipt(const net::Request& http);  // km1_receipt: 03

 private:
  struct Certificates {
    std::vector<Bytes> classical;  // DER, leaf first
    std::vector<Bytes> ml_dsa;
    Bytes encryption_classical;  // DER
    Bytes encryption_ml_kem;
  };
  Result<net::Response> answer(const net::Request& http, const wire::Framed<wire::Enrol>& request);
  /// IDM knows the subscriber, and as one of this KMS.
  Result<void> check_subscriber(const wire::Enrol& asked, Deadline deadline, const std::string& request_id);
  Result<Certificates> certificates_for(const wire::Framed<wire::Enrol>& request, const crypto::EncapsulationKey& encryption, Deadline deadline,
                                        const std::string& request_id);
  Result<void> check_certificates(const wire::Enrol& asked, const crypto::EncapsulationKey& encryption, const Certificates& certificates) const;
  Result<Bytes> inject(const wire::Framed<wire::Enrol>& request, const Certificates& certificates, const crypto::Decapsulator& pair,
                       const node::MessageSigner& own);
  Result<Bytes> deliver(const wire::Framed<wire::Enrol>& request, const Certificates& certificates, const crypto::EncapsulationKey& encryption,
                        crypto::DecapsulationSecret secret, const node::MessageSigner& own);
  /// Durable, and on record what went with it of whoever had the number before.
  Result<void> save(const Enrolment& enrolment);

  node::Node& node_;
  store::Store& store_;
  EncryptionPairs& pairs_;
  Ledger& ledger_;
  node::StepTrace& trace_;
};

}  // namespace qanat::kms
