// CMP as CAS serves it (RFC 9811): its paths, who signs its answers, and the thread that looks after what is not confirmed.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "services/cas/ceis/front.hpp"
#include "services/cas/cmp/server.hpp"
#include "services/cas/cmp/signers.hpp"

namespace qanat::cas {

/// POST of application/pkixcmp to /.well-known/cmp, and to /.well-known/cmp/p/<profile>. Over plain HTTP too: messages are protected themselves.
/// The server must outlive it.
EnrolmentService cmp_paths(CmpServer& server);

class CmpService {
 public:
  using FindList = std::function<std::shared_ptr<const PublishedList>(Branch, std::string_view scope)>;  // shared with who keeps the lists

  CmpService(node::Node& node, Desk& desk, Records& records, const Authorities& authorities, FindList list, CmpSettings settings);
  ~CmpService() { stop(); }
  CmpService(const CmpService&) = delete;
  CmpService& operator=(const CmpService&) = delete;

  /// Listeners that have it must stop before it goes.
  [[nodiscard]] EnrolmentService service() { return cmp_paths(server_); }
  /// Appoints signers, and begins to look after what is not confirmed. Idempotent.
  Result<void> start();
  void stop();

 private:
  /// True if there is more to do at once.
  Result<bool> keep_up();
  void run();

  const Clock& clock_;
  CmpRecords records_;
  CmpSigners signers_;
  CmpServer server_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace qanat::cas
