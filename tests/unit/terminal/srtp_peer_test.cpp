// SRTP against what others made: packet by packet against libsrtp2 for AES-256-GCM, and an independent computation with OpenSSL for SM4-GCM,
// which no SRTP library knows.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <srtp2/srtp.h>

#include <array>
#include <memory>

#include "fixed_rng.hpp"
#include "terminal/rtp.hpp"
#include "terminal/srtp.hpp"

namespace qanat::terminal {
namespace {

using crypto::Aead;

constexpr std::uint32_t ssrc = 0x51414E54;
constexpr std::size_t trailer_max = SRTP_MAX_TRAILER_LEN + 16;

Bytes rtp(std::uint16_t sequence, ByteView payload) {
  return encode_rtp({.marker = false, .payload_type = rtp_pcma, .sequence = sequence, .timestamp = 160U * sequence, .ssrc = ssrc}, payload);
}

/// One libsrtp2 session with our keys, MKI included.
class LibSrtp {
 public:
  LibSrtp(const MediaKeys& keys, const Mki& mki, srtp_ssrc_type_t direction) {
    static const bool ready = srtp_init() == srtp_err_status_ok;
    EXPECT_TRUE(ready);
    key_ = concat({keys.key.reveal(), keys.salt.reveal()});
    mki_ = to_bytes(mki.view());
    master_ = {.key = key_.data(), .mki_id = mki_.data(), .mki_size = static_cast<unsigned>(mki_.size())};
    srtp_policy_t policy{};
    srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtp);
    srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtcp);
    policy.ssrc = {.type = direction, .value = 0};
    policy.keys = masters_.data();
    policy.num_master_keys = masters_.size();
    policy.window_size = replay_window_packets;
    EXPECT_EQ(srtp_create(&session_, &policy), srtp_err_status_ok);
  }
  ~LibSrtp() { srtp_dealloc(session_); }
  LibSrtp(const LibSrtp&) = delete;
  LibSrtp& operator=(const LibSrtp&) = delete;

  Bytes protect(Bytes packet) {
    return run(std::move(packet), [this](void* octets, int* size) { return srtp_protect_mki(session_, octets, size, 1, 0); });
  }
  Bytes unprotect(Bytes packet) {
    return run(std::move(packet), [this](void* octets, int* size) { return srtp_unprotect_mki(session_, octets, size, 1); });
  }
  Bytes protect_rtcp(Bytes packet) {
    return run(std::move(packet), [this](void* octets, int* size) { return srtp_protect_rtcp_mki(session_, octets, size, 1, 0); });
  }
  Bytes unprotect_rtcp(Bytes packet) {
    return run(std::move(packet), [this](void* octets, int* size) { return srtp_unprotect_rtcp_mki(session_, octets, size, 1); });
  }

 private:
  /// The library's result, empty if it refused.
  template <class Call>
  Bytes run(Bytes packet, Call call) {
    int size = static_cast<int>(packet.size());
    packet.resize(packet.size() + trailer_max);
    if (call(packet.data(), &size) != srtp_err_status_ok) return {};
    packet.resize(static_cast<std::size_t>(size));
    return packet;
  }

  srtp_t session_ = nullptr;
  Bytes key_;
  Bytes mki_;
  srtp_master_key_t master_{};
  std::array<srtp_master_key_t*, 1> masters_{&master_};
};

class LibSrtpTest : public testing::Test {
 protected:
  FixedRng rng_{7714};
  MediaKeys keys_{.key = rng_.secret(32), .salt = rng_.secret(srtp_salt_octets)};
  Mki mki_ = rng_.id<Mki>();
  SrtpSender sender_ = SrtpSender::create(Aead::aes_256_gcm, keys_, mki_, ssrc).value();
  SrtpReceiver receiver_ = SrtpReceiver::create(Aead::aes_256_gcm, keys_, mki_).value();
};

TEST_F(LibSrtpTest, BothMakeTheSamePacketsAcrossAWrap) {
  LibSrtp lib(keys_, mki_, ssrc_any_outbound);
  for (std::uint32_t n = 65'400; n < 65'700; ++n) {
    const Bytes packet = rtp(static_cast<std::uint16_t>(n), rng_.bytes(n % 3 == 0 ? samples_per_packet : n % 200));
    const Bytes theirs = lib.protect(packet);
    ASSERT_FALSE(theirs.empty()) << n;
    ASSERT_EQ(to_hex(sender_.protect(packet).value()), to_hex(theirs)) << n;
  }
}

TEST_F(LibSrtpTest, EachOpensWhatTheOtherMade) {
  LibSrtp out(keys_, mki_, ssrc_any_outbound);
  LibSrtp in(keys_, mki_, ssrc_any_inbound);
  for (std::uint32_t n = 65'400; n < 65'700; ++n) {
    const Bytes packet = rtp(static_cast<std::uint16_t>(n), rng_.bytes(samples_per_packet));
    ASSERT_EQ(in.unprotect(sender_.protect(packet).value()), packet) << n;
    const auto opened = receiver_.unprotect(out.protect(packet));
    ASSERT_TRUE(opened) << n << ": " << name(opened.error());
    ASSERT_EQ(*opened, packet);
  }
}

TEST_F(LibSrtpTest, BothRefuseTheSameAlterations) {
  LibSrtp in(keys_, mki_, ssrc_any_inbound);
  const Bytes sealed = sender_.protect(rtp(5, rng_.bytes(40))).value();
  for (std::size_t at = 0; at < sealed.size(); ++at) {
    Bytes altered = sealed;
    altered[at] ^= 0x80;
    EXPECT_TRUE(in.unprotect(altered).empty()) << at;
    EXPECT_FALSE(receiver_.unprotect(altered)) << at;
  }
}

TEST_F(LibSrtpTest, RtcpIsTheSameToo) {
  LibSrtp in(keys_, mki_, ssrc_any_inbound);
  LibSrtp out(keys_, mki_, ssrc_any_outbound);
  Bytes report = from_hex("80c8000651414e54").value();  // a sender report without report blocks
  append(report, rng_.bytes(20));
  Bytes last_of_theirs;
  for (int n = 0; n < 20; ++n) {
    const Bytes ours = sender_.protect_rtcp(report).value();
    ASSERT_EQ(in.unprotect_rtcp(ours), report) << n;
    // We count from 0 (RFC 3711 §3.4: zero before the first packet), libsrtp2 from 1.
    if (n > 0) {
      ASSERT_EQ(to_hex(ours), to_hex(last_of_theirs)) << n;
    }
    last_of_theirs = out.protect_rtcp(report);
    ASSERT_FALSE(last_of_theirs.empty());
    const auto opened = receiver_.unprotect_rtcp(last_of_theirs);
    ASSERT_TRUE(opened) << n << ": " << name(opened.error());
    ASSERT_EQ(*opened, report);
  }
}

/// SRTP with SM4 written down once more, over OpenSSL and without a line of ours.
class OpenSslSm4 {
 public:
  static Bytes keystream(ByteView key, ByteView block, std::size_t size) { return run("SM4-CTR", key, block, {}, Bytes(size, 0), 0); }
  static Bytes seal(ByteView key, ByteView iv, ByteView aad, ByteView plaintext) { return run("SM4-GCM", key, iv, aad, to_bytes(plaintext), crypto::aead_tag); }

 private:
  static Bytes run(const char* algorithm, ByteView key, ByteView iv, ByteView aad, const Bytes& input, std::size_t tag_octets) {
    const std::unique_ptr<EVP_CIPHER, decltype(&EVP_CIPHER_free)> cipher(EVP_CIPHER_fetch(nullptr, algorithm, nullptr), EVP_CIPHER_free);
    const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
    EXPECT_NE(cipher, nullptr);
    EXPECT_EQ(EVP_EncryptInit_ex2(context.get(), cipher.get(), key.data(), iv.data(), nullptr), 1);
    int size = 0;
    if (!aad.empty()) EXPECT_EQ(EVP_EncryptUpdate(context.get(), nullptr, &size, aad.data(), static_cast<int>(aad.size())), 1);
    Bytes out(input.size() + tag_octets);
    EXPECT_EQ(EVP_EncryptUpdate(context.get(), out.data(), &size, input.data(), static_cast<int>(input.size())), 1);
    EXPECT_EQ(static_cast<std::size_t>(size), input.size());
    EXPECT_EQ(EVP_EncryptFinal_ex(context.get(), out.data() + size, &size), 1);
    if (tag_octets > 0) {
      EXPECT_EQ(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, static_cast<int>(tag_octets), out.data() + input.size()), 1);
    }
    return out;
  }
};

Bytes xored(Bytes a, ByteView b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<std::uint8_t>(a[i] ^ b[i]);
  return a;
}

TEST(SrtpSm4Test, EachPacketIsWhatOpenSslComputes) {
  FixedRng rng(32907);
  const Bytes master_key = rng.bytes(16);
  const Bytes master_salt = rng.bytes(srtp_salt_octets);
  const Mki mki = rng.id<Mki>();
  // RFC 3711 §4.3 with the salt times 2^16 twice (erratum 4938): salt ‖ 00 00 in the 14-octet field, the label at its octet 7, then the counter.
  const auto derive = [&](std::uint8_t label, std::size_t size) {
    return OpenSslSm4::keystream(master_key, xored(concat({master_salt, Bytes(4)}), concat({Bytes(7), ByteView(&label, 1), Bytes(8)})), size);
  };
  const MediaKeys keys{.key = Secret::copy_of(master_key), .salt = Secret::copy_of(master_salt)};
  auto sender = SrtpSender::create(Aead::sm4_gcm, keys, mki, ssrc).value();
  const Bytes key = derive(0, 16);
  const Bytes salt = derive(2, srtp_salt_octets);
  for (std::uint32_t n = 65'500; n < 65'600; ++n) {
    const Bytes packet = rtp(static_cast<std::uint16_t>(n), rng.bytes(samples_per_packet));
    const Bytes counters =
        from_hex("000051414e540000" + to_hex(Bytes{0, static_cast<std::uint8_t>(n >> 16), static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)}))
            .value();
    const ByteView header = ByteView(packet).first(rtp_header_octets);
    const Bytes sealed = OpenSslSm4::seal(key, xored(counters, salt), header, ByteView(packet).subspan(rtp_header_octets));
    ASSERT_EQ(to_hex(sender.protect(packet).value()), to_hex(concat({header, sealed, mki.view()}))) << n;
  }

  const Bytes report = from_hex("80c9000151414e54aabbccdd").value();
  const Bytes trailer = from_hex("80000000").value();
  const Bytes sealed = OpenSslSm4::seal(derive(3, 16), xored(from_hex("000051414e54000000000000").value(), derive(5, srtp_salt_octets)),
                                        concat({ByteView(report).first(8), trailer}), ByteView(report).subspan(8));
  EXPECT_EQ(to_hex(sender.protect_rtcp(report).value()), to_hex(concat({ByteView(report).first(8), sealed, trailer, mki.view()})));
}

}  // namespace
}  // namespace qanat::terminal
