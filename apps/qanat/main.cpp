// The command line: one program, a sub-command per element and per thing that people do.
#include <limits>

#include "audit_commands.hpp"
#include "ca_offline_commands.hpp"
#include "ca_registration_commands.hpp"
#include "command_options.hpp"
#include "commands.hpp"
#include "csa_commands.hpp"
#include "elements.hpp"
#include "group_commands.hpp"
#include "iam_commands.hpp"
#include "kms_archive_commands.hpp"
#include "kms_backup_commands.hpp"
#include "kms_commands.hpp"
#include "kms_library_commands.hpp"
#include "launch.hpp"
#include "medium_commands.hpp"
#include "qkd_commands.hpp"
#include "sae_commands.hpp"

namespace qanat::app {
namespace {

struct ElementCommand {
  const char* name;
  const char* what;
  int (*run)(const std::filesystem::path& config);
};
constexpr ElementCommand element_commands[] = {
    {"cas", "run the certificate authority system", run_cas},
    {"iam", "run identity and access management", run_iam},
    {"cmsp", "run the cryptography management service platform", run_cmsp},
    {"ccs", "run the co-crypto system", run_ccs},
    {"kms", "run the key management service of a domain", run_kms},
    {"qkm", "run a quantum key manager", run_qkm},
    {"qkdnc", "run the QKD network controller", run_qkdnc},
    {"qkd", "run one end of a QKD link", run_qkd},
    {"gateway", "run the agent that gives strongSwan or WireGuard its keys", run_gateway},
};

class CommandLine {
 public:
  CommandLine() {
    up_.network.saes = true;
    up_.network.quantum_pool = 4;
    app_.require_subcommand(1);
    app_.set_version_flag("--version", "qanat 0.1.0");
    app_.footer("\nExample:\n  qanat up &  qanat enrol A B  qanat call --from A --to B");
    add_elements();
    add_network_commands();
    add_call_commands();
    add_terminal_commands();
    add_inspection_commands();
    CLI::App* const ca = add_command(app_, "ca", "the network's certificate authorities: roots offline, rollover of the issuing CAs, certificates for software of others", "qanat ca ceremony --out root");
    ca->require_subcommand(1);
    add_ca_offline_commands(*ca, on_command());
    add_ca_registration_commands(*ca, on_command());
    add_sae_commands(*add_command(app_, "sae", "software of others that gets keys from this network (ETSI GS QKD 014, SKIP, 020)",
                                  "qanat sae add enc1 --domain a && qanat sae add enc2 --domain b && qanat sae key --from enc1 --to enc2"),
                     on_command());
    add_group_commands(*add_command(app_, "group", "group calls: who is in one, and its keys, which the KMSs can read", "qanat group open --as A --member B --member C"), on_command());
    add_csa_commands(*add_command(app_, "csa", "cryptography as a service: keys at a KMS, files encrypted and signed with them", "qanat csa list"), on_command());
  }

  int run(int argc, char** argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      // CLI11 answers --help and --version in this way too.
      if (error.get_exit_code() == 0) return app_.exit(error);
      const bool known = argc > 1 && !app_.get_subcommands([&](const CLI::App* one) { return one->get_name() == argv[1]; }).empty();
      std::fprintf(stderr, "qanat: %s; see qanat %s--help\n", error.what(), known ? (std::string(argv[1]) + " ").c_str() : "");
      return 2;
    }
    return action_();
  }

 private:
  void on(CLI::App* command, std::function<int()> action) {
    command->callback([this, action = std::move(action)] { action_ = action; });
  }
  void network_option(CLI::App* command) { add_network_option(*command, folder_); }
  void json_flag(CLI::App* command) { add_json_flag(*command, output_); }
  OnCommand on_command() {
    return [this](CLI::App* command, std::function<int()> action) { on(command, std::move(action)); };
  }

  void add_elements() {
    for (const ElementCommand& element : element_commands) {
      CLI::App* command = add_command(app_, element.name, element.what, std::string("qanat ") + element.name + " --config /etc/qanat/" + element.name + ".toml");
      command->group("Elements");
      CLI::Option* config = command->add_option("--config", config_, "configuration file");
      if (element.run != run_qkd && element.run != run_iam && element.run != run_kms) {
        config->required();
        on(command, [this, &element] { return element.run(config_); });
        continue;
      }
      // `qanat qkd`, `qanat iam` and `qanat kms` are elements, and above commands of their own, whose callbacks come first.
      command->callback([this, command, &element] {
        if (!command->get_subcommands().empty()) return;
        action_ = [this, &element] {
          if (!config_.empty()) return element.run(config_);
          std::fprintf(stderr, "qanat: %s: needs --config FILE, or one of its commands; see qanat %s --help\n", element.name, element.name);
          return 2;
        };
      });
      if (element.run == run_qkd) add_qkd_commands(*command, on_command());
      if (element.run == run_iam) add_iam_commands(*command, on_command());
      if (element.run == run_kms) {
        add_kms_commands(*command, on_command());
        add_kms_archive_commands(*command, on_command());
        add_kms_backup_commands(*command, on_command());
        add_kms_library_commands(*command, on_command());
        add_medium_commands(*command, on_command());
      }
    }
  }

  void relay_options(CLI::App* command) {
    command->add_option("--relay", relay_, "how keys cross the trusted relays of a new network")->check(CLI::IsMember({"hop-by-hop", "centralised", "multipath"}));
    command->add_option("--paths", up_.network.paths, "new network: separate paths between the domains, each with a relay of its own")->check(CLI::Range(1, 2));
    command->add_flag_callback("--no-sae", [this] { up_.network.saes = false; }, "new network: give no keys to software of others");
    command->add_option("--controllers", up_.network.controllers, "new network: controllers of the relay network, of which one leads")->check(CLI::Range(1, 2));
  }
  void root_options(CLI::App* command) {
    CLI::Option* const roots = command->add_option("--roots", up_.network.roots, "new network: its roots, made by `qanat ca ceremony`; not needed again");
    CLI::Option* const module = command->add_option("--module", module_, "library of the device's maker: PKCS#11 for tokens, SDF for key indexes");
    CLI::Option* const root_token = command->add_option("--root-token", root_token_.token, "token that seals the roots' keys")->needs(roots)->needs(module);
    command->add_option("--root-pin-file", root_token_.pin_file, "file with its PIN");
    CLI::Option* const cas_token = command->add_option("--cas-token", cas_token_.token, "new network: token with CAS's master key")->needs(module);
    command->add_option("--cas-pin-file", cas_token_.pin_file, "file with its PIN; CAS reads it at each start");
    const CLI::Range indexes(1U, std::numeric_limits<std::uint32_t>::max());
    for (CLI::Option* const sdf : {
             command->add_option("--root-key-index", root_key_index_, "key-encryption key of the SDF device that seals the roots' keys")->needs(roots),
             command->add_option("--cas-key-index", cas_key_index_, "new network: key-encryption key of the SDF device that is CAS's master key")})
      sdf->check(indexes)->needs(module)->excludes(root_token)->excludes(cas_token);
  }
  /// The device that was named, as it can stand in CAS's configuration, which is read in other folders.
  std::optional<crypto::DeviceSettings> device_of(crypto::Pkcs11Settings token, std::uint32_t key_index) const {
    if (key_index != 0) return crypto::SdfSettings{.module = std::filesystem::absolute(module_), .key_index = key_index};
    if (token.token.empty()) return std::nullopt;
    token.module = std::filesystem::absolute(module_);
    if (!token.pin_file.empty()) token.pin_file = std::filesystem::absolute(token.pin_file);
    return token;
  }
  UpOptions up_options() {
    up_.network.root_device = device_of(root_token_, root_key_index_);
    up_.network.cas_device = device_of(cas_token_, cas_key_index_);
    up_.folder = folder_;
    up_.relay = relay_;
    if (!relay_.empty()) up_.network.relay = relay_;
    return up_;
  }

  void add_network_commands() {
    CLI::App* command = add_command(app_, "up", "run a whole two-domain network on this machine until Ctrl-C", "qanat up --network lab");
    network_option(command);
    command->add_flag("--fresh", up_.fresh, "throw the network's state away and begin anew");
    command->add_option("--suite", up_.network.suite, "algorithm suite of a new network")->check(CLI::IsMember({"GM-hybrid", "INTL-hybrid"}));
    command->add_option("--distance", up_.network.distance_km, "fibre length of each simulated QKD link of a new network, km")->check(CLI::Range(0.0, 150.0));
    command->add_flag_callback("--no-pqc-fallback", [this] { up_.network.pqc_fallback = false; }, "new network: refuse calls for which there is no quantum key");
    command->add_option("--block", up_.network.block_sifted_bits, "sifted key-basis bits per QKD block of a new network")->check(CLI::Range(10000, 10000000));
    command->add_option("--status-fresh-ms", up_.network.status_fresh_ms, "new network: how long a certificate status is not asked again")->check(CLI::Range(0, 3600000));
    command->add_option("--status-lifetime-s", up_.network.status_lifetime_s, "new network: validity of a certificate status")->check(CLI::Range(1, 86400));
    command->add_option("--token-lifetime-s", up_.network.token_lifetime_s, "new network: validity of access tokens")->check(CLI::Range(1, 86400));
    command->add_option("--key-lifetime-ms", up_.network.key_lifetime_ms, "new network: how long an undelivered working key is kept")->check(CLI::Range(100, 3600000));
    relay_options(command);
    root_options(command);
    on(command, [this] { return up(up_options()); });

    command = add_command(app_, "enrol", "provision and enrol terminals (A and C in domain a, B in domain b)", "qanat enrol A B C");
    network_option(command);
    json_flag(command);
    command->add_option("terminals", terminals_, "terminal uids")->required();
    on(command, [this] { return enrol(folder_, terminals_, output_); });

    command = add_command(app_, "status", "health and counters of every element", "qanat status --json");
    add_operator_options(*command, place_);
    json_flag(command);
    on(command, [this] { return status(place_, output_); });

    command = add_command(app_, "revoke", "revoke a terminal's certificates", "qanat revoke B");
    add_operator_options(*command, place_);
    json_flag(command);
    command->add_option("terminal", terminal_, "terminal uid")->required();
    on(command, [this] { return revoke(place_, terminal_, output_); });

    command = add_command(app_, "subscriber", "suspend or resume a subscriber", "qanat subscriber suspend B");
    add_operator_options(*command, place_);
    command->add_option("operation", operation_, "suspend or resume")->required()->check(CLI::IsMember({"suspend", "resume"}));
    command->add_option("terminal", terminal_, "terminal uid")->required();
    on(command, [this] { return subscriber(place_, terminal_, operation_); });

    command = add_command(app_, "service", "open or close the encrypted-call service of a number", "qanat service closed B");
    add_operator_options(*command, place_);
    command->add_option("setting", operation_, "open or closed")->required()->check(CLI::IsMember({"open", "closed"}));
    command->add_option("terminal", terminal_, "terminal uid")->required();
    on(command, [this] { return service(place_, terminal_, operation_); });
  }

  static CLI::Range rekey_range() { return {std::int64_t{0}, std::int64_t{86400}}; }

  void call_options(CLI::App* command) {
    network_option(command);
    command->add_option("--from", call_.from, "calling terminal");
    command->add_option("--to", call_.to, "called terminal");
    command->add_option("--out", call_.out, "folder for the WAV files, the capture and summary.json");
    command->add_option("--say", call_.caller_wav, "what the caller says: WAV, 16 bit, mono, 8000 Hz");
    command->add_option("--answer-with", call_.callee_wav, "what the called says");
    command->add_option("--pace", call_.pace, "speed of the voice; 1 is real time")->check(CLI::Range(0.1, 100.0));
    command->add_option("--rekey-after", call_.rekey_after_s, "seconds until the running call takes another key; 0: never")->check(rekey_range());
  }

  void add_call_commands() {
    CLI::App* command = add_command(app_, "call", "one encrypted call between two terminals of a network", "qanat call --from A --to C --out out/call");
    call_options(command);
    json_flag(command);
    relay_options(command);
    on(command, [this] {
      call_.folder = folder_;
      call_.relay = relay_;
      call_.network = up_options().network;
      call_.output = output_;
      return call(call_);
    });
    command = add_command(app_, "demo", "start a fresh network, enrol two terminals, make one call across the domains", "qanat demo --out out/demo");
    call_options(command);
    relay_options(command);
    on(command, [this] {
      up_.fresh = true;
      return demo(up_options(), call_);
    });
  }

  void add_terminal_commands() {
    CLI::App* terminal = add_command(app_, "terminal", "one terminal's process (qanat enrol and qanat call start these)", "qanat terminal enrol --config A.toml");
    terminal->group("Elements");
    terminal->require_subcommand(1);
    CLI::App* command = add_command(*terminal, "enrol", "make keys and obtain certificates", "qanat terminal enrol --config A.toml");
    command->add_option("--config", config_, "configuration file")->required();
    on(command, [this] { return terminal_enrol(config_); });
    command = add_command(*terminal, "renew", "new signing keys and certificates, by those in force", "qanat terminal renew --config A.toml");
    command->add_option("--config", config_, "configuration file")->required();
    on(command, [this] { return terminal_renew(config_); });
    command = add_command(*terminal, "certificates", "what was issued in the terminal's name, and whether it knows of it", "qanat terminal certificates --config A.toml");
    command->add_option("--config", config_, "configuration file")->required();
    on(command, [this] { return terminal_certificates(config_); });
    add_terminal_medium_commands(*terminal, on_command());
    for (const char* name : {"call", "answer"}) {
      const bool placing = std::string_view(name) == "call";
      command = add_command(*terminal, name, placing ? "place one call" : "answer one call",
                            placing ? "qanat terminal call --config A.toml --number +8655120000002 --port 5060 --say in.wav --record heard.wav"
                                    : "qanat terminal answer --config B.toml --say in.wav --record heard.wav");
      command->add_option("--config", terminal_call_.config, "configuration file")->required();
      command->add_option("--say", terminal_call_.wav_in, "WAV to say")->required();
      command->add_option("--record", terminal_call_.wav_out, "WAV to write what is heard to")->required();
      command->add_option("--pace", terminal_call_.pace, "speed of the voice; 1 is real time")->check(CLI::Range(0.1, 100.0));
      command->add_option("--rekey-after", terminal_call_.rekey_after_s, "seconds until the running call takes another key; 0: never")->check(rekey_range());
      if (placing) {
        command->add_option("--number", terminal_call_.callee_number, "number to call")->required();
        command->add_option("--port", terminal_call_.callee_port, "SIP port of the called terminal on the loopback interface")
            ->required()
            ->check(CLI::Range(1, 65535));
        command->add_option("--capture", terminal_call_.capture, "pcapng file to write");
      }
      on(command, [this, placing] { return placing ? terminal_place(terminal_call_) : terminal_answer(terminal_call_); });
    }
  }

  void add_inspection_commands() {
    CLI::App* command = add_command(app_, "points", "the reference points, their endpoints, and the tests that prove them", "qanat points --json");
    json_flag(command);
    command->add_flag_callback("--all", [this] { rows_ = PointRows::with_extensions; }, "with the extension rows");
    on(command, [this] { return points_list(rows_, output_); });
    add_audit_commands(*add_command(app_, "audit", "audit records: verified and proved offline", "qanat audit verify state/* --trust trust"), on_command());
  }

  CLI::App app_{"Qanat: cryptographic infrastructure that fuses quantum key distribution with post-quantum cryptography"};
  std::function<int()> action_ = [] { return 2; };
  std::filesystem::path config_;
  std::filesystem::path folder_ = Network::default_folder("default");
  OperatorPlace place_;
  UpOptions up_;
  std::filesystem::path module_;
  crypto::Pkcs11Settings root_token_{.module = {}, .token = {}, .key = "qanat root", .pin_file = {}};
  crypto::Pkcs11Settings cas_token_;
  std::uint32_t root_key_index_ = 0;
  std::uint32_t cas_key_index_ = 0;
  std::string relay_;
  CallOptions call_{.folder = {}, .from = "A", .to = "B", .out = "out/call", .caller_wav = default_voice("caller.wav"), .callee_wav = default_voice("callee.wav"),
                    .pace = 1, .output = Output::people, .program = own_program()};
  TerminalCall terminal_call_;
  std::vector<std::string> terminals_;
  std::string terminal_;
  std::string operation_;
  Output output_ = Output::people;
  PointRows rows_ = PointRows::paper;
};

}  // namespace
}  // namespace qanat::app

int main(int argc, char** argv) {
  try {
    qanat::app::CommandLine command_line;
    return command_line.run(argc, argv);
  } catch (const std::exception& error) {  // out of memory, or a fault of a library: nothing here throws on purpose
    std::fprintf(stderr, "qanat: %s\n", error.what());
    return 1;
  }
}
