// Where what this CAS publishes is found: paths of its listener, and the URLs that certificates name.
#pragma once

#include <string>

#include "services/cas/authority.hpp"

namespace qanat::cas {

/// A certificate's revocation shows in the list of its shard, which its serial chooses for ever: certificates name that list.
inline constexpr std::size_t list_shards = 16;
inline std::string shard_of(ByteView serial) { return std::to_string(serial.empty() ? 0 : serial.back() % list_shards); }

inline constexpr std::string_view full_scope = "full";
inline constexpr std::string_view delta_scope = "delta";

/// "/crl/ml_dsa.crl", "/crl/ml_dsa-delta.crl", "/crl/ml_dsa-7.crl".
inline std::string list_path(Branch branch, std::string_view scope) {
  std::string out = "/crl/" + std::string(name(branch));
  if (scope != full_scope) out.append("-").append(scope);
  return out + ".crl";
}
inline std::string ca_path(Branch branch) { return "/ca/" + std::string(name(branch)) + ".cer"; }
inline constexpr std::string_view ocsp_path = "/ocsp";

/// What a certificate with this serial says; nothing where no listener is configured (`url` empty).
inline crypto::StatusPointers status_pointers(const std::string& url, Branch branch, ByteView serial) {
  if (url.empty()) return {};
  return {.ocsp = url + std::string(ocsp_path), .ca_issuers = url + ca_path(branch), .crl = url + list_path(branch, shard_of(serial))};
}

}  // namespace qanat::cas
