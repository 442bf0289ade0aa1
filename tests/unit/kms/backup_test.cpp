// A restored database delivers nothing that it had when it was copied: on files and on a server.
#include "services/kms/backup.hpp"

#include "kms_core.hpp"
#include "ledger_steps.hpp"
#include "services/kms/kma/incarnation.hpp"
#include "services/kms/kma/key_history.hpp"
#include "services/kms/kma/ledger.hpp"
#include "services/kms/schema.hpp"
#include "store_kinds.hpp"

namespace qanat::kms {
namespace {

class BackupTest : public testing::Test {
 protected:
  void open(std::optional<node::StoreSettings> store = std::nullopt) {
    service_.reset();
    node_.reset();
    node::Settings settings = network_.open_node_without_credentials(kms_id, {})->settings();
    settings.store = std::move(store);
    node_ = must(node::Node::open(std::move(settings)));
    node_->use_credentials(network_.credentials(kms_id), [](const crypto::Certificate&, Deadline) -> Result<void> { return {}; });
  }
  KmsSettings settings() {
    KmsSettings out;
    out.site_key = write_site_key(folder_ / "");
    return out;
  }
  Result<void> serve() {
    ASSIGN_OR_RETURN(service_, KmsService::open(*node_, settings()));
    return {};
  }
  template <class Work>
  auto with_store(Work&& work) {
    const auto store = must(node_->open_store("kms", migrations));
    return store->transact(std::forward<Work>(work));
  }
  /// A key that the callee could be given.
  SidWk reserve() {
    const auto sid_wk = network_.rng().id<SidWk>();
    Ledger ledger(node_->device());
    must(with_store([&](store::Transaction& transaction) -> Result<void> {
      TRY(ledger.add(transaction, {.sid_wk = sid_wk,
                                   .leg = wire::Role::callee,
                                   .sid_call = SidCall{},
                                   .uid = Uid("bob"),
                                   .wk = Secret(32),
                                   .assurance = wire::Assurance::one_qkd_path,
                                   .th9 = Bytes(32),
                                   .peer_uid = Uid("alice"),
                                   .peer_number = Number("+8613900000002"),
                                   .peer_kms = ElementName("kms-b"),
                                   .peer_fps = {},
                                   .expires_ms = node_->clock().now_ms() + 3'600'000,
                                   .terms = {}}));
      return ledger.advance(transaction, sid_wk, wire::Role::callee, store::KeyState::reserved);
    }));
    return sid_wk;
  }
  Result<void> deliver(const SidWk& sid_wk) {
    Ledger ledger(node_->device());
    return with_store([&](store::Transaction& transaction) {
      const Bytes hash(32);
      return deliver_leg(ledger, transaction, sid_wk, wire::Role::callee, {.h_req = hash, .h_deliver = hash, .octets = {}},
                         {.by = Uid("bob"), .traffic = Traffic::voice, .now_ms = node_->clock().now_ms()});
    });
  }
  StoredKey leg(const SidWk& sid_wk) {
    Ledger ledger(node_->device());
    auto found = must(with_store([&](store::Transaction& transaction) { return ledger.find(transaction, sid_wk, wire::Role::callee); }));
    CHECK(found.has_value());
    return *std::move(found);
  }

  test::TrustedNetwork network_;
  test::TemporaryDirectory folder_;
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<KmsService> service_;
};

TEST_F(BackupTest, KeyThatWasDeliveredAfterTheBackupIsNotDeliveredFromIt) {
  open();
  const SidWk sid_wk = reserve();
  must(backup(*node_, folder_ / "backup.db"));
  must(deliver(sid_wk));
  const Restored restored = must(restore(*node_, settings(), folder_ / "backup.db"));
  EXPECT_EQ(restored.destroyed, 0) << "the backup itself has no key";
  EXPECT_EQ(leg(sid_wk).state, store::KeyState::destroyed);
  EXPECT_TRUE(leg(sid_wk).key.wk.empty());
  EXPECT_EQ(test::refusal(deliver(sid_wk)), ErrorCode::conflict);
  EXPECT_EQ(test::refusal(with_store([&](store::Transaction& transaction) { return check_of_this_life(transaction, node_->clock().now_ms(), "KeyRequest"); })),
            ErrorCode::denied)
      << "what was signed before could be made again";
  EXPECT_TRUE(with_store([&](store::Transaction& transaction) { return check_of_this_life(transaction, restored.not_before_ms, "KeyRequest"); }));
  must(serve());
  for (const std::string_view action : {"database.backup", "database.restore_intended", "database.restored"})
    EXPECT_TRUE(test::audited(network_.state_of(kms_id), action));
}

TEST_F(BackupTest, KeyThatWasArchivedComesBackNeitherFromTheArchiveNorFromABackup) {
  open();
  const auto archive = [&](const SidWk& sid_wk) {
    const auto store = must(node_->open_store("kms", migrations));
    Ledger ledger(node_->device());
    must(store->transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(ledger.destroy(transaction, sid_wk, wire::Role::callee, {.by = "bob", .why = "acknowledged", .at_ms = node_->clock().now_ms()}));
      return {};
    }));
    KeyHistory history(*store, ledger, {.folder = folder_ / "archive", .kms = "kms-a", .front_end = "", .retention_ms = 1000});
    return must(history.archive(node_->clock().now_ms() + 2 * 3'600'000, network_.rng().id<OwedId>())).keys;
  };
  const auto use = [&](const SidWk& sid_wk) {
    Ledger ledger(node_->device());
    return with_store([&](store::Transaction& transaction) {
      return ledger.add(transaction, {.sid_wk = sid_wk, .leg = wire::Role::callee, .sid_call = SidCall{}, .uid = Uid("bob"), .wk = Secret(32),
                                      .assurance = wire::Assurance::one_qkd_path, .th9 = Bytes(32), .peer_uid = Uid("alice"), .peer_number = Number("+8613900000002"),
                                      .peer_kms = ElementName("kms-b"), .peer_fps = {}, .expires_ms = node_->clock().now_ms() + 3'600'000, .terms = {}});
    });
  };
  const SidWk before = reserve();
  EXPECT_EQ(archive(before), 1);
  const SidWk after = reserve();
  must(backup(*node_, folder_ / "backup.db"));
  EXPECT_EQ(archive(after), 1);
  const auto octets = std::filesystem::file_size(folder_ / "archive" / "keys-0-1.jsonl");
  must(restore(*node_, settings(), folder_ / "backup.db"));
  EXPECT_EQ(test::refusal(use(before)), ErrorCode::conflict) << "the backup knows that it was used";
  EXPECT_EQ(leg(after).state, store::KeyState::destroyed);
  EXPECT_EQ(test::refusal(use(after)), ErrorCode::conflict);
  const SidWk later = reserve();
  EXPECT_EQ(archive(later), 2) << "and the one that the backup had, once more: its octets are gone";
  EXPECT_EQ(std::filesystem::file_size(folder_ / "archive" / "keys-0-1.jsonl"), octets) << "what the database has forgotten stays in the archive";
}

TEST_F(BackupTest, KeyOfAnApplicationThatWasDestroyedAfterTheBackupIsInUseAfterItOnlyByAnOperatorsWord) {
  open();
  const auto run = [&](std::string_view sql) { must(with_store([&](store::Transaction& transaction) { return transaction.run(sql, {}); })); };
  run("INSERT INTO csa_key (key_id, label, algorithm, purpose, owner, origin, state, current_version, minimum_version, created_ms)"
      " VALUES (x'000102030405060708090a0b0c0d0e0f', '', 'SM4-GCM', 'encryption', 'o', 'made', 'enabled', 1, 1, 1)");
  must(backup(*node_, folder_ / "backup.db"));
  run("UPDATE csa_key SET state = 'destroyed'");
  must(restore(*node_, settings(), folder_ / "backup.db"));
  std::string state;
  must(with_store([&](store::Transaction& transaction) {
    return transaction.query("SELECT state FROM csa_key", {}, [&](const store::Row& row) { state = row.text(0); });
  }));
  EXPECT_EQ(state, "suspended");
  must(serve());
}

TEST_F(BackupTest, BackupThatWasPutInPlaceByHandDoesNotServe) {
  open();
  (void)reserve();
  must(backup(*node_, folder_ / "backup.db"));
  std::filesystem::copy_file(folder_ / "backup.db", node_->settings().state / "kms.db", std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(test::refusal(serve()), ErrorCode::denied);
  must(restore(*node_, settings(), std::nullopt));
  must(serve());
}

TEST_F(BackupTest, LogThatAKilledProcessLeftIsNoObstacle) {
  open();
  const SidWk sid_wk = reserve();
  must(backup(*node_, folder_ / "backup.db"));
  const std::filesystem::path place = node_->settings().state / "kms.db";
  {
    const auto store = must(node_->open_store("kms", migrations));
    must(store->transact([](store::Transaction& transaction) { return transaction.run("DELETE FROM replay", {}); }));
    for (const char* rest : {"", "-wal", "-shm"}) std::filesystem::copy_file(place.string() + rest, (folder_ / "killed").string() + rest);
  }
  for (const char* rest : {"", "-wal", "-shm"}) {
    std::filesystem::copy_file((folder_ / "killed").string() + rest, place.string() + rest, std::filesystem::copy_options::overwrite_existing);
  }
  must(restore(*node_, settings(), folder_ / "backup.db"));
  EXPECT_EQ(leg(sid_wk).state, store::KeyState::destroyed);
  must(serve());
  EXPECT_EQ(test::refusal(restore(*node_, settings(), folder_ / "backup.db")), ErrorCode::conflict) << "it runs";
}

TEST_F(BackupTest, FileThatIsNoBackupIsNotRestored) {
  open();
  const SidWk sid_wk = reserve();
  {
    const auto store = must(node_->open_store("kms", migrations));
    must(store->copy_to(folder_ / "copy.db"));
  }
  EXPECT_EQ(test::refusal(restore(*node_, settings(), folder_ / "copy.db")), ErrorCode::invalid_argument);
  EXPECT_EQ(leg(sid_wk).state, store::KeyState::reserved);
}

TEST_F(BackupTest, KmsThatRunsIsNeitherCopiedNorReplaced) {
  open();
  must(backup(*node_, folder_ / "backup.db"));
  must(serve());
  EXPECT_EQ(test::refusal(backup(*node_, folder_ / "other.db")), ErrorCode::conflict);
  EXPECT_EQ(test::refusal(restore(*node_, settings(), std::nullopt)), ErrorCode::conflict);
  service_.reset();
  EXPECT_EQ(test::refusal(backup(*node_, folder_ / "backup.db")), ErrorCode::conflict) << "a backup is not overwritten";
}

TEST_F(BackupTest, ServerThatWasRestoredDeliversNothingThatItHad) {
  test::PostgresqlCluster& cluster = test::PostgresqlCluster::instance();
  const std::string database = cluster.new_database();
  open(node::StoreSettings{.postgresql = cluster.conninfo(database)});
  const SidWk sid_wk = reserve();
  EXPECT_EQ(test::refusal(backup(*node_, folder_ / "backup.db")), ErrorCode::invalid_argument);
  // The state of the database before the delivery, as a dump would bring it back.
  cluster.end_connections(database);
  (void)cluster.ask("CREATE DATABASE " + database + "_dump TEMPLATE " + database);
  must(deliver(sid_wk));
  open(node::StoreSettings{.postgresql = cluster.conninfo(database + "_dump")});
  must(serve());  // without anybody's step: the database is another one
  service_.reset();
  EXPECT_EQ(test::refusal(deliver(sid_wk)), ErrorCode::conflict);
  EXPECT_EQ(leg(sid_wk).state, store::KeyState::destroyed);
  EXPECT_TRUE(test::audited(network_.state_of(kms_id), "database.other_history"));
}

TEST_F(BackupTest, ServerIsRestoredWhenNoFrontEndRuns) {
  test::PostgresqlCluster& cluster = test::PostgresqlCluster::instance();
  open(node::StoreSettings{.postgresql = cluster.conninfo(cluster.new_database())});
  const SidWk sid_wk = reserve();
  store::PostgresqlPlace other{.conninfo = node_->settings().store->postgresql, .schema = "kms", .process = "2"};
  {
    const auto front_end = must(store::Store::open(other, migrations));
    EXPECT_EQ(test::refusal(restore(*node_, settings(), std::nullopt)), ErrorCode::conflict);
  }
  EXPECT_EQ(must(restore(*node_, settings(), std::nullopt)).destroyed, 1);
  EXPECT_EQ(test::refusal(deliver(sid_wk)), ErrorCode::conflict);
  EXPECT_EQ(test::refusal(restore(*node_, settings(), folder_ / "file.db")), ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace qanat::kms
