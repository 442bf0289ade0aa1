// The keys that two KMSs derive ahead of demand, against the independent script.
#include "wire/supply_schedule.hpp"

#include <gtest/gtest.h>

#include "unit/wire/answers.hpp"

namespace qanat::wire {
namespace {

class SupplyScheduleTest : public testing::TestWithParam<std::size_t> {
 protected:
  const Answers a{GetParam()};

  SupplyKeys keys_of(int n) {
    const std::string suffix = "_" + std::to_string(n);
    const auto offer = must(parse<SupplyOffer>(a.octets("supply_offer" + suffix)));
    const auto accept = must(parse<SupplyAccept>(a.octets("supply_accept" + suffix)));
    const Bytes transcript = supply_transcript(a.suite(), offer.octets, accept.without_confirmation());
    EXPECT_EQ(to_hex(transcript), to_hex(a.derived("supply_transcript" + suffix)));
    const auto s = must(a.key("supply_ephemeral" + suffix).decapsulate(crypto::KemForm::to_ephemeral, accept.message.ct_classical, accept.message.ct_ml_kem));
    SupplyKeys out(a.suite(), transcript, a.secret_derived("k_q" + suffix), s.classical, s.ml_kem, offer.message.supply_id);
    EXPECT_EQ(to_hex(out.confirmation()), to_hex(accept.confirmation()));
    return out;
  }
  static Secret key_at(const Secret& keys, std::size_t at) { return Secret::copy_of(keys.reveal().subspan(32 * at, 32)); }
};
INSTANTIATE_TEST_SUITE_P(Suites, SupplyScheduleTest, testing::Range(std::size_t{0}, suite_count()));

TEST_P(SupplyScheduleTest, BatchesKeysAndConfirmationAgree) {
  for (const int n : {0, 2}) {
    const std::string suffix = "_" + std::to_string(n);
    const SupplyKeys keys = keys_of(n);
    const BatchId batch = keys.batch(static_cast<std::uint8_t>(n));
    EXPECT_EQ(batch, BatchId(a.derived("supply_batch" + suffix)));
    EXPECT_NE(batch, keys.batch(static_cast<std::uint8_t>(n + 1)));
    const Secret all = keys.keys(batch);
    ASSERT_EQ(all.size(), 256U * 32U);
    EXPECT_TRUE(equal_secret(key_at(all, 0), a.secret_derived("supply_first_key" + suffix)));
    EXPECT_TRUE(equal_secret(key_at(all, 255), a.secret_derived("supply_last_key" + suffix)));
    EXPECT_FALSE(equal_secret(key_at(all, 0), key_at(all, 1)));
  }
}

TEST_P(SupplyScheduleTest, AnSaesKeyAgrees) {
  for (const int n : {0, 2}) {
    const std::string suffix = "_" + std::to_string(n);
    const BatchId batch(a.derived("supply_batch" + suffix));
    const Secret first = a.secret_derived("supply_first_key" + suffix);
    const Secret last = a.secret_derived("supply_last_key" + suffix);
    const std::string_view one[] = {"sae-b"};
    EXPECT_TRUE(equal_secret(sae_key(a.suite(), last, key_id(batch, 255), "sae-a", one, 32), a.secret_derived("sae_key" + suffix)));
    const std::string longest(256, 's');
    const std::string_view two[] = {"sae-b", longest};
    const Secret both = Secret::concat({&first, &last});
    EXPECT_TRUE(equal_secret(sae_key(a.suite(), both, key_id(batch, 0), "sae-a", two, 61), a.secret_derived("sae_key_long" + suffix)));
  }
}

TEST_P(SupplyScheduleTest, AnotherNameIdOrOrderMakesAnotherKey) {
  const Secret stock = a.secret_derived("supply_first_key_0");
  const KeyId id(a.input("key_id_0"));
  const std::string_view slaves[] = {"sae-b", "sae-c"};
  const std::string_view turned[] = {"sae-c", "sae-b"};
  const std::string_view joined[] = {"sae-bsae-c"};
  const Secret key = sae_key(a.suite(), stock, id, "sae-a", slaves, 32);
  EXPECT_FALSE(equal_secret(key, sae_key(a.suite(), stock, KeyId(a.input("key_id_1")), "sae-a", slaves, 32)));
  EXPECT_FALSE(equal_secret(key, sae_key(a.suite(), stock, id, "sae-x", slaves, 32)));
  EXPECT_FALSE(equal_secret(key, sae_key(a.suite(), stock, id, "sae-a", turned, 32)));
  EXPECT_FALSE(equal_secret(key, sae_key(a.suite(), stock, id, "sae-a", joined, 32)));
  EXPECT_FALSE(equal_secret(key, stock));
}

}  // namespace
}  // namespace qanat::wire
