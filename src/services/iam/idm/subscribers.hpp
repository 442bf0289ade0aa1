// Subscribers: the terminals among the identities, and the one-time secret by which each enrols.
#pragma once

#include <string>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/identity.hpp"
#include "crypto/device.hpp"
#include "services/iam/idm/register.hpp"
#include "store/store.hpp"
#include "wire/qfc2_enrol.hpp"
#include "wire/signed.hpp"

namespace qanat::iam {

struct Subscriber {
  Uid uid;
  Number number;
  ElementName home_kms;
  std::string domain;
  Kind device{};
  Standing standing = Standing::active;
  bool enrolled = false;
  bool operator==(const Subscriber&) const = default;
};

inline constexpr std::size_t enrolment_secret_size = 32;

class Subscribers {
 public:
  Subscribers(store::Store& store, crypto::CryptoDevice& device, IdentityRegister& identities) : store_(store), device_(device), identities_(identities) {}

  /// Enters an active terminal; the secret to be handed to the user by another way than the network. `conflict` if the uid or the number is taken.
  Result<Secret> create(const Subscriber& subscriber, UnixMs now);
  /// A new one-time secret for a known terminal, whose medium was lost or whose certificates are no longer good, or that was imported. The old one is void.
  Result<Secret> renew_secret(const Uid& uid);
  /// `not_found` if there is none.
  Result<Subscriber> find(const Uid& uid);

  /// Spends the enrolment secret on this message. The same message again gives the same answer; any other message is `conflict`. `denied` if the
  /// subscriber is suspended or the message asks for what is not the subscriber's; `unauthenticated` if the MAC does not hold. Only a message
  /// that passes every check spends the secret.
  Result<Subscriber> enrol(const wire::Framed<wire::Enrol>& message, UnixMs now);

  Result<std::int64_t> count();

 private:
  struct Stored {
    Subscriber subscriber;
    Bytes sealed_secret;  // empty: none was made yet
    Bytes used_for;       // empty: unused
  };
  static Result<Stored> read(store::Transaction& transaction, const Uid& uid);

  store::Store& store_;
  crypto::CryptoDevice& device_;
  IdentityRegister& identities_;
};

}  // namespace qanat::iam
