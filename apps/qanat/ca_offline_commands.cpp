#include "ca_offline_commands.hpp"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <memory>

#include "base/clock.hpp"
#include "base/secret_file.hpp"
#include "node/config.hpp"
#include "secret_files.hpp"
#include "services/cas/ceremony.hpp"
#include "services/cas/device_rollover.hpp"
#include "services/cas/expected.hpp"
#include "services/cas/rollover.hpp"
#include "services/cas/settings.hpp"
#include "services/cas/transcript.hpp"

namespace qanat::app {
namespace {

int exit_code(const Result<void>& done) { return done ? 0 : complain(done.error()); }

constexpr std::string_view root_key_label = "qanat root";
constexpr std::string_view root_container = "qanat-root";

void add_device_options(CLI::App& command, DeviceOptions& options) {
  command.add_option("--device", options.device, "where the roots' private keys are kept: files (0600), or sealed by the key of a pkcs11 token, an sdf or an skf device")
      ->check(CLI::IsMember({"files", "pkcs11", "sdf", "skf"}))
      ->capture_default_str();
  command.add_option("--module", options.module, "library of the device's maker: PKCS#11, SDF or SKF");
  command.add_option("--token", options.token, "pkcs11: label of the token");
  command.add_option("--key", options.key, "pkcs11: label of the sealing key in the token; made there on first use ['" + std::string(root_key_label) + "']");
  command.add_option("--pin-file", options.pin_file, "pkcs11: file with the token's PIN, mode 0600; skf: with the application's user PIN");
  command.add_option("--key-index", options.key_index, "sdf: index of the key-encryption key in the device")
      ->check(CLI::Range(std::uint32_t{1}, std::numeric_limits<std::uint32_t>::max()));
  command.add_option("--application", options.application, "skf: application in the device; made there by the maker's means");
  command.add_option("--container", options.container, "skf: container in it; made there on first use ['" + std::string(root_container) + "']");
  command.add_option("--skf-device", options.skf_device, "skf: name of the device, where several are plugged in");
  command.add_option("--auth-key-file", options.auth_key_file, "skf: file with the device authentication key, where the device wants one; 32 hexadecimal digits, mode 0600");
}

Result<node::Settings> read_cas_settings(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(node::Config config, node::Config::read(file));
  node::Settings settings = node::Settings::read(config);
  static_cast<void>(cas::CasSettings::read(config));  // a mistake anywhere in the file is a mistake
  TRY(config.finish());
  return settings;
}

Result<void> request(const CaRolloverOptions& options) {
  ASSIGN_OR_RETURN(const node::Settings settings, read_cas_settings(options.config));
  ASSIGN_OR_RETURN(const std::vector<std::string> files, cas::request_rollover(settings, options.request));
  for (const std::string& file : files) fmt::print("  {}\n", (options.request / file).string());
  fmt::print(
      "  Take these to the roots: qanat ca sign-issuing --root FOLDER --request {} --out FOLDER. Until what it gives is installed, CAS goes on as it is.\n",
      options.request.string());
  return {};
}

Result<void> install(const CaRolloverOptions& options) {
  ASSIGN_OR_RETURN(const node::Settings settings, read_cas_settings(options.config));
  ASSIGN_OR_RETURN(const cas::RolledOver done, cas::install_rollover(settings, options.install, options.trust));
  for (std::size_t i = 0; i < done.files.size(); ++i) {
    fmt::print("  {}: {}\n    sha256 {}\n", (settings.trust / done.files[i]).string(), done.certificates[i].subject(),
               to_hex(done.certificates[i].fingerprint(crypto::Hash::sha256)));
  }
  fmt::print("  CAS issues by generation {} {}. Elements read their trust folder when they start.\n", done.generation,
             done.before ? "already" : "from its next start");
  return {};
}

}  // namespace

/// What is said belongs to the kind that is said.
Result<void> DeviceOptions::check_parts() const {
  struct Part {
    bool named;
    std::string_view option;
    std::string_view kinds;
    std::string_view because;
  };
  const std::array parts{Part{!token.empty(), "--token", "pkcs11", "no other device has tokens"},
                         Part{!key.empty(), "--key", "pkcs11", "an SDF device's key has an index (--key-index)"},
                         Part{!pin_file.empty(), "--pin-file", "pkcs11 skf", "a key-encryption key of an SDF device has no PIN"},
                         Part{key_index != 0, "--key-index", "sdf", "a token's key has a label (--key)"},
                         Part{!application.empty(), "--application", "skf", "no other device has applications"},
                         Part{!container.empty(), "--container", "skf", "no other device has containers"},
                         Part{!skf_device.empty(), "--skf-device", "skf", "a token is named by its label"},
                         Part{!auth_key_file.empty(), "--auth-key-file", "skf", "no other device is authenticated to"},
                         Part{!module.empty(), "--module", "pkcs11 sdf skf", "files need no library"}};
  for (const Part& part : parts) {
    if (part.named && !part.kinds.contains(device))
      return fail(ErrorCode::invalid_argument, fmt::format("{} is not for --device {}: {}", part.option, device, part.because));
  }
  return {};
}

Result<std::optional<crypto::DeviceSettings>> DeviceOptions::chosen() const {
  using Chosen = std::optional<crypto::DeviceSettings>;
  TRY(check_parts());
  if (device == "pkcs11") {
    if (module.empty() || token.empty() || pin_file.empty()) return fail(ErrorCode::invalid_argument, "--device pkcs11 needs --module, --token and --pin-file");
    return Chosen(crypto::Pkcs11Settings{.module = module, .token = token, .key = key.empty() ? std::string(root_key_label) : key, .pin_file = pin_file});
  }
  if (device == "sdf") {
    if (module.empty() || key_index == 0) return fail(ErrorCode::invalid_argument, "--device sdf needs --module and --key-index");
    return Chosen(crypto::SdfSettings{.module = module, .key_index = key_index});
  }
  if (device == "skf") {
    if (module.empty() || application.empty() || pin_file.empty())
      return fail(ErrorCode::invalid_argument, "--device skf needs --module, --application and --pin-file");
    return Chosen(crypto::SkfSettings{.module = module,
                                      .device = skf_device,
                                      .application = application,
                                      .container = container.empty() ? std::string(root_container) : container,
                                      .pin_file = pin_file,
                                      .auth_key_file = auth_key_file});
  }
  return Chosen();
}

int ca_ceremony(const CaCeremonyOptions& options) {
  return exit_code([&]() -> Result<void> {
    cas::RootPlan plan;
    ASSIGN_OR_RETURN(plan.suite, crypto::find_suite(options.suite));
    ASSIGN_OR_RETURN(plan.device, options.device.chosen());
    plan.network = options.network;
    plan.folder = options.out;
    plan.now_ms = SystemClock().now_ms();
    ASSIGN_OR_RETURN(const std::string transcript, cas::hold_root_ceremony(plan));
    fmt::print("{}", transcript);
    return {};
  }());
}

int ca_sign_issuing(const CaSignIssuingOptions& options) {
  return exit_code([&]() -> Result<void> {
    ASSIGN_OR_RETURN(const auto device, options.device.chosen());
    ASSIGN_OR_RETURN(const std::string transcript,
                     cas::sign_issuing_requests({.folder = options.root, .device = device}, options.request, options.out, SystemClock().now_ms()));
    fmt::print("{}", transcript);
    return {};
  }());
}

int ca_transcript(const std::filesystem::path& root, Output output) {
  return exit_code([&]() -> Result<void> {
    ASSIGN_OR_RETURN(const std::vector<cas::TranscriptRecord> records, cas::verify_transcript(root));
    ASSIGN_OR_RETURN(const cas::RootCertificates roots, cas::read_root_certificates(root));
    if (output == Output::json) {
      wire::Json all = wire::Json::array();
      for (const cas::TranscriptRecord& record : records) {
        ASSIGN_OR_RETURN(const wire::Json one, wire::Json::parse(std::string_view(record.text)));
        all.push(one);
      }
      fmt::print("{}\n", all.pretty());
      return {};
    }
    for (const cas::TranscriptRecord& record : records) fmt::print("{}", record.text);
    fmt::print("  {} record(s), unbroken, signed by both roots. Compare their fingerprints with what was written down at the ceremony:\n", records.size());
    for (const crypto::Certificate* const root_certificate : {&roots.ml_dsa, &roots.classical}) {
      fmt::print("  {}\n    sha256 {}\n", root_certificate->subject(), to_hex(root_certificate->fingerprint(crypto::Hash::sha256)));
    }
    return {};
  }());
}

int ca_rollover(const CaRolloverOptions& options) {
  if (options.request.empty() == options.install.empty())
    return complain({ErrorCode::invalid_argument, "ca rollover needs --request FOLDER first, then --install FOLDER"});
  return exit_code(options.install.empty() ? request(options) : install(options));
}

int ca_rollover_devices(const CaRolloverDevicesOptions& options) {
  if (options.prepare == options.install) return complain({ErrorCode::invalid_argument, "ca rollover-devices needs --prepare first, then --install"});
  return exit_code([&]() -> Result<void> {
    ASSIGN_OR_RETURN(const node::Settings settings, read_cas_settings(options.config));
    ASSIGN_OR_RETURN(const cas::DeviceRollover done, options.prepare ? cas::prepare_device_rollover(settings) : cas::install_device_rollover(settings));
    fmt::print("  {}, generation {}\n    sha256 {}\n", done.certificate.subject(), done.generation,
               to_hex(done.certificate.fingerprint(crypto::Hash::sha256)));
    if (options.prepare) {
      fmt::print("  {}. CAS publishes it from its next start on, and goes on issuing by the one it has, until qanat ca rollover-devices --install.\n",
                 done.before ? "It was prepared before" : "It is prepared");
    } else {
      fmt::print("  CAS issues by it {}. What the device CA before it issued stays good.\n", done.before ? "already" : "from its next start on");
    }
    return {};
  }());
}

int ca_expect(const CaExpectOptions& options) {
  return exit_code([&]() -> Result<void> {
    ASSIGN_OR_RETURN(const node::Settings settings, read_cas_settings(options.config));
    ASSIGN_OR_RETURN(const Identity element, Identity::parse_uri(options.element));
    ASSIGN_OR_RETURN(const auto rng, crypto::open_rng());
    // The file first: if CAS does not come to know of it, the same command again goes on with the same secret.
    TRY(write_secret(options.out, enrolment_secret_size, *rng));
    ASSIGN_OR_RETURN(const Secret digits, read_secret_digits(options.out, enrolment_secret_size));
    ASSIGN_OR_RETURN(const cas::Expected done, cas::expect_element(settings, element, digits));
    fmt::print(
        "  {} may enrol once with the secret in {}{}.\n  Carry the file to the element (node.enrolment_secret), mode 0600; a certificate that is alive must be "
        "revoked first.\n",
        element.uri(), options.out.string(), done == cas::Expected::before ? ", as before" : ", from CAS's next start on");
    return {};
  }());
}

void add_ca_offline_commands(CLI::App& ca, const OnCommand& on) {
  CLI::App* command = add_command(ca, "ceremony", "make a network's root CAs, offline",
                                  "qanat ca ceremony --out root --device pkcs11 --module /usr/lib/softhsm/libsofthsm2.so --token roots --pin-file pin");
  const auto ceremony = std::make_shared<CaCeremonyOptions>();
  command->add_option("--out", ceremony->out, "new folder for the roots; take it off the machine")->required();
  command->add_option("--suite", ceremony->suite, "algorithm suite")->check(CLI::IsMember({"GM-hybrid", "INTL-hybrid"}))->capture_default_str();
  command->add_option("--name", ceremony->network, "begins the CAs' names")->capture_default_str();
  add_device_options(*command, ceremony->device);
  on(command, [ceremony] { return ca_ceremony(*ceremony); });

  command = add_command(ca, "sign-issuing", "sign the requests of issuing CAs with the roots, offline",
                        "qanat ca sign-issuing --root root --request requests --out issued");
  const auto signing = std::make_shared<CaSignIssuingOptions>();
  command->add_option("--root", signing->root, "folder of the roots")->required();
  command->add_option("--request", signing->request, "folder with issuing-*.csr, one for each branch")->required();
  command->add_option("--out", signing->out, "new folder for the certificates")->required();
  add_device_options(*command, signing->device);
  on(command, [signing] { return ca_sign_issuing(*signing); });

  command = add_command(ca, "transcript", "check what was done with the roots, and print it", "qanat ca transcript --root root");
  const auto root = std::make_shared<std::filesystem::path>();
  const auto output = std::make_shared<Output>(Output::people);
  command->add_option("--root", *root, "folder of the roots; no key is needed")->required();
  add_json_flag(*command, *output);
  on(command, [root, output] { return ca_transcript(*root, *output); });

  command = add_command(ca, "rollover", "give CAS its next issuing CAs, while it does not run", "qanat ca rollover --config cas.toml --request requests");
  const auto rollover = std::make_shared<CaRolloverOptions>();
  command->add_option("--config", rollover->config, "CAS's configuration file")->required();
  command->add_option("--request", rollover->request, "make the keys, and write the requests for the roots to this new folder");
  command->add_option("--install", rollover->install, "take the certificates from this folder, and issue by them from the next start");
  command->add_option("--trust", rollover->trust, "further trust folders that get the certificates");
  on(command, [rollover] { return ca_rollover(*rollover); });

  command = add_command(ca, "rollover-devices", "give CAS its next device CA, while it does not run: prepared and published first, then installed",
                        "qanat ca rollover-devices --config cas.toml --prepare");
  const auto devices = std::make_shared<CaRolloverDevicesOptions>();
  command->add_option("--config", devices->config, "CAS's configuration file")->required();
  command->add_flag("--prepare", devices->prepare, "make it; CAS publishes it, and issues by the one it has");
  command->add_flag("--install", devices->install, "issue by the one that was prepared, from the next start");
  on(command, [devices] { return ca_rollover_devices(*devices); });

  command = add_command(ca, "expect", "let an element enrol, or enrol anew, with a new one-time secret; while CAS does not run",
                        "qanat ca expect --config cas.toml --element qanat://a/kms/kms-a --out kms-a.enrolment");
  const auto expecting = std::make_shared<CaExpectOptions>();
  command->add_option("--config", expecting->config, "CAS's configuration file")->required();
  command->add_option("--element", expecting->element, "the element's identity")->required();
  command->add_option("--out", expecting->out, "file for the secret; one that is there is taken as it is")->required();
  on(command, [expecting] { return ca_expect(*expecting); });
}

}  // namespace qanat::app
