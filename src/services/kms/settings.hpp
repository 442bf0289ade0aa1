// What a KMS's configuration says beyond the common tables: [kms] with [kms.policy] and [kms.csa], [sae].
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <set>

#include "net/chain.hpp"
#include "node/config.hpp"
#include "points/key_proof.hpp"
#include "services/kms/kma/policy_settings.hpp"
#include "services/kms/csa/front.hpp"
#include "services/kms/sae/sae_settings.hpp"
#include "services/kms/kp/encryption_pairs.hpp"

namespace qanat::kms {

/// Whether a terminal may apply without a charged key that counts.
enum class ChargedPolicy : std::uint8_t {
  optional,
  required_if_stocked,  // not one that was ever charged by file
};

struct KmsSettings {
  std::filesystem::path site_key;                      // shared with this site's QKM
  std::chrono::milliseconds wk_lifetime{60000};        // a key that is not fetched and confirmed by then is destroyed
  std::chrono::milliseconds clock_window{120000};      // how far a request's time may be off
  std::chrono::milliseconds callee_wait{5000};         // how long the callee's application waits for the caller's
  std::int64_t quantum_paths = 1;                      // above 1: one quantum key over each of so many separate paths, where they can be had
  std::int64_t quantum_shares = 1;                     // quantum keys per working key across domains
  std::string quantum_bound = "any";                   // what must be proved of a quantum key, and where its photons may have been: Km-3's words
  std::string quantum_photons = "any";
  points::ProofDemand quantum_demand{};                // the same, with the eps
  std::int64_t quantum_relays_max = 126;               // trusted nodes that a quantum key may have crossed
  bool pqc_fallback = true;                            // no quantum key: agree by PQC alone, and say so in the result
  std::optional<net::ChainNeed> km2_chain = net::ChainNeed::preferred;  // connections to other KMSs under quantum keys too (chains.hpp); absent: never
  std::optional<net::ChainNeed> km3_chain = net::ChainNeed::preferred;  // to the QKM under the site key too
  std::chrono::milliseconds chain_refresh{600000};     // a quantum key serves the connections of so long
  bool symmetric_mode = false;                         // admit a terminal whose certificates cannot be checked by keys of its medium's authentication set
  ChargedPolicy charged_keys = ChargedPolicy::required_if_stocked;
  std::set<Uid> charged_released;                      // terminals that may apply without one all the same; on record with each application
  std::chrono::seconds revocation_lists_every{600};    // how often the stock of charged keys is held against the revocation lists; 0: notices alone
  std::chrono::seconds evidence_every{3600};           // how often CMSP is shown evidence (Mc-2); 0: never
  std::filesystem::path media_keys;                    // folder where transport keys of new media are placed; empty: media are charged over a wire alone
  std::int64_t known_terminals = 1024;                 // terminals whose keys are kept ready in memory (kp/known_terminals.hpp)
  std::int64_t joint_deliveries = 64;                  // of one moment, that one signature may be over (kma/joint_delivery.hpp); 1: each has its own
  bool directory_fallback = false;                     // while CMSP does not answer, its directory may stand in for its grant, and the result says so
  bool profile_v1 = false;                             // serve the paper's own messages too, which do not protect the key: for comparison
  PolicySettings policy;                               // [kms.policy]
  csa::CsaSettings csa = {};

  std::optional<SaeSettings> sae;                      // keys for software that others wrote; absent: none is served

  std::chrono::milliseconds pool_key_lifetime{30LL * 86'400'000};  // after which another pool key seals a library's keys
  HistoryPolicy history = HistoryPolicy::none;
  std::chrono::days history_keys_kept{365};            // after the end of its pair a private key in history is erased (kp/history_keys.hpp)
  std::chrono::seconds history_retention{86'400};  // after the end of its time a destroyed working key leaves the database for the archive (kma/key_history.hpp)
  std::int64_t standby_low = 4;                        // encryption pairs made ahead of enrolments: fewer, and more are made,
  std::int64_t standby_high = 16;                      // until there are so many; 0: made on demand
  std::int64_t quantum_pool_low = 0;                   // quantum keys drawn ahead of calls, in working keys' worth, per peer domain
  std::int64_t quantum_pool_high = 0;                  // 0: drawn on demand

  static KmsSettings read(node::Config& config);
};

}  // namespace qanat::kms
