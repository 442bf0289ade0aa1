// Steps 4 to 11 within one domain, without other processes: the answer that is given again, the rate, the charge, the key's policy and its end.
#include "services/kms/kma/application.hpp"

#include <array>
#include <barrier>
#include <thread>

#include "applicants.hpp"
#include "services/kms/kma/charging_records.hpp"
#include "services/kms/kma/key_history.hpp"
#include "services/kms/kma/incarnation.hpp"
#include "services/kms/kp/owed_records.hpp"
#include "wire/injection.hpp"

namespace qanat::kms {
namespace {

using store::KeyState;
using test::refusal;
using wire::Role;

class ApplicationTest : public testing::TestWithParam<test::StoreKind> {
 protected:
  Result<net::Response> apply(Person& who, const Applicants::Made& made) {
    kms_.applying_ = &who;
    return kms_.apply(who, made);
  }
  std::vector<ChargingRecord> charges() {
    return must(kms_.in_transaction([&](store::Transaction& transaction) { return list_charging_records(transaction, {}, SystemClock().now_ms() + 60'000); }));
  }
  static std::size_t times(const std::string& text, const std::filesystem::path& state) {
    std::ifstream in(state / "audit.jsonl", std::ios::binary);
    const std::string all(std::istreambuf_iterator<char>(in), {});
    std::size_t out = 0;
    for (std::size_t at = all.find(text); at != std::string::npos; at = all.find(text, at + 1)) ++out;
    return out;
  }

  Applicants kms_{{}, GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Stores, ApplicationTest, test::both_databases, test::name_of);

TEST_P(ApplicationTest, BothTerminalsGetOneKeyWithItsReasonOnRecordAndACharge) {
  const SidWk sid = kms_.session();
  const auto caller = kms_.make(kms_.a(), sid, Role::caller);
  const auto callee = kms_.make(kms_.c(), sid, Role::callee);
  const Bytes to_a = must(apply(kms_.a(), caller)).body;
  const Bytes to_c = must(apply(kms_.c(), callee)).body;
  EXPECT_TRUE(equal_secret(kms_.opened(kms_.a(), caller, to_a).wk, kms_.opened(kms_.c(), callee, to_c).wk));
  EXPECT_TRUE(kms_.on_record("local RNG: both numbers are served here; delivered in series"));
  const auto charged = charges();
  ASSERT_EQ(charged.size(), 2U);
  EXPECT_EQ(charged[0].uid, Uid("A"));
  EXPECT_EQ(charged[0].peer_uid, Uid("C"));
  EXPECT_EQ(charged[0].traffic, Traffic::voice);
  EXPECT_EQ(charged[0].assurance, wire::Assurance::local_rng);
  EXPECT_FALSE(charged[0].confirmed_ms);
  must(kms_.acknowledge(kms_.a(), sid, to_a));
  EXPECT_TRUE(charges()[0].confirmed_ms);
  EXPECT_TRUE(kms_.on_record("(commitment " + to_hex(kms_.leg(sid, Role::caller).commitment) + ")"));
  EXPECT_EQ(kms_.leg(sid, Role::caller).state, KeyState::destroyed);
  EXPECT_EQ(kms_.leg(sid, Role::callee).state, KeyState::delivered) << "the other leg is another matter";
}

TEST(SymmetricModeTest, ASenderInHasteDoesNotBringItAbout) {
  KmsSettings settings;
  settings.symmetric_mode = true;
  Applicants kms(settings);
  kms.status_ = Error{ErrorCode::deadline_exceeded, "CAS took too long"};
  const auto made = [&] {
    return kms.make(kms.a(), kms.session(), Role::caller, [&](wire::KeyRequest& message) {
      const std::uint32_t epoch = kms.node().settings().policy_epoch;
      message = must(wire::prove(kms.node().suite(), epoch, message, wire::ExtensionType::symmetric_authentication, 0, Secret(wire::charged_key_size)));
      message = must(wire::prove(kms.node().suite(), epoch, message, wire::ExtensionType::injected_key, 0, Secret(wire::charged_key_size)));
    });
  };
  const auto applied = [&](const Applicants::Made& application, std::chrono::milliseconds left) {
    net::Request request = kms.request_of(kms.a(), application.request.octets);
    request.deadline = Deadline::after(left);
    return kms.application().apply(request);
  };
  constexpr std::chrono::milliseconds haste{400};
  constexpr std::chrono::milliseconds time_enough{30'000};
  EXPECT_EQ(refusal(applied(made(), haste)), ErrorCode::deadline_exceeded) << "it is told what happened, and no charged key is looked at";
  const auto application = made();
  const auto silent = applied(application, time_enough);
  EXPECT_EQ(refusal(silent), ErrorCode::denied) << "who had its time is silent: the charged keys are asked for, and there are none";
  EXPECT_TRUE(silent.error().message.contains("has no secure medium")) << silent.error().message;
  EXPECT_EQ(refusal(applied(application, haste)), ErrorCode::deadline_exceeded) << "the same octets again do not get what they got before";
  kms.status_ = Error{ErrorCode::unavailable, "CAS does not answer"};
  EXPECT_EQ(refusal(applied(application, haste)), ErrorCode::conflict) << "they were remembered";
}

TEST_P(ApplicationTest, TheCallersDeliveryBringsTheCalleesLegAndASecondApplicationForTheSessionFindsBoth) {
  const SidWk sid = kms_.session();
  const auto first = kms_.make(kms_.a(), sid, Role::caller);
  const Bytes to_a = must(apply(kms_.a(), first)).body;
  const StoredKey callee = kms_.leg(sid, Role::callee);
  EXPECT_EQ(callee.state, KeyState::reserved);
  EXPECT_TRUE(equal_secret(callee.key.wk, kms_.opened(kms_.a(), first, to_a).wk));
  const auto again = apply(kms_.a(), kms_.make(kms_.a(), sid, Role::caller));
  EXPECT_EQ(refusal(again), ErrorCode::conflict);
  EXPECT_TRUE(again.error().message.ends_with("this session was used before")) << again.error().message;
  EXPECT_TRUE(equal_secret(kms_.leg(sid, Role::callee).key.wk, callee.key.wk)) << "the key that the second one drew is nowhere";
  EXPECT_EQ(charges().size(), 1U);
}

TEST_P(ApplicationTest, AnApplicationThatNeedsTheDatabaseAloneIsRememberedWithItsDelivery) {
  const SidWk before = kms_.session();
  const auto of_a = kms_.make(kms_.a(), before, Role::caller);
  const auto of_c = kms_.make(kms_.c(), before, Role::callee);
  const Bytes token_of_a = kms_.token_ref(kms_.a(), of_a, must(apply(kms_.a(), of_a)).body);
  const Bytes token_of_c = kms_.token_ref(kms_.c(), of_c, must(apply(kms_.c(), of_c)).body);
  int asked = 0;
  kms_.while_asked_ = [&](points::Endpoint) { ++asked; };
  const SidWk sid = kms_.session();
  const auto caller = kms_.make(kms_.a(), sid, Role::caller, [&](wire::KeyRequest& message) { message.token_ref = token_of_a; });
  const auto callee = kms_.make(kms_.c(), sid, Role::callee, [&](wire::KeyRequest& message) { message.token_ref = token_of_c; });
  const Bytes to_a = must(apply(kms_.a(), caller)).body;
  const Bytes to_c = must(apply(kms_.c(), callee)).body;
  EXPECT_EQ(asked, 0) << "IAM was asked before";
  EXPECT_TRUE(kms_.opened(kms_.a(), caller, to_a).token.empty());
  EXPECT_TRUE(equal_secret(kms_.opened(kms_.a(), caller, to_a).wk, kms_.opened(kms_.c(), callee, to_c).wk));
  EXPECT_EQ(charges().size(), 4U);
  kms_.open();
  EXPECT_EQ(must(apply(kms_.a(), caller)).body, to_a) << "the same again gets the same again";
  EXPECT_EQ(must(apply(kms_.c(), callee)).body, to_c);
  EXPECT_EQ(charges().size(), 4U);
}

TEST_P(ApplicationTest, AnApplicationThatIsRefusedWithoutAskingAnybodyIsRememberedToo) {
  const SidWk sid = kms_.session();
  const auto first = kms_.make(kms_.a(), sid, Role::caller);
  const Bytes token = kms_.token_ref(kms_.a(), first, must(apply(kms_.a(), first)).body);
  const auto again = kms_.make(kms_.a(), sid, Role::caller, [&](wire::KeyRequest& message) { message.token_ref = token; });
  const auto refused = apply(kms_.a(), again);
  EXPECT_EQ(refusal(refused), ErrorCode::conflict);
  EXPECT_TRUE(refused.error().message.ends_with("this session was used before")) << refused.error().message;
  const auto replayed = apply(kms_.a(), again);
  EXPECT_EQ(refusal(replayed), ErrorCode::conflict);
  EXPECT_EQ(replayed.error().message, "KeyRequest: this application was made before (replay)");
}

TEST_P(ApplicationTest, OfTwoThatAreTheSameAndComeAtOnceOneGetsWhatTheOtherGot) {
  const auto first = kms_.make(kms_.a(), kms_.session(), Role::caller);
  const Bytes token = kms_.token_ref(kms_.a(), first, must(apply(kms_.a(), first)).body);
  const auto with_token = [&](wire::KeyRequest& message) { message.token_ref = token; };
  std::optional<Applicants::Made> made;
  std::optional<Result<net::Response>> other;
  kms_.while_checked_ = [&] {
    if (made && !other) {
      other.emplace(fail(ErrorCode::internal, "under way"));
      *other = apply(kms_.a(), *made);
    }
  };
  const SidWk sid = kms_.session();
  made.emplace(kms_.make(kms_.a(), sid, Role::caller, with_token));
  const auto one = apply(kms_.a(), *made);
  ASSERT_TRUE(one) << one.error().message;
  ASSERT_TRUE(other && *other) << "was done while the first one was looked at";
  EXPECT_EQ(one->body, (*other)->body);
  EXPECT_EQ(charges().size(), 2U);
  EXPECT_EQ(times("\"km-1.delivered\"", kms_.state()), 2U);
  EXPECT_EQ(times("\"km-1.repeated\"", kms_.state()), 1U);
  EXPECT_EQ(kms_.leg(sid, Role::caller).deliveries, 2);

  other.reset();
  made.emplace(kms_.make(kms_.a(), sid, Role::caller, with_token));  // for a session that was used
  EXPECT_EQ(refusal(apply(kms_.a(), *made)), ErrorCode::conflict);
  ASSERT_TRUE(other);
  EXPECT_EQ(refusal(*other), ErrorCode::conflict);
  EXPECT_TRUE(other->error().message.ends_with("this session was used before")) << other->error().message;
  EXPECT_EQ(charges().size(), 2U);
}

TEST_P(ApplicationTest, DeliveriesOfOneMomentAreEachOnesOwn) {
  const auto with = [](const Bytes& token) { return [&token](wire::KeyRequest& message) { message.token_ref = token; }; };
  const SidWk first = kms_.session();
  const auto caller = kms_.make(kms_.a(), first, Role::caller);
  const Bytes token_a = kms_.token_ref(kms_.a(), caller, must(apply(kms_.a(), caller)).body);
  const auto callee = kms_.make(kms_.c(), first, Role::callee);
  const Bytes token_c = kms_.token_ref(kms_.c(), callee, must(apply(kms_.c(), callee)).body);
  const SidWk second = kms_.session();
  const auto of_second = kms_.make(kms_.a(), second, Role::caller, with(token_a));
  const Secret wk = kms_.opened(kms_.a(), of_second, must(apply(kms_.a(), of_second)).body).wk.duplicate();

  const SidWk third = kms_.session();
  struct One {
    Person& who;
    Applicants::Made made;
    Result<net::Response> answer = fail(ErrorCode::internal, "did not end");
  };
  const auto at_once = [&](std::array<One, 2>& both) {
    std::barrier step(2);
    kms_.while_checked_ = [&] { step.arrive_and_wait(); };
    {
      std::jthread other([&] { both[1].answer = kms_.apply(both[1].who, both[1].made); });
      both[0].answer = kms_.apply(both[0].who, both[0].made);
    }
    kms_.while_checked_ = {};
  };
  std::array<One, 2> both{One{kms_.a(), kms_.make(kms_.a(), third, Role::caller, with(token_a))}, One{kms_.c(), kms_.make(kms_.c(), second, Role::callee, with(token_c))}};
  at_once(both);
  for (const One& one : both) ASSERT_TRUE(one.answer) << one.answer.error().message;
  EXPECT_FALSE(equal_secret(kms_.opened(both[0].who, both[0].made, both[0].answer->body).wk, wk));
  EXPECT_TRUE(equal_secret(kms_.opened(both[1].who, both[1].made, both[1].answer->body).wk, wk));
  must(kms_.acknowledge(kms_.a(), third, both[0].answer->body));
  EXPECT_EQ(must(kms_.apply(kms_.c(), both[1].made)).body, both[1].answer->body) << "the same again, with what came behind the signature";
  must(kms_.acknowledge(kms_.c(), second, both[1].answer->body));
  EXPECT_EQ(charges().size(), 5U);

  const SidWk fourth = kms_.session();
  std::array<One, 2> rivals{One{kms_.a(), kms_.make(kms_.a(), fourth, Role::caller, with(token_a))},
                            One{kms_.a(), kms_.make(kms_.a(), fourth, Role::caller, with(token_a))}};
  at_once(rivals);
  EXPECT_NE(rivals[0].answer.has_value(), rivals[1].answer.has_value()) << "two applications for one session";
  EXPECT_EQ(refusal(rivals[rivals[0].answer ? 1 : 0].answer), ErrorCode::conflict);
  EXPECT_EQ(charges().size(), 6U);
}

TEST_P(ApplicationTest, WhatEndsBetweenTheLookAndTheDeliveryCountsAndTheApplicationIsRememberedAllTheSame) {
  const auto first = kms_.make(kms_.a(), kms_.session(), Role::caller);
  const Bytes token = kms_.token_ref(kms_.a(), first, must(apply(kms_.a(), first)).body);
  bool done = true;
  kms_.while_checked_ = [&] {
    if (std::exchange(done, true)) return;
    must(kms_.access().revoked(test::json_request(identity("qanat://core/iam/iam"), wire::Json::object({{"subject", "A"}, {"epoch", 1}, {"at_ms", 0}}))));
  };
  const auto of_token = kms_.make(kms_.a(), kms_.session(), Role::caller, [&](wire::KeyRequest& message) { message.token_ref = token; });
  done = false;
  const Bytes answer = must(apply(kms_.a(), of_token)).body;
  const Bytes next = kms_.token_ref(kms_.a(), of_token, answer);
  EXPECT_FALSE(kms_.opened(kms_.a(), of_token, answer).token.empty()) << "the former one was ended";
  EXPECT_EQ(must(apply(kms_.a(), of_token)).body, answer);

  const auto refused = kms_.make(kms_.a(), kms_.session(), Role::caller, [&](wire::KeyRequest& message) { message.token_ref = next; });
  kms_.iam_allows_ = false;
  done = false;
  EXPECT_EQ(refusal(apply(kms_.a(), refused)), ErrorCode::denied);
  EXPECT_TRUE(done);
  const auto again = apply(kms_.a(), refused);
  EXPECT_EQ(refusal(again), ErrorCode::conflict);
  EXPECT_EQ(again.error().message, "KeyRequest: this application was made before (replay)");
  EXPECT_EQ(charges().size(), 2U);
}

TEST_P(ApplicationTest, ALegThatIsSuspendedBetweenTheLookAndTheDeliveryIsNotDelivered) {
  const SidWk before = kms_.session();
  must(apply(kms_.a(), kms_.make(kms_.a(), before, Role::caller)));
  const auto first = kms_.make(kms_.c(), before, Role::callee);
  const Bytes token = kms_.token_ref(kms_.c(), first, must(apply(kms_.c(), first)).body);
  const SidWk sid = kms_.session();
  must(apply(kms_.a(), kms_.make(kms_.a(), sid, Role::caller)));
  bool done = false;
  kms_.while_checked_ = [&] {
    if (std::exchange(done, true)) return;
    must(kms_.in_transaction([&](store::Transaction& transaction) { return kms_.ledger().advance(transaction, sid, Role::callee, KeyState::suspended); }));
  };
  const auto made = kms_.make(kms_.c(), sid, Role::callee, [&](wire::KeyRequest& message) { message.token_ref = token; });
  const auto refused = apply(kms_.c(), made);
  EXPECT_EQ(refusal(refused), ErrorCode::conflict);
  EXPECT_TRUE(refused.error().message.ends_with("is suspended, cannot become delivered")) << refused.error().message;
  EXPECT_TRUE(done);
  EXPECT_EQ(kms_.leg(sid, Role::callee).state, KeyState::suspended);
  const auto again = apply(kms_.c(), made);
  EXPECT_EQ(refusal(again), ErrorCode::conflict);
  EXPECT_EQ(again.error().message, "KeyRequest: this application was made before (replay)");
  EXPECT_EQ(charges().size(), 3U);
}

TEST_P(ApplicationTest, AKeyThatCmspsDirectoryGrantedIsDeliveredRecordedAndChargedAsSuch) {
  const SidWk sid = kms_.session();
  const auto callee = kms_.make(kms_.c(), sid, Role::callee);
  const crypto::Suite& suite = kms_.node().suite();
  const WorkingKey key{.sid_wk = sid,
                       .leg = Role::callee,
                       .sid_call = callee.request.message.sid_call,
                       .uid = kms_.c().terminal.uid,
                       .wk = kms_.node().rng().secret(wire::wk_size),
                       .assurance = wire::Assurance::pqc,
                       .n_paths = 0,
                       .path_min = 0,
                       .th9 = wire::no_th9(suite),
                       .peer_uid = kms_.a().terminal.uid,
                       .peer_number = kms_.a().terminal.number,
                       .peer_kms = ElementName("kms-a"),
                       .peer_fps = wire::no_fingerprints(suite),
                       .expires_ms = SystemClock().now_ms() + 60'000,
                       .terms = {},
                       .directory_epoch = 17};
  must(kms_.in_transaction([&](store::Transaction& transaction) -> Result<void> {
    TRY(kms_.ledger().add(transaction, key));
    return kms_.ledger().advance(transaction, sid, Role::callee, KeyState::reserved);
  }));
  const Bytes answer = must(apply(kms_.c(), callee)).body;
  EXPECT_EQ(must(wire::parse<wire::KeyDeliver>(answer)).message.flags, wire::flag_eph | wire::flag_directory);
  EXPECT_TRUE(equal_secret(kms_.opened(kms_.c(), callee, answer).wk, key.wk));
  EXPECT_TRUE(kms_.on_record("granted by CMSP's directory 17: CMSP did not answer"));
  ASSERT_EQ(charges().size(), 1U);
  EXPECT_EQ(charges()[0].directory_epoch, 17);
}

TEST_P(ApplicationTest, AKeyLivesAsLongAsCsosPolicySaysFromThenOn) {
  const auto life = [&]() -> UnixMs {
    must(apply(kms_.a(), kms_.make(kms_.a(), kms_.session(), Role::caller)));
    const auto charged = charges();
    return charged.back().expires_ms - charged.back().delivered_ms;
  };
  EXPECT_GT(life(), 50'000U) << "a minute, as configured";
  points::KmsPolicy policy{.version = 1, .epoch = 1};
  policy.wk_lifetime_ms = 20'000;
  test::must(kms_.agreement().policy().put_in_force(kms_.store(), policy, 1, 0, SystemClock().now_ms()));
  Applicants::wait_a_millisecond();  // charges are in the order of their time
  EXPECT_LE(life(), 20'000U);
}

TEST_P(ApplicationTest, AnApplicationWhoseKeyIsInTheArchiveIsRefusedWhateverIsForgotten) {
  const SidWk sid = kms_.session();
  const auto made = kms_.make(kms_.a(), sid, Role::caller);
  const Bytes to_a = must(apply(kms_.a(), made)).body;
  must(kms_.acknowledge(kms_.a(), sid, to_a));
  const auto callee = kms_.make(kms_.c(), sid, Role::callee);
  must(kms_.acknowledge(kms_.c(), sid, must(apply(kms_.c(), callee)).body));
  {
    constexpr UnixMs later_ms = 86'400'000;  // as if the clock were a day ahead
    KeyHistory history(kms_.store(), kms_.ledger(), {.folder = kms_.state() / "archive", .kms = "kms-a", .front_end = "", .retention_ms = 1000});
    EXPECT_EQ(must(history.archive(SystemClock().now_ms() + later_ms, kms_.node().rng().id<OwedId>())).keys, 2);
  }
  // The clock is right again, and nothing says any more that the application was made.
  const auto forget = [&] {
    must(kms_.in_transaction([](store::Transaction& transaction) -> Result<void> {
      TRY(transaction.run("DELETE FROM replay", {}));
      TRY(transaction.run("DELETE FROM replay_forgotten", {}));
      return {};
    }));
  };
  forget();
  const auto by_time = apply(kms_.a(), made);
  EXPECT_EQ(refusal(by_time), ErrorCode::denied);
  EXPECT_TRUE(by_time.error().message.contains("is of a time whose keys are in the archive")) << by_time.error().message;

  kms_.open();  // a ledger that was not told of it
  const auto as_replay = apply(kms_.a(), made);
  EXPECT_EQ(refusal(as_replay), ErrorCode::conflict);
  EXPECT_TRUE(as_replay.error().message.contains("this session was used before")) << as_replay.error().message;
  const auto fresh = apply(kms_.a(), kms_.make(kms_.a(), sid, Role::caller));
  EXPECT_EQ(refusal(fresh), ErrorCode::conflict) << "a session is used once, whoever asks and whenever";
  EXPECT_TRUE(fresh.error().message.contains("this session was used before")) << fresh.error().message;
  EXPECT_EQ(charges().size(), 2U) << "what was delivered is charged, once";
  must(apply(kms_.a(), kms_.make(kms_.a(), kms_.session(), Role::caller)));
}

TEST_P(ApplicationTest, AFreshApplicationIsLaterThanAllThatIsInTheArchive) {
  constexpr UnixMs window_ms = 120'000;
  const UnixMs now = SystemClock().now_ms();
  kms_.ledger().archived_until(now - 2 * window_ms);  // at the most: settings.cpp
  must(apply(kms_.a(), kms_.make(kms_.a(), kms_.session(), Role::caller)));
  must(apply(kms_.a(), kms_.make(kms_.a(), kms_.session(), Role::caller, [&](wire::KeyRequest& request) { request.ts_ms = now - window_ms + 30'000; })));
  const UnixMs of_then = now - window_ms + 60'000;
  kms_.ledger().archived_until(of_then - window_ms);  // a clock was set back
  const auto made = kms_.make(kms_.a(), kms_.session(), Role::caller, [&](wire::KeyRequest& request) { request.ts_ms = of_then; });
  const auto late = apply(kms_.a(), made);
  EXPECT_EQ(refusal(late), ErrorCode::denied);
  EXPECT_TRUE(late.error().message.contains("is of a time whose keys are in the archive")) << late.error().message;
  kms_.ledger().archived_until(of_then - window_ms - 1);
  must(apply(kms_.a(), made));
}

TEST_P(ApplicationTest, WhoseAnswerWasLostGetsTheSameOctetsAlsoAfterARestart) {
  const SidWk sid = kms_.session();
  const auto made = kms_.make(kms_.a(), sid, Role::caller);
  const Bytes first = must(apply(kms_.a(), made)).body;
  EXPECT_EQ(must(apply(kms_.a(), made)).body, first);
  kms_.open();
  EXPECT_EQ(must(apply(kms_.a(), made)).body, first);
  EXPECT_EQ(charges().size(), 1U) << "one key is charged once";
  EXPECT_EQ(times("\"km-1.delivered\"", kms_.state()), 1U);
  EXPECT_EQ(times("\"km-1.repeated\"", kms_.state()), 2U);
  EXPECT_EQ(kms_.leg(sid, Role::caller).deliveries, 3);
}

TEST_P(ApplicationTest, AnswerIsGivenAgainOnlyAsOftenAsTheKeysPolicyAllows) {
  const auto made = kms_.make(kms_.a(), kms_.session(), Role::caller);
  for (int i = 0; i < 4; ++i) must(apply(kms_.a(), made));
  const auto fifth = apply(kms_.a(), made);
  EXPECT_EQ(refusal(fifth), ErrorCode::denied);
  EXPECT_TRUE(fifth.error().message.ends_with("the key was delivered as often as its policy allows")) << fifth.error().message;
}

TEST_P(ApplicationTest, AnswerIsNotGivenAgainToWhomIamHasEnded) {
  const Identity iam = identity("qanat://core/iam/iam");
  const auto of_a = kms_.make(kms_.a(), kms_.session(), Role::caller);
  must(apply(kms_.a(), of_a));
  const auto ended = [&](const char* subject) {
    must(kms_.access().revoked(test::json_request(iam, wire::Json::object({{"subject", subject}, {"epoch", 1}, {"at_ms", SystemClock().now_ms()}}))));
  };
  ended("C");
  EXPECT_TRUE(apply(kms_.a(), of_a)) << "somebody else's end";
  ended("A");
  EXPECT_EQ(refusal(apply(kms_.a(), of_a)), ErrorCode::conflict);
}

TEST_P(ApplicationTest, ATerminalThatEnrolsAnewWhileItsKeyIsAgreedGetsNothingAndIsNotCharged) {
  std::optional<Person> anew;
  kms_.while_asked_ = [&](points::Endpoint endpoint) {
    if (endpoint == points::Endpoint::pm1_decide && !anew) anew.emplace(kms_.newcomer("A", "+8613800000001"));
  };
  const SidWk sid = kms_.session();
  const auto refused = apply(kms_.a(), kms_.make(kms_.a(), sid, Role::caller));
  ASSERT_EQ(refusal(refused), ErrorCode::conflict);
  EXPECT_EQ(refused.error().message, "the encryption keys of A have changed; apply again");
  EXPECT_TRUE(kms_.on_record(refused.error().message));
  EXPECT_FALSE(kms_.has_leg(sid, Role::caller)) << "legs come with the delivery";
  EXPECT_FALSE(kms_.has_leg(sid, Role::callee));
  EXPECT_TRUE(charges().empty());
  EXPECT_EQ(times("\"km-1.delivered\"", kms_.state()), 0U);
  ASSERT_TRUE(anew);
  EXPECT_EQ(refusal(apply(kms_.a(), kms_.make(kms_.a(), kms_.session(), Role::caller))), ErrorCode::denied) << "its former certificates";
  const auto made = kms_.make(*anew, kms_.session(), Role::caller);
  const Bytes answer = must(apply(*anew, made)).body;
  EXPECT_EQ(kms_.opened(*anew, made, answer).wk.size(), wire::wk_size) << "what is kept of a terminal goes with its row";
}

TEST_P(ApplicationTest, ATerminalWhoseTokenIamEndsAndGrantsAnewWhileItsKeyIsAgreedGetsTheNewOneWithTheKey) {
  bool ended = false;
  kms_.while_asked_ = [&](points::Endpoint endpoint) {
    if (endpoint != points::Endpoint::pm1_decide || std::exchange(ended, true)) return;
    must(kms_.access().revoked(
        test::json_request(identity("qanat://core/iam/iam"), wire::Json::object({{"subject", "A"}, {"epoch", 1}, {"at_ms", 0}}))));
  };
  const SidWk sid = kms_.session();
  const auto made = kms_.make(kms_.a(), sid, Role::caller);
  const Bytes answer = must(apply(kms_.a(), made)).body;
  EXPECT_FALSE(kms_.opened(kms_.a(), made, answer).token.empty());
  EXPECT_TRUE(ended);
  EXPECT_EQ(charges().size(), 1U);
  EXPECT_EQ(times("\"km-1.delivered\"", kms_.state()), 1U);
}

TEST_P(ApplicationTest, ATerminalWhoseTokenIamEndsAgainAndAgainGetsNothingAndIsNotCharged) {
  bool ended = false;
  kms_.while_asked_ = [&](points::Endpoint endpoint) {
    if (endpoint != points::Endpoint::pm1_decide) return;
    ended = true;
    // Of a time before what IAM says next, so that this counts.
    must(kms_.access().revoked(
        test::json_request(identity("qanat://core/iam/iam"), wire::Json::object({{"subject", "A"}, {"epoch", 1}, {"at_ms", 0}}))));
  };
  const SidWk sid = kms_.session();
  const auto refused = apply(kms_.a(), kms_.make(kms_.a(), sid, Role::caller));
  ASSERT_EQ(refusal(refused), ErrorCode::unavailable) << "which a terminal applies again after";
  EXPECT_EQ(refused.error().message, "the access token of A was ended while its application was under way; apply again");
  EXPECT_TRUE(kms_.on_record(refused.error().message));
  EXPECT_TRUE(ended);
  EXPECT_FALSE(kms_.has_leg(sid, Role::caller)) << "legs come with the delivery";
  EXPECT_FALSE(kms_.has_leg(sid, Role::callee));
  EXPECT_TRUE(charges().empty());
  EXPECT_EQ(times("\"km-1.delivered\"", kms_.state()), 0U);
  kms_.while_asked_ = {};
  EXPECT_TRUE(apply(kms_.a(), kms_.make(kms_.a(), kms_.session(), Role::caller))) << "with another token";
}

TEST_P(ApplicationTest, AKeyIsNotHandedOverUnderATokenThatIamEndedThoughTheTerminalHasAnother) {
  const SidWk before = kms_.session();
  must(apply(kms_.a(), kms_.make(kms_.a(), before, Role::caller)));
  const auto first = kms_.make(kms_.c(), before, Role::callee);
  const Bytes token = kms_.token_ref(kms_.c(), first, must(apply(kms_.c(), first)).body);
  const SidWk sid = kms_.session();
  const auto made = kms_.make(kms_.c(), sid, Role::callee, [&](wire::KeyRequest& message) { message.token_ref = token; });
  WorkingKey key = kms_.leg(before, Role::callee).key;
  key.sid_wk = sid;
  key.wk = kms_.node().rng().secret(wire::wk_size);
  key.assurance = wire::Assurance::pqc;
  must(kms_.in_transaction([&](store::Transaction& transaction) -> Result<void> {
    TRY(kms_.ledger().add(transaction, key));
    return kms_.ledger().advance(transaction, sid, Role::callee, KeyState::reserved);
  }));
  bool done = false;
  kms_.while_checked_ = [&] {
    if (std::exchange(done, true)) return;
    must(kms_.access().revoked(
        test::json_request(identity("qanat://core/iam/iam"), wire::Json::object({{"subject", "C"}, {"epoch", 1}, {"at_ms", 0}}))));
    // Another application of C's brings a token that reaches less far.
    kms_.token_level_max_ = wire::Assurance::local_rng;
    must(kms_.access().token_for(kms_.c().terminal, kms_.c().fps, Bytes(kms_.node().suite().digest), wire::Assurance::local_rng, test::soon(), "other"));
  };
  const auto refused = apply(kms_.c(), made);
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_EQ(refused.error().message, "what the subscriber was granted has changed: the key rests on assurance 2");
  EXPECT_TRUE(done);
  EXPECT_EQ(kms_.leg(sid, Role::callee).state, KeyState::reserved) << "it has not left";
  EXPECT_EQ(charges().size(), 2U);
}

TEST_P(ApplicationTest, ATokenThatAnotherApplicationBroughtMeanwhileKeepsNobodyFromItsKey) {
  bool done = false;
  kms_.while_asked_ = [&](points::Endpoint endpoint) {
    if (endpoint != points::Endpoint::pm1_decide || std::exchange(done, true)) return;
    must(kms_.access().token_for(kms_.a().terminal, kms_.a().fps, Bytes(kms_.node().suite().digest), wire::Assurance::local_rng, test::soon(), "other"));
  };
  const auto made = kms_.make(kms_.a(), kms_.session(), Role::caller);
  const Bytes answer = must(apply(kms_.a(), made)).body;
  EXPECT_TRUE(done);
  EXPECT_TRUE(kms_.opened(kms_.a(), made, answer).token.empty()) << "its own is not held any more, and the other's is not its to give";
  EXPECT_EQ(charges().size(), 1U);
}

TEST_P(ApplicationTest, AnotherApplicationForADeliveredLegIsRefusedWhateverItAsks) {
  const SidWk sid = kms_.session();
  must(apply(kms_.a(), kms_.make(kms_.a(), sid, Role::caller)));
  EXPECT_EQ(refusal(apply(kms_.a(), kms_.make(kms_.a(), sid, Role::caller))), ErrorCode::conflict);
  must(apply(kms_.c(), kms_.make(kms_.c(), sid, Role::callee)));
  const auto again = apply(kms_.c(), kms_.make(kms_.c(), sid, Role::callee));
  EXPECT_EQ(refusal(again), ErrorCode::conflict);
  EXPECT_TRUE(again.error().message.ends_with("its key was delivered before")) << again.error().message;
}

TEST_P(ApplicationTest, AfterTheAcknowledgementTheSameApplicationIsAReplay) {
  for (const bool ok : {true, false}) {
    const SidWk sid = kms_.session();
    const auto made = kms_.make(kms_.a(), sid, Role::caller);
    const Bytes answer = must(apply(kms_.a(), made)).body;
    must(kms_.acknowledge(kms_.a(), sid, answer, ok));
    const auto again = apply(kms_.a(), made);
    EXPECT_EQ(refusal(again), ErrorCode::conflict);
    EXPECT_EQ(again.error().message, "KeyRequest: this application was made before (replay)");
    EXPECT_TRUE(kms_.acknowledge(kms_.a(), sid, answer, ok)) << "whose answer was lost may say so again";
    EXPECT_EQ(refusal(kms_.acknowledge(kms_.a(), sid, answer, !ok)), ErrorCode::conflict) << "and nothing else: destroyed is final";
    EXPECT_EQ(times("\"km-1.destroyed\"", kms_.state()), ok ? 1U : 2U) << "each once";
  }
}

TEST_P(ApplicationTest, AnAcknowledgementOfAnotherPolicyEpochEndsNothing) {
  const SidWk sid = kms_.session();
  const Bytes answer = must(apply(kms_.a(), kms_.make(kms_.a(), sid, Role::caller))).body;
  const crypto::Suite& suite = kms_.node().suite();
  const wire::DeliverAck message{.sid_wk = sid, .uid = kms_.a().terminal.uid, .h_deliver = crypto::digest(suite.hash, answer), .ok = true};
  const auto later = must(wire::sign_message(suite, 2, message, kms_.a().signer, kms_.a().fps, kms_.node().rng()));
  const auto refused = kms_.application().acknowledge(kms_.request_of(kms_.a(), later.octets));
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_EQ(refused.error().message, "DeliverAck: policy epoch 2 is not in force");
  EXPECT_EQ(kms_.leg(sid, Role::caller).state, KeyState::delivered);
}

TEST_P(ApplicationTest, AKeyThatAnotherHasEndedIsNotAcknowledged) {
  const SidWk sid = kms_.session();
  const Bytes answer = must(apply(kms_.a(), kms_.make(kms_.a(), sid, Role::caller))).body;
  must(kms_.in_transaction([&](store::Transaction& transaction) {
    return kms_.ledger().destroy(transaction, sid, Role::caller, {.by = "kms", .why = "past its time", .at_ms = SystemClock().now_ms()});
  }));
  EXPECT_EQ(refusal(kms_.acknowledge(kms_.a(), sid, answer)), ErrorCode::conflict);
}

TEST_P(ApplicationTest, WhatAnAcknowledgementEndsIsOwedToTheRecordUntilItIsOnIt) {
  const auto owed = [&] {
    std::int64_t out = -1;
    must(kms_.in_transaction([&](store::Transaction& transaction) {
      return transaction.query("SELECT count(*) FROM owed_record", {}, [&](const store::Row& row) { out = row.integer(0); });
    }));
    return out;
  };
  const auto acknowledged = [&] {
    const SidWk sid = kms_.session();
    must(kms_.acknowledge(kms_.a(), sid, must(apply(kms_.a(), kms_.make(kms_.a(), sid, Role::caller))).body));
  };
  acknowledged();
  EXPECT_EQ(times("\"km-1.destroyed\"", kms_.state()), 1U);
  EXPECT_EQ(owed(), 1) << "owed by the work that destroyed the key";
  must(kms_.application().forget_paid());
  EXPECT_EQ(owed(), 0);
  Applicants::wait_a_millisecond();
  acknowledged();  // of the same call: the first key is named by it
  kms_.open();  // as after a kill: nobody knows that they are on record
  must(pay_records(kms_.node(), kms_.store(), Owed::all));
  EXPECT_EQ(owed(), 0);
  EXPECT_EQ(times("\"km-1.destroyed\"", kms_.state()), 3U) << "rather twice than not at all";
  EXPECT_EQ(times("\"wk.updated\"", kms_.state()), 2U);
}

TEST_P(ApplicationTest, WhatIsOwedToTheRecordKeepsItsOutcomeOverAKill) {
  const SidWk sid = kms_.session();
  must(kms_.acknowledge(kms_.a(), sid, must(apply(kms_.a(), kms_.make(kms_.a(), sid, Role::caller))).body, false));
  const auto recorded = [&](const std::string& action, const std::string& outcome) {
    return times("\"action\":\"" + action + "\",\"outcome\":\"" + outcome + "\"", kms_.state());
  };
  EXPECT_EQ(recorded("km-1.destroyed", "failure"), 1U) << "the terminal could not use the key";
  must(kms_.in_transaction([](store::Transaction& transaction) -> Result<void> {  // as a former version left it
    TRY(transaction.run("INSERT INTO owed_record (id, place, action, subject, object, reason, made_ms) VALUES (x'00112233445566778899aabbccddeeff', 0,"
                        " 'kp.purged', 'D', '0 working keys', 'long ago', 1)",
                        {}));
    return {};
  }));
  kms_.open();  // as after a kill: nobody knows that it is on record
  must(pay_records(kms_.node(), kms_.store(), Owed::all));
  EXPECT_EQ(recorded("km-1.destroyed", "failure"), 2U);
  EXPECT_EQ(recorded("km-1.destroyed", "success"), 0U);
  EXPECT_EQ(recorded("kp.purged", "success"), 1U);
}

TEST_P(ApplicationTest, ALaterKeyOfTheCallTakesTheFormersPlaceOnceItIsConfirmed) {
  const SidWk former = kms_.session();
  const auto first = kms_.make(kms_.a(), former, Role::caller);
  const Bytes to_a = must(apply(kms_.a(), first)).body;
  kms_.wait_a_millisecond();
  const SidWk later = kms_.session();
  const auto second = kms_.make(kms_.a(), later, Role::caller);
  const Bytes also_to_a = must(apply(kms_.a(), second)).body;
  EXPECT_FALSE(equal_secret(kms_.opened(kms_.a(), first, to_a).wk, kms_.opened(kms_.a(), second, also_to_a).wk)) << "another key";
  EXPECT_EQ(kms_.leg(former, Role::caller).state, KeyState::delivered) << "kept until the new one is confirmed";
  must(kms_.acknowledge(kms_.a(), later, also_to_a));
  EXPECT_EQ(kms_.leg(former, Role::caller).state, KeyState::destroyed);
  EXPECT_TRUE(kms_.on_record("a later key of its call is confirmed: " + later.hex()));
  EXPECT_TRUE(kms_.on_record("in a running call it takes the place of " + former.hex()));
  EXPECT_EQ(kms_.leg(former, Role::callee).state, KeyState::reserved) << "C has not confirmed anything";
}

TEST_P(ApplicationTest, WhichKeyFollowsWhichInACallIsOnRecordThoughTheFormerIsGone) {
  const SidWk former = kms_.session();
  must(kms_.acknowledge(kms_.a(), former, must(apply(kms_.a(), kms_.make(kms_.a(), former, Role::caller))).body));
  EXPECT_EQ(times("\"wk.updated\"", kms_.state()), 0U) << "the first key of the call";
  kms_.wait_a_millisecond();
  const SidWk later = kms_.session();
  must(kms_.acknowledge(kms_.a(), later, must(apply(kms_.a(), kms_.make(kms_.a(), later, Role::caller))).body));
  EXPECT_EQ(times("\"wk.updated\"", kms_.state()), 1U);
  EXPECT_TRUE(kms_.on_record("in a running call it takes the place of " + former.hex()));
  EXPECT_EQ(times("\"wk.superseded\"", kms_.state()), 0U) << "it was destroyed when it was confirmed";
}

TEST_P(ApplicationTest, AnEarlierKeysLateConfirmationEndsNoLaterKey) {
  const SidWk former = kms_.session();
  const Bytes to_a = must(apply(kms_.a(), kms_.make(kms_.a(), former, Role::caller))).body;
  kms_.wait_a_millisecond();
  const SidWk later = kms_.session();
  must(apply(kms_.a(), kms_.make(kms_.a(), later, Role::caller)));
  must(kms_.acknowledge(kms_.a(), former, to_a));
  EXPECT_EQ(kms_.leg(later, Role::caller).state, KeyState::delivered);
}

TEST_P(ApplicationTest, ACallsLaterKeyIsForItsTwoEndsAlone) {
  must(apply(kms_.a(), kms_.make(kms_.a(), kms_.session(), Role::caller)));
  // C calls A under the number of A's call to C.
  const auto made = kms_.make(kms_.c(), kms_.session(), Role::caller, [](wire::KeyRequest& message) { std::swap(message.num_call, message.num_called); });
  const auto refused = apply(kms_.c(), made);
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_TRUE(refused.error().message.ends_with("is between others")) << refused.error().message;
}

TEST_P(ApplicationTest, AnswerIsForTheTerminalThatAppliedAlone) {
  const SidWk sid = kms_.session();
  const auto made = kms_.make(kms_.a(), sid, Role::caller);
  must(apply(kms_.a(), made));
  // C's own connection with A's octets, and C's uid in a copy of them.
  EXPECT_EQ(refusal(kms_.application().apply(kms_.request_of(kms_.c(), made.request.octets))), ErrorCode::denied);
  EXPECT_EQ(kms_.leg(sid, Role::caller).deliveries, 1);
}

TEST_P(ApplicationTest, ApplicationThatWasRefusedHasNoAnswerToBeGivenAgain) {
  const auto made = kms_.make(kms_.a(), kms_.session(), Role::caller, [](wire::KeyRequest& message) { message.min_assurance = wire::Assurance::one_qkd_path; });
  const auto refused = apply(kms_.a(), made);
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_EQ(refused.error().message, "the key would rest on assurance 1, the terminal demands 3");
  EXPECT_EQ(refusal(apply(kms_.a(), made)), ErrorCode::conflict);
  EXPECT_TRUE(charges().empty());
}

TEST_P(ApplicationTest, WhatIsNotTheTerminalsOwnFreshAndSignedIsRefused) {
  const auto refused = [&](const std::function<void(wire::KeyRequest&)>& change, std::string_view why) {
    const auto answer = apply(kms_.a(), kms_.make(kms_.a(), kms_.session(), Role::caller, change));
    EXPECT_EQ(refusal(answer), ErrorCode::denied) << why;
    if (!answer) EXPECT_TRUE(answer.error().message.contains(why)) << answer.error().message;
  };
  refused([](wire::KeyRequest& m) { m.kms_id = ElementName("kms-b"); }, "is for KMS kms-b");
  refused([](wire::KeyRequest& m) { m.enc_kid.front() ^= 1U; }, "names another encryption key than the terminal's");
  refused([&](wire::KeyRequest& m) { m.num_call = kms_.c().terminal.number; }, "is not the number of A");
  refused([](wire::KeyRequest& m) { m.ts_ms -= 600'000; }, "more than the clock window");
  refused([](wire::KeyRequest& m) { m.ts_ms += 600'000; }, "more than the clock window");
  const auto made = kms_.make(kms_.a(), kms_.session(), Role::caller);
  const wire::KeyRequest& message = made.request.message;
  const crypto::Suite& suite = kms_.node().suite();
  const Bytes of_another_epoch = must(wire::sign_message(suite, 2, message, kms_.a().signer, kms_.a().fps, kms_.node().rng())).octets;
  const auto epoch = kms_.application().apply(kms_.request_of(kms_.a(), of_another_epoch));
  EXPECT_EQ(refusal(epoch), ErrorCode::denied);
  EXPECT_TRUE(epoch.error().message.contains("policy epoch 2 is not in force")) << epoch.error().message;
  const Bytes signed_by_another = must(wire::sign_message(suite, 1, message, kms_.c().signer, kms_.a().fps, kms_.node().rng())).octets;
  EXPECT_EQ(refusal(kms_.application().apply(kms_.request_of(kms_.a(), signed_by_another))), ErrorCode::denied) << "C's signature";
  EXPECT_TRUE(charges().empty());
  EXPECT_TRUE(apply(kms_.a(), made)) << "it was for those reasons alone";
}

TEST_P(ApplicationTest, WhoseCertificatesAreRevokedIsGivenNothing) {
  const auto refused = [&](Person& who, const crypto::Certificate& certificate) {
    kms_.revoked_ = {certificate.serial()};
    const auto answer = apply(who, kms_.make(who, kms_.session(), Role::caller, [&](wire::KeyRequest& message) {
      message.num_call = who.terminal.number;
      message.sid_call = kms_.node().rng().id<SidCall>();
    }));
    EXPECT_EQ(refusal(answer), ErrorCode::denied);
    if (!answer) EXPECT_TRUE(answer.error().message.contains("is revoked")) << answer.error().message;
  };
  refused(kms_.a(), kms_.a().bundle.classical_encryption);
  refused(kms_.a(), kms_.a().bundle.ml_kem_encryption);
  refused(kms_.a(), kms_.a().bundle.classical_signing);
  Person d = kms_.newcomer("D", "+8613800000004");  // A has left the pool
  refused(d, d.bundle.ml_dsa_signing);
  EXPECT_TRUE(charges().empty());
}

TEST_P(ApplicationTest, ATerminalThatHasNotConfirmedItsEnrolmentNeitherGetsNorIsGivenKeys) {
  const auto confirm = [&](std::int64_t confirmed, const char* uid) {
    must(kms_.in_transaction([&](store::Transaction& transaction) {
      return transaction.run("UPDATE terminal SET confirmed = ? WHERE uid = ?", {confirmed, std::string_view(uid)});
    }));
  };
  confirm(0, "C");
  const auto called = apply(kms_.a(), kms_.make(kms_.a(), kms_.session(), Role::caller));
  EXPECT_EQ(refusal(called), ErrorCode::not_found);
  EXPECT_TRUE(called.error().message.ends_with("has no enrolled terminal")) << called.error().message;
  confirm(1, "C");
  confirm(0, "A");
  const auto calling = apply(kms_.a(), kms_.make(kms_.a(), kms_.session(), Role::caller));
  EXPECT_EQ(refusal(calling), ErrorCode::denied);
  EXPECT_EQ(calling.error().message, "no terminal A is enrolled at kms-a");
  confirm(1, "A");
  EXPECT_TRUE(apply(kms_.a(), kms_.make(kms_.a(), kms_.session(), Role::caller)));
}

TEST_P(ApplicationTest, MoreThanTheTokenAllowsIsNotDemanded) {
  kms_.token_level_max_ = wire::Assurance::local_rng;
  const auto refused =
      apply(kms_.a(), kms_.make(kms_.a(), kms_.session(), Role::caller, [](wire::KeyRequest& message) { message.min_assurance = wire::Assurance::pqc; }));
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_EQ(refused.error().message, "the subscriber may not demand keys of this assurance");
}

TEST_P(ApplicationTest, ACalleeGetsTheKeyOfItsOwnCallAsItsGrantsAndItsDemandHaveIt) {
  const SidWk sid = kms_.session();
  must(apply(kms_.a(), kms_.make(kms_.a(), sid, Role::caller)));
  const auto refused = [&](const std::function<void(wire::KeyRequest&)>& change, std::string_view why) {
    const auto answer = apply(kms_.c(), kms_.make(kms_.c(), sid, Role::callee, change));
    EXPECT_EQ(refusal(answer), ErrorCode::denied) << why;
    if (!answer) EXPECT_TRUE(answer.error().message.contains(why)) << answer.error().message;
    EXPECT_EQ(kms_.leg(sid, Role::callee).state, KeyState::reserved) << why;
  };
  refused([&](wire::KeyRequest& m) { m.sid_call = kms_.node().rng().id<SidCall>(); }, "is between others");
  refused([](wire::KeyRequest& m) { m.num_call = Number("+8613800000009"); }, "is between others");
  kms_.iam_allows_ = false;
  refused({}, "no keys with the domain a");
  kms_.iam_allows_ = true;
  refused([](wire::KeyRequest& m) { m.min_assurance = wire::Assurance::pqc; }, "the key would rest on assurance 1, the terminal demands 2");
  EXPECT_TRUE(apply(kms_.c(), kms_.make(kms_.c(), sid, Role::callee)));
}

TEST_P(ApplicationTest, AnAcknowledgementIsOfTheDeliveryAndByWhoGotIt) {
  const SidWk sid = kms_.session();
  const Bytes answer = must(apply(kms_.a(), kms_.make(kms_.a(), sid, Role::caller))).body;
  Bytes other = answer;
  other.back() ^= 1U;
  EXPECT_EQ(refusal(kms_.acknowledge(kms_.a(), sid, other)), ErrorCode::not_found) << "of another delivery";
  EXPECT_EQ(refusal(kms_.acknowledge(kms_.c(), sid, answer)), ErrorCode::not_found) << "by another terminal";
  const crypto::Suite& suite = kms_.node().suite();
  const wire::DeliverAck message{.sid_wk = sid, .uid = kms_.a().terminal.uid, .h_deliver = crypto::digest(suite.hash, answer), .ok = true};
  const Bytes forged = must(wire::sign_message(suite, 1, message, kms_.c().signer, kms_.a().fps, kms_.node().rng())).octets;
  EXPECT_EQ(refusal(kms_.application().acknowledge(kms_.request_of(kms_.a(), forged))), ErrorCode::denied) << "with another's signature";
  EXPECT_EQ(kms_.leg(sid, Role::caller).state, KeyState::delivered);
  EXPECT_TRUE(kms_.acknowledge(kms_.a(), sid, answer));
}

TEST_P(ApplicationTest, AnApplicationOfAnEarlierLifeIsRefused) {
  const UnixMs began = SystemClock().now_ms();
  must(kms_.in_transaction([&](store::Transaction& transaction) -> Result<void> {
    TRY(begin_life(transaction, began, began - 10'000, NewLife::other_history));
    return {};
  }));
  const auto refused = apply(kms_.a(), kms_.make(kms_.a(), kms_.session(), Role::caller, [&](wire::KeyRequest& message) { message.ts_ms = began - 20'000; }));
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_TRUE(refused.error().message.contains("KeyRequest: is from before the database was restored")) << refused.error().message;
  EXPECT_TRUE(apply(kms_.a(), kms_.make(kms_.a(), kms_.session(), Role::caller)));
}

class LimitedApplicationTest : public ApplicationTest {
 protected:
  static KmsSettings limited() {
    KmsSettings out;
    out.policy.applications = {.burst = 2, .per_minute = 1};
    return out;
  }
  LimitedApplicationTest() : limited_(limited(), GetParam()) {}
  Result<net::Response> apply(Person& who, const Applicants::Made& made) {
    limited_.applying_ = &who;
    return limited_.apply(who, made);
  }
  Applicants limited_;
};

INSTANTIATE_TEST_SUITE_P(Stores, LimitedApplicationTest, test::both_databases, test::name_of);

TEST_P(LimitedApplicationTest, RateIsOfNewApplicationsOfOneSubscriberAndOutlivesARestart) {
  const auto first = limited_.make(limited_.a(), limited_.session(), Role::caller);
  must(apply(limited_.a(), first));
  for (int i = 0; i < 3; ++i) must(apply(limited_.a(), first));  // the same again costs nothing
  const SidWk sid = limited_.session();
  must(apply(limited_.a(), limited_.make(limited_.a(), sid, Role::caller)));
  limited_.open();
  const auto third = limited_.make(limited_.a(), limited_.session(), Role::caller);
  const auto refused = apply(limited_.a(), third);
  EXPECT_EQ(refusal(refused), ErrorCode::exhausted);
  EXPECT_TRUE(limited_.on_record("A applies more often than 1 times a minute"));
  EXPECT_EQ(refusal(apply(limited_.a(), third)), ErrorCode::exhausted) << "not yet made, so no replay either";
  must(apply(limited_.c(), limited_.make(limited_.c(), sid, Role::callee)));
}

TEST_P(LimitedApplicationTest, AnApplicationCountsThatIsRememberedWithItsDeliveryAndOneThatIsRefused) {
  for (const bool refused : {false, true}) {
    Person& who = limited_.a();
    if (refused) limited_.forget_rates();
    const SidWk sid = limited_.session();
    const auto first = limited_.make(who, sid, Role::caller);
    const Bytes token = limited_.token_ref(who, first, must(apply(who, first)).body);
    const auto with_token = [&](wire::KeyRequest& message) { message.token_ref = token; };
    const auto second = apply(who, limited_.make(who, refused ? sid : limited_.session(), Role::caller, with_token));
    EXPECT_EQ(second.has_value(), !refused);
    EXPECT_EQ(refusal(apply(who, limited_.make(who, limited_.session(), Role::caller, with_token))), ErrorCode::exhausted) << refused;
  }
}

class StrictApplicationTest : public ApplicationTest {};

INSTANTIATE_TEST_SUITE_P(Stores, StrictApplicationTest, test::both_databases, test::name_of);

TEST_P(StrictApplicationTest, PolicyMayDemandMoreOfATrafficThanItsTerminalsDo) {
  KmsSettings settings;
  settings.policy.level_min.at(static_cast<std::size_t>(Traffic::voice)) = wire::Assurance::pqc;
  Applicants strict(std::move(settings), GetParam());
  strict.applying_ = &strict.a();
  const auto refused = strict.apply(strict.a(), strict.make(strict.a(), strict.session(), Role::caller));
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_EQ(refused.error().message, "the key would rest on assurance 1, the terminal demands 2");
}

}  // namespace
}  // namespace qanat::kms
