// The listener of the CEIS for everybody's software: which chain it shows, who is let in, what happens when many come, how it renews itself.
#include "front_fixture.hpp"

#include <latch>
#include <thread>

#include "stapled_status.hpp"

namespace qanat::cas {
namespace {

const std::string echo = "GET /x/who HTTP/1.1\r\nConnection: close\r\n\r\n";

net::ForeignResponse said(unsigned status, std::string_view text) {
  return {.status = status, .content_type = "text/plain", .body = Secret::copy_of(as_bytes(text))};
}

class EnrolmentFrontTest : public FrontFixture {
 protected:
  EnrolmentService service(Carrier carrier = Carrier::tls) {
    EnrolmentService out{.prefix = "/x/", .routes = {}, .refuse = said, .carrier = carrier};
    out.routes.push_back({.point = "X who", .method = "GET", .pattern = "/x/who", .body_max = 0, .answer = [](net::ForeignRequest& request) {
                            return said(200, request.peer->names.empty() ? "nobody" : request.peer->names.front());
                          }});
    out.routes.push_back({.point = "X wait", .method = "GET", .pattern = "/x/wait", .body_max = 0, .answer = [this](net::ForeignRequest&) {
                            begun_.count_down();
                            go_on_.wait();
                            return said(200, "waited");
                          }});
    return out;
  }
  std::latch begun_{1};
  std::latch go_on_{1};
};

TEST_F(EnrolmentFrontTest, ShowsEachClientTheChainThatItCanVerify) {
  start({service()});
  const TlsAnswer best = ask_tls(front_->port(), echo);
  EXPECT_EQ(best.key_type, "ML-DSA-65");
  EXPECT_EQ(best.body(), "nobody");
  const TlsAnswer classical =
      ask_tls(front_->port(), echo, nullptr, {.groups = "x25519", .signature_algorithms = "ecdsa_secp384r1_sha384:rsa_pss_rsae_sha256"});
  EXPECT_EQ(classical.key_type, "EC");
  EXPECT_EQ(classical.body(), "nobody");
  const TlsAnswer old = ask_tls(front_->port(), echo, nullptr,
                                {.groups = "secp384r1:secp256r1", .signature_algorithms = "ECDSA+SHA384:ECDSA+SHA256:RSA+SHA256", .version = TLS1_2_VERSION});
  EXPECT_EQ(old.key_type, "EC");
  EXPECT_EQ(old.body(), "nobody");
}

TEST_F(EnrolmentFrontTest, TakesClientCertificatesOfBothBranchesAndRefusesOthers) {
  start({service()});
  for (const FrontPki* pki : {&p384_, &ml_dsa_}) {
    const net::TlsIdentity client = pki->client("device-1");
    EXPECT_EQ(ask_tls(front_->port(), echo, &client).body(), "device-1");
  }
  const FrontPki stranger(crypto::KeyAlgorithm::ecdsa_p384, 40);
  const net::TlsIdentity client = stranger.client("device-1");
  EXPECT_EQ(ask_tls(front_->port(), echo, &client).status(), 0);
  EXPECT_TRUE(recorded_.has("handshake: "));
}

TEST_F(EnrolmentFrontTest, ARequestThatFindsTheQueueFullIsToldToComeAgain) {
  settings_.workers = 1;
  settings_.waiting_max = 1;
  start({service()});
  const std::string wait = "GET /x/wait HTTP/1.1\r\nConnection: close\r\n\r\n";
  std::thread first([&] { EXPECT_EQ(ask_tls(front_->port(), wait).body(), "waited"); });
  begun_.wait();
  // One more fits the queue; of three, two at least do not.
  std::array<int, 3> statuses{};
  std::vector<std::thread> more;
  std::latch busy(2);
  for (int& status : statuses) {
    more.emplace_back([&] {
      const TlsAnswer answer = ask_tls(front_->port(), echo);
      status = answer.status();
      if (status == 503) {
        EXPECT_TRUE(answer.octets.contains("Retry-After: 5\r\n")) << answer.octets;
        busy.count_down();
      }
    });
  }
  busy.wait();
  go_on_.count_down();
  for (std::thread& thread : more) thread.join();
  first.join();
  EXPECT_EQ(std::ranges::count(statuses, 200), 1);
  EXPECT_EQ(std::ranges::count(statuses, 503), 2);
}

TEST_F(EnrolmentFrontTest, ARequestWhoseTimeIsOverIsNotBegun) {
  settings_.workers = 1;
  settings_.listener.limits.request_max = std::chrono::milliseconds(50);
  bool begun = false;
  EnrolmentService services = service();
  services.routes.push_back({.point = "X", .method = "GET", .pattern = "/x/later", .body_max = 0, .answer = [&](net::ForeignRequest&) {
                               begun = true;
                               return said(200, "");
                             }});
  start({services});
  std::thread first([&] { EXPECT_EQ(ask_tls(front_->port(), "GET /x/wait HTTP/1.1\r\n\r\n").status(), 503); });
  begun_.wait();
  EXPECT_EQ(ask_tls(front_->port(), "GET /x/later HTTP/1.1\r\n\r\n").status(), 503);
  go_on_.count_down();
  first.join();
  EXPECT_EQ(ask_tls(front_->port(), echo).status(), 200) << "the one worker has come past the late request";
  EXPECT_FALSE(begun);
}

TEST_F(EnrolmentFrontTest, RenewsItsCertificatesWhileItListensWhenTwoThirdsOfTheirLifeAreOver) {
  settings_.lifetime = std::chrono::hours(3);
  start({service()});
  const auto shown = [&] {
    const net::test::RawContext context = net::test::raw_context(TLS_client_method(), nullptr, any_policy);
    net::test::RawTls tls = net::test::RawTls::to(front_->port(), *context);
    EXPECT_TRUE(tls.connect());
    return tls.peer_certificate();
  };
  const Bytes first = shown();
  const UnixMs hour = 3'600'000;
  test::must(front_->renew(clock_.now_ms() + hour));
  EXPECT_EQ(shown(), first);
  {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(issued_, 2);
    issue_refuses_ = Error{ErrorCode::unavailable, "no issuing now"};
  }
  EXPECT_FALSE(front_->renew(clock_.now_ms() + 3 * hour));
  EXPECT_EQ(shown(), first) << "what cannot be renewed goes on";
  {
    const std::lock_guard lock(mutex_);
    issue_refuses_.reset();
  }
  test::must(front_->renew(clock_.now_ms() + 4 * hour));
  EXPECT_NE(shown(), first);
  EXPECT_EQ(ask_tls(front_->port(), echo).body(), "nobody");
}

TEST_F(EnrolmentFrontTest, CertificatesThatTheListenerCannotTakeAreReplacedAfterAMinute) {
  settings_.lifetime = std::chrono::hours(3);
  start({service()});
  const auto shown = [&] { return status_shown(front_->port(), any_policy).certificate; };
  const Bytes first = shown();
  const UnixMs later = clock_.now_ms() + 3 * 3'600'000;
  {
    const std::lock_guard lock(mutex_);
    misfits_at_ = later;
  }
  const Result<void> refused = front_->renew(later);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message.contains("does not fit its private key")) << refused.error().message;
  {
    const std::lock_guard lock(mutex_);
    misfits_at_.reset();
  }
  test::must(front_->renew(later + 59'999));
  EXPECT_EQ(shown(), first) << "each try leaves certificates behind";
  test::must(front_->renew(later + 60'000));
  EXPECT_NE(shown(), first);
}

constexpr net::test::RawPolicy classical_policy{.groups = "x25519", .signature_algorithms = "ecdsa_secp384r1_sha384:rsa_pss_rsae_sha256"};
constexpr net::test::RawPolicy old_policy{
    .groups = "secp384r1:secp256r1", .signature_algorithms = "ECDSA+SHA384:ECDSA+SHA256:RSA+SHA256", .version = TLS1_2_VERSION};

TEST_F(EnrolmentFrontTest, StaplesTheStatusOfTheCertificateThatItShowsToThoseWhoAsk) {
  start({service()});
  struct Row {
    net::test::RawPolicy policy;
    const FrontPki* pki;
    const char* key_type;
  };
  for (const Row& row : {Row{any_policy, &ml_dsa_, "ML-DSA-65"}, Row{classical_policy, &p384_, "EC"}, Row{old_policy, &p384_, "EC"}}) {
    ShownStatus shown = status_shown(front_->port(), row.policy);
    EXPECT_EQ(shown.key_type, row.key_type);
    EXPECT_EQ(status_by_openssl(shown, row.pki->issuing), "good");
    shown.certificate = row.pki->leaf(row.pki->key(5), "other").der();
    EXPECT_EQ(status_by_openssl(shown, row.pki->issuing), "about another certificate");
    EXPECT_TRUE(status_shown(front_->port(), row.policy, AsksForStatus::no).response.empty());
  }
  is_good_ = false;
  for (const net::test::RawPolicy& policy : {any_policy, classical_policy, old_policy}) {
    const ShownStatus shown = status_shown(front_->port(), policy);
    EXPECT_FALSE(shown.certificate.empty());
    EXPECT_TRUE(shown.response.empty());
  }
}

TEST_F(EnrolmentFrontTest, AfterARenewalTheAnswerIsAboutTheNewCertificate) {
  settings_.lifetime = std::chrono::hours(3);
  start({service()});
  const std::array before{status_shown(front_->port(), any_policy), status_shown(front_->port(), classical_policy)};
  test::must(front_->renew(clock_.now_ms() + 3 * 3'600'000));
  const std::array after{status_shown(front_->port(), any_policy), status_shown(front_->port(), classical_policy)};
  const std::array issuers{&ml_dsa_.issuing, &p384_.issuing};
  for (std::size_t i = 0; i < issuers.size(); ++i) {
    EXPECT_NE(after[i].certificate, before[i].certificate);
    EXPECT_EQ(status_by_openssl(after[i], *issuers[i]), "good");
    EXPECT_EQ(status_by_openssl({.key_type = "", .certificate = before[i].certificate, .response = after[i].response}, *issuers[i]),
              "about another certificate");
  }
}

TEST_F(EnrolmentFrontTest, WritesDownTheFirstRefusalsOfASecondAndCountsTheRest) {
  const UnixMs now = clock_.now_ms();
  clock_.stand_at(now);
  start({service()});
  constexpr std::size_t wrong = 23;
  for (std::size_t i = 0; i < wrong; ++i) EXPECT_EQ(ask_tls(front_->port(), "GET /nowhere HTTP/1.1\r\n\r\n").status(), 404);
  EXPECT_EQ(recorded_.count(), 20U);  // each was recorded, or counted, before it was answered
  EXPECT_TRUE(recorded_.has("nothing is served at this path"));
  clock_.stand_at(now + 1000);
  EXPECT_EQ(ask_tls(front_->port(), "GET /nowhere HTTP/1.1\r\n\r\n").status(), 404);
  EXPECT_EQ(recorded_.count(), 22U);
  EXPECT_TRUE(recorded_.has("3 more refusals in a second"));
}

TEST_F(EnrolmentFrontTest, ServesOverPlainHttpOnlyWhatProtectsItself) {
  start({});
  EnrolmentService mine = service(Carrier::any);
  EnrolmentService secret = service(Carrier::tls);
  secret.prefix = "/y/";
  for (EnrolmentRoute& route : secret.routes) route.pattern.replace(0, 3, "/y/");
  net::ForeignSettings settings;
  settings.transport = net::ForeignTransport::plain;
  std::vector<net::ForeignService> plain = front_->plain({secret, mine});
  ASSERT_EQ(plain.size(), 1U);
  const auto listener = test::must(net::ForeignListener::start(settings, std::move(plain), {}));
  EXPECT_EQ(as_text(test::ask_plain(listener->port(), "GET", "/x/who").body), "nobody");
  EXPECT_EQ(test::ask_plain(listener->port(), "GET", "/y/who").status, 404);
}

TEST_F(EnrolmentFrontTest, WithoutAUrlItDoesNotListen) {
  settings_.url.clear();
  start({service()});
  EXPECT_EQ(front_->port(), 0);
  EXPECT_EQ(issued_, 0);
}

}  // namespace
}  // namespace qanat::cas
