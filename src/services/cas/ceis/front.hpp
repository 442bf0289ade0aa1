// The listener of the CEIS for software that others wrote: TLS with an ECDSA and an ML-DSA chain on one port, which CAS issues to itself, and the protocols of
// enrolment on it. What a protocol does runs on a few worker threads behind a bounded queue. Protocols whose messages are protected themselves are served over
// plain HTTP as well, by the listener of csp/status_front.hpp.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "crypto/random.hpp"
#include "net/foreign.hpp"
#include "net/workers.hpp"
#include "services/cas/ceis/desk.hpp"

namespace qanat::cas {

/// Table [cas.enrolment].
struct EnrolmentSettings {
  std::string url;  // "https://ra.example:8443": as clients name it, without '/' at its end; empty: nothing is served over TLS
  net::ForeignSettings listener{};
  std::vector<std::string> dns;                           // of its certificates
  std::vector<std::string> addresses;                     // the same
  std::chrono::seconds lifetime = std::chrono::days(30);  // the same; renewed when two thirds of it are over
  std::size_t workers = 4;
  std::size_t waiting_max = 128;  // requests; a further one is told to come again
};

/// One path of a protocol. `answer` runs on a worker thread and may block until the request's deadline; it must not throw.
struct EnrolmentRoute {
  std::string point;  // "EST simpleenroll", for the record
  std::string method;
  std::string pattern;  // as of net::ForeignRoute
  std::size_t body_max = 0;
  std::function<net::ForeignResponse(net::ForeignRequest&)> answer;
};
enum class Carrier : std::uint8_t {
  tls,  // passwords and keys go over it
  any,  // what it says is signed, MACed or enciphered by itself (CMP, SCEP): plain HTTP will do
};
struct EnrolmentService {
  std::string prefix;
  std::vector<EnrolmentRoute> routes;
  std::function<net::ForeignResponse(unsigned status, std::string_view why)> refuse;
  Carrier carrier = Carrier::tls;
};

/// The service as a listener takes it. `workers` must stop after the listener. A request that finds the queue full gets the service's refusal with 503 and
/// Retry-After; one whose deadline has passed before its turn is not begun.
net::ForeignService on_workers(const EnrolmentService& service, net::Workers& workers);

/// Issues a certificate to CAS itself (profile `server`), on record like every other. `key`: whose public half is certified.
using IssueOwn = std::function<Result<Given>(const crypto::PrivateKey& key, const crypto::AskedNames& names, std::chrono::seconds lifetime)>;

/// What is stapled to a certificate (DER) that `IssueOwn` gave.
using StapleOwn = std::function<Result<net::Staple>(ByteView certificate_der)>;

/// What the front needs of the rest of CAS.
struct FrontParts {
  IssueOwn issue;
  StapleOwn staple = {};  // empty: nothing is stapled
  std::function<std::vector<Bytes>()> client_roots;  // DER: issuing CAs and roots of the certificates that clients may show
  std::function<Result<void>(const audit::Event&)> record;
  std::function<Result<void>(UnixMs)> housekeeping = {};  // every few seconds, on the front's own thread
  crypto::Rng& rng;
  const Clock& clock;
};

class EnrolmentFront {
 public:
  EnrolmentFront(EnrolmentSettings settings, FrontParts parts);
  ~EnrolmentFront() { stop(); }
  EnrolmentFront(const EnrolmentFront&) = delete;
  EnrolmentFront& operator=(const EnrolmentFront&) = delete;

  /// Those of the services that plain HTTP may carry. Their listener must stop before this front.
  [[nodiscard]] std::vector<net::ForeignService> plain(const std::vector<EnrolmentService>& services);
  /// Makes keys, has them certified, listens (where a URL is configured), and begins to keep house.
  Result<void> start(const std::vector<EnrolmentService>& services);
  /// The listener, then the workers; those who wait in the queue get no answer.
  void stop();

  /// New keys and certificates if two thirds of the life of those in use are over; the listener goes on.
  Result<void> renew(UnixMs now);
  [[nodiscard]] std::uint16_t port() const noexcept { return listener_ ? listener_->port() : std::uint16_t{0}; }
  [[nodiscard]] const EnrolmentSettings& settings() const noexcept { return settings_; }

 private:
  Result<net::ForeignTls> make_tls();
  [[nodiscard]] UnixMs next_renewal() const;
  void refused(const net::Refusal& refusal);
  void write(const net::Refusal& refusal);
  Result<void> listen(const std::vector<EnrolmentService>& services);
  void run();
  Result<void> look();

  const EnrolmentSettings settings_;
  const FrontParts parts_;
  net::Workers workers_;

  std::mutex refusals_mutex_;  // strangers can be wrong as often as they like; the record is for the first of each second, and for how many more there were
  std::int64_t refusals_second_ = 0;
  std::size_t refusals_seen_ = 0;

  std::mutex renewal_mutex_;
  UnixMs renew_at_ = 0;  // under renewal_mutex_; two thirds of a life after the last success, or a minute after a failure

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
  std::unique_ptr<net::ForeignListener> listener_;  // last: the first to go
};

}  // namespace qanat::cas
