// Key pairs that CAS makes for software of others, from the moment they are made until they have been handed over: sealed in cas.db, one for each request, so
// that a request that comes again (the answer was lost, two operators had to approve first, CAS was started anew) is answered with the same key and
// certificate.
#pragma once

#include <chrono>

#include "crypto/device.hpp"
#include "crypto/subject_made.hpp"
#include "store/store.hpp"

namespace qanat::cas {

/// How long a private key is kept after it was handed out, for a client whose answer was lost; and at most, if its certificate never comes.
inline constexpr std::chrono::seconds made_key_kept = std::chrono::days(1);
inline constexpr std::chrono::seconds made_key_waits_max = std::chrono::days(30);

inline constexpr std::string_view made_keys_schema = R"sql(
  CREATE TABLE made_key (
    request_hash BLOB PRIMARY KEY,
    algorithm TEXT NOT NULL,
    public_key BLOB NOT NULL,     -- SubjectPublicKeyInfo
    sealed_key BLOB,              -- PKCS#8; NULL once it is over
    made_ms INTEGER NOT NULL,
    handed_ms INTEGER             -- when it was first answered with
  ) STRICT;
  CREATE INDEX made_key_held ON made_key (made_ms) WHERE sealed_key IS NOT NULL)sql";

class MadeKeys {
 public:
  MadeKeys(store::Store& store, crypto::CryptoDevice& device) : store_(store), device_(device) {}

  /// The key of this request: the one that was made for it, else a new one, durable before this returns. `conflict` if it was handed out and is no longer kept,
  /// or if the request was for a key of another algorithm.
  Result<crypto::MadeKey> key_for(ByteView request_hash, crypto::SubjectAlgorithm algorithm, int rsa_bits, UnixMs now);
  /// To be called before it is answered with.
  Result<void> handed(ByteView request_hash, UnixMs now);
  /// No certificate will be issued for it.
  Result<void> forget(ByteView request_hash);
  /// Wipes private keys whose time is over; their number.
  Result<std::size_t> sweep(UnixMs now);

 private:
  store::Store& store_;
  crypto::CryptoDevice& device_;
};

}  // namespace qanat::cas
