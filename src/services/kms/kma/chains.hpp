// Chained connections of a KMS (net/chain.hpp): to other KMSs (Km-2) under a quantum key that both have from their QKMs, to its own QKM (Km-3) under the key of
// the site. Own design: docs/protocol/chain.md.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "base/id.hpp"
#include "crypto/site_key.hpp"
#include "node/node.hpp"
#include "services/kms/settings.hpp"

namespace qanat::kms {

class Agreement;

class Chains {
 public:
  /// Quantum keys come as `agreement` draws them. All of them must outlive it.
  Chains(node::Node& node, const KmsSettings& settings, Agreement& agreement, crypto::SiteKey site_key)
      : node_(node), settings_(settings), agreement_(agreement), site_key_(std::move(site_key)) {}

  /// From now on connections to the other KMSs and to this domain's QKM are chained, as the settings have it.
  void begin();
  /// km2_chain: another KMS asks for its next connection.
  Result<net::Response> answer(const net::Request& request);
  /// What begin() has the other KMSs connected by: the way to the next connection to the KMS of this name. `unavailable` where it costs a quantum key and one was
  /// taken for that KMS a moment ago.
  Result<net::ChainedKey> next_to_kms(const std::string& name, const std::string& domain, const net::ChainLink& link, Deadline deadline);

 private:
  /// A quantum key that many connections' keys come from, until it is refreshed.
  struct Root {
    SidWk session;  // under which the QKMs know it
    KeyId key_id;
    Secret key;
    UnixMs until = 0;
  };
  /// Those that were taken for this KMS, the newest first.
  std::vector<Root> roots_for(const std::string& name, UnixMs now);
  /// By the roots that there are, but those of `unknown_there`; `not_found` if that front end knows none, and they are added.
  Result<net::ChainedKey> by_known_root(const std::string& name, std::set<KeyId>& unknown_there, const net::ChainLink& link, Deadline deadline);
  /// Whoever takes a root for this KMS; ends with it.
  struct Turn {
    Chains& chains;
    const std::string& name;
    ~Turn();
  };
  Result<net::ChainedKey> next_to_qkm(const net::ChainLink& link, Deadline deadline);
  Result<net::ChainedKey> ask_kms(const Root& root, const net::ChainLink& link, Deadline deadline);
  Result<Root> take_root(const std::string& domain, Deadline deadline);
  /// The root of another KMS: known from an earlier connection, or fetched.
  Result<Secret> root_of(const Identity& kms, const SidWk& session, const KeyId& key_id, Deadline deadline);
  /// The one key in a QKM's answer, of this id if one is given.
  Result<Root> read_key(const wire::Json& answer, const SidWk& session) const;

  node::Node& node_;
  const KmsSettings& settings_;
  Agreement& agreement_;
  const crypto::SiteKey site_key_;
  std::mutex mutex_;
  std::map<std::string, std::vector<Root>> own_;  // by the other KMS's name: what was taken for it, the newest first. Each of its front ends knows its own
  std::set<std::string> taking_;                  // those names: one is being taken
  std::condition_variable turn_over_;
  std::map<std::string, UnixMs> not_before_;      // by that name: none was to be had a moment ago, or one was spent on a KMS that said it knew none
  std::multimap<std::string, Root> of_others_;    // by the KMS's URI, oldest first
};

}  // namespace qanat::kms
