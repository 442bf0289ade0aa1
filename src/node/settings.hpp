// What every element's configuration has in common: tables [node], [device], [status], [audit], [store], [peers.<name>].
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/identity.hpp"
#include "crypto/device.hpp"
#include "crypto/suite.hpp"
#include "net/client.hpp"
#include "net/server.hpp"
#include "node/config.hpp"
#include "node/list_directory.hpp"
#include "node/log.hpp"

namespace qanat::node {

/// Where a certificate's status comes from.
enum class StatusSource : std::uint8_t { ocsp, crl, ldap };

struct StatusSettings {
  std::chrono::milliseconds fresh{5000};     // an answer younger than this is not asked again
  bool serve_unexpired_when_down = true;     // CAS silent: accept an answer whose nextUpdate has not passed
  std::vector<StatusSource> order{StatusSource::ocsp};  // who is asked first; the next one if nobody answers
  ListDirectorySettings directory = {};                   // for ldap
};

struct AuditSettings {
  std::optional<Kind> witness;         // the kind of the peer that cosigns its checkpoints
  std::uint16_t checkpoint_ms = 1000;  // how often there is one, if something was recorded
};

/// [store]: a PostgreSQL database in place of files, for an element of which several processes run.
struct StoreSettings {
  std::string postgresql;        // libpq's words
  std::size_t connections = 8;
  unsigned front_end = 1;        // which of the element's processes this is: its audit record and its keys in the making bear this number
};
inline constexpr unsigned front_ends_max = 64;

struct Settings {
  Identity identity;
  std::filesystem::path state;               // folder, mode 0700
  std::filesystem::path trust;               // folder with root-*.pem and issuing-*.pem
  std::filesystem::path master_key;          // the software device's, or the keys that an SDF or SKF device wrapped; empty for a token or a pair
  std::optional<crypto::DeviceSettings> device = {};  // where the master key is instead
  std::filesystem::path enrolment_secret;    // one-time; deleted after use
  std::uint8_t renew_at_percent = 67;        // of a certificate's life
  const crypto::Suite* suite = nullptr;
  std::uint32_t policy_epoch = 1;
  net::ServerSettings server;
  StatusSettings status;
  std::map<std::string, net::Target> peers;  // by element name
  LogLevel log_level = LogLevel::note;
  AuditSettings audit;
  std::optional<StoreSettings> store = {};   // nothing: files in `state`

  /// The name of this process's audit record: the element's URI, and after it the front end's number where there may be several, "qanat://a/kms/kms-a/2".
  [[nodiscard]] std::string log_name() const;

  /// Reads the common tables; the element reads its own from the same Config and then calls finish().
  static Settings read(Config& config);
};

}  // namespace qanat::node
