// The rollover of the issuing CAs, at CAS, which must not be running: keys of a next generation are made and sealed, the roots sign them offline
// (ceremony.hpp), and from then on CAS issues by the new ones. Certificates of earlier generations stay good until they expire or are revoked, and are answered
// for under the keys that signed them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "node/settings.hpp"
#include "services/cas/authority.hpp"

namespace qanat::cas {

/// Writes the requests `issuing-<branch>-<generation>.csr` into the new folder `out`. Asked again before the certificates are there, it gives the same ones.
/// Their file names.
Result<std::vector<std::string>> request_rollover(const node::Settings& settings, const std::filesystem::path& out);

struct RolledOver {
  std::int64_t generation = 0;
  std::vector<crypto::Certificate> certificates;  // in the order of all_branches
  std::vector<std::string> files;                 // as they are called in the trust folders
  bool before = false;                            // it had been done already
};

/// Takes the certificates from the folder that sign_issuing_requests() made. They go into every trust folder first, then all of cas.db changes in one
/// transaction: after a crash CAS issues by the old or by the new, and whoever trusts the folders knows both. The same call again completes it. `denied` if a
/// certificate is not of the key that waits, or does not chain to the roots of CAS's trust folder.
Result<RolledOver> install_rollover(const node::Settings& settings, const std::filesystem::path& certificates,
                                    const std::vector<std::filesystem::path>& further_trust);

}  // namespace qanat::cas
