// The registration authority of SCEP (RFC 8894 §2.1.2): an RSA key with a certificate of the device CA, to which requests are encrypted and which signs the
// answers, for SCEP's clients know nothing else. CAS makes it for itself, keeps it sealed, and follows it up with another one in time.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.hpp"
#include "crypto/device.hpp"
#include "crypto/scep_message.hpp"
#include "store/store.hpp"

namespace qanat::cas {

inline constexpr int scep_ra_bits = 3072;

/// Has a certificate issued to the RA's key, on record like every other: DER. The same key again gets the same certificate; `denied` if that one holds no
/// longer.
using CertifyRa = std::function<Result<Bytes>(const crypto::SubjectPublicKey& key, UnixMs now)>;

/// Those that hold at a time.
struct ScepRas {
  std::vector<crypto::ScepRa> all;  // the one in force first; the others hold still, for clients that know them
  std::size_t of_this_ca = 0;       // of those, how many are under the CA that issues now: they come first
  UnixMs renew_at = 0;
};

class ScepRaKeeper {
 public:
  /// `issuer`: DER of the certificate of the CA that `certify` uses now.
  ScepRaKeeper(store::Store& store, crypto::CryptoDevice& device, CertifyRa certify, std::function<Bytes()> issuer)
      : store_(store), device_(device), certify_(std::move(certify)), issuer_(std::move(issuer)) {}

  /// Makes one where there is none that has a third of its life left under the present CA. Takes up to seconds then; otherwise the answer of the last time.
  Result<std::shared_ptr<const ScepRas>> at(UnixMs now);

 private:
  struct Row;
  Result<std::vector<Row>> rows(UnixMs now);
  Result<Row> begun();
  Result<void> finish(const Row& row, UnixMs now);
  Result<std::shared_ptr<const ScepRas>> refresh(ByteView issuer, UnixMs now);

  store::Store& store_;
  crypto::CryptoDevice& device_;
  const CertifyRa certify_;
  const std::function<Bytes()> issuer_;
  std::mutex mutex_;
  std::shared_ptr<const ScepRas> known_;  // under mutex_
  Bytes known_issuer_;                    // under mutex_: for which it was found
};

}  // namespace qanat::cas
