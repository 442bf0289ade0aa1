// One KMS with two front ends on one PostgreSQL database: callers at one, callees at the other, what happens when a front end is killed and when the
// database's connections are lost, and what one of them is told that both must act on.
#include <algorithm>
#include <atomic>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <thread>

#include "audit/audit.hpp"
#include "crypto/kdf.hpp"
#include "kms_saes.hpp"
#include "point_test.hpp"
#include "postgresql.hpp"
#include "program.hpp"
#include "test_network.hpp"
#include "unit/net/raw_tls.hpp"

namespace qanat::test {
namespace {

constexpr std::chrono::seconds ready_max{30};

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write(const std::filesystem::path& file, const std::string& text) { std::ofstream(file, std::ios::binary | std::ios::trunc) << text; }

/// The configuration with the lines of one table changed.
std::string with(const std::string& config, const std::string& table, const std::function<std::string(const std::string& line)>& change) {
  std::istringstream lines(config);
  std::string out;
  bool within = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('[')) within = line == table;
    out += (within ? change(line) : line) + "\n";
  }
  return out;
}

using Moment = std::chrono::steady_clock::time_point;
struct Span {
  Moment from;
  Moment until;
};
Span span_of(const std::function<void()>& what) {
  const Moment from = std::chrono::steady_clock::now();
  what();
  return {.from = from, .until = std::chrono::steady_clock::now()};
}
bool meet(const Span& one, const Span& other) { return one.from <= other.until && other.from <= one.until; }

/// Pairs of terminals that call one another, each in a thread of its own, until the end.
class Calls {
 public:
  struct Pair {
    std::string caller;
    std::string callee;
  };
  struct Failure {
    Span span;
    bool caller_served = false;
    std::string reasons;
  };

  Calls(TestNetwork& network, const std::vector<Pair>& pairs) : network_(network), agreed_(pairs.size()) {
    for (const Pair& pair : pairs) {
      for (const std::string& uid : {pair.caller, pair.callee}) (void)network_.terminal(uid);
    }
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      threads_.emplace_back([this, i, pair = pairs[i]](const std::stop_token& over) {
        while (!over.stop_requested()) call(pair, agreed_[i]);
      });
    }
  }
  /// Waits until every pair has had so many more calls.
  void reach(const std::string& what, int more) {
    const std::vector<int> before(agreed_.begin(), agreed_.end());
    TestNetwork::await(
        what, [&] { return std::ranges::equal(agreed_, before, [&](int now, int then) { return now >= then + more; }); }, std::chrono::seconds(90));
  }
  /// Ends them. Those that failed.
  std::vector<Failure> end() {
    for (std::jthread& thread : threads_) thread.request_stop();
    threads_.clear();
    return failures_;
  }
  [[nodiscard]] std::size_t agreed() const {
    std::size_t out = 0;
    for (const int calls : agreed_) out += static_cast<std::size_t>(calls);
    return out;
  }

 private:
  void call(const Pair& pair, std::atomic<int>& agreed) {
    std::optional<TestNetwork::Pair> keys;
    const Span span = span_of([&] { keys.emplace(network_.apply(pair.caller, pair.callee, std::chrono::seconds(20))); });
    if (keys->caller && keys->callee) EXPECT_TRUE(keys->agree()) << pair.caller << " and " << pair.callee << " have different keys";
    const std::lock_guard lock(mutex_);
    for (const auto* one : {&keys->caller, &keys->callee}) {
      if (!*one) continue;
      EXPECT_TRUE(had_.insert(to_hex(crypto::digest(crypto::Hash::sha256, (*one)->wk.reveal()))).second) << "a working key came back";
      break;  // the other's is the same
    }
    if (keys->agree()) {
      ++agreed;
    } else {
      failures_.push_back({.span = span, .caller_served = keys->caller.has_value(), .reasons = pair.caller + " and " + pair.callee + ": " + keys->reasons()});
    }
  }

  TestNetwork& network_;
  std::vector<std::atomic<int>> agreed_;  // by pair
  std::mutex mutex_;
  std::vector<Failure> failures_;  // under mutex_
  std::set<std::string> had_;      // digests of working keys; under mutex_
  std::vector<std::jthread> threads_;  // the first to go
};

class FrontEndsTest : public testing::Test {
 protected:
  explicit FrontEndsTest(app::NetworkOptions options = {}) {
    network_ = std::make_unique<TestNetwork>(std::move(options), QANAT_PROGRAM, [this](const app::Network& network) { prepare(network); });
  }
  void SetUp() override {
    ASSERT_TRUE(network_->ok());
    start_second();
    for (const char* uid : {"A", "B", "C"}) network_->enrol(uid);
  }

  /// kms-a keeps its state on the server; everybody knows where its second front end is; and C goes there first.
  void prepare(const app::Network& network) {
    const std::vector<std::uint16_t> ports = *app::free_ports(2);
    second_port_ = ports[0];
    second_sae_port_ = ports[1];
    first_port_ = (*network.element("kms-a"))->port;
    const std::string both = "others = [\"127.0.0.1:" + std::to_string(second_port_) + "\"]";
    std::vector<std::string> names;
    for (const app::ElementPlan& element : network.elements()) names.push_back(element.name());
    for (const auto& terminal : network.terminals()) names.push_back(terminal.uid);
    for (const std::string& name : names) {
      const std::filesystem::path file = network.config_of(name);
      if (!std::filesystem::exists(file)) continue;
      write(file, with(text_of(file), "[peers.kms-a]", [&](const std::string& line) {
              if (!line.starts_with("port = ")) return line;
              if (name != "C") return line + "\n" + both;
              return "port = " + std::to_string(second_port_) + "\nothers = [\"127.0.0.1:" + std::to_string(first_port_) + "\"]";
            }));
    }
    const std::filesystem::path first = network.config_of("kms-a");
    const std::string store = "\n[store]\npostgresql = \"" + cluster_.conninfo(database_) + "\"\n";
    const std::string config = text_of(first);
    write(first, config + store);
    second_state_ = network.folder() / "kms-a-2";
    const std::string at_its_port =
        with(config, "[sae]", [&](const std::string& line) { return line.starts_with("port = ") ? "port = " + std::to_string(second_sae_port_) : line; });
    write(second_config(network), with(at_its_port, "[node]",
                                       [&](const std::string& line) {
                                         if (line.starts_with("state = ")) return "state = \"" + second_state_.string() + "\"";
                                         if (line.starts_with("port = ")) return "port = " + std::to_string(second_port_);
                                         if (line.starts_with("enrolment_secret = ")) return std::string();  // the first has enrolled for both
                                         return line;
                                       }) +
                                      store + "front_end = 2\n");
  }
  static std::filesystem::path second_config(const app::Network& network) { return network.folder() / "kms-a-2.toml"; }

  void start_second() {
    auto child = app::Child::start({.program = QANAT_PROGRAM,
                                    .arguments = {"kms", "--config", second_config(network_->network()).string()},
                                    .environment = {},
                                    .standard_error = network_->network().folder() / "logs" / "kms-a-2.err"});
    ASSERT_TRUE(child) << child.error().message;
    second_ = *std::move(child);
    const Deadline deadline = Deadline::after(ready_max);
    while (true) {
      const auto line = second_->read_line(deadline);
      ASSERT_TRUE(line && *line) << "the second front end did not start: " << second_->last_words();
      if ((*line)->starts_with("ready ")) return;
    }
  }

  /// What both front ends have on record as delivered: "<session> to <subscriber>", and how often.
  std::map<std::string, int> deliveries() {
    std::map<std::string, int> out;
    for (const std::filesystem::path& state : {network_->network().state_of("kms-a"), second_state_}) {
      std::istringstream lines(text_of(state / "audit.jsonl"));
      for (std::string line; std::getline(lines, line);) {
        const auto entry = wire::Json::parse(line);
        if (!entry || entry->text("action").value_or("") != "km-1.delivered") continue;
        ++out[entry->text("object").value_or("") + " to " + entry->text("subject").value_or("")];
      }
    }
    return out;
  }
  std::size_t deliveries_of(const std::filesystem::path& state) {
    const std::string text = text_of(state / "audit.jsonl");
    std::size_t out = 0;
    for (std::size_t at = text.find("km-1.delivered"); at != std::string::npos; at = text.find("km-1.delivered", at + 1)) ++out;
    return out;
  }
  std::vector<std::string> ask(const std::string& sql) { return cluster_.ask(sql, database_); }

  PostgresqlCluster& cluster_ = PostgresqlCluster::instance();
  const std::string database_ = cluster_.new_database();
  std::uint16_t first_port_ = 0;
  std::uint16_t second_port_ = 0;
  std::uint16_t second_sae_port_ = 0;  // if SAEs are served
  std::filesystem::path second_state_;
  std::unique_ptr<TestNetwork> network_;
  std::unique_ptr<app::Child> second_;  // the first to go
};

TEST_F(FrontEndsTest, KilledFrontEndAndLostConnectionsNeitherDeliverTwiceNorLoseAndCallsGoOn) {
  // Four callers at once, at the first front end (one domain) or at kms-b (two domains), each with a callee of its own at the second front end.
  const auto further = [&](const char* model, const char* uid, const char* number) { network_->enrol(network_->further_terminal(model, uid, number)); };
  further("A", "A2", "+8655110000011");
  further("C", "C2", "+8655110000012");
  further("C", "C3", "+8655110000013");
  further("C", "C4", "+8655110000014");
  further("B", "B2", "+8655120000012");
  ASSERT_FALSE(HasFatalFailure());
  Calls calls(*network_, {{"A", "C"}, {"A2", "C2"}, {"B", "C3"}, {"B2", "C4"}});
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

  std::size_t delivered = 0;
  for (const auto& [what, times] : deliveries()) {
    EXPECT_EQ(times, 1) << what;
    ++delivered;
    const std::string session = what.substr(0, what.find(' '));
    const std::string subscriber = what.substr(what.rfind(' ') + 1);
    const auto state = ask("SELECT state FROM kms.working_key WHERE encode(sid_wk, 'hex') = '" + session + "' AND uid = '" + subscriber + "'");
    ASSERT_EQ(state.size(), 1U) << what;
    EXPECT_TRUE(state.front() == "delivered" || state.front() == "confirmed" || state.front() == "destroyed") << what << " is lost: " << state.front();
  }
  EXPECT_GE(delivered, calls.agreed());
  EXPECT_EQ(ask("SELECT count(*) FROM kms.working_key WHERE (state = 'destroyed') <> (sealed_wk IS NULL)").front(), "0");
  for (const std::filesystem::path& state : {network_->network().state_of("kms-a"), second_state_}) {
    EXPECT_TRUE(audit::verify(state / "audit.jsonl")) << state;
  }
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
  write(config, with(text_of(second_config(network_->network())), "[node]", [&](const std::string& line) {
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
