// One KMS's keys for SAEs without its network: its database and device outlive what runs on them, and the line to the other KMS can be cut.
#pragma once

#include <atomic>
#include <future>

#include "kme/stock/delivery.hpp"
#include "services/kms/sae/day_quotas.hpp"
#include "services/kms/sae/sae_key.hpp"
#include "services/kms/sae/supply.hpp"
#include "services/kms/schema.hpp"
#include "store_kinds.hpp"
#include "trusted_network.hpp"

namespace qanat::kms::sites {

using qanat::test::must;

inline crypto::Rng& rng() {
  static const std::unique_ptr<crypto::Rng> generator = must(crypto::open_rng());
  return *generator;
}

class SettableClock final : public Clock {
 public:
  [[nodiscard]] UnixMs now_ms() const override { return now_; }
  void advance(UnixMs span) { now_ += span; }

 private:
  std::atomic<UnixMs> now_ = 1'800'000'000'000;
};

inline kme::Sae sae(const char* name, const std::string& domain, const std::string& own, std::optional<std::set<std::string>> peers = std::nullopt,
                    std::uint64_t keys_per_day = 0) {
  kme::Sae out{.id = kme::SaeId(name), .domain = domain, .kme = "kms-" + domain, .here = domain == own};
  out.peer_domains = std::move(peers);
  out.keys_per_day = keys_per_day;
  return out;
}

struct KmsSite {
  KmsSite(std::string domain_, std::string other_, qanat::test::StoreKind kind = qanat::test::StoreKind::sqlite)
      : domain(std::move(domain_)), other(std::move(other_)), stores(kind) {
    registry = must(kme::SaeRegistry::make({sae("sae-a", "a", domain, std::set<std::string>{"b"}), sae("sae-a2", "a", domain, std::set<std::string>{}),
                                            sae("sae-b", "b", domain), sae("frugal", "a", domain, std::nullopt, 3)}));
    device = must(crypto::open_software_device(folder / "master", rng()));
    open();
  }
  void open() {
    store = must(stores.open(folder / "kms.db", migrations));
    stock = std::make_unique<kme::KeyStock>(*device);
    const crypto::Suite& suite = crypto::suite(crypto::SuiteId::gm_hybrid);
    delivery = std::make_unique<kme::SaeDelivery>(
        kme::DeliveryPlace{.kme = "kms-" + domain,
                           .domain = domain,
                           .domains = {{other, ElementName("kms-" + other)}},
                           .limits = {},
                           .max_key_count = 1000,
                           .lifetime = std::chrono::seconds(60),
                           .paths = kme::SiteStocks::Paths::of_keys},
        kme::DeliveryParts{.store = *store, .stock = *stock, .device = *device, .clock = clock, .registry = registry},
        kme::DeliveryPorts{.activate = [this](const ElementName&, const wire::Json& message, Deadline) -> Result<wire::Json> {
                             if (cut) return fail(ErrorCode::unavailable, "the line is cut");
                             told = message.dump();
                             return peer->delivery->activated({.domain = domain, .kind = Kind::kms, .name = "kms-" + domain}, as_bytes(told));
                           },
                           .record = [](const audit::Event&) -> Result<void> { return {}; },
                           .meets = supply_meets,
                           .make = [&suite](const kme::KeyMaking& making) { return make_sae_key(suite, making); },
                           .charge = [this](store::Transaction& transaction, const kme::Sae& master, std::uint32_t keys) {
                             return charge_day(transaction, master, keys, clock.now_ms());
                           }});
  }
  void restart() {
    delivery.reset();
    stock.reset();
    store.reset();
    open();
  }
  void add(const kme::Chunk& chunk, std::uint8_t paths) {
    const kme::Chunk one[] = {{.batch = chunk.batch, .owner = chunk.owner, .keys = chunk.keys.duplicate(), .about = "", .expires_ms = 0, .quality = {}}};
    must(store->transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(stock->add(transaction, supply_stock(other, paths), {}, one, clock.now_ms()));
      return {};
    }));
  }

  qanat::test::TemporaryDirectory folder;
  const std::string domain;
  const std::string other;
  SettableClock clock;
  kme::SaeRegistry registry;
  std::unique_ptr<crypto::CryptoDevice> device;
  qanat::test::TestStores stores;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<kme::KeyStock> stock;
  KmsSite* peer = nullptr;
  std::atomic<bool> cut = false;
  std::string told;  // the last message to the other KMS
  std::unique_ptr<kme::SaeDelivery> delivery;  // last: its threads use what stands above
};

/// Keys that `near` may choose, at both ends; the stock's own octets.
inline Secret share_keys(KmsSite& near, KmsSite& far, std::uint32_t count, std::uint8_t paths, const BatchId& batch) {
  Secret keys = rng().secret(std::size_t{count} * 32);
  near.add({.batch = batch, .owner = kme::Owner::self, .keys = keys.duplicate()}, paths);
  far.add({.batch = batch, .owner = kme::Owner::peer, .keys = keys.duplicate()}, paths);
  return keys;
}

}  // namespace qanat::kms::sites
