#include "sae_access.hpp"

#include <fmt/format.h>

#include "kme/etsi014_client.hpp"

namespace qanat::app {
namespace {

namespace etsi014 = kme::etsi014;

std::string shell_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

/// Up to the address.
std::string curl_as(const SaeRecord& sae) {
  const crypto::PemFiles files = sae.files();
  return fmt::format("curl -sS --cacert {} --cert {} --key {}", shell_quoted(sae.roots().string()), shell_quoted(files.certificate.string()),
                     shell_quoted(files.key.string()));
}

std::string address(const SaeListener& listener, etsi014::Method method, const std::string& other) {
  return shell_quoted(listener.url() + etsi014::path_of(method, kme::SaeId(other)));
}

}  // namespace

Result<SaeAccess> SaeAccess::open(const SaeRecord& sae, const SaeListener& listener) {
  if (sae.revoked) {
    return fail(ErrorCode::denied,
                "the certificate of SAE '" + sae.name + "' is revoked: `qanat sae add " + sae.name + " --domain " + sae.domain + "` makes another");
  }
  const crypto::PemFiles files = sae.files();
  for (const std::filesystem::path& each : {files.certificate, files.key, sae.roots()}) {
    if (!std::filesystem::exists(each)) {
      return fail(ErrorCode::not_found, each.string() + ": is gone: put it back, or make another with `qanat sae revoke " + sae.name + "` and `qanat sae add`");
    }
  }
  ASSIGN_OR_RETURN(net::ForeignUrl place, net::ForeignUrl::parse(listener.url()));
  ASSIGN_OR_RETURN(auto client,
                   net::ForeignClient::create({.chains = {{.certificate = files.certificate, .key = files.key}}, .roots = sae.roots(), .crls = {}}));
  return SaeAccess(sae, std::move(place), std::move(client));
}

Result<net::Response> SaeAccess::ask(std::string_view method, const std::string& path, std::string_view body, Deadline deadline) {
  net::ForeignUrl url = place_;
  url.path = path;
  auto answer = client_->call(method, url, body.empty() ? "" : "application/json", as_bytes(body), deadline);
  if (!answer) return fail_in("SAE " + name_, answer.error());
  if (answer->status == 200) return answer;
  const Error refusal = etsi014::refusal_of(answer->status, answer->body);
  const char* const mend = answer->status == 401 ? ": it serves no SAE of this name and certificate, or not for that key: see `qanat sae list`" : "";
  return fail(answer->status == 503 ? ErrorCode::exhausted : refusal.code, "SAE " + name_ + ": " + refusal.message + mend);
}

Result<wire::Json> SaeAccess::status(const std::string& other, Deadline deadline) {
  ASSIGN_OR_RETURN(const net::Response answer, ask("GET", etsi014::path_of(etsi014::Method::status, kme::SaeId(other)), "", deadline));
  return wire::Json::parse(answer.body);
}

Result<std::vector<kme::Key>> SaeAccess::order(const std::string& other, std::uint32_t number, std::uint32_t size, Deadline deadline) {
  const std::string body = etsi014::write_key_request(number, size);
  ASSIGN_OR_RETURN(net::Response answer, ask("POST", etsi014::path_of(etsi014::Method::enc_keys, kme::SaeId(other)), body, deadline));
  return etsi014::read_key_container(answer.body, number, size);
}

Result<std::vector<kme::Key>> SaeAccess::collect(const std::string& other, std::span<const kme::Key> ordered, std::uint32_t size, Deadline deadline) {
  std::vector<KeyId> ids;
  for (const kme::Key& key : ordered) ids.push_back(key.id);
  const std::string body = etsi014::write_key_ids(ids);
  ASSIGN_OR_RETURN(net::Response answer, ask("POST", etsi014::path_of(etsi014::Method::dec_keys, kme::SaeId(other)), body, deadline));
  return etsi014::read_key_container(answer.body, ids.size(), size);
}

std::string curl_status(const SaeRecord& sae, const SaeListener& listener, const std::string& other) {
  return curl_as(sae) + " " + address(listener, etsi014::Method::status, other);
}

CurlPair curl_keys(const SaeRecord& from, const SaeListener& from_at, const SaeRecord& to, const SaeListener& to_at, std::uint32_t number, std::uint32_t size) {
  constexpr const char* posting = "-H 'Content-Type: application/json' -d";
  // The ids out of the first answer, as the second request wants them.
  constexpr const char* ids = R"("{\"key_IDs\":[$(printf %s "$keys" | grep -o '"key_ID":"[^"]*"' | sed 's/.*/{&}/' | paste -sd, -)]}")";
  return {.order = fmt::format("keys=$({} {} {} {})", curl_as(from), posting, shell_quoted(etsi014::write_key_request(number, size)),
                               address(from_at, etsi014::Method::enc_keys, to.name)),
          .collect = fmt::format("{} {} {} {}", curl_as(to), posting, ids, address(to_at, etsi014::Method::dec_keys, from.name))};
}

}  // namespace qanat::app
