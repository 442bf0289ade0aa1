// A listener for software that others wrote (encryptors, scripts, key managers of other makers): TLS 1.2 or 1.3 with certificates both ways, the client's
// issued under roots that the configuration names, classical groups allowed next to the hybrid one. An element's certificate (`qanat://`) is refused. Where the
// protocol has another way to tell who asks (a password, a signed message), a client without certificate is let in as well.
// Answers are given later, from any thread; no thread waits for a request. A listener of plain HTTP is for answers that are signed themselves (certificate
// status, revocation lists, certificates): its clients stay unknown.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/secret.hpp"
#include "net/tls.hpp"

namespace qanat::net {

/// A certificate chain (PEM, leaf first) and its private key (PEM, not encrypted, readable by its owner alone).
struct ForeignChain {
  std::filesystem::path certificate;
  std::filesystem::path key;
};

/// The same from memory, for who issues its own certificates and keeps no key in a file.
struct ForeignIdentity {
  std::vector<Bytes> chain;                      // DER, leaf first
  std::shared_ptr<const crypto::PrivateKey> key;  // shared with who made it, until it is replaced
  Staple staple{};                                // of a listener: what is stapled to this certificate, where a client asks; empty: nothing
};

/// Of a client, asked by a listener. One that is shown must verify in either case, or the handshake ends.
enum class ForeignCertificate : std::uint8_t { required, optional };

struct ForeignTls {
  std::vector<ForeignChain> chains;  // one ECDSA and one ML-DSA chain on one port: the client gets the best that it can verify
  std::filesystem::path roots;       // whose certificates the peers' must be issued under: PEM (several) or DER (one). Empty: `more_roots` alone
  std::filesystem::path crls;        // PEM; every peer's certificate must then be covered by one. Empty: revocation is not asked
  std::vector<ForeignIdentity> identities{};  // beside `chains`
  std::vector<Bytes> more_roots{};            // DER; beside `roots`. May hold issuing CAs too: clients often show their own certificate alone
  ForeignCertificate client = ForeignCertificate::required;
};

/// The other end of a connection.
struct ForeignPeer {
  std::vector<std::string> names;  // of its certificate: URIs, DNS names, common name
  std::string address;
  std::string protocol;       // "TLSv1.3"; empty on a plain connection, whose peer has no names
  std::string group;          // of the key exchange, as OpenSSL spells it
  bool quantum_safe = false;  // the group is the hybrid one
  Bytes thumbprint = {};      // SHA-256 over its certificate's DER (RFC 8705 §3.1)
  Bytes certificate = {};     // DER of its own; empty if it showed none
};

struct ForeignRequest {
  std::shared_ptr<const ForeignPeer> peer;  // shared by the connection and its requests
  std::vector<std::string> parameters;      // what stands for each "{}" of the pattern, percent-decoded
  std::string query;                        // after '?', undecoded
  std::string content_type;
  std::string if_none_match{};              // the entity tags that the client has (RFC 9110 §13.1.2)
  std::string if_match{};                   // the entity tags that the request is made for (§13.1.1)
  Secret authorization{};                   // the field of that name (RFC 9110 §11.6.2), which may hold a password; empty if there is none
  Bytes body;
  Deadline deadline;
  std::string request_id;
};

/// The body is a Secret because it may hold keys. What everybody may have anyway goes into `open_body` instead: locked memory is scarce, and one copy serves
/// all connections that send it.
struct ForeignResponse {
  unsigned status = 200;
  std::string content_type;
  Secret body;
  std::shared_ptr<const Bytes> open_body{};  // in place of `body`; shared by the connections that send it with who keeps it
  std::vector<std::pair<std::string, std::string>> fields{};  // further header fields of our own making; without Cache-Control the answer is not to be stored
};
/// A line of text for people: why a request is refused.
ForeignResponse text_response(unsigned status, std::string_view why);
/// 200 with what everybody may have.
ForeignResponse open_response(std::string_view content_type, Bytes body);

/// To be called once, from any thread. Not called before the request's deadline: the service's refusal with 503 goes out, and a later call does nothing.
using ForeignReply = std::move_only_function<void(ForeignResponse)>;

struct ForeignRoute {
  std::string point;    // "ETSI 014", for the audit
  std::string method;   // "HEAD" is a method of its own: what a GET would hand out is not spent on a question about it. Its answer goes without the body
  std::string pattern;  // "/api/v1/keys/{}/status": "{}" stands for one segment; "{...}" at its end for all that is left, handed on as it came
  std::size_t body_max = 0;  // octets; 0: a body is refused
  std::function<void(ForeignRequest, ForeignReply)> answer;  // on an io thread: must not block
};

/// The routes of one standard, and how it says no.
struct ForeignService {
  std::string prefix;  // of its paths; a refusal below it is rendered by `refuse`
  std::vector<ForeignRoute> routes;
  std::function<ForeignResponse(unsigned status, std::string_view why)> refuse;
};

struct ForeignLimits {
  std::size_t connections_max = 1024;  // a further one is closed at once
  std::size_t head_max = 16 * 1024;    // octets
  std::chrono::milliseconds handshake_max{5000};
  std::chrono::milliseconds message_max{5000};  // from the first octet of a request to its last, and for an answer to be taken: a slow client is cut off
  std::chrono::milliseconds idle_max{60000};    // between requests
  std::chrono::milliseconds request_max{10000};  // for the answer to be found
  std::size_t io_threads = 1;
};

enum class ForeignTransport : std::uint8_t { tls, plain };

struct ForeignSettings {
  ForeignTransport transport = ForeignTransport::tls;
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;  // 0: any free port
  ForeignTls tls;  // not looked at where the transport is plain
  ForeignLimits limits;
};

/// Owns its threads. Requests of one connection are answered in their order, one at a time (pipelined ones wait in the socket).
class ForeignListener {
 public:
  /// HTTP/1.1 services. invalid_argument for files that do not fit together, unavailable if the port is taken. Refusals of net's own (handshake, path,
  /// limits) go to the sink before they are answered.
  static Result<std::unique_ptr<ForeignListener>> start(const ForeignSettings& settings, std::vector<ForeignService> services, RefusalSink refused);
  virtual ~ForeignListener() = default;  // stops
  [[nodiscard]] virtual std::uint16_t port() const noexcept = 0;
  /// What connections that come from now on are shown and held against; those that are open keep what they began with. invalid_argument as at the start, and
  /// the listener goes on as it was; conflict on a listener of plain HTTP.
  virtual Result<void> renew(const ForeignTls& tls) = 0;
  /// Connections that are open end as soon as no request of theirs is worked on; their peers may come anew. Returns at once.
  virtual void end_open() = 0;
  /// Stops accepting, lets requests that run be answered (at most `grace`), then closes. Idempotent.
  virtual void stop(std::chrono::milliseconds grace) = 0;
};

}  // namespace qanat::net
