#include "terminal/gateway/key_source.hpp"

#include "kme/etsi014_client.hpp"

namespace qanat::terminal::gateway {
namespace {

using kme::etsi014::Method;

constexpr unsigned ok_status = 200;

}  // namespace

Result<std::unique_ptr<GatewayKeys>> GatewayKeys::open(const KmeSettings& settings) {
  ASSIGN_OR_RETURN(auto client, net::ForeignClient::create(settings.tls));
  net::ForeignUrl url = settings.url;
  if (url.path.ends_with('/')) url.path.pop_back();
  return std::unique_ptr<GatewayKeys>(new GatewayKeys(std::move(url), std::move(client)));
}

Result<kme::Key> GatewayKeys::ask(const std::string& path, std::string_view body, Deadline deadline) {
  net::ForeignUrl url = url_;
  url.path += path;
  auto answer = client_->call("POST", url, "application/json", as_bytes(body), deadline);
  if (!answer) return fail_in("key management entity", answer.error());
  if (answer->status != ok_status) return fail(kme::etsi014::refusal_of(answer->status, answer->body));
  auto keys = kme::etsi014::read_key_container(answer->body, 1, gateway_key_bits);
  wipe(answer->body);
  if (!keys) return fail(keys.error());
  return Result<kme::Key>(std::move(keys->front()));
}

Result<kme::Key> GatewayKeys::fresh(const kme::SaeId& peer, Deadline deadline) {
  return ask(kme::etsi014::path_of(Method::enc_keys, peer), kme::etsi014::write_key_request(1, gateway_key_bits), deadline);
}

Result<Secret> GatewayKeys::by_id(const kme::SaeId& peer, const KeyId& id, Deadline deadline) {
  ASSIGN_OR_RETURN(kme::Key key, ask(kme::etsi014::path_of(Method::dec_keys, peer), kme::etsi014::write_key_ids({&id, 1}), deadline));
  if (key.id != id) return fail(ErrorCode::invalid_argument, "the key management entity gave key " + key.id.hex() + " for " + id.hex());
  return Result<Secret>(std::move(key.octets));
}

}  // namespace qanat::terminal::gateway
