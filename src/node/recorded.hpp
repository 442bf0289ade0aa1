// The frame of every handler whose outcome belongs into the audit record: nothing is answered, granted or refused, that is not on record.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "node/node.hpp"

namespace qanat::node {

/// What goes into the record besides the outcome. The work replaces either when it knows better (an anonymous caller proved who it is).
struct Deed {
  std::string subject;  // the caller's identity, or its address
  std::string object;   // on what: a serial, a session, a uid
};

/// Runs `work`, records its outcome, and only then gives its answer; a failure to record is the answer instead.
Result<net::Response> recorded(Node& node, std::string_view action, const net::Request& request, const std::function<Result<net::Response>(Deed&)>& work);
/// For what is no deed, or stands on record under its keys' own events, where it succeeds: the answer, once a refusal is on record.
Result<net::Response> refusal_recorded(Node& node, std::string_view action, const net::Request& request, std::string_view object,
                                       Result<net::Response> answer);

/// For a listener of software of others (net/foreign.hpp): what it refuses by itself goes on record, under the route's point, or under `connection` where there
/// is none. The refusal stands whether or not it could be recorded. `node` must outlive it.
net::RefusalSink refusals_of(Node& node, std::string connection);

}  // namespace qanat::node
