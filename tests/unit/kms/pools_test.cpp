// Keys of other modules under pool keys: of applications (CSA), for standard equipment (SAE), charged into media. What the device itself sealed before is
// sealed anew at the start, and is readable whenever the process is killed.
#include "kme/stock/assignments.hpp"
#include "kme/stock/key_stock.hpp"
#include "kp_fixture.hpp"
#include "services/kms/csa/key_rows.hpp"
#include "services/kms/csa/key_sealer.hpp"
#include "services/kms/kim/stock.hpp"
#include "services/kms/kp/sealed_columns.hpp"

namespace qanat::kms {
namespace {

/// Runs so many works, and no more: a process that was killed after the last.
class DyingStore final : public store::Store {
 public:
  DyingStore(store::Store& inner, int works) : inner_(inner), left_(works) {}
  [[nodiscard]] bool side_by_side() const noexcept override { return inner_.side_by_side(); }
  [[nodiscard]] std::size_t queued() const noexcept override { return inner_.queued(); }
  void announce(std::string_view channel) override { inner_.announce(channel); }
  std::unique_ptr<store::Watch> watch(std::string_view channel) override { return inner_.watch(channel); }
  Result<std::unique_ptr<Lock>> lock(std::string_view name, Deadline deadline) override { return inner_.lock(name, deadline); }
  Result<void> copy_to(const std::filesystem::path& file) override { return inner_.copy_to(file); }

 protected:
  Result<void> transact_erased(const std::function<Result<void>(store::Transaction&)>& work) override {
    if (left_-- <= 0) return fail(ErrorCode::internal, "killed");
    return inner_.transact(work);
  }

 private:
  store::Store& inner_;
  int left_;
};

class PoolsTest : public KpStoresFixture {
 protected:
  static constexpr std::uint16_t charged_keys = 300;  // more than are sealed anew in one transaction

  /// What the modules do under this device: the KMS's, as before there were pools, or their pool's.
  struct Modules {
    explicit Modules(crypto::CryptoDevice& device) : Modules(device, device, device) {}
    Modules(crypto::CryptoDevice& csa, crypto::CryptoDevice& sae, crypto::CryptoDevice& charged) : sealer(csa), keys(sae), assignments(sae), stock(charged) {}
    csa::KeySealer sealer;
    kme::KeyStock keys;
    kme::Assignments assignments;
    Stock stock;
  };
  Modules by_device() { return Modules(node_->device()); }
  Modules by_pools() { return {keys_->of(Pool::csa), keys_->of(Pool::sae), keys_->of(Pool::charged)}; }

  void put(Modules& modules) {
    const Bytes sealed = must(modules.sealer.seal(csa_id_, 1, csa_key_));
    const kme::Chunk chunk[] = {{.batch = batch_, .owner = kme::Owner::self, .keys = sae_keys_.duplicate()}};
    std::vector<Secret> keys;
    for (std::uint16_t i = 0; i < charged_keys; ++i) keys.push_back(charged_key(i));
    must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(csa::insert_version(transaction, csa_id_, {.version = 1, .sealed = sealed, .public_key = {}, .created_ms = 1}));
      TRY(modules.keys.add(transaction, stock_name_, {}, chunk, now()));
      TRY(modules.assignments.add(transaction, {.ids = assigned_,
                                                .octets = 32,
                                                .master = kme::SaeId("sae-a"),
                                                .slaves = {kme::SaeId("sae-b")},
                                                .keys = sae_keys_.duplicate(),
                                                .until_ms = now() + 600'000}));
      TRY(modules.stock.add(transaction, medium_, &transport_key_, "operator", now()));
      std::vector<Secret> copies;
      for (const Secret& key : keys) copies.push_back(key.duplicate());
      TRY(modules.stock.charge(transaction, medium_, charge_, {0, charged_keys, 0}, wire::Charged::offline, wire::ChargeOrigin::device, std::move(copies)));
      return {};
    }));
  }
  static Secret charged_key(std::uint16_t index) {
    Bytes octets(wire::charged_key_size, 7);
    octets[0] = static_cast<std::uint8_t>(index >> 8U);
    octets[1] = static_cast<std::uint8_t>(index);
    return Secret::copy_of(octets);
  }
  /// Everything opens, is what was put there, and leaves what it opens in its place.
  void expect_readable(Modules& modules) {
    must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
      ASSIGN_OR_RETURN(const csa::KeyVersion version, csa::load_version(transaction, csa_id_, 1));
      ASSIGN_OR_RETURN(const Secret csa_key, modules.sealer.unseal(csa_id_, 1, *version.sealed));
      EXPECT_TRUE(equal_secret(csa_key, csa_key_));
      for (const std::uint16_t index : {std::uint16_t{0}, std::uint16_t{charged_keys / 2}, std::uint16_t{charged_keys - 1}}) {
        ASSIGN_OR_RETURN(const ChargedKey key, modules.stock.look(transaction, medium_, wire::KeySet::call, index));
        EXPECT_TRUE(equal_secret(key.key, charged_key(index))) << index;
      }
      return {};
    }));
  }
  /// The same of those that are used up by being looked at.
  void expect_usable(Modules& modules) {
    must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
      ASSIGN_OR_RETURN(const auto taken, modules.keys.claim(transaction, stock_name_, {}, {.state = store::KeyState::destroyed, .holder = "test"}, now()));
      EXPECT_TRUE(equal_secret(taken.front().keys, sae_keys_));
      kme::Assignments::Fetching fetching(modules.assignments, transaction, now());
      const std::vector<KeyId> ids{assigned_.id(0)};
      ASSIGN_OR_RETURN(const auto fetched, fetching.fetch(kme::SaeId("sae-b"), kme::SaeId("sae-a"), ids));
      EXPECT_TRUE(equal_secret(fetched.front().octets, sae_keys_));
      TRY(fetching.finish());
      ASSIGN_OR_RETURN(const Secret transport_key, modules.stock.spend_transport_key(transaction, node_->suite(), medium_));
      EXPECT_TRUE(equal_secret(transport_key, transport_key_));
      return {};
    }));
  }
  std::int64_t under_pool(const std::string& table, const std::string& column) {
    return number("SELECT count(*) FROM " + table + " WHERE substr(" + column + ", 1, 4) = x'514b5031'");
  }
  void expect_under_pools() {
    for (const auto& [table, column] : {std::pair{"csa_version", "sealed"}, {"key_chunk", "sealed"}, {"sae_key", "sealed"}, {"medium", "sealed_transport"}}) {
      EXPECT_EQ(under_pool(table, column), 1) << table;
    }
    EXPECT_EQ(under_pool("injected_key", "sealed_key"), charged_keys);
  }

  const csa::CsaKeyId csa_id_{Bytes(csa::CsaKeyId::size, 0x11)};
  const BatchId batch_{Bytes(BatchId::size, 0x22)};
  const kme::IdRun assigned_{.batch = BatchId(Bytes(BatchId::size, 0x23)), .first = 5, .stride = 1, .count = 1};
  const kme::StockName stock_name_{"domain/b/0"};
  const wire::ChargeId charge_{Bytes(wire::ChargeId::size, 0x33)};
  const Medium medium_{.id = wire::MediumId(Bytes(wire::MediumId::size, 0x44)), .uid = Uid("alice"), .kind = "sim"};
  const Secret csa_key_ = Secret::copy_of(Bytes(32, 1));
  const Secret sae_keys_ = Secret::copy_of(Bytes(32, 2));
  const Secret transport_key_ = Secret::copy_of(Bytes(32, 3));
};
INSTANTIATE_TEST_SUITE_P(Stores, PoolsTest, test::every_store_kind, test::name_of);

TEST_P(PoolsTest, WhatTheModulesSealIsUnderTheirPoolsKeys) {
  Modules modules = by_pools();
  put(modules);
  expect_under_pools();
  open();
  Modules again = by_pools();
  expect_readable(again);
  expect_usable(again);
}

TEST_P(PoolsTest, WhatTheDeviceItselfSealedBeforeIsSealedAnewAtTheStart) {
  Modules former = by_device();
  put(former);
  EXPECT_EQ(under_pool("injected_key", "sealed_key"), 0);
  open();
  EXPECT_FALSE(keys_->is_first()) << "working keys have had their pool key before";
  expect_under_pools();
  Modules modules = by_pools();
  expect_readable(modules);
  expect_usable(modules);
}

TEST_P(PoolsTest, AProcessThatIsKilledOverItLeavesEverythingReadable) {
  Modules former = by_device();
  put(former);
  bool in_the_middle = false;
  for (int works = 1; works <= 20; ++works) {
    DyingStore dying(*store_, works);
    (void)PoolKeys::open({.store = dying, .device = node_->device(), .suite = node_->suite(), .lifetime = lifetime}, now());
    const std::int64_t done = under_pool("injected_key", "sealed_key");
    in_the_middle = in_the_middle || (done > 0 && done < charged_keys);
    EXPECT_EQ(number("SELECT count(*) FROM injected_key"), charged_keys);
  }
  EXPECT_TRUE(in_the_middle) << "of the keys some were sealed anew and others not";
  open_after_kill();
  expect_under_pools();
  Modules modules = by_pools();
  expect_readable(modules);
  expect_usable(modules);
}

TEST_P(PoolsTest, APoolsKeyOpensNothingOfAnotherPool) {
  Modules modules = by_pools();
  put(modules);
  csa::KeySealer other(keys_->of(Pool::charged));
  const Bytes sealed = blob("SELECT sealed FROM csa_version");
  EXPECT_EQ(test::refusal(other.unseal(csa_id_, 1, sealed)), ErrorCode::denied);
  EXPECT_EQ(test::refusal(csa::KeySealer(node_->device()).unseal(csa_id_, 1, sealed)), ErrorCode::denied) << "the device itself";
}

TEST_P(PoolsTest, AnotherPoolKeySealsThemAnewAndTheFormerGoes) {
  Modules modules = by_pools();
  put(modules);
  for (const Pool pool : {Pool::csa, Pool::sae, Pool::charged}) must(keys_->rotate(pool, now()));
  for (int second = 61; second < 81; ++second) must(keys_->maintain(now() + static_cast<UnixMs>(second) * 1000));  // 64 at a time
  const auto former = [&](const std::string& table, const std::string& column) {
    return number("SELECT count(*) FROM " + table + " WHERE substr(" + column + ", 5, 4) = x'00000001'");
  };
  for (const auto& [table, column] :
       {std::pair{"csa_version", "sealed"}, {"key_chunk", "sealed"}, {"sae_key", "sealed"}, {"medium", "sealed_transport"}, {"injected_key", "sealed_key"}}) {
    EXPECT_EQ(former(table, column), 0) << table;
  }
  must(keys_->maintain(now() + 200'000));
  for (const Pool pool : {Pool::csa, Pool::sae, Pool::charged}) EXPECT_EQ(keys_->generations(pool), (std::vector<std::uint32_t>{2})) << name(pool);
  expect_readable(modules);
  expect_usable(modules);
}

}  // namespace
}  // namespace qanat::kms
