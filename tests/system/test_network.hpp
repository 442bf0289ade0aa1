// A real two-domain network for tests: the real processes on free loopback ports in a temporary folder, and the means to speak to any of
// them as anybody.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crypto/random.hpp"
#include "launch.hpp"
#include "net/client.hpp"
#include "network.hpp"
#include "node/credentials.hpp"
#include "operator.hpp"
#include "points/points.hpp"
#include "store/store.hpp"
#include "temporary_directory.hpp"
#include "test_terminal.hpp"

namespace qanat::test {

std::string text_of(const std::filesystem::path& file);
/// The file's only content.
void write(const std::filesystem::path& file, const std::string& text);
/// A QKM's configuration with these marks, keys per link and direction; what is no QKM's stays as it is.
std::string with_water_marks(const std::string& config, std::int64_t low, std::int64_t high);

/// Where the KMSs of every network keep their state: "postgresql", a database for each on one server; in files otherwise. scripts/point_evidence.py says
/// which tests ctest runs in both ways.
inline constexpr const char* kms_store_variable = "QANAT_TEST_KMS_STORE";

class TestNetwork {
 public:
  /// Starts every element; throws nothing, records a gtest failure and leaves `ok()` false if it does not start.
  /// `prepare` may change the files of the network (configurations) before any element starts.
  explicit TestNetwork(app::NetworkOptions options = {}, const std::string& program = QANAT_PROGRAM, const std::function<void(const app::Network&)>& prepare = {});
  ~TestNetwork();

  [[nodiscard]] bool ok() const { return running_ != nullptr; }
  [[nodiscard]] const app::Network& network() const { return *network_; }
  [[nodiscard]] app::RunningNetwork& running() { return *running_; }
  [[nodiscard]] app::Operator& op();
  /// Lets go of the operator's identity, so that a command can take it; op() opens it again.
  void close_op() { operator_.reset(); }

  /// Provisions and enrols through the real terminal process.
  void enrol(const std::string& uid);
  void enrol(const app::TerminalPlan& terminal);
  /// The files of a further terminal, configured like `model` but for its name and number; it has not enrolled.
  app::TerminalPlan further_terminal(const std::string& model, const std::string& uid, const std::string& number);
  /// The enrolled terminal, to be driven in this process. Its process must not run meanwhile. Several threads may ask for terminals that were asked for before.
  TestTerminal& terminal(const std::string& uid);
  /// Both terminals apply at the same time for a fresh session: what each got.
  struct Pair {
    Result<terminal::WorkingKey> caller;
    Result<terminal::WorkingKey> callee;
    [[nodiscard]] bool agree() const { return caller && callee && equal_secret(caller->wk, callee->wk); }
    [[nodiscard]] std::string reasons() const;
  };
  Pair apply(const std::string& from, const std::string& to, std::chrono::milliseconds max = std::chrono::seconds(10));
  /// A whole call with voice between the processes of two enrolled terminals, `pace` times as fast as people talk: its summary. Sound, capture and summary are
  /// in `out`.
  Result<wire::Json> hold_call(const std::string& from, const std::string& to, const std::filesystem::path& out, double pace);

  /// The TLS credentials of an element, terminal or spare, read from its own store (which it has open only while it enrols).
  std::shared_ptr<const net::TlsIdentity> identity_of(const std::string& name);
  /// A client of `callee` that shows `identity` (nullptr: none).
  std::unique_ptr<net::Client> client(const std::string& callee, std::shared_ptr<const net::TlsIdentity> identity);
  /// One request to `endpoint` at `callee` from `caller` ("" : without a certificate).
  Result<net::Response> call(const std::string& caller, points::Endpoint endpoint, const std::string& callee, ByteView body, const std::string& query = "");
  Result<net::Response> call_json(const std::string& caller, points::Endpoint endpoint, const std::string& callee, const wire::Json& body);

  /// Where a KMS keeps `schema` on the server; nothing if it keeps it in files.
  [[nodiscard]] std::optional<store::PostgresqlPlace> place_of(const std::string& kms, const std::string& schema) const;

  /// Enrols the spare identity (an element that is expected but never started) and returns its credentials.
  std::shared_ptr<const net::TlsIdentity> enrol_spare(const std::string& name);

  /// The records of an element's audit file whose action and reason contain these texts.
  std::vector<wire::Json> audit(const std::string& element, const std::string& action, const std::string& reason = "");
  /// Waits until such a record is there; a gtest failure if it does not come.
  void expect_audit(const std::string& element, const std::string& action, const std::string& reason);
  /// Waits until `holds`; a gtest failure that names `what` after the deadline.
  static void await(const std::string& what, const std::function<bool()>& holds, std::chrono::milliseconds max = std::chrono::seconds(15));
  /// Waits until both quantum links have keys in stock.
  void await_quantum_keys();

  [[nodiscard]] const crypto::TrustStore& trust() const { return *trust_; }
  [[nodiscard]] std::shared_ptr<const crypto::TrustStore> shared_trust() const { return trust_; }
  crypto::Rng& rng() { return *rng_; }
  [[nodiscard]] const crypto::Suite& suite() const;

 private:
  void put_kmss_on_postgresql();

  TemporaryDirectory folder_;
  std::unique_ptr<crypto::Rng> rng_;
  std::optional<app::Network> network_;
  std::unique_ptr<app::RunningNetwork> running_;
  std::unique_ptr<app::Operator> operator_;
  std::shared_ptr<const crypto::TrustStore> trust_;
  std::map<std::string, std::unique_ptr<TestTerminal>> terminals_;
  std::map<std::string, std::string> databases_;  // of KMSs that have their state in one: libpq's words
};

/// One network for all tests of a suite.
class SharedNetwork : public testing::Test {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
  void SetUp() override { ASSERT_TRUE(network_ && network_->ok()); }
  static TestNetwork& net() { return *network_; }
  /// What the suite's network is like; a suite may set it before its first test.
  static app::NetworkOptions options_;

 private:
  static std::unique_ptr<TestNetwork> network_;
};

}  // namespace qanat::test
