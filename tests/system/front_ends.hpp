// One KMS with two front ends on one PostgreSQL database, and pairs of terminals that call one another through both.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "configuration_table.hpp"
#include "test_network.hpp"

namespace qanat::test {

using Moment = std::chrono::steady_clock::time_point;
struct Span {
  Moment from;
  Moment until;
};
Span span_of(const std::function<void()>& what);
bool meet(const Span& one, const Span& other);

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

  Calls(TestNetwork& network, const std::vector<Pair>& pairs);
  /// Waits until every pair has had so many more calls.
  void reach(const std::string& what, int more);
  /// Ends them. Those that failed.
  std::vector<Failure> end();
  [[nodiscard]] std::size_t agreed() const;

 private:
  void call(const Pair& pair, std::atomic<int>& agreed);

  TestNetwork& network_;
  std::vector<std::atomic<int>> agreed_;  // by pair
  std::mutex mutex_;
  std::vector<Failure> failures_;      // under mutex_
  std::set<std::string> had_;          // digests of working keys; under mutex_
  std::vector<std::jthread> threads_;  // the first to go
};

/// kms-a keeps its state on a server; everybody knows where its second front end is; and C goes there first.
class FrontEnds : public testing::Test {
 protected:
  /// `conninfo`: of an empty database.
  FrontEnds(app::NetworkOptions options, std::string conninfo);
  void SetUp() override;
  /// As the superuser, in kms-a's database: every value of the answer's first column.
  virtual std::vector<std::string> ask(const std::string& sql) = 0;

  static std::filesystem::path second_config(const app::Network& network) { return network.folder() / "kms-a-2.toml"; }
  void start_second();
  /// Four callers at once, at the first front end (one domain) or at kms-b (two domains), each with a callee of its own at the second front end.
  std::vector<Calls::Pair> four_pairs();
  /// The state folders of both.
  [[nodiscard]] std::vector<std::filesystem::path> states() const { return {network_->network().state_of("kms-a"), second_state_}; }
  static std::size_t deliveries_of(const std::filesystem::path& state);
  /// What both front ends have on record as delivered was delivered once, and the database knows of it; no destroyed key has octets, no other one has none;
  /// both records are whole. How many there were.
  std::size_t expect_each_delivered_once_and_none_lost();

  std::uint16_t first_port_ = 0;
  std::uint16_t second_port_ = 0;
  std::uint16_t second_sae_port_ = 0;  // if SAEs are served
  std::filesystem::path second_state_;
  std::unique_ptr<TestNetwork> network_;
  std::unique_ptr<app::Child> second_;  // the first to go

 private:
  void prepare(const app::Network& network);
  const std::string conninfo_;
};

}  // namespace qanat::test
