// The authorisation code grant: who the person is, is said by the certificate on the connection, at both requests; what may be done in the person's name, by
// the policy. The code is bound to client, redirect URI, challenge and certificate.
#include <algorithm>

#include "base/percent.hpp"
#include "crypto/kdf.hpp"
#include "node/subscriber.hpp"
#include "services/iam/web/oauth.hpp"
#include "wire/base64.hpp"

namespace qanat::iam {
namespace {

constexpr std::size_t state_max = 1024;
constexpr std::size_t challenge_octets = 32;

std::unexpected<Error> refuse_oauth(ErrorCode code, std::string_view name, const std::string& why) { return fail(code, std::string(name) + ": " + why); }

/// RFC 7636 §4.3: S256 alone. "plain" is no proof, and what is absent means "plain".
Result<std::string> challenge_in(const Form& form) {
  ASSIGN_OR_RETURN(std::string challenge, form_member(form, "code_challenge"));
  if (form_member_or(form, "code_challenge_method", "plain") != "S256") return fail(ErrorCode::invalid_argument, "code_challenge_method must be S256");
  const auto octets = wire::from_base64url(challenge);
  if (!octets || octets->size() != challenge_octets) return fail(ErrorCode::invalid_argument, "code_challenge must be a SHA-256 in base64url");
  return challenge;
}

Result<std::string> verifier_in(const Form& form) {
  ASSIGN_OR_RETURN(std::string verifier, form_member(form, "code_verifier"));
  if (verifier.size() < verifier_min || verifier.size() > verifier_max || !std::ranges::all_of(verifier, is_unreserved)) {
    return fail(ErrorCode::invalid_argument, "code_verifier must be 43 to 128 unreserved characters");
  }
  return verifier;
}

}  // namespace

/// The registered client that the form names; it authenticates by nothing of its own.
Result<WebClient> OAuth::client_of(const Form& form) {
  ASSIGN_OR_RETURN(const std::string id, form_member(form, "client_id"));
  ASSIGN_OR_RETURN(const Uid uid, node::parse_uid(id));
  ASSIGN_OR_RETURN(const auto client, parts_.clients.find(id));
  if (!client) return refuse_oauth(ErrorCode::unauthenticated, "invalid_client", "there is no client '" + id + "'");
  ASSIGN_OR_RETURN(const IdentityRecord record, parts_.desk.identities().find(uid));
  if (record.standing != Standing::active) return refuse_oauth(ErrorCode::denied, "unauthorized_client", "'" + id + "' is suspended");
  return *client;
}

/// Whose certificate is on the connection.
Result<IdentityRecord> OAuth::person(const WebCaller& caller) {
  const auto refused = [](const std::string& why) { return refuse_oauth(ErrorCode::unauthenticated, "access_denied", why); };
  if (caller.thumbprint.empty()) return refused("who asks shows no certificate");
  auto found = parts_.desk.identities().find_by_certificate(caller.thumbprint);
  if (!found && found.error().code == ErrorCode::not_found) return refused("nobody has registered this certificate");
  TRY(found);
  if (found->of != IdentityClass::person) return refused("'" + found->uid.text() + "' is no person");
  if (found->standing != Standing::active) return refused("'" + found->uid.text() + "' is suspended");
  return found;
}

Result<std::string> OAuth::give_code(const WebCaller& caller, const Form& form, const WebClient& client, const std::string& redirect_uri, Noted& noted) {
  if (form_member_or(form, "response_type", "") != "code")
    return refuse_oauth(ErrorCode::invalid_argument, "unsupported_response_type", "response_type must be code");
  if (form_member_or(form, "response_mode", "query") != "query") return fail(ErrorCode::invalid_argument, "response_mode must be query");
  if (form_member_or(form, "state", "").size() > state_max) return fail(ErrorCode::invalid_argument, "state: over " + std::to_string(state_max) + " octets");
  ASSIGN_OR_RETURN(const std::string challenge, challenge_in(form));
  const std::string audience = form_member_or(form, "audience", parts_.desk.node().identity().name);
  TRY(node::parse_element_name(audience));
  ASSIGN_OR_RETURN(const IdentityRecord who, person(caller));
  noted.subject = who.uid.text();
  const std::string wanted = form_member_or(form, "scope", "");
  if (wanted.empty()) return refuse_oauth(ErrorCode::invalid_argument, "invalid_scope", "scope is missing");
  const auto scope = parts_.privileges.grantable(who, wanted);
  if (!scope && scope.error().code == ErrorCode::invalid_argument) return refuse_oauth(ErrorCode::invalid_argument, "invalid_scope", scope.error().message);
  TRY(scope);
  noted.object += " " + *scope;
  return parts_.codes.give({.client = client.uid,
                            .subject = noted.subject,
                            .redirect_uri = redirect_uri,
                            .challenge = challenge,
                            .scope = *scope,
                            .audience = audience,
                            .holder = caller.thumbprint,
                            .epoch = who.epoch},
                           parts_.desk.node().rng(), parts_.desk.now());
}

/// RFC 6749 §4.1.2 and §4.1.2.1, with the issuer (RFC 9207).
WebAnswer OAuth::redirected(const std::string& redirect_uri, const Form& form, const Result<std::string>& code) const {
  std::string to = redirect_uri + (redirect_uri.contains('?') ? "&" : "?");
  if (code) {
    to += form_encoded("code", *code);
  } else {
    const auto [name, why] = oauth_words(code.error());
    to += form_encoded("error", name) + "&" + form_encoded("error_description", why);
  }
  const std::string state = form_member_or(form, "state", "");
  if (!state.empty() && state.size() <= state_max) to += "&" + form_encoded("state", state);
  to += "&" + form_encoded("iss", url_);
  // 303: the browser comes with GET, whatever it came here with (RFC 9700 §4.12).
  return {.status = 303, .body = {}, .content_type = "", .fields = {{"Location", to}, {"Referrer-Policy", "no-referrer"}}};
}

WebAnswer OAuth::authorize(const WebCaller& caller, std::string_view query) {
  Noted noted;
  Form form;
  std::string redirect_uri;
  const auto client = [&]() -> Result<WebClient> {
    ASSIGN_OR_RETURN(form, read_form(query));
    ASSIGN_OR_RETURN(WebClient known, client_of(form));
    noted.object = known.uid;
    ASSIGN_OR_RETURN(redirect_uri, form_member(form, "redirect_uri"));
    // Character by character: nothing is sent to where nobody has said that it may be (RFC 9700 §4.1).
    if (std::ranges::find(known.redirect_uris, redirect_uri) == known.redirect_uris.end()) {
      return fail(ErrorCode::invalid_argument, "redirect_uri is none that '" + known.uid + "' has registered");
    }
    return known;
  }();
  if (!client) {
    const auto written = record(caller, "oauth.authorize", noted, &client.error());
    WebAnswer out = oauth_error(written ? client.error() : written.error());
    if (out.status == 401) out.status = 400;  // a person looks at it, who has nothing to authenticate with better
    return out;
  }
  const Result<std::string> code = give_code(caller, form, *client, redirect_uri, noted);
  const auto written = record(caller, "oauth.authorize", noted, code ? nullptr : &code.error());
  return redirected(redirect_uri, form, written ? code : Result<std::string>(fail(written.error())));
}

Result<wire::Json> OAuth::by_code(const WebCaller& caller, const Form& form, Noted& noted) {
  const auto refused = [](const std::string& why) { return refuse_oauth(ErrorCode::denied, "invalid_grant", why); };
  ASSIGN_OR_RETURN(const WebClient client, client_of(form));
  ASSIGN_OR_RETURN(const std::string code, form_member(form, "code"));
  ASSIGN_OR_RETURN(const std::string redirect_uri, form_member(form, "redirect_uri"));
  ASSIGN_OR_RETURN(const std::string verifier, verifier_in(form));
  const Bytes token_id = parts_.desk.node().rng().bytes(wire::access_token_id_size);
  // Spent whatever follows: who guesses has one attempt.
  ASSIGN_OR_RETURN(const CodeOrder order, parts_.codes.spend(code, token_id, parts_.desk.now()));
  noted.subject = order.subject;
  if (order.client != client.uid) return refused("the code was given to another client");
  if (order.redirect_uri != redirect_uri) return refused("redirect_uri is another than the code was sent to");
  if (order.holder != caller.thumbprint) return refused("the code was given on a connection with another certificate");
  const std::string challenge = wire::to_base64url(crypto::digest(crypto::Hash::sha256, as_bytes(verifier)));
  if (!equal_constant_time(as_bytes(challenge), as_bytes(order.challenge))) return refused("code_verifier is not what code_challenge was made of");
  const auto who = person(caller);
  if (!who && who.error().code != ErrorCode::unauthenticated) return fail(who.error());
  if (!who || who->uid.text() != order.subject || who->epoch != order.epoch) return refused("what the code rested on has ended");
  ASSIGN_OR_RETURN(const std::string scope, parts_.privileges.grantable(*who, order.scope));
  return signed_token(caller, form,
                      {.subject = order.subject,
                       .client = order.client,
                       .audience = order.audience,
                       .scope = scope,
                       .holder = caller.thumbprint,
                       .epoch = order.epoch,
                       .token_id = token_id},
                      noted);
}

}  // namespace qanat::iam
