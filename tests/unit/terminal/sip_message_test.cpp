#include "terminal/sip_message.hpp"

#include <gtest/gtest.h>

#include "terminal/sdp.hpp"

namespace qanat::terminal {
namespace {

// After the INVITE of RFC 3261 §24.2, with compact names, a folded header and two Vias mixed in.
constexpr std::string_view invite =
    "INVITE sip:+861002@127.0.0.1:5062 SIP/2.0\r\n"
    "v: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKnashds8;rport\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK776asdhds\r\n"
    "max-forwards: 70\r\n"
    "t: \"Bob, the second\" <sip:+861002@ims.test>\r\n"
    "f:<sip:+861001@ims.test;user=phone>;x=y;tag=1928301774\r\n"
    "i: a84b4c76e66710@pc33\r\n"
    "Subject: water\r\n"
    "  under the desert\r\n"
    "CSeq: 314159 INVITE\r\n"
    "l: 4\r\n"
    "\r\n"
    "body and more";

void expect_refused(std::string_view text, std::string_view what) {
  const auto parsed = parse_sip(as_bytes(text));
  ASSERT_FALSE(parsed) << text;
  EXPECT_EQ(parsed.error().code, ErrorCode::invalid_argument);
  EXPECT_NE(parsed.error().message.find(what), std::string::npos) << parsed.error().message;
}

TEST(SipMessageTest, ParsesARequest) {
  const auto message = parse_sip(as_bytes(invite));
  ASSERT_TRUE(message) << message.error().message;
  EXPECT_TRUE(message->is_request());
  EXPECT_EQ(message->method, "INVITE");
  EXPECT_EQ(message->uri, "sip:+861002@127.0.0.1:5062");
  EXPECT_EQ(*message->find("subject"), "water under the desert");
  EXPECT_EQ(message->body, "body");
  const auto essentials = sip_essentials(*message);
  ASSERT_TRUE(essentials) << essentials.error().message;
  EXPECT_EQ(essentials->branch, "z9hG4bKnashds8");
  EXPECT_EQ(essentials->from.tag, "1928301774");
  EXPECT_EQ(essentials->from.uri, "sip:+861001@ims.test;user=phone");
  EXPECT_EQ(essentials->to.uri, "sip:+861002@ims.test");
  EXPECT_TRUE(essentials->to.tag.empty());
  EXPECT_EQ(essentials->call_id, "a84b4c76e66710@pc33");
  EXPECT_EQ(essentials->sequence, 314159U);
}

TEST(SipMessageTest, ParsesAResponse) {
  const auto message = parse_sip(as_bytes("SIP/2.0 486 Busy Here\r\nCall-ID: 1\r\n\r\n"));
  ASSERT_TRUE(message) << message.error().message;
  EXPECT_FALSE(message->is_request());
  EXPECT_EQ(message->status, 486);
  EXPECT_EQ(message->reason, "Busy Here");
}

TEST(SipMessageTest, ParsesWhatItEncodes) {
  auto message = parse_sip(as_bytes(invite)).value();
  std::erase_if(message.headers, [](const SipHeader& header) { return header.name == "Content-Length"; });
  const auto again = parse_sip(encode_sip(message));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->uri, message.uri);
  EXPECT_EQ(again->body, message.body);
  EXPECT_EQ(*again->find("Content-Length"), "4");
  for (std::size_t i = 0; i < message.headers.size(); ++i) EXPECT_EQ(again->headers[i].value, message.headers[i].value);
}

TEST(SipMessageTest, RefusesMalformedLines) {
  expect_refused("", "no CRLF");
  expect_refused("INVITE sip:a@b SIP/2.0\r\n", "no CRLF");
  expect_refused("INVITE\r\n\r\n", "line 1");
  expect_refused("INVITE sip:a@b SIP/3.0\r\n\r\n", "version");
  expect_refused("SIP/2.0 99 Low\r\n\r\n", "status");
  expect_refused("SIP/2.0 0200 OK\r\n\r\n", "status");
  expect_refused("BYE sip:a@b SIP/2.0\r\n folded\r\n\r\n", "continues no header");
  expect_refused("BYE sip:a@b SIP/2.0\r\nno colon\r\n\r\n", "not a header");
  expect_refused("BYE sip:a@b SIP/2.0\r\nFrom: a\nTo: b\r\n\r\n", "control character");
  expect_refused(std::string_view("BYE sip:a@b SIP/2.0\r\nFrom: \0\r\n\r\n", 32), "control character");
}

TEST(SipMessageTest, RefusesWhatIsOverItsLimits) {
  const std::string start = "BYE sip:a@b SIP/2.0\r\n";
  const auto lines = [](std::size_t count) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) out += "X: y\r\n";
    return out;
  };
  EXPECT_TRUE(parse_sip(as_bytes(start + lines(sip_headers_max) + "\r\n")));
  expect_refused(start + lines(sip_headers_max + 1) + "\r\n", "headers");
  EXPECT_TRUE(parse_sip(as_bytes(start + "X: " + std::string(sip_line_octets_max - 3, 'y') + "\r\n\r\n")));
  expect_refused(start + "X: " + std::string(sip_line_octets_max - 2, 'y') + "\r\n\r\n", "octets");
  expect_refused(start + "X: " + std::string(600, 'y') + "\r\n " + std::string(600, 'y') + "\r\n\r\n", "folded");
  EXPECT_TRUE(parse_sip(as_bytes(start + "\r\n" + std::string(sip_body_octets_max, 'y'))));
  expect_refused(start + "\r\n" + std::string(sip_body_octets_max + 1, 'y'), "body");
  expect_refused(std::string(sip_message_octets_max + 1, 'y'), "octets");
  expect_refused(start + "Content-Length: 5\r\n\r\nbody", "Content-Length");
  expect_refused(start + "Content-Length: -1\r\n\r\nbody", "Content-Length");
}

TEST(SipMessageTest, NamesTheEssentialHeaderThatIsMissing) {
  for (const std::string_view name : {"Via", "From", "To", "Call-ID", "CSeq"}) {
    auto message = parse_sip(as_bytes(invite)).value();
    std::erase_if(message.headers, [&](const SipHeader& header) { return header.name == name; });
    const auto essentials = sip_essentials(message);
    ASSERT_FALSE(essentials);
    EXPECT_NE(essentials.error().message.find(name), std::string::npos) << essentials.error().message;
  }
}

TEST(SipMessageTest, RefusesABranchWithoutTheMagicCookieAndACSeqOfAnotherMethod) {
  auto message = parse_sip(as_bytes(invite)).value();
  message.headers[0].value = "SIP/2.0/UDP 127.0.0.1;branch=1";
  EXPECT_FALSE(sip_essentials(message));
  message = parse_sip(as_bytes(invite)).value();
  for (SipHeader& header : message.headers) {
    if (header.name == "CSeq") header.value = "1 BYE";
  }
  EXPECT_FALSE(sip_essentials(message));
}

TEST(SipUriTest, ReadsUserAddressAndPort) {
  const auto uri = parse_sip_uri("sip:+861002@127.0.0.1:5062;transport=udp");
  ASSERT_TRUE(uri) << uri.error().message;
  EXPECT_EQ(uri->user, "+861002");
  EXPECT_EQ(uri->at, (net::Endpoint{.host = "127.0.0.1", .port = 5062}));
  EXPECT_EQ(uri->text(), "sip:+861002@127.0.0.1:5062");
  for (const auto* wrong :
       {"tel:+861002", "sip:127.0.0.1:5062", "sip:a@b:5062", "sip:a@127.0.0.1", "sip:a@127.0.0.1:0", "sip:a@127.0.0.256:1", "sip:a b@127.0.0.1:1"}) {
    EXPECT_FALSE(parse_sip_uri(wrong)) << wrong;
  }
}

const SessionDescription some_session{.media = {.host = "127.0.0.1", .port = 40'000},
                                      .sid_call = SidCall(Bytes(32, 0xC1)),
                                      .sid_wk = SidWk(Bytes(16, 0xB2)),
                                      .kms = ElementName("kms-a"),
                                      .nonce = CallNonce(Bytes(16, 0xA3))};

TEST(SdpTest, WritesOnePcmaStreamAndTheAttribute) {
  const std::string text = encode_sdp(some_session).value();
  EXPECT_NE(text.find("m=audio 40000 RTP/SAVP 8\r\na=rtpmap:8 PCMA/8000\r\na=ptime:20\r\n"), std::string::npos) << text;
  EXPECT_NE(text.find("a=qanat:1 sid_call=c1c1"), std::string::npos) << text;
  EXPECT_NE(text.find(" kms=kms-a nonce=a3a3"), std::string::npos) << text;
}

TEST(SdpTest, ParsesWhatItWrites) {
  const auto session = parse_sdp(encode_sdp(some_session).value());
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_EQ(*session, some_session);
}

TEST(SdpTest, RefusesWhatDoesNotProtectTheCall) {
  const auto changed = [](std::string_view from, std::string_view to) {
    std::string text = encode_sdp(some_session).value();
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  const auto expect_refused = [](const std::string& text, std::string_view what) {
    const auto session = parse_sdp(text);
    ASSERT_FALSE(session) << text;
    EXPECT_NE(session.error().message.find(what), std::string::npos) << session.error().message;
  };
  expect_refused(changed("RTP/SAVP", "RTP/AVP"), "RTP/SAVP");
  expect_refused(changed("SAVP 8", "SAVP 0 3"), "PCMA");
  expect_refused(changed("PCMA/8000", "opus/48000"), "mapped");
  expect_refused(changed("a=qanat:1", "a=other:1"), "does not protect");
  expect_refused(changed("a=qanat:1", "a=qanat:2"), "version");
  expect_refused(changed("sid_wk=b2", "sid_wk="), "sid_wk");
  expect_refused(changed("sid_call=", "sid="), "sid_call");
  expect_refused(changed("kms=kms-a", "kms=kms/a"), "kms");
  expect_refused(changed("a3\r\n", "a3 key=1\r\n"), "more fields");
  expect_refused(changed("m=audio 40000", "m=audio 0"), "address");
  expect_refused(changed("m=audio", "m=video"), "not audio");
  expect_refused(changed("c=IN IP4 127.0.0.1", "c=IN IP4 host.test"), "address");
  expect_refused(changed("v=0", "v=1"), "line 1");
  expect_refused(encode_sdp(some_session).value() + "m=audio 1 RTP/SAVP 8\r\n", "more than one media");
  const std::string text = encode_sdp(some_session).value();
  expect_refused(text + text.substr(text.find("a=qanat")), "more than one a=qanat");
  expect_refused("", "no connection");
}

TEST(SdpTest, RefusesToWriteWhatCouldNotBeRead) {
  SessionDescription session = some_session;
  session.kms = ElementName("kms a\r\nk=clear:1");
  EXPECT_FALSE(encode_sdp(session));
  session = some_session;
  session.media.port = 0;
  EXPECT_FALSE(encode_sdp(session));
}

TEST(SidCallTest, IsSm3OverTheLengthPrefixedFields) {
  const CallNonce nonce(from_hex("000102030405060708090a0b0c0d0e0f").value());
  // Computed with: printf '\x10QFCI-v2 sid call\x07+861001\x07+861002\x10' + nonce | openssl dgst -sm3
  EXPECT_EQ(make_sid_call(Number("+861001"), Number("+861002"), nonce).hex(), "c11f290e0348399dbf5adf33e21d7e29fed46aa5d82b0ffe912cf2c1d0323290");
}

TEST(SidCallTest, DiffersForEachFieldAndForFieldsThatRunTogether) {
  const CallNonce nonce(Bytes(16, 1));
  const SidCall base = make_sid_call(Number("+8610"), Number("+8611"), nonce);
  EXPECT_NE(base, make_sid_call(Number("+8611"), Number("+8610"), nonce));
  EXPECT_NE(base, make_sid_call(Number("+8610"), Number("+8611"), CallNonce(Bytes(16, 2))));
  EXPECT_NE(make_sid_call(Number("+8610+"), Number("8611"), nonce), base);
  EXPECT_EQ(session_id_of(base), base.hex().substr(0, 32));
}

TEST(NumberTest, IsPlusAndDigits) {
  EXPECT_TRUE(parse_number("+8613800000001"));
  for (const auto* wrong : {"", "+1", "8613800000001", "+86138a", "+123456789012345678901234567890123"}) EXPECT_FALSE(parse_number(wrong)) << wrong;
}

}  // namespace
}  // namespace qanat::terminal
