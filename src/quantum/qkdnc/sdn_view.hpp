// The network as an SDN controller above sees it: the names and nesting of the YANG module etsi-qkd-sdn-node (ETSI GS QKD 015 V2.1.1) in
// RESTCONF's JSON (RFC 8040, RFC 7951). The module's text was not available: docs/standards.md says which leaves were taken from where.
#pragma once

#include "quantum/qkdnc/topology.hpp"
#include "wire/json.hpp"

namespace qanat::qkdnc {

inline constexpr std::string_view sdn_path = "/restconf/data/etsi-qkd-sdn-node:qkd_node";

/// The same name gives the same UUID (RFC 9562 version 8, from SHA-256), so that identifiers survive restarts and are alike at both controllers.
std::string uuid_of(std::string_view kind, std::string_view name);

/// `only`: this qkdn_id alone (not_found if there is none); empty: every node, as a list.
Result<wire::Json> sdn_view(const Topology& topology, std::string_view only, UnixMs now);

}  // namespace qanat::qkdnc
