// Km-3 on the wire: JSON in, keys wrapped under the site key out.
#pragma once

#include "crypto/site_key.hpp"
#include "node/node.hpp"
#include "node/steps.hpp"
#include "quantum/qkm/links.hpp"
#include "quantum/qkm/query.hpp"
#include "quantum/qkm/supply.hpp"

namespace qanat::qkm {

inline constexpr std::size_t keys_per_request_max = 64;

/// The key that wraps what travels within the site, and what keys that went under it are worth.
struct SiteWrapping {
  crypto::SiteKey key;
  bool is_charged = false;  // false: a key of zeros, which keeps the form and protects nothing

  static Result<SiteWrapping> read(const std::filesystem::path& file);
  [[nodiscard]] std::string_view grade() const { return is_charged ? "qkd" : "pqc"; }
};

class SupplyHandlers {
 public:
  struct Parts {
    node::Node& node;
    KeySupply& supply;
    const SiteWrapping& wrapping;
    node::StepTrace& trace;
    const Arrivals& arrivals;     // near keys came
    std::function<void()> taken;  // the pools are smaller now
  };
  explicit SupplyHandlers(Parts parts) : parts_(std::move(parts)) {}

  Result<net::Response> take(const net::Request& request);
  Result<net::Response> fetch(const net::Request& request);
  Result<net::Response> done(const net::Request& request);
  /// The KMS's next connection is under the site key too (net/chain.hpp).
  Result<net::Response> chain(const net::Request& request);
  /// Push notice: answers as soon as there are `least` keys for a domain, at the latest after a few seconds, with what there is.
  Result<net::Response> notice(const net::Request& request);

 private:
  Result<void> check_caller(const net::Request& request) const;
  Result<net::Response> answer(std::span<const RelayedKey> keys);
  Result<net::Response> take_keys(const net::Request& request, std::string& session);
  Result<net::Response> fetch_keys(const net::Request& request, std::string& session);
  Result<net::Response> await_stock(const net::Request& request);
  const Parts parts_;
};

}  // namespace qanat::qkm
