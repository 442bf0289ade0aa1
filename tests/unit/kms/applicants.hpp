// Terminals of one domain that apply at a KMS in this process: their applications, what they get, and their acknowledgements. IAM is a function.
#pragma once

#include <set>

#include "iam_answer.hpp"
#include "person.hpp"
#include "services/kms/kma/application.hpp"
#include "services/kms/kma/orders.hpp"
#include "services/kms/schema.hpp"
#include "store_kinds.hpp"
#include "trusted_network.hpp"

namespace qanat::kms {

using test::identity;
using test::must;

class Applicants {
 public:
  /// An application with the secret that opens its answer.
  struct Made {
    wire::Framed<wire::KeyRequest> request;
    crypto::Decapsulator ephemeral;
  };

  explicit Applicants(KmsSettings settings = {}, test::StoreKind kind = test::StoreKind::sqlite) : stores_(kind), settings_(std::move(settings)) {
    std::ofstream(folder_ / "site.key") << std::string(64, 'a');
    std::filesystem::permissions(folder_ / "site.key", std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    open();
    a_.emplace(enrol("qanat://a/app1/A", "+8613800000001"));
    c_.emplace(enrol("qanat://a/app1/C", "+8613800000003"));
  }

  /// Begins anew with what is durable, as after a restart.
  void open() {
    rest_.reset();
    rest_ = std::make_unique<Rest>(*this);
  }

  /// A further terminal of this domain, enrolled.
  Person newcomer(const std::string& uid, const std::string& number) { return enrol("qanat://a/app1/" + uid, number); }

  Person& a() { return *a_; }
  Person& c() { return *c_; }
  store::Store& store() { return *rest_->store; }
  Ledger& ledger() { return rest_->ledger; }
  Application& application() { return rest_->application; }
  Orders& orders() { return rest_->orders; }
  Agreement& agreement() { return rest_->agreement; }
  Access& access() { return rest_->access; }
  node::Node& node() { return *node_; }
  [[nodiscard]] std::filesystem::path state() const { return network_.state_of(kms_); }
  [[nodiscard]] bool on_record(std::string_view text) const { return test::audited(state(), text); }

  /// `from` calls `to`; the other role of the same session with `sid` given.
  Made make(Person& who, const SidWk& sid, wire::Role role, const std::function<void(wire::KeyRequest&)>& change = {}) {
    crypto::Decapsulator ephemeral = must(crypto::Decapsulator::generate(network_.suite(), network_.rng()));
    wire::KeyRequest message{.sid_wk = sid,
                             .sid_call = sid_call_,
                             .role = role,
                             .uid = who.terminal.uid,
                             .num_call = a_->terminal.number,
                             .num_called = c_->terminal.number,
                             .kms_id = ElementName("kms-a"),
                             .nonce = network_.rng().bytes(wire::nonce_size),
                             .ts_ms = SystemClock().now_ms(),
                             .min_assurance = wire::Assurance::local_rng,
                             .flags = wire::flag_eph,
                             .token_ref = Bytes(network_.suite().digest),
                             .fps = who.fps,
                             .enc_kid = who.terminal.enc_kid,
                             .ephemeral = ephemeral.encapsulation_key(),
                             .ext = {}};
    if (change) change(message);
    auto framed = must(wire::sign_message(network_.suite(), node_->settings().policy_epoch, message, who.signer, who.fps, network_.rng()));
    return {.request = std::move(framed), .ephemeral = std::move(ephemeral)};
  }
  /// What an application refers to its token by, which came with this answer.
  Bytes token_ref(const Person& who, const Made& made, const Bytes& answer) { return crypto::digest(network_.suite().hash, opened(who, made, answer).token); }
  SidWk session() { return network_.rng().id<SidWk>(); }

  /// What is made afterwards is later by the clock too.
  static void wait_a_millisecond() {
    const SystemClock clock;
    for (const UnixMs now = clock.now_ms(); clock.now_ms() == now;) {
    }
  }

  net::Request request_of(const Person& who, Bytes body) const { return test::request_from(who.identity, std::move(body), who.bundle.ml_dsa_signing); }
  Result<net::Response> apply(const Person& who, const Made& made) { return application().apply(request_of(who, made.request.octets)); }

  /// The working key in an answer, as its terminal sees it.
  wire::KeyDeliverPayload opened(const Person& who, const Made& made, const Bytes& answer) {
    const crypto::Suite& suite = network_.suite();
    const auto delivery = must(wire::parse<wire::KeyDeliver>(answer));
    const wire::KeyDeliver& said = delivery.message;
    const auto fixed = must(who.encryption.decapsulate(crypto::KemForm::to_static, said.ct_classical, said.ct_ml_kem));
    const crypto::EncapsulationKey& key = who.encryption.encapsulation_key();
    const Secret ss = wire::hybrid_secret(suite, {.ss_classical = fixed.classical, .ss_ml_kem = fixed.ml_kem, .ct_classical = said.ct_classical,
                                                  .ct_ml_kem = said.ct_ml_kem, .key = key}, wire::deliver_context(made.request.hash));
    const auto fresh = must(made.ephemeral.decapsulate(crypto::KemForm::to_ephemeral, said.eph_ct_classical, said.eph_ct_ml_kem));
    const crypto::EncapsulationKey& brought = made.ephemeral.encapsulation_key();
    return must(wire::open_key_deliver(delivery, wire::mix_ephemeral(suite, ss, {.ss_classical = fresh.classical, .ss_ml_kem = fresh.ml_kem,
                                                                                 .ct_classical = said.eph_ct_classical, .ct_ml_kem = said.eph_ct_ml_kem,
                                                                                 .key = brought})));
  }
  Result<net::Response> acknowledge(const Person& who, const SidWk& sid, const Bytes& answer, bool ok = true) {
    const wire::DeliverAck message{.sid_wk = sid, .uid = who.terminal.uid, .h_deliver = crypto::digest(network_.suite().hash, answer), .ok = ok};
    const auto ack = must(wire::sign_message(network_.suite(), node_->settings().policy_epoch, message, who.signer, who.fps, network_.rng()));
    return application().acknowledge(request_of(who, ack.octets));
  }
  template <class Work>
  auto in_transaction(Work&& work) {
    return store().transact(std::forward<Work>(work));
  }
  bool has_leg(const SidWk& sid, wire::Role role) {
    return must(in_transaction([&](store::Transaction& transaction) { return ledger().find(transaction, sid, role); })).has_value();
  }
  /// As after a quiet minute.
  void forget_rates() {
    must(in_transaction([](store::Transaction& transaction) -> Result<void> {
      TRY(transaction.run("DELETE FROM application_rate", {}));
      return {};
    }));
  }
  StoredKey leg(const SidWk& sid, wire::Role role) {
    auto found = must(in_transaction([&](store::Transaction& transaction) { return ledger().find(transaction, sid, role); }));
    CHECK(found.has_value());
    return *std::move(found);
  }

 private:
  /// What a restart makes anew.
  struct Rest {
    explicit Rest(Applicants& of)
        : store(must(of.stores_.open(of.folder_ / "kms.db", migrations))),
          ledger(of.node_->device()),
          access(*of.node_, *store, of.senders_, [&of](points::Endpoint endpoint, const wire::Json&, Deadline, const std::string&) { return of.iam(endpoint); }),
          agreement(*of.node_, *store, ledger, of.senders_, of.trace_, errands, of.settings_, must(crypto::SiteKey::read(of.folder_ / "site.key"))),
          injection({.node = *of.node_, .store = *store, .settings = of.settings_, .seals = of.node_->device(), .ledger = ledger},
                    [](Deadline, const std::string&) { return std::optional<Secret>(); }),
          application(*of.node_, *store, ledger, agreement, access, injection, of.trace_, of.settings_),
          orders(*of.node_, *store, ledger, agreement) {}
    std::unique_ptr<store::Store> store;
    Ledger ledger;
    Access access;
    Errands errands;
    Agreement agreement;
    Injection injection;
    Application application;
    Orders orders;
  };

  Person enrol(const std::string& uri, const std::string& number) {
    Person out = make_person(network_, identity(uri), Number(number));
    must(in_transaction([&](store::Transaction& transaction) { return put_terminal(transaction, out.terminal); }));
    return out;
  }

  /// IAM says yes, with a token for whoever applies just now.
  Result<wire::Json> iam(points::Endpoint endpoint) {
    if (while_asked_) while_asked_(endpoint);
    return iam_answer(network_, *iam_credentials_.messages, endpoint, *applying_, {.allowed = iam_allows_, .token_level_max = token_level_max_});
  }

 public:
  const Person* applying_ = nullptr;  // whose token IAM makes
  std::function<void(points::Endpoint endpoint)> while_asked_;  // what happens while an application waits for IAM
  bool iam_allows_ = true;
  wire::Assurance token_level_max_ = wire::Assurance::disjoint_qkd_paths;
  std::function<void()> while_checked_;  // what happens while a certificate's status is asked for
  std::optional<Error> status_;  // of every certificate; absent: good
  std::set<Bytes> revoked_;  // serials of certificates whose status is not good

 private:
  const Identity kms_ = identity("qanat://a/kms/kms-a");
  const Identity iam_ = identity("qanat://core/iam/iam");
  test::TrustedNetwork network_;
  test::TemporaryDirectory folder_;
  test::TestStores stores_;
  KmsSettings settings_;
  std::unique_ptr<node::Node> node_ = network_.open_node(kms_, {iam_}, [this](const crypto::Certificate& certificate, Deadline) -> Result<void> {
    if (while_checked_) while_checked_();
    if (status_) return fail(*status_);
    if (revoked_.contains(certificate.serial())) return fail(ErrorCode::denied, "certificate of " + certificate.subject() + " is revoked");
    return {};
  });
  node::Credentials iam_credentials_ = network_.credentials(iam_);
  node::SenderDirectory senders_{*node_};
  node::StepTrace trace_{network_.state_of(kms_)};
  SidCall sid_call_ = network_.rng().id<SidCall>();
  std::unique_ptr<Rest> rest_;
  std::optional<Person> a_;
  std::optional<Person> c_;
};

}  // namespace qanat::kms
