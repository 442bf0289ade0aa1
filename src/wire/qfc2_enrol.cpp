#include "wire/qfc2_enrol.hpp"

#include "wire/qfc2_codec.hpp"

namespace qanat::wire {
namespace {

// Device kinds have numbers of their own on the wire: 1 APP-1 … 5 DEV-2.
enum class DeviceNumber : std::uint8_t { app1 = 1, app2, app3, dev1, dev2 };
DeviceNumber number_of(Kind kind) {
  switch (kind) {
    case Kind::app1:
      return DeviceNumber::app1;
    case Kind::app2:
      return DeviceNumber::app2;
    case Kind::app3:
      return DeviceNumber::app3;
    case Kind::dev1:
      return DeviceNumber::dev1;
    case Kind::dev2:
      return DeviceNumber::dev2;
    default:
      return DeviceNumber{};  // not a terminal: refused by the grammar
  }
}
Kind kind_of(DeviceNumber number) {
  switch (number) {
    case DeviceNumber::app1:
      return Kind::app1;
    case DeviceNumber::app2:
      return Kind::app2;
    case DeviceNumber::app3:
      return Kind::app3;
    case DeviceNumber::dev1:
      return Kind::dev1;
    case DeviceNumber::dev2:
      return Kind::dev2;
  }
  return Kind{};
}

template <class Codec, class M>
void device_field(Codec& c, M& m) {
  DeviceNumber number = number_of(m.device_kind);
  c.choice("device_kind", number, {DeviceNumber::app1, DeviceNumber::app2, DeviceNumber::app3, DeviceNumber::dev1, DeviceNumber::dev2});
  if constexpr (!std::is_const_v<M>) m.device_kind = kind_of(number);
}

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, Enrol>
void fields(Codec& c, M& m) {
  c.name("uid", m.uid, uid_bounds);
  c.number("num", m.number);
  c.name("kms_id", m.kms_id, kms_bounds);
  device_field(c, m);
  c.choice("enc_keys", m.encryption_keys, {EncryptionKeys::kms_made, EncryptionKeys::terminal_made});
  c.fixed("nonce", m.nonce, nonce_size);
  c.opaque("csr_classical", m.csr_classical, csr_classical_bounds);
  c.opaque("csr_pq", m.csr_pq, csr_pq_bounds);
  key_fields(c, "eph", m.ephemeral);
  optional_key_fields(c, "enc", m.encryption);
  c.require(m.encryption.point.empty() == (m.encryption_keys == EncryptionKeys::kms_made), "enc", "present exactly if terminal_made");
  c.digest("mac", m.mac);
}

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, EnrolDeliver>
void fields(Codec& c, M& m) {
  c.digest("h_enrol", m.h_enrol);
  c.name("uid", m.uid, uid_bounds);
  c.opaque("chain_classical", m.chain_classical, chain_classical_bounds);
  c.opaque("chain_pq", m.chain_pq, chain_pq_bounds);
  c.choice("enc_keys", m.encryption_keys, {EncryptionKeys::kms_made, EncryptionKeys::terminal_made});
  c.fixed("ct_T", m.ct_classical, c.suite().point);
  c.fixed("ct_PQ", m.ct_ml_kem, c.suite().ml_kem_ct);
  c.digest("enc_kid", m.enc_kid);
  c.u64("ts_ms", m.ts_ms);
  c.mark();
  c.opaque("sealed", m.sealed, enrol_sealed_bounds);
}

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, EnrolReceipt>
void fields(Codec& c, M& m) {
  c.digest("h_deliver", m.h_deliver);
  c.name("uid", m.uid, uid_bounds);
  c.boolean("ok", m.ok);
}

}  // namespace

QANAT_WIRE_MESSAGE(Enrol);
QANAT_WIRE_MESSAGE(EnrolDeliver);
QANAT_WIRE_MESSAGE(EnrolReceipt);

Result<Bytes> octets_before_sealed(const crypto::Suite& suite, std::uint32_t policy_epoch, const EnrolDeliver& message) {
  Encoder codec(suite);
  fields(codec, message);
  return octets_before_mark(policy_epoch, message.type, std::move(codec));
}

Result<Bytes> encode_chain(const std::vector<Bytes>& der) {
  Writer out;
  if (der.empty() || der.size() > chain_certificates_max) out.refuse("chain", "1 to 8 certificates");
  for (const Bytes& certificate : der) out.opaque("certificate", certificate, {.min = 1, .max = opaque_size_max});
  return std::move(out).finish();
}

Result<std::vector<Bytes>> parse_chain(ByteView octets) {
  Reader in(octets);
  std::vector<Bytes> out;
  do {
    ASSIGN_OR_RETURN(const ByteView certificate, in.opaque("certificate", {.min = 1, .max = opaque_size_max}));
    out.push_back(to_bytes(certificate));
    if (out.size() > chain_certificates_max) return fail(ErrorCode::invalid_argument, "chain: more than 8 certificates");
  } while (in.remaining() > 0);
  return out;
}

}  // namespace qanat::wire
