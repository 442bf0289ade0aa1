#include "kme/etsi020.hpp"

#include <algorithm>
#include <iterator>
#include <set>

#include "kme/caller.hpp"
#include "kme/key_id_text.hpp"
#include "kme/secret_json.hpp"
#include "wire/json.hpp"

namespace qanat::kme::etsi020 {
namespace {

constexpr std::size_t body_max = 256 * 1024;  // octets
constexpr std::size_t url_max = 1024;
constexpr std::size_t ids_max = 1024;
constexpr std::size_t acks_max = 64;
constexpr std::size_t message_max = 200;

std::unexpected<Error> bad(std::string why) { return fail(ErrorCode::invalid_argument, std::move(why)); }

std::string_view name(AckStatus status) {
  switch (status) {
    case AckStatus::relayed:
      return "relayed";
    case AckStatus::voided:
      return "voided";
    case AckStatus::failed:
      return "failed";
    case AckStatus::not_present:
      return "key not present";
    case AckStatus::failed_to_void:
      return "failed to void";
  }
  return "failed";
}

Result<AckStatus> read_status(std::string_view text) {
  for (const AckStatus status : {AckStatus::relayed, AckStatus::voided, AckStatus::failed, AckStatus::not_present, AckStatus::failed_to_void}) {
    if (name(status) == text) return status;
  }
  return bad("ack_status: is none of relayed, voided, failed, key not present, failed to void");
}

std::string_view title(unsigned status) {
  if (status == 400) return "Bad Request";
  if (status == 401) return "Unauthorized";
  if (status == 404) return "Not Found";
  return status < 500 ? "Refused" : "Service Unavailable";
}

Result<std::vector<KeyId>> read_ids(const wire::Json& list) {
  ASSIGN_OR_RETURN(const std::vector<wire::Json> entries, list.as_array());
  if (entries.empty() || entries.size() > ids_max) return bad("key_ids: 1 to " + std::to_string(ids_max) + " belong here");
  std::vector<KeyId> out;
  for (const wire::Json& entry : entries) {
    ASSIGN_OR_RETURN(const std::string text, entry.text("key_id"));
    ASSIGN_OR_RETURN(const KeyId id, from_uuid(text));
    out.push_back(id);
  }
  return out;
}

wire::Json ids_json(std::span<const KeyId> ids) {
  std::vector<wire::Json> out;
  for (const KeyId& id : ids) out.push_back(wire::Json::object({{"key_id", to_uuid(id)}}));
  return wire::Json::array(std::move(out));
}

unsigned status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
    case ErrorCode::not_found:
    case ErrorCode::conflict:
      return 400;
    case ErrorCode::unauthenticated:
    case ErrorCode::denied:
      return 401;
    case ErrorCode::exhausted:
    case ErrorCode::unavailable:
    case ErrorCode::deadline_exceeded:
    case ErrorCode::internal:
      return 503;
  }
  return 503;
}

net::ForeignResponse refusal(unsigned status, std::string_view why) { return json_answer(status, render_error(status, why)); }
/// What failed in here is not told in its own words.
net::ForeignResponse failed(const Error& error) { return refusal(status_of(error.code), error.code == ErrorCode::internal ? "internal error" : error.message); }

class Service {
 public:
  Service(Provider& provider, const SaeRegistry& registry, SendAck ack, TakeAcks take_acks)
      : provider_(provider), registry_(registry), ack_(std::move(ack)), take_acks_(std::move(take_acks)) {}

  void ext_keys(net::ForeignRequest request, net::ForeignReply reply) const {
    auto keys = read_ext_keys(request.body, provider_.limits());
    wipe(request.body);
    const std::string kme = other_kme(*request.peer);
    if (const auto allowed = keys ? check(kme, *keys) : Result<void>(fail(keys.error())); !allowed) {
      return refuse(request, "etsi020.ext_keys", allowed.error(), std::move(reply));
    }
    std::vector<KeyId> ids;
    for (const Key& key : keys->keys) ids.push_back(key.id);
    Caller from = stranger(request);
    from.sae = SaeId(kme);
    ExternalKeys external{
        .initiator = keys->initiator, .targets = keys->targets, .keys = std::move(keys->keys), .from = std::move(from), .deadline = request.deadline};
    provider_.accept(std::move(external), [reply = std::move(reply), ack = ack_, kme, ids, url = keys->ack_callback_url, initiator = keys->initiator,
                                           targets = keys->targets](Result<void> stored) mutable {
      if (!stored) return reply(failed(stored.error()));
      reply({.status = 202, .content_type = "", .body = {}});
      for (const SaeId& target : targets) ack(kme, url, render_ack(ids, AckStatus::relayed, initiator, target, ""));
    });
  }

  void void_keys(const net::ForeignRequest& request, net::ForeignReply reply) const {
    const std::string kme = other_kme(*request.peer);
    const auto wanted = read_void(request.body);
    if (const auto allowed = wanted ? check_initiator(kme, wanted->initiator) : Result<void>(fail(wanted.error())); !allowed) {
      return refuse(request, "etsi020.void", allowed.error(), std::move(reply));
    }
    provider_.discard(wanted->initiator, wanted->ids, [reply = std::move(reply), asked = wanted->ids](Result<std::vector<KeyId>> gone) mutable {
      if (!gone) return reply(failed(gone.error()));
      std::vector<KeyId> absent;
      std::ranges::copy_if(asked, std::back_inserter(absent), [&](const KeyId& id) { return std::ranges::find(*gone, id) == gone->end(); });
      wire::Json out = wire::Json::array();
      for (const auto& [ids, status] : {std::pair{&*gone, AckStatus::voided}, {&absent, AckStatus::not_present}}) {
        // A container without keys says nothing, and is malformed by the rule for acknowledgements.
        if (!ids->empty()) out.push(wire::Json::object({{"key_ids", ids_json(*ids)}, {"ack_status", name(status)}}));
      }
      reply(json_answer(200, out.dump()));
    });
  }

  void acks(const net::ForeignRequest& request, net::ForeignReply reply) const {
    const std::string kme = other_kme(*request.peer);
    auto said = read_acks(request.body);
    Result<void> allowed = said ? Result<void>() : Result<void>(fail(said.error()));
    if (allowed && kme.empty()) allowed = fail(ErrorCode::unauthenticated, "no key manager that this one knows");
    for (std::size_t i = 0; allowed && i < said->size(); ++i) {
      const auto target = registry_.find((*said)[i].target);
      if (target == nullptr || target->here || target->kme != kme)
        allowed = fail(ErrorCode::denied, "SAE " + (*said)[i].target.text() + " is not served by " + kme);
    }
    if (!allowed) return refuse(request, "etsi020.ack", allowed.error(), std::move(reply));
    take_acks_(kme, std::move(*said), [reply = std::move(reply)](const Result<void>& taken) mutable {
      if (!taken) return reply(failed(taken.error()));
      reply({.status = 200, .content_type = "", .body = {}});
    });
  }

 private:
  /// The first of the certificate's names that the registry has as somebody else's key manager.
  std::string other_kme(const net::ForeignPeer& peer) const {
    for (const std::string& name : peer.names) {
      const auto all = registry_.all();
      for (const auto& [id, sae] : *all) {
        if (!sae.here && sae.kme == name) return name;
      }
    }
    return "";
  }
  Result<void> check_initiator(const std::string& kme, const SaeId& initiator) const {
    const auto sae = registry_.find(initiator);
    if (kme.empty()) return fail(ErrorCode::unauthenticated, "no key manager that this one knows");
    if (sae == nullptr || sae->here || sae->kme != kme) return fail(ErrorCode::denied, "SAE " + initiator.text() + " is not served by " + kme);
    return {};
  }
  Result<void> check(const std::string& kme, const ExtKeys& keys) const {
    TRY(check_initiator(kme, keys.initiator));
    for (const SaeId& target : keys.targets) {
      const auto sae = registry_.find(target);
      if (sae == nullptr || !sae->here) return bad("no route to SAE " + target.text());
    }
    return {};
  }
  void refuse(const net::ForeignRequest& request, std::string_view action, const Error& error, net::ForeignReply reply) const {
    provider_.record_refusal(stranger(request), action, error.message,
                             [reply = std::move(reply), error]() mutable { reply(failed(error)); });
  }

  Provider& provider_;
  const SaeRegistry& registry_;
  SendAck ack_;
  TakeAcks take_acks_;
};

}  // namespace

Result<ExtKeys> read_ext_keys(std::span<std::uint8_t> body, const Limits& limits) {
  ASSIGN_OR_RETURN(std::vector<Secret> octets, lift_base64(body, "value"));
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(ByteView(body)));
  TRY(json.only({"keys", "initiator_sae_id", "target_sae_ids", "ack_callback_url", "extension_mandatory", "extension_optional"}));
  if (json.has("extension_mandatory")) {
    ASSIGN_OR_RETURN(const std::vector<wire::Json> mandatory, json.array("extension_mandatory"));
    if (!mandatory.empty()) return bad("not all extension_mandatory parameters are supported");
  }
  ExtKeys out;
  ASSIGN_OR_RETURN(const std::string initiator, json.text("initiator_sae_id"));
  out.initiator = SaeId(initiator);
  ASSIGN_OR_RETURN(const std::vector<std::string> targets, json.texts("target_sae_ids"));
  for (const std::string& target : targets) {
    if (std::ranges::find(out.targets, SaeId(target)) != out.targets.end()) return bad("target_sae_ids: a name stands there twice");
    out.targets.emplace_back(target);
  }
  if (out.targets.empty() || out.targets.size() > limits.max_sae_id_count) return bad("target_sae_ids: 1 to " + std::to_string(limits.max_sae_id_count));
  ASSIGN_OR_RETURN(out.ack_callback_url, json.text("ack_callback_url"));
  if (!out.ack_callback_url.starts_with("https://") || out.ack_callback_url.size() > url_max) return bad("ack_callback_url: must be an https address");
  ASSIGN_OR_RETURN(const std::vector<wire::Json> keys, json.array("keys"));
  if (keys.empty() || keys.size() > limits.max_key_per_request || keys.size() != octets.size()) {
    return bad("keys: 1 to " + std::to_string(limits.max_key_per_request) + ", each with one key_id and one value");
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    TRY(keys[i].only({"key_id", "value"}));
    TRY(keys[i].text("value"));
    ASSIGN_OR_RETURN(const std::string text, keys[i].text("key_id"));
    ASSIGN_OR_RETURN(const KeyId id, from_uuid(text));
    const std::size_t bits = 8 * octets[i].size();
    if (bits < limits.min_key_size || bits > limits.max_key_size) return bad("keys: a value is too short or too long");
    if (std::ranges::any_of(out.keys, [&](const Key& key) { return key.id == id; })) return bad("keys: a key_id stands there twice");
    out.keys.push_back({.id = id, .octets = std::move(octets[i])});
  }
  return Result<ExtKeys>(std::move(out));
}

Result<std::vector<Ack>> read_acks(ByteView body) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(body));
  ASSIGN_OR_RETURN(const std::vector<wire::Json> entries, json.as_array());
  if (entries.empty() || entries.size() > acks_max) return bad("1 to " + std::to_string(acks_max) + " acknowledgements belong here");
  std::vector<Ack> out;
  for (const wire::Json& entry : entries) {
    Ack ack;
    ASSIGN_OR_RETURN(const wire::Json ids, entry.at("key_ids"));
    ASSIGN_OR_RETURN(ack.ids, read_ids(ids));
    if (std::set(ack.ids.begin(), ack.ids.end()).size() != ack.ids.size()) return bad("key_ids: a key_id stands there twice");
    ASSIGN_OR_RETURN(const std::string status, entry.text("ack_status"));
    ASSIGN_OR_RETURN(ack.status, read_status(status));
    ASSIGN_OR_RETURN(std::string initiator, entry.text("initiator_sae_id"));
    ASSIGN_OR_RETURN(std::string target, entry.text("target_sae_id"));
    if (initiator.empty() || initiator.size() > sae_id_size_max || target.empty() || target.size() > sae_id_size_max) return bad("not the name of an SAE");
    ack.initiator = SaeId(std::move(initiator));
    ack.target = SaeId(std::move(target));
    ASSIGN_OR_RETURN(const auto message, entry.optional_text("message"));
    ack.message = message.value_or("").substr(0, message_max);
    std::ranges::replace_if(
        ack.message, [](char c) { return c < 0x20 || c > 0x7e; }, '?');
    out.push_back(std::move(ack));
  }
  return out;
}

Result<VoidRequest> read_void(ByteView body) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(body));
  TRY(json.only({"key_ids", "initiator_sae_id", "target_sae_ids", "all_confirmation", "ack_callback_url"}));
  VoidRequest out;
  ASSIGN_OR_RETURN(const std::string initiator, json.text("initiator_sae_id"));
  out.initiator = SaeId(initiator);
  if (json.has("key_ids")) {
    ASSIGN_OR_RETURN(const wire::Json list, json.at("key_ids"));
    ASSIGN_OR_RETURN(out.ids, read_ids(list));
    return out;
  }
  ASSIGN_OR_RETURN(const auto all, json.optional_boolean("all_confirmation"));
  if (!all || !*all) return bad("key_ids may be left out only with all_confirmation true");
  return out;
}

std::string render_ack(std::span<const KeyId> ids, AckStatus status, const SaeId& initiator, const SaeId& target, std::string_view message) {
  wire::Json entry = wire::Json::object({{"key_ids", ids_json(ids)},
                                         {"ack_status", name(status)},
                                         {"initiator_sae_id", initiator.text()},
                                         {"target_sae_id", target.text()}});
  if (!message.empty()) entry.set("message", message);
  return wire::Json::array({entry}).dump();
}

std::string render_error(unsigned status, std::string_view details) {
  std::string plain(details);
  std::ranges::replace_if(plain, [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
  return wire::Json::object({{"type", "about:blank"}, {"status", status}, {"title", title(status)}, {"details", plain}}).dump();
}

net::ForeignService make_service(Provider& provider, const SaeRegistry& registry, SendAck ack, TakeAcks take_acks) {
  const Service service(provider, registry, std::move(ack), std::move(take_acks));
  net::ForeignService out{.prefix = "/kmapi/", .routes = {}, .refuse = refusal};
  out.routes.push_back({.point = "etsi020", .method = "POST", .pattern = "/kmapi/v1/ext_keys", .body_max = body_max,
                        .answer = [service](net::ForeignRequest asked, net::ForeignReply reply) { service.ext_keys(std::move(asked), std::move(reply)); }});
  out.routes.push_back({.point = "etsi020", .method = "POST", .pattern = "/kmapi/v1/ext_keys/void", .body_max = body_max,
                        .answer = [service](const net::ForeignRequest& asked, net::ForeignReply reply) { service.void_keys(asked, std::move(reply)); }});
  out.routes.push_back({.point = "etsi020", .method = "POST", .pattern = "/kmapi/v1/ext_keys/ack", .body_max = body_max,
                        .answer = [service](const net::ForeignRequest& asked, net::ForeignReply reply) { service.acks(asked, std::move(reply)); }});
  out.routes.push_back(
      {.point = "etsi020", .method = "GET", .pattern = "/kmapi/versions", .body_max = 0, .answer = [](const net::ForeignRequest&, net::ForeignReply reply) {
         reply(json_answer(200, R"({"versions":["v1"]})"));
       }});
  return out;
}

}  // namespace qanat::kme::etsi020
