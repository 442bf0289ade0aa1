#include "crypto/skf_envelope.hpp"

#include <botan/block_cipher.h>
#include <botan/pubkey.h>
#include <botan/sm2.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "base/check.hpp"
#include "crypto/botan_edge.hpp"
#include "crypto/botan_rng.hpp"
#include "crypto/curve.hpp"
#include "crypto/sm2_ciphertext.hpp"

namespace qanat::crypto {
namespace {

constexpr std::size_t sm4_key_octets = 16;
constexpr std::size_t number_octets = sizeof(ECCPUBLICKEYBLOB::XCoordinate);
constexpr std::size_t before_number = number_octets - sm2_coordinate;

/// `octets`, to the right of its 64.
void put_number(unsigned char* number, ByteView octets) { std::ranges::copy(octets, number + before_number); }

/// Whole blocks, in place.
void sm4_ecb(const Secret& key, std::span<std::uint8_t> blocks) {
  const auto cipher = Botan::BlockCipher::create_or_throw("SM4");
  cipher->set_key(key.reveal());
  cipher->encrypt(blocks);
}

ECCPUBLICKEYBLOB key_of_point(ByteView point) {
  ECCPUBLICKEYBLOB out{};
  out.BitLen = skf_ecc_bits;
  put_number(out.XCoordinate, point.subspan(1, sm2_coordinate));
  put_number(out.YCoordinate, point.subspan(1 + sm2_coordinate, sm2_coordinate));
  return out;
}

/// Encrypts to `key`, as the end of an ENVELOPEDKEYBLOB.
Result<Bytes> encrypt_to(const ECCPUBLICKEYBLOB& key, const Secret& secret, Rng& rng) {
  ASSIGN_OR_RETURN(const Bytes octets, point_of_skf(key));
  ASSIGN_OR_RETURN(const Botan::EC_AffinePoint point, parse_point(Curve::sm2p256v1, octets));
  BotanRng draws(rng);
  const Botan::SM2_PublicKey encryption(group_of(Curve::sm2p256v1), point);
  ASSIGN_OR_RETURN(const Bytes raw, sm2_raw_from_der(Botan::PK_Encryptor_EME(encryption, draws, "SM3").encrypt(secret.reveal(), draws)));
  ECCCIPHERBLOB head{};
  const ByteView c1 = ByteView(raw).subspan(1);
  put_number(head.XCoordinate, c1.first(sm2_coordinate));
  put_number(head.YCoordinate, c1.subspan(sm2_coordinate, sm2_coordinate));
  std::ranges::copy(c1.subspan(2 * sm2_coordinate, sm2_c3), head.HASH);
  head.CipherLen = static_cast<SKF_ULONG>(secret.size());
  Bytes out(offsetof(ECCCIPHERBLOB, Cipher));
  std::memcpy(out.data(), &head, out.size());
  append(out, c1.subspan(2 * sm2_coordinate + sm2_c3));
  return out;
}

}  // namespace

Result<Bytes> point_of_skf(const ECCPUBLICKEYBLOB& key) {
  const std::span x(key.XCoordinate);
  const std::span y(key.YCoordinate);
  const auto is_zero = [](unsigned char octet) { return octet == 0; };
  if (key.BitLen != skf_ecc_bits || !std::ranges::all_of(x.first(before_number), is_zero) || !std::ranges::all_of(y.first(before_number), is_zero))
    return fail(ErrorCode::invalid_argument, "the public key has not 256 bits");
  Bytes out{0x04};
  append(out, x.subspan(before_number));
  append(out, y.subspan(before_number));
  TRY(parse_point(Curve::sm2p256v1, out));
  return out;
}

Result<SkfEncryptionPair> make_skf_encryption_pair(const ECCPUBLICKEYBLOB& signing_key, Rng& rng) {
  return at_botan_edge(ErrorCode::internal, "encryption pair", [&]() -> Result<SkfEncryptionPair> {
    BotanRng draws(rng);
    const Botan::EC_Scalar scalar = draw_scalar(Curve::sm2p256v1, draws);
    SkfEncryptionPair out;
    out.point = Botan::EC_AffinePoint::g_mul(scalar, draws).serialize_uncompressed();
    const Secret key = rng.secret(sm4_key_octets);
    Secret private_key = scalar_octets(scalar);
    CHECK(private_key.size() == sm2_coordinate);
    sm4_ecb(key, private_key.writable());
    ENVELOPEDKEYBLOB head{};
    head.Version = 1;
    head.ulSymmAlgID = skf_sm4_ecb;
    head.ulBits = skf_ecc_bits;
    put_number(head.cbEncryptedPriKey, private_key.writable());  // no secret any more
    head.PubKey = key_of_point(out.point);
    ASSIGN_OR_RETURN(const Bytes wrapped, encrypt_to(signing_key, key, rng));
    out.envelope = Bytes(offsetof(ENVELOPEDKEYBLOB, ECCCipherBlob));
    std::memcpy(out.envelope.data(), &head, out.envelope.size());
    append(out.envelope, wrapped);
    return out;
  });
}

Bytes answer_to_skf_device(const Secret& auth_key, ByteView random) {
  CHECK(auth_key.size() == sm4_key_octets && random.size() <= sm4_key_octets);
  Bytes out = to_bytes(random);
  out.resize(sm4_key_octets);
  sm4_ecb(auth_key, out);
  return out;
}

}  // namespace qanat::crypto
