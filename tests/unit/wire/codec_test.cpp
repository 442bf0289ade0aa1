// The grammar's refusals, and encode∘parse = identity on random messages.
#include <gtest/gtest.h>

#include <random>

#include "sanitized.hpp"
#include "unit/wire/answers.hpp"
#include "wire/envelope.hpp"
#include "wire/reader.hpp"
#include "wire/token.hpp"
#include "wire/writer.hpp"

namespace qanat::wire {
namespace {

template <class T>
std::string why(const Result<T>& result) {
  return result ? "accepted" : result.error().message;
}

TEST(WriterTest, ChoosesThePrefixByTheUpperBound) {
  Writer out;
  out.opaque("short", "ab", {.min = 0, .max = 255});
  out.opaque("long", "ab", {.min = 0, .max = 256});
  out.u64(0x0102030405060708U);
  EXPECT_EQ(to_hex(must(std::move(out).finish())),
            "02616200026162"
            "0102030405060708");
}

TEST(WriterTest, ReportsTheFirstFieldOutOfBounds) {
  Writer out;
  out.opaque("uid", "", {.min = 1, .max = 64});
  out.fixed("nonce", Bytes(31), 32);
  EXPECT_EQ(why(std::move(out).finish()), "uid: 0 octets, must be 1 to 64");
}

TEST(ReaderTest, RefusesShortLongAndTrailingOctets) {
  const Bytes octets = *from_hex("0361626300");
  Reader in(octets);
  EXPECT_EQ(must(in.text("uid", {.min = 1, .max = 64})), "abc");
  EXPECT_EQ(why(in.finish()), "1 octets after the end");
  Reader narrow(octets);
  EXPECT_EQ(why(narrow.opaque("uid", {.min = 4, .max = 64})), "uid: 3 octets, must be 4 to 64");
  Reader over(octets);
  EXPECT_EQ(why(over.opaque("uid", {.min = 0, .max = 2})), "uid: 3 octets, must be 0 to 2");
  Reader cut(ByteView(octets).first(3));
  EXPECT_EQ(why(cut.opaque("uid", {.min = 0, .max = 64})), "uid: 3 octets needed, 2 left");
}

class HeaderTest : public testing::Test {
 protected:
  Bytes octets = encode_header({.type = MessageType::key_request, .suite = crypto::SuiteId::gm_hybrid, .body_len = 5, .policy_epoch = 9});
};

TEST_F(HeaderTest, HasTheLayoutOfTheDesign) {
  EXPECT_EQ(to_hex(octets),
            "51464332"
            "02"
            "04"
            "0201"
            "00000005"
            "00000009");
  const Header header = must(parse_header(octets));
  EXPECT_EQ(header.type, MessageType::key_request);
  EXPECT_EQ(header.body_len, 5U);
  EXPECT_EQ(header.policy_epoch, 9U);
}

TEST_F(HeaderTest, RefusesUnknownMagicVersionTypeSuiteAndSize) {
  const auto with = [&](std::size_t at, std::uint8_t value) {
    Bytes changed = octets;
    changed[at] = value;
    return why(parse_header(changed));
  };
  EXPECT_EQ(with(0, 'q'), "header: magic is not QFC2");
  EXPECT_EQ(with(4, 1), "header: version 1 is not spoken here");
  EXPECT_EQ(with(5, 0x0A), "header: no message type 10");
  EXPECT_EQ(with(7, 0x07), "header: no suite 519");
  EXPECT_EQ(with(8, 1), "header: a body of 16777221 octets is over 131072");
  EXPECT_EQ(why(parse_header(ByteView(octets).first(15))), "header: 16 octets needed, 15 there");
}

TEST_F(HeaderTest, RefusesEveryTypeThatHasNoName) {
  int known = 0;
  for (int type = 0; type < 256; ++type) {
    octets[5] = static_cast<std::uint8_t>(type);
    known += parse_header(octets).has_value() ? 1 : 0;
  }
  EXPECT_EQ(known, 28);
}

class GrammarTest : public testing::Test {
 protected:
  const Answers a{0};
  const crypto::Suite& suite = a.suite();

  template <class M>
  std::string refusal(const M& message) {
    return why(encode_body(suite, message));
  }
};

TEST_F(GrammarTest, KeyRequestRefusesWhatHasNoPlace) {
  KeyRequest m = key_request_of(a, flag_eph);
  m.flags = 0;
  EXPECT_EQ(refusal(m), "KeyRequest: eph: present exactly if flags say so");
  m.flags = flag_eph | flag_escrow;
  EXPECT_EQ(refusal(m), "KeyRequest: flags: unknown flag");
  m = key_request_of(a, flag_eph);
  m.ephemeral.ml_kem.clear();
  EXPECT_EQ(refusal(m), "KeyRequest: eph: one half without the other");
  m.ephemeral.point.pop_back();
  EXPECT_EQ(refusal(m), "KeyRequest: eph_T: neither absent nor of the suite's size");
  m = key_request_of(a, 0);
  m.uid = Uid("al ice");
  EXPECT_EQ(refusal(m), "KeyRequest: uid: must be printable ASCII without space");
  m = key_request_of(a, 0);
  m.uid = Uid(std::string(65, 'a'));
  EXPECT_EQ(refusal(m), "KeyRequest: uid: 65 octets, must be 1 to 64");
  m = key_request_of(a, 0);
  m.num_called = Number("8613900000002");
  EXPECT_EQ(refusal(m), "KeyRequest: num_called: must be '+' and digits");
  m = key_request_of(a, 0);
  m.role = Role{3};
  EXPECT_EQ(refusal(m), "KeyRequest: role: not one of the values allowed");
  m = key_request_of(a, 0);
  m.min_assurance = Assurance{5};
  EXPECT_EQ(refusal(m), "KeyRequest: min_assurance: not one of the values allowed");
  m = key_request_of(a, 0);
  m.nonce.pop_back();
  EXPECT_EQ(refusal(m), "KeyRequest: nonce: 31 octets where 32 belong");
}

TEST_F(GrammarTest, ExtensionsAreKnownSortedAndSingle) {
  KeyRequest m = key_request_of(a, flag_eph | flag_inj);
  m.ext.push_back(m.ext.front());
  EXPECT_EQ(refusal(m), "KeyRequest: ext: not ascending by type");
  m.ext = {{.type = ExtensionType{3}, .value = {}}};
  EXPECT_EQ(refusal(m), "KeyRequest: ext: unknown extension");
  m = key_request_of(a, flag_eph | flag_inj);
  m.ext.front().value.pop_back();
  EXPECT_EQ(refusal(m), "KeyRequest: ext: extension 1 has the wrong size");
  m = key_request_of(a, flag_eph | flag_inj);
  m.flags = flag_eph;
  EXPECT_EQ(refusal(m), "KeyRequest: ext: extensions 1 and 2 exactly if flags say so");
  m.flags = flag_eph | flag_inj | flag_sym;
  EXPECT_EQ(refusal(m), "KeyRequest: ext: extensions 1 and 2 exactly if flags say so");
}

TEST_F(GrammarTest, SessionMessagesKeepTheirOrder) {
  auto opened = session_of<SessionOpen>(a);
  opened.kms_b = kms_b;
  EXPECT_EQ(refusal(opened), "SessionOpen: kms_b: not yet known");
  opened = session_of<SessionOpen>(a);
  opened.prev_hash = a.hash("session_open");
  EXPECT_EQ(refusal(opened), "SessionOpen: prev_hash: must be zero");
  auto granted = session_of<SessionGrant>(a);
  granted.prev_hash.assign(suite.digest, 0);
  EXPECT_EQ(refusal(granted), "SessionGrant: prev_hash: must not be zero");
  granted = session_of<SessionGrant>(a);
  granted.kms_b = ElementName();
  EXPECT_EQ(refusal(granted), "SessionGrant: kms_b: must be there");
}

TEST_F(GrammarTest, ADirectoryHasItsBoundsAndItsPagesTheirOrder) {
  Directory head = directory_of(a);
  head.epoch = 0;
  EXPECT_EQ(refusal(head), "Directory: epoch: must be 1 to 2^63 - 1");
  head = directory_of(a);
  head.not_after_ms = head.not_before_ms + directory_life_max_ms + 1;
  EXPECT_EQ(refusal(head), "Directory: not_after_ms: must be later than not_before_ms, by 24 h at most");
  head.not_after_ms = head.not_before_ms;
  EXPECT_EQ(refusal(head), "Directory: not_after_ms: must be later than not_before_ms, by 24 h at most");
  head = directory_of(a);
  head.entries = 1;
  EXPECT_EQ(refusal(head), "Directory: entries: does not fit the pages");
  head.entries = 2 * directory_page_entries_max + 1;
  EXPECT_EQ(refusal(head), "Directory: entries: does not fit the pages");
  head.entries = directory_pages_max + 1;
  head.pages.assign(directory_pages_max + 1, a.hash("directory_page_0"));
  EXPECT_EQ(refusal(head), "Directory: pages: too many");
  head.entries = directory_pages_max;
  head.pages.pop_back();
  EXPECT_TRUE(frame(suite, 1, head)) << "as many as there may be fit in one message";
  EXPECT_EQ(refusal(DirectoryPage{}), "DirectoryPage: entries: must be there, ascending by number");
  DirectoryPage page{.entries = {directory_page_of(1).entries[0], directory_page_of(0).entries[0]}};
  EXPECT_EQ(refusal(page), "DirectoryPage: entries: must be there, ascending by number");
  page.entries[1] = page.entries[0];
  EXPECT_EQ(refusal(page), "DirectoryPage: entries: must be there, ascending by number") << "each once";
  page = directory_page_of(0);
  EXPECT_EQ(encoded_size(page.entries[0]) + 2, must(encode_body(suite, page)).size());
  auto open = session_of<DirectoryOpen>(a);
  open.epoch = 0;
  EXPECT_EQ(refusal(open), "DirectoryOpen: epoch: must be 1 to 2^63 - 1");
  open = session_of<DirectoryOpen>(a);
  open.prev_hash.assign(suite.digest, 0);
  EXPECT_EQ(refusal(open), "DirectoryOpen: prev_hash: must not be zero");
  KeyRequest request = key_request_of(a, flag_eph);
  request.flags |= flag_directory;
  EXPECT_EQ(refusal(request), "KeyRequest: flags: unknown flag") << "nobody asks for it";
}

TEST_F(GrammarTest, AnOfferNamesEveryKeyOnce) {
  KmsOffer offer = kms_offer_of(a, 2);
  offer.shares[1].key_id = offer.shares[0].key_id;
  EXPECT_EQ(refusal(offer), "KmsOffer: shares: a key_id twice");
  offer.shares.resize(shares_max + 1);
  EXPECT_EQ(refusal(offer), "KmsOffer: shares: too many");
}

TEST_F(GrammarTest, ASupplyIsBounded) {
  SupplyOffer offer = supply_offer_of(a, 2);
  offer.batches = 0;
  EXPECT_EQ(refusal(offer), "SupplyOffer: batches: must be 1 to 16");
  offer.batches = 17;
  EXPECT_EQ(refusal(offer), "SupplyOffer: batches: must be 1 to 16");
  offer = supply_offer_of(a, 2);
  offer.shares[1].key_id = offer.shares[0].key_id;
  EXPECT_EQ(refusal(offer), "SupplyOffer: shares: a key_id twice");
  SupplyAccept accept = supply_accept_of(a, 2);
  accept.paths = shares_max + 1;
  EXPECT_EQ(refusal(accept), "SupplyAccept: paths: more than there can be shares");
}

TEST_F(GrammarTest, EnrolRefusesKindsThatAreNoTerminal) {
  Enrol m = must(parse<Enrol>(a.octets("enrol_kms_made"))).message;
  m.device_kind = Kind::kms;
  EXPECT_EQ(refusal(m), "Enrol: device_kind: not one of the values allowed");
  m.device_kind = Kind::dev2;
  m.encryption_keys = EncryptionKeys::terminal_made;
  EXPECT_EQ(refusal(m), "Enrol: enc: present exactly if terminal_made");
}

TEST_F(GrammarTest, PayloadRefusesUnknownAssuranceAndShortKeys) {
  KeyDeliverPayload p = payload_of(a, deliveries[1]);
  p.assurance = Assurance{0};
  EXPECT_EQ(why(encode_payload(suite, p)), "payload: assurance: must be 1 to 4");
  p = payload_of(a, deliveries[1]);
  p.wk = Secret(31);
  EXPECT_FALSE(encode_payload(suite, p).has_value());
  EXPECT_FALSE(parse_payload(suite, Secret(31)).has_value());
}

TEST_F(GrammarTest, ChainsAreBounded) {
  EXPECT_FALSE(encode_chain({}).has_value());
  EXPECT_FALSE(encode_chain(std::vector<Bytes>(9, Bytes(4))).has_value());
  EXPECT_FALSE(parse_chain(Bytes{0, 0}).has_value());
  EXPECT_FALSE(parse_chain({}).has_value());
  EXPECT_EQ(must(parse_chain(*from_hex("0001aa0002bbcc"))).size(), 2U);
}

TEST_F(GrammarTest, EnvelopesHoldThreeFieldsAndNothingElse) {
  const Envelope envelope{.message = {1, 2}, .classical = {3}, .ml_dsa = {}};
  const Bytes octets = encode(envelope);
  EXPECT_EQ(to_hex(octets),
            "000000020102"
            "0000000103"
            "00000000");
  EXPECT_EQ(must(parse_envelope(octets)), envelope);
  for (std::size_t size = 0; size < octets.size(); ++size) EXPECT_FALSE(parse_envelope(ByteView(octets).first(size)).has_value()) << size;
  EXPECT_FALSE(parse_envelope(concat({octets, Bytes{0}})).has_value());
  EXPECT_EQ(why(parse_envelope(encode({.message = Bytes(envelope_field_max + 1), .classical = {}, .ml_dsa = {}}))), "envelope: message: too long");
  const Bytes large = encode({.message = Bytes(envelope_field_max + 1), .classical = {}, .ml_dsa = {}});
  EXPECT_TRUE(parse_envelope(large, envelope_field_max + 1)) << "where a larger message is expected";
  EXPECT_EQ(why(parse_envelope(encode({.message = {}, .classical = Bytes(envelope_field_max + 1), .ml_dsa = {}}), message_size_max)),
            "envelope: classical certificate: too long");
}

TEST_F(GrammarTest, MessagesOfAnotherTypeAreNamed) { EXPECT_EQ(why(parse<KeyDeliver>(a.octets("key_request"))), "a KeyRequest where a KeyDeliver belongs"); }

TEST_F(GrammarTest, SuitesDoNotMix) {
  Bytes octets = a.octets("key_request_eph");
  octets[7] = 0x02;
  EXPECT_FALSE(parse<KeyRequest>(octets).has_value());
}

// Any message cut short or lengthened by one octet, in its body or behind it, is refused.
template <class M>
void refuses_every_other_length(const Bytes& octets) {
  SCOPED_TRACE(std::string(name(M::type)));
  ASSERT_TRUE(parse<M>(octets).has_value());
  for (std::size_t size = 0; size < octets.size(); ++size) ASSERT_FALSE(parse<M>(ByteView(octets).first(size)).has_value()) << size;
  Bytes longer = octets;
  longer.push_back(0);
  EXPECT_FALSE(parse<M>(longer).has_value());
  // The body one octet longer, with a header that says so.
  Header header = must(parse_header(octets));
  header.body_len += 1;
  const Bytes front = encode_header(header);
  Bytes grown = front;
  append(grown, ByteView(octets).subspan(header_size, header.body_len - 1));
  grown.push_back(0);
  append(grown, ByteView(octets).subspan(header_size + header.body_len - 1));
  EXPECT_FALSE(parse<M>(grown).has_value());
}

TEST_F(GrammarTest, EveryOtherLengthIsRefused) {
  refuses_every_other_length<Enrol>(a.octets("enrol_kms_made"));
  refuses_every_other_length<EnrolDeliver>(a.octets("enrol_deliver_kms_made"));
  refuses_every_other_length<EnrolReceipt>(a.octets("enrol_receipt"));
  refuses_every_other_length<KeyRequest>(a.octets("key_request_inj"));
  refuses_every_other_length<ChargeRequest>(a.octets("charge_request_inj"));
  refuses_every_other_length<ChargeDeliver>(a.octets("charge_deliver"));
  refuses_every_other_length<ChargeReceipt>(a.octets("charge_receipt"));
  refuses_every_other_length<Token>(a.octets("token"));
  refuses_every_other_length<SessionOpen>(a.octets("session_open"));
  refuses_every_other_length<SessionNotify>(a.octets("session_notify"));
  refuses_every_other_length<SessionGrant>(a.octets("session_grant"));
  refuses_every_other_length<DirectoryPage>(a.octets("directory_page_0"));
  refuses_every_other_length<Directory>(a.octets("directory"));
  refuses_every_other_length<DirectoryOpen>(a.octets("directory_open"));
  refuses_every_other_length<KmsOffer>(a.octets("kms_offer_2"));
  refuses_every_other_length<KmsAccept>(a.octets("kms_accept_2"));
  refuses_every_other_length<KmsConfirm>(a.octets("kms_confirm_2"));
  refuses_every_other_length<SupplyOffer>(a.octets("supply_offer_2"));
  refuses_every_other_length<SupplyAccept>(a.octets("supply_accept_2"));
  refuses_every_other_length<KeyDeliver>(a.octets("deliver_eph"));
  refuses_every_other_length<DeliverAck>(a.octets("deliver_ack"));
  refuses_every_other_length<Reject>(a.octets("reject"));
  refuses_every_other_length<Ax1>(a.octets("ax1"));
  refuses_every_other_length<Ax2>(a.octets("ax2"));
  refuses_every_other_length<Ax3>(a.octets("ax3"));
}

// Whatever octets a parser accepts, encoding gives the same octets again: one encoding per value.
template <class M>
void is_canonical(const crypto::Suite& suite, const Bytes& octets, std::mt19937& draw) {
  SCOPED_TRACE(std::string(name(M::type)));
  const Header header = must(parse_header(octets));
  const Bytes body(octets.begin() + header_size, octets.begin() + header_size + header.body_len);
  int accepted = 0;
  for (std::size_t round = 0; round < 2000; round += test::case_step) {
    Bytes changed = body;
    // Mostly the front, where lengths and choices stand.
    const std::size_t at = draw() % (round % 4 == 0 ? changed.size() : std::min<std::size_t>(changed.size(), 200));
    changed[at] = static_cast<std::uint8_t>(draw());
    const auto parsed = parse_body<M>(suite, changed);
    if (!parsed) continue;
    ++accepted;
    ASSERT_EQ(to_hex(must(encode_body(suite, *parsed))), to_hex(changed)) << "octet " << at;
  }
  EXPECT_GT(accepted, static_cast<int>(10 / test::case_step));
}

TEST(CanonicalTest, EveryAcceptedBodyEncodesToItself) {
  std::mt19937 draw(20260101);  // NOLINT(cert-msc51-cpp): a fixed seed, so that a failure can be met again
  for (std::size_t index = 0; index < suite_count(); ++index) {
    const Answers a{index};
    is_canonical<Enrol>(a.suite(), a.octets("enrol_terminal_made"), draw);
    is_canonical<EnrolDeliver>(a.suite(), a.octets("enrol_deliver_kms_made"), draw);
    is_canonical<EnrolReceipt>(a.suite(), a.octets("enrol_receipt"), draw);
    is_canonical<KeyRequest>(a.suite(), a.octets("key_request_inj"), draw);
    is_canonical<KeyRequest>(a.suite(), a.octets("key_request_sym"), draw);
    is_canonical<ChargeRequest>(a.suite(), a.octets("charge_request_inj"), draw);
    is_canonical<ChargeDeliver>(a.suite(), a.octets("charge_deliver_lock"), draw);
    is_canonical<ChargeReceipt>(a.suite(), a.octets("charge_receipt"), draw);
    is_canonical<Token>(a.suite(), a.octets("token"), draw);
    is_canonical<SessionOpen>(a.suite(), a.octets("session_open"), draw);
    is_canonical<SessionGrant>(a.suite(), a.octets("session_grant"), draw);
    is_canonical<DirectoryPage>(a.suite(), a.octets("directory_page_1"), draw);
    is_canonical<Directory>(a.suite(), a.octets("directory"), draw);
    is_canonical<DirectoryOpen>(a.suite(), a.octets("directory_open"), draw);
    is_canonical<KmsOffer>(a.suite(), a.octets("kms_offer_2"), draw);
    is_canonical<KmsAccept>(a.suite(), a.octets("kms_accept_2"), draw);
    is_canonical<KmsConfirm>(a.suite(), a.octets("kms_confirm_2"), draw);
    is_canonical<SupplyOffer>(a.suite(), a.octets("supply_offer_2"), draw);
    is_canonical<SupplyAccept>(a.suite(), a.octets("supply_accept_2"), draw);
    is_canonical<KeyDeliver>(a.suite(), a.octets("deliver_eph"), draw);
    is_canonical<DeliverAck>(a.suite(), a.octets("deliver_ack"), draw);
    is_canonical<Reject>(a.suite(), a.octets("reject"), draw);
    is_canonical<Ax1>(a.suite(), a.octets("ax1"), draw);
    is_canonical<Ax2>(a.suite(), a.octets("ax2"), draw);
    is_canonical<Ax3>(a.suite(), a.octets("ax3"), draw);
  }
}

}  // namespace
}  // namespace qanat::wire
