// A desk without a CAS whose decisions the test makes: registrations, orders and tickets in memory. What it issues, a protocol's own fixture says.
#pragma once

#include <functional>
#include <map>
#include <utility>

#include "crypto/random.hpp"
#include "services/cas/ceis/desk.hpp"
#include "trusted_network.hpp"
#include "wire/base64.hpp"

namespace qanat::cas {

/// The real time, and as far ahead of it as a test wants.
class ClockAhead final : public Clock {
 public:
  [[nodiscard]] UnixMs now_ms() const override { return SystemClock().now_ms() + ahead_ms; }
  UnixMs ahead_ms = 0;
};

class RegisteredDesk : public Desk {
 public:
  RegisteredDesk(crypto::Rng& rng, const Profile& profile) : rng_(rng), profile_(profile) {}

  /// Its reference.
  std::string enter(const std::string& common_name, Approval approval = Approval::automatic) {
    Registration made;
    made.reference = "r-" + to_hex(rng_.bytes(8));
    made.subject = Uid("box");
    made.profile = &profile_;
    made.common_name = common_name;
    made.dns = {common_name};
    made.approval = approval;
    made.ra_vouches = true;
    secrets_.emplace(made.reference, rng_.bytes(registration_secret_size));
    const std::string reference = made.reference;
    registrations_.emplace(reference, std::move(made));
    return reference;
  }
  [[nodiscard]] std::string secret_text(const std::string& reference) const { return wire::to_base64url(secrets_.at(reference)); }
  Registration& entry(const std::string& reference) { return registrations_.at(reference); }

  Result<Registration> registration(std::string_view reference) override {
    const auto found = registrations_.find(reference);
    if (found == registrations_.end() || found->second.closed) return fail(ErrorCode::not_found, "no registration " + std::string(reference));
    return found->second;
  }
  Result<Secret> secret_of(std::string_view reference) override {
    TRY(registration(reference));
    return Secret::copy_of(secrets_.find(reference)->second);
  }
  Result<Registration> holder_of(ByteView certificate_der) override {
    if (looks_up_nobody) return fail(*looks_up_nobody);
    const auto found = holders_.find(to_bytes(certificate_der));
    if (found == holders_.end()) return fail(ErrorCode::denied, "the certificate was not issued here");
    if (revoked.contains(found->first)) return fail(ErrorCode::denied, "the certificate is revoked");
    return registration(found->second);
  }
  Result<Outcome> order(const Asked& asked, Deadline, const std::string&) override {
    orders.push_back(asked);
    if (fails) return fail(*fails);
    if (fails_once) return fail(*std::exchange(fails_once, std::nullopt));
    const Registration& entered = registrations_.at(asked.reference);
    if (!asked.names.common_name.empty() && asked.names.common_name != entered.common_name) {
      return fail(ErrorCode::invalid_argument, "'" + asked.names.common_name + "' is not a name of this registration");
    }
    if (const auto found = issued_.find(asked.request_hash); found != issued_.end()) return Outcome(found->second);
    if (entered.approval == Approval::automatic) return Outcome(give(asked));
    const std::string ticket = "o-" + to_hex(asked.request_hash);
    tickets_.insert_or_assign(ticket, asked);
    return Outcome(waiting(ticket));
  }
  Result<Outcome> collect(std::string_view ticket) override {
    const auto found = tickets_.find(ticket);
    if (found == tickets_.end()) return fail(ErrorCode::not_found, "no such ticket");
    if (rejects) return fail(ErrorCode::denied, "two operators said no");
    if (!approves) return Outcome(waiting(found->first));
    if (const auto known = issued_.find(found->second.request_hash); known != issued_.end()) return Outcome(known->second);
    return Outcome(give(found->second));
  }
  Result<void> revoke(ByteView certificate_der, int reason, std::string_view by, const std::string&) override {
    if (before_revocation) before_revocation();
    revoked.try_emplace(to_bytes(certificate_der), reason, std::string(by));
    return {};
  }
  Result<Bytes> find(ByteView serial) override {
    const auto found = by_serial.find(to_bytes(serial));
    if (found == by_serial.end()) return fail(ErrorCode::not_found, "no certificate of this serial");
    return found->second;
  }
  [[nodiscard]] Branch branch_for(crypto::SubjectAlgorithm algorithm) const noexcept override {
    using enum crypto::SubjectAlgorithm;
    if (algorithm == sm2) return Branch::classical;
    return algorithm == rsa || algorithm == ecdsa_p256 || algorithm == ecdsa_p384 ? Branch::devices : Branch::ml_dsa;
  }

  [[nodiscard]] std::optional<Succession> succession() const override { return succeeds; }

  /// Without asking anybody.
  Given give(const Asked& asked) {
    Given out = issue(asked);
    by_serial.emplace(test::must(crypto::SubjectCertificate::parse(out.certificate)).serial(), out.certificate);
    holders_.emplace(out.certificate, asked.reference);
    issued_.emplace(asked.request_hash, out);
    return out;
  }
  [[nodiscard]] Bytes issued_for(const Bytes& request_hash) const { return issued_.at(request_hash).certificate; }

  std::optional<Succession> succeeds;  // which device CA which
  std::vector<Asked> orders;
  std::optional<Error> fails;  // every order
  std::optional<Error> fails_once;
  std::optional<Error> looks_up_nobody;
  std::function<void()> before_revocation;
  bool approves = false;
  bool rejects = false;
  std::map<Bytes, std::pair<int, std::string>> revoked;  // reason and by whom
  std::map<Bytes, Bytes> by_serial;

 protected:
  virtual Given issue(const Asked& asked) = 0;
  crypto::Rng& rng_;

 private:
  static cas::Waiting waiting(const std::string& ticket) { return {.ticket = ticket, .retry_after = std::chrono::seconds(7)}; }

  const Profile& profile_;
  std::map<std::string, Registration, std::less<>> registrations_;
  std::map<std::string, Bytes, std::less<>> secrets_;
  std::map<Bytes, std::string> holders_;  // certificate, reference
  std::map<Bytes, Given> issued_;         // by request hash
  std::map<std::string, Asked, std::less<>> tickets_;
};

}  // namespace qanat::cas
