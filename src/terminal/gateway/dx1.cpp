#include "terminal/gateway/dx1.hpp"

#include <algorithm>
#include <limits>

#include "kme/key_id_text.hpp"

namespace qanat::terminal::gateway {
namespace {

Result<std::string> read_tunnel(const wire::Json& body) {
  ASSIGN_OR_RETURN(std::string tunnel, body.text("tunnel"));
  if (!is_tunnel_name(tunnel)) return fail(ErrorCode::invalid_argument, "Dx-1: tunnel: no name of a tunnel");
  return tunnel;
}

wire::Json write_ids(const std::vector<KeyId>& ids) {
  wire::Json out = wire::Json::array(std::vector<wire::Json>());
  for (const KeyId& id : ids) out.push(kme::to_uuid(id));
  return out;
}

Result<std::vector<KeyId>> read_ids(const wire::Json& body, std::string_view member) {
  ASSIGN_OR_RETURN(const std::vector<std::string> texts, body.texts(member));
  if (texts.size() > dx1_keys_max)
    return fail(ErrorCode::invalid_argument, "Dx-1: " + std::string(member) + ": more than " + std::to_string(dx1_keys_max) + " keys");
  std::vector<KeyId> out;
  for (const std::string& text : texts) {
    ASSIGN_OR_RETURN(const KeyId id, kme::from_uuid(text));
    if (std::ranges::find(out, id) != out.end()) return fail(ErrorCode::invalid_argument, "Dx-1: " + std::string(member) + ": a key twice");
    out.push_back(id);
  }
  return out;
}

}  // namespace

bool is_tunnel_name(std::string_view text) noexcept {
  return !text.empty() && text.size() <= tunnel_name_max &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

wire::Json write(const Dx1Key& message) { return wire::Json::object({{"tunnel", message.tunnel}, {"key", kme::to_uuid(message.key)}}); }

Result<Dx1Key> read_dx1_key(const wire::Json& body) {
  TRY(body.only({"tunnel", "key"}));
  Dx1Key out;
  ASSIGN_OR_RETURN(out.tunnel, read_tunnel(body));
  ASSIGN_OR_RETURN(const std::string key, body.text("key"));
  ASSIGN_OR_RETURN(out.key, kme::from_uuid(key));
  return out;
}

wire::Json write(const Dx1Loaded& message) {
  wire::Json out = wire::Json::object({{"tunnel", message.tunnel}, {"turn", message.turn}, {"keep", write_ids(message.keep)}});
  if (message.in_force) out.set("in_force", kme::to_uuid(*message.in_force));
  return out;
}

Result<Dx1Loaded> read_dx1_loaded(const wire::Json& body) {
  TRY(body.only({"tunnel", "turn", "in_force", "keep"}));
  Dx1Loaded out;
  ASSIGN_OR_RETURN(out.tunnel, read_tunnel(body));
  ASSIGN_OR_RETURN(out.turn, body.integer("turn", 1, std::numeric_limits<std::int64_t>::max() - 1));
  ASSIGN_OR_RETURN(const auto in_force, body.optional_text("in_force"));
  if (in_force) {
    ASSIGN_OR_RETURN(const KeyId id, kme::from_uuid(*in_force));
    out.in_force = id;
  }
  ASSIGN_OR_RETURN(out.keep, read_ids(body, "keep"));
  if (out.in_force && std::ranges::find(out.keep, *out.in_force) == out.keep.end()) {
    return fail(ErrorCode::invalid_argument, "Dx-1: in_force: is not among the keys to keep");
  }
  return out;
}

wire::Json write_loaded(const std::vector<KeyId>& loaded) { return wire::Json::object({{"loaded", write_ids(loaded)}}); }

Result<std::vector<KeyId>> read_loaded(const wire::Json& body) {
  TRY(body.only({"loaded"}));
  return read_ids(body, "loaded");
}

}  // namespace qanat::terminal::gateway
