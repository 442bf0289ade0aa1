#include "services/cas/acme/acme.hpp"

#include <array>

#include "node/log.hpp"

namespace qanat::cas {
namespace {

constexpr UnixMs sweep_interval = 3'600'000;

constexpr std::string_view content_problem = "application/problem+json";
constexpr std::string_view content_jose = "application/jose+json";
constexpr std::string_view directory_path = "/acme/directory";
constexpr std::string_view account_path = "/acme/acct/";
constexpr std::string_view order_path = "/acme/order/";

/// The path that the pattern stands for with these parameters.
std::string path_of(std::string_view pattern, const std::vector<std::string>& parameters) {
  std::string out;
  for (const std::string& parameter : parameters) {
    const std::size_t gap = pattern.find("{}");
    CHECK(gap != std::string_view::npos);
    out.append(pattern.substr(0, gap)).append(parameter);
    pattern.remove_prefix(gap + 2);
  }
  return out.append(pattern);
}

}  // namespace

std::span<const Acme::Resource> Acme::resources() noexcept {
  using enum Resource::Signed;
  static constexpr std::array rows{
      Resource{"directory", "GET", directory_path, nobody, &Acme::directory},
      Resource{"newNonce", "HEAD", "/acme/new-nonce", nobody, &Acme::new_nonce_head},
      Resource{"newNonce", "GET", "/acme/new-nonce", nobody, &Acme::new_nonce},
      Resource{"renewalInfo", "GET", "/acme/renewal-info/{}", nobody, &Acme::renewal_info},
      Resource{"newAccount", "POST", "/acme/new-account", key, &Acme::new_account},
      Resource{"account", "POST", "/acme/acct/{}", Resource::Signed::account, &Acme::account},
      Resource{"orders", "POST", "/acme/acct/{}/orders", Resource::Signed::account, &Acme::orders},
      Resource{"keyChange", "POST", "/acme/key-change", Resource::Signed::account, &Acme::key_change},
      Resource{"newOrder", "POST", "/acme/new-order", Resource::Signed::account, &Acme::new_order},
      Resource{"order", "POST", "/acme/order/{}", Resource::Signed::account, &Acme::order},
      Resource{"finalize", "POST", "/acme/order/{}/finalize", Resource::Signed::account, &Acme::finalize},
      Resource{"certificate", "POST", "/acme/cert/{}", Resource::Signed::account, &Acme::certificate},
      Resource{"authorization", "POST", "/acme/authz/{}", Resource::Signed::account, &Acme::authorization},
      Resource{"revokeCert", "POST", "/acme/revoke-cert", either, &Acme::revoke},
  };
  return rows;
}

Acme::Acme(AcmeSettings settings, Desk& desk, store::Store& store, crypto::Rng& rng, const Clock& clock, AcmeRecorder record)
    : settings_(std::move(settings)), desk_(desk), clock_(clock), record_(std::move(record)), records_(store, rng), nonces_(rng) {}

std::string Acme::account_url(std::string_view id) const { return url(account_path) + std::string(id); }
std::string Acme::order_url(std::string_view id) const { return url(order_path) + std::string(id); }

Result<void> Acme::record(std::string_view action, const Call& call, std::string_view reference, std::string_view object) {
  return record_(
      {.action = action, .outcome = audit::Outcome::success, .subject = reference, .object = object, .reason = "", .request_id = call.request.request_id});
}

AcmeAnswer Acme::answer(const Resource& resource, const AcmeRequest& request) {
  std::string reference;
  OrProblem<AcmeAnswer> answer = admitted(resource, request, reference);
  if (answer) return finished(*std::move(answer), resource.pattern == directory_path);
  Problem& problem = answer.error();
  if (!problem.inside.empty()) node::log(node::LogLevel::error, "ACME: {}, request {}: {}", resource.name, request.request_id, problem.inside);
  if (!reference.empty() && !problem.recorded && problem.status < 500) {
    desk_.refused(Protocol::acme, reference, urn(problem.type) + ": " + problem.detail, request.request_id);
  }
  return finished(rendered(std::move(problem)), false);
}

AcmeAnswer Acme::refusal(unsigned status, std::string_view why) {
  Problem problem(status >= 500 ? ProblemType::server_internal : ProblemType::malformed, std::string(why));
  problem.status = status;
  return finished(rendered(std::move(problem)), false);
}

AcmeAnswer Acme::rendered(Problem problem) {
  return {.status = problem.status, .content_type = std::string(content_problem), .body = problem.json().dump(), .fields = std::move(problem.fields)};
}

Result<void> Acme::keep_house(UnixMs now) {
  UnixMs swept = swept_;
  if (now - swept < sweep_interval || !swept_.compare_exchange_strong(swept, now)) return {};
  ASSIGN_OR_RETURN(const bool all, records_.sweep(now));
  if (!all) swept_ = swept;  // the next call goes on
  return {};
}

/// RFC 8555 §6.5: a nonce with every answer, also with errors; §7.1: the way back to the directory.
AcmeAnswer Acme::finished(AcmeAnswer answer, bool is_directory) {
  answer.fields.emplace_back("Replay-Nonce", nonces_.give());
  if (!is_directory) answer.fields.emplace_back("Link", '<' + url(directory_path) + ">;rel=\"index\"");
  return answer;
}

OrProblem<AcmeAccount> Acme::account_named(std::string_view kid) {
  const std::string beginning = url(account_path);
  if (kid.starts_with(beginning)) {
    ASSIGN_OR_RETURN(auto found, records_.account(kid.substr(beginning.size())));
    if (found) return *std::move(found);
  }
  return refuse(ProblemType::account_does_not_exist, "kid is not the URL of an account of this server");
}

OrProblem<AcmeAnswer> Acme::admitted(const Resource& resource, const AcmeRequest& request, std::string& reference) {
  using enum Resource::Signed;
  std::string path = path_of(resource.pattern, request.parameters);
  if (!request.query.empty()) path += '?' + request.query;
  Call call{.request = request, .url = url(path), .payload = {}, .account = {}, .key = {}, .reference = reference};
  if (resource.signed_by == nobody) return (this->*resource.answer)(call);

  if (!net::is_media_type(request.content_type, content_jose)) return refuse(Problem(ProblemType::malformed, "the body must be application/jose+json").with_status(415));
  ASSIGN_OR_RETURN(SignedRequest asked, parse_signed_request(request.body));
  if (asked.url != call.url) return refuse(ProblemType::unauthorized, "url: what was signed is not where it was sent");
  if (asked.kid && resource.signed_by == key) return refuse(ProblemType::malformed, "this resource takes a jwk, not a kid");
  if (asked.jwk && resource.signed_by == Resource::Signed::account) return refuse(ProblemType::malformed, "this resource takes a kid, not a jwk");
  // Before the signature: it is cheap, and nobody can make the server verify more signatures than it gave out nonces.
  if (!nonces_.spend(asked.nonce)) return refuse(ProblemType::bad_nonce, "the nonce was used before, is too old, or is not this server's");
  if (asked.kid) {
    ASSIGN_OR_RETURN(call.account, account_named(*asked.kid));
    reference = call.account->reference;
    ASSIGN_OR_RETURN(const wire::Json jwk, wire::Json::parse(call.account->jwk));
    ASSIGN_OR_RETURN(call.key, wire::read_public_jwk(jwk));
  } else {
    call.key = std::move(asked.jwk);
  }
  const crypto::JoseKey& key_of_request = call.key->key;
  if (key_of_request.algorithm() != asked.algorithm) {
    return refuse(ProblemType::bad_signature_algorithm, "alg is not that of the account's key, " + std::string(crypto::name(key_of_request.algorithm())));
  }
  if (!key_of_request.verify(as_bytes(asked.jws.signed_part), asked.jws.signature))
    return refuse(ProblemType::malformed, "the signature of the request does not hold");
  if (call.account && !call.account->valid) return refuse(Problem(ProblemType::unauthorized, "the account is deactivated").with_status(401));  // §7.3.6
  call.payload = std::move(asked.jws.payload);
  return (this->*resource.answer)(call);
}

OrProblem<AcmeAnswer> Acme::directory(const Call&) {
  wire::Json meta = wire::Json::object({{"externalAccountRequired", true}});
  if (!settings_.terms.empty()) meta.set("termsOfService", settings_.terms);
  if (!settings_.website.empty()) meta.set("website", settings_.website);
  wire::Json profiles = wire::Json::object();
  for (const Profile& profile : all_profiles()) {
    if (profile.naming == Naming::registered) profiles.set(profile.name, profile.says);
  }
  meta.set("profiles", profiles);
  const wire::Json body = wire::Json::object({{"newNonce", url("/acme/new-nonce")},
                                              {"newAccount", url("/acme/new-account")},
                                              {"newOrder", url("/acme/new-order")},
                                              {"revokeCert", url("/acme/revoke-cert")},
                                              {"keyChange", url("/acme/key-change")},
                                              {"renewalInfo", url("/acme/renewal-info")},
                                              {"meta", meta}});
  return json_answer(200, body);
}

OrProblem<AcmeAnswer> Acme::new_nonce(const Call&) { return AcmeAnswer{.status = 204, .content_type = {}, .body = {}}; }
OrProblem<AcmeAnswer> Acme::new_nonce_head(const Call&) { return AcmeAnswer{.status = 200, .content_type = {}, .body = {}}; }

}  // namespace qanat::cas
