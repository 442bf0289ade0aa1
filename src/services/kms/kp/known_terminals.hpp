// What the messages of a terminal are checked with: its certificates parsed, its verifying key prepared, its bundle checked. All of it follows from the terminal's
// row alone, so it is worked out once and kept while the row is the same, octet for octet or by its digest. Chain, validity and status are not part of it: they are looked at
// for each message (node::Node::check_certificate).
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <mutex>

#include "crypto/hybrid_kem.hpp"
#include "crypto/hybrid_sign.hpp"
#include "services/kms/kp/terminals.hpp"
#include "wire/qfc2.hpp"

namespace qanat::kms {

struct KnownTerminal {
  Terminal terminal;
  crypto::Certificate classical;  // the signing certificates
  crypto::Certificate ml_dsa;
  crypto::Verifier verifier;
  Result<crypto::Encapsulator> encapsulator;  // to its encryption keys
  wire::Fingerprints fps;
  Result<crypto::CertificateBundle> bundle;  // what bundle_of() says of the row
  Bytes digest;                              // content_digest() of the row

  /// invalid_argument if a signing certificate cannot be parsed or its key is none of the suite's.
  static Result<KnownTerminal> from_row(const crypto::Suite& suite, const Terminal& row);
};

class KnownTerminals {
 public:
  /// At most `max` are kept, the latest used; one takes about 150 KiB, most of it the prepared ML-DSA key.
  KnownTerminals(const crypto::Suite& suite, std::size_t max) : suite_(suite), max_(max) {}
  /// For the row that was just looked at, if it is kept: then there is no need to read it.
  std::shared_ptr<const KnownTerminal> kept(const TerminalLook& look);
  /// For the row as it was just read.
  Result<std::shared_ptr<const KnownTerminal>> of(const Terminal& row);

 private:
  struct Kept {
    std::shared_ptr<const KnownTerminal> known;  // also held by whoever checks a message with it
    std::list<Uid>::iterator place;
  };

  const crypto::Suite& suite_;
  const std::size_t max_;
  std::mutex mutex_;
  std::map<Uid, Kept> kept_;
  std::list<Uid> by_use_;  // the latest used first
};

}  // namespace qanat::kms
