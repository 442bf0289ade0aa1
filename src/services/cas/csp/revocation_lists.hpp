// The revocation lists of the issuing CAs, and of the device CA those of every generation: a complete one, its delta, and one for each shard of the serials. A
// list is durable, with a number higher than any before, before anybody can fetch it.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>

#include "services/cas/csp/status_records.hpp"

namespace qanat::cas {

class RevocationLists {
 public:
  RevocationLists(StatusRecords& records, const Authorities& authorities, std::string url, std::chrono::seconds lifetime)
      : records_(records), authorities_(authorities), url_(std::move(url)), lifetime_(lifetime) {}

  /// Makes every list anew: at the start, since what was revoked last may be in none yet.
  Result<void> start(UnixMs now);
  /// Makes anew what has used up half of its time.
  Result<void> renew(UnixMs now);
  /// After a revocation: the complete list, its delta, and the shards of these serials.
  Result<void> revoked(Branch branch, std::span<const Bytes> serials, UnixMs now);
  /// The list as it stands; nullptr if there is none of this scope.
  [[nodiscard]] std::shared_ptr<const PublishedList> find(Branch branch, std::string_view scope) const;
  /// The same of the CA that issues: "full", "delta" or a shard, in whichever generation.
  [[nodiscard]] std::shared_ptr<const PublishedList> in_force(Branch branch, std::string_view scope) const;

 private:
  enum class Base : std::uint8_t { kept, advanced };
  using Entries = std::vector<crypto::RevokedSerial>;
  Result<void> make(Branch branch, std::span<const std::string> shards, Base base, UnixMs now);
  Result<void> make_by(const Authority& authority, Branch branch, std::span<const std::string> shards, Base base, UnixMs now);
  /// The list of this scope; `revoked`: all that its CA has revoked.
  [[nodiscard]] Result<PublishedList> make_one(const Authority& authority, Branch branch, const std::string& scope, const PublishedList& numbers,
                                               const Entries& revoked) const;

  StatusRecords& records_;
  const Authorities& authorities_;
  const std::string url_;
  const std::chrono::seconds lifetime_;
  std::mutex making_;  // one at a time, so that numbers are given in order
  mutable std::mutex mutex_;
  std::map<std::pair<Branch, std::string>, std::shared_ptr<const PublishedList>, std::less<>> lists_;  // under mutex_; shared with those who send one
};

}  // namespace qanat::cas
