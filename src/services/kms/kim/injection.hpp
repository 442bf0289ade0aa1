// KIM: charged keys at work. In an application (F_INJ, symmetric mode), over a wire (Km-1: charge and receipt), and their end when a terminal is revoked.
#pragma once

#include <set>

#include "node/node.hpp"
#include "services/kms/kim/charges.hpp"
#include "services/kms/kim/key_draw.hpp"
#include "services/kms/kma/ledger.hpp"
#include "services/kms/kp/terminals.hpp"
#include "services/kms/settings.hpp"
#include "wire/qfc2.hpp"

namespace qanat::kms {

/// The charged key of an application: nobody gets it again.
struct SpentKey {
  std::uint32_t index = 0;
  Secret key;
  wire::Charged charged{};
};

/// What is asked of a terminal's applications.
enum class ChargedNeed : std::uint8_t {
  none,
  released,  // it was charged by file, and kms.charged_released lets it go on without
  counting,  // a key that never leaned on public keys: whoever forges every signature has none
};

/// What goes into the file of a charge, and under which key.
struct OfflineCharge {
  wire::ChargePayload payload;
  Secret transport_key;
};

class Injection {
 public:
  struct Parts {
    node::Node& node;
    store::Store& store;
    const KmsSettings& settings;
    crypto::CryptoDevice& seals;  // what charged keys are sealed under: a pool key (kp/pool_keys.hpp)
    Ledger& ledger;
  };
  Injection(const Parts& parts, DrawQuantum draw)
      : node_(parts.node), store_(parts.store), settings_(parts.settings), ledger_(parts.ledger), stock_(parts.seals), draw_(std::move(draw)) {}

  /// By kms.charged_keys and what was charged.
  Result<ChargedNeed> need_of(store::Transaction& transaction, const Uid& uid) const;
  /// An application comes without a charged key: denied where one is needed; on record where one would be and the terminal is released.
  Result<void> go_without(ChargedNeed need, const Uid& uid, const SidWk& sid_wk, const std::string& request_id);
  /// The call set's key that the application names, if it names one: its MAC holds, and the key is burnt, durably. denied if the terminal has no medium that
  /// may be used, or `need` is not met; unauthenticated, conflict, not_found as of Stock::look. On record either way where a key is named (the refusal by the
  /// caller).
  Result<std::optional<SpentKey>> spend(const net::Request& http, const wire::Framed<wire::KeyRequest>& request, ChargedNeed need);
  /// Symmetric mode: the terminal's certificates cannot be checked, for `why`; it may still apply if the policy allows it, it was not last known as revoked,
  /// and the application proves a key of the authentication set (which is burnt) and names one of the call set. Otherwise `why` is the answer, or what failed.
  Result<void> admit(const net::Request& http, const wire::Framed<wire::KeyRequest>& request, const Terminal& terminal, const Error& why);

  Result<net::Response> charge(const net::Request& request);   // km1_charge
  Result<net::Response> receipt(const net::Request& request);  // km1_charged

  /// every terminal that has one of these certificates (SHA-256) leaves the pool, and its stock is burnt (kp/revocations.hpp).
  Result<void> revoked(const std::set<Bytes>& fingerprints);
  /// The same by the complete revocation lists (Cd-1), for notices that never came: `fetch` gets "ml_dsa" or "classical" and gives DER. A list that cannot be
  /// had or does not hold is a failure, after the other one was looked at.
  Result<void> compare_with_lists(const std::function<Result<Bytes>(std::string_view branch)>& fetch);
  /// The same for one terminal whose certificates did not pass, if what is wrong is that they are revoked.
  Result<void> judged(const Terminal& terminal, const Error& found, Deadline deadline);

  [[nodiscard]] Stock& stock() noexcept { return stock_; }
  /// Keys of a charge that was ordered for a file and is approved now, put in the stock; the medium's transport key moves on, and a locked medium is active
  /// again.
  Result<OfflineCharge> stock_up_by_file(const Medium& medium, const Charge& charge, Deadline deadline, const std::string& request_id);

 private:
  /// The fingerprints of certificates of this domain's terminals that the list has.
  Result<std::set<Bytes>> listed(ByteView der);
  /// Keys of a charge over a wire that is in the register, put in the stock.
  Result<wire::ChargePayload> stock_up(const Medium& medium, const Charge& charge, wire::Charged charged, Deadline deadline, const std::string& request_id);
  Result<DrawnKeys> draw_for(const Charge& charge, Deadline deadline, const std::string& request_id);
  Result<Medium> medium_of(const Uid& uid);
  /// What a charged key is used for.
  struct Use {
    wire::KeySet set{};
    std::string_view action;  // on record
    std::string remark;       // what the record says besides the key
    const std::string& request_id;
  };
  /// The key, burnt; the record of that is owed from the same transaction on.
  Result<SpentKey> take(const Medium& medium, const Use& use, std::uint32_t index, const std::function<Result<void>(const ChargedKey&)>& prove);
  Result<void> record(std::string_view action, std::string_view subject, std::string_view object, std::string_view reason, std::string_view request_id);
  Result<Terminal> sender(const net::Request& http, const Uid& uid);
  template <class M>
  Result<void> check_signed(const net::Request& http, const Terminal& terminal, const wire::Framed<M>& message);
  Result<void> check_request(const wire::Framed<wire::ChargeRequest>& request) const;
  Result<wire::Charged> under_distribution(const net::Request& http, const wire::Framed<wire::ChargeRequest>& request, const Medium& medium,
                                           std::optional<SpentKey>& key);
  Result<net::Response> order(const net::Request& http, const wire::Framed<wire::ChargeRequest>& request, wire::MediumOrder what,
                              const node::MessageSigner& own);
  /// Puts the charge into the register, if it may be made; or the one that was made for the same request.
  Result<std::optional<Charge>> enter(const Charge& charge, UnixMs ts_ms);
  Result<Bytes> deliver(const wire::Framed<wire::ChargeRequest>& request, const wire::ChargeId& charge, const wire::ChargePayload& payload,
                        const std::optional<SpentKey>& distribution, const node::MessageSigner& own);

  node::Node& node_;
  store::Store& store_;
  const KmsSettings& settings_;
  Ledger& ledger_;
  Stock stock_;
  DrawQuantum draw_;
};

}  // namespace qanat::kms
