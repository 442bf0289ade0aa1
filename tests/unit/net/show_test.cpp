// Certificates that change while an element runs: what new connections see, what becomes of those that are open, and of those whose certificate expires.
#include <gtest/gtest.h>

#include "element.hpp"

namespace qanat::net::test {
namespace {

/// Whose certificate a new connection of this client is shown.
struct Watched {
  std::mutex mutex;
  std::vector<Bytes> serials;
  StatusCheck check() {
    return [this](const crypto::Certificate& certificate, Deadline) -> Result<void> {
      const std::lock_guard lock(mutex);
      serials.push_back(certificate.serial());
      return {};
    };
  }
  Bytes last() {
    const std::lock_guard lock(mutex);
    return serials.empty() ? Bytes() : serials.back();
  }
};

Route serial_route() {
  return get_route("/serial", [](const Request& request) -> Result<Response> { return text_response(to_hex(request.peer.certificate->serial())); });
}

TEST(ShowTest, ServerShowsTheNewCertificateToNewConnectionsAndLeavesTheOpenOnes) {
  const Element element;
  Watched before;
  Watched after;
  const auto kms = pki().leaf(Kind::kms, "kms-a");
  const auto open_one = element.client(kms, before.check());
  ASSERT_TRUE(open_one->call(get("/who"), soon()));
  const auto next = pki().leaf(Kind::qkm, "qkm-a");
  ASSERT_TRUE(element.server->show(*next));
  EXPECT_TRUE(open_one->call(get("/who"), soon()));
  EXPECT_EQ(before.serials.size(), 1U) << "the open connection goes on";
  const auto new_one = element.client(kms, after.check());
  ASSERT_TRUE(new_one->call(get("/who"), soon()));
  EXPECT_EQ(after.last(), next->chain.front().serial());
  EXPECT_NE(before.last(), after.last());
}

TEST(ShowTest, ServerKeepsItsCertificateIfTheNewOneDoesNotFit) {
  const Element element;
  auto broken = std::make_shared<TlsIdentity>();
  broken->chain = pki().leaf(Kind::qkm, "qkm-a")->chain;
  broken->key = {.algorithm = crypto::KeyAlgorithm::ml_dsa_65, .secret = Secret::copy_of(Bytes(32, 0x77))};
  EXPECT_FALSE(element.server->show(*broken)) << "the key is another's";
  EXPECT_TRUE(element.kms_client()->call(get("/who"), soon()));
}

TEST(ShowTest, ClientShowsTheNewCertificateFromTheNextCallOn) {
  const Element element({.routes = {serial_route()}});
  const auto first = pki().leaf(Kind::kms, "kms-a");
  const auto second = pki().leaf(Kind::kms, "kms-a");
  const auto client = element.client(first);
  const auto shown = [&] { return std::string(as_text(client->call(get("/serial"), soon()).value().body)); };
  EXPECT_EQ(shown(), to_hex(first->chain.front().serial()));
  ASSERT_TRUE(client->show(*second));
  EXPECT_EQ(shown(), to_hex(second->chain.front().serial())) << "no kept connection is used";
  EXPECT_FALSE(client->show({.chain = {}, .key = {}}));
  EXPECT_EQ(shown(), to_hex(second->chain.front().serial()));
}

TEST(ShowTest, CallThatRunsWhileTheCertificateChangesEndsWell) {
  Event begun;
  Event go_on;
  const Element element({.routes = {get_route("/slow", [&](const Request& request) -> Result<Response> {
                           begun.announce();
                           EXPECT_TRUE(go_on.wait());
                           return text_response(to_hex(request.peer.certificate->serial()));
                         })}});
  const auto first = pki().leaf(Kind::kms, "kms-a");
  const auto client = element.client(first);
  Result<Response> answer = fail(ErrorCode::internal, "did not run");
  std::thread caller([&] { answer = client->call(get("/slow"), soon()); });
  EXPECT_TRUE(begun.wait());
  EXPECT_TRUE(client->show(*pki().leaf(Kind::kms, "kms-a")));
  EXPECT_TRUE(element.server->show(*pki().leaf(Kind::qkm, "qkm-a")));
  go_on.announce();
  caller.join();
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(as_text(answer->body), to_hex(first->chain.front().serial()));
}

/// Calls until the answer says something else than the first one did.
template <class Call>
void until_it_changes(Call call) {
  for (const Deadline until = soon(); call() && !until.passed();) {
  }
}

TEST(ShowTest, OpenConnectionEndsWithItsCallersCertificate) {
  Element element;
  const UnixMs end = now_ms() + 2000;
  const auto client = element.client(pki().leaf_until(Kind::kms, "kms-a", end));
  Result<Response> last = client->call(get("/who"), soon());
  ASSERT_TRUE(last && last->status == 200);
  until_it_changes([&] {
    last = client->call(get("/who"), soon());
    return last && last->status == 200;
  });
  EXPECT_GE(now_ms(), end / 1000 * 1000) << "certificates count whole seconds";
  ASSERT_TRUE(last) << last.error().message;
  EXPECT_EQ(last->status, 403U);
  element.refusals.wait_for("has expired since the connection was opened");
}

TEST(ShowTest, KeptConnectionToAServerWhoseCertificateExpiredIsNotUsed) {
  const UnixMs end = now_ms() + 2000;
  const Element element({.identity = pki().leaf_until(Kind::qkm, "qkm-a", end)});
  const auto client = element.kms_client();
  Result<Response> last = client->call(get("/who"), soon());
  ASSERT_TRUE(last);
  until_it_changes([&] {
    last = client->call(get("/who"), soon());
    return last.has_value();
  });
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().code, ErrorCode::unauthenticated) << last.error().message;
  ASSERT_TRUE(element.server->show(*pki().leaf(Kind::qkm, "qkm-a")));
  EXPECT_TRUE(client->call(get("/who"), soon())) << "it has a new one";
}

Route guarded_route(std::shared_ptr<const Secret>& seen) {
  Route out = get_route("/guarded", [&seen](const Request& request) -> Result<Response> {
    seen = request.authorization;
    if (!seen) return fail(ErrorCode::unauthenticated, "who?");
    return text_response("ok");
  });
  out.challenge = "Basic realm=\"test\"";
  return out;
}

TEST(AuthorizationTest, ArrivesAsASecretAndOnlyWithItsRequest) {
  std::shared_ptr<const Secret> seen;
  const Element element({.routes = {guarded_route(seen)}});
  const auto client = element.kms_client();
  const Secret secret = Secret::copy_of(as_bytes("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
  Call call = get("/guarded");
  call.authorization = &secret;
  EXPECT_EQ(client->call(call, soon()).value().status, 200U);
  ASSERT_TRUE(seen);
  EXPECT_TRUE(equal_secret(*seen, secret));
  EXPECT_EQ(client->call(get("/guarded"), soon()).value().status, 401U) << "the next request of the same connection";
  EXPECT_FALSE(seen);
}

TEST(AuthorizationTest, WhatNoFieldCanHoldNeverLeaves) {
  std::shared_ptr<const Secret> seen;
  const Element element({.routes = {guarded_route(seen)}});
  const Secret secret = Secret::copy_of(as_bytes("Basic x\r\nQanat-Request-Id: 00"));
  Call call = get("/guarded");
  call.authorization = &secret;
  const auto answer = element.kms_client()->call(call, soon());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::invalid_argument);
  EXPECT_FALSE(answer.error().message.contains("Basic")) << "no error repeats a secret";
}

}  // namespace
}  // namespace qanat::net::test
