// `qanat ca ceremony`, `sign-issuing`, `transcript` (where the roots are, offline), `rollover`, `rollover-devices` and `expect` (at CAS, while it does not
// run).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "command_options.hpp"
#include "crypto/device.hpp"

namespace qanat::app {

/// --device, --module, and for a token --token, --key, --pin-file; for an SDF device --key-index; for an SKF device --application, --container, --skf-device,
/// --pin-file, --auth-key-file. The PIN itself is never on a command line.
struct DeviceOptions {
  std::string device = "files";
  std::filesystem::path module;
  std::string token;
  std::string key;
  std::filesystem::path pin_file;
  std::uint32_t key_index = 0;
  std::string application;
  std::string container;
  std::string skf_device;
  std::filesystem::path auth_key_file;
  /// The device, if there is to be one; invalid_argument if it is named in parts, or with parts of another kind.
  [[nodiscard]] Result<std::optional<crypto::DeviceSettings>> chosen() const;

 private:
  [[nodiscard]] Result<void> check_parts() const;
};

struct CaCeremonyOptions {
  std::filesystem::path out;
  std::string suite = "GM-hybrid";
  std::string network = "Qanat";
  DeviceOptions device;
};
int ca_ceremony(const CaCeremonyOptions& options);

struct CaSignIssuingOptions {
  std::filesystem::path root;
  std::filesystem::path request;
  std::filesystem::path out;
  DeviceOptions device;
};
int ca_sign_issuing(const CaSignIssuingOptions& options);

/// Checks what was done with the roots, and prints it.
int ca_transcript(const std::filesystem::path& root, Output output);

struct CaRolloverOptions {
  std::filesystem::path config;              // CAS's
  std::filesystem::path request;             // new folder for the requests, or
  std::filesystem::path install;             // folder with the certificates
  std::vector<std::filesystem::path> trust;  // further trust folders
};
int ca_rollover(const CaRolloverOptions& options);

struct CaRolloverDevicesOptions {
  std::filesystem::path config;  // CAS's
  bool prepare = false;          // one of the two
  bool install = false;
};
int ca_rollover_devices(const CaRolloverDevicesOptions& options);

struct CaExpectOptions {
  std::filesystem::path config;  // CAS's
  std::string element;           // URI
  std::filesystem::path out;     // gets the secret
};
/// A one-time secret with which an element may enrol.
int ca_expect(const CaExpectOptions& options);

void add_ca_offline_commands(CLI::App& ca, const OnCommand& on);

}  // namespace qanat::app
