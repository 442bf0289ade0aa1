#include "audit/chain.hpp"

#include <gtest/gtest.h>

#include "crypto/kdf.hpp"

namespace qanat::audit {
namespace {

constexpr UnixMs noon = 1'700'000'000'000;

std::vector<std::string> sample_lines() {
  Link link;
  std::vector<std::string> lines;
  for (const std::string_view action : {"tls.handshake", "km-1.application", "key.destroyed", "node.stop"}) {
    lines.push_back(render_line(
        link, "kms-a", noon + lines.size(),
        {.action = action, .outcome = Outcome::refused, .subject = "qanat://a/app1/phone", .object = "sid", .reason = "\"no\"\\\n", .request_id = "r1"}));
  }
  return lines;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line;
  return out;
}

/// Number of records, or the failure; an unfinished tail is a failure.
Result<std::uint64_t> verified(std::string_view log) {
  ChainVerifier verifier;
  TRY(verifier.feed(as_bytes(log)));
  if (verifier.unfinished_octets() > 0) return fail(ErrorCode::internal, "line " + std::to_string(verifier.link().lines + 1) + ": not complete");
  return verifier.link().lines;
}

TEST(AuditChainTest, LineHasItsFieldsInTheFixedOrderAndItsHash) {
  Link link;
  const std::string line = render_line(
      link, "kms-a", noon, {.action = "key.destroyed", .outcome = Outcome::success, .subject = "s", .object = "o", .reason = "", .request_id = "r"});
  const std::string body =
      R"({"n":1,"time":1700000000000,"element":"kms-a","action":"key.destroyed","outcome":"success",)"
      R"("subject":"s","object":"o","reason":"","request_id":"r","prev":")" +
      std::string(64, '0') + "\"";
  const std::string hash = to_hex(crypto::digest(crypto::Hash::sha256, as_bytes(body + "}")));
  EXPECT_EQ(line, body + R"(,"hash":")" + hash + "\"}\n");
  EXPECT_EQ(link.last_hash, hash);
}

TEST(AuditChainTest, HashIsTheOneThatOtherToolsCompute) {
  // printf '{"n":1,…,"prev":"000…0"}' | sha256sum
  Link link;
  (void)render_line(link, "kms-a", noon, {.action = "a", .outcome = Outcome::success, .subject = "", .object = "", .reason = "", .request_id = ""});
  EXPECT_EQ(link.last_hash, "9a4d1c18fa7ca6da803abc1829ec250cf51836e9da388ba6f9285cc939501635");
}

TEST(AuditChainTest, AcceptsItsOwnLinesInPiecesOfAnySize) {
  const std::string log = joined(sample_lines());
  for (std::size_t size = 1; size <= log.size(); size += 7) {
    ChainVerifier verifier("kms-a");
    for (std::size_t at = 0; at < log.size(); at += size) ASSERT_TRUE(verifier.feed(as_bytes(std::string_view(log).substr(at, size))));
    EXPECT_EQ(verifier.link().lines, 4U);
    EXPECT_EQ(verifier.unfinished_octets(), 0U);
  }
}

TEST(AuditChainTest, DetectsEveryAlteredOctet) {
  const std::string log = joined(sample_lines());
  ASSERT_EQ(verified(log).value_or(0), 4U);
  for (std::size_t at = 0; at < log.size(); ++at) {
    for (const unsigned mask : {0x01U, 0x20U, 0x80U}) {
      std::string altered = log;
      altered[at] = static_cast<char>(static_cast<unsigned char>(altered[at]) ^ mask);
      EXPECT_FALSE(verified(altered)) << "octet " << at << " mask " << mask;
    }
  }
}

TEST(AuditChainTest, DetectsEveryRemovedAndEveryInsertedOctet) {
  const std::string log = joined(sample_lines());
  for (std::size_t at = 0; at < log.size(); ++at) {
    std::string shorter = log;
    shorter.erase(at, 1);
    EXPECT_FALSE(verified(shorter)) << "octet " << at;
    std::string longer = log;
    longer.insert(at, 1, '0');
    EXPECT_FALSE(verified(longer)) << "octet " << at;
  }
}

TEST(AuditChainTest, NamesTheLineThatWasAltered) {
  std::vector<std::string> lines = sample_lines();
  lines[2][lines[2].find("sid")] = 'S';
  const auto result = verified(joined(lines));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::internal);
  EXPECT_TRUE(result.error().message.contains("line 3")) << result.error().message;
}

TEST(AuditChainTest, DetectsRemovedRepeatedAndSwappedLines) {
  const std::vector<std::string> lines = sample_lines();
  for (std::size_t at = 0; at + 1 < lines.size(); ++at) {
    std::vector<std::string> removed = lines;
    removed.erase(removed.begin() + static_cast<std::ptrdiff_t>(at));
    EXPECT_FALSE(verified(joined(removed))) << at;
    std::vector<std::string> repeated = lines;
    repeated.insert(repeated.begin() + static_cast<std::ptrdiff_t>(at), lines[at]);
    EXPECT_FALSE(verified(joined(repeated))) << at;
    std::vector<std::string> swapped = lines;
    std::swap(swapped[at], swapped[at + 1]);
    EXPECT_FALSE(verified(joined(swapped))) << at;
  }
}

TEST(AuditChainTest, DetectsALineThatWasWrittenAnewWithoutThoseThatFollow) {
  std::vector<std::string> lines = sample_lines();
  Link link;
  lines[0] = render_line(link, "kms-a", noon, {.action = "forged", .outcome = Outcome::success, .subject = "", .object = "", .reason = "", .request_id = ""});
  const auto result = verified(joined(lines));
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().message.contains("line 2")) << result.error().message;
}

TEST(AuditChainTest, RefusesTheLogOfAnotherElement) {
  ChainVerifier verifier("kms-b");
  EXPECT_FALSE(verifier.feed(as_bytes(joined(sample_lines()))));
}

TEST(AuditChainTest, RefusesALineWithoutEndBeforeItFillsTheMemory) {
  ChainVerifier verifier;
  const Bytes piece(4096, '{');
  std::size_t fed = 0;
  while (verifier.feed(piece)) ASSERT_LT(fed += piece.size(), 2 * line_octets_max);
}

TEST(AuditTextTest, EscapesWhatJsonMayNotHoldPlain) {
  EXPECT_EQ(json_text("a\"b\\c\n\x01\x1f\x7f/"), "a\\\"b\\\\c\\u000a\\u0001\\u001f\x7f/");
  EXPECT_EQ(json_text(std::string_view("\0", 1)), "\\u0000");
}

TEST(AuditTextTest, KeepsWellFormedUtf8AndReplacesTheRest) {
  const std::string good = "z\xC3\xA9\xE6\xB8\xA0\xF0\x9F\x94\x91\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF";
  EXPECT_EQ(json_text(good), good);
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(json_text("\x80"), r);
  EXPECT_EQ(json_text("\xC3"), r);                          // cut off
  EXPECT_EQ(json_text("\xC0\xAF"), r + r);                  // overlong
  EXPECT_EQ(json_text("\xE0\x80\xAF"), r + r + r);          // overlong
  EXPECT_EQ(json_text("\xED\xA0\x80"), r + r + r);          // surrogate
  EXPECT_EQ(json_text("\xF4\x90\x80\x80"), r + r + r + r);  // past U+10FFFF
  EXPECT_EQ(json_text("\xFFz"), r + "z");
}

TEST(AuditTextTest, CutsALongTextAtACharacter) {
  EXPECT_EQ(json_text(std::string(text_octets_max, 'a')), std::string(text_octets_max, 'a'));
  EXPECT_EQ(json_text(std::string(text_octets_max + 1, 'a')), std::string(text_octets_max, 'a') + "\xE2\x80\xA6");
  EXPECT_EQ(json_text(std::string(text_octets_max - 1, 'a') + "\xC3\xA9"), std::string(text_octets_max - 1, 'a') + "\xE2\x80\xA6");
}

TEST(AuditTextTest, LongestPossibleLineIsAccepted) {
  const std::string worst(2 * text_octets_max, '\x01');
  Link link;
  const std::string line = render_line(link, worst, ~UnixMs{0},
                                       {.action = worst, .outcome = Outcome::success, .subject = worst, .object = worst, .reason = worst, .request_id = worst});
  EXPECT_LE(line.size(), line_octets_max);
  EXPECT_EQ(verified(line).value_or(0), 1U);
}

}  // namespace
}  // namespace qanat::audit
