#include "kms_library_commands.hpp"

#include <fmt/format.h>

#include <fstream>
#include <memory>

#include "base/secret_file.hpp"
#include "crypto/lone_signer.hpp"
#include "operator.hpp"
#include "services/kms/kp/database.hpp"
#include "services/kms/settings.hpp"
#include "wire/base64.hpp"
#include "wire/key_schedule.hpp"
#include "wire/signed.hpp"

namespace qanat::app {
namespace {

using points::Endpoint;
using wire::Json;

struct Recovering {
  OperatorPlace at;
  std::string as = "operator";
  std::string kms;
  std::string uid;
  std::string enc_kid;
  std::string reason;
  std::string order;
  std::filesystem::path order_file;
  std::filesystem::path out;
};

int exit_code(const Result<void>& done) { return done ? 0 : complain(done.error()); }

Result<void> accept(const std::filesystem::path& file, const std::string& reason) {
  ASSIGN_OR_RETURN(node::Config config, node::Config::read(file));
  node::Settings settings = node::Settings::read(config);
  const kms::KmsSettings own = kms::KmsSettings::read(config);
  TRY(config.finish());
  if (settings.identity.kind != Kind::kms) return fail(ErrorCode::invalid_argument, file.string() + ": is not the configuration of a KMS");
  ASSIGN_OR_RETURN(const auto node, node::Node::open(std::move(settings)));
  const UnixMs not_before = node->clock().now_ms() + static_cast<UnixMs>(own.clock_window.count());
  ASSIGN_OR_RETURN(const kms::Accepted accepted, kms::accept_database(*node, reason, not_before));
  for (const std::string& finding : accepted.findings) fmt::print("  {}\n", finding);
  if (accepted.findings.empty()) fmt::print("  Nothing was found wrong with it.\n");
  fmt::print("  The database is taken as it is. Every key in it that could be handed out is destroyed: {} working keys; quantum keys and those for SAEs.\n", accepted.destroyed);
  fmt::print(
      "  Keys of applications (CSA) are suspended: `qanat csa state KEY enable` for one, `qanat csa enable --all-after-restoration` for those that were "
      "enabled.\n");
  fmt::print("  Order again what was ordered since the copy was made: suspensions of encryption keys, destructions of keys in history.\n");
  fmt::print("  Applications are taken from {} ms after this.\n", own.clock_window.count());
  return {};
}

Result<Secret> read_all(const std::filesystem::path& file, std::size_t octets) {
  std::ifstream in(file, std::ios::binary);
  Secret out(octets);
  in.read(reinterpret_cast<char*>(out.writable().data()), static_cast<std::streamsize>(octets));
  if (!in || in.peek() != std::ifstream::traits_type::eof()) return fail(ErrorCode::invalid_argument, file.string() + ": is not there, or is no order file of this network");
  return Result<Secret>(std::move(out));
}

int at_kms(const Recovering& ask, const std::function<Result<void>(Operator&)>& work) { return with_operator(ask.at, ask.as, work); }

/// What is left of the private part: "recoverable", "metadata alone", or how it ended.
std::string private_part_of(const Json& key) {
  const std::string commitment = key.text("commitment").value_or("");
  if (key.boolean("recoverable").value_or(false)) return "recoverable";
  const std::int64_t destroyed = key.integer("destroyed_ms").value_or(0);
  if (destroyed == 0) return "metadata alone";
  return fmt::format("destroyed {}: {} (commitment {})", destroyed, key.text("destroyed_why").value_or(""), commitment.empty() ? "none" : commitment);
}

Result<void> show_history(Operator& op, const Recovering& ask) {
  ASSIGN_OR_RETURN(const Json answer, op.ask(Endpoint::x5_recovery, ask.kms, Json::object({{"op", "history"}, {"uid", ask.uid}})));
  ASSIGN_OR_RETURN(const std::vector<Json> keys, answer.array("keys"));
  for (const Json& key : keys) {
    fmt::print("  {}  {}  since {}  ended {} {}  {}\n", key.text("enc_kid").value_or("-"), key.text("number").value_or("-"), key.integer("since_ms").value_or(0),
               key.integer("ended_ms").value_or(0), key.text("why").value_or(""), private_part_of(key));
  }
  return {};
}

/// The order file: id of the order ‖ digest of its statement ‖ the ephemeral key's scalar and ML-KEM seed.
constexpr std::size_t order_octets = 16;

Result<void> recover(Operator& op, const Recovering& ask) {
  const crypto::Suite& suite = op.node().suite();
  ASSIGN_OR_RETURN(const crypto::Decapsulator recipient, crypto::Decapsulator::generate(suite, op.node().rng()));
  const crypto::EncapsulationKey& key = recipient.encapsulation_key();
  ASSIGN_OR_RETURN(NewSecretFile out, NewSecretFile::make(ask.out));
  ASSIGN_OR_RETURN(const Json answer,
                   op.ask(Endpoint::x5_recovery, ask.kms,
                          Json::object({{"op", "ask"},
                                        {"uid", ask.uid},
                                        {"enc_kid", ask.enc_kid},
                                        {"reason", ask.reason},
                                        {"ephemeral", Json::object({{"point", wire::to_base64(key.point)}, {"ml_kem", wire::to_base64(key.ml_kem)}})}})));
  ASSIGN_OR_RETURN(const std::string order, answer.text("order"));
  ASSIGN_OR_RETURN(const std::string statement, answer.text("statement"));
  const auto id = from_hex(order);
  if (!id || id->size() != order_octets) return fail(ErrorCode::invalid_argument, ask.kms + ": order has no number");
  const crypto::DecapsulationSecret secret = recipient.secret();
  const Secret about = Secret::copy_of(concat({*id, crypto::digest(suite.hash, as_bytes(statement))}));
  TRY(out.write(Secret::concat({&about, &secret.scalar, &secret.ml_kem_seed})));
  out.keep();
  fmt::print("{}  Two operators sign it within an hour: qanat kms sign-recovery --kms {} --order {} --as NAME\n", statement, ask.kms, order);
  return {};
}

Result<void> order_destruction(Operator& op, const Recovering& ask) {
  ASSIGN_OR_RETURN(const Json answer,
                   op.ask(Endpoint::x5_recovery, ask.kms, Json::object({{"op", "destroy"}, {"uid", ask.uid}, {"enc_kid", ask.enc_kid}, {"reason", ask.reason}})));
  ASSIGN_OR_RETURN(const std::string order, answer.text("order"));
  ASSIGN_OR_RETURN(const std::string statement, answer.text("statement"));
  fmt::print("{}  Two operators sign it within an hour, the second signature destroys the key: qanat kms sign-destruction --kms {} --order {} --as NAME\n", statement,
             ask.kms, order);
  return {};
}

/// `what`: the statement's first word after ours. An order of the other kind is not signed by mistake.
Result<void> sign_order(Operator& op, const Recovering& ask, std::string_view what) {
  ASSIGN_OR_RETURN(const Json shown, op.ask(Endpoint::x5_recovery, ask.kms, Json::object({{"op", "show"}, {"order", ask.order}})));
  ASSIGN_OR_RETURN(const std::string statement, shown.text("statement"));
  fmt::print("{}", statement);
  if (!statement.starts_with(fmt::format("qanat {} ", what))) return fail(ErrorCode::conflict, "order " + ask.order + ": is no order to " + std::string(what));
  ASSIGN_OR_RETURN(const Bytes signature, crypto::sign_with(op.node().credentials().tls->key, as_bytes(statement), op.node().rng()));
  ASSIGN_OR_RETURN(const Json answer, op.ask(Endpoint::x5_recovery, ask.kms,
                                             Json::object({{"op", "sign"}, {"order", ask.order}, {"signature", wire::to_base64(signature)}})));
  ASSIGN_OR_RETURN(const std::vector<std::string> by, answer.texts("signed_by"));
  fmt::print("  signed by {} of 2\n", by.size());
  if (const auto destroyed = answer.text("destroyed")) fmt::print("  The key is destroyed; commitment {}\n", destroyed->empty() ? "none" : *destroyed);
  return {};
}

Result<void> sign_recovery(Operator& op, const Recovering& ask) { return sign_order(op, ask, "recover-key"); }
Result<void> sign_destruction(Operator& op, const Recovering& ask) { return sign_order(op, ask, "destroy-key"); }

Result<void> collect(Operator& op, const Recovering& ask) {
  const crypto::Suite& suite = op.node().suite();
  ASSIGN_OR_RETURN(const Secret file, read_all(ask.order_file, order_octets + suite.digest + suite.scalar + crypto::seed_ml_kem));
  const ByteView octets = file.reveal();
  const Bytes h_statement = to_bytes(octets.subspan(order_octets, suite.digest));
  const ByteView secrets = octets.subspan(order_octets + suite.digest);
  ASSIGN_OR_RETURN(const crypto::Decapsulator recipient,
                   crypto::Decapsulator::from_secret(suite, {.scalar = Secret::copy_of(secrets.first(suite.scalar)), .ml_kem_seed = Secret::copy_of(secrets.subspan(suite.scalar))}));
  ASSIGN_OR_RETURN(NewSecretFile out, NewSecretFile::make(ask.out));  // the KMS answers once: what it gives must have a place
  ASSIGN_OR_RETURN(const Json answer,
                   op.ask(Endpoint::x5_recovery, ask.kms, Json::object({{"op", "collect"}, {"order", to_hex(octets.first(order_octets))}})));
  ASSIGN_OR_RETURN(const Bytes message_octets, answer.base64("message"));
  ASSIGN_OR_RETURN(const auto message, wire::parse<wire::EnrolDeliver>(message_octets));
  if (message.message.h_enrol != h_statement) return fail(ErrorCode::denied, ask.kms + ": answers another order than that of the file");
  const wire::EnrolDeliver& said = message.message;
  ASSIGN_OR_RETURN(const crypto::SharedSecrets shared, recipient.decapsulate(crypto::KemForm::to_ephemeral, said.ct_classical, said.ct_ml_kem));
  const wire::KemTranscript transcript{shared.classical, shared.ml_kem, said.ct_classical, said.ct_ml_kem, recipient.encapsulation_key()};
  ASSIGN_OR_RETURN(const wire::EnrolPayload payload, wire::open_enrol(message, wire::hybrid_secret(suite, transcript, wire::enrol_context(h_statement))));
  TRY(out.write(Secret::concat({&payload.encryption.scalar, &payload.encryption.ml_kem_seed})));
  out.keep();
  fmt::print("  {}: the scalar, {} octets, then the ML-KEM seed, {}\n", ask.out.string(), suite.scalar, crypto::seed_ml_kem);
  return {};
}

using Work = Result<void> (*)(Operator&, const Recovering&);

std::shared_ptr<Recovering> add_recovering(CLI::App& kms, const OnCommand& on, const std::string& name, const std::string& what, const std::string& example, Work work,
                                           const std::function<void(CLI::App&, Recovering&)>& options) {
  CLI::App* const command = add_command(kms, name, what, example);
  const auto ask = std::make_shared<Recovering>();
  add_as_option(*command, ask->as, add_operator_options(*command, ask->at))->capture_default_str();
  command->add_option("--kms", ask->kms, "the KMS")->required();
  options(*command, *ask);
  on(command, [ask, work] { return at_kms(*ask, [&](Operator& op) { return work(op, *ask); }); });
  return ask;
}

}  // namespace

void add_kms_library_commands(CLI::App& kms, const OnCommand& on) {
  CLI::App* const command = add_command(kms, "accept-database", "take a database that the KMS refuses as it is, while the KMS does not run",
                                        "qanat kms accept-database --config kms-a.toml --reason \"restored, ticket 17\"");
  const auto config = std::make_shared<std::filesystem::path>();
  const auto reason = std::make_shared<std::string>();
  command->add_option("--config", *config, "the KMS's configuration file")->required();
  command->add_option("--reason", *reason, "goes into the audit record")->required();
  on(command, [config, reason] { return exit_code(accept(*config, *reason)); });

  add_recovering(kms, on, "history", "encryption keys that a terminal had", "qanat kms history --kms kms-a --uid A", show_history,
                 [](CLI::App& one, Recovering& ask) { one.add_option("--uid", ask.uid, "the terminal")->required(); });
  add_recovering(kms, on, "recover-key", "order a terminal's private encryption keys back from history; two operators must sign",
                 "qanat kms recover-key --kms kms-a --uid A --enc-kid 4f… --reason \"court order 5\" --out order-5", recover, [](CLI::App& one, Recovering& ask) {
                   one.add_option("--uid", ask.uid, "the terminal")->required();
                   one.add_option("--enc-kid", ask.enc_kid, "which keys: qanat kms history")->required();
                   one.add_option("--reason", ask.reason, "one line; it is signed, and goes into the audit record")->required();
                   one.add_option("--out", ask.out, "new file, needed to collect the keys")->required();
                 });
  add_recovering(kms, on, "sign-recovery", "sign an order for keys from history, after reading it", "qanat kms sign-recovery --kms kms-a --order 90a1… --as administrator", sign_recovery,
                 [](CLI::App& one, Recovering& ask) { one.add_option("--order", ask.order, "its number")->required(); });
  add_recovering(kms, on, "collect-key", "collect the keys of an order that two operators have signed", "qanat kms collect-key --kms kms-a --order-file order-5 --out key-5", collect,
                 [](CLI::App& one, Recovering& ask) {
                   one.add_option("--order-file", ask.order_file, "file of recover-key")->required();
                   one.add_option("--out", ask.out, "new file for the keys")->required();
                 });
  add_recovering(kms, on, "destroy-key", "order that a terminal's private encryption keys in history are destroyed; two operators must sign",
                 "qanat kms destroy-key --kms kms-a --uid A --enc-kid 4f… --reason \"contract ended\"", order_destruction, [](CLI::App& one, Recovering& ask) {
                   one.add_option("--uid", ask.uid, "the terminal")->required();
                   one.add_option("--enc-kid", ask.enc_kid, "which keys: qanat kms history")->required();
                   one.add_option("--reason", ask.reason, "one line; it is signed, and goes into the audit record")->required();
                 });
  add_recovering(kms, on, "sign-destruction", "sign an order to destroy keys in history, after reading it; the second signature destroys them",
                 "qanat kms sign-destruction --kms kms-a --order 90a1… --as administrator", sign_destruction,
                 [](CLI::App& one, Recovering& ask) { one.add_option("--order", ask.order, "its number")->required(); });
}

}  // namespace qanat::app
