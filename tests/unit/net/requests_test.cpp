// What the server makes of requests: routing, limits, deadlines, and octets that are no request.
#include <gtest/gtest.h>

#include <atomic>

#include "element.hpp"
#include "raw_tls.hpp"

namespace qanat::net::test {
namespace {

/// A connected peer that writes what it likes.
class RawKms {
 public:
  explicit RawKms(const Element& element)
      : identity_(pki().leaf(Kind::kms, "kms-a")), context_(raw_context(TLS_client_method(), identity_.get())), tls_(RawTls::to(element.server->port(), *context_)) {
    EXPECT_TRUE(tls_.connect());
  }
  RawTls* operator->() { return &tls_; }
  /// Everything that comes until the server closes.
  std::string after(std::string_view octets) {
    EXPECT_TRUE(tls_.write(octets));
    return tls_.read_all();
  }

 private:
  std::shared_ptr<const TlsIdentity> identity_;
  RawContext context_;
  RawTls tls_;
};

unsigned status_of(std::string_view answer) { return answer.starts_with("HTTP/1.1 ") ? static_cast<unsigned>(std::stoul(std::string(answer.substr(9, 3)))) : 0; }

TEST(RequestTest, BodyQueryAndHeadersComeThrough) {
  const Element element;
  const auto client = element.kms_client();
  EXPECT_EQ(as_text(client->call(post("/echo", "hello"), soon()).value().body), "hello");
  Call who = get("/who");
  who.query = "a=1&b=%20";
  EXPECT_TRUE(as_text(client->call(who, soon()).value().body).contains("?a=1&b=%20#"));
}

TEST(RequestTest, AnAnswerThatIsSecretComesWholeAndStaysWithItsHandler) {
  const auto kept = std::make_shared<const Secret>(Secret::copy_of(Bytes(100'000, 'k')));
  const Element element({.routes = {get_route("/secret", [kept](const Request&) -> Result<Response> {
    return Response{.status = 200, .content_type = "text/plain", .body = {}, .secret = kept};
  })}});
  const auto client = element.kms_client();
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(equal(client->call(get("/secret"), soon()).value().body, kept->reveal())) << "what is wiped is the copy that was sent";
}

TEST(RequestTest, TheAnswerCarriesTheRequestIdAndIsNotToBeStored) {
  const Element element;
  RawKms peer(element);
  const std::string answer = peer.after("GET /who HTTP/1.1\r\nHost: x\r\nQanat-Request-Id: 0123abcd\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(status_of(answer), 200U);
  EXPECT_TRUE(answer.contains("Qanat-Request-Id: 0123abcd\r\n")) << answer;
  EXPECT_TRUE(answer.contains("Cache-Control: no-store\r\n"));
  EXPECT_TRUE(answer.contains("Content-Type: text/plain\r\n"));
  EXPECT_TRUE(answer.contains("Content-Length: "));
}

TEST(RequestTest, AnswerThatAsksWhoTheCallerIsSaysHow) {
  Route guarded = get_route("/guarded", [](const Request&) -> Result<Response> { return fail(ErrorCode::unauthenticated, "who?"); });
  guarded.challenge = "Basic realm=\"test\"";
  const Element element({.routes = {guarded, get_route("/open", [](const Request&) -> Result<Response> { return fail(ErrorCode::unauthenticated, "who?"); })}});
  const std::string answer = RawKms(element).after("GET /guarded HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(status_of(answer), 401U);
  EXPECT_TRUE(answer.contains("WWW-Authenticate: Basic realm=\"test\"\r\n")) << answer;
  const std::string other = RawKms(element).after("GET /open HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_FALSE(other.contains("WWW-Authenticate")) << other;
}

TEST(RequestTest, TwoAuthorizationFieldsAreRefused) {
  Element element;
  const std::string answer = RawKms(element).after("GET /who HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nAuthorization: b\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(status_of(answer), 400U) << answer;
  element.refusals.wait_for("more than one Authorization field");
}

TEST(RequestTest, TwoRequestsShareAConnection) {
  const Element element;
  const auto client = element.kms_client();
  const Response first = client->call(get("/who"), soon()).value();
  EXPECT_EQ(client->call(get("/who"), soon()).value().body, first.body);  // the body has the caller's port
}

TEST(RequestTest, PipelinedRequestsAreAnsweredInOrderAndGarbageEndsTheConnection) {
  Element element;
  RawKms peer(element);
  const std::string answer = peer.after("GET /who?1 HTTP/1.1\r\nHost: x\r\n\r\nGET /who?2 HTTP/1.1\r\nHost: x\r\n\r\n\x01\x02 not http\r\n\r\n");
  const std::size_t first = answer.find("?1#");
  const std::size_t second = answer.find("?2#");
  const std::size_t bad = answer.find("HTTP/1.1 400");
  ASSERT_NE(bad, std::string::npos) << answer;
  EXPECT_LT(first, second);
  EXPECT_LT(second, bad);
  EXPECT_EQ(element.refusals.wait_for("not an HTTP/1.1 request").peer, "qanat://a/kms/kms-a");
}

TEST(RequestTest, AnUnknownPathIs404AndAnotherMethod405) {
  Element element;
  RawKms peer(element);
  ASSERT_TRUE(peer->write("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_EQ(status_of(peer->read_until("}")), 404U);
  const std::string answer = peer.after("DELETE /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(status_of(answer), 405U);
  EXPECT_TRUE(answer.contains("Allow: GET\r\n")) << answer;
  EXPECT_EQ(element.refusals.wait_for("nothing is served at /nothing").code, ErrorCode::not_found);
}

TEST(RequestTest, AHeadRequestGetsNoContent) {
  const Element element;
  RawKms peer(element);
  const std::string answer = peer.after("HEAD /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(status_of(answer), 200U);
  EXPECT_TRUE(answer.ends_with("\r\n\r\n")) << answer;
  const auto client = element.kms_client();
  Call head = get("/who");
  head.method = "HEAD";
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(client->call(head, soon()).value().body.empty());
}

TEST(RequestTest, AKindThatIsNotInTheRowIsRefused) {
  Element element;
  const auto answer = element.client(pki().leaf(Kind::sae, "sae-1"))->call(get("/who"), soon());
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 403U);
  EXPECT_EQ(error_of(*answer).code, ErrorCode::denied);
  const Refusal refusal = element.refusals.wait_for("sae may not call T-who");
  EXPECT_EQ(refusal.point, "T-who");
  EXPECT_EQ(refusal.peer, "qanat://a/sae/sae-1");
  EXPECT_EQ(refusal.code, ErrorCode::denied);
}

TEST(RequestTest, AnotherContentTypeIs415) {
  Element element;
  Call call = post("/echo", "hello");
  call.content_type = "application/json";
  EXPECT_EQ(element.kms_client()->call(call, soon()).value().status, 415U);
  EXPECT_EQ(element.refusals.wait_for("T-echo takes text/plain").point, "T-echo");
}

TEST(RequestTest, ABodyOverTheLimitIs413BeforeItIsRead) {
  Element element;
  const auto client = element.kms_client();
  EXPECT_EQ(client->call(post("/echo", std::string(64, 'x')), soon()).value().status, 200U);
  EXPECT_EQ(client->call(post("/echo", std::string(65, 'x')), soon()).value().status, 413U);
  EXPECT_EQ(client->call(post("/echo", std::string(300'000, 'x')), soon()).value().status, 413U);
  // Only announced: the answer does not wait for it.
  RawKms announcing(element);
  EXPECT_EQ(status_of(announcing.after("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 18446744073709551615\r\n\r\n")), 413U);
  RawKms chunking(element);
  EXPECT_EQ(status_of(chunking.after("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n41\r\n")), 413U);
  EXPECT_EQ(element.refusals.wait_for("at most 64 octets").point, "T-echo");
}

TEST(RequestTest, ARouteWithoutBodyTakesNone) {
  const Element element;
  Call call = get("/who");
  call.content_type = "text/plain";
  call.body = as_bytes("x");
  EXPECT_EQ(element.kms_client()->call(call, soon()).value().status, 413U);
}

TEST(RequestTest, AChunkedBodyWithinTheLimitIsRead) {
  const Element element;
  RawKms peer(element);
  const std::string answer = peer.after(
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_TRUE(answer.ends_with("\r\n\r\nabcde")) << answer;
}

TEST(RequestTest, AClientThatExpectsASignGetsIt) {
  const Element element;
  RawKms peer(element);
  ASSERT_TRUE(peer->write("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"));
  EXPECT_EQ(peer->read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_TRUE(peer.after("ok").ends_with("ok"));
}

TEST(RequestTest, AHeadOverTheLimitIs431) {
  Element element;
  RawKms peer(element);
  EXPECT_EQ(status_of(peer.after("GET /who HTTP/1.1\r\nHost: x\r\nX: " + std::string(ServerLimits().head_max, 'x') + "\r\n\r\n")), 431U);
  EXPECT_EQ(element.refusals.wait_for("head is over 16384 octets").code, ErrorCode::invalid_argument);
}

TEST(RequestTest, WhatIsNoRequestIs400AndEndsTheConnection) {
  for (const char* octets : {"GARBAGE\r\n\r\n", "GET /who HTTP/9.9\r\n\r\n", "GET /who HTTP/1.1\r\nBad Header: x\r\n\r\n",
                             "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                             "POST /echo HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "GET who HTTP/1.1\r\nConnection: close\r\n\r\n",
                             "GET /who HTTP/1.1\r\nQanat-Deadline-Ms: soon\r\nConnection: close\r\n\r\n"}) {
    Element element;
    RawKms peer(element);
    EXPECT_EQ(status_of(peer.after(octets)), 400U) << octets;
    element.refusals.wait_for("");
  }
}

TEST(RequestTest, ASlowHeadAndASlowBodyAre408AndEndTheConnection) {
  ElementSettings settings;
  settings.limits.head_and_body_max = milliseconds(30);
  Element element(std::move(settings));
  RawKms head(element);
  EXPECT_EQ(status_of(head.after("GET /who HTTP/1.1\r\nHo")), 408U);
  EXPECT_EQ(element.refusals.wait_for("head took too long").code, ErrorCode::deadline_exceeded);
  RawKms body(element);
  EXPECT_EQ(status_of(body.after("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nabc")), 408U);
  element.refusals.wait_for("body took too long");
}

TEST(RequestTest, AnIdleConnectionIsClosed) {
  ElementSettings settings;
  settings.limits.idle_max = milliseconds(20);
  Element element(std::move(settings));
  RawKms peer(element);
  EXPECT_EQ(peer->read_all(), "");
  EXPECT_EQ(element.refusals.count(), 0U);
}

TEST(RequestTest, AFurtherConnectionThanTheLimitIsClosedAtOnce) {
  ElementSettings settings;
  settings.limits.connections_max = 1;
  Element element(std::move(settings));
  RawKms first(element);
  ASSERT_TRUE(first->write("GET /who HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_EQ(status_of(first->read_until("#")), 200U);
  EXPECT_EQ(element.kms_client()->call(get("/who"), soon()).error().code, ErrorCode::unavailable);
  EXPECT_EQ(element.refusals.wait_for("too many connections").code, ErrorCode::exhausted);
}

TEST(RequestTest, AConnectionWhoseCertificateIsUnwantedIsClosedAndOthersStay) {
  Element element;
  RawKms peer(element);
  const std::string request = "GET /who HTTP/1.1\r\nHost: x\r\n\r\n";
  ASSERT_TRUE(peer->write(request));
  EXPECT_EQ(status_of(peer->read_until("#")), 200U);
  const auto named = [](const std::string& name) {
    return [name](const crypto::Certificate& certificate) { return certificate.names().element && certificate.names().element->name == name; };
  };
  element.server->drop_peers(named("another"));
  ASSERT_TRUE(peer->write(request));
  EXPECT_EQ(status_of(peer->read_until("#")), 200U);
  element.server->drop_peers(named("kms-a"));
  EXPECT_EQ(element.refusals.wait_for("its certificate is revoked").code, ErrorCode::denied);
  static_cast<void>(peer->write(request));
  EXPECT_FALSE(peer->read_all().contains("HTTP/1.1 200"));
}

TEST(HandlerTest, AnErrorBecomesItsStatusAndBody) {
  ElementSettings settings;
  settings.routes = {get_route("/", [](const Request&) -> Result<Response> { return fail(ErrorCode::conflict, "used already"); })};
  Element element(std::move(settings));
  const Response answer = element.kms_client()->call(get("/"), soon()).value();
  EXPECT_EQ(answer.status, 409U);
  EXPECT_EQ(error_of(answer), (Error{ErrorCode::conflict, "used already"}));
  EXPECT_EQ(element.refusals.count(), 0U);  // the handler's own matter
}

TEST(HandlerTest, AnExceptionIs500ToldToTheSinkAloneAndTheServerLivesOn) {
  ElementSettings settings;
  settings.routes.push_back(get_route("/throws", [](const Request&) -> Result<Response> { throw std::runtime_error("inner detail"); }));
  Element element(std::move(settings));
  const auto client = element.kms_client();
  const Response answer = client->call(get("/throws"), soon()).value();
  EXPECT_EQ(answer.status, 500U);
  EXPECT_FALSE(as_text(answer.body).contains("inner detail"));
  EXPECT_EQ(element.refusals.wait_for("inner detail").code, ErrorCode::internal);
  EXPECT_EQ(client->call(get("/who"), soon()).value().status, 200U);
}

TEST(DeadlineTest, TravelsAndIsShortenedToTheServersLimit) {
  ElementSettings settings;
  settings.limits.request_max = milliseconds(5000);
  settings.routes = {get_route("/", [](const Request& request) -> Result<Response> {
    return text_response(std::to_string(request.deadline.remaining().count()));
  })};
  const Element element(std::move(settings));
  const auto client = element.kms_client();
  const auto remaining = [&](milliseconds granted) {
    return std::stol(std::string(as_text(client->call(get("/"), Deadline::after(granted)).value().body)));
  };
  EXPECT_LE(remaining(milliseconds(3000)), 3000);
  EXPECT_GT(remaining(milliseconds(3000)), 1000);
  EXPECT_LE(remaining(milliseconds(60000)), 5000);
  EXPECT_GT(remaining(milliseconds(60000)), 3000);
}

/// A route whose handler stays until it is released; `started` says that one is in it.
struct Blocking {
  Event started;
  Event release;
  Route route() {
    return get_route("/block", [this](const Request&) -> Result<Response> {
      started.announce();
      EXPECT_TRUE(release.wait());
      return text_response("released");
    });
  }
};

TEST(DeadlineTest, AHandlerThatOverrunsItIsAnsweredFor) {
  Blocking blocking;
  ElementSettings settings;
  settings.routes.push_back(blocking.route());
  const Element element(std::move(settings));
  RawKms peer(element);
  ASSERT_TRUE(peer->write("GET /block HTTP/1.1\r\nHost: x\r\nQanat-Deadline-Ms: 20\r\n\r\n"));
  EXPECT_EQ(status_of(peer->read_until("}")), 504U);
  // The connection is as good as before, and the late value goes nowhere.
  blocking.release.announce();
  ASSERT_TRUE(peer->write("GET /who HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_TRUE(peer->read_until("#").contains("qanat://a/kms/kms-a"));
}

TEST(DeadlineTest, ARequestWhoseTimeRanOutInTheQueueIsNotHandled) {
  Blocking blocking;
  std::atomic<int> handled = 0;
  ElementSettings settings;
  settings.limits.worker_threads = 1;
  settings.routes = {blocking.route(), get_route("/count", [&](const Request&) -> Result<Response> {
                       ++handled;
                       return text_response("");
                     })};
  Element element(std::move(settings));
  std::thread first([&] { EXPECT_EQ(element.kms_client()->call(get("/block"), soon()).value().status, 200U); });
  EXPECT_TRUE(blocking.started.wait());
  RawKms peer(element);
  EXPECT_TRUE(peer->write("GET /count HTTP/1.1\r\nHost: x\r\nQanat-Deadline-Ms: 20\r\n\r\n"));
  EXPECT_EQ(status_of(peer->read_until("}")), 504U);
  blocking.release.announce();
  first.join();
  EXPECT_EQ(element.kms_client()->call(get("/count"), soon()).value().status, 200U);
  EXPECT_EQ(handled, 1);
}

TEST(WorkerLimitTest, ARequestBeyondTheQueueIs503) {
  Blocking blocking;
  ElementSettings settings;
  settings.limits.worker_threads = 1;
  settings.limits.queue_max = 1;
  settings.routes.push_back(blocking.route());
  Element element(std::move(settings));
  std::array<std::thread, 3> callers;
  std::array<unsigned, 3> statuses{};
  const auto call = [&](std::size_t i) { statuses[i] = element.kms_client()->call(get("/block"), soon()).value().status; };
  callers[0] = std::thread(call, 0);
  EXPECT_TRUE(blocking.started.wait());
  callers[1] = std::thread(call, 1);
  callers[2] = std::thread(call, 2);  // of these two one finds the queue full
  const Refusal refusal = element.refusals.wait_for("too many requests wait");
  blocking.release.announce();
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(refusal.code, ErrorCode::exhausted);
  std::ranges::sort(statuses);
  EXPECT_EQ(statuses, (std::array<unsigned, 3>{200, 200, 503}));
}

bool refuses_connections(std::uint16_t port) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(port);
  const bool refused = ::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0;
  ::close(descriptor);
  return refused;
}

TEST(StopTest, ARunningRequestIsFinishedAndNoFurtherOneTaken) {
  Blocking blocking;
  ElementSettings settings;
  settings.routes.push_back(blocking.route());
  Element element(std::move(settings));
  RawKms idle(element);
  std::thread caller([&] { EXPECT_EQ(as_text(element.kms_client()->call(get("/block"), soon()).value().body), "released"); });
  EXPECT_TRUE(blocking.started.wait());
  std::thread stopper([&] { element.server->stop(patience); });
  EXPECT_EQ(idle->read_all(), "");  // closed by the stop, while the other request still runs
  EXPECT_TRUE(refuses_connections(element.server->port()));
  blocking.release.announce();
  caller.join();
  stopper.join();
  element.server->stop(milliseconds(0));
}

TEST(StopTest, AfterTheGraceTheConnectionIsClosed) {
  Blocking blocking;
  ElementSettings settings;
  settings.routes.push_back(blocking.route());
  Element element(std::move(settings));
  std::thread stopper;
  std::thread caller([&] {
    EXPECT_EQ(element.kms_client()->call(get("/block"), soon()).error().code, ErrorCode::unavailable);
    blocking.release.announce();  // not before the caller has been cut off
  });
  EXPECT_TRUE(blocking.started.wait());
  element.server->stop(milliseconds(10));
  caller.join();
}

}  // namespace
}  // namespace qanat::net::test
