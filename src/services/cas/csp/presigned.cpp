#include "services/cas/csp/presigned.hpp"

namespace qanat::cas {
namespace {

// Threads that make answers at once read the clock in any order; an answer from further ahead than this was made before the clock was set back.
constexpr UnixMs clock_step = 60'000;

bool is_from_ahead(const PresignedAnswer& answer, UnixMs now) { return now + clock_step < answer.this_update; }

bool is_half_over(const PresignedAnswer& answer, UnixMs now) {
  return is_from_ahead(answer, now) || now >= answer.this_update + (answer.next_update - answer.this_update) / 2;
}

}  // namespace

std::shared_ptr<const PresignedAnswer> Presigned::find(const PresignedKey& key, UnixMs now) const {
  const std::lock_guard lock(mutex_);
  const auto found = answers_.find(key);
  if (found == answers_.end() || is_from_ahead(*found->second, now) || now >= found->second->next_update) return nullptr;
  return found->second;
}

std::uint64_t Presigned::generation() const {
  const std::lock_guard lock(mutex_);
  return generation_;
}

bool Presigned::keep(PresignedKey key, PresignedAnswer answer, std::uint64_t generation) {
  auto kept = std::make_shared<const PresignedAnswer>(std::move(answer));
  const std::lock_guard lock(mutex_);
  if (generation != generation_) return false;
  const auto found = answers_.find(key);
  if (found == answers_.end() && answers_.size() >= most_) return false;
  // Two were made at once, ahead and for a question: everybody gets the one that came first.
  if (found != answers_.end() && !is_half_over(*found->second, kept->this_update)) return true;
  answers_.insert_or_assign(std::move(key), std::move(kept));
  return true;
}

void Presigned::forget(Branch branch, std::span<const Bytes> serials) {
  const std::lock_guard lock(mutex_);
  ++generation_;
  for (const Bytes& serial : serials) {
    for (const crypto::CertIdHash hash : {crypto::CertIdHash::sha1, crypto::CertIdHash::sha256}) {
      answers_.erase({.branch = branch, .hash = hash, .serial = serial});
    }
  }
}

std::vector<PresignedKey> Presigned::due(UnixMs now, std::size_t most) const {
  std::vector<PresignedKey> out;
  const std::lock_guard lock(mutex_);
  for (const auto& [key, answer] : answers_) {
    if (out.size() == most) break;
    if (!is_half_over(*answer, now)) continue;
    out.push_back(key);
  }
  return out;
}

void Presigned::forget_expired(UnixMs now) {
  const std::lock_guard lock(mutex_);
  std::erase_if(answers_, [&](const auto& entry) { return now >= entry.second->next_update; });
}

std::size_t Presigned::size() const {
  const std::lock_guard lock(mutex_);
  return answers_.size();
}

bool Presigned::has(const PresignedKey& key) const {
  const std::lock_guard lock(mutex_);
  return answers_.contains(key);
}

}  // namespace qanat::cas
