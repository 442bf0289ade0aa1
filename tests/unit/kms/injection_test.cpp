// Charged keys at the KMS: two operators, one use, what revocation and loss leave, and what is admitted without certificates.
#include "services/kms/kim/injection.hpp"

#include "services/kms/kim/medium_desk.hpp"
#include "services/kms/kma/incarnation.hpp"
#include "services/kms/kp/owed_records.hpp"
#include "services/kms/schema.hpp"
#include "store_kinds.hpp"
#include "trusted_network.hpp"
#include "wire/base64.hpp"
#include "wire/key_schedule.hpp"

namespace qanat::kms {
namespace {

using test::identity;
using test::must;
using test::refusal;
using wire::Charged;
using wire::KeySet;

const Identity injection_kms = identity("qanat://a/kms/kms-a");
const Identity injection_alice = identity("qanat://a/app1/alice");
const Identity injection_bob = identity("qanat://a/app1/bob");
const Identity first_operator = identity("qanat://core/operator/operator");
const Identity second_operator = identity("qanat://core/operator/administrator");

class InjectionTest : public testing::TestWithParam<test::StoreKind> {
 protected:
  InjectionTest() {
    settings_.media_keys = folder_ / "media";
    std::filesystem::create_directories(settings_.media_keys);
    enrol(injection_alice, alice_);
    enrol(injection_bob, bob_);
    open();
  }
  /// The KMS over its state, as after a restart.
  void open() {
    desk_.reset();
    injection_.reset();
    store_.reset();
    store_ = must(stores_.open(folder_ / "kms.db", migrations));
    for (const auto& [who, credentials, number] : {std::tuple(&injection_alice, &alice_, "+861001"), std::tuple(&injection_bob, &bob_, "+861002")}) {
      const node::MessageSigner& signer = *credentials->messages;
      Enrolment enrolment;
      enrolment.terminal = {.uid = Uid(who->name),
                            .number = Number(number),
                            .classical = signer.classical.der(),
                            .ml_dsa = signer.ml_dsa.der(),
                            .encryption = {.point = Bytes(65), .ml_kem = Bytes(1184)},
                            .enc_kid = Bytes(32, 1),
                            .encryption_classical = {},
                            .encryption_ml_kem = {}};
      enrolment.h_enrol = Bytes(32, 1);
      must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
        TRY(save_enrolment(transaction, enrolment));
        return confirm_terminal(transaction, Uid(who->name));
      }));
    }
    injection_.emplace(Injection::Parts{.node = *node_, .store = *store_, .settings = settings_, .seals = node_->device(), .ledger = ledger_},
                       [this](Deadline, const std::string&) -> std::optional<Secret> {
                         ++draws_;
                         return quantum_ ? std::optional(network_.rng().secret(32)) : std::nullopt;
                       });
    desk_.emplace(*node_, *store_, settings_, *injection_);
  }
  void enrol(const Identity& who, node::Credentials& credentials) { credentials = network_.credentials(who); }

  Result<wire::Json> at_desk(const wire::Json& body, const Identity& as = first_operator) {
    ASSIGN_OR_RETURN(const net::Response answer, desk_->answer(test::json_request(as, body)));
    return wire::Json::parse(answer.body);
  }
  void place_key(const wire::MediumId& id) const {
    const std::filesystem::path file = settings_.media_keys / (id.hex() + ".key");
    std::ofstream(file) << to_hex(Bytes(32, 0x7a));
    std::filesystem::permissions(file, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }
  void enter(const wire::MediumId& id, const std::string& uid = "alice", bool by_file = true) {
    if (by_file) place_key(id);
    const auto entered = at_desk(wire::Json::object({{"op", "register"}, {"medium", id.hex()}, {"terminal", uid}, {"kind", "sim"}, {"by_file", by_file}}));
    ASSERT_TRUE(entered) << entered.error().message;
  }
  Result<wire::Json> order(const wire::MediumId& id, int authentication, int call, int distribution, const Identity& as = first_operator) {
    return at_desk(
        wire::Json::object({{"op", "charge"}, {"medium", id.hex()}, {"authentication", authentication}, {"call", call}, {"distribution", distribution}}), as);
  }
  Result<wire::Json> decide(const std::string& op, const std::string& ticket, const Identity& as = second_operator) {
    return at_desk(wire::Json::object({{"op", op}, {"ticket", ticket}}), as);
  }
  /// Keys that two operators charged by file, as the medium gets them.
  wire::ChargePayload charged(const wire::MediumId& id, int authentication, int call, int distribution) {
    const std::string ticket = must(must(order(id, authentication, call, distribution)).text("ticket"));
    const Bytes file = must(must(decide("approve", ticket)).base64("file"));
    const wire::ChargeFile read = must(wire::parse_charge_file(file));
    return must(wire::open_charge_file(read, wire::transport_key_after(network_.suite(), transport_, read.generation)));
  }

  wire::Framed<wire::KeyRequest> application(const std::optional<std::pair<std::uint32_t, const Secret*>>& call,
                                             const std::optional<std::pair<std::uint32_t, const Secret*>>& authentication = {}) {
    wire::KeyRequest message{.sid_wk = network_.rng().id<SidWk>(),
                             .sid_call = network_.rng().id<SidCall>(),
                             .role = wire::Role::caller,
                             .uid = Uid("alice"),
                             .num_call = Number("+861001"),
                             .num_called = Number("+861002"),
                             .kms_id = ElementName("kms-a"),
                             .nonce = network_.rng().bytes(32),
                             .ts_ms = SystemClock().now_ms(),
                             .token_ref = Bytes(32),
                             .fps = alice_.messages->fps,
                             .enc_kid = Bytes(32, 1),
                             .ephemeral = {},
                             .ext = {}};
    if (authentication)
      message = must(wire::prove(network_.suite(), 1, message, wire::ExtensionType::symmetric_authentication, authentication->first, *authentication->second));
    if (call) message = must(wire::prove(network_.suite(), 1, message, wire::ExtensionType::injected_key, call->first, *call->second));
    return must(wire::sign_message(network_.suite(), 1, message, alice_.messages->signer, alice_.messages->fps, network_.rng()));
  }
  ChargedNeed need() {
    return must(store_->transact([&](store::Transaction& transaction) { return injection_->need_of(transaction, Uid("alice")); }));
  }
  Result<std::optional<SpentKey>> spend(std::uint32_t index, const Secret& key) {
    return injection_->spend(request({}), application(std::pair(index, &key)), need());
  }
  /// An application that names no charged key.
  Result<std::optional<SpentKey>> stripped() { return injection_->spend(request({}), application({}), need()); }
  net::Request request(Bytes body, const node::Credentials* by = nullptr) const {
    const node::Credentials& of = by == nullptr ? alice_ : *by;
    return test::request_from(injection_alice, std::move(body), of.messages->ml_dsa);
  }

  struct Asking {
    wire::Framed<wire::ChargeRequest> message;
    crypto::Decapsulator ephemeral;
  };
  Asking asking(const wire::MediumId& id, std::array<std::uint16_t, 3> wanted,
                const std::optional<std::pair<std::uint32_t, const Secret*>>& distribution = {}) {
    const crypto::Suite& suite = network_.suite();
    auto ephemeral = must(crypto::Decapsulator::generate(suite, network_.rng()));
    wire::ChargeRequest message{.uid = Uid("alice"),
                                .kms_id = ElementName("kms-a"),
                                .medium = id,
                                .nonce = network_.rng().bytes(32),
                                .ts_ms = SystemClock().now_ms(),
                                .wanted = wanted,
                                .flags = 0,
                                .ephemeral = ephemeral.encapsulation_key(),
                                .ext = {}};
    if (distribution) {
      const Bytes covered = must(wire::encode(suite, 1, message));
      message.ext.push_back(
          wire::make_extension(wire::ExtensionType::injected_key, distribution->first, wire::charge_request_mac(suite, *distribution->second, covered)));
      message.flags = wire::flag_inj;
    }
    return {.message = must(wire::sign_message(suite, 1, message, alice_.messages->signer, alice_.messages->fps, network_.rng())),
            .ephemeral = std::move(ephemeral)};
  }
  struct Got {
    wire::Framed<wire::ChargeDeliver> delivery;
    wire::ChargePayload payload;
  };
  Got opened(const Asking& asked, ByteView answer, const std::optional<std::pair<std::uint32_t, const Secret*>>& distribution = {}) {
    const crypto::Suite& suite = network_.suite();
    auto delivery = must(wire::parse<wire::ChargeDeliver>(answer));
    const auto verifier = must(crypto::Verifier::from_key(suite, node_->signer()->signer.verifying_key()));
    EXPECT_TRUE(wire::verify(delivery, verifier, node_->signer()->fps));
    const auto secrets = must(asked.ephemeral.decapsulate(crypto::KemForm::to_ephemeral, delivery.message.ct_classical, delivery.message.ct_ml_kem));
    Secret ss = wire::hybrid_secret(suite,
                                    {.ss_classical = secrets.classical,
                                     .ss_ml_kem = secrets.ml_kem,
                                     .ct_classical = delivery.message.ct_classical,
                                     .ct_ml_kem = delivery.message.ct_ml_kem,
                                     .key = asked.ephemeral.encapsulation_key()},
                                    wire::charge_context(asked.message.hash));
    if (distribution) ss = wire::mix_distribution(suite, ss, *distribution->second, distribution->first, asked.message.hash);
    wire::ChargePayload payload = must(wire::open_charge(delivery, ss));
    return {.delivery = std::move(delivery), .payload = std::move(payload)};
  }
  Bytes receipt_of(const Got& got) {
    const wire::ChargeReceipt message{
        .uid = Uid("alice"), .medium = got.delivery.message.medium, .charge = got.delivery.message.charge, .h_deliver = got.delivery.hash, .ok = true};
    return must(wire::sign_message(network_.suite(), 1, message, alice_.messages->signer, alice_.messages->fps, network_.rng())).octets;
  }
  wire::MediumOrder order_for(const wire::MediumId& id) {
    const auto answer = injection_->charge(request(asking(id, {0, 1, 0}).message.octets));
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    return answer ? must(wire::parse<wire::ChargeDeliver>(answer->body)).message.order : wire::MediumOrder::none;
  }
  bool audited(std::string_view text) const { return test::audited(node_->settings().state, text); }
  bool enrolled(const std::string& uid) {
    return must(store_->transact([&](store::Transaction& transaction) { return find_terminal(transaction, Uid(uid)); })).has_value();
  }
  std::int64_t rows(const std::string& table) {
    std::int64_t out = -1;
    must(store_->transact([&](store::Transaction& transaction) {
      return transaction.query("SELECT count(*) FROM " + table, {}, [&](const store::Row& row) { out = row.integer(0); });
    }));
    return out;
  }
  std::int64_t owed_rows() { return rows("owed_record"); }

  test::TrustedNetwork network_;
  test::TemporaryDirectory folder_;
  std::optional<Error> status_;  // of every certificate; absent: good
  std::unique_ptr<node::Node> node_ = network_.open_node(injection_kms, {}, [this](const crypto::Certificate&, Deadline) -> Result<void> {
    if (status_) return fail(*status_);
    return {};
  });
  KmsSettings settings_;
  node::Credentials alice_;
  node::Credentials bob_;
  bool quantum_ = true;
  int draws_ = 0;  // how often a quantum key was asked for
  test::TestStores stores_{GetParam()};
  std::unique_ptr<store::Store> store_;
  Ledger ledger_{node_->device()};
  std::optional<Injection> injection_;
  std::optional<MediumDesk> desk_;
  const Secret transport_ = Secret::copy_of(Bytes(32, 0x7a));
  const wire::MediumId sim_{Bytes(16, 0x51)};
};

INSTANTIATE_TEST_SUITE_P(Stores, InjectionTest, test::both_databases, test::name_of);

TEST_P(InjectionTest, AChargeByFileNeedsTwoOperators) {
  enter(sim_);
  EXPECT_FALSE(std::filesystem::exists(settings_.media_keys / (sim_.hex() + ".key"))) << "the transport key is in the database now, sealed";
  const std::string ticket = must(must(order(sim_, 1, 2, 1)).text("ticket"));
  EXPECT_EQ(refusal(decide("collect", ticket)), ErrorCode::unavailable) << "it waits";
  const auto alone = decide("approve", ticket, first_operator);
  EXPECT_EQ(refusal(alone), ErrorCode::denied);
  EXPECT_NE(alone.error().message.find("another operator approves it"), std::string::npos);
  EXPECT_TRUE(audited(alone.error().message));
  const auto approved = decide("approve", ticket);
  ASSERT_TRUE(approved) << approved.error().message;
  EXPECT_EQ(refusal(decide("approve", ticket)), ErrorCode::conflict) << "once";
  EXPECT_EQ(must(must(decide("collect", ticket)).base64("file")), must(approved->base64("file")));
  const wire::ChargePayload payload = must(wire::open_charge_file(must(wire::parse_charge_file(must(approved->base64("file")))), transport_));
  EXPECT_EQ(payload.charged, Charged::offline);
  EXPECT_EQ(payload.origin, wire::ChargeOrigin::quantum);
  EXPECT_EQ(payload.of(KeySet::call).keys.size(), 2U);
  EXPECT_FALSE(equal_secret(payload.of(KeySet::call).keys[0], payload.of(KeySet::call).keys[1]));
}

TEST_P(InjectionTest, ARejectedChargeIsNotApprovedAndAnUnknownOneNotFound) {
  enter(sim_);
  const std::string ticket = must(must(order(sim_, 0, 2, 0)).text("ticket"));
  ASSERT_TRUE(decide("reject", ticket));
  EXPECT_EQ(refusal(decide("approve", ticket)), ErrorCode::conflict);
  EXPECT_EQ(refusal(decide("approve", std::string(32, '0'))), ErrorCode::not_found);
  EXPECT_EQ(refusal(decide("approve", "no ticket")), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(order(sim_, 0, 0, 0)), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(order(sim_, 0, 257, 0)), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(at_desk(wire::Json::object({{"op", "burn"}}))), ErrorCode::invalid_argument);
}

TEST_P(InjectionTest, WithoutAQuantumKeyTheChargeSaysSo) {
  quantum_ = false;
  enter(sim_);
  EXPECT_EQ(charged(sim_, 0, 1, 0).origin, wire::ChargeOrigin::device);
}

TEST_P(InjectionTest, AKeyIsSpentOnceAndOnlyByWhoHasIt) {
  enter(sim_);
  const wire::ChargePayload keys = charged(sim_, 0, 3, 0);
  const auto& call = keys.of(KeySet::call);
  EXPECT_EQ(refusal(spend(call.first, Secret(32))), ErrorCode::unauthenticated);
  const auto spent = spend(call.first, call.keys[0]);
  ASSERT_TRUE(spent && *spent) << (spent ? "" : spent.error().message);
  EXPECT_TRUE(equal_secret((*spent)->key, call.keys[0]));
  EXPECT_EQ((*spent)->charged, Charged::offline);
  EXPECT_EQ(refusal(spend(call.first, call.keys[0])), ErrorCode::conflict);
  open();
  EXPECT_EQ(refusal(spend(call.first, call.keys[0])), ErrorCode::conflict) << "after a restart too";
  EXPECT_EQ(refusal(spend(call.first + 3, call.keys[0])), ErrorCode::not_found);
}

TEST_P(InjectionTest, WhoWasEverChargedByFileDoesNotGoOnWithout) {
  EXPECT_FALSE(must(stripped())) << "it has no medium";
  enter(sim_);
  const Asking asked = asking(sim_, {0, 1, 0});
  const Got over_wire = opened(asked, must(injection_->charge(request(asked.message.octets))).body);
  EXPECT_FALSE(must(stripped())) << "stock that came over a wire counts for nothing";
  const wire::ChargePayload keys = charged(sim_, 0, 2, 0);
  const auto& call = keys.of(KeySet::call);
  const auto refused = stripped();
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_TRUE(refused.error().message.contains("terminal alice was charged by file")) << refused.error().message;
  EXPECT_TRUE(refused.error().message.contains("docs/operations/injection.md")) << refused.error().message;
  // Whoever forges its signatures can have had that key charged.
  const auto weak = spend(over_wire.payload.of(KeySet::call).first, over_wire.payload.of(KeySet::call).keys[0]);
  EXPECT_EQ(refusal(weak), ErrorCode::denied);
  EXPECT_TRUE(weak.error().message.contains("key 0 of the call set, charged wire")) << weak.error().message;
  EXPECT_EQ(rows("injected_key"), 3) << "nor is anything burnt by it";
  EXPECT_TRUE(must(spend(call.first + 1, call.keys[1])));
  EXPECT_EQ(rows("injected_key"), 0);
  EXPECT_EQ(refusal(stripped()), ErrorCode::denied) << "the stock is used up";
  ASSERT_TRUE(at_desk(wire::Json::object({{"op", "lock"}, {"medium", sim_.hex()}})));
  EXPECT_EQ(refusal(stripped()), ErrorCode::denied) << "locked";
  ASSERT_TRUE(at_desk(wire::Json::object({{"op", "wipe"}, {"medium", sim_.hex()}})));
  EXPECT_EQ(refusal(stripped()), ErrorCode::denied) << "an order over the network releases nobody";
  open();
  EXPECT_EQ(refusal(stripped()), ErrorCode::denied) << "nor does a restart";
  must(injection_->revoked({crypto::digest(crypto::Hash::sha256, alice_.messages->ml_dsa.der())}));
  open();  // it enrols anew
  EXPECT_EQ(refusal(stripped()), ErrorCode::denied) << "nor a notice of revocation";
  EXPECT_FALSE(audited("kim.released"));
  settings_.charged_released = {Uid("bob"), Uid("alice")};
  EXPECT_FALSE(must(stripped()));
  EXPECT_TRUE(audited("kim.released"));
  settings_.charged_released.clear();
  EXPECT_EQ(refusal(stripped()), ErrorCode::denied);
  settings_.charged_keys = ChargedPolicy::optional;
  EXPECT_FALSE(must(stripped()));
}

TEST_P(InjectionTest, AChargeThatNobodyApprovedDemandsNothing) {
  enter(sim_);
  const std::string ticket = must(must(order(sim_, 0, 1, 0)).text("ticket"));
  EXPECT_FALSE(must(stripped()));
  ASSERT_TRUE(decide("reject", ticket));
  ASSERT_TRUE(at_desk(wire::Json::object({{"op", "wipe"}, {"medium", sim_.hex()}})));
  EXPECT_FALSE(must(stripped()));
}

TEST_P(InjectionTest, ATerminalThatSkippedForwardBurnsTheGap) {
  enter(sim_);
  const wire::ChargePayload keys = charged(sim_, 0, 3, 0);
  const auto& call = keys.of(KeySet::call);
  EXPECT_TRUE(spend(call.first + 2, call.keys[2]));
  EXPECT_EQ(refusal(spend(call.first, call.keys[0])), ErrorCode::conflict);
  EXPECT_EQ(refusal(spend(call.first + 1, call.keys[1])), ErrorCode::conflict);
  const wire::ChargePayload more = charged(sim_, 0, 1, 0);
  EXPECT_EQ(more.of(KeySet::call).first, call.first + 3) << "an index is charged once";
  EXPECT_TRUE(spend(more.of(KeySet::call).first, more.of(KeySet::call).keys[0]));
}

TEST_P(InjectionTest, BurntKeysLeaveNoOctetsAndNeitherDoesAWipedMedium) {
  enter(sim_);
  const wire::ChargePayload keys = charged(sim_, 0, 3, 0);
  EXPECT_EQ(rows("injected_key"), 3);
  EXPECT_TRUE(spend(keys.of(KeySet::call).first + 1, keys.of(KeySet::call).keys[1]));
  EXPECT_EQ(rows("injected_key"), 1) << "the gap before it is burnt too";
  ASSERT_TRUE(at_desk(wire::Json::object({{"op", "wipe"}, {"medium", sim_.hex()}})));
  EXPECT_EQ(rows("injected_key"), 0);
  EXPECT_EQ(rows("medium WHERE sealed_transport IS NOT NULL"), 0);
}

TEST_P(InjectionTest, AnApprovalLooksAgainAtTheOrderAndTheTerminal) {
  enter(sim_);
  const std::string old = must(must(order(sim_, 0, 1, 0)).text("ticket"));
  must(store_->transact([](store::Transaction& transaction) { return transaction.run("UPDATE charge SET made_ms = 1", {}); }));
  const auto late = decide("approve", old);
  EXPECT_EQ(refusal(late), ErrorCode::denied);
  EXPECT_TRUE(late.error().message.contains("was ordered too long ago")) << late.error().message;
  const std::string ticket = must(must(order(sim_, 0, 1, 0)).text("ticket"));
  status_ = Error{ErrorCode::unavailable, "CAS does not answer"};
  EXPECT_EQ(refusal(decide("approve", ticket)), ErrorCode::unavailable) << "whether its certificates are good is not known";
  status_.reset();
  EXPECT_TRUE(decide("approve", ticket));
}

TEST_P(InjectionTest, AKeyOfAnotherSetIsOfNoUse) {
  enter(sim_);
  const wire::ChargePayload keys = charged(sim_, 1, 1, 1);
  EXPECT_EQ(refusal(spend(0, keys.of(KeySet::authentication).keys[0])), ErrorCode::unauthenticated);
  EXPECT_EQ(refusal(spend(0, keys.of(KeySet::distribution).keys[0])), ErrorCode::unauthenticated);
  EXPECT_TRUE(spend(0, keys.of(KeySet::call).keys[0]));
}

TEST_P(InjectionTest, ALostMediumIsLockedAtOnceAndOpenedByTwoOperators) {
  enter(sim_);
  const wire::ChargePayload keys = charged(sim_, 0, 2, 0);
  ASSERT_TRUE(at_desk(wire::Json::object({{"op", "lock"}, {"medium", sim_.hex()}})));
  const auto refused = spend(0, keys.of(KeySet::call).keys[0]);
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_NE(refused.error().message.find("is locked"), std::string::npos);
  EXPECT_EQ(order_for(sim_), wire::MediumOrder::lock) << "the medium itself, when it is seen";
  (void)charged(sim_, 0, 1, 0);
  EXPECT_TRUE(spend(0, keys.of(KeySet::call).keys[0]));
}

TEST_P(InjectionTest, AWipedMediumHasNoKeysAndDoesNotComeBack) {
  enter(sim_);
  const wire::ChargePayload keys = charged(sim_, 0, 2, 0);
  ASSERT_TRUE(at_desk(wire::Json::object({{"op", "wipe"}, {"medium", sim_.hex()}})));
  EXPECT_EQ(refusal(spend(0, keys.of(KeySet::call).keys[0])), ErrorCode::denied);
  EXPECT_EQ(refusal(order(sim_, 0, 1, 0)), ErrorCode::denied);
  EXPECT_EQ(order_for(sim_), wire::MediumOrder::wipe);
  EXPECT_EQ(refusal(at_desk(wire::Json::object({{"op", "lock"}, {"medium", sim_.hex()}}))), ErrorCode::conflict);
  place_key(sim_);
  EXPECT_EQ(refusal(at_desk(wire::Json::object({{"op", "register"}, {"medium", sim_.hex()}, {"terminal", "alice"}, {"kind", "sim"}, {"by_file", true}}))),
            ErrorCode::conflict);
  enter(wire::MediumId(Bytes(16, 0x52)));
}

TEST_P(InjectionTest, RegistrationRefusesASecondMediumAStrangerAndAKeyThatIsNotThere) {
  enter(sim_);
  const auto entered = [&](const std::string& uid, const std::string& kind, bool by_file) {
    return at_desk(wire::Json::object({{"op", "register"}, {"medium", std::string(32, '5')}, {"terminal", uid}, {"kind", kind}, {"by_file", by_file}}));
  };
  EXPECT_EQ(refusal(entered("alice", "sim", false)), ErrorCode::conflict);
  EXPECT_EQ(refusal(entered("carol", "sim", false)), ErrorCode::denied);
  EXPECT_EQ(refusal(entered("bob", "usb", false)), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(entered("bob", "sim", true)), ErrorCode::not_found);
  status_ = Error{ErrorCode::denied, "is revoked"};
  EXPECT_EQ(refusal(entered("bob", "sim", false)), ErrorCode::denied);
}

TEST_P(InjectionTest, ChargesWhoseWorkRunsAgainHaveAllTheirKeys) {
  stores_ = test::TestStores(test::StoreKind::repeated);
  open();
  enter(sim_);
  const wire::ChargePayload keys = charged(sim_, 0, 2, 1);
  EXPECT_TRUE(spend(0, keys.of(KeySet::call).keys[0]));
  const std::pair distribution(0U, &keys.of(KeySet::distribution).keys[0]);
  const Asking asked = asking(sim_, {0, 1, 0}, distribution);
  const auto answer = injection_->charge(request(asked.message.octets));
  ASSERT_TRUE(answer) << answer.error().message;
  const Got got = opened(asked, answer->body, distribution);
  ASSERT_EQ(got.payload.of(KeySet::call).keys.size(), 1U);
  EXPECT_TRUE(spend(got.payload.of(KeySet::call).first, got.payload.of(KeySet::call).keys[0]));
}

TEST_P(InjectionTest, ATransportKeyDoesNotStayWhereItsMediumIsRegisteredAlready) {
  enter(sim_);
  place_key(sim_);  // as after a death between the two
  const std::filesystem::path carried = settings_.media_keys / (sim_.hex() + ".key");
  ASSERT_TRUE(std::filesystem::exists(carried));
  EXPECT_EQ(refusal(at_desk(wire::Json::object({{"op", "register"}, {"medium", sim_.hex()}, {"terminal", "alice"}, {"kind", "sim"}, {"by_file", true}}))),
            ErrorCode::conflict);
  EXPECT_FALSE(std::filesystem::exists(carried));
}

TEST_P(InjectionTest, ARevokedTerminalLosesItsStockAndGetsNoOther) {
  enter(sim_);
  const wire::ChargePayload keys = charged(sim_, 0, 2, 0);
  const std::string waits = must(must(order(sim_, 0, 1, 0)).text("ticket"));
  const Bytes other = crypto::digest(crypto::Hash::sha256, bob_.messages->ml_dsa.der());
  ASSERT_TRUE(injection_->revoked({other}));
  EXPECT_TRUE(spend(0, keys.of(KeySet::call).keys[0])) << "somebody else was revoked";
  ASSERT_TRUE(injection_->revoked({crypto::digest(crypto::Hash::sha256, alice_.messages->classical.der())}));
  EXPECT_EQ(refusal(spend(1, keys.of(KeySet::call).keys[1])), ErrorCode::denied);
  EXPECT_TRUE(audited("kim.revoked"));
  EXPECT_EQ(refusal(decide("approve", waits)), ErrorCode::conflict) << "what waited for it is rejected";
  ASSERT_TRUE(injection_->revoked({crypto::digest(crypto::Hash::sha256, alice_.messages->classical.der())})) << "said again";
}

TEST_P(InjectionTest, ARevocationWhoseNoticeNeverCameIsFoundInTheLists) {
  enter(sim_);
  const wire::ChargePayload keys = charged(sim_, 0, 2, 0);
  std::vector<Bytes> ml_dsa{bob_.messages->ml_dsa.serial()};
  const auto fetch = [&](std::string_view branch) -> Result<Bytes> {
    return branch == "ml_dsa" ? network_.revocation_list(false, ml_dsa) : network_.revocation_list(true, {});
  };
  ASSERT_TRUE(injection_->compare_with_lists(fetch));
  EXPECT_TRUE(spend(0, keys.of(KeySet::call).keys[0])) << "somebody else's";
  test::TrustedNetwork elsewhere;
  ml_dsa.push_back(alice_.messages->ml_dsa.serial());
  const auto foreign =
      injection_->compare_with_lists([&](std::string_view branch) -> Result<Bytes> { return elsewhere.revocation_list(branch == "classical", ml_dsa); });
  EXPECT_EQ(refusal(foreign), ErrorCode::denied) << "a list of another CA";
  EXPECT_EQ(refusal(injection_->compare_with_lists([](std::string_view) -> Result<Bytes> { return fail(ErrorCode::unavailable, "CAS is away"); })),
            ErrorCode::unavailable);
  ASSERT_TRUE(injection_->compare_with_lists(fetch));
  EXPECT_EQ(refusal(spend(1, keys.of(KeySet::call).keys[1])), ErrorCode::denied);
  EXPECT_TRUE(audited("a revocation list has its certificate"));
  EXPECT_TRUE(audited("\"kp.purged\""));
  EXPECT_FALSE(enrolled("alice")) << "a list and a notice do the same";
  EXPECT_FALSE(enrolled("bob")) << "also to who has no medium";
}

TEST_P(InjectionTest, AListSaysNothingOfCertificatesOfOtherIssuersThatHaveTheSameSerial) {
  const auto fetch = [&](std::string_view branch) -> Result<Bytes> {
    // The serials of the certificates of the other branch.
    if (branch == "ml_dsa") return network_.revocation_list(false, {alice_.messages->classical.serial()});
    return network_.revocation_list(true, {alice_.messages->ml_dsa.serial()});
  };
  ASSERT_TRUE(injection_->compare_with_lists(fetch));
  EXPECT_TRUE(enrolled("alice"));
}

TEST_P(InjectionTest, WhatARevocationOwesToTheRecordIsMadeUpForAfterAKill) {
  enter(sim_);
  (void)charged(sim_, 0, 1, 0);
  // As purge_revoked() leaves it where the process is killed before the records are made.
  const std::vector<OwedRecord> owed{{.action = "kim.revoked", .subject = "alice", .object = sim_.hex(), .reason = "killed in between"},
                                     {.action = "kp.purged", .subject = "alice", .object = "0 working keys", .reason = "killed in between"}};
  must(store_->transact([&](store::Transaction& transaction) { return owe_records(transaction, network_.rng().id<OwedId>(), owed, node_->clock().now_ms()); }));
  open();
  must(pay_records(*node_, *store_, Owed::left_over));
  EXPECT_FALSE(audited("killed in between")) << "whoever owes it may be about to make it";
  must(pay_records(*node_, *store_, network_.rng().id<OwedId>()));
  EXPECT_FALSE(audited("killed in between")) << "another revocation pays what it owes itself";
  must(pay_records(*node_, *store_, Owed::all));
  EXPECT_TRUE(audited("killed in between"));
  EXPECT_EQ(owed_rows(), 0);
  must(pay_records(*node_, *store_, Owed::all));
  const std::vector<OwedRecord> former{{.action = "kp.purged", .subject = "bob", .object = "0 working keys", .reason = "of a front end that is gone"}};
  const UnixMs long_ago = node_->clock().now_ms() - 120'000;
  must(store_->transact([&](store::Transaction& transaction) { return owe_records(transaction, network_.rng().id<OwedId>(), former, long_ago); }));
  must(pay_records(*node_, *store_, Owed::left_over));
  EXPECT_TRUE(audited("of a front end that is gone"));
  EXPECT_EQ(owed_rows(), 0);
}

TEST_P(InjectionTest, ATerminalThatIsPutBackIsStillKnownAsRevoked) {
  const Terminal alice = *must(store_->transact([&](store::Transaction& transaction) { return find_terminal(transaction, Uid("alice")); }));
  must(injection_->revoked({crypto::digest(crypto::Hash::sha256, alice.ml_dsa)}));
  open();  // enrols it again under the certificates that are revoked
  enter(sim_);
  const wire::ChargePayload keys = charged(sim_, 1, 1, 0);
  settings_.symmetric_mode = true;
  const auto both = application(std::pair(0U, &keys.of(KeySet::call).keys[0]), std::pair(0U, &keys.of(KeySet::authentication).keys[0]));
  const auto refused = injection_->admit(request({}), both, alice, Error{ErrorCode::unavailable, "CAS does not answer"});
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_TRUE(refused.error().message.contains("last known as revoked")) << refused.error().message;
}

TEST_P(InjectionTest, ARevocationOwesNothingWhenItReturns) {
  enter(sim_);
  must(injection_->revoked({crypto::digest(crypto::Hash::sha256, alice_.messages->ml_dsa.der())}));
  EXPECT_EQ(owed_rows(), 0);
  EXPECT_TRUE(audited("\"kim.revoked\""));
  EXPECT_TRUE(audited("\"kp.purged\""));
}

TEST_P(InjectionTest, WhoIsFoundRevokedAtAnApplicationLosesItsStockAndWhoseStatusIsUnknownDoesNot) {
  enter(sim_);
  const wire::ChargePayload keys = charged(sim_, 0, 2, 0);
  const Terminal alice = *must(store_->transact([&](store::Transaction& transaction) { return find_terminal(transaction, Uid("alice")); }));
  status_ = Error{ErrorCode::unavailable, "CAS does not answer"};
  ASSERT_TRUE(injection_->judged(alice, *status_, test::soon()));
  ASSERT_TRUE(injection_->judged(alice, Error{ErrorCode::denied, "has expired"}, test::soon()));
  status_.reset();
  EXPECT_TRUE(spend(0, keys.of(KeySet::call).keys[0]));
  status_ = Error{ErrorCode::denied, "is revoked"};
  ASSERT_TRUE(injection_->judged(alice, *status_, test::soon()));
  EXPECT_EQ(refusal(spend(1, keys.of(KeySet::call).keys[1])), ErrorCode::denied);
}

TEST_P(InjectionTest, SymmetricModeAdmitsByTheAuthenticationSetWherePolicyAllowsIt) {
  enter(sim_);
  const wire::ChargePayload keys = charged(sim_, 3, 3, 0);
  const auto& authentication = keys.of(KeySet::authentication).keys;
  const auto& call = keys.of(KeySet::call).keys;
  const Terminal alice = *must(store_->transact([&](store::Transaction& transaction) { return find_terminal(transaction, Uid("alice")); }));
  const Error away{ErrorCode::unavailable, "CAS does not answer"};
  const auto admit = [&](const wire::Framed<wire::KeyRequest>& message, const Error& why) { return injection_->admit(request({}), message, alice, why); };
  const auto both = application(std::pair(0U, &call[0]), std::pair(0U, &authentication[0]));
  EXPECT_EQ(refusal(admit(both, away)), ErrorCode::unavailable) << "the policy does not allow it";
  settings_.symmetric_mode = true;
  EXPECT_EQ(refusal(admit(both, {ErrorCode::denied, "is revoked"})), ErrorCode::denied) << "it is for certificates that cannot be checked, not for bad ones";
  EXPECT_EQ(refusal(admit(application(std::pair(0U, &call[0])), away)), ErrorCode::unavailable) << "it proves nothing";
  EXPECT_EQ(refusal(admit(application({}, std::pair(0U, &authentication[0])), away)), ErrorCode::denied) << "nothing would protect the delivery";
  EXPECT_EQ(refusal(admit(application(std::pair(0U, &call[0]), std::pair(0U, &call[0])), away)), ErrorCode::unauthenticated);
  ASSERT_TRUE(admit(both, away));
  EXPECT_TRUE(audited("kim.symmetric_mode"));
  EXPECT_EQ(refusal(admit(both, away)), ErrorCode::conflict) << "a key is for one application";
  must(store_->transact([&](store::Transaction& transaction) {
    return transaction.run("INSERT INTO revoked_terminal (uid, ml_dsa, at_ms) VALUES ('alice', ?, 1)",
                           {ByteView(crypto::digest(crypto::Hash::sha256, alice.ml_dsa))});
  }));
  const auto later = application(std::pair(1U, &call[1]), std::pair(1U, &authentication[1]));
  const auto refused = admit(later, away);
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_NE(refused.error().message.find("last known as revoked"), std::string::npos);
}

TEST_P(InjectionTest, AWireChargeComesOnceAndCountsForNothingAgainstTheFallOfPublicKeys) {
  enter(sim_, "alice", false);
  EXPECT_EQ(refusal(order(sim_, 0, 1, 0)), ErrorCode::denied) << "no transport key, no file";
  const Asking asked = asking(sim_, {1, 2, 1});
  const auto answer = injection_->charge(request(asked.message.octets));
  ASSERT_TRUE(answer) << answer.error().message;
  const auto again = injection_->charge(request(asked.message.octets));
  ASSERT_TRUE(again) << "the answer was lost";
  EXPECT_EQ(again->body, answer->body);
  const Got got = opened(asked, answer->body);
  EXPECT_EQ(got.payload.charged, Charged::wire);
  ASSERT_TRUE(injection_->receipt(request(receipt_of(got))));
  const auto replayed = injection_->receipt(request(receipt_of(got)));
  EXPECT_EQ(refusal(replayed), ErrorCode::conflict);
  EXPECT_EQ(refusal(injection_->charge(request(asked.message.octets))), ErrorCode::conflict) << "a replayed request";
  const auto spent = spend(got.payload.of(KeySet::call).first, got.payload.of(KeySet::call).keys[0]);
  ASSERT_TRUE(spent && *spent);
  EXPECT_FALSE(wire::counts((*spent)->charged));
}

TEST_P(InjectionTest, AWireChargeUnderAnOfflineKeyCounts) {
  enter(sim_);
  const wire::ChargePayload keys = charged(sim_, 0, 1, 1);
  const std::pair distribution(0U, &keys.of(KeySet::distribution).keys[0]);
  const Secret other(32);
  EXPECT_EQ(refusal(injection_->charge(request(asking(sim_, {0, 1, 0}, std::pair(0U, &other)).message.octets))), ErrorCode::unauthenticated);
  const Asking asked = asking(sim_, {0, 1, 0}, distribution);
  const auto answer = injection_->charge(request(asked.message.octets));
  ASSERT_TRUE(answer) << answer.error().message;
  const Got got = opened(asked, answer->body, distribution);
  EXPECT_EQ(got.payload.charged, Charged::wire_under_offline);
  EXPECT_EQ(refusal(injection_->charge(request(asking(sim_, {0, 1, 0}, distribution).message.octets))), ErrorCode::conflict) << "the distribution key is used";
}

TEST_P(InjectionTest, AWireChargeUnderAKeyThatCameOverAWireCountsForNothing) {
  enter(sim_, "alice", false);
  const Asking first = asking(sim_, {0, 0, 1});
  const Got got = opened(first, must(injection_->charge(request(first.message.octets))).body);
  const auto& keys = got.payload.of(KeySet::distribution);
  const std::pair<std::uint32_t, const Secret*> distribution(keys.first, &keys.keys[0]);
  const Asking second = asking(sim_, {0, 1, 0}, distribution);
  const Bytes answer = must(injection_->charge(request(second.message.octets))).body;
  EXPECT_EQ(opened(second, answer, distribution).payload.charged, Charged::wire);
}

TEST_P(InjectionTest, AChargeRequestIsForThisKmsEpochAndLife) {
  enter(sim_, "alice", false);
  const auto sent = [&](const std::function<void(wire::ChargeRequest&)>& change, std::uint32_t epoch = 1) {
    wire::ChargeRequest message = asking(sim_, {0, 1, 0}).message.message;
    if (change) change(message);
    const node::MessageSigner& signer = *alice_.messages;
    return injection_->charge(request(must(wire::sign_message(network_.suite(), epoch, message, signer.signer, signer.fps, network_.rng())).octets));
  };
  EXPECT_EQ(refusal(sent([](wire::ChargeRequest& message) { message.kms_id = ElementName("kms-b"); })), ErrorCode::denied);
  EXPECT_EQ(refusal(sent({}, 2)), ErrorCode::denied) << "a policy epoch that is not in force";
  const UnixMs began = SystemClock().now_ms();
  must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(begin_life(transaction, began, began - 10'000, NewLife::other_history));
    return {};
  }));
  const auto earlier = sent([&](wire::ChargeRequest& message) { message.ts_ms = began - 20'000; });
  EXPECT_EQ(refusal(earlier), ErrorCode::denied);
  EXPECT_TRUE(earlier.error().message.contains("from before the database was restored")) << earlier.error().message;
  EXPECT_TRUE(sent({}));
}

TEST_P(InjectionTest, AReceiptIsForItsDeliveryAndMediumAndLeavesNoAnswer) {
  const wire::MediumId former(Bytes(16, 0x53));
  enter(former, "alice", false);
  ASSERT_TRUE(at_desk(wire::Json::object({{"op", "wipe"}, {"medium", former.hex()}})));
  enter(sim_, "alice", false);
  const Asking asked = asking(sim_, {0, 1, 0});
  const Got got = opened(asked, must(injection_->charge(request(asked.message.octets))).body);
  const auto received = [&](const std::function<void(wire::ChargeReceipt&)>& change) {
    wire::ChargeReceipt message = must(wire::parse<wire::ChargeReceipt>(receipt_of(got))).message;
    if (change) change(message);
    const node::MessageSigner& signer = *alice_.messages;
    return injection_->receipt(request(must(wire::sign_message(network_.suite(), 1, message, signer.signer, signer.fps, network_.rng())).octets));
  };
  EXPECT_EQ(refusal(received([](wire::ChargeReceipt& message) { message.h_deliver.front() ^= 1U; })), ErrorCode::denied);
  EXPECT_EQ(refusal(received([&](wire::ChargeReceipt& message) { message.medium = former; })), ErrorCode::denied);
  EXPECT_EQ(rows("charge WHERE answer IS NOT NULL"), 1);
  EXPECT_TRUE(received({}));
  EXPECT_EQ(rows("charge WHERE answer IS NOT NULL"), 0);
  EXPECT_TRUE(audited("\"km-1.charged\""));
}

TEST_P(InjectionTest, WireChargesRefuseStrangersForeignMediaAndRevokedTerminals) {
  enter(sim_, "bob", false);
  const Asking foreign = asking(sim_, {0, 1, 0});
  const auto refused = injection_->charge(request(foreign.message.octets));
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_NE(refused.error().message.find("is not one of terminal alice"), std::string::npos);
  EXPECT_EQ(refusal(injection_->charge(request(foreign.message.octets, &bob_))), ErrorCode::denied) << "another terminal's connection";
  Bytes altered = foreign.message.octets;
  altered.back() ^= 1;
  EXPECT_EQ(refusal(injection_->charge(request(altered))), ErrorCode::denied) << "a signature that does not hold";
  const wire::MediumId own(Bytes(16, 0x53));
  enter(own, "alice", false);
  Asking late = asking(own, {0, 1, 0});
  wire::ChargeRequest old = late.message.message;
  old.ts_ms -= 600'000;
  EXPECT_EQ(refusal(injection_->charge(
                request(must(wire::sign_message(network_.suite(), 1, old, alice_.messages->signer, alice_.messages->fps, network_.rng())).octets))),
            ErrorCode::denied);
  status_ = Error{ErrorCode::denied, "is revoked"};
  EXPECT_EQ(refusal(injection_->charge(request(asking(own, {0, 1, 0}).message.octets))), ErrorCode::denied);
  status_.reset();
  EXPECT_EQ(refusal(injection_->charge(request(asking(own, {0, 1, 0}).message.octets))), ErrorCode::denied) << "it left the pool";
  open();  // enrols it anew
  EXPECT_EQ(order_for(own), wire::MediumOrder::wipe) << "it was revoked: its medium is wiped when it comes back";
}

TEST_P(InjectionTest, ChargesWithoutReceiptAreLimited) {
  enter(sim_, "alice", false);
  for (int i = 0; i < 16; ++i) ASSERT_TRUE(injection_->charge(request(asking(sim_, {0, 1, 0}).message.octets)));
  EXPECT_EQ(refusal(injection_->charge(request(asking(sim_, {0, 1, 0}).message.octets))), ErrorCode::exhausted);
}

TEST_P(InjectionTest, ChargesWithReceiptAreLimitedTooAndThoseThatCameToNothing) {
  enter(sim_);
  const wire::ChargePayload keys = charged(sim_, 0, 0, 1);
  const Secret other(32);
  EXPECT_EQ(refusal(injection_->charge(request(asking(sim_, {0, 1, 0}, std::pair(0U, &other)).message.octets))), ErrorCode::unauthenticated);
  EXPECT_EQ(rows("charge WHERE h_req IS NOT NULL"), 1) << "a request whose charged key does not hold counts";
  for (int i = 0; i < 31; ++i) {
    const Asking asked = asking(sim_, {0, 1, 0});
    const auto answer = injection_->charge(request(asked.message.octets));
    ASSERT_TRUE(answer) << i << ": " << answer.error().message;
    ASSERT_TRUE(injection_->receipt(request(receipt_of(opened(asked, answer->body)))));
  }
  const int drawn = draws_;
  const auto refused = injection_->charge(request(asking(sim_, {0, 1, 0}, std::pair(0U, &keys.of(KeySet::distribution).keys[0])).message.octets));
  EXPECT_EQ(refusal(refused), ErrorCode::exhausted);
  EXPECT_TRUE(refused.error().message.contains("in an hour")) << refused.error().message;
  EXPECT_EQ(draws_, drawn) << "no quantum key is drawn for it";
  EXPECT_EQ(rows("injected_key WHERE key_set = 3"), 1) << "and no charged key is burnt";
  must(store_->transact([](store::Transaction& transaction) { return transaction.run("UPDATE charge SET made_ms = made_ms - 3600001", {}); }));
  EXPECT_TRUE(injection_->charge(request(asking(sim_, {0, 1, 0}).message.octets))) << "an hour later";
}

TEST_P(InjectionTest, AFullSetIsRefusedBeforeAnythingIsUsedForIt) {
  enter(sim_);
  const wire::ChargePayload keys = charged(sim_, 0, 0, 1);
  const std::string ticket = must(must(order(sim_, 0, 1, 0)).text("ticket"));
  must(store_->transact([](store::Transaction& transaction) {
    return transaction.run("UPDATE medium_set SET free_index = next_index + 65536 WHERE key_set = 2", {});
  }));
  const int drawn = draws_;
  const auto refused = injection_->charge(request(asking(sim_, {0, 1, 0}, std::pair(0U, &keys.of(KeySet::distribution).keys[0])).message.octets));
  EXPECT_EQ(refusal(refused), ErrorCode::exhausted);
  EXPECT_EQ(refusal(decide("approve", ticket)), ErrorCode::exhausted) << "by file too";
  EXPECT_EQ(draws_, drawn);
  EXPECT_EQ(rows("injected_key WHERE key_set = 3"), 1);
}

TEST_P(InjectionTest, KeysMoveOnlyInAMediumThatIsActiveInThatTransaction) {
  enter(sim_);
  (void)charged(sim_, 0, 2, 0);
  const Medium seen = *must(store_->transact([&](store::Transaction& transaction) { return injection_->stock().find(transaction, sim_); }));
  ASSERT_TRUE(at_desk(wire::Json::object({{"op", "lock"}, {"medium", sim_.hex()}})));  // after it was looked at
  const auto burnt = store_->transact([&](store::Transaction& transaction) { return injection_->stock().burn(transaction, seen, KeySet::call, 0); });
  EXPECT_EQ(refusal(burnt), ErrorCode::denied);
  const auto put = store_->transact([&](store::Transaction& transaction) {
    std::vector<Secret> keys;
    keys.emplace_back(wire::charged_key_size);
    return injection_->stock().charge(transaction, seen, wire::ChargeId(Bytes(16, 1)), {0, 1, 0}, Charged::wire, wire::ChargeOrigin::device, std::move(keys));
  });
  EXPECT_EQ(refusal(put), ErrorCode::denied);
  EXPECT_EQ(rows("injected_key"), 2);
}

TEST_P(InjectionTest, WhatIsUsedGivenAgainAndOrderedIsOnRecord) {
  enter(sim_);
  const wire::ChargePayload keys = charged(sim_, 0, 1, 1);
  const std::pair distribution(0U, &keys.of(KeySet::distribution).keys[0]);
  const Asking asked = asking(sim_, {0, 1, 0}, distribution);
  ASSERT_TRUE(injection_->charge(request(asked.message.octets)));
  EXPECT_TRUE(audited("key 0 of the distribution set, charged offline; request 0123456789abcdef"));
  EXPECT_FALSE(audited("given again"));
  ASSERT_TRUE(injection_->charge(request(asked.message.octets)));
  EXPECT_TRUE(audited("given again"));
  ASSERT_TRUE(spend(0, keys.of(KeySet::call).keys[0]));
  EXPECT_TRUE(audited("key 0 of the call set, charged offline; request 0123456789abcdef"));
  EXPECT_EQ(owed_rows(), 0);
  EXPECT_FALSE(audited("km-1.ordered"));
  ASSERT_TRUE(at_desk(wire::Json::object({{"op", "lock"}, {"medium", sim_.hex()}})));
  EXPECT_EQ(order_for(sim_), wire::MediumOrder::lock);
  EXPECT_TRUE(audited("km-1.ordered"));
}

TEST_P(InjectionTest, NoFileOfAWipedMediumIsGivenAnyMoreAndWhatWaitedForItIsRejected) {
  enter(sim_);
  const std::string given = must(must(order(sim_, 0, 1, 0)).text("ticket"));
  ASSERT_TRUE(decide("approve", given));
  const std::string waits = must(must(order(sim_, 0, 1, 0)).text("ticket"));
  ASSERT_TRUE(decide("collect", given));
  ASSERT_TRUE(at_desk(wire::Json::object({{"op", "wipe"}, {"medium", sim_.hex()}})));
  EXPECT_EQ(refusal(decide("collect", given)), ErrorCode::not_found);
  EXPECT_EQ(refusal(decide("approve", waits)), ErrorCode::conflict);
  EXPECT_EQ(rows("charge WHERE state = 'rejected'"), 1);
}

TEST_P(InjectionTest, ChargesEndInTime) {
  enter(sim_);
  const std::string late = must(must(order(sim_, 0, 1, 0)).text("ticket"));
  const std::string never = must(must(order(sim_, 0, 1, 0)).text("ticket"));
  constexpr UnixMs a_day = 86'400'000;
  const auto age = [&](UnixMs days) {  // as if everything was so many days older
    must(store_->transact([&](store::Transaction& transaction) { return transaction.run("UPDATE charge SET made_ms = made_ms - ?", {store::column(days * a_day)}); }));
    must(store_->transact([&](store::Transaction& transaction) { return sweep_charges(transaction, node_->clock().now_ms()); }));
  };
  age(6);
  ASSERT_TRUE(decide("approve", late)) << "in time";
  age(2);
  EXPECT_TRUE(decide("collect", late)) << "its file is two days old";
  EXPECT_EQ(refusal(decide("approve", never)), ErrorCode::conflict) << "nobody approved it in its seven days";
  EXPECT_EQ(rows("charge WHERE state = 'rejected'"), 1);
  age(6);
  EXPECT_EQ(refusal(decide("collect", late)), ErrorCode::not_found);
  EXPECT_EQ(rows("charge"), 2);
  age(25);
  EXPECT_EQ(rows("charge"), 0);
}

TEST_P(InjectionTest, TheDeskListsTheStockAndWhatWaits) {
  enter(sim_);
  (void)charged(sim_, 1, 3, 2);
  ASSERT_TRUE(order(sim_, 0, 5, 0));
  const wire::Json list = must(at_desk(wire::Json::object({{"op", "list"}})));
  const wire::Json medium = must(list.array("media")).at(0);
  EXPECT_EQ(must(must(medium.object("keys")).integer("call")), 3);
  EXPECT_EQ(must(medium.integer("call_keys_charged_offline")), 3);
  EXPECT_EQ(must(list.array("charges")).size(), 1U);
}

}  // namespace
}  // namespace qanat::kms
