// The calling side towards software that others wrote (a vendor's key manager, ETSI GS QKD 014 and 020 peers): TLS 1.2 or 1.3 with certificates both ways,
// classical groups allowed. One connection per call; calls block.
#pragma once

#include "net/foreign.hpp"
#include "net/http.hpp"

namespace qanat::net {

/// "https://host[:port]/path[?query]".
struct ForeignUrl {
  std::string host;  // name or IPv4 address; the server's certificate must be for it
  std::uint16_t port = 443;
  std::string path;

  /// invalid_argument for anything else, also for user information, fragments and characters that a request line cannot carry.
  static Result<ForeignUrl> parse(std::string_view text);
};

class ForeignClient {
 public:
  /// `tls.chains`: at most one is shown. invalid_argument for files that do not fit together.
  static Result<std::unique_ptr<ForeignClient>> create(const ForeignTls& tls);
  virtual ~ForeignClient() = default;
  /// Any complete answer is a value, also 4xx and 5xx; unauthenticated if the server is not who it should be, unavailable, deadline_exceeded. Thread-safe.
  virtual Result<Response> call(std::string_view method, const ForeignUrl& url, std::string_view content_type, ByteView body, Deadline deadline) = 0;
};

}  // namespace qanat::net
