// The messages of EST: passwords, what names a request, the two parts of a key that is handed out.
#include "services/cas/est/messages.hpp"

#include <gtest/gtest.h>

#include "wire/base64.hpp"

namespace qanat::cas::est {
namespace {

Secret field(std::string_view text) { return Secret::copy_of(as_bytes(text)); }

TEST(EstMessages, ThePasswordIsTheTextOfTheSecretAndNothingElse) {
  const Secret secret = Secret::copy_of(Bytes(32, 0xfb));
  const std::string text = wire::to_base64url(Bytes(32, 0xfb));
  EXPECT_TRUE(is_password(field(text), secret));
  EXPECT_FALSE(is_password(field(text + "="), secret));
  EXPECT_FALSE(is_password(field(wire::to_base64(Bytes(32, 0xfb))), secret));
  EXPECT_FALSE(is_password(field(text.substr(1)), secret));
  EXPECT_FALSE(is_password({}, secret));
}

TEST(EstMessages, TheSameRequestHasTheSameHashAndAnyOtherHasAnother) {
  const Bytes key = to_bytes("key");
  const crypto::AskedNames names{.common_name = "c", .dns = {"a", "b"}};
  const RequestParts parts{.purpose = "simpleenroll", .reference = "r", .key = key, .names = names, .renews = {}};
  const Bytes hash = request_hash(parts);
  const crypto::AskedNames turned{.common_name = "c", .dns = {"b", "a"}};
  EXPECT_EQ(request_hash({.purpose = "simpleenroll", .reference = "r", .key = key, .names = turned, .renews = {}}), hash);
  EXPECT_TRUE(same_names(names, turned));
  const Bytes other = to_bytes("kez");
  EXPECT_NE(request_hash({.purpose = "simplereenroll", .reference = "r", .key = key, .names = names, .renews = {}}), hash);
  EXPECT_NE(request_hash({.purpose = "simpleenroll", .reference = "s", .key = key, .names = names, .renews = {}}), hash);
  EXPECT_NE(request_hash({.purpose = "simpleenroll", .reference = "r", .key = other, .names = names, .renews = {}}), hash);
  EXPECT_NE(request_hash({.purpose = "simpleenroll", .reference = "r", .key = key, .names = names, .renews = other}), hash);
  std::vector<crypto::AskedNames> all{
      {.common_name = "c", .dns = {"ab"}}, {.common_name = "c", .dns = {"a"}, .uris = {"b"}}, {.common_name = "d", .dns = {"a", "b"}}};
  for (const auto kind : {&crypto::AskedNames::dns, &crypto::AskedNames::uris, &crypto::AskedNames::mail, &crypto::AskedNames::addresses}) {
    all.emplace_back(names).*kind = {"a", "b", "one more"};
  }
  for (const crypto::AskedNames& changed : all) {
    EXPECT_NE(request_hash({.purpose = "simpleenroll", .reference = "r", .key = key, .names = changed, .renews = {}}), hash);
    EXPECT_FALSE(same_names(names, changed));
  }
}

TEST(EstMessages, AKeyAndItsCertificateAreTwoPartsOfOneBody) {
  const Secret key = Secret::copy_of(as_bytes("private"));
  const Secret body = key_and_certificate(key, as_bytes("certificate"), "b_1");
  EXPECT_EQ(as_text(body.reveal()),
            "--b_1\r\nContent-Type: application/pkcs8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + wire::to_base64(as_bytes("private")) +
                "\n\r\n--b_1\r\nContent-Type: application/pkcs7-mime; smime-type=certs-only\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
                wire::to_base64(as_bytes("certificate")) + "\n\r\n--b_1--\r\n");
}

}  // namespace
}  // namespace qanat::cas::est
