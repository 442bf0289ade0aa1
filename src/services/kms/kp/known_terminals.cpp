#include "services/kms/kp/known_terminals.hpp"

namespace qanat::kms {

Result<KnownTerminal> KnownTerminal::from_row(const crypto::Suite& suite, const Terminal& row) {
  ASSIGN_OR_RETURN(crypto::Certificate classical, crypto::Certificate::parse(row.classical));
  ASSIGN_OR_RETURN(crypto::Certificate ml_dsa, crypto::Certificate::parse(row.ml_dsa));
  ASSIGN_OR_RETURN(crypto::Verifier verifier, crypto::Verifier::from_key(suite, {.point = classical.public_key(), .ml_dsa = ml_dsa.public_key()}));
  return Result<KnownTerminal>(KnownTerminal{.terminal = row,
                                             .classical = std::move(classical),
                                             .ml_dsa = std::move(ml_dsa),
                                             .verifier = std::move(verifier),
                                             .encapsulator = crypto::Encapsulator::from_key(suite, row.encryption),
                                             .fps = wire::fingerprints(suite, row.classical, row.ml_dsa),
                                             .bundle = bundle_of(suite, row),
                                             .digest = content_digest(row)});
}

std::shared_ptr<const KnownTerminal> KnownTerminals::kept(const TerminalLook& look) {
  const std::lock_guard lock(mutex_);
  const auto found = kept_.find(look.uid);
  if (look.digest.empty() || found == kept_.end()) return nullptr;
  const KnownTerminal& known = *found->second.known;
  if (known.digest != look.digest || known.terminal.confirmed != look.confirmed || known.terminal.state != look.state) return nullptr;
  by_use_.splice(by_use_.begin(), by_use_, found->second.place);
  return found->second.known;
}

Result<std::shared_ptr<const KnownTerminal>> KnownTerminals::of(const Terminal& row) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = kept_.find(row.uid); found != kept_.end() && found->second.known->terminal == row) {
      by_use_.splice(by_use_.begin(), by_use_, found->second.place);
      return found->second.known;
    }
  }
  ASSIGN_OR_RETURN(KnownTerminal made, KnownTerminal::from_row(suite_, row));
  auto known = std::make_shared<const KnownTerminal>(std::move(made));
  const std::lock_guard lock(mutex_);
  if (const auto found = kept_.find(row.uid); found != kept_.end()) {  // of another row, or made by another thread meanwhile
    found->second.known = known;
    by_use_.splice(by_use_.begin(), by_use_, found->second.place);
    return known;
  }
  by_use_.push_front(row.uid);
  kept_.emplace(row.uid, Kept{.known = known, .place = by_use_.begin()});
  if (kept_.size() > max_) {
    kept_.erase(by_use_.back());
    by_use_.pop_back();
  }
  return known;
}

}  // namespace qanat::kms
