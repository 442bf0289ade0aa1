#include "terminal/key_client.hpp"

#include "kms_double.hpp"
#include "temporary_directory.hpp"
#include "terminal/loaded.hpp"
#include "wire/injection.hpp"

namespace qanat::terminal {
namespace {

using namespace test;
using namespace std::chrono_literals;
using points::Endpoint;

class KeyClientTest : public testing::Test {
 protected:
  KeyClientTest()
      : device_(crypto::open_software_device(folder_ / "master.key", rng_).value()),
        store_(TerminalStore::open(folder_ / "terminal.db", *device_).value()),
        alice_(net_.signer(Kind::app1, "alice", alice_number)),
        encryption_(crypto::Decapsulator::generate(net_.suite(), rng_).value()),
        kms_{.net = net_, .signer = net_.signer(Kind::kms, "kms-a")},
        kms_sender_(net_.sender(kms_.signer)),
        applicant_{.suite = net_.suite(), .policy_epoch = 1, .uid = Uid("alice"), .kms = ElementName("kms-a"), .signer = alice_, .encryption = encryption_, .min_assurance = wire::Assurance::local_rng} {}

  /// A client whose KMS answers applications with `answers` in turn, the last one again and again.
  using Answer = std::function<Result<Bytes>(ByteView application)>;
  std::unique_ptr<KeyClient> client(std::vector<Answer> answers) {
    answers_ = std::move(answers);
    return std::make_unique<KeyClient>(KeyClient::Parts{
        .applicant = applicant_,
        .store = *store_,
        .clock = clock_,
        .rng = rng_,
        .send = [this](Endpoint endpoint, ByteView message, Deadline /*deadline*/) -> Result<Bytes> {
          if (endpoint == Endpoint::km1_ack) {
            acknowledged_.push_back(wire::parse<wire::DeliverAck>(message).value().message);
            return Bytes{};
          }
          applications_.push_back(to_bytes(message));
          return answers_[std::min(applications_.size(), answers_.size()) - 1](message);
        },
        .check_kms = [this](Deadline /*deadline*/) -> Result<std::shared_ptr<const node::Sender>> {
          if (kms_revoked_) return fail(ErrorCode::denied, "certificate of kms-a is revoked");
          return kms_sender_;
        },
        .observe =
            [this](const CallEvent& event) {
              if (event.step) steps_.push_back(*event.step);
            },
        .medium = medium_.get(),
        .charged_required = charged_required_,
        .symmetric_mode = symmetric_mode_,
        .status_unknown = [this] { return status_unknown_; }});
  }
  /// A new medium with so many keys of the call and authentication sets.
  void charge_medium(std::uint32_t call, std::uint32_t authentication) {
    medium_.reset();
    medium_ = SecureMedium::make(folder_ / ("medium" + std::to_string(media_++)), {.kind = MediumKind::software, .suite = net_.suite().id, .id = {}, .transport_key = &transport_}, *device_).value();
    wire::ChargePayload payload;
    payload.charged = wire::Charged::wire;
    payload.origin = wire::ChargeOrigin::device;
    for (std::uint32_t i = 0; i < call; ++i) payload.sets[wire::index_of(wire::KeySet::call)].keys.push_back(rng_.secret(32));
    for (std::uint32_t i = 0; i < authentication; ++i) payload.sets[wire::index_of(wire::KeySet::authentication)].keys.push_back(rng_.secret(32));
    ASSERT_TRUE(medium_->write(payload));
  }
  /// Its first charge by file: so many keys of the call set, from this index on.
  void load_keys(SecureMedium& medium, std::uint32_t first, std::uint32_t count) {
    wire::ChargePayload payload;
    payload.charged = wire::Charged::offline;
    payload.origin = wire::ChargeOrigin::device;
    wire::ChargedKeys& keys = payload.sets[wire::index_of(wire::KeySet::call)];
    keys.first = first;
    for (std::uint32_t i = 0; i < count; ++i) keys.keys.push_back(rng_.secret(32));
    const auto file =
        wire::seal_charge_file({.suite = &net_.suite(), .medium = {}, .charge = {}, .generation = 0, .made_ms = 1, .sealed = {}}, transport_, payload);
    const auto loaded = medium.load(file.value());
    ASSERT_TRUE(loaded) << loaded.error().message;
  }
  Answer good(Bytes token = {}) {
    return [this, token = std::move(token)](ByteView application) -> Result<Bytes> {
      return kms_.deliver(application, encryption_.encapsulation_key(), {.wk = Secret(32), .token = token});
    };
  }
  static Answer failing(ErrorCode code) {
    return [code](ByteView) -> Result<Bytes> { return fail(code, "no key just now"); };
  }
  Result<WorkingKey> fetch(KeyClient& from, std::chrono::milliseconds within = 5s) { return from.fetch(alice_calls_bob(), Deadline::after(within), {}); }

  qanat::test::TemporaryDirectory folder_;
  SmallNetwork& net_ = network(crypto::SuiteId::gm_hybrid);
  FixedRng rng_{17};
  SystemClock clock_;
  std::unique_ptr<crypto::CryptoDevice> device_;
  std::unique_ptr<TerminalStore> store_;
  node::MessageSigner alice_;
  crypto::Decapsulator encryption_;
  KmsDouble kms_;
  std::shared_ptr<const node::Sender> kms_sender_;
  Applicant applicant_;
  bool kms_revoked_ = false;
  const Secret transport_ = Secret::copy_of(Bytes(wire::transport_key_size, 5));
  std::unique_ptr<SecureMedium> medium_;
  int media_ = 0;
  bool charged_required_ = false;
  bool symmetric_mode_ = false;
  bool status_unknown_ = false;
  std::vector<Answer> answers_;
  std::vector<Bytes> applications_;
  std::vector<wire::DeliverAck> acknowledged_;
  std::vector<int> steps_;
};

TEST_F(KeyClientTest, AKeyIsFetchedAcknowledgedAndItsStepsReported) {
  const auto keys = client({good()});
  const auto key = fetch(*keys);
  ASSERT_TRUE(key) << key.error().message;
  EXPECT_TRUE(acknowledged_.empty()) << "the call goes on first";
  keys->acknowledge(key->h_deliver, Deadline::after(1s));
  ASSERT_EQ(acknowledged_.size(), 1U);
  EXPECT_TRUE(acknowledged_.front().ok);
  EXPECT_EQ(acknowledged_.front().h_deliver, key->h_deliver);
  EXPECT_EQ(steps_, (std::vector{4, 11}));
}

TEST_F(KeyClientTest, EachFreshApplicationSpendsAChargedKeyAndAnEmptyStockIsNoReasonNotToCall) {
  charge_medium(2, 1);
  const auto keys = client({failing(ErrorCode::exhausted), failing(ErrorCode::exhausted), good()});
  ASSERT_TRUE(fetch(*keys));
  ASSERT_EQ(applications_.size(), 3U);
  std::vector<int> flags;
  for (const Bytes& one : applications_) flags.push_back(wire::parse<wire::KeyRequest>(one).value().message.flags);
  EXPECT_EQ(flags, (std::vector<int>{wire::flag_eph | wire::flag_inj, wire::flag_eph | wire::flag_inj, wire::flag_eph}));
  EXPECT_EQ(wire::indexed_mac(wire::parse<wire::KeyRequest>(applications_[1]).value().message.ext, wire::ExtensionType::injected_key)->index, 1U);
}

TEST_F(KeyClientTest, AKmsThatHasNoKeysDoesNotEmptyTheMedium) {
  charge_medium(12, 0);
  const auto keys = client({failing(ErrorCode::exhausted)});
  const auto key = fetch(*keys);
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, ErrorCode::exhausted);
  EXPECT_EQ(applications_.size(), 4U) << "though there was time for more";
  EXPECT_EQ(medium_->take(wire::KeySet::call).value()->index, 4U);
}

TEST_F(KeyClientTest, NorDoesOneWhoseAnswersAreLost) {
  charge_medium(12, 0);
  const Answer none = failing(ErrorCode::exhausted);
  const auto keys = client({none, none, none, failing(ErrorCode::unavailable), failing(ErrorCode::conflict), good()});
  const auto key = fetch(*keys);
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, ErrorCode::conflict);
  ASSERT_EQ(applications_.size(), 5U);
  EXPECT_EQ(applications_[3], applications_[4]);
  EXPECT_EQ(medium_->take(wire::KeySet::call).value()->index, 4U);
}

TEST_F(KeyClientTest, WhatIsSentAgainAsItWasSpendsNoOtherChargedKey) {
  charge_medium(3, 0);
  const auto keys = client({failing(ErrorCode::unavailable), failing(ErrorCode::unavailable), failing(ErrorCode::denied)});
  EXPECT_FALSE(fetch(*keys));
  ASSERT_EQ(applications_.size(), 3U);
  EXPECT_EQ(applications_[0], applications_[2]);
  EXPECT_EQ(medium_->take(wire::KeySet::call).value()->index, 1U);
}

TEST_F(KeyClientTest, WhereCertificatesCannotBeCheckedTheAuthenticationSetIsProvedIfTheSettingsSaySo) {
  for (const bool allowed : {false, true}) {
    applications_.clear();
    charge_medium(8, 8);
    symmetric_mode_ = allowed;
    const auto keys = client({failing(ErrorCode::unavailable), failing(ErrorCode::unavailable), failing(ErrorCode::denied)});
    EXPECT_FALSE(fetch(*keys));
    ASSERT_EQ(applications_.size(), 3U);
    EXPECT_EQ(wire::parse<wire::KeyRequest>(applications_[0]).value().message.flags & wire::flag_sym, 0);
    EXPECT_EQ(applications_[0], applications_[1]) << "first that the answer is merely lost";
    EXPECT_EQ((wire::parse<wire::KeyRequest>(applications_[2]).value().message.flags & wire::flag_sym) != 0, allowed);
  }
}

TEST_F(KeyClientTest, WhereTheKmssStatusIsUnknownNothingGoesWithoutAChargedKey) {
  charge_medium(1, 0);
  status_unknown_ = true;
  const auto keys = client({failing(ErrorCode::exhausted), good()});
  const auto key = fetch(*keys);
  ASSERT_FALSE(key);
  EXPECT_EQ(applications_.size(), 1U) << "the second would have gone without";
  EXPECT_NE(key.error().message.find("no key that would do instead"), std::string::npos) << key.error().message;
}

TEST_F(KeyClientTest, WhereAChargedKeyIsDemandedNothingGoesWithoutOneThatCounts) {
  charged_required_ = true;
  const auto expect_nothing_sent = [&] {
    const auto key = fetch(*client({good()}));
    ASSERT_FALSE(key);
    EXPECT_EQ(key.error().code, ErrorCode::denied);
    EXPECT_TRUE(key.error().message.contains("have it charged by file")) << key.error().message;
  };
  expect_nothing_sent();  // there is no medium
  charge_medium(2, 0);
  expect_nothing_sent();  // its keys came over a wire
  EXPECT_TRUE(applications_.empty());
  charge_medium(2, 0);
  load_keys(*medium_, 2, 1);
  const auto key = fetch(*client({failing(ErrorCode::exhausted), good()}));
  ASSERT_FALSE(key);
  EXPECT_TRUE(key.error().message.contains("have it charged by file")) << key.error().message;
  ASSERT_EQ(applications_.size(), 1U) << "the second would have gone without";
  const auto named = wire::indexed_mac(wire::parse<wire::KeyRequest>(applications_[0]).value().message.ext, wire::ExtensionType::injected_key);
  ASSERT_TRUE(named);
  EXPECT_EQ(named->index, 2U) << "what came over a wire is passed over";
}

TEST_F(KeyClientTest, AMediumThatWasChargedByFileAsksForItsKeysWhateverBecameOfIt) {
  Loaded loaded;
  TerminalSettings settings;
  EXPECT_FALSE(loaded.must_be_charged(settings)) << "no medium";
  settings.charged_keys = ChargedCalls::required;
  EXPECT_TRUE(loaded.must_be_charged(settings));
  settings.charged_keys = ChargedCalls::required_if_stocked;
  charge_medium(1, 0);
  loaded.medium = std::move(medium_);
  EXPECT_FALSE(loaded.must_be_charged(settings)) << "over a wire alone";
  load_keys(*loaded.medium, 1, 1);
  EXPECT_TRUE(loaded.must_be_charged(settings));
  ASSERT_TRUE(loaded.medium->wipe());
  EXPECT_EQ(loaded.medium_in_use(), nullptr);
  EXPECT_TRUE(loaded.must_be_charged(settings)) << "whoever passes for the KMS can order that";
  settings.charged_keys = ChargedCalls::optional;
  EXPECT_FALSE(loaded.must_be_charged(settings));
}

TEST_F(KeyClientTest, WhatMayPassIsTriedAgainWithAFreshApplication) {
  const auto keys = client({failing(ErrorCode::exhausted), failing(ErrorCode::unavailable), good()});
  ASSERT_TRUE(fetch(*keys));
  ASSERT_EQ(applications_.size(), 3U);
  EXPECT_NE(applications_[0], applications_[1]);
  const auto first = wire::parse<wire::KeyRequest>(applications_[0]).value().message;
  const auto second = wire::parse<wire::KeyRequest>(applications_[1]).value().message;
  EXPECT_NE(first.nonce, second.nonce);
  EXPECT_NE(first.ephemeral, second.ephemeral);
  EXPECT_EQ(first.sid_wk, second.sid_wk);
}

TEST_F(KeyClientTest, WhatWasNotAnsweredIsSentAgainAsItWas) {
  const auto keys = client({failing(ErrorCode::unavailable), failing(ErrorCode::unavailable), good()});
  ASSERT_TRUE(fetch(*keys));
  ASSERT_EQ(applications_.size(), 3U);
  EXPECT_EQ(applications_[0], applications_[1]);
  EXPECT_EQ(applications_[1], applications_[2]);
  EXPECT_EQ(steps_, (std::vector{4, 11})) << "signed once";
}

TEST_F(KeyClientTest, WhatWasUsedUpWithoutAnAnswerIsFollowedByAFreshApplication) {
  const auto keys = client({failing(ErrorCode::unavailable), failing(ErrorCode::conflict), good()});
  ASSERT_TRUE(fetch(*keys));
  ASSERT_EQ(applications_.size(), 3U);
  EXPECT_EQ(applications_[0], applications_[1]);
  EXPECT_NE(applications_[1], applications_[2]);
}

TEST_F(KeyClientTest, AConflictOfAFreshApplicationIsFinal) {
  const auto keys = client({failing(ErrorCode::conflict), good()});
  ASSERT_FALSE(fetch(*keys));
  EXPECT_EQ(applications_.size(), 1U);
}

TEST_F(KeyClientTest, WithoutAKeyTheDeadlineEndsTheAttempts) {
  const auto keys = client({failing(ErrorCode::exhausted)});
  const auto key = fetch(*keys, 400ms);
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, ErrorCode::exhausted);
  EXPECT_GE(applications_.size(), 2U);
}

TEST_F(KeyClientTest, ARefusalIsFinal) {
  const auto keys = client({failing(ErrorCode::denied), good()});
  ASSERT_FALSE(fetch(*keys));
  EXPECT_EQ(applications_.size(), 1U);
}

TEST_F(KeyClientTest, ADeliveryThatDoesNotFitIsRefusedAndTheKmsIsTold) {
  const auto keys = client({[this](ByteView application) -> Result<Bytes> {
    return kms_.deliver(application, encryption_.encapsulation_key(), {.wk = Secret(32), .peer_number = Number("+869999")});
  }});
  ASSERT_FALSE(fetch(*keys));
  ASSERT_EQ(acknowledged_.size(), 1U);
  EXPECT_FALSE(acknowledged_.front().ok);
}

TEST_F(KeyClientTest, AnAlteredDeliveryIsRefusedAndNobodyIsTold) {
  const auto keys = client({[this](ByteView application) -> Result<Bytes> {
    Bytes answer = kms_.deliver(application, encryption_.encapsulation_key(), {.wk = Secret(32)});
    answer.back() ^= 1;
    return answer;
  }});
  ASSERT_FALSE(fetch(*keys));
  EXPECT_TRUE(acknowledged_.empty());
}

TEST_F(KeyClientTest, ARevokedKmsIsNotAsked) {
  kms_revoked_ = true;
  const auto keys = client({good()});
  ASSERT_FALSE(fetch(*keys));
  EXPECT_TRUE(applications_.empty());
}

TEST_F(KeyClientTest, TheTokensDigestIsKeptForTheNextApplication) {
  const wire::Token message{.uid = Uid("alice"), .token_id = rng_.id<wire::TokenId>(), .kms_id = ElementName("kms-a"), .holder = alice_.fps, .issued_ms = now_ms(),
                            .expires_ms = now_ms() + hour_ms, .level_max = wire::Assurance::disjoint_qkd_paths};
  const Bytes token = wire::sign_message(net_.suite(), 1, message, kms_.signer.signer, kms_.signer.fps, rng_).value().octets;
  const auto keys = client({good(token), good()});
  ASSERT_TRUE(fetch(*keys));
  EXPECT_EQ(wire::parse<wire::KeyRequest>(applications_[0]).value().message.token_ref, Bytes(net_.suite().digest)) << "none yet";
  ASSERT_TRUE(fetch(*keys));
  const Bytes digest = crypto::digest(net_.suite().hash, token);
  EXPECT_EQ(wire::parse<wire::KeyRequest>(applications_[1]).value().message.token_ref, digest);
  // Durable, and another start of the program finds it.
  store_.reset();
  store_ = TerminalStore::open(folder_ / "terminal.db", *device_).value();
  EXPECT_EQ(store_->token_ref().value(), std::optional(digest));
}

}  // namespace
}  // namespace qanat::terminal
