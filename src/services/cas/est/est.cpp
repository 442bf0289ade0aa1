#include "services/cas/est/est.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "crypto/kdf.hpp"
#include "crypto/x509_pkcs7.hpp"
#include "node/crash_point.hpp"
#include "node/log.hpp"

namespace qanat::cas::est {
namespace {

constexpr std::string_view est_prefix = "/.well-known/est/";
constexpr std::string_view type_certs_only = "application/pkcs7-mime; smime-type=certs-only";
constexpr std::string_view type_request = "application/pkcs10";
constexpr std::string_view type_attributes = "application/csrattrs";
constexpr std::string_view retry_after_s = "30";  // where what is needed is not there at present
constexpr std::size_t boundary_octets = 12;
constexpr int made_rsa_bits = 3072;  // unless the request's own key says how long

unsigned status_of(ErrorCode code) noexcept { return code == ErrorCode::exhausted || code == ErrorCode::deadline_exceeded ? 503 : net::http_status(code); }

net::ForeignResponse est_text(unsigned status, std::string_view why) {
  net::ForeignResponse out = net::text_response(status, why);
  if (status == 401) out.fields.emplace_back("WWW-Authenticate", wire::basic_challenge);
  if (status == 503) out.fields.emplace_back("Retry-After", retry_after_s);
  return out;
}

/// What is wrong here is not told to strangers.
net::ForeignResponse est_refusal(const Error& error, const std::string& request_id) {
  if (error.code != ErrorCode::internal) return est_text(status_of(error.code), error.message);
  node::log(node::LogLevel::error, "EST: request {}: {}", request_id, error.message);
  return est_text(500, "the request could not be worked on");
}

net::ForeignResponse open_body(std::string_view type, ByteView der) {
  net::ForeignResponse out = net::open_response(type, to_bytes(wire::est_body(der)));
  out.fields.emplace_back("Content-Transfer-Encoding", "base64");  // RFC 8951 §3.2.1: without meaning now, and looked for by clients that are older
  return out;
}

std::optional<crypto::SubjectAlgorithm> algorithm_called(std::string_view text) {
  for (const Profile& profile : all_profiles()) {
    for (const crypto::SubjectAlgorithm algorithm : profile.keys) {
      if (crypto::name(algorithm) == text) return algorithm;
    }
  }
  return std::nullopt;
}

/// Of keys that keep a secret from a quantum computer: to hand such a private key over a classical connection would give it to whoever recorded it.
bool is_post_quantum(crypto::SubjectAlgorithm algorithm) noexcept { return algorithm >= crypto::SubjectAlgorithm::ml_dsa_44; }

/// True for what asking again mends: the key that was made is kept for it.
bool passes_by(ErrorCode code) noexcept { return code == ErrorCode::unavailable || code == ErrorCode::deadline_exceeded || code == ErrorCode::internal; }

}  // namespace

EnrolmentService Est::service() {
  EnrolmentService out{.prefix = std::string(est_prefix), .routes = {}, .refuse = est_text, .carrier = Carrier::tls};
  const auto add = [&](std::string_view name, const char* method, std::size_t body_max, const std::function<net::ForeignResponse(net::ForeignRequest&)>& act) {
    for (const char* label : {"", "{}/"}) {
      out.routes.push_back({.point = "EST " + std::string(name),
                            .method = method,
                            .pattern = std::string(est_prefix) + label + std::string(name),
                            .body_max = body_max,
                            .answer = act});
    }
  };
  add("cacerts", "GET", 0, [this](net::ForeignRequest& request) { return ca_certificates(request); });
  add("csrattrs", "GET", 0, [this](net::ForeignRequest& request) { return csr_attributes(request); });
  add("simpleenroll", "POST", wire::est_body_octets_max, [this](net::ForeignRequest& request) { return answer(request, Ask::simpleenroll); });
  add("simplereenroll", "POST", wire::est_body_octets_max, [this](net::ForeignRequest& request) { return answer(request, Ask::simplereenroll); });
  add("serverkeygen", "POST", wire::est_body_octets_max, [this](net::ForeignRequest& request) { return answer(request, Ask::serverkeygen); });
  return out;
}

// ---- who asks ----

Result<Est::Label> Est::read_label(const net::ForeignRequest& request) {
  if (request.parameters.empty()) return Label{};
  const std::string& text = request.parameters.front();
  Label out{.who = text.substr(0, text.find('.')), .algorithm = std::nullopt};
  if (out.who.size() != text.size()) {
    const std::string algorithm = text.substr(out.who.size() + 1);
    out.algorithm = algorithm_called(algorithm);
    if (!out.algorithm) return fail(ErrorCode::not_found, "label: no key of algorithm '" + algorithm + "' is made here");
  }
  if (find_profile(out.who) == nullptr && !is_registration_reference(out.who))
    return fail(ErrorCode::not_found, "label: '" + out.who + "' is neither a profile nor a registration");
  return out;
}

/// Who guesses learns nothing of which references there are.
Result<Est::Caller> Est::known_by_secret(const wire::BasicCredentials& basic) {
  const auto wrong = [] { return fail(ErrorCode::unauthenticated, "the user name or the password does not fit"); };
  if (!is_registration_reference(basic.user)) return wrong();
  auto registration = desk_.registration(basic.user);
  if (!registration && registration.error().code != ErrorCode::not_found) return fail(registration.error());
  if (!registration) return wrong();
  auto secret = desk_.secret_of(basic.user);
  if (!secret && secret.error().code != ErrorCode::not_found) return fail(secret.error());
  if (!secret || !is_password(basic.password, *secret)) return wrong();
  return Caller{.registration = std::move(*registration), .certificate = {}};
}

/// A certificate that is shown must stand, whatever else the caller is known by.
Result<Est::Caller> Est::authenticate(const net::ForeignRequest& request, Ask ask, std::string& claimed) {
  std::optional<Caller> by_certificate;
  if (const Bytes& certificate = request.peer->certificate; !certificate.empty()) {
    ASSIGN_OR_RETURN(Registration registration, desk_.holder_of(certificate));
    claimed = registration.reference;
    by_certificate = Caller{.registration = std::move(registration), .certificate = certificate};
  }
  if (ask == Ask::simplereenroll) {
    if (by_certificate) return *std::move(by_certificate);
    return fail(ErrorCode::denied, "simplereenroll: the certificate that is to be renewed must be shown in the TLS handshake (RFC 7030 §4.2.2)");
  }
  if (request.authorization.empty()) {
    if (by_certificate) return *std::move(by_certificate);
    return fail(ErrorCode::unauthenticated, "a registration's reference and secret (HTTP Basic), or a certificate that was issued here, must be shown");
  }
  ASSIGN_OR_RETURN(const wire::BasicCredentials basic, wire::parse_basic_authorization(request.authorization));
  if (is_registration_reference(basic.user)) claimed = basic.user;
  return known_by_secret(basic);
}

/// Whose label it is, too.
Result<Est::Caller> Est::identify(const net::ForeignRequest& request, Ask ask, const Label& label, std::string& claimed) {
  ASSIGN_OR_RETURN(Caller caller, authenticate(request, ask, claimed));
  const Registration& registration = caller.registration;
  if (label.who.empty() || label.who == registration.profile->name || label.who == registration.reference) return caller;
  return fail(ErrorCode::denied, "label: registration " + registration.reference + " is for profile " + std::string(registration.profile->name));
}

// ---- what they get ----

net::ForeignResponse Est::answer(net::ForeignRequest& request, Ask ask) {
  if (!net::is_media_type(request.content_type, type_request)) return est_text(415, "a request is application/pkcs10");
  std::string claimed;
  bool recorded = false;
  Result<Made> made = act(request, ask, claimed, recorded);
  if (!made) {
    const Error& error = made.error();
    if (!recorded) desk_.refused(Protocol::est, claimed, error.message, request.request_id);
    return est_refusal(error, request.request_id);
  }
  if (const auto* waiting = std::get_if<Waiting>(&made->outcome)) {
    net::ForeignResponse out = est_text(202, "two operators must approve: send the same request again (ticket " + waiting->ticket + ")");
    out.fields.emplace_back("Retry-After", std::to_string(waiting->retry_after.count()));
    return out;
  }
  const auto certs = crypto::make_certs_only(std::array{std::get<Given>(made->outcome).certificate});
  if (!certs) return est_refusal(certs.error(), request.request_id);
  if (ask != Ask::serverkeygen) return open_body(type_certs_only, *certs);
  // The boundary cannot stand in base64: it holds a character that is none of it.
  const std::string boundary = "qanat_" + to_hex(ByteView(crypto::digest(crypto::Hash::sha256, *certs)).first(boundary_octets));
  return {.status = 200, .content_type = "multipart/mixed; boundary=" + boundary, .body = key_and_certificate(made->pkcs8, *certs, boundary)};
}

Result<Est::Made> Est::act(net::ForeignRequest& request, Ask ask, std::string& claimed, bool& recorded) {
  ASSIGN_OR_RETURN(const Label label, read_label(request));
  ASSIGN_OR_RETURN(Caller caller, identify(request, ask, label, claimed));
  if (ask == Ask::serverkeygen) return make_key(request, std::move(caller), label.algorithm, recorded);
  if (label.algorithm) return fail(ErrorCode::not_found, "label: an algorithm is named where the key is made here, by serverkeygen");
  return enrol(request, ask, std::move(caller), recorded);
}

Result<Est::Made> Est::enrol(const net::ForeignRequest& request, Ask ask, Caller caller, bool& recorded) {
  ASSIGN_OR_RETURN(const Bytes der, wire::parse_est_body(request.body));
  ASSIGN_OR_RETURN(const crypto::SubjectRequest asked, crypto::SubjectRequest::parse(der));
  if (ask == Ask::simplereenroll) {
    ASSIGN_OR_RETURN(const crypto::SubjectCertificate old, crypto::SubjectCertificate::parse(caller.certificate));
    if (!same_names(asked.names(), old.names())) {
      return fail(ErrorCode::denied, "simplereenroll: subject and subjectAltName are not those of the certificate that is to be renewed (RFC 7030 §4.2.2)");
    }
  }
  Bytes hash = request_hash({.purpose = ask == Ask::simplereenroll ? "simplereenroll" : "simpleenroll",
                             .reference = caller.registration.reference,
                             .key = asked.key().der(),
                             .names = asked.names(),
                             .renews = caller.certificate});
  recorded = true;  // by the desk
  ASSIGN_OR_RETURN(Outcome outcome, desk_.order({.protocol = Protocol::est,
                                                 .reference = caller.registration.reference,
                                                 .key = asked.key(),
                                                 .names = asked.names(),
                                                 .possession = Possession::proved,
                                                 .request_hash = std::move(hash),
                                                 .renews = std::move(caller.certificate)},
                                                request.deadline, request.request_id));
  return Made{.outcome = std::move(outcome), .pkcs8 = {}};
}

/// The request's key says of which algorithm the new one is to be, unless the label does; it and the signature have no other meaning (RFC 7030 §4.4.1).
Result<Est::Made> Est::make_key(const net::ForeignRequest& request, Caller caller, std::optional<crypto::SubjectAlgorithm> wanted, bool& recorded) {
  const Registration& registration = caller.registration;
  ASSIGN_OR_RETURN(const Bytes der, wire::parse_est_body(request.body));
  ASSIGN_OR_RETURN(const crypto::SubjectRequest asked, crypto::SubjectRequest::parse_unproved(der));
  ASSIGN_OR_RETURN(const bool wrapped, crypto::asks_for_wrapped_key(der));
  if (wrapped) return fail(ErrorCode::invalid_argument, "serverkeygen: private keys are not encrypted once more within TLS: ask without DecryptKeyIdentifier");
  const crypto::SubjectAlgorithm algorithm = wanted.value_or(asked.key().algorithm());
  const std::string called(crypto::name(algorithm));
  const std::string profile(registration.profile->name);
  if (!registration.profile->server_makes_keys) return fail(ErrorCode::denied, "serverkeygen: no keys of profile " + profile + " are made here");
  if (std::ranges::find(registration.profile->keys, algorithm) == registration.profile->keys.end()) {
    return fail(ErrorCode::denied, "serverkeygen: profile " + profile + " takes no key of algorithm " + called);
  }
  if (is_post_quantum(algorithm) && !request.peer->quantum_safe) {
    return fail(ErrorCode::denied, "serverkeygen: a private key of algorithm " + called +
                                       " is handed over a quantum-safe connection alone (X25519MLKEM768), not over " + request.peer->group);
  }
  const int bits = algorithm == crypto::SubjectAlgorithm::rsa && asked.key().algorithm() == algorithm ? asked.key().bits() : made_rsa_bits;
  const Bytes hash = request_hash({.purpose = "serverkeygen " + called,
                                   .reference = registration.reference,
                                   .key = asked.key().der(),
                                   .names = asked.names(),
                                   .renews = caller.certificate});
  const UnixMs now = clock_.now_ms();
  ASSIGN_OR_RETURN(crypto::MadeKey made, keys_.key_for(hash, algorithm, std::min(bits, crypto::made_rsa_bits_max), now));
  ASSIGN_OR_RETURN(crypto::SubjectPublicKey key, crypto::SubjectPublicKey::parse(made.public_key_info));
  recorded = true;  // by the desk
  auto outcome = desk_.order({.protocol = Protocol::est,
                              .reference = registration.reference,
                              .key = std::move(key),
                              .names = asked.names(),
                              .possession = Possession::vouched,
                              .request_hash = hash,
                              .renews = std::move(caller.certificate)},
                             request.deadline, request.request_id);
  if (!outcome) {
    if (!passes_by(outcome.error().code)) TRY(keys_.forget(hash));
    return fail(outcome.error());
  }
  if (std::holds_alternative<Given>(*outcome)) TRY(keys_.handed(hash, now));
  node::crash_point("cas.est.key_issued");
  return Made{.outcome = std::move(*outcome), .pkcs8 = std::move(made.pkcs8)};
}

// ---- what everybody may know ----

/// Every CA by which the service itself, or a certificate of this service that TLS knows, is verified; and the device CA that is to come, with the links to it
/// (RFC 7030 §4.1.3). With the CA of SM2 keys the answer would not fit into one TLS record, and strongSwan 5.9 reads no longer one; that CA stands where SM2
/// certificates say that it does (csp/status_front.hpp). With the next device CA it does not fit either, so that the label "devices" gives the device CAs alone;
/// the links, too, once they are of the past.
net::ForeignResponse Est::ca_certificates(const net::ForeignRequest& request) {
  const bool devices_alone = !request.parameters.empty() && request.parameters.front() == name(Branch::devices);
  std::vector<Bytes> certificates;
  if (!devices_alone) certificates = desk_.ca_chain(Branch::ml_dsa);
  std::ranges::move(desk_.ca_chain(Branch::devices), std::back_inserter(certificates));
  const std::optional<Succession> succession = desk_.succession();
  if (succession && (succession->to_come || devices_alone)) {
    for (const Bytes* const one : {&succession->new_with_new, &succession->old_with_old, &succession->new_with_old, &succession->old_with_new}) {
      if (!one->empty() && std::ranges::find(certificates, *one) == certificates.end()) certificates.push_back(*one);
    }
  }
  const auto certs = crypto::make_certs_only(certificates);
  return certs ? open_body(type_certs_only, *certs) : est_refusal(certs.error(), request.request_id);
}

/// Of the label's profile, else of the caller's, else of all that have registrations.
net::ForeignResponse Est::csr_attributes(const net::ForeignRequest& request) {
  const auto label = read_label(request);
  if (!label) return est_refusal(label.error(), request.request_id);
  const Profile* profile = find_profile(label->who);
  if (profile == nullptr && (!request.authorization.empty() || !request.peer->certificate.empty())) {
    std::string claimed;
    const auto caller = identify(request, Ask::simpleenroll, *label, claimed);
    if (!caller) {
      desk_.refused(Protocol::est, claimed, caller.error().message, request.request_id);
      return est_refusal(caller.error(), request.request_id);
    }
    profile = caller->registration.profile;
  }
  if (profile == nullptr && !label->who.empty()) return est_text(401, "whose registration this is must be shown first");
  std::set<crypto::SubjectAlgorithm> keys;
  for (const Profile& each : all_profiles()) {
    if (profile == nullptr ? each.naming == Naming::registered : &each == profile) keys.insert(each.keys.begin(), each.keys.end());
  }
  const auto attributes = crypto::make_csr_attributes(std::vector(keys.begin(), keys.end()));
  return attributes ? open_body(type_attributes, *attributes) : est_refusal(attributes.error(), request.request_id);
}

}  // namespace qanat::cas::est
