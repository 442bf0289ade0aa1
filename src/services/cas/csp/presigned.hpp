// Status answers made ahead (RFC 5019): a bounded store that forgets at once what a revocation made wrong.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <vector>

#include "crypto/x509_respond.hpp"
#include "services/cas/authority.hpp"

namespace qanat::cas {

/// One certificate, named as a client names it.
struct PresignedKey {
  Branch branch{};
  crypto::CertIdHash hash{};
  Bytes serial;
  auto operator<=>(const PresignedKey&) const = default;
};

struct PresignedAnswer {
  Bytes der;
  UnixMs this_update = 0;
  UnixMs next_update = 0;
  std::string tag;  // entity tag, with its quotes
};

class Presigned {
 public:
  explicit Presigned(std::size_t most) : most_(most) {}

  /// The answer if there is one that still holds.
  std::shared_ptr<const PresignedAnswer> find(const PresignedKey& key, UnixMs now) const;
  /// To be read before the certificate's standing is: keep() takes no answer that was made from what stood before a forget().
  [[nodiscard]] std::uint64_t generation() const;
  /// Keeps it, unless one is there whose time is not half over. False if there is none afterwards: it was made too early, or the store is full.
  bool keep(PresignedKey key, PresignedAnswer answer, std::uint64_t generation);
  /// Forgets what is said about these certificates.
  void forget(Branch branch, std::span<const Bytes> serials);
  /// The first `most` of those whose time is half over.
  [[nodiscard]] std::vector<PresignedKey> due(UnixMs now, std::size_t most) const;
  void forget_expired(UnixMs now);
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] bool has(const PresignedKey& key) const;

 private:
  const std::size_t most_;
  mutable std::mutex mutex_;
  std::uint64_t generation_ = 0;
  std::map<PresignedKey, std::shared_ptr<const PresignedAnswer>> answers_;  // shared with the connections that are sending one
};

}  // namespace qanat::cas
