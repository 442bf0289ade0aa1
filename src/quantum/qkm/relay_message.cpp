#include "quantum/qkm/relay_message.hpp"

#include <algorithm>

#include "crypto/aead.hpp"
#include "crypto/kdf.hpp"
#include "node/subscriber.hpp"
#include "wire/reader.hpp"

namespace qanat::qkm {
namespace {

constexpr wire::Bounds domain_bounds{.min = 1, .max = 32};
constexpr wire::Bounds name_bounds{.min = 1, .max = 64};

bool is_domain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

Result<std::string> read_domain(wire::Reader& in, std::string_view field) {
  ASSIGN_OR_RETURN(std::string domain, in.text(field, domain_bounds));
  if (!is_domain(domain)) return fail(ErrorCode::invalid_argument, std::string(field) + ": a domain has a-z, 0-9 and '-' alone");
  return domain;
}

Result<std::vector<ElementName>> read_path(wire::Reader& in) {
  ASSIGN_OR_RETURN(const std::uint8_t count, in.u8("relay.nodes"));
  if (count < 2 || count > relay_nodes_max) return fail(ErrorCode::invalid_argument, "relay.nodes = " + std::to_string(count) + ": must be between 2 and 16");
  std::vector<ElementName> path;
  path.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(const std::string text, in.text("relay.node", name_bounds));
    ASSIGN_OR_RETURN(ElementName node, node::parse_element_name(text));
    if (std::ranges::find(path, node) != path.end()) return fail(ErrorCode::invalid_argument, "relay.node: " + text + " stands in the path twice");
    path.push_back(std::move(node));
  }
  return path;
}

template <class IdType>
Result<IdType> read_id(wire::Reader& in, std::string_view field) {
  ASSIGN_OR_RETURN(const ByteView octets, in.fixed(field, IdType::size));
  return IdType(octets);
}

Result<RelayHeader> read_header(wire::Reader& in) {
  ASSIGN_OR_RETURN(const std::uint8_t version, in.u8("relay.version"));
  if (version != relay_version) return fail(ErrorCode::invalid_argument, "relay.version = " + std::to_string(version) + ": must be 1");
  RelayHeader out;
  ASSIGN_OR_RETURN(out.relay_id, read_id<KeyId>(in, "relay.id"));
  ASSIGN_OR_RETURN(const PathId path_id, read_id<PathId>(in, "relay.path_id"));
  ASSIGN_OR_RETURN(out.origin_domain, read_domain(in, "relay.origin_domain"));
  ASSIGN_OR_RETURN(out.destination_domain, read_domain(in, "relay.destination_domain"));
  ASSIGN_OR_RETURN(out.path, read_path(in));
  if (path_id_of(out.path) != path_id) return fail(ErrorCode::invalid_argument, "relay.path_id: is not that of the path");
  ASSIGN_OR_RETURN(out.hop, in.u8("relay.hop"));
  if (out.hop == 0 || out.hop >= out.path.size())
    return fail(ErrorCode::invalid_argument, "relay.hop = " + std::to_string(out.hop) + ": lies outside of the path");
  ASSIGN_OR_RETURN(out.pad_id, read_id<KeyId>(in, "relay.pad_id"));
  ASSIGN_OR_RETURN(out.mac_id, read_id<KeyId>(in, "relay.mac_id"));
  if (out.pad_id == out.mac_id) return fail(ErrorCode::invalid_argument, "relay.mac_id: one link key cannot be pad and MAC key");
  return out;
}

Result<void> check_size(const Secret& secret, std::string_view what) {
  if (secret.size() == relay_secret_size) return {};
  return fail(ErrorCode::invalid_argument, std::string(what) + ": " + std::to_string(secret.size()) + " octets where 32 belong");
}

Secret expand(const Secret& secret, std::string_view label) { return crypto::hkdf_expand(crypto::Hash::sha256, secret, {as_bytes(label)}, relay_secret_size); }

}  // namespace

PathId path_id_of(std::span<const ElementName> path) {
  Bytes names;
  for (const ElementName& node : path) {
    names.push_back(static_cast<std::uint8_t>(node.text().size()));
    append(names, node.view());
  }
  return PathId(ByteView(crypto::digest(crypto::Hash::sha256, names)).first(PathId::size));
}

Result<Bytes> protect(const RelayHeader& header, const Secret& secret, const Secret& pad, const Secret& mac_key) {
  TRY(check_size(secret, "relay: secret"));
  TRY(check_size(pad, "relay: pad"));
  TRY(check_size(mac_key, "relay: MAC key"));
  wire::Writer out;
  out.u8(relay_version);
  out.raw(header.relay_id.view());
  out.raw(path_id_of(header.path).view());
  out.opaque("relay.origin_domain", header.origin_domain, domain_bounds);
  out.opaque("relay.destination_domain", header.destination_domain, domain_bounds);
  out.u8(static_cast<std::uint8_t>(std::min<std::size_t>(header.path.size(), 255)));
  for (const ElementName& node : header.path) out.opaque("relay.node", node.text(), name_bounds);
  out.u8(header.hop);
  out.raw(header.pad_id.view());
  out.raw(header.mac_id.view());
  ASSIGN_OR_RETURN(Bytes octets, std::move(out).finish());
  wire::Reader again(octets);
  TRY(read_header(again));
  Secret masked = secret.duplicate();
  masked.xor_with(pad);
  append(octets, masked.reveal());  // under the one-time pad: public from here on
  append(octets, crypto::poly1305(mac_key, octets));
  return octets;
}

Result<RelayMessage> parse_relay(ByteView octets) {
  wire::Reader in(octets);
  RelayMessage out;
  ASSIGN_OR_RETURN(out.header, read_header(in));
  ASSIGN_OR_RETURN(const ByteView ciphertext, in.fixed("relay.ciphertext", relay_secret_size));
  out.ciphertext = to_bytes(ciphertext);
  out.authenticated = in.position();
  ASSIGN_OR_RETURN(const ByteView tag, in.fixed("relay.tag", relay_tag_size));
  out.tag = to_bytes(tag);
  TRY(in.finish());
  return out;
}

Result<Secret> unprotect(ByteView octets, const RelayMessage& message, const Secret& pad, const Secret& mac_key) {
  TRY(check_size(pad, "relay: pad"));
  TRY(check_size(mac_key, "relay: MAC key"));
  if (!equal_constant_time(crypto::poly1305(mac_key, octets.first(message.authenticated)), message.tag)) {
    return fail(ErrorCode::denied,
                "relay " + message.header.relay_id.hex() + ": the tag does not hold; the message was altered, or the link's ends hold different keys");
  }
  Secret secret = Secret::copy_of(message.ciphertext);
  secret.xor_with(pad);
  return Result<Secret>(std::move(secret));
}

// The secret is uniform, drawn by the device: it serves as HKDF's PRK itself (RFC 5869, 3.3).
Secret relayed_key(const Secret& secret) { return expand(secret, "qanat relayed key"); }

Bytes relay_confirmation(const Secret& secret, const KeyId& relay_id) {
  return crypto::hmac(crypto::Hash::sha256, expand(secret, "qanat relay confirm"), {relay_id.view()});
}

Bytes write_relay_answer(const KeyId& relay_id, ByteView confirmation) { return concat({Bytes{relay_version}, relay_id.view(), confirmation}); }

Result<Bytes> parse_relay_answer(ByteView octets, const KeyId& relay_id) {
  wire::Reader in(octets);
  ASSIGN_OR_RETURN(const std::uint8_t version, in.u8("relay answer.version"));
  if (version != relay_version) return fail(ErrorCode::invalid_argument, "relay answer.version = " + std::to_string(version) + ": must be 1");
  ASSIGN_OR_RETURN(const KeyId answered, read_id<KeyId>(in, "relay answer.id"));
  ASSIGN_OR_RETURN(const ByteView confirmation, in.fixed("relay answer.confirmation", relay_confirmation_size));
  TRY(in.finish());
  if (answered != relay_id) return fail(ErrorCode::denied, "relay " + relay_id.hex() + ": the answer is to another relay");
  return to_bytes(confirmation);
}

}  // namespace qanat::qkm
