#include "terminal/process.hpp"

#include <algorithm>

#include "node/steps.hpp"
#include "terminal/call.hpp"
#include "terminal/enrolment.hpp"
#include "terminal/issuances.hpp"
#include "terminal/key_client.hpp"
#include "terminal/loaded.hpp"
#include "terminal/medium_process.hpp"
#include "terminal/octet_file.hpp"
#include "terminal/peer_pins.hpp"
#include "terminal/renewal.hpp"
#include "terminal/wav.hpp"

namespace qanat::terminal {
namespace {

constexpr std::chrono::milliseconds enrol_max{15'000};
constexpr std::chrono::milliseconds peer_check_max{3'000};
constexpr std::chrono::milliseconds renewal_max{15'000};
constexpr std::chrono::milliseconds issuances_wait_max{3'000};

/// Step 1 goes without a certificate of our own: there is none yet. The MAC names the requester, the answer is signed.
Result<Bytes> enrol_anonymously(node::Node& node, const std::string& kms, ByteView message, Deadline deadline) {
  const points::EndpointRow& line = points::row(points::Endpoint::km1_enrol);
  const auto client = net::Client::create(node.settings().peers.at(kms), nullptr, std::make_shared<const crypto::TrustStore>(node.trust()), {});
  ASSIGN_OR_RETURN(const net::Response response, client->call({.method = std::string(line.method),
                                                               .path = std::string(line.path),
                                                               .query = "",
                                                               .content_type = std::string(line.request_type),
                                                               .body = message,
                                                               .request_id = node.new_request_id()},
                                                              deadline));
  if (response.status != 200) return fail_in("Km-1 to " + kms, net::error_of(response));
  return response.body;
}

/// Events of the call's thread and the key thread, one at a time, as JSON.
CallObserver observer(const EventSink& sink) {
  auto mutex = std::make_shared<std::mutex>();  // shared by the copies of the observer
  return [mutex, sink](const CallEvent& event) {
    if (!sink) return;
    const auto now_us = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    wire::Json out = wire::Json::object({{"event", event.event}, {"t_us", now_us}});
    if (event.step) out.set("step", *event.step);
    out.set("what", event.what);
    if (event.ms) out.set("ms", *event.ms);
    const std::lock_guard lock(*mutex);
    sink(out);
  };
}

wire::Json add_findings(wire::Json out, const IssuanceFindings& findings) {
  const wire::Json found = to_json(findings);
  for (const std::string& name : found.names()) {
    if (const auto value = found.at(name)) out.set(name, *value);
  }
  return out;
}

TerminalRenewal renewal_of(node::Node& node, const TerminalSettings& settings, Loaded& loaded) {
  return TerminalRenewal(node, settings, *loaded.credentials, *loaded.store, loaded.encryption->encapsulation_key(), renewal_transport(node, settings.kms));
}

/// Before a call: where the time has come, or an earlier renewal did not come to its end. That it fails is on record and no reason not to call.
void keep_certificates_fresh(node::Node& node, const TerminalSettings& settings, Loaded& loaded) {
  TerminalRenewal renewal = renewal_of(node, settings, loaded);
  const Result<bool> to_be_told = renewal.to_be_told();
  if (renewal.due() || !to_be_told || *to_be_told) static_cast<void>(renewal.run(Deadline::after(renewal_max)));
}

/// Before a call: not that it hangs on CAS, which may be away for once. What is found is said and recorded.
void look_for_strangers(node::Node& node, Loaded& loaded) {
  const auto found = check_issuances(node, *loaded.store, loaded.encryption->encapsulation_key(), Deadline::after(issuances_wait_max));
  if (!found) node::log(node::LogLevel::warning, "what was issued in this terminal's name could not be looked at: {}", found.error().message);
}

wire::Json rejected(const CallReport& report) {
  wire::Json out = wire::Json::object();
  for (std::size_t i = 0; i < srtp_drop_reasons; ++i) out.set(name(static_cast<SrtpDrop>(i)), report.srtp.dropped[i]);
  out.set("foreign_payload", report.foreign_payloads);
  return out;
}

/// What protected the working key between this terminal and its KMS, for people.
std::string last_mile(const CallReport& report) {
  std::string known = report.symmetric ? "; ADMITTED IN SYMMETRIC MODE: the KMS could not check this terminal's certificates" : "";
  if (report.unchecked) known += "; SYMMETRIC MODE: the status of the KMS's or the peer's certificates could not be had";
  const bool later_without = report.injected && std::ranges::any_of(report.epochs, [](const KeyEpoch& epoch) { return !epoch.injected; });
  if (later_without) known += "; A LATER KEY OF THE CALL WAS NOT, and falls with SM2 or ECDH and ML-KEM (see keys)";
  if (!report.charged) return "SM2 or ECDH with ML-KEM: falls if both fall" + known;
  if (!report.injected) return "also a charged key, which itself came over a wire under public keys alone: adds nothing if both fall" + known;
  return "also protected by a charged key, " + std::string(wire::name(*report.charged)) + known;
}

/// The call's keys one after another, under which its media went.
wire::Json keys_to_json(const CallReport& report) {
  wire::Json out = wire::Json::array();
  for (const KeyEpoch& epoch : report.epochs) {
    out.push(wire::Json::object({{"sid_wk", epoch.sid_wk.hex()},
                                 {"wk_fingerprint", epoch.wk_fingerprint},
                                 {"assurance", static_cast<int>(epoch.assurance)},
                                 {"n_paths", epoch.n_paths},
                                 {"path_min", epoch.path_min},
                                 {"injected", epoch.injected},
                                 {"sas", to_hex(epoch.sas)},
                                 {"packets_sent", epoch.packets_sent},
                                 {"packets_received", epoch.packets_received}}));
  }
  return out;
}

wire::Json to_json(const CallReport& report, PeerPin pin, const SoundPlan& plan) {
  return wire::Json::object({{"sid_wk", report.sid_wk.hex()},
                             {"sid_call", report.sid_call.hex()},
                             {"wk_fingerprint", report.wk_fingerprint},
                             {"assurance", static_cast<int>(report.assurance)},
                             {"n_paths", report.n_paths},
                             {"path_min", report.path_min},
                             {"injected", report.injected},
                             {"charged", report.charged ? wire::name(*report.charged) : std::string_view()},
                             {"symmetric_mode", report.symmetric || report.unchecked},
                             {"last_mile", last_mile(report)},
                             {"grant", report.directory ? "granted by the directory, CMSP did not answer" : ""},
                             {"peer_uid", report.peer_uid.text()},
                             {"peer_number", report.peer_number.text()},
                             {"peer_kms", report.peer_kms.text()},
                             {"peer_certificates", name(pin)},
                             {"sas", to_hex(report.sas)},
                             {"keys", keys_to_json(report)},
                             {"packets_sent", report.packets_sent},
                             {"packets_received", report.packets_received},
                             {"packets_lost", report.packets_lost},
                             {"packets_rejected", rejected(report)},
                             {"setup_ms", report.setup_ms},
                             {"invite_to_answer_ms", report.invite_to_answer_ms},
                             {"invite_to_wk_ms", report.invite_to_wk_ms},
                             {"invite_to_ax_ms", report.invite_to_ax_ms},
                             {"ended", name(report.ended)},
                             {"wav_sent", plan.wav_in.string()},
                             {"wav_heard", plan.wav_out.string()},
                             {"capture", plan.capture.string()}});
}

/// Said to the user and recorded before a word is spoken: the call goes on, for there are honest reasons.
PeerPins::Changed on_change(node::Node& node, const CallObserver& observe) {
  return [&node, observe](const Uid& peer, const TerminalStore::PeerSeen& last) {
    const std::string what =
        "subscriber " + peer.text() + " shows other certificates than at the last call, though those were not due for renewal: compare the SAS";
    const auto recorded = node.record({.action = "ax-1.peer-changed",
                                       .outcome = audit::Outcome::failure,
                                       .subject = peer.text(),
                                       .object = to_hex(last.fingerprint),
                                       .reason = what,
                                       .request_id = ""});
    node::log(node::LogLevel::error, "ALARM: {}{}", what, recorded ? "" : " (" + recorded.error().message + ")");
    observe({.event = "peer-changed", .step = {}, .what = what, .ms = {}});
  };
}

/// A running call's change of key, or that it came to nothing.
void record_rekey(node::Node& node, const TerminalSettings& settings, const CallEvent& event) {
  const bool changed = event.event == "rekeyed";
  if (!changed && event.event != "rekey_failed") return;
  const auto recorded = node.record({.action = "ax-1.rekey",
                                     .outcome = changed ? audit::Outcome::success : audit::Outcome::failure,
                                     .subject = settings.number.text(),
                                     .object = "",
                                     .reason = event.what,
                                     .request_id = ""});
  if (!recorded) node::log(node::LogLevel::error, "{}: {}", event.what, recorded.error().message);
}

/// The frame of both directions: `hold` places or answers on the opened call.
Result<wire::Json> hold_call(node::Node& node, const TerminalSettings& settings, const SoundPlan& plan, const EventSink& sink,
                             std::chrono::milliseconds wait_max, const std::function<Result<CallReport>(Call&)>& hold) {
  ASSIGN_OR_RETURN(Loaded loaded, load(node, settings));
  keep_certificates_fresh(node, settings, loaded);
  look_for_strangers(node, loaded);
  ASSIGN_OR_RETURN(std::vector<std::int16_t> said, read_wav(plan.wav_in));
  const std::shared_ptr<const node::MessageSigner> in_force = node.signer();
  const node::MessageSigner& signer = *in_force;
  const Applicant applicant = applicant_of(node, settings, loaded, signer);
  std::atomic<bool> peer_known = false;
  if (settings.symmetric_mode && loaded.medium_in_use() != nullptr) {
    // What a charged key protects is known by it: the KMS by the delivery that opens, the peer by the fingerprints in it.
    node.accept_unknown_status([&peer_known](const crypto::Certificate& certificate) {
      const auto& element = certificate.names().element;
      return element && (element->kind == Kind::kms || (apps.has(element->kind) && peer_known));
    });
  }
  node.start_reporting();
  std::atomic<bool> invited = false;  // the observer is called from two threads
  std::string session;                // the call's first, once both ends talk in it
  const CallObserver observe = [&, show = observer(sink)](const CallEvent& event) {
    if (event.event == "invite") invited = true;
    record_rekey(node, settings, event);
    show(event);
  };
  KmsLink link(node, settings, loaded);
  KeyClient keys({.applicant = applicant,
                  .store = *loaded.store,
                  .clock = node.clock(),
                  .rng = node.rng(),
                  .send = [&](points::Endpoint endpoint, ByteView message, Deadline deadline) { return link.send(endpoint, message, deadline); },
                  .check_kms = [&](Deadline deadline) { return link.check(deadline); },
                  .observe = observe,
                  .medium = loaded.medium_in_use(),
                  .charged_required = loaded.must_be_charged(settings),
                  .symmetric_mode = settings.symmetric_mode,
                  .status_unknown = [&node] { return node.unknown_accepted() > 0; },
                  .peer_known = &peer_known});
  PeerPins pins(*loaded.store, node.clock(), check_peer_with(*loaded.senders, peer_check_max), on_change(node, observe));
  const CallParty party{.number = settings.number,
                        .kms = applicant.kms,
                        .ax = {.suite = node.suite(),
                               .policy_epoch = applicant.policy_epoch,
                               .signer = signer,
                               .check_peer = pins.check(),
                               .rng = node.rng()},
                        .keys = keys,
                        .observe = observe,
                        .begun =
                            [&](const SidWk& sid_wk) {
                              if (session.empty()) session = sid_wk.hex();
                              // Also of a later key: one that is delivered and not talked under would look like one that was fetched for nothing.
                              node.report({.about = "", .action = "call", .outcome = "started", .object = sid_wk.hex()});
                            }};
  CallSettings call_settings{.sip = settings.sip, .pace = settings.pace};
  call_settings.wait_max = wait_max;
  call_settings.rekey = settings.rekey;
  ASSIGN_OR_RETURN(const auto call, Call::open(party, call_settings, std::move(said)));
  auto report = hold(*call);
  const auto captured = plan.capture.empty() ? Result<void>() : write_file(plan.capture, call->capture().octets());
  TRY(node.record({.action = "ax-1.call",
                   .outcome = report ? audit::Outcome::success : audit::outcome_of(report.error().code),
                   .subject = settings.number.text(),
                   .object = report ? std::string_view(report->peer_number.text()) : std::string_view(),
                   .reason = report ? std::string_view() : std::string_view(report.error().message),
                   .request_id = ""}));
  // Who waited and was not called has nothing to tell.
  if (invited)
    node.report(
        {.about = "", .action = "call", .outcome = std::string(report ? "ended" : audit::name(audit::outcome_of(report.error().code))), .object = session});
  if (!report && report.error().code == ErrorCode::denied) obey_kms(node, settings, loaded);
  if (!report) return fail(report.error());
  report->unchecked = node.unknown_accepted() > 0;
  TRY(captured);
  TRY(write_wav(plan.wav_out, report->heard));
  ASSIGN_OR_RETURN(const PeerPin shown, pins.keep());
  return to_json(*report, shown, plan);
}

}  // namespace

Result<wire::Json> enrol_terminal(node::Node& node, const TerminalSettings& settings) {
  TRY(check_settings(node, settings));
  ASSIGN_OR_RETURN(const auto store, TerminalStore::open(state_of(node, "terminal.db"), node.device()));
  ASSIGN_OR_RETURN(const auto credentials, node::CredentialStore::open(state_of(node, "credentials.db"), node.device(), node.suite()));
  const EnrolmentTransport transport{
      .enrol = [&](ByteView message, Deadline deadline) { return enrol_anonymously(node, settings.kms, message, deadline); },
      .receipt = [&](ByteView message, Deadline deadline) -> Result<void> {
        TRY(send_to_kms(node, settings.kms, points::Endpoint::km1_receipt, message, deadline));
        return {};
      }};
  ASSIGN_OR_RETURN(const EnrolmentStage before, store->stage());
  node::StepTrace trace(node.settings().state);
  node::StepTrace::Timer step1(trace, 1);
  Enrolment enrolment(node, settings, *credentials, *store, transport);
  TRY(enrolment.run(Deadline::after(enrol_max)));
  node.start_reporting();
  if (before != EnrolmentStage::confirmed)
    step1.done(settings.uid.text(), "signing keys made here, certificates in place, encryption keys injected by " + settings.kms);
  ASSIGN_OR_RETURN(const TerminalStore::Delivered delivered, store->delivered());
  ASSIGN_OR_RETURN(const auto pair, crypto::Decapsulator::from_secret(node.suite(), delivered.encryption));
  ASSIGN_OR_RETURN(const IssuanceFindings findings, check_issuances(node, *store, pair.encapsulation_key(), Deadline::after(issuances_wait_max)));
  if (!findings.own)
    return fail(ErrorCode::denied, "CAS shows no encryption certificates of one bundle with the signing certificates: this enrolment is of no use");
  const std::shared_ptr<const node::MessageSigner> in_force = node.signer();
  const node::MessageSigner& own = *in_force;
  wire::Json out = wire::Json::object({{"uid", settings.uid.text()},
                                       {"number", settings.number.text()},
                                       {"kms", settings.kms},
                                       {"serial_ml_dsa", to_hex(own.ml_dsa.serial())},
                                       {"serial_classical", to_hex(own.classical.serial())},
                                       {"enc_kid", to_hex(wire::key_id_of(node.suite(), pair.encapsulation_key()))}});
  return add_findings(std::move(out), findings);
}

Result<wire::Json> list_certificates(node::Node& node, const TerminalSettings& settings) {
  ASSIGN_OR_RETURN(const Loaded loaded, load(node, settings));
  node.start_reporting();
  ASSIGN_OR_RETURN(const IssuanceFindings findings,
                   check_issuances(node, *loaded.store, loaded.encryption->encapsulation_key(), Deadline::after(issuances_wait_max)));
  return add_findings(wire::Json::object({{"uid", settings.uid.text()}, {"number", settings.number.text()}, {"kms", settings.kms}}), findings);
}

Result<wire::Json> renew_terminal(node::Node& node, const TerminalSettings& settings) {
  ASSIGN_OR_RETURN(Loaded loaded, load(node, settings));
  const Result<void> renewed = renewal_of(node, settings, loaded).run(Deadline::after(renewal_max));
  node.start_reporting();  // not before: a renewal makes the node's connections anew
  TRY(renewed);
  ASSIGN_OR_RETURN(const IssuanceFindings findings,
                   check_issuances(node, *loaded.store, loaded.encryption->encapsulation_key(), Deadline::after(issuances_wait_max)));
  return add_findings(wire::Json::object({{"uid", settings.uid.text()}, {"number", settings.number.text()}, {"kms", settings.kms}}), findings);
}

Result<wire::Json> place_call(node::Node& node, const TerminalSettings& settings, const CallPlan& plan) {
  return hold_call(node, settings, plan.sound, plan.event, {}, [&](Call& call) { return call.place(plan.callee, plan.callee_sip); });
}

Result<wire::Json> answer_call(node::Node& node, const TerminalSettings& settings, const AnswerPlan& plan,
                               const std::function<void(std::uint16_t sip_port)>& listening) {
  return hold_call(node, settings, plan.sound, plan.event, plan.wait_max, [&](Call& call) {
    listening(call.sip_endpoint().port);
    return call.answer();
  });
}

}  // namespace qanat::terminal
