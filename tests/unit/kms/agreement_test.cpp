// Steps 7 to 9 across domains at both KMSs: what counts of CMSP's word, of the other KMS's offer, answer and confirmation, and of the QKM's keys.
#include "services/kms/kma/agreement.hpp"

#include <atomic>
#include <thread>

#include "kms_core.hpp"
#include "person.hpp"
#include "services/kms/kma/incarnation.hpp"
#include "services/kms/kma/pending.hpp"
#include "services/kms/schema.hpp"
#include "store_kinds.hpp"

namespace qanat::kms {
namespace {

using store::KeyState;
using test::refusal;
using wire::Role;

const Identity agreement_cmsp = identity("qanat://core/cmsp/cmsp");
const Identity agreement_far = identity("qanat://b/kms/kms-b");
const Identity agreement_qkm = identity("qanat://a/qkm/qkm-a");
const Number agreement_alice("+8613800000001");
const Number agreement_bob("+8613900000002");

class KmsAgreementTest : public testing::TestWithParam<test::StoreKind> {
 protected:
  KmsAgreementTest()
      : cmsp_credentials_(network_.credentials(agreement_cmsp)),
        far_credentials_(network_.credentials(agreement_far)),
        stranger_(network_.credentials(identity("qanat://c/kms/kms-c"))),
        cmsp_(network_, agreement_cmsp, {{Endpoint::ma2_locate, [this](const net::Request& request) { return grant(request); }}}),
        far_(network_, agreement_far,
             {{Endpoint::km2_offer, [this](const net::Request& request) { return accept(request); }},
              {Endpoint::km2_confirm, [this](const net::Request& request) { return take_confirmation(request); }}}),
        qkm_(network_, agreement_qkm,
             {{Endpoint::km3_take,
               [this](const net::Request& request) {
                 ++drawn_;
                 return take(request);
               }},
              {Endpoint::km3_status,
               [this](const net::Request&) -> Result<net::Response> {
                 const wire::Json peer = wire::Json::object({{"domain", "b"}, {"stock", stock_.load()}});
                 return node::json_response(wire::Json::object({{"peers", wire::Json::array({peer})}}));
               }},
              {Endpoint::km3_fetch, [this](const net::Request&) { return quantum_keys(); }}}),
        node_(open_kms_node(network_, {&cmsp_, &far_, &qkm_}, [](const crypto::Certificate&, Deadline) -> Result<void> { return {}; })),
        senders_(*node_) {
    enrol();
    open();
  }
  /// Begins anew under the settings.
  void open() {
    agreement_.reset();
    agreement_ = std::make_unique<Agreement>(*node_, *store_, ledger_, senders_, trace_, errands_, settings_, must(crypto::SiteKey::read(site_key_)));
  }
  /// Alice's terminal, which this KMS serves.
  void enrol() {
    alice_ = make_person(network_, identity("qanat://a/app1/alice"), agreement_alice).terminal;
    must(store_->transact([&](store::Transaction& transaction) { return put_terminal(transaction, alice_); }));
  }
  void run(std::string_view sql, std::initializer_list<store::Value> values = {}) {
    must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(transaction.run(sql, values));
      return {};
    }));
  }
  std::optional<StoredKey> leg(const SidWk& sid_wk, Role role) {
    return must(store_->transact([&](store::Transaction& transaction) { return ledger_.find(transaction, sid_wk, role); }));
  }
  template <class M>
  static wire::Framed<M> inside(ByteView body) {
    return must(wire::parse<M>(must(wire::parse_envelope(body)).message));
  }
  /// `by` signs; the envelope has the certificates of `shown`.
  template <class M>
  Bytes enclosed(const M& message, const node::MessageSigner& by, const node::MessageSigner& shown) {
    return node::enclose(shown, must(wire::sign_message(network_.suite(), others_epoch_, message, by.signer, by.fps, network_.rng())).octets);
  }
  static net::Response qfc2(Bytes body) { return {.status = 200, .content_type = std::string(points::type_qfc2), .body = std::move(body)}; }

  // The others, towards the caller's side.
  Result<net::Response> grant(const net::Request& request) {
    const auto open = inside<wire::SessionOpen>(request.body);
    wire::SessionGrant out;
    static_cast<wire::SessionFields&>(out) = open.message;
    out.uid_b = Uid("bob");
    out.kms_b = ElementName("kms-b");
    out.prev_hash = open.hash;
    out.kms_b_fps = far_credentials_.messages->fps;
    out.ts_ms = SystemClock().now_ms();
    if (change_grant_) change_grant_(out);
    return qfc2(enclosed(out, signs_grant_ == nullptr ? *cmsp_credentials_.messages : *signs_grant_, *cmsp_credentials_.messages));
  }
  Result<net::Response> accept(const net::Request& request) {
    const crypto::Suite& suite = network_.suite();
    const node::MessageSigner& own = *far_credentials_.messages;
    const node::MessageSigner& by = signs_accept_ == nullptr ? own : *signs_accept_;
    offers_.push_back(request.body);
    if (!offers_fail_.empty()) {
      const ErrorCode code = offers_fail_.back();
      offers_fail_.pop_back();
      return fail(code, "as the test will have it");
    }
    const auto offer = inside<wire::KmsOffer>(request.body);
    const auto made = must(crypto::encapsulate(suite, crypto::KemForm::to_ephemeral, offer.message.ephemeral, network_.rng()));
    wire::KmsAccept out{.sid_wk = offer.message.sid_wk,
                        .h_offer = offer.hash,
                        .nonce = network_.rng().bytes(wire::nonce_size),
                        .ct_classical = made.ct_classical,
                        .ct_ml_kem = made.ct_ml_kem,
                        .ok_bitmap = static_cast<std::uint8_t>(far_holds_ ? (1U << offer.message.shares.size()) - 1 : 0),
                        .fps = own.fps};
    if (change_accept_) change_accept_(out);
    std::vector<const Secret*> used;
    for (std::size_t i = 0; i < offer.message.shares.size(); ++i) {
      if ((out.ok_bitmap >> i & 1U) != 0) used.push_back(&quantum_key_);
    }
    auto framed = must(wire::sign_message(suite, accept_epoch_, out, by.signer, by.fps, network_.rng()));
    const Bytes th9 = wire::th9_of(suite, offer.octets, framed.octets);
    const wire::KmsKeys keys =
        wire::derive_kms_keys(suite, th9, wire::combine_shares(used), made.ss_classical, made.ss_ml_kem, offer.message.sid_wk, offer.message.sid_call);
    Bytes kc_b = keys.kc_b;
    if (spoils_confirmation_) kc_b.front() ^= 1U;
    wire::append_confirmation(framed, kc_b);
    far_key_ = keys.wk.duplicate();
    far_kc_a_ = keys.kc_a;
    return qfc2(node::enclose(own, framed.octets));
  }
  Result<net::Response> take_confirmation(const net::Request& request) {
    if (far_refuses_) return fail(ErrorCode::denied, "not here");
    confirmed_.push_back(must(wire::parse<wire::KmsConfirm>(request.body)).message);
    if (on_confirmation_) on_confirmation_();
    if (answers_lost_ > 0) {
      --answers_lost_;
      return fail(ErrorCode::unavailable, "lost");
    }
    return net::Response{.status = 204, .content_type = "", .body = {}};
  }
  Result<net::Response> take(const net::Request& request) {
    takes_.push_back(request.body);
    if (takes_lost_ == 0) return quantum_keys();
    --takes_lost_;
    return fail(ErrorCode::unavailable, "lost");
  }
  Result<net::Response> quantum_keys() {
    if (!quantum_) return fail(ErrorCode::exhausted, "no quantum key");
    wire::Json keys = wire::Json::array();
    for (const wire::ShareRef& one : given_) {
      const Bytes wrapped = must(crypto::SiteKey::read(site_key_)).wrap(concat({as_bytes("km-3"), one.key_id.view()}), quantum_key_, network_.rng());
      const int relays = 2 + one.path_id.view().front();
      keys.push(wire::Json::object(
          {{"path_id", one.path_id.hex()}, {"key_id", one.key_id.hex()}, {"key", wire::to_base64(wrapped)}, {"grade", "qkd"}, {"relays", relays}}));
    }
    return node::json_response(wire::Json::object({{"keys", std::move(keys)}}));
  }

  // The caller's side: alice calls bob.
  Asked asked() {
    Asked out;
    out.sid_wk = network_.rng().id<SidWk>();
    out.sid_call = network_.rng().id<SidCall>();
    out.role = Role::caller;
    out.num_call = agreement_alice;
    out.num_called = agreement_bob;
    out.hash = Bytes(network_.suite().digest, 3);
    return out;
  }
  Result<Choice> call(const Asked& wanted) {
    const LevelTowards any = [](const std::string&) -> Result<wire::Assurance> { return wire::Assurance::disjoint_qkd_paths; };
    return agreement_->as_caller(wanted, alice_, any, test::soon(), "0123456789abcdef");
  }
  Result<Choice> call() { return call(asked()); }

  // The callee's side: bob calls alice.
  wire::SessionNotify session() {
    wire::SessionNotify out;
    out.sid_wk = network_.rng().id<SidWk>();
    out.sid_call = network_.rng().id<SidCall>();
    out.num_call = agreement_bob;
    out.num_called = agreement_alice;
    out.uid_a = Uid("bob");
    out.uid_b = Uid("alice");
    out.kms_a = ElementName("kms-b");
    out.kms_b = ElementName("kms-a");
    out.hreq_a = Bytes(network_.suite().digest, 4);
    out.prev_hash = Bytes(network_.suite().digest, 5);
    out.kms_a_fps = far_credentials_.messages->fps;
    out.kms_b_fps = wire::no_fingerprints(network_.suite());
    out.ts_ms = SystemClock().now_ms();
    return out;
  }
  Result<net::Response> notified(const wire::SessionNotify& message, const node::MessageSigner* by = nullptr) {
    const node::MessageSigner& own = *cmsp_credentials_.messages;
    return agreement_->notify(test::request_from(agreement_cmsp, enclosed(message, by == nullptr ? own : *by, own)));
  }
  wire::SessionNotify announced(const std::function<void(wire::SessionNotify&)>& change = {}) {
    wire::SessionNotify out = session();
    if (change) change(out);
    must(notified(out));
    return out;
  }
  struct Proposed {
    wire::Framed<wire::KmsOffer> offer;
    crypto::Decapsulator ephemeral;
  };
  Proposed proposed(const wire::SessionNotify& session, const std::function<void(wire::KmsOffer&)>& change = {}, const node::MessageSigner* by = nullptr) {
    auto ephemeral = must(crypto::Decapsulator::generate(network_.suite(), network_.rng()));
    const node::MessageSigner& own = *far_credentials_.messages;
    wire::KmsOffer offer{.sid_wk = session.sid_wk,
                         .sid_call = session.sid_call,
                         .kms_a = ElementName("kms-b"),
                         .kms_b = ElementName("kms-a"),
                         .h_grant = Bytes(network_.suite().digest, 6),
                         .nonce = network_.rng().bytes(wire::nonce_size),
                         .ts_ms = SystemClock().now_ms(),
                         .shares = {share_},
                         .ephemeral = ephemeral.encapsulation_key(),
                         .fps = own.fps};
    if (change) change(offer);
    const node::MessageSigner& signer = by == nullptr ? own : *by;
    auto framed = must(wire::sign_message(network_.suite(), others_epoch_, offer, signer.signer, signer.fps, network_.rng()));
    return {.offer = std::move(framed), .ephemeral = std::move(ephemeral)};
  }
  Result<net::Response> offered(const Proposed& proposal) {
    return agreement_->offer(test::request_from(agreement_far, node::enclose(*far_credentials_.messages, proposal.offer.octets)));
  }
  Result<net::Response> offered(const wire::SessionNotify& session, const std::function<void(wire::KmsOffer&)>& change = {},
                                const node::MessageSigner* by = nullptr) {
    return offered(proposed(session, change, by));
  }
  /// What KMS-A has once the other has accepted.
  struct Concluded {
    Secret wk;
    wire::KmsConfirm confirm;
  };
  Concluded concluded(const Proposed& proposal, const Bytes& answer) {
    const crypto::Suite& suite = network_.suite();
    const auto accept = inside<wire::KmsAccept>(answer);
    const auto secrets = must(proposal.ephemeral.decapsulate(crypto::KemForm::to_ephemeral, accept.message.ct_classical, accept.message.ct_ml_kem));
    std::vector<const Secret*> used;
    for (std::size_t i = 0; i < proposal.offer.message.shares.size(); ++i) {
      if ((accept.message.ok_bitmap >> i & 1U) != 0) used.push_back(&quantum_key_);
    }
    const Bytes th9 = wire::th9_of(suite, proposal.offer.octets, accept.without_confirmation());
    const wire::KmsOffer& offer = proposal.offer.message;
    wire::KmsKeys keys = wire::derive_kms_keys(suite, th9, wire::combine_shares(used), secrets.classical, secrets.ml_kem, offer.sid_wk, offer.sid_call);
    EXPECT_EQ(to_bytes(accept.confirmation()), keys.kc_b);
    return {.wk = std::move(keys.wk), .confirm = {.sid_wk = offer.sid_wk, .h_accept = accept.hash, .kc_a = keys.kc_a}};
  }
  Result<net::Response> confirmed(const wire::KmsConfirm& message, const Identity& from = agreement_far) {
    return agreement_->confirm(test::request_from(from, must(wire::frame(network_.suite(), others_epoch_, message)).octets));
  }

  test::TrustedNetwork network_;
  test::TemporaryDirectory folder_;
  const std::filesystem::path site_key_ = write_site_key(folder_ / "");
  const wire::ShareRef share_{.path_id = PathId(Bytes(PathId::size, 1)), .key_id = KeyId(Bytes(KeyId::size, 2))};
  std::vector<wire::ShareRef> given_{share_};  // what the QKM gives; each path has two relays more than its number
  const Secret quantum_key_ = Secret::copy_of(Bytes(wire::wk_size, 0x51));
  bool quantum_ = false;   // the QKM has the key
  std::atomic<std::int64_t> stock_ = 0;  // as it says
  std::atomic<int> drawn_ = 0;           // how often it was asked for keys
  bool far_holds_ = true;  // so has the other domain's
  bool far_refuses_ = false;
  int answers_lost_ = 0;  // to confirmations that it takes
  bool spoils_confirmation_ = false;
  std::uint32_t others_epoch_ = 1;  // the policy epoch of what the others send
  std::uint32_t accept_epoch_ = 1;
  std::function<void(wire::SessionGrant&)> change_grant_;
  std::function<void(wire::KmsAccept&)> change_accept_;
  std::function<void()> on_confirmation_;
  const node::MessageSigner* signs_grant_ = nullptr;
  const node::MessageSigner* signs_accept_ = nullptr;
  Secret far_key_;
  Bytes far_kc_a_;
  std::vector<wire::KmsConfirm> confirmed_;
  std::vector<Bytes> takes_;           // of Km-3, as they came
  int takes_lost_ = 0;                 // answers to the next ones
  std::vector<Bytes> offers_;          // as they came
  std::vector<ErrorCode> offers_fail_;  // the next ones, the last first
  node::Credentials cmsp_credentials_;
  node::Credentials far_credentials_;
  node::Credentials stranger_;
  Double cmsp_;
  Double far_;
  Double qkm_;
  std::unique_ptr<node::Node> node_;
  node::SenderDirectory senders_;
  node::StepTrace trace_{network_.state_of(kms_id)};
  Errands errands_;  // not started: what would be told in the background is not
  KmsSettings settings_;
  test::TestStores stores_{GetParam()};
  std::unique_ptr<store::Store> store_ = must(stores_.open(folder_ / "kms.db", migrations));
  Ledger ledger_{node_->device()};
  std::unique_ptr<Agreement> agreement_;
  Terminal alice_;
};
INSTANTIATE_TEST_SUITE_P(Stores, KmsAgreementTest, test::every_store_kind, test::name_of);

TEST_P(KmsAgreementTest, TheCallersLegIsReservedWhenTheOtherHasTakenTheConfirmation) {
  for (const bool with_quantum : {false, true}) {
    quantum_ = with_quantum;
    const Asked wanted = asked();
    EXPECT_EQ(must(call(wanted)).source, with_quantum ? Source::quantum_and_pqc : Source::pqc);
    const auto reserved = leg(wanted.sid_wk, Role::caller);
    ASSERT_TRUE(reserved);
    EXPECT_EQ(reserved->state, KeyState::reserved);
    EXPECT_TRUE(equal_secret(reserved->key.wk, far_key_));
    EXPECT_EQ(reserved->key.assurance, with_quantum ? wire::Assurance::one_qkd_path : wire::Assurance::pqc);
    EXPECT_EQ(reserved->key.peer_uid, Uid("bob"));
    EXPECT_EQ(confirmed_.back().kc_a, far_kc_a_);
  }
  far_refuses_ = true;
  const Asked wanted = asked();
  EXPECT_EQ(refusal(call(wanted)), ErrorCode::denied) << "the other KMS does not take the confirmation";
  EXPECT_EQ(leg(wanted.sid_wk, Role::caller)->state, KeyState::generated);
}

TEST_P(KmsAgreementTest, OfTheStockThatIsKeptACallTakesWhatItDemandsAlone) {
  settings_.policy.quantum_reserve = 10;
  open();
  quantum_ = true;
  stock_ = 10;
  EXPECT_EQ(must(call()).because, Because::stock_is_kept);
  EXPECT_EQ(drawn_, 0);
  Asked demanding = asked();
  demanding.min_assurance = wire::Assurance::one_qkd_path;
  EXPECT_EQ(must(call(demanding)).source, Source::quantum_and_pqc);
  EXPECT_EQ(drawn_, 1);
  stock_ = 11;
  EXPECT_EQ(must(call()).source, Source::quantum_and_pqc);
  EXPECT_EQ(drawn_, 2);
}

TEST_P(KmsAgreementTest, ForADomainThatNoQuantumKeyLeadsToNoCallAsksTheQkm) {
  settings_.policy.no_quantum_with = {"b"};
  open();
  quantum_ = true;
  EXPECT_EQ(must(call()).because, Because::peer_has_no_quantum);
  Asked demanding = asked();
  demanding.min_assurance = wire::Assurance::one_qkd_path;
  EXPECT_EQ(refusal(call(demanding)), ErrorCode::denied);
  EXPECT_EQ(drawn_, 0);
}

TEST_P(KmsAgreementTest, WhatBecomesOfAKeyOfThePoolStandsThereAlsoWhereTheQkmIsNotTold) {
  const UnixMs now = node_->clock().now_ms();
  const auto keys = must(PoolKeys::open({.store = *store_, .device = node_->device(), .suite = network_.suite(), .lifetime = std::chrono::hours(24)}, now));
  const auto draw = [&](const std::string&, std::int64_t, std::int64_t, Deadline) -> Result<QuantumShares> {
    QuantumShares out;
    out.refs.push_back({.path_id = share_.path_id, .key_id = network_.rng().id<KeyId>()});
    out.relays.push_back(3);
    out.keys.push_back(quantum_key_.duplicate());
    out.fetch_until_ms = now + 60'000;
    return Result<QuantumShares>(std::move(out));
  };
  QuantumPool pool({.store = *store_,
                    .keys = *keys,
                    .clock = node_->clock(),
                    .rng = network_.rng(),
                    .owner = "0",
                    .draw = draw,
                    .give_back = [](const std::vector<KeyId>&, Deadline) -> Result<void> { return {}; },
                    .record = [](std::string_view, std::string_view, std::string_view) -> Result<void> { return {}; }},
                   {.low = 3, .high = 3});
  must(pool.refill("b", lot_under(*agreement_->terms()), test::soon()));
  agreement_->use_pool(pool, [] {});
  const auto fate_after = [&](ErrorCode refused) {
    const Asked wanted = asked();
    const auto called = call(wanted);
    EXPECT_EQ(called ? ErrorCode::internal : called.error().code, refused);
    std::string out;
    must(store_->transact([&](store::Transaction& transaction) {
      return transaction.query("SELECT library, fate FROM quantum_key WHERE sid_wk = ?", {wanted.sid_wk.view()},
                               [&](const store::Row& row) { out = row.text(0) + ", " + (row.is_null(1) ? "?" : row.text(1)); });
    }));
    return out;
  };
  constexpr ErrorCode not_refused = ErrorCode::internal;
  EXPECT_EQ(fate_after(not_refused), "history, used");
  far_refuses_ = true;
  EXPECT_EQ(fate_after(ErrorCode::denied), "history, not agreed");
  far_refuses_ = false;
  on_confirmation_ = [this] { run("UPDATE working_key SET state = 'destroyed', sealed_wk = NULL WHERE state = 'generated'"); };  // an operator's order
  EXPECT_EQ(fate_after(ErrorCode::conflict), "history, used") << "the other KMS has a key that is made of it";
}

TEST_P(KmsAgreementTest, AConfirmationWhoseAnswerIsLostIsMadeOnceMore) {
  answers_lost_ = 1;
  const Asked wanted = asked();
  must(call(wanted));
  EXPECT_EQ(leg(wanted.sid_wk, Role::caller)->state, KeyState::reserved);
  ASSERT_EQ(confirmed_.size(), 2U);
  EXPECT_EQ(confirmed_[0].kc_a, confirmed_[1].kc_a);
  answers_lost_ = 2;
  EXPECT_EQ(refusal(call()), ErrorCode::unavailable);
  EXPECT_EQ(confirmed_.size(), 4U);
}

TEST_P(KmsAgreementTest, BothKmssSayOverHowManyPathsTheKeysCameThatWentIn) {
  const auto share = [](std::uint8_t path, std::uint8_t id) {
    return wire::ShareRef{.path_id = PathId(Bytes(PathId::size, path)), .key_id = KeyId(Bytes(KeyId::size, id))};
  };
  struct Case {
    std::vector<wire::ShareRef> offered;
    std::uint8_t held;  // by KMS-B, of these
    wire::Assurance assurance;
    int n_paths;
    int path_min;
  };
  const Case cases[] = {
      {{share(1, 1), share(1, 2), share(1, 3)}, 0b111, wire::Assurance::one_qkd_path, 1, 3},
      {{share(1, 1), share(1, 2), share(2, 3)}, 0b101, wire::Assurance::disjoint_qkd_paths, 2, 3},
      {{share(1, 1), share(2, 2), share(3, 3)}, 0b110, wire::Assurance::disjoint_qkd_paths, 2, 4},
      {{share(1, 1), share(2, 2), share(3, 3)}, 0b100, wire::Assurance::one_qkd_path, 1, 5},
  };
  quantum_ = true;
  settings_.quantum_shares = 3;
  open();
  for (const Case& one : cases) {
    const auto expect = [&](const std::optional<StoredKey>& leg) {
      ASSERT_TRUE(leg);
      EXPECT_EQ(leg->key.assurance, one.assurance);
      EXPECT_EQ(int{leg->key.n_paths}, one.n_paths);
      EXPECT_EQ(int{leg->key.path_min}, one.path_min);
    };
    given_ = one.offered;
    change_accept_ = [&](wire::KmsAccept& m) { m.ok_bitmap = one.held; };
    const Asked wanted = asked();
    must(call(wanted));
    expect(leg(wanted.sid_wk, Role::caller));

    given_.clear();
    for (std::size_t i = 0; i < one.offered.size(); ++i) {
      if ((one.held >> i & 1U) != 0) given_.push_back(one.offered[i]);
    }
    const wire::SessionNotify with = announced();
    must(offered(with, [&](wire::KmsOffer& m) { m.shares = one.offered; }));
    expect(leg(with.sid_wk, Role::callee));
  }
}

TEST_P(KmsAgreementTest, AGrantMustAnswerTheSessionThatWasOpened) {
  const auto refused = [&](const std::function<void(wire::SessionGrant&)>& change) {
    change_grant_ = change;
    return refusal(call());
  };
  EXPECT_EQ(refused([](wire::SessionGrant& m) { m.prev_hash.front() ^= 1U; }), ErrorCode::denied) << "another SessionOpen";
  EXPECT_EQ(refused([](wire::SessionGrant& m) { m.num_called = Number("+8613900000003"); }), ErrorCode::denied);
  EXPECT_EQ(refused([](wire::SessionGrant& m) { m.hreq_a.front() ^= 1U; }), ErrorCode::denied);
  EXPECT_EQ(refused([this](wire::SessionGrant& m) { m.sid_call = network_.rng().id<SidCall>(); }), ErrorCode::denied);
  EXPECT_EQ(refused([](wire::SessionGrant& m) { m.ts_ms -= 600'000; }), ErrorCode::denied) << "out of the clock window";
  change_grant_ = {};
  signs_grant_ = stranger_.messages.get();
  EXPECT_EQ(refusal(call()), ErrorCode::denied) << "another's signature under CMSP's certificates";
  signs_grant_ = nullptr;
  EXPECT_TRUE(call());
}

TEST_P(KmsAgreementTest, AnAcceptanceMustAnswerTheOfferUnderTheOthersCertificatesAndProveTheKey) {
  const auto refused = [&](const std::function<void(wire::KmsAccept&)>& change) {
    change_accept_ = change;
    return refusal(call());
  };
  EXPECT_EQ(refused([](wire::KmsAccept& m) { m.h_offer.front() ^= 1U; }), ErrorCode::denied) << "another offer";
  EXPECT_EQ(refused([this](wire::KmsAccept& m) { m.fps = stranger_.messages->fps; }), ErrorCode::denied) << "other certificates";
  EXPECT_EQ(refused([](wire::KmsAccept& m) { m.ok_bitmap = 1; }), ErrorCode::denied) << "a share that was not offered";
  change_accept_ = {};
  signs_accept_ = stranger_.messages.get();
  EXPECT_EQ(refusal(call()), ErrorCode::denied) << "another's signature under the other KMS's certificates";
  signs_accept_ = nullptr;
  spoils_confirmation_ = true;
  const auto unproved = call();
  EXPECT_EQ(refusal(unproved), ErrorCode::denied);
  EXPECT_TRUE(unproved.error().message.contains("key confirmation does not hold")) << unproved.error().message;
  EXPECT_TRUE(confirmed_.empty());
  spoils_confirmation_ = false;
  EXPECT_TRUE(call());
}

TEST_P(KmsAgreementTest, AnOfferThatGotNoAnswerIsMadeOnceMoreAndARefusalIsFinal) {
  offers_fail_ = {ErrorCode::unavailable};
  EXPECT_TRUE(call());
  ASSERT_EQ(offers_.size(), 2U);
  EXPECT_EQ(offers_[0], offers_[1]) << "the same octets, to which there is the same answer";
  offers_fail_ = {ErrorCode::unavailable, ErrorCode::unavailable};
  EXPECT_EQ(refusal(call()), ErrorCode::unavailable);
  EXPECT_EQ(offers_.size(), 4U) << "not for ever";
  offers_fail_ = {ErrorCode::denied};
  EXPECT_EQ(refusal(call()), ErrorCode::denied);
  EXPECT_EQ(offers_.size(), 5U);
}

TEST_P(KmsAgreementTest, ATakeThatGotNoAnswerIsMadeOnceMoreUnderItsName) {
  quantum_ = true;
  takes_lost_ = 1;
  EXPECT_EQ(must(call()).source, Source::quantum_and_pqc);
  ASSERT_EQ(takes_.size(), 2U);
  EXPECT_EQ(takes_[0], takes_[1]) << "which gets what the first was given";
  takes_lost_ = 2;
  EXPECT_EQ(must(call()).source, Source::pqc);
  EXPECT_EQ(takes_.size(), 4U) << "not for ever";
  quantum_ = false;
  EXPECT_EQ(must(call()).source, Source::pqc);
  EXPECT_EQ(takes_.size(), 5U) << "that there are none is an answer";
}

TEST_P(KmsAgreementTest, TheSameOfferAgainGetsTheSameAnswerUntilThatIsConfirmed) {
  quantum_ = true;
  const wire::SessionNotify with = announced();
  const Proposed proposal = proposed(with);
  const Bytes first = must(offered(proposal)).body;
  quantum_ = false;  // it gives a key once
  EXPECT_EQ(must(offered(proposal)).body, first);
  open();
  EXPECT_EQ(must(offered(proposal)).body, first) << "also at a front end that did not answer it before";
  EXPECT_EQ(leg(with.sid_wk, Role::callee)->key.n_paths, 1) << "with the shares that were fetched for it";
  const auto refused = [&](const Proposed& what, std::string_view why) {
    const auto answer = offered(what);
    EXPECT_EQ(refusal(answer), ErrorCode::conflict) << why;
    EXPECT_TRUE(!answer && answer.error().message.contains(why)) << why;
  };
  refused(proposed(with), "is agreed on already, by another offer");
  const UnixMs until = SystemClock().now_ms() + 60'000;
  run("UPDATE pending_agreement SET expires_ms = 1");
  refused(proposal, "waits for nothing any more");
  run("UPDATE pending_agreement SET expires_ms = ?", {store::column(until)});
  // As if this KMS's certificates had been renewed: under which the message would be shown is not what it says.
  auto renewed = inside<wire::KmsAccept>(first);
  const Bytes kept = renewed.octets;
  renewed.message.fps = stranger_.messages->fps;
  auto other = must(wire::sign_message(network_.suite(), 1, renewed.message, stranger_.messages->signer, stranger_.messages->fps, network_.rng()));
  wire::append_confirmation(other, Bytes(network_.suite().digest));
  run("UPDATE pending_agreement SET accept = ?", {ByteView(other.octets)});
  refused(proposal, "under certificates that have been renewed");
  run("UPDATE pending_agreement SET accept = ?", {ByteView(kept)});

  const Concluded far = concluded(proposal, must(offered(proposal)).body);
  must(confirmed(far.confirm));
  EXPECT_TRUE(equal_secret(leg(with.sid_wk, Role::callee)->key.wk, far.wk));
  refused(proposal, "waits for nothing any more");

  const wire::SessionNotify ended = announced();
  const Proposed late = proposed(ended);
  must(offered(late));
  must(store_->transact([&](store::Transaction& transaction) {
    return ledger_.destroy(transaction, ended.sid_wk, Role::callee, {.by = "kms", .why = "its process died", .at_ms = node_->clock().now_ms()});
  }));
  refused(late, "the key that was agreed on is gone");
}

TEST_P(KmsAgreementTest, WithoutAFallbackNothingIsAgreedOnWithoutAQuantumKey) {
  settings_.pqc_fallback = false;
  open();
  quantum_ = true;
  EXPECT_TRUE(call());
  far_holds_ = false;
  const auto refused = call();
  EXPECT_EQ(refusal(refused), ErrorCode::exhausted);
  EXPECT_TRUE(refused.error().message.contains("holds none of the quantum keys")) << refused.error().message;
  EXPECT_TRUE(offered(announced()));
  EXPECT_FALSE(offered(announced(), [](wire::KmsOffer& m) { m.shares.clear(); })) << "the caller's domain allows itself what this one does not";
}

TEST_P(KmsAgreementTest, OnlyWhatCmspAnnouncesForThisKmssSubscribersIsKept) {
  const auto refused = [&](const std::function<void(wire::SessionNotify&)>& change) {
    wire::SessionNotify message = session();
    change(message);
    return refusal(notified(message));
  };
  EXPECT_EQ(refused([](wire::SessionNotify& m) { m.kms_b = ElementName("kms-b"); }), ErrorCode::denied) << "for another KMS";
  EXPECT_EQ(refused([](wire::SessionNotify& m) { m.ts_ms -= 600'000; }), ErrorCode::denied) << "out of the clock window";
  EXPECT_EQ(refused([](wire::SessionNotify& m) { m.uid_b = Uid("carol"); }), ErrorCode::denied) << "the number is alice's";
  EXPECT_EQ(refusal(notified(session(), stranger_.messages.get())), ErrorCode::denied) << "another's signature under CMSP's certificates";
  run("UPDATE terminal SET confirmed = 0");
  EXPECT_EQ(refusal(notified(session())), ErrorCode::not_found) << "the terminal may not have its keys yet";
  run("UPDATE terminal SET confirmed = 1");
  run("UPDATE terminal SET enc_state = 'suspended'");
  EXPECT_EQ(refusal(notified(session())), ErrorCode::denied) << "it could not be given its key";
  run("UPDATE terminal SET enc_state = 'active'");
  const wire::SessionNotify good = announced();
  EXPECT_TRUE(test::audited(network_.state_of(kms_id), "\"ma-2.notify\""));
  EXPECT_EQ(refusal(notified(good)), ErrorCode::conflict) << "a session is announced once";
}

TEST_P(KmsAgreementTest, TheSameAnnouncementAgainIsTheSameAgain) {
  const node::MessageSigner& cmsp = *cmsp_credentials_.messages;
  const wire::SessionNotify session = this->session();
  const Bytes message = enclosed(session, cmsp, cmsp);
  const auto sent = [&] { return agreement_->notify(test::request_from(agreement_cmsp, message)); };
  ASSERT_TRUE(sent());
  EXPECT_TRUE(sent()) << "its answer was lost, or CMSP went on to another front end";
  EXPECT_TRUE(offered(session));
  run("UPDATE terminal SET enc_state = 'suspended'");
  EXPECT_EQ(refusal(sent()), ErrorCode::denied) << "what holds now holds for it as well";
}

TEST_P(KmsAgreementTest, MessagesOfAnEarlierLifeAreRefused) {
  const UnixMs now = SystemClock().now_ms();
  must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(begin_life(transaction, now, now - 10'000, NewLife::other_history));
    return {};
  }));
  wire::SessionNotify earlier = session();
  earlier.ts_ms = now - 20'000;
  const auto refused = notified(earlier);
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_TRUE(refused.error().message.contains("SessionNotify: is from before the database was restored")) << refused.error().message;
  const auto offer = offered(announced(), [&](wire::KmsOffer& m) { m.ts_ms = now - 20'000; });
  EXPECT_EQ(refusal(offer), ErrorCode::denied);
  EXPECT_TRUE(offer.error().message.contains("KmsOffer: is from before the database was restored")) << offer.error().message;
}

TEST_P(KmsAgreementTest, WhatIsOfAnotherPolicyEpochIsRefused) {
  const auto expect_refusal = [](const auto& answer, std::string_view message) {
    ASSERT_EQ(refusal(answer), ErrorCode::denied) << message;
    EXPECT_TRUE(answer.error().message.contains(std::string(message) + ": policy epoch 2 is not in force")) << answer.error().message;
  };
  const wire::SessionNotify with = announced();
  const wire::SessionNotify other = announced();
  const Proposed proposal = proposed(with);
  const Concluded far = concluded(proposal, must(offered(proposal)).body);
  others_epoch_ = 2;
  expect_refusal(notified(session()), "SessionNotify");
  expect_refusal(offered(other), "KmsOffer");
  expect_refusal(confirmed(far.confirm), "KmsConfirm");
  expect_refusal(call(), "SessionGrant");
  others_epoch_ = 1;
  accept_epoch_ = 2;
  expect_refusal(call(), "KmsAccept");
  accept_epoch_ = 1;
  EXPECT_TRUE(call());
  EXPECT_TRUE(confirmed(far.confirm));
}

TEST_P(KmsAgreementTest, AnOfferMustFitTheSessionThatCmspAnnounced) {
  EXPECT_EQ(refusal(offered(session())), ErrorCode::not_found) << "nobody announced it";
  EXPECT_EQ(refusal(offered(announced(), [this](wire::KmsOffer& m) { m.sid_call = network_.rng().id<SidCall>(); })), ErrorCode::denied);
  EXPECT_EQ(refusal(offered(announced(), [this](wire::KmsOffer& m) { m.fps = stranger_.messages->fps; })), ErrorCode::denied);
  EXPECT_EQ(refusal(offered(announced(), [](wire::KmsOffer& m) { m.kms_b = ElementName("kms-c"); })), ErrorCode::denied);
  EXPECT_EQ(refusal(offered(announced(), [](wire::KmsOffer& m) { m.ts_ms -= 600'000; })), ErrorCode::denied);
  EXPECT_EQ(refusal(offered(announced(), {}, stranger_.messages.get())), ErrorCode::denied) << "another's signature under the caller's KMS's certificates";
  EXPECT_EQ(refusal(offered(announced([this](wire::SessionNotify& m) { m.kms_a_fps = stranger_.messages->fps; }))), ErrorCode::denied);
  EXPECT_EQ(refusal(offered(announced([](wire::SessionNotify& m) { m.kms_a = ElementName("kms-c"); }))), ErrorCode::denied) << "another KMS was named";
  const wire::SessionNotify late = announced();
  run("UPDATE announced_session SET expires_ms = 1 WHERE sid_wk = ?", {late.sid_wk.view()});
  EXPECT_EQ(refusal(offered(late)), ErrorCode::deadline_exceeded);
  EXPECT_TRUE(offered(announced()));
}

TEST_P(KmsAgreementTest, AnOfferForWhoIsNotServedAnyMoreOrHasAnotherNumbersKeysIsRefused) {
  const wire::SessionNotify with = announced();
  const wire::SessionNotify unnamed = announced([](wire::SessionNotify& m) { m.uid_b = Uid(); });
  run("UPDATE terminal SET confirmed = 0");
  EXPECT_EQ(refusal(offered(with)), ErrorCode::not_found) << "it enrols anew";
  run("UPDATE terminal SET confirmed = 1, uid = 'carol'");
  const auto other = offered(with);
  EXPECT_EQ(refusal(other), ErrorCode::denied);
  EXPECT_EQ(other.error().message, "KmsOffer: +8613800000001 is not alice any more");
  EXPECT_FALSE(leg(with.sid_wk, Role::callee));
  EXPECT_TRUE(offered(unnamed)) << "CMSP did not say whose it is";
  run("UPDATE terminal SET uid = 'alice'");
  EXPECT_TRUE(offered(with));
}

TEST_P(KmsAgreementTest, WhatTheOfferDidNotNameIsNoFinding) {
  const auto on_record = [this](std::string_view text) { return test::audited(network_.state_of(kms_id), text); };
  must(offered(announced(), [](wire::KmsOffer& m) { m.shares.clear(); }));
  EXPECT_FALSE(on_record("\"km-3.fetch\""));
  quantum_ = true;
  given_.clear();
  must(offered(announced()));
  EXPECT_TRUE(on_record("\"km-3.fetch\""));
  EXPECT_TRUE(on_record("the QKM here has none of the 1 that the offer of kms-b names"));
}

TEST_P(KmsAgreementTest, AConfirmedAgreementIsTheCalleesLegAndNothingBeforeIt) {
  const wire::SessionNotify with = announced();
  const Proposed proposal = proposed(with);
  const Bytes answer = must(offered(proposal)).body;
  const Concluded far = concluded(proposal, answer);
  const auto generated = leg(with.sid_wk, Role::callee);
  ASSERT_TRUE(generated);
  EXPECT_EQ(generated->state, KeyState::generated);
  EXPECT_EQ(generated->key.assurance, wire::Assurance::pqc) << "the QKM here has none of the keys that were offered";
  EXPECT_EQ(generated->key.n_paths, 0);
  const auto early = agreement_->wait_for_leg(with.sid_wk, alice_, Deadline::after(std::chrono::milliseconds(20)));
  EXPECT_EQ(refusal(early), ErrorCode::deadline_exceeded) << "the caller's side has not said that it has the key";
  must(confirmed(far.confirm));
  const StoredKey reserved = must(agreement_->wait_for_leg(with.sid_wk, alice_, test::soon()));
  EXPECT_EQ(reserved.state, KeyState::reserved);
  EXPECT_TRUE(equal_secret(reserved.key.wk, far.wk));
  EXPECT_TRUE(confirmed(far.confirm)) << "whose answer was lost may say so again";
  wire::KmsConfirm other = far.confirm;
  other.kc_a.front() ^= 1U;
  EXPECT_EQ(refusal(confirmed(other)), ErrorCode::denied);
  EXPECT_EQ(leg(with.sid_wk, Role::callee)->state, KeyState::reserved) << "an agreement is confirmed once";
  run("UPDATE pending_agreement SET expires_ms = 1");
  EXPECT_EQ(refusal(confirmed(far.confirm)), ErrorCode::not_found) << "and known for its time";
}

TEST_P(KmsAgreementTest, WhoWaitsForInventedSessionsKeepsNobodyFromAnnouncedOnes) {
  const wire::SessionNotify with = announced();
  const auto wait = [&](const SidWk& sid_wk, const Terminal& callee, std::chrono::milliseconds at_most) {
    return refusal(agreement_->wait_for_leg(sid_wk, callee, Deadline::after(at_most)));
  };
  const auto stranger = [&](int which) {
    Terminal out = alice_;
    out.uid = Uid("stranger" + std::to_string(which));
    return out;
  };
  const std::size_t unannounced = node_->settings().server.limits.worker_threads / 4;
  ASSERT_GE(unannounced, 1U);
  {
    std::vector<std::jthread> waiting;
    for (std::size_t i = 0; i < unannounced; ++i) {
      waiting.emplace_back([&, who = stranger(static_cast<int>(i)), sid = network_.rng().id<SidWk>()] {
        while (wait(sid, who, std::chrono::seconds(2)) == ErrorCode::exhausted) continue;  // a look below may have had its place
      });
    }
    const Deadline all_wait = test::soon();
    ErrorCode met{};
    while (met != ErrorCode::exhausted && !all_wait.passed()) met = wait(network_.rng().id<SidWk>(), stranger(-1), std::chrono::milliseconds(1));
    EXPECT_EQ(met, ErrorCode::exhausted);
    Terminal other = alice_;
    other.number = agreement_bob;
    EXPECT_EQ(wait(with.sid_wk, other, std::chrono::milliseconds(1)), ErrorCode::exhausted) << "it is announced for another number";
    EXPECT_EQ(wait(with.sid_wk, alice_, std::chrono::milliseconds(1)), ErrorCode::deadline_exceeded) << "there is a place for it";
  }
  EXPECT_EQ(wait(network_.rng().id<SidWk>(), stranger(-1), std::chrono::milliseconds(1)), ErrorCode::deadline_exceeded) << "places come back";
}

TEST_P(KmsAgreementTest, AConfirmationIsOfItsAgreementAndItsKmsAloneAndInItsTime) {
  const wire::SessionNotify with = announced();
  const Proposed proposal = proposed(with);
  const Bytes answer = must(offered(proposal)).body;
  const wire::KmsConfirm good = concluded(proposal, answer).confirm;
  wire::KmsConfirm other = good;
  other.kc_a.front() ^= 1U;
  EXPECT_EQ(refusal(confirmed(other)), ErrorCode::denied);
  other = good;
  other.h_accept.front() ^= 1U;
  EXPECT_EQ(refusal(confirmed(other)), ErrorCode::denied);
  EXPECT_EQ(refusal(confirmed(good, identity("qanat://c/kms/kms-b"))), ErrorCode::denied) << "a KMS of another domain with the same name";
  EXPECT_EQ(leg(with.sid_wk, Role::callee)->state, KeyState::generated);
  run("UPDATE pending_agreement SET expires_ms = 1");
  EXPECT_EQ(refusal(confirmed(good)), ErrorCode::not_found) << "too late";
  run("UPDATE pending_agreement SET expires_ms = ?", {store::column(SystemClock().now_ms() + 60'000)});
  EXPECT_TRUE(confirmed(good)) << "it was for those reasons alone";
}

TEST_P(KmsAgreementTest, AgreementsThatWaitForTheirConfirmationAreLimited) {
  constexpr std::uint16_t most = 4096;
  must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
    for (std::uint16_t i = 1; i < most; ++i) {
      Bytes id(SidWk::size, 0xee);
      id[0] = static_cast<std::uint8_t>(i >> 8U);
      id[1] = static_cast<std::uint8_t>(i);
      TRY(add_pending(transaction, SidWk(id), {.kms_a = agreement_far, .h_accept = Bytes(32), .h_kc_a = Bytes(32), .shares = {}, .expires_ms = 1}));
    }
    return {};
  }));
  EXPECT_TRUE(offered(announced()));
  EXPECT_EQ(refusal(offered(announced())), ErrorCode::exhausted);
}

TEST_P(KmsAgreementTest, QuantumKeysThatProveLessThanThisDomainDemandsOrWentTooFarAreNotUsed) {
  quantum_ = true;
  const auto paths = [&] {
    const wire::SessionNotify with = announced();
    must(offered(with));
    return int{leg(with.sid_wk, Role::callee)->key.n_paths};
  };
  EXPECT_EQ(paths(), 1);
  settings_.quantum_relays_max = 2;
  EXPECT_EQ(paths(), 0) << "it crossed three";
  settings_.quantum_relays_max = 3;
  settings_.quantum_demand.eps_max = 1e-9;
  EXPECT_EQ(paths(), 0) << "nothing is proved of it";
  settings_.quantum_demand = {};
  EXPECT_EQ(paths(), 1);
}

}  // namespace
}  // namespace qanat::kms
