#include "kme/etsi014.hpp"

#include <algorithm>
#include <charconv>

#include "kme/key_id_text.hpp"
#include "wire/secret_text.hpp"
#include "net/foreign_routes.hpp"
#include "points/relay_path.hpp"

namespace qanat::kme::etsi014 {
namespace {

// Clause 5, word for word.
constexpr const char* size_not_octets = "size shall be a multiple of 8";
constexpr const char* mandatory_unknown = "not all extension_mandatory parameters are supported";
constexpr std::string_view standards_words[] = {size_not_octets, mandatory_unknown, demands_unmet};
constexpr std::int64_t paths_max = 64;
constexpr std::int64_t relays_max = points::relay_nodes_max - 2;
constexpr std::size_t quoted_max = 64;  // octets of a name that came, in a refusal

std::unexpected<Error> bad(std::string why) { return fail(ErrorCode::invalid_argument, std::move(why)); }
std::unexpected<Error> bad(std::string_view standard, std::string_view detail) { return bad(std::string(standard) + ": " + std::string(detail)); }

Result<std::uint32_t> check_number(std::int64_t number, const Limits& limits) {
  if (number >= 1 && number <= limits.max_key_per_request) return static_cast<std::uint32_t>(number);
  return bad("number shall be between 1 and " + std::to_string(limits.max_key_per_request));
}

Result<std::uint32_t> check_size(std::int64_t size, const Limits& limits) {
  if (size % 8 != 0) return bad(size_not_octets);
  if (size >= limits.min_key_size && size <= limits.max_key_size) return static_cast<std::uint32_t>(size);
  return bad("size shall be between " + std::to_string(limits.min_key_size) + " and " + std::to_string(limits.max_key_size) + " bits");
}

Result<std::vector<SaeId>> read_saes(const wire::Json& body, const Limits& limits) {
  std::vector<SaeId> out;
  if (!body.has("additional_slave_SAE_IDs")) return out;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, body.texts("additional_slave_SAE_IDs"));
  if (names.size() > limits.max_sae_id_count) return bad("additional_slave_SAE_IDs: at most " + std::to_string(limits.max_sae_id_count));
  for (const std::string& name : names) out.emplace_back(name);
  return out;
}

enum class Must : std::uint8_t { be_met, be_tried };

Result<void> read_way(const wire::Json& asked, Demands& out) {
  ASSIGN_OR_RETURN(const auto way, asked.optional_text("way"));
  if (!way) return {};
  out.hop_by_hop = *way == "hop_by_hop";
  out.centralised = *way == "centralised";
  return out.hop_by_hop || out.centralised ? Result<void>() : bad("way: must be hop_by_hop or centralised");
}

/// What must be proved of a key, in the words of Km-3.
Result<Demands> read_quality(const wire::Json& asked) {
  Demands out{.paths = 1, .quantum = true};
  ASSIGN_OR_RETURN(out.proof, points::read_named_demand(asked));
  TRY(read_way(asked, out));
  ASSIGN_OR_RETURN(const auto relays, asked.optional_integer("relays_max", 0, relays_max));
  if (relays) out.relays_max = static_cast<std::uint32_t>(*relays);
  return out;
}

Result<Demands> read_assurance(const wire::Json& value) {
  if (!value.is_object()) {
    ASSIGN_OR_RETURN(const std::string assurance, value.as_text());
    if (assurance != "quantum" && assurance != "any") return bad(demands_unmet, "qanat_assurance: must be quantum, any or an object");
    return Demands{.paths = 1, .quantum = assurance == "quantum"};
  }
  if (const auto known = value.only({"bound", "eps_max", "photons", "way", "relays_max"}); !known) return bad(mandatory_unknown, known.error().message);
  auto out = read_quality(value);
  return out ? out : bad(demands_unmet, out.error().message);
}

/// One parameter of an extension object: what it asks for is added to `demands`.
Result<void> read_parameter(const wire::Json& object, const std::string& name, Demands& demands, bool& transport) {
  if (name == extension_paths) {
    ASSIGN_OR_RETURN(const std::int64_t paths, object.integer(name));
    if (paths < 1 || paths > paths_max) return bad(demands_unmet, "qanat_paths: must be between 1 and " + std::to_string(paths_max));
    demands.paths = std::max(demands.paths, static_cast<std::uint32_t>(paths));
    return {};
  }
  if (name == extension_assurance) {
    ASSIGN_OR_RETURN(const wire::Json value, object.at(name));
    ASSIGN_OR_RETURN(const Demands asked, read_assurance(value));
    demands = demands.and_also(asked);
    return {};
  }
  if (name == extension_transport) {
    ASSIGN_OR_RETURN(const bool wanted, object.boolean(name));
    transport = transport || wanted;
    return {};
  }
  return bad(mandatory_unknown, name.substr(0, quoted_max));
}

Result<void> read_extensions(const wire::Json& body, std::string_view list, Must must, KeyRequest& out) {
  ASSIGN_OR_RETURN(const auto objects, body.optional_array(list));
  if (!objects) return {};
  for (const wire::Json& object : *objects) {
    if (!object.is_object()) return bad(std::string(list) + ": shall be an array of objects");
    for (const std::string& name : object.names()) {
      if (must == Must::be_met) {
        TRY(read_parameter(object, name, out.demands, out.quantum_safe_transport));
        continue;
      }
      bool of_no_use = false;  // the connection is what it is
      static_cast<void>(read_parameter(object, name, out.wishes, of_no_use));
    }
  }
  return {};
}

Result<std::int64_t> read_integer(std::string_view name, std::string_view text) {
  std::int64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return bad(std::string(name) + " shall be an integer");
  return out;
}

}  // namespace

Result<KeyRequest> read_key_request(ByteView body, const Limits& limits) {
  KeyRequest out{.number = 1, .size = limits.key_size, .additional_slaves = {}, .demands = {}, .wishes = {}};
  if (body.empty()) return out;
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(body));
  TRY(json.only({"number", "size", "additional_slave_SAE_IDs", "extension_mandatory", "extension_optional"}));
  ASSIGN_OR_RETURN(const auto number, json.optional_integer("number"));
  if (number) {
    ASSIGN_OR_RETURN(out.number, check_number(*number, limits));
  }
  ASSIGN_OR_RETURN(const auto size, json.optional_integer("size"));
  if (size) {
    ASSIGN_OR_RETURN(out.size, check_size(*size, limits));
  }
  ASSIGN_OR_RETURN(out.additional_slaves, read_saes(json, limits));
  TRY(read_extensions(json, "extension_mandatory", Must::be_met, out));
  TRY(read_extensions(json, "extension_optional", Must::be_tried, out));
  return out;
}

Result<KeyRequest> read_key_query(std::string_view query, const Limits& limits) {
  KeyRequest out{.number = 1, .size = limits.key_size, .additional_slaves = {}, .demands = {}, .wishes = {}};
  ASSIGN_OR_RETURN(const auto pairs, net::read_query(query));
  bool number_seen = false;
  bool size_seen = false;
  for (const auto& [name, value] : pairs) {
    bool& seen = name == "number" ? number_seen : size_seen;
    if ((name != "number" && name != "size") || seen) return bad("GET takes number and size, each once; other parameters need POST");
    seen = true;
    ASSIGN_OR_RETURN(const std::int64_t read, read_integer(name, value));
    if (name == "number") {
      ASSIGN_OR_RETURN(out.number, check_number(read, limits));
    } else {
      ASSIGN_OR_RETURN(out.size, check_size(read, limits));
    }
  }
  return out;
}

Result<std::vector<KeyId>> read_key_ids(ByteView body, const Limits& limits) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(body));
  TRY(json.only({"key_IDs", "key_IDs_extension"}));
  TRY(json.optional_object("key_IDs_extension"));
  ASSIGN_OR_RETURN(const std::vector<wire::Json> list, json.array("key_IDs"));
  if (list.empty() || list.size() > limits.max_key_per_request) return bad("key_IDs: 1 to " + std::to_string(limits.max_key_per_request) + " belong here");
  std::vector<KeyId> out;
  for (const wire::Json& entry : list) {
    TRY(entry.only({"key_ID", "key_ID_extension"}));
    TRY(entry.optional_object("key_ID_extension"));
    ASSIGN_OR_RETURN(const std::string text, entry.text("key_ID"));
    ASSIGN_OR_RETURN(const KeyId id, from_uuid(text));
    if (std::ranges::find(out, id) != out.end()) return bad("key_IDs: " + text + " stands there twice");
    out.push_back(id);
  }
  return out;
}

Result<std::vector<KeyId>> read_key_id_query(std::string_view query) {
  ASSIGN_OR_RETURN(const auto pairs, net::read_query(query));
  if (pairs.size() != 1 || pairs.front().first != "key_ID") return bad("GET takes one key_ID; several need POST");
  ASSIGN_OR_RETURN(const KeyId id, from_uuid(pairs.front().second));
  return std::vector{id};
}

Secret render_key_container(const Delivery& delivery, const Caller& caller) {
  constexpr std::string_view begin = R"({"keys":[)";
  constexpr std::string_view id_field = R"({"key_ID":")";
  constexpr std::string_view key_field = R"(","key":")";
  constexpr std::string_view key_end = R"("})";
  const std::string end = R"(],"key_container_extension":{"qanat_transport":{"quantum_safe":)" + std::string(caller.quantum_safe ? "true" : "false") +
                          R"(,"group":)" + wire::Json(caller.group).dump() + "}}}";
  std::size_t size = begin.size() + end.size() + delivery.keys.size() - std::min<std::size_t>(1, delivery.keys.size());
  for (const Key& key : delivery.keys) size += id_field.size() + uuid_size + key_field.size() + wire::base64_size(key.octets.size()) + key_end.size();
  wire::SecretText out(size);
  out.add(begin);
  for (std::size_t i = 0; i < delivery.keys.size(); ++i) {
    if (i > 0) out.add(",");
    out.add(id_field).add(to_uuid(delivery.keys[i].id)).add(key_field).add_base64(delivery.keys[i].octets.reveal()).add(key_end);
  }
  out.add(end);
  return std::move(out).finish();
}

std::string render_status(const StockStatus& status, const SaeId& master, const SaeId& slave) {
  return wire::Json::object({{"source_KME_ID", status.source_kme},
                             {"target_KME_ID", status.target_kme},
                             {"master_SAE_ID", master.text()},
                             {"slave_SAE_ID", slave.text()},
                             {"key_size", status.limits.key_size},
                             {"stored_key_count", status.stored_key_count},
                             {"max_key_count", status.max_key_count},
                             {"max_key_per_request", status.limits.max_key_per_request},
                             {"max_key_size", status.limits.max_key_size},
                             {"min_key_size", status.limits.min_key_size},
                             {"max_SAE_ID_count", status.limits.max_sae_id_count}})
      .dump();
}

std::string render_error(std::string_view message) {
  std::string plain(message);
  std::ranges::replace_if(plain, [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');  // it may quote what came, and JSON is UTF-8
  for (const std::string_view words : standards_words) {
    if (!plain.starts_with(std::string(words) + ": ")) continue;
    const std::string reason = plain.substr(words.size() + 2);
    return wire::Json::object({{"message", words}, {"details", wire::Json::array({wire::Json::object({{"reason", reason}})})}}).dump();
  }
  return wire::Json::object({{"message", plain}}).dump();
}

}  // namespace qanat::kme::etsi014
