// Revocation (RFC 9810 §5.3.9, RFC 9483 §4.2) and information (RFC 9810 §5.3.19, RFC 9483 §4.3).
#include <algorithm>
#include <array>

#include "crypto/kdf.hpp"
#include "services/cas/cmp/exchange.hpp"
#include "services/cas/csp/places.hpp"

namespace qanat::cas {
namespace {

using crypto::CmpBody;
using crypto::CmpFailure;
using crypto::CmpQuestion;

// id-it (RFC 9810 appendix F).
constexpr std::string_view it_sign_key_types = "1.3.6.1.5.5.7.4.2";
constexpr std::string_view it_encryption_key_types = "1.3.6.1.5.5.7.4.3";
constexpr std::string_view it_unsupported = "1.3.6.1.5.5.7.4.7";
constexpr std::string_view it_ca_certificates = "1.3.6.1.5.5.7.4.17";
constexpr std::string_view it_root_key_update = "1.3.6.1.5.5.7.4.18";
constexpr std::string_view it_request_template = "1.3.6.1.5.5.7.4.19";
constexpr std::string_view it_root_certificate = "1.3.6.1.5.5.7.4.20";
constexpr std::string_view it_list_status = "1.3.6.1.5.5.7.4.22";
constexpr std::string_view it_lists = "1.3.6.1.5.5.7.4.23";

/// CRLReasons (RFC 5280 §5.3.1) that a client may give: not those of CAs, and neither certificateHold nor removeFromCRL, since nothing comes back from
/// revocation.
constexpr std::array reasons_taken{0, 1, 3, 4, 5, 9};
constexpr std::array reasons_undone{6, 8};

}  // namespace

Result<CmpExchange::Reply> CmpExchange::revoke() {
  const auto request = crypto::read_cmp_revocation(message_);
  if (!request) return refuse(CmpFailure::bad_data_format, request.error().message);
  place_ = Place{.body = CmpBody::rp, .certificate = request->certificate};
  const int reason = request->reason.value_or(reason_unspecified);
  if (std::ranges::find(reasons_undone, reason) != reasons_undone.end()) {
    return refuse(CmpFailure::unaccepted_policy, "revocation is for good here: neither held nor taken back");
  }
  if (std::ranges::find(reasons_taken, reason) == reasons_taken.end()) {
    return refuse(CmpFailure::bad_request, "CRLReason " + std::to_string(reason) + " is none of a holder's certificate");
  }

  // The id stands on record before anything is done under it.
  const crypto::CmpHeader& header = message_.header();
  const Bytes hash = crypto::digest(crypto::Hash::sha256, {as_bytes("qanat CMP revocation"), header.transaction_id, request->certificate.serial});
  const auto begun = parts_.records.begin({.reference = caller_->registration.reference,
                                           .id = header.transaction_id,
                                           .signer = caller_->certificate,
                                           .kind = std::string(crypto::name(message_.body())),
                                           .request_hash = hash,
                                           .first_nonce = header.sender_nonce,
                                           .state = CmpState::closed,
                                           .due = replay_until()},
                                          settings_.bounds);
  if (!begun && begun.error().code == ErrorCode::conflict) return refuse(CmpFailure::transaction_id_in_use, begun.error().message);
  if (!begun) return fail(begun.error());
  ASSIGN_OR_RETURN(const Bytes certificate, revocable(*request));
  if (Result<void> revoked = parts_.desk.revoke(certificate, reason, caller_->registration.reference, call_.request_id); !revoked) {
    return desk_said(std::move(revoked).error());
  }
  return Reply{.body = CmpBody::rp, .content = crypto::cmp_revocation_content({}, request->certificate)};
}

/// The certificate, if it is the caller's own or of the same registration.
Result<Bytes> CmpExchange::revocable(const crypto::CmpRevocationRequest& request) {
  const auto nobody = [this](std::string_view why) {
    for_the_record_ = "certificate " + std::string(why);
    return refuse(CmpFailure::bad_cert_id, "this is no certificate of this registration, or it is not in force");
  };
  auto certificate = parts_.desk.find(request.certificate.serial);
  if (!certificate && certificate.error().code == ErrorCode::not_found) return nobody("was not issued here");
  if (!certificate) return fail(certificate.error());
  ASSIGN_OR_RETURN(const crypto::CmpCertificateId id, crypto::cmp_certificate_id(*certificate));
  if (id != request.certificate) return nobody("of this serial has another issuer");
  if (*certificate == caller_->certificate) return certificate;
  const auto holder = parts_.desk.holder_of(*certificate);
  if (!holder && holder.error().code == ErrorCode::denied) return nobody(to_hex(id.serial) + ": " + holder.error().message);
  if (!holder) return fail(holder.error());
  if (holder->reference != caller_->registration.reference) return nobody(to_hex(id.serial) + " is of registration " + holder->reference);
  return certificate;
}

Result<CmpExchange::Reply> CmpExchange::inform() {
  const auto questions = crypto::read_cmp_questions(message_);
  if (!questions) return refuse(CmpFailure::bad_data_format, questions.error().message);
  std::vector<CmpQuestion> answers;
  std::vector<std::string> unknown;
  for (const CmpQuestion& question : *questions) {
    ASSIGN_OR_RETURN(std::optional<CmpQuestion> known, information(question));
    if (known) {
      answers.push_back(std::move(*known));
    } else {
      unknown.push_back(question.type);
    }
  }
  if (!unknown.empty()) {
    ASSIGN_OR_RETURN(Bytes value, crypto::cmp_unsupported_value(unknown));
    answers.push_back({.type = std::string(it_unsupported), .value = std::move(value)});
  }
  ASSIGN_OR_RETURN(Bytes content, crypto::cmp_information_content(answers));
  return Reply{.body = CmpBody::genp, .content = std::move(content)};
}

Result<std::optional<CmpQuestion>> CmpExchange::information(const CmpQuestion& question) {
  const Profile& profile = *caller_->registration.profile;
  std::vector<crypto::SubjectAlgorithm> signing;
  std::vector<crypto::SubjectAlgorithm> other;
  for (const crypto::SubjectAlgorithm key : profile.keys) (crypto::signs(key) ? signing : other).push_back(key);
  const auto answer = [](std::string_view type, Bytes value) { return std::optional(CmpQuestion{.type = std::string(type), .value = std::move(value)}); };

  if (question.type == it_ca_certificates) {
    std::vector<Bytes> certificates;
    for (const Branch branch : cmp_branches) {
      const std::vector<Bytes> chain = parts_.desk.ca_chain(branch);
      if (!chain.empty()) certificates.push_back(chain.front());
    }
    return answer(it_ca_certificates, certificates.empty() ? Bytes() : crypto::cmp_list_value(certificates));
  }
  if (question.type == it_root_certificate) {
    // The device CA alone may have a successor. An absent value says that there is none (RFC 9483 §4.3.2).
    const std::optional<Succession> found = parts_.desk.succession();
    const bool meant = found && (question.value.empty() || question.value == found->old_with_old);
    return answer(it_root_key_update, meant ? crypto::cmp_root_update_value(found->new_with_new, found->new_with_old, found->old_with_new) : Bytes());
  }
  if (question.type == it_request_template) {
    const crypto::AskedNames names{.common_name = caller_->registration.common_name, .dns = caller_->registration.dns};
    ASSIGN_OR_RETURN(Bytes value, crypto::cmp_template_value(names, profile.keys));
    return answer(it_request_template, std::move(value));
  }
  if (question.type == it_sign_key_types) {
    ASSIGN_OR_RETURN(Bytes value, crypto::cmp_key_types_value(signing));
    return answer(it_sign_key_types, std::move(value));
  }
  if (question.type == it_encryption_key_types) {
    ASSIGN_OR_RETURN(Bytes value, crypto::cmp_key_types_value(other));
    return answer(it_encryption_key_types, std::move(value));
  }
  if (question.type == it_list_status) {
    ASSIGN_OR_RETURN(Bytes value, newer_lists(question.value));
    return answer(it_lists, std::move(value));
  }
  return std::optional<CmpQuestion>();
}

/// Empty: the client has the latest ones.
Result<Bytes> CmpExchange::newer_lists(ByteView value) {
  ASSIGN_OR_RETURN(const std::vector<crypto::CmpListStatus> wanted, crypto::read_cmp_list_status(value));
  std::vector<Bytes> lists;
  for (const crypto::CmpListStatus& each : wanted) {
    const auto found = list_of(each);
    if (!found) return refuse(CmpFailure::bad_request, "crlStatusList: there is no list of this source");
    if (!each.this_update || found->this_update / 1000 > *each.this_update / 1000) lists.push_back(found->der);
  }
  return lists.empty() ? Bytes() : crypto::cmp_list_value(lists);
}

std::shared_ptr<const PublishedList> CmpExchange::list_of(const crypto::CmpListStatus& wanted) const {
  for (const Branch branch : cmp_branches) {
    if (!wanted.issuer.empty()) {
      const std::vector<Bytes> chain = parts_.desk.ca_chain(branch);
      const auto subject = chain.empty() ? Result<Bytes>(Bytes()) : crypto::cmp_subject_of(chain.front());
      if (subject && *subject == wanted.issuer) return parts_.list(branch, full_scope);
      continue;
    }
    const std::size_t path = wanted.url.rfind(lists_folder);
    const auto scope = path == std::string::npos ? std::nullopt : scope_at(branch, std::string_view(wanted.url).substr(path));
    if (scope) return parts_.list(branch, *scope);
  }
  return nullptr;
}

}  // namespace qanat::cas
