#include "node/node.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "audit/auditor.hpp"
#include "audit/files.hpp"
#include "base/secret_file.hpp"
#include "crypto/kdf.hpp"
#include "crypto/self_test.hpp"
#include "node/log.hpp"
#include "node/recorded.hpp"
#include "node/revocations.hpp"
#include "node/witness_client.hpp"
#include "wire/base64.hpp"

namespace qanat::node {
namespace {

constexpr std::chrono::milliseconds stop_grace{2000};
constexpr std::size_t pem_max = 256 * 1024;

Result<std::string> read_text(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(ErrorCode::not_found, file.string() + ": cannot be read");
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (text.size() > pem_max) return fail(ErrorCode::invalid_argument, file.string() + ": too large");
  return text;
}

}  // namespace

Result<std::shared_ptr<const crypto::TrustStore>> read_trust(const std::filesystem::path& folder) {
  std::vector<crypto::Certificate> roots;
  std::vector<crypto::Certificate> intermediates;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const bool root = name.starts_with("root-");
    if (!name.ends_with(".pem") || (!root && !name.starts_with("issuing-"))) continue;
    ASSIGN_OR_RETURN(const std::string text, read_text(entry.path()));
    auto chain = crypto::Certificate::parse_pem_chain(text);
    if (!chain) return fail_in(entry.path().string(), chain.error());
    for (crypto::Certificate& cert : *chain) (root ? roots : intermediates).push_back(std::move(cert));
  }
  if (error) return fail(ErrorCode::not_found, folder.string() + ": " + error.message());
  if (roots.empty()) return fail(ErrorCode::not_found, folder.string() + ": holds no root-*.pem");
  return std::make_shared<const crypto::TrustStore>(std::move(roots), std::move(intermediates));
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
  ASSIGN_OR_RETURN(node->device_, crypto::open_device(node->settings_.token, node->settings_.master_key, *node->rng_));
  TRY(node->open_audit());
  ASSIGN_OR_RETURN(node->trust_, read_trust(node->settings_.trust));
  return Result<std::unique_ptr<Node>>(std::move(node));
}

Result<void> Node::open_audit() {
  ASSIGN_OR_RETURN(audit_, audit::Log::open(settings_.state / "audit.jsonl", identity().uri(), clock_));
  ASSIGN_OR_RETURN(const auto store, CredentialStore::open(settings_.state / "credentials.db", *device_, suite()));
  ASSIGN_OR_RETURN(audit::CheckpointSigner signer, store->audit_signer(audit::origin_of(identity().uri())));
  ASSIGN_OR_RETURN(checkpoints_, audit::Checkpoints::open(*audit_, std::move(signer), clock_, *rng_));
  checkpoints_->start(std::chrono::milliseconds(settings_.audit.checkpoint_ms), [](const Error& error) {
    log(LogLevel::error, "audit: no checkpoint can be made, every action is refused from now on: {}", error.message);
  });
  return {};
}

Result<void> Node::bind_audit_keys() {
  const std::filesystem::path file = audit::statement_file(audit_->folder());
  const net::TlsIdentity& tls = *credentials_->tls;
  const std::vector<audit::LogKey> keys = checkpoints_->signer().keys();
  ASSIGN_OR_RETURN(const std::optional<Bytes> octets, audit::read_small_file(file, audit::statement_octets_max));
  if (octets) {
    const auto known = audit::parse_statement(as_text(*octets));
    if (known && known->element == identity().uri() && known->keys == keys && known->chain.front().der() == tls.chain.front().der()) return {};
  }
  ASSIGN_OR_RETURN(const audit::KeyStatement statement, audit::make_statement(identity().uri(), clock_.now_ms(), keys, tls.key, tls.chain, *rng_));
  return audit::replace_file(file, as_bytes(audit::statement_text(statement)), audit::Durability::now);
}

Result<void> Node::enrol(Deadline deadline) {
  ASSIGN_OR_RETURN(const auto store, CredentialStore::open(settings_.state / "credentials.db", *device_, suite()));
  ASSIGN_OR_RETURN(std::optional<Credentials> known, store->load());
  if (known) {
    credentials_ = std::move(*known);
  } else {
    ASSIGN_OR_RETURN(credentials_, enrol_at_cas(*store, deadline));
  }
  TRY(bind_audit_keys());
  return make_clients();
}

Result<void> Node::install_credentials(Credentials credentials) {
  credentials_ = std::move(credentials);
  clients_.clear();
  TRY(bind_audit_keys());
  return make_clients();
}

void Node::use_credentials(Credentials credentials, LocalStatus status) {
  credentials_ = std::move(credentials);
  local_status_ = std::move(status);
  if (const auto bound = bind_audit_keys(); !bound) {
    log(LogLevel::error, "audit: the checkpoints' keys cannot be bound to this element, every action is refused from now on: {}", bound.error().message);
    audit_->refuse(bound.error());
  }
  (void)make_clients();  // cannot fail: with a local status there is no CAS to look for
}

Result<void> Node::make_clients() {
  if (!local_status_) {
    ASSIGN_OR_RETURN(const std::string cas, peer_of(Kind::cas));
    cas_ = net::Client::create(settings_.peers.at(cas), credentials_->tls, trust_, {});
    status_ = std::make_unique<StatusChecker>(settings_.status, status_endpoint(identity().kind), *cas_, *trust_, *rng_, clock_);
  }
  const net::StatusCheck check = [this](const crypto::Certificate& cert, Deadline deadline) { return check_status(cert, deadline); };
  for (const auto& [name, target] : settings_.peers) {
    const bool is_cas = target.expected.kind == Kind::cas;
    clients_.emplace(name, net::Client::create(target, credentials_->tls, trust_, is_cas ? net::StatusCheck{} : check));
  }
  return {};
}

namespace {

constexpr std::size_t enrolment_secret_octets = 32;

/// The one-time secret proves that a request comes from the element that the operator named: HMAC-SHA256 under SHA-256(label ‖ secret), so that
/// CAS can keep the hash alone.
Result<Bytes> enrolment_proof(const std::filesystem::path& secret_file, ByteView nonce, const CredentialStore::Requests& requests) {
  const auto text = read_secret_digits(secret_file, enrolment_secret_octets);
  if (!text && text.error().code == ErrorCode::not_found) {
    return fail(ErrorCode::not_found, secret_file.string() + ": no enrolment secret, and no certificate yet: ask the operator of CAS for a new one");
  }
  if (!text) return fail(text.error());
  const Secret key = Secret::copy_of(crypto::digest(crypto::Hash::sha256, {as_bytes("qanat enrolment"), text->reveal()}));
  return crypto::hmac(crypto::Hash::sha256, key, {nonce, requests.ml_dsa, requests.classical});
}

points::Endpoint enrol_endpoint(Kind kind) {
  if (kind == Kind::kms) return points::Endpoint::ce1_enrol;
  if (qkdn.has(kind)) return points::Endpoint::ce4_enrol;
  return points::Endpoint::x4_enrol;
}

Result<std::vector<crypto::Certificate>> read_chain(const wire::Json& answer, std::string_view name) {
  std::vector<crypto::Certificate> out;
  ASSIGN_OR_RETURN(const std::vector<std::string> texts, answer.texts(name));
  if (texts.empty()) return fail(ErrorCode::invalid_argument, "enrolment: CAS sent no certificate");
  for (const std::string& text : texts) {
    ASSIGN_OR_RETURN(const Bytes der, wire::from_base64(text));
    ASSIGN_OR_RETURN(crypto::Certificate cert, crypto::Certificate::parse(der));
    out.push_back(std::move(cert));
  }
  return out;
}

}  // namespace

Result<Credentials> Node::enrol_at_cas(CredentialStore& store, Deadline deadline) {
  const crypto::SubjectNames names{.common_name = identity().name, .element = identity(), .number = {}, .dns = {}};
  ASSIGN_OR_RETURN(const CredentialStore::Requests requests, store.prepare(names, signs_messages(identity().kind)));
  const Bytes nonce = rng_->bytes(32);
  ASSIGN_OR_RETURN(const Bytes proof, enrolment_proof(settings_.enrolment_secret, nonce, requests));
  wire::Json body = wire::Json::object({{"identity", identity().uri()},
                                        {"nonce", to_hex(nonce)},
                                        {"proof", to_hex(proof)},
                                        {"ml_dsa", wire::to_base64(requests.ml_dsa)}});
  if (!requests.classical.empty()) body.set("classical", wire::to_base64(requests.classical));

  const points::EndpointRow& line = points::row(enrol_endpoint(identity().kind));
  ASSIGN_OR_RETURN(const std::string cas, peer_of(Kind::cas));
  // Server-authenticated only: there is no certificate to show yet. The proof names the requester.
  const auto client = net::Client::create(settings_.peers.at(cas), nullptr, trust_, {});
  const std::string text = body.dump();
  ASSIGN_OR_RETURN(const net::Response response, client->call({.method = std::string(line.method),
                                                               .path = std::string(line.path),
                                                               .query = "",
                                                               .content_type = std::string(line.request_type),
                                                               .body = as_bytes(text),
                                                               .request_id = new_request_id()},
                                                              deadline));
  if (response.status != 200) return fail_in("enrolment", net::error_of(response));
  ASSIGN_OR_RETURN(const wire::Json answer, wire::Json::parse(response.body));
  ASSIGN_OR_RETURN(const std::vector<crypto::Certificate> ml_dsa, read_chain(answer, "ml_dsa"));
  std::vector<crypto::Certificate> classical;
  if (!requests.classical.empty()) {
    ASSIGN_OR_RETURN(classical, read_chain(answer, "classical"));
  }
  TRY(trust_->verify(ml_dsa.front(), clock_.now_ms()));
  if (!classical.empty()) TRY(trust_->verify(classical.front(), clock_.now_ms()));
  TRY(store.finish(ml_dsa, classical));
  std::error_code ignored;
  std::filesystem::remove(settings_.enrolment_secret, ignored);
  TRY(record({.action = "enrolled", .outcome = audit::Outcome::success, .subject = identity().uri(), .object = to_hex(ml_dsa.front().serial()), .reason = "", .request_id = ""}));
  ASSIGN_OR_RETURN(std::optional<Credentials> made, store.load());
  if (!made) return fail(ErrorCode::internal, "enrolment: credentials were stored but do not load");
  return Result<Credentials>(std::move(*made));
}

Result<void> Node::serve(std::vector<points::Handler> handlers) {
  handlers.push_back({points::Endpoint::x6_health, [this](const net::Request& request) { return health(request); }});
  if (points::row(points::Endpoint::x10_revoked).callees.has(identity().kind)) {
    handlers.push_back({points::Endpoint::x10_revoked, [this](const net::Request& request) {
                          return refusal_recorded(*this, "x-10.revoked", request, "", revoked(request));
                        }});
  }
  const net::StatusCheck check = [this](const crypto::Certificate& cert, Deadline deadline) { return check_status(cert, deadline); };
  ASSIGN_OR_RETURN(server_, net::Server::start(settings_.server, *credentials_->tls, trust_, points::routes(identity().kind, std::move(handlers)), check,
                                               [this](const net::Refusal& refusal) { record_refusal(refusal); }));
  serving_ = server_.get();
  const crypto::Certificate& shown = credentials_->tls->chain.front();
  std::printf("ready %s %u %s %s %llu\n", identity().uri().c_str(), static_cast<unsigned>(server_->port()), std::string(name(shown.key_algorithm())).c_str(),
              to_hex(shown.fingerprint(crypto::Hash::sha256)).substr(0, 16).c_str(), static_cast<unsigned long long>(shown.not_after()));
  std::fflush(stdout);
  log(LogLevel::note, "ready {} on port {}", identity().uri(), server_->port());
  if (settings_.audit.witness) {
    ASSIGN_OR_RETURN(std::string witness, peer_of(*settings_.audit.witness));
    witness_ = std::make_unique<WitnessClient>(*this, std::move(witness));
    witness_->start(std::chrono::milliseconds(settings_.audit.checkpoint_ms));
  }
  return {};
}

void Node::record_refusal(const net::Refusal& refusal) {
  const std::string action = refusal.point.empty() ? "tls.connection" : refusal.point;
  const auto written = record({.action = action, .outcome = audit::outcome_of(refusal.code), .subject = refusal.peer, .object = "", .reason = refusal.reason, .request_id = ""});
  // The refusal stands whether or not it could be recorded; that it could not is an error of this element.
  if (!written) log(LogLevel::error, "audit: {}", written.error().message);
}

Result<net::Response> Node::health(const net::Request& /*request*/) {
  wire::Json body = wire::Json::object({{"identity", identity().uri()}, {"status", "ready"}, {"uptime_ms", clock_.now_ms() - started_ms_}});
  if (describe_health_) describe_health_(body);
  return json_response(body);
}

Result<net::Response> Node::revoked(const net::Request& request) {
  ASSIGN_OR_RETURN(const std::set<Bytes> fingerprints, read_revocation_notice(request.body));
  drop_revoked(fingerprints);
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
  int received = 0;
  sigwait(&signals, &received);  // main blocked both before any thread started
  log(LogLevel::note, "stopping on signal {}", received);
  stop();
}

void Node::stop() {
  stopping_ = true;
  if (witness_) witness_->stop();
  if (server_) server_->stop(stop_grace);
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
  if (response.status < 200 || response.status > 299) return fail_in(std::string(points::row(endpoint).point) + " to " + std::string(peer), net::error_of(response));
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
  if (local_status_) return local_status_(cert, deadline);
  return status_->check(cert, deadline);
}

Result<void> Node::check_certificate(const crypto::Certificate& cert, Deadline deadline, crypto::LeafUse use) {
  if (status_) return status_->check_with_chain(cert, deadline, use);
  TRY(trust_->verify(cert, clock_.now_ms(), use));
  return check_status(cert, deadline);
}

}  // namespace qanat::node
