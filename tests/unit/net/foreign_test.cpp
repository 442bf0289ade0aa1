// The listener for software that others wrote, over real TLS: who is let in, what is negotiated, what is answered, who is cut off.
#include "net/foreign.hpp"

#include <openssl/pem.h>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <thread>

#include "crypto/foreign_issue.hpp"
#include "net/crl_watch.hpp"
#include "net/foreign_workers.hpp"
#include "pki.hpp"
#include "plain_http.hpp"
#include "raw_tls.hpp"
#include "temporary_directory.hpp"

namespace qanat::net {
namespace {

using crypto::ForeignKey;
using crypto::PemFiles;

/// A root, an ECDSA and an ML-DSA chain of the listener, and clients' certificates: made once, they cost some milliseconds.
struct Files {
  qanat::test::TemporaryDirectory folder;
  PemFiles root, other_root, server, server_ml_dsa, sae, sae_uri, stranger, element;

  Files() {
    const auto make = [&](const std::string& name) { return PemFiles{.certificate = folder / (name + ".pem"), .key = folder / (name + ".key")}; };
    root = make("root"), other_root = make("other"), server = make("server"), server_ml_dsa = make("server-ml-dsa"), sae = make("sae");
    sae_uri = make("sae-uri"), stranger = make("stranger"), element = make("element");
    EXPECT_TRUE(crypto::make_foreign_root(root, "Root", ForeignKey::ecdsa_p384));
    EXPECT_TRUE(crypto::make_foreign_root(other_root, "Other root", ForeignKey::ecdsa_p256));
    leaf(server, "kme", ForeignKey::ecdsa_p256, root);
    leaf(server_ml_dsa, "kme", ForeignKey::ml_dsa_65, root);
    leaf(sae, "sae-a", ForeignKey::ecdsa_p256, root);
    leaf(stranger, "sae-a", ForeignKey::ecdsa_p256, other_root);
    const crypto::ForeignLeaf uri{.common_name = "cn", .uris = {"urn:sae:1"}, .dns = {"sae.example"}, .addresses = {}};
    EXPECT_TRUE(crypto::make_foreign_leaf(sae_uri, uri, ForeignKey::ecdsa_p384, root));
    const crypto::ForeignLeaf elements{.common_name = "x", .uris = {"QANAT://a/kms/kms-a"}, .dns = {}, .addresses = {}};
    EXPECT_TRUE(crypto::make_foreign_leaf(element, elements, ForeignKey::ecdsa_p256, root));
  }
  static void leaf(const PemFiles& out, const char* name, ForeignKey key, const PemFiles& issuer) {
    const auto made = crypto::make_foreign_leaf(out, {.common_name = name, .uris = {}, .dns = {}, .addresses = {}}, key, issuer);
    EXPECT_TRUE(made) << made.error().message;
  }
};

Files& files() {
  static Files shared;
  return shared;
}

struct ClientPolicy {
  const char* groups = "X25519MLKEM768:x25519:secp256r1";
  const char* signature_algorithms = "ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384:rsa_pss_rsae_sha256";
  int version = TLS1_3_VERSION;
};

test::RawContext client_context(const PemFiles* identity, ClientPolicy policy = {}) {
  test::RawContext context(SSL_CTX_new(TLS_client_method()));
  EXPECT_EQ(SSL_CTX_set_max_proto_version(context.get(), policy.version), 1);
  EXPECT_EQ(SSL_CTX_set1_groups_list(context.get(), policy.groups), 1);
  EXPECT_EQ(SSL_CTX_set1_sigalgs_list(context.get(), policy.signature_algorithms), 1);
  if (identity != nullptr) {
    EXPECT_EQ(SSL_CTX_use_certificate_file(context.get(), identity->certificate.c_str(), SSL_FILETYPE_PEM), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey_file(context.get(), identity->key.c_str(), SSL_FILETYPE_PEM), 1);
  }
  return context;
}

/// A root, an issuing CA and leaves of one kind of key, without files.
class MemoryPki {
 public:
  explicit MemoryPki(crypto::KeyAlgorithm algorithm)
      : algorithm_(algorithm),
        root_key_(key(1)),
        issuing_key_(key(2)),
        root(make(crypto::CertificateUse::root_ca, "Root", root_key_, nullptr, root_key_)),
        issuing(make(crypto::CertificateUse::issuing_ca, "Issuing", issuing_key_, &root, root_key_)) {}
  [[nodiscard]] ForeignIdentity identity(const std::string& name) const {
    auto own = std::make_shared<const crypto::PrivateKey>(key(3));
    return {.chain = {make(crypto::CertificateUse::tls_and_signing, name, *own, &issuing, issuing_key_).der(), issuing.der()}, .key = std::move(own)};
  }

 private:
  [[nodiscard]] crypto::PrivateKey key(std::uint8_t seed) const {
    Secret secret(algorithm_ == crypto::KeyAlgorithm::ecdsa_p384 ? 48 : 32);
    for (std::uint8_t& octet : secret.writable()) octet = seed;
    return {.algorithm = algorithm_, .secret = std::move(secret)};
  }
  [[nodiscard]] crypto::Certificate make(crypto::CertificateUse use, const std::string& name, const crypto::PrivateKey& own, const crypto::Certificate* issuer,
                                         const crypto::PrivateKey& issuer_key) const {
    const UnixMs now = SystemClock().now_ms();
    return crypto::issue({.use = use,
                          .names = {.common_name = name + std::string(crypto::name(algorithm_)), .element = {}, .number = {}, .dns = {}},
                          .key_algorithm = algorithm_,
                          .public_key = crypto::public_octets(own).value(),
                          .serial = Bytes(16, static_cast<std::uint8_t>(0x40 + static_cast<int>(use))),
                          .not_before = now - 60'000,
                          .not_after = now + 3'600'000},
                         issuer, issuer_key)
        .value();
  }
  crypto::KeyAlgorithm algorithm_;
  crypto::PrivateKey root_key_;
  crypto::PrivateKey issuing_key_;

 public:
  const crypto::Certificate root;
  const crypto::Certificate issuing;
};

ForeignTls optional_client() {
  return {.chains = {{files().server.certificate, files().server.key}, {files().server_ml_dsa.certificate, files().server_ml_dsa.key}},
          .roots = files().root.certificate,
          .crls = {},
          .client = ForeignCertificate::optional};
}

class ForeignListenerTest : public testing::Test {
 protected:
  void start(ForeignLimits limits = {}, const std::filesystem::path& crls = {}) {
    start({.chains = {{files().server.certificate, files().server.key}, {files().server_ml_dsa.certificate, files().server_ml_dsa.key}},
           .roots = files().root.certificate,
           .crls = crls},
          limits);
  }
  void start(ForeignTls own, ForeignLimits limits = {}) {
    ForeignSettings settings;
    settings.limits = limits;
    settings.tls = std::move(own);
    const auto text = [](std::string_view body) { return Secret::copy_of(as_bytes(body)); };
    const auto refuse = [text](unsigned status, std::string_view why) {
      return ForeignResponse{.status = status, .content_type = "application/json", .body = text("{\"no\":\"" + std::string(why) + "\"}")};
    };
    ForeignService service{.prefix = "/x/", .routes = {}, .refuse = refuse};
    const auto serve = [&service](const char* method, const char* pattern, auto answer, std::size_t body_max = 0) {
      service.routes.push_back({.point = "x", .method = method, .pattern = pattern, .body_max = body_max, .answer = std::move(answer)});
    };
    const auto say = [](ForeignReply& reply, Secret body, std::vector<std::pair<std::string, std::string>> fields = {}) {
      reply({.status = 200, .content_type = "text/plain", .body = std::move(body), .open_body = {}, .fields = std::move(fields)});
    };
    serve("GET", "/x/{}/who", [text, say](const ForeignRequest& request, ForeignReply reply) {
      std::string names;
      for (const std::string& name : request.peer->names) names += name + ' ';
      say(reply, text(request.parameters[0] + '|' + names + '|' + request.peer->group + (request.peer->quantum_safe ? "|safe" : "|classical")));
    });
    serve("POST", "/x/echo", [say](const ForeignRequest& request, ForeignReply reply) { say(reply, Secret::copy_of(request.body)); }, 64);
    serve("GET", "/x/shown", [text, say](const ForeignRequest& request, ForeignReply reply) { say(reply, text(to_hex(request.peer->certificate))); });
    serve("GET", "/x/password", [say](const ForeignRequest& request, ForeignReply reply) { say(reply, request.authorization.duplicate()); });
    for (const char* method : {"HEAD", "GET"}) {
      serve(method, "/x/later", [this](const ForeignRequest&, ForeignReply reply) {
        const std::lock_guard lock(mutex_);
        held_.push_back(std::move(reply));
        changed_.notify_all();
      });
      serve(method, "/x/nonce", [text, say, method](const ForeignRequest&, ForeignReply reply) { say(reply, text(method), {{"Replay-Nonce", "n-1"}}); });
    }
    std::vector<ForeignService> services;
    services.push_back(std::move(service));
    auto started = ForeignListener::start(settings, std::move(services), [this](const Refusal& refusal) {
      const std::lock_guard lock(mutex_);
      refusals_.push_back(refusal.reason);
      changed_.notify_all();
    });
    ASSERT_TRUE(started) << started.error().message;
    listener_ = std::move(*started);
  }
  ForeignReply held() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(10), [this] { return !held_.empty(); }));
    ForeignReply out = std::move(held_.front());
    held_.erase(held_.begin());
    return out;
  }
  bool refused(std::string_view part) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] {
      for (const std::string& reason : refusals_) {
        if (reason.contains(part)) return true;
      }
      return false;
    });
  }
  std::string ask(const PemFiles* identity, std::string_view request, ClientPolicy policy = {}) {
    const test::RawContext context = client_context(identity, policy);
    test::RawTls tls = test::RawTls::to(listener_->port(), *context);
    if (!tls.connect()) return "no handshake";
    tls.write(request);
    return tls.read_all();
  }
  static constexpr const char* who = "GET /x/sae%2Fb/who HTTP/1.1\r\nHost: k\r\nConnection: close\r\n\r\n";

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<ForeignReply> held_;
  std::vector<std::string> refusals_;
  std::unique_ptr<ForeignListener> listener_;  // last: its threads use what stands above
};

TEST_F(ForeignListenerTest, AnswersAClientOfAConfiguredRootAndTellsTheHandlerWhoItIs) {
  start();
  const std::string answer = ask(&files().sae, who);
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\nsae/b|sae-a |X25519MLKEM768|safe")) << answer;
  EXPECT_TRUE(ask(&files().sae_uri, who).contains("|urn:sae:1 sae.example cn |"));
}

TEST_F(ForeignListenerTest, TellsAClassicalGroupFromAQuantumSafeOne) {
  start();
  EXPECT_TRUE(ask(&files().sae, who, {.groups = "x25519"}).ends_with("|x25519|classical"));
  EXPECT_TRUE(ask(&files().sae, who, {.groups = "secp256r1"}).ends_with("|secp256r1|classical"));
  // The client guesses x25519 and can do the hybrid: it is asked for that (HelloRetryRequest).
  EXPECT_TRUE(ask(&files().sae, who, {.groups = "*x25519:X25519MLKEM768"}).ends_with("|X25519MLKEM768|safe"));
}

TEST_F(ForeignListenerTest, SpeaksTls12ToThoseWhoCanDoNoBetter) {
  start();
  EXPECT_TRUE(ask(&files().sae, who, {.groups = "x25519:secp256r1", .version = TLS1_2_VERSION}).contains("|classical"));
  EXPECT_EQ(ask(&files().sae, who, {.groups = "x25519", .version = TLS1_1_VERSION}), "no handshake");
}

TEST_F(ForeignListenerTest, ShowsTheMlDsaChainToThoseWhoCanVerifyIt) {
  start();
  const auto key_type = [&](const char* algorithms) {
    const test::RawContext context = client_context(&files().sae, {.signature_algorithms = algorithms});
    test::RawTls tls = test::RawTls::to(listener_->port(), *context);
    EXPECT_TRUE(tls.connect());
    return tls.peer_key_type();
  };
  EXPECT_EQ(key_type("mldsa65:ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384"), "ML-DSA-65");
  EXPECT_EQ(key_type("ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384"), "EC");
}

TEST_F(ForeignListenerTest, RefusesACertificateOfAnotherRootAndNoneAtAll) {
  start();
  EXPECT_FALSE(ask(&files().stranger, who).contains("200"));
  EXPECT_TRUE(refused("handshake: "));
  EXPECT_FALSE(ask(nullptr, who).contains("200"));
  EXPECT_TRUE(refused("peer did not return a certificate"));
}

TEST_F(ForeignListenerTest, RefusesACertificateThatItsIssuersListNamesAndTakesTheOthers) {
  const std::filesystem::path crls = files().folder / "crls.pem";
  const auto write = [&](std::vector<std::filesystem::path> revoked) {
    const auto list = crypto::make_foreign_crl(files().root, revoked);
    ASSERT_TRUE(list) << list.error().message;
    std::ofstream(crls) << *list;
  };
  write({});
  start({}, crls);
  EXPECT_TRUE(ask(&files().sae, who).contains("200")) << "an empty list names nobody";
  write({files().sae.certificate, files().stranger.certificate});  // the other root's is none of this list's
  start({}, crls);
  EXPECT_FALSE(ask(&files().sae, who).contains("200"));
  EXPECT_TRUE(refused("revoked"));
  EXPECT_TRUE(ask(&files().sae_uri, who).contains("200"));
}

TEST_F(ForeignListenerTest, AListThatIsWrittenAnewIsTakenUpAndEndsTheConnectionsThatAreOpen) {
  const std::filesystem::path crls = files().folder / "watched.pem";
  auto written = std::filesystem::file_time_type::clock::now() - std::chrono::minutes(1);
  const auto write = [&](const std::string& list) {
    std::ofstream(crls) << list;
    std::filesystem::last_write_time(crls, written += std::chrono::seconds(1));
  };
  const auto list_of = [](std::vector<std::filesystem::path> revoked) { return crypto::make_foreign_crl(files().root, revoked).value(); };
  write(list_of({}));
  const ForeignTls tls{.chains = {{files().server.certificate, files().server.key}}, .roots = files().root.certificate, .crls = crls};
  CrlWatch watch(tls);
  start(tls);
  const test::RawContext context = client_context(&files().sae);
  constexpr const char* keep = "GET /x/sae/who HTTP/1.1\r\nHost: k\r\n\r\n";
  test::RawTls idle = test::RawTls::to(listener_->port(), *context);
  test::RawTls busy = test::RawTls::to(listener_->port(), *context);
  ASSERT_TRUE(idle.connect());
  ASSERT_TRUE(busy.connect());
  busy.write("GET /x/later HTTP/1.1\r\nHost: k\r\n\r\n");
  ForeignReply later = held();
  ASSERT_TRUE(watch.look(*listener_)) << "nothing has changed";
  write(list_of({files().sae.certificate}));
  ASSERT_TRUE(watch.look(*listener_));
  idle.write(keep);
  EXPECT_FALSE(idle.read_all().contains("200 OK")) << "a connection from before the revocation ends";
  later({.status = 200, .content_type = "text/plain", .body = Secret::copy_of(as_bytes("done")), .open_body = {}, .fields = {}});
  busy.write(keep);
  const std::string answered = busy.read_all();
  EXPECT_TRUE(answered.contains("done")) << "what was asked before is answered";
  EXPECT_FALSE(answered.contains("|sae-a")) << "and nothing more";
  EXPECT_FALSE(ask(&files().sae, who).contains("200"));
  EXPECT_TRUE(refused("revoked"));
  write("no list");
  EXPECT_FALSE(watch.look(*listener_));
  EXPECT_FALSE(watch.look(*listener_)) << "until it fits";
  EXPECT_TRUE(ask(&files().sae_uri, who).contains("200")) << "meanwhile the last that did is in force";
  write(list_of({}));
  ASSERT_TRUE(watch.look(*listener_));
  EXPECT_TRUE(ask(&files().sae, who).contains("200"));
}

TEST(ForeignWorkersTest, WhereNoWorkerTakesItARequestIsRefusedAtOnceAndItsBodyWiped) {
  std::mutex mutex;
  std::condition_variable changed;
  bool go = false;
  const Bytes* body = nullptr;
  Workers workers(1, 1);
  const auto respond = [](unsigned status) { return ForeignResponse{.status = status, .content_type = "", .body = {}}; };
  const auto route = by_worker(
      workers,
      [&](ForeignRequest&) {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return go; });
        return respond(200);
      },
      [&](const ForeignRequest& request) {
        body = &request.body;
        EXPECT_EQ(request.body, Bytes(4, 7));
        return respond(503);
      });
  std::vector<unsigned> said;
  const auto ask = [&] {
    ForeignRequest request{.peer = nullptr,
                           .parameters = {},
                           .query = "",
                           .content_type = "",
                           .body = Bytes(4, 7),
                           .deadline = Deadline::after(std::chrono::seconds(10)),
                           .request_id = ""};
    route(std::move(request), [&](ForeignResponse response) {
      const std::lock_guard lock(mutex);
      if (response.status == 503) EXPECT_TRUE(body != nullptr && *body != Bytes(4, 7)) << "its secrets are gone";
      said.push_back(response.status);
      changed.notify_all();
    });
  };
  std::size_t refused = 0;
  std::size_t asked = 0;
  for (; refused == 0 && asked < 4; ++asked) {  // one works, one waits
    ask();
    const std::lock_guard lock(mutex);
    refused = said.size();
  }
  EXPECT_EQ(refused, 1U);
  EXPECT_EQ(said, std::vector<unsigned>{503});
  std::unique_lock lock(mutex);
  go = true;
  changed.notify_all();
  EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(10), [&] { return said.size() == asked; }));
}

TEST_F(ForeignListenerTest, RefusesAnElementsIdentityWhoeverIssuedIt) {
  start();
  EXPECT_FALSE(ask(&files().element, who).contains("200"));
  EXPECT_TRUE(refused("is an element's"));
}

TEST_F(ForeignListenerTest, LetsAClientWithoutCertificateInWhereNoneIsRequired) {
  start(optional_client());
  EXPECT_TRUE(ask(nullptr, who).ends_with("sae/b||X25519MLKEM768|safe"));
  EXPECT_TRUE(ask(nullptr, "GET /x/shown HTTP/1.1\r\nConnection: close\r\n\r\n").ends_with("\r\n\r\n"));
  EXPECT_TRUE(ask(nullptr, who, {.groups = "x25519:secp256r1", .version = TLS1_2_VERSION}).contains("200 OK"));
}

TEST_F(ForeignListenerTest, GivesTheHandlerTheCertificateThatTheClientShowed) {
  start(optional_client());
  const std::string answer = ask(&files().sae, "GET /x/shown HTTP/1.1\r\nConnection: close\r\n\r\n");
  std::FILE* const file = std::fopen(files().sae.certificate.c_str(), "rb");
  const crypto::X509Certificate certificate(PEM_read_X509(file, nullptr, nullptr, nullptr));
  std::fclose(file);
  EXPECT_TRUE(answer.ends_with("\r\n\r\n" + to_hex(crypto::to_der<i2d_X509>(certificate.get())))) << answer;
}

TEST_F(ForeignListenerTest, RefusesACertificateThatDoesNotVerifyEvenWhereNoneIsRequired) {
  start(optional_client());
  EXPECT_FALSE(ask(&files().stranger, who).contains("200"));
  EXPECT_TRUE(refused("handshake: "));
  EXPECT_FALSE(ask(&files().element, who).contains("200"));
  EXPECT_TRUE(refused("is an element's"));
}

TEST_F(ForeignListenerTest, HandsThePasswordOnAndTakesNoTwo) {
  start();
  const std::string password = "GET /x/password HTTP/1.1\r\nConnection: close\r\n";
  EXPECT_TRUE(ask(&files().sae, password + "Authorization: Basic cjpz\r\n\r\n").ends_with("\r\n\r\nBasic cjpz"));
  EXPECT_TRUE(ask(&files().sae, password + "\r\n").ends_with("\r\n\r\n"));
  EXPECT_TRUE(ask(&files().sae, password + "Authorization: Basic cjpz\r\nAuthorization: Basic cjpz\r\n\r\n").contains("400 Bad Request"));
  EXPECT_TRUE(refused("more than one Authorization field"));
}

TEST_F(ForeignListenerTest, AHeadIsARouteOfItsOwnAndAnsweredWithoutBody) {
  start();
  const std::string nonce = ask(&files().sae, "HEAD /x/nonce HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(nonce.starts_with("HTTP/1.1 200 OK") && nonce.contains("Replay-Nonce: n-1\r\n") && nonce.contains("Content-Length: 4\r\n")) << nonce;
  EXPECT_TRUE(nonce.ends_with("\r\n\r\n")) << nonce;
  const std::string refusal = ask(&files().sae, "HEAD /x/a/who HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(refusal.starts_with("HTTP/1.1 405") && refusal.ends_with("\r\n\r\n")) << refusal;
}

TEST_F(ForeignListenerTest, AnswersHttp10InKindAndCloses) {
  start();
  for (const char* more : {"", "Connection: keep-alive\r\n"}) {
    const std::string answer = ask(&files().sae, std::string("GET /x/a/who HTTP/1.0\r\n") + more + "\r\n");  // reads until the end of the connection
    EXPECT_TRUE(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.contains("Connection: close\r\n")) << answer;
  }
  EXPECT_TRUE(ask(&files().sae, "GET /x/nowhere HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 404"));
}

TEST_F(ForeignListenerTest, TakesCertificatesAndRootsFromMemory) {
  const MemoryPki p384(crypto::KeyAlgorithm::ecdsa_p384);
  const MemoryPki ml_dsa(crypto::KeyAlgorithm::ml_dsa_65);
  start({.chains = {},
         .roots = {},
         .crls = {},
         .identities = {p384.identity("ra"), ml_dsa.identity("ra")},
         .more_roots = {p384.root.der(), ml_dsa.root.der(), ml_dsa.issuing.der()}});
  const auto shown = [&](const MemoryPki& client, const char* algorithms) {
    const ForeignIdentity identity = client.identity("device");
    const test::RawContext context = client_context(nullptr, {.signature_algorithms = algorithms});
    const unsigned char* at = identity.chain.front().data();
    const crypto::X509Certificate leaf(d2i_X509(nullptr, &at, static_cast<long>(identity.chain.front().size())));
    EXPECT_EQ(SSL_CTX_use_certificate(context.get(), leaf.get()), 1);  // its own alone: the issuing CA comes from the listener's roots
    EXPECT_EQ(SSL_CTX_use_PrivateKey(context.get(), crypto::to_openssl(*identity.key).value().get()), 1);
    test::RawTls tls = test::RawTls::to(listener_->port(), *context);
    EXPECT_TRUE(tls.connect());
    tls.write(who);
    EXPECT_TRUE(tls.read_all().contains("|device"));
    return tls.peer_key_type();
  };
  EXPECT_EQ(shown(ml_dsa, "mldsa65"), "ML-DSA-65");
  EXPECT_EQ(shown(ml_dsa, "ecdsa_secp384r1_sha384:mldsa65"), "ML-DSA-65") << "the best that the client can verify";
  const MemoryPki other(crypto::KeyAlgorithm::ecdsa_p384);
  start({.chains = {}, .roots = {}, .crls = {}, .identities = {other.identity("ra")}, .more_roots = {other.root.der(), other.issuing.der()}});
  EXPECT_EQ(shown(other, "ecdsa_secp384r1_sha384"), "EC");
}

/// A listener with one chain of each kind, and clients that are shown one of them.
class ForeignStapleTest : public ForeignListenerTest {
 protected:
  struct Shown {
    std::string key_type;
    Bytes stapled;
  };
  [[nodiscard]] ForeignTls tls(Staple for_p384, Staple for_ml_dsa) const {
    ForeignTls out{.chains = {},
                   .roots = {},
                   .crls = {},
                   .identities = {p384_.identity("ra"), ml_dsa_.identity("ra")},
                   .more_roots = {p384_.root.der()},
                   .client = ForeignCertificate::optional};
    out.identities[0].staple = std::move(for_p384);
    out.identities[1].staple = std::move(for_ml_dsa);
    return out;
  }
  Shown shown(ClientPolicy policy, bool asks = true) const {
    const test::RawContext context = client_context(nullptr, policy);
    if (asks) EXPECT_EQ(SSL_CTX_set_tlsext_status_type(context.get(), TLSEXT_STATUSTYPE_ocsp), 1);
    test::RawTls tls = test::RawTls::to(listener_->port(), *context);
    EXPECT_TRUE(tls.connect());
    return {.key_type = tls.peer_key_type(), .stapled = tls.stapled()};
  }
  static Staple always(std::size_t size, std::uint8_t octet) {
    return [answer = std::make_shared<const Bytes>(Bytes(size, octet))] { return answer; };
  }
  static constexpr ClientPolicy best{.signature_algorithms = "mldsa65:ecdsa_secp384r1_sha384"};
  static constexpr ClientPolicy classical{.signature_algorithms = "ecdsa_secp384r1_sha384"};
  static constexpr ClientPolicy old{
      .groups = "secp384r1:secp256r1", .signature_algorithms = "ECDSA+SHA384:ECDSA+SHA256:RSA+SHA256", .version = TLS1_2_VERSION};

  const MemoryPki p384_{crypto::KeyAlgorithm::ecdsa_p384};
  const MemoryPki ml_dsa_{crypto::KeyAlgorithm::ml_dsa_65};
};

TEST_F(ForeignStapleTest, EachChainHasItsOwnAnswerAndWhoDoesNotAskGetsNone) {
  start(tls(always(900, 0x38), always(9000, 0x65)));
  const Shown of_ml_dsa = shown(best);
  EXPECT_EQ(of_ml_dsa.key_type, "ML-DSA-65");
  EXPECT_EQ(of_ml_dsa.stapled, Bytes(9000, 0x65));
  for (const ClientPolicy& policy : {classical, old}) {
    const Shown of_p384 = shown(policy);
    EXPECT_EQ(of_p384.key_type, "EC");
    EXPECT_EQ(of_p384.stapled, Bytes(900, 0x38));
  }
  for (const ClientPolicy& policy : {best, classical, old}) EXPECT_TRUE(shown(policy, false).stapled.empty());
}

TEST_F(ForeignStapleTest, WithoutAnAnswerTheHandshakeGoesOn) {
  start(tls([] { return nullptr; }, always(40'000, 0x65)));
  for (const ClientPolicy& policy : {best, classical, old}) EXPECT_TRUE(shown(policy).stapled.empty()) << "none, or one that is too large";
  test::RawContext context = client_context(nullptr, best);
  EXPECT_EQ(SSL_CTX_set_tlsext_status_type(context.get(), TLSEXT_STATUSTYPE_ocsp), 1);
  test::RawTls asks = test::RawTls::to(listener_->port(), *context);
  ASSERT_TRUE(asks.connect());
  asks.write(who);
  EXPECT_TRUE(asks.read_all().contains("200 OK"));
  ASSERT_TRUE(listener_->renew(tls({}, always(9, 0x65))));
  EXPECT_TRUE(shown(classical).stapled.empty()) << "the other chain's answer is none about this one";
  EXPECT_EQ(shown(best).stapled, Bytes(9, 0x65));
}

TEST_F(ForeignStapleTest, NewChainsComeWithTheirAnswersAndLetTheOldOnesGo) {
  auto before = std::make_shared<const Bytes>(Bytes(9, 1));
  const std::weak_ptr<const Bytes> watched = before;
  start(tls({}, [answer = std::move(before)] { return answer; }));
  EXPECT_EQ(shown(best).stapled, Bytes(9, 1));
  ASSERT_TRUE(listener_->renew(tls({}, always(9, 2))));
  EXPECT_EQ(shown(best).stapled, Bytes(9, 2));
  const Deadline deadline = Deadline::after(std::chrono::seconds(10));  // for the connection that began with the old chains to be closed
  while (!watched.expired() && !deadline.passed()) std::this_thread::yield();
  EXPECT_TRUE(watched.expired());
}

TEST_F(ForeignListenerTest, ShowsANewChainWithoutARestartAndKeepsTheOldOneIfTheNewDoesNotFit) {
  const auto key_type = [&] {
    const test::RawContext context = client_context(&files().sae, {.signature_algorithms = "mldsa65:ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384"});
    test::RawTls tls = test::RawTls::to(listener_->port(), *context);
    EXPECT_TRUE(tls.connect());
    return tls.peer_key_type();
  };
  ForeignTls tls{.chains = {{files().server.certificate, files().server.key}}, .roots = files().root.certificate, .crls = {}};
  start(tls);
  const test::RawContext context = client_context(&files().sae);
  test::RawTls open = test::RawTls::to(listener_->port(), *context);
  ASSERT_TRUE(open.connect());
  EXPECT_EQ(key_type(), "EC");
  tls.chains = {{files().server_ml_dsa.certificate, files().server_ml_dsa.key}};
  const auto renewed = listener_->renew(tls);
  ASSERT_TRUE(renewed) << renewed.error().message;
  EXPECT_EQ(key_type(), "ML-DSA-65");
  tls.chains = {{files().server_ml_dsa.certificate, files().server.key}};
  const auto wrong = listener_->renew(tls);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(key_type(), "ML-DSA-65");
  open.write(who);
  EXPECT_TRUE(open.read_all().contains("200 OK")) << "a connection that was open goes on";
}

TEST_F(ForeignListenerTest, RefusesWithTheServicesOwnWords) {
  start();
  EXPECT_TRUE(ask(&files().sae, "GET /x/nowhere HTTP/1.1\r\n\r\n").contains("HTTP/1.1 404 Not Found"));
  const std::string wrong = ask(&files().sae, "DELETE /x/a/who HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(wrong.contains("HTTP/1.1 405") && wrong.contains("Allow: GET\r\n") && wrong.ends_with("{\"no\":\"this path takes GET\"}")) << wrong;
  EXPECT_TRUE(ask(&files().sae, "GET /x/%zz/who HTTP/1.1\r\n\r\n").contains("HTTP/1.1 400"));
  EXPECT_TRUE(ask(&files().sae, "POST /x/echo HTTP/1.1\r\nContent-Length: 65\r\n\r\n").contains("over 64 octets"));
  const std::string chunked = "POST /x/echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n50\r\n" + std::string(80, 'a') + "\r\n0\r\n\r\n";
  EXPECT_TRUE(ask(&files().sae, chunked).contains("over 64 octets"));
  EXPECT_TRUE(ask(&files().sae, "GET /x/a/who HTTP/1.1\r\nContent-Length: 1\r\n\r\na").contains("takes no body"));
  EXPECT_TRUE(ask(&files().sae, "nonsense\r\n\r\n").contains("HTTP/1.1 400"));
  EXPECT_TRUE(ask(&files().sae, "GET / HTTP/1.1\r\nX: " + std::string(17000, 'a') + "\r\n\r\n").contains("HTTP/1.1 431"));
  EXPECT_TRUE(refused("this path takes GET"));
}

TEST_F(ForeignListenerTest, AnswersPipelinedRequestsInTheirOrder) {
  start();
  const auto post = [](const std::string& body, const std::string& more) {
    return "POST /x/echo HTTP/1.1\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + more + "\r\n" + body;
  };
  const std::string answers = ask(&files().sae, post("first", "") + post("second", "") + post("third", "Connection: close\r\n"));
  const std::size_t first = answers.find("\r\n\r\nfirst");
  const std::size_t second = answers.find("\r\n\r\nsecond");
  const std::size_t third = answers.find("\r\n\r\nthird");
  EXPECT_TRUE(first < second && second < third && third != std::string::npos) << answers;
}

TEST_F(ForeignListenerTest, AnAnswerMayComeLaterFromAnotherThread) {
  start();
  const test::RawContext context = client_context(&files().sae);
  test::RawTls tls = test::RawTls::to(listener_->port(), *context);
  ASSERT_TRUE(tls.connect());
  tls.write("GET /x/later HTTP/1.1\r\n\r\n");
  ForeignReply reply = held();
  std::thread([&] { reply({.status = 200, .content_type = "", .body = Secret::copy_of(as_bytes("at last"))}); }).join();
  EXPECT_TRUE(tls.read_until("at last").contains("200 OK"));
}

TEST_F(ForeignListenerTest, AnAnswerThatNeverComesIsAServiceUnavailableAndALateOneIsDropped) {
  start({.request_max = std::chrono::milliseconds(50)});
  const test::RawContext context = client_context(&files().sae);
  test::RawTls tls = test::RawTls::to(listener_->port(), *context);
  ASSERT_TRUE(tls.connect());
  tls.write("GET /x/later HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(tls.read_all().contains("HTTP/1.1 503"));
  held()({.status = 200, .content_type = "", .body = Secret::copy_of(as_bytes("too late"))});
}

TEST_F(ForeignListenerTest, ThatNoAnswerWasFoundIsSaidInTheServicesWordsAndTheRequestsForm) {
  start({.request_max = std::chrono::milliseconds(50)});
  const std::string old = ask(&files().sae, "GET /x/later HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(old.starts_with("HTTP/1.0 503") && old.ends_with("{\"no\":\"no answer was found in time\"}")) << old;
  const std::string head = ask(&files().sae, "HEAD /x/later HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 503") && head.ends_with("\r\n\r\n")) << head;
}

TEST_F(ForeignListenerTest, NoiseAfterARequestIsNotAnsweredUnderThatOnesIdAndForm) {
  start();
  const std::string answers = ask(&files().sae, "HEAD /x/nonce HTTP/1.1\r\nQanat-Request-Id: 0123abcd\r\n\r\nnonsense\r\n\r\n");
  const std::size_t second = answers.find("HTTP/1.1 400");
  ASSERT_NE(second, std::string::npos) << answers;
  EXPECT_LT(answers.find("0123abcd"), second) << answers;
  EXPECT_FALSE(answers.substr(second).contains("0123abcd")) << answers;
  EXPECT_TRUE(answers.ends_with("\n") && !answers.ends_with("\r\n\r\n")) << "it has a body: " << answers;
}

TEST_F(ForeignListenerTest, CutsOffASlowClient) {
  start({.message_max = std::chrono::milliseconds(50)});
  EXPECT_TRUE(ask(&files().sae, "GET /x/a/who HT").contains("HTTP/1.1 408"));
}

TEST_F(ForeignListenerTest, ClosesAnIdleConnectionAndARefusedOneMore) {
  start({.connections_max = 1, .idle_max = std::chrono::milliseconds(50)});
  const test::RawContext context = client_context(&files().sae);
  test::RawTls first = test::RawTls::to(listener_->port(), *context);
  ASSERT_TRUE(first.connect());
  test::RawTls second = test::RawTls::to(listener_->port(), *context);
  EXPECT_FALSE(second.connect());
  EXPECT_TRUE(refused("too many connections"));
  EXPECT_EQ(first.read_all(), "");
}

TEST_F(ForeignListenerTest, StopsWithAnAnswerOutstandingAndItsReplyMayStillBeCalled) {
  start();
  const test::RawContext context = client_context(&files().sae);
  test::RawTls tls = test::RawTls::to(listener_->port(), *context);
  ASSERT_TRUE(tls.connect());
  tls.write("GET /x/later HTTP/1.1\r\n\r\n");
  ForeignReply reply = held();
  listener_->stop(std::chrono::milliseconds(10));
  listener_.reset();
  reply({.status = 200, .content_type = "", .body = {}});
  EXPECT_FALSE(tls.read_all().contains("200"));
}

/// A listener of plain HTTP that gives one large object to everybody.
class PlainListenerTest : public testing::Test {
 protected:
  PlainListenerTest() {
    std::vector<ForeignService> services;
    ForeignService& service = services.emplace_back();
    service.prefix = "/";
    service.refuse = [](unsigned status, std::string_view) { return ForeignResponse{.status = status, .content_type = "", .body = {}}; };
    service.routes.push_back(
        {.point = "x", .method = "GET", .pattern = "/large", .body_max = 0, .answer = [this](const ForeignRequest& request, ForeignReply reply) {
           named_ = !request.peer->names.empty() || !request.peer->protocol.empty();
           const bool known = request.if_none_match == "\"1\"";
           reply({.status = known ? 304U : 200U, .content_type = "", .body = {}, .open_body = known ? nullptr : large_, .fields = {{"ETag", "\"1\""}}});
         }});
    ForeignSettings settings;
    settings.transport = ForeignTransport::plain;
    auto started = ForeignListener::start(settings, std::move(services), {});
    EXPECT_TRUE(started) << started.error().message;
    listener_ = std::move(*started);
  }
  const std::shared_ptr<const Bytes> large_ = std::make_shared<const Bytes>(12'000'000, std::uint8_t{0x5a});  // more than a socket takes at once
  std::atomic<bool> named_ = true;
  std::unique_ptr<ForeignListener> listener_;
};

TEST_F(PlainListenerTest, GivesALargeObjectWholeAndKeepsNoCopyOfIt) {
  for (int i = 0; i < 2; ++i) {
    const auto answer = qanat::test::ask_plain(listener_->port(), "GET", "/large");
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.fields.at("Content-Length"), "12000000");
    EXPECT_TRUE(answer.body == *large_);
  }
  EXPECT_FALSE(named_) << "nobody is known on a plain connection";
  listener_->stop(std::chrono::milliseconds(1000));
  EXPECT_EQ(large_.use_count(), 1);
}

TEST_F(PlainListenerTest, SaysThatWhatTheClientHasIsStillRight) {
  const auto answer = qanat::test::ask_plain(listener_->port(), "GET", "/large", "If-None-Match: \"1\"\r\n");
  EXPECT_EQ(answer.status, 304);
  EXPECT_EQ(answer.fields.at("ETag"), "\"1\"");
  EXPECT_FALSE(answer.fields.contains("Content-Length"));
  EXPECT_TRUE(answer.body.empty());
}

TEST_F(PlainListenerTest, AnswersTwoRequestsOfOneConnectionInTheirOrder) {
  const std::string once = "GET /large HTTP/1.1\r\nHost: k\r\nIf-None-Match: \"1\"\r\n";
  const std::string out = qanat::test::exchange_plain(listener_->port(), once + "\r\n" + once + "Connection: close\r\n\r\n");
  const std::size_t second = out.find("HTTP/1.1 304", 1);
  EXPECT_TRUE(out.starts_with("HTTP/1.1 304")) << out;
  EXPECT_NE(second, std::string::npos) << out;
}

TEST_F(PlainListenerTest, NoiseGetsARefusalAndTheNextOneIsServed) {
  EXPECT_TRUE(qanat::test::exchange_plain(listener_->port(), "\x16\x03\x01 is no HTTP\r\n\r\n").starts_with("HTTP/1.1 400"));
  EXPECT_EQ(qanat::test::ask_plain(listener_->port(), "GET", "/other").status, 404);
  EXPECT_EQ(qanat::test::ask_plain(listener_->port(), "GET", "/large").status, 200);
}

TEST(ForeignTls, AKeyThatOthersMayReadIsRefused) {
  qanat::test::TemporaryDirectory folder;
  const PemFiles mine{.certificate = folder / "c.pem", .key = folder / "k.pem"};
  Files::leaf(mine, "kme", ForeignKey::ecdsa_p256, files().root);
  std::filesystem::permissions(mine.key, std::filesystem::perms::group_read, std::filesystem::perm_options::add);
  ForeignSettings settings;
  settings.tls = {.chains = {{mine.certificate, mine.key}}, .roots = files().root.certificate, .crls = {}};
  const auto started = ForeignListener::start(settings, {}, {});
  ASSERT_FALSE(started);
  EXPECT_TRUE(started.error().message.contains("others than its owner"));
}

}  // namespace
}  // namespace qanat::net
