// A KMS made from the wire functions alone: answers one application as the real one does, with whatever a test wants to be different.
#pragma once

#include "small_network.hpp"
#include "terminal/key_delivery.hpp"
#include "wire/token.hpp"

namespace qanat::terminal::test {

struct KmsDouble {
  SmallNetwork& net;
  node::MessageSigner signer;
  FixedRng rng{31};

  struct Wanted {
    Secret wk;
    wire::Assurance assurance = wire::Assurance::one_qkd_path;
    std::uint8_t n_paths = 1;
    bool injected = false;
    Uid peer_uid{"bob"};
    Number peer_number = bob_number;
    ElementName peer_kms{"kms-b"};
    Bytes token{};
    std::function<void(wire::KeyDeliver&)> change = [](wire::KeyDeliver&) {};  // before sealing and signing
    std::uint32_t policy_epoch = 1;
    const TakenKey* charged = nullptr;  // mixed in as the application says
  };

  Bytes deliver(ByteView application, const crypto::EncapsulationKey& encryption, Wanted wanted) {
    const crypto::Suite& suite = net.suite();
    const auto request = wire::parse<wire::KeyRequest>(application).value();
    const wire::KeyRequest& asked = request.message;
    const auto fixed = crypto::encapsulate(suite, crypto::KemForm::to_static, encryption, rng).value();
    const Secret fixed_secret = wire::hybrid_secret(suite, wire::transcript(fixed, encryption), wire::deliver_context(request.hash));
    const auto fresh = crypto::encapsulate(suite, crypto::KemForm::to_ephemeral, asked.ephemeral, rng).value();
    Secret ss = wire::mix_ephemeral(suite, fixed_secret, wire::transcript(fresh, asked.ephemeral));
    if (wanted.charged != nullptr) ss = wire::mix_injected(suite, ss, wanted.charged->key, wanted.charged->index, request.hash);
    wire::KeyDeliver message{.h_req = request.hash, .sid_wk = asked.sid_wk, .sid_call = asked.sid_call, .uid = asked.uid, .kms_id = asked.kms_id,
                             .nonce = rng.bytes(wire::nonce_size), .ts_ms = now_ms(), .expiry_ms = now_ms() + 60'000, .flags = asked.flags,
                             .enc_kid = asked.enc_kid, .ct_classical = fixed.ct_classical, .ct_ml_kem = fixed.ct_ml_kem,
                             .eph_ct_classical = fresh.ct_classical, .eph_ct_ml_kem = fresh.ct_ml_kem, .sealed = {}, .fps = signer.fps};
    wanted.change(message);
    const wire::KeyDeliverPayload payload{.wk = std::move(wanted.wk), .assurance = wanted.assurance, .injected = wanted.injected, .n_paths = wanted.n_paths,
                                          .path_min = 1, .peer_uid = wanted.peer_uid, .peer_num = wanted.peer_number, .peer_kms = wanted.peer_kms,
                                          .peer_fps = wire::no_fingerprints(suite), .th9 = wire::no_th9(suite), .token = wanted.token};
    const auto sealed = wire::seal_key_deliver(suite, wanted.policy_epoch, message, ss, payload).value();
    return wire::sign_message(suite, wanted.policy_epoch, sealed, signer.signer, signer.fps, rng).value().octets;
  }
};

inline KeyWanted alice_calls_bob() {
  return {.role = wire::Role::caller, .sid_wk = SidWk(Bytes(16, 7)), .sid_call = SidCall(Bytes(32, 8)), .caller = alice_number, .called = bob_number};
}

}  // namespace qanat::terminal::test
