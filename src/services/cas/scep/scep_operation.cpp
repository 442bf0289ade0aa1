#include "services/cas/scep/scep_operation.hpp"

#include <algorithm>
#include <array>

#include "crypto/kdf.hpp"
#include "crypto/x509_pkcs7.hpp"
#include "node/crash_point.hpp"
#include "wire/secret_text.hpp"

namespace qanat::cas {
namespace {

using crypto::ScepFailInfo;
using crypto::ScepStatus;
using crypto::ScepType;

constexpr std::string_view not_known =
    "the request is not known to be from who may ask: its envelope, its challengePassword or the key that signed it does not fit";

constexpr std::array issuing_branches{Branch::ml_dsa, Branch::classical, Branch::devices};

Bytes hash_of(ByteView octets) { return crypto::digest(crypto::Hash::sha256, octets); }

/// Names one request: the transaction and the key (§2.2, §3.2.1.1), and what is renewed, for a client may keep key and transaction over several renewals.
Bytes request_hash(const crypto::ScepRequest& request, const crypto::SubjectPublicKey& key, ByteView renews) {
  const Bytes transaction = hash_of(as_bytes(request.transaction_id()));
  const Bytes public_key = hash_of(key.der());
  const Bytes old = hash_of(renews);
  return crypto::digest(crypto::Hash::sha256, {as_bytes("qanat SCEP"), transaction, public_key, old});
}

bool encrypts(const crypto::SubjectPublicKey& key) { return key.algorithm() == crypto::SubjectAlgorithm::rsa; }

/// True for what asking again mends: the client is told by HTTP, and its transaction is not over.
bool passes_by(ErrorCode code) {
  return code == ErrorCode::unavailable || code == ErrorCode::exhausted || code == ErrorCode::deadline_exceeded || code == ErrorCode::internal;
}

bool names_an_element(const crypto::AskedNames& names) {
  return std::ranges::any_of(names.uris, [](const std::string& uri) { return uri.starts_with("qanat:") || uri.starts_with("tel:"); });
}

}  // namespace

Result<Bytes> ScepOperation::answer(ByteView message, const ScepRas& authorities, Deadline deadline, const std::string& request_id) {
  ASSIGN_OR_RETURN(const crypto::ScepRequest request, crypto::ScepRequest::parse(message));
  const crypto::ScepRa& in_force = authorities.all.front();
  Question question{.request = request, .recipient = nullptr, .deadline = deadline, .request_id = request_id};
  if (const auto& fault = request.fault()) return reply(request, deny(question, "", fault->info, fault->text), in_force);
  question.recipient = crypto::scep_recipient(request, authorities.all);
  ASSIGN_OR_RETURN(Decision decision, decide(question));
  return reply(request, std::move(decision), question.recipient != nullptr ? *question.recipient : in_force);
}

Result<ScepOperation::Decision> ScepOperation::decide(const Question& question) {
  if (const auto at = question.request.signing_time()) {
    const UnixMs now = parts_.clock.now_ms();
    if ((now > *at ? now - *at : *at - now) > scep_clock_difference_max_ms) {
      return deny(question, "", ScepFailInfo::bad_time, "signingTime is more than a day from the time here");
    }
  }
  switch (static_cast<ScepType>(question.request.type())) {
    case ScepType::pkcs_req:
      return first_request(question);
    case ScepType::renewal_req:
      return renewal(question);
    case ScepType::cert_poll:
      return poll(question);
    case ScepType::get_cert:
      return to_holder(question, "GetCert", &ScepOperation::certificate);
    case ScepType::get_crl:
      return to_holder(question, "GetCRL", &ScepOperation::list);
    case ScepType::cert_rep:
      break;
  }
  return deny(question, "", ScepFailInfo::bad_request, "messageType is none that asks for anything");
}

ScepOperation::Decision ScepOperation::refuse(const Question& question, std::string_view reference, std::string_view why) {
  parts_.desk.refused(Protocol::scep, reference, why, question.request_id);
  return failure(ScepFailInfo::bad_message_check, not_known);
}

ScepOperation::Decision ScepOperation::deny(const Question& question, std::string_view reference, ScepFailInfo info, std::string_view why) {
  parts_.desk.refused(Protocol::scep, reference, why, question.request_id);
  return failure(info, why);
}

/// Whose signer holds no certificate of here, or of whom that cannot be told at present.
Result<ScepOperation::Decision> ScepOperation::refuse_signer(const Question& question, std::string_view what, const Error& error) {
  if (passes_by(error.code)) return fail(error);
  return refuse(question, "", std::string(what) + ": " + error.message);
}

/// The failure is for the record.
Result<crypto::SubjectRequest> ScepOperation::open_request(const Question& question) const {
  if (question.recipient == nullptr) return fail(ErrorCode::unauthenticated, "encrypted to no registration authority of here");
  const Secret content = crypto::open_scep_envelope(question.request, *question.recipient);
  return crypto::SubjectRequest::parse(content.reveal());
}

/// The registration, if the request's challengePassword is its reference and its secret.
Result<Registration> ScepOperation::check_challenge(const crypto::SubjectRequest& request, std::string& claimed) {
  if (request.challenge() == nullptr) return fail(ErrorCode::unauthenticated, "no challengePassword");
  const std::string_view challenge = as_text(request.challenge()->reveal());
  const std::string_view reference = challenge.substr(0, challenge.find(':'));
  if (reference.size() == challenge.size() || !is_registration_reference(reference))
    return fail(ErrorCode::unauthenticated, "the challengePassword is not <reference>:<secret>");
  claimed = reference;
  ASSIGN_OR_RETURN(Registration registration, parts_.desk.registration(claimed));
  ASSIGN_OR_RETURN(const Secret wanted, password_of(claimed));
  if (!equal_secret(*request.challenge(), wanted)) return fail(ErrorCode::unauthenticated, "the secret in the challengePassword does not fit");
  return registration;
}

/// The challengePassword of a registration, as text.
Result<Secret> ScepOperation::password_of(const std::string& reference) {
  ASSIGN_OR_RETURN(const Secret octets, parts_.desk.secret_of(reference));
  const Secret text = wire::base64url_text(octets);
  const Secret beginning = Secret::copy_of(as_bytes(reference + ":"));
  return Secret::concat({&beginning, &text});
}

// ---- PKCSReq, RenewalReq, CertPoll ----

Result<ScepOperation::Decision> ScepOperation::first_request(const Question& question) {
  std::string claimed;
  const auto request = open_request(question);
  if (!request) return refuse(question, claimed, request.error().message);
  if (request->key() != question.request.signer_key()) return refuse(question, claimed, "signed with another key than is to be certified");
  auto registration = check_challenge(*request, claimed);
  if (!registration) return refuse(question, claimed, registration.error().message);
  Secret password = encrypts(request->key()) ? Secret() : request->challenge()->duplicate();
  return order(question, *registration, *request, {}, std::move(password));
}

Result<ScepOperation::Decision> ScepOperation::renewal(const Question& question) {
  const Bytes& old = question.request.signer();
  const auto holder = parts_.desk.holder_of(old);
  if (!holder) return refuse_signer(question, "renewal", holder.error());
  std::string claimed = holder->reference;
  const auto request = open_request(question);
  if (!request) return refuse(question, claimed, "renewal: " + request.error().message);
  // A challengePassword that is there must fit: a request that another made for themselves is not renewed in the holder's name.
  if (request->challenge() != nullptr) {
    const auto registration = check_challenge(*request, claimed);
    if (!registration) return refuse(question, claimed, "renewal: " + registration.error().message);
    if (registration->reference != holder->reference)
      return refuse(question, claimed, "renewal: the challengePassword is of another registration than the certificate");
  }
  Secret password;
  if (!encrypts(question.request.signer_key())) {
    // §3.1: before anything is issued that could not be handed over.
    if (request->challenge() == nullptr) {
      return deny(question, claimed, ScepFailInfo::bad_alg,
                  "the answer can be encrypted neither to the key of the old certificate nor under a challengePassword");
    }
    password = request->challenge()->duplicate();
  }
  return order(question, *holder, *request, old, std::move(password));
}

Result<ScepOperation::Decision> ScepOperation::order(const Question& question, const Registration& registration, const crypto::SubjectRequest& request,
                                                     Bytes renews, Secret password) {
  Asked asked{.protocol = Protocol::scep,
              .reference = registration.reference,
              .key = request.key(),
              .names = request.names(),
              .possession = Possession::proved,
              .request_hash = request_hash(question.request, request.key(), renews),
              .renews = std::move(renews)};
  auto decided = parts_.desk.order(asked, question.deadline, question.request_id);
  return outcome(std::move(decided), {.transaction_id = question.request.transaction_id(),
                                      .signer = hash_of(question.request.signer_key().der()),
                                      .reference = registration.reference,
                                      .ticket = "",
                                      .password = std::move(password)});
}

Result<ScepOperation::Decision> ScepOperation::outcome(Result<Outcome> decided, ScepPending pending) {
  if (!decided) {
    if (passes_by(decided.error().code)) return fail(decided.error());
    return failure(ScepFailInfo::bad_request, decided.error().message);
  }
  if (const auto* waiting = std::get_if<Waiting>(&*decided)) {
    // A client that dies before it reads the answer sends its request again and gets the same ticket; it cannot poll before.
    node::crash_point("cas.scep.ordered");
    if (pending.ticket != waiting->ticket) {
      pending.ticket = waiting->ticket;
      TRY(parts_.transactions.keep(pending, parts_.clock.now_ms()));
    }
    return Decision{.status = ScepStatus::pending};
  }
  // The certificate alone: there are clients that take the first one for theirs, and GetCACert gives the others.
  ASSIGN_OR_RETURN(Bytes content, crypto::make_certs_only(std::array{std::get<Given>(*decided).certificate}));
  return Decision{.status = ScepStatus::success, .content = std::move(content), .password = std::move(pending.password)};
}

Result<ScepOperation::Decision> ScepOperation::poll(const Question& question) {
  const Bytes signer = hash_of(question.request.signer_key().der());
  ASSIGN_OR_RETURN(auto pending, parts_.transactions.find(question.request.transaction_id(), signer, parts_.clock.now_ms()));
  constexpr std::string_view unknown = "no request of this transaction, signed with this key, waits";
  if (!pending) return deny(question, "", ScepFailInfo::bad_cert_id, unknown);
  auto collected = parts_.desk.collect(pending->ticket);
  if (!collected && collected.error().code == ErrorCode::not_found) return deny(question, pending->reference, ScepFailInfo::bad_cert_id, unknown);
  return outcome(std::move(collected), *std::move(pending));
}

// ---- GetCert, GetCRL ----

std::optional<crypto::ScepCertificateId> ScepOperation::open_certificate_id(const Question& question) {
  if (question.recipient == nullptr) return std::nullopt;
  const Secret content = crypto::open_scep_envelope(question.request, *question.recipient);
  auto id = crypto::parse_scep_certificate_id(content.reveal());
  return id ? std::optional(*std::move(id)) : std::nullopt;
}

/// For who has a certificate of here: serial numbers stand in revocation lists, and what certificates say of their holders is not for everybody.
Result<ScepOperation::Decision> ScepOperation::to_holder(const Question& question, std::string_view what,
                                                         Result<Decision> (ScepOperation::*answer)(const Question&)) {
  const auto holder = parts_.desk.holder_of(question.request.signer());
  if (!holder) return refuse_signer(question, what, holder.error());
  if (encrypts(question.request.signer_key())) return (this->*answer)(question);
  return deny(question, holder->reference, ScepFailInfo::bad_alg, "the answer cannot be encrypted to the key that signed the request");
}

/// That the envelope does not open and that there is no such certificate are one answer.
Result<ScepOperation::Decision> ScepOperation::certificate(const Question& question) {
  const auto none = [] { return failure(ScepFailInfo::bad_cert_id, "the request names no certificate that is given out"); };
  const auto id = open_certificate_id(question);
  if (!id) return none();
  const auto found = parts_.desk.find(id->serial);
  if (!found && found.error().code != ErrorCode::not_found) return fail(found.error());
  if (!found) return none();
  const auto issuer = crypto::certificate_issuer_name(*found);
  const auto read = crypto::SubjectCertificate::parse(*found);
  if (!issuer || *issuer != id->issuer || !read || names_an_element(read->names())) return none();
  ASSIGN_OR_RETURN(Bytes content, crypto::make_certs_only(std::array{*found}));
  return Decision{.status = ScepStatus::success, .content = std::move(content)};
}

Result<ScepOperation::Decision> ScepOperation::list(const Question& question) {
  const auto id = open_certificate_id(question);
  for (const Branch branch : issuing_branches) {
    const std::vector<Bytes> chain = parts_.desk.ca_chain(branch);
    const auto name = id && !chain.empty() ? crypto::certificate_subject_name(chain.front()) : Result<Bytes>(fail(ErrorCode::not_found, "no such issuer"));
    if (!name || *name != id->issuer) continue;
    const Bytes der = parts_.list(branch);
    if (der.empty()) break;
    if (der.size() > scep_list_octets_max) {
      return failure(ScepFailInfo::bad_request, "the revocation list is too long for SCEP: certificates say where it is");
    }
    ASSIGN_OR_RETURN(Bytes content, crypto::make_list_only(der));
    return Decision{.status = ScepStatus::success, .content = std::move(content)};
  }
  return failure(ScepFailInfo::bad_cert_id, "the request names no certificate of an issuer of here");
}

// ---- answers ----

Result<Bytes> ScepOperation::reply(const crypto::ScepRequest& request, Decision decision, const crypto::ScepRa& authority) {
  crypto::ScepAnswer out{.transaction_id = request.transaction_id(),
                         .recipient_nonce = request.sender_nonce(),
                         .sender_nonce = parts_.rng.bytes(crypto::scep_nonce_size),
                         .status = decision.status,
                         .fault = std::move(decision.fault),
                         .envelope = {},
                         .digest = request.digest()};
  if (decision.status == ScepStatus::success) {
    ASSIGN_OR_RETURN(out.envelope, decision.password.empty() ? crypto::seal_to_certificate(decision.content, request.signer(), request.cipher())
                                                             : crypto::seal_to_password(decision.content, decision.password, request.cipher()));
  }
  return crypto::sign_scep_answer(out, authority);
}

}  // namespace qanat::cas
