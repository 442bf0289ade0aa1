// Certificates that no CAS issued: signed with the network's own offline root, or under a root that only looks like it.
#pragma once

#include <memory>

#include "net/tls.hpp"
#include "test_network.hpp"

namespace qanat::test {

class Mint {
 public:
  /// Signs with the network's offline root: a chain that everybody trusts.
  static Mint with_offline_root(TestNetwork& network);
  /// Signs with a key of its own, under the very names of the network's issuing CA: nobody trusts it.
  static Mint with_foreign_root(TestNetwork& network);

  /// Credentials with fresh keys for a holder of these names.
  [[nodiscard]] std::shared_ptr<const net::TlsIdentity> leaf(const crypto::SubjectNames& names, UnixMs not_before, UnixMs not_after) const;

 private:
  Mint(TestNetwork& network, crypto::Certificate issuer, crypto::PrivateKey key) : network_(network), issuer_(std::move(issuer)), key_(std::move(key)) {}

  TestNetwork& network_;
  crypto::Certificate issuer_;
  crypto::PrivateKey key_;
};

}  // namespace qanat::test
