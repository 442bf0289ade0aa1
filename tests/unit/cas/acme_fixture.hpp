// An ACME server over a desk of the test's own, and a small client that speaks to its routes without a network.
#pragma once

#include <map>
#include <set>

#include "crypto/kdf.hpp"
#include "jose_signer.hpp"
#include "net/foreign_routes.hpp"
#include "services/cas/acme/acme_service.hpp"
#include "services/cas/acme/schema.hpp"
#include "trusted_network.hpp"

namespace qanat::cas {

using crypto::JoseAlgorithm;
using test::JoseSigner;
using test::must;

inline const std::string acme_base = "https://acme.test";
inline constexpr UnixMs acme_day = 86'400'000;

/// The real clock, which a test may set forward.
class SteppedClock final : public Clock {
 public:
  [[nodiscard]] UnixMs now_ms() const override { return SystemClock().now_ms() + ahead; }
  UnixMs ahead = 0;
};

/// Registrations and their answers as a test wants them; what it issues is real.
class TestDesk final : public Desk {
 public:
  TestDesk(crypto::Rng& rng, const Clock& clock) : rng_(rng), clock_(clock) {
    for (const crypto::KeyAlgorithm algorithm : {crypto::KeyAlgorithm::ecdsa_p384, crypto::KeyAlgorithm::ml_dsa_65}) {
      Ca ca{.root_key = draw(algorithm), .key = draw(algorithm), .root = {}, .issuing = {}};
      ca.root = make(crypto::CertificateUse::root_ca, "Root", ca.root_key, nullptr, ca.root_key);
      ca.issuing = make(crypto::CertificateUse::issuing_ca, "Issuing", ca.key, &*ca.root, ca.root_key);
      cas_.push_back(std::move(ca));
    }
  }
  void add(const std::string& reference, std::vector<std::string> dns) {
    Registration out;
    out.reference = reference;
    out.subject = Uid("box-7");
    out.profile = &profile;
    out.common_name = dns.front();
    out.dns = std::move(dns);
    registrations[reference] = std::move(out);
    secrets[reference] = rng_.secret(registration_secret_size);
  }

  Result<Registration> registration(std::string_view reference) override {
    const auto found = registrations.find(std::string(reference));
    if (found == registrations.end() || over.contains(found->first)) return fail(ErrorCode::not_found, "no such registration");
    return found->second;
  }
  Result<Secret> secret_of(std::string_view reference) override {
    TRY(registration(reference));
    return secrets.at(std::string(reference)).duplicate();
  }
  Result<Registration> holder_of(ByteView certificate_der) override {
    const auto found = issued.find(to_hex(must(crypto::SubjectCertificate::parse(certificate_der)).serial()));
    if (found == issued.end() || revocations.contains(found->first)) return fail(ErrorCode::denied, "revoked, or not issued here");
    const auto holder = registrations.find(found->second.reference);
    if (holder == registrations.end()) return fail(ErrorCode::denied, "the registration is closed");
    return holder->second;
  }
  Result<Outcome> order(const Asked& asked, Deadline, const std::string&) override {
    orders.push_back(asked);
    if (order_fails) return fail(*order_fails);
    if (!waits) return give(asked);
    const std::string ticket = "t-" + to_hex(asked.request_hash).substr(0, 8);
    tickets.insert_or_assign(ticket, asked);
    return Waiting{.ticket = ticket, .retry_after = std::chrono::seconds(30)};
  }
  Result<Outcome> collect(std::string_view ticket) override {
    const auto found = tickets.find(std::string(ticket));
    if (found == tickets.end()) return fail(ErrorCode::not_found, "no such ticket");
    if (rejected.contains(found->first)) return fail(ErrorCode::denied, "two operators said no");
    if (waits) return Waiting{.ticket = found->first, .retry_after = std::chrono::seconds(30)};
    return give(found->second);
  }
  Result<void> revoke(ByteView certificate_der, int reason, std::string_view by, const std::string&) override {
    revocations.emplace(to_hex(must(crypto::SubjectCertificate::parse(certificate_der)).serial()), std::pair(reason, std::string(by)));
    return {};
  }
  Result<Bytes> find(ByteView serial) override {
    const auto found = issued.find(to_hex(serial));
    if (found == issued.end()) return fail(ErrorCode::not_found, "no such certificate");
    return found->second.der;
  }
  void refused(Protocol protocol, std::string_view reference, std::string_view why, const std::string&) override {
    EXPECT_EQ(protocol, Protocol::acme);
    refusals.emplace_back(std::string(reference), std::string(why));
  }
  [[nodiscard]] std::vector<Bytes> ca_chain(Branch branch) const override { return {ca(branch).issuing->der(), ca(branch).root->der()}; }
  [[nodiscard]] Branch branch_for(crypto::SubjectAlgorithm algorithm) const noexcept override {
    return algorithm >= crypto::SubjectAlgorithm::ml_dsa_44 ? Branch::ml_dsa : Branch::classical;
  }
  /// A certificate that came about otherwise than by ACME.
  Bytes issue(const std::string& reference, const crypto::SubjectPublicKey& key, const crypto::AskedNames& names) {
    const Ca& issuer = ca(branch_for(key.algorithm()));
    Bytes serial = rng_.bytes(16);
    serial.front() = 0x41;
    const UnixMs now = clock_.now_ms();
    Bytes der = must(crypto::issue_subject({.public_key_info = key.der(),
                                            .names = names,
                                            .usages = {crypto::KeyUsage::digital_signature},
                                            .extended = {crypto::ExtendedUsage::server_auth},
                                            .serial = serial,
                                            .not_before = now - 60'000,
                                            .not_after = now + lifetime},
                                           *issuer.issuing, issuer.key));
    issued[to_hex(serial)] = {.der = der, .reference = reference};
    return der;
  }

  struct Issued {
    Bytes der;
    std::string reference;
  };
  inline static const Profile profile = [] {
    Profile out;
    out.name = "server";
    out.naming = Naming::registered;
    return out;
  }();
  std::map<std::string, Registration> registrations;
  std::map<std::string, Secret> secrets;
  std::set<std::string> over;            // whose secrets are not taken any more
  std::map<std::string, Issued> issued;  // by serial
  std::vector<Asked> orders;
  std::map<std::string, Asked> tickets;
  std::set<std::string> rejected;
  std::map<std::string, std::pair<int, std::string>> revocations;  // by serial
  std::vector<std::pair<std::string, std::string>> refusals;
  std::optional<Error> order_fails;
  bool waits = false;
  UnixMs lifetime = 30 * acme_day;

 private:
  struct Ca {
    crypto::PrivateKey root_key;
    crypto::PrivateKey key;
    std::optional<crypto::Certificate> root;
    std::optional<crypto::Certificate> issuing;
  };
  [[nodiscard]] const Ca& ca(Branch branch) const { return cas_[branch == Branch::ml_dsa ? 1 : 0]; }
  crypto::PrivateKey draw(crypto::KeyAlgorithm algorithm) {
    return {.algorithm = algorithm, .secret = rng_.secret(algorithm == crypto::KeyAlgorithm::ecdsa_p384 ? 48 : 32)};
  }
  crypto::Certificate make(crypto::CertificateUse use, const std::string& common_name, const crypto::PrivateKey& key, const crypto::Certificate* issuer,
                           const crypto::PrivateKey& issuer_key) {
    Bytes serial = rng_.bytes(16);
    serial.front() = 0x41;
    const UnixMs now = clock_.now_ms();
    return must(crypto::issue({.use = use,
                               .names = {.common_name = common_name, .element = {}, .number = {}, .dns = {}},
                               .key_algorithm = key.algorithm,
                               .public_key = must(crypto::public_octets(key)),
                               .serial = std::move(serial),
                               .not_before = now - 60'000,
                               .not_after = now + 3650 * acme_day},
                              issuer, issuer_key));
  }
  Result<Outcome> give(const Asked& asked) {
    const std::string request = asked.reference + to_hex(asked.request_hash);
    if (!given_.contains(request)) {
      Bytes der = issue(asked.reference, asked.key, asked.names);
      given_.emplace(request, Given{.certificate = std::move(der), .chain = {ca(branch_for(asked.key.algorithm())).issuing->der()}});
    }
    return given_.at(request);
  }
  crypto::Rng& rng_;
  const Clock& clock_;
  std::vector<Ca> cas_;
  std::map<std::string, Given> given_;
};

struct AcmeReply {
  unsigned status = 0;
  std::string content_type;
  std::string body;
  std::vector<std::pair<std::string, std::string>> fields;

  [[nodiscard]] std::vector<std::string> all(std::string_view name) const {
    std::vector<std::string> out;
    for (const auto& [field, value] : fields) {
      if (field == name) out.push_back(value);
    }
    return out;
  }
  [[nodiscard]] std::string field(std::string_view name) const {
    const auto found = all(name);
    return found.size() == 1 ? found.front() : "";
  }
  [[nodiscard]] wire::Json json() const {
    const auto out = wire::Json::parse(body);
    EXPECT_TRUE(out) << body;
    return out.value_or(wire::Json::object());
  }
  [[nodiscard]] std::string text(std::string_view member) const { return json().text(member).value_or(""); }
  /// "badNonce" of a problem document; empty for anything else.
  [[nodiscard]] std::string problem() const {
    constexpr std::string_view prefix = "urn:ietf:params:acme:error:";
    if (content_type != "application/problem+json") return "";
    const std::string type = text("type");
    return type.starts_with(prefix) ? type.substr(prefix.size()) : "";
  }
};

class AcmeFixture : public testing::Test {
 protected:
  AcmeFixture() {
    desk_.add("r-1", {"a.example", "b.example", "*.example"});
    desk_.add("r-2", {"c.example"});
    restart();
  }
  void restart() {
    acme_.reset();
    store_.reset();
    static constexpr std::array migrations{store::Migration{1, acme_schema}};
    store_ = must(store::Store::open(directory_ / "cas.db", migrations));
    acme_ = std::make_unique<Acme>(settings_, desk_, *store_, *rng_, clock_, [this](const audit::Event& event) -> Result<void> {
      if (record_fails_) return fail(ErrorCode::internal, "the disk is full");
      recorded_.push_back(std::string(event.action) + ' ' + std::string(event.subject));
      return {};
    });
    service_ = acme_service(*acme_);
  }

  AcmeReply call(std::string_view method, std::string_view path_and_query, std::string_view content_type, Bytes body) {
    const std::string_view path = path_and_query.substr(0, path_and_query.find('?'));
    for (const EnrolmentRoute& route : service_.routes) {
      const auto parameters = net::match_path(route.pattern, path);
      if (!parameters || route.method != method) continue;
      EXPECT_LE(body.size(), route.body_max);
      net::ForeignRequest request{.peer = std::make_shared<net::ForeignPeer>(),
                                  .parameters = {parameters->begin(), parameters->end()},
                                  .query = path.size() == path_and_query.size() ? "" : std::string(path_and_query.substr(path.size() + 1)),
                                  .content_type = std::string(content_type),
                                  .body = std::move(body),
                                  .deadline = test::soon(),
                                  .request_id = "0123456789abcdef"};
      return read(route.answer(request));
    }
    return read(service_.refuse(404, "nothing is served at this path"));
  }
  static AcmeReply read(const net::ForeignResponse& response) {
    AcmeReply out{.status = response.status, .content_type = response.content_type, .body = {}, .fields = response.fields};
    if (response.open_body) out.body = std::string(as_text(*response.open_body));
    EXPECT_EQ(out.field("Cache-Control"), "no-store");
    EXPECT_EQ(out.field("Replay-Nonce").size(), 32U) << "RFC 8555 §6.5";
    return out;
  }
  /// A problem document.
  static void expect(const AcmeReply& reply, unsigned status, std::string_view problem) {
    EXPECT_EQ(reply.status, status) << reply.body;
    EXPECT_EQ(reply.problem(), problem) << reply.body;
    EXPECT_EQ(reply.json().integer("status").value_or(0), status);
    EXPECT_FALSE(reply.text("detail").empty());
  }
  std::string nonce() { return call("HEAD", "/acme/new-nonce", "", {}).field("Replay-Nonce"); }

  /// What a signed request says of itself; what is empty is as it should be.
  struct Said {
    std::optional<std::string> nonce = {};
    std::optional<std::string> url = {};
    std::optional<std::string> algorithm = {};
    std::string content_type = "application/jose+json";
    std::optional<std::string> kid = {};
    std::optional<wire::Json> jwk = {};
    bool spoiled = false;  // the signature
  };
  AcmeReply post_as(const JoseSigner& signer, const std::string& path, std::string_view payload, Said said) {
    wire::Json header = wire::Json::object({{"alg", said.algorithm.value_or(std::string(crypto::name(signer.algorithm())))}});
    if (said.nonce != "") header.set("nonce", said.nonce ? *said.nonce : nonce());
    header.set("url", said.url.value_or(acme_base + path));
    if (said.kid) header.set("kid", *said.kid);
    if (said.jwk) header.set("jwk", *said.jwk);
    wire::Json jws = signer.jws(header, payload);
    if (said.spoiled) {
      Bytes signature = must(wire::from_base64url(must(jws.text("signature"))));
      signature.back() ^= 1U;
      jws = wire::Json::object(
          {{"protected", must(jws.text("protected"))}, {"payload", must(jws.text("payload"))}, {"signature", wire::to_base64url(signature)}});
    }
    return call("POST", path, said.content_type, to_bytes(jws.dump()));
  }
  AcmeReply post_by_key(const JoseSigner& signer, const std::string& path, std::string_view payload) {
    return post_as(signer, path, payload, {.jwk = signer.jwk()});
  }

  /// An account of a client.
  struct Client {
    JoseSigner signer;
    std::string url;
    [[nodiscard]] std::string path() const { return url.substr(acme_base.size()); }
  };
  AcmeReply post(const Client& client, const std::string& path, std::string_view payload) { return post_as(client.signer, path, payload, {.kid = client.url}); }
  /// POST-as-GET.
  AcmeReply get(const Client& client, const std::string& path) { return post(client, path, ""); }

  wire::Json binding(const JoseSigner& signer, const std::string& reference, const Secret& secret) {
    const wire::Json header = wire::Json::object({{"alg", "HS256"}, {"kid", reference}, {"url", acme_base + "/acme/new-account"}});
    const std::string head = wire::to_base64url(as_bytes(header.dump()));
    const std::string payload = wire::to_base64url(as_bytes(signer.jwk().dump()));
    return wire::Json::object({{"protected", head},
                               {"payload", payload},
                               {"signature", wire::to_base64url(crypto::hmac(crypto::Hash::sha256, secret, {as_bytes(head + '.' + payload)}))}});
  }
  std::string account_payload(const JoseSigner& signer, const std::string& reference = "r-1") {
    return wire::Json::object({{"termsOfServiceAgreed", true},
                               {"contact", wire::Json::array({"mailto:ops@a.example"})},
                               {"externalAccountBinding", binding(signer, reference, desk_.secrets.at(reference))}})
        .dump();
  }
  Client register_client(JoseAlgorithm algorithm = JoseAlgorithm::es256, const std::string& reference = "r-1") {
    Client out{.signer = JoseSigner(algorithm), .url = {}};
    const AcmeReply reply = post_by_key(out.signer, "/acme/new-account", account_payload(out.signer, reference));
    EXPECT_EQ(reply.status, 201U) << reply.body;
    out.url = reply.field("Location");
    return out;
  }
  static std::string order_payload(const std::vector<std::string>& names) {
    wire::Json identifiers = wire::Json::array();
    for (const std::string& name : names) identifiers.push(dns_identifier(name));
    return wire::Json::object({{"identifiers", identifiers}}).dump();
  }
  static std::string csr_payload(ByteView csr) { return wire::Json::object({{"csr", wire::to_base64url(csr)}}).dump(); }
  static std::string path_in(const std::string& url) { return url.substr(acme_base.size()); }
  /// Path of a new order.
  std::string open_order(const Client& client, const std::vector<std::string>& names) {
    const AcmeReply reply = post(client, "/acme/new-order", order_payload(names));
    EXPECT_EQ(reply.status, 201U) << reply.body;
    return path_in(reply.field("Location"));
  }
  AcmeReply finalize(const Client& client, const std::string& order, ByteView csr) { return post(client, order + "/finalize", csr_payload(csr)); }
  /// PEM chain of a certificate for these names.
  std::string obtain(const Client& client, const std::vector<std::string>& names, const JoseSigner& key) {
    const std::string order = open_order(client, names);
    const AcmeReply reply = finalize(client, order, key.request("", names));
    EXPECT_EQ(reply.text("status"), "valid") << reply.body;
    const AcmeReply chain = get(client, path_in(reply.text("certificate")));
    EXPECT_EQ(chain.status, 200U);
    return chain.body;
  }
  static std::vector<Bytes> certificates_in(const std::string& pem) {
    constexpr std::string_view begin = "-----BEGIN CERTIFICATE-----\n";
    constexpr std::string_view end = "-----END CERTIFICATE-----\n";
    std::vector<Bytes> out;
    std::string_view rest = pem;
    while (!rest.empty()) {
      const std::size_t stop = rest.find(end);
      EXPECT_TRUE(rest.starts_with(begin) && stop != std::string_view::npos);
      if (!rest.starts_with(begin) || stop == std::string_view::npos) break;
      std::string text(rest.substr(begin.size(), stop - begin.size()));
      std::erase(text, '\n');
      out.push_back(must(wire::from_base64(text)));
      rest.remove_prefix(stop + end.size());
    }
    return out;
  }

  test::TemporaryDirectory directory_;
  SteppedClock clock_;
  std::unique_ptr<crypto::Rng> rng_ = must(crypto::open_rng());
  TestDesk desk_{*rng_, clock_};
  AcmeSettings settings_{.url = acme_base, .ca_issuers = "http://status.test"};
  bool record_fails_ = false;
  std::vector<std::string> recorded_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Acme> acme_;
  EnrolmentService service_;
};

}  // namespace qanat::cas
