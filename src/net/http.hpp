// Requests and responses as values, and who the peer is. No transport here.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/identity.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/x509.hpp"

namespace qanat::net {

/// The other end of a connection. `certificate` is absent only on routes that allow an anonymous caller (enrolment).
struct Peer {
  std::optional<crypto::Certificate> certificate;  // chain, validity, status and SAN already checked
  std::optional<Identity> identity;
  std::string address;  // "127.0.0.1:40322", for logs
  bool chained = false;                             // the connection is one of chain.hpp; the certificate was checked on the one before it
  std::shared_ptr<const Secret> exporter = {};      // of a connection that is not, for the key of the next; shared by the requests of the connection
};

struct Request {
  std::string method;  // "GET", "POST"
  std::string path;    // without query
  std::string query;   // after '?', undecoded
  std::string content_type;
  Bytes body;
  Deadline deadline;
  Peer peer;
  std::string request_id;  // 16 hex digits, from the caller or drawn here; in every log line and audit record
  std::shared_ptr<const Secret> authorization = {};  // the field Authorization (RFC 9110 §11.6.2), absent without one; shared by copies of the request
};

struct Response {
  unsigned status = 200;
  std::string content_type;
  Bytes body;
  std::shared_ptr<const Secret> secret = {};  // in place of `body`, where it holds keys or plaintexts; shared by copies of the response
};

/// ErrorCode ↔ HTTP status: one table.
unsigned http_status(ErrorCode code) noexcept;
/// The error's JSON body {"code":…,"message":…} with its status.
Response error_response(const Error& error);
/// The Error of a non-2xx answer (its JSON body where it has one).
Error error_of(const Response& response);

/// Whether a field Content-Type names this media type, in any case and whatever its parameters (RFC 9110 §8.3.1).
bool is_media_type(std::string_view content_type, std::string_view wanted) noexcept;

/// What becomes of a request whose sender's certificate has a status that cannot be had just now. One that is revoked is refused in either case.
enum class UnknownStatus : std::uint8_t {
  refused,
  passed_on,  // to the handler, which asks again and decides
};

/// One line of the route table: who may call it, how much they may send, what answers.
struct Route {
  std::string point;  // reference point "Km-1", for logs and audit
  std::string method;
  std::string path;   // exact match
  KindSet callers;
  bool anonymous = false;       // a caller without certificate is let through (first enrolment)
  std::size_t body_max = 64 * 1024;
  std::string request_type;     // the content type that a body must have; empty: no body
  bool chained = false;         // refused over a connection that is not chained (chain.hpp)
  std::string challenge = {};   // WWW-Authenticate of an answer with 401 (RFC 9110 §11.6.1); empty: none
  UnknownStatus unknown_status = UnknownStatus::refused;
  std::function<Result<Response>(const Request&)> answer;  // runs on a worker thread; blocking is allowed until the deadline
};

}  // namespace qanat::net
