#include "wire/qfc2_application.hpp"

#include "crypto/kdf.hpp"
#include "wire/injection.hpp"
#include "wire/labels.hpp"
#include "wire/qfc2_codec.hpp"

namespace qanat::wire {
namespace {

constexpr Bounds reason_bounds{0, 512};
constexpr std::uint8_t assurance_injected = 0x80;

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, KeyRequest>
void fields(Codec& c, M& m) {
  c.id("sid_wk", m.sid_wk);
  c.id("sid_call", m.sid_call);
  c.choice("role", m.role, {Role::caller, Role::callee});
  c.name("uid", m.uid, uid_bounds);
  c.number("num_call", m.num_call);
  c.number("num_called", m.num_called);
  c.name("kms_id", m.kms_id, kms_bounds);
  c.fixed("nonce", m.nonce, nonce_size);
  c.u64("ts_ms", m.ts_ms);
  c.choice("min_assurance", m.min_assurance, {Assurance::local_rng, Assurance::pqc, Assurance::one_qkd_path, Assurance::disjoint_qkd_paths});
  c.flags("flags", m.flags, flag_eph | flag_inj | flag_sym);
  c.digest("token_ref", m.token_ref);
  fingerprint_fields(c, "fp", m.fps);
  c.digest("enc_kid", m.enc_kid);
  optional_key_fields(c, "eph", m.ephemeral);
  c.require(m.ephemeral.point.empty() == ((m.flags & flag_eph) == 0), "eph", "present exactly if flags say so");
  c.extensions("ext", m.ext);
  c.require(extensions_are(m.ext, m.flags), "ext", "extensions 1 and 2 exactly if flags say so");
}

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, KeyDeliver>
void fields(Codec& c, M& m) {
  c.digest("h_req", m.h_req);
  c.id("sid_wk", m.sid_wk);
  c.id("sid_call", m.sid_call);
  c.name("uid", m.uid, uid_bounds);
  c.name("kms_id", m.kms_id, kms_bounds);
  c.fixed("nonce", m.nonce, nonce_size);
  c.u64("ts_ms", m.ts_ms);
  c.u64("expiry_ms", m.expiry_ms);
  c.flags("flags", m.flags, flag_eph | flag_inj | flag_escrow | flag_sym | flag_directory);
  c.digest("enc_kid", m.enc_kid);
  c.fixed("ct_T", m.ct_classical, c.suite().classical_ct);
  c.fixed("ct_PQ", m.ct_ml_kem, c.suite().ml_kem_ct);
  // Present or absent as `flags` say, hence without a length of their own.
  const bool ephemeral = (m.flags & flag_eph) != 0;
  c.fixed("eph_ct_T", m.eph_ct_classical, ephemeral ? c.suite().point : 0);
  c.fixed("eph_ct_PQ", m.eph_ct_ml_kem, ephemeral ? c.suite().ml_kem_ct : 0);
  c.mark();
  c.opaque("sealed", m.sealed, deliver_sealed_bounds);
  fingerprint_fields(c, "fp", m.fps);
}

// The payload without WK, which stays in a Secret.
template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, KeyDeliverPayload>
void fields(Codec& c, M& m) {
  auto octet = static_cast<std::uint8_t>(static_cast<unsigned>(m.assurance) | (m.injected ? assurance_injected : 0U));
  c.u8("assurance", octet);
  const auto level = static_cast<std::uint8_t>(octet & ~assurance_injected);
  c.require(level >= 1 && level <= 4, "assurance", "must be 1 to 4");
  if constexpr (!std::is_const_v<M>) {
    if (level >= 1 && level <= 4) m.assurance = static_cast<Assurance>(level);
    m.injected = (octet & assurance_injected) != 0;
  }
  c.u8("n_paths", m.n_paths);
  c.u8("path_min", m.path_min);
  c.name("peer_uid", m.peer_uid, uid_bounds);
  c.number("peer_num", m.peer_num);
  c.name("peer_kms", m.peer_kms, kms_bounds);
  fingerprint_fields(c, "peer_fp", m.peer_fps);
  c.digest("th9", m.th9);
  c.opaque("token", m.token, token_bounds);
}

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, DeliverAck>
void fields(Codec& c, M& m) {
  c.id("sid_wk", m.sid_wk);
  c.name("uid", m.uid, uid_bounds);
  c.digest("h_deliver", m.h_deliver);
  c.boolean("ok", m.ok);
}

// Error codes on the wire: 1 invalid_argument … 9 internal, in the order in which ErrorCode lists them.
constexpr std::uint8_t code_max = static_cast<std::uint8_t>(ErrorCode::internal) + 1;
static_assert(static_cast<int>(ErrorCode::invalid_argument) == 0 && code_max == 9);

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, Reject>
void fields(Codec& c, M& m) {
  c.digest("h_offending", m.h_offending);
  auto code = static_cast<std::uint8_t>(static_cast<unsigned>(m.code) + 1U);
  c.u8("code", code);
  c.require(code >= 1 && code <= code_max, "code", "must be 1 to 9");
  if constexpr (!std::is_const_v<M>) {
    if (code >= 1 && code <= code_max) m.code = static_cast<ErrorCode>(code - 1);
  }
  c.text("reason", m.reason, reason_bounds);
  c.require(std::ranges::all_of(m.reason, [](char letter) { return static_cast<unsigned char>(letter) >= 0x20 && letter != 0x7f; }), "reason",
            "has control characters");
  c.u64("ts_ms", m.ts_ms);
}

}  // namespace

QANAT_WIRE_MESSAGE(KeyRequest);
QANAT_WIRE_MESSAGE(KeyDeliver);
QANAT_WIRE_MESSAGE(DeliverAck);
QANAT_WIRE_MESSAGE(Reject);

Result<Bytes> octets_before_sealed(const crypto::Suite& suite, std::uint32_t policy_epoch, const KeyDeliver& message) {
  Encoder codec(suite);
  fields(codec, message);
  return octets_before_mark(policy_epoch, message.type, std::move(codec));
}

Result<Secret> encode_payload(const crypto::Suite& suite, const KeyDeliverPayload& payload) {
  if (payload.wk.size() != wk_size) return fail(ErrorCode::invalid_argument, "payload: wk has the wrong size");
  Encoder codec(suite);
  fields(codec, payload);
  auto rest = std::move(codec).finish();
  if (!rest) return fail_in("payload", std::move(rest).error());
  Secret tail = Secret::copy_of(*rest);
  wipe(*rest);
  return Secret::concat({&payload.wk, &tail});
}

Result<KeyDeliverPayload> parse_payload(const crypto::Suite& suite, const Secret& octets) {
  const ByteView view = octets.reveal();
  if (view.size() < wk_size) return fail(ErrorCode::invalid_argument, "payload: too short for a key");
  KeyDeliverPayload payload;
  payload.wk = Secret::copy_of(view.first(wk_size));
  Decoder codec(suite, view.subspan(wk_size));
  fields(codec, payload);
  auto finished = std::move(codec).finish();
  if (!finished) return fail_in("payload", std::move(finished).error());
  return Result<KeyDeliverPayload>(std::move(payload));
}

Bytes key_id_of(const crypto::Suite& suite, const crypto::EncapsulationKey& key) { return crypto::digest(suite.hash, {labels::kid, key.ml_kem, key.point}); }

}  // namespace qanat::wire
