// The calling side: a keep-alive pool of connections to one element.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/chain.hpp"
#include "net/http.hpp"
#include "net/tls.hpp"

namespace qanat::net {

struct Target {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
  Identity expected;  // the server's certificate must carry exactly this SAN; anything else is refused
  struct Place {
    std::string host;
    std::uint16_t port = 0;
  };
  std::vector<Place> others = {};  // where the same element can be had, too: asked in turn where the one before does not answer
};

struct Call {
  std::string method;
  std::string path;
  std::string query;
  std::string content_type;
  ByteView body;
  std::string request_id;
  const Secret* authorization = nullptr;  // the field Authorization; must outlive the call
};

/// Thread-safe; calls block. Sends `Qanat-Deadline-Ms` with what remains. A pooled connection that the server closed meanwhile is replaced
/// once, and only if nothing of the request was answered and the request had not been sent in full. Of a target's places the one that was reached last is dialled
/// first; a request goes to one alone.
class Client {
 public:
  /// `identity` absent: an anonymous caller (first enrolment). `status` empty: server status is not asked (used towards CAS, whose answers are signed).
  /// `stapled`, if given, gets what the server staples to its certificate, before `status` is asked.
  static std::unique_ptr<Client> create(Target target, const std::shared_ptr<const TlsIdentity>& identity, std::shared_ptr<const crypto::TrustStore> trust,
                                        StatusCheck status, StapleSink stapled = {});
  /// From now on each new connection is followed by a chained one, which is the one that serves until its age_max; none of those that are idle is used again.
  virtual void chain(Chaining chaining) = 0;
  virtual ~Client() = default;
  /// Any complete answer is a value, also 4xx and 5xx; unavailable if no answer could be had, deadline_exceeded, unauthenticated if the
  /// server is not who it should be.
  virtual Result<Response> call(const Call& call, Deadline deadline) = 0;
  [[nodiscard]] virtual const Target& target() const noexcept = 0;
  /// From now on new connections show this certificate, and none of those that are idle is used again: a call never waits for it. On failure all is as it was.
  virtual Result<void> show(const TlsIdentity& identity) = 0;
  /// No connection that is open now, and whose server shows a certificate that is no longer wanted, is used for a further call.
  virtual void drop_servers(const std::function<bool(const crypto::Certificate&)>& unwanted) = 0;
};

}  // namespace qanat::net
