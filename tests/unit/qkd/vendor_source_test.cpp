// The way to a maker's KME over a real connection: ETSI GS QKD 014 with certificates both ways, against our own adapter on our own listener.
#include "quantum/qkd/process/vendor_source.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "crypto/foreign_issue.hpp"
#include "harness.hpp"
#include "kme/etsi014.hpp"
#include "temporary_directory.hpp"

namespace qanat::qkd {
namespace {

using crypto::ForeignKey;
using crypto::PemFiles;

/// What both KMEs of a pair share. Each key is given once to the master and once to the slave.
struct SharedKeys {
  std::mutex mutex;
  std::uint64_t next = 1;
  std::map<KeyId, Secret> waiting;
};

/// One KME of the pair, as a Provider behind the ETSI 014 adapter.
class KmeDouble final : public kme::Provider {
 public:
  explicit KmeDouble(SharedKeys& shared) : shared_(shared) {}
  [[nodiscard]] kme::Limits limits() const override { return limits_; }
  void status(const kme::Caller&, const kme::SaeId&, kme::Done<kme::StockStatus> done) override {
    done(kme::StockStatus{.source_kme = "kme-a", .target_kme = "kme-b", .stored_key_count = stock, .max_key_count = 1000, .limits = limits_});
  }
  void take(kme::Order order, kme::Done<kme::Delivery> done) override {
    if (fails) return done(fail(*fails));
    const std::lock_guard lock(shared_.mutex);
    kme::Delivery out;
    for (std::uint32_t i = 0; i < order.number; ++i) {
      OctetWriter id;
      id.u64(7);
      id.u64(shared_.next++);
      Secret key = test::secret_of(order.size / 8, shared_.next);
      out.keys.push_back({.id = KeyId(id.take()), .octets = key.duplicate()});
      shared_.waiting.emplace(out.keys.back().id, std::move(key));
    }
    done(std::move(out));
  }
  void fetch(kme::Fetch fetch, kme::Done<kme::Delivery> done) override {
    if (fails) return done(fail(*fails));
    const std::lock_guard lock(shared_.mutex);
    kme::Delivery out;
    for (const KeyId& id : fetch.ids) {
      if (!shared_.waiting.contains(id)) return done(fail(ErrorCode::not_found, "not here"));
    }
    // In an order of its own: the standard promises none.
    for (auto id = fetch.ids.rbegin(); id != fetch.ids.rend(); ++id) {
      Secret key = std::move(shared_.waiting.at(*id));
      if (spoils) key.xor_with(Secret::copy_of(Bytes(key.size(), 1)));
      out.keys.push_back({.id = *id, .octets = std::move(key)});
      shared_.waiting.erase(*id);
    }
    done(std::move(out));
  }
  void accept(kme::ExternalKeys, kme::Done<void> done) override { done({}); }
  void discard(const kme::SaeId&, std::vector<KeyId>, kme::Done<std::vector<KeyId>> done) override { done(std::vector<KeyId>()); }
  Result<Secret> random(std::size_t octets) override { return Secret(octets); }
  void record_refusal(const kme::Caller&, std::string_view, std::string, std::move_only_function<void()> then) override { then(); }

  std::int64_t stock = 1000;
  bool spoils = false;
  std::optional<Error> fails;
  kme::Limits limits_;

 private:
  SharedKeys& shared_;
};

/// Certificates: made once, they cost some milliseconds.
struct Files {
  qanat::test::TemporaryDirectory folder;
  PemFiles root = file("root"), other_root = file("other"), server = file("server"), sae_a = file("sae-a"), sae_b = file("sae-b"), stranger = file("stranger");

  Files() {
    EXPECT_TRUE(crypto::make_foreign_root(root, "Maker", ForeignKey::ecdsa_p384));
    EXPECT_TRUE(crypto::make_foreign_root(other_root, "Somebody", ForeignKey::ecdsa_p256));
    leaf(server, {.common_name = "kme", .uris = {}, .dns = {}, .addresses = {"127.0.0.1"}}, root);
    leaf(sae_a, {.common_name = "qkd/a 1", .uris = {}, .dns = {}, .addresses = {}}, root);
    leaf(sae_b, {.common_name = "qkd-b", .uris = {}, .dns = {}, .addresses = {}}, root);
    leaf(stranger, {.common_name = "qkd-b", .uris = {}, .dns = {}, .addresses = {}}, other_root);
  }
  [[nodiscard]] PemFiles file(const std::string& name) const { return {.certificate = folder / (name + ".pem"), .key = folder / (name + ".key")}; }
  static void leaf(const PemFiles& out, const crypto::ForeignLeaf& what, const PemFiles& issuer) {
    const auto made = crypto::make_foreign_leaf(out, what, ForeignKey::ecdsa_p256, issuer);
    EXPECT_TRUE(made) << made.error().message;
  }
};
Files& files() {
  static Files shared;
  return shared;
}

/// A KME with its listener.
struct Kme {
  Kme(SharedKeys& shared, bool serves_a)
      : provider(shared),
        registry(*kme::SaeRegistry::make({{.id = kme::SaeId("qkd/a 1"), .domain = "x", .kme = "kme-a", .here = serves_a},
                                          {.id = kme::SaeId("qkd-b"), .domain = "y", .kme = "kme-b", .here = !serves_a}})) {
    net::ForeignSettings settings;
    settings.tls = {.chains = {{.certificate = files().server.certificate, .key = files().server.key}}, .roots = files().root.certificate, .crls = {}};
    std::vector<net::ForeignService> services;
    services.push_back(kme::etsi014::make_service(provider, registry));
    auto started = net::ForeignListener::start(settings, std::move(services), [](const net::Refusal&) {});
    EXPECT_TRUE(started) << started.error().message;
    listener = std::move(*started);
  }
  /// An end's way to it.
  [[nodiscard]] VendorAccess access(const PemFiles& own, const char* peer) const {
    VendorAccess out;
    out.kme = *net::ForeignUrl::parse("https://127.0.0.1:" + std::to_string(listener->port()) + "/");
    out.tls = {.chains = {{.certificate = own.certificate, .key = own.key}}, .roots = files().root.certificate, .crls = {}};
    out.peer_sae = kme::SaeId(peer);
    out.keys_per_block = 5;
    return out;
  }

  KmeDouble provider;
  kme::SaeRegistry registry;
  std::unique_ptr<net::ForeignListener> listener;
};

class VendorSourceTest : public testing::Test {
 protected:
  static Deadline soon() { return Deadline::after(std::chrono::seconds(20)); }
  SharedKeys shared_;
  Kme kme_a_{shared_, true};
  Kme kme_b_{shared_, false};
  VendorAccess access_a_ = kme_a_.access(files().sae_a, "qkd-b");
  VendorAccess access_b_ = kme_b_.access(files().sae_b, "qkd/a 1");
};

TEST_F(VendorSourceTest, BothKmesGiveTheSameKeysInTheOrderThatWasAskedFor) {
  const auto alice = open_vendor_source(access_a_);
  const auto bob = open_vendor_source(access_b_);
  ASSERT_TRUE(alice && bob);
  const auto fresh = alice->fresh(soon());
  ASSERT_TRUE(fresh) << fresh.error().message;
  ASSERT_EQ(fresh->ids.size(), 5U);
  const auto same = bob->by_id(fresh->ids, soon());
  ASSERT_TRUE(same) << same.error().message;
  EXPECT_EQ(same->ids, fresh->ids);
  EXPECT_TRUE(equal_secret(same->octets, fresh->octets));
  EXPECT_EQ(same->octets.size(), 5U * 32U);
  // Once: the KME has them no more.
  EXPECT_EQ(bob->by_id(fresh->ids, soon()).error().code, ErrorCode::invalid_argument);
}

TEST_F(VendorSourceTest, NoMoreIsAskedForThanTheKmeHasAndAllows) {
  const auto alice = open_vendor_source(access_a_);
  kme_a_.provider.stock = 2;
  EXPECT_EQ(alice->fresh(soon())->ids.size(), 2U);
  kme_a_.provider.stock = 1000;
  kme_a_.provider.limits_.max_key_per_request = 3;
  EXPECT_EQ(alice->fresh(soon())->ids.size(), 3U);
  kme_a_.provider.stock = 0;
  EXPECT_EQ(alice->fresh(soon()).error().code, ErrorCode::exhausted);
  kme_a_.provider.stock = 1000;
  kme_a_.provider.limits_.max_key_size = 128;
  EXPECT_NE(alice->fresh(soon()).error().message.find("256 bits"), std::string::npos);
}

TEST_F(VendorSourceTest, TheKmesRefusalsAreToldApart) {
  const auto alice = open_vendor_source(access_a_);
  const auto bob = open_vendor_source(access_b_);
  kme_a_.provider.fails = Error{.code = ErrorCode::unavailable, .message = "away"};
  EXPECT_EQ(alice->fresh(soon()).error().code, ErrorCode::unavailable);
  EXPECT_NE(alice->fresh(soon()).error().message.find("503"), std::string::npos);
  kme_b_.provider.fails = Error{.code = ErrorCode::denied, .message = "not named"};
  EXPECT_EQ(bob->by_id({KeyId()}, soon()).error().code, ErrorCode::denied);
  kme_b_.provider.fails.reset();
  EXPECT_EQ(bob->by_id({KeyId()}, soon()).error().code, ErrorCode::invalid_argument);
}

TEST_F(VendorSourceTest, OnlyAKmeUnderTheConfiguredRootsIsTalkedTo) {
  VendorAccess other = access_a_;
  other.tls.roots = files().other_root.certificate;
  EXPECT_EQ(open_vendor_source(other)->fresh(soon()).error().code, ErrorCode::unauthenticated);
  // And the KME lets nobody in whose certificate another root issued.
  EXPECT_EQ(open_vendor_source(kme_b_.access(files().stranger, "qkd/a 1"))->by_id({KeyId()}, soon()).error().code, ErrorCode::unavailable);
  // An end at the other end's KME is nobody there.
  EXPECT_EQ(open_vendor_source(kme_b_.access(files().sae_a, "qkd-b"))->fresh(soon()).error().code, ErrorCode::denied);
  VendorAccess absent = access_a_;
  absent.tls.chains.front().key = files().folder / "none";
  EXPECT_FALSE(open_vendor_source(absent));
}

TEST_F(VendorSourceTest, AKmeThatIsAwayIsUnavailable) {
  const auto alice = open_vendor_source(access_a_);
  kme_a_.listener->stop(std::chrono::milliseconds(0));
  const auto refused = alice->fresh(soon());
  EXPECT_EQ(refused.error().code, ErrorCode::unavailable);
  EXPECT_TRUE(refused.error().message.starts_with("KME 127.0.0.1:" + std::to_string(access_a_.kme.port) + ": ")) << refused.error().message;
}

/// The two ends over the two KMEs, with real connections to them.
class VendorLinkTest : public VendorSourceTest {
 protected:
  struct Site {
    qanat::test::TemporaryDirectory directory;
    std::unique_ptr<crypto::Rng> random = std::move(*crypto::open_rng());
    std::unique_ptr<crypto::CryptoDevice> device = std::move(*crypto::open_software_device(directory / "master.key", *random));
    std::unique_ptr<Records> records = std::move(*Records::open(directory / "qkd.db", *device));
  };
  VendorLedger::Parts parts(Site& site) {
    return {.link = LinkId("a-b"), .records = *site.records, .clock = clock_, .block_stored = [] {}};
  }
  SystemClock clock_;
  Site site_a_, site_b_;
  VendorPace pace_{.rest_first = std::chrono::milliseconds(0), .rest_max = std::chrono::milliseconds(0), .fetches_max = 2};
  VendorAlice alice_{parts(site_a_), std::move(*open_vendor_source(access_a_)), pace_};
  VendorBob bob_{parts(site_b_), std::move(*open_vendor_source(access_b_)), pace_,
                 [this](ByteView octets, Deadline deadline) { return alice_.answer(octets, Deadline::after(std::chrono::milliseconds(0)), deadline); }};
};

TEST_F(VendorLinkTest, BlocksComeToBothQkmsAndAwayKmesAreWaitedFor) {
  alice_.set_run(true);
  kme_a_.provider.fails = Error{.code = ErrorCode::unavailable, .message = "away"};
  EXPECT_TRUE(bob_.turn(soon()));
  EXPECT_EQ(bob_.facts().blocks, 0U);
  kme_a_.provider.fails.reset();
  kme_b_.provider.fails = Error{.code = ErrorCode::unavailable, .message = "away"};
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(bob_.turn(soon()));
  kme_b_.provider.fails.reset();
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(bob_.turn(soon()));
  EXPECT_EQ(bob_.facts().blocks, 2U);
  EXPECT_EQ(alice_.facts().blocks, 2U);
  for (int i = 0; i < 2; ++i) {
    const auto mine = site_a_.records->next_undelivered();
    const auto theirs = site_b_.records->next_undelivered();
    ASSERT_TRUE(mine && *mine && theirs && *theirs);
    EXPECT_EQ((*mine)->block_id, (*theirs)->block_id);
    EXPECT_EQ((*mine)->keys.size(), 5U * 32U);
    EXPECT_TRUE(equal_secret((*mine)->keys, (*theirs)->keys));
    ASSERT_TRUE(site_a_.records->delivered((*mine)->block_id) && site_b_.records->delivered((*theirs)->block_id));
  }
}

TEST_F(VendorLinkTest, KmesThatGiveDifferentKeysGiveNone) {
  alice_.set_run(true);
  kme_b_.provider.spoils = true;
  EXPECT_TRUE(bob_.turn(soon()));
  EXPECT_EQ(alice_.facts().failed_blocks, 1U);
  EXPECT_EQ(*site_a_.records->backlog(), 0);
  EXPECT_EQ(*site_b_.records->backlog(), 0);
}

}  // namespace
}  // namespace qanat::qkd
