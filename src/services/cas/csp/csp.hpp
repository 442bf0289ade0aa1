// CSP with its publication: status answers and revocation lists kept ready, served to everybody over plain HTTP, brought to the directory, and the notice of
// a revocation sent to every element. What runs in the background is one thread here, one of the directory's, and those of the listener and the notices.
#pragma once

#include <condition_variable>
#include <map>
#include <thread>

#include "services/cas/csp/notices.hpp"
#include "services/cas/csp/places.hpp"
#include "services/cas/csp/status_front.hpp"
#include "services/cas/ldap/publisher.hpp"
#include "services/cas/settings.hpp"

namespace qanat::cas {

class Csp {
 public:
  Csp(node::Node& node, const CasSettings& settings, Records& records, const Authorities& authorities);
  ~Csp() { stop(); }
  Csp(const Csp&) = delete;
  Csp& operator=(const Csp&) = delete;

  /// Before start(): what else the listener for everybody serves. Stops with this object.
  void serve_also(std::vector<net::ForeignService> services) { front_.serve_also(std::move(services)); }
  /// Appoints responders, makes the lists, listens, and begins to publish. Idempotent.
  Result<void> start();
  void stop();

  /// To be called when certificates have been issued: their answers are made ahead, and they are published.
  void issued();
  /// To be called when the revocation of these certificates is durable. When it returns no answer calls them good any more; lists, directory and notices
  /// follow in the background.
  Result<void> revoked(std::span<const Bytes> serials);

  /// What a server of this process staples to a certificate that was issued here (status_desk.hpp); `not_found` for another. This object must outlive it.
  Result<net::Staple> staple(ByteView certificate_der);

  [[nodiscard]] std::shared_ptr<const PublishedList> list(Branch branch, std::string_view scope) const { return lists_.find(branch, scope); }
  /// "full" is that of the CA that issues; other scopes are those of list().
  [[nodiscard]] std::shared_ptr<const PublishedList> list_in_force(Branch branch, std::string_view scope) const {
    return scope == full_scope ? lists_.in_force(branch, scope) : lists_.find(branch, scope);
  }
  void describe(wire::Json& body);
  [[nodiscard]] std::uint16_t port() const noexcept { return front_.port(); }

 private:
  void run();
  /// True if there is more to do at once.
  Result<bool> work();
  Result<void> work_on_lists();
  Result<void> work_on_staples();
  Result<bool> work_on_answers();
  Result<void> make_due_lists();
  Result<void> recall_revocations();
  void notify(std::span<const IssuedCertificate> certificates);
  /// For those who ask, or for a listener that staples.
  [[nodiscard]] bool signs_answers() const noexcept { return !settings_.front.url.empty() || !settings_.enrolment.url.empty(); }

  node::Node& node_;
  const CasSettings settings_;
  const Authorities& authorities_;
  StatusRecords records_;
  Delegates delegates_;
  RevocationLists lists_;
  StatusDesk desk_;
  StatusFront front_;
  RevocationNotices notices_;
  std::unique_ptr<DirectoryPublisher> directory_;  // where one is configured

  std::mutex mutex_;
  std::condition_variable changed_;
  bool started_ = false;
  bool stopping_ = false;
  bool look_ = true;                                // for certificates whose answers are not made yet
  std::map<Branch, std::vector<Bytes>> to_list_;    // revoked, and not in the lists yet
  std::thread thread_;
};

}  // namespace qanat::cas
