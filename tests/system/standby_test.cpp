// One KMS with two front ends on a PostgreSQL server with a synchronous standby: nothing is acknowledged that the standby does not have, and when the primary
// is lost and the standby promoted, calls go on there, and no key was used twice or lost.
#include "front_ends.hpp"
#include "postgresql_server.hpp"

namespace qanat::test {
namespace {

constexpr const char* database = "kms_a";

/// Before the fixture, so that the KMSs end before them.
class Servers {
 protected:
  Servers() {
    require(primary_.answer(std::string("CREATE DATABASE ") + database + " TEMPLATE template0"));
    require(primary_.answer("ALTER SYSTEM SET synchronous_standby_names = '*'"));
    require(primary_.answer("SELECT pg_reload_conf()"));
    await_standby();
  }
  void await_standby() {
    TestNetwork::await(
        "the primary to wait for its standby",
        [&] {
          const auto states = primary_.answer("SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'");
          return states && *states == std::vector<std::string>{"sync"};
        },
        std::chrono::seconds(30));
  }
  [[nodiscard]] std::string both() const { return "host=" + primary_.folder().string() + "," + standby_.folder().string() + " user=qanat dbname=" + database; }
  static std::vector<std::string> require(const Result<std::vector<std::string>>& answer) {
    EXPECT_TRUE(answer) << answer.error().message;
    return answer.value_or(std::vector<std::string>{});
  }

  PostgresqlServer primary_;
  PostgresqlServer standby_{{.standby_of = primary_.conninfo()}};
};

class StandbyTest : public Servers, public FrontEnds {
 protected:
  StandbyTest() : FrontEnds({}, both()) {}
  std::vector<std::string> ask(const std::string& sql) override { return require(standby_.answer(sql, database)); }
};

TEST_F(StandbyTest, NothingIsDeliveredThatTheStandbyHasNot) {
  ASSERT_TRUE(network_->apply("A", "C").agree());
  standby_.crash();
  EXPECT_FALSE(network_->apply("A", "C", std::chrono::seconds(3)).caller) << "acknowledged by the primary alone";
  standby_.start();
  await_standby();
  EXPECT_TRUE(network_->apply("A", "C", std::chrono::seconds(20)).agree());
}

TEST_F(StandbyTest, WhenThePrimaryIsLostCallsGoOnAtTheStandbyAndNoKeyIsUsedTwiceOrLost) {
  const std::vector<Calls::Pair> pairs = four_pairs();
  ASSERT_FALSE(HasFatalFailure());
  Calls calls(*network_, pairs);
  calls.reach("calls on the primary", 4);
  const Span down = span_of([&] {
    primary_.crash();
    EXPECT_EQ(require(standby_.answer("SELECT pg_promote()")), std::vector<std::string>{"t"});
    calls.reach("calls on the standby that was promoted", 1);
  });
  calls.reach("further calls there", 4);
  for (const Calls::Failure& one : calls.end()) EXPECT_TRUE(meet(one.span, down)) << "was not under way when the primary was lost: " << one.reasons;
  EXPECT_GE(expect_each_delivered_once_and_none_lost(), calls.agreed());
  std::size_t seen = 0;
  for (const std::filesystem::path& state : states()) seen += text_of(state / "audit.jsonl").contains("database.other_history") ? 1U : 0U;
  EXPECT_EQ(seen, 1U) << "the first front end that came to the other history has it on record, and it alone";
}

}  // namespace
}  // namespace qanat::test
