// Brings what CAS issues, revokes and publishes to the directory, in the order of the outbox of cas.db: an errand is done when the directory has said so, and
// stays otherwise, over outages of the directory and of this process. Each looks up how things stand, so that once more does no harm.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/clock.hpp"
#include "services/cas/csp/status_records.hpp"
#include "services/cas/ldap/directory.hpp"
#include "wire/json.hpp"

namespace qanat::cas {

class DirectoryPublisher {
 public:
  DirectoryPublisher(StatusRecords& records, const Authorities& authorities, DirectorySettings settings, const Clock& clock)
      : records_(records), authorities_(authorities), settings_(std::move(settings)), clock_(clock) {}
  ~DirectoryPublisher() { stop(); }
  DirectoryPublisher(const DirectoryPublisher&) = delete;
  DirectoryPublisher& operator=(const DirectoryPublisher&) = delete;

  void start();
  void stop();
  void wake();
  /// {"waiting": 3, "published": 120, "error": "…"}
  [[nodiscard]] wire::Json describe();

 private:
  void run();
  /// One errand; false if there is none.
  Result<bool> work();
  Result<void> publish(const Errand& errand);
  Result<void> publish_authority(Branch branch);
  Result<void> publish_list(Branch branch, const std::string& scope);
  Result<void> publish_certificate(const Bytes& serial);
  Result<void> publish_element(const std::string& uri, const Identity& identity);
  /// All live certificates of the identity, or no entry where it has none.
  Result<void> publish_holder(const std::string& identity, const std::string& name, const std::string& above);
  Result<void> publish_terminal(const IssuedCertificate& certificate);
  Result<void> make_folder(const std::string& unit, const std::string& above);
  [[nodiscard]] std::string authority_dn(Branch branch) const;

  StatusRecords& records_;
  const Authorities& authorities_;
  const DirectorySettings settings_;
  const Clock& clock_;
  std::unique_ptr<Directory> directory_;  // on the publisher's thread alone

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::uint64_t published_ = 0;
  std::string error_;
  std::thread thread_;
};

}  // namespace qanat::cas
