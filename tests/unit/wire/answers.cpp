#include "unit/wire/answers.hpp"

#include "crypto/kdf.hpp"

namespace qanat::wire {
namespace {

std::string mode_name(EncryptionKeys mode) { return mode == EncryptionKeys::kms_made ? "kms_made" : "terminal_made"; }

// What the script sealed, cut out of its octets: `after` octets of the body follow it.
Bytes sealed_in(const Answers& a, const std::string& message, std::size_t sealed_size, std::size_t after) {
  const Bytes octets = a.octets(message);
  const auto header = must(parse_header(octets));
  const ByteView body = ByteView(octets).subspan(header_size, header.body_len);
  return to_bytes(body.subspan(body.size() - after - sealed_size, sealed_size));
}

}  // namespace

Enrol enrol_of(const Answers& a, EncryptionKeys mode) {
  Enrol m{.uid = alice,
          .number = caller,
          .kms_id = kms_a,
          .device_kind = Kind::app1,
          .encryption_keys = mode,
          .nonce = a.input("nonce_enrol"),
          .csr_classical = a.input("csr_classical"),
          .csr_pq = a.input("csr_pq"),
          .ephemeral = a.key("enrol_ephemeral").encapsulation_key(),
          .encryption = {},
          .mac = {}};
  if (mode == EncryptionKeys::terminal_made) m.encryption = a.key("static_a").encapsulation_key();
  return m;
}

EnrolPayload enrol_payload_of(const Answers& a, EncryptionKeys mode) {
  EnrolPayload payload;
  if (mode == EncryptionKeys::kms_made) payload.encryption = a.key("static_a").secret();
  payload.kms = a.fps("kms_a");
  return payload;
}

EnrolDeliver enrol_deliver_of(const Answers& a, EncryptionKeys mode) {
  const std::string name = mode_name(mode);
  const auto chain = [&](const std::string& kind) {
    return must(encode_chain({a.hex("parties", "terminal_a", "certificate_" + kind), a.input("issuer_" + kind)}));
  };
  const std::size_t plain = 1 + 2 * a.suite().digest + (mode == EncryptionKeys::kms_made ? a.suite().scalar + crypto::seed_ml_kem : 0);
  return {.h_enrol = a.hash("enrol_" + name),
          .uid = alice,
          .chain_classical = chain("classical"),
          .chain_pq = chain("pq"),
          .encryption_keys = mode,
          .ct_classical = a.kem("enrol_" + name, "ct_classical"),
          .ct_ml_kem = a.kem("enrol_" + name, "ct_ml_kem"),
          .enc_kid = a.derived("enc_kid"),
          .ts_ms = ts,
          .sealed = sealed_in(a, "enrol_deliver_" + name, plain + crypto::aead_tag, 0)};
}

EnrolReceipt enrol_receipt_of(const Answers& a) { return {.h_deliver = a.hash("enrol_deliver_kms_made"), .uid = alice, .ok = true}; }

KeyRequest key_request_of(const Answers& a, std::uint8_t flags) {
  KeyRequest m;
  m.sid_wk = a.sid_wk();
  m.sid_call = a.sid_call();
  m.role = Role::caller;
  m.uid = alice;
  m.num_call = caller;
  m.num_called = callee;
  m.kms_id = kms_a;
  m.nonce = a.input("nonce_request");
  m.ts_ms = ts;
  m.min_assurance = Assurance::pqc;
  m.flags = flags;
  m.token_ref = crypto::digest(a.suite().hash, a.input("token"));
  m.fps = a.fps("terminal_a");
  m.enc_kid = a.derived("enc_kid");
  if ((flags & flag_eph) != 0) m.ephemeral = a.key("ephemeral_a").encapsulation_key();
  if ((flags & flag_inj) != 0) {
    m.ext.push_back({.type = ExtensionType::injected_key, .value = concat({Bytes{0, 0, 0, 5}, a.derived("injected_request_mac")})});
  }
  return m;
}

template <class M>
M session_of(const Answers& a) {
  constexpr bool opening = M::type == MessageType::session_open;
  M m;
  m.sid_wk = a.sid_wk();
  m.sid_call = a.sid_call();
  m.num_call = caller;
  m.num_called = callee;
  m.uid_a = alice;
  m.kms_a = kms_a;
  m.hreq_a = a.hash("key_request_eph");
  m.kms_a_fps = a.fps("kms_a");
  m.kms_b_fps = opening ? no_fingerprints(a.suite()) : a.fps("kms_b");
  m.prev_hash = opening ? Bytes(a.suite().digest) : a.hash("session_open");
  if (!opening) {
    m.uid_b = bob;
    m.kms_b = kms_b;
  }
  m.ts_ms = ts;
  if constexpr (M::type == MessageType::directory_open) {
    m.prev_hash = a.hash("directory");
    m.kms_b_fps = no_fingerprints(a.suite());
    m.epoch = ts;
  }
  return m;
}
template DirectoryOpen session_of(const Answers&);
template SessionOpen session_of(const Answers&);
template SessionNotify session_of(const Answers&);
template SessionGrant session_of(const Answers&);

DirectoryPage directory_page_of(int place) {
  if (place == 0) return {.entries = {{.number = caller, .uid = alice, .kms = kms_a}}};
  return {.entries = {{.number = callee, .uid = bob, .kms = kms_b}}};
}

Directory directory_of(const Answers& a) {
  return {.epoch = ts,
          .not_before_ms = ts,
          .not_after_ms = ts + lifetime_ms,
          .entries = 2,
          .pages = {a.hash("directory_page_0"), a.hash("directory_page_1")},
          .fps = a.fps("cmsp")};
}

KmsOffer kms_offer_of(const Answers& a, int n) {
  KmsOffer m{.sid_wk = a.sid_wk(),
             .sid_call = a.sid_call(),
             .kms_a = kms_a,
             .kms_b = kms_b,
             .h_grant = a.hash("session_grant"),
             .nonce = a.input("nonce_offer"),
             .ts_ms = ts,
             .shares = {},
             .ephemeral = a.key("offer_ephemeral").encapsulation_key(),
             .fps = a.fps("kms_a")};
  for (int j = 0; j < n; ++j) {
    m.shares.push_back({.path_id = PathId(a.input("path_id_" + std::to_string(j))), .key_id = KeyId(a.input("key_id_" + std::to_string(j)))});
  }
  return m;
}

KmsAccept kms_accept_of(const Answers& a, int n) {
  const std::string kem = "offer_" + std::to_string(n);
  return {.sid_wk = a.sid_wk(),
          .h_offer = a.hash("kms_offer_" + std::to_string(n)),
          .nonce = a.input("nonce_accept"),
          .ct_classical = a.kem(kem, "ct_classical"),
          .ct_ml_kem = a.kem(kem, "ct_ml_kem"),
          .ok_bitmap = static_cast<std::uint8_t>((1U << static_cast<unsigned>(n)) - 1U),
          .fps = a.fps("kms_b")};
}

KmsConfirm kms_confirm_of(const Answers& a, int n) {
  return {.sid_wk = a.sid_wk(), .h_accept = a.hash("kms_accept_" + std::to_string(n)), .kc_a = a.derived("kc_a_" + std::to_string(n))};
}

SupplyOffer supply_offer_of(const Answers& a, int n) {
  const std::string suffix = "_" + std::to_string(n);
  SupplyOffer m{.supply_id = SupplyId(a.input("supply_id" + suffix)),
                .kms_a = kms_a,
                .kms_b = kms_b,
                .batches = static_cast<std::uint8_t>(n + 1),
                .nonce = a.input("nonce_supply_offer" + suffix),
                .ts_ms = ts,
                .quantum_grade = n > 0,
                .shares = {},
                .ephemeral = a.key("supply_ephemeral" + suffix).encapsulation_key(),
                .fps = a.fps("kms_a")};
  for (int j = 0; j < n; ++j) {
    m.shares.push_back({.path_id = PathId(a.input("path_id_" + std::to_string(j))), .key_id = KeyId(a.input("key_id_" + std::to_string(j)))});
  }
  return m;
}

SupplyAccept supply_accept_of(const Answers& a, int n) {
  const std::string suffix = "_" + std::to_string(n);
  return {.supply_id = SupplyId(a.input("supply_id" + suffix)),
          .h_offer = a.hash("supply_offer" + suffix),
          .nonce = a.input("nonce_supply_accept" + suffix),
          .ct_classical = a.kem("supply" + suffix, "ct_classical"),
          .ct_ml_kem = a.kem("supply" + suffix, "ct_ml_kem"),
          .ok_bitmap = static_cast<std::uint8_t>((1U << static_cast<unsigned>(n)) - 1U),
          .paths = static_cast<std::uint8_t>(n),
          .fps = a.fps("kms_b")};
}

KeyDeliverPayload payload_of(const Answers& a, const Delivery& which) {
  KeyDeliverPayload p;
  const auto of_step9 = [&](int n, Assurance assurance, std::uint8_t path_min) {
    p.wk = a.secret_derived("wk_" + std::to_string(n));
    p.assurance = assurance;
    p.n_paths = static_cast<std::uint8_t>(n);
    p.path_min = path_min;
    p.th9 = a.derived("th9_" + std::to_string(n));
  };
  p.peer_kms = kms_b;
  if (which.name == "deliver" || which.name == "deliver_directory") of_step9(0, Assurance::pqc, 0);
  if (which.name == "deliver_eph") of_step9(2, Assurance::disjoint_qkd_paths, 1);
  if (which.name == "deliver_inj") of_step9(1, Assurance::one_qkd_path, 1);
  if (which.name == "deliver_same_domain") {
    p.wk = a.secret_input("wk_same_domain");
    p.assurance = Assurance::local_rng;
    p.th9 = no_th9(a.suite());
    p.peer_kms = kms_a;
  }
  p.injected = (which.flags & flag_inj) != 0;
  p.peer_uid = bob;
  p.peer_num = callee;
  p.peer_fps = a.fps("terminal_b");
  p.token = a.input("token");
  return p;
}

KeyDeliver deliver_of(const Answers& a, const Delivery& which) {
  const std::size_t sealed_size = must(encode_payload(a.suite(), payload_of(a, which))).size() + crypto::aead_tag;
  KeyDeliver m;
  m.h_req = a.hash(which.request);
  m.sid_wk = a.sid_wk();
  m.sid_call = a.sid_call();
  m.uid = alice;
  m.kms_id = kms_a;
  m.nonce = a.input("nonce_deliver");
  m.ts_ms = ts;
  m.expiry_ms = ts + lifetime_ms;
  m.flags = which.flags;
  m.enc_kid = a.derived("enc_kid");
  m.ct_classical = a.kem(which.name + "_static", "ct_classical");
  m.ct_ml_kem = a.kem(which.name + "_static", "ct_ml_kem");
  if ((which.flags & flag_eph) != 0) {
    m.eph_ct_classical = a.kem(which.name + "_ephemeral", "ct_classical");
    m.eph_ct_ml_kem = a.kem(which.name + "_ephemeral", "ct_ml_kem");
  }
  m.sealed = sealed_in(a, which.name, sealed_size, 2 * a.suite().digest);
  m.fps = a.fps("kms_a");
  return m;
}

Secret deliver_secret_of(const Answers& a, const Delivery& which) {
  const Bytes h_req = a.hash(which.request);
  const auto key = a.key("static_a");
  const Bytes ct_classical = a.kem(which.name + "_static", "ct_classical");
  const Bytes ct_ml_kem = a.kem(which.name + "_static", "ct_ml_kem");
  const auto secrets = must(key.decapsulate(crypto::KemForm::to_static, ct_classical, ct_ml_kem));
  Secret ss = hybrid_secret(a.suite(), {secrets.classical, secrets.ml_kem, ct_classical, ct_ml_kem, key.encapsulation_key()}, deliver_context(h_req));
  if ((which.flags & flag_eph) != 0) {
    const auto ephemeral = a.key("ephemeral_a");
    const Bytes ect_classical = a.kem(which.name + "_ephemeral", "ct_classical");
    const Bytes ect_ml_kem = a.kem(which.name + "_ephemeral", "ct_ml_kem");
    const auto second = must(ephemeral.decapsulate(crypto::KemForm::to_ephemeral, ect_classical, ect_ml_kem));
    ss = mix_ephemeral(a.suite(), ss, {second.classical, second.ml_kem, ect_classical, ect_ml_kem, ephemeral.encapsulation_key()});
  }
  if ((which.flags & flag_inj) != 0) ss = mix_injected(a.suite(), ss, a.secret_input("injected_key"), 5, h_req);
  return ss;
}

DeliverAck deliver_ack_of(const Answers& a) { return {.sid_wk = a.sid_wk(), .uid = alice, .h_deliver = a.hash("deliver_eph"), .ok = true}; }

Reject reject_of(const Answers& a) {
  return {.h_offending = crypto::digest(a.suite().hash, a.octets("key_request")),
          .code = ErrorCode::not_found,
          .reason = "no subscriber +8613900000002",
          .ts_ms = ts};
}

Ax1 ax1_of(const Answers& a) {
  return {.sid_wk = a.sid_wk(),
          .sid_call = a.sid_call(),
          .num_call = caller,
          .num_called = callee,
          .nonce_i = a.input("nonce_i"),
          .ephemeral = a.key("ax_ephemeral").encapsulation_key(),
          .fps = a.fps("terminal_a")};
}

}  // namespace qanat::wire
