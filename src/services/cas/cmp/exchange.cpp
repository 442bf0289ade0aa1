#include "services/cas/cmp/exchange.hpp"

#include <algorithm>
#include <array>
#include <span>

#include "node/log.hpp"
#include "wire/secret_text.hpp"

namespace qanat::cas {
namespace {

using crypto::CmpBody;
using crypto::CmpFailure;
using crypto::CmpProtection;

constexpr std::size_t identifier_octets_min = 16;  // RFC 9483 §3.1
constexpr std::int64_t oldest_version = 2;
constexpr std::int64_t latest_version = 3;
constexpr std::size_t certificates_tried_max = 2;  // of extraCerts: the first is the signer's (RFC 9483 §3.3)

}  // namespace

std::unexpected<Error> CmpExchange::refuse(CmpFailure failure, std::string text) {
  failure_ = failure;
  return fail(ErrorCode::denied, std::move(text));
}

std::unexpected<Error> CmpExchange::desk_said(Error error) {
  on_record_ = true;
  if (error.code == ErrorCode::invalid_argument) failure_ = CmpFailure::bad_cert_template;
  if (error.code == ErrorCode::conflict) failure_ = CmpFailure::not_authorized;  // a certificate of this registration stands in the way
  return fail(std::move(error));
}

CmpFailure CmpExchange::failure_of(ErrorCode code) const noexcept {
  if (failure_) return *failure_;
  switch (code) {
    case ErrorCode::invalid_argument:
      return CmpFailure::bad_data_format;
    case ErrorCode::unauthenticated:
      return CmpFailure::bad_message_check;
    case ErrorCode::denied:
      return CmpFailure::not_authorized;
    case ErrorCode::not_found:
    case ErrorCode::conflict:
      return CmpFailure::bad_request;
    case ErrorCode::exhausted:
    case ErrorCode::unavailable:
    case ErrorCode::deadline_exceeded:
      return CmpFailure::system_unavail;
    case ErrorCode::internal:
      return CmpFailure::system_failure;
  }
  return CmpFailure::system_failure;
}

Result<Bytes> CmpExchange::answer() {
  const auto worked = [&]() -> Result<Reply> {
    TRY(authenticate());
    TRY(check_fresh());
    TRY(check_profile());
    return act();
  }();
  return render(worked ? *worked : refusal_of(worked.error()));
}

Result<void> CmpExchange::authenticate() {
  const crypto::CmpHeader& header = message_.header();
  if (header.version < oldest_version || header.version > latest_version) {
    return refuse(CmpFailure::unsupported_version, "version " + std::to_string(header.version) + " is not spoken here: 2 and 3 are");
  }
  if (header.protection == CmpProtection::none) return refuse(CmpFailure::bad_message_check, "messages must be protected");
  ASSIGN_OR_RETURN(Caller caller, header.protection == CmpProtection::mac ? by_secret() : by_signature());
  caller_ = std::move(caller);
  named_ = caller_->registration.reference;
  return {};
}

/// An unknown reference and a wrong MAC are told apart in the record alone: one gets the answers of the other, after the same work.
Result<CmpExchange::Caller> CmpExchange::by_secret() {
  const std::string reference(as_text(message_.header().sender_key_id));
  Result<Registration> registration = fail(ErrorCode::not_found, "senderKID is no reference");
  if (is_registration_reference(reference)) registration = parts_.desk.registration(reference);
  if (!registration && registration.error().code != ErrorCode::not_found) return fail(registration.error());
  Caller out{.registration = {}, .secret = Secret::copy_of(as_bytes("the secret of no registration"))};
  if (registration) {
    named_ = reference;
    ASSIGN_OR_RETURN(const Secret octets, parts_.desk.secret_of(reference));
    out = {.registration = *registration, .secret = wire::base64url_text(octets)};
  }
  const Result<void> holds = message_.check_mac(out.secret);
  if (holds && registration) return Result<Caller>(std::move(out));
  if (!holds && holds.error().code == ErrorCode::denied) return refuse(CmpFailure::bad_alg, holds.error().message);
  if (!holds && holds.error().code != ErrorCode::unauthenticated) return fail(holds.error());
  for_the_record_ = registration ? "the MAC does not hold" : registration.error().message;
  return refuse(CmpFailure::bad_message_check, "the MAC does not hold, or there is no registration of this reference");
}

Result<CmpExchange::Caller> CmpExchange::by_signature() {
  const auto shown = std::span(message_.extra_certificates()).first(std::min(certificates_tried_max, message_.extra_certificates().size()));
  std::vector<Bytes> candidates(shown.begin(), shown.end());
  if (candidates.empty() && !message_.header().transaction_id.empty()) {
    ASSIGN_OR_RETURN(candidates, parts_.records.signers_of(message_.header().transaction_id));
  }
  if (candidates.empty()) {
    return refuse(CmpFailure::signer_not_trusted,
                  "extraCerts must begin with the certificate that protects the message; of MACs, passwordBasedMac alone is taken");
  }
  std::optional<Error> first;
  for (Bytes& candidate : candidates) {
    auto holder = parts_.desk.holder_of(candidate);
    Result<void> holds = holder ? message_.check_signature(candidate) : Result<void>(fail(holder.error()));
    if (holds) {
      failure_.reset();  // of a certificate before it
      return Caller{.registration = std::move(*holder), .certificate = std::move(candidate)};
    }
    if (first) continue;
    first = holds.error();
    if (holder) named_ = holder->reference;
    const ErrorCode code = first->code;
    const bool no_signer = code == ErrorCode::denied || code == ErrorCode::not_found || code == ErrorCode::invalid_argument;
    if (!holder && no_signer) failure_ = CmpFailure::signer_not_trusted;
    if (holder && code == ErrorCode::denied) failure_ = CmpFailure::bad_alg;
  }
  return fail(*first);
}

Result<void> CmpExchange::check_fresh() {
  const crypto::CmpHeader& header = message_.header();
  if (!header.time) return refuse(CmpFailure::missing_time_stamp, "messageTime must be there");
  const UnixMs off = *header.time > now_ ? *header.time - now_ : now_ - *header.time;
  const auto allowed = static_cast<UnixMs>(std::chrono::milliseconds(settings_.clock_skew).count());
  if (off > allowed) {
    return refuse(CmpFailure::bad_time, "messageTime is " + std::to_string(off / 1000) + " s off: clocks differ, or the message is an old one");
  }
  if (header.transaction_id.size() < identifier_octets_min) return refuse(CmpFailure::bad_request, "transactionID must have at least 16 octets");
  if (header.sender_nonce.size() < identifier_octets_min) return refuse(CmpFailure::bad_sender_nonce, "senderNonce must have at least 16 octets");
  return {};
}

Result<void> CmpExchange::check_profile() {
  const std::string_view own = caller_->registration.profile->name;
  for (const std::string& wanted : {message_.header().profile, call_.profile}) {
    if (!wanted.empty() && wanted != own) {
      return refuse(CmpFailure::unaccepted_policy, "this registration is for the certificate profile '" + std::string(own) + "', no other");
    }
  }
  return {};
}

Result<CmpExchange::Reply> CmpExchange::act() {
  switch (message_.body()) {
    case CmpBody::ir:
    case CmpBody::cr:
    case CmpBody::p10cr:
    case CmpBody::kur:
      return enrol();
    case CmpBody::poll_req:
      return poll();
    case CmpBody::cert_conf:
      return confirm();
    case CmpBody::error:
      return given_up();
    case CmpBody::rr:
      return revoke();
    case CmpBody::genm:
      return inform();
    case CmpBody::ip:
    case CmpBody::cp:
    case CmpBody::kup:
    case CmpBody::rp:
    case CmpBody::pki_conf:
    case CmpBody::genp:
    case CmpBody::poll_rep:
      break;
  }
  return refuse(CmpFailure::bad_request, "a message of this kind (body " + std::to_string(static_cast<int>(message_.body())) + ") is not taken here");
}

CmpExchange::Reply CmpExchange::refusal_of(const Error& error) {
  if (!on_record_) {
    const std::string why = std::string(crypto::name(message_.body())) + ": " + (for_the_record_.empty() ? error.message : for_the_record_);
    parts_.desk.refused(Protocol::cmp, named_, why, call_.request_id);
  }
  const bool ours = error.code == ErrorCode::internal;
  if (ours) node::log(node::LogLevel::error, "CMP: request {}: {}", call_.request_id, error.message);
  const crypto::CmpStatus status{.value = crypto::CmpStatus::Value::rejection,
                                 .failure = failure_of(error.code),
                                 .text = ours ? "the CA failed; its log knows this as request " + call_.request_id : error.message};
  if (!place_) return {.body = CmpBody::error, .content = crypto::cmp_error_content(status)};
  Bytes content = place_->body == CmpBody::rp ? crypto::cmp_revocation_content(status, place_->certificate)
                                              : crypto::cmp_certificate_content(place_->certificate_request, status, {}, {});
  return {.body = place_->body, .content = std::move(content), .recipient_nonce = place_->recipient_nonce};
}

CmpSignerKind CmpExchange::signer_kind() const {
  const Bytes* shown = caller_ && !caller_->certificate.empty() ? &caller_->certificate : nullptr;
  if (shown == nullptr && !message_.extra_certificates().empty()) shown = &message_.extra_certificates().front();
  if (shown == nullptr) return CmpSignerKind::ml_dsa;
  const auto certificate = crypto::SubjectCertificate::parse(*shown);
  if (!certificate) return CmpSignerKind::ml_dsa;
  return parts_.desk.branch_for(certificate->key().algorithm()) == Branch::ml_dsa ? CmpSignerKind::ml_dsa : CmpSignerKind::ecdsa;
}

/// Until when a copy of this message would still be taken.
UnixMs CmpExchange::replay_until() const {
  return std::max(now_, message_.header().time.value_or(now_)) + 2 * static_cast<UnixMs>(std::chrono::milliseconds(settings_.clock_skew).count());
}

Result<Bytes> CmpExchange::render(const Reply& reply) {
  const crypto::CmpHeader& asked = message_.header();
  crypto::CmpAnswerHeader header{.version = std::clamp(asked.version, oldest_version, latest_version),
                                 .sender = {},
                                 .recipient = asked.sender,
                                 .time = now_,
                                 .transaction_id = asked.transaction_id,
                                 .sender_nonce = reply.nonce.empty() ? parts_.rng.bytes(nonce_octets) : reply.nonce,
                                 .recipient_nonce = reply.recipient_nonce.empty() ? asked.sender_nonce : reply.recipient_nonce,
                                 .implicit_confirm = reply.implicit,
                                 .confirm_until = reply.confirm_until};
  if (caller_ && !caller_->secret.empty()) {
    const std::vector<Bytes> chain = parts_.desk.ca_chain(Branch::ml_dsa);
    if (chain.empty()) return fail(ErrorCode::unavailable, "no issuing CA is in force");
    ASSIGN_OR_RETURN(const Bytes name, crypto::cmp_subject_of(chain.front()));
    header.sender = crypto::cmp_directory_name(name);
    const crypto::CmpProtector protector{.secret = &caller_->secret, .reference = as_bytes(caller_->registration.reference)};
    return crypto::make_cmp_message(header, reply.body, reply.content, reply.extra, protector);
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<const crypto::CmpSigner> signer, parts_.signer(signer_kind()));
  ASSIGN_OR_RETURN(const Bytes name, crypto::cmp_subject_of(signer->certificate.der()));
  header.sender = crypto::cmp_directory_name(name);
  return crypto::make_cmp_message(header, reply.body, reply.content, reply.extra, {.signer = signer.get()});
}

}  // namespace qanat::cas
