// The options of `qanat csa`.
#include <memory>

#include "csa_commands.hpp"

namespace qanat::app {
namespace {

struct CsaOptions {
  CsaAsk ask;
  std::string key;
  std::string context;
  std::string rotation_id;
  std::filesystem::path in;
  std::filesystem::path out;
  std::filesystem::path signature;
  std::int64_t version = 0;
  std::string change;
  std::int64_t after_s = 0;
  bool all = false;
  CsaCreateOptions create;
};

/// `standard`: who asks unless the command line says otherwise.
std::shared_ptr<CsaOptions> add_csa_ask(CLI::App& command, const char* standard) {
  auto out = std::make_shared<CsaOptions>();  // owned by the command's action, and by its options' callbacks through it
  out->ask.as = standard;
  add_network_option(command, out->ask.folder);
  add_json_flag(command, out->ask.output);
  command.add_option("--config", out->ask.config, "configuration of an application that is enrolled, or of an operator; in place of a network");
  CLI::Option* const as = command.add_option("--as", out->ask.as, "whose certificate to show: an enrolled terminal or application of the network, or operator");
  if (*standard == '\0') as->default_str("the application of --config");
  command.add_option("--kms", out->ask.kms, "whose CSA to ask (default: the application's own KMS; kms-a for operators)");
  return out;
}

std::shared_ptr<CsaOptions> add_key_command(CLI::App& csa, CLI::App*& command, const char* name, const char* what, const std::string& example, const char* standard) {
  command = add_command(csa, name, what, example);
  auto out = add_csa_ask(*command, standard);
  command->add_option("key", out->key, "id of the key: 32 hexadecimal digits")->required();
  return out;
}

void add_key_commands(CLI::App& csa, const OnCommand& on) {
  CLI::App* command = add_command(csa, "create", "a new key", "qanat csa create --algorithm SM4-GCM --usage encryption --policy billing.json");
  auto options = add_csa_ask(*command, "operator");
  command->add_option("--algorithm", options->create.algorithm, "SM4-GCM, AES-256-GCM, HMAC-SM3, HMAC-SHA256, HMAC-SHA384, SM2, ECDSA-P384, ML-DSA-65, ML-DSA-87, SM2+ML-DSA-65, "
                                                                "ECDSA-P384+ML-DSA-87, SM2+ML-KEM-768 or P-384+ML-KEM-1024")
      ->required();
  command->add_option("--usage", options->create.usage, "encryption, mac, signature, authentication or encapsulation")->required();
  command->add_option("--label", options->create.label, "for people to read");
  command->add_option("--policy", options->create.policy, "JSON file: who may do what with it");
  command->add_option("--creation-id", options->create.creation_id, "your name for this request: given again, the same key is shown and none is made");
  command->add_option("--not-after-ms", options->create.not_after_ms, "Unix time in milliseconds: from then on it protects nothing new (default: no end)")->check(CLI::PositiveNumber);
  on(command, [options] { return csa_create(options->ask, options->create); });

  command = add_command(csa, "list", "keys that the caller owns or has a grant of; all, for operators", "qanat csa list");
  options = add_csa_ask(*command, "operator");
  on(command, [options] { return csa_list(options->ask); });

  struct Simple {
    const char* name;
    const char* what;
    int (*run)(const CsaAsk&, const std::string&);
  };
  for (const Simple& one : {Simple{"show", "what is known of a key", csa_show}, Simple{"public-key", "the public half of a key", csa_public_key}}) {
    const auto key = add_key_command(csa, command, one.name, one.what, std::string("qanat csa ") + one.name + " 0123…", "operator");
    on(command, [key, run = one.run] { return run(key->ask, key->key); });
  }

  options = add_key_command(csa, command, "rotate", "a new version of a key; earlier ones still decrypt and verify", "qanat csa rotate 0123…", "operator");
  command->add_option("--rotation-id", options->rotation_id, "your name for this request: given again, the same version is shown and none is made");
  on(command, [options] { return csa_rotate(options->ask, options->key, options->rotation_id); });

  options = add_key_command(csa, command, "policy", "replace a key's policy, or move its minimum version", "qanat csa policy 0123… --policy billing.json --minimum-version 3", "operator");
  command->add_option("--policy", options->create.policy, "JSON file: who may do what with it");
  command->add_option("--minimum-version", options->version, "earlier versions are refused from then on")->check(CLI::PositiveNumber);
  on(command, [options] { return csa_policy(options->ask, options->key, options->create.policy, options->version); });

  options = add_key_command(csa, command, "state", "enable, disable, end a key", "qanat csa state 0123… schedule_deletion --after-days 30", "operator");
  command->add_option("change", options->change, "enable, disable, schedule_deletion, cancel_deletion, destroy or trim")->required();
  command->add_option_function<std::int64_t>("--after-days", [options](const std::int64_t days) { options->after_s = days * 86400; }, "schedule_deletion: when")
      ->check(CLI::Range(1, 366));
  on(command, [options] { return csa_state(options->ask, options->key, options->change, options->after_s); });

  command = add_command(csa, "enable", "enable the keys that a restoration or failover suspended while they were enabled",
                        "qanat csa enable --all-after-restoration");
  options = add_csa_ask(*command, "operator");
  command->add_flag("--all-after-restoration", options->all, "all of them: what was destroyed or trimmed since the backup is destroyed or trimmed again before")
      ->required();
  on(command, [options] { return csa_enable_restored(options->ask); });
}

void add_file_commands(CLI::App& csa, const OnCommand& on) {
  CLI::App* command = nullptr;
  auto options = add_key_command(csa, command, "encrypt", "encrypt a file under a data key of its own", "qanat csa encrypt 0123… book.pdf --out book.pdf.q --as A", "");
  command->add_option("file", options->in, "what to encrypt")->required();
  command->add_option("--out", options->out, "where to write it")->required();
  command->add_option("--context", options->context, "bound to the file, and kept in it in the clear");
  on(command, [options] { return csa_encrypt(options->ask, options->key, options->context, options->in, options->out); });

  command = add_command(csa, "decrypt", "decrypt a file that qanat csa encrypt wrote", "qanat csa decrypt book.pdf.q --out book.pdf --as A");
  options = add_csa_ask(*command, "");
  command->add_option("file", options->in, "what to decrypt")->required();
  command->add_option("--out", options->out, "where to write it, when all of it is genuine")->required();
  on(command, [options] { return csa_decrypt(options->ask, options->in, options->out); });

  options = add_key_command(csa, command, "sign", "sign a file", "qanat csa sign 0123… book.pdf --out book.sig --as A", "");
  command->add_option("file", options->in, "what to sign")->required();
  command->add_option("--out", options->out, "where to write the signature, in JSON")->required();
  on(command, [options] { return csa_sign(options->ask, options->key, options->in, options->out); });

  options = add_key_command(csa, command, "verify", "whether a signature of qanat csa sign holds", "qanat csa verify 0123… book.pdf book.sig --as A", "");
  command->add_option("file", options->in, "what was signed")->required();
  command->add_option("signature", options->signature, "what qanat csa sign wrote")->required();
  command->add_option("--version", options->version, "of the key (default: as the signature says)")->check(CLI::PositiveNumber);
  on(command, [options] { return csa_verify(options->ask, options->key, options->in, options->signature, options->version); });
}

}  // namespace

void add_csa_commands(CLI::App& csa, const OnCommand& on) {
  csa.require_subcommand(1);
  add_key_commands(csa, on);
  add_file_commands(csa, on);
}

}  // namespace qanat::app
