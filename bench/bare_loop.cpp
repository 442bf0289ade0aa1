#include "bare_loop.hpp"

namespace qanat::bench {
namespace {

constexpr std::uint32_t policy_epoch = 1;
constexpr UnixMs lifetime_ms = 60000;

}  // namespace

Result<BareLoop> BareLoop::prepare(Ground& ground) {
  ASSIGN_OR_RETURN(crypto::Signer signer, crypto::Signer::generate(ground.suite(), ground.rng()));
  return Result<BareLoop>(BareLoop(ground.suite(), ground.rng(), std::move(signer)));
}

Result<BareDelivery> BareLoop::delivery_for(const BenchTerminal& terminal, const terminal::KeyApplication& application) const {
  ASSIGN_OR_RETURN(auto request, wire::parse<wire::KeyRequest>(application.octets()));
  const wire::KeyRequest& asked = request.message;
  wire::KeyDeliver answer{.h_req = request.hash,
                          .sid_wk = asked.sid_wk,
                          .sid_call = asked.sid_call,
                          .uid = asked.uid,
                          .kms_id = asked.kms_id,
                          .nonce = Bytes(wire::nonce_size),
                          .ts_ms = asked.ts_ms,
                          .expiry_ms = asked.ts_ms + lifetime_ms,
                          .flags = asked.flags,
                          .enc_kid = asked.enc_kid,
                          .ct_classical = {},
                          .ct_ml_kem = {},
                          .eph_ct_classical = {},
                          .eph_ct_ml_kem = {},
                          .sealed = {},
                          .fps = wire::no_fingerprints(*suite_)};
  const wire::Fingerprints fps = asked.fps;
  return BareDelivery{.request = std::move(request),
                      .verifying_key = terminal.signer().signer.verifying_key(),
                      .fps = fps,
                      .encryption = terminal.encryption_key(),
                      .answer = std::move(answer)};
}

Result<void> BareLoop::turn(const BareDelivery& delivery) {
  const crypto::Suite& suite = *suite_;
  const wire::KeyRequest& asked = delivery.request.message;
  ASSIGN_OR_RETURN(const crypto::Verifier verifier, crypto::Verifier::from_key(suite, delivery.verifying_key));
  TRY(wire::verify(delivery.request, verifier, delivery.fps));
  ASSIGN_OR_RETURN(const crypto::Encapsulation fixed, crypto::encapsulate(suite, crypto::KemForm::to_static, delivery.encryption, *rng_));
  ASSIGN_OR_RETURN(const crypto::Encapsulation fresh, crypto::encapsulate(suite, crypto::KemForm::to_ephemeral, asked.ephemeral, *rng_));
  const Secret ss_static = wire::hybrid_secret(suite, wire::transcript(fixed, delivery.encryption), wire::deliver_context(delivery.request.hash));
  const Secret ss = wire::mix_ephemeral(suite, ss_static, wire::transcript(fresh, asked.ephemeral));
  wire::KeyDeliver message = delivery.answer;
  message.ct_classical = fixed.ct_classical;
  message.ct_ml_kem = fixed.ct_ml_kem;
  message.eph_ct_classical = fresh.ct_classical;
  message.eph_ct_ml_kem = fresh.ct_ml_kem;
  const wire::KeyDeliverPayload payload{.wk = rng_->secret(wire::wk_size),
                                        .assurance = wire::Assurance::local_rng,
                                        .injected = false,
                                        .n_paths = 0,
                                        .path_min = 0,
                                        .peer_uid = asked.uid,
                                        .peer_num = asked.num_called,
                                        .peer_kms = asked.kms_id,
                                        .peer_fps = delivery.fps,
                                        .th9 = wire::no_th9(suite),
                                        .token = {}};
  ASSIGN_OR_RETURN(const wire::KeyDeliver sealed, wire::seal_key_deliver(suite, policy_epoch, std::move(message), ss, payload));
  TRY(wire::sign_message(suite, policy_epoch, sealed, signer_, sealed.fps, *rng_));
  return {};
}

Result<double> BareLoop::run(std::span<const BareDelivery> deliveries) {
  const double before = thread_cpu_s();
  for (const BareDelivery& delivery : deliveries) TRY(turn(delivery));
  return thread_cpu_s() - before;
}

}  // namespace qanat::bench
