// What the store promises with PostgreSQL behind it: settings that it insists on, works that meet, connections that are lost.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>

#include "store/postgresql_connection.hpp"
#include "store_fixture.hpp"

namespace qanat::store {
namespace {

using test::PostgresqlCluster;

class PostgresqlTest : public testing::Test {
 protected:
  [[nodiscard]] std::unique_ptr<Store> open() const {
    auto store = Store::open(place_, schema);
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
  }
  [[nodiscard]] Error refusal() const {
    const auto store = Store::open(place_, schema);
    EXPECT_FALSE(store);
    return store ? Error{} : store.error();
  }
  std::vector<std::string> ask(const std::string& sql) const { return cluster_.ask(sql, database_); }
  template <class Holds>
  static void await(Holds holds) {
    const Deadline deadline = Deadline::after(std::chrono::seconds(20));
    while (!holds()) {
      ASSERT_FALSE(deadline.passed()) << "waited in vain";
      std::this_thread::yield();
    }
  }
  PostgresqlCluster& cluster_ = PostgresqlCluster::instance();
  const std::string database_ = cluster_.new_database();
  PostgresqlPlace place_{.conninfo = cluster_.conninfo(database_), .schema = "kms", .connections = 6};
};

TEST_F(PostgresqlTest, ServersThatLoseWhatTheyHaveAcknowledgedAreRefused) {
  for (const auto& [setting, value] : {std::pair("synchronous_commit", "off"), {"synchronous_commit", "local"}, {"synchronous_commit", "remote_write"}}) {
    ask("ALTER DATABASE " + database_ + " SET " + setting + " = " + value);
    const Error error = refusal();
    EXPECT_EQ(error.code, ErrorCode::denied);
    EXPECT_TRUE(error.message.contains(std::string(setting) + " is " + value)) << error.message;
  }
  ask("ALTER DATABASE " + database_ + " SET synchronous_commit = remote_apply");
  EXPECT_TRUE(open());
  for (const std::string setting : {"fsync", "full_page_writes"}) {
    ask("ALTER SYSTEM SET " + setting + " = off");
    ask("SELECT pg_reload_conf()");
    await([&] { return ask("SHOW " + setting).front() == "off"; });
    EXPECT_TRUE(refusal().message.contains(setting + " is off"));
    ask("ALTER SYSTEM RESET " + setting);
    ask("SELECT pg_reload_conf()");
    await([&] { return ask("SHOW " + setting).front() == "on"; });
  }
  ask("ALTER DATABASE " + database_ + " SET default_transaction_read_only = on");
  EXPECT_EQ(refusal().code, ErrorCode::unavailable);
}

/// Passes one connection to a loopback port on to a server's socket, as if the server were on a network.
class OneConnectionByTcp {
 public:
  explicit OneConnectionByTcp(const std::filesystem::path& socket) : listener_(::socket(AF_INET, SOCK_STREAM, 0)), far_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof here;
    CHECK(::bind(listener_, reinterpret_cast<const sockaddr*>(&here), size) == 0 && ::listen(listener_, 1) == 0);
    CHECK(::getsockname(listener_, reinterpret_cast<sockaddr*>(&here), &size) == 0);
    port_ = ntohs(here.sin_port);
    sockaddr_un there{};
    there.sun_family = AF_UNIX;
    socket.string().copy(there.sun_path, sizeof there.sun_path - 1);
    CHECK(::connect(far_, reinterpret_cast<const sockaddr*>(&there), sizeof there) == 0);
    thread_ = std::thread([this] { pass(); });
  }
  ~OneConnectionByTcp() {
    ::shutdown(listener_, SHUT_RDWR);  // ends an accept() that nobody came to
    thread_.join();
    ::close(listener_);
    ::close(far_);
  }
  [[nodiscard]] std::string port() const { return std::to_string(port_); }

 private:
  void pass() const {
    const int near = ::accept(listener_, nullptr, nullptr);
    if (near < 0) return;
    std::array<pollfd, 2> ends{pollfd{.fd = near, .events = POLLIN, .revents = 0}, pollfd{.fd = far_, .events = POLLIN, .revents = 0}};
    std::array<char, 4096> octets{};
    for (bool open = true; open && ::poll(ends.data(), ends.size(), -1) > 0;) {
      for (std::size_t i = 0; i < ends.size() && open; ++i) {
        if (ends[i].revents == 0) continue;
        const ssize_t got = ::read(ends[i].fd, octets.data(), octets.size());
        open = got > 0 && ::write(ends[1 - i].fd, octets.data(), static_cast<std::size_t>(got)) == got;
      }
    }
    ::close(near);
  }
  int listener_;
  int far_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

TEST_F(PostgresqlTest, WhatTheEnvironmentSaysLeadsOverNoNetworkUnchecked) {
  const OneConnectionByTcp wire(PostgresqlCluster::instance().folder() / ".s.PGSQL.5432");
  ::setenv("PGHOSTADDR", "127.0.0.1", 1);
  ::setenv("PGPORT", wire.port().c_str(), 1);
  const auto store = Store::open(place_, schema);
  ::unsetenv("PGHOSTADDR");
  ::unsetenv("PGPORT");
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, ErrorCode::denied) << store.error().message;
  EXPECT_TRUE(store.error().message.contains("PGHOSTADDR")) << store.error().message;
}

TEST_F(PostgresqlTest, PlaceSaysNoPasswordAndNamesItsServer) {
  const std::string socket = place_.conninfo;
  for (const auto& [conninfo, why] : {std::pair(socket + " password=hush", "passfile="),
                                      {socket + " options=-cfsync=off", "options"},
                                      {socket + " service=a", "service"},
                                      {std::string("host=db.example dbname=kms"), "verify-full"},
                                      {std::string("host=db.example dbname=kms sslmode=require"), "verify-full"},
                                      {std::string("host=/run/postgresql hostaddr=10.0.0.1 dbname=kms"), "verify-full"},
                                      {std::string("host=/run/postgresql,db.example dbname=kms"), "verify-full"},
                                      {std::string("host=/run/postgresql, dbname=kms"), "verify-full"},
                                      {std::string("host='' dbname=kms"), "verify-full"},
                                      {std::string("host=/tmp,db.example dbname=kms"), "verify-full"},
                                      {std::string("host=/tmp"), "dbname"},
                                      {std::string("nonsense"), "="}}) {
    const auto checked = check_conninfo(conninfo);
    ASSERT_FALSE(checked) << conninfo;
    EXPECT_EQ(checked.error().code, ErrorCode::invalid_argument);
    EXPECT_TRUE(checked.error().message.contains(why)) << checked.error().message;
    EXPECT_FALSE(checked.error().message.contains("hush"));
  }
  EXPECT_TRUE(check_conninfo("host=/run/one,/run/other dbname=kms"));
  EXPECT_TRUE(check_conninfo("host=db1.example,db2.example dbname=kms sslmode=verify-full sslrootcert=/etc/qanat/db.pem"));
  for (const std::string_view name : {"", "Kms", "a b", "a\"", "pg_a", "1a", "a123456789012345678901234567890123"})
    EXPECT_FALSE(check_schema_name(name)) << name;
  place_.connections = 0;
  EXPECT_EQ(refusal().code, ErrorCode::invalid_argument);
}

TEST_F(PostgresqlTest, ServerThatIsNotThereIsUnavailable) {
  place_.conninfo = "host=" + (std::filesystem::temp_directory_path() / "nobody-here").string() + " dbname=kms";
  EXPECT_EQ(refusal().code, ErrorCode::unavailable);
}

TEST_F(PostgresqlTest, TextWithAZeroOctetIsRefused) {
  const auto store = open();
  const std::string label("a\0b", 3);
  const auto refused =
      store->transact([&](Transaction& transaction) { return transaction.run("INSERT INTO entry (label) VALUES (?)", {std::string_view(label)}); });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
}

TEST_F(PostgresqlTest, ValuesHoldToTheTypesOfTheirColumns) {
  const auto store = open();
  const Bytes octets{1, 2};
  for (const Value& value : {Value(std::string_view("1")), Value(ByteView(octets))}) {
    EXPECT_FALSE(store->transact([&](Transaction& transaction) { return transaction.run("INSERT INTO entry (id) VALUES (?)", {value}); }));
  }
  EXPECT_FALSE(store->transact([&](Transaction& transaction) { return transaction.run("INSERT INTO entry (octets) VALUES (?)", {std::string_view("text")}); }));
}

TEST_F(PostgresqlTest, SumsAndTruthValuesAreIntegers) {
  const auto store = open();
  const auto done = store->transact([](Transaction& transaction) -> Result<void> {
    for (const std::int64_t id : {std::int64_t{-70000}, std::int64_t{20000}, std::int64_t{4'000'000'000'000'000'000}})
      TRY(transaction.run("INSERT INTO entry (id) VALUES (?)", {id}));
    return transaction.query("SELECT sum(id), count(*), min(id) < 0, sum(id) FILTER (WHERE id < 0) FROM entry", {}, [](const Row& row) {
      EXPECT_EQ(row.integer(0), 4'000'000'000'000'000'000 - 50000);
      EXPECT_EQ(row.integer(1), 3);
      EXPECT_EQ(row.integer(2), 1);
      EXPECT_EQ(row.integer(3), -70000);
    });
  });
  EXPECT_TRUE(done) << done.error().message;
}

TEST_F(PostgresqlTest, ManyStoresOnOneSchemaLoseNoUpdate) {
  constexpr int stores = 3;
  constexpr int threads = 3;
  constexpr int rounds = 15;
  std::vector<std::unique_ptr<Store>> all;
  for (int i = 0; i < stores; ++i) all.push_back(open());
  ASSERT_TRUE(all[0]->transact([](Transaction& transaction) { return transaction.run("INSERT INTO entry (id, label) VALUES (1, '0')", {}); }));
  const auto count_up = [&](Store& store) {
    for (int i = 0; i < rounds; ++i) {
      const auto done = store.transact([](Transaction& transaction) -> Result<void> {
        std::int64_t before = 0;
        TRY(transaction.query("SELECT CAST(label AS INTEGER) FROM entry WHERE id = 1", {}, [&](const Row& row) { before = row.integer(0); }));
        TRY(transaction.run("UPDATE entry SET label = CAST(? AS TEXT) WHERE id = 1", {before + 1}));
        return {};
      });
      EXPECT_TRUE(done) << done.error().message;
    }
  };
  {
    std::vector<std::jthread> running;
    for (const auto& store : all) {
      for (int i = 0; i < threads; ++i) running.emplace_back(count_up, std::ref(*store));
    }
  }
  EXPECT_EQ(ask("SELECT label FROM kms.entry").front(), std::to_string(stores * threads * rounds));
}

TEST_F(PostgresqlTest, WorksThatReadWhatTheOtherWritesAreNotBothTaken) {
  // Each sees that there is no row and inserts its own: side by side both would, one after the other only the first does.
  const auto one = open();
  const auto other = open();
  std::atomic<int> looked = 0;
  const auto insert_if_empty = [&](Store& store, std::int64_t id) {
    int runs = 0;
    return store.transact([&](Transaction& transaction) -> Result<bool> {
      bool empty = true;
      TRY(transaction.query("SELECT id FROM entry", {}, [&](const Row&) { empty = false; }));
      if (++runs == 1) {
        ++looked;
        await([&] { return looked == 2; });
      }
      if (empty) TRY(transaction.run("INSERT INTO entry (id) VALUES (?)", {id}));
      return empty;
    });
  };
  Result<bool> second = false;
  std::jthread thread([&] { second = insert_if_empty(*other, 2); });
  const Result<bool> first = insert_if_empty(*one, 1);
  thread.join();
  ASSERT_TRUE(first && second);
  EXPECT_NE(*first, *second);
  EXPECT_EQ(ids(*one).size(), 1U);
  EXPECT_EQ(one->counts().repeated + other->counts().repeated, 1U);
}

TEST_F(PostgresqlTest, LostConnectionsAreMadeAnewAndTheWorkIsDoneOnce) {
  const auto store = open();
  int runs = 0;
  const auto done = store->transact([&](Transaction& transaction) -> Result<void> {
    TRY(transaction.run("INSERT INTO entry (id) VALUES (1)", {}));
    if (++runs == 1) cluster_.end_connections(database_);
    TRY(transaction.run("INSERT INTO entry (id) VALUES (2)", {}));
    return {};
  });
  EXPECT_TRUE(done) << done.error().message;
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(ids(*store), (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(store->counts().asked, 0U);
}

TEST_F(PostgresqlTest, CommitThatWasLostBeforeItHappenedIsRunAgain) {
  const auto store = open();
  // At the first commit the server ends the connection by itself, before it commits. A sequence does not go back.
  ask("CREATE SEQUENCE kms.commits; CREATE FUNCTION kms.die_once() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF nextval(''kms.commits'') = 1 THEN PERFORM "
      "pg_terminate_backend(pg_backend_pid()); END IF; RETURN NULL; END'; CREATE CONSTRAINT TRIGGER die_once AFTER INSERT ON kms.entry DEFERRABLE INITIALLY "
      "DEFERRED "
      "FOR EACH ROW EXECUTE FUNCTION kms.die_once()");
  EXPECT_TRUE(insert(*store, 1));
  EXPECT_EQ(ids(*store), std::vector<std::int64_t>{1});
  EXPECT_EQ(store->counts().repeated, 1U);
  EXPECT_EQ(store->counts().asked, 1U);
  EXPECT_EQ(ask("SELECT last_value FROM kms.commits").front(), "2");
}

/// A server whose commits wait for a standby that does not exist.
class WithoutStandby {
 public:
  explicit WithoutStandby(PostgresqlCluster& cluster) : cluster_(cluster) { set("SET synchronous_standby_names = 'nobody'", "nobody"); }
  ~WithoutStandby() { set("RESET synchronous_standby_names", ""); }
  WithoutStandby(const WithoutStandby&) = delete;
  WithoutStandby& operator=(const WithoutStandby&) = delete;

 private:
  void set(const std::string& what, const std::string& value) {
    cluster_.ask("ALTER SYSTEM " + what);
    cluster_.ask("SELECT pg_reload_conf()");
    while (cluster_.ask("SHOW synchronous_standby_names").front() != value) std::this_thread::yield();
  }
  PostgresqlCluster& cluster_;
};
constexpr const char* waiting_commits = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = current_database()";

TEST_F(PostgresqlTest, CommitThatWasLostAfterItHappenedIsNotRunAgainAndReturnsWhenTheStandbyHasIt) {
  const auto store = open();
  std::atomic<int> runs = 0;
  std::atomic<bool> returned = false;
  Result<void> done;
  std::jthread thread;
  {
    const WithoutStandby nobody(cluster_);
    thread = std::jthread([&] {
      done = store->transact([&](Transaction& transaction) -> Result<void> {
        ++runs;
        TRY(transaction.run("INSERT INTO entry (id) VALUES (1)", {}));
        return {};
      });
      returned = true;
    });
    await([&] { return !ask(waiting_commits).empty(); });
    ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = current_database()");
    await([&] { return store->counts().asked == 1 && !ask(waiting_commits).empty(); });  // a later commit is waited for
    EXPECT_FALSE(returned);
  }
  thread.join();
  EXPECT_TRUE(done) << done.error().message;
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(ids(*store), std::vector<std::int64_t>{1});
  EXPECT_EQ(store->counts().unknown, 0U);
}

/// Reads, and changes what it read: all its changes go out with the commit, once the store knows that such works change something.
Result<void> mark(Store& store, std::int64_t id) {
  const std::string label = "marked " + std::to_string(id);
  return store.transact([&](Transaction& transaction) -> Result<void> {
    bool there = false;
    TRY(transaction.query("SELECT label FROM entry WHERE id = ?", {id}, [&](const Row&) { there = true; }));
    if (there) return fail(ErrorCode::conflict, "was marked before");
    TRY(transaction.change("INSERT INTO entry (id) VALUES (?)", {id}));
    TRY(transaction.change_one("UPDATE entry SET label = ? WHERE id = ?", {std::string_view(label), id}));
    return {};
  });
}

TEST_F(PostgresqlTest, AWorkTakesTwoRoundTripsWhereItsChangesMayWaitAndALookTakesOne) {
  place_.connections = 1;
  const auto store = open();
  const auto trips = [&](const auto& work) {
    const std::uint64_t before = store->counts().round_trips;
    const auto done = work();
    EXPECT_TRUE(done) << done.error().message;
    return store->counts().round_trips - before;
  };
  EXPECT_EQ(trips([&] { return mark(*store, 1); }), 3U) << "the first of its kind asks for the transaction's number by itself";
  for (const std::int64_t id : {2, 3}) EXPECT_EQ(trips([&] { return mark(*store, id); }), 2U);
  EXPECT_EQ(trips([&] {
              return store->look([](Transaction& transaction) {
                return transaction.query("SELECT count(*) FROM entry", {}, [](const Row& row) { EXPECT_EQ(row.integer(0), 3); });
              });
            }),
            1U);
  EXPECT_EQ(trips([&] { return insert(*store, 4); }), 2U) << "as ever";
  EXPECT_EQ(trips([&] { return store->transact([](Transaction&) -> Result<void> { return {}; }); }), 0U);
}

TEST_F(PostgresqlTest, ALookIsOneQueryAndChangesNothing) {
  const auto store = open();
  ASSERT_TRUE(insert(*store, 1));
  const auto ask_twice = store->look([](Transaction& transaction) -> Result<void> {
    TRY(transaction.query("SELECT id FROM entry", {}, [](const Row&) {}));
    return transaction.query("SELECT id FROM entry", {}, [](const Row&) {});
  });
  const auto change = store->look([](Transaction& transaction) { return transaction.run("INSERT INTO entry (id) VALUES (2)", {}); });
  const auto change_later = store->look([](Transaction& transaction) { return transaction.change("INSERT INTO entry (id) VALUES (3)", {}); });
  ASSERT_FALSE(ask_twice || change || change_later);
  for (const Error& error : {ask_twice.error(), change.error(), change_later.error()}) EXPECT_EQ(error.code, ErrorCode::internal) << error.message;
  EXPECT_EQ(ids(*store), std::vector<std::int64_t>{1});
}

TEST_F(PostgresqlTest, ALookWhoseConnectionIsLostIsRunAgain) {
  const auto store = open();
  ASSERT_TRUE(insert(*store, 1));
  cluster_.end_connections(database_);
  std::vector<std::int64_t> seen;
  const auto done = store->look([&](Transaction& transaction) {
    seen.clear();
    return transaction.query("SELECT id FROM entry", {}, [&](const Row& row) { seen.push_back(row.integer(0)); });
  });
  EXPECT_TRUE(done) << done.error().message;
  EXPECT_EQ(seen, std::vector<std::int64_t>{1});
  EXPECT_EQ(store->counts().asked, 0U);
}

TEST_F(PostgresqlTest, WorksWhoseChangesWaitLoseNoUpdateEither) {
  constexpr int threads = 6;
  constexpr int rounds = 15;
  const auto one = open();
  const auto other = open();
  ASSERT_TRUE(insert(*one, 1));
  ASSERT_TRUE(one->transact([](Transaction& transaction) { return transaction.change_one("UPDATE entry SET label = '0' WHERE id = 1", {}); }));
  {
    std::vector<std::jthread> running;
    for (int i = 0; i < threads; ++i) {
      running.emplace_back([&store = i % 2 == 0 ? *one : *other] {
        for (int round = 0; round < rounds; ++round) {
          const auto done = store.transact([](Transaction& transaction) -> Result<void> {
            std::int64_t before = 0;
            TRY(transaction.query("SELECT CAST(label AS INTEGER) FROM entry WHERE id = 1", {}, [&](const Row& row) { before = row.integer(0); }));
            return transaction.change_one("UPDATE entry SET label = CAST(? AS TEXT) WHERE id = 1", {before + 1});
          });
          EXPECT_TRUE(done) << done.error().message;
        }
      });
    }
  }
  EXPECT_EQ(ask("SELECT label FROM kms.entry").front(), std::to_string(threads * rounds));
}

TEST_F(PostgresqlTest, CommitThatWasSentWithItsChangesAndLostBeforeItHappenedIsRunAgain) {
  const auto store = open();
  ASSERT_TRUE(mark(*store, 100));  // from now on changes and COMMIT go out together
  ask("CREATE SEQUENCE kms.commits; CREATE FUNCTION kms.die_once() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF nextval(''kms.commits'') = 1 THEN PERFORM "
      "pg_terminate_backend(pg_backend_pid()); END IF; RETURN NULL; END'; CREATE CONSTRAINT TRIGGER die_once AFTER INSERT ON kms.entry DEFERRABLE INITIALLY "
      "DEFERRED "
      "FOR EACH ROW EXECUTE FUNCTION kms.die_once()");
  const auto done = mark(*store, 1);
  EXPECT_TRUE(done) << done.error().message;
  EXPECT_EQ(ids(*store), (std::vector<std::int64_t>{1, 100}));
  EXPECT_EQ(store->counts().repeated, 1U);
  EXPECT_EQ(store->counts().asked, 1U);
}

TEST_F(PostgresqlTest, CommitThatWasSentWithItsChangesAndLostAfterItHappenedIsNotRunAgain) {
  const auto store = open();
  ASSERT_TRUE(mark(*store, 100));
  Result<void> done;
  std::jthread thread;
  {
    const WithoutStandby nobody(cluster_);
    thread = std::jthread([&] { done = mark(*store, 1); });  // a second run would find its own mark
    await([&] { return !ask(waiting_commits).empty(); });
    ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = current_database()");
    await([&] { return store->counts().asked == 1 && !ask(waiting_commits).empty(); });
  }
  thread.join();
  EXPECT_TRUE(done) << done.error().message;
  EXPECT_EQ(ids(*store), (std::vector<std::int64_t>{1, 100}));
  EXPECT_EQ(store->counts().unknown, 0U);
}

TEST_F(PostgresqlTest, CommitWhoseOutcomeCannotBeHadIsReportedAsUnknownAndNotRunAgain) {
  place_.outcome_max = std::chrono::milliseconds(300);
  auto store = open();
  std::atomic<int> runs = 0;
  Result<void> done;
  {
    const WithoutStandby nobody(cluster_);
    std::jthread thread([&] {
      done = store->transact([&](Transaction& transaction) -> Result<void> {
        ++runs;
        TRY(transaction.run("INSERT INTO entry (id) VALUES (1)", {}));
        return {};
      });
    });
    await([&] { return !ask(waiting_commits).empty(); });
    cluster_.crash();
    thread.join();
    cluster_.start();
  }
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::unavailable);
  EXPECT_TRUE(done.error().message.contains("outcome unknown")) << done.error().message;
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(store->counts().unknown, 1U);
  EXPECT_EQ(ids(*store), std::vector<std::int64_t>{1}) << "in truth it was done, and the store goes on";
}

TEST_F(PostgresqlTest, WhatWasAcknowledgedOutlivesACrashOfTheServer) {
  const auto store = open();
  std::vector<std::int64_t> reported;
  std::atomic<bool> enough = false;
  std::jthread writer([&] {
    for (std::int64_t id = 1; !enough; ++id) {
      if (insert(*store, id)) reported.push_back(id);
    }
  });
  await([&] { return std::stoi(ask("SELECT count(*) FROM kms.entry").front()) > 20; });
  cluster_.crash();
  cluster_.start();
  const int before = std::stoi(ask("SELECT count(*) FROM kms.entry").front());
  await([&] { return std::stoi(ask("SELECT count(*) FROM kms.entry").front()) > before + 5; });
  enough = true;
  writer.join();
  const std::vector<std::int64_t> there = ids(*store);
  EXPECT_TRUE(std::ranges::includes(there, reported));
  EXPECT_LE(there.size(), reported.size() + 1) << "what became of the one that was at its commit, nobody is told: its number may be another's by now";
}

TEST_F(PostgresqlTest, CommitOfAnotherThatGotTheNumberAfterACrashIsNotTakenForOnesOwn) {
  auto store = open();
  ASSERT_TRUE(mark(*store, 100));  // from now on the number comes with the first query, before anything is written
  int runs = 0;
  const auto done = store->transact([&](Transaction& transaction) -> Result<void> {
    ++runs;
    TRY(transaction.query("SELECT label FROM entry WHERE id = ?", {1}, [](const Row&) {}));
    const std::vector<std::string> number = ask("SELECT backend_xid::text FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL");
    EXPECT_EQ(number.size(), 1U);
    cluster_.crash();
    cluster_.start();
    EXPECT_EQ(ask("INSERT INTO kms.entry (id) VALUES (200) RETURNING xmin::text"), number) << "the server gave the number to nobody else: what is this test for?";
    TRY(transaction.change("INSERT INTO entry (id) VALUES (?)", {1}));
    return {};
  });
  ASSERT_FALSE(done) << "told of a commit that was another's";
  EXPECT_TRUE(done.error().message.contains("outcome unknown")) << done.error().message;
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(ids(*store), (std::vector<std::int64_t>{100, 200}));
}

TEST_F(PostgresqlTest, AnnouncementsReachTheWatchesOfOtherStores) {
  const auto one = open();
  const auto other = open();
  const auto here = one->watch("leg/1");
  const auto there = other->watch("leg/1");
  const auto elsewhere = one->watch("leg/2");
  one->announce("leg/1");
  EXPECT_TRUE(here->wait(Deadline::after(std::chrono::seconds(5))));
  EXPECT_TRUE(there->wait(Deadline::after(std::chrono::seconds(5))));
  EXPECT_FALSE(elsewhere->wait(Deadline::after(std::chrono::milliseconds(0))));
}

TEST_F(PostgresqlTest, ConnectionsAreBoundedAndWhoWaitsTooLongIsTold) {
  place_.connections = 2;
  const auto store = open();
  std::atomic<int> inside = 0;
  std::atomic<bool> leave = false;
  std::vector<std::jthread> holders;
  for (int i = 0; i < 2; ++i) {
    holders.emplace_back([&] {
      EXPECT_TRUE(store->transact([&](Transaction& transaction) -> Result<void> {
        TRY(transaction.run("SELECT 1", {}));
        ++inside;
        while (!leave) std::this_thread::yield();
        return {};
      }));
    });
  }
  await([&] { return inside == 2; });
  holders.emplace_back([&] { EXPECT_TRUE(insert(*store, 1)); });
  await([&] { return store->queued() == 1; });
  EXPECT_LE(std::stoi(ask("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'qanat' AND datname = current_database()").front()), 3)
      << "two, and one that listens";
  leave = true;
  holders.clear();
  EXPECT_EQ(ids(*store), std::vector<std::int64_t>{1});
}

TEST_F(PostgresqlTest, StoresThatBeginTogetherMigrateOnce) {
  std::vector<std::unique_ptr<Store>> all(4);
  {
    std::vector<std::jthread> running;
    for (auto& store : all) running.emplace_back([&] { store = open(); });
  }
  for (const auto& store : all) EXPECT_TRUE(store);
  EXPECT_EQ(ask("SELECT count(*) FROM kms.schema_version").front(), "2");
}

}  // namespace
}  // namespace qanat::store
