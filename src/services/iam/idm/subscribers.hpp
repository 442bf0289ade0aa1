// Identity management: who the subscribers are, whether they are in good standing, and the one-time secret by which each enrols.
#pragma once

#include <string>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/identity.hpp"
#include "crypto/device.hpp"
#include "store/store.hpp"
#include "wire/qfc2_enrol.hpp"
#include "wire/signed.hpp"

namespace qanat::iam {

enum class Standing : std::uint8_t { active, suspended };
std::string_view name(Standing standing) noexcept;

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
  Subscribers(store::Store& store, crypto::CryptoDevice& device) : store_(store), device_(device) {}

  /// Enters an active subscriber; the secret to be handed to the user by another way than the network. `conflict` if the uid or the number is taken.
  Result<Secret> create(const Subscriber& subscriber, UnixMs now);
  /// A new one-time secret for a known subscriber, whose medium was lost or whose certificates are no longer good. The old one is void.
  Result<Secret> renew_secret(const Uid& uid);
  /// `not_found` if there is none.
  Result<Subscriber> find(const Uid& uid);
  Result<Subscriber> set_standing(const Uid& uid, Standing standing);

  /// Spends the enrolment secret on this message. The same message again gives the same answer; any other message is `conflict`. `denied` if the
  /// subscriber is suspended or the message asks for what is not the subscriber's; `unauthenticated` if the MAC does not hold. Only a message
  /// that passes every check spends the secret.
  Result<Subscriber> enrol(const wire::Framed<wire::Enrol>& message, UnixMs now);

  Result<std::int64_t> count();

 private:
  struct Stored {
    Subscriber subscriber;
    Bytes sealed_secret;
    Bytes used_for;  // empty: unused
  };
  static Result<Stored> read(store::Transaction& transaction, const Uid& uid);

  store::Store& store_;
  crypto::CryptoDevice& device_;
};

}  // namespace qanat::iam
