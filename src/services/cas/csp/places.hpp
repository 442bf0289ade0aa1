// Where what this CAS publishes is found: paths of its listener, and the URLs that certificates name.
#pragma once

#include <optional>
#include <string>

#include "services/cas/authority.hpp"

namespace qanat::cas {

/// A certificate's revocation shows in the list of its shard, which its serial chooses for ever: certificates name that list.
inline constexpr std::size_t list_shards = 16;
inline std::string shard_of(ByteView serial) { return std::to_string(serial.empty() ? 0 : serial.back() % list_shards); }

inline constexpr std::string_view full_scope = "full";
inline constexpr std::string_view delta_scope = "delta";

inline constexpr std::string_view lists_folder = "/crl/";
/// "/crl/ml_dsa.crl", "/crl/ml_dsa-delta.crl", "/crl/ml_dsa-7.crl".
inline std::string list_path(Branch branch, std::string_view scope) {
  std::string out = std::string(lists_folder) + std::string(name(branch));
  if (scope != full_scope) out.append("-").append(scope);
  return out + ".crl";
}
/// What list_path() made of it: the scope, where the path is of this branch. Whether there is such a list is not looked at.
inline std::optional<std::string> scope_at(Branch branch, std::string_view path) {
  const std::string whole = list_path(branch, full_scope);
  if (path == whole) return std::string(full_scope);
  const std::string beginning = whole.substr(0, whole.size() - 4) + '-';
  if (!path.starts_with(beginning) || !path.ends_with(".crl") || path.size() < beginning.size() + 4) return std::nullopt;
  const std::string_view scope = path.substr(beginning.size(), path.size() - beginning.size() - 4);
  return scope == full_scope ? std::nullopt : std::optional(std::string(scope));
}
/// The scope in a later generation of device CAs: "g2", "g2-delta", "g2-7". A place is one key's for ever, for the certificates that name it.
inline std::string scope_in(Branch branch, std::int64_t generation, std::string_view scope) {
  if (branch != Branch::devices || generation == 1) return std::string(scope);
  const std::string mark = "g" + std::to_string(generation);
  return scope == full_scope ? mark : mark + "-" + std::string(scope);
}
/// Of the CA that issues.
inline std::string ca_path(Branch branch) { return "/ca/" + std::string(name(branch)) + ".cer"; }
/// Of one device CA, whichever issues: "/ca/devices-g2.cer".
inline std::string device_ca_path(std::int64_t generation) { return "/ca/" + std::string(name(Branch::devices)) + "-g" + std::to_string(generation) + ".cer"; }
inline constexpr std::string_view ocsp_path = "/ocsp";

/// What a certificate with this serial says, of an issuer of this generation; nothing where no listener is configured (`url` empty).
inline crypto::StatusPointers status_pointers(const std::string& url, Branch branch, std::int64_t generation, ByteView serial) {
  if (url.empty()) return {};
  const bool later = branch == Branch::devices && generation > 1;
  return {.ocsp = url + std::string(ocsp_path),
          .ca_issuers = url + (later ? device_ca_path(generation) : ca_path(branch)),
          .crl = url + list_path(branch, scope_in(branch, generation, shard_of(serial)))};
}

}  // namespace qanat::cas
