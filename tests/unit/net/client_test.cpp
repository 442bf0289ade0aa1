// The calling side: its pool, its deadlines, and servers that misbehave.
#include "net/client.hpp"

#include <gtest/gtest.h>

#include <atomic>

#include "element.hpp"
#include "raw_tls.hpp"

namespace qanat::net::test {
namespace {

constexpr const char* short_answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A server on raw TLS that serves connections one after the other, each by the next script.
class ScriptedServer {
 public:
  using Script = std::function<void(RawTls&)>;
  explicit ScriptedServer(std::vector<Script> scripts)
      : identity_(pki().leaf(Kind::qkm, "qkm-a")), context_(raw_context(TLS_server_method(), identity_.get())), thread_([this, scripts = std::move(scripts)] {
          for (const Script& script : scripts) {
            RawTls connection = listener_.accept(*context_);
            ASSERT_TRUE(connection.accept());
            script(connection);
          }
        }) {}
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;
  ~ScriptedServer() { thread_.join(); }
  [[nodiscard]] std::uint16_t port() const { return listener_.port(); }
  [[nodiscard]] std::unique_ptr<Client> client() const {
    return Client::create({.host = "127.0.0.1", .port = listener_.port(), .expected = identity_of(Kind::qkm, "qkm-a")}, pki().leaf(Kind::kms, "kms-a"),
                          pki().trust(), {});
  }

 private:
  RawListener listener_;
  std::shared_ptr<const TlsIdentity> identity_;
  RawContext context_;
  std::thread thread_;
};

TEST(ClientTest, AKeptConnectionThatTheServerClosesUnansweredIsReplacedOnce) {
  int answered = 0;
  {
    const ScriptedServer server({[](RawTls& connection) {
                                   connection.read_until("\r\n\r\n");
                                   connection.write(short_answer);
                                   connection.read_until("\r\n\r\n");  // the second request is swallowed
                                 },
                                 [](RawTls& connection) {
                                   connection.read_until("\r\n\r\n");
                                   connection.write(short_answer);
                                 }});
    const auto client = server.client();
    for (int i = 0; i < 2; ++i) answered += client->call(get("/"), soon()) ? 1 : 0;
  }
  EXPECT_EQ(answered, 2);
}

TEST(ClientTest, ANewConnectionThatIsClosedUnansweredIsNotReplaced) {
  const ScriptedServer server({[](RawTls& connection) { connection.read_until("\r\n\r\n"); }});
  EXPECT_EQ(server.client()->call(get("/"), soon()).error().code, ErrorCode::unavailable);
}

TEST(ClientTest, AHalfAnswerOnAKeptConnectionIsNotAskedForAgain) {
  const ScriptedServer server({[](RawTls& connection) {
    connection.read_until("\r\n\r\n");
    connection.write(short_answer);
    connection.read_until("\r\n\r\n");
    connection.write("HTTP/1.1 200 OK\r\nContent-Le");
  }});
  const auto client = server.client();
  ASSERT_TRUE(client->call(get("/"), soon()));
  EXPECT_EQ(client->call(get("/"), soon()).error().code, ErrorCode::unavailable);
}

TEST(ClientTest, AnAnswerThatIsTooLargeOrNoHttpIsUnavailable) {
  for (const std::string& octets : {std::string("HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n"), std::string("220 smtp ready\r\n\r\n"),
                                    "HTTP/1.1 200 OK\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"}) {
    const ScriptedServer server({[&](RawTls& connection) {
      connection.read_until("\r\n\r\n");
      connection.write(octets);
      connection.read_all();
    }});
    EXPECT_EQ(server.client()->call(get("/"), soon()).error().code, ErrorCode::unavailable);
  }
}

TEST(ClientTest, ACallEndsAtItsDeadline) {
  Event over;
  const ScriptedServer server({[&](RawTls& connection) {
    connection.read_until("\r\n\r\n");
    EXPECT_TRUE(over.wait());
  }});
  const auto client = server.client();
  const Deadline deadline = Deadline::after(milliseconds(200));
  const auto answer = client->call(get("/slow"), deadline);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::deadline_exceeded);
  EXPECT_TRUE(answer.error().message.contains("qanat://a/qkm/qkm-a: GET /slow")) << answer.error().message;
  EXPECT_TRUE(deadline.passed());
  over.announce();
  EXPECT_EQ(client->call(get("/"), Deadline::after(milliseconds(0))).error().code, ErrorCode::deadline_exceeded);
}

TEST(ClientTest, NobodyThereIsUnavailable) {
  std::uint16_t port = 0;
  { port = RawListener().port(); }
  const auto client =
      Client::create({.host = "127.0.0.1", .port = port, .expected = identity_of(Kind::qkm, "qkm-a")}, pki().leaf(Kind::kms, "kms-a"), pki().trust(), {});
  EXPECT_EQ(client->call(get("/"), soon()).error().code, ErrorCode::unavailable);
}

TEST(ClientTest, AHostNameIsResolved) {
  const Element element;
  Target target = element.target();
  target.host = "localhost";
  EXPECT_TRUE(Client::create(target, pki().leaf(Kind::kms, "kms-a"), pki().trust(), {})->call(get("/who"), soon()));
}

TEST(ClientTest, WhatWouldBreakTheRequestLineIsRefused) {
  const Element element;
  const auto client = element.kms_client();
  const auto refused = [&](const Call& call) {
    const auto answer = client->call(call, soon());
    return !answer && answer.error().code == ErrorCode::invalid_argument;
  };
  EXPECT_TRUE(refused(get("who")));
  EXPECT_TRUE(refused(get("/who HTTP/1.1\r\nX: y")));
  EXPECT_TRUE(refused(get("/who?x")));
  Call call = get("/who");
  call.query = "a b";
  EXPECT_TRUE(refused(call));
  call = get("/who");
  call.request_id = "1\r\nX: y";
  EXPECT_TRUE(refused(call));
  call = post("/echo", "x");
  call.content_type = "text/plain\r\nX: y";
  EXPECT_TRUE(refused(call));
}

TEST(ClientTest, ARestartedServerIsReachedAgain) {
  Element element;
  const auto client = element.kms_client();
  ASSERT_TRUE(client->call(get("/who"), soon()));
  ElementSettings again;
  again.port = element.server->port();
  element.server->stop(milliseconds(0));
  EXPECT_EQ(client->call(get("/who"), soon()).error().code, ErrorCode::unavailable);
  const Element restarted(std::move(again));
  EXPECT_EQ(client->call(get("/who"), soon()).value().status, 200U);
}

TEST(ClientTest, APortThatIsTakenIsUnavailable) {
  const Element element;
  const auto second = Server::start({.address = "127.0.0.1", .port = element.server->port(), .limits = {}}, *pki().leaf(Kind::qkm, "qkm-a"), pki().trust(),
                                    plain_routes(), {}, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::unavailable);
}

/// Who the server says has called: the address names the connection.
std::string connection_of(Client& client) {
  const auto answer = client.call(get("/who"), soon());
  return answer ? std::string(as_text(answer->body)) : answer.error().message;
}

TEST(ClientTest, AKeptConnectionIsUsedNoMoreOnceItsServersCertificateIsUnwanted) {
  const Element element;
  const auto client = element.kms_client();
  const std::string first = connection_of(*client);
  client->drop_servers([](const crypto::Certificate&) { return false; });
  EXPECT_EQ(connection_of(*client), first) << "another's certificate was meant";
  client->drop_servers([](const crypto::Certificate& certificate) { return certificate.names().element == identity_of(Kind::qkm, "qkm-a"); });
  const std::string second = connection_of(*client);
  EXPECT_NE(second, first);
  EXPECT_EQ(connection_of(*client), second);
}

TEST(ClientTest, AConnectionThatIsInUseWhileOthersAreDroppedIsNotKept) {
  Event entered;
  Event may_end;
  ElementSettings settings;
  settings.routes.push_back(get_route("/slow", [&](const Request& request) -> Result<Response> {
    entered.announce();
    EXPECT_TRUE(may_end.wait());
    return text_response(request.peer.address);
  }));
  const Element element(std::move(settings));
  const auto client = element.kms_client();
  std::string used;
  std::thread caller([&] {
    const auto answer = client->call(get("/slow"), soon());
    used = answer ? std::string(as_text(answer->body)) : answer.error().message;
  });
  EXPECT_TRUE(entered.wait());
  client->drop_servers([](const crypto::Certificate&) { return true; });
  may_end.announce();
  caller.join();
  EXPECT_TRUE(used.starts_with("127.0.0.1:")) << "its call still ends well: " << used;
  EXPECT_FALSE(connection_of(*client).ends_with('#' + used));
}

TEST(ClientTest, ManyThreadsShareAClient) {
  constexpr int threads = 8;
  constexpr int calls = 200;
  Element element;
  const auto client = element.kms_client();
  std::atomic<int> right = 0;
  std::vector<std::thread> callers;
  for (int t = 0; t < threads; ++t) {
    callers.emplace_back([&, t] {
      for (int i = 0; i < calls; ++i) {
        const std::string text = std::to_string(t) + "/" + std::to_string(i);
        const auto answer = client->call(post("/echo", text), soon());
        if (answer && answer->status == 200 && as_text(answer->body) == text) ++right;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(right, threads * calls);
  EXPECT_EQ(element.refusals.count(), 0U);
}

}  // namespace
TEST(ClientTest, WhereOnePlaceDoesNotAnswerTheNextOneIsAskedAndKept) {
  std::uint16_t nobody = 0;
  {
    const RawListener closed;
    nobody = closed.port();
  }
  const auto answers = [](RawTls& connection) {
    connection.read_until("\r\n\r\n");
    connection.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
  };
  const ScriptedServer server({answers, answers});
  const auto client = Client::create({.host = "127.0.0.1", .port = nobody, .expected = identity_of(Kind::qkm, "qkm-a"), .others = {{"127.0.0.1", server.port()}}},
                                     pki().leaf(Kind::kms, "kms-a"), pki().trust(), {});
  for (int i = 0; i < 2; ++i) {
    const auto answer = client->call(get("/"), soon());
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, 200U);
  }
}

TEST(ClientTest, WhereNoPlaceAnswersTheFirstOnesReasonIsTold) {
  std::vector<std::uint16_t> ports;
  for (int i = 0; i < 2; ++i) ports.push_back(RawListener().port());
  const auto client = Client::create({.host = "127.0.0.1", .port = ports[0], .expected = identity_of(Kind::qkm, "qkm-a"), .others = {{"127.0.0.1", ports[1]}}},
                                     pki().leaf(Kind::kms, "kms-a"), pki().trust(), {});
  const auto answer = client->call(get("/"), soon());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::unavailable);
  EXPECT_TRUE(answer.error().message.contains(std::to_string(ports[0]))) << answer.error().message;
}

}  // namespace qanat::net::test
