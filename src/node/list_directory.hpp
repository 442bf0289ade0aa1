// Revocation lists out of an LDAP directory (RFC 4511, 4523) that CAS publishes in: read anonymously, one connection for each question. The lists are signed;
// what the directory says of itself is believed of nobody.
#pragma once

#include <filesystem>
#include <string>

#include "base/clock.hpp"
#include "crypto/x509.hpp"

namespace qanat::node {

struct ListDirectorySettings {
  std::string uri;                // "ldap://…", "ldaps://…", "ldapi://…"; empty: there is no directory
  std::string base;               // the entry below which CAS publishes
  std::filesystem::path ca_file;  // ldaps: PEM of whose certificates the directory's must be issued under
};
/// invalid_argument, saying why.
Result<void> check_list_directory(const ListDirectorySettings& settings);

/// The complete list in the issuer's entry, DER. unavailable: nobody answers there, or there is no list in it; deadline_exceeded.
Result<Bytes> read_list(const ListDirectorySettings& settings, const crypto::Certificate& issuer, Deadline deadline);

}  // namespace qanat::node
