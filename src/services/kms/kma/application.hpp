// Steps 4–7, 10 and 11 at a KMS: a terminal applies for a working key and gets it.
#pragma once

#include "node/node.hpp"
#include "node/senders.hpp"
#include "node/steps.hpp"
#include "services/kms/kim/injection.hpp"
#include "services/kms/kma/access.hpp"
#include "services/kms/kma/admission.hpp"
#include "services/kms/kma/agreement.hpp"
#include "services/kms/kma/joint_delivery.hpp"
#include "services/kms/kma/ledger.hpp"
#include "services/kms/kp/encryption_state.hpp"
#include "services/kms/kp/known_terminals.hpp"
#include "services/kms/kp/owed_records.hpp"
#include "services/kms/settings.hpp"
#include "wire/v1.hpp"

namespace qanat::kms {

class Application {
 public:
  Application(node::Node& node, store::Store& store, Ledger& ledger, Agreement& agreement, Access& access, Injection& injection, node::StepTrace& trace,
              const KmsSettings& settings)
      : node_(node), store_(store), ledger_(ledger), agreement_(agreement), access_(access), injection_(injection), trace_(trace), settings_(settings),
        terminals_(node.suite(), static_cast<std::size_t>(settings.known_terminals)),
        joint_(node, store, static_cast<std::size_t>(settings.joint_deliveries)) {}

  /// km1_application: KeyRequest → KeyDeliver. Every refusal is in the audit record before it is answered.
  Result<net::Response> apply(const net::Request& request);
  /// km1_application_v1: the same in profile v1, refused unless the settings switch it on. What v1 lacks (freshness, a tie to the request, fresh
  /// keys, acknowledgement) is not made up for: docs/protocol/v1.md.
  Result<net::Response> apply_v1(const net::Request& request);
  /// km1_ack: the terminal has the key (or could not open it); the KMS destroys its copy.
  Result<net::Response> acknowledge(const net::Request& request);
  /// From time to time: what acknowledgements owed to the record, and is on it, is forgotten.
  Result<void> forget_paid() { return paid_.forget(store_); }
  /// For the health answer.
  void describe_health(wire::Json& body) {
    joint_.describe(body);
    if (const auto suspended = store_.look(suspended_encryption_keys)) body.set("suspended_encryption_keys", *suspended);
  }

 private:
  using Request = wire::Framed<wire::KeyRequest>;
  using Message = wire::Framed<wire::KeyDeliver>;

  // Profile v2.
  Result<net::Response> granted(const net::Request& http, const Request& request);
  /// By what the applicant was known: symmetric mode leaves its certificates unchecked (kim/injection.hpp).
  enum class KnownBy : std::uint8_t { certificates, charged_key };
  /// What the database says that an application needs: looked up at once, and what can end meanwhile is looked at again before the key goes out (hand_over).
  struct Looked {
    ChargedNeed charged = ChargedNeed::none;
    std::optional<Access::Granted> token;       // that of earlier, if it still holds
    std::optional<wire::Assurance> own_domain;  // up to which level the terminal may have keys within this domain, if that is known
    std::optional<TerminalLook> called;         // if it is of this KMS
    std::optional<StoredKey> leg;               // for a callee, if it is there
  };
  struct Applicant {
    std::shared_ptr<const KnownTerminal> known;  // also kept for the terminal's next message
    KnownBy by = KnownBy::certificates;
    bool first = true;  // false: these octets came before
    /// That the application was made is not in the database yet. It comes with what is decided: with the delivery in one transaction, or after the refusal. A
    /// process that dies before has done nothing for it. Only where nothing on the way is done or waited for elsewhere (is_straight).
    bool owed = false;
    Encapsulation form = Encapsulation::parallel;  // in which its answer comes
    Looked looked;
  };
  Result<void> authenticate(const net::Request& http, const Request& request, const Asked& asked, Applicant& out);
  Result<net::Response> answered(const net::Request& http, const Request& request, Applicant& applicant);
  /// Nobody but the database is needed for the answer, unless a certificate's status must be asked for.
  [[nodiscard]] bool is_straight(const Request& request, const Looked& looked) const;
  Result<void> check_envelope(const Request& request, const KnownTerminal& known) const;
  /// False if the application was made before; `exhausted` if the subscriber applies too often.
  Result<bool> remember(store::Transaction& transaction, const Request& request);
  [[nodiscard]] MadeApplication made_by(const Request& request) const;
  Result<Looked> look_up(store::Transaction& transaction, const Asked& asked, const Uid& uid);
  /// The answer that the same application got, until it is acknowledged: the key is not encapsulated a second time. `conflict` if there is none.
  Result<net::Response> repeated(const net::Request& http, const Request& request, const Terminal& terminal);
  /// Without its signature. `injected`: the charged key that the application names, which goes into the last mile. `coming` begins here at the latest.
  Result<Message> deliver(const net::Request& http, const Request& request, const Applicant& applicant, const StoredKey& leg, Bytes token,
                          const std::optional<SpentKey>& injected, const node::MessageSigner& own, std::optional<JointDelivery::Coming>& coming);

  // Profile v1 (application_v1.cpp).
  Result<net::Response> granted_v1(const net::Request& http, const wire::v1::KeyApplication& message);
  Result<Asked> authenticate_v1(const net::Request& http, const wire::v1::KeyApplication& message, const KnownTerminal& known);
  Result<Bytes> deliver_v1(const net::Request& http, const Asked& asked, const KnownTerminal& known, const StoredKey& leg, Bytes token,
                           const node::MessageSigner& own);

  // Both.
  /// The answer as it is; a refusal is on record first.
  Result<net::Response> recorded(const net::Request& http, std::string_view action, const Uid& uid, const SidWk& sid_wk, Result<net::Response> answer);
  Result<std::shared_ptr<const KnownTerminal>> terminal_of(const net::Request& http, const Uid& uid);
  /// Step 5.
  Result<void> check_certificates(const net::Request& http, const SidWk& sid_wk, const KnownTerminal& known);
  /// Steps 6 to 9: what an authenticated terminal gets.
  struct Grant {
    Bytes token;  // a new access token; empty if the one that it holds is good
    Bytes under;  // digest of the token that all of this stands under
    StoredKey leg;
    std::optional<WorkingKey> others;  // the callee's leg of a session within the domain: neither is in the ledger before this one is handed over
    std::string choice;                // what the key was made of, and why; empty on the callee's side, where the caller's chose
  };
  struct Leg {
    StoredKey stored;
    std::optional<WorkingKey> others;
    std::string choice;
  };
  /// The token under which `granted` stands is not held any more: another application of the terminal's brought one, or IAM has ended it, which may have been for
  /// another one: asked once more. `denied` if the key may not be had any more.
  Result<void> grant_anew(const net::Request& http, const Asked& asked, const Terminal& terminal, Grant& granted);
  static std::unexpected<Error> token_ended(const Terminal& terminal);
  Result<Grant> grant(const net::Request& http, const Asked& asked, const KnownTerminal& known, Looked looked);
  Result<Leg> leg_for(const net::Request& http, const Asked& asked, const KnownTerminal& known, Looked& looked, const LevelTowards& level_towards);
  Result<std::shared_ptr<const KnownTerminal>> callee_of(const Asked& asked, const TerminalLook& called);
  Result<Leg> draw_local(const Asked& asked, const KnownTerminal& caller, const KnownTerminal& callee, const std::string& request_id);
  /// Step 10; denied unless the encryption certificates are good now and of one bundle with the signing certificates that were checked in step 5.
  /// Where the terminal is known by a charged key, of the right bundle is all that they must be.
  Result<crypto::EncapsulationKey> pooled_key(const net::Request& http, const SidWk& sid_wk, const KnownTerminal& known, KnownBy by);
  /// The delivery signed, in the ledger and on record, before it is sent: a key that left is never delivered to another application. `conflict` if the terminal
  /// has enrolled anew since it was looked up. Of a session within the domain both legs come into the ledger here, in the same transaction: a process that dies
  /// before it leaves nothing of the key, which nobody has; after it, the caller's application gets the same answer, and the callee's leg waits for its owner. Two
  /// applications for one session may both have drawn a key; the second finds the first one's legs in the ledger.
  /// `owed`: an application that is remembered with it; made_before if the same one was meanwhile: its answer is what became of that.
  Result<Handed> hand_over(const net::Request& http, const Asked& asked, const KnownTerminal& known, const Grant& granted, const Request* owed,
                           JointDelivery::Coming& coming, Message& message, const std::shared_ptr<const node::MessageSigner>& own);
  /// The transaction's part of that.
  Result<Handed> put(store::Transaction& transaction, const KnownTerminal& known, const Grant& granted, const Delivery& delivery, const KeyUse& use,
                     const Request* owed);
  /// What the record says of it.
  static std::string reason_of(const Grant& granted);
  [[nodiscard]] KeyUse use_by(const Terminal& terminal, Traffic traffic) const {
    return {.by = terminal.uid, .traffic = traffic, .now_ms = node_.clock().now_ms()};
  }

  node::Node& node_;
  store::Store& store_;
  Ledger& ledger_;
  Agreement& agreement_;
  Access& access_;
  Injection& injection_;
  node::StepTrace& trace_;
  const KmsSettings& settings_;
  KnownTerminals terminals_;
  JointDelivery joint_;
  PaidRecords paid_;  // of acknowledgements
};

}  // namespace qanat::kms
