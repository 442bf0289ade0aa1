// What a CA answers in CMP (RFC 9810 §5.3), protected by the secret that it shares with the client, or by a signature of its own.
#pragma once

#include <chrono>
#include <span>

#include "crypto/cmp_message.hpp"

namespace qanat::crypto {

/// PKIStatusInfo (RFC 9810 §5.2.3).
struct CmpStatus {
  enum class Value : std::uint8_t { accepted = 0, granted_with_mods = 1, rejection = 2, waiting = 3 };
  Value value{};
  std::optional<CmpFailure> failure = {};  // of a rejection
  std::string text = {};                   // PKIFreeText; empty: none
};

// The contents of bodies, DER.

/// Of ip, cp and kup. `certificate` empty: none is given. `ca_certificates`: caPubs, which a client that shares a secret may trust from then on.
Bytes cmp_certificate_content(std::int64_t id, const CmpStatus& status, ByteView certificate, std::span<const Bytes> ca_certificates);
Bytes cmp_revocation_content(const CmpStatus& status, const CmpCertificateId& certificate);
Bytes cmp_error_content(const CmpStatus& status);
Bytes cmp_poll_content(std::int64_t id, std::chrono::seconds check_after, std::string_view reason);
Bytes cmp_confirmed_content();
/// Of genp. An empty value is left out. invalid_argument for a type that is no OBJECT IDENTIFIER.
Result<Bytes> cmp_information_content(std::span<const CmpQuestion> information);

// Values for genp.

/// SEQUENCE OF, of whole certificates or revocation lists.
Bytes cmp_list_value(std::span<const Bytes> elements);
/// RootCaKeyUpdateContent (RFC 9810 §5.3.19.15) of certificates in DER; a link that is empty is left away.
Bytes cmp_root_update_value(ByteView new_with_new, ByteView new_with_old, ByteView old_with_new);
/// id-it-unsupportedOIDs.
Result<Bytes> cmp_unsupported_value(std::span<const std::string> types);
/// id-it-certReqTemplate (RFC 9483 §4.3.3): the names, and the keys of which one is wanted. RSA keys by their length.
Result<Bytes> cmp_template_value(const AskedNames& names, std::span<const SubjectAlgorithm> keys);
/// id-it-signKeyPairTypes, id-it-encKeyPairTypes: SEQUENCE OF AlgorithmIdentifier.
Result<Bytes> cmp_key_types_value(std::span<const SubjectAlgorithm> keys);

struct CmpAnswerHeader {
  std::int64_t version = 2;
  Bytes sender;     // GeneralName, DER
  Bytes recipient;  // the same
  UnixMs time = 0;
  Bytes transaction_id;
  Bytes sender_nonce;
  Bytes recipient_nonce;
  bool implicit_confirm = false;                   // granted
  std::optional<UnixMs> confirm_until = {};        // confirmWaitTime
};
/// The GeneralName of a Name (both DER).
Bytes cmp_directory_name(ByteView name_der);

/// A key that signs messages; its certificate is for signatures.
struct CmpSigner {
  Certificate certificate;
  std::vector<Bytes> chain;  // its issuers, without the root
  PrivateKey key;
};
/// One of both.
struct CmpProtector {
  const Secret* secret = nullptr;  // HMAC with SHA-256 under what SHA-256 makes of it (RFC 9481 §6.1)
  ByteView reference = {};         // the secret's: senderKID
  const CmpSigner* signer = nullptr;
};
/// The whole message. `extra`: certificates that are sent along, behind the signer's own chain.
Result<Bytes> make_cmp_message(const CmpAnswerHeader& header, CmpBody body, ByteView content, std::span<const Bytes> extra, const CmpProtector& protector);

}  // namespace qanat::crypto
