// The known answers in tests/vectors/qfc2/qfc2.json, which an independent script makes, and the messages that they describe.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "base/secret.hpp"
#include "crypto/hybrid_kem.hpp"
#include "crypto/hybrid_sign.hpp"
#include "crypto/suite.hpp"
#include "wire/json.hpp"
#include "wire/key_schedule.hpp"
#include "wire/qfc2.hpp"

namespace qanat::wire {

inline std::string file_text(const std::string& path) {
  std::ifstream in(std::string(QANAT_SOURCE_DIR) + "/" + path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

/// The value, or the test stops with the message: for what cannot fail unless the code under test is wrong.
template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

inline const Json& vectors() {
  static const Json all = must(Json::parse(file_text("tests/vectors/qfc2/qfc2.json")));
  return all;
}

inline std::size_t suite_count() { return must(vectors().array("suites")).size(); }

inline constexpr std::uint64_t lifetime_ms = 86'400'000;

class Answers {
 public:
  explicit Answers(std::size_t index)
      : json_(must(vectors().array("suites")).at(index)),
        suite_(*must(crypto::find_suite(static_cast<std::uint16_t>(must(json_.integer("suite")))))),
        epoch_(static_cast<std::uint32_t>(must(json_.integer("epoch")))) {}

  [[nodiscard]] const crypto::Suite& suite() const { return suite_; }
  [[nodiscard]] std::uint32_t epoch() const { return epoch_; }
  [[nodiscard]] Bytes hex(const std::string& group, const std::string& name) const { return must(must(json_.object(group)).hex(name)); }
  [[nodiscard]] Bytes hex(const std::string& group, const std::string& name, const std::string& member) const {
    return must(must(must(json_.object(group)).object(name)).hex(member));
  }
  [[nodiscard]] Bytes input(const std::string& name) const { return hex("inputs", name); }
  [[nodiscard]] Bytes derived(const std::string& name) const { return hex("derived", name); }
  [[nodiscard]] Secret secret_input(const std::string& name) const { return Secret::copy_of(input(name)); }
  [[nodiscard]] Secret secret_derived(const std::string& name) const { return Secret::copy_of(derived(name)); }
  [[nodiscard]] Bytes octets(const std::string& message) const { return hex("messages", message, "octets"); }
  [[nodiscard]] Bytes hash(const std::string& message) const { return hex("messages", message, "hash"); }
  [[nodiscard]] Json message(const std::string& name) const { return must(must(json_.object("messages")).object(name)); }

  [[nodiscard]] Fingerprints fps(const std::string& party) const {
    return {.classical = hex("parties", party, "fp_classical"), .pq = hex("parties", party, "fp_pq")};
  }
  [[nodiscard]] crypto::Signer signer(const std::string& party) const {
    return must(crypto::Signer::from_secret(
        suite_, {.scalar = Secret::copy_of(hex("parties", party, "scalar")), .ml_dsa_seed = Secret::copy_of(hex("parties", party, "seed"))}));
  }
  [[nodiscard]] crypto::Verifier verifier(const std::string& party) const { return must(crypto::Verifier::from_key(suite_, signer(party).verifying_key())); }
  [[nodiscard]] crypto::Decapsulator key(const std::string& name) const {
    return must(crypto::Decapsulator::from_secret(
        suite_, {.scalar = Secret::copy_of(hex("keys", name, "scalar")), .ml_kem_seed = Secret::copy_of(hex("keys", name, "seed"))}));
  }
  [[nodiscard]] Bytes kem(const std::string& name, const std::string& member) const { return hex("kems", name, member); }

  [[nodiscard]] SidWk sid_wk() const { return SidWk(input("sid_wk")); }
  [[nodiscard]] SidCall sid_call() const { return SidCall(input("sid_call")); }
  [[nodiscard]] const Json& json() const { return json_; }

 private:
  Json json_;
  const crypto::Suite& suite_;
  std::uint32_t epoch_;
};

inline const Number caller("+8613800000001");
inline const Number callee("+8613900000002");
inline const Uid alice("alice");
inline const Uid bob("bob");
inline const ElementName kms_a("kms-a");
inline const ElementName kms_b("kms-b");
inline constexpr UnixMs ts = 1'767'225'600'000;

// The messages of the scenario, put together from its inputs. `mode`, `n` and `variant` are the names in the vectors.
Enrol enrol_of(const Answers& a, EncryptionKeys mode);
EnrolDeliver enrol_deliver_of(const Answers& a, EncryptionKeys mode);
EnrolPayload enrol_payload_of(const Answers& a, EncryptionKeys mode);
EnrolReceipt enrol_receipt_of(const Answers& a);
KeyRequest key_request_of(const Answers& a, std::uint8_t flags);
template <class M>
M session_of(const Answers& a);
DirectoryPage directory_page_of(int place);
Directory directory_of(const Answers& a);
KmsOffer kms_offer_of(const Answers& a, int n);
KmsAccept kms_accept_of(const Answers& a, int n);
KmsConfirm kms_confirm_of(const Answers& a, int n);
SupplyOffer supply_offer_of(const Answers& a, int n);
SupplyAccept supply_accept_of(const Answers& a, int n);
struct Delivery {
  std::string name;     // of the KeyDeliver
  std::string request;  // of the KeyRequest that it answers
  std::uint8_t flags;
};
inline const std::array deliveries{Delivery{"deliver", "key_request", 0}, Delivery{"deliver_eph", "key_request_eph", flag_eph},
                                   Delivery{"deliver_inj", "key_request_inj", flag_eph | flag_inj},
                                   Delivery{"deliver_same_domain", "key_request_eph", flag_eph | flag_escrow},
                                   Delivery{"deliver_directory", "key_request_eph", flag_eph | flag_directory}};
KeyDeliver deliver_of(const Answers& a, const Delivery& which);
KeyDeliverPayload payload_of(const Answers& a, const Delivery& which);
/// ss_H of that delivery with everything mixed in, computed by our key schedule from the decapsulated ciphertexts.
Secret deliver_secret_of(const Answers& a, const Delivery& which);
DeliverAck deliver_ack_of(const Answers& a);
Reject reject_of(const Answers& a);
Ax1 ax1_of(const Answers& a);

}  // namespace qanat::wire
