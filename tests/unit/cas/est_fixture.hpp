// EST behind a real listener, with a desk of the test's own that issues under the CAs of the front's fixture.
#pragma once

#include <map>
#include <set>

#include "crypto/kdf.hpp"
#include "crypto/x509_pkcs7.hpp"
#include "front_fixture.hpp"
#include "services/cas/est/est.hpp"
#include "wire/base64.hpp"

namespace qanat::cas {

/// Registrations, orders and refusals in memory; the rules are the least that a desk has.
class EstDesk final : public Desk {
 public:
  EstDesk(const FrontPki& p384, const FrontPki& ml_dsa) : p384_(p384), ml_dsa_(ml_dsa) {}

  Result<Registration> registration(std::string_view reference) override {
    const std::lock_guard lock(mutex_);
    const auto found = registrations_.find(std::string(reference));
    if (found == registrations_.end() || found->second.closed) return fail(ErrorCode::not_found, "no such registration");
    return found->second;
  }
  Result<Secret> secret_of(std::string_view reference) override { return secret(reference); }
  Result<Registration> holder_of(ByteView certificate_der) override {
    const std::lock_guard lock(mutex_);
    const Bytes der = to_bytes(certificate_der);
    const auto found = holders_.find(der);
    if (found == holders_.end()) return fail(ErrorCode::denied, "the certificate was not issued here");
    if (revoked_.contains(der)) return fail(ErrorCode::denied, "the certificate is revoked");
    return registrations_.at(found->second);
  }
  Result<Outcome> order(const Asked& asked, Deadline, const std::string&) override {
    const std::lock_guard lock(mutex_);
    ++orders;
    last = asked;
    const Registration& by = registrations_.at(asked.reference);
    if (refuses) return fail(*refuses);
    if (const auto known = issued_.find(asked.request_hash); known != issued_.end()) return Outcome(known->second);
    if (asked.names.common_name != by.common_name) return fail(ErrorCode::denied, "common name: not that of the registration");
    for (const std::string& name : asked.names.dns) {
      if (std::ranges::find(by.dns, name) == by.dns.end()) return fail(ErrorCode::denied, "DNS name " + name + ": not one of the registration's");
    }
    if (by.approval == Approval::four_eyes && !approved) return Outcome(Waiting{.ticket = "t-1", .retry_after = std::chrono::seconds(7)});
    const Given given{.certificate = certify(asked), .chain = {}};
    holders_[given.certificate] = asked.reference;
    issued_[asked.request_hash] = given;
    return Outcome(given);
  }
  Result<Outcome> collect(std::string_view) override { return fail(ErrorCode::not_found, "no ticket"); }
  Result<void> revoke(ByteView certificate_der, int, std::string_view, const std::string&) override {
    const std::lock_guard lock(mutex_);
    revoked_.insert(to_bytes(certificate_der));
    return {};
  }
  Result<Bytes> find(ByteView) override { return fail(ErrorCode::not_found, "no certificate"); }
  void refused(Protocol, std::string_view reference, std::string_view why, const std::string&) override {
    const std::lock_guard lock(mutex_);
    refusals.emplace_back(reference, why);
  }
  [[nodiscard]] std::vector<Bytes> ca_chain(Branch branch) const override {
    const FrontPki& pki = branch == Branch::ml_dsa ? ml_dsa_ : p384_;
    return {pki.issuing.der(), pki.root.der()};
  }
  [[nodiscard]] std::optional<Succession> succession() const override {
    const std::lock_guard lock(mutex_);
    return succeeds_;
  }
  [[nodiscard]] Branch branch_for(crypto::SubjectAlgorithm algorithm) const noexcept override {
    return algorithm >= crypto::SubjectAlgorithm::ml_dsa_44 ? Branch::ml_dsa : Branch::devices;
  }

  void add(Registration registration) {
    const std::lock_guard lock(mutex_);
    registrations_[registration.reference] = std::move(registration);
  }
  void succeed(const Succession& succession) {
    const std::lock_guard lock(mutex_);
    succeeds_ = succession;
  }
  void close(const std::string& reference) {
    const std::lock_guard lock(mutex_);
    registrations_.at(reference).closed = true;
  }
  static Secret secret(std::string_view reference) { return Secret::copy_of(crypto::digest(crypto::Hash::sha256, as_bytes(reference))); }
  static std::string password(std::string_view reference) { return wire::to_base64url(crypto::digest(crypto::Hash::sha256, as_bytes(reference))); }
  bool was_refused(std::string_view reference, std::string_view part) {
    const std::lock_guard lock(mutex_);
    return std::ranges::any_of(refusals, [&](const auto& each) { return each.first == reference && each.second.contains(part); });
  }

  int orders = 0;
  Asked last;
  bool approved = false;
  std::optional<Error> refuses;
  std::vector<std::pair<std::string, std::string>> refusals;

 private:
  Bytes certify(const Asked& asked) const {
    const FrontPki& pki = branch_for(asked.key.algorithm()) == Branch::ml_dsa ? ml_dsa_ : p384_;
    Bytes serial(16, 0x51);
    const Bytes digest = crypto::digest(crypto::Hash::sha256, asked.request_hash);
    std::copy_n(digest.begin(), 15, serial.begin() + 1);
    const UnixMs now = SystemClock().now_ms();
    const Profile& profile = *registrations_.at(asked.reference).profile;
    const auto extended = extended_of(profile, asked.key.algorithm());
    crypto::SubjectTemplate wanted{
        .public_key_info = asked.key.der(), .names = asked.names, .serial = serial, .not_before = now - 60'000, .not_after = now + 3'600'000};
    wanted.usages = usages_of(profile, asked.key.algorithm());
    wanted.extended = {extended.begin(), extended.end()};
    return test::must(crypto::issue_subject(wanted, pki.issuing, pki.issuing_key()));
  }

  const FrontPki& p384_;
  const FrontPki& ml_dsa_;
  mutable std::mutex mutex_;
  std::optional<Succession> succeeds_;
  std::map<std::string, Registration> registrations_;
  std::map<Bytes, std::string> holders_;
  std::map<Bytes, Given> issued_;
  std::set<Bytes> revoked_;
};

class EstFixture : public FrontFixture {
 protected:
  EstFixture() {
    static constexpr std::array migrations{store::Migration{1, made_keys_schema}};
    store_ = test::must(store::Store::open(folder_ / "est.db", migrations));
    device_ = test::must(crypto::open_software_device(folder_ / "master.key", *rng_));
    keys_ = std::make_unique<MadeKeys>(*store_, *device_);
    est_ = std::make_unique<est::Est>(desk_, *keys_, clock_);
    desk_.add(registered(box, "device"));
    desk_.add(registered(vault, "device-encryption"));
    settings_.workers = 2;
    start({est_->service()});
  }
  static Registration registered(const std::string& reference, const char* profile) {
    Registration out;
    out.reference = reference;
    out.profile = find_profile(profile);
    out.common_name = "box-7";
    out.dns = {"box-7.example", "box-7.local"};
    return out;
  }
  /// `key`: one of ours, of any of the algorithms that sign.
  static Bytes request_by(const crypto::PrivateKey& key, const std::string& common_name = "box-7", const std::vector<std::string>& dns = {"box-7.example"}) {
    return test::must(crypto::make_request(key, {.common_name = common_name, .element = {}, .number = {}, .dns = dns}));
  }
  static std::string basic(const std::string& reference, const std::string& password) {
    return "Authorization: Basic " + wire::to_base64(as_bytes(reference + ":" + password)) + "\r\n";
  }
  static std::string basic(const std::string& reference) { return basic(reference, EstDesk::password(reference)); }
  TlsAnswer post(const std::string& path, const std::string& body, const std::string& fields, const net::TlsIdentity* client = nullptr,
                 net::test::RawPolicy policy = any_policy) const {
    return ask_tls(front_->port(),
                   "POST /.well-known/est/" + path + " HTTP/1.1\r\nHost: ra.test\r\nConnection: close\r\nContent-Type: application/pkcs10\r\n" + fields +
                       "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body,
                   client, policy);
  }
  TlsAnswer get(const std::string& path, const std::string& fields = "", const net::TlsIdentity* client = nullptr) const {
    return ask_tls(front_->port(), "GET /.well-known/est/" + path + " HTTP/1.1\r\nHost: ra.test\r\nConnection: close\r\n" + fields + "\r\n", client);
  }
  static std::string without_space(std::string text) {
    std::erase_if(text, [](char c) { return c == '\n' || c == '\r'; });
    return text;
  }
  /// The one certificate of an answer.
  static Bytes certificate_of(const TlsAnswer& answer) {
    EXPECT_EQ(answer.status(), 200) << answer.octets;
    EXPECT_TRUE(answer.octets.contains("Content-Type: application/pkcs7-mime; smime-type=certs-only\r\n")) << answer.octets;
    const std::vector<Bytes> certificates = test::must(crypto::read_certs_only(test::must(wire::from_base64(without_space(answer.body())))));
    EXPECT_EQ(certificates.size(), 1U);
    return certificates.front();
  }
  static void expect_refused(const TlsAnswer& answer, int status, std::string_view part) {
    EXPECT_EQ(answer.status(), status) << answer.octets;
    EXPECT_TRUE(answer.octets.contains("Content-Type: text/plain\r\n")) << answer.octets;
    EXPECT_TRUE(answer.body().contains(part)) << answer.octets;
  }

  static constexpr const char* box = "r-00000000000000b0";
  static constexpr const char* vault = "r-00000000000000f1";

  test::TemporaryDirectory folder_;
  EstDesk desk_{p384_, ml_dsa_};
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<crypto::CryptoDevice> device_;
  std::unique_ptr<MadeKeys> keys_;
  std::unique_ptr<est::Est> est_;

 public:
  ~EstFixture() override { front_->stop(); }
};

}  // namespace qanat::cas
