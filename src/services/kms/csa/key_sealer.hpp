// How the CSA's secret keys are kept at rest: the one place that knows under what they are sealed.
#pragma once

#include "crypto/device.hpp"
#include "services/kms/csa/sealed_text.hpp"
#include "store/store.hpp"

namespace qanat::kms::csa {

class KeySealer {
 public:
  /// `device`: a pool key's (kp/pool_keys.hpp).
  explicit KeySealer(crypto::CryptoDevice& device) : device_(device) {}
  /// For the row of this version and no other.
  Result<Bytes> seal(const CsaKeyId& id, std::uint32_t version, const Secret& material) { return device_.seal(context(id, version), material); }
  /// `denied` if the row was changed, or moved from another key or version.
  Result<Secret> unseal(const CsaKeyId& id, std::uint32_t version, ByteView sealed) { return device_.unseal(context(id, version), sealed); }
  static Bytes context(const CsaKeyId& id, std::uint32_t version) {
    return store::column_context("kms.csa_version.sealed", encode(SealedHeader{.kind = SealedKind::text, .key = id, .version = version}));
  }

 private:
  crypto::CryptoDevice& device_;
};

}  // namespace qanat::kms::csa
