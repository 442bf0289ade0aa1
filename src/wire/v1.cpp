#include "wire/v1.hpp"

#include <array>
#include <concepts>
#include <optional>

#include "crypto/aead.hpp"
#include "crypto/suite.hpp"
#include "wire/qfc2_codec.hpp"
#include "wire/reader.hpp"

namespace qanat::wire::v1 {
namespace {

constexpr std::string_view magic = "QFC1";
enum class Type : std::uint8_t { application = 0x04, distribution = 0x0B };

// Every field of the container, empty or full, has a two-octet length: the shorter prefix of v2 would be another choice to explain.
constexpr Bounds field_bounds{0, 65535};

const crypto::Suite& gm() { return crypto::suite(crypto::SuiteId::gm_hybrid); }

template <class Codec, class... Fields>
void each(Codec& codec, Fields&... fields) {
  (codec(fields), ...);
}

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, KeyApplication>
void fields(Codec& c, M& m) { each(c, m.sid_wk, m.sid_call, m.uid, m.num_call, m.num_called, m.sign_sm2, m.sign_pqc, m.cert_sm2, m.cert_pqc, m.token); }
template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, KeyDistribution>
void fields(Codec& c, M& m) { each(c, m.sid_wk, m.sid_call, m.uid, m.encrypted_wk, m.encap_sm2, m.encap_pqc, m.sign_sm2, m.sign_pqc, m.token); }

struct Encode {
  Writer& out;
  template <class Tag, std::size_t N>
  void operator()(const Id<Tag, N>& id) {
    out.opaque("id", id.view(), field_bounds);
  }
  template <class Tag>
  void operator()(const Name<Tag>& name) {
    out.opaque("name", name.view(), field_bounds);
  }
  void operator()(const Bytes& octets) { out.opaque("field", octets, field_bounds); }
};

struct Decode {
  Reader& in;
  std::optional<Error> failure;

  template <class Tag, std::size_t N>
  void operator()(Id<Tag, N>& id) {
    const ByteView octets = next();
    if (failure) return;
    auto parsed = Id<Tag, N>::parse(octets);
    if (parsed) {
      id = *parsed;
    } else {
      failure = std::move(parsed).error();
    }
  }
  // What reaches the KMS's store and its audit record is text, as in v2.
  void operator()(Uid& uid) {
    const std::string_view letters = as_text(next());
    const bool fits = letters.size() >= uid_bounds.min && letters.size() <= uid_bounds.max;
    require(fits && is_identifier(letters), "uid: must be 1 to 64 octets of printable ASCII without space");
    uid = Uid(std::string(letters));
  }
  void operator()(Number& number) {
    const std::string_view letters = as_text(next());
    const bool fits = letters.size() >= number_bounds.min && letters.size() <= number_bounds.max;
    require(fits && is_e164(letters), "number: must be '+' and 2 to 31 digits");
    number = Number(std::string(letters));
  }
  void operator()(Bytes& octets) { octets = to_bytes(next()); }

  void require(bool holds, std::string_view what) {
    if (!holds && !failure) failure = Error{ErrorCode::invalid_argument, "v1 " + std::string(what)};
  }
  ByteView next() {
    if (failure) return {};
    auto octets = in.opaque("v1 field", field_bounds);
    if (octets) return *octets;
    failure = std::move(octets).error();
    return {};
  }
};

template <class M>
Result<Bytes> encode_container(Type type, const M& message) {
  Writer out;
  out.raw(as_bytes(magic));
  out.u8(static_cast<std::uint8_t>(type));
  Encode encode_field{out};
  fields(encode_field, message);
  return std::move(out).finish();
}

template <class M>
Result<M> parse_container(Type type, ByteView octets) {
  Reader in(octets);
  ASSIGN_OR_RETURN(const ByteView found, in.fixed("magic", magic.size()));
  ASSIGN_OR_RETURN(const std::uint8_t number, in.u8("type"));
  if (as_text(found) != magic || number != static_cast<std::uint8_t>(type)) return fail(ErrorCode::invalid_argument, "v1: another kind of message");
  M message;
  Decode decode_field{in, std::nullopt};
  fields(decode_field, message);
  if (decode_field.failure) return fail(*std::move(decode_field.failure));
  TRY(in.finish());
  return message;
}

template <class M>
void sign_both(M& message, const crypto::Signer& signer, crypto::Rng& rng) {
  CHECK(signer.suite().id == crypto::SuiteId::gm_hybrid);
  const Bytes both = signer.sign(signed_octets(message), rng);
  message.sign_sm2.assign(both.begin(), both.begin() + static_cast<std::ptrdiff_t>(gm().classical_sig));
  message.sign_pqc.assign(both.begin() + static_cast<std::ptrdiff_t>(gm().classical_sig), both.end());
}

template <class M>
Result<void> verify_both(const M& message, const crypto::VerifyingKey& key) {
  const Bytes octets = signed_octets(message);
  TRY(crypto::verify_classical(gm(), key.point, octets, message.sign_sm2));
  TRY(crypto::verify_ml_dsa(gm().ml_dsa, key.ml_dsa, octets, message.sign_pqc));
  return {};
}

// SM4 under the first 16 octets of K1⊕K2.
Secret wrapping_key(const Secret& k1, const Secret& k2) {
  Secret both = k1.duplicate();
  both.xor_with(k2);
  return Secret::copy_of(both.reveal().first(gm().aead_key));
}

constexpr std::array<std::uint8_t, crypto::aead_iv> zero_nonce{};  // K1⊕K2 encrypts one WK

}  // namespace

Bytes signed_octets(const KeyApplication& message) {
  return concat(
      {as_bytes(label_application), message.sid_wk.view(), message.sid_call.view(), message.uid.view(), message.num_call.view(), message.num_called.view()});
}
Bytes signed_octets(const KeyDistribution& message) {
  return concat({as_bytes(label_distribution), message.sid_wk.view(), message.sid_call.view(), message.uid.view()});
}

void sign(KeyApplication& message, const crypto::Signer& signer, crypto::Rng& rng) { sign_both(message, signer, rng); }
void sign(KeyDistribution& message, const crypto::Signer& signer, crypto::Rng& rng) { sign_both(message, signer, rng); }
Result<void> verify(const KeyApplication& message, const crypto::VerifyingKey& key) { return verify_both(message, key); }
Result<void> verify(const KeyDistribution& message, const crypto::VerifyingKey& key) { return verify_both(message, key); }

Result<Bytes> encode(const KeyApplication& message) { return encode_container(Type::application, message); }
Result<Bytes> encode(const KeyDistribution& message) { return encode_container(Type::distribution, message); }
Result<KeyApplication> parse_application(ByteView octets) { return parse_container<KeyApplication>(Type::application, octets); }
Result<KeyDistribution> parse_distribution(ByteView octets) { return parse_container<KeyDistribution>(Type::distribution, octets); }

Result<void> seal_wk(KeyDistribution& message, const crypto::EncapsulationKey& to, const Secret& wk, crypto::Rng& rng) {
  ASSIGN_OR_RETURN(const crypto::Encapsulation made, crypto::encapsulate(gm(), crypto::KemForm::to_static, to, rng));
  message.encap_sm2 = made.ct_classical;
  message.encap_pqc = made.ct_ml_kem;
  message.encrypted_wk = crypto::seal(gm().aead, wrapping_key(made.ss_classical, made.ss_ml_kem), zero_nonce, {}, wk.reveal());
  return {};
}

Result<Secret> open_wk(const KeyDistribution& message, const crypto::Decapsulator& key) {
  ASSIGN_OR_RETURN(const crypto::SharedSecrets secrets, key.decapsulate(crypto::KemForm::to_static, message.encap_sm2, message.encap_pqc));
  return crypto::open(gm().aead, wrapping_key(secrets.classical, secrets.ml_kem), zero_nonce, {}, message.encrypted_wk);
}

}  // namespace qanat::wire::v1
