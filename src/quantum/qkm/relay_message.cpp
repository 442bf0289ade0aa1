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
  if (count < 2 || count > relay_nodes_max)
    return fail(ErrorCode::invalid_argument, "relay.nodes = " + std::to_string(count) + ": must be between 2 and " + std::to_string(relay_nodes_max));
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

Result<std::vector<KeyRun>> read_runs(wire::Reader& in) {
  ASSIGN_OR_RETURN(const std::uint8_t count, in.u8("relay.runs"));
  if (count == 0 || count > relay_runs_max) return fail(ErrorCode::invalid_argument, "relay.runs = " + std::to_string(count) + ": must be between 1 and 128");
  std::vector<KeyRun> out;
  out.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    KeyRun run;
    ASSIGN_OR_RETURN(run.batch, read_id<BatchId>(in, "relay.run"));
    ASSIGN_OR_RETURN(run.first, in.u16("relay.run.first"));
    ASSIGN_OR_RETURN(run.count, in.u16("relay.run.count"));
    if (run.count == 0 || run.first + run.count > chunk_keys_max) return fail(ErrorCode::invalid_argument, "relay.run: lies outside of a chunk");
    // Of two runs with a key in common one would be refused as used; one key as pad and MAC key, or as pad twice, must not even be tried.
    for (const KeyRun& other : out) {
      const bool apart = run.batch != other.batch || run.first >= other.first + other.count || other.first >= run.first + run.count;
      if (!apart) return fail(ErrorCode::invalid_argument, "relay.run: a link key stands there twice");
    }
    out.push_back(run);
  }
  return out;
}

Result<RelayHeader> read_header(wire::Reader& in) {
  ASSIGN_OR_RETURN(const std::uint8_t version, in.u8("relay.version"));
  if (version != relay_version) return fail(ErrorCode::invalid_argument, "relay.version = " + std::to_string(version) + ": must be 3");
  RelayHeader out;
  ASSIGN_OR_RETURN(out.relay_id, read_id<BatchId>(in, "relay.id"));
  ASSIGN_OR_RETURN(const PathId path_id, read_id<PathId>(in, "relay.path_id"));
  ASSIGN_OR_RETURN(out.origin_domain, read_domain(in, "relay.origin_domain"));
  ASSIGN_OR_RETURN(out.destination_domain, read_domain(in, "relay.destination_domain"));
  ASSIGN_OR_RETURN(out.path, read_path(in));
  if (path_id_of(out.path) != path_id) return fail(ErrorCode::invalid_argument, "relay.path_id: is not that of the path");
  ASSIGN_OR_RETURN(out.hop, in.u8("relay.hop"));
  if (out.hop == 0 || out.hop >= out.path.size())
    return fail(ErrorCode::invalid_argument, "relay.hop = " + std::to_string(out.hop) + ": lies outside of the path");
  ASSIGN_OR_RETURN(out.demand, points::read_demand(in, "relay.demand"));
  ASSIGN_OR_RETURN(out.proof, points::read_proof(in, "relay.proof"));
  ASSIGN_OR_RETURN(out.secrets, in.u16("relay.secrets"));
  if (out.secrets == 0 || out.secrets > relay_secrets_max)
    return fail(ErrorCode::invalid_argument, "relay.secrets = " + std::to_string(out.secrets) + ": must be between 1 and 256");
  ASSIGN_OR_RETURN(out.runs, read_runs(in));
  if (keys_in(out.runs) != out.secrets + 1U) return fail(ErrorCode::invalid_argument, "relay.runs: must have one key more than there are secrets");
  return out;
}

void write_header(wire::Writer& out, const RelayHeader& header) {
  out.u8(relay_version);
  out.raw(header.relay_id.view());
  out.raw(path_id_of(header.path).view());
  out.opaque("relay.origin_domain", header.origin_domain, domain_bounds);
  out.opaque("relay.destination_domain", header.destination_domain, domain_bounds);
  out.u8(static_cast<std::uint8_t>(std::min<std::size_t>(header.path.size(), 255)));
  for (const ElementName& node : header.path) out.opaque("relay.node", node.text(), name_bounds);
  out.u8(header.hop);
  points::write(out, header.demand);
  points::write(out, header.proof);
  out.u16(header.secrets);
  out.u8(static_cast<std::uint8_t>(std::min<std::size_t>(header.runs.size(), 255)));
  for (const KeyRun& run : header.runs) {
    out.raw(run.batch.view());
    out.u16(static_cast<std::uint16_t>(run.first));
    out.u16(static_cast<std::uint16_t>(run.count));
  }
}

Result<void> check_size(const Secret& secret, std::size_t keys, std::string_view what) {
  if (secret.size() == keys * relay_secret_size) return {};
  return fail(ErrorCode::invalid_argument,
              std::string(what) + ": " + std::to_string(secret.size()) + " octets where " + std::to_string(keys * relay_secret_size) + " belong");
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

Result<Bytes> protect(const RelayHeader& header, const Secret& secrets, const HopKeys& keys) {
  TRY(check_size(secrets, header.secrets, "relay: secrets"));
  TRY(check_size(keys.pads, header.secrets, "relay: pads"));
  TRY(check_size(keys.mac, 1, "relay: MAC key"));
  if (keys.runs != header.runs) return fail(ErrorCode::invalid_argument, "relay: the keys are not those that the header names");
  wire::Writer out;
  write_header(out, header);
  ASSIGN_OR_RETURN(Bytes octets, std::move(out).finish());
  wire::Reader again(octets);
  TRY(read_header(again));
  TRY(again.finish());
  Secret masked = secrets.duplicate();
  masked.xor_with(keys.pads);
  append(octets, masked.reveal());  // under the one-time pads: public from here on
  append(octets, crypto::poly1305(keys.mac, octets));
  return octets;
}

Result<RelayMessage> parse_relay(ByteView octets) {
  wire::Reader in(octets);
  RelayMessage out;
  ASSIGN_OR_RETURN(out.header, read_header(in));
  ASSIGN_OR_RETURN(const ByteView ciphertext, in.fixed("relay.ciphertext", out.header.secrets * relay_secret_size));
  out.ciphertext = to_bytes(ciphertext);
  out.authenticated = in.position();
  ASSIGN_OR_RETURN(const ByteView tag, in.fixed("relay.tag", relay_tag_size));
  out.tag = to_bytes(tag);
  TRY(in.finish());
  return out;
}

Result<Secret> unprotect(ByteView octets, const RelayMessage& message, const HopKeys& keys) {
  TRY(check_size(keys.pads, message.header.secrets, "relay: pads"));
  TRY(check_size(keys.mac, 1, "relay: MAC key"));
  if (!equal_constant_time(crypto::poly1305(keys.mac, octets.first(message.authenticated)), message.tag)) {
    return fail(ErrorCode::denied,
                "relay " + message.header.relay_id.hex() + ": the tag does not hold; the message was altered, or the link's ends hold different keys");
  }
  Secret secrets = Secret::copy_of(message.ciphertext);
  secrets.xor_with(keys.pads);
  return Result<Secret>(std::move(secrets));
}

// Each secret is uniform, drawn by the device: it serves as HKDF's PRK itself (RFC 5869, 3.3).
Secret relayed_keys(const Secret& secrets) {
  Secret out(secrets.size());
  for (std::size_t i = 0; i < secrets.size() / relay_secret_size; ++i) put_keys(out, i, expand(slice_keys(secrets, i, 1), "qanat relayed key"));
  return out;
}

Bytes relay_confirmation(const Secret& secrets, const BatchId& relay_id, const points::KeyProof& proof) {
  const Secret prk = crypto::hkdf_extract(crypto::Hash::sha256, as_bytes("qanat relay batch"), secrets);
  return crypto::hmac(crypto::Hash::sha256, expand(prk, "qanat relay confirm"), {relay_id.view(), points::octets_of(proof)});
}

namespace {

enum class AnswerKind : std::uint8_t { arrived = 1, missing = 2 };

}  // namespace

Bytes write_relay_answer(const BatchId& relay_id, const points::KeyProof& proof, ByteView confirmation) {
  return concat({Bytes{relay_version, static_cast<std::uint8_t>(AnswerKind::arrived)}, relay_id.view(), points::octets_of(proof), confirmation});
}

Bytes write_relay_missing(const BatchId& relay_id, std::span<const BatchId> missing) {
  missing = missing.first(std::min(missing.size(), relay_runs_max));
  Bytes out = concat({Bytes{relay_version, static_cast<std::uint8_t>(AnswerKind::missing)}, relay_id.view(), Bytes{static_cast<std::uint8_t>(missing.size())}});
  for (const BatchId& batch : missing) append(out, batch.view());
  return out;
}

Result<RelayAnswer> parse_relay_answer(ByteView octets, const BatchId& relay_id) {
  wire::Reader in(octets);
  ASSIGN_OR_RETURN(const std::uint8_t version, in.u8("relay answer.version"));
  if (version != relay_version) return fail(ErrorCode::invalid_argument, "relay answer.version = " + std::to_string(version) + ": must be 3");
  ASSIGN_OR_RETURN(const std::uint8_t kind, in.u8("relay answer.kind"));
  ASSIGN_OR_RETURN(const BatchId answered, read_id<BatchId>(in, "relay answer.id"));
  RelayAnswer out;
  if (kind == static_cast<std::uint8_t>(AnswerKind::arrived)) {
    ASSIGN_OR_RETURN(out.proof, points::read_proof(in, "relay answer.proof"));
    ASSIGN_OR_RETURN(const ByteView confirmation, in.fixed("relay answer.confirmation", relay_confirmation_size));
    out.confirmation = to_bytes(confirmation);
  } else if (kind == static_cast<std::uint8_t>(AnswerKind::missing)) {
    ASSIGN_OR_RETURN(const std::uint8_t count, in.u8("relay answer.chunks"));
    if (count == 0 || count > relay_runs_max) return fail(ErrorCode::invalid_argument, "relay answer.chunks: must be between 1 and 128");
    for (std::size_t i = 0; i < count; ++i) {
      ASSIGN_OR_RETURN(const BatchId batch, read_id<BatchId>(in, "relay answer.chunk"));
      out.missing.push_back(batch);
    }
  } else {
    return fail(ErrorCode::invalid_argument, "relay answer.kind = " + std::to_string(kind) + ": must be 1 or 2");
  }
  TRY(in.finish());
  if (answered != relay_id) return fail(ErrorCode::denied, "relay " + relay_id.hex() + ": the answer is to another relay");
  return out;
}

}  // namespace qanat::qkm
