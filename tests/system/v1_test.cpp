// Profile v1, the paper's own bytes, served by the real KMSs: it works, and it falls to substitution where v2 holds. Off, it is refused.
#include <future>

#include "test_network.hpp"
#include "wire/key_schedule.hpp"

namespace qanat::test {
namespace {

using points::Endpoint;
using terminal::KeyWanted;

constexpr std::chrono::seconds answer_max{10};

/// What each end of a session gets in profile v1.
struct PairV1 {
  Result<Secret> caller = fail(ErrorCode::internal, "did not run");
  Result<Secret> callee = fail(ErrorCode::internal, "did not run");
  [[nodiscard]] bool agree() const { return caller && callee && equal_secret(*caller, *callee); }
  [[nodiscard]] std::string reasons() const {
    return "caller: " + (caller ? std::string("has a key") : caller.error().message) +
           "; callee: " + (callee ? std::string("has a key") : callee.error().message);
  }
};

class ProfileV1 : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.profile_v1 = true;
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* uid : {"A", "B", "C"}) net().enrol(uid);
    net().await_quantum_keys();
  }

  /// A fresh session between two terminals, as its caller wants it.
  static KeyWanted session(const std::string& from, const std::string& to) {
    const Number& caller = net().terminal(from).number();
    const Number& called = net().terminal(to).number();
    return {.role = wire::Role::caller,
            .sid_wk = net().rng().id<SidWk>(),
            .sid_call = wire::make_sid_call(caller, called, net().rng().bytes(16)),
            .caller = caller,
            .called = called};
  }
  static KeyWanted other_side(KeyWanted wanted) {
    wanted.role = wire::Role::callee;
    return wanted;
  }
  static Result<Secret> key_v1(const std::string& uid, const KeyWanted& wanted) {
    TestTerminal& terminal = net().terminal(uid);
    ASSIGN_OR_RETURN(const Bytes answer, terminal.apply_v1(wanted, Deadline::after(answer_max)));
    return terminal.accept_v1(wanted, answer);
  }
  static PairV1 apply_v1(const std::string& from, const std::string& to, const KeyWanted& wanted) {
    PairV1 out;
    (void)net().terminal(to);  // opened before two threads ask for terminals
    auto callee = std::async(std::launch::async, [&] { return key_v1(to, other_side(wanted)); });
    out.caller = key_v1(from, wanted);
    out.callee = callee.get();
    return out;
  }
  static Result<Bytes> send_v1(const std::string& uid, const wire::v1::KeyApplication& message) {
    return net().terminal(uid).send(Endpoint::km1_application_v1, wire::v1::encode(message).value());
  }
  static void expect_refused(const std::string& uid, const wire::v1::KeyApplication& message, ErrorCode code, const std::string& reason) {
    const auto answer = send_v1(uid, message);
    ASSERT_FALSE(answer) << "was granted; should be refused: " << reason;
    EXPECT_EQ(answer.error().code, code) << answer.error().message;
    EXPECT_NE(answer.error().message.find(reason), std::string::npos) << answer.error().message;
    net().expect_audit(net().terminal(uid).settings().kms, "km-1.application_v1", reason);
  }
  static std::int64_t legs_in(const std::string& kms, const std::string& state) {
    const auto health = net().op().health(kms);
    EXPECT_TRUE(health) << (health ? "" : health.error().message);
    const auto keys = health ? health->object("working_keys") : Result<wire::Json>(fail(health.error()));
    EXPECT_TRUE(keys);
    return keys ? keys->integer(state).value_or(-1) : -1;
  }
};

TEST_F(ProfileV1, BothEndsGetTheSameKeyWithinADomain) {
  const auto pair = apply_v1("A", "C", session("A", "C"));
  ASSERT_TRUE(pair.agree()) << pair.reasons();
  EXPECT_EQ(pair.caller->size(), wire::wk_size);
}

TEST_F(ProfileV1, BothEndsGetTheSameKeyAcrossDomains) {
  const auto pair = apply_v1("A", "B", session("A", "B"));
  ASSERT_TRUE(pair.agree()) << pair.reasons();
  const auto back = apply_v1("B", "A", session("B", "A"));
  ASSERT_TRUE(back.agree()) << back.reasons();
  EXPECT_FALSE(equal_secret(*pair.caller, *back.caller));
}

TEST_F(ProfileV1, TheKmsHasDestroyedTheKeyWhenItIsOut) {
  const std::int64_t before = legs_in("kms-a", "destroyed");
  const auto pair = apply_v1("A", "C", session("A", "C"));
  ASSERT_TRUE(pair.agree()) << pair.reasons();
  EXPECT_EQ(legs_in("kms-a", "destroyed"), before + 2);
  EXPECT_EQ(legs_in("kms-a", "delivered"), 0) << "nothing waits for an acknowledgement that v1 does not have";
}

TEST_F(ProfileV1, NeverDeliversAKeyTwice) {
  const KeyWanted wanted = session("A", "C");
  const auto application = net().terminal("A").application_v1(wanted).value();
  const auto other = net().terminal("C").application_v1(other_side(wanted)).value();
  ASSERT_TRUE(send_v1("A", application));
  ASSERT_TRUE(send_v1("C", other));
  expect_refused("A", application, ErrorCode::conflict, "was used before");
  expect_refused("C", other, ErrorCode::conflict, "was delivered before");
}

TEST_F(ProfileV1, TokenFromTheFirstDistributionHoldsForTheNext) {
  TestTerminal& terminal = net().terminal("A");
  const auto token_of = [&] {
    const KeyWanted wanted = session("A", "C");
    const auto answer = terminal.apply_v1(wanted, Deadline::after(answer_max));
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    EXPECT_TRUE(terminal.accept_v1(wanted, answer.value()));
    return wire::v1::parse_distribution(answer.value()).value().token;
  };
  (void)token_of();
  EXPECT_TRUE(token_of().empty()) << "the KMS has seen that the terminal holds its token";
}

TEST_F(ProfileV1, RefusesWhatIsNotTheTerminalsOwn) {
  const KeyWanted wanted = session("A", "C");
  const auto good = net().terminal("A").application_v1(wanted).value();

  auto altered = good;
  altered.num_called = net().terminal("B").number();
  expect_refused("A", altered, ErrorCode::denied, "signature");
  expect_refused("C", good, ErrorCode::denied, "the connection is not that of terminal A");
  auto others_certificate = good;
  others_certificate.cert_pqc = net().terminal("C").node().credentials().messages->ml_dsa.der();
  expect_refused("A", others_certificate, ErrorCode::denied, "other certificates");
  const auto between_others = net().terminal("A").application_v1(session("C", "B")).value();
  expect_refused("A", between_others, ErrorCode::denied, "neither number is that of A");
  const auto to_itself = net().terminal("A").application_v1(session("A", "A")).value();
  expect_refused("A", to_itself, ErrorCode::denied, "to itself");

  ASSERT_TRUE(send_v1("A", good)) << "and none of it has used the session up";
}

TEST_F(ProfileV1, RefusesMalformedContainers) {
  TestTerminal& terminal = net().terminal("A");
  Bytes octets = wire::v1::encode(terminal.application_v1(session("A", "C")).value()).value();
  octets.pop_back();
  const auto shorter = terminal.send(Endpoint::km1_application_v1, octets);
  ASSERT_FALSE(shorter);
  EXPECT_EQ(shorter.error().code, ErrorCode::invalid_argument);
  const auto v2 = terminal.send(Endpoint::km1_application_v1, terminal.application(session("A", "C")).value().octets());
  ASSERT_FALSE(v2);
  EXPECT_EQ(v2.error().code, ErrorCode::invalid_argument);
}

// The attacker stands where TLS ends or was broken. It has no secret at all: only the KMS's answer and the terminal's public keys.
TEST_F(ProfileV1, SubstitutionInTheAnswerFromTheWireSucceeds) {
  TestTerminal& terminal = net().terminal("A");
  const KeyWanted wanted = session("A", "B");
  const auto answer = terminal.apply_v1(wanted, Deadline::after(answer_max));
  ASSERT_TRUE(answer) << answer.error().message;

  // Own K1', K2' and WK' under the KMS's two signatures, which cover none of them.
  const Secret attackers_wk = net().rng().secret(wire::wk_size);
  auto forged = wire::v1::parse_distribution(*answer).value();
  ASSERT_TRUE(wire::v1::seal_wk(forged, terminal.applicant().encryption.encapsulation_key(), attackers_wk, net().rng()));
  const auto taken = terminal.accept_v1(wanted, wire::v1::encode(forged).value());
  ASSERT_TRUE(taken) << "the terminal has no means to refuse: " << taken.error().message;
  EXPECT_TRUE(equal_secret(*taken, attackers_wk)) << "and installs the attacker's key";

  const auto right = terminal.accept_v1(wanted, *answer);
  ASSERT_TRUE(right) << right.error().message;
  EXPECT_FALSE(equal_secret(*right, attackers_wk));
}

/// The same forgery on a KeyDeliver: a payload of the attacker's choice, well sealed to both keys of the terminal, under the KMS's signatures.
Bytes substitute(const crypto::Suite& suite, const wire::Framed<wire::KeyRequest>& request, const wire::Framed<wire::KeyDeliver>& seen,
                 const crypto::EncapsulationKey& key, const wire::KeyDeliverPayload& payload, crypto::Rng& rng) {
  const auto fixed = crypto::encapsulate(suite, crypto::KemForm::to_static, key, rng).value();
  const auto fresh = crypto::encapsulate(suite, crypto::KemForm::to_ephemeral, request.message.ephemeral, rng).value();
  const Secret ss = wire::mix_ephemeral(suite, wire::hybrid_secret(suite, wire::transcript(fixed, key), wire::deliver_context(seen.message.h_req)),
                                        wire::transcript(fresh, request.message.ephemeral));
  wire::KeyDeliver message = seen.message;
  message.ct_classical = fixed.ct_classical;
  message.ct_ml_kem = fixed.ct_ml_kem;
  message.eph_ct_classical = fresh.ct_classical;
  message.eph_ct_ml_kem = fresh.ct_ml_kem;
  const std::uint32_t epoch = seen.header.policy_epoch;
  Bytes octets = wire::encode(suite, epoch, wire::seal_key_deliver(suite, epoch, std::move(message), ss, payload).value()).value();
  append(octets, seen.signature());
  return octets;
}

TEST_F(ProfileV1, TheSameSubstitutionFailsOnV2) {
  TestTerminal& terminal = net().terminal("A");
  const KeyWanted wanted = session("A", "B");
  auto application = terminal.application(wanted);
  ASSERT_TRUE(application);
  const auto answer = terminal.send(Endpoint::km1_application, application->octets());
  ASSERT_TRUE(answer) << answer.error().message;
  const auto kms = terminal.kms().value();
  const UnixMs now = SystemClock().now_ms();

  const wire::KeyDeliverPayload attackers{.wk = net().rng().secret(wire::wk_size),
                                          .assurance = wire::Assurance::local_rng,
                                          .injected = false,
                                          .n_paths = 0,
                                          .path_min = 0,
                                          .peer_uid = Uid("B"),
                                          .peer_num = wanted.called,
                                          .peer_kms = ElementName("kms-b"),
                                          .peer_fps = wire::no_fingerprints(net().suite()),
                                          .th9 = wire::no_th9(net().suite()),
                                          .token = {}};
  const auto request = wire::parse<wire::KeyRequest>(application->octets()).value();
  const auto seen = wire::parse<wire::KeyDeliver>(*answer).value();
  const Bytes forged = substitute(net().suite(), request, seen, terminal.applicant().encryption.encapsulation_key(), attackers, net().rng());

  const auto refused = application->authenticate(forged, *kms);
  ASSERT_FALSE(refused) << "the terminal refuses before it opens anything";
  EXPECT_EQ(refused.error().code, ErrorCode::denied);
  EXPECT_NE(refused.error().message.find("signature"), std::string::npos) << refused.error().message;
  // Without the signatures it would have been taken: it is they that protect, not a mistake in the forgery.
  const auto unsigned_key = application->open(wire::parse<wire::KeyDeliver>(forged).value(), *kms, now);
  ASSERT_TRUE(unsigned_key) << unsigned_key.error().message;
  EXPECT_TRUE(equal_secret(unsigned_key->key.wk, attackers.wk));

  const auto delivery = application->authenticate(*answer, *kms);
  ASSERT_TRUE(delivery) << delivery.error().message;
  const auto right = application->open(*delivery, *kms, now);
  ASSERT_TRUE(right) << right.error().message;
  EXPECT_FALSE(equal_secret(right->key.wk, attackers.wk));
}

class ProfileV1Off : public SharedNetwork {};

TEST_F(ProfileV1Off, IsRefusedAndOnRecord) {
  net().enrol("A");
  TestTerminal& terminal = net().terminal("A");
  const KeyWanted wanted{.role = wire::Role::caller,
                         .sid_wk = net().rng().id<SidWk>(),
                         .sid_call = net().rng().id<SidCall>(),
                         .caller = terminal.number(),
                         .called = Number((*net().network().terminal("C"))->number)};
  const auto answer = terminal.apply_v1(wanted, Deadline::after(answer_max));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::denied);
  EXPECT_NE(answer.error().message.find("profile v1 is off"), std::string::npos) << answer.error().message;
  const auto records = net().audit("kms-a", "km-1.application_v1", "profile v1 is off");
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records.front().text("subject").value_or(""), "qanat://a/app1/A");
  EXPECT_EQ(records.front().text("outcome").value_or(""), "refused");

  const auto raw = net().call("A", Endpoint::km1_application_v1, "kms-a", as_bytes("anything"));
  ASSERT_TRUE(raw) << raw.error().message;
  EXPECT_EQ(raw->status, 403U) << "refused before the message is read";
}

}  // namespace
}  // namespace qanat::test
