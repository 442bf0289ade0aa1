#include "services/kms/sae/sae_front.hpp"

#include "kme/etsi014.hpp"
#include "kme/skip.hpp"
#include "node/crash_point.hpp"
#include "node/log.hpp"
#include "node/recorded.hpp"
#include "services/kms/sae/day_quotas.hpp"
#include "services/kms/sae/sae_key.hpp"

namespace qanat::kms {
namespace {

constexpr std::chrono::milliseconds stop_grace{2000};
constexpr std::size_t swept_at_once_max = 1000;
constexpr std::size_t expired_text_max = 900;  // octets of one record
constexpr UnixMs evidence_kept_ms = 24ULL * 3600 * 1000;
constexpr std::int64_t evidence_max = 1000000;  // runs of destroyed keys; the audit record has them all

/// The KMSs of other domains that this one knows.
std::map<std::string, ElementName> other_domains(const node::Node& node) {
  std::map<std::string, ElementName> out;
  for (const auto& [name, target] : node.settings().peers) {
    if (target.expected.kind == Kind::kms && target.expected.domain != node.identity().domain) out.emplace(target.expected.domain, ElementName(name));
  }
  return out;
}

std::vector<std::string> names_of(const std::map<std::string, ElementName>& domains) {
  std::vector<std::string> out;
  out.reserve(domains.size());
  for (const auto& [domain, kms] : domains) out.push_back(domain);
  return out;
}

}  // namespace

SaeFront::SaeFront(node::Node& node, const Parts& parts, SaeSettings settings)
    : node_(node),
      store_(parts.store),
      settings_(std::move(settings)),
      domains_(other_domains(node)),
      stock_(parts.device),
      directory_({.domain = node.identity().domain, .kms = node.identity().name, .refresh = settings_.iam_refresh, .lifetime = settings_.iam_lifetime},
                 node.clock(), directory_ports()),
      supply_(node, parts.store, stock_, parts.senders, parts.agreement, domains_, settings_.supply),
      filler_(names_of(domains_), [this](const std::string& domain) { return node_.stopping() ? Result<void>() : supply_.fill(domain); }),
      delivery_(delivery_place(), {.store = parts.store, .stock = stock_, .device = parts.device, .clock = node.clock(), .registry = directory_.registry()},
                delivery_ports()),
      crls_(settings_.listener.tls) {}

kme::DeliveryPlace SaeFront::delivery_place() const {
  return {.kme = node_.identity().name,
          .domain = node_.identity().domain,
          .domains = domains_,
          .neighbours = {},
          .limits = {},
          .max_key_count = settings_.max_key_count,
          .lifetime = settings_.lifetime,
          .paths = kme::SiteStocks::Paths::of_keys};
}

kme::DeliveryPorts SaeFront::delivery_ports() {
  return {.activate = [this](const ElementName& kms, const wire::Json& activation, Deadline deadline) {
            return node_.call_json(points::Endpoint::km2_activate, kms.text(), activation, deadline, node_.new_request_id());
          },
          .record = [this](const audit::Event& event) { return node_.record(event); },
          .meets = supply_meets,
          .make = [this](const kme::KeyMaking& making) { return make_sae_key(node_.suite(), making); },
          .charge = [this](store::Transaction& transaction, const kme::Sae& master, std::uint32_t keys) {
            return charge_day(transaction, master, keys, node_.clock().now_ms());
          },
          .taken = [this] { filler_.ring(); },
          .hand_over = nullptr};
}

SaeDirectory::Ports SaeFront::directory_ports() {
  return {.ask = [this](const wire::Json& body, Deadline deadline) -> Result<wire::Json> {
            ASSIGN_OR_RETURN(const std::string iam, node_.peer_of(Kind::iam));
            return node_.call_json(points::Endpoint::id1_record, iam, body, deadline, node_.new_request_id());
          },
          .changed = [this](std::size_t saes, std::string_view why) {
            return node_.record({.action = "id-1.saes", .outcome = audit::Outcome::success, .subject = "", .object = std::to_string(saes) + " SAEs",
                                 .reason = std::string(why), .request_id = ""});
          }};
}

Result<void> SaeFront::open() {
  std::vector<net::ForeignService> services;
  services.reserve(settings_.served.size());
  for (const SaeStandard standard : settings_.served) {
    services.push_back(standard == SaeStandard::etsi014 ? kme::etsi014::make_service(delivery_, directory_.registry())
                                                        : kme::skip::make_service(delivery_, directory_.registry()));
  }
  ASSIGN_OR_RETURN(listener_, net::ForeignListener::start(settings_.listener, std::move(services), node::refusals_of(node_, "sae.connection")));
  node::log(node::LogLevel::note, "keys for SAEs on port {}", listener_->port());
  return {};
}

void SaeFront::start() {
  directory_.start();
  filler_.start();
}

void SaeFront::stop() {
  if (listener_) listener_->stop(stop_grace);
  filler_.stop();
  directory_.stop();
  delivery_.stop();
}

Result<net::Response> SaeFront::activate(const net::Request& request) {
  ASSIGN_OR_RETURN(const kme::Activation activation, kme::read_activation(request.body));
  auto answer = delivery_.activated(*request.peer.identity, activation);
  if (!answer && answer.error().code == ErrorCode::denied && directory_.refresh(request.deadline)) {
    // The other KMS may have heard of an SAE before this one has.
    answer = delivery_.activated(*request.peer.identity, activation);
  }
  if (!answer) return fail(answer.error());
  return node::json_response(*answer);
}

Result<void> SaeFront::sweep() {
  directory_.look_at_clock();
  TRY(delivery_.sweep());
  std::vector<KeyRun> expired;
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    const UnixMs now = node_.clock().now_ms();
    ASSIGN_OR_RETURN(expired, stock_.sweep(transaction, swept_at_once_max, now));
    TRY(forget_days(transaction, now));
    return stock_.forget(transaction, now - evidence_kept_ms, evidence_max);
  }));
  TRY(record_expired(expired));
  return listener_ ? crls_.look(*listener_) : Result<void>();
}

/// As many as fit into a record stand in one.
Result<void> SaeFront::record_expired(std::span<const KeyRun> runs) {
  std::string object;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    object += (object.empty() ? "" : " ") + runs[i].text();
    if (object.size() < expired_text_max && i + 1 < runs.size()) continue;
    TRY(node_.record({.action = "sae.stock_expired", .outcome = audit::Outcome::success, .subject = "", .object = object, .reason = "past its time",
                      .request_id = ""}));
    object.clear();
  }
  return {};
}

points::NamedCounts SaeFront::stocks() {
  points::NamedCounts out;
  for (const auto& [domain, kms] : domains_) {
    if (const auto level = supply_.level(domain)) out.emplace_back(domain, level->all);
  }
  return out;
}

void SaeFront::describe(wire::Json& body) {
  wire::Json stocks = wire::Json::array();
  for (const auto& [domain, kms] : domains_) {
    const auto level = supply_.level(domain);
    if (level) stocks.push(wire::Json::object({{"domain", domain}, {"kms", kms.text()}, {"keys", level->all}, {"quantum", level->quantum}, {"peer", level->peer}}));
  }
  body.set("saes", wire::Json::object({{"port", port()}, {"names", directory_.registry().all()->size()}, {"stocks", stocks}}));
}

}  // namespace qanat::kms
