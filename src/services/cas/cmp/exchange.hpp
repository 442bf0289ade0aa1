// One CMP message from its octets to its answer. Private to cmp.
#pragma once

#include <array>
#include <optional>

#include "services/cas/cmp/server.hpp"

namespace qanat::cas {

inline constexpr std::size_t nonce_octets = 16;   // of ours; RFC 9810 §5.1.1
inline constexpr int reason_unspecified = 0;      // CRLReason, RFC 5280 §5.3.1

/// Whose CAs CMP tells of: those of the hierarchy, and the device CA.
inline constexpr std::array cmp_branches{Branch::ml_dsa, Branch::classical, Branch::devices};

class CmpExchange {
 public:
  CmpExchange(const CmpParts& parts, const CmpSettings& settings, const CmpCall& call, crypto::CmpMessage message)
      : parts_(parts), settings_(settings), call_(call), message_(std::move(message)), now_(parts.clock.now_ms()) {}

  Result<Bytes> answer();

 private:
  /// Who protects the client's messages.
  struct Caller {
    Registration registration;
    Secret secret = {};      // its text: of a MAC
    Bytes certificate = {};  // DER: of a signature
  };
  struct Reply {
    crypto::CmpBody body{};
    Bytes content;
    std::vector<Bytes> extra = {};  // certificates along with it
    bool implicit = false;
    std::optional<UnixMs> confirm_until = {};
    Bytes nonce = {};            // empty: a fresh one
    Bytes recipient_nonce = {};  // empty: the message's
  };
  /// A refusal that has its place in a body of its own, not in an error message.
  struct Place {
    crypto::CmpBody body{};
    std::int64_t certificate_request = 0;          // of ip, cp, kup
    crypto::CmpCertificateId certificate = {};     // of rp
    Bytes recipient_nonce = {};
  };

  // exchange.cpp
  std::unexpected<Error> refuse(crypto::CmpFailure failure, std::string text);
  /// An error of the desk, which it has put on record itself.
  std::unexpected<Error> desk_said(Error error);
  [[nodiscard]] crypto::CmpFailure failure_of(ErrorCode code) const noexcept;
  Result<void> authenticate();
  Result<Caller> by_secret();
  Result<Caller> by_signature();
  Result<void> check_fresh();
  Result<void> check_profile();
  Result<Reply> act();
  Reply refusal_of(const Error& error);
  Result<Bytes> render(const Reply& reply);
  [[nodiscard]] CmpSignerKind signer_kind() const;
  [[nodiscard]] UnixMs replay_until() const;

  // certificates.cpp
  Result<Reply> enrol();
  Result<Possession> possession_of(const crypto::CmpCertificateRequest& request);
  [[nodiscard]] Bytes request_hash() const;
  Result<CmpTransaction> begin(std::int64_t id, const crypto::SubjectPublicKey& key);
  Result<Reply> settle(CmpTransaction transaction, Result<Outcome> outcome, ByteView recipient_nonce);
  Result<Reply> given(CmpTransaction transaction, const Given& given);
  [[nodiscard]] std::vector<Bytes> trusted_now() const;
  Result<void> stand(const CmpTransaction& to, CmpState from);
  /// The transaction that this message goes on with, its nonces in order.
  Result<CmpTransaction> running();
  Result<Reply> poll();
  Result<Reply> confirm();
  Result<Reply> given_up();
  Result<void> take_back(CmpTransaction transaction, std::string_view why);

  // information.cpp
  Result<Reply> revoke();
  Result<Bytes> revocable(const crypto::CmpRevocationRequest& request);
  Result<Reply> inform();
  Result<std::optional<crypto::CmpQuestion>> information(const crypto::CmpQuestion& question);
  Result<Bytes> newer_lists(ByteView value);
  [[nodiscard]] std::shared_ptr<const PublishedList> list_of(const crypto::CmpListStatus& wanted) const;

  const CmpParts& parts_;
  const CmpSettings& settings_;
  const CmpCall& call_;
  const crypto::CmpMessage message_;
  const UnixMs now_;
  std::optional<Caller> caller_;                // once the protection holds
  std::string named_;                           // the registration that the message names, rightly or not
  std::string for_the_record_;                  // what a refusal does not tell the client
  std::optional<crypto::CmpFailure> failure_;   // of a refusal that knows better than its error code
  bool on_record_ = false;                      // the desk has put the refusal on record
  std::optional<Place> place_;
};

}  // namespace qanat::cas
