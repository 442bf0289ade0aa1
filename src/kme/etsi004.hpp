// ETSI GS QKD 004 V2.1.1 (2020-08), the stream interface between an application and its key manager: OPEN_CONNECT, GET_KEY, CLOSE. The standard is an
// abstract interface; the octets are those of the QUBIP project's binding over mutual TLS (docs/standards.md): a header of 8 octets (version 1.0.1, service,
// length of the payload), integers big-endian. Reading and rendering are functions of octets; make_protocol() puts them before a StreamProvider.
#pragma once

#include "kme/sae_registry.hpp"
#include "kme/stream_provider.hpp"
#include "net/foreign_protocol.hpp"

namespace qanat::kme::etsi004 {

enum class Service : std::uint8_t {
  open_request = 0x02,
  open_response = 0x03,
  get_request = 0x04,
  get_response = 0x05,
  close_request = 0x08,
  close_response = 0x09,
};

inline constexpr std::uint16_t default_port = 25575;
inline constexpr std::size_t header_size = 8;
inline constexpr std::size_t uri_size_max = 1024;
inline constexpr std::size_t mimetype_size = 256;
inline constexpr std::size_t qos_size = 7 * 4 + mimetype_size;
inline constexpr std::size_t open_size_max = 2 * (uri_size_max + 1) + qos_size + StreamId::size;
inline constexpr std::size_t get_size = StreamId::size + 4 + 4;
inline constexpr std::size_t close_size = StreamId::size;

struct Header {
  Service service{};
  std::size_t payload = 0;  // octets
};
/// Of a request, from exactly header_size octets. invalid_argument for another version, another service, a length that this service cannot have.
Result<Header> read_header(ByteView octets);

struct OpenRequest {
  std::string source;  // 1 to uri_size_max octets each, no control characters
  std::string destination;
  StreamQos qos;
  StreamId id;
};
struct GetRequest {
  StreamId id;
  std::uint32_t index = 0;
  std::uint32_t metadata_max = 0;  // octets
};
/// Payloads, whole. invalid_argument for whatever does not fit exactly.
Result<OpenRequest> read_open(ByteView payload);
Result<GetRequest> read_get(ByteView payload);
Result<StreamId> read_close(ByteView payload);

/// status ‖ QoS ‖ id.
net::Outgoing render(const StreamOpened& opened);
/// status ‖ index ‖ size of the chunk ‖ chunk ‖ size of the metadata ‖ metadata. Without a chunk the status alone, with the needed size after metadata_size.
net::Outgoing render(StreamChunk chunk);
net::Outgoing render_closed(StreamStatus status);

/// The SAE that a URI names: the URI as a whole, else what stands before '@' in its authority, else its host. Nothing if that is no SAE's name, nor one that a
/// pattern covers.
std::optional<SaeId> named_by(const SaeRegistry& registry, std::string_view uri);

/// Provider and registry must outlive the listener.
net::ForeignProtocolFactory make_protocol(StreamProvider& provider, const SaeRegistry& registry);

}  // namespace qanat::kme::etsi004
