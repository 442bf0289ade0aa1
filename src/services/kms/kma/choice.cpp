#include "services/kms/kma/choice.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace qanat::kms {
namespace {

using wire::Assurance;

/// Why there are no quantum keys in it, if there are none.
std::optional<Because> without_quantum(const Situation& at) {
  const bool demanded = at.demanded >= Assurance::one_qkd_path;
  if (at.granted < Assurance::one_qkd_path) return Because::granted_no_quantum;
  const Wanted wanted{.keys = at.policy.paths > 1 ? at.policy.paths : at.policy.shares,
                      .demand = demanded ? Demand::strict : Demand::wished,
                      .reserve = at.policy.quantum_reserve};
  if (const auto room = room_for(wanted, at.live); !room) return room.error();
  if (!at.policy.quantum_undemanded && !demanded) return Because::traffic_has_no_quantum;
  if (!at.live.quantum_key) return Because::no_quantum_key;
  return std::nullopt;
}

Choice source_of(const Situation& at) {
  const auto refused = [](Because because) { return Choice{.source = Source::none, .because = because}; };
  if (at.same_domain) {
    return at.demanded > Assurance::local_rng ? refused(Because::demand_not_met) : Choice{.source = Source::local_rng, .because = Because::both_served_here};
  }
  if (const auto why = without_quantum(at)) {
    if (!at.policy.pqc_fallback) return refused(Because::no_fallback);
    return at.demanded > Assurance::pqc ? refused(Because::demand_not_met) : Choice{.source = Source::pqc, .because = *why};
  }
  const bool several = at.policy.paths > 1;
  const bool granted = at.granted >= Assurance::disjoint_qkd_paths;
  if (several && granted && at.live.separate_paths) {
    return {.source = Source::quantum_and_pqc, .paths = at.policy.paths, .shares = at.policy.paths, .because = Because::over_separate_paths};
  }
  if (at.demanded > Assurance::one_qkd_path) return refused(Because::demand_not_met);
  const Because because = !several ? Because::policy_asks_for_one_path : !granted ? Because::granted_one_path : Because::no_separate_paths;
  return {.source = Source::quantum_and_pqc, .paths = 1, .shares = at.policy.shares, .because = because};
}

std::string source_text(const Choice& choice) {
  switch (choice.source) {
    case Source::none:
      return "refused";
    case Source::local_rng:
      return "local RNG";
    case Source::pqc:
      return "PQC alone";
    case Source::quantum_and_pqc:
      return std::to_string(choice.shares) + (choice.shares == 1 ? " quantum key over " : " quantum keys over ") + std::to_string(choice.paths) +
             (choice.paths == 1 ? " path and PQC" : " paths and PQC");
  }
  return "?";
}

}  // namespace

std::expected<std::int64_t, Because> room_for(const Wanted& wanted, const Live& live) {
  CHECK(wanted.keys > 0 && wanted.lots > 0);
  if (!live.qkm) return std::unexpected(Because::no_qkm);
  if (!live.peer_has_quantum) return std::unexpected(Because::peer_has_no_quantum);
  if (wanted.demand == Demand::strict || !live.stock) return wanted.lots;
  const std::int64_t lots = std::min(wanted.lots, (*live.stock - wanted.reserve) / wanted.keys);
  if (lots < 1) return std::unexpected(Because::stock_is_kept);
  return lots;
}

std::optional<Encapsulation> encapsulation_for(bool ephemeral, EphemeralKeys policy) {
  if (ephemeral) return Encapsulation::series;
  if (policy == EphemeralKeys::required) return std::nullopt;
  return Encapsulation::parallel;
}

Choice choose(const Situation& situation) {
  const std::optional<Encapsulation> form = encapsulation_for(situation.ephemeral, situation.policy.ephemeral_keys);
  if (!form) return {.source = Source::none, .because = Because::no_ephemeral_keys};
  Choice out = source_of(situation);
  if (out.source != Source::none) out.encapsulation = *form;
  return out;
}

std::string describe(const Choice& choice) {
  std::string out = source_text(choice) + ": " + std::string(text(choice.because));
  if (choice.source != Source::none) out += choice.encapsulation == Encapsulation::series ? "; delivered in series" : "; delivered in parallel";
  return out;
}

}  // namespace qanat::kms
