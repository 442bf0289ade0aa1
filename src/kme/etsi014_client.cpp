#include "kme/etsi014_client.hpp"

#include <algorithm>
#include <set>

#include "base/percent.hpp"
#include "kme/key_id_text.hpp"
#include "kme/secret_json.hpp"
#include "wire/json.hpp"

namespace qanat::kme::etsi014 {
namespace {

constexpr std::size_t message_max = 200;  // characters
constexpr std::int64_t count_max = std::int64_t{1} << 53;

std::unexpected<Error> bad_answer(std::string why) { return fail(ErrorCode::invalid_argument, "ETSI 014: " + std::move(why)); }

}  // namespace

std::string path_of(Method method, const SaeId& other) {
  const std::string base = "/api/v1/keys/" + to_percent(other.text());
  switch (method) {
    case Method::status:
      return base + "/status";
    case Method::enc_keys:
      return base + "/enc_keys";
    case Method::dec_keys:
      return base + "/dec_keys";
  }
  return base;
}

Result<ServerStatus> read_server_status(ByteView body) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(body));
  ServerStatus out;
  ASSIGN_OR_RETURN(out.stored_key_count, json.integer("stored_key_count", 0, count_max));
  ASSIGN_OR_RETURN(out.max_key_per_request, json.integer("max_key_per_request", 0, count_max));
  ASSIGN_OR_RETURN(out.min_key_size, json.integer("min_key_size", 0, count_max));
  ASSIGN_OR_RETURN(out.max_key_size, json.integer("max_key_size", 0, count_max));
  return out;
}

std::string write_key_request(std::uint32_t number, std::uint32_t size) { return wire::Json::object({{"number", number}, {"size", size}}).dump(); }

std::string write_key_ids(std::span<const KeyId> ids) {
  std::vector<wire::Json> list;
  list.reserve(ids.size());
  for (const KeyId& id : ids) list.push_back(wire::Json::object({{"key_ID", to_uuid(id)}}));
  return wire::Json::object({{"key_IDs", wire::Json::array(std::move(list))}}).dump();
}

Result<std::vector<Key>> read_key_container(std::span<std::uint8_t> body, std::size_t keys_max, std::uint32_t size) {
  ASSIGN_OR_RETURN(std::vector<Secret> octets, lift_base64(body, "key"));
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(ByteView(body)));
  // Table 11 of the standard prints "Keys", its example and everybody's practice "keys".
  ASSIGN_OR_RETURN(const std::vector<wire::Json> list, json.array(json.has("Keys") ? "Keys" : "keys"));
  if (list.empty() || list.size() > keys_max) return bad_answer(std::to_string(list.size()) + " keys where 1 to " + std::to_string(keys_max) + " belong");
  // Each text that was lifted is then that of one entry: there are as many, and every entry has one.
  if (octets.size() != list.size()) return bad_answer("members named key outside the list of keys, or keys that are no plain text");
  std::vector<Key> out;
  std::set<KeyId> seen;
  for (std::size_t i = 0; i < list.size(); ++i) {
    ASSIGN_OR_RETURN(const std::string id_text, list[i].text("key_ID"));
    ASSIGN_OR_RETURN(const std::string blank, list[i].text("key"));
    if (std::ranges::any_of(blank, [](char c) { return c != '#'; })) return bad_answer("a key is written with escapes");
    ASSIGN_OR_RETURN(const KeyId id, from_uuid(id_text));
    if (!seen.insert(id).second) return bad_answer("key " + id.hex() + " twice");
    if (octets[i].size() * 8 != size) return bad_answer("key " + id.hex() + " has " + std::to_string(octets[i].size() * 8) + " bits, not " + std::to_string(size));
    out.push_back({.id = id, .octets = std::move(octets[i])});
  }
  return Result<std::vector<Key>>(std::move(out));
}

Error refusal_of(unsigned status, ByteView body) {
  std::string said;
  if (const auto json = wire::Json::parse(body)) said = json->text("message").value_or("");
  said.resize(std::min(said.size(), message_max));
  std::ranges::replace_if(
      said, [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  const ErrorCode code = status == 400 ? ErrorCode::invalid_argument : status == 401 ? ErrorCode::denied : ErrorCode::unavailable;
  return {.code = code, .message = "the KME answers " + std::to_string(status) + (said.empty() ? "" : ": " + said)};
}

}  // namespace qanat::kme::etsi014
