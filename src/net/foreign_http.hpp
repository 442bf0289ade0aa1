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

/// What the request says of its answer's form.
struct AnswerForm {
  bool keep = false;       // the connection goes on
  bool head_only = false;  // no body, whatever its length is said to be
  bool old = false;        // HTTP/1.0: there are clients that read no other status line than their own
};
/// "HTTP/1.1 200 OK" and the fields; the body follows.
std::string response_head(const ForeignResponse& response, std::string_view request_id, std::string_view allow, const AnswerForm& form);
Outgoing outgoing(ForeignResponse response, std::string_view request_id, std::string_view allow, const AnswerForm& form);

}  // namespace qanat::net
