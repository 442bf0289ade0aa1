// The witness of other elements' audit records (X-9, in the shape of C2SP tlog-witness): remembers the last checkpoint of each log that it cosigned, on the
// disk before it answers, and cosigns only what continues it. An element whose log lost or changed lines is refused, and that is recorded here.
#pragma once

#include <mutex>
#include <vector>

#include "audit/proof.hpp"
#include "audit/statement.hpp"
#include "node/node.hpp"

namespace qanat::node {

class AuditWitness {
 public:
  /// The node must outlive it.
  explicit AuditWitness(Node& node) : node_(node) {}
  std::vector<points::Handler> handlers();

 private:
  /// The keys of the caller's log, with its signed statement; a log's keys may be replaced only by a statement of its certified key.
  Result<net::Response> take_keys(const net::Request& request);
  Result<net::Response> cosign(const net::Request& request);
  /// `not_found` if the caller has not stated its keys.
  Result<audit::KeyStatement> keys_of(const std::string& origin) const;
  Result<audit::TreeHead> remembered(const std::string& origin) const;
  /// A refusal that speaks against the log, recorded before it is answered.
  Result<net::Response> accuse(const net::Request& request, const audit::Checkpoint& checkpoint, net::Response answer, const std::string& reason);

  Node& node_;
  std::mutex mutex_;  // what is remembered is compared and replaced in one step
};

}  // namespace qanat::node
