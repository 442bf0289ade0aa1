// One site's key manager for tests of what SAEs get: its database and its device outlive what runs on them, what it records can be read, and the line to
// the other sites can be cut. sae_delivery_test.cpp and sae_streams_test.cpp run their engines on it.
#pragma once

#include "audit_records.hpp"
#include "harness.hpp"
#include "quantum/qkm/stock.hpp"

namespace qanat::qkm::test {

inline kme::Caller caller(const char* sae) {
  return {.sae = kme::SaeId(sae), .address = "192.0.2.1:1", .group = "x25519", .quantum_safe = false, .request_id = "01"};
}

struct SaeSite : AuditRecords {
  SaeSite(std::string domain_, std::map<std::string, ElementName> others) : domain(std::move(domain_)), domains(std::move(others)) {
    registry = *kme::SaeRegistry::make({sae("sae-a", "a"), sae("sae-a2", "a"), sae("sae-b", "b"), sae("sae-b2", "b"), sae("sae-c", "c"), sae("frugal", "a", 2)});
    device = *crypto::open_software_device(folder / "master", rng());
    open_stock();
  }
  kme::Sae sae(const char* name, const char* at, std::uint32_t quota = 0) const {
    return {.id = kme::SaeId(name), .domain = at, .kme = std::string("qkm-") + at, .here = domain == at, .keys_per_second = quota};
  }
  [[nodiscard]] Identity identity() const { return {.domain = domain, .kind = Kind::qkm, .name = "qkm-" + domain}; }
  [[nodiscard]] DeliveryPlace place(std::chrono::milliseconds lifetime) const {
    return {.kme = "qkm-" + domain, .domain = domain, .domains = domains, .limits = {}, .max_key_count = 1000, .lifetime = lifetime};
  }
  [[nodiscard]] DeliveryParts parts() { return {.store = *store, .stock = *stock, .device = *device, .clock = clock, .registry = registry}; }
  [[nodiscard]] DeliveryPorts ports() {
    return {.activate = nullptr, .record = [this](const audit::Event& event) { return record(event); }, .meets = nullptr, .taken = [this] { ++times_taken; }};
  }

  void open_stock() {
    store = *store::Store::open(folder / "qkm.db", migrations);
    stock = std::make_unique<KeyStock>(*device);
  }
  void close_stock() {
    stock.reset();
    store.reset();
  }
  void add(const SaeSite& peer, const std::string& name, const BatchId& batch, Owner owner, const Secret& keys, const KeyQuality& quality = {}) {
    const Chunk one[] = {{.batch = batch, .owner = owner, .keys = keys.duplicate(), .about = "", .expires_ms = 0, .quality = quality}};
    const auto added = store->transact(
        [&](store::Transaction& transaction) { return stock->add(transaction, StockName("domain/" + peer.domain + "/" + name), {}, one, clock.now_ms()); });
    ASSERT_TRUE(added) << added.error().message;
  }
  [[nodiscard]] StockLevel level(const std::string& peer, const std::string& name = "t") {
    return *store->transact(
        [&](store::Transaction& transaction) { return stock->level(transaction, StockName("domain/" + peer + "/" + name), clock.now_ms()); });
  }
  void change(std::string_view sql) {
    const auto changed_rows = store->transact([&](store::Transaction& transaction) { return transaction.run(sql, {}); });
    ASSERT_TRUE(changed_rows) << changed_rows.error().message;
  }
  [[nodiscard]] std::int64_t rows(std::string_view table) {
    std::int64_t out = -1;
    (void)store->transact([&](store::Transaction& transaction) {
      return transaction.query("SELECT count(*) FROM " + std::string(table), {}, [&](const store::Row& row) { out = row.integer(0); });
    });
    return out;
  }

  qanat::test::TemporaryDirectory folder;
  const std::string domain;
  std::map<std::string, ElementName> domains;
  SettableClock clock;
  kme::SaeRegistry registry;
  std::unique_ptr<crypto::CryptoDevice> device;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<KeyStock> stock;
  std::atomic<bool> cut = false;
  std::atomic<bool> answer_lost = false;
  std::atomic<int> times_taken = 0;
  std::function<Result<wire::Json>(const wire::Json& answer)> answer_instead;
};

enum class Held { at_both, at_near_alone };

/// Keys that `near` may choose, in chunks of at most `chunk_keys`.
inline void share_keys(SaeSite& near, SaeSite& far, std::uint32_t count, Held held = Held::at_both, const std::string& stock = "t",
                       std::uint32_t chunk_keys = 100, const KeyQuality& quality = {}) {
  for (std::uint32_t done = 0; done < count;) {
    const std::uint32_t size = std::min(chunk_keys, count - done);
    const auto batch = rng().id<BatchId>();
    const Secret keys = rng().secret(std::size_t{size} * stock_key_size);
    near.add(far, stock, batch, Owner::self, keys, quality);
    if (held == Held::at_both) far.add(near, stock, batch, Owner::peer, keys, quality);
    done += size;
  }
}

}  // namespace qanat::qkm::test
