// One KMS with two front ends on one PostgreSQL database: callers at one, callees at the other, what happens when a front end is killed and when the
// database's connections are lost, and what one of them is told that both must act on.
#include "front_ends.hpp"
#include "kms_saes.hpp"
#include "point_test.hpp"
#include "postgresql.hpp"
#include "program.hpp"
#include "unit/net/raw_tls.hpp"

namespace qanat::test {
namespace {

class FrontEndsTest : public FrontEnds {
 protected:
  explicit FrontEndsTest(app::NetworkOptions options = {}, const std::string& database = PostgresqlCluster::instance().new_database())
      : FrontEnds(std::move(options), PostgresqlCluster::instance().conninfo(database)), database_(database) {}

  std::vector<std::string> ask(const std::string& sql) override { return cluster_.ask(sql, database_); }

  PostgresqlCluster& cluster_ = PostgresqlCluster::instance();
  const std::string database_;
};

TEST_F(FrontEndsTest, KilledFrontEndAndLostConnectionsNeitherDeliverTwiceNorLoseAndCallsGoOn) {
  const std::vector<Calls::Pair> pairs = four_pairs();
  ASSERT_FALSE(HasFatalFailure());
  Calls calls(*network_, pairs);
  calls.reach("calls with both front ends", 4);
  EXPECT_GT(deliveries_of(network_->network().state_of("kms-a")), 0U) << "callers are served by the first";
  EXPECT_GT(deliveries_of(second_state_), 0U) << "callees are served by the second";
  EXPECT_EQ(ask("SELECT count(DISTINCT front_end) FROM kms.working_key").front(), "1") << "legs are made where the caller, or his KMS, applies";

  const Span killed = span_of([&] {
    ::kill(second_->pid(), SIGKILL);
    second_->stop(std::chrono::milliseconds(1000));
  });
  calls.reach("calls with one front end", 4);
  start_second();
  const Span lost = span_of([&] { cluster_.end_connections(database_); });
  calls.reach("calls after the database's connections were lost", 4);
  for (const Calls::Failure& one : calls.end()) {
    // A call that began later, or had ended before, is none of those that may fail.
    EXPECT_TRUE(meet(one.span, killed) || meet(one.span, lost)) << "was under way neither at the death of the front end nor at the loss of the connections: " << one.reasons;
    if (!meet(one.span, lost)) EXPECT_TRUE(one.caller_served) << "nothing of the caller was under way at the front end that died: " << one.reasons;
  }

  EXPECT_GE(expect_each_delivered_once_and_none_lost(), calls.agreed());
}

TEST_F(FrontEndsTest, BothShowTheSameCertificateAndHaveRecordsOfTheirOwnNames) {
  EXPECT_TRUE(network_->apply("A", "C").agree());
  EXPECT_TRUE(network_->apply("B", "A").agree());
  std::set<std::string> shown;
  for (const std::uint16_t port : {first_port_, second_port_}) {
    const auto client = net::Client::create({.host = "127.0.0.1", .port = port, .expected = (*network_->network().element("kms-a"))->identity}, nullptr,
                                            network_->shared_trust(), [&](const crypto::Certificate& certificate, Deadline) -> Result<void> {
                                              shown.insert(to_hex(certificate.serial()));
                                              return {};
                                            });
    (void)client->call({.method = "GET", .path = "/", .query = "", .content_type = "", .body = {}, .request_id = ""}, Deadline::after(std::chrono::seconds(5)));
  }
  EXPECT_EQ(shown.size(), 1U);
  EXPECT_TRUE(text_of(network_->network().state_of("kms-a") / "audit.jsonl").contains("qanat://a/kms/kms-a/1\""));
  EXPECT_TRUE(text_of(second_state_ / "audit.jsonl").contains("qanat://a/kms/kms-a/2\""));
  EXPECT_FALSE(std::filesystem::exists(network_->network().state_of("kms-a") / "kms.db")) << "its state is on the server alone";
}

TEST_F(FrontEndsTest, AnOperatorsCommandReachesTheFrontEndThatRuns) {
  EXPECT_TRUE(network_->apply("A", "C").agree());
  network_->close_op();
  network_->running().stop_element("kms-a", app::RunningNetwork::Ending::orderly);
  const TemporaryDirectory folder;
  const Outcome charges = run_program("kms charges --json --kms kms-a --config " + network_->network().config_of("operator").string(), folder);
  EXPECT_EQ(charges.code, 0) << charges.error;
  EXPECT_TRUE(charges.out.contains("\"delivered_ms\"")) << charges.out;
  EXPECT_TRUE(text_of(second_state_ / "audit.jsonl").contains("x-5.charges"));
}

TEST_F(FrontEndsTest, FrontEndOfANumberThatRunsIsRefused) {
  const std::filesystem::path config = network_->network().folder() / "kms-a-3.toml";
  write(config, with_table(text_of(second_config(network_->network())), "[node]", [&](const std::string& line) {
          if (line.starts_with("state = ")) return "state = \"" + (network_->network().folder() / "kms-a-3").string() + "\"";
          return line.starts_with("port = ") ? std::string("port = 0") : line;
        }));
  auto third = app::Child::start({.program = QANAT_PROGRAM,
                                  .arguments = {"kms", "--config", config.string()},
                                  .environment = {},
                                  .standard_error = network_->network().folder() / "logs" / "kms-a-3.err"});
  ASSERT_TRUE(third);
  TestNetwork::await(
      "the second of one number to end", [&] { return (*third)->ended().has_value(); }, std::chrono::seconds(20));
  EXPECT_EQ((*third)->ended(), 1);
  EXPECT_TRUE((*third)->last_words().contains("another process has it open under the name 2")) << (*third)->last_words();
}

/// By themselves, front ends would ask for a certificate's status again after an hour, and for the SAEs after a minute.
class NoticesToFrontEnds : public FrontEndsTest {
 protected:
  NoticesToFrontEnds() : FrontEndsTest(options()) {}
  static app::NetworkOptions options() {
    app::NetworkOptions out;
    out.spares = {{.domain = "b", .kind = Kind::kms, .name = "kms-spare"}};
    out.optics = false;
    out.status_fresh_ms = 3'600'000;
    out.saes = true;
    return out;
  }
};

POINT_TEST(NoticesToFrontEnds, X_10, accepts, ARevocationToldToOneFrontEndClosesAnOpenConnectionAtTheOther) {
  const auto identity = network_->enrol_spare("kms-spare");
  const auto context = net::test::raw_context(TLS_client_method(), identity.get());
  // Whoever is a KMS may ask this; what it says is no offer.
  const std::string request = "POST /km/2/offer HTTP/1.1\r\nHost: kms-a\r\nContent-Type: application/qfc2\r\nContent-Length: 1\r\n\r\nx";
  auto open = net::test::RawTls::to(second_port_, *context);
  ASSERT_TRUE(open.connect());
  ASSERT_TRUE(open.write(request));
  const std::string before = open.read_until("\r\n\r\n");
  ASSERT_TRUE(before.starts_with("HTTP/1.1 ")) << before;
  EXPECT_FALSE(before.starts_with("HTTP/1.1 403")) << before;

  ASSERT_TRUE(network_->op().revoke(*identity->chain.front().names().element));
  const std::string closed = "connection closed: its certificate is revoked";
  TestNetwork::await(
      "the second front end to close the connection", [&] { return text_of(second_state_ / "audit.jsonl").contains(closed); }, std::chrono::seconds(5));
  std::string rest = open.read_all();
  static_cast<void>(open.write(request));
  rest += open.read_all();
  EXPECT_FALSE(rest.contains("HTTP/1.1 200")) << "nothing is answered on it any more";
  EXPECT_NE(ask("SELECT count(*) FROM kms.notice WHERE kind = 'x-10.revoked' AND told_by = '1'").front(), "0");
  EXPECT_EQ(ask("SELECT count(*) FROM kms.notice WHERE told_by <> '1'").front(), "0") << "CAS has told the first alone";

  auto again = net::test::RawTls::to(second_port_, *context);
  ASSERT_TRUE(again.connect());
  ASSERT_TRUE(again.write(request));
  EXPECT_TRUE(again.read_until("\r\n\r\n").starts_with("HTTP/1.1 403")) << "what was known of the certificate, for an hour, is forgotten";
}

POINT_TEST(NoticesToFrontEnds, Pm_1, accepts, ASubscriberThatIamEndsIsServedAtNeitherFrontEndAndAnSaeNeither) {
  std::optional<SaeClient> saes =
      let_saes_in_at_kmss(*network_, {{.name = "enc-a", .domain = "a", .peer_domains = {}}, {.name = "enc-a2", .domain = "a", .peer_domains = {}}});
  ASSERT_TRUE(saes);
  app::SaeDemo both = saes->demo();
  both.ports["second"] = second_sae_port_;
  const SaeClient client(both);
  const auto status_at = [&](const std::string& front_end) { return client.curl("enc-a", front_end, "/api/v1/keys/enc-a2/status").status; };
  for (const char* front_end : {"kms-a", "second"})
    TestNetwork::await("enc-a to be served at " + std::string(front_end), [&] { return status_at(front_end) == 200; });
  const auto iam = [&](const char* op, const char* uid) {
    return network_->op().ask(points::Endpoint::x5_identity, "iam", wire::Json::object({{"op", op}, {"uid", uid}}));
  };
  ASSERT_TRUE(iam("suspend", "enc-a"));
  for (const char* front_end : {"kms-a", "second"})
    TestNetwork::await(
        "the refusal of a suspended SAE at " + std::string(front_end), [&] { return status_at(front_end) == 401; }, std::chrono::seconds(10));
  EXPECT_EQ(ask("SELECT count(*) FROM kms.notice WHERE kind = 'pm-1.revoked' AND body = 'enc-a' AND told_by <> '1'").front(), "0")
      << "IAM has told the first alone";

  // A terminal's standing is in the database.
  EXPECT_TRUE(network_->apply("A", "C").agree());
  ASSERT_TRUE(iam("suspend", "C"));
  TestNetwork::await("C to be refused at the second front end", [&] {
    const TestNetwork::Pair pair = network_->apply("A", "C", std::chrono::seconds(5));
    return !pair.callee && pair.callee.error().code == ErrorCode::denied;
  });
}

}  // namespace
}  // namespace qanat::test
