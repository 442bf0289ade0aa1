// The notice of revoked certificates: what CAS sends is read, and nothing else.
#include "node/revocations.hpp"

#include <gtest/gtest.h>

#include "points/points.hpp"

namespace qanat::node {
namespace {

std::vector<std::string> fingerprints(std::size_t count) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < count; ++i) {
    Bytes octets(32, 0xab);
    octets.back() = static_cast<std::uint8_t>(i);
    out.push_back(to_hex(octets));
  }
  return out;
}

TEST(RevocationNotice, IsReadAsItWasWritten) {
  const auto sent = fingerprints(2);
  const auto read = read_revocation_notice(as_bytes(revocation_notice(sent)));
  ASSERT_TRUE(read) << read.error().message;
  std::set<Bytes> expected;
  for (const std::string& text : sent) expected.insert(*from_hex(text));
  EXPECT_EQ(*read, expected);
  EXPECT_TRUE(read_revocation_notice(as_bytes(revocation_notice({})))->empty());
}

TEST(RevocationNotice, AsManyAsGoIntoOneFitThePoint) {
  const std::string most = revocation_notice(fingerprints(revocations_at_once));
  EXPECT_LE(most.size(), points::row(points::Endpoint::x10_revoked).body_max);
  EXPECT_EQ(read_revocation_notice(as_bytes(most))->size(), revocations_at_once);
}

TEST(RevocationNotice, RefusesMoreThanGoIntoOneAndAllThatIsNoNotice) {
  EXPECT_FALSE(read_revocation_notice(as_bytes(revocation_notice(fingerprints(revocations_at_once + 1)))));
  const std::string good = fingerprints(1).front();
  const std::string bodies[] = {"",
                                "[]",
                                "{}",
                                "{\"revoked\":\"" + good + "\"}",
                                "{\"revoked\":[1]}",
                                "{\"revoked\":[\"\"]}",
                                "{\"revoked\":[\"" + good.substr(2) + "\"]}",
                                "{\"revoked\":[\"" + good + "00\"]}",
                                "{\"revoked\":[\"" + std::string(64, 'g') + "\"]}",
                                "{\"revoked\":[],\"more\":1}"};
  for (const std::string& body : bodies) {
    const auto read = read_revocation_notice(as_bytes(body));
    ASSERT_FALSE(read) << body;
    EXPECT_EQ(read.error().code, ErrorCode::invalid_argument) << body;
  }
}

}  // namespace
}  // namespace qanat::node
