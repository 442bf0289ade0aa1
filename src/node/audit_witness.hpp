// The witness of other elements' audit records (X-9, in the shape of C2SP tlog-witness): remembers the last checkpoint of each log that it cosigned, on the
// disk before it answers, and cosigns only what continues it. An element whose log lost or changed lines is refused, and that is recorded here.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <mutex>
#include <semaphore>
#include <vector>

#include "audit/proof.hpp"
#include "audit/statement.hpp"
#include "node/node.hpp"

namespace qanat::node {

class AuditWitness {
 public:
  static constexpr std::ptrdiff_t at_once_max = 2;
  /// The node must outlive it. It waits for the disk with each answer: only `at_once` logs are served at a time, so that the element's own work has
  /// the other workers. Who asks beyond that is told `unavailable`, and asks again soon.
  explicit AuditWitness(Node& node, std::ptrdiff_t at_once = at_once_max) : node_(node), places_(at_once) {}
  std::vector<points::Handler> handlers();

 private:
  /// The keys of the caller's log, with its signed statement; a log's keys may be replaced only by a statement of its certified key.
  Result<net::Response> take_keys(const net::Request& request);
  Result<net::Response> cosign(const net::Request& request);
  Result<net::Response> cosign_one(const net::Request& request);
  /// `not_found` if the caller has not stated its keys.
  Result<audit::KeyStatement> keys_of(const std::string& origin) const;
  Result<audit::TreeHead> remembered(const std::string& origin) const;
  /// A refusal that speaks against the log, recorded before it is answered.
  Result<net::Response> accuse(const net::Request& request, const audit::Checkpoint& checkpoint, net::Response answer, const std::string& reason);

  [[nodiscard]] std::mutex& lock_of(const std::string& origin) noexcept { return locks_.at(std::hash<std::string>{}(origin) % locks_.size()); }

  Node& node_;
  std::counting_semaphore<at_once_max> places_;
  std::array<std::mutex, 16> locks_;  // by log: what is remembered of it is compared and replaced in one step
};

}  // namespace qanat::node
