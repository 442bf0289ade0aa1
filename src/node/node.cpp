#include "node/node.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "audit/auditor.hpp"
#include "audit/files.hpp"
#include "crypto/self_test.hpp"
#include "node/behaviour_reporter.hpp"
#include "node/device_record.hpp"
#include "node/enrolment.hpp"
#include "node/log.hpp"
#include "node/process_memory.hpp"
#include "node/recorded.hpp"
#include "node/renewal.hpp"
#include "node/revocations.hpp"
#include "node/shared_credentials.hpp"
#include "node/stapler.hpp"
#include "node/trust_folder.hpp"
#include "node/witness_client.hpp"

namespace qanat::node {
namespace {

constexpr std::chrono::milliseconds stop_grace{2000};
constexpr std::chrono::milliseconds own_status_max{2000};  // for the answer to be stapled
constexpr std::string_view credentials_channel = "credentials";

}  // namespace

Result<std::shared_ptr<const crypto::TrustStore>> read_trust(const std::filesystem::path& folder) {
  const auto source = std::make_shared<TrustFolder>(folder);
  ASSIGN_OR_RETURN(crypto::TrustSet first, source->read());
  return std::make_shared<const crypto::TrustStore>(crypto::TrustStore::renewing(std::move(first), [source] { return source->renewed(); }));
}

net::Response json_response(const wire::Json& body) {
  return net::Response{.status = 200, .content_type = std::string(points::type_json), .body = to_bytes(body.dump())};
}

Node::Node(Settings settings) : settings_(std::move(settings)) {}
Node::~Node() { stop(); }

Result<std::unique_ptr<Node>> Node::open(Settings settings) {
  std::unique_ptr<Node> node(new Node(std::move(settings)));
  node->started_ms_ = node->clock_.now_ms();
  TRY(crypto::power_on_self_test());
  ASSIGN_OR_RETURN(node->rng_, crypto::open_rng());
  std::error_code error;
  std::filesystem::create_directories(node->settings_.state, error);
  std::filesystem::permissions(node->settings_.state, std::filesystem::perms::owner_all, error);
  if (error) return fail(ErrorCode::internal, node->settings_.state.string() + ": " + error.message());
  ASSIGN_OR_RETURN(node->device_, crypto::open_device(node->settings_.device, node->settings_.master_key, *node->rng_));
  TRY(node->open_audit());
  node->open_reporter();
  record_device_changes(*node);
  ASSIGN_OR_RETURN(node->trust_, read_trust(node->settings_.trust));
  return Result<std::unique_ptr<Node>>(std::move(node));
}

Result<void> Node::open_audit() {
  ASSIGN_OR_RETURN(audit_, audit::Log::open(settings_.state / "audit.jsonl", settings_.log_name(), clock_));
  ASSIGN_OR_RETURN(const auto store, open_own_credentials());
  ASSIGN_OR_RETURN(audit::CheckpointSigner signer, store->audit_signer(audit::origin_of(settings_.log_name())));
  ASSIGN_OR_RETURN(checkpoints_, audit::Checkpoints::open(*audit_, std::move(signer), clock_, *rng_));
  checkpoints_->start(std::chrono::milliseconds(settings_.audit.checkpoint_ms), [](const Error& error) {
    log(LogLevel::error, "audit: no checkpoint can be made, every action is refused from now on: {}", error.message);
  });
  return {};
}

void Node::open_reporter() {
  const auto endpoint = behaviour_endpoint(identity().kind);
  const auto iam = peer_of(Kind::iam);
  if (!endpoint || !iam) return;
  const auto send = [this, at = *endpoint, peer = *iam](const wire::Json& report, Deadline deadline) -> Result<void> {
    TRY(call_json(at, peer, report, deadline, new_request_id()));
    return {};
  };
  reporter_ = std::make_unique<BehaviourReporter>(identity(), clock_, settings_.state / "behaviour.jsonl",
                                                  BehaviourReporter::Ports{.send = send, .new_id = [this] { return new_request_id(); }});
}

Result<void> Node::record(std::span<const audit::Event> events) {
  TRY(audit_->append(events));
  for (const audit::Event& event : events) {
    if (reporter_) reporter_->saw(event);
  }
  return {};
}

void Node::report(Behaviour behaviour, Telling telling) {
  if (reporter_) reporter_->report(std::move(behaviour), telling);
}

void Node::start_reporting() {
  if (reporter_) reporter_->start();
}

Result<std::optional<Bytes>> Node::bind_audit_keys() {
  const std::filesystem::path file = audit::statement_file(audit_->folder());
  const std::shared_ptr<const net::TlsIdentity> shown = credentials().tls;
  const net::TlsIdentity& tls = *shown;
  const std::vector<audit::LogKey> keys = checkpoints_->signer().keys();
  ASSIGN_OR_RETURN(const std::optional<Bytes> octets, audit::read_small_file(file, audit::statement_octets_max));
  std::optional<Bytes> before;
  if (octets) {
    const auto known = audit::parse_statement(as_text(*octets));
    if (known && known->element == settings_.log_name() && known->keys == keys && known->chain.front().der() == tls.chain.front().der()) return before;
    if (known) before = known->chain.front().serial();
  }
  ASSIGN_OR_RETURN(const audit::KeyStatement statement, audit::make_statement(settings_.log_name(), clock_.now_ms(), keys, tls.key, tls.chain, *rng_));
  TRY(audit::replace_file(file, as_bytes(audit::statement_text(statement)), audit::Durability::now));
  return before;
}

Result<std::unique_ptr<store::Store>> Node::open_store(const std::string& name, std::span<const store::Migration> migrations,
                                                       std::function<Result<void>(store::Transaction&)> on_other_history) const {
  if (!settings_.store) return store::Store::open(settings_.state / (name + ".db"), migrations);
  return store::Store::open(store::PostgresqlPlace{.conninfo = settings_.store->postgresql,
                                                   .schema = name,
                                                   .connections = settings_.store->connections,
                                                   .process = std::to_string(settings_.store->front_end),
                                                   .on_other_history = std::move(on_other_history)},
                            migrations);
}

Result<void> Node::enrol(Deadline deadline) {
  {
    const std::lock_guard alone(store_mutex_);
    ASSIGN_OR_RETURN(CredentialStore* const store, open_credentials());
    const auto enrolled = enrol_locked(*store, deadline);
    close_credentials();
    TRY(enrolled);
  }
  TRY(make_clients());
  // An operator's commands are over long before a thread of theirs would have something to do. What is in force serves if this fails, which is on record.
  const bool due = renewal_due(credentials().tls->chain.front(), settings_.renew_at_percent, 0) <= clock_.now_ms();
  if (identity().kind == Kind::op && due) (void)renew_on_record(*this, deadline);
  return {};
}

Result<void> Node::enrol_locked(CredentialStore& credential_store, Deadline deadline) {
  CredentialStore* const store = &credential_store;
  ASSIGN_OR_RETURN(const auto turn, store->store().lock("credentials", deadline));
  ASSIGN_OR_RETURN(std::optional<Credentials> known, store->load());
  if (known) TRY(conclude_enrolment(*store, settings_.enrolment_secret, [&] { return record_enrolment(to_hex(known->tls->chain.front().serial()), {}); }));
  if (known && known->tls->chain.front().not_after() <= clock_.now_ms()) {
    // What has expired cannot renew itself. With a new secret it begins anew, with new keys.
    std::error_code error;
    if (!std::filesystem::exists(settings_.enrolment_secret, error)) {
      return fail(ErrorCode::denied,
                  "the certificate of " + identity().uri() + " has expired, and there is no enrolment secret: ask the operator of CAS for a new one");
    }
    TRY(store->start_over());
    known.reset();
  }
  const bool enrols = !known;
  if (enrols) {
    ASSIGN_OR_RETURN(known, enrol_at_cas(*store, deadline));
  }
  put_in_force(std::move(*known));
  ASSIGN_OR_RETURN(const std::optional<Bytes> former, bind_audit_keys());
  // A renewal that died between its last transaction and its record.
  if (former && !enrols) TRY(record_renewal(*this, to_hex(*former), {}));
  return {};
}

Result<void> Node::install_credentials(Credentials credentials) {
  put_in_force(std::move(credentials));
  clients_.clear();
  TRY(bind_audit_keys());
  return make_clients();
}

void Node::use_credentials(Credentials credentials, LocalStatus status) {
  put_in_force(std::move(credentials));
  local_status_ = std::move(status);
  if (const auto bound = bind_audit_keys(); !bound) {
    log(LogLevel::error, "audit: the checkpoints' keys cannot be bound to this element, every action is refused from now on: {}", bound.error().message);
    audit_->refuse(bound.error());
  }
  (void)make_clients();  // cannot fail: with a local status there is no CAS to look for
}

Result<void> Node::make_clients() {
  const std::shared_ptr<const net::TlsIdentity> tls = credentials().tls;
  if (!local_status_) {
    ASSIGN_OR_RETURN(const std::string cas, peer_of(Kind::cas));
    cas_ = net::Client::create(settings_.peers.at(cas), tls, trust_, {});
    status_ = std::make_unique<StatusChecker>(settings_.status, status_endpoint(identity().kind), *cas_, *trust_, *rng_, clock_);
  }
  const net::StatusCheck check = [this](const crypto::Certificate& cert, Deadline deadline) { return check_status(cert, deadline); };
  for (const auto& [name, target] : settings_.peers) {
    const bool is_cas = target.expected.kind == Kind::cas;
    if (is_cas || !status_) {
      clients_.emplace(name, net::Client::create(target, tls, trust_, is_cas ? net::StatusCheck{} : check));
      continue;
    }
    clients_.emplace(name, net::Client::create(target, tls, trust_, check, [this](const crypto::Certificate& cert, ByteView response) {
                       status_->take_stapled(cert, response);
                     }));
  }
  return {};
}

Result<std::unique_ptr<CredentialStore>> Node::open_own_credentials() { return CredentialStore::open(settings_.state / "credentials.db", *device_, suite()); }

Result<CredentialStore*> Node::open_credentials() {
  constexpr std::size_t connections = 2;
  if (credential_store_) return credential_store_.get();
  if (settings_.store) {
    ASSIGN_OR_RETURN(credential_store_, CredentialStore::open(store::PostgresqlPlace{.conninfo = settings_.store->postgresql, .schema = "credentials", .connections = connections},
                                                              *device_, suite()));
  } else {
    ASSIGN_OR_RETURN(credential_store_, open_own_credentials());
  }
  return credential_store_.get();
}

void Node::close_credentials() {
  if (!settings_.store) credential_store_.reset();
}

Result<Credentials> Node::enrol_at_cas(CredentialStore& store, Deadline deadline) {
  ASSIGN_OR_RETURN(const std::string cas, peer_of(Kind::cas));
  // Server-authenticated only: there is no certificate to show yet. The secret names the requester.
  const auto client = net::Client::create(settings_.peers.at(cas), nullptr, trust_, {});
  const auto enrolled =
      enrol_by_secret({.identity = identity(), .trust = *trust_, .clock = clock_, .rng = *rng_}, store, *client, settings_.enrolment_secret, deadline);
  if (!enrolled) {
    TRY(record_enrolment("", enrolled));
    return fail(enrolled.error());
  }
  ASSIGN_OR_RETURN(std::optional<Credentials> made, store.load());
  if (!made) return fail(ErrorCode::internal, "enrolment: credentials were stored but do not load");
  TRY(conclude_enrolment(store, settings_.enrolment_secret, [&] { return record_enrolment(to_hex(made->tls->chain.front().serial()), {}); }));
  return Result<Credentials>(std::move(*made));
}

Result<void> Node::record_enrolment(const std::string& serial, const Result<void>& enrolled) {
  return record({.action = "enrolled",
                 .outcome = enrolled ? audit::Outcome::success : audit::outcome_of(enrolled.error().code),
                 .subject = identity().uri(),
                 .object = serial,
                 .reason = enrolled ? std::string_view() : std::string_view(enrolled.error().message),
                 .request_id = ""});
}

Result<Credentials> Node::renew_at_cas(Deadline deadline) {
  if (!cas_) return fail(ErrorCode::internal, "renewal: this element has no CAS");
  const std::lock_guard lock(store_mutex_);
  ASSIGN_OR_RETURN(CredentialStore* const store, open_credentials());
  const std::unique_ptr<Node, decltype([](Node* node) { node->close_credentials(); })> close(this);
  // Of the processes that share them one renews; those that come after it find that it is done.
  ASSIGN_OR_RETURN(const auto turn, store->store().lock("credentials", deadline));
  ASSIGN_OR_RETURN(std::optional<Credentials> stored, store->load());
  const Bytes shown = credentials().tls->chain.front().der();
  if (stored && stored->tls->chain.front().der() != shown) return Result<Credentials>(std::move(*stored));
  TRY(renew_by_certificate({.identity = identity(), .trust = *trust_, .clock = clock_, .rng = *rng_}, *store, *cas_, deadline));
  ASSIGN_OR_RETURN(std::optional<Credentials> made, store->load());
  if (!made) return fail(ErrorCode::internal, "renewal: credentials were stored but do not load");
  store->store().announce(credentials_channel);
  return Result<Credentials>(std::move(*made));
}

Result<void> Node::renew(Deadline deadline) {
  ASSIGN_OR_RETURN(Credentials made, renew_own_ ? renew_own_(deadline) : renew_at_cas(deadline));
  const std::shared_ptr<const net::TlsIdentity> tls = made.tls;
  put_in_force(std::move(made));
  return show_everywhere(*tls);
}

Result<void> Node::show_everywhere(const net::TlsIdentity& tls) {
  if (cas_) TRY(cas_->show(tls));
  for (const auto& [name, client] : clients_) TRY(client->show(tls));
  if (net::Server* server = serving_.load(); server != nullptr) TRY(server->show(tls));
  if (stapler_) stapler_->forget();
  TRY(bind_audit_keys());
  return {};
}

Result<void> Node::adopt_stored() {
  const std::lock_guard lock(store_mutex_);
  if (!settings_.store) return {};
  ASSIGN_OR_RETURN(CredentialStore* const store, open_credentials());
  ASSIGN_OR_RETURN(std::optional<Credentials> stored, store->load());
  const std::string former = to_hex(credentials().tls->chain.front().serial());
  if (!stored || to_hex(stored->tls->chain.front().serial()) == former) return {};
  const std::shared_ptr<const net::TlsIdentity> tls = stored->tls;
  put_in_force(std::move(*stored));
  const Result<void> shown = show_everywhere(*tls);
  TRY(record_renewal(*this, former, shown));
  return shown;
}

std::unique_ptr<store::Watch> Node::watch_credentials() {
  const std::lock_guard lock(store_mutex_);
  const auto store = open_credentials();
  return store ? (*store)->store().watch(credentials_channel) : nullptr;
}

void Node::put_in_force(Credentials credentials) {
  const std::lock_guard lock(credentials_mutex_);
  credentials_ = std::move(credentials);
}

Credentials Node::credentials() const {
  const std::lock_guard lock(credentials_mutex_);
  return *credentials_;
}

std::shared_ptr<const MessageSigner> Node::signer() const {
  Credentials now = credentials();
  CHECK(now.messages != nullptr);
  return std::move(now.messages);
}

Result<void> Node::serve(std::vector<points::Handler> handlers) {
  handlers.push_back({points::Endpoint::x6_health, [this](const net::Request& request) { return health(request); }});
  if (points::row(points::Endpoint::x10_revoked).callees.has(identity().kind)) {
    handlers.push_back({points::Endpoint::x10_revoked, [this](const net::Request& request) {
                          return refusal_recorded(*this, "x-10.revoked", request, "", revoked(request));
                        }});
  }
  const net::StatusCheck check = [this](const crypto::Certificate& cert, Deadline deadline) { return check_status(cert, deadline); };
  const std::shared_ptr<const net::TlsIdentity> tls = credentials().tls;
  net::ServerSettings settings = settings_.server;
  settings.chained = &chained_keys_;
  net::Staple staple;
  if (status_) {
    stapler_ = std::make_unique<Stapler>([this] { return status_->fetch(credentials().tls->chain.front(), Deadline::after(own_status_max)); },
                                         settings_.status.fresh, clock_);
    stapler_->start();
    staple = [raw = stapler_.get()] { return raw->staple(); };
  }
  ASSIGN_OR_RETURN(server_, net::Server::start(settings, *tls, trust_, points::routes(identity().kind, std::move(handlers), chained_alone_), check,
                                               [this](const net::Refusal& refusal) { record_refusal(refusal); }, std::move(staple)));
  serving_ = server_.get();
  const crypto::Certificate& shown = tls->chain.front();
  std::printf("ready %s %u %s %s %llu\n", identity().uri().c_str(), static_cast<unsigned>(server_->port()), std::string(name(shown.key_algorithm())).c_str(),
              to_hex(shown.fingerprint(crypto::Hash::sha256)).substr(0, 16).c_str(), static_cast<unsigned long long>(shown.not_after()));
  std::fflush(stdout);
  log(LogLevel::note, "ready {} on port {}", identity().uri(), server_->port());
  report({.about = "", .action = "element", .outcome = "started", .object = identity().uri()});
  start_reporting();
  if (settings_.audit.witness) {
    ASSIGN_OR_RETURN(std::string witness, peer_of(*settings_.audit.witness));
    witness_ = std::make_unique<WitnessClient>(*this, std::move(witness));
    witness_->start(std::chrono::milliseconds(settings_.audit.checkpoint_ms));
  }
  if (settings_.store) {
    shared_credentials_ = std::make_unique<SharedCredentials>(*this);
    shared_credentials_->start();
  }
  if (cas_ || renew_own_) {
    renewal_ = std::make_unique<Renewal>(*this);
    renewal_->start(settings_.renew_at_percent);
  }
  return {};
}

void Node::record_refusal(const net::Refusal& refusal) {
  const std::string action = refusal.point.empty() ? "tls.connection" : refusal.point;
  const auto written = record(
      {.action = action, .outcome = audit::outcome_of(refusal.code), .subject = refusal.peer, .object = "", .reason = refusal.reason, .request_id = ""});
  // The refusal stands whether or not it could be recorded; that it could not is an error of this element.
  if (!written) log(LogLevel::error, "audit: {}", written.error().message);
  const auto caller = Identity::parse_uri(refusal.peer);
  if (!caller || audit::outcome_of(refusal.code) != audit::Outcome::refused) return;
  const bool others = tells_of_others(identity().kind);
  report({.about = others ? caller->name : "", .action = refusal.point.empty() ? "connection" : "request", .outcome = "refused",
          .object = others ? refusal.point : refusal.peer + " " + refusal.point},
         Telling::together);
}

Result<net::Response> Node::health(const net::Request& /*request*/) {
  wire::Json body = wire::Json::object({{"identity", identity().uri()}, {"status", "ready"}, {"uptime_ms", clock_.now_ms() - started_ms_}});
  const crypto::Certificate certificate = credentials().tls->chain.front();
  if (settings_.store) body.set("front_end", static_cast<std::int64_t>(settings_.store->front_end));
  body.set("certificate", to_hex(certificate.serial())).set("certificate_not_after_ms", certificate.not_after());
  body.set("device", device_json(device_->health()));
  body.set("memory", wire::Json::object({{"in_use_kib", static_cast<std::int64_t>(octets_in_use() / 1024)}, {"database_kib", store::sqlite_octets_in_use() / 1024}}));
  if (reporter_) {
    const BehaviourReporter::Counts counts = reporter_->counts();
    body.set("behaviour_records", wire::Json::object({{"sent", counts.sent}, {"waiting", counts.waiting}, {"dropped", counts.dropped}}));
  }
  if (describe_health_) describe_health_(body);
  return json_response(body);
}

Result<net::Response> Node::revoked(const net::Request& request) {
  ASSIGN_OR_RETURN(const std::set<Bytes> fingerprints, read_revocation_notice(request.body));
  drop_revoked(fingerprints);
  if (on_revoked_) TRY(on_revoked_(fingerprints));
  return net::Response{.status = 200, .content_type = "", .body = {}};
}

void Node::drop_revoked(const std::set<Bytes>& fingerprints) {
  if (status_) status_->forget(fingerprints);
  const auto named = [fingerprints](const crypto::Certificate& certificate) { return fingerprints.contains(certificate.fingerprint(crypto::Hash::sha256)); };
  for (const auto& [name, client] : clients_) client->drop_servers(named);
  if (net::Server* server = serving_.load(); server != nullptr) server->drop_peers(named);
}

std::uint16_t Node::port() const noexcept { return server_ ? server_->port() : 0; }

void Node::run_until_stopped() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  const timespec pause{.tv_sec = give_back_every.count(), .tv_nsec = 0};
  int received = -1;
  while (received < 0) {
    received = sigtimedwait(&signals, nullptr, &pause);  // main blocked both before any thread started
    if (received < 0) give_back_freed();
  }
  log(LogLevel::note, "stopping on signal {}", received);
  stop();
}

void Node::stop() {
  stopping_ = true;
  if (renewal_) renewal_->stop();
  if (shared_credentials_) shared_credentials_->stop();
  if (witness_) witness_->stop();
  const bool served = server_ && serving_.exchange(nullptr) != nullptr;
  if (server_) server_->stop(stop_grace);
  if (stapler_) stapler_->stop();
  if (served) report({.about = "", .action = "element", .outcome = "stopped", .object = identity().uri()});
  if (reporter_) reporter_->stop();
}

Result<net::Response> Node::exchange(points::Endpoint endpoint, std::string_view peer, ByteView body, Deadline deadline, std::string_view request_id,
                                     std::string_view query) {
  const auto found = clients_.find(peer);
  if (found == clients_.end()) return fail(ErrorCode::not_found, "no peer '" + std::string(peer) + "' is configured");
  const points::EndpointRow& line = points::row(endpoint);
  CHECK(line.callees.has(found->second->target().expected.kind));
  auto response = found->second->call({.method = std::string(line.method),
                                       .path = std::string(line.path),
                                       .query = std::string(query),
                                       .content_type = std::string(line.request_type),
                                       .body = body,
                                       .request_id = std::string(request_id)},
                                      deadline);
  if (!response) return fail_in(std::string(line.point) + " to " + std::string(peer), response.error());
  return response;
}

Result<net::Response> Node::call(points::Endpoint endpoint, std::string_view peer, ByteView body, Deadline deadline, std::string_view request_id,
                                 std::string_view query) {
  ASSIGN_OR_RETURN(net::Response response, exchange(endpoint, peer, body, deadline, request_id, query));
  if (response.status < 200 || response.status > 299) {
    return fail_in(std::string(points::row(endpoint).point) + " to " + std::string(peer), net::error_of(response));
  }
  return response;
}

Result<wire::Json> Node::call_json(points::Endpoint endpoint, std::string_view peer, const wire::Json& body, Deadline deadline, std::string_view request_id) {
  const std::string text = points::row(endpoint).request_type.empty() ? std::string() : body.dump();
  ASSIGN_OR_RETURN(const net::Response response, call(endpoint, peer, as_bytes(text), deadline, request_id));
  if (response.body.empty()) return wire::Json::object();
  return wire::Json::parse(response.body);
}

Result<std::string> Node::peer_of(Kind kind, std::string_view domain) const {
  for (const auto& [name, target] : settings_.peers) {
    if (target.expected.kind == kind && (domain.empty() || target.expected.domain == domain)) return name;
  }
  return fail(ErrorCode::not_found, "no peer of kind " + std::string(name(kind)) + " is configured");
}

Result<void> Node::check_status(const crypto::Certificate& cert, Deadline deadline) {
  return judge_unknown(cert, local_status_ ? local_status_(cert, deadline) : status_->check(cert, deadline));
}

Result<void> Node::judge_unknown(const crypto::Certificate& cert, Result<void> status) {
  if (status || !accepts_unknown_) return status;
  const ErrorCode code = status.error().code;
  if ((code != ErrorCode::unavailable && code != ErrorCode::deadline_exceeded) || !accepts_unknown_(cert)) return status;
  ++unknown_accepted_;
  log(LogLevel::warning, "the status of {} is not known, and is accepted so: {}", cert.subject(), status.error().message);
  return {};
}

Result<void> Node::check_certificate(const crypto::Certificate& cert, Deadline deadline, crypto::LeafUse use) {
  if (status_) return judge_unknown(cert, status_->check_with_chain(cert, deadline, use));
  TRY(trust_->verify(cert, clock_.now_ms(), use));
  return check_status(cert, deadline);
}

}  // namespace qanat::node
