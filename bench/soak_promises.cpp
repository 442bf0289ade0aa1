#include "soak_promises.hpp"

#include "crypto/kdf.hpp"

namespace qanat::bench {
namespace {

constexpr std::size_t findings_max = 100;

}  // namespace

void Promises::opened(const SidWk& session, const Secret& wk) {
  const KeyHash hash(crypto::digest(crypto::Hash::sha256, wk.reveal()));
  const std::lock_guard lock(mutex_);
  const auto [known_key, first_of_session] = key_of_.try_emplace(session, hash);
  if (!first_of_session && known_key->second != hash) note("session " + session.hex() + " has two working keys");
  const auto [known_session, first_of_key] = session_of_.try_emplace(hash, session);
  if (!first_of_key && known_session->second != session)
    note("sessions " + known_session->second.hex() + " and " + session.hex() + " have the same working key");
}

void Promises::broken(std::string what) {
  const std::lock_guard lock(mutex_);
  note(std::move(what));
}

void Promises::note(std::string what) {
  if (findings_.size() < findings_max) findings_.push_back(std::move(what));
}

std::vector<std::string> Promises::findings() const {
  const std::lock_guard lock(mutex_);
  return findings_;
}

bool Promises::kept() const {
  const std::lock_guard lock(mutex_);
  return findings_.empty();
}

std::size_t Promises::sessions() const {
  const std::lock_guard lock(mutex_);
  return key_of_.size();
}

}  // namespace qanat::bench
