// Certificate status by OCSP and by revocation lists, in the order of the settings.
#include <gtest/gtest.h>

#include <fstream>

#include "node/status.hpp"
#include "temporary_directory.hpp"
#include "trusted_network.hpp"
#include "unit/net/pki.hpp"

namespace qanat::node {
namespace {

using net::test::pki;
using test::refusal;

constexpr UnixMs list_lifetime_ms = 86'400'000;

class StoodClock final : public Clock {
 public:
  [[nodiscard]] UnixMs now_ms() const override { return now; }
  UnixMs now = SystemClock().now_ms() / 1000 * 1000;
};

/// CAS as its client sees it: OCSP and lists, each of which can be silent.
class TwoSources final : public net::Client {
 public:
  explicit TwoSources(const Clock& clock) : clock_(clock) {}
  Result<net::Response> call(const net::Call& call, Deadline /*deadline*/) override {
    const UnixMs now = clock_.now_ms();
    if (call.method == "POST") {
      ++asked_ocsp;
      if (ocsp_slow) return fail(ErrorCode::deadline_exceeded, "slow");
      if (ocsp_silent) return fail(ErrorCode::unavailable, "silent");
      const crypto::StatusAnswer answer{.status = status, .this_update = now, .next_update = now + 60'000, .revoked_at = now};
      return net::Response{.status = 200, .content_type = std::string(points::type_ocsp_response), .body = pki().answer_status(call.body, answer)};
    }
    EXPECT_EQ(call.path + "?" + call.query, "/cd/1/crl?branch=ml_dsa&list=full");
    ++asked_list;
    if (lists_silent) return fail(ErrorCode::deadline_exceeded, "silent");
    return net::Response{.status = 200, .content_type = std::string(points::type_crl), .body = pki().revocation_list(list)};
  }
  [[nodiscard]] const net::Target& target() const noexcept override { return target_; }
  void chain(net::Chaining) override {}
  Result<void> show(const net::TlsIdentity&) override { return {}; }
  void drop_servers(const std::function<bool(const crypto::Certificate&)>&) override {}

  int asked_ocsp = 0;
  int asked_list = 0;
  bool ocsp_silent = false;
  bool ocsp_slow = false;
  bool lists_silent = false;
  crypto::CertStatus status = crypto::CertStatus::good;
  crypto::RevocationList list;

 private:
  const Clock& clock_;
  net::Target target_;
};

class StatusOrder : public testing::Test {
 protected:
  StatusOrder() { cas_.list = list_of(7, {}); }
  crypto::RevocationList list_of(std::uint64_t number, std::vector<crypto::RevokedSerial> revoked) const {
    return {.number = number,
            .base_number = {},
            .this_update = clock_.now,
            .next_update = clock_.now + list_lifetime_ms,
            .distribution_point = {},
            .delta_url = {},
            .revoked = std::move(revoked)};
  }
  crypto::RevokedSerial revocation() const { return {.serial = certificate_.serial(), .revoked_at = clock_.now, .reason = 1}; }
  std::unique_ptr<StatusChecker> checker(std::vector<StatusSource> order) {
    return std::make_unique<StatusChecker>(StatusSettings{.fresh = std::chrono::milliseconds(0), .serve_unexpired_when_down = false, .order = std::move(order), .directory = {}},
                                           points::Endpoint::cq1_status, cas_, *pki().trust(), *rng_, clock_);
  }
  Result<void> check(StatusChecker& by) { return by.check(certificate_, test::soon()); }

  StoodClock clock_;
  TwoSources cas_{clock_};
  std::unique_ptr<crypto::Rng> rng_ = test::must(crypto::open_rng());
  crypto::Certificate certificate_ = pki().leaf(Kind::app1, "A")->chain.front();
  static constexpr StatusSource ocsp = StatusSource::ocsp;
  static constexpr StatusSource crl = StatusSource::crl;
};

TEST_F(StatusOrder, TheListThatCameBeforeAnswersWhenAllIsSilent) {
  const auto by = checker({ocsp, crl});
  EXPECT_TRUE(check(*by));
  EXPECT_EQ(cas_.asked_list, 1) << "fetched beforehand";
  cas_.ocsp_silent = cas_.lists_silent = true;
  clock_.now += 3'600'000;
  EXPECT_TRUE(check(*by));
  clock_.now += list_lifetime_ms;
  EXPECT_EQ(refusal(check(*by)), ErrorCode::deadline_exceeded) << "past its time";
}

TEST_F(StatusOrder, WhoAsksInHasteDoesNotChooseTheSourceThatIsBelieved) {
  const auto by = checker({ocsp, crl});
  cas_.ocsp_slow = true;
  EXPECT_EQ(refusal(by->check(certificate_, Deadline::after(std::chrono::milliseconds(400)))), ErrorCode::deadline_exceeded);
  EXPECT_EQ(cas_.asked_list, 0);
  EXPECT_TRUE(check(*by)) << "it had its time";
  EXPECT_EQ(cas_.asked_list, 1);
}

TEST_F(StatusOrder, WhoIsRevokedInTheListIsRefused) {
  cas_.list = list_of(7, {revocation()});
  const auto by = checker({ocsp, crl});
  cas_.ocsp_silent = true;
  EXPECT_EQ(refusal(check(*by)), ErrorCode::denied);
}

TEST_F(StatusOrder, TheFirstThatAnswersIsBelieved) {
  cas_.status = crypto::CertStatus::revoked;
  EXPECT_EQ(refusal(check(*checker({ocsp, crl}))), ErrorCode::denied) << "OCSP says revoked, the list is not asked";
  EXPECT_TRUE(check(*checker({crl, ocsp})));
  cas_.list = list_of(8, {revocation()});
  cas_.status = crypto::CertStatus::good;
  EXPECT_EQ(refusal(check(*checker({crl, ocsp}))), ErrorCode::denied);
}

TEST_F(StatusOrder, OnlyWhatTheOrderNamesIsAsked) {
  EXPECT_TRUE(check(*checker({ocsp})));
  EXPECT_EQ(cas_.asked_list, 0);
  cas_.ocsp_silent = true;
  EXPECT_EQ(refusal(check(*checker({ocsp}))), ErrorCode::unavailable);
  const int asked = cas_.asked_ocsp;
  EXPECT_TRUE(check(*checker({crl})));
  EXPECT_EQ(cas_.asked_ocsp, asked);
}

TEST_F(StatusOrder, YoungListIsNotAskedForAgainAnOldOneIs) {
  const auto by = checker({crl});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(check(*by));
  EXPECT_EQ(cas_.asked_list, 1);
  clock_.now += 600'000;
  EXPECT_TRUE(check(*by));
  EXPECT_EQ(cas_.asked_list, 2);
}

TEST_F(StatusOrder, AfterANoticeTheListFromBeforeIsNotBelieved) {
  const auto by = checker({crl});
  EXPECT_TRUE(check(*by));
  by->forget({certificate_.fingerprint(crypto::Hash::sha256)});
  cas_.lists_silent = true;
  EXPECT_FALSE(check(*by)) << "it may be this certificate that CAS gave notice of";
  cas_.lists_silent = false;
  cas_.list = list_of(8, {revocation()});
  EXPECT_EQ(refusal(check(*by)), ErrorCode::denied);
}

TEST_F(StatusOrder, ListThatIsOlderThanTheOneBeforeItIsRefused) {
  cas_.list = list_of(9, {revocation()});
  const auto by = checker({crl});
  EXPECT_EQ(refusal(check(*by)), ErrorCode::denied);
  clock_.now += 600'000;
  cas_.list = list_of(8, {});
  const auto rolled_back = check(*by);
  EXPECT_EQ(refusal(rolled_back), ErrorCode::denied);
  EXPECT_TRUE(rolled_back.error().message.contains("number 8 came after number 9")) << rolled_back.error().message;
}

TEST_F(StatusOrder, ListsThatDoNotHoldAreNoAnswer) {
  crypto::RevocationList wrong = list_of(7, {});
  wrong.base_number = 6;
  cas_.list = wrong;
  EXPECT_EQ(refusal(check(*checker({crl}))), ErrorCode::denied) << "a delta";
  wrong = list_of(7, {});
  wrong.this_update = clock_.now + 3'600'000;
  cas_.list = wrong;
  EXPECT_EQ(refusal(check(*checker({crl}))), ErrorCode::denied) << "of the future";
  wrong = list_of(7, {});
  wrong.this_update = clock_.now - 2 * list_lifetime_ms;
  wrong.next_update = clock_.now;
  cas_.list = wrong;
  EXPECT_EQ(refusal(check(*checker({crl}))), ErrorCode::unavailable) << "past its time";
  EXPECT_TRUE(check(*checker({crl, ocsp}))) << "then the next is asked";
}

class StatusOrderSettings : public testing::Test {
 protected:
  Result<StatusSettings> read(const std::string& identity, const std::string& order) {
    const std::filesystem::path file = folder_ / "element.toml";
    std::ofstream(file) << "[node]\nidentity = \"" << identity << "\"\nstate = \"s\"\ntrust = \"t\"\nmaster_key = \"m\"\n[status]\n" << order;
    ASSIGN_OR_RETURN(Config config, Config::read(file));
    const Settings out = Settings::read(config);
    TRY(config.finish());
    return out.status;
  }
  test::TemporaryDirectory folder_;
};

TEST_F(StatusOrderSettings, OrderIsReadAsItStandsAndRefusedWhereItCannotBe) {
  EXPECT_EQ(test::must(read("qanat://a/kms/kms-a", "")).order, std::vector{StatusSource::ocsp});
  EXPECT_EQ(test::must(read("qanat://a/kms/kms-a", "order = [\"crl\", \"ocsp\"]\n")).order, (std::vector{StatusSource::crl, StatusSource::ocsp}));
  EXPECT_FALSE(read("qanat://a/kms/kms-a", "order = [\"http\"]\n"));
  EXPECT_FALSE(read("qanat://a/kms/kms-a", "order = [\"ldap\"]\n")) << "no directory";
  const auto directory = test::must(read("qanat://a/kms/kms-a", "order = [\"ocsp\", \"ldap\"]\n[status.directory]\nuri = \"ldap://127.0.0.1\"\nbase = \"o=network\"\n"));
  EXPECT_EQ(directory.order.back(), StatusSource::ldap);
  EXPECT_EQ(directory.directory.base, "o=network");
  EXPECT_FALSE(read("qanat://a/kms/kms-a", "order = [\"ldap\"]\n[status.directory]\nuri = \"ldaps://127.0.0.1\"\nbase = \"o=network\"\n")) << "whose certificate?";
  EXPECT_FALSE(read("qanat://a/kms/kms-a", "order = [\"ocsp\", \"ocsp\"]\n"));
  const auto no_lists = read("qanat://core/iam/iam", "order = [\"ocsp\", \"crl\"]\n");
  ASSERT_FALSE(no_lists);
  EXPECT_TRUE(no_lists.error().message.contains("status.order")) << no_lists.error().message;
}

}  // namespace
}  // namespace qanat::node
