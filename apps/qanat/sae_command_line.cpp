// The options of `qanat sae`.
#include <map>
#include <memory>

#include "sae_commands.hpp"

namespace qanat::app {
namespace {

/// What all of them are told.
struct Common {
  std::filesystem::path folder = Network::default_folder("default");
  Output output = Output::people;
  std::string name;
};

std::shared_ptr<Common> add_common(CLI::App& command) {
  auto out = std::make_shared<Common>();  // owned by the command's action, and by its options' callbacks through it
  add_network_option(command, out->folder);
  add_json_flag(command, out->output);
  return out;
}

void add_add(CLI::App& sae, const OnCommand& on) {
  CLI::App* command =
      add_command(sae, "add", "make a certificate, a key and the CA file for an SAE, and let it in", "qanat sae add enc1 --domain a --out ./enc1");
  const auto common = add_common(*command);
  const auto options = std::make_shared<SaeAddOptions>();
  command->add_option("name", options->name, "the SAE's name, as others will ask for keys with it")->required();
  command->add_option("--domain", options->domain, "whose QKM or KMS serves it: a or b")->required();
  command->add_option("--at", options->at, "what serves it: qkm (keys of the quantum network) or kms (keys that the KMSs agree on; IAM knows the SAE)")
      ->transform(CLI::CheckedTransformer(std::map<std::string, SaeAt>{{"qkm", SaeAt::qkm}, {"kms", SaeAt::kms}}));
  command->add_option("--peer-domain", options->peer_domains, "at a KMS: a domain besides its own with whose SAEs it may share keys; '*': any");
  command->add_option("--keys-per-second", options->keys_per_second, "at a KMS: how many it may order; 0: no limit")->check(CLI::Range(0, 1000000));
  command->add_option("--keys-per-day", options->keys_per_day, "at a KMS: the same, in a day (UTC)")->check(CLI::Range(std::int64_t{0}, std::int64_t{1000000000000}));
  command->add_option("--out", options->out, "folder for its files (default: sae/clients/NAME in the network's folder)");
  command->add_option("--key", options->key, "kind of key: ecdsa-p256, ecdsa-p384 or ml-dsa-65 (default: ecdsa-p256, which every TLS can)")
      ->transform(CLI::CheckedTransformer(std::map<std::string, crypto::ForeignKey>{
          {"ecdsa-p256", crypto::ForeignKey::ecdsa_p256}, {"ecdsa-p384", crypto::ForeignKey::ecdsa_p384}, {"ml-dsa-65", crypto::ForeignKey::ml_dsa_65}}));
  on(command, [common, options] {
    options->folder = common->folder;
    options->output = common->output;
    return sae_add(*options);
  });
}

void add_end(CLI::App& sae, const OnCommand& on, const char* name, const char* what, SaeEnding ending) {
  CLI::App* command = add_command(sae, name, what, std::string("qanat sae ") + name + " enc1");
  const auto common = add_common(*command);
  command->add_option("name", common->name, "the SAE's name")->required();
  on(command, [common, ending] { return sae_end(common->folder, common->name, ending, common->output); });
}

void add_key(CLI::App& sae, const OnCommand& on) {
  CLI::App* command =
      add_command(sae, "key", "enc_keys by one SAE and dec_keys by another, and whether both have the same", "qanat sae key --from enc1 --to enc2 --number 2");
  const auto common = add_common(*command);
  const auto options = std::make_shared<SaeKeyOptions>();
  command->add_option("--from", options->from, "who orders the keys (master SAE)")->required();
  command->add_option("--to", options->to, "who fetches them by their ids (slave SAE)")->required();
  command->add_option("--number", options->number, "of keys")->check(CLI::Range(1, 128))->capture_default_str();
  command->add_option("--size", options->size, "of a key, bits")->check(CLI::Range(64, 4096))->capture_default_str();
  CLI::Option* show = command->add_flag("--show", options->show, "print the keys themselves, base64");
  show->excludes(command->get_option("--json"));  // JSON goes into files
  on(command, [common, options] {
    options->folder = common->folder;
    options->output = common->output;
    if (options->size % 8 != 0) return complain({ErrorCode::invalid_argument, "--size: must be a multiple of 8"}), 2;
    return sae_key(*options);
  });
}

}  // namespace

void add_sae_commands(CLI::App& sae, const OnCommand& on) {
  sae.require_subcommand(1);
  add_add(sae, on);
  CLI::App* command = add_command(sae, "list", "the SAEs of the network and where their files are", "qanat sae list --json");
  auto common = add_common(*command);
  on(command, [common] { return sae_list(common->folder, common->output); });
  add_end(sae, on, "remove", "revoke an SAE's certificate and forget its name", SaeEnding::remove);
  add_end(sae, on, "revoke", "revoke an SAE's certificate; `qanat sae add` then makes another", SaeEnding::revoke);
  add_key(sae, on);
  command = add_command(sae, "status", "what each listener says of its stock, asked by an SAE", "qanat sae status --json");
  common = add_common(*command);
  on(command, [common] { return sae_status(common->folder, common->output); });
}

}  // namespace qanat::app
