// A connection to an LDAP directory (RFC 4511) that this CAS writes to: entries put as they shall be, whatever was there. Over ldapi://, ldaps:// or StartTLS;
// never with a password in clear. Blocking, with time limits.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::cas {

struct DirectorySettings {
  std::string uri;                      // "ldapi://%2Frun%2Fslapd%2Fldapi", "ldaps://…", "ldap://…" with start_tls; empty: there is no directory
  std::string base;                     // the entry below which is published; must be there
  std::string bind_dn;                  // empty: who asks is known by the connection (SASL EXTERNAL: the process's user on ldapi)
  std::filesystem::path password_file;  // of bind_dn; readable by its owner alone
  std::filesystem::path ca_file;        // PEM: whose certificates the directory's must be issued under
  bool start_tls = false;
};
/// invalid_argument, saying why, for settings that would send what they should not, or whom they should not.
Result<void> check_directory(const DirectorySettings& settings);

struct DirectoryAttribute {
  std::string name;
  std::vector<Bytes> values;  // none: the attribute goes
};

struct DirectoryEntry {
  std::string dn;
  std::vector<std::string> classes;            // for an entry that is not there yet
  std::vector<DirectoryAttribute> naming;      // the same
  std::vector<DirectoryAttribute> attributes;  // set to exactly these values; others stay
};

class Directory {
 public:
  /// unavailable: nobody answers there in time; unauthenticated: the certificate or the password does not hold.
  static Result<std::unique_ptr<Directory>> connect(const DirectorySettings& settings);
  virtual ~Directory() = default;

  /// Changes the entry, or adds it. Again does the same again. unavailable, deadline_exceeded: the connection is of no more use; other codes: the directory
  /// refuses, and says why.
  virtual Result<void> put(const DirectoryEntry& entry) = 0;
  /// Value also if there is no such entry.
  virtual Result<void> remove(const std::string& dn) = 0;
};

/// The value of a relative distinguished name, escaped (RFC 4514 §2.4).
std::string escaped_rdn(std::string_view value);

}  // namespace qanat::cas
