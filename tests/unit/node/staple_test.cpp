// What an element makes of status answers: those that it asked for, those that were stapled, and the one that it staples itself.
#include <condition_variable>

#include "node/stapler.hpp"
#include "trusted_network.hpp"
#include "unit/net/pki.hpp"

namespace qanat::node {
namespace {

using net::test::identity_of;
using net::test::pki;

constexpr std::chrono::milliseconds fresh{5000};
constexpr UnixMs lifetime_ms = 60'000;

class SetClock final : public Clock {
 public:
  [[nodiscard]] UnixMs now_ms() const override { return now.load(); }
  std::atomic<UnixMs> now = SystemClock().now_ms() / 1000 * 1000;  // answers say whole seconds
};

/// CAS as its client sees it.
class CasDouble final : public net::Client {
 public:
  explicit CasDouble(const Clock& clock) : clock_(clock) {}
  Result<net::Response> call(const net::Call& call, Deadline /*deadline*/) override {
    ++asked;
    if (silent) return fail(ErrorCode::unavailable, "silent");
    const UnixMs now = clock_.now_ms();
    return net::Response{.status = 200,
                         .content_type = std::string(points::type_ocsp_response),
                         .body = pki().answer_status(call.body, {.status = status, .this_update = now, .next_update = now + lifetime_ms, .revoked_at = now})};
  }
  [[nodiscard]] const net::Target& target() const noexcept override { return target_; }
  void chain(net::Chaining) override {}
  Result<void> show(const net::TlsIdentity&) override { return {}; }
  void drop_servers(const std::function<bool(const crypto::Certificate&)>&) override {}

  std::atomic<int> asked = 0;
  std::atomic<bool> silent = false;
  crypto::CertStatus status = crypto::CertStatus::good;

 private:
  const Clock& clock_;
  net::Target target_;
};

class Staples : public testing::Test {
 protected:
  Bytes response(crypto::CertStatus status, UnixMs at) const {
    return pki().status_of(certificate_, {.status = status, .this_update = at, .next_update = at + lifetime_ms, .revoked_at = at});
  }
  Result<void> check() { return checker_.check(certificate_, test::soon()); }

  SetClock clock_;
  CasDouble cas_{clock_};
  std::unique_ptr<crypto::Rng> rng_ = test::must(crypto::open_rng());
  StatusChecker checker_{{.fresh = fresh}, points::Endpoint::cq1_status, cas_, *pki().trust(), *rng_, clock_};
  crypto::Certificate certificate_ = pki().leaf(Kind::qkm, "qkm-a")->chain.front();
};

TEST_F(Staples, AFreshOneSavesTheQuestion) {
  checker_.take_stapled(certificate_, response(crypto::CertStatus::good, clock_.now));
  EXPECT_TRUE(check());
  EXPECT_EQ(cas_.asked, 0);
}

TEST_F(Staples, OneThatSaysRevokedIsBelieved) {
  checker_.take_stapled(certificate_, response(crypto::CertStatus::revoked, clock_.now));
  EXPECT_EQ(test::refusal(check()), ErrorCode::denied);
}

TEST_F(Staples, ItsAgeCountsFromWhenItWasMade) {
  checker_.take_stapled(certificate_, response(crypto::CertStatus::good, clock_.now - 5000));
  EXPECT_TRUE(check());
  EXPECT_EQ(cas_.asked, 1) << "an answer of 5 s is asked for anew";
}

TEST_F(Staples, AnOlderOneDoesNotReplaceWhatCasSaid) {
  cas_.status = crypto::CertStatus::revoked;
  EXPECT_EQ(test::refusal(check()), ErrorCode::denied);
  checker_.take_stapled(certificate_, response(crypto::CertStatus::good, clock_.now - 1000));
  EXPECT_EQ(test::refusal(check()), ErrorCode::denied);
}

TEST_F(Staples, AfterANoticeOnlyCasIsBelieved) {
  const Bytes before = response(crypto::CertStatus::good, clock_.now);
  checker_.take_stapled(certificate_, before);
  checker_.forget({certificate_.fingerprint(crypto::Hash::sha256)});
  cas_.status = crypto::CertStatus::revoked;
  checker_.take_stapled(certificate_, before);
  EXPECT_EQ(test::refusal(check()), ErrorCode::denied);
  EXPECT_EQ(cas_.asked, 1);
}

TEST_F(Staples, WhereNoticesMayHaveBeenMissedNothingFromBeforeIsBelieved) {
  EXPECT_TRUE(check());
  EXPECT_EQ(cas_.asked, 1);
  const Bytes before = response(crypto::CertStatus::good, clock_.now);
  clock_.now += 1000;
  checker_.forget_all();
  cas_.status = crypto::CertStatus::revoked;
  checker_.take_stapled(certificate_, before);
  EXPECT_EQ(test::refusal(check()), ErrorCode::denied);
  EXPECT_EQ(cas_.asked, 2) << "neither what CAS said before nor what was stapled before";
  const crypto::Certificate other = pki().leaf(Kind::qkm, "qkm-b")->chain.front();
  checker_.take_stapled(other,
                        pki().status_of(other, {.status = crypto::CertStatus::good, .this_update = clock_.now, .next_update = clock_.now + lifetime_ms}));
  EXPECT_TRUE(checker_.check(other, test::soon()));
  EXPECT_EQ(cas_.asked, 2) << "what is stapled now is believed as ever";
}

TEST_F(Staples, OneThatDoesNotHoldIsAsIfThereWereNone) {
  const crypto::Certificate other = pki().leaf(Kind::qkm, "qkm-b")->chain.front();
  Bytes spoiled = response(crypto::CertStatus::good, clock_.now);
  spoiled[spoiled.size() / 2] ^= 1;
  const std::vector<std::pair<const char*, Bytes>> cases{
      {"of another certificate",
       pki().status_of(other, {.status = crypto::CertStatus::good, .this_update = clock_.now, .next_update = clock_.now + lifetime_ms})},
      {"spoiled", spoiled},
      {"over", response(crypto::CertStatus::good, clock_.now - lifetime_ms - 1000)},
      {"of the future", response(crypto::CertStatus::good, clock_.now + 2000)},
      {"no answer", Bytes(100, 0x30)}};
  int asked = 0;
  for (const auto& [what, octets] : cases) {
    StatusChecker checker({.fresh = fresh}, points::Endpoint::cq1_status, cas_, *pki().trust(), *rng_, clock_);
    checker.take_stapled(certificate_, octets);
    EXPECT_TRUE(checker.check(certificate_, test::soon())) << what;
    EXPECT_EQ(cas_.asked, ++asked) << what;
  }
}

/// A stapler whose questions can be waited for.
class OwnStaple : public Staples {
 protected:
  OwnStaple() { stapler_.start(); }
  ~OwnStaple() override { stapler_.stop(); }
  /// As the server asks, until there is one or `wanted` questions have been answered.
  std::shared_ptr<const Bytes> staple_after(int wanted) {
    const Deadline deadline = test::soon();
    std::unique_lock lock(mutex_);
    do {
      lock.unlock();
      stapler_.staple();
      lock.lock();
      answered_.wait_for(lock, std::chrono::milliseconds(20), [&] { return count_ >= wanted; });
    } while (count_ < wanted && !deadline.passed());
    lock.unlock();
    std::shared_ptr<const Bytes> out;
    while (!(out = stapler_.staple()) && cas_.status == crypto::CertStatus::good && !cas_.silent && !deadline.passed()) std::this_thread::yield();
    return out;
  }

  std::mutex mutex_;
  std::condition_variable answered_;
  int count_ = 0;
  Stapler stapler_{[this]() -> Result<StatusChecker::Fetched> {
                     auto out = checker_.fetch(certificate_, test::soon());
                     const std::lock_guard lock(mutex_);
                     ++count_;
                     answered_.notify_all();
                     return out;
                   },
                   fresh, clock_};
};

TEST_F(OwnStaple, NothingIsAskedBeforeAnybodyConnects) {
  EXPECT_EQ(cas_.asked, 0);
  EXPECT_EQ(stapler_.staple(), nullptr);
  const auto answer = staple_after(1);
  ASSERT_NE(answer, nullptr);
  StatusChecker other({.fresh = fresh}, points::Endpoint::cq1_status, cas_, *pki().trust(), *rng_, clock_);
  other.take_stapled(certificate_, *answer);
  const int before = cas_.asked;
  EXPECT_TRUE(other.check(certificate_, test::soon()));
  EXPECT_EQ(cas_.asked, before) << "the one who connects need not ask";
}

TEST_F(OwnStaple, TheNextIsAskedForAtHalfTimeAndAnOldOneIsNotShown) {
  const auto first = staple_after(1);
  ASSERT_NE(first, nullptr);
  clock_.now += 2000;
  EXPECT_EQ(stapler_.staple(), first) << "young enough";
  EXPECT_EQ(cas_.asked, 1);
  clock_.now += 1000;
  const Deadline deadline = test::soon();
  auto second = stapler_.staple();
  while (second == first && !deadline.passed()) second = stapler_.staple();
  ASSERT_NE(second, nullptr);
  EXPECT_NE(second, first);
  EXPECT_EQ(cas_.asked, 2);
  cas_.silent = true;
  clock_.now += 5000;
  EXPECT_EQ(stapler_.staple(), nullptr);
}

TEST_F(OwnStaple, ARevokedCertificateGetsNone) {
  cas_.status = crypto::CertStatus::revoked;
  EXPECT_EQ(staple_after(2), nullptr) << "the second question shows that the first answer was not kept";
  const std::lock_guard lock(mutex_);
  EXPECT_GE(count_, 2);
}

TEST_F(Staples, AnAnswerThatWasAskedForTheOldCertificateIsNotShownWithTheNewOne) {
  std::mutex mutex;
  std::condition_variable changed;
  int asked = 0;
  int released = 0;
  Stapler stapler([&]() -> Result<StatusChecker::Fetched> {
                    std::unique_lock lock(mutex);
                    const int mine = ++asked;
                    changed.notify_all();
                    changed.wait(lock, [&] { return released >= mine; });
                    return StatusChecker::Fetched{.answer = {.status = crypto::CertStatus::good, .this_update = clock_.now},
                                                  .response = Bytes(1, static_cast<std::uint8_t>(mine))};
                  },
                  fresh, clock_);
  const auto ask_and_answer = [&](int which, const std::function<void()>& meanwhile) {
    stapler.staple();
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(5), [&] { return asked >= which; }));
    meanwhile();
    released = which;
    changed.notify_all();
  };
  stapler.start();
  ask_and_answer(1, [&] { stapler.forget(); });
  const auto asked_twice = [&] {
    const std::lock_guard lock(mutex);
    return asked >= 2;
  };
  std::shared_ptr<const Bytes> shown;
  for (const Deadline deadline = test::soon(); !shown && !asked_twice() && !deadline.passed();) shown = stapler.staple();
  ASSERT_EQ(shown, nullptr) << "of the certificate before";
  ask_and_answer(2, [] {});
  for (const Deadline deadline = test::soon(); !shown && !deadline.passed();) shown = stapler.staple();
  ASSERT_NE(shown, nullptr);
  EXPECT_EQ(*shown, Bytes(1, 2));
}

TEST_F(OwnStaple, ANewCertificateDoesNotGetTheOldOnesAnswer) {
  ASSERT_NE(staple_after(1), nullptr);
  cas_.silent = true;
  stapler_.forget();
  EXPECT_EQ(stapler_.staple(), nullptr);
}

}  // namespace
}  // namespace qanat::node
