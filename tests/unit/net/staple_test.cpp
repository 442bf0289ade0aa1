// Status answers that a server staples to its certificate.
#include <atomic>

#include "element.hpp"

namespace qanat::net::test {
namespace {

/// What a client was told, in order: "staple" with the octets, "status" when it asked.
struct Told {
  StapleSink sink() {
    return [this](const crypto::Certificate& certificate, ByteView response) {
      order += "staple ";
      named = certificate.names().element;
      serial = certificate.serial();
      stapled = to_bytes(response);
    };
  }
  StatusCheck check() {
    return [this](const crypto::Certificate&, Deadline) -> Result<void> {
      order += "status ";
      return {};
    };
  }
  std::string order;
  std::optional<Identity> named;
  Bytes serial;
  Bytes stapled;
};

const std::shared_ptr<const TlsIdentity>& caller() {
  static const auto identity = pki().leaf(Kind::kms, "kms-a");
  return identity;
}

TEST(Staple, TheClientGetsItBeforeItAsksForTheStatus) {
  const auto answer = std::make_shared<const Bytes>(Bytes(5000, 0x5a));
  const Element element({.staple = [answer] { return answer; }});
  Told told;
  const auto client = element.client(caller(), told.check(), told.sink());
  ASSERT_TRUE(client->call(get("/who"), soon()));
  EXPECT_EQ(told.order, "staple status ");
  EXPECT_EQ(told.stapled, *answer);
  EXPECT_EQ(told.named, identity_of(Kind::qkm, "qkm-a"));
}

TEST(Staple, EachHandshakeGetsWhatThereIsThen) {
  std::atomic<std::uint8_t> round = 0;
  const Element element({.staple = [&round] { return std::make_shared<const Bytes>(Bytes(8, round.load())); }});
  for (round = 1; round < 4; ++round) {
    Told told;
    ASSERT_TRUE(element.client(caller(), {}, told.sink())->call(get("/who"), soon()));
    EXPECT_EQ(told.stapled, Bytes(8, round.load()));
  }
}

TEST(Staple, ANewCertificateOfTheServerGetsOneToo) {
  const auto answer = std::make_shared<const Bytes>(Bytes(8, 0x5a));
  const Element element({.staple = [answer] { return answer; }});
  const auto next = pki().leaf(Kind::qkm, "qkm-a");
  ASSERT_TRUE(element.server->show(*next));
  Told told;
  ASSERT_TRUE(element.client(caller(), {}, told.sink())->call(get("/who"), soon()));
  EXPECT_EQ(told.stapled, *answer);
  EXPECT_EQ(told.serial, next->chain.front().serial());
}

TEST(Staple, WithoutAnAnswerTheHandshakeGoesOn) {
  for (const bool too_large : {false, true}) {
    const Element element({.staple = [too_large] { return too_large ? std::make_shared<const Bytes>(Bytes(40'000)) : nullptr; }});
    Told told;
    ASSERT_TRUE(element.client(caller(), told.check(), told.sink())->call(get("/who"), soon()));
    EXPECT_EQ(told.order, "status ") << too_large;
  }
}

TEST(Staple, WhoDoesNotAskForItGetsNone) {
  std::atomic<int> asked = 0;
  const Element element({.staple = [&asked] {
    ++asked;
    return std::make_shared<const Bytes>(Bytes(8));
  }});
  ASSERT_TRUE(element.client(caller())->call(get("/who"), soon()));
  EXPECT_EQ(asked, 0);
}

}  // namespace
}  // namespace qanat::net::test
