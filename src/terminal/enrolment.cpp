#include "terminal/enrolment.hpp"

#include "base/secret_file.hpp"
#include "node/crash_point.hpp"

namespace qanat::terminal {
namespace {

constexpr std::size_t secret_octets = 32;
constexpr UnixMs ahead_max_ms = 120'000;  // how far the KMS's clock may be ahead of ours

std::unexpected<Error> enrolment_denied(const std::string& why) { return fail(ErrorCode::denied, "EnrolDeliver: " + why); }

struct Signatory {
  crypto::Certificate classical;
  crypto::Certificate ml_dsa;
  wire::Fingerprints fps;
  crypto::Verifier verifier;
};

/// The envelope's two certificates, if they are the KMS's and lead to our roots. Their status is asked once this terminal has a certificate
/// to ask with.
Result<Signatory> signatory_of(const EnrolmentJudge& judge, const wire::Envelope& envelope) {
  ASSIGN_OR_RETURN(auto classical, crypto::Certificate::parse(envelope.classical));
  ASSIGN_OR_RETURN(auto ml_dsa, crypto::Certificate::parse(envelope.ml_dsa));
  for (const crypto::Certificate* certificate : {&classical, &ml_dsa}) {
    if (certificate->names().element != judge.kms) return enrolment_denied("is signed by " + certificate->subject() + ", not by " + judge.kms.uri());
    TRY(judge.trust.verify(*certificate, judge.now));
  }
  if (classical.key_algorithm() != crypto::classical_key(judge.suite) || ml_dsa.key_algorithm() != crypto::ml_dsa_key(judge.suite)) {
    return enrolment_denied("the KMS's certificates are not of suite " + std::string(judge.suite.name));
  }
  ASSIGN_OR_RETURN(auto verifier, crypto::Verifier::from_key(judge.suite, {.point = classical.public_key(), .ml_dsa = ml_dsa.public_key()}));
  return Result<Signatory>(Signatory{.classical = classical,
                                     .ml_dsa = ml_dsa,
                                     .fps = wire::fingerprints(judge.suite, envelope.classical, envelope.ml_dsa),
                                     .verifier = std::move(verifier)});
}

/// A chain whose leaf is a certificate of this terminal.
Result<std::vector<crypto::Certificate>> own_chain(const EnrolmentJudge& judge, ByteView octets, crypto::KeyAlgorithm algorithm) {
  ASSIGN_OR_RETURN(const std::vector<Bytes> ders, wire::parse_chain(octets));
  std::vector<crypto::Certificate> out;
  for (const Bytes& der : ders) {
    ASSIGN_OR_RETURN(out.emplace_back(), crypto::Certificate::parse(der));
  }
  if (out.empty()) return enrolment_denied("brings no certificate");
  const crypto::Certificate& leaf = out.front();
  if (leaf.key_algorithm() != algorithm) return enrolment_denied("brings a certificate over a key of algorithm " + std::string(crypto::name(leaf.key_algorithm())));
  const crypto::SubjectNames& names = leaf.names();
  if (names.element != judge.own_names.element || names.number != judge.own_names.number || names.home_kms != judge.own_names.home_kms) {
    return enrolment_denied("brings a certificate for " + leaf.subject());
  }
  TRY(judge.trust.verify(leaf, judge.now));
  return out;
}

Result<crypto::DecapsulationSecret> open_keys(const EnrolmentJudge& judge, const TerminalStore::Asked& asked, const wire::Framed<wire::EnrolDeliver>& answer,
                                              const wire::Fingerprints& kms) {
  const wire::EnrolDeliver& said = answer.message;
  ASSIGN_OR_RETURN(const auto ephemeral, crypto::Decapsulator::from_secret(judge.suite, asked.ephemeral));
  ASSIGN_OR_RETURN(const crypto::SharedSecrets secrets, ephemeral.decapsulate(crypto::KemForm::to_ephemeral, said.ct_classical, said.ct_ml_kem));
  const Secret ss = wire::hybrid_secret(judge.suite,
                                        {.ss_classical = secrets.classical,
                                         .ss_ml_kem = secrets.ml_kem,
                                         .ct_classical = said.ct_classical,
                                         .ct_ml_kem = said.ct_ml_kem,
                                         .key = ephemeral.encapsulation_key()},
                                        wire::enrol_context(said.h_enrol));
  ASSIGN_OR_RETURN(auto payload, wire::open_enrol(answer, ss));
  if (payload.kms != kms) return enrolment_denied("pins other certificates than the ones that signed it");
  ASSIGN_OR_RETURN(const auto pair, crypto::Decapsulator::from_secret(judge.suite, payload.encryption));
  if (wire::key_id_of(judge.suite, pair.encapsulation_key()) != said.enc_kid) return enrolment_denied("the key pair is not the one that it names");
  return Result<crypto::DecapsulationSecret>(std::move(payload.encryption));
}

}  // namespace

Result<Secret> read_enrolment_secret(const std::filesystem::path& file) {
  auto out = read_secret_file(file, secret_octets);
  if (out || out.error().code != ErrorCode::not_found) return out;
  return fail(ErrorCode::not_found, file.string() + ": no enrolment secret, and this terminal is not enrolled: ask the operator of IAM for a new one");
}

Result<EnrolmentAnswer> judge_enrolment(const EnrolmentJudge& judge, const TerminalStore::Asked& asked, ByteView envelope_octets) {
  ASSIGN_OR_RETURN(const auto request, wire::parse<wire::Enrol>(asked.message));
  ASSIGN_OR_RETURN(const wire::Envelope envelope, wire::parse_envelope(envelope_octets));
  ASSIGN_OR_RETURN(const Signatory kms, signatory_of(judge, envelope));
  ASSIGN_OR_RETURN(const auto answer, wire::parse<wire::EnrolDeliver>(envelope.message));
  if (answer.suite != &judge.suite) return enrolment_denied("is of suite " + std::string(answer.suite->name));
  if (answer.header.policy_epoch != judge.policy_epoch) return enrolment_denied("policy epoch " + std::to_string(answer.header.policy_epoch) + " is not in force");
  TRY(wire::verify(answer, kms.verifier, kms.fps));
  const wire::EnrolDeliver& said = answer.message;
  // The request's hash covers a nonce and an ephemeral key: an answer to it is fresh however long it was under way.
  if (said.h_enrol != request.hash || said.uid != request.message.uid) return enrolment_denied("answers another request");
  if (said.ts_ms > judge.now + ahead_max_ms) return enrolment_denied("comes from the future");
  if (said.encryption_keys != request.message.encryption_keys) return enrolment_denied("the encryption keys are not made as they were asked for");
  ASSIGN_OR_RETURN(auto classical, own_chain(judge, said.chain_classical, crypto::classical_key(judge.suite)));
  ASSIGN_OR_RETURN(auto ml_dsa, own_chain(judge, said.chain_pq, crypto::ml_dsa_key(judge.suite)));
  ASSIGN_OR_RETURN(auto encryption, open_keys(judge, asked, answer, kms.fps));
  return Result<EnrolmentAnswer>(EnrolmentAnswer{.delivered = {.answer = envelope.message,
                                                               .encryption = std::move(encryption),
                                                               .kms_classical = envelope.classical,
                                                               .kms_ml_dsa = envelope.ml_dsa},
                                                 .classical_chain = std::move(classical),
                                                 .ml_dsa_chain = std::move(ml_dsa)});
}

Result<Identity> Enrolment::kms() const {
  const auto found = node_.settings().peers.find(settings_.kms);
  if (found == node_.settings().peers.end() || found->second.expected.kind != Kind::kms) {
    return fail(ErrorCode::invalid_argument, "terminal.kms = '" + settings_.kms + "': no KMS of this name among the peers");
  }
  return found->second.expected;
}

crypto::SubjectNames Enrolment::names() const {
  return {.common_name = node_.identity().name, .element = node_.identity(), .number = settings_.number, .dns = {}, .home_kms = ElementName(settings_.kms)};
}

EnrolmentJudge Enrolment::judge(const Identity& kms) const {
  return {.suite = node_.suite(),
          .policy_epoch = node_.settings().policy_epoch,
          .trust = node_.trust(),
          .kms = kms,
          .own_names = names(),
          .now = node_.clock().now_ms()};
}

Result<void> Enrolment::run(Deadline deadline) {
  ASSIGN_OR_RETURN(EnrolmentStage stage, store_.stage());
  if (stage == EnrolmentStage::none || stage == EnrolmentStage::asked) {
    TRY(ask(deadline));
    stage = EnrolmentStage::delivered;
  }
  TRY(install());
  if (stage == EnrolmentStage::delivered) TRY(confirm(deadline));
  std::error_code ignored;
  std::filesystem::remove(node_.settings().enrolment_secret, ignored);
  return {};
}

Result<void> Enrolment::ask(Deadline deadline) {
  ASSIGN_OR_RETURN(const Identity kms, this->kms());
  ASSIGN_OR_RETURN(const TerminalStore::Asked asked, request());
  node::crash_point("terminal.enrol.asked");
  ASSIGN_OR_RETURN(const Bytes envelope, transport_.enrol(asked.message, deadline));
  auto answer = judge_enrolment(judge(kms), asked, envelope);
  TRY(node_.record({.action = "km-1.enrol",
                    .outcome = answer ? audit::Outcome::success : audit::outcome_of(answer.error().code),
                    .subject = kms.uri(),
                    .object = settings_.uid.text(),
                    .reason = answer ? std::string_view() : std::string_view(answer.error().message),
                    .request_id = ""}));
  if (!answer) return fail(answer.error());
  // First the certificates: they can be installed again and again, while the keys that came with them are taken once.
  TRY(credentials_.finish(answer->ml_dsa_chain, answer->classical_chain));
  node::crash_point("terminal.enrol.certified");
  TRY(store_.save_delivered(answer->delivered));
  node::crash_point("terminal.enrol.delivered");
  return {};
}

Result<TerminalStore::Asked> Enrolment::request() {
  ASSIGN_OR_RETURN(const auto requests, credentials_.prepare(names(), true));
  ASSIGN_OR_RETURN(const Secret secret, read_enrolment_secret(node_.settings().enrolment_secret));
  if (auto earlier = store_.asked()) {
    // The same octets again get the same certificates. They are no use under a new secret, or for a subscriber who has moved.
    ASSIGN_OR_RETURN(const auto framed, wire::parse<wire::Enrol>(earlier->message));
    const wire::Enrol& said = framed.message;
    const bool same = wire::verify_enrol(framed, secret) && said.uid == settings_.uid && said.number == settings_.number &&
                      said.kms_id.text() == settings_.kms && framed.suite == &node_.suite() && framed.header.policy_epoch == node_.settings().policy_epoch;
    if (same) return earlier;
  } else if (earlier.error().code != ErrorCode::not_found) {
    return fail(earlier.error());
  }
  return new_request(requests, secret);
}

Result<TerminalStore::Asked> Enrolment::new_request(const node::CredentialStore::Requests& requests, const Secret& secret) {
  const crypto::Suite& suite = node_.suite();
  ASSIGN_OR_RETURN(const auto ephemeral, crypto::Decapsulator::generate(suite, node_.rng()));
  wire::Enrol message{.uid = settings_.uid,
                      .number = settings_.number,
                      .kms_id = ElementName(settings_.kms),
                      .device_kind = node_.identity().kind,
                      .encryption_keys = wire::EncryptionKeys::kms_made,
                      .nonce = node_.rng().bytes(wire::nonce_size),
                      .csr_classical = requests.classical,
                      .csr_pq = requests.ml_dsa,
                      .ephemeral = ephemeral.encapsulation_key(),
                      .encryption = {},
                      .mac = {}};
  ASSIGN_OR_RETURN(auto framed, wire::make_enrol(suite, node_.settings().policy_epoch, std::move(message), secret));
  TerminalStore::Asked out{.message = std::move(framed.octets), .ephemeral = ephemeral.secret()};
  TRY(store_.save_asked(out));
  return Result<TerminalStore::Asked>(std::move(out));
}

Result<void> Enrolment::install() {
  ASSIGN_OR_RETURN(auto credentials, credentials_.load());
  if (!credentials || !credentials->messages) return fail(ErrorCode::internal, "credentials.db: the enrolment was accepted, but there are no certificates");
  return node_.install_credentials(std::move(*credentials));
}

Result<void> Enrolment::confirm(Deadline deadline) {
  const crypto::Suite& suite = node_.suite();
  ASSIGN_OR_RETURN(const TerminalStore::Delivered delivered, store_.delivered());
  for (const Bytes* der : {&delivered.kms_classical, &delivered.kms_ml_dsa}) {
    ASSIGN_OR_RETURN(const auto certificate, crypto::Certificate::parse(*der));
    TRY(node_.check_certificate(certificate, deadline));
  }
  const std::shared_ptr<const node::MessageSigner> in_force = node_.signer();
  const node::MessageSigner& own = *in_force;
  const wire::EnrolReceipt receipt{.h_deliver = crypto::digest(suite.hash, delivered.answer), .uid = settings_.uid, .ok = true};
  ASSIGN_OR_RETURN(const auto framed, wire::sign_message(suite, node_.settings().policy_epoch, receipt, own.signer, own.fps, node_.rng()));
  TRY(transport_.receipt(framed.octets, deadline));
  node::crash_point("terminal.enrol.confirmed");
  return store_.save_confirmed();
}

}  // namespace qanat::terminal
