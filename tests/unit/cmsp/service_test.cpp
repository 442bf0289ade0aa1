#include "services/cmsp/service.hpp"

#include "trusted_network.hpp"

namespace qanat::cmsp {
namespace {

using points::Endpoint;
using test::identity;
using test::json_of;
using test::json_request;
using test::must;
using test::refusal;
using test::request_from;

const Identity cmsp_id = identity("qanat://core/cmsp/cmsp");
const Identity kms_a = identity("qanat://a/kms/kms-a");
const Identity kms_b = identity("qanat://b/kms/kms-b");
const Identity operator_id = identity("qanat://core/operator/op");
const Number alice("+8613800000001");
const Number bob("+8613800000002");

class CmspServiceTest : public testing::Test {
 protected:
  CmspServiceTest() : kms_a_credentials_(network_.credentials(kms_a)), kms_b_credentials_(network_.credentials(kms_b)) {
    node_ = network_.open_node(cmsp_id, {kms_a, kms_b}, [this](const crypto::Certificate& cert, Deadline) -> Result<void> {
      if (revoked_ && cert.names().element == *revoked_) return fail(ErrorCode::denied, "certificate of " + cert.subject() + " is revoked");
      return {};
    });
    open_service();
    json_of(put(alice, "alice", "kms-a", "open"));
    json_of(put(bob, "bob", "kms-b", "open"));
    json_of(enter(kms_b, bob, "bob"));
  }

  void open_service() {
    service_.reset();
    service_ = must(CmspService::open(*node_, [this](const ElementName& kms, ByteView envelope, const net::Request&) -> Result<void> {
      if (notify_refused_) return fail(*notify_refused_);
      notified_.emplace_back(kms, to_bytes(envelope));
      return {};
    }));
  }

  Result<net::Response> call(Endpoint endpoint, const net::Request& request) { return test::handler_of(service_->handlers(), endpoint)(request); }
  Result<net::Response> put(const Number& number, std::string uid, std::string kms, std::string service) {
    return call(Endpoint::x5_account,
                json_request(operator_id, wire::Json::object({{"number", number.text()}, {"uid", uid}, {"kms", kms}, {"service", service}})));
  }
  Result<net::Response> enter(const Identity& kms, const Number& number, std::string uid) {
    return call(Endpoint::ma2_register, json_request(kms, wire::Json::object({{"uid", uid}, {"number", number.text()}})));
  }

  wire::SessionOpen session() {
    wire::SessionOpen out;
    out.sid_wk = network_.rng().id<SidWk>();
    out.sid_call = network_.rng().id<SidCall>();
    out.num_call = alice;
    out.num_called = bob;
    out.uid_a = Uid("alice");
    out.kms_a = ElementName("kms-a");
    out.hreq_a = Bytes(network_.suite().digest, 3);
    out.prev_hash = Bytes(network_.suite().digest);
    out.kms_a_fps = kms_a_credentials_.messages->fps;
    out.kms_b_fps = wire::no_fingerprints(network_.suite());
    out.ts_ms = SystemClock().now_ms();
    return out;
  }
  wire::Framed<wire::SessionOpen> sign(const wire::SessionOpen& open, const node::MessageSigner& signer, std::uint32_t epoch = 1) {
    return must(wire::sign_message(network_.suite(), epoch, open, signer.signer, signer.fps, network_.rng()));
  }
  Result<net::Response> locate(const wire::SessionOpen& open) {
    return call(Endpoint::ma2_locate, request_from(kms_a, node::enclose(*kms_a_credentials_.messages, sign(open, *kms_a_credentials_.messages).octets)));
  }
  template <class M>
  wire::Framed<M> opened(ByteView envelope_octets) {
    const wire::Envelope envelope = must(wire::parse_envelope(envelope_octets));
    const auto& own = *node_->credentials().messages;
    EXPECT_EQ(envelope.classical, own.classical.der());
    auto message = must(wire::parse<M>(envelope.message));
    test::must(wire::verify(message, must(crypto::Verifier::from_key(network_.suite(), own.signer.verifying_key())), own.fps));
    return message;
  }

  test::TrustedNetwork network_;
  node::Credentials kms_a_credentials_;
  node::Credentials kms_b_credentials_;
  std::optional<Identity> revoked_;
  std::optional<Error> notify_refused_;
  std::vector<std::pair<ElementName, Bytes>> notified_;
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<CmspService> service_;
};

TEST_F(CmspServiceTest, LocatesTheCalleeNotifiesItsKmsAndGrants) {
  const wire::SessionOpen asked = session();
  const auto open = sign(asked, *kms_a_credentials_.messages);
  const auto answer = call(Endpoint::ma2_locate, request_from(kms_a, node::enclose(*kms_a_credentials_.messages, open.octets)));
  ASSERT_TRUE(answer) << answer.error().message;
  ASSERT_EQ(notified_.size(), 1U);
  EXPECT_EQ(notified_[0].first, ElementName("kms-b"));
  const auto notify = opened<wire::SessionNotify>(notified_[0].second);
  const auto grant = opened<wire::SessionGrant>(answer->body);
  for (const wire::SessionFields& fields : {wire::SessionFields(notify.message), wire::SessionFields(grant.message)}) {
    EXPECT_EQ(fields.sid_wk, asked.sid_wk);
    EXPECT_EQ(fields.sid_call, asked.sid_call);
    EXPECT_EQ(fields.num_call, alice);
    EXPECT_EQ(fields.num_called, bob);
    EXPECT_EQ(fields.uid_a, Uid("alice"));
    EXPECT_EQ(fields.uid_b, Uid("bob"));
    EXPECT_EQ(fields.kms_b, ElementName("kms-b"));
    EXPECT_EQ(fields.hreq_a, asked.hreq_a);
    EXPECT_EQ(fields.prev_hash, open.hash);
    EXPECT_EQ(fields.kms_a_fps, asked.kms_a_fps);
  }
  EXPECT_TRUE(test::audited(network_.state_of(cmsp_id), asked.sid_wk.hex()));
  std::ifstream steps(network_.state_of(cmsp_id) / "steps.jsonl");
  const std::string trace(std::istreambuf_iterator<char>(steps), {});
  EXPECT_TRUE(trace.contains("\"step\":7")) << trace;
  EXPECT_TRUE(trace.contains("\"step\":8")) << trace;
}

TEST_F(CmspServiceTest, ReplayedSessionOpenIsAConflictAlsoAfterARestart) {
  const wire::SessionOpen asked = session();
  ASSERT_TRUE(locate(asked));
  EXPECT_EQ(refusal(locate(asked)), ErrorCode::conflict);
  open_service();
  EXPECT_EQ(refusal(locate(asked)), ErrorCode::conflict);
  wire::SessionOpen other = session();
  other.sid_wk = asked.sid_wk;
  EXPECT_EQ(refusal(locate(other)), ErrorCode::conflict) << "the SID_WK alone counts";
  EXPECT_EQ(notified_.size(), 1U);
}

TEST_F(CmspServiceTest, SessionWhoseNotifyFailedIsSpentAndNotGranted) {
  notify_refused_ = Error{ErrorCode::unavailable, "Ma-2 to kms-b: no answer"};
  const wire::SessionOpen asked = session();
  const auto answer = locate(asked);
  EXPECT_EQ(refusal(answer), ErrorCode::unavailable);
  EXPECT_TRUE(answer.error().message.contains(bob.text())) << answer.error().message;
  notify_refused_.reset();
  EXPECT_EQ(refusal(locate(asked)), ErrorCode::conflict);
  EXPECT_TRUE(locate(session()));
}

TEST_F(CmspServiceTest, RefusalsNameTheNumberAndAreOnRecord) {
  struct Case {
    std::string_view why;
    std::function<void(wire::SessionOpen&)> change;
    ErrorCode code;
    std::string_view message;
  };
  const Number carol("+8613800000003");
  const Number dave("+8613800000004");
  json_of(put(carol, "carol", "kms-b", "closed"));
  json_of(enter(kms_b, carol, "carol"));
  json_of(put(dave, "dave", "kms-b", "open"));
  const Case cases[] = {
      {"unknown callee", [](auto& m) { m.num_called = Number("+999"); }, ErrorCode::not_found, "callee +999 is in no domain"},
      {"callee without service", [&](auto& m) { m.num_called = carol; }, ErrorCode::denied, "callee +8613800000003 has not opened the service"},
      {"callee not registered", [&](auto& m) { m.num_called = dave; }, ErrorCode::unavailable, "callee +8613800000004 is not registered at kms-b"},
      {"unknown caller", [](auto& m) { m.num_call = Number("+998"); }, ErrorCode::denied, "caller +998 has no account"},
      {"caller's uid is another's", [](auto& m) { m.uid_a = Uid("mallory"); }, ErrorCode::denied, "caller +8613800000001 is not the number of 'mallory'"},
      {"caller served elsewhere", [](auto& m) { m.num_call = bob, m.uid_a = Uid("bob"), m.num_called = alice; }, ErrorCode::denied, "is not served by kms-a"},
      {"callee's uid is another's", [](auto& m) { m.uid_b = Uid("mallory"); }, ErrorCode::denied, "is not the number of 'mallory'"},
      {"calls itself", [](auto& m) { m.num_called = alice; }, ErrorCode::denied, "calls itself"},
      {"old", [](auto& m) { m.ts_ms -= 121'000; }, ErrorCode::denied, "clock window"},
      {"from the future", [](auto& m) { m.ts_ms += 125'000; }, ErrorCode::denied, "clock window"},
      {"another KMS named", [](auto& m) { m.kms_a = ElementName("kms-b"); }, ErrorCode::denied, "comes from kms-a"},
      {"other fingerprints", [&](auto& m) { m.kms_a_fps = kms_b_credentials_.messages->fps; }, ErrorCode::denied, "other certificates"},
  };
  for (const Case& each : cases) {
    wire::SessionOpen asked = session();
    each.change(asked);
    const auto answer = locate(asked);
    ASSERT_FALSE(answer) << each.why;
    EXPECT_EQ(answer.error().code, each.code) << each.why;
    EXPECT_TRUE(answer.error().message.contains(each.message)) << each.why << ": " << answer.error().message;
    EXPECT_TRUE(test::audited(network_.state_of(cmsp_id), each.message)) << each.why;
  }
  EXPECT_TRUE(notified_.empty());
}

TEST_F(CmspServiceTest, ClosedCallerIsRefused) {
  json_of(put(alice, "alice", "kms-a", "closed"));
  const auto answer = locate(session());
  EXPECT_EQ(refusal(answer), ErrorCode::denied);
  EXPECT_TRUE(answer.error().message.contains(alice.text()));
}

TEST_F(CmspServiceTest, AlteredOrForeignSignaturesAreRefused) {
  const auto open = sign(session(), *kms_a_credentials_.messages);
  Bytes altered = open.octets;
  altered[40] ^= 1;
  EXPECT_EQ(refusal(call(Endpoint::ma2_locate, request_from(kms_a, node::enclose(*kms_a_credentials_.messages, altered)))), ErrorCode::denied);

  // Another KMS's signature, in its own envelope, over the connection of kms-a.
  const auto foreign = sign(session(), *kms_b_credentials_.messages);
  EXPECT_EQ(refusal(call(Endpoint::ma2_locate, request_from(kms_a, node::enclose(*kms_b_credentials_.messages, foreign.octets)))), ErrorCode::denied);
  // kms-a's message over the connection of kms-b.
  EXPECT_EQ(refusal(call(Endpoint::ma2_locate, request_from(kms_b, node::enclose(*kms_a_credentials_.messages, open.octets)))), ErrorCode::denied);
  EXPECT_TRUE(notified_.empty());
}

TEST_F(CmspServiceTest, RevokedSignerIsRefused) {
  revoked_ = kms_a;
  const auto answer = locate(session());
  EXPECT_EQ(refusal(answer), ErrorCode::denied);
  EXPECT_TRUE(answer.error().message.contains("revoked"));
}

TEST_F(CmspServiceTest, OldPolicyEpochIsRefused) {
  const auto open = sign(session(), *kms_a_credentials_.messages, 0);
  EXPECT_EQ(refusal(call(Endpoint::ma2_locate, request_from(kms_a, node::enclose(*kms_a_credentials_.messages, open.octets)))), ErrorCode::denied);
}

TEST_F(CmspServiceTest, KmsOfTheSameNameInAnotherDomainIsNotTheAccounts) {
  const Identity impostor = identity("qanat://evil/kms/kms-b");
  EXPECT_EQ(refusal(enter(impostor, bob, "bob")), ErrorCode::denied);
}

TEST_F(CmspServiceTest, RegistrationBelongsToTheAccountsKmsAndSubscriber) {
  EXPECT_EQ(refusal(enter(kms_a, bob, "bob")), ErrorCode::denied);
  EXPECT_EQ(refusal(enter(kms_b, bob, "alice")), ErrorCode::denied);
  EXPECT_EQ(refusal(enter(kms_b, Number("+999"), "bob")), ErrorCode::not_found);
}

TEST_F(CmspServiceTest, AccountThatMovesToAnotherKmsMustBeRegisteredThere) {
  json_of(put(bob, "bob", "kms-a", "open"));
  EXPECT_EQ(refusal(locate(session())), ErrorCode::unavailable);
  json_of(enter(kms_a, bob, "bob"));
  ASSERT_TRUE(locate(session()));
  EXPECT_EQ(notified_.back().first, ElementName("kms-a"));
}

TEST_F(CmspServiceTest, AccountsAreEnteredStrictly) {
  EXPECT_EQ(refusal(put(Number("8613"), "x", "kms-a", "open")), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(put(Number("+8613"), "a b", "kms-a", "open")), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(put(Number("+8613"), "x", "kms-a", "ajar")), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(put(Number("+8613"), "x", "kms-z", "open")), ErrorCode::not_found);
  EXPECT_EQ(refusal(put(Number("+8613"), "bob", "kms-b", "open")), ErrorCode::conflict) << "bob has a number";
  EXPECT_EQ(refusal(call(Endpoint::x5_account, request_from(operator_id, to_bytes("{}")))), ErrorCode::invalid_argument);
}

TEST_F(CmspServiceTest, CasHearsWhetherANumberMayBeCertified) {
  const auto ask = [&](std::string_view uid, const Number& number, std::string_view kms) {
    return call(Endpoint::x13_account, json_request(identity("qanat://core/cas/cas"),
                                                    wire::Json::object({{"uid", uid}, {"number", number.text()}, {"home_kms", kms}})));
  };
  json_of(ask("bob", bob, "kms-b"));
  EXPECT_EQ(refusal(ask("eve", bob, "kms-b")), ErrorCode::denied);
  EXPECT_EQ(refusal(ask("bob", bob, "kms-a")), ErrorCode::denied);
  EXPECT_EQ(refusal(ask("bob", Number("+999"), "kms-b")), ErrorCode::not_found);
  EXPECT_EQ(refusal(ask("b b", bob, "kms-b")), ErrorCode::invalid_argument);
  json_of(put(bob, "bob", "kms-b", "closed"));
  EXPECT_EQ(refusal(ask("bob", bob, "kms-b")), ErrorCode::denied);
  json_of(put(bob, "bob", "kms-b", "open"));
  EXPECT_TRUE(ask("bob", bob, "kms-b"));
}

TEST_F(CmspServiceTest, TerminalSeesItsOwnAccountByTheNumberInItsCertificate) {
  const Identity terminal = identity("qanat://b/app1/bob");
  const auto show = [&](const Identity& who, std::optional<Number> number) {
    return call(Endpoint::ma1_account, request_from(who, {}, network_.credentials(who, std::move(number)).messages->ml_dsa));
  };
  const wire::Json account = json_of(show(terminal, bob));
  EXPECT_EQ(must(account.text("uid")), "bob");
  EXPECT_EQ(must(account.text("kms")), "kms-b");
  EXPECT_EQ(must(account.text("service")), "open");
  EXPECT_EQ(refusal(show(terminal, std::nullopt)), ErrorCode::denied);
  EXPECT_EQ(refusal(show(identity("qanat://b/app1/eve"), bob)), ErrorCode::denied) << "the number has passed to another subscriber";
  EXPECT_EQ(refusal(show(terminal, Number("+999"))), ErrorCode::not_found);
}

}  // namespace
}  // namespace qanat::cmsp
