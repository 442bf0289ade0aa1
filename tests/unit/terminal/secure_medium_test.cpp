// Secure media: each key once, whatever is interrupted, and nothing of what was used.
#include "terminal/media/secure_medium.hpp"

#include <fstream>

#include "small_network.hpp"
#include "temporary_directory.hpp"

namespace qanat::terminal {
namespace {

using wire::Charged;
using wire::KeySet;

class SecureMediumTest : public testing::TestWithParam<MediumKind> {
 protected:
  SecureMediumTest() : device_(crypto::open_software_device(folder_ / "master", rng_).value()), transport_(rng_.secret(wire::transport_key_size)) {}

  [[nodiscard]] std::filesystem::path path() const { return folder_ / "medium"; }
  std::unique_ptr<SecureMedium> make(bool with_transport = true) {
    auto out =
        SecureMedium::make(path(), {.kind = GetParam(), .suite = suite_.id, .id = id_, .transport_key = with_transport ? &transport_ : nullptr}, *device_);
    EXPECT_TRUE(out) << (out ? "" : out.error().message);
    return std::move(out).value();
  }
  std::unique_ptr<SecureMedium> reopened(std::unique_ptr<SecureMedium> former) {
    former.reset();
    auto out = SecureMedium::open(path(), *device_);
    EXPECT_TRUE(out) << (out ? "" : out.error().message);
    return std::move(out).value();
  }
  /// `count` keys of the call set from `first` on; key i is 32 octets of i.
  static wire::ChargePayload charge(std::uint32_t first, std::uint32_t count, Charged charged = Charged::wire) {
    wire::ChargePayload out;
    out.charged = charged;
    out.origin = wire::ChargeOrigin::device;
    wire::ChargedKeys& keys = out.sets[wire::index_of(KeySet::call)];
    keys.first = first;
    for (std::uint32_t i = first; i < first + count; ++i) keys.keys.push_back(Secret::copy_of(Bytes(wire::charged_key_size, static_cast<std::uint8_t>(i))));
    return out;
  }
  wire::ChargeFile file(std::uint32_t generation, wire::ChargePayload payload) {
    return wire::seal_charge_file({.suite = &suite_, .medium = id_, .charge = rng_.id<wire::ChargeId>(), .generation = generation, .made_ms = 1, .sealed = {}},
                                  wire::transport_key_after(suite_, transport_, generation), payload)
        .value();
  }
  static std::optional<std::uint32_t> taken(SecureMedium& medium, KeySet set = KeySet::call) {
    auto out = medium.take(set);
    EXPECT_TRUE(out) << (out ? "" : out.error().message);
    if (!out || !*out) return std::nullopt;
    EXPECT_EQ(to_bytes((*out)->key.reveal()), Bytes(wire::charged_key_size, static_cast<std::uint8_t>((*out)->index)));
    return (*out)->index;
  }
  /// All octets of the medium's files.
  [[nodiscard]] Bytes octets() const {
    Bytes out;
    const auto add = [&](const std::filesystem::path& file) {
      std::ifstream in(file, std::ios::binary);
      const std::string all(std::istreambuf_iterator<char>(in), {});
      append(out, as_bytes(all));
    };
    if (!std::filesystem::is_directory(path())) {
      add(path());
    } else {
      for (const auto& entry : std::filesystem::recursive_directory_iterator(path())) {
        if (entry.is_regular_file()) add(entry.path());
      }
    }
    return out;
  }

  const crypto::Suite& suite_ = crypto::suite(crypto::SuiteId::gm_hybrid);
  FixedRng rng_{77};
  ::qanat::test::TemporaryDirectory folder_;
  std::unique_ptr<crypto::CryptoDevice> device_;
  Secret transport_;
  const wire::MediumId id_{Bytes(16, 0x4d)};
};
INSTANTIATE_TEST_SUITE_P(Kinds, SecureMediumTest, testing::Values(MediumKind::sim, MediumKind::tf_card, MediumKind::software, MediumKind::pci_card),
                         [](const auto& info) {
                           std::string out(row_of(info.param).name);
                           std::erase(out, '-');
                           return out;
                         });

TEST_P(SecureMediumTest, GivesEachKeyOnceInOrderAndRemembersWhatIsUsed) {
  auto medium = make();
  ASSERT_TRUE(medium->write(charge(0, 3)));
  EXPECT_EQ(taken(*medium), 0U);
  medium = reopened(std::move(medium));
  EXPECT_EQ(taken(*medium), 1U);
  EXPECT_EQ(taken(*medium), 2U);
  EXPECT_EQ(taken(*medium), std::nullopt);
  EXPECT_EQ(taken(*medium, KeySet::authentication), std::nullopt);
  medium = reopened(std::move(medium));
  EXPECT_EQ(taken(*medium), std::nullopt);
  ASSERT_TRUE(medium->write(charge(3, 2)));
  EXPECT_EQ(taken(*medium), 3U);
}

TEST_P(SecureMediumTest, AUsedKeysSlotIsErased) {
  auto medium = make();
  ASSERT_TRUE(medium->write(charge(0, 2)));
  const Bytes before = octets();
  const auto slot_at = [](const Bytes& in, std::uint32_t index) {
    const Bytes front{1, static_cast<std::uint8_t>(Charged::wire), 0, 0, 0, static_cast<std::uint8_t>(index)};
    return std::ranges::search(in, front);
  };
  const auto first = slot_at(before, 0);
  ASSERT_FALSE(first.empty());
  const Bytes sealed(first.begin() + 6, first.begin() + 6 + sealed_slot_key);
  EXPECT_EQ(taken(*medium), 0U);
  const Bytes after = octets();
  EXPECT_TRUE(std::ranges::search(after, sealed).empty());
  EXPECT_FALSE(slot_at(after, 1).empty());
}

TEST_P(SecureMediumTest, GapsAreSkipped) {
  auto medium = make();
  ASSERT_TRUE(medium->write(charge(5, 1)));
  ASSERT_TRUE(medium->write(charge(10, 1)));
  EXPECT_EQ(taken(*medium), 5U);
  EXPECT_EQ(taken(*medium), 10U);
  EXPECT_EQ(taken(*medium), std::nullopt);
}

TEST_P(SecureMediumTest, AnIndexThatItHadIsRefused) {
  auto medium = make();
  ASSERT_TRUE(medium->write(charge(0, 3)));
  EXPECT_EQ(taken(*medium), 0U);
  for (const std::uint32_t first : {0U, 2U}) {
    const auto again = medium->write(charge(first, 4));
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, ErrorCode::denied);
  }
  EXPECT_EQ(taken(*medium), 1U);
}

TEST_P(SecureMediumTest, AChargeOverAWireIsNoneThatCameOffline) {
  auto medium = make();
  const auto refused = medium->write(charge(0, 1, Charged::offline));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::denied);
  EXPECT_EQ(taken(*medium), std::nullopt);
  ASSERT_TRUE(medium->write(charge(0, 1, Charged::wire_under_offline)));
  EXPECT_EQ(taken(*medium), 0U);
}

TEST_P(SecureMediumTest, HoldsWhatItsKindHoldsAndNoMore) {
  auto medium = make();
  std::uint32_t first = 0;
  while (medium->room(KeySet::call) > 0 && first < 1024) {
    const std::uint32_t count = std::min<std::uint32_t>(medium->room(KeySet::call), wire::charge_keys_max);
    ASSERT_TRUE(medium->write(charge(first, count)));
    first += count;
  }
  const bool full = medium->room(KeySet::call) == 0;
  if (full) {
    const auto more = medium->write(charge(first, 1));
    ASSERT_FALSE(more);
    EXPECT_EQ(more.error().code, ErrorCode::exhausted);
  }
  EXPECT_EQ(taken(*medium), 0U);
  if (full) ASSERT_TRUE(medium->write(charge(first, 1))) << "one place is free again";
  for (std::uint32_t i = 1; i < 70; ++i) ASSERT_EQ(taken(*medium), i % 256);
}

TEST_P(SecureMediumTest, AFileIsLoadedOnceAndNoneThatIsOlder) {
  auto medium = make();
  const auto zero = file(0, charge(0, 1, Charged::offline));
  const auto one = file(1, charge(1, 1, Charged::offline));
  const auto three = file(3, charge(9, 1, Charged::offline));
  ASSERT_TRUE(medium->load(zero));
  const auto again = medium->load(zero);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::conflict);
  medium = reopened(std::move(medium));
  ASSERT_TRUE(medium->load(three)) << "two files before it never came";
  EXPECT_FALSE(medium->load(one));
  const auto key = medium->take(KeySet::call);
  ASSERT_TRUE(key && *key);
  EXPECT_EQ((*key)->charged, Charged::offline);
  EXPECT_EQ(taken(*medium), 9U);
}

TEST_P(SecureMediumTest, AFileForAnotherMediumOrAChangedOneIsRefused) {
  auto medium = make();
  wire::ChargeFile good = file(0, charge(0, 1, Charged::offline));
  wire::ChargeFile foreign = good;
  foreign.medium = wire::MediumId(Bytes(16, 1));
  wire::ChargeFile changed = good;
  changed.sealed.back() ^= 1;
  wire::ChargeFile later = good;
  later.generation = 1;
  wire::ChargeFile far = good;
  far.generation = wire::generations_skipped_max + 1;
  for (const wire::ChargeFile* bad : {&foreign, &changed, &later, &far}) {
    const auto loaded = medium->load(*bad);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, ErrorCode::denied);
  }
  EXPECT_TRUE(medium->load(good));
}

TEST_P(SecureMediumTest, WithoutATransportKeyThereIsNoChargeByFile) {
  auto medium = make(false);
  EXPECT_EQ(medium->load(file(0, charge(0, 1, Charged::offline))).error().code, ErrorCode::denied);
  EXPECT_TRUE(medium->write(charge(0, 1)));
  EXPECT_EQ(medium->write(charge(1, 1, Charged::offline)).error().code, ErrorCode::denied) << "a charge over a wire cannot call itself offline";
}

TEST_P(SecureMediumTest, LockedItGivesNothingUntilAnOfflineChargeOpensIt) {
  auto medium = make();
  ASSERT_TRUE(medium->write(charge(0, 1)));
  ASSERT_TRUE(medium->lock());
  medium = reopened(std::move(medium));
  EXPECT_EQ(medium->state(), MediumState::locked);
  EXPECT_EQ(medium->take(KeySet::call).error().code, ErrorCode::denied);
  EXPECT_EQ(medium->write(charge(1, 1)).error().code, ErrorCode::denied);
  ASSERT_TRUE(medium->load(file(0, charge(1, 1, Charged::offline))));
  EXPECT_EQ(taken(*medium), 0U);
  EXPECT_EQ(taken(*medium), 1U);
}

TEST_P(SecureMediumTest, WipedItHasNothingAndTakesNothing) {
  auto medium = make();
  ASSERT_TRUE(medium->write(charge(0, 3)));
  ASSERT_TRUE(medium->wipe());
  medium = reopened(std::move(medium));
  EXPECT_EQ(medium->state(), MediumState::wiped);
  EXPECT_EQ(medium->take(KeySet::call).error().code, ErrorCode::denied);
  EXPECT_EQ(medium->write(charge(3, 1)).error().code, ErrorCode::denied);
  EXPECT_EQ(medium->load(file(0, charge(3, 1, Charged::offline))).error().code, ErrorCode::denied);
  medium.reset();
  const Bytes left = octets();
  const Bytes slot_front{1, static_cast<std::uint8_t>(Charged::wire), 0, 0, 0};
  EXPECT_TRUE(std::ranges::search(left, slot_front).empty());
}

TEST_P(SecureMediumTest, AnotherTerminalsDeviceAndASecondProcessAreRefused) {
  auto medium = make();
  EXPECT_EQ(SecureMedium::open(path(), *device_).error().code, ErrorCode::conflict) << "it is open";
  EXPECT_EQ(SecureMedium::make(folder_ / "medium", {.kind = GetParam(), .suite = suite_.id, .id = id_}, *device_).error().code, ErrorCode::conflict);
  medium.reset();
  const auto other = crypto::open_software_device(folder_ / "other", rng_).value();
  EXPECT_EQ(SecureMedium::open(path(), *other).error().code, ErrorCode::denied);
  EXPECT_EQ(SecureMedium::open(folder_ / "none", *device_).error().code, ErrorCode::not_found);
}

TEST_P(SecureMediumTest, AHeaderThatWasChangedIsRefusedAndOneThatWasCutGivesWayToTheOther) {
  auto medium = make();
  ASSERT_TRUE(medium->write(charge(0, 2)));  // sequence 2, in copy 0
  EXPECT_EQ(taken(*medium), 0U);             // sequence 3, in copy 1
  medium.reset();
  const std::filesystem::path header = std::filesystem::is_directory(path()) ? path() / "medium.qmed" : path();
  const auto alter = [&](std::streamoff at) {
    std::fstream file(header, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(at);
    const auto was = static_cast<char>(file.get());
    file.seekp(at);
    file.put(static_cast<char>(was ^ 1));
  };
  constexpr std::streamoff next_of_call = 4 + 1 + 1 + 1 + 2 + 16 + 8 + 4 + 12 + 4 + 3;
  alter(header_block_size + next_of_call);  // "index 0 was not used"
  medium = reopened(nullptr);
  EXPECT_EQ(taken(*medium), 1U) << "the copy before it is in force, and the slot of index 0 is empty";
  medium.reset();
  alter(next_of_call);
  alter(header_block_size + next_of_call);
  EXPECT_EQ(SecureMedium::open(path(), *device_).error().code, ErrorCode::denied);
}

TEST(MediumFormatTest, EachOctetOfAHeaderCountsAndBothDirectionsAgree) {
  MediumHeader header{.kind = MediumKind::sim,
                      .state = MediumState::active,
                      .suite = crypto::SuiteId::gm_hybrid,
                      .id = wire::MediumId(Bytes(16, 3)),
                      .sequence = 9,
                      .generation = 2,
                      .sets = {},
                      .sealed_key = Bytes(60, 4),
                      .sealed_transport = Bytes(60, 5)};
  header.sets[1] = {.erased = 1, .next = 2, .end = 7};
  const Bytes block = encode_header_block(header, Bytes(header_mac_size, 6)).value();
  EXPECT_EQ(parse_header_block(block)->header, header);
  for (const std::size_t at : {std::size_t{0}, std::size_t{4}, std::size_t{5}, std::size_t{6}, std::size_t{7}, header_block_size - 1}) {
    Bytes changed = block;
    changed[at] ^= 0x80;
    EXPECT_FALSE(parse_header_block(changed)) << at;
  }
  EXPECT_FALSE(parse_header_block(ByteView(block).first(block.size() - 1)));
  MediumHeader bad = header;
  bad.sets[1].next = 9;
  EXPECT_FALSE(encode_header_block(bad, Bytes(header_mac_size)));
  bad = header;
  bad.state = MediumState::wiped;
  EXPECT_FALSE(encode_header_block(bad, Bytes(header_mac_size))) << "a wiped medium with its key";
}

TEST(MediumFormatTest, SlotsAreEmptyOrWholeAndNothingElse) {
  EXPECT_EQ(parse_slot(Bytes(slot_size)).value(), std::nullopt);
  const Slot slot{.index = 77, .charged = Charged::offline, .sealed = Bytes(sealed_slot_key, 9)};
  const Bytes octets = encode_slot(slot);
  EXPECT_EQ(parse_slot(octets).value(), slot);
  for (const std::size_t at : {std::size_t{0}, std::size_t{1}, slot_size - 1}) {
    Bytes changed = octets;
    changed[at] ^= 0x40;
    EXPECT_FALSE(parse_slot(changed)) << at;
  }
  EXPECT_FALSE(parse_slot(ByteView(octets).first(slot_size - 1)));
}

}  // namespace
}  // namespace qanat::terminal
