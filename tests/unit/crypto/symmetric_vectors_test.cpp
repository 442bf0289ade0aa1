// SM3, HMAC, HKDF, GCM and Poly1305 against vectors of GM/T, RFCs and NIST as OpenSSL and Botan publish them.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "crypto/aead.hpp"
#include "crypto/kdf.hpp"
#include "unit/crypto/crypto_fixture.hpp"
#include "unit/crypto/foreign_vectors.hpp"

namespace qanat::crypto {
namespace {

using testing::botan_vectors;
using testing::hex;
using testing::openssl_vectors;
using testing::Vector;

std::optional<Hash> hash_named(std::string_view name) {
  if (name == "SM3") return Hash::sm3;
  if (name == "SHA256" || name == "SHA-256") return Hash::sha256;
  if (name == "SHA384" || name == "SHA-384") return Hash::sha384;
  return std::nullopt;
}

TEST(SymmetricVectors, Sm3Digests) {
  int run = 0;
  for (const Vector& vector : openssl_vectors("evpmd_sm3.txt")) {
    if (vector.text("Digest") != "SM3") continue;
    EXPECT_EQ(digest(Hash::sm3, vector.octets("Input")), vector.octets("Output"));
    ++run;
  }
  EXPECT_GE(run, 4);
}

TEST(SymmetricVectors, Sha2Digests) {
  int run = 0;
  for (const auto& [section, hash] : {std::pair("SHA-256", Hash::sha256), std::pair("SHA-384", Hash::sha384)}) {
    for (const char* file : {"hash/sha2_32.vec", "hash/sha2_64.vec"}) {
      for (const Vector& vector : botan_vectors(file, section, "Out")) {
        EXPECT_EQ(digest(hash, vector.octets("In")), vector.octets("Out"));
        ++run;
      }
    }
  }
  EXPECT_GE(run, 100);
}

TEST(SymmetricVectors, HmacOverEachHash) {
  int run = 0;
  for (const char* file : {"evpmac_sm3.txt", "evpmac_common.txt"}) {
    for (const Vector& vector : openssl_vectors(file)) {
      const auto hash = hash_named(vector.text("Algorithm"));
      if (vector.text("MAC") != "HMAC" || !hash || vector.has("Result") || !vector.has("Output")) continue;
      EXPECT_EQ(hmac(*hash, Secret::copy_of(vector.octets("Key")), {vector.octets("Input")}), vector.octets("Output")) << file;
      ++run;
    }
  }
  EXPECT_GE(run, 8);
}

TEST(SymmetricVectors, HkdfRfc5869InItsThreeModes) {
  int run = 0;
  for (const Vector& vector : openssl_vectors("evpkdf_hkdf.txt")) {
    const auto hash = hash_named(vector.prefixed("Ctrl.digest", "digest:").value_or(""));
    if (!hash || vector.has("Result") || !vector.has("Output")) continue;
    const Bytes expected = vector.octets("Output");
    const std::string mode = vector.prefixed("Ctrl.mode", "mode:").value_or("");
    const Secret ikm = Secret::copy_of(hex(vector.prefixed("Ctrl.IKM", "hexkey:").value_or("")));
    const Bytes salt = hex(vector.prefixed("Ctrl.salt", "hexsalt:").value_or(""));
    const Bytes info = hex(vector.prefixed("Ctrl.info", "hexinfo:").value_or(""));
    if (mode == "EXTRACT_ONLY") {
      EXPECT_TRUE(equal(hkdf_extract(*hash, salt, ikm).reveal(), expected));
    } else if (mode == "EXPAND_ONLY") {
      EXPECT_TRUE(equal(hkdf_expand(*hash, ikm, {info}, expected.size()).reveal(), expected));
    } else {
      EXPECT_TRUE(equal(hkdf_expand(*hash, hkdf_extract(*hash, salt, ikm), {info}, expected.size()).reveal(), expected));
    }
    ++run;
  }
  EXPECT_GE(run, 9);
}

TEST(SymmetricVectors, AParameterInPartsIsTheParameter) {
  const Secret key = testing::test_rng().secret(32);
  const Bytes text = to_bytes("one two three");
  const ByteView view = text;
  EXPECT_EQ(digest(Hash::sm3, {view.first(4), view.subspan(4)}), digest(Hash::sm3, view));
  EXPECT_EQ(hmac(Hash::sm3, key, {view.first(4), view.subspan(4)}), hmac(Hash::sm3, key, {view}));
  EXPECT_TRUE(equal_secret(hkdf_expand(Hash::sha384, key, {view.first(1), view.subspan(1)}, 100), hkdf_expand(Hash::sha384, key, {view}, 100)));
  EXPECT_TRUE(equal_secret(hkdf_extract(Hash::sm3, key.reveal(), key), hkdf_extract(Hash::sm3, key, key)));
}

// What is kept from one use to the next (kdf.cpp) is of a thread, and has nothing of the use before.
TEST(SymmetricVectors, OneUseDoesNotShowInTheNextOrInAnotherThreads) {
  constexpr std::array hashes{Hash::sm3, Hash::sha256, Hash::sha384};
  const Secret one = testing::test_rng().secret(32);
  const Secret other = testing::test_rng().secret(200);  // longer than a block: HMAC takes its hash
  const Bytes text = testing::test_rng().bytes(333);
  const auto values = [&](Hash hash) {
    const Secret prk = hkdf_extract(hash, other, one);
    return concat({digest(hash, text), hmac(hash, one, {text}), hmac(hash, other, {text}), hkdf_expand(hash, prk, {text}, digest_size(hash)).reveal(),
                   hkdf_expand(hash, one, {text}, 3 * digest_size(hash) + 1).reveal(), digest(hash, {}), hmac(hash, one, {})});
  };
  std::array<Bytes, hashes.size()> first;
  for (std::size_t i = 0; i < hashes.size(); ++i) first.at(i) = values(hashes.at(i));
  std::atomic<int> same = 0;
  const auto again = [&] {
    for (std::size_t i = 0; i < 60; ++i) same += values(hashes.at(i % hashes.size())) == first.at(i % hashes.size()) ? 1 : 0;
  };
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 4; ++thread) threads.emplace_back(again);
    again();
  }
  EXPECT_EQ(same, 300);
}

// RFC 5869, 2.3, spelled out.
TEST(SymmetricVectors, HkdfExpandsToAnyLength) {
  for (const Hash hash : {Hash::sm3, Hash::sha256, Hash::sha384}) {
    const std::size_t block = digest_size(hash);
    const Secret prk = testing::test_rng().secret(block);
    const Bytes info = to_bytes("info");
    const Bytes t1 = hmac(hash, prk, {info, Bytes{1}});
    const Bytes t2 = hmac(hash, prk, {t1, info, Bytes{2}});
    const Bytes all = concat({t1, t2});
    for (const std::size_t size : {std::size_t{1}, block - 1, block, block + 1, 2 * block}) {
      EXPECT_TRUE(equal(hkdf_expand(hash, prk, {info}, size).reveal(), ByteView(all).first(size))) << size;
    }
    EXPECT_EQ(hkdf_expand(hash, prk, {info}, 255 * block).size(), 255 * block);
  }
}

void expect_aead(Aead aead, ByteView key, ByteView iv, ByteView aad, const Bytes& plaintext, const Bytes& sealed) {
  const Secret secret = Secret::copy_of(key);
  EXPECT_EQ(seal(aead, secret, iv, aad, plaintext), sealed);
  const auto opened = open(aead, secret, iv, aad, sealed);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_TRUE(equal(opened->reveal(), plaintext));
  AeadCipher cipher(aead, secret);
  Bytes out = to_bytes("before");
  cipher.seal(iv, aad, plaintext, out);
  EXPECT_EQ(out, concat({as_bytes("before"), sealed}));
  out = to_bytes("before");
  EXPECT_TRUE(cipher.open(iv, aad, sealed, out));
  EXPECT_EQ(out, concat({as_bytes("before"), plaintext}));
}

TEST(SymmetricVectors, Sm4GcmOfRfc8998) {
  int run = 0;
  for (const Vector& vector : openssl_vectors("evpciph_sm4.txt")) {
    if (vector.text("Cipher") != "SM4-GCM") continue;
    expect_aead(Aead::sm4_gcm, vector.octets("Key"), vector.octets("IV"), vector.octets("AAD"), vector.octets("Plaintext"),
                concat({vector.octets("Ciphertext"), vector.octets("Tag")}));
    ++run;
  }
  EXPECT_GE(run, 1);
}

TEST(SymmetricVectors, Aes256Gcm) {
  int run = 0;
  for (const Vector& vector : openssl_vectors("evpciph_aes_common.txt")) {
    const std::string cipher = vector.text("Cipher");
    if ((cipher != "aes-256-gcm" && cipher != "AES-256-GCM") || vector.has("Result") || vector.octets("IV").size() != aead_iv ||
        vector.octets("Tag").size() != aead_tag || vector.text("Operation") == "DECRYPT") {
      continue;
    }
    expect_aead(Aead::aes_256_gcm, vector.octets("Key"), vector.octets("IV"), vector.octets("AAD"), vector.octets("Plaintext"),
                concat({vector.octets("Ciphertext"), vector.octets("Tag")}));
    ++run;
  }
  EXPECT_GE(run, 4);
}

TEST(SymmetricVectors, Poly1305) {
  int run = 0;
  for (const Vector& vector : openssl_vectors("evpmac_poly1305.txt")) {
    if (vector.text("MAC") != "Poly1305" || vector.has("Result")) continue;
    EXPECT_EQ(poly1305(Secret::copy_of(vector.octets("Key")), vector.octets("Input")), vector.octets("Output"));
    ++run;
  }
  EXPECT_GE(run, 20);
}

// RFC 3711, B.3: the session keys of the key derivation test come from this keystream.
TEST(SymmetricVectors, SrtpKeyDerivationOfRfc3711) {
  const Secret master = Secret::copy_of(hex("e1f97a0d3e018be0d64fa32c06de4139"));
  EXPECT_EQ(to_hex(ctr_keystream(BlockCipher::aes_128, master, hex("0ec675ad498afeebb6960b3aabe60000"), 16).reveal()), "c61e7a93744f39ee10734afe3ff7a087");
  EXPECT_EQ(to_hex(ctr_keystream(BlockCipher::aes_128, master, hex("0ec675ad498afee9b6960b3aabe60000"), 14).reveal()), "30cbbc08863d8c85d49db34a9ae1");
}

// draft-ribose-cfrg-sm4, A.1: the keystream's first block is the block cipher's output on the counter block.
TEST(SymmetricVectors, Sm4CounterModeBeginsWithTheBlockCipher) {
  const Secret key = Secret::copy_of(hex("0123456789abcdeffedcba9876543210"));
  EXPECT_EQ(to_hex(ctr_keystream(BlockCipher::sm4, key, hex("0123456789abcdeffedcba9876543210"), 16).reveal()), "681edf34d206965e86b3e94f536e4246");
}

}  // namespace
}  // namespace qanat::crypto
