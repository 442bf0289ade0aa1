// Profile v1 within one domain, without other processes: what it shares with v2 although its messages lack what v2's have.
#include "wire/v1.hpp"

#include "applicants.hpp"

namespace qanat::kms {
namespace {

using test::refusal;
using wire::Role;

KmsSettings with_v1() {
  KmsSettings out;
  out.profile_v1 = true;
  out.policy.applications = {.burst = 3, .per_minute = 1};
  return out;
}

class ApplicationV1Test : public testing::TestWithParam<test::StoreKind> {
 protected:
  wire::v1::KeyApplication made(const Person& who, const SidWk& sid) {
    wire::v1::KeyApplication out{.sid_wk = sid,
                                 .sid_call = kms_.node().rng().id<SidCall>(),
                                 .uid = who.terminal.uid,
                                 .num_call = kms_.a().terminal.number,
                                 .num_called = kms_.c().terminal.number,
                                 .sign_sm2 = {},
                                 .sign_pqc = {},
                                 .cert_sm2 = who.terminal.classical,
                                 .cert_pqc = who.terminal.ml_dsa,
                                 .token = {}};
    wire::v1::sign(out, who.signer, kms_.node().rng());
    return out;
  }
  Result<net::Response> send(const Person& who, const wire::v1::KeyApplication& message) {
    kms_.applying_ = &who;
    return kms_.application().apply_v1(kms_.request_of(who, must(wire::v1::encode(message))));
  }

  /// One of its media was charged by file, and is wiped.
  static void charge_by_file(Applicants& kms, const Uid& uid) {
    must(kms.in_transaction([&](store::Transaction& transaction) {
      return transaction.run("INSERT INTO medium (medium, uid, kind, state, generation, registered_by, registered_ms) VALUES (?, ?, 'sim', 'wiped', 1, 'op', 1)",
                             {ByteView(Bytes(wire::MediumId::size, 0x51)), std::string_view(uid.text())});
    }));
  }

  Applicants kms_{with_v1(), GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Stores, ApplicationV1Test, test::both_databases, test::name_of);

TEST_P(ApplicationV1Test, WherePolicyDemandsEphemeralKeysThisProfileWhichHasNoneIsRefused) {
  KmsSettings settings = with_v1();
  settings.policy.ephemeral_required = {Traffic::voice};
  Applicants strict(std::move(settings), GetParam());
  strict.applying_ = &strict.a();
  const wire::v1::KeyApplication application = made(strict.a(), strict.session());
  const auto refused = strict.application().apply_v1(strict.request_of(strict.a(), must(wire::v1::encode(application))));
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_EQ(refused.error().message, "the terminal brings no ephemeral keys, which policy demands of this traffic (voice)");
  EXPECT_TRUE(strict.on_record(refused.error().message));
}

TEST_P(ApplicationV1Test, ATerminalWhoseEncryptionKeyIsSuspendedGetsNothingInThisProfileEither) {
  const wire::Json order = wire::Json::object({{"op", "suspend"}, {"encryption_key_of", "A"}, {"reason", "lost terminal"}});
  must(kms_.orders().keys(test::json_request(identity("qanat://core/operator/operator"), order)));
  const auto refused = send(kms_.a(), made(kms_.a(), kms_.session()));
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_EQ(refused.error().message, "the encryption key of A is suspended by order");
}

TEST_P(ApplicationV1Test, ASubscriberAppliesNoMoreOftenThanInV2AndNobodyElseUsesUpItsRate) {
  const auto good = made(kms_.a(), kms_.session());
  must(send(kms_.a(), good));
  EXPECT_EQ(refusal(send(kms_.a(), good)), ErrorCode::conflict) << "a replay, which counts";
  auto forged = made(kms_.a(), kms_.session());
  forged.sign_sm2.front() ^= 1U;
  EXPECT_EQ(refusal(send(kms_.a(), forged)), ErrorCode::denied) << "which does not";
  must(send(kms_.a(), made(kms_.a(), kms_.session())));
  const auto fourth = send(kms_.a(), made(kms_.a(), kms_.session()));
  ASSERT_EQ(refusal(fourth), ErrorCode::exhausted);
  EXPECT_EQ(fourth.error().message, "A applies more often than 1 times a minute (3 at once); apply again later");
  EXPECT_TRUE(kms_.on_record(fourth.error().message));
  EXPECT_EQ(refusal(kms_.apply(kms_.a(), kms_.make(kms_.a(), kms_.session(), Role::caller))), ErrorCode::exhausted) << "one rate for both profiles";
  kms_.forget_rates();
  must(send(kms_.a(), made(kms_.a(), kms_.session())));
}

TEST_P(ApplicationV1Test, WhoWasChargedByFileGetsNoKeyInThisProfile) {
  charge_by_file(kms_, kms_.a().terminal.uid);
  const auto refused = send(kms_.a(), made(kms_.a(), kms_.session()));
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_TRUE(refused.error().message.contains("terminal A was charged by file")) << refused.error().message;
  EXPECT_TRUE(kms_.on_record(refused.error().message));
  KmsSettings settings = with_v1();
  settings.charged_released = {kms_.a().terminal.uid};
  Applicants released(settings, GetParam());
  charge_by_file(released, released.a().terminal.uid);
  const wire::v1::KeyApplication again = made(released.a(), released.session());
  released.applying_ = &released.a();
  must(released.application().apply_v1(released.request_of(released.a(), must(wire::v1::encode(again)))));
  EXPECT_TRUE(released.on_record("kim.released"));
}

}  // namespace
}  // namespace qanat::kms
