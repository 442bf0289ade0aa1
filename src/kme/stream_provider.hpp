// What the stream interface of ETSI GS QKD 004 asks of a key management entity: a stream of key chunks between two applications, opened at both ends under
// one id and read by index. The adapter (etsi004.hpp) turns its messages into these; an element implements StreamProvider over its own stock.
#pragma once

#include "kme/provider.hpp"

namespace qanat::kme {

struct StreamIdTag;
using StreamId = Id<StreamIdTag, 16>;  // Key_stream_ID, a UUID; all zero: none yet

/// Status of ETSI GS QKD 004 V2.1.1.
enum class StreamStatus : std::uint32_t {
  ok = 0,
  peer_not_connected = 1,  // OPEN_CONNECT went well, the other application is not there yet
  insufficient_key = 2,
  peer_absent = 3,  // GET_KEY: the other application is not connected
  no_connection = 4,
  in_use = 5,  // OPEN_CONNECT: the id is taken
  timeout = 6,
  qos_not_met = 7,    // OPEN_CONNECT: the answer's QoS is what could be had
  metadata_size = 8,  // GET_KEY: the answer says how many octets are needed; the chunk is still there
};

/// Zero, or an empty text, in a request: no wish. In an answer: what is granted.
struct StreamQos {
  std::uint32_t chunk_octets = 0;  // Key_chunk_size
  std::uint32_t max_bps = 0;
  std::uint32_t min_bps = 0;
  std::uint32_t jitter_bps = 0;
  std::uint32_t priority = 0;  // the greater is served first
  std::uint32_t timeout_ms = 0;
  std::uint32_t ttl_s = 0;
  std::string mimetype{};  // of the metadata
  bool operator==(const StreamQos&) const = default;
};

/// What an operator lets a stream have.
struct StreamBounds {
  std::uint32_t chunk_octets_min = 8;
  std::uint32_t chunk_octets_default = 32;
  std::uint32_t chunk_octets_max = 4096;
  std::uint32_t bps_max = 10'000'000;  // Max_bps of one stream, and the Min_bps of all streams to one site together
  std::uint32_t priority_max = 255;
  std::uint32_t timeout_ms_default = 5000;
  std::uint32_t timeout_ms_max = 60'000;
  std::uint32_t ttl_s_max = 3600;  // also the default
};
inline constexpr std::string_view metadata_mimetype = "application/json";  // the one that is spoken: {"age":milliseconds,"hops":trusted nodes}

struct GrantedQos {
  StreamQos qos;  // defaults in place of zeros; what is out of bounds at the bound
  bool as_asked = true;
};
/// `bps_committed`: guaranteed to other streams already.
GrantedQos grant(const StreamQos& asked, const StreamBounds& bounds, std::uint64_t bps_committed);
/// The same for an application that joins a stream which has its QoS: what both ends must agree on is the stream's, time limit and priority are its own.
GrantedQos grant_joining(const StreamQos& asked, const StreamQos& of_stream, const StreamBounds& bounds);

struct StreamOpen {
  Caller caller;
  SaeId destination;
  StreamQos qos;
  StreamId id;  // null: allocate one
};
struct StreamOpened {
  StreamStatus status{};
  StreamQos qos;
  StreamId id;
};
struct StreamGet {
  Caller caller;
  StreamId id;
  std::uint32_t index = 0;
  std::uint32_t metadata_max = 0;  // octets that the caller has room for; 0: it wants none
};
struct StreamChunk {
  StreamStatus status{};
  std::uint32_t index = 0;
  Secret key{};
  std::string metadata{};
  std::uint32_t metadata_needed = 0;  // octets, with metadata_size
};

template <class T>
using StreamDone = std::move_only_function<void(T)>;  // called once, from any thread

/// Asynchronous, as Provider is. `done` of open() and get() comes at the latest when the stream's time limit is over.
class StreamProvider {
 public:
  virtual ~StreamProvider() = default;

  virtual void open(StreamOpen open, StreamDone<StreamOpened> done) = 0;
  /// Each end gets each chunk once; both get the same octets for one id and index.
  virtual void get(StreamGet get, StreamDone<StreamChunk> done) = 0;
  virtual void close(Caller caller, StreamId id, StreamDone<StreamStatus> done) = 0;
  /// A refusal that the adapter decided, for the audit; `then` runs when it is on record.
  virtual void record_refusal(const Caller& caller, std::string_view action, std::string why, std::move_only_function<void()> then) = 0;
};

}  // namespace qanat::kme
