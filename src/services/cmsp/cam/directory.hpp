// CMSP's directory (Ma-2): whom it would let call and be called, signed for a day, for the KMSs to go by while CMSP does not answer (docs/protocol/qfc2.md).
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "node/node.hpp"
#include "services/cmsp/cam/accounts.hpp"

namespace qanat::cmsp {

class Directory {
 public:
  Directory(node::Node& node, Accounts& accounts) : node_(node), accounts_(accounts) {}

  /// ma2_directory. Without a query: 204, a KMS asks whether CMSP is there. With "after=" and the epoch that the KMS has: 200 with the signed directory in its
  /// envelope, 204 if that is the one. It is made anew when it is asked for, at once where there is none, otherwise every hour, or after a change, but not
  /// sooner than a second for each of its pages.
  Result<net::Response> give(const net::Request& request);
  /// ma2_directory_page: "hash=" and the page's message hash; not_found if it is in no directory that is given now.
  Result<net::Response> page(const net::Request& request);
  /// "directory", once there is one.
  void describe(wire::Json& health);

 private:
  struct Made {
    std::int64_t epoch = 0;
    UnixMs not_after_ms = 0;
    std::size_t numbers = 0;
    Bytes envelope;
    std::map<Bytes, Bytes> pages;                         // by message hash
    std::shared_ptr<const node::MessageSigner> signer;    // that of the envelope; shared with the node
    std::uint64_t changes = 0;                            // of the accounts, when it was begun
    std::chrono::steady_clock::time_point at;
  };
  [[nodiscard]] bool due(const Made& made) const;
  Result<std::shared_ptr<const Made>> in_force(const net::Request& request);
  Result<std::shared_ptr<const Made>> make(std::int64_t former_epoch, const std::string& request_id);

  node::Node& node_;
  Accounts& accounts_;
  std::mutex mutex_;
  std::shared_ptr<const Made> made_;  // under mutex_; shared with the requests that are answered from it
  bool making_ = false;               // under mutex_
};

}  // namespace qanat::cmsp
