// The founding of a network's trust: roots whose keys go offline at once, issuing CAs whose keys CAS keeps sealed, and the list of the
// elements that may enrol. Held once, before CAS runs for the first time.
#pragma once

#include <filesystem>
#include <vector>

#include "services/cas/records.hpp"

namespace qanat::cas {

struct CeremonyPlan {
  std::string network = "Qanat";  // begins the CAs' common names
  const crypto::Suite* suite = nullptr;
  std::filesystem::path offline;     // gets root-<branch>.key (0600, lower-case hexadecimal of seed or scalar) and the root certificates
  std::filesystem::path trust;       // gets root-<branch>.pem and issuing-<branch>.pem; every element reads it
  std::filesystem::path state;       // CAS's own: cas.db is made there
  std::filesystem::path master_key;  // of CAS's software device; made if absent
  std::vector<ExpectedElement> elements;
  UnixMs now_ms = 0;
};

/// `conflict` if any of the files, or cas.db, is there already: a ceremony never overwrites a root.
Result<void> hold_ceremony(const CeremonyPlan& plan);

/// More elements, or a new one-time secret for a known one (whose certificates have expired or were revoked). CAS must not be running.
Result<void> expect_elements(const std::filesystem::path& state, const std::filesystem::path& master_key, std::span<const ExpectedElement> elements,
                             UnixMs now_ms);

}  // namespace qanat::cas
