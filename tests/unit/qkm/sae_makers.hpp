// Two key managers at one trusted node, as if two makers had made them: each with its own database, roots, listener and client, nothing shared but the
// loopback. What a test speaks to them goes over real HTTPS with certificates.
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <future>

#include "audit_records.hpp"
#include "crypto/foreign_issue.hpp"
#include "harness.hpp"
#include "quantum/qkm/sae_front.hpp"
#include "wire/json.hpp"

namespace qanat::qkm::test {

using crypto::ForeignKey;
using crypto::PemFiles;

/// Certificates: made once, they cost some milliseconds.
struct MakerFiles {
  qanat::test::TemporaryDirectory folder;
  PemFiles root_a = file("root-a"), root_b = file("root-b");
  std::filesystem::path both = folder / "both.pem";
  std::map<std::string, PemFiles> leaves;

  MakerFiles() {
    EXPECT_TRUE(crypto::make_foreign_root(root_a, "Maker A", ForeignKey::ecdsa_p384));
    EXPECT_TRUE(crypto::make_foreign_root(root_b, "Maker B", ForeignKey::ecdsa_p256));
    std::ofstream(both) << std::ifstream(root_a.certificate).rdbuf() << std::ifstream(root_b.certificate).rdbuf();
    for (const char* name : {"qkm-a", "sae-a", "sae-a2"}) leaf(name, root_a);
    for (const char* name : {"qkm-b", "sae-b", "qkm-x"}) leaf(name, root_b);
  }
  [[nodiscard]] PemFiles file(const std::string& name) const { return {.certificate = folder / (name + ".pem"), .key = folder / (name + ".key")}; }
  void leaf(const std::string& name, const PemFiles& issuer) {
    leaves[name] = file(name);
    const auto made =
        crypto::make_foreign_leaf(leaves[name], {.common_name = name, .uris = {}, .dns = {}, .addresses = {"127.0.0.1"}}, ForeignKey::ecdsa_p256, issuer);
    EXPECT_TRUE(made) << made.error().message;
  }
  [[nodiscard]] net::ForeignTls tls(const std::string& name) const {
    return {.chains = {{.certificate = leaves.at(name).certificate, .key = leaves.at(name).key}}, .roots = both, .crls = {}};
  }
};
inline MakerFiles& maker_files() {
  static MakerFiles shared;
  return shared;
}

/// Nobody else's until this program ends; a maker that starts again needs its old port, and has it by SO_REUSEADDR.
inline std::uint16_t free_port() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), size), 0);
  EXPECT_EQ(::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const int shared = 1;
  EXPECT_EQ(::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &shared, sizeof shared), 0);
  return ntohs(address.sin_port);
}

struct Maker : AuditRecords {
  Maker(std::string name_, std::uint16_t port_) : name(std::move(name_)), port(port_), device(*crypto::open_software_device(folder / "master", rng())) {}

  [[nodiscard]] std::string address() const { return "https://127.0.0.1:" + std::to_string(port); }
  [[nodiscard]] kme::Sae sae(const char* id, const char* kme, bool pattern = false) const {
    return {.id = kme::SaeId(id), .domain = std::string(kme).substr(4), .kme = kme, .here = name == kme, .keys_per_second = 0, .pattern = pattern};
  }
  /// `other`: where keys are brought, and whose acknowledgements are expected.
  void start(const Maker& other) {
    SaeSettings settings;
    settings.listener.port = port;
    settings.listener.tls = maker_files().tls(name);
    settings.served = {SaeStandard::etsi014, SaeStandard::skip, SaeStandard::etsi020};
    std::vector<kme::Sae> saes{sae("sae-a", "qkm-a"), sae("sae-a2", "qkm-a"), sae("sae-b", "qkm-b")};
    if (name == "qkm-a") saes.push_back(sae("sae-nowhere", "qkm-b"));
    saes.push_back(sae("sae-c", "qkm-c"));
    settings.registry = *kme::SaeRegistry::make(std::move(saes));
    settings.callbacks = {{other.name, acks_allowed ? other.address() + "/kmapi/" : "https://192.0.2.1/kmapi/"}};
    settings.kmes.emplace(other.name, NeighbourSettings{.url = other.address() + "/kmapi/v1/", .tls = maker_files().tls(name)});
    settings.ack_callback_url = address() + "/kmapi/v1/ext_keys/ack";
    store = *store::Store::open(folder / "qkm.db", migrations);
    stock = std::make_unique<KeyStock>(*device);
    front = std::make_unique<SaeFront>(SaeFrontPlace{.kme = name, .domain = name.substr(4), .domains = {{"c", ElementName("qkm-c")}}},
                                       SaeFront::Parts{.store = *store, .stock = *stock, .device = *device, .clock = clock},
                                       SaeFront::Ports{.activate = [](const ElementName&, const wire::Json&, Deadline) -> Result<wire::Json> {
                                                         return wire::Json::object({{"missing", wire::Json::array()}});
                                                       },
                                                       .record = [this](const audit::Event& event) -> Result<void> { return record(event); },
                                                       .taken = [this] { ++times_taken; }},
                                       std::move(settings));
    const auto started = front->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  /// What kill -9 leaves: the database alone.
  void die() {
    front->stop();
    front.reset();
    stock.reset();
    store.reset();
  }
  std::int64_t count(std::string_view sql) {
    std::int64_t out = -1;
    (void)store->transact([&](store::Transaction& transaction) { return transaction.query(sql, {}, [&](const store::Row& row) { out = row.integer(0); }); });
    return out;
  }
  std::int64_t keys_waiting() { return count("SELECT count(*) FROM sae_key"); }
  std::int64_t handovers(const std::string& state) { return count("SELECT count(*) FROM sae_handover WHERE state = '" + state + "'"); }

  qanat::test::TemporaryDirectory folder;
  const std::string name;
  const std::uint16_t port;
  bool acks_allowed = true;
  SettableClock clock;
  std::unique_ptr<crypto::CryptoDevice> device;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<KeyStock> stock;
  std::atomic<int> times_taken = 0;
  std::unique_ptr<SaeFront> front;  // last: its threads use what stands above
};

struct Answered {
  unsigned status = 0;
  std::string body;
  [[nodiscard]] wire::Json json() const { return wire::Json::parse(std::string_view(body)).value_or(wire::Json()); }
  [[nodiscard]] std::vector<std::string> all(const char* field) const {
    std::vector<std::string> out;
    const auto keys = json().array("keys");
    for (const wire::Json& key : keys ? *keys : std::vector<wire::Json>()) out.push_back(key.text(field).value_or(""));
    return out;
  }
};

/// One request with the certificate of `who`.
inline Answered ask(const std::string& who, const Maker& maker, const std::string& method, const std::string& path, const std::string& body = "") {
  const auto client = net::ForeignClient::create(maker_files().tls(who));
  EXPECT_TRUE(client);
  const auto answer = (*client)->call(method, *net::ForeignUrl::parse(maker.address() + path), body.empty() ? "" : "application/json", as_bytes(body),
                                      Deadline::after(std::chrono::seconds(20)));
  if (!answer) return {.status = 0, .body = answer.error().message};
  return {.status = answer->status, .body = std::string(as_text(answer->body))};
}

}  // namespace qanat::qkm::test
