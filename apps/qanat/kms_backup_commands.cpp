#include "kms_backup_commands.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "services/kms/backup.hpp"

namespace qanat::app {
namespace {

struct Opened {
  std::unique_ptr<node::Node> node;
  kms::KmsSettings settings;
};

Result<Opened> open(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(node::Config config, node::Config::read(file));
  node::Settings common = node::Settings::read(config);
  kms::KmsSettings own = kms::KmsSettings::read(config);
  TRY(config.finish());
  if (common.identity.kind != Kind::kms)
    return fail(ErrorCode::invalid_argument, fmt::format("{}: node.identity = {}: is no kms", file.filename().string(), common.identity.uri()));
  ASSIGN_OR_RETURN(std::unique_ptr<node::Node> node, node::Node::open(std::move(common)));
  return Result<Opened>(Opened{.node = std::move(node), .settings = std::move(own)});
}

int told(const char* command, const Error& error) {
  fmt::print(stderr, "qanat kms {}: {}\n", command, error.message);
  return 1;
}

}  // namespace

int kms_backup(const std::filesystem::path& config, const std::filesystem::path& out) {
  const auto opened = open(config);
  const Result<void> done = opened ? kms::backup(*opened->node, out) : fail(opened.error());
  if (!done) return told("backup", done.error());
  fmt::print("{}: holds no key that could be delivered, and serves after `qanat kms restore`\n", out.string());
  return 0;
}

int kms_restore(const std::filesystem::path& config, const std::filesystem::path& from) {
  const auto opened = open(config);
  if (!opened) return told("restore", opened.error());
  const auto restored = kms::restore(*opened->node, opened->settings, from.empty() ? std::nullopt : std::optional(from));
  if (!restored) return told("restore", restored.error());
  fmt::print("restored: {} working keys destroyed; applications are taken from {} ms after this\n", restored->destroyed, opened->settings.clock_window.count());
  fmt::print(
      "keys of applications (CSA) are suspended: `qanat csa state KEY enable` for one, `qanat csa enable --all-after-restoration` for those that were "
      "enabled\n");
  fmt::print("order again what was ordered since the backup: suspensions of encryption keys, destructions of keys in history, charges by file\n");
  return 0;
}

void add_kms_backup_commands(CLI::App& kms, const OnCommand& on) {
  struct Files {
    std::filesystem::path config;
    std::filesystem::path other;
  };
  CLI::App* command = add_command(kms, "backup", "copy the database of a KMS that is stopped, without its keys",
                                  "qanat kms backup --config /etc/qanat/kms.toml --out kms-backup.db");
  const auto saved = std::make_shared<Files>();
  command->add_option("--config", saved->config, "the KMS's configuration file")->required();
  command->add_option("--out", saved->other, "the new file")->required();
  on(command, [saved] { return kms_backup(saved->config, saved->other); });

  command = add_command(kms, "restore", "make a backup serve: destroy the keys in it, refuse what was signed before",
                        "qanat kms restore --config /etc/qanat/kms.toml --from kms-backup.db");
  const auto brought = std::make_shared<Files>();
  command->add_option("--config", brought->config, "the KMS's configuration file")->required();
  command->add_option("--from", brought->other,
                      "file that `qanat kms backup` made; without it the database as it stands, such as a PostgreSQL server that was restored");
  on(command, [brought] { return kms_restore(brought->config, brought->other); });
}

}  // namespace qanat::app
