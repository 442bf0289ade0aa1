#include "wire/succession.hpp"

#include <gtest/gtest.h>

namespace qanat::wire {
namespace {

class SuccessionTest : public testing::TestWithParam<crypto::SuiteId> {
 protected:
  [[nodiscard]] Succession link(std::uint8_t mark) const {
    return make_succession(suite_, fingerprints(suite_, Bytes{mark}, Bytes{mark, 1}), Bytes(700, mark), Bytes(5500, mark), signer_, *rng_).value();
  }
  const crypto::Suite& suite_ = crypto::suite(GetParam());
  std::unique_ptr<crypto::Rng> rng_ = crypto::open_rng().value();
  crypto::Signer signer_ = crypto::Signer::generate(suite_, *rng_).value();
  crypto::Verifier verifier_ = crypto::Verifier::from_key(suite_, signer_.verifying_key()).value();
};

TEST_P(SuccessionTest, LinksComeBackAsTheyWereAndHold) {
  const std::vector<Succession> links{link(1), link(2)};
  const Bytes octets = encode_successions(suite_, links).value();
  EXPECT_EQ(parse_successions(suite_, octets).value(), links);
  for (const Succession& one : links) EXPECT_TRUE(verify_succession(one, verifier_));
  EXPECT_TRUE(parse_successions(suite_, encode_successions(suite_, {}).value()).value().empty());
}

TEST_P(SuccessionTest, EveryPartIsSigned) {
  const Succession sound = link(1);
  const auto changed = [&](auto change) {
    Succession out = sound;
    change(out);
    return verify_succession(out, verifier_);
  };
  EXPECT_FALSE(changed([](Succession& one) { one.classical.back() ^= 1; }));
  EXPECT_FALSE(changed([](Succession& one) { one.ml_dsa.front() ^= 1; }));
  EXPECT_FALSE(changed([](Succession& one) { one.former.classical.front() ^= 1; }));
  EXPECT_FALSE(changed([](Succession& one) { one.former.pq.back() ^= 1; }));
  EXPECT_FALSE(changed([](Succession& one) { one.signature.front() ^= 1; }));
  EXPECT_FALSE(changed([](Succession& one) { one.signature.back() ^= 1; }));
  EXPECT_FALSE(changed([](Succession& one) {
    one.classical.push_back(one.ml_dsa.front());  // the same octets, cut elsewhere
    one.ml_dsa.erase(one.ml_dsa.begin());
  }));
  const crypto::Signer other = crypto::Signer::generate(suite_, *rng_).value();
  EXPECT_FALSE(verify_succession(sound, crypto::Verifier::from_key(suite_, other.verifying_key()).value()));
}

TEST_P(SuccessionTest, MalformedChainsAreRefused) {
  Bytes octets = encode_successions(suite_, std::vector<Succession>{link(1)}).value();
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{40}, octets.size() - 1}) {
    EXPECT_FALSE(parse_successions(suite_, ByteView(octets).first(size))) << size;
  }
  octets.push_back(0);
  EXPECT_FALSE(parse_successions(suite_, octets)) << "octets behind its end";
  octets.pop_back();
  octets.front() = 2;
  EXPECT_FALSE(parse_successions(suite_, octets)) << "a link is missing";
  const std::vector<Succession> most(succession_links_max, link(1));
  Bytes more = encode_successions(suite_, most).value();
  EXPECT_EQ(parse_successions(suite_, more).value().size(), succession_links_max);
  more.insert(more.end(), octets.begin() + 1, octets.end());
  more.front() = succession_links_max + 1;
  EXPECT_FALSE(parse_successions(suite_, more)) << "whole, and one too many";
  EXPECT_FALSE(encode_successions(suite_, std::vector<Succession>(succession_links_max + 1, link(1))));
  EXPECT_FALSE(make_succession(suite_, fingerprints(suite_, Bytes{1}, Bytes{2}), {}, Bytes(5500, 1), signer_, *rng_)) << "no certificate";
}

INSTANTIATE_TEST_SUITE_P(BothSuites, SuccessionTest, testing::Values(crypto::SuiteId::gm_hybrid, crypto::SuiteId::intl_hybrid),
                         [](const auto& instance) { return instance.param == crypto::SuiteId::gm_hybrid ? "Gm" : "Intl"; });

}  // namespace
}  // namespace qanat::wire
