// Where an agent gets its keys: the key management entity of its domain (a KMS or a QKM), over ETSI GS QKD 014.
#pragma once

#include <memory>

#include "kme/provider.hpp"
#include "net/foreign_client.hpp"

namespace qanat::terminal::gateway {

inline constexpr std::uint32_t gateway_key_bits = 256;

struct KmeSettings {
  net::ForeignUrl url;  // its path stands before "/api/v1/keys"
  net::ForeignTls tls;  // this gateway's certificate as an SAE; the roots of the KME's
};

class GatewayKeys {
 public:
  static Result<std::unique_ptr<GatewayKeys>> open(const KmeSettings& settings);

  /// Master: a fresh key that it shares with the SAE `peer`.
  Result<kme::Key> fresh(const kme::SaeId& peer, Deadline deadline);
  /// Slave: the key with this id, which the SAE `peer` took. The KME gives it once.
  Result<Secret> by_id(const kme::SaeId& peer, const KeyId& id, Deadline deadline);

 private:
  GatewayKeys(net::ForeignUrl url, std::unique_ptr<net::ForeignClient> client) : url_(std::move(url)), client_(std::move(client)) {}
  Result<kme::Key> ask(const std::string& path, std::string_view body, Deadline deadline);
  net::ForeignUrl url_;
  std::unique_ptr<net::ForeignClient> client_;
};

}  // namespace qanat::terminal::gateway
