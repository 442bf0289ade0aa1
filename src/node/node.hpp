// What every process does: settings, identity, device, audit, clients to its peers, server, health, orderly stop. An element opens a Node,
// builds its own service on it, and serves.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "audit/checkpoints.hpp"
#include "crypto/device.hpp"
#include "crypto/random.hpp"
#include "net/client.hpp"
#include "net/server.hpp"
#include "node/behaviour.hpp"
#include "node/credentials.hpp"
#include "node/settings.hpp"
#include "node/status.hpp"
#include "points/points.hpp"
#include "wire/json.hpp"

namespace qanat::node {

class BehaviourReporter;
class SharedCredentials;
class Stapler;
class Renewal;
class WitnessClient;

/// Status checking when the process is CAS itself: it looks into its own records.
using LocalStatus = net::StatusCheck;

class Node {
 public:
  /// Runs the power-on self-tests, opens device, audit log and trust. No network yet.
  static Result<std::unique_ptr<Node>> open(Settings settings);
  ~Node();

  /// Loads this element's credentials, or enrols at CAS with the one-time secret: also where they have expired and there is a new secret.
  Result<void> enrol(Deadline deadline);
  /// For a terminal, which enrols through its KMS and never calls enrol(): its credentials from now on, with status checks at CAS.
  Result<void> install_credentials(Credentials credentials);
  /// CAS issues its own: credentials come from its own hands, status from its own records.
  void use_credentials(Credentials credentials, LocalStatus status);
  /// How CAS renews its own: gives back what then is in force. Before serve().
  void renew_by(std::function<Result<Credentials>(Deadline)> renew) { renew_own_ = std::move(renew); }
  /// Renews now, at CAS by the certificate in force unless renew_by() said otherwise. New connections show the new certificate, and what is signed from now on
  /// is signed with the new keys; connections and requests that are under way end with theirs.
  Result<void> renew(Deadline deadline);
  /// Puts in force what another process of this element has stored; nothing if it is in force already.
  Result<void> adopt_stored();

  /// This element's tables of that name: a file in its state folder, or a schema of the database that its processes share. `on_other_history`: PostgresqlPlace's.
  Result<std::unique_ptr<store::Store>> open_store(const std::string& name, std::span<const store::Migration> migrations,
                                                   std::function<Result<void>(store::Transaction&)> on_other_history = {}) const;
  [[nodiscard]] std::unique_ptr<store::Watch> watch_credentials();

  // Chained connections (net/chain.hpp). The server's side of a request that asks for one: the next connection of this peer is under `extra`, 32 octets that
  // the peer has too, and this connection's exporter. invalid_argument over a connection that is chained itself.
  Result<void> expect_chained(const net::Request& request, ByteView identity, const Secret& extra);
  /// The client's side.
  [[nodiscard]] net::ChainedKey chained_key(const net::ChainLink& link, Bytes identity, const Secret& extra) const;
  /// Connections to this peer are chained from now on, and none serves longer than `age_max`; that one could not be chained is logged, and on record. CHECKs
  /// that there is such a peer.
  void chain(std::string_view peer, net::ChainNext next, net::ChainNeed need, std::chrono::milliseconds age_max);
  /// Requests of these points are answered over chained connections alone; before serve().
  void require_chained(std::set<points::Endpoint> endpoints) { chained_alone_ = std::move(endpoints); }

  /// Starts the server with these handlers and a health answer, and prints the readiness line on standard output:
  /// `ready <uri> <port> <certificate's key algorithm> <its SHA-256, first 16 digits> <notAfter, Unix ms>`.
  Result<void> serve(std::vector<points::Handler> handlers);
  /// Blocks until SIGINT or SIGTERM, then stops the server in order.
  void run_until_stopped();
  void stop();
  [[nodiscard]] bool stopping() const noexcept { return stopping_; }

  /// Calls `endpoint` of the named peer. A 2xx answer is the value; anything else the Error that the peer sent.
  Result<net::Response> call(points::Endpoint endpoint, std::string_view peer, ByteView body, Deadline deadline, std::string_view request_id,
                             std::string_view query = "");
  /// The same with the answer as it is, whatever its status.
  Result<net::Response> exchange(points::Endpoint endpoint, std::string_view peer, ByteView body, Deadline deadline, std::string_view request_id,
                                 std::string_view query = "");
  /// JSON in, JSON out (an empty answer is an empty object).
  Result<wire::Json> call_json(points::Endpoint endpoint, std::string_view peer, const wire::Json& body, Deadline deadline, std::string_view request_id);
  /// Name of the only peer of this kind (and domain, if given); not_found otherwise.
  Result<std::string> peer_of(Kind kind, std::string_view domain = "") const;

  /// Certificate status, as for connections; also step 5.
  Result<void> check_status(const crypto::Certificate& cert, Deadline deadline);
  /// Symmetric mode: a certificate whose status cannot be had just now, and that `accepts` takes, passes (its chain and validity still count). How many did.
  void accept_unknown_status(std::function<bool(const crypto::Certificate&)> accepts) { accepts_unknown_ = std::move(accepts); }
  [[nodiscard]] std::uint64_t unknown_accepted() const noexcept { return unknown_accepted_; }
  /// Chain, validity, use and status.
  Result<void> check_certificate(const crypto::Certificate& cert, Deadline deadline, crypto::LeafUse use = crypto::LeafUse::signing);
  /// These certificates (by SHA-256) are revoked: what is known of their status is forgotten, and connections that show them are closed.
  void drop_revoked(const std::set<Bytes>& fingerprints);
  /// Notices of revocations may have been missed: no status that is known counts any more, also for connections that are open.
  void forget_statuses() {
    if (status_) status_->forget_all();
  }
  /// What else an element does about a notice of revocations, before it is answered: if it fails, CAS sends the notice again. Before serve().
  void on_revoked(std::function<Result<void>(const std::set<Bytes>& fingerprints)> work) { on_revoked_ = std::move(work); }

  /// Durable before it returns; the caller refuses its action if this fails. What the table of behaviour.hpp has of it is reported to IAM.
  Result<void> record(const audit::Event& event) { return record(std::span(&event, 1)); }
  Result<void> record(std::span<const audit::Event> events);
  /// A behaviour record for IAM, sent in the background (behaviour_reporter.hpp); nothing where IAM is not among the peers.
  void report(Behaviour behaviour, Telling telling = Telling::each);
  /// From here on what is reported is sent. serve() does it; a terminal does it itself.
  void start_reporting();
  [[nodiscard]] const audit::Log& audit_log() const noexcept { return *audit_; }
  [[nodiscard]] audit::Checkpoints& checkpoints() noexcept { return *checkpoints_; }

  [[nodiscard]] const Settings& settings() const noexcept { return settings_; }
  [[nodiscard]] const Identity& identity() const noexcept { return settings_.identity; }
  [[nodiscard]] const crypto::Suite& suite() const noexcept { return *settings_.suite; }
  [[nodiscard]] const Clock& clock() const noexcept { return clock_; }
  [[nodiscard]] crypto::Rng& rng() noexcept { return *rng_; }
  [[nodiscard]] crypto::CryptoDevice& device() noexcept { return *device_; }
  [[nodiscard]] const crypto::TrustStore& trust() const noexcept { return *trust_; }
  /// Those in force now: what is built on one of them keeps its own pointer to it.
  [[nodiscard]] Credentials credentials() const;
  /// The signer in force; CHECKs that this kind of element has one.
  [[nodiscard]] std::shared_ptr<const MessageSigner> signer() const;
  [[nodiscard]] std::uint16_t port() const noexcept;
  /// Counters and facts for the health answer: the element's own, asked each time.
  void describe_health(std::function<void(wire::Json&)> describe) { describe_health_ = std::move(describe); }
  std::string new_request_id() { return to_hex(rng_->bytes(8)); }

 private:
  explicit Node(Settings settings);
  Result<void> open_audit();
  /// Writes the statement that binds the checkpoints' keys to this element's certificate, unless it stands there. The serial of the certificate that they were
  /// bound to before, if it was another.
  Result<std::optional<Bytes>> bind_audit_keys();
  void open_reporter();
  Result<void> make_clients();
  /// What certificates are stored: shared, if the element's processes share a database; then it stays open. Audit keys are each process's own.
  Result<CredentialStore*> open_credentials();
  Result<std::unique_ptr<CredentialStore>> open_own_credentials();
  void close_credentials();
  Result<void> show_everywhere(const net::TlsIdentity& tls);
  Result<void> enrol_locked(CredentialStore& store, Deadline deadline);
  Result<Credentials> enrol_at_cas(CredentialStore& store, Deadline deadline);
  Result<void> record_enrolment(const std::string& serial, const Result<void>& enrolled);
  Result<Credentials> renew_at_cas(Deadline deadline);
  void put_in_force(Credentials credentials);
  Result<net::Response> health(const net::Request& request);
  ///
  Result<net::Response> revoked(const net::Request& request);
  Result<void> judge_unknown(const crypto::Certificate& cert, Result<void> status);
  void record_refusal(const net::Refusal& refusal);

  Settings settings_;
  SystemClock clock_;
  std::unique_ptr<crypto::Rng> rng_;
  std::unique_ptr<crypto::CryptoDevice> device_;
  std::unique_ptr<audit::Log> audit_;
  std::shared_ptr<const crypto::TrustStore> trust_;  // shared with the server and every client
  mutable std::mutex credentials_mutex_;
  std::optional<Credentials> credentials_;  // under credentials_mutex_
  std::mutex store_mutex_;  // one use of what certificates are stored at a time
  std::unique_ptr<CredentialStore> credential_store_;  // under store_mutex_; open all the time where it is shared, while it is in use where it is a file
  std::function<Result<Credentials>(Deadline)> renew_own_;
  std::unique_ptr<net::Client> cas_;  // without a status check of its own: CAS's status answers are signed
  std::unique_ptr<StatusChecker> status_;
  LocalStatus local_status_;
  std::function<bool(const crypto::Certificate&)> accepts_unknown_;
  std::atomic<std::uint64_t> unknown_accepted_ = 0;
  std::map<std::string, std::unique_ptr<net::Client>, std::less<>> clients_;
  net::ChainedKeys chained_keys_{clock_};
  std::set<points::Endpoint> chained_alone_;
  std::unique_ptr<net::Server> server_;
  std::atomic<net::Server*> serving_ = nullptr;  // server_, for handlers: they may run before it is assigned
  std::function<void(wire::Json&)> describe_health_;
  std::function<Result<void>(const std::set<Bytes>&)> on_revoked_;
  std::atomic<bool> stopping_ = false;
  UnixMs started_ms_ = 0;
  // The first to go: they work in the background, on what is above.
  std::unique_ptr<BehaviourReporter> reporter_;  // absent where there is nobody to report to
  std::unique_ptr<audit::Checkpoints> checkpoints_;
  std::unique_ptr<WitnessClient> witness_;
  std::unique_ptr<Stapler> stapler_;
  std::unique_ptr<SharedCredentials> shared_credentials_;  // absent where there is one process alone
  std::unique_ptr<Renewal> renewal_;
};

/// The trust folder's roots and issuing CAs, read again when it changes (trust_folder.hpp).
Result<std::shared_ptr<const crypto::TrustStore>> read_trust(const std::filesystem::path& folder);

/// Renders a JSON answer.
net::Response json_response(const wire::Json& body);

}  // namespace qanat::node
