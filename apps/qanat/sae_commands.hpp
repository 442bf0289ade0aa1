// `qanat sae`: who gets keys from a network's QKMs and KMSs by ETSI GS QKD 014 and its like, and whether it works.
#pragma once

#include "command_options.hpp"
#include "crypto/foreign_issue.hpp"
#include "sae_authority.hpp"

namespace qanat::app {

struct SaeAddOptions {
  std::filesystem::path folder;  // of the network
  std::string name;
  std::string domain;
  std::filesystem::path out;  // where the SAE's files go; empty: below the network's folder
  crypto::ForeignKey key = crypto::ForeignKey::ecdsa_p256;
  SaeAt at = SaeAt::qkm;
  // At a KMS alone:
  std::vector<std::string> peer_domains;  // besides its own that it may share keys with; "*": any
  std::int64_t keys_per_second = 0;       // 0: no limit
  std::int64_t keys_per_day = 0;
  Output output = Output::people;
};
enum class SaeEnding : std::uint8_t { revoke, remove };
struct SaeKeyOptions {
  std::filesystem::path folder;
  std::string from;
  std::string to;
  std::uint32_t number = 1;
  std::uint32_t size = 256;  // bits
  bool show = false;         // the keys themselves
  Output output = Output::people;
};

int sae_add(const SaeAddOptions& options);
int sae_end(const std::filesystem::path& folder, const std::string& name, SaeEnding ending, Output output);
int sae_list(const std::filesystem::path& folder, Output output);
int sae_key(const SaeKeyOptions& options);
int sae_status(const std::filesystem::path& folder, Output output);

/// For the tables of `qanat up` and `qanat demo`: where the network gives keys to SAEs.
void print_sae_listeners(const Network& network);

/// Adds all of them below `sae`.
void add_sae_commands(CLI::App& sae, const OnCommand& on);

}  // namespace qanat::app
