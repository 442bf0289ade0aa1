// The CSA's keys: versions and rotation, the bound on nonces, states, policies with their rates and totals, export, batches.
#include "csa_desk.hpp"
#include "services/kms/csa/export_statement.hpp"
#include "services/kms/kma/incarnation.hpp"

namespace qanat::kms::csa {
namespace {

static_assert(after(State::disabled, Change::destroy) == State::destroyed);
static_assert(!after(State::destroyed, Change::enable) && !after(State::enabled, Change::destroy) && !after(State::deletion_scheduled, Change::enable));

INSTANTIATE_TEST_SUITE_P(Stores, CsaStoresTest, test::both_databases, test::name_of);

TEST_P(CsaStoresTest, EarlierVersionsDecryptUntilTheMinimumIsAboveThem) {
  const std::string key = csa_.create(app(billing), "SM4-GCM", "encryption");
  const std::string first = text(must(encrypt(key)), "ciphertext");
  EXPECT_EQ(must(must_ask(Operation::rotate_key, billing, Json::object({{"key_id", key}})).integer("version")), 2);
  EXPECT_EQ(must(must(encrypt(key)).integer("version")), 2) << "the new one is used";
  EXPECT_EQ(must(must(decrypt(key, first)).integer("version")), 1) << "the former still opens";
  const auto minimum = [&](int version) { return ask(Operation::set_policy, billing, Json::object({{"key_id", key}, {"minimum_version", version}})); };
  EXPECT_EQ(refusal(minimum(3)), ErrorCode::invalid_argument) << "there is no such version";
  must(minimum(2));
  const auto refused = decrypt(key, first);
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_NE(refused.error().message.find("below its minimum, 2"), std::string::npos);
  must(minimum(1));
  EXPECT_TRUE(decrypt(key, first)) << "as long as it was not trimmed";
  must(minimum(2));
  must(change(key, "trim"));
  EXPECT_EQ(refusal(minimum(1)), ErrorCode::not_found) << "it is destroyed";
  csa_.restart();
  EXPECT_EQ(refusal(decrypt(key, first)), ErrorCode::denied);
  EXPECT_TRUE(encrypt(key));
}

TEST_F(CsaDeskTest, EarlierVersionsVerify) {
  for (const auto& [algorithm, usage] : {std::pair{"ECDSA-P384", "signature"}, {"HMAC-SHA384", "mac"}}) {
    const bool signs = std::string_view(usage) == "signature";
    const std::string key = csa_.create(app(billing), algorithm, usage);
    const std::string made = text(must_ask(signs ? Operation::sign : Operation::mac, billing, Json::object({{"key_id", key}, {"message", base64("pay")}})), signs ? "signature" : "mac");
    must_ask(Operation::rotate_key, billing, Json::object({{"key_id", key}}));
    const auto valid = [&](int version) {
      return must(must_ask(signs ? Operation::verify : Operation::verify_mac, billing,
                           Json::object({{"key_id", key}, {"message", base64("pay")}, {signs ? "signature" : "mac", made}, {"version", version}}))
                      .boolean("valid"));
    };
    EXPECT_TRUE(valid(1)) << algorithm;
    EXPECT_FALSE(valid(2)) << algorithm;
    EXPECT_EQ(refusal(ask(signs ? Operation::verify : Operation::verify_mac, billing,
                          Json::object({{"key_id", key}, {"message", base64("pay")}, {signs ? "signature" : "mac", made}, {"version", 3}}))),
              ErrorCode::not_found);
  }
}

TEST_P(CsaStoresTest, AVersionThatHasSealedAllThatItMayIsRotated) {
  const std::string key = csa_.create(app(billing), "SM4-GCM", "encryption");
  for (int i = 0; i < 8; ++i) EXPECT_EQ(must(must(encrypt(key)).integer("version")), 1) << i;
  EXPECT_EQ(must(must(encrypt(key)).integer("version")), 2) << "the ninth";
  EXPECT_TRUE(csa_.audited("the former version has sealed as many texts as it may"));
}

TEST_P(CsaStoresTest, AfterACrashTheRestOfABlockOfNoncesIsGivenUp) {
  const std::string key = csa_.create(app(billing), "SM4-GCM", "encryption");
  must(encrypt(key));  // reserves 4 of 8, uses 1
  csa_.restart();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(must(must(encrypt(key)).integer("version")), 1) << i;
  EXPECT_EQ(must(must(encrypt(key)).integer("version")), 2) << "never more than 8, whatever was lost";
}

TEST_P(CsaStoresTest, KeysSurviveARestart) {
  const std::string key = csa_.create(app(billing), "AES-256-GCM", "encryption");
  const std::string sealed = text(must(encrypt(key)), "ciphertext");
  csa_.restart();
  EXPECT_EQ(text(must(decrypt(key, sealed)), "plaintext"), a_plaintext);
}

TEST_P(CsaStoresTest, ARowThatWasMovedOrChangedDoesNotOpen) {
  const std::string one = csa_.create(app(billing), "SM4-GCM", "encryption");
  const std::string two = csa_.create(app(billing), "SM4-GCM", "encryption");
  const std::string sealed = text(must(encrypt(one)), "ciphertext");
  must(csa_.store().transact([&](store::Transaction& transaction) {
    return transaction.run("UPDATE csa_version SET sealed = (SELECT sealed FROM csa_version WHERE key_id = ?) WHERE key_id = ?",
                           {must(CsaKeyId::parse_hex(two)).view(), must(CsaKeyId::parse_hex(one)).view()});
  }));
  EXPECT_EQ(refusal(decrypt(one, sealed)), ErrorCode::denied);
}

TEST_F(CsaDeskTest, ADisabledKeyRefusesUntilItIsEnabled) {
  const std::string key = csa_.create(app(billing), "SM4-GCM", "encryption");
  const std::string sealed = text(must(encrypt(key)), "ciphertext");
  must(change(key, "disable", app(billing)));
  const auto refused = decrypt(key, sealed);
  EXPECT_EQ(refusal(refused), ErrorCode::conflict);
  EXPECT_NE(refused.error().message.find("is disabled"), std::string::npos);
  EXPECT_EQ(refusal(encrypt(key)), ErrorCode::conflict);
  EXPECT_EQ(refusal(ask(Operation::rotate_key, billing, Json::object({{"key_id", key}}))), ErrorCode::conflict);
  EXPECT_EQ(refusal(change(key, "disable")), ErrorCode::conflict) << "it is";
  must(change(key, "enable", app(billing)));
  EXPECT_TRUE(decrypt(key, sealed));
}

TEST_P(CsaStoresTest, ADeletionWaitsCanBeCancelledAndIsForGood) {
  const std::string key = csa_.create(app(billing), "SM4-GCM", "encryption");
  const std::string sealed = text(must(encrypt(key)), "ciphertext");
  EXPECT_EQ(refusal(ask(Operation::change_state, billing, Json::object({{"key_id", key}, {"change", "schedule_deletion"}, {"after_s", 60}}))), ErrorCode::invalid_argument);
  const Json scheduled = must(change(key, "schedule_deletion", app(billing)));
  EXPECT_EQ(must(scheduled.integer("delete_ms")), static_cast<std::int64_t>(csa_now + 7 * csa_day_ms));
  EXPECT_EQ(refusal(decrypt(key, sealed)), ErrorCode::conflict) << "refused meanwhile";
  must(change(key, "cancel_deletion", app(billing)));
  must(change(key, "enable", app(billing)));
  must(csa_.desk().sweep(csa_now + 30 * csa_day_ms));
  EXPECT_TRUE(decrypt(key, sealed)) << "it was cancelled";
  must(change(key, "schedule_deletion", app(billing)));
  must(csa_.desk().sweep(csa_now + 7 * csa_day_ms - 1));
  EXPECT_EQ(text(must(administer(Operation::describe_key, Json::object({{"key_id", key}}))), "state"), "deletion_scheduled");
  must(csa_.desk().sweep(csa_now + 7 * csa_day_ms));
  const Json described = must(administer(Operation::describe_key, Json::object({{"key_id", key}})));
  EXPECT_EQ(text(described, "state"), "destroyed");
  EXPECT_TRUE(must(must(described.array("versions")).front().boolean("destroyed")));
  EXPECT_TRUE(csa_.audited("csa.destroying"));
  for (const char* const word : {"enable", "cancel_deletion", "destroy", "trim"}) EXPECT_EQ(refusal(change(key, word)), ErrorCode::conflict) << word;
  EXPECT_EQ(refusal(administer(Operation::set_policy, Json::object({{"key_id", key}, {"policy", grants({})}}))), ErrorCode::conflict);
  EXPECT_EQ(refusal(decrypt(key, sealed)), ErrorCode::conflict);
}

TEST_P(CsaStoresTest, OnlyOperatorsDestroyAtOnceAndOnlyWhatIsNotInUse) {
  const std::string key = csa_.create(app(billing), "HMAC-SM3", "mac");
  EXPECT_EQ(refusal(change(key, "destroy")), ErrorCode::conflict) << "it is enabled";
  must(change(key, "disable"));
  EXPECT_EQ(refusal(change(key, "destroy", app(billing))), ErrorCode::denied);
  must(change(key, "destroy"));
  const auto left = must(csa_.store().transact([&](store::Transaction& transaction) { return load_versions(transaction, must(CsaKeyId::parse_hex(key))); }));
  EXPECT_FALSE(left.front().sealed) << "the octets are gone";
  EXPECT_EQ(refusal(change(key, "dance")), ErrorCode::invalid_argument);
}

/// What `qanat kms restore` does with the database, and the start after it.
void put_back(CsaElement& csa) {
  must(csa.store().transact([&](store::Transaction& transaction) { return begin_life(transaction, csa.now, csa.now, NewLife::restored); }));
  csa.restart();
}

TEST_P(CsaStoresTest, AKeyOfARestoredDatabaseIsSuspendedUntilAnOperatorEnablesIt) {
  const std::string key = csa_.create(app(billing), "SM4-GCM", "encryption");
  const std::string sealed = text(must(encrypt(key)), "ciphertext");
  put_back(csa_);
  const auto refused = decrypt(key, sealed);
  EXPECT_EQ(refusal(refused), ErrorCode::conflict);
  EXPECT_NE(refused.error().message.find("is suspended"), std::string::npos) << refused.error().message;
  EXPECT_EQ(refusal(encrypt(key)), ErrorCode::conflict);
  for (const char* const word : {"enable", "disable", "trim"}) EXPECT_EQ(refusal(change(key, word, app(billing))), ErrorCode::denied) << word << " by its owner";
  for (const char* const word : {"schedule_deletion", "cancel_deletion"}) EXPECT_EQ(refusal(change(key, word)), ErrorCode::conflict) << word;
  must(change(key, "enable"));
  EXPECT_TRUE(csa_.audited(key + " enable"));
  EXPECT_TRUE(decrypt(key, sealed));
  EXPECT_EQ(must(must(encrypt(key)).integer("version")), 2) << "which nonces the former one has had is not known";
}

TEST_P(CsaStoresTest, AfterARestorationNoTotalHasAnythingLeft) {
  Json counted = grant(billing, {"encrypt"});
  counted.set("total", 3);
  const std::string key = csa_.create(the_operator(), "AES-256-GCM", "encryption", grants({counted}));
  must(encrypt(key));
  put_back(csa_);
  must(change(key, "enable"));
  EXPECT_EQ(refusal(encrypt(key)), ErrorCode::exhausted);
  Json raised = grant(billing, {"encrypt"});
  raised.set("total", 5);
  must(administer(Operation::set_policy, Json::object({{"key_id", key}, {"policy", grants({raised})}})));
  EXPECT_TRUE(encrypt(key) && encrypt(key));
  EXPECT_EQ(refusal(encrypt(key)), ErrorCode::exhausted) << "the three of before are counted";
}

TEST_P(CsaStoresTest, WhatWasToBeDestroyedIsDestroyedAfterARestorationToo) {
  const auto described = [&](const std::string& key) { return must(administer(Operation::describe_key, Json::object({{"key_id", key}}))); };
  const std::string ends = csa_.create(app(billing), "SM4-GCM", "encryption");
  const std::string stays = csa_.create(app(billing), "SM4-GCM", "encryption");
  for (const std::string& key : {ends, stays}) must(change(key, "schedule_deletion", app(billing)));
  put_back(csa_);
  EXPECT_EQ(text(described(ends), "state"), "suspended");
  EXPECT_EQ(must(described(ends).integer("delete_ms")), static_cast<std::int64_t>(csa_now + 7 * csa_day_ms));
  EXPECT_EQ(refusal(change(ends, "cancel_deletion", app(billing))), ErrorCode::conflict);
  must(change(stays, "enable"));
  EXPECT_FALSE(described(stays).has("delete_ms"));
  must(csa_.desk().sweep(csa_now + 7 * csa_day_ms));
  EXPECT_EQ(text(described(ends), "state"), "destroyed");
  EXPECT_EQ(text(described(stays), "state"), "enabled");
  put_back(csa_);
  EXPECT_EQ(text(described(ends), "state"), "destroyed");
  const std::string trimmed = csa_.create(app(billing), "SM4-GCM", "encryption");
  must_ask(Operation::rotate_key, billing, Json::object({{"key_id", trimmed}}));
  put_back(csa_);
  must(administer(Operation::set_policy, Json::object({{"key_id", trimmed}, {"minimum_version", 2}})));
  must(change(trimmed, "trim"));
  EXPECT_TRUE(must(must(described(trimmed).array("versions")).front().boolean("destroyed"))) << "before it is enabled";
  must(change(trimmed, "destroy"));
}

Json enable_all() { return Json::object({{"change", "enable"}, {"all_after_restoration", true}}); }

TEST_P(CsaStoresTest, AfterARestorationOneWordEnablesWhatWasEnabledAndNothingElse) {
  const auto described = [&](const std::string& key) { return must(administer(Operation::describe_key, Json::object({{"key_id", key}}))); };
  std::vector<std::string> in_use;
  std::vector<std::string> sealed;
  for (int i = 0; i < 3; ++i) in_use.push_back(csa_.create(app(billing), "SM4-GCM", "encryption"));
  std::ranges::sort(in_use);
  for (const std::string& key : in_use) sealed.push_back(text(must(encrypt(key)), "ciphertext"));
  const std::string off = csa_.create(app(billing), "SM4-GCM", "encryption");
  must(change(off, "disable"));
  const std::string ends = csa_.create(app(billing), "SM4-GCM", "encryption");
  must(change(ends, "schedule_deletion", app(billing)));
  const std::string gone = csa_.create(app(billing), "SM4-GCM", "encryption");
  must(change(gone, "disable"));
  must(change(gone, "destroy"));
  const std::string past =
      text(must_ask(Operation::create_key, billing, Json::object({{"algorithm", "SM4-GCM"}, {"usage", "encryption"}, {"not_after_ms", csa_now + 1000}})), "key_id");
  put_back(csa_);
  put_back(csa_);  // what they were before the first is still known
  csa_.now = csa_now + 1000;

  std::vector<std::string> enabled;
  const auto enable = [&](bool more, std::int64_t still_suspended) {
    const Json answer = must(administer(Operation::change_state, enable_all()));
    const std::vector<std::string> keys = must(answer.texts("enabled"));
    enabled.insert(enabled.end(), keys.begin(), keys.end());
    EXPECT_EQ(must(answer.boolean("more")), more);
    EXPECT_EQ(must(answer.integer("still_suspended")), still_suspended);
  };
  enable(true, 4);
  EXPECT_EQ(enabled, (std::vector<std::string>{in_use[0], in_use[1]})) << "so many at once";
  enable(false, 3);
  enable(false, 3);
  EXPECT_EQ(enabled, in_use) << "each once, and the same again changes nothing";
  for (std::size_t i = 0; i < in_use.size(); ++i) {
    EXPECT_TRUE(csa_.audited(in_use[i] + " enable"));
    EXPECT_FALSE(described(in_use[i]).has("suspended_from"));
    EXPECT_TRUE(decrypt(in_use[i], sealed[i]));
  }
  for (const auto& [key, before] : {std::pair(off, "disabled"), std::pair(ends, "deletion_scheduled"), std::pair(past, "enabled")}) {
    EXPECT_EQ(text(described(key), "state"), "suspended") << before;
    EXPECT_EQ(text(described(key), "suspended_from"), before);
    EXPECT_FALSE(csa_.audited(key + " enable")) << before;
  }
  EXPECT_TRUE(described(ends).has("delete_ms")) << "its deletion is not cancelled";
  EXPECT_EQ(text(described(gone), "state"), "destroyed");
  EXPECT_EQ(text(must(change(off, "enable")), "state"), "enabled") << "by its name";
}

TEST_P(CsaStoresTest, OnlyOperatorsEnableAllAndNothingElseIsDoneToAll) {
  const std::string key = csa_.create(app(billing), "SM4-GCM", "encryption");
  put_back(csa_);
  EXPECT_EQ(refusal(ask(Operation::change_state, billing, enable_all())), ErrorCode::denied) << "not even of its own keys";
  EXPECT_TRUE(csa_.audited("all_after_restoration enable") && csa_.audited("only operators enable the keys of a database that was restored")) << "on record";
  const auto tried = [&](const Json& body) {
    const auto answer = administer(Operation::change_state, body);
    EXPECT_EQ(refusal(answer), ErrorCode::invalid_argument) << body.dump();
    return answer ? std::string() : answer.error().message;
  };
  EXPECT_EQ(tried(Json::object({{"change", "destroy"}, {"all_after_restoration", true}})), "all_after_restoration: goes with the change enable alone");
  EXPECT_EQ(tried(enable_all().set("key_id", key)), "all_after_restoration: does not go with key_id");
  EXPECT_EQ(tried(enable_all().set("after_s", 60)), "all_after_restoration: does not go with after_s");
  for (const Json& body : {Json::object({{"change", "enable"}}), Json::object({{"change", "enable"}, {"all_after_restoration", false}})}) {
    EXPECT_EQ(tried(body), "key_id: is missing");
  }
  EXPECT_EQ(text(must(administer(Operation::describe_key, Json::object({{"key_id", key}}))), "state"), "suspended");
}

TEST_F(CsaDeskTest, EachKeyIsEnabledOnceWhereTheWorkRunsTwice) {
  csa_.repeat_works();
  const std::string key = csa_.create(app(billing), "SM4-GCM", "encryption");
  put_back(csa_);
  const Json answer = must(administer(Operation::change_state, enable_all()));
  EXPECT_EQ(must(answer.texts("enabled")), std::vector<std::string>{key});
  EXPECT_TRUE(csa_.audited(key + " enable"));
}

TEST_P(CsaStoresTest, OfADestroyedVersionTheCommitmentStaysInItsRowAndOnRecord) {
  Bytes octets(16);
  for (std::size_t i = 0; i < octets.size(); ++i) octets[i] = static_cast<std::uint8_t>(i);
  const CsaKeyId id(octets);
  csa_.plant(id, "SM4-GCM", "encryption", Secret::copy_of(octets));
  const std::string key = id.hex();
  must_ask(Operation::rotate_key, billing, Json::object({{"key_id", key}}));
  const auto versions = [&] { return must(must(administer(Operation::describe_key, Json::object({{"key_id", key}}))).array("versions")); };
  EXPECT_FALSE(versions().front().has("commitment")) << "it is there still";
  must_ask(Operation::set_policy, billing, Json::object({{"key_id", key}, {"minimum_version", 2}}));
  must(change(key, "trim"));
  const std::string known = "632cf16281ea50f3fbb6b70286a1d942d99ec638fbb4273accc4f93ba3d19a07";  // tests/vectors/keys/commitment.py
  EXPECT_TRUE(csa_.audited("csa.destroyed") && csa_.audited(key + "/1") && csa_.audited("(commitment " + known + ")"));
  EXPECT_EQ(text(versions().front(), "commitment"), known);
  EXPECT_FALSE(versions().back().has("commitment"));
  must(change(key, "schedule_deletion"));
  must(csa_.desk().sweep(csa_now + 7 * csa_day_ms));
  const std::string other = text(versions().back(), "commitment");
  EXPECT_NE(other, known);
  EXPECT_TRUE(csa_.audited(key + "/2") && csa_.audited("(commitment " + other + ")"));
  EXPECT_EQ(text(versions().front(), "commitment"), known) << "it stays";
}

TEST_P(CsaStoresTest, ACommitmentIsToTheOctetsThatAreDestroyed) {
  const std::string key = csa_.create(app(billing), "SM2", "signature");
  const CsaKeyId id = must(CsaKeyId::parse_hex(key));
  const auto stored = [&] { return must(csa_.store().transact([&](store::Transaction& transaction) { return load_versions(transaction, id); })).front(); };
  const KeyVersion before = stored();
  KeySealer sealer(csa_.node().device());
  const Secret material = must(sealer.unseal(id, 1, *before.sealed));
  EXPECT_EQ(before.commitment, commitment_of(id, 1, material));
  must(change(key, "disable"));
  must(change(key, "destroy"));
  EXPECT_FALSE(stored().sealed);
  EXPECT_EQ(stored().commitment, before.commitment);
  EXPECT_TRUE(csa_.audited("(commitment " + to_hex(before.commitment) + ")"));
}

TEST_P(CsaStoresTest, WhatIsDestroyedIsOwedToTheRecordInTheTransactionThatDestroysIt) {
  const std::string key = csa_.create(app(billing), "SM4-GCM", "encryption");
  const auto owed = network_.rng().id<OwedId>();
  must(csa_.store().transact([&](store::Transaction& transaction) {
    return destroy_below(transaction, must(CsaKeyId::parse_hex(key)), 2, {.owed = owed, .by = billing, .at_ms = csa_now});
  }));
  EXPECT_FALSE(csa_.audited("csa.destroyed")) << "as if killed here";
  must(pay_records(csa_.node(), csa_.store(), owed));
  EXPECT_TRUE(csa_.audited("csa.destroyed") && csa_.audited(key + "/1"));
}

TEST_P(CsaStoresTest, APolicySaysWhoMayDoWhat) {
  const std::string key = csa_.create(the_operator(), "SM4-GCM", "encryption", grants({grant(billing, {"encrypt"}), grant(payroll, {"encrypt", "decrypt"})}));
  const std::string sealed = text(must(encrypt(key, billing)), "ciphertext");
  const auto not_granted = decrypt(key, sealed, billing);
  EXPECT_EQ(refusal(not_granted), ErrorCode::denied);
  EXPECT_NE(not_granted.error().message.find("does not grant decrypt to " + billing), std::string::npos);
  EXPECT_EQ(text(must(decrypt(key, sealed, payroll)), "plaintext"), a_plaintext);
  const auto nothing = encrypt(key, stranger);
  EXPECT_EQ(refusal(nothing), ErrorCode::denied);
  EXPECT_NE(nothing.error().message.find("grants " + stranger + " nothing"), std::string::npos);
  EXPECT_TRUE(csa_.audited("grants " + stranger + " nothing")) << "on record";
  EXPECT_EQ(refusal(csa_.ask(Operation::decrypt, the_operator(), Json::object({{"key_id", key}, {"ciphertext", sealed}}))), ErrorCode::denied)
      << "who administers keys does not use them";
  EXPECT_EQ(refusal(ask(Operation::set_policy, payroll, Json::object({{"key_id", key}, {"policy", grants({})}}))), ErrorCode::denied);
  must(administer(Operation::set_policy, Json::object({{"key_id", key}, {"policy", grants({grant(payroll, {"decrypt"})})}})));
  EXPECT_EQ(refusal(encrypt(key, billing)), ErrorCode::denied) << "from then on";
  EXPECT_EQ(refusal(encrypt(std::string(32, '0'))), ErrorCode::not_found);
}

TEST_P(CsaStoresTest, AGrantHasABeginningAnEndARateAndATotal) {
  Json timed = grant(billing, {"encrypt"});
  timed.set("not_before_ms", csa_now + 1000).set("not_after_ms", csa_now + 2000);
  const std::string key = csa_.create(the_operator(), "AES-256-GCM", "encryption", grants({timed}));
  EXPECT_EQ(refusal(encrypt(key)), ErrorCode::denied) << "not yet";
  csa_.now = csa_now + 1000;
  EXPECT_TRUE(encrypt(key));
  csa_.now = csa_now + 2000;
  EXPECT_EQ(refusal(encrypt(key)), ErrorCode::denied) << "no longer";

  Json rated = grant(billing, {"encrypt"});
  rated.set("per_minute", 2);
  must(administer(Operation::set_policy, Json::object({{"key_id", key}, {"policy", grants({rated})}})));
  EXPECT_TRUE(encrypt(key) && encrypt(key));
  EXPECT_EQ(refusal(encrypt(key)), ErrorCode::exhausted);
  csa_.now += 60'000;
  EXPECT_TRUE(encrypt(key)) << "another minute";

  Json counted = grant(billing, {"encrypt"});
  counted.set("total", 3);
  must(administer(Operation::set_policy, Json::object({{"key_id", key}, {"policy", grants({counted})}})));
  EXPECT_TRUE(encrypt(key) && encrypt(key));
  csa_.restart();
  EXPECT_TRUE(encrypt(key));
  EXPECT_EQ(refusal(encrypt(key)), ErrorCode::exhausted) << "also after a restart";
  must(administer(Operation::set_policy, Json::object({{"key_id", key}, {"policy", grants({counted})}})));
  EXPECT_EQ(refusal(encrypt(key)), ErrorCode::exhausted) << "saying it again is no new total";
}

TEST_F(CsaDeskTest, AWorkThatRunsAgainIsCountedOnce) {
  Json rated = grant(billing, {"encrypt"});
  rated.set("per_minute", 2).set("total", 3);
  const std::string key = csa_.create(the_operator(), "AES-256-GCM", "encryption", grants({rated}));
  csa_.repeat_works();
  EXPECT_TRUE(encrypt(key) && encrypt(key));
  EXPECT_EQ(refusal(encrypt(key)), ErrorCode::exhausted) << "the minute's";
  csa_.now += 60'000;
  EXPECT_TRUE(encrypt(key));
  EXPECT_EQ(refusal(encrypt(key)), ErrorCode::exhausted) << "the total";
}

TEST_F(CsaDeskTest, APolicyThatSaysNothingClearIsRefused) {
  const auto tried = [&](const Json& policy) {
    return refusal(administer(Operation::create_key, Json::object({{"algorithm", "SM4-GCM"}, {"usage", "encryption"}, {"policy", policy}})));
  };
  EXPECT_EQ(tried(grants({grant("qanat://a/kms/kms-a", {"encrypt"})})), ErrorCode::invalid_argument) << "no application";
  EXPECT_EQ(tried(grants({grant("billing", {"encrypt"})})), ErrorCode::invalid_argument);
  EXPECT_EQ(tried(grants({grant("foreign:", {"encrypt"})})), ErrorCode::invalid_argument);
  EXPECT_EQ(tried(grants({grant(billing, {})})), ErrorCode::invalid_argument);
  EXPECT_EQ(tried(grants({grant(billing, {"create_key"})})), ErrorCode::invalid_argument);
  EXPECT_EQ(tried(grants({grant(billing, {"encrypt"}), grant(billing, {"decrypt"})})), ErrorCode::invalid_argument) << "twice";
  Json backwards = grant(billing, {"encrypt"});
  backwards.set("not_before_ms", 2).set("not_after_ms", 1);
  EXPECT_EQ(tried(grants({backwards})), ErrorCode::invalid_argument);
  EXPECT_EQ(tried(Json::object({{"grant", Json::array()}})), ErrorCode::invalid_argument) << "a member that is none";
  EXPECT_EQ(tried(grants(std::vector<Json>(grants_max + 1, grant(billing, {"encrypt"})))), ErrorCode::invalid_argument);
  const Json no_kem = Json::object({{"algorithm", "SM2"}, {"public_key", base64("x")}});
  EXPECT_EQ(tried(Json::object({{"export_under", Json::array({no_kem})}})), ErrorCode::invalid_argument);
  const Json short_key = Json::object({{"algorithm", "SM2+ML-KEM-768"}, {"public_key", base64("x")}});
  EXPECT_EQ(tried(Json::object({{"export_under", Json::array({short_key})}})), ErrorCode::invalid_argument);
}

TEST_P(CsaStoresTest, ApplicationsOwnSoManyKeysAndSeeTheirsAlone) {
  DeskLimits two = small_limits;
  two.keys_per_application = 2;
  CsaElement csa(network_, "qanat://a/kms/kms-two", two, GetParam());
  const Json body = Json::object({{"algorithm", "HMAC-SM3"}, {"usage", "mac"}});
  must(csa.ask(Operation::create_key, app(billing), body));
  const std::string key = csa.create(app(billing), "HMAC-SM3", "mac");
  EXPECT_EQ(refusal(csa.ask(Operation::create_key, app(billing), body)), ErrorCode::exhausted);
  const std::string granted = csa.create(app(payroll), "HMAC-SM3", "mac", grants({grant(billing, {"mac"}), grant(stranger, {"mac"})}));
  const auto listed = [&](const Caller& caller) { return must(must(csa.ask(Operation::list_keys, caller, Json::object())).array("keys")).size(); };
  EXPECT_EQ(listed(app(billing)), 3U);
  EXPECT_EQ(listed(app(payroll)), 1U);
  EXPECT_EQ(listed(the_operator()), 3U);
  EXPECT_EQ(refusal(csa.ask(Operation::describe_key, app(stranger), Json::object({{"key_id", key}}))), ErrorCode::denied);
  const Json shown = must(must(csa.ask(Operation::list_keys, app(stranger), Json::object())).array("keys")).front();
  EXPECT_EQ(must(must(shown.object("policy")).array("grants")).size(), 1U) << "its own grant and nobody else's";
  EXPECT_EQ(text(shown, "key_id"), granted);
}

Json named_creation(const std::string& creation_id, const std::string& label = "invoices") {
  return Json::object({{"algorithm", "SM2"}, {"usage", "signature"}, {"label", label}, {"creation_id", creation_id}});
}

TEST_P(CsaStoresTest, TheSameCreationAgainGivesTheSameAnswerAndNoSecondKey) {
  const Json first = must_ask(Operation::create_key, billing, named_creation("order-17"));
  EXPECT_EQ(must_ask(Operation::create_key, billing, named_creation("order-17")).dump(), first.dump());
  must_ask(Operation::rotate_key, billing, Json::object({{"key_id", text(first, "key_id")}}));
  csa_.restart();
  EXPECT_EQ(must_ask(Operation::create_key, billing, named_creation("order-17")).dump(), first.dump()) << "that of its first version, also after a restart";
  EXPECT_EQ(must(must_ask(Operation::list_keys, billing, Json::object()).array("keys")).size(), 1U);
  EXPECT_NE(text(must_ask(Operation::create_key, billing, named_creation("order-18")), "key_id"), text(first, "key_id"));
  EXPECT_NE(text(must_ask(Operation::create_key, payroll, named_creation("order-17")), "key_id"), text(first, "key_id")) << "names are each caller's own";
}

TEST_P(CsaStoresTest, ACreationOfTheSameNameThatSaysSomethingElseIsRefused) {
  must_ask(Operation::create_key, billing, named_creation("order-17"));
  const auto refused = ask(Operation::create_key, billing, named_creation("order-17", "receipts"));
  EXPECT_EQ(refusal(refused), ErrorCode::conflict);
  EXPECT_NE(refused.error().message.find("said something else"), std::string::npos) << refused.error().message;
  Json other = named_creation("order-17");
  other.set("policy", grants({grant(billing, {"sign"})}));
  EXPECT_EQ(refusal(ask(Operation::create_key, billing, other)), ErrorCode::conflict);
  for (const std::string& wrong : {std::string(), std::string("two words"), std::string("line\n"), std::string(creation_id_octets_max + 1, 'x')}) {
    EXPECT_EQ(refusal(ask(Operation::create_key, billing, named_creation(wrong))), ErrorCode::invalid_argument) << wrong;
  }
  EXPECT_EQ(must(must_ask(Operation::list_keys, billing, Json::object()).array("keys")).size(), 1U);
}

TEST_P(CsaStoresTest, ACreationThatWasRefusedMayBeMadeLater) {
  DeskLimits one = small_limits;
  one.keys_per_application = 1;
  CsaElement csa(network_, "qanat://a/kms/kms-one", one, GetParam());
  const std::string key = csa.create(app(billing), "SM2", "signature");
  EXPECT_EQ(refusal(csa.ask(Operation::create_key, app(billing), named_creation("order-17"))), ErrorCode::exhausted);
  must(csa.ask(Operation::change_state, the_operator(), Json::object({{"key_id", key}, {"change", "disable"}})));
  must(csa.ask(Operation::change_state, the_operator(), Json::object({{"key_id", key}, {"change", "destroy"}})));
  EXPECT_TRUE(csa.ask(Operation::create_key, app(billing), named_creation("order-17")));
}

TEST_P(CsaStoresTest, AKeyPastItsTimeProtectsNothingNewAndOpensWhatItSealed) {
  const UnixMs end = csa_now + 1000;
  const auto create = [&](const char* algorithm, const char* usage) {
    return text(must_ask(Operation::create_key, billing, Json::object({{"algorithm", algorithm}, {"usage", usage}, {"not_after_ms", end}})), "key_id");
  };
  const Json message = Json::object({{"message", base64("pay")}});
  const auto of = [](const std::string& key, Json body) {
    body.set("key_id", key);
    return body;
  };
  const std::string sealing = create("SM4-GCM", "encryption");
  const std::string signing = create("ECDSA-P384", "signature");
  const std::string mac = create("HMAC-SM3", "mac");
  const std::string kem = create("SM2+ML-KEM-768", "encapsulation");
  const std::string proving = create("HMAC-SM3", "authentication");
  const std::string sealed = text(must(encrypt(sealing)), "ciphertext");
  const std::string wrapped = text(must_ask(Operation::generate_data_key, billing, Json::object({{"key_id", sealing}})), "wrapped");
  const std::string signature = text(must_ask(Operation::sign, billing, of(signing, message)), "signature");
  const std::string tag = text(must_ask(Operation::mac, billing, of(mac, message)), "mac");
  const std::string encapsulation = text(must_ask(Operation::encapsulate, billing, Json::object({{"key_id", kem}})), "encapsulation");
  const Json by_challenge = Json::object({{"key_id", proving}, {"challenge", base64(std::string(32, 'c'))}, {"verifier", payroll}});
  EXPECT_TRUE(ask(Operation::prove, billing, by_challenge));
  const auto holds = [&] {
    EXPECT_EQ(refusal(encrypt(sealing)), ErrorCode::conflict);
    EXPECT_EQ(refusal(ask(Operation::generate_data_key, billing, Json::object({{"key_id", sealing}}))), ErrorCode::conflict);
    EXPECT_EQ(refusal(ask(Operation::rotate_key, billing, Json::object({{"key_id", sealing}}))), ErrorCode::conflict);
    EXPECT_EQ(refusal(ask(Operation::export_key, billing, Json::object({{"key_id", sealing}, {"public_key", base64("k")}}))), ErrorCode::conflict);
    EXPECT_EQ(refusal(ask(Operation::sign, billing, of(signing, message))), ErrorCode::conflict);
    EXPECT_EQ(refusal(ask(Operation::mac, billing, of(mac, message))), ErrorCode::conflict);
    EXPECT_EQ(refusal(ask(Operation::encapsulate, billing, Json::object({{"key_id", kem}}))), ErrorCode::conflict);
    EXPECT_EQ(refusal(ask(Operation::prove, billing, by_challenge)), ErrorCode::conflict);
    EXPECT_EQ(text(must(decrypt(sealing, sealed)), "plaintext"), a_plaintext);
    EXPECT_TRUE(ask(Operation::decrypt_data_key, billing, Json::object({{"key_id", sealing}, {"wrapped", wrapped}})));
    EXPECT_TRUE(must(must_ask(Operation::verify, billing, of(signing, message).set("signature", signature)).boolean("valid")));
    EXPECT_TRUE(must(must_ask(Operation::verify_mac, billing, of(mac, message).set("mac", tag)).boolean("valid")));
    EXPECT_TRUE(ask(Operation::decapsulate, billing, Json::object({{"key_id", kem}, {"encapsulation", encapsulation}})));
    EXPECT_TRUE(ask(Operation::public_key, billing, Json::object({{"key_id", signing}})));
  };
  csa_.now = end - 1;
  EXPECT_TRUE(encrypt(sealing));
  csa_.now = end;
  const auto refused = encrypt(sealing);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("is past its time"), std::string::npos) << refused.error().message;
  holds();  // before anybody has swept
  must(csa_.desk().sweep(end - 1));
  EXPECT_FALSE(csa_.audited("csa.expired"));
  must(csa_.desk().sweep(end));
  EXPECT_TRUE(csa_.audited("csa.expired"));
  const Json described = must_ask(Operation::describe_key, billing, Json::object({{"key_id", sealing}}));
  EXPECT_EQ(text(described, "state"), "expired");
  EXPECT_EQ(must(described.integer("not_after_ms")), static_cast<std::int64_t>(end));
  holds();
  must(administer(Operation::set_policy, Json::object({{"key_id", sealing}, {"policy", grants({grant(billing, {"encrypt"})})}})));
  EXPECT_EQ(refusal(decrypt(sealing, sealed)), ErrorCode::denied) << "its policy says for how long it opens";
}

TEST_P(CsaStoresTest, AKeyPastItsTimeIsNotEnabledAgainAndIsDestroyedLikeOthers) {
  const auto create = [&] {
    return text(must_ask(Operation::create_key, billing, Json::object({{"algorithm", "SM4-GCM"}, {"usage", "encryption"}, {"not_after_ms", csa_now + 1000}})), "key_id");
  };
  const std::string idle = create();
  const std::string ended = create();
  const std::string sealed = text(must(encrypt(ended)), "ciphertext");
  must(change(idle, "disable"));
  csa_.now = csa_now + 1000;
  must(csa_.desk().sweep(csa_.now));
  EXPECT_EQ(text(must(administer(Operation::describe_key, Json::object({{"key_id", idle}}))), "state"), "disabled") << "it opens nothing either";
  EXPECT_EQ(text(must(change(idle, "enable")), "state"), "expired");
  for (const char* const word : {"enable", "disable", "expire"}) EXPECT_FALSE(change(idle, word)) << word;
  must(change(idle, "destroy"));

  must(change(ended, "schedule_deletion", app(billing)));
  EXPECT_TRUE(decrypt(ended, sealed)) << "until then";
  must(change(ended, "cancel_deletion", app(billing)));
  must(csa_.desk().sweep(csa_.now + 8 * csa_day_ms));
  put_back(csa_);
  EXPECT_EQ(refusal(decrypt(ended, sealed)), ErrorCode::conflict) << "suspended like all others";
  EXPECT_EQ(text(must(change(ended, "enable")), "state"), "expired");
  EXPECT_TRUE(decrypt(ended, sealed));
  must(change(ended, "schedule_deletion", app(billing)));
  must(csa_.desk().sweep(csa_.now + 8 * csa_day_ms));
  EXPECT_EQ(text(must(administer(Operation::describe_key, Json::object({{"key_id", ended}}))), "state"), "destroyed");
}

TEST_F(CsaDeskTest, ATimeLimitThatIsOverOrAnotherThanBeforeIsRefused) {
  const auto made = [&](std::int64_t end, const char* creation_id) {
    return ask(Operation::create_key, billing, Json::object({{"algorithm", "SM4-GCM"}, {"usage", "encryption"}, {"creation_id", creation_id}, {"not_after_ms", end}}));
  };
  const auto now = static_cast<std::int64_t>(csa_now);
  const auto over = made(now, "one");
  EXPECT_EQ(refusal(over), ErrorCode::invalid_argument);
  EXPECT_EQ(over.error().message, "not_after_ms: is over");
  EXPECT_EQ(refusal(made(0, "one")), ErrorCode::invalid_argument);
  must(made(now + 1, "one"));
  EXPECT_TRUE(made(now + 1, "one"));
  EXPECT_EQ(refusal(made(now + 2, "one")), ErrorCode::conflict) << "the same name for something else";
}

Json named_rotation(const std::string& key, const std::string& rotation_id) { return Json::object({{"key_id", key}, {"rotation_id", rotation_id}}); }

TEST_P(CsaStoresTest, TheSameRotationAgainGivesTheSameAnswerAndNoFurtherVersion) {
  const std::string key = csa_.create(app(billing), "SM2", "signature");
  const Json first = must_ask(Operation::rotate_key, billing, named_rotation(key, "june"));
  EXPECT_EQ(must(first.integer("version")), 2);
  EXPECT_EQ(must_ask(Operation::rotate_key, billing, named_rotation(key, "june")).dump(), first.dump());
  EXPECT_EQ(must(must_ask(Operation::rotate_key, billing, named_rotation(key, "july")).integer("version")), 3);
  csa_.restart();
  EXPECT_EQ(must_ask(Operation::rotate_key, billing, named_rotation(key, "june")).dump(), first.dump()) << "also after a restart, and when it is not the last";
  EXPECT_EQ(must(must(administer(Operation::rotate_key, named_rotation(key, "june"))).integer("version")), 4) << "names are each caller's own";
  must(change(key, "disable"));
  EXPECT_EQ(must_ask(Operation::rotate_key, billing, named_rotation(key, "june")).dump(), first.dump()) << "its own answer, whatever may be done now";
  EXPECT_EQ(refusal(ask(Operation::rotate_key, billing, named_rotation(key, "august"))), ErrorCode::conflict);
  EXPECT_EQ(must(must(must(administer(Operation::describe_key, Json::object({{"key_id", key}}))).array("versions")).back().integer("version")), 4);
}

TEST_P(CsaStoresTest, ARotationOfTheSameNameOfAnotherKeyIsRefused) {
  const std::string key = csa_.create(app(billing), "SM4-GCM", "encryption");
  const std::string other = csa_.create(app(billing), "SM4-GCM", "encryption");
  must_ask(Operation::rotate_key, billing, named_rotation(key, "june"));
  const auto refused = ask(Operation::rotate_key, billing, named_rotation(other, "june"));
  EXPECT_EQ(refusal(refused), ErrorCode::conflict);
  EXPECT_NE(refused.error().message.find("rotated key " + key + " by a request of this name"), std::string::npos) << refused.error().message;
  for (const std::string& wrong : {std::string(), std::string("two words"), std::string("line\n"), std::string(creation_id_octets_max + 1, 'x')}) {
    EXPECT_EQ(refusal(ask(Operation::rotate_key, billing, named_rotation(other, wrong))), ErrorCode::invalid_argument) << wrong;
  }
  EXPECT_EQ(refusal(ask(Operation::rotate_key, stranger, named_rotation(key, "june"))), ErrorCode::denied) << "another caller's name is no right";
  EXPECT_EQ(must(must(administer(Operation::describe_key, Json::object({{"key_id", other}}))).integer("version")), 1);
}

TEST_P(CsaStoresTest, ListsGoOnWhereTheyEnded) {
  DeskLimits many = small_limits;
  many.keys_per_application = 1000;
  CsaElement csa(network_, "qanat://a/kms/kms-many", many, GetParam());
  for (std::size_t i = 0; i < listed_keys_max + 1; ++i) csa.plant(CsaKeyId(Bytes(CsaKeyId::size, static_cast<std::uint8_t>(i))), "SM4-GCM", "encryption", Secret(16));
  const Json first = must(csa.ask(Operation::list_keys, the_operator(), Json::object()));
  EXPECT_TRUE(must(first.boolean("more")));
  const std::string last = text(must(first.array("keys")).back(), "key_id");
  const Json rest = must(csa.ask(Operation::list_keys, the_operator(), Json::object({{"after", last}})));
  EXPECT_FALSE(must(rest.boolean("more")));
  EXPECT_EQ(must(rest.array("keys")).size(), 1U);
}

TEST_F(CsaDeskTest, AKeyGoesToAnotherDomainUnderTheKeyThatItsPolicyNames) {
  CsaElement there(network_, "qanat://b/kms/kms-b", small_limits, test::StoreKind::sqlite, {test::identity("qanat://a/kms/kms-a")});
  const Json receiver = must(there.ask(Operation::create_key, app(payroll), Json::object({{"algorithm", "SM2+ML-KEM-768"}, {"usage", "encapsulation"}})));
  const Json target = Json::object({{"algorithm", "SM2+ML-KEM-768"}, {"public_key", text(receiver, "public_key")}});
  Json policy = grants({grant(billing, {"encrypt", "export_key"})});
  const std::string kept = csa_.create(the_operator(), "SM4-GCM", "encryption", policy);
  const auto exported = [&](const std::string& key, const std::string& caller = billing) {
    return ask(Operation::export_key, caller, Json::object({{"key_id", key}, {"public_key", text(receiver, "public_key")}, {"context", "to b"}}));
  };
  EXPECT_EQ(refusal(exported(kept)), ErrorCode::denied) << "its policy names no such key";
  policy.set("export_under", Json::array({target}));
  EXPECT_EQ(refusal(ask(Operation::create_key, billing, Json::object({{"algorithm", "SM4-GCM"}, {"usage", "encryption"}, {"policy", policy}}))), ErrorCode::denied)
      << "an application does not say where keys may go";
  const std::string key = csa_.create(the_operator(), "SM4-GCM", "encryption", policy);
  EXPECT_EQ(refusal(exported(key, payroll)), ErrorCode::denied) << "no grant";
  const Json wrapped = must(exported(key));
  const std::string sealed = text(must(encrypt(key, billing, "invoice 7")), "ciphertext");
  const auto import = [&](const Json& exported_key, const char* context) {
    return there.ask(Operation::import_key, app(payroll),
                     Json::object({{"under", text(receiver, "key_id")},
                                   {"algorithm", "SM4-GCM"},
                                   {"usage", "encryption"},
                                   {"wrapped", text(exported_key, "wrapped")},
                                   {"statement", text(exported_key, "statement")},
                                   {"context", context}}));
  };
  EXPECT_EQ(refusal(import(wrapped, "to c")), ErrorCode::denied);
  const std::string imported = text(must(import(wrapped, "to b")), "key_id");
  EXPECT_TRUE(there.audited(key + "/1 from qanat://a/kms/kms-a"));
  EXPECT_EQ(imported, key) << "it keeps its name";
  const auto opened = [&](const std::string& ciphertext) {
    return there.ask(Operation::decrypt, app(payroll), Json::object({{"key_id", key}, {"ciphertext", ciphertext}, {"context", "invoice 7"}}));
  };
  EXPECT_EQ(text(must(opened(sealed)), "plaintext"), a_plaintext) << "what was sealed in one domain opens in the other";
  EXPECT_EQ(refusal(there.ask(Operation::encrypt, app(payroll), Json::object({{"key_id", key}, {"plaintext", a_plaintext}}))), ErrorCode::conflict)
      << "one CSA seals with a key, so that one counts its nonces";
  EXPECT_EQ(refusal(there.ask(Operation::rotate_key, app(payroll), Json::object({{"key_id", key}}))), ErrorCode::conflict);
  EXPECT_EQ(refusal(import(wrapped, "to b")), ErrorCode::conflict) << "this version is there";
  must(administer(Operation::rotate_key, Json::object({{"key_id", key}})));
  const std::string later = text(must(encrypt(key, billing, "invoice 7")), "ciphertext");
  EXPECT_EQ(refusal(opened(later)), ErrorCode::not_found) << "not yet";
  must(import(must(exported(key)), "to b"));
  EXPECT_TRUE(opened(later) && opened(sealed)) << "a further version joins";
  EXPECT_EQ(refusal(there.ask(Operation::import_key, app(billing),
                              Json::object({{"under", text(receiver, "key_id")},
                                            {"algorithm", "SM4-GCM"},
                                            {"usage", "encryption"},
                                            {"wrapped", text(wrapped, "wrapped")},
                                            {"statement", text(wrapped, "statement")},
                                            {"context", "to b"}}))),
            ErrorCode::denied)
      << "under a key of somebody else";
}

TEST_F(CsaDeskTest, AnExportedKeyIsBoundToItsNameVersionAlgorithmAndUsage) {
  CsaElement there(network_, "qanat://b/kms/kms-b", small_limits, test::StoreKind::sqlite, {test::identity("qanat://a/kms/kms-a")});
  const Json receiver = must(there.ask(Operation::create_key, app(payroll), Json::object({{"algorithm", "SM2+ML-KEM-768"}, {"usage", "encapsulation"}})));
  Json policy = grants({grant(billing, {"mac", "export_key"})});
  policy.set("export_under", Json::array({Json::object({{"algorithm", "SM2+ML-KEM-768"}, {"public_key", text(receiver, "public_key")}})}));
  const std::string key = csa_.create(the_operator(), "HMAC-SM3", "mac", policy);
  const Json exported = must_ask(Operation::export_key, billing, Json::object({{"key_id", key}, {"public_key", text(receiver, "public_key")}}));
  const Bytes wrapped = must(exported.base64("wrapped"));
  const auto import = [&](const Bytes& octets, const char* algorithm, const char* usage, const Bytes& statement) {
    return there.ask(Operation::import_key, app(payroll),
                     Json::object({{"under", text(receiver, "key_id")},
                                   {"algorithm", algorithm},
                                   {"usage", usage},
                                   {"wrapped", wire::to_base64(octets)},
                                   {"statement", wire::to_base64(statement)}}));
  };
  const Bytes statement = must(exported.base64("statement"));
  EXPECT_EQ(refusal(import(wrapped, "HMAC-SM3", "authentication", statement)), ErrorCode::denied) << "it makes MACs, and proves nobody's identity";
  EXPECT_EQ(refusal(import(wrapped, "HMAC-SHA256", "mac", statement)), ErrorCode::denied) << "of the same length";
  for (const std::size_t at : {std::size_t{2}, sealed_header_octets - 1, wrapped.size() - 1}) {  // in its id, in its version, in its tag
    Bytes changed = wrapped;
    changed[at] ^= 2U;
    // By its own seal, whatever is said of it.
    EXPECT_EQ(refusal(import(changed, "HMAC-SM3", "mac", must(make_export_statement(csa_.node(), changed)))), ErrorCode::denied) << at;
  }
  EXPECT_EQ(text(must(import(wrapped, "HMAC-SM3", "mac", statement)), "key_id"), key);
}

TEST_F(CsaDeskTest, AWrappedKeyIsTakenOnTheWordOfAPeerAlone) {
  CsaElement there(network_, "qanat://b/kms/kms-b", small_limits, test::StoreKind::sqlite, {test::identity("qanat://a/kms/kms-a")});
  CsaElement stranger_kms(network_, "qanat://c/kms/kms-c", small_limits);
  const Json receiver = must(there.ask(Operation::create_key, app(payroll), Json::object({{"algorithm", "SM2+ML-KEM-768"}, {"usage", "encapsulation"}})));
  const auto wrapped_by_anybody = [&](std::uint32_t version) {  // who has the public key
    const Algorithm& mac = *must(find_algorithm("HMAC-SM3"));
    const SealedHeader header{.kind = SealedKind::exported_key, .key = network_.rng().id<CsaKeyId>(), .version = version};
    return must(wrap_key(*must(find_algorithm("SM2+ML-KEM-768")), must(receiver.base64("public_key")), header, {.algorithm = mac, .usage = Usage::mac}, "",
                         Secret(mac.material), network_.rng()));
  };
  const auto import = [&](const Bytes& wrapped, const Bytes& statement) {
    return there.ask(Operation::import_key, app(payroll),
                     Json::object({{"under", text(receiver, "key_id")},
                                   {"algorithm", "HMAC-SM3"},
                                   {"usage", "mac"},
                                   {"wrapped", wire::to_base64(wrapped)},
                                   {"statement", wire::to_base64(statement)}}));
  };
  const Bytes wrapped = wrapped_by_anybody(1);
  EXPECT_EQ(refusal(import(wrapped, Bytes(100))), ErrorCode::invalid_argument) << "no statement";
  EXPECT_EQ(refusal(import(wrapped, must(make_export_statement(csa_.node(), wrapped_by_anybody(1))))), ErrorCode::denied) << "of another wrapped key";
  const auto foreign = import(wrapped, must(make_export_statement(stranger_kms.node(), wrapped)));
  EXPECT_EQ(refusal(foreign), ErrorCode::denied);
  EXPECT_NE(foreign.error().message.find("is no KMS among the peers"), std::string::npos) << foreign.error().message;
  Bytes altered = must(make_export_statement(csa_.node(), wrapped));
  altered[4 + 2 + 64] ^= 1U;  // in the signature
  EXPECT_EQ(refusal(import(wrapped, altered)), ErrorCode::denied);
  for (const std::uint32_t version : {0U, versions_max + 1}) {
    const Bytes odd = wrapped_by_anybody(version);
    EXPECT_EQ(refusal(import(odd, must(make_export_statement(csa_.node(), odd)))), ErrorCode::invalid_argument) << version;
  }
  EXPECT_TRUE(import(wrapped, must(make_export_statement(csa_.node(), wrapped))));
}

TEST_F(CsaDeskTest, AnOwnerWhoIsNoOperatorKeepsTheExportTargets) {
  const std::string key = csa_.create(app(billing), "SM4-GCM", "encryption");
  const Json receiver = must_ask(Operation::create_key, billing, Json::object({{"algorithm", "SM2+ML-KEM-768"}, {"usage", "encapsulation"}}));
  Json policy = grants({grant(billing, {"encrypt"})});
  policy.set("export_under", Json::array({Json::object({{"algorithm", "SM2+ML-KEM-768"}, {"public_key", text(receiver, "public_key")}})}));
  const Json body = Json::object({{"key_id", key}, {"policy", policy}});
  EXPECT_EQ(refusal(ask(Operation::set_policy, billing, body)), ErrorCode::denied);
  must(administer(Operation::set_policy, body));
  EXPECT_TRUE(ask(Operation::set_policy, billing, body)) << "as they are";
  EXPECT_EQ(refusal(ask(Operation::set_policy, billing, Json::object({{"key_id", key}, {"policy", grants({})}}))), ErrorCode::denied);
}

TEST_F(CsaDeskTest, ABatchHasAResultForEachItem) {
  const std::string key = csa_.create(app(billing), "SM4-GCM", "encryption");
  const auto item = [&](const std::string& plaintext) { return Json::object({{"operation", "encrypt"}, {"key_id", key}, {"plaintext", base64(plaintext)}}); };
  const Json bad = Json::object({{"operation", "encrypt"}, {"key_id", "zz"}, {"plaintext", base64("lost")}});
  const Json unknown = Json::object({{"operation", "create_key"}, {"algorithm", "SM4-GCM"}, {"usage", "encryption"}});
  const Json answer = must_ask(Operation::batch, billing, Json::object({{"requests", Json::array({item("one"), bad, unknown, item("two")})}}));
  const std::vector<Json> results = must(answer.array("results"));
  ASSERT_EQ(results.size(), 4U);
  EXPECT_EQ(must(results[0].integer("status")), 200);
  EXPECT_EQ(must(results[1].integer("status")), 400);
  EXPECT_EQ(must(results[2].integer("status")), 400);
  EXPECT_EQ(must(results[3].integer("status")), 200);
  EXPECT_NE(text(must(results[2].object("error")), "message").find("cannot be asked in a batch"), std::string::npos);
  for (const auto& [at, said] : {std::pair{0U, "one"}, {3U, "two"}}) {
    const std::string sealed = text(must(results[at].object("answer")), "ciphertext");
    EXPECT_EQ(text(must(decrypt(key, sealed)), "plaintext"), base64(said)) << "each with its own plaintext";
  }
  EXPECT_EQ(refusal(ask(Operation::batch, billing, Json::object({{"requests", Json::array()}}))), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(ask(Operation::batch, billing, Json::object({{"requests", Json::array(std::vector<Json>(batch_items_max + 1, item("x")))}}))),
            ErrorCode::invalid_argument);
  const Json stray = Json::object({{"operation", "encrypt"}, {"key_id", key}, {"deep", Json::object({{"plaintext", base64("x")}})}, {"plaintext", base64("y")}});
  EXPECT_EQ(refusal(ask(Operation::batch, billing, Json::object({{"requests", Json::array({stray, item("z")})}}))), ErrorCode::invalid_argument)
      << "no item gets the plaintext of another";
}

TEST_F(CsaDeskTest, ACallersRequestsInAMinuteAreBounded) {
  DeskLimits three = small_limits;
  three.requests_per_minute = 3;
  CsaElement csa(network_, "qanat://a/kms/kms-three", three);
  const auto draw = [&](const std::string& caller) { return csa.ask(Operation::random, app(caller), Json::object({{"size", 1}})); };
  EXPECT_TRUE(draw(billing) && draw(billing) && draw(billing));
  EXPECT_EQ(refusal(draw(billing)), ErrorCode::exhausted);
  EXPECT_TRUE(draw(payroll)) << "somebody else's are others";
  csa.now += 60'000;
  EXPECT_TRUE(draw(billing));
}

TEST_F(CsaDeskTest, BatchesThatCannotBeReadCountAndAreOnRecordLikeAnyRequest) {
  DeskLimits three = small_limits;
  three.requests_per_minute = 3;
  CsaElement csa(network_, "qanat://a/kms/kms-batches", three);
  const auto tried = [&](const std::string& caller, const std::string& body) { return refusal(csa.ask(Operation::batch, app(caller), body)); };
  EXPECT_EQ(tried(billing, "{"), ErrorCode::invalid_argument);
  EXPECT_TRUE(csa.audited("csa.batch") && csa.audited(billing)) << "unreadable text too";
  EXPECT_EQ(tried(billing, R"({"requests":[]})"), ErrorCode::invalid_argument);
  EXPECT_EQ(tried(billing, R"({"requests":7})"), ErrorCode::invalid_argument);
  EXPECT_EQ(tried(billing, "{"), ErrorCode::exhausted);
  const Json bad = Json::object({{"operation", "dance"}});
  const Json answer = must(csa.ask(Operation::batch, app(payroll), Json::object({{"requests", Json::array({bad, bad, bad, bad})}})));
  const std::vector<Json> results = must(answer.array("results"));
  ASSERT_EQ(results.size(), 4U);
  EXPECT_EQ(must(results[2].integer("status")), 400);
  EXPECT_EQ(must(results[3].integer("status")), 503) << "each item is one";
}

TEST_F(CsaDeskTest, WhatIsMalformedIsRefusedWithItsPlace) {
  const std::string key = csa_.create(app(billing), "SM4-GCM", "encryption");
  const auto tried = [&](const std::string& body) {
    const auto answer = csa_.ask(Operation::encrypt, app(billing), body);
    EXPECT_EQ(refusal(answer), ErrorCode::invalid_argument) << body;
    return answer ? std::string() : answer.error().message;
  };
  const std::string with_key = R"({"key_id":")" + key + "\"";
  EXPECT_EQ(tried(with_key + "}"), "plaintext: is missing");
  EXPECT_EQ(tried(R"({"plaintext":"YQ=="})"), "key_id: is missing");
  EXPECT_EQ(tried(with_key + R"(,"plaintext":"YQ==","colour":1})"), "colour: is not known here");
  EXPECT_EQ(tried(with_key + R"(,"plaintext":"YQ==","operation":"encrypt"})"), "operation: is not known here") << "that is for items of a batch";
  EXPECT_NE(tried(with_key + R"(,"plaintext":"YQ=a"})"), "");
  EXPECT_NE(tried(with_key + R"(,"plaintext":""})"), "");
  EXPECT_EQ(tried(with_key + R"(,"plaintext":7})"), "plaintext: must be base64, its name written without escapes");
  EXPECT_EQ(tried(with_key + R"(,"plainte\u0078t":"YQ=="})"), "plaintext: must be base64, its name written without escapes");
  EXPECT_NE(tried(with_key + R"(,"plaintext":"YQ==","context":)" + Json(std::string(context_octets_max + 1, 'x')).dump() + "}"), "");
  EXPECT_NE(tried("[]"), "");
  EXPECT_NE(tried("{"), "");
  const std::string large = wire::to_base64(Bytes(plaintext_octets_max + 1));
  EXPECT_NE(tried(with_key + R"(,"plaintext":")" + large + "\"}"), "");
  EXPECT_TRUE(csa_.ask(Operation::encrypt, app(billing), with_key + R"(,"plaintext":")" + wire::to_base64(Bytes(plaintext_octets_max)) + "\"}"));
}

TEST_F(CsaDeskTest, NoSecretIsOnRecord) {
  const std::string key = csa_.create(app(billing), "SM4-GCM", "encryption");
  const std::string sealed = text(must(encrypt(key)), "ciphertext");
  const Json data_key = must_ask(Operation::generate_data_key, billing, Json::object({{"key_id", key}}));
  EXPECT_TRUE(csa_.audited("csa.encrypt") && csa_.audited(key + "/1") && csa_.audited("csa.generate_data_key"));
  EXPECT_FALSE(csa_.audited(a_plaintext) || csa_.audited("forty-two") || csa_.audited(text(data_key, "plaintext")) || csa_.audited(sealed));
}

}  // namespace
}  // namespace qanat::kms::csa
