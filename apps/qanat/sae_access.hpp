// One SAE's way to its KME, as software of others takes it: ETSI GS QKD 014 over mutual TLS, with the files that `qanat sae add` made; and the same as lines
// for a shell.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kme/provider.hpp"
#include "net/foreign_client.hpp"
#include "sae_authority.hpp"
#include "wire/json.hpp"

namespace qanat::app {

class SaeAccess {
 public:
  /// invalid_argument or not_found, naming the file, if the SAE's files are not where they were put.
  static Result<SaeAccess> open(const SaeRecord& sae, const SaeListener& listener);

  /// The KME's answer about keys shared with `other`.
  Result<wire::Json> status(const std::string& other, Deadline deadline);
  /// enc_keys: fresh keys for this SAE and `other`; `size` in bits. exhausted while the KME answers 503: it has too few, or cannot
  /// reach the other's.
  Result<std::vector<kme::Key>> order(const std::string& other, std::uint32_t number, std::uint32_t size, Deadline deadline);
  /// dec_keys: the keys that `other` ordered.
  Result<std::vector<kme::Key>> collect(const std::string& other, std::span<const kme::Key> ordered, std::uint32_t size, Deadline deadline);

 private:
  SaeAccess(const SaeRecord& sae, net::ForeignUrl place, std::unique_ptr<net::ForeignClient> client)
      : name_(sae.name), place_(std::move(place)), client_(std::move(client)) {}
  Result<net::Response> ask(std::string_view method, const std::string& path, std::string_view body, Deadline deadline);

  std::string name_;
  net::ForeignUrl place_;
  std::unique_ptr<net::ForeignClient> client_;
};

/// A shell's line that asks for the SAE's status towards `other`.
std::string curl_status(const SaeRecord& sae, const SaeListener& listener, const std::string& other);
/// Two lines of a shell: the first puts the answer of enc_keys into the variable `keys`, the second prints that of dec_keys for the same keys.
struct CurlPair {
  std::string order;
  std::string collect;
};
CurlPair curl_keys(const SaeRecord& from, const SaeListener& from_at, const SaeRecord& to, const SaeListener& to_at, std::uint32_t number, std::uint32_t size);

}  // namespace qanat::app
