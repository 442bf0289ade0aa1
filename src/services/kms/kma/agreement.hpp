// Steps 7–9 across domains: the session through CMSP, quantum keys from the QKM, and the agreement of the two KMSs on one working key.
#pragma once

#include <map>
#include <mutex>

#include "crypto/site_key.hpp"
#include "node/node.hpp"
#include "node/senders.hpp"
#include "node/steps.hpp"
#include "services/kms/kma/asked.hpp"
#include "services/kms/kma/choice.hpp"
#include "services/kms/kma/directory.hpp"
#include "services/kms/kma/errands.hpp"
#include "services/kms/kma/ledger.hpp"
#include "services/kms/kma/policy_in_force.hpp"
#include "services/kms/kma/quantum_shares.hpp"
#include "services/kms/kma/waiting_places.hpp"
#include "services/kms/kp/quantum_pool.hpp"
#include "services/kms/kp/terminals.hpp"
#include "services/kms/settings.hpp"
#include "wire/key_schedule.hpp"
#include "wire/qfc2.hpp"

namespace qanat::kms {

/// Up to which level the applicant may have keys with this domain; `denied` if it may have none.
using LevelTowards = std::function<Result<wire::Assurance>(const std::string& domain)>;

/// What one working key across domains takes now, as choose() has it: the lots that the pool is filled with.
inline QuantumPool::Lot lot_under(const Terms& terms) {
  return {.keys = terms.quantum_paths > 1 ? terms.quantum_paths : terms.quantum_shares, .paths = terms.quantum_paths};
}

class Agreement {
 public:
  Agreement(node::Node& node, store::Store& store, Ledger& ledger, node::SenderDirectory& senders, node::StepTrace& trace, Errands& errands,
            const KmsSettings& settings, crypto::SiteKey site_key);

  /// The caller's side: afterwards the caller's leg is `reserved` here and the callee's leg at the other KMS. What the key was made of, and why; no quantum
  /// keys go into what the caller may not have.
  Result<Choice> as_caller(const Asked& asked, const Terminal& caller, const LevelTowards& level_towards, Deadline deadline, const std::string& request_id);
  /// CMSP's directory, which takes the place of its grant while it does not answer.
  [[nodiscard]] Directory& directory() noexcept { return directory_; }

  // Group calls (groups.hpp): the same steps for a key that carries another.
  /// Steps 7 and 8 alone: which KMS serves the called number; that one has been notified.
  Result<ElementName> announce(const Asked& asked, const Terminal& caller, Deadline deadline, const std::string& request_id);
  /// What KMS-A has once KMS-B has accepted, before it confirms: the legs at both are `generated`.
  struct Agreed {
    WorkingKey key;  // the caller's leg
    Bytes h_accept;
    Bytes kc_a;
    Choice choice;
    std::vector<wire::ShareRef> shares;
  };
  /// Steps 7 to 9 but for the confirmation. Whoever goes on with it or gives it up says what became of the shares (shares_done).
  Result<Agreed> propose(const Asked& asked, const Terminal& caller, const LevelTowards& level_towards, Deadline deadline, const std::string& request_id);
  /// A session that the callee's side takes an offer, or a key, for.
  struct Announced {
    wire::SessionFields session;
    Bytes h_open;                                 // of the DirectoryOpen, which the offer must name; empty: CMSP announced it
    std::optional<std::int64_t> directory_epoch;  // of the caller's directory
  };
  /// `not_found` if it was not announced, deadline_exceeded if its time is over.
  Result<Announced> announced(const SidWk& sid_wk);

  /// What keys are made under: the configuration, and CSO's policy.
  [[nodiscard]] PolicyInForce& policy() noexcept { return policy_; }
  [[nodiscard]] std::shared_ptr<const Terms> terms() const { return policy_.terms(); }
  /// Quantum keys for something else than the call at hand.
  struct Drawing {
    std::string_view what_for;  // on record
    SidWk session = {};         // under which the QKMs know them
    QuantumPool::Lot lot = {};
    std::int64_t lots = 1;  // at most; 1 over separate paths
    Demand demand = Demand::wished;
  };
  /// Km-3 take, as far as policy and the stock allow (room_for): 1 to all of the keys, or exactly one over each of several paths. `unavailable` or `exhausted`
  /// where the QKM is not asked: why is on record once, until it is another reason.
  Result<QuantumShares> draw(const std::string& peer_domain, const Drawing& drawing, Deadline deadline, const std::string& request_id);
  /// Km-3 done, now and not in the background: keys that nobody used.
  Result<void> give_back(const std::vector<KeyId>& ids, Deadline deadline);
  /// Shares come out of the pool first, and from the QKM when it has none. Before the first request.
  void use_pool(QuantumPool& pool, std::function<void()> taken) {
    pool_ = &pool;
    pool_taken_ = std::move(taken);
  }
  /// The domain that this KMS serves, or that of the peer with this name.
  Result<std::string> domain_of(const ElementName& kms) const;

  // The callee's side.
  Result<net::Response> notify(const net::Request& request);   // ma2_notify
  /// km2_open (agreement_directory.cpp): what CMSP would have announced, from the caller's KMS. The same octets again are answered the same while the session
  /// waits for its offer.
  Result<net::Response> open(const net::Request& request);
  /// km2_offer. The same offer again gets the same KmsAccept until that is confirmed, and no quantum key is fetched for it.
  Result<net::Response> offer(const net::Request& request);
  Result<net::Response> confirm(const net::Request& request);  // km2_confirm

  /// Wakes who waits in wait_for_leg for this session, at whichever front end.
  void leg_changed(const SidWk& sid_wk);
  /// Blocks until the callee's leg of the session has left `generated`; deadline_exceeded otherwise. `callee` is who waits; `exhausted`, so that it applies again,
  /// if there is no place to wait for it (waiting_places.hpp).
  Result<StoredKey> wait_for_leg(const SidWk& sid_wk, const Terminal& callee, Deadline deadline);

  // Km-3 and the clock window, for the other agreement of two KMSs too (sae/supply.hpp).
  /// For keys of SAEs: as draw() has it, over so many separate paths as the settings ask for, over one where that cannot be had.
  Result<QuantumShares> take_shares(const std::string& peer_domain, const SidWk& sid_wk, Deadline deadline, const std::string& request_id);
  Result<QuantumShares> fetch_shares(const std::string& peer_domain, const wire::KmsOffer& offer, Deadline deadline, const std::string& request_id);
  /// Into history here, and the QKM is told in the background: it destroys delivered keys by itself after a time, this only makes it sooner.
  enum class Fate : std::uint8_t { used, unused };
  void shares_done(const std::vector<wire::ShareRef>& refs, Fate fate, const std::string& request_id);
  Result<void> check_fresh(UnixMs ts_ms, std::string_view message) const;
  [[nodiscard]] UnixMs clock_window_ms() const { return static_cast<UnixMs>(settings_.clock_window.count()); }

 private:
  /// A session that the caller's side may make an offer for.
  struct Opened {
    Bytes hash;  // of the SessionGrant, or of the DirectoryOpen
    Uid uid_b;
    ElementName kms_b;
    std::optional<std::int64_t> directory_epoch;  // nothing: CMSP granted it
  };
  /// By CMSP; by its directory where it does not answer (only then: a refusal is final) and policy allows it.
  Result<Opened> open_session(const Asked& asked, const Terminal& caller, const node::MessageSigner& own, Deadline deadline, const std::string& request_id);
  Result<Opened> granted(ByteView envelope, const wire::Framed<wire::SessionOpen>& sent, const std::string& cmsp, Deadline deadline);
  Result<Opened> open_by_directory(wire::SessionFields fields, const Asked& asked, const node::MessageSigner& own, const Error& silence, Deadline deadline,
                                   const std::string& request_id);
  /// `denied` if this KMS opens no session by the directory with that domain.
  Result<void> check_directory_allowed(const std::string& peer_domain) const;
  Result<wire::Framed<wire::DirectoryOpen>> read_open(const net::Request& request);
  /// Whether CMSP would announce it, by this KMS's own copy of the directory.
  Result<void> check_against_directory(const wire::DirectoryOpen& session, const Identity& kms_a);
  /// What can be had of what is chosen, first to last: the choice that was carried out, with its quantum keys.
  struct Made {
    Choice choice;
    QuantumShares shares;
  };
  Result<Made> choose_and_take(const Asked& asked, const Terminal& caller, const std::string& peer_domain, wire::Assurance level_max, Deadline deadline,
                               const std::string& request_id);
  /// The state of things for who has such a demand; the QKM is asked for the stock only where that counts.
  Live live_towards(const std::string& peer_domain, Demand demand, Deadline deadline, const std::string& request_id);
  /// How many of the lots the QKM may be asked for.
  Result<std::int64_t> lots_to_draw(const std::string& peer_domain, const Drawing& drawing, Deadline deadline, const std::string& request_id);
  /// Km-3 take, once it is decided: 1 to `count` keys, or exactly one over each of several `paths`.
  Result<QuantumShares> ask_qkm(const std::string& peer_domain, const SidWk& sid_wk, std::int64_t count, std::int64_t paths, Deadline deadline,
                                const std::string& request_id);
  /// Ready quantum keys for the domain, as the QKM says; nothing if it does not say.
  std::optional<std::int64_t> stock_towards(const std::string& peer_domain, Deadline deadline, const std::string& request_id);
  /// The quantum keys of this choice.
  Result<QuantumShares> take_shares(const std::string& peer_domain, const Choice& choice, const SidWk& sid_wk, Deadline deadline,
                                    const std::string& request_id);
  /// What the QKM is asked for.
  [[nodiscard]] wire::Json quality(std::int64_t paths) const;
  Result<QuantumShares> unwrap_shares(const wire::Json& answer) const;
  /// A session that is open. One signer from the first message to the last: CMSP names its certificates to the other KMS.
  struct Begun {
    std::shared_ptr<const node::MessageSigner> own;
    Opened opened;
    std::string peer_domain;
    wire::Assurance level_max{};
  };
  Result<Begun> begin(const Asked& asked, const Terminal& caller, const LevelTowards& level_towards, Deadline deadline, const std::string& request_id);
  Result<Agreed> agree_as(const Begun& begun, const Asked& asked, const Terminal& caller, Deadline deadline, const std::string& request_id);
  Result<Agreed> agree(const Asked& asked, const Terminal& caller, const Begun& begun, const QuantumShares& shares, Deadline deadline,
                       const std::string& request_id);
  Result<void> confirm_agreed(const Agreed& agreed, Deadline deadline, const std::string& request_id);
  /// What this very offer was answered before; nothing if nothing was agreed on. conflict for another offer, and where that answer is of no use any more.
  Result<std::optional<net::Response>> accepted_before(const wire::Framed<wire::KmsOffer>& offer, const Identity& kms_a);
  struct Stored {
    Bytes notify;  // SessionNotify or DirectoryOpen; empty: none was announced
    UnixMs expires_ms = 0;
  };
  Result<Stored> stored_announcement(const SidWk& sid_wk);
  Result<net::Response> accept(const wire::Framed<wire::KmsOffer>& offer, const Announced& announced, const Identity& kms_a, QuantumShares shares);
  /// The callee's leg, once both KMSs have the key.
  Result<std::optional<StoredKey>> agreed_leg(const SidWk& sid_wk);
  Result<StoredKey> wait_in_turn(const SidWk& sid_wk, Deadline deadline);

  node::Node& node_;
  store::Store& store_;
  Ledger& ledger_;
  node::SenderDirectory& senders_;
  node::StepTrace& trace_;
  Errands& errands_;
  const KmsSettings& settings_;
  PolicyInForce policy_;
  Directory directory_;
  crypto::SiteKey site_key_;
  QuantumPool* pool_ = nullptr;
  std::function<void()> pool_taken_;
  WaitingPlaces waiting_;
  std::mutex mutex_;
  std::map<std::string, Because> kept_from_;  // under mutex_; by what for and which domain: why the QKM was not asked the last time
};

}  // namespace qanat::kms
