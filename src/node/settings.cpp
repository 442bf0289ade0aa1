#include "node/settings.hpp"

#include <algorithm>
#include <charconv>

#include "store/store.hpp"

namespace qanat::node {
namespace {

LogLevel read_level(Config& table) {
  const std::string text = table.text("log", "note");
  if (text == "debug") return LogLevel::debug;
  if (text == "warning") return LogLevel::warning;
  if (text == "error") return LogLevel::error;
  if (text != "note") table.reject("log", "must be debug, note, warning or error");
  return LogLevel::note;
}

Identity read_identity(Config& table, std::string_view key) {
  auto identity = Identity::parse_uri(table.text(key));
  if (!identity) {
    table.reject(key, identity.error().message);
    return {};
  }
  return *std::move(identity);
}

std::optional<Kind> read_witness(Config& table) {
  const std::string text = table.text("witness", "");
  if (text.empty()) return std::nullopt;
  if (text == name(Kind::iam)) return Kind::iam;
  if (text == name(Kind::cmsp)) return Kind::cmsp;
  table.reject("witness", "must be iam or cmsp");
  return std::nullopt;
}

void read_pool(Config& table, crypto::PoolSettings& pool) {
  pool.sessions_max = static_cast<std::size_t>(table.integer("sessions", 1, 64, static_cast<std::int64_t>(pool.sessions_max)));
  pool.wait_max = std::chrono::milliseconds(table.integer("wait_ms", 0, 60000, pool.wait_max.count()));
}

crypto::Pkcs11Settings read_token(Config& table) {
  crypto::Pkcs11Settings out;
  out.module = table.text("module");
  out.token = table.text("token");
  out.key = table.text("key", out.key);
  out.pin_file = table.text("pin_file");
  read_pool(table, out.pool);
  return out;
}

crypto::SdfSettings read_sdf(Config& table) {
  crypto::SdfSettings out;
  out.module = table.text("module");
  out.key_index = static_cast<std::uint32_t>(table.integer("key_index", 1, 0xFFFFFFFF));
  read_pool(table, out.pool);
  return out;
}

crypto::SkfSettings read_skf(Config& table) {
  crypto::SkfSettings out;
  out.module = table.text("module");
  out.device = table.text("device", "");
  out.application = table.text("application");
  out.container = table.text("container", out.container);
  out.pin_file = table.text("pin_file");
  out.auth_key_file = table.text("auth_key_file", "");
  read_pool(table, out.pool);
  return out;
}

/// [device.first] and [device.second].
crypto::PairMember read_member(Config table) {
  crypto::PairMember out;
  const std::string kind = table.text("kind");
  if (kind == "pkcs11") out.device = read_token(table);
  if (kind == "sdf") out.device = read_sdf(table);
  if (kind == "skf") out.device = read_skf(table);
  if (!std::holds_alternative<crypto::Pkcs11Settings>(out.device)) out.file = table.text("file");
  if (std::holds_alternative<std::monostate>(out.device) && kind != "software") table.reject("kind", "must be software, pkcs11, sdf or skf");
  return out;
}

crypto::PairSettings read_pair(Config& table) {
  crypto::PairSettings out;
  out.members = {read_member(table.table("first")), read_member(table.table("second"))};
  out.retry_after = std::chrono::milliseconds(table.integer("retry_ms", 0, 3600000, out.retry_after.count()));
  if (!out.members[0].file.empty() && out.members[0].file == out.members[1].file) table.reject("kind", "the two devices of a pair cannot share a file");
  return out;
}

/// [device]: the software device unless it says otherwise.
std::optional<crypto::DeviceSettings> read_device(Config& table) {
  const std::string kind = table.text("kind", "software");
  if (kind == "pkcs11") return read_token(table);
  if (kind == "sdf") return read_sdf(table);
  if (kind == "skf") return read_skf(table);
  if (kind == "pair") return read_pair(table);
  if (kind != "software") table.reject("kind", "must be software, pkcs11, sdf, skf or pair");
  return std::nullopt;
}

/// "address:port": where a further process of the same element listens.
std::vector<net::Target::Place> read_places(Config& peer) {
  constexpr std::size_t places_max = 16;
  std::vector<net::Target::Place> out;
  for (const std::string& text : peer.texts("others")) {
    const std::size_t colon = text.rfind(':');
    const std::string_view digits = colon == std::string::npos ? std::string_view() : std::string_view(text).substr(colon + 1);
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (colon == 0 || digits.empty() || error != std::errc() || end != digits.data() + digits.size() || port == 0 || out.size() >= places_max) {
      peer.reject("others", "'" + text + "' is no address:port, or one of more than " + std::to_string(places_max));
      return {};
    }
    std::string host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);  // IPv6
    out.push_back({.host = std::move(host), .port = port});
  }
  return out;
}

/// Elements whose tables are written for both databases, and whose processes know of one another.
std::optional<StoreSettings> read_store(Config& table, Kind kind) {
  StoreSettings out;
  out.postgresql = table.text("postgresql", "");
  out.connections = static_cast<std::size_t>(table.integer("connections", 2, 60, static_cast<std::int64_t>(out.connections)));
  out.front_end = static_cast<unsigned>(table.integer("front_end", 1, front_ends_max, out.front_end));
  if (out.postgresql.empty()) return std::nullopt;
  if (kind != Kind::kms) table.reject("postgresql", "of the elements, only a KMS keeps its state there");
  if (const auto sound = store::check_place(out.postgresql); !sound) table.reject("postgresql", sound.error().message);
  return out;
}

void read_limits(Config& table, net::ServerLimits& limits) {
  limits.connections_max = static_cast<std::size_t>(table.integer("connections_max", 1, 100000, static_cast<std::int64_t>(limits.connections_max)));
  limits.worker_threads = static_cast<std::size_t>(table.integer("worker_threads", 1, 256, static_cast<std::int64_t>(limits.worker_threads)));
  limits.head_and_body_max = std::chrono::milliseconds(table.integer("slow_client_ms", 10, 600000, limits.head_and_body_max.count()));
  limits.handshake_max = std::chrono::milliseconds(table.integer("handshake_ms", 10, 600000, limits.handshake_max.count()));
  limits.request_max = std::chrono::milliseconds(table.integer("request_ms", 10, 600000, limits.request_max.count()));
}

void read_status_order(Config& status, Kind kind, StatusSettings& out) {
  Config directory = status.table("directory");
  out.directory = {.uri = directory.text("uri", ""), .base = directory.text("base", ""), .ca_file = directory.text("ca_file", "")};
  const std::vector<std::string> names = status.texts("order");
  if (names.empty()) return;
  std::vector<StatusSource>& order = out.order;
  order.clear();
  for (const std::string& text : names) {
    const StatusSource source = text == "crl" ? StatusSource::crl : text == "ldap" ? StatusSource::ldap : StatusSource::ocsp;
    if (text != "ocsp" && text != "crl" && text != "ldap") status.reject("order", "'" + text + "' is none of ocsp, crl, ldap");
    if (const auto usable = check_list_directory(out.directory); source == StatusSource::ldap && !usable) directory.reject("uri", usable.error().message);
    if (std::ranges::find(order, source) != order.end()) status.reject("order", "'" + text + "' stands there twice");
    if (source == StatusSource::crl && kind != Kind::kms && !apps.has(kind) && !qkdn.has(kind)) {
      status.reject("order", "revocation lists are given to KMSs, terminals and the QKD network (Cd-1 to Cd-3)");
    }
    order.push_back(source);
  }
}

}  // namespace

std::string Settings::log_name() const { return store ? identity.uri() + "/" + std::to_string(store->front_end) : identity.uri(); }

Settings Settings::read(Config& config) {
  Settings out;
  Config node = config.table("node");
  out.identity = read_identity(node, "identity");
  out.state = node.text("state");
  out.trust = node.text("trust");
  Config device = config.table("device");
  out.device = read_device(device);
  out.master_key = crypto::needs_file(out.device) ? node.text("master_key") : node.text("master_key", "");
  out.enrolment_secret = node.text("enrolment_secret", "");
  out.renew_at_percent = static_cast<std::uint8_t>(node.integer("renew_at_percent", 10, 90, out.renew_at_percent));
  const auto suite = crypto::find_suite(node.text("suite", "GM-hybrid"));
  if (suite) {
    out.suite = *suite;
  } else {
    node.reject("suite", suite.error().message);
  }
  out.policy_epoch = static_cast<std::uint32_t>(node.integer("policy_epoch", 1, 0xFFFFFFFF, 1));
  out.server.address = node.text("address", "127.0.0.1");
  out.server.port = static_cast<std::uint16_t>(node.integer("port", 0, 65535, 0));
  out.log_level = read_level(node);
  Config limits = config.table("limits");
  read_limits(limits, out.server.limits);

  Config status = config.table("status");
  out.status.fresh = std::chrono::milliseconds(status.integer("fresh_ms", 0, 86400000, out.status.fresh.count()));
  out.status.serve_unexpired_when_down = status.flag("serve_unexpired_when_down", out.status.serve_unexpired_when_down);
  read_status_order(status, out.identity.kind, out.status);

  Config audit = config.table("audit");
  out.audit.checkpoint_ms = static_cast<std::uint16_t>(audit.integer("checkpoint_ms", 10, 60000, out.audit.checkpoint_ms));
  out.audit.witness = read_witness(audit);

  Config store = config.table("store");
  out.store = read_store(store, out.identity.kind);

  Config peers = config.table("peers");
  for (const std::string& name : peers.table_names()) {
    Config peer = peers.table(name);
    net::Target target;
    target.expected = read_identity(peer, "identity");
    target.host = peer.text("address", "127.0.0.1");
    target.port = static_cast<std::uint16_t>(peer.integer("port", 1, 65535));
    target.others = read_places(peer);
    out.peers.emplace(name, std::move(target));
  }
  const auto is_witness = [&](const auto& peer) { return peer.second.expected.kind == out.audit.witness; };
  if (out.audit.witness && std::ranges::none_of(out.peers, is_witness)) audit.reject("witness", "there is no peer of this kind");
  return out;
}

}  // namespace qanat::node
