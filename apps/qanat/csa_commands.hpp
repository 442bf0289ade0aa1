// `qanat csa`: keys of the CSA of a running network, and files encrypted, signed and checked with them.
#pragma once

#include <filesystem>
#include <string>

#include "csa_session.hpp"

namespace qanat::app {

struct CsaCreateOptions {
  std::string algorithm;
  std::string usage;
  std::string label;
  std::string creation_id;  // empty: every request makes another key
  std::int64_t not_after_ms = 0;  // 0: no end
  std::filesystem::path policy;  // JSON; empty: the caller's own grant, an operator's: none
};
int csa_create(const CsaAsk& ask, const CsaCreateOptions& options);
int csa_list(const CsaAsk& ask);
int csa_show(const CsaAsk& ask, const std::string& key);
/// `rotation_id` empty: every request makes another version.
int csa_rotate(const CsaAsk& ask, const std::string& key, const std::string& rotation_id);
/// `policy` empty: as it is; `minimum_version` 0: as it is.
int csa_policy(const CsaAsk& ask, const std::string& key, const std::filesystem::path& policy, std::int64_t minimum_version);
int csa_state(const CsaAsk& ask, const std::string& key, const std::string& change, std::int64_t after_s);
/// Every key that a restoration suspended while it was enabled.
int csa_enable_restored(const CsaAsk& ask);
int csa_public_key(const CsaAsk& ask, const std::string& key);

/// A file under a data key of its own, wrapped by `key`; and back: the file says which key.
int csa_encrypt(const CsaAsk& ask, const std::string& key, const std::string& context, const std::filesystem::path& in, const std::filesystem::path& out);
int csa_decrypt(const CsaAsk& ask, const std::filesystem::path& in, const std::filesystem::path& out);
/// Over the file's SHA-384 behind a label (docs/operations/csa.md).
int csa_sign(const CsaAsk& ask, const std::string& key, const std::filesystem::path& in, const std::filesystem::path& out);
/// 1 if it does not hold.
int csa_verify(const CsaAsk& ask, const std::string& key, const std::filesystem::path& in, const std::filesystem::path& signature, std::int64_t version);

void add_csa_commands(CLI::App& csa, const OnCommand& on);

}  // namespace qanat::app
