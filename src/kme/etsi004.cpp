#include "kme/etsi004.hpp"

#include <algorithm>
#include <array>

#include "wire/reader.hpp"

namespace qanat::kme::etsi004 {
namespace {

constexpr std::array<std::uint8_t, 3> version{1, 0, 1};

bool is_plain(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

/// Up to its NUL, which is taken too.
Result<std::string> read_uri(ByteView& rest, std::string_view field) {
  const auto end = std::ranges::find(rest, 0);
  const auto size = static_cast<std::size_t>(end - rest.begin());
  if (end == rest.end() || size == 0 || size > uri_size_max) {
    return fail(ErrorCode::invalid_argument, std::string(field) + ": must have 1 to " + std::to_string(uri_size_max) + " octets and end with a NUL");
  }
  std::string out(as_text(rest.first(size)));
  if (!is_plain(out)) return fail(ErrorCode::invalid_argument, std::string(field) + ": holds a control character");
  rest = rest.subspan(size + 1);
  return out;
}

Result<std::string> read_mimetype(ByteView field) {
  const auto end = std::ranges::find(field, 0);
  if (!std::all_of(end, field.end(), [](std::uint8_t octet) { return octet == 0; })) {
    return fail(ErrorCode::invalid_argument, "Metadata_mimetype: something stands after its end");
  }
  std::string out(as_text(field.first(static_cast<std::size_t>(end - field.begin()))));
  if (!std::ranges::all_of(out, [](char c) { return c > 0x20 && c < 0x7f; })) return fail(ErrorCode::invalid_argument, "Metadata_mimetype: not a media type");
  return out;
}

Result<StreamQos> read_qos(wire::Reader& reader) {
  StreamQos out;
  ASSIGN_OR_RETURN(out.chunk_octets, reader.u32("Key_chunk_size"));
  ASSIGN_OR_RETURN(out.max_bps, reader.u32("Max_bps"));
  ASSIGN_OR_RETURN(out.min_bps, reader.u32("Min_bps"));
  ASSIGN_OR_RETURN(out.jitter_bps, reader.u32("Jitter"));
  ASSIGN_OR_RETURN(out.priority, reader.u32("Priority"));
  ASSIGN_OR_RETURN(out.timeout_ms, reader.u32("Timeout"));
  ASSIGN_OR_RETURN(out.ttl_s, reader.u32("TTL"));
  ASSIGN_OR_RETURN(const ByteView mimetype, reader.fixed("Metadata_mimetype", mimetype_size));
  ASSIGN_OR_RETURN(out.mimetype, read_mimetype(mimetype));
  return out;
}

Result<StreamId> read_id(wire::Reader& reader) {
  ASSIGN_OR_RETURN(const ByteView octets, reader.fixed("Key_stream_ID", StreamId::size));
  return StreamId(octets);
}

void put(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(static_cast<std::uint8_t>(value >> shift)));
}
void put(std::string& out, StreamStatus status) { put(out, static_cast<std::uint32_t>(status)); }

void put(std::string& out, const StreamQos& qos) {
  for (const std::uint32_t value : {qos.chunk_octets, qos.max_bps, qos.min_bps, qos.jitter_bps, qos.priority, qos.timeout_ms, qos.ttl_s}) put(out, value);
  std::string mimetype = qos.mimetype;
  mimetype.resize(mimetype_size);
  out += mimetype;
}

/// The header of a payload that consists of `payload` and of `more` octets after it, and the payload.
std::string message(Service service, const std::string& payload, std::size_t more = 0) {
  std::string out;
  for (const std::uint8_t number : version) out.push_back(static_cast<char>(number));
  out.push_back(static_cast<char>(service));
  put(out, static_cast<std::uint32_t>(payload.size() + more));
  return out + payload;
}

}  // namespace

Result<Header> read_header(ByteView octets) {
  wire::Reader reader(octets);
  ASSIGN_OR_RETURN(const ByteView spoken, reader.fixed("version", version.size()));
  if (!std::ranges::equal(spoken, version)) return fail(ErrorCode::invalid_argument, "version: must be 1.0.1");
  ASSIGN_OR_RETURN(const std::uint8_t service, reader.u8("service"));
  ASSIGN_OR_RETURN(const std::uint32_t payload, reader.u32("length"));
  TRY(reader.finish());
  Header out{.service = static_cast<Service>(service), .payload = payload};
  std::size_t least = 0;
  std::size_t most = 0;
  switch (out.service) {
    case Service::open_request:
      least = 2 * 2 + qos_size + StreamId::size;
      most = open_size_max;
      break;
    case Service::get_request:
      least = most = get_size;
      break;
    case Service::close_request:
      least = most = close_size;
      break;
    case Service::open_response:
    case Service::get_response:
    case Service::close_response:
      return fail(ErrorCode::invalid_argument, "service: an answer, where a request belongs");
    default:
      return fail(ErrorCode::invalid_argument, "service " + std::to_string(service) + ": is not known");
  }
  if (payload < least || payload > most) return fail(ErrorCode::invalid_argument, "length " + std::to_string(payload) + ": not that of this service's payload");
  return out;
}

Result<OpenRequest> read_open(ByteView payload) {
  OpenRequest out;
  ASSIGN_OR_RETURN(out.source, read_uri(payload, "source"));
  ASSIGN_OR_RETURN(out.destination, read_uri(payload, "destination"));
  wire::Reader reader(payload);
  ASSIGN_OR_RETURN(out.qos, read_qos(reader));
  ASSIGN_OR_RETURN(out.id, read_id(reader));
  TRY(reader.finish());
  return out;
}

Result<GetRequest> read_get(ByteView payload) {
  wire::Reader reader(payload);
  GetRequest out;
  ASSIGN_OR_RETURN(out.id, read_id(reader));
  ASSIGN_OR_RETURN(out.index, reader.u32("index"));
  ASSIGN_OR_RETURN(out.metadata_max, reader.u32("Metadata_size"));
  TRY(reader.finish());
  return out;
}

Result<StreamId> read_close(ByteView payload) {
  wire::Reader reader(payload);
  ASSIGN_OR_RETURN(const StreamId out, read_id(reader));
  TRY(reader.finish());
  return out;
}

net::Outgoing render(const StreamOpened& opened) {
  std::string payload;
  put(payload, opened.status);
  put(payload, opened.qos);
  payload.append(as_text(opened.id.view()));
  return {.head = message(Service::open_response, payload), .body = {}, .close_after = false};
}

net::Outgoing render(StreamChunk chunk) {
  std::string before;
  put(before, chunk.status);
  if (chunk.status == StreamStatus::metadata_size) put(before, chunk.metadata_needed);
  if (chunk.status != StreamStatus::ok) return {.head = message(Service::get_response, before), .body = {}, .close_after = false};
  put(before, chunk.index);
  put(before, static_cast<std::uint32_t>(chunk.key.size()));
  std::string after;
  put(after, static_cast<std::uint32_t>(chunk.metadata.size()));
  after += chunk.metadata;
  const Secret tail = Secret::copy_of(as_bytes(after));
  Secret body = Secret::concat({&chunk.key, &tail});
  std::string head = message(Service::get_response, before, body.size());
  return {.head = std::move(head), .body = std::move(body), .close_after = false};
}

net::Outgoing render_closed(StreamStatus status) {
  std::string payload;
  put(payload, status);
  return {.head = message(Service::close_response, payload), .body = {}, .close_after = false};
}

std::optional<SaeId> named_by(const SaeRegistry& registry, std::string_view uri) {
  const auto known = [&](std::string_view text) {
    SaeId name{std::string(text)};
    return registry.find(name) != nullptr ? std::optional(std::move(name)) : std::nullopt;
  };
  const std::optional<SaeId> whole = known(uri);
  const std::size_t scheme = uri.find("://");
  // A pattern may cover the whole URI by chance: the name in it comes first then.
  if (scheme == std::string_view::npos || (whole && !registry.find(*whole)->pattern)) return whole;
  std::string_view authority = uri.substr(scheme + 3);
  authority = authority.substr(0, authority.find_first_of("/?#"));
  const std::size_t at = authority.find('@');
  authority = authority.substr(0, at != std::string_view::npos ? at : authority.find(':'));
  const std::optional<SaeId> inside = known(authority);
  return inside ? inside : whole;
}

}  // namespace qanat::kme::etsi004
