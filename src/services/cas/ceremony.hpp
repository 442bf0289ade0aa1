// The founding of a network's trust: roots whose keys go offline at once (or that were made offline before), issuing CAs whose keys CAS keeps sealed, and the
// list of the elements that may enrol. Held once, before CAS runs for the first time.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "services/cas/records.hpp"
#include "services/cas/root.hpp"

namespace qanat::cas {

/// The offline ceremony: roots alone.
struct RootPlan {
  std::string network = "Qanat";  // begins the CAs' common names
  const crypto::Suite* suite = nullptr;
  std::filesystem::path folder;                  // new, or empty; mode 0700
  std::optional<crypto::DeviceSettings> device;  // whose key seals the roots' keys; absent: files
  UnixMs now_ms = 0;
};
/// Appears whole or not at all; `conflict` if the folder holds anything. The transcript.
Result<std::string> hold_root_ceremony(const RootPlan& plan);

/// Roots that were made offline, brought to the machine for as long as it takes.
struct OfflineRoots {
  std::filesystem::path folder;
  std::optional<crypto::DeviceSettings> device;  // needed if the keys are sealed
};

/// Signs the issuing CAs' requests `issuing-*.csr` in `requests` (one for each branch): their certificates `issuing-*.pem`, and the roots', appear in the new
/// folder `out`. What is signed stands in the roots' transcript before it leaves. The transcript's record.
Result<std::string> sign_issuing_requests(const OfflineRoots& roots, const std::filesystem::path& requests, const std::filesystem::path& out, UnixMs now_ms);

struct CeremonyPlan {
  std::string network = "Qanat";  // begins the CAs' common names
  const crypto::Suite* suite = nullptr;
  std::filesystem::path offline;     // gets the roots, as files (root.hpp)
  std::optional<OfflineRoots> roots = {};  // instead: these
  std::filesystem::path trust;       // gets root-<branch>.pem and issuing-<branch>.pem; every element reads it
  std::filesystem::path state;       // CAS's own: cas.db is made there
  std::filesystem::path master_key;  // of CAS's software device, or what its SDF or SKF device wraps; made if absent
  std::optional<crypto::DeviceSettings> device = {};  // CAS's master key, instead
  std::vector<ExpectedElement> elements;
  UnixMs now_ms = 0;
};

/// `conflict` if any of the files, or cas.db, is there already: a ceremony never overwrites a root.
Result<void> hold_ceremony(const CeremonyPlan& plan);

/// More elements, or a new one-time secret for a known one (whose certificates have expired or were revoked). CAS must not be running.
Result<void> expect_elements(const std::filesystem::path& state, const std::filesystem::path& master_key, std::span<const ExpectedElement> elements,
                             UnixMs now_ms);

}  // namespace qanat::cas
