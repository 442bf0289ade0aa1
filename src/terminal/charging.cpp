#include "terminal/charging.hpp"

#include <algorithm>

#include "node/crash_point.hpp"
#include "node/log.hpp"

namespace qanat::terminal {
namespace {

std::unexpected<Error> charge_denied(const std::string& why) { return fail(ErrorCode::denied, "ChargeDeliver: " + why); }

}  // namespace

Result<ChargeAsking> ChargeAsking::make(const Applicant& applicant, const wire::MediumId& medium, const WantedKeys& wanted,
                                        std::optional<TakenKey> distribution, UnixMs now, crypto::Rng& rng) {
  const crypto::Suite& suite = applicant.suite;
  ASSIGN_OR_RETURN(auto ephemeral, crypto::Decapsulator::generate(suite, rng));
  wire::ChargeRequest message{.uid = applicant.uid,
                              .kms_id = applicant.kms,
                              .medium = medium,
                              .nonce = rng.bytes(wire::nonce_size),
                              .ts_ms = now,
                              .wanted = wanted,
                              .flags = 0,
                              .ephemeral = ephemeral.encapsulation_key(),
                              .ext = {}};
  if (distribution) {
    ASSIGN_OR_RETURN(const Bytes covered, wire::encode(suite, applicant.policy_epoch, message));
    message.ext.push_back(
        wire::make_extension(wire::ExtensionType::injected_key, distribution->index, wire::charge_request_mac(suite, distribution->key, covered)));
    message.flags = wire::flag_inj;
  }
  ASSIGN_OR_RETURN(auto framed, wire::sign_message(suite, applicant.policy_epoch, message, applicant.signer.signer, applicant.signer.fps, rng));
  return Result<ChargeAsking>(ChargeAsking(applicant, std::move(framed), std::move(ephemeral), std::move(distribution)));
}

Result<ChargeAsking::Answer> ChargeAsking::judge(ByteView answer, const node::Sender& kms, UnixMs now) const {
  const Applicant& applicant = applicant_;
  ASSIGN_OR_RETURN(const auto delivery, wire::parse<wire::ChargeDeliver>(answer));
  if (delivery.suite != &applicant.suite) return charge_denied("is of suite " + std::string(delivery.suite->name));
  if (delivery.header.policy_epoch != applicant.policy_epoch)
    return charge_denied("policy epoch " + std::to_string(delivery.header.policy_epoch) + " is not in force");
  TRY(wire::verify(delivery, kms.verifier, kms.fps));
  const wire::ChargeDeliver& said = delivery.message;
  const wire::ChargeRequest& asked = request_.message;
  if (said.h_req != request_.hash) return charge_denied("answers another request");
  if (said.uid != asked.uid || said.medium != asked.medium) return charge_denied("is for another terminal or medium");
  if (said.flags != asked.flags) return charge_denied("its flags are not those of the request");
  const UnixMs off = said.ts_ms > now ? said.ts_ms - now : now - said.ts_ms;
  if (off > delivery_clock_window_ms) return charge_denied("its time is " + std::to_string(off) + " ms off, more than the clock window");
  Answer out{.order = said.order, .charge = said.charge, .payload = std::nullopt, .h_deliver = delivery.hash};
  if (said.order != wire::MediumOrder::charge) return Result<Answer>(std::move(out));
  ASSIGN_OR_RETURN(out.payload, open(delivery));
  for (const wire::KeySet set : wire::all_key_sets) {
    if (out.payload->of(set).keys.size() > asked.wanted[wire::index_of(set)]) return charge_denied("brings more keys than were asked for");
  }
  const bool under_counting = distribution_ && wire::counts(distribution_->charged);
  if (out.payload->charged != (under_counting ? wire::Charged::wire_under_offline : wire::Charged::wire))
    return charge_denied("says that it was charged " + std::string(wire::name(out.payload->charged)));
  return Result<Answer>(std::move(out));
}

Result<wire::ChargePayload> ChargeAsking::open(const wire::Framed<wire::ChargeDeliver>& delivery) const {
  const crypto::Suite& suite = *delivery.suite;
  const wire::ChargeDeliver& said = delivery.message;
  ASSIGN_OR_RETURN(const crypto::SharedSecrets fresh, ephemeral_.decapsulate(crypto::KemForm::to_ephemeral, said.ct_classical, said.ct_ml_kem));
  Secret ss = wire::hybrid_secret(suite,
                                  {.ss_classical = fresh.classical,
                                   .ss_ml_kem = fresh.ml_kem,
                                   .ct_classical = said.ct_classical,
                                   .ct_ml_kem = said.ct_ml_kem,
                                   .key = ephemeral_.encapsulation_key()},
                                  wire::charge_context(request_.hash));
  if (distribution_) ss = wire::mix_distribution(suite, ss, distribution_->key, distribution_->index, request_.hash);
  return wire::open_charge(delivery, ss);
}

Result<Bytes> ChargeAsking::receipt(const Answer& answer, bool ok, crypto::Rng& rng) const {
  const Applicant& applicant = applicant_;
  const wire::ChargeReceipt message{.uid = applicant.uid, .medium = request_.message.medium, .charge = answer.charge, .h_deliver = answer.h_deliver, .ok = ok};
  ASSIGN_OR_RETURN(auto framed, wire::sign_message(applicant.suite, applicant.policy_epoch, message, applicant.signer.signer, applicant.signer.fps, rng));
  return std::move(framed.octets);
}

Result<void> Charging::send_receipts(Deadline deadline) {
  while (true) {
    ASSIGN_OR_RETURN(const auto receipt, parts_.store.charge_receipt());
    if (!receipt) return {};
    const auto sent = parts_.send(points::Endpoint::km1_charged, receipt->message, deadline);
    const bool may_come_again = !sent && (sent.error().code == ErrorCode::unavailable || sent.error().code == ErrorCode::exhausted ||
                                          sent.error().code == ErrorCode::deadline_exceeded || sent.error().code == ErrorCode::internal);
    if (may_come_again) return fail(sent.error());
    // conflict: the KMS has it, its answer was lost. What it refuses for good would be refused again: the keys are used all the same.
    if (!sent && sent.error().code != ErrorCode::conflict) node::log(node::LogLevel::warning, "receipt of a charge: {}", sent.error().message);
    TRY(parts_.store.forget_charge_receipt(receipt->charge));
    node::crash_point("terminal.charge.received");
  }
}

Result<Charging::Outcome> Charging::charge(const WantedKeys& wanted, Deadline deadline) {
  TRY(send_receipts(deadline));
  WantedKeys within = wanted;
  for (const wire::KeySet set : wire::all_key_sets) {
    std::uint16_t& count = within[wire::index_of(set)];
    count = static_cast<std::uint16_t>(std::min<std::uint32_t>(count, parts_.medium.room(set)));
  }
  ASSIGN_OR_RETURN(const auto kms, parts_.check_kms(deadline));  // before a key leaves the medium for it
  std::optional<TakenKey> distribution;
  if (parts_.medium.state() == MediumState::active && within != WantedKeys{}) {
    ASSIGN_OR_RETURN(distribution, parts_.medium.take(wire::KeySet::distribution));
  }
  return ask(*kms, within, std::move(distribution), deadline);
}

Result<Charging::Outcome> Charging::obey(Deadline deadline) {
  ASSIGN_OR_RETURN(const auto kms, parts_.check_kms(deadline));
  return ask(*kms, WantedKeys{}, std::nullopt, deadline);
}

Result<Charging::Outcome> Charging::ask(const node::Sender& kms, const WantedKeys& wanted, std::optional<TakenKey> distribution, Deadline deadline) {
  ASSIGN_OR_RETURN(const ChargeAsking asking,
                   ChargeAsking::make(parts_.applicant, parts_.medium.id(), wanted, std::move(distribution), parts_.clock.now_ms(), parts_.rng));
  ASSIGN_OR_RETURN(const Bytes octets, parts_.send(points::Endpoint::km1_charge, asking.octets(), deadline));
  ASSIGN_OR_RETURN(const ChargeAsking::Answer answer, asking.judge(octets, kms, parts_.clock.now_ms()));
  Outcome out{.order = answer.order, .charged = std::nullopt, .origin = std::nullopt, .keys = {}};
  switch (answer.order) {
    case wire::MediumOrder::none:
      return out;
    case wire::MediumOrder::lock:
      TRY(parts_.medium.lock());
      return out;
    case wire::MediumOrder::wipe:
      TRY(parts_.medium.wipe());
      return out;
    case wire::MediumOrder::charge:
      break;
  }
  node::crash_point("terminal.charge.asked");
  const auto written = parts_.medium.write(*answer.payload);
  ASSIGN_OR_RETURN(const Bytes receipt, asking.receipt(answer, written.has_value(), parts_.rng));
  TRY(parts_.store.save_charge_receipt({.charge = to_bytes(answer.charge.view()), .message = receipt}));
  node::crash_point("terminal.charge.written");
  if (const auto sent = send_receipts(deadline); !sent)
    node::log(node::LogLevel::warning, "receipt of a charge: {}; it is sent again later", sent.error().message);
  TRY(written);
  out.charged = answer.payload->charged;
  out.origin = answer.payload->origin;
  for (const wire::KeySet set : wire::all_key_sets) out.keys[wire::index_of(set)] = static_cast<std::uint16_t>(answer.payload->of(set).keys.size());
  return out;
}

}  // namespace qanat::terminal
