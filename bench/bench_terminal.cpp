#include "bench_terminal.hpp"

#include "terminal/enrolment.hpp"

namespace qanat::bench {
namespace {

constexpr std::chrono::milliseconds answer_max{10000};
constexpr std::uint32_t policy_epoch = 1;  // node::Settings' own

}  // namespace

Result<Bytes> exchange(net::Client& client, points::Endpoint endpoint, ByteView body, crypto::Rng& rng) {
  const points::EndpointRow& line = points::row(endpoint);
  ASSIGN_OR_RETURN(net::Response response, client.call({.method = std::string(line.method),
                                                        .path = std::string(line.path),
                                                        .query = "",
                                                        .content_type = std::string(line.request_type),
                                                        .body = body,
                                                        .request_id = to_hex(rng.bytes(8))},
                                                       Deadline::after(answer_max)));
  if (response.status < 200 || response.status > 299) return fail_in(line.path, net::error_of(response));
  return std::move(response.body);
}

Result<std::unique_ptr<BenchTerminal>> BenchTerminal::enrol(Ground& ground, const app::TerminalPlan& plan) {
  std::unique_ptr<BenchTerminal> out(new BenchTerminal(plan));
  TRY(ground.op().provision(plan));
  const Identity identity{.domain = plan.domain, .kind = Kind::app1, .name = plan.uid};
  out->names_ = {.common_name = plan.uid, .element = identity, .number = out->number_, .dns = {}, .home_kms = ElementName(plan.kms)};
  ASSIGN_OR_RETURN(const net::Target kms, ground.target(plan.kms));
  ASSIGN_OR_RETURN(crypto::Signer signer, crypto::Signer::generate(ground.suite(), ground.rng()));
  terminal::TerminalStore::Asked asked;
  ASSIGN_OR_RETURN(const Bytes envelope, out->ask(ground, plan, kms, asked, signer));
  TRY(out->accept(ground, kms, std::move(asked), envelope, std::move(signer)));
  out->applicant_.emplace(terminal::Applicant{.suite = ground.suite(),
                                              .policy_epoch = policy_epoch,
                                              .uid = Uid(plan.uid),
                                              .kms = ElementName(plan.kms),
                                              .signer = *out->signer_,
                                              .encryption = *out->encryption_,
                                              .min_assurance = wire::Assurance::local_rng});
  return Result<std::unique_ptr<BenchTerminal>>(std::move(out));
}

Result<Bytes> BenchTerminal::ask(Ground& ground, const app::TerminalPlan& plan, const net::Target& kms, terminal::TerminalStore::Asked& asked,
                                 const crypto::Signer& signer) {
  const crypto::Suite& suite = ground.suite();
  crypto::SigningSecret keys = signer.secret();
  ASSIGN_OR_RETURN(const Bytes csr_classical, crypto::make_request({.algorithm = crypto::classical_key(suite), .secret = std::move(keys.scalar)}, names_));
  ASSIGN_OR_RETURN(const Bytes csr_pq, crypto::make_request({.algorithm = crypto::ml_dsa_key(suite), .secret = std::move(keys.ml_dsa_seed)}, names_));
  ASSIGN_OR_RETURN(const crypto::Decapsulator ephemeral, crypto::Decapsulator::generate(suite, ground.rng()));
  ASSIGN_OR_RETURN(const Secret secret, terminal::read_enrolment_secret(ground.network().secret_of(plan.uid + ".enrolment")));
  wire::Enrol message{.uid = Uid(plan.uid),
                      .number = number_,
                      .kms_id = ElementName(plan.kms),
                      .device_kind = Kind::app1,
                      .encryption_keys = wire::EncryptionKeys::kms_made,
                      .nonce = ground.rng().bytes(wire::nonce_size),
                      .csr_classical = csr_classical,
                      .csr_pq = csr_pq,
                      .ephemeral = ephemeral.encapsulation_key(),
                      .encryption = {},
                      .mac = {}};
  ASSIGN_OR_RETURN(auto framed, wire::make_enrol(suite, policy_epoch, std::move(message), secret));
  asked = {.message = std::move(framed.octets), .ephemeral = ephemeral.secret()};
  const auto anonymous = net::Client::create(kms, nullptr, ground.trust(), {});
  return exchange(*anonymous, points::Endpoint::km1_enrol, asked.message, ground.rng());
}

Result<void> BenchTerminal::accept(Ground& ground, const net::Target& kms, terminal::TerminalStore::Asked asked, ByteView envelope, crypto::Signer signer) {
  const crypto::Suite& suite = ground.suite();
  const terminal::EnrolmentJudge judge{
      .suite = suite, .policy_epoch = policy_epoch, .trust = *ground.trust(), .kms = kms.expected, .own_names = names_, .now = SystemClock().now_ms()};
  ASSIGN_OR_RETURN(const terminal::EnrolmentAnswer answer, terminal::judge_enrolment(judge, asked, envelope));
  const crypto::Certificate& classical = answer.classical_chain.front();
  const crypto::Certificate& ml_dsa = answer.ml_dsa_chain.front();
  crypto::SigningSecret keys = signer.secret();
  tls_ = std::make_shared<const net::TlsIdentity>(
      net::TlsIdentity{.chain = answer.ml_dsa_chain, .key = {.algorithm = crypto::ml_dsa_key(suite), .secret = std::move(keys.ml_dsa_seed)}});
  signer_.emplace(node::MessageSigner{
      .signer = std::move(signer), .classical = classical, .ml_dsa = ml_dsa, .fps = wire::fingerprints(suite, classical.der(), ml_dsa.der())});
  ASSIGN_OR_RETURN(encryption_, crypto::Decapsulator::from_secret(suite, answer.delivered.encryption));
  ASSIGN_OR_RETURN(const auto kms_classical, crypto::Certificate::parse(answer.delivered.kms_classical));
  ASSIGN_OR_RETURN(const auto kms_ml_dsa, crypto::Certificate::parse(answer.delivered.kms_ml_dsa));
  ASSIGN_OR_RETURN(auto verifier, crypto::Verifier::from_key(suite, {.point = kms_classical.public_key(), .ml_dsa = kms_ml_dsa.public_key()}));
  kms_.emplace(node::Sender{.classical = kms_classical,
                            .ml_dsa = kms_ml_dsa,
                            .fps = wire::fingerprints(suite, kms_classical.der(), kms_ml_dsa.der()),
                            .verifier = std::move(verifier)});
  token_ref_ = Bytes(suite.digest);
  client_ = net::Client::create(kms, tls_, ground.trust(), {});
  return confirm(ground, answer.delivered);
}

Result<void> BenchTerminal::confirm(Ground& ground, const terminal::TerminalStore::Delivered& delivered) {
  const crypto::Suite& suite = ground.suite();
  const wire::EnrolReceipt receipt{.h_deliver = crypto::digest(suite.hash, delivered.answer), .uid = Uid(names_.common_name), .ok = true};
  ASSIGN_OR_RETURN(const auto framed, wire::sign_message(suite, policy_epoch, receipt, signer_->signer, signer_->fps, ground.rng()));
  TRY(exchange(*client_, points::Endpoint::km1_receipt, framed.octets, ground.rng()));
  return {};
}

Result<terminal::KeyApplication> BenchTerminal::apply(const terminal::KeyWanted& wanted, UnixMs now, crypto::Rng& rng) const {
  return terminal::KeyApplication::make(*applicant_, wanted, token_ref_, now, rng);
}

Result<terminal::WorkingKey> BenchTerminal::open(const terminal::KeyApplication& application, ByteView answer, UnixMs now) {
  ASSIGN_OR_RETURN(const auto delivery, application.authenticate(answer, *kms_));
  ASSIGN_OR_RETURN(auto opened, application.open(delivery, *kms_, now));
  if (!opened.token_ref.empty()) token_ref_ = opened.token_ref;
  return Result<terminal::WorkingKey>(std::move(opened.key));
}

Result<Bytes> BenchTerminal::send(points::Endpoint endpoint, ByteView message) {
  const points::EndpointRow& line = points::row(endpoint);
  ASSIGN_OR_RETURN(net::Response response, client_->call({.method = std::string(line.method),
                                                          .path = std::string(line.path),
                                                          .query = "",
                                                          .content_type = std::string(line.request_type),
                                                          .body = message,
                                                          .request_id = ""},
                                                         Deadline::after(answer_max)));
  if (response.status < 200 || response.status > 299) return fail_in(line.path, net::error_of(response));
  return std::move(response.body);
}

}  // namespace qanat::bench
