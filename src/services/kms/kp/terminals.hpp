// KP's pool of public keys: the terminals of this domain with their certificates and encryption keys.
#pragma once

#include <optional>
#include <set>

#include "crypto/certificate_bundle.hpp"
#include "store/lifecycle.hpp"
#include "store/store.hpp"
#include "wire/qfc2.hpp"

namespace qanat::kms {

struct Terminal {
  Uid uid;
  Number number;
  Bytes classical;  // DER of the signing certificates
  Bytes ml_dsa;
  crypto::EncapsulationKey encryption;
  Bytes enc_kid;
  Bytes encryption_classical;  // DER of the encryption certificates; empty: enrolled before there were any
  Bytes encryption_ml_kem;
  bool confirmed = false;  // it has proved that it holds its keys
  store::KeyState state = store::KeyState::generated;  // of its encryption key, but for what its certificates' time says (encryption_state.hpp)
  bool operator==(const Terminal&) const = default;
};

/// What is looked at for each message: the narrow part of a terminal's row.
struct TerminalLook {
  Uid uid;
  bool confirmed = false;
  store::KeyState state = store::KeyState::generated;
  Bytes digest;  // content_digest() of the row; empty: it was written before there were any
};
/// SHA-256 over all of it but `confirmed` and `state`: the same for the same certificates, keys and names.
Bytes content_digest(const Terminal& terminal);

/// The terminal's four certificates, if they belong together and the encryption certificates are over the keys in the pool; `denied` otherwise. Chains,
/// validity and status are not looked at.
Result<crypto::CertificateBundle> bundle_of(const crypto::Suite& suite, const Terminal& terminal);

/// What a terminal's enrolment left: the answer, to be given again if the same request comes again, and the private keys until it confirms.
struct Enrolment {
  Terminal terminal;
  Bytes h_enrol;
  Bytes answer;                // 02 EnrolDeliver, octets
  Bytes sealed_encryption;     // under the pool key of the in-use library; empty if the terminal made its keys
};

/// In place of what this subscriber had before, its token and grants included; the encryption key is new, whatever had been ordered of the former one. Whoever
/// had the number before is forgotten.
Result<void> save_enrolment(store::Transaction& transaction, const Enrolment& enrolment);
Result<std::optional<Enrolment>> find_enrolment(store::Transaction& transaction, const Uid& uid);
Result<std::optional<Terminal>> find_terminal(store::Transaction& transaction, const Uid& uid);
Result<std::optional<Terminal>> find_terminal(store::Transaction& transaction, const Number& number);
/// Without reading a certificate.
Result<std::optional<TerminalLook>> look_at_terminal(store::Transaction& transaction, const Uid& uid);
Result<std::optional<TerminalLook>> look_at_terminal(store::Transaction& transaction, const Number& number);
/// `conflict` if the terminal has other keys or certificates by now, or none; `denied` if its encryption key is not active any more. `digest`: its
/// content_digest().
Result<void> check_unchanged(store::Transaction& transaction, const Terminal& terminal, ByteView digest);
/// The terminal has its keys: the private ones and the answer are erased here, and its encryption key is active. `conflict` if it is past that already.
Result<void> confirm_terminal(store::Transaction& transaction, const Uid& uid);

/// Other certificates over the same encryption keys, whose state they do not change, in place of those of `former`; its access token, which is bound to those, is
/// forgotten. `conflict` if the terminal has others by now.
Result<void> replace_certificates(store::Transaction& transaction, const Terminal& former, const Terminal& next);

/// For terminals from before their certificates were kept by fingerprint and serial.
Result<void> name_all_certificates(store::Transaction& transaction);
/// Those that have one of these certificates now, by SHA-256. A former certificate of a terminal that has renewed is nobody's.
Result<std::set<Uid>> terminals_of(store::Transaction& transaction, const std::set<Bytes>& fingerprints);
/// DER of the terminals' certificates that have this serial, of whatever issuer.
Result<std::vector<Bytes>> certificates_with(store::Transaction& transaction, ByteView serial);
/// All that the pool has of it: keys, certificates, what waits for its confirmation, its token and grants.
Result<void> forget_terminal(store::Transaction& transaction, const Uid& uid);

/// An encryption pair, sealed, from before CAS is asked to certify it.
struct PreparedPair {
  Bytes scalar;
  Bytes ml_kem_seed;
};
/// That which was made for this Enrol message; nothing if none was.
Result<std::optional<PreparedPair>> find_prepared(store::Transaction& transaction, const Uid& uid, ByteView h_enrol);
/// Of one subscriber this one and the latest few are kept: who is who is not established yet when they are made.
Result<void> save_prepared(store::Transaction& transaction, const Uid& uid, ByteView h_enrol, const PreparedPair& sealed, UnixMs now);
Result<void> forget_prepared(store::Transaction& transaction, const Uid& uid, ByteView h_enrol);
/// Those that have waited longer than an enrolment can take.
Result<void> forget_old_prepared(store::Transaction& transaction, UnixMs now);

}  // namespace qanat::kms
