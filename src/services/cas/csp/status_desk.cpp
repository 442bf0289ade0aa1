#include "services/cas/csp/status_desk.hpp"

#include <algorithm>
#include <array>

#include "crypto/kdf.hpp"

namespace qanat::cas {
namespace {

// OCSPResponseStatus, RFC 6960 §4.2.1.
constexpr int status_malformed_request = 1;
constexpr int status_internal_error = 2;
constexpr int status_try_later = 3;
constexpr int status_unauthorized = 6;

constexpr std::size_t tag_octets = 16;

StatusDesk::Reply refused(int status) {
  return {.answer =
              std::make_shared<const PresignedAnswer>(PresignedAnswer{.der = crypto::make_status_error(status), .this_update = 0, .next_update = 0, .tag = ""}),
          .lasting = false};
}

std::string tag_of(ByteView der) {
  const Bytes digest = crypto::digest(crypto::Hash::sha256, der);
  return '"' + to_hex(ByteView(digest).first(tag_octets)) + '"';
}

UnixMs in_ms(std::chrono::seconds span) { return static_cast<UnixMs>(std::chrono::milliseconds(span).count()); }

}  // namespace

StatusDesk::Reply StatusDesk::try_later() { return refused(status_try_later); }

/// The CA that issued all of the certificates, by their names: one answer has one signer, and no responder answers for another CA.
std::optional<Branch> StatusDesk::branch_of(const crypto::StatusQuestions& questions) const {
  for (const Branch branch : authorities_.branches()) {
    const crypto::Certificate& issuer = authorities_.of(branch).certificate;
    if (std::ranges::all_of(questions.about, [&](const crypto::StatusQuestion& question) { return crypto::names_issuer(question, issuer); })) return branch;
  }
  return std::nullopt;
}

std::optional<StatusDesk::Earlier> StatusDesk::earlier_of(const crypto::StatusQuestions& questions) const {
  for (const Branch branch : authorities_.branches()) {
    for (const Authority& authority : authorities_.earlier(branch)) {
      const auto is_of_it = [&](const crypto::StatusQuestion& question) { return crypto::names_issuer(question, authority.certificate); };
      if (std::ranges::all_of(questions.about, is_of_it)) return Earlier{.branch = branch, .authority = &authority};
    }
  }
  return std::nullopt;
}

std::optional<StatusDesk::Reply> StatusDesk::ready(ByteView request_der) const {
  const auto questions = crypto::parse_status_questions(request_der);
  if (!questions) return refused(status_malformed_request);
  const std::optional<Branch> branch = branch_of(*questions);
  if (!branch) return earlier_of(*questions) ? std::nullopt : std::optional(refused(status_unauthorized));
  if (questions->about.size() != 1 || !questions->nonce.empty()) return std::nullopt;
  const crypto::StatusQuestion& question = questions->about.front();
  auto answer = presigned_.find({.branch = *branch, .hash = question.hash, .serial = question.serial}, clock_.now_ms());
  if (!answer) return std::nullopt;
  return Reply{.answer = std::move(answer), .lasting = true};
}

StatusDesk::Reply StatusDesk::sign(ByteView request_der) {
  const auto questions = crypto::parse_status_questions(request_der);
  if (!questions) return refused(status_malformed_request);
  const std::optional<Branch> branch = branch_of(*questions);
  const std::optional<Earlier> earlier = branch ? std::nullopt : earlier_of(*questions);
  if (!branch && !earlier) return refused(status_unauthorized);
  auto reply = branch ? sign_for(*questions, *branch) : sign_as(*earlier, *questions);
  if (reply) return *std::move(reply);
  node::log(node::LogLevel::error, "certificate status: {}", reply.error().message);
  return refused(status_internal_error);
}

Result<StatusDesk::Reply> StatusDesk::sign_for(const crypto::StatusQuestions& questions, Branch branch) {
  const std::uint64_t generation = presigned_.generation();
  const UnixMs now = clock_.now_ms();
  ASSIGN_OR_RETURN(const crypto::StatusSigner signer, delegates_.signer(branch));
  std::vector<crypto::StatusLine> lines;
  bool known = true;
  for (const crypto::StatusQuestion& question : questions.about) {
    ASSIGN_OR_RETURN(Standing standing, records_.standing(branch, question.serial));
    if (standing.generation != authorities_.of(branch).generation) standing = {};
    known = known && standing.status != crypto::CertStatus::unknown;
    lines.push_back({.hash = question.hash,
                     .serial = question.serial,
                     .answer = {.status = standing.status,
                                .this_update = now,
                                .next_update = 0,
                                .revoked_at = standing.revoked_at,
                                .reason = standing.reason}});
  }
  // What anybody may ask for without bound is not kept: numbers that nobody was given.
  const bool lasting = known && lines.size() == 1 && questions.nonce.empty();
  const UnixMs life = in_ms(lasting ? settings_.presigned_lifetime : settings_.asked_lifetime);
  const UnixMs until = std::min(now + life, signer.certificate().not_after());
  for (crypto::StatusLine& line : lines) line.answer.next_update = until;
  PresignedAnswer answer{.der = {}, .this_update = now, .next_update = until, .tag = ""};
  ASSIGN_OR_RETURN(answer.der, signer.answer(lines, questions.nonce, now));
  if (!lasting) return Reply{.answer = std::make_shared<const PresignedAnswer>(std::move(answer)), .lasting = false};
  answer.tag = tag_of(answer.der);
  const PresignedKey key{.branch = branch, .hash = lines.front().hash, .serial = lines.front().serial};
  if (presigned_.keep(key, answer, generation)) {
    if (auto kept = presigned_.find(key, now)) return Reply{.answer = std::move(kept), .lasting = true};
  }
  return Reply{.answer = std::make_shared<const PresignedAnswer>(std::move(answer)), .lasting = true};
}

/// About certificates that this generation issued, by its own key; those of others are unknown to it.
Result<StatusDesk::Reply> StatusDesk::sign_as(const Earlier& earlier, const crypto::StatusQuestions& questions) const {
  const UnixMs now = clock_.now_ms();
  ASSIGN_OR_RETURN(const crypto::StatusSigner signer, crypto::StatusSigner::make(earlier.authority->certificate, std::nullopt, earlier.authority->key));
  const UnixMs until = now + in_ms(settings_.asked_lifetime);
  std::vector<crypto::StatusLine> lines;
  for (const crypto::StatusQuestion& question : questions.about) {
    ASSIGN_OR_RETURN(Standing standing, records_.standing(earlier.branch, question.serial));
    if (standing.generation != earlier.authority->generation) standing = {};
    lines.push_back({.hash = question.hash,
                     .serial = question.serial,
                     .answer = {.status = standing.status,
                                .this_update = now,
                                .next_update = until,
                                .revoked_at = standing.revoked_at,
                                .reason = standing.reason}});
  }
  PresignedAnswer answer{.der = {}, .this_update = now, .next_update = until, .tag = ""};
  ASSIGN_OR_RETURN(answer.der, signer.answer(lines, questions.nonce, now));
  return Reply{.answer = std::make_shared<const PresignedAnswer>(std::move(answer)), .lasting = false};
}

Result<std::size_t> StatusDesk::prepare(std::span<const LiveCertificate> live, std::size_t most) {
  const UnixMs now = clock_.now_ms();
  presigned_.forget_expired(now);
  std::vector<PresignedKey> wanted = presigned_.due(now, most);
  for (const LiveCertificate& certificate : live) {
    for (const crypto::CertIdHash hash : {crypto::CertIdHash::sha1, crypto::CertIdHash::sha256}) {
      PresignedKey key{.branch = certificate.branch, .hash = hash, .serial = certificate.serial};
      if (wanted.size() < most && !presigned_.has(key)) wanted.push_back(std::move(key));
    }
  }
  std::size_t made = 0;
  for (const PresignedKey& key : wanted) {
    const std::uint64_t generation = presigned_.generation();
    ASSIGN_OR_RETURN(const Standing standing, records_.standing(key.branch, key.serial));
    if (standing.not_after <= now) {  // its place is for certificates that somebody still asks about
      presigned_.forget(key.branch, std::span(&key.serial, 1));
      ++made;
      continue;
    }
    ASSIGN_OR_RETURN(PresignedAnswer answer, presign(key, standing));
    if (presigned_.keep(key, std::move(answer), generation)) ++made;
  }
  return made;
}

net::Staple StatusDesk::staple(Branch branch, Bytes serial) {
  // SHA-1 names the issuer here, no more: it is the digest by which clients look for the certificate (RFC 5019 §2.1.1).
  const auto stapled = std::make_shared<Stapled>(PresignedKey{.branch = branch, .hash = crypto::CertIdHash::sha1, .serial = std::move(serial)});
  {
    const std::lock_guard lock(stapled_mutex_);
    stapled_.push_back(stapled);  // before the answer is made: a revocation meanwhile is not missed
  }
  if (const Result<void> made = renew(*stapled); !made) node::log(node::LogLevel::error, "status to be stapled: {}", made.error().message);
  return [stapled, &clock = clock_]() -> std::shared_ptr<const Bytes> {
    const auto answer = stapled->answers.find(stapled->key, clock.now_ms());
    return answer ? std::shared_ptr<const Bytes>(answer, &answer->der) : nullptr;
  };
}

Result<void> StatusDesk::renew_staples() {
  for (const auto& each : stapled()) TRY(renew(*each));
  return {};
}

void StatusDesk::forget(Branch branch, std::span<const Bytes> serials) {
  presigned_.forget(branch, serials);
  for (const auto& each : stapled()) each->answers.forget(branch, serials);
}

/// Those that somebody still staples.
std::vector<std::shared_ptr<StatusDesk::Stapled>> StatusDesk::stapled() {
  std::vector<std::shared_ptr<Stapled>> out;
  const std::lock_guard lock(stapled_mutex_);
  std::erase_if(stapled_, [&](const std::weak_ptr<Stapled>& each) {
    auto held = each.lock();
    if (!held) return true;
    out.push_back(std::move(held));
    return false;
  });
  return out;
}

Result<void> StatusDesk::renew(Stapled& stapled) const {
  const PresignedKey& key = stapled.key;
  const UnixMs now = clock_.now_ms();
  if (stapled.answers.has(key) && stapled.answers.due(now, 1).empty()) return {};
  const std::uint64_t generation = stapled.answers.generation();
  ASSIGN_OR_RETURN(const Standing standing, records_.standing(key.branch, key.serial));
  if (standing.status != crypto::CertStatus::good || standing.not_after <= now) {
    stapled.answers.forget(key.branch, std::span(&key.serial, 1));
    return {};
  }
  ASSIGN_OR_RETURN(PresignedAnswer answer, presign(key, standing));
  stapled.answers.keep(key, std::move(answer), generation);  // or not, if it was revoked meanwhile
  return {};
}

Result<PresignedAnswer> StatusDesk::presign(const PresignedKey& key, const Standing& standing) const {
  const UnixMs now = clock_.now_ms();
  ASSIGN_OR_RETURN(const crypto::StatusSigner signer, delegates_.signer(key.branch));
  PresignedAnswer out{
      .der = {}, .this_update = now, .next_update = std::min(now + in_ms(settings_.presigned_lifetime), signer.certificate().not_after()), .tag = ""};
  const std::array lines{crypto::StatusLine{
      .hash = key.hash,
      .serial = key.serial,
      .answer = {.status = standing.status,
                 .this_update = out.this_update,
                 .next_update = out.next_update,
                 .revoked_at = standing.revoked_at,
                 .reason = standing.reason}}};
  ASSIGN_OR_RETURN(out.der, signer.answer(lines, {}, now));
  out.tag = tag_of(out.der);
  return out;
}

}  // namespace qanat::cas
