// ETSI GS QKD 004 V2.1.1 in the QUBIP binding: octets in, octets out, and who may ask for what. The octets are put together here from the binding's
// description, not by the adapter.
#include "kme/etsi004.hpp"

#include <gtest/gtest.h>

#include "kme/key_id_text.hpp"

namespace qanat::kme::etsi004 {
namespace {

using namespace std::string_literals;

std::string u32(std::uint32_t value) {
  return {static_cast<char>(value >> 24U), static_cast<char>(value >> 16U), static_cast<char>(value >> 8U), static_cast<char>(value)};
}
std::string header(char service, std::size_t payload) { return "\x01\x00\x01"s + service + u32(static_cast<std::uint32_t>(payload)); }
std::string message(char service, const std::string& payload) { return header(service, payload.size()) + payload; }
std::string padded(std::string text, std::size_t size = 256) {
  text.resize(size);
  return text;
}
const std::string some_id = "\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff\x01"s;
std::string qos(std::uint32_t chunk = 32, const std::string& mimetype = "application/json") {
  return u32(chunk) + u32(40000) + u32(5000) + u32(10) + u32(3) + u32(2500) + u32(3600) + padded(mimetype);
}
std::string open_payload(const std::string& source = "sae-a", const std::string& destination = "sae-b", const std::string& id = some_id) {
  return source + "\0"s + destination + "\0"s + qos() + id;
}

/// Answers at once; remembers.
class StreamDouble final : public StreamProvider {
 public:
  void open(StreamOpen asked, StreamDone<StreamOpened> done) override {
    opens.push_back(asked);
    done({.status = status, .qos = asked.qos, .id = StreamId(as_bytes(some_id))});
  }
  void get(StreamGet asked, StreamDone<StreamChunk> done) override {
    gets.push_back(asked);
    if (silent) return;
    done({.status = status, .index = asked.index, .key = Secret::copy_of(Bytes(4, 0x4b)), .metadata = "{}", .metadata_needed = 77});
  }
  void close(Caller, StreamId, StreamDone<StreamStatus> done) override { done(status); }
  void record_refusal(const Caller& caller, std::string_view action, std::string why, std::move_only_function<void()> then) override {
    refusals.push_back(caller.sae.text() + " " + std::string(action) + ": " + why);
    then();
  }
  StreamStatus status = StreamStatus::ok;
  bool silent = false;
  std::vector<StreamOpen> opens;
  std::vector<StreamGet> gets;
  std::vector<std::string> refusals;
};

class Etsi004 : public testing::Test {
 protected:
  Etsi004() { connect("sae-a"); }
  void connect(const std::string& name) {
    protocol = factory(std::make_shared<const net::ForeignPeer>(
        net::ForeignPeer{.names = {name}, .address = "192.0.2.1:9", .protocol = "TLSv1.3", .group = "x25519", .quantum_safe = false}));
  }
  /// What a connection that has received `octets` sends; nothing if it reads on.
  std::optional<std::string> say(const std::string& octets) {
    std::optional<std::string> out;
    net::SendBack send = [&](net::Outgoing outgoing) {
      out = outgoing.head + std::string(as_text(outgoing.body.reveal()));
      closed = outgoing.close_after;
    };
    taken = protocol->take(as_bytes(octets), send);
    return out;
  }
  StreamDouble provider;
  SaeRegistry registry = *SaeRegistry::make({{.id = SaeId("sae-a"), .domain = "a", .kme = "k", .here = true},
                                             {.id = SaeId("sae-c"), .domain = "a", .kme = "k", .here = true},
                                             {.id = SaeId("sae-b"), .domain = "b", .kme = "l", .here = false},
                                             {.id = SaeId("qkd://whole@host/x"), .domain = "b", .kme = "l", .here = false}});
  net::ForeignProtocolFactory factory = make_protocol(provider, registry);
  std::unique_ptr<net::ForeignProtocol> protocol;
  net::ForeignProtocol::Taken taken;
  bool closed = false;
};

TEST_F(Etsi004, OpenConnectIsReadAndAnsweredFieldByField) {
  EXPECT_EQ(say(message(2, open_payload())), message(3, u32(0) + qos() + some_id));
  ASSERT_EQ(provider.opens.size(), 1U);
  const StreamOpen& open = provider.opens.front();
  EXPECT_EQ(open.caller.sae.text(), "sae-a");
  EXPECT_EQ(open.destination.text(), "sae-b");
  EXPECT_EQ(open.qos.chunk_octets, 32U);
  EXPECT_EQ(open.qos.max_bps, 40000U);
  EXPECT_EQ(open.qos.min_bps, 5000U);
  EXPECT_EQ(open.qos.jitter_bps, 10U);
  EXPECT_EQ(open.qos.priority, 3U);
  EXPECT_EQ(open.qos.timeout_ms, 2500U);
  EXPECT_EQ(open.qos.ttl_s, 3600U);
  EXPECT_EQ(open.qos.mimetype, "application/json");
  EXPECT_EQ(open.id.view()[15], 1U);
}

TEST_F(Etsi004, GetKeyIsAnsweredWithIndexChunkAndMetadata) {
  EXPECT_EQ(say(message(4, some_id + u32(7) + u32(1024))), message(5, u32(0) + u32(7) + u32(4) + "KKKK" + u32(2) + "{}"));
  EXPECT_EQ(provider.gets.front().index, 7U);
  EXPECT_EQ(provider.gets.front().metadata_max, 1024U);
}

TEST_F(Etsi004, CloseIsAnsweredWithItsStatus) { EXPECT_EQ(say(message(8, some_id)), message(9, u32(0))); }

TEST_F(Etsi004, EveryStatusIsOnTheWireAndAGetWithoutChunkHasNoMore) {
  for (std::uint32_t status = 1; status <= 8; ++status) {
    provider.status = static_cast<StreamStatus>(status);
    EXPECT_EQ(say(message(2, open_payload())), message(3, u32(status) + qos() + some_id));
    EXPECT_EQ(say(message(4, some_id + u32(0) + u32(9))), message(5, u32(status) + (status == 8 ? u32(77) : ""s)));
    EXPECT_EQ(say(message(8, some_id)), message(9, u32(status)));
  }
}

TEST_F(Etsi004, AMessageIsTakenWhenItIsWholeAndTheNextOneIsLeft) {
  const std::string whole = message(8, some_id);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(say(whole.substr(0, size)));
    EXPECT_EQ(taken.used, 0U);
    EXPECT_EQ(taken.within, size > 0);
  }
  EXPECT_TRUE(say(whole + whole));
  EXPECT_EQ(taken.used, whole.size());
}

TEST_F(Etsi004, WhatIsNoRequestOfTheBindingEndsTheConnectionOnRecord) {
  const std::string bad[] = {
      "\x01\x00\x02\x08"s + u32(16) + some_id,  // version
      "\x02\x01\x01\x08"s + u32(16) + some_id,
      message(3, some_id),  // an answer
      message(6, some_id),  // no service
      "\x01\x00\x01\xff"s + u32(16) + some_id,
      header(8, 15),  // lengths
      header(4, 23),
      header(4, 25),
      header(2, open_size_max + 1),
      header(2, 10),
      header(8, 0xffffffff),
      message(2, "\0"s + open_payload()),  // an empty source
      message(2, std::string(1025, 'x') + "\0sae-b\0"s + qos() + some_id),
      message(2, "sae-a\0sae\nb\0"s + qos() + some_id),
      message(2, "sae-a\0sae-b\0"s + qos() + some_id + "x"),
      message(2, "sae-a\0sae-b\0"s + qos(32, "text/plain\0x"s) + some_id),
      message(2, "sae-a\0sae-b\0"s + qos(32, "text plain") + some_id),
      message(2, std::string(400, 'x')),
  };
  for (const std::string& octets : bad) {
    closed = false;
    const std::size_t before = provider.refusals.size();
    EXPECT_EQ(say(octets), "") << to_hex(as_bytes(octets.substr(0, 40)));
    EXPECT_TRUE(closed);
    EXPECT_EQ(provider.refusals.size(), before + 1);
  }
  EXPECT_TRUE(provider.opens.empty());
}

TEST_F(Etsi004, TheSourceIsTheCertificatesSae) {
  const std::string refused = u32(4) + qos() + some_id;
  EXPECT_EQ(say(message(2, open_payload("sae-c"))), message(3, refused));
  EXPECT_EQ(say(message(2, open_payload("sae-b", "sae-a"))), message(3, refused));
  EXPECT_EQ(say(message(2, open_payload("sae-a", "sae-x"))), message(3, refused));
  EXPECT_EQ(say(message(2, open_payload("sae-a", "qkd://sae-a@h"))), message(3, refused));
  EXPECT_TRUE(provider.opens.empty());
  ASSERT_EQ(provider.refusals.size(), 4U);
  EXPECT_EQ(provider.refusals[0], "sae-a etsi004.open_connect: the source is not the SAE of the certificate");
  EXPECT_EQ(provider.refusals[2], "sae-a etsi004.open_connect: the destination is not known to this KME");
}

TEST_F(Etsi004, AStrangerIsRefusedWhateverItAsks) {
  connect("nobody");
  EXPECT_EQ(say(message(4, some_id + u32(0) + u32(0))), message(5, u32(4)));
  EXPECT_EQ(say(message(8, some_id)), message(9, u32(4)));
  EXPECT_EQ(say(message(2, open_payload()))->substr(0, 12), message(3, open_payload()).replace(4, 4, u32(4 + 7 * 4 + 256 + 16)).substr(0, 8) + u32(4));
  EXPECT_TRUE(provider.opens.empty() && provider.gets.empty());
  EXPECT_EQ(provider.refusals.front(), "nobody etsi004.connection: no SAE of this KME");
}

TEST_F(Etsi004, AUriNamesAnSaeByItselfItsUserOrItsHost) {
  const auto name = [&](std::string_view uri) {
    const auto sae = named_by(registry, uri);
    return sae ? sae->text() : std::string("-");
  };
  EXPECT_EQ(name("sae-a"), "sae-a");
  EXPECT_EQ(name("qkd://sae-a@kme.example:25575/app?x=1"), "sae-a");
  EXPECT_EQ(name("server://sae-b:25575"), "sae-b");
  EXPECT_EQ(name("server://sae-b"), "sae-b");
  EXPECT_EQ(name("qkd://whole@host/x"), "qkd://whole@host/x");
  EXPECT_EQ(name("qkd://other@sae-b"), "-");  // who names a user means the user
  EXPECT_EQ(name("sae-a@host"), "-");
  EXPECT_EQ(name("qkd://"), "-");
}

TEST_F(Etsi004, AnSaeOfAPatternHasItsOwnNameAtBothEndsOfAStream) {
  registry = *SaeRegistry::make({{.id = SaeId("enc-a-*"), .domain = "a", .kme = "k", .here = true, .pattern = true},
                                 {.id = SaeId("qkd://*"), .domain = "a", .kme = "k", .here = true, .pattern = true},
                                 {.id = SaeId("enc-b-*"), .domain = "b", .kme = "l", .here = false, .pattern = true}});
  connect("enc-a-1");
  EXPECT_EQ(say(message(2, open_payload("qkd://enc-a-1@host", "enc-b-7")))->substr(8, 4), u32(0));
  ASSERT_EQ(provider.opens.size(), 1U);
  EXPECT_EQ(provider.opens[0].caller.sae.text(), "enc-a-1");
  EXPECT_EQ(provider.opens[0].destination.text(), "enc-b-7") << "not the pattern, and no URI that another covers";
  EXPECT_EQ(say(message(2, open_payload("enc-a-2", "enc-b-7")))->substr(8, 4), u32(4)) << "another SAE of the same pattern";
  EXPECT_EQ(say(message(2, open_payload("enc-a-1", "enc-c-7")))->substr(8, 4), u32(4));
}

TEST_F(Etsi004, AnAnswerThatIsNotFoundInTimeIsStatusSix) {
  provider.silent = true;
  EXPECT_FALSE(say(message(4, some_id + u32(0) + u32(0))));
  EXPECT_EQ(protocol->too_late(false).head, message(5, u32(6)));
  EXPECT_EQ(protocol->too_late(true).head, "");
}

TEST(StreamQosTest, NoWishesGetTheDefaults) {
  const GrantedQos granted = grant({}, {}, 0);
  EXPECT_TRUE(granted.as_asked);
  EXPECT_EQ(granted.qos.chunk_octets, 32U);
  EXPECT_EQ(granted.qos.timeout_ms, 5000U);
  EXPECT_EQ(granted.qos.ttl_s, 3600U);
  EXPECT_EQ(granted.qos.max_bps, 10'000'000U);
  EXPECT_EQ(granted.qos.min_bps, 0U);
}

TEST(StreamQosTest, WhatCannotBeHadIsCounteredAndTheCounterProposalIsGranted) {
  const StreamQos wishes[] = {
      {.chunk_octets = 7}, {.chunk_octets = 4097}, {.max_bps = 10'000'001}, {.max_bps = 100, .min_bps = 200}, {.min_bps = 9'500'001},
      {.priority = 256},   {.timeout_ms = 60'001}, {.ttl_s = 3601},         {.mimetype = "text/plain"},
  };
  for (const StreamQos& wish : wishes) {
    const GrantedQos countered = grant(wish, {}, 500'000);
    EXPECT_FALSE(countered.as_asked);
    EXPECT_TRUE(grant(countered.qos, {}, 500'000).as_asked);
  }
  EXPECT_EQ(grant({.min_bps = 9'500'001}, {}, 500'000).qos.min_bps, 9'500'000U);
  EXPECT_EQ(grant({.chunk_octets = 7}, {}, 0).qos.chunk_octets, 8U);
  EXPECT_TRUE(grant({.jitter_bps = 4'000'000'000}, {}, 0).as_asked);
}

TEST(StreamQosTest, WhoJoinsHasTheStreamsQosAndATimeLimitOfItsOwn) {
  const StreamQos stream = grant({.chunk_octets = 64, .timeout_ms = 100}, {}, 0).qos;
  EXPECT_TRUE(grant_joining({}, stream, {}).as_asked);
  EXPECT_EQ(grant_joining({.timeout_ms = 700}, stream, {}).qos.timeout_ms, 700U);
  const GrantedQos other = grant_joining({.chunk_octets = 32}, stream, {});
  EXPECT_FALSE(other.as_asked);
  EXPECT_EQ(other.qos.chunk_octets, 64U);
}

}  // namespace
}  // namespace qanat::kme::etsi004
