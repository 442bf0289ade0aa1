// What a working key is made of: a pure function of traffic, terminal, demand, grant, policy and the state of things, with its reason. What is learnt
// by trying (no keys over separate paths, none at all) is state too: the caller asks again with it, until the choice can be carried out or is a refusal.
//
// Quantum keys never stand alone: in QFC2 the two KMSs always agree by ML-KEM and ECDH too, and K_Q goes into the same derivation (docs/protocol/qfc2.md).
#pragma once

#include <expected>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "services/kms/kma/traffic.hpp"
#include "wire/qfc2.hpp"

namespace qanat::kms {

enum class Source : std::uint8_t { none, local_rng, pqc, quantum_and_pqc };

/// How the two encapsulations of step 11 stand to each other. Parallel: classical and ML-KEM, combined once. In series: what comes of that is the key of a
/// second exchange, to the request's ephemeral keys. Every suite has both; which it is, the terminal's means and policy say (docs/adr/0024-life-of-keys.md).
enum class Encapsulation : std::uint8_t { parallel, series };

/// What policy says of the ephemeral keys of an application (F_EPH).
enum class EphemeralKeys : std::uint8_t { as_the_terminal_can, required };

enum class Because : std::uint8_t {
  both_served_here,
  over_separate_paths,
  policy_asks_for_one_path,
  granted_one_path,
  no_separate_paths,
  granted_no_quantum,
  traffic_has_no_quantum,
  stock_is_kept,
  peer_has_no_quantum,
  no_qkm,
  no_quantum_key,
  // Refusals.
  no_ephemeral_keys,
  demand_not_met,
  no_fallback,
};

struct SourcePolicy {
  std::int64_t paths = 1;
  std::int64_t shares = 1;
  bool pqc_fallback = true;
  bool quantum_undemanded = true;    // this traffic has quantum keys without demanding them
  std::int64_t quantum_reserve = 0;  // keys of the stock that are for those who demand them
  EphemeralKeys ephemeral_keys = EphemeralKeys::as_the_terminal_can;
};

/// The state of things towards one domain.
struct Live {
  bool qkm = true;  // this domain has one
  bool peer_has_quantum = true;
  std::optional<std::int64_t> stock;  // quantum keys that are ready; nothing: not known
  bool separate_paths = true;         // false once keys over separate paths could not be had
  bool quantum_key = true;            // false once none could be had
};

/// Who wants quantum keys: one who goes on without them, or one who has nothing without them.
enum class Demand : std::uint8_t { wished, strict };

/// Quantum keys that somebody wants, in lots, a part of which is of no use.
struct Wanted {
  std::int64_t keys = 1;  // in each lot
  std::int64_t lots = 1;  // at most
  Demand demand = Demand::wished;
  std::int64_t reserve = 0;  // keys of the stock that are for strict demand
};

/// How many of these lots the QKM may be asked for, one at least; or why it is not asked at all. For calls and for whoever else takes quantum keys.
std::expected<std::int64_t, Because> room_for(const Wanted& wanted, const Live& live);

struct Situation {
  bool same_domain = false;
  bool ephemeral = true;  // what the terminal can do: fresh keys in its application
  wire::Assurance demanded = wire::Assurance::local_rng;
  wire::Assurance granted = wire::Assurance::disjoint_qkd_paths;
  SourcePolicy policy;
  Live live;
};

struct Choice {
  Source source = Source::none;  // none: refused
  std::int64_t paths = 0;
  std::int64_t shares = 0;  // quantum keys; one per path if there are several
  Encapsulation encapsulation = Encapsulation::parallel;
  Because because{};

  bool operator==(const Choice&) const = default;
};

Choice choose(const Situation& situation);
/// The part of it that concerns the callee's delivery too: nothing if the key is not to be delivered. `ephemeral`: as in Situation.
std::optional<Encapsulation> encapsulation_for(bool ephemeral, EphemeralKeys policy);

constexpr std::string_view text(Because because) noexcept {
  switch (because) {
    case Because::both_served_here:
      return "both numbers are served here";
    case Because::over_separate_paths:
      return "over separate paths, as policy asks";
    case Because::policy_asks_for_one_path:
      return "policy asks for one path";
    case Because::granted_one_path:
      return "the grant reaches to one path";
    case Because::no_separate_paths:
      return "no keys over separate paths now";
    case Because::granted_no_quantum:
      return "the grant does not reach to quantum keys";
    case Because::traffic_has_no_quantum:
      return "this traffic has quantum keys on demand alone";
    case Because::stock_is_kept:
      return "what is left of the stock is for those who demand it";
    case Because::peer_has_no_quantum:
      return "the other domain has no quantum keys";
    case Because::no_qkm:
      return "this domain has no QKM";
    case Because::no_quantum_key:
      return "no quantum key now";
    case Because::no_ephemeral_keys:
      return "the terminal brings no ephemeral keys, which policy demands of this traffic";
    case Because::demand_not_met:
      return "less than the terminal or its policy demands";
    case Because::no_fallback:
      return "no quantum key, and policy allows no fallback";
  }
  return "?";
}

/// "2 quantum keys over 2 paths and PQC: over separate paths, as policy asks; delivered in series". For the audit record and the trace.
std::string describe(const Choice& choice);

}  // namespace qanat::kms
