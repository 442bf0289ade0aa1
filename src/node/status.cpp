#include "node/status.hpp"

namespace qanat::node {
namespace {

constexpr std::size_t entries_max = 100000;  // beyond this one is forgotten, and asked again when needed
constexpr std::size_t nonce_size = 32;       // RFC 9654 §2.1

Result<void> judge(const crypto::StatusAnswer& answer, const crypto::Certificate& cert) {
  switch (answer.status) {
    case crypto::CertStatus::good: return {};
    case crypto::CertStatus::revoked: return fail(ErrorCode::denied, "certificate of " + cert.subject() + " is revoked");
    case crypto::CertStatus::unknown: return fail(ErrorCode::denied, "certificate of " + cert.subject() + " is unknown to its CA");
  }
  return fail(ErrorCode::internal, "status: no such value");
}

bool is_silence(const Error& error, bool asked_in_haste) {
  return error.code == ErrorCode::unavailable || (error.code == ErrorCode::deadline_exceeded && !asked_in_haste);
}

}  // namespace

points::Endpoint status_endpoint(Kind kind) noexcept {
  if (kind == Kind::kms) return points::Endpoint::cq1_status;
  if (apps.has(kind)) return points::Endpoint::cq2_status;
  if (qkdn.has(kind)) return points::Endpoint::cq3_status;
  return points::Endpoint::x4_status;
}

std::optional<points::Endpoint> list_endpoint(points::Endpoint status) noexcept {
  if (status == points::Endpoint::cq1_status) return points::Endpoint::cd1_crl;
  if (status == points::Endpoint::cq2_status) return points::Endpoint::cd2_crl;
  if (status == points::Endpoint::cq3_status) return points::Endpoint::cd3_crl;
  return std::nullopt;
}

StatusChecker::StatusChecker(StatusSettings settings, points::Endpoint endpoint, net::Client& cas, const crypto::TrustStore& trust, crypto::Rng& rng,
                             const Clock& clock)
    : settings_(std::move(settings)),
      endpoint_(endpoint),
      cas_(cas),
      trust_(trust),
      rng_(rng),
      clock_(clock),
      lists_([this](const crypto::Certificate& issuer, Deadline deadline) { return fetch_list(issuer, deadline); }, clock),
      directory_lists_([this](const crypto::Certificate& issuer, Deadline deadline) { return read_list(settings_.directory, issuer, deadline); }, clock) {}

Result<void> StatusChecker::check(const crypto::Certificate& cert, Deadline deadline) { return check_issued_by(nullptr, cert, deadline); }

Result<void> StatusChecker::check_issued_by(const crypto::Certificate* issuer, const crypto::Certificate& cert, Deadline deadline) {
  const Bytes fingerprint = cert.fingerprint(crypto::Hash::sha256);
  std::optional<Entry> known;
  std::uint64_t generation = 0;
  {
    const std::lock_guard lock(mutex_);
    generation = generation_;
    if (const auto found = entries_.find(fingerprint); found != entries_.end()) known = found->second;
  }
  const UnixMs now = clock_.now_ms();
  if (known && now < known->asked_at + static_cast<UnixMs>(settings_.fresh.count())) return judge(known->answer, cert);

  const bool hasty = in_haste(deadline);
  if (issuer == nullptr) issuer = trust_.issuer_of(cert);
  const Result<crypto::StatusAnswer> fetched =
      issuer == nullptr ? fail(ErrorCode::denied, cert.subject() + " was not issued by a CA of this network") : answer_in_order(cert, *issuer, deadline);
  if (!fetched) {
    if (is_silence(fetched.error(), hasty) && settings_.serve_unexpired_when_down && known && now < known->answer.next_update) return judge(known->answer, cert);
    return fail_in("certificate status", fetched.error());
  }
  const crypto::StatusAnswer& answer = *fetched;
  {
    const std::lock_guard lock(mutex_);
    if (generation != generation_) return judge(answer, cert);
    if (entries_.size() >= entries_max) entries_.erase(entries_.begin());
    entries_.insert_or_assign(fingerprint, Entry{.answer = answer, .asked_at = now});
  }
  return judge(answer, cert);
}

Result<crypto::StatusAnswer> StatusChecker::answer_in_order(const crypto::Certificate& cert, const crypto::Certificate& issuer, Deadline deadline) {
  std::optional<Error> silence;
  for (std::size_t i = 0; i < settings_.order.size(); ++i) {
    // Who is silent leaves time for who comes after it.
    const Deadline until = i + 1 < settings_.order.size() ? deadline.sooner_of(deadline.remaining() / 2) : deadline;
    const bool hasty = in_haste(until);
    const auto answer = answer_of(settings_.order[i], cert, issuer, until);
    // A list that is to help when CAS is silent must have come before.
    const bool list_behind = i + 1 < settings_.order.size() && settings_.order[i + 1] != StatusSource::ocsp;
    if (answer && list_behind && settings_.order[i] == StatusSource::ocsp) lists_of(settings_.order[i + 1]).keep_ready(issuer, deadline);
    if (answer || !is_silence(answer.error(), hasty)) return answer;
    silence = answer.error();
  }
  return fail(silence ? *silence : Error{ErrorCode::internal, "status: nobody is to be asked"});
}

Result<crypto::StatusAnswer> StatusChecker::answer_of(StatusSource source, const crypto::Certificate& cert, const crypto::Certificate& issuer,
                                                      Deadline deadline) {
  if (source != StatusSource::ocsp) return lists_of(source).status(cert, issuer, deadline);
  ASSIGN_OR_RETURN(const Fetched fetched, fetch_of(cert, issuer, deadline));
  return fetched.answer;
}

Result<Bytes> StatusChecker::fetch_list(const crypto::Certificate& issuer, Deadline deadline) {
  const auto endpoint = list_endpoint(endpoint_);
  if (!endpoint) return fail(ErrorCode::unavailable, "this element is given no revocation lists");
  const bool ml_dsa = issuer.key_algorithm() == crypto::KeyAlgorithm::ml_dsa_65 || issuer.key_algorithm() == crypto::KeyAlgorithm::ml_dsa_87;
  const points::EndpointRow& line = points::row(*endpoint);
  const net::Call call{.method = std::string(line.method),
                       .path = std::string(line.path),
                       .query = std::string("branch=") + (ml_dsa ? "ml_dsa" : "classical") + "&list=full",
                       .content_type = "",
                       .body = {},
                       .request_id = to_hex(rng_.bytes(8))};
  ASSIGN_OR_RETURN(net::Response response, cas_.call(call, deadline));
  if (response.status != 200) return fail(net::error_of(response));
  return std::move(response.body);
}

void StatusChecker::take_stapled(const crypto::Certificate& cert, ByteView response) {
  const crypto::Certificate* issuer = trust_.issuer_of(cert);
  if (issuer == nullptr) return;
  const UnixMs now = clock_.now_ms();
  const auto answer = crypto::verify_status_response(response, cert, *issuer, {}, now);
  if (!answer || answer->this_update > now) return;  // a clock ahead of ours must not make an answer younger than it is
  const Bytes fingerprint = cert.fingerprint(crypto::Hash::sha256);
  const std::lock_guard lock(mutex_);
  if (noticed_.contains(fingerprint) || answer->this_update < staples_from_) return;
  const auto known = entries_.find(fingerprint);
  if (known != entries_.end() && known->second.asked_at >= answer->this_update) return;
  if (entries_.size() >= entries_max) entries_.erase(entries_.begin());
  entries_.insert_or_assign(fingerprint, Entry{.answer = *answer, .asked_at = answer->this_update});
}

void StatusChecker::forget(const std::set<Bytes>& fingerprints) {
  lists_.out_of_date();
  directory_lists_.out_of_date();
  const std::lock_guard lock(mutex_);
  ++generation_;
  for (const Bytes& fingerprint : fingerprints) {
    entries_.erase(fingerprint);
    if (noticed_.size() >= entries_max) noticed_.erase(noticed_.begin());
    noticed_.insert(fingerprint);
  }
}

void StatusChecker::forget_all() {
  lists_.out_of_date();
  directory_lists_.out_of_date();
  const std::lock_guard lock(mutex_);
  ++generation_;
  entries_.clear();
  staples_from_ = clock_.now_ms();
}

Result<void> StatusChecker::check_with_chain(const crypto::Certificate& cert, Deadline deadline, crypto::LeafUse use) {
  const std::pair held_as(cert.fingerprint(crypto::Hash::sha256), use);
  const UnixMs now = clock_.now_ms();
  bool held = false;
  {
    const std::lock_guard lock(mutex_);
    const auto found = chains_held_.find(held_as);
    const bool young = found != chains_held_.end() && now < found->second + static_cast<UnixMs>(settings_.fresh.count());
    held = young && now >= cert.not_before() && now < cert.not_after();
  }
  const crypto::Certificate* issuer = nullptr;
  if (!held) {
    ASSIGN_OR_RETURN(issuer, trust_.verified_issuer(cert, now, use));
    const std::lock_guard lock(mutex_);
    if (chains_held_.size() >= entries_max) chains_held_.erase(chains_held_.begin());
    chains_held_.insert_or_assign(held_as, now);
  }
  return check_issued_by(issuer, cert, deadline);
}

Result<StatusChecker::Fetched> StatusChecker::fetch(const crypto::Certificate& cert, Deadline deadline) {
  const crypto::Certificate* issuer = trust_.issuer_of(cert);
  if (issuer == nullptr) return fail(ErrorCode::denied, cert.subject() + " was not issued by a CA of this network");
  return fetch_of(cert, *issuer, deadline);
}

Result<StatusChecker::Fetched> StatusChecker::fetch_of(const crypto::Certificate& cert, const crypto::Certificate& issuer, Deadline deadline) {
  const Bytes nonce = rng_.bytes(nonce_size);
  ASSIGN_OR_RETURN(const Bytes request, crypto::make_status_request(cert, issuer, nonce));
  const points::EndpointRow& line = points::row(endpoint_);
  const net::Call call{.method = std::string(line.method),
                       .path = std::string(line.path),
                       .query = "",
                       .content_type = std::string(line.request_type),
                       .body = request,
                       .request_id = to_hex(rng_.bytes(8))};
  ASSIGN_OR_RETURN(net::Response response, cas_.call(call, deadline));
  if (response.status != 200) return fail(net::error_of(response));
  ASSIGN_OR_RETURN(const crypto::StatusAnswer answer, crypto::verify_status_response(response.body, cert, issuer, nonce, clock_.now_ms()));
  return Fetched{.answer = answer, .response = std::move(response.body)};
}

}  // namespace qanat::node
