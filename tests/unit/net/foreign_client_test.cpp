// The calling side towards software of others: against servers that answer well, badly, late, or not at all, and against our own listener with revocation
// lists and several io threads.
#include "net/foreign_client.hpp"

#include <atomic>
#include <future>
#include <mutex>
#include <set>
#include <thread>

#include "foreign_pki.hpp"
#include "raw_tls.hpp"

namespace qanat::net {
namespace {

using test::foreign_files;

constexpr std::chrono::seconds plenty{10};

/// A server of one connection that does what `act` does, in a thread of its own.
class OneServer {
 public:
  struct Policy {
    int version_min = TLS1_2_VERSION;
    int version_max = TLS1_3_VERSION;
    bool wants_certificate = true;
  };
  OneServer(const crypto::PemFiles& identity, Policy policy, std::function<void(test::RawTls&)> act) : context_(SSL_CTX_new(TLS_server_method())) {
    EXPECT_EQ(SSL_CTX_set_min_proto_version(context_.get(), policy.version_min), 1);
    EXPECT_EQ(SSL_CTX_set_max_proto_version(context_.get(), policy.version_max), 1);
    EXPECT_EQ(SSL_CTX_use_certificate_file(context_.get(), identity.certificate.c_str(), SSL_FILETYPE_PEM), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey_file(context_.get(), identity.key.c_str(), SSL_FILETYPE_PEM), 1);
    EXPECT_EQ(SSL_CTX_load_verify_locations(context_.get(), foreign_files().root.certificate.c_str(), nullptr), 1);
    SSL_CTX_set_verify(context_.get(), policy.wants_certificate ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE, nullptr);
    thread_ = std::thread([this, act = std::move(act)] {
      test::RawTls tls = listener_.accept(*context_);
      if (tls.accept()) act(tls);
    });
  }
  ~OneServer() { thread_.join(); }
  [[nodiscard]] ForeignUrl url() const { return {.host = "127.0.0.1", .port = listener_.port(), .path = "/x?y=1"}; }

 private:
  test::RawListener listener_;
  test::RawContext context_;
  std::thread thread_;
};

Result<Response> call(const ForeignUrl& url, std::string_view body = "", Deadline deadline = Deadline::after(plenty), const ForeignTls* tls = nullptr) {
  const ForeignTls own = foreign_files().tls(foreign_files().leaf("client"));
  const auto client = ForeignClient::create(tls != nullptr ? *tls : own);
  EXPECT_TRUE(client);
  return (*client)->call("POST", url, "application/json", as_bytes(body), deadline);
}
const crypto::PemFiles& server() { return foreign_files().leaf("server"); }
/// What the server says once it has read a request.
auto says(std::string answer) {
  return [answer = std::move(answer)](test::RawTls& tls) {
    EXPECT_TRUE(tls.read_until("\r\n\r\n").starts_with("POST /x?y=1 HTTP/1.1\r\n"));
    tls.write(answer);
    (void)tls.read_all();
  };
}
std::string text_of(const Result<Response>& answer) { return answer ? std::string(as_text(answer->body)) : answer.error().message; }

TEST(ForeignClientTest, SpeaksTls12AndTls13) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const OneServer one(server(), {.version_min = version, .version_max = version},
                        says("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"));
    const auto answer = call(one.url());
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, 200U);
    EXPECT_EQ(answer->content_type, "text/plain");
    EXPECT_EQ(text_of(answer), "hi");
  }
}

TEST(ForeignClientTest, NothingOlderThanTls12) {
  const OneServer one(server(), {.version_min = TLS1_1_VERSION, .version_max = TLS1_1_VERSION}, [](test::RawTls&) {});
  const auto answer = call(one.url());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::unavailable);
}

TEST(ForeignClientTest, SendsTheBodyAndReadsRefusalsAsAnswers) {
  const OneServer one(server(), {}, [](test::RawTls& tls) {
    EXPECT_TRUE(tls.read_until("{\"a\":1}").contains("Content-Length: 7\r\n"));
    tls.write("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    (void)tls.read_all();
  });
  const auto answer = call(one.url(), "{\"a\":1}");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 503U);
}

TEST(ForeignClientTest, PutsAChunkedAnswerTogether) {
  const OneServer one(server(), {}, says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n"));
  EXPECT_EQ(text_of(call(one.url())), "abc0123456789");
}

TEST(ForeignClientTest, AnAnswerThatIsTooLongIsNone) {
  const std::string mebibyte(1024 * 1024, 'x');
  for (const std::string& head :
       {std::string("Content-Length: 1048577\r\n\r\n") + mebibyte + "x",
        std::string("Transfer-Encoding: chunked\r\n\r\n100001\r\n") + mebibyte + "x\r\n0\r\n\r\n", "X: " + std::string(64 * 1024, 'x') + "\r\n\r\n"}) {
    const OneServer one(server(), {}, says("HTTP/1.1 200 OK\r\n" + head));
    const auto answer = call(one.url());
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::unavailable);
  }
}

TEST(ForeignClientTest, AConnectionThatIsCutBeforeTheAnswersEndIsNoAnswer) {
  for (const char* part :
       {"", "HTTP/1.1 200 OK\r\nContent-", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi",
        "HTTP/1.1 200 OK\r\n\r\nto the end of the connection: nobody can tell where that was to be"}) {
    const OneServer one(server(), {}, [part](test::RawTls& tls) {
      (void)tls.read_until("\r\n\r\n");
      if (*part != '\0') tls.write(part);
      tls.close();
    });
    const auto answer = call(one.url());
    ASSERT_FALSE(answer) << part;
    EXPECT_EQ(answer.error().code, ErrorCode::unavailable) << part;
  }
}

TEST(ForeignClientTest, WhatIsNoHttpIsNoAnswer) {
  const OneServer one(server(), {}, says("SSH-2.0-x\r\n\r\n"));
  EXPECT_TRUE(text_of(call(one.url())).contains("no HTTP"));
}

TEST(ForeignClientTest, WaitsNoLongerThanTheDeadline) {
  const test::RawListener silent;  // connections wait in its queue
  const auto unheard = call({.host = "127.0.0.1", .port = silent.port(), .path = "/"}, "", Deadline::after(std::chrono::milliseconds(50)));
  ASSERT_FALSE(unheard);
  EXPECT_EQ(unheard.error().code, ErrorCode::deadline_exceeded);
  const OneServer slow(server(), {}, [](test::RawTls& tls) { (void)tls.read_all(); });
  const auto unanswered = call(slow.url(), "", Deadline::after(std::chrono::milliseconds(500)));
  ASSERT_FALSE(unanswered);
  EXPECT_EQ(unanswered.error().code, ErrorCode::deadline_exceeded);
}

TEST(ForeignClientTest, NobodyThereIsUnavailable) {
  std::uint16_t port = 0;
  { port = test::RawListener().port(); }
  const auto answer = call({.host = "127.0.0.1", .port = port, .path = "/"});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::unavailable);
}

TEST(ForeignClientTest, AServerOfAnotherNameOrAnotherRootIsRefused) {
  for (const crypto::PemFiles* identity : {&foreign_files().leaf("elsewhere", "127.0.0.2"), &foreign_files().leaf("of-other-root", "127.0.0.1", true)}) {
    std::atomic<bool> got_request = false;
    {
      const OneServer one(*identity, {}, [&](test::RawTls& tls) { got_request = !tls.read_all().empty(); });
      const auto answer = call(one.url());
      ASSERT_FALSE(answer);
      EXPECT_EQ(answer.error().code, ErrorCode::unauthenticated) << answer.error().message;
    }
    EXPECT_FALSE(got_request);
  }
}

TEST(ForeignClientTest, ARevokedServerIsRefusedAndOneThatNoListCoversToo) {
  const crypto::PemFiles& client = foreign_files().leaf("client");
  const ForeignTls good = foreign_files().tls(client, foreign_files().crl("others", {"client"}));
  const ForeignTls revoked = foreign_files().tls(client, foreign_files().crl("server", {"server"}));
  const ForeignTls stale = foreign_files().tls(client, foreign_files().crl("stale", {}, 3 * 86400));
  {
    const OneServer one(server(), {}, says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"));
    EXPECT_EQ(text_of(call(one.url(), "", Deadline::after(plenty), &good)), "hi");
  }
  for (const ForeignTls* tls : {&revoked, &stale}) {
    const OneServer one(server(), {}, [](test::RawTls& connection) { EXPECT_EQ(connection.read_all(), ""); });
    const auto answer = call(one.url(), "", Deadline::after(plenty), tls);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::unauthenticated) << answer.error().message;
    EXPECT_TRUE(answer.error().message.contains(tls == &revoked ? "revoked" : "expired")) << answer.error().message;
  }
}

/// Our own listener, which says who asked.
class ListenerTest : public testing::Test {
 protected:
  void start(const std::filesystem::path& crls, std::size_t io_threads = 1) {
    ForeignSettings settings;
    settings.tls = foreign_files().tls(server(), crls);
    settings.limits.io_threads = io_threads;
    ForeignService service{.prefix = "/", .routes = {}, .refuse = [](unsigned status, std::string_view why) {
                             return ForeignResponse{.status = status, .content_type = "text/plain", .body = Secret::copy_of(as_bytes(why))};
                           }};
    service.routes.push_back(
        {.point = "x", .method = "POST", .pattern = "/who", .body_max = 64, .answer = [this](const ForeignRequest& request, ForeignReply reply) {
           {
             const std::lock_guard lock(mutex_);
             threads_.insert(std::this_thread::get_id());
           }
           reply({.status = 200,
                  .content_type = "text/plain",
                  .body = Secret::copy_of(as_bytes(request.peer->names.front() + std::string(as_text(request.body))))});
         }});
    std::vector<ForeignService> services;
    services.push_back(std::move(service));
    auto started = ForeignListener::start(settings, std::move(services), [this](const Refusal& refusal) {
      const std::lock_guard lock(mutex_);
      refusals_.push_back(refusal.reason);
    });
    ASSERT_TRUE(started) << started.error().message;
    listener_ = std::move(*started);
  }
  Result<Response> ask(const std::string& who, std::string_view body = "") {
    const ForeignTls tls = foreign_files().tls(foreign_files().leaf(who));
    return call({.host = "127.0.0.1", .port = listener_->port(), .path = "/who"}, body, Deadline::after(plenty), &tls);
  }
  std::mutex mutex_;
  std::set<std::thread::id> threads_;
  std::vector<std::string> refusals_;
  std::unique_ptr<ForeignListener> listener_;  // last: its threads use what stands above
};

TEST_F(ListenerTest, ARevokedSaeGetsNoConnectionAndTheReasonIsOnRecord) {
  (void)foreign_files().leaf("sae-revoked");
  start(foreign_files().crl("saes", {"sae-revoked"}));
  EXPECT_EQ(text_of(ask("sae-good")), "sae-good");
  const auto refused = ask("sae-revoked");
  ASSERT_FALSE(refused);
  listener_->stop(std::chrono::milliseconds(0));  // what was refused is then on record
  ASSERT_EQ(refusals_.size(), 1U);
  EXPECT_TRUE(refusals_[0].contains("certificate revoked")) << refusals_[0];
}

TEST_F(ListenerTest, AListThatIsOutOfDateLetsNobodyIn) {
  start(foreign_files().crl("old", {}, 3 * 86400));
  EXPECT_FALSE(ask("sae-good"));
  listener_->stop(std::chrono::milliseconds(0));
  ASSERT_EQ(refusals_.size(), 1U);
  EXPECT_TRUE(refusals_[0].contains("CRL has expired")) << refusals_[0];
}

TEST_F(ListenerTest, AFileWithoutListsStopsTheStart) {
  ForeignSettings settings;
  settings.tls = foreign_files().tls(server(), foreign_files().root.certificate);
  const auto started = ForeignListener::start(settings, {}, {});
  ASSERT_FALSE(started);
  EXPECT_TRUE(started.error().message.contains("no certificate revocation lists"));
}

TEST_F(ListenerTest, SeveralIoThreadsAnswerEveryClientItsOwn) {
  start({}, 4);
  (void)foreign_files().leaf("sae-good");
  std::vector<std::future<int>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::async(std::launch::async, [this, i] {
      int right = 0;
      for (int j = 0; j < 10; ++j) {
        const std::string body = std::to_string(i) + "." + std::to_string(j);
        right += text_of(ask("sae-good", body)) == "sae-good" + body ? 1 : 0;
      }
      return right;
    }));
  }
  for (auto& client : clients) EXPECT_EQ(client.get(), 10);
  listener_->stop(std::chrono::milliseconds(1000));
  EXPECT_EQ(threads_.size(), 4U);
  EXPECT_TRUE(refusals_.empty());
}

TEST_F(ListenerTest, SeveralIoThreadsStopWhileClientsAsk) {
  start({}, 3);
  (void)foreign_files().leaf("sae-good");
  std::atomic<int> asked = 0;
  std::vector<std::future<void>> clients;
  for (int i = 0; i < 6; ++i) {
    clients.push_back(std::async(std::launch::async, [this, &asked] {
      while (ask("sae-good", "x")) ++asked;  // until there is no answer any more
    }));
  }
  const Deadline soon = Deadline::after(plenty);
  while (asked < 6 && !soon.passed()) std::this_thread::yield();
  listener_->stop(std::chrono::milliseconds(1000));
  for (auto& client : clients) client.get();
  EXPECT_GE(asked, 6);
}

}  // namespace
}  // namespace qanat::net
