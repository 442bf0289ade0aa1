// Steps 4 and 11 without network or storage: the terminal's application for a working key, and the judgement of what the KMS answers.
#pragma once

#include "crypto/hybrid_kem.hpp"
#include "node/credentials.hpp"
#include "node/senders.hpp"
#include "terminal/key_source.hpp"
#include "terminal/media/secure_medium.hpp"
#include "wire/key_schedule.hpp"
#include "wire/qfc2.hpp"

namespace qanat::terminal {

inline constexpr UnixMs delivery_clock_window_ms = 120'000;  // how far the KMS's clock and ours may be apart
inline constexpr UnixMs delivery_lifetime_max_ms = 3'600'000;  // a working key is for one call that begins now

/// The applicant: this terminal as its KMS knows it. Outlives the applications.
struct Applicant {
  const crypto::Suite& suite;
  std::uint32_t policy_epoch = 1;
  Uid uid;
  ElementName kms;
  const node::MessageSigner& signer;
  const crypto::Decapsulator& encryption;  // the key pair that the KMS encapsulates to
  wire::Assurance min_assurance = wire::Assurance::local_rng;
};

/// Keys that have left this terminal's medium for one application.
struct ApplicationKeys {
  std::optional<TakenKey> call;            // goes into the last mile (F_INJ)
  std::optional<TakenKey> authentication;  // symmetric mode
};

/// One application: never sent twice in two connections, always with a fresh ephemeral key (F_EPH).
class KeyApplication {
 public:
  /// `token_ref`: digest of the access token that the KMS gave last, or zero.
  static Result<KeyApplication> make(const Applicant& applicant, KeyWanted wanted, const Bytes& token_ref, UnixMs now, crypto::Rng& rng,
                                     ApplicationKeys charged = {});

  [[nodiscard]] const Bytes& octets() const noexcept { return request_.octets; }

  struct Delivered {
    WorkingKey key;
    Bytes token_ref;  // of the access token that came with it; empty if none came
  };
  using Delivery = wire::Framed<wire::KeyDeliver>;
  /// The answer, if `kms` signed it for this session: worth an acknowledgement, whether or not the key can be used.
  Result<Delivery> authenticate(ByteView answer, const node::Sender& kms) const;
  /// What was delivered, if everything holds: it answers this very application, opens with this terminal's keys, is in its time, and is for
  /// the two numbers of the call with at least the assurance demanded. denied otherwise.
  Result<Delivered> open(const Delivery& delivery, const node::Sender& kms, UnixMs now) const;

  /// 1B for the delivery with this message hash.
  Result<Bytes> acknowledgement(const Bytes& h_deliver, bool ok, crypto::Rng& rng) const;

 private:
  KeyApplication(const Applicant& applicant, KeyWanted wanted, wire::Framed<wire::KeyRequest> request, crypto::Decapsulator ephemeral,
                 std::optional<TakenKey> charged)
      : applicant_(applicant), wanted_(std::move(wanted)), request_(std::move(request)), ephemeral_(std::move(ephemeral)), charged_(std::move(charged)) {}
  Result<void> check_envelope(const wire::KeyDeliver& said, const wire::Fingerprints& kms, UnixMs now) const;
  Result<wire::KeyDeliverPayload> unseal(const Delivery& delivery) const;
  Result<void> check_payload(const wire::KeyDeliverPayload& payload) const;
  Result<Bytes> check_token(const Bytes& token, UnixMs now) const;

  std::reference_wrapper<const Applicant> applicant_;
  KeyWanted wanted_;
  wire::Framed<wire::KeyRequest> request_;
  crypto::Decapsulator ephemeral_;
  std::optional<TakenKey> charged_;  // of the call set
};

}  // namespace qanat::terminal
