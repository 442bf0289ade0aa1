// Each reference point of the call, driven over the wire as its caller would and as somebody who may not.
#include <fstream>

#include "crypto/kdf.hpp"
#include "crypto/site_key.hpp"
#include "crypto/x509_crl.hpp"
#include "point_test.hpp"
#include "quantum/qkm/relay_message.hpp"
#include "test_network.hpp"
#include "wire/base64.hpp"
#include "wire/est.hpp"
#include "wire/token.hpp"

namespace qanat::test {
namespace {

using points::Endpoint;
using wire::Json;

class PointsOverTheWire : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.spares = {{.domain = "b", .kind = Kind::kms, .name = "kms-spare"}, {.domain = "core", .kind = Kind::qkm, .name = "qkm-spare"}};
    options_.status_fresh_ms = 200;
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* uid : {"A", "B", "C"}) net().enrol(uid);
    net().await_quantum_keys();
  }

  static Json parsed(const Result<net::Response>& response) {
    EXPECT_TRUE(response) << (response ? "" : response.error().message);
    if (!response) return {};
    EXPECT_EQ(response->status / 100, 2U) << as_text(response->body);
    const auto json = Json::parse(response->body);
    return json ? *json : Json();
  }
  static unsigned status_of(const Result<net::Response>& response) {
    EXPECT_TRUE(response) << (response ? "" : response.error().message);
    return response ? response->status : 0;
  }
  /// Refused because of what the caller is, and the refusal is on record at the callee.
  static void expect_not_allowed(const std::string& caller, Endpoint endpoint, const std::string& callee) {
    const std::string body = "{}";
    const bool empty = points::row(endpoint).request_type.empty();
    EXPECT_EQ(status_of(net().call(caller, endpoint, callee, empty ? ByteView() : as_bytes(body))), 403U);
    net().expect_audit(callee, std::string(points::row(endpoint).point), "");
  }
  /// The complete list of the ML-DSA branch, as this caller gets it.
  static void expect_list(const std::string& caller, Endpoint endpoint) {
    const auto answer = net().call(caller, endpoint, "cas", {}, "branch=ml_dsa&list=full");
    ASSERT_EQ(status_of(answer), 200U);
    const crypto::Certificate cert = net().identity_of("kms-a")->chain.front();
    const auto list = crypto::read_revocation_list(answer->body, *net().trust().issuer_of(cert));
    ASSERT_TRUE(list) << list.error().message;
    EXPECT_GT(list->next_update, SystemClock().now_ms());
    EXPECT_TRUE(std::ranges::none_of(list->revoked, [&](const crypto::RevokedSerial& entry) { return entry.serial == cert.serial(); }));
  }
  static Secret site_secret(const std::string& site, const std::string& key_id, const Bytes& wrapped) {
    const auto key = crypto::SiteKey::read(net().network().secret_of("site-" + site + ".key"));
    EXPECT_TRUE(key);
    auto out = key->unwrap(concat({as_bytes("km-3"), *from_hex(key_id)}), wrapped);
    EXPECT_TRUE(out) << (out ? "" : out.error().message);
    return out ? std::move(*out) : Secret();
  }
  static Json take(const std::string& kms, const std::string& qkm, const std::string& peer) {
    return parsed(net().call_json(kms, Endpoint::km3_take, qkm,
                                  Json::object({{"peer_domain", peer}, {"sid_wk", to_hex(net().rng().bytes(16))}, {"count", 1}, {"kms", kms}})));
  }
  /// what qkm-a would say to qkm-r of a batch for qkm-b, under link keys that lie in this chunk.
  static Bytes relay_message(const BatchId& relay_id, const BatchId& chunk) {
    const qkm::RelayHeader header{.relay_id = relay_id,
                                  .origin_domain = "a",
                                  .destination_domain = "b",
                                  .path = {ElementName("qkm-a"), ElementName("qkm-r"), ElementName("qkm-b")},
                                  .hop = 1,
                                  .secrets = 1,
                                  .runs = {{.batch = chunk, .first = 0, .count = 2}}};
    const qkm::HopKeys keys{.runs = header.runs, .mac = net().rng().secret(32), .pads = net().rng().secret(32)};
    return qkm::protect(header, net().rng().secret(32), keys).value();
  }
  /// Asks for the status of `cert` as `caller`.
  static crypto::CertStatus status_seen_by(const std::string& caller, Endpoint endpoint, const crypto::Certificate& cert) {
    const crypto::Certificate* issuer = net().trust().issuer_of(cert);
    const Bytes nonce = net().rng().bytes(32);
    const auto response = net().call(caller, endpoint, "cas", crypto::make_status_request(cert, *issuer, nonce).value());
    EXPECT_TRUE(response) << (response ? "" : response.error().message);
    if (!response) return crypto::CertStatus::unknown;
    EXPECT_EQ(response->status, 200U) << as_text(response->body);
    const auto answer = crypto::verify_status_response(response->body, cert, *issuer, nonce, SystemClock().now_ms());
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    return answer ? answer->status : crypto::CertStatus::unknown;
  }
};

POINT_TEST(PointsOverTheWire, Km_1, accepts, AnApplicationFromEachEndGivesBothTheSameKey) {
  const auto across = net().apply("A", "B");
  ASSERT_TRUE(across.agree()) << across.reasons();
  EXPECT_EQ(across.caller->assurance, wire::Assurance::one_qkd_path);
  EXPECT_EQ(across.callee->peer_number, net().terminal("A").number());
  const auto within = net().apply("A", "C");
  ASSERT_TRUE(within.agree()) << within.reasons();
  EXPECT_EQ(within.caller->assurance, wire::Assurance::local_rng);
  EXPECT_FALSE(equal_secret(across.caller->wk, within.caller->wk));
}

POINT_TEST(PointsOverTheWire, Km_1, refuses, ElementsAndMalformedApplications) {
  expect_not_allowed("kms-b", Endpoint::km1_application, "kms-a");
  expect_not_allowed("qkm-a", Endpoint::km1_ack, "kms-a");
  EXPECT_EQ(status_of(net().call("A", Endpoint::km1_application, "kms-a", as_bytes("QFC2 but no message"))), 400U);
  EXPECT_EQ(status_of(net().call("", Endpoint::km1_enrol, "kms-a", as_bytes("no message"))), 400U);
}

POINT_TEST(PointsOverTheWire, Km_2, accepts, TwoKmsAgreeOnOneKey) {
  const auto pair = net().apply("B", "A");  // the other way round: kms-b offers, kms-a accepts
  ASSERT_TRUE(pair.agree()) << pair.reasons();
  EXPECT_EQ(pair.caller->peer_kms.text(), "kms-a");
  EXPECT_EQ(pair.callee->peer_kms.text(), "kms-b");
  EXPECT_EQ(pair.caller->n_paths, 1);
  EXPECT_EQ(pair.caller->path_min, 1);
}

POINT_TEST(PointsOverTheWire, Km_2, refuses, OffersThatNobodyAnnounced) {
  expect_not_allowed("A", Endpoint::km2_offer, "kms-b");
  EXPECT_EQ(status_of(net().call("kms-a", Endpoint::km2_offer, "kms-b", as_bytes("garbage"))), 400U);
  const wire::KmsConfirm unasked{.sid_wk = net().rng().id<SidWk>(), .h_accept = Bytes(net().suite().digest), .kc_a = Bytes(net().suite().digest)};
  EXPECT_EQ(status_of(net().call("kms-a", Endpoint::km2_confirm, "kms-b", wire::frame(net().suite(), 1, unasked).value().octets)), 404U);
}

POINT_TEST(PointsOverTheWire, Km_3, accepts, TheFarEndFetchesTheSameQuantumKeyById) {
  const Json near = take("kms-a", "qkm-a", "b");
  const Json key = near.array("keys").value().at(0);
  const std::string id = key.text("key_id").value();
  EXPECT_EQ(key.text("grade").value(), "qkd");
  EXPECT_GT(key.integer("fetch_within_ms").value(), 0) << "for so long the far end surely keeps it";
  Json ids = Json::array();
  ids.push(id);
  const Json far = parsed(net().call_json("kms-b", Endpoint::km3_fetch, "qkm-b", Json::object({{"peer_domain", "a"}, {"key_ids", ids}, {"sid_wk", to_hex(net().rng().bytes(16))}})));
  const Json same = far.array("keys").value().at(0);
  EXPECT_EQ(same.text("key_id").value(), id);
  const Secret at_a = site_secret("a", id, key.base64("key").value());
  const Secret at_b = site_secret("b", id, same.base64("key").value());
  ASSERT_EQ(at_a.size(), 32U);
  EXPECT_TRUE(equal_secret(at_a, at_b));
}

POINT_TEST(PointsOverTheWire, Km_3, accepts, TheSameTakeAgainGetsTheSameKeysUntilTheyAreDoneWith) {
  const std::string session = to_hex(net().rng().bytes(16));
  const auto ask = [&](std::int64_t count) {
    return net().call_json("kms-a", Endpoint::km3_take, "qkm-a",
                           Json::object({{"peer_domain", "b"}, {"sid_wk", session}, {"count", count}, {"kms", "kms-a"}}));
  };
  const Json first = parsed(ask(1)).array("keys").value().at(0);
  const Json again = parsed(ask(1)).array("keys").value().at(0);
  const std::string id = first.text("key_id").value();
  ASSERT_EQ(again.text("key_id").value(), id);
  EXPECT_TRUE(equal_secret(site_secret("a", id, first.base64("key").value()), site_secret("a", id, again.base64("key").value())));
  const std::vector<Json> repeats = net().audit("qkm-a", "relayed_key.given_again", "");
  EXPECT_TRUE(std::ranges::any_of(repeats, [&](const Json& entry) { return entry.text("object").value_or("") == id; })) << "which is on record";
  EXPECT_EQ(status_of(ask(2)), 409U) << "something else under its name";
  Json ids = Json::array();
  ids.push(id);
  EXPECT_EQ(status_of(net().call_json("kms-a", Endpoint::km3_done, "qkm-a", Json::object({{"key_ids", ids}, {"used", false}}))), 204U);
  EXPECT_EQ(status_of(ask(1)), 409U) << "whoever is done with a key does not get it again, nor another in its place";
  net().expect_audit("qkm-a", "km-3.take", "is done with them");
}

POINT_TEST(PointsOverTheWire, Km_3, accepts, ADemandForQualityIsMetAndTheKeySaysWhatItIsWorthAtBothEnds) {
  const Json quality = Json::object({{"bound", "two-decoy-finite"}, {"eps_max", 1e-9}, {"relays_max", 1}, {"way", "hop_by_hop"}});
  const Json near = parsed(net().call_json(
      "kms-a", Endpoint::km3_take, "qkm-a",
      Json::object({{"peer_domain", "b"}, {"sid_wk", to_hex(net().rng().bytes(16))}, {"count", 1}, {"kms", "kms-a"}, {"quality", quality}, {"wait", true}})));
  const Json key = near.array("keys").value().at(0);
  const Json proof = key.object("proof").value();
  EXPECT_EQ(proof.texts("bounds").value(), std::vector<std::string>{"lim-2014"});
  EXPECT_EQ(proof.texts("photons").value(), std::vector<std::string>{"simulated"});
  EXPECT_GE(proof.number("eps").value(), 2e-10) << "two hops, a block each at least";
  EXPECT_LE(proof.number("eps").value(), 1e-9);
  const Json path = key.object("path").value();
  EXPECT_EQ(path.text("kind").value(), "hop_by_hop");
  EXPECT_EQ(path.integer("relays").value(), 1);
  Json ids = Json::array();
  ids.push(key.text("key_id").value());
  const Json far = parsed(net().call_json("kms-b", Endpoint::km3_fetch, "qkm-b", Json::object({{"peer_domain", "a"}, {"key_ids", ids}, {"sid_wk", to_hex(net().rng().bytes(16))}})));
  EXPECT_EQ(far.array("keys").value().at(0).object("proof")->dump(), proof.dump());
}

POINT_TEST(PointsOverTheWire, Km_3, refuses, AQualityThatTheseLinksDoNotHave) {
  struct Case {
    Json quality;
    unsigned status;
  };
  for (const Case& one : {Case{Json::object({{"photons", "measured"}}), 503U}, Case{Json::object({{"eps_max", 1e-12}}), 503U},
                          Case{Json::object({{"bound", "one-decoy-finite"}}), 503U}, Case{Json::object({{"way", "centralised"}}), 503U},
                          Case{Json::object({{"bound", "best"}}), 400U}, Case{Json::object({{"eps_max", 0.0}}), 400U}}) {
    EXPECT_EQ(status_of(net().call_json("kms-a", Endpoint::km3_take, "qkm-a",
                                        Json::object({{"peer_domain", "b"}, {"sid_wk", to_hex(net().rng().bytes(16))}, {"count", 1}, {"kms", "kms-a"}, {"quality", one.quality}}))),
              one.status)
        << one.quality.dump();
  }
  net().expect_audit("qkm-a", "km-3.take", "its oldest: finite (lim-2014)");
}

POINT_TEST(PointsOverTheWire, Km_3, accepts, ANoticeSaysWhenThereAreKeys) {
  const Json notice = parsed(net().call("kms-a", Endpoint::km3_notice, "qkm-a", {}, "peer_domain=b&least=1"));
  EXPECT_EQ(notice.text("peer_domain").value(), "b");
  EXPECT_GE(notice.integer("stock").value(), 1);
}

POINT_TEST(PointsOverTheWire, Km_3, refuses, ASecondDeliveryAndOthers) {
  expect_not_allowed("qkd-ar-alice", Endpoint::km3_take, "qkm-a");
  expect_not_allowed("A", Endpoint::km3_status, "qkm-a");
  const std::string id = take("kms-a", "qkm-a", "b").array("keys").value().at(0).text("key_id").value();
  Json ids = Json::array();
  ids.push(id);
  const Json fetch = Json::object({{"peer_domain", "a"}, {"key_ids", ids}, {"sid_wk", to_hex(net().rng().bytes(16))}});
  parsed(net().call_json("kms-b", Endpoint::km3_fetch, "qkm-b", fetch));
  EXPECT_NE(status_of(net().call_json("kms-b", Endpoint::km3_fetch, "qkm-b", fetch)) / 100, 2U) << "a quantum key was delivered twice";
  EXPECT_EQ(status_of(net().call_json("kms-b", Endpoint::km3_take, "qkm-a", Json::object({{"peer_domain", "b"}, {"sid_wk", to_hex(net().rng().bytes(16))}, {"count", 1}, {"kms", "kms-b"}}))),
            403U)
      << "a QKM serves the KMS of its own site alone";
  EXPECT_EQ(status_of(net().call_json("kms-a", Endpoint::km3_take, "qkm-a",
                                      Json::object({{"peer_domain", "b"}, {"sid_wk", to_hex(net().rng().bytes(16))}, {"count", 1}, {"kms", "kms-b"}}))),
            403U)
      << "nor in another's name";
  EXPECT_EQ(status_of(net().call("kms-b", Endpoint::km3_status, "qkm-a", {})), 403U);
  net().expect_audit("qkm-a", "km-3.status", "is for its own KMS");
  EXPECT_EQ(status_of(net().call("kms-b", Endpoint::km3_notice, "qkm-a", {}, "peer_domain=b&least=1")), 403U);
  net().expect_audit("qkm-a", "km-3.notice", "are for its own KMS");
}

POINT_TEST(PointsOverTheWire, Kq_1, accepts, AQkdLearnsWhetherToRun) {
  EXPECT_TRUE(parsed(net().call("qkd-ar-alice", Endpoint::kq1_control, "qkm-a", {}, "link=a-r&have=0")).has("run"));
  EXPECT_FALSE(net().audit("qkm-a", "kq-1").empty()) << "blocks that came in are on record";
}

POINT_TEST(PointsOverTheWire, Kq_1, refuses, BlocksFromOthers) {
  expect_not_allowed("kms-a", Endpoint::kq1_block, "qkm-a");
  const Json foreign = Json::object({{"link", "a-r"}, {"block_id", 1000000}, {"keys", wire::to_base64(net().rng().bytes(80))}, {"count", 1}, {"report", Json::object()}});
  EXPECT_EQ(status_of(net().call_json("qkd-rb-alice", Endpoint::kq1_block, "qkm-a", foreign)), 403U);
  EXPECT_EQ(status_of(net().call("qkd-rb-alice", Endpoint::kq1_control, "qkm-a", {}, "link=a-r&have=0")), 403U);
  net().expect_audit("qkm-a", "kq-1.control", "does not serve a link 'a-r'");
  EXPECT_NE(status_of(net().call_json("qkd-ar-alice", Endpoint::kq1_block, "qkm-a", foreign)) / 100, 2U) << "keys that are not wrapped under the site key";
}

POINT_TEST(PointsOverTheWire, Kq_2, accepts, TheControllerGivesTheRoute) {
  const Json answer = parsed(net().call_json("qkm-a", Endpoint::kq2_route, "qkdnc", Json::object({{"to", "qkm-b"}})));
  const Json route = answer.array("routes").value().at(0);
  EXPECT_EQ(route.texts("route").value(), (std::vector<std::string>{"qkm-r", "qkm-b"}));
  EXPECT_EQ(route.hex("path_id").value().size(), 8U);
}

POINT_TEST(PointsOverTheWire, Kq_2, refuses, OthersAndUnknownDestinations) {
  expect_not_allowed("kms-a", Endpoint::kq2_route, "qkdnc");
  EXPECT_NE(status_of(net().call_json("qkm-a", Endpoint::kq2_route, "qkdnc", Json::object({{"to", "qkm-nowhere"}}))) / 100, 2U);
  EXPECT_EQ(status_of(net().call_json("qkm-a", Endpoint::kq2_route, "qkdnc", Json::object({{"destination", "qkm-b"}}))), 400U);
  expect_not_allowed("qkm-r", Endpoint::kq2_report, "qkm-a");
  expect_not_allowed("kms-a", Endpoint::kq2_relay, "qkdnc");
}

POINT_TEST(PointsOverTheWire, Ce_1, accepts, AKmsEnrolsWithItsOneTimeSecret) {
  const auto identity = net().enrol_spare("kms-spare");
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->chain.front().names().element->uri(), "qanat://b/kms/kms-spare");
  EXPECT_TRUE(net().trust().verify(identity->chain.front(), SystemClock().now_ms()));
  EXPECT_FALSE(std::filesystem::exists(net().network().secret_of("kms-spare.enrolment"))) << "the secret is spent";
}

/// A request for the certificate of `identity` over a fresh key.
Bytes est_request(TestNetwork& net, const Identity& identity) {
  const crypto::Signer keys = crypto::Signer::generate(net.suite(), net.rng()).value();
  const crypto::SubjectNames names{.common_name = identity.name, .element = identity, .number = {}, .dns = {}};
  return crypto::make_request({.algorithm = crypto::ml_dsa_key(net.suite()), .secret = keys.secret().ml_dsa_seed}, names).value();
}
/// First enrolment with a secret that nobody can know: the status of the answer.
unsigned enrol_forged(TestNetwork& net, Endpoint endpoint, const Identity& identity) {
  const points::EndpointRow& line = points::row(endpoint);
  const std::string body = wire::est_body(est_request(net, identity));
  const Secret authorization = wire::basic_authorization(identity.name, Secret::copy_of(as_bytes(to_hex(net.rng().bytes(32)))));
  const auto answer = net.client("cas", nullptr)->call({.method = std::string(line.method),
                                                        .path = std::string(line.path),
                                                        .query = "",
                                                        .content_type = std::string(line.request_type),
                                                        .body = as_bytes(body),
                                                        .request_id = "",
                                                        .authorization = &authorization},
                                                       Deadline::after(std::chrono::seconds(5)));
  EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
  return answer ? answer->status : 0;
}

POINT_TEST(PointsOverTheWire, Ce_1, refuses, AWrongSecretNoSecretAndOthersTerminals) {
  const Identity kms_a{.domain = "a", .kind = Kind::kms, .name = "kms-a"};
  EXPECT_EQ(enrol_forged(net(), Endpoint::ce1_enrol, kms_a), 401U);
  const std::string body = wire::est_body(est_request(net(), kms_a));
  EXPECT_EQ(status_of(net().call("", Endpoint::ce1_enrol, "cas", as_bytes(body))), 401U);
  net().expect_audit("cas", "ce-1.enrol", "the enrolment secret is missing");
  expect_not_allowed("A", Endpoint::ce1_terminal, "cas");
}

POINT_TEST(PointsOverTheWire, Ce_4, accepts, AQkmEnrolsWithItsOneTimeSecret) {
  const auto identity = net().enrol_spare("qkm-spare");
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->chain.front().names().element->kind, Kind::qkm);
}

POINT_TEST(PointsOverTheWire, Ce_4, refuses, AnIdentityThatNobodyExpects) {
  EXPECT_EQ(enrol_forged(net(), Endpoint::ce4_enrol, {.domain = "a", .kind = Kind::qkm, .name = "qkm-evil"}), 401U);
  // A KMS's identity cannot be had at the QKDN's door either.
  EXPECT_EQ(enrol_forged(net(), Endpoint::ce4_enrol, {.domain = "a", .kind = Kind::kms, .name = "kms-a"}), 403U);
}

POINT_TEST(PointsOverTheWire, Cq_1, accepts, AKmsLearnsThatACertificateIsGood) {
  EXPECT_EQ(status_seen_by("kms-a", Endpoint::cq1_status, net().identity_of("A")->chain.front()), crypto::CertStatus::good);
}
POINT_TEST(PointsOverTheWire, Cq_1, refuses, OthersAndMalformedRequests) {
  expect_not_allowed("A", Endpoint::cq1_status, "cas");
  const auto answer = net().call("kms-a", Endpoint::cq1_status, "cas", as_bytes("not DER"));
  ASSERT_TRUE(answer) << answer.error().message;
  const crypto::Certificate cert = net().identity_of("A")->chain.front();
  EXPECT_FALSE(crypto::verify_status_response(answer->body, cert, *net().trust().issuer_of(cert), {}, SystemClock().now_ms()));
}

POINT_TEST(PointsOverTheWire, Cq_2, accepts, ATerminalLearnsThatACertificateIsGood) {
  EXPECT_EQ(status_seen_by("A", Endpoint::cq2_status, net().identity_of("kms-a")->chain.front()), crypto::CertStatus::good);
}
POINT_TEST(PointsOverTheWire, Cq_2, refuses, Others) { expect_not_allowed("kms-a", Endpoint::cq2_status, "cas"); }

POINT_TEST(PointsOverTheWire, Cq_3, accepts, AQkmLearnsThatACertificateIsGoodOrRevoked) {
  EXPECT_EQ(status_seen_by("qkm-a", Endpoint::cq3_status, net().identity_of("qkm-r")->chain.front()), crypto::CertStatus::good);
  const crypto::Certificate cert = net().identity_of("kms-spare")->chain.front();
  ASSERT_TRUE(net().op().revoke(*cert.names().element));
  EXPECT_EQ(status_seen_by("qkm-a", Endpoint::cq3_status, cert), crypto::CertStatus::revoked);
}
POINT_TEST(PointsOverTheWire, Cq_3, refuses, Others) { expect_not_allowed("A", Endpoint::cq3_status, "cas"); }

POINT_TEST(PointsOverTheWire, Cd_1, accepts, AKmsFetchesARevocationList) { expect_list("kms-a", Endpoint::cd1_crl); }
POINT_TEST(PointsOverTheWire, Cd_1, refuses, Others) {
  expect_not_allowed("A", Endpoint::cd1_crl, "cas");
  EXPECT_EQ(status_of(net().call("kms-a", Endpoint::cd1_crl, "cas", {}, "branch=ml_dsa&list=none")), 404U);
}
POINT_TEST(PointsOverTheWire, Cd_2, accepts, ATerminalFetchesARevocationList) { expect_list("A", Endpoint::cd2_crl); }
POINT_TEST(PointsOverTheWire, Cd_2, refuses, Others) { expect_not_allowed("kms-a", Endpoint::cd2_crl, "cas"); }
POINT_TEST(PointsOverTheWire, Cd_3, accepts, AQkmFetchesARevocationList) { expect_list("qkm-a", Endpoint::cd3_crl); }
POINT_TEST(PointsOverTheWire, Cd_3, refuses, Others) { expect_not_allowed("A", Endpoint::cd3_crl, "cas"); }

POINT_TEST(PointsOverTheWire, Ma_1, accepts, ATerminalReadsItsAccount) {
  const Json account = parsed(net().call("A", Endpoint::ma1_account, "cmsp", {}));
  EXPECT_EQ(account.text("number").value(), net().terminal("A").number().text());
  EXPECT_EQ(account.text("service").value(), "open");
}
POINT_TEST(PointsOverTheWire, Ma_1, refuses, Others) { expect_not_allowed("kms-a", Endpoint::ma1_account, "cmsp"); }

POINT_TEST(PointsOverTheWire, Ma_2, accepts, TheCalleesKmsIsLocatedAndNotified) {
  const auto pair = net().apply("A", "B");
  ASSERT_TRUE(pair.agree()) << pair.reasons();
  EXPECT_FALSE(net().audit("kms-b", "ma-2.notify").empty());
}
POINT_TEST(PointsOverTheWire, Ma_2, refuses, NumbersOfOthers) {
  expect_not_allowed("A", Endpoint::ma2_locate, "cmsp");
  EXPECT_EQ(status_of(net().call_json("kms-b", Endpoint::ma2_register, "cmsp", Json::object({{"uid", "A"}, {"number", net().terminal("A").number().text()}}))), 403U);
  EXPECT_EQ(status_of(net().call("kms-a", Endpoint::ma2_locate, "cmsp", as_bytes("garbage"))), 400U);
  expect_not_allowed("kms-a", Endpoint::ma2_notify, "kms-b");
}

POINT_TEST(PointsOverTheWire, Id_1, accepts, AKmsLooksUpItsSubscriber) {
  const Json subscriber = parsed(net().call_json("kms-a", Endpoint::id1_subscriber, "iam", Json::object({{"uid", "A"}})));
  EXPECT_EQ(subscriber.text("home_kms").value(), "kms-a");
  EXPECT_EQ(subscriber.text("status").value(), "active");
}
POINT_TEST(PointsOverTheWire, Id_1, refuses, OthersAndUnknownSubscribers) {
  expect_not_allowed("A", Endpoint::id1_subscriber, "iam");
  EXPECT_EQ(status_of(net().call_json("kms-a", Endpoint::id1_subscriber, "iam", Json::object({{"uid", "nobody"}}))), 404U);
}

Json token_request(TestNetwork& net, const std::string& uid) {
  const node::MessageSigner& signer = *net.terminal(uid).node().credentials().messages;
  return Json::object({{"uid", uid}, {"fp_classical", to_hex(signer.fps.classical)}, {"fp_ml_dsa", to_hex(signer.fps.pq)}});
}

POINT_TEST(PointsOverTheWire, Pm_1, accepts, ATokenBoundToItsHolder) {
  const Json answer = parsed(net().call_json("kms-a", Endpoint::pm1_token, "iam", token_request(net(), "A")));
  const auto classical = crypto::Certificate::parse(answer.base64("classical").value()).value();
  const auto ml_dsa = crypto::Certificate::parse(answer.base64("ml_dsa").value()).value();
  EXPECT_EQ(ml_dsa.names().element->kind, Kind::iam);
  const auto verifier = crypto::Verifier::from_key(net().suite(), {.point = classical.public_key(), .ml_dsa = ml_dsa.public_key()}).value();
  const auto token = wire::open_token(answer.base64("token").value(), verifier, wire::fingerprints(net().suite(), classical.der(), ml_dsa.der()));
  ASSERT_TRUE(token) << token.error().message;
  const UnixMs now = SystemClock().now_ms();
  const wire::Fingerprints holder = net().terminal("A").node().credentials().messages->fps;
  EXPECT_TRUE(wire::check_token(token->message, holder, Uid("A"), ElementName("kms-a"), now));
  EXPECT_FALSE(wire::check_token(token->message, net().terminal("C").node().credentials().messages->fps, Uid("C"), ElementName("kms-a"), now));
  EXPECT_FALSE(wire::check_token(token->message, holder, Uid("A"), ElementName("kms-a"), token->message.expires_ms + 1)) << "it expires";
}
POINT_TEST(PointsOverTheWire, Pm_1, refuses, AnotherKmsAndSuspendedSubscribers) {
  EXPECT_EQ(status_of(net().call_json("kms-b", Endpoint::pm1_token, "iam", token_request(net(), "A"))), 403U);
  expect_not_allowed("A", Endpoint::pm1_token, "iam");
  ASSERT_TRUE(net().op().set_subscriber("C", "suspend"));
  EXPECT_EQ(status_of(net().call_json("kms-a", Endpoint::pm1_token, "iam", token_request(net(), "C"))), 403U);
  ASSERT_TRUE(net().op().set_subscriber("C", "resume"));
}

Json behaviour(std::size_t count) {
  Json records = Json::array();
  for (std::size_t i = 0; i < count; ++i) records.push(Json::object({{"time_ms", SystemClock().now_ms()}, {"uid", "A"}, {"action", "application"}, {"outcome", "delivered"}, {"object", "x"}}));
  return Json::object({{"records", records}});
}

POINT_TEST(PointsOverTheWire, Ua_1, accepts, BehaviourRecordsOfAKms) {
  EXPECT_EQ(status_of(net().call_json("kms-a", Endpoint::ua1_record, "iam", behaviour(2))) / 100, 2U);
}
POINT_TEST(PointsOverTheWire, Ua_1, refuses, OthersAndTooManyAtOnce) {
  expect_not_allowed("qkm-a", Endpoint::ua1_record, "iam");
  EXPECT_EQ(status_of(net().call_json("kms-a", Endpoint::ua1_record, "iam", behaviour(65))) / 100, 4U);
}

POINT_TEST(PointsOverTheWire, X_1, accepts, AKeyCrossesTheTrustedNodeAndEachNodeHasItsLinkKeysOnRecord) {
  const Json key = take("kms-a", "qkm-a", "b").array("keys").value().at(0);
  EXPECT_EQ(key.object("path")->text("kind").value(), "hop_by_hop");
  EXPECT_EQ(key.object("path")->integer("relays").value(), 1);
  const auto uses = [](const std::string& at, const std::string& with) {
    return std::ranges::any_of(net().audit(at, "link_key.used"), [&](const Json& record) { return record.text("subject").value() == with; });
  };
  for (const auto& [at, with] : {std::pair{"qkm-a", "qkm-r"}, {"qkm-r", "qkm-a"}, {"qkm-r", "qkm-b"}, {"qkm-b", "qkm-r"}}) EXPECT_TRUE(uses(at, with)) << at << ", " << with;
}

POINT_TEST(PointsOverTheWire, X_1, accepts, ANodeThatNeverGotTheBlockSaysSo) {
  const auto relay_id = net().rng().id<BatchId>();
  const auto chunk = net().rng().id<BatchId>();
  const auto response = net().call("qkm-a", Endpoint::x1_relay, "qkm-r", relay_message(relay_id, chunk));
  ASSERT_EQ(status_of(response), 200U);
  const auto answer = qkm::parse_relay_answer(response->body, relay_id);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->missing, std::vector{chunk});
  EXPECT_TRUE(answer->confirmation.empty());
}

POINT_TEST(PointsOverTheWire, X_1, refuses, OthersOthersPathsAndWhatIsNoRelay) {
  const Bytes message = relay_message(net().rng().id<BatchId>(), net().rng().id<BatchId>());
  expect_not_allowed("kms-a", Endpoint::x1_relay, "qkm-r");
  EXPECT_EQ(status_of(net().call("qkm-b", Endpoint::x1_relay, "qkm-r", message)), 403U) << "a neighbour, in another's name";
  net().expect_audit("qkm-r", "x-1.relay", "its path does not lead over the sender");
  EXPECT_EQ(status_of(net().call("qkm-r", Endpoint::x1_relay, "qkm-b", message)), 403U) << "a hop that ends elsewhere";
  EXPECT_EQ(status_of(net().call("qkm-a", Endpoint::x1_relay, "qkm-r", as_bytes("no relay"))), 400U);
  Bytes longer = message;
  longer.push_back(0);
  EXPECT_EQ(status_of(net().call("qkm-a", Endpoint::x1_relay, "qkm-r", longer)), 400U);
}

POINT_TEST(PointsOverTheWire, X_6, accepts, TheOperatorSeesEveryElementsHealth) {
  for (const app::ElementPlan& element : net().network().elements()) {
    if (!element.started) continue;
    const auto health = net().op().health(element.name());
    ASSERT_TRUE(health) << health.error().message;
    EXPECT_EQ(health->text("status").value(), "ready");
  }
  EXPECT_TRUE(net().op().health("qkd-ar-alice")->boolean("simulated").value()) << "photons are simulated, and it says so";
}
POINT_TEST(PointsOverTheWire, X_6, refuses, Others) { expect_not_allowed("A", Endpoint::x6_health, "kms-a"); }

}  // namespace
}  // namespace qanat::test
