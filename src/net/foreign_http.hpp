// HTTP/1.1 as a foreign listener speaks it: heads parsed with limits, routes found, refusals in the standard's own words. No transport here.
#pragma once

#include "net/foreign_protocol.hpp"

namespace qanat::net {

/// What every connection of one listener shares.
struct HttpServices {
  std::vector<ForeignService> services;
  ForeignLimits limits;
  /// Records a refusal and then runs `then`, from any thread.
  std::function<void(Refusal, std::move_only_function<void()> then)> record;
};

std::unique_ptr<ForeignProtocol> make_http_protocol(const HttpServices& shared, std::shared_ptr<const ForeignPeer> peer);

/// "HTTP/1.1 200 OK" and the fields; the body follows.
std::string response_head(const ForeignResponse& response, std::string_view request_id, std::string_view allow, bool keep);

}  // namespace qanat::net
