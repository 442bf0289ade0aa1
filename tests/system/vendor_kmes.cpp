#include "vendor_kmes.hpp"

#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "base/key_run.hpp"
#include "crypto/foreign_issue.hpp"
#include "crypto/kdf.hpp"
#include "kme/etsi014.hpp"
#include "quantum/qkm/schema.hpp"

namespace qanat::test {
namespace {

using Digest = Bytes;

constexpr std::int64_t vendor_keys_per_second = 200;
constexpr std::int64_t vendor_keys_kept = 500;
constexpr int vendor_keys_per_block = 32;
constexpr std::size_t vendor_key_octets = 32;
constexpr std::chrono::seconds vendor_patience{90};

Digest digest_of(const Secret& key) { return crypto::digest(crypto::Hash::sha256, key.reveal()); }

std::string text_at(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The lines of the [qkd] table that a vendor's source has no use for are gone.
void lead_to_vendor(const std::filesystem::path& config, const std::string& added) {
  std::istringstream in(text_at(config));
  std::ostringstream out;
  bool in_table = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("[")) in_table = line == "[qkd]";
    const std::string key = line.substr(0, line.find(' '));
    const bool wanted = std::set<std::string>{"[qkd]", "link", "role", "peer", "qkm", "site_key"}.contains(key);
    if (!in_table || wanted) out << line << '\n';
    if (line == "[qkd]") out << added;
  }
  std::ofstream(config, std::ios::binary | std::ios::trunc) << out.str();
}

}  // namespace

/// What both KMEs of the pair have.
struct VendorKmes::Keys {
  std::mutex mutex;
  std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();
  std::uint64_t made = 0;
  std::map<KeyId, Secret> for_bob;  // given to Alice, not yet to Bob
  std::map<Digest, KeyId> known;    // every key that there ever was
  std::size_t fetched = 0;          // by Bob, as they are
  bool spoilt = false;
  std::unique_ptr<crypto::Rng> own_random = std::move(*crypto::open_rng());

  [[nodiscard]] std::int64_t stock() const {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count();
    const std::int64_t ready = vendor_keys_kept + ms * vendor_keys_per_second / 1000 - static_cast<std::int64_t>(made);
    return std::clamp<std::int64_t>(ready, 0, vendor_keys_kept);
  }
};

/// One of the two: a Provider behind the ETSI 014 adapter, and its listener.
class VendorKmes::Kme final : public kme::Provider {
 public:
  Kme(Keys& keys, std::vector<kme::Sae> saes, net::ForeignTls tls) : keys_(keys), registry_(*kme::SaeRegistry::make(std::move(saes))), tls_(std::move(tls)) {}

  void listen() {
    net::ForeignSettings settings;
    settings.port = port_;
    settings.tls = tls_;
    std::vector<net::ForeignService> services;
    services.push_back(kme::etsi014::make_service(*this, registry_));
    auto started = net::ForeignListener::start(settings, std::move(services), [](const net::Refusal&) {});
    ASSERT_TRUE(started) << started.error().message;
    listener_ = std::move(*started);
    port_ = listener_->port();
  }
  void close() {
    listener_->stop(std::chrono::milliseconds(0));
    listener_.reset();
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }

  [[nodiscard]] kme::Limits limits() const override { return {}; }
  void status(const kme::Caller&, const kme::SaeId&, kme::Done<kme::StockStatus> done) override {
    const std::lock_guard lock(keys_.mutex);
    done(kme::StockStatus{
        .source_kme = "vendor-kme-1", .target_kme = "vendor-kme-2", .stored_key_count = keys_.stock(), .max_key_count = vendor_keys_kept, .limits = limits()});
  }
  void take(kme::Order order, kme::Done<kme::Delivery> done) override {
    const std::lock_guard lock(keys_.mutex);
    if (keys_.stock() < order.number) return done(fail(ErrorCode::exhausted, "too few keys"));
    kme::Delivery out;
    for (std::uint32_t i = 0; i < order.number; ++i) {
      const KeyId id(keys_.own_random->bytes(KeyId::size));
      Secret key = Secret::copy_of(keys_.own_random->bytes(order.size / 8));
      keys_.known.emplace(digest_of(key), id);
      out.keys.push_back({.id = id, .octets = key.duplicate()});
      keys_.for_bob.emplace(id, std::move(key));
      ++keys_.made;
    }
    done(std::move(out));
  }
  void fetch(kme::Fetch fetch, kme::Done<kme::Delivery> done) override {
    const std::lock_guard lock(keys_.mutex);
    kme::Delivery out;
    for (const KeyId& id : fetch.ids) {
      if (!keys_.for_bob.contains(id)) return done(fail(ErrorCode::not_found, "key " + id.hex() + " is not here"));
    }
    for (const KeyId& id : fetch.ids) {
      Secret key = std::move(keys_.for_bob.extract(id).mapped());
      if (keys_.spoilt) key.xor_with(Secret::copy_of(Bytes(key.size(), 1)));
      keys_.fetched += keys_.spoilt ? 0 : 1;
      out.keys.push_back({.id = id, .octets = std::move(key)});
    }
    done(std::move(out));
  }
  void accept(kme::ExternalKeys, kme::Done<void> done) override { done(fail(ErrorCode::denied, "not from here")); }
  void discard(const kme::SaeId&, std::vector<KeyId>, kme::Done<std::vector<KeyId>> done) override { done(std::vector<KeyId>()); }
  Result<Secret> random(std::size_t octets) override { return Secret::copy_of(keys_.own_random->bytes(octets)); }
  void record_refusal(const kme::Caller&, std::string_view, std::string, std::move_only_function<void()> then) override { then(); }

 private:
  Keys& keys_;
  const kme::SaeRegistry registry_;
  const net::ForeignTls tls_;
  std::uint16_t port_ = 0;
  std::unique_ptr<net::ForeignListener> listener_;
};

VendorKmes::VendorKmes(const app::Network& network, const app::LinkPlan& link) : link_(link), keys_(std::make_unique<Keys>()) {
  const std::filesystem::path folder = network.folder() / ("vendor-" + link.name);
  std::filesystem::create_directories(folder);
  const auto files = [&](const std::string& name) { return crypto::PemFiles{.certificate = folder / (name + ".pem"), .key = folder / (name + ".key")}; };
  const crypto::PemFiles root = files("root");
  EXPECT_TRUE(crypto::make_foreign_root(root, "Maker of " + link.name, crypto::ForeignKey::ecdsa_p384));
  const auto leaf = [&](const std::string& name, std::vector<std::string> addresses) {
    const auto made = crypto::make_foreign_leaf(files(name), {.common_name = name, .uris = {}, .dns = {}, .addresses = std::move(addresses)},
                                                crypto::ForeignKey::ecdsa_p256, root);
    EXPECT_TRUE(made) << made.error().message;
  };
  const auto sae = [&](Side side, bool here) {
    const bool alice = side == Side::alice;
    return kme::Sae{.id = kme::SaeId(end(side)), .domain = alice ? "x" : "y", .kme = alice ? "vendor-kme-1" : "vendor-kme-2", .here = here};
  };
  for (const Side side : {Side::alice, Side::bob}) {
    const std::string server = side == Side::alice ? "kme-1" : "kme-2";
    leaf(server, {"127.0.0.1"});
    leaf(end(side), {});
    net::ForeignTls tls{.chains = {{.certificate = files(server).certificate, .key = files(server).key}}, .roots = root.certificate, .crls = {}};
    const bool alice = side == Side::alice;
    (alice ? alice_ : bob_) = std::make_unique<Kme>(*keys_, std::vector{sae(Side::alice, alice), sae(Side::bob, !alice)}, std::move(tls));
    kme(side).listen();
    std::ostringstream added;
    added << "driver = \"etsi014\"\nvendor_kme = \"https://127.0.0.1:" << kme(side).port() << "\"\nvendor_certificate = " << files(end(side)).certificate
          << "\nvendor_key = " << files(end(side)).key << "\nvendor_roots = " << root.certificate << "\nvendor_peer_sae = \""
          << end(alice ? Side::bob : Side::alice) << "\"\nvendor_keys_per_block = " << vendor_keys_per_block << '\n';
    lead_to_vendor(network.config_of(end(side)), added.str());
  }
}

VendorKmes::~VendorKmes() = default;

std::string VendorKmes::end(Side side) const {
  std::string short_name = link_.name;
  std::erase(short_name, '-');
  return "qkd-" + short_name + (side == Side::alice ? "-alice" : "-bob");
}

void VendorKmes::away(Side side) { kme(side).close(); }
void VendorKmes::back(Side side) { kme(side).listen(); }

void VendorKmes::spoil(bool on) {
  const std::lock_guard lock(keys_->mutex);
  keys_->spoilt = on;
}

std::size_t VendorKmes::given(Side side) const {
  const std::lock_guard lock(keys_->mutex);
  return side == Side::alice ? keys_->known.size() : keys_->fetched;
}

namespace {

/// The link keys that a QKM, which does not run, has: their digests.
std::map<KeyId, Digest> link_stock(TestNetwork& network, const std::string& qkm, const std::string& link) {
  std::map<KeyId, Digest> out;
  const auto device = crypto::open_software_device(network.network().secret_of(qkm + ".master"), network.rng());
  const auto database = store::Store::open(network.network().state_of(qkm) / "qkm.db", qkm::migrations);
  EXPECT_TRUE(device && database);
  if (!device || !database) return out;
  const auto done = (*database)->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT batch_id, size, gone, sealed FROM key_chunk WHERE stock = 'link/" + link + "'", {}, [&](const store::Row& row) {
      const BatchId batch(row.blob(0));
      const Bytes gone = row.blob(2);
      const auto keys = (*device)->unseal(concat({store::column_context("key_chunk.sealed", batch.view()), Bytes{'/'}, gone}), row.blob(3));
      EXPECT_TRUE(keys) << qkm << ": chunk " << batch.hex() << " does not open";
      if (!keys) return;
      std::size_t at = 0;
      for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(row.integer(1)); ++i) {
        if (((gone[i / 8] >> (i % 8)) & 1U) != 0) continue;
        out[key_id(batch, i)] = crypto::digest(crypto::Hash::sha256, keys->reveal().subspan(vendor_key_octets * at++, vendor_key_octets));
      }
    });
  });
  EXPECT_TRUE(done) << done.error().message;
  return out;
}

/// The blocks of the link that such a QKM was brought, as far back as it remembers.
std::set<std::int64_t> blocks_brought(TestNetwork& network, const std::string& qkm, const std::string& link) {
  std::set<std::int64_t> out;
  const auto database = store::Store::open(network.network().state_of(qkm) / "qkm.db", qkm::migrations);
  EXPECT_TRUE(database);
  if (!database) return out;
  const auto done = (*database)->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT seq FROM key_delivery WHERE stock = 'link/" + link + "'", {}, [&](const store::Row& row) { out.insert(row.integer(0)); });
  });
  EXPECT_TRUE(done) << done.error().message;
  return out;
}

}  // namespace

void VendorKmes::expect_stock_in_order(TestNetwork& network) {
  for (const std::string& qkm : {link_.from, link_.to}) network.running().stop_element(qkm, app::RunningNetwork::Ending::orderly);
  std::map<std::string, std::map<KeyId, Digest>> stocks;
  for (const std::string& qkm : {link_.from, link_.to}) {
    stocks[qkm] = link_stock(network, qkm, link_.name);
    EXPECT_FALSE(stocks[qkm].empty()) << qkm << " has no keys of link " << link_.name;
    const std::lock_guard lock(keys_->mutex);
    for (const auto& [id, digest] : stocks[qkm]) {
      const auto made = keys_->known.find(digest);
      if (made == keys_->known.end()) {
        ADD_FAILURE() << qkm << ": link key " << id.hex() << " is none of the maker's";
        continue;
      }
      EXPECT_FALSE(keys_->for_bob.contains(made->second)) << qkm << ": link key " << id.hex() << " is one that Bob's KME still has";
      const auto [known, is_new] = seen_[qkm].emplace(made->second, id);
      EXPECT_EQ(known->second, id) << qkm << ": the maker's key " << made->second.hex() << " is in two blocks";
    }
  }
  std::size_t common = 0;
  for (const auto& [id, digest] : stocks[link_.from]) {
    const auto other = stocks[link_.to].find(id);
    if (other == stocks[link_.to].end()) continue;
    ++common;
    EXPECT_EQ(other->second, digest) << "link key " << id.hex() << " differs at the two ends";
  }
  EXPECT_GT(common, 0U) << "the two ends of link " << link_.name << " have no key in common";
  const std::set<std::int64_t> at_from = blocks_brought(network, link_.from, link_.name);
  const std::set<std::int64_t> at_to = blocks_brought(network, link_.to, link_.name);
  ASSERT_FALSE(at_from.empty() || at_to.empty());
  // Outside of what both know of, one is behind the other or has forgotten.
  const std::int64_t first = std::max(*at_from.begin(), *at_to.begin());
  const std::int64_t last = std::min(*at_from.rbegin(), *at_to.rbegin());
  EXPECT_EQ(std::set(at_from.lower_bound(first), at_from.upper_bound(last)), std::set(at_to.lower_bound(first), at_to.upper_bound(last)))
      << "a block of link " << link_.name << " is a key at one end alone";
  for (const std::string& qkm : {link_.from, link_.to}) {
    const auto started = network.running().start_element(qkm);
    EXPECT_TRUE(started) << started.error().message;
  }
}

std::vector<std::unique_ptr<VendorKmes>> start_vendor_links(TestNetwork& network) {
  std::vector<std::unique_ptr<VendorKmes>> out;
  for (const app::LinkPlan& link : network.network().links()) {
    for (const std::string& qkm : {link.from, link.to}) {
      const std::filesystem::path config = network.network().config_of(qkm);
      const std::string before = text_at(config);
      const std::string text = with_water_marks(before, 100000, 200000);
      if (text == before) continue;
      network.running().stop_element(qkm, app::RunningNetwork::Ending::orderly);
      std::ofstream(config, std::ios::binary | std::ios::trunc) << text;
      const auto started = network.running().start_element(qkm);
      EXPECT_TRUE(started) << started.error().message;
    }
    out.push_back(std::make_unique<VendorKmes>(network.network(), link));
    for (const auto side : {VendorKmes::Side::alice, VendorKmes::Side::bob}) {
      const auto started = network.running().start_element(out.back()->end(side));
      EXPECT_TRUE(started) << started.error().message;
    }
  }
  return out;
}

void await_further_block(TestNetwork& network, const VendorKmes& kmes) {
  using Side = VendorKmes::Side;
  // The newest block that both ends made a key of and brought to their QKMs.
  const auto newest = [&]() -> std::int64_t {
    std::int64_t out = 0;
    for (const Side side : {Side::alice, Side::bob}) {
      const auto health = network.op().health(kmes.end(side));
      const auto last = health ? health->object("last_block") : health;
      const std::int64_t id = last ? last->integer("block_id").value_or(0) : 0;
      if (id == 0) return 0;
      out = side == Side::alice ? id : std::min(out, id);
    }
    return out;
  };
  std::int64_t first = 0;
  TestNetwork::await(
      "a further block of link " + kmes.link().name,
      [&] {
        const std::int64_t now = newest();
        if (first == 0) first = now;
        return now > first;
      },
      vendor_patience);
}

}  // namespace qanat::test
