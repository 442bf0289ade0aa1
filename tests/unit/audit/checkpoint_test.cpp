#include "audit/checkpoint.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "audit/proof.hpp"
#include "audit/tiles.hpp"
#include "wire/json.hpp"

namespace qanat::audit {
namespace {

constexpr std::uint64_t signed_at_s = 1'700'000'000;

Checkpoint checkpoint_over(std::uint64_t lines) {
  TileTree tree;
  for (std::uint64_t i = 0; i < lines; ++i) {
    EXPECT_TRUE(tree.append(leaf_hash("line " + std::to_string(i)), [](const Tile&, std::span<const TreeHash>) -> Result<void> { return {}; }));
  }
  return {.origin = "a/kms/kms-a", .head = {.size = lines, .root = tree.root()}};
}

class CheckpointTest : public testing::Test {
 protected:
  std::unique_ptr<crypto::Rng> rng_ = crypto::open_rng().value();
  CheckpointSigner signer_ = CheckpointSigner::generate("a/kms/kms-a", *rng_).value();
};

TEST(CheckpointFormTest, TheSpecificationsExampleIsReadAndWrittenAgain) {
  // C2SP tlog-checkpoint and tlog-cosignature, the example with a cosignature.
  const std::string example =
      "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
      "\xE2\x80\x94 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
      "\xE2\x80\x94 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
  const auto note = parse_note(example);
  ASSERT_TRUE(note) << note.error().message;
  EXPECT_EQ(note_text(*note), example);
  ASSERT_EQ(note->signatures.size(), 2U);
  EXPECT_EQ(note->signatures[1].name, "witness.example.com/w1");
  EXPECT_EQ(to_hex(note->signatures[1].key_id), "8d66cf3f");
  EXPECT_EQ(note->signatures[1].signature.size(), 72U) << "a time and an Ed25519 signature";
  const auto checkpoint = parse_checkpoint(note->text);
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  EXPECT_EQ(checkpoint->origin, "example.com/behind-the-sofa");
  EXPECT_EQ(checkpoint->head.size, 20852163U);
}

TEST(CheckpointFormTest, EveryOtherFormIsRefused) {
  const std::string root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
  EXPECT_TRUE(parse_checkpoint("a\n1\n" + root));
  for (const std::string& text : std::vector<std::string>{
           "", "a\n", "a\n1\n", "\n1\n" + root, "a b\n1\n" + root, "a+b\n1\n" + root, "a\n01\n" + root, "a\n-1\n" + root, "a\n1 \n" + root, "a\n\n" + root,
           "a\n18446744073709551615\n" + root, std::string("a\n1\nAAAA\n"), "a\n1\n" + root + "extension\n", "a\n1\n" + root.substr(0, root.size() - 1)}) {
    EXPECT_FALSE(parse_checkpoint(text)) << text;
  }
  const std::string signature = "\xE2\x80\x94 a AAAAAAA=\n";
  EXPECT_TRUE(parse_note("text\n\n" + signature));
  for (const std::string& text : std::vector<std::string>{
           "", "text\n\n", "text\n" + signature, "\n\n" + signature, "te\rxt\n\n" + signature, "text\n\n" + signature + "more", "text\n\n- a AAAAAAA=\n",
           std::string("text\n\n\xE2\x80\x94 a AAAA\n"), std::string("text\n\n\xE2\x80\x94  AAAAAAA=\n"), std::string("text\n\n\xE2\x80\x94 a+b AAAAAAA=\n")}) {
    EXPECT_FALSE(parse_note(text)) << text;
  }
}

TEST(CheckpointVectorTest, WhatOpensslSignedOverMessagesOfAnotherMakeHolds) {
  std::ifstream in(QANAT_SOURCE_DIR "/tests/vectors/audit/audit.json", std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(in), {});
  const wire::Json answer = wire::Json::parse(std::string_view(text)).value().object("checkpoint").value();
  const Note note = parse_note(answer.text("note").value()).value();
  Checkpoint checkpoint = parse_checkpoint(note.text).value();
  EXPECT_EQ(checkpoint, checkpoint_over(300));
  std::vector<LogKey> keys;
  for (const std::string& key : answer.texts("keys").value()) {
    keys.push_back(parse_vkey(key).value());
    EXPECT_EQ(vkey_text(keys.back()), key);
  }
  ASSERT_EQ(keys.size(), 2U);
  const auto held = verify_signatures(keys, checkpoint, note);
  EXPECT_TRUE(held) << held.error().message;
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(verify_signature(keys[i], checkpoint, note.signatures[i]).value(), signed_at_s);
  checkpoint.head.size += 1;
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(verify_signature(keys[i], checkpoint, note.signatures[i]).error().code, ErrorCode::denied);
}

TEST_F(CheckpointTest, BothSignaturesHoldForThisCheckpointAndForNoOther) {
  const Checkpoint checkpoint = checkpoint_over(20);
  const Note note{.text = checkpoint_text(checkpoint), .signatures = signer_.sign(checkpoint, signed_at_s, *rng_)};
  ASSERT_EQ(note.signatures.size(), 2U);
  EXPECT_EQ(note.signatures[0].signature.size(), 8U + 2420U);
  EXPECT_EQ(note.signatures[1].signature.size(), 8U + 64U);
  EXPECT_TRUE(verify_signatures(signer_.keys(), checkpoint, note));
  EXPECT_EQ(parse_note(note_text(note)).value(), note);
  Checkpoint other = checkpoint;
  other.head.root[5] ^= 1U;
  EXPECT_FALSE(verify_signatures(signer_.keys(), other, note));
  other = checkpoint;
  other.origin = "a/kms/kms-b";
  EXPECT_FALSE(verify_signatures(signer_.keys(), other, note));
  for (std::size_t which = 0; which < 2; ++which) {
    Note changed = note;
    changed.signatures[which].signature[3] ^= 1U;  // the time is signed too
    EXPECT_FALSE(verify_signatures(signer_.keys(), checkpoint, changed));
    changed = note;
    changed.signatures.erase(changed.signatures.begin() + static_cast<std::ptrdiff_t>(which));
    EXPECT_FALSE(verify_signatures(signer_.keys(), checkpoint, changed)) << "one signature does not stand for both";
  }
}

TEST_F(CheckpointTest, AnotherKeyUnderTheSameNameDoesNotSign) {
  const Checkpoint checkpoint = checkpoint_over(20);
  const CheckpointSigner impostor = CheckpointSigner::generate("a/kms/kms-a", *rng_).value();
  Note note{.text = checkpoint_text(checkpoint), .signatures = impostor.sign(checkpoint, signed_at_s, *rng_)};
  EXPECT_FALSE(verify_signatures(signer_.keys(), checkpoint, note));
  for (std::size_t i = 0; i < 2; ++i) note.signatures[i].key_id = signer_.keys()[i].id();
  EXPECT_FALSE(verify_signatures(signer_.keys(), checkpoint, note)) << "a key id is a name and proves nothing";
}

TEST_F(CheckpointTest, VerifierKeysAreReadStrictly) {
  for (const LogKey& key : signer_.keys()) {
    const std::string text = vkey_text(key);
    EXPECT_EQ(parse_vkey(text).value(), key);
    std::string changed = text;
    changed[text.find('+') + 1] = changed[text.find('+') + 1] == '0' ? '1' : '0';
    EXPECT_FALSE(parse_vkey(changed)) << "an id that does not fit";
    EXPECT_FALSE(parse_vkey(text.substr(0, text.size() - 4)));
    EXPECT_FALSE(parse_vkey("x" + text)) << "the id is over the name too";
  }
  EXPECT_FALSE(parse_vkey("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")) << "Ed25519 (the example of Go's note package) is not ours";
}

TEST_F(CheckpointTest, ProofsAreWrittenAndReadAgain) {
  const Checkpoint checkpoint = checkpoint_over(20);
  const Note note{.text = checkpoint_text(checkpoint), .signatures = signer_.sign(checkpoint, signed_at_s, *rng_)};
  const InclusionProof inclusion{.extra = to_bytes("line 3"), .index = 3, .hashes = {leaf_hash("a"), leaf_hash("b")}, .note = note};
  const InclusionProof read = parse_inclusion_proof(proof_text(inclusion)).value();
  EXPECT_EQ(read.extra, inclusion.extra);
  EXPECT_EQ(read.index, 3U);
  EXPECT_EQ(read.hashes, inclusion.hashes);
  EXPECT_EQ(read.note, note);
  const ConsistencyProof consistency{.old_size = 7, .hashes = {leaf_hash("a")}, .note = note};
  const ConsistencyProof again = parse_consistency_proof(proof_text(consistency)).value();
  EXPECT_EQ(again.old_size, 7U);
  EXPECT_EQ(again.hashes, consistency.hashes);
  EXPECT_EQ(again.note, note);
  ConsistencyProof too_long = consistency;
  too_long.hashes.assign(64, leaf_hash("a"));
  EXPECT_FALSE(parse_consistency_proof(proof_text(too_long))) << "63 hashes are the most (C2SP tlog-witness)";
  EXPECT_FALSE(parse_consistency_proof(proof_text(inclusion)));
  EXPECT_FALSE(parse_inclusion_proof(proof_text(consistency)));
}

}  // namespace
}  // namespace qanat::audit
