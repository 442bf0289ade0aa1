// Certificate requests, their approval, and their confirmation (RFC 9810 §5.3.1–§5.3.6, §5.3.18, §5.3.22; RFC 9483 §4.1, §4.4).
#include <array>

#include "crypto/kdf.hpp"
#include "node/crash_point.hpp"
#include "services/cas/cmp/exchange.hpp"

namespace qanat::cas {
namespace {

using crypto::CmpBody;
using crypto::CmpFailure;
using crypto::CmpPossession;

constexpr UnixMs waiting_looked_after_ms = 7ULL * 86'400'000;  // a client that waits for operators asks more often than that
constexpr UnixMs asked_max_ms = 120'000;                        // longer than any request is worked on

struct AnswerKind {
  CmpBody request;
  CmpBody answer;
};
constexpr std::array answer_kinds{AnswerKind{CmpBody::ir, CmpBody::ip}, AnswerKind{CmpBody::cr, CmpBody::cp}, AnswerKind{CmpBody::p10cr, CmpBody::cp},
                                  AnswerKind{CmpBody::kur, CmpBody::kup}};

CmpBody answer_to(std::string_view request) {
  for (const AnswerKind& kind : answer_kinds) {
    if (crypto::name(kind.request) == request) return kind.answer;
  }
  return CmpBody::ip;
}

/// True if the certificate has other names than were asked for, which the client is told (grantedWithMods). Who asked for none leaves them to us.
bool differs(const crypto::AskedNames& asked, ByteView certificate) {
  if (asked == crypto::AskedNames()) return false;
  const auto given = crypto::SubjectCertificate::parse(certificate);
  return given && given->names() != asked;
}

}  // namespace

/// Of all that is asked: who asks for another name with the same key and under the same transactionID asks for something else.
Bytes CmpExchange::request_hash() const {
  const Bytes& transaction = message_.header().transaction_id;
  const std::array<std::uint8_t, 1> length{static_cast<std::uint8_t>(transaction.size())};
  return crypto::digest(crypto::Hash::sha256,
                        {as_bytes("qanat CMP request"), as_bytes(caller_->registration.reference), length, transaction, message_.content()});
}

Result<Possession> CmpExchange::possession_of(const crypto::CmpCertificateRequest& request) {
  const crypto::SubjectAlgorithm algorithm = request.key->algorithm();
  const Registration& registration = caller_->registration;
  switch (request.possession) {
    case CmpPossession::proved:
      return Possession::proved;
    case CmpPossession::ra_verified:
      if (crypto::signs(algorithm)) {
        return refuse(CmpFailure::bad_pop, "a key of " + std::string(crypto::name(algorithm)) + " can sign: its possession is proved by a signature");
      }
      if (registration.profile->encryption_usages == crypto::KeyUsages()) {
        return refuse(CmpFailure::bad_pop, "certificates of the profile '" + std::string(registration.profile->name) + "' are not for keys that cannot sign");
      }
      if (!registration.ra_vouches) {
        return refuse(CmpFailure::bad_pop, "this registration takes no RA's word that the key is its holder's (raVerified)");
      }
      return Possession::vouched;
    case CmpPossession::absent:
      return refuse(CmpFailure::bad_pop, "the request does not prove possession of its key");
    case CmpPossession::other:
      return refuse(CmpFailure::bad_pop, "possession is proved here by a signature, or, of a key that cannot sign, vouched for (raVerified)");
    case CmpPossession::wrong:
      return refuse(CmpFailure::bad_pop, "the signature that is to prove possession does not hold under the key");
  }
  return refuse(CmpFailure::bad_pop, "the request does not prove possession of its key");
}

Result<CmpTransaction> CmpExchange::begin(std::int64_t id, const crypto::SubjectPublicKey& key) {
  const crypto::CmpHeader& header = message_.header();
  const CmpTransaction wanted{.reference = caller_->registration.reference,
                              .id = header.transaction_id,
                              .signer = caller_->certificate,
                              .kind = std::string(crypto::name(message_.body())),
                              .certificate_request = id,
                              .request_hash = request_hash(),
                              .key_hash = key_hash_of(key.octets()),
                              .began = now_,
                              .implicit = header.implicit_confirm && settings_.implicit_confirm,
                              .first_nonce = header.sender_nonce,
                              .nonce = parts_.rng.bytes(nonce_octets),
                              .due = now_ + asked_max_ms + static_cast<UnixMs>(std::chrono::milliseconds(settings_.confirm_wait).count())};
  auto begun = parts_.records.begin(wanted, settings_.bounds);
  if (!begun && begun.error().code == ErrorCode::conflict) return refuse(CmpFailure::transaction_id_in_use, begun.error().message);
  return begun;
}

Result<CmpExchange::Reply> CmpExchange::enrol() {
  const CmpBody kind = message_.body();
  if (kind == CmpBody::kur && caller_->certificate.empty()) {
    return refuse(CmpFailure::wrong_integrity, "a key update is signed by the certificate that it takes the place of");
  }
  const auto request = crypto::read_cmp_certificate_request(message_);
  if (!request) {
    return refuse(request.error().code == ErrorCode::denied ? CmpFailure::bad_cert_template : CmpFailure::bad_data_format, request.error().message);
  }
  place_ = Place{.body = answer_to(crypto::name(kind)), .certificate_request = request->id};
  if (kind == CmpBody::kur && request->renews) {
    ASSIGN_OR_RETURN(const crypto::CmpCertificateId signer, crypto::cmp_certificate_id(caller_->certificate));
    if (*request->renews != signer) return refuse(CmpFailure::bad_cert_id, "oldCertID is not the certificate that signed the key update");
  }
  if (!request->key) return refuse(CmpFailure::bad_cert_template, "the template has no public key: keys are made by their holders, not here");
  ASSIGN_OR_RETURN(const Possession possession, possession_of(*request));

  ASSIGN_OR_RETURN(CmpTransaction transaction, begin(request->id, *request->key));
  node::crash_point("cas.cmp.asked");
  if (transaction.state == CmpState::waiting) return settle(transaction, parts_.desk.collect(transaction.ticket), {});
  const Asked asked{.protocol = Protocol::cmp,
                    .reference = transaction.reference,
                    .key = *request->key,
                    .names = request->names,
                    .possession = possession,
                    .request_hash = transaction.request_hash,
                    .renews = caller_->certificate};
  auto outcome = parts_.desk.order(asked, call_.deadline, call_.request_id);
  ASSIGN_OR_RETURN(Reply reply, settle(std::move(transaction), outcome, {}));
  if (const Given* const made = outcome ? std::get_if<Given>(&*outcome) : nullptr; made != nullptr && differs(request->names, made->certificate)) {
    reply.content = crypto::cmp_certificate_content(request->id, {.value = crypto::CmpStatus::Value::granted_with_mods}, made->certificate, trusted_now());
  }
  return reply;
}

/// What the desk said of a request, on record before it is answered. `recipient_nonce`: what the answer refers to, where that is not the message's own nonce.
Result<CmpExchange::Reply> CmpExchange::settle(CmpTransaction transaction, Result<Outcome> outcome, ByteView recipient_nonce) {
  const CmpState before = transaction.state;
  place_ = Place{.body = answer_to(transaction.kind), .certificate_request = transaction.certificate_request, .recipient_nonce = to_bytes(recipient_nonce)};
  if (!outcome) {
    const ErrorCode code = outcome.error().code;
    // What may go better the next time leaves the transaction as it is, so that the same message can come again.
    const bool final_word = code == ErrorCode::denied || code == ErrorCode::invalid_argument || code == ErrorCode::not_found || code == ErrorCode::conflict;
    if (final_word) {
      transaction.state = CmpState::closed;
      transaction.due = replay_until();
      TRY(stand(transaction, before));
    }
    return desk_said(std::move(outcome).error());
  }
  if (const Given* const made = std::get_if<Given>(&*outcome)) {
    ASSIGN_OR_RETURN(Reply reply, given(std::move(transaction), *made));
    reply.recipient_nonce = to_bytes(recipient_nonce);
    return reply;
  }
  const Waiting& waiting = std::get<Waiting>(*outcome);
  transaction.state = CmpState::waiting;
  transaction.ticket = waiting.ticket;
  transaction.due = now_ + waiting_looked_after_ms;
  TRY(stand(transaction, before));
  const crypto::CmpStatus status{.value = crypto::CmpStatus::Value::waiting, .text = "operators must approve first"};
  return Reply{.body = answer_to(transaction.kind),
               .content = crypto::cmp_certificate_content(transaction.certificate_request, status, {}, {}),
               .nonce = transaction.nonce};
}

Result<CmpExchange::Reply> CmpExchange::given(CmpTransaction transaction, const Given& given) {
  const CmpState before = transaction.state;
  ASSIGN_OR_RETURN(const crypto::CmpCertificateId id, crypto::cmp_certificate_id(given.certificate));
  transaction.serial = id.serial;
  if (transaction.implicit) {
    transaction.state = CmpState::closed;
    transaction.due = replay_until();
  } else if (before != CmpState::unconfirmed) {
    transaction.state = CmpState::unconfirmed;
    transaction.due = now_ + static_cast<UnixMs>(std::chrono::milliseconds(settings_.confirm_wait).count());
  }
  TRY(stand(transaction, before));
  node::crash_point("cas.cmp.given");
  Reply out{.body = answer_to(transaction.kind),
            .content = crypto::cmp_certificate_content(transaction.certificate_request, {}, given.certificate, trusted_now()),
            .extra = given.chain,
            .implicit = transaction.implicit,
            .nonce = transaction.nonce};
  if (!transaction.implicit) out.confirm_until = transaction.due;
  return out;
}

/// caPubs: roots that the client may trust because the secret that both share says so (RFC 9810 §5.3.2); nothing under a signature. The device CA is its own
/// root.
std::vector<Bytes> CmpExchange::trusted_now() const {
  std::vector<Bytes> out;
  if (caller_->secret.empty()) return out;
  for (const Branch branch : cmp_branches) {
    const std::vector<Bytes> chain = parts_.desk.ca_chain(branch);
    if (!chain.empty() && (chain.size() > 1 || branch == Branch::devices)) out.push_back(chain.back());
  }
  return out;
}

/// Two copies of one message may be answered at once: both are right if they come to the same.
Result<void> CmpExchange::stand(const CmpTransaction& to, CmpState from) {
  Result<void> moved = parts_.records.move(to, from);
  if (moved || moved.error().code != ErrorCode::conflict) return moved;
  ASSIGN_OR_RETURN(const std::optional<CmpTransaction> now, parts_.records.find(to.reference, to.id));
  if (now && now->state == to.state && now->serial == to.serial && now->ticket == to.ticket) return {};
  return moved;
}

Result<CmpTransaction> CmpExchange::running() {
  const crypto::CmpHeader& header = message_.header();
  ASSIGN_OR_RETURN(std::optional<CmpTransaction> found, parts_.records.find(caller_->registration.reference, header.transaction_id));
  if (!found) return refuse(CmpFailure::bad_request, "there is no transaction with this transactionID");
  if (found->signer != caller_->certificate) return refuse(CmpFailure::wrong_integrity, "this transaction was begun under another protection");
  if (header.recipient_nonce.empty() || (header.recipient_nonce != found->nonce && header.recipient_nonce != found->earlier_nonce)) {
    return refuse(CmpFailure::bad_recipient_nonce, "recipNonce is not that of the answer before");
  }
  return Result<CmpTransaction>(std::move(*found));
}

Result<CmpExchange::Reply> CmpExchange::poll() {
  ASSIGN_OR_RETURN(const std::int64_t id, crypto::read_cmp_poll(message_));
  ASSIGN_OR_RETURN(CmpTransaction transaction, running());
  const bool polled = transaction.state == CmpState::waiting || (transaction.state == CmpState::unconfirmed && !transaction.ticket.empty());
  if (!polled) return refuse(CmpFailure::bad_request, "nothing of this transaction is waited for");
  if (id != transaction.certificate_request) return refuse(CmpFailure::bad_request, "certReqId is not that of the request that waits");
  auto outcome = parts_.desk.collect(transaction.ticket);
  const Waiting* const waiting = outcome ? std::get_if<Waiting>(&*outcome) : nullptr;
  transaction.earlier_nonce = std::exchange(transaction.nonce, parts_.rng.bytes(nonce_octets));
  if (waiting == nullptr) {
    const Bytes first = transaction.first_nonce;  // RFC 9483 §4.4: the final answer is one to the first message
    return settle(std::move(transaction), std::move(outcome), first);
  }
  TRY(stand(transaction, CmpState::waiting));
  return Reply{.body = CmpBody::poll_rep,
               .content = crypto::cmp_poll_content(id, waiting->retry_after, "operators must approve first"),
               .nonce = transaction.nonce};
}

Result<void> CmpExchange::take_back(CmpTransaction transaction, std::string_view why) {
  ASSIGN_OR_RETURN(const Bytes certificate, parts_.desk.find(transaction.serial));
  TRY(parts_.desk.revoke(certificate, reason_unspecified, transaction.reference + " (" + std::string(why) + ")", call_.request_id));
  node::crash_point("cas.cmp.rejected");
  const CmpState before = std::exchange(transaction.state, CmpState::closed);
  transaction.due = replay_until();
  return stand(transaction, before);
}

Result<CmpExchange::Reply> CmpExchange::confirm() {
  ASSIGN_OR_RETURN(const std::optional<crypto::CmpConfirmation> confirmation, crypto::read_cmp_confirmation(message_));
  ASSIGN_OR_RETURN(CmpTransaction transaction, running());
  if (transaction.state == CmpState::closed && !transaction.serial.empty()) {
    return refuse(CmpFailure::cert_confirmed, "the certificate of this transaction was confirmed or given back already");
  }
  if (transaction.state != CmpState::unconfirmed) return refuse(CmpFailure::bad_request, "no certificate of this transaction waits for confirmation");
  const Reply confirmed{.body = CmpBody::pki_conf, .content = crypto::cmp_confirmed_content()};
  if (!confirmation) {
    TRY(take_back(std::move(transaction), "certConf: confirmed no certificate"));
    return confirmed;
  }
  if (confirmation->id != transaction.certificate_request) return refuse(CmpFailure::bad_request, "certReqId is not that of the request");
  if (!confirmation->accepted) {
    TRY(take_back(std::move(transaction), "certConf: rejected: " + confirmation->text));
    return confirmed;
  }
  ASSIGN_OR_RETURN(const Bytes certificate, parts_.desk.find(transaction.serial));
  if (!crypto::confirms(*confirmation, certificate)) return refuse(CmpFailure::bad_cert_id, "certHash is not that of the certificate");
  transaction.state = CmpState::closed;
  transaction.due = replay_until();
  TRY(parts_.records.move(transaction, CmpState::unconfirmed));
  return confirmed;
}

/// An error message of the client: it does not take what it got. What waits for operators goes on waiting, and is looked after by sweep().
Result<CmpExchange::Reply> CmpExchange::given_up() {
  ASSIGN_OR_RETURN(const std::string text, crypto::read_cmp_error(message_));
  ASSIGN_OR_RETURN(CmpTransaction transaction, running());
  if (transaction.state == CmpState::unconfirmed) TRY(take_back(std::move(transaction), "error: " + text));
  return Reply{.body = CmpBody::pki_conf, .content = crypto::cmp_confirmed_content()};
}

}  // namespace qanat::cas
