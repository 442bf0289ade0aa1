// KIM's desk for operators: media are registered, charged by file under the eyes of two, locked and wiped.
#pragma once

#include "node/recorded.hpp"
#include "services/kms/kim/injection.hpp"

namespace qanat::kms {

class MediumDesk {
 public:
  MediumDesk(node::Node& node, store::Store& store, const KmsSettings& settings, Injection& injection)
      : node_(node), store_(store), settings_(settings), injection_(injection) {}

  /// x5_medium. {"op": …} with
  ///   register: "medium" (32 hex digits), "terminal", "kind", "by_file" → the transport key is read from the folder kms.media_keys and removed there
  ///   list → {"media": […], "charges": […] that wait}
  ///   charge: "medium", "authentication", "call", "distribution" (keys of each set) → {"ticket"}: waits for another operator
  ///   approve: "ticket" → {"ticket", "file": base64}, by another operator than the one who ordered it
  ///   reject: "ticket"
  ///   collect: "ticket" → the file again
  ///   lock, wipe: "medium"
  Result<net::Response> answer(const net::Request& request);

 private:
  Result<net::Response> dispatch(const net::Request& request, node::Deed& deed);
  Result<net::Response> enter(const wire::Json& json, const net::Request& request, node::Deed& deed);
  Result<net::Response> list();
  Result<net::Response> order(const wire::Json& json, const net::Request& request, node::Deed& deed);
  Result<net::Response> approve(const wire::Json& json, const net::Request& request, node::Deed& deed);
  Result<net::Response> reject(const wire::Json& json, const net::Request& request, node::Deed& deed);
  Result<net::Response> collect(const wire::Json& json, node::Deed& deed);
  Result<net::Response> end(const wire::Json& json, MediumState to, node::Deed& deed);

  Result<Medium> medium(const wire::Json& json);
  Result<Charge> charge(const wire::Json& json, node::Deed& deed);
  /// The terminal may be charged: enrolled here, and its certificates are good now.
  Result<void> check_terminal(const Uid& uid, Deadline deadline);

  node::Node& node_;
  store::Store& store_;
  const KmsSettings& settings_;
  Injection& injection_;
};

}  // namespace qanat::kms
