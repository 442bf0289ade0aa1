// `qanat iam …`: identities, privileges and behaviour of a running network, asked of IAM with the certificate of the operator, the security administrator or
// the auditor.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "command_options.hpp"
#include "commands.hpp"
#include "wire/json.hpp"

namespace qanat::app {

/// Who asks, and how the answer is shown.
struct IamAsk {
  OperatorPlace at;
  Output output = Output::people;
  std::string as;  // "operator", "administrator", "auditor"
};

/// Of an SAE that a KMS serves; what is not given is left as it is.
struct SaeRuleOptions {
  std::optional<std::int64_t> keys_per_second;
  std::optional<std::int64_t> keys_per_day;
  std::vector<std::string> peer_domains;  // "none" alone: only its own
};

/// The members of an identity that the command line gives; empty: not given.
struct IdentityOptions {
  std::string uid;
  std::string of;
  std::string domain;
  std::string uri;
  std::string number;
  std::string kms;
  std::string user_name;
  std::string name;
  std::string mail;
  std::string external_id;
  std::vector<std::filesystem::path> certificates;  // PEM
  SaeRuleOptions sae;
};

int iam_create(const IamAsk& ask, const IdentityOptions& options);
int iam_find(const IamAsk& ask, const std::string& uid, const std::string& number, const std::filesystem::path& certificate);
/// `set`: "name=…"; `version` 0: the one that it has now.
struct ChangeOptions {
  std::string uid;
  std::vector<std::string> set;
  SaeRuleOptions sae;
  std::int64_t version = 0;
};
int iam_change(const IamAsk& ask, const ChangeOptions& options);
/// "suspend", "resume", "delete".
int iam_operate(const IamAsk& ask, const std::string& operation, const std::string& uid, std::int64_t version);
int iam_list(const IamAsk& ask, const IdentityOptions& filter, const std::string& status);
int iam_export(const IamAsk& ask, const IdentityOptions& filter);
int iam_import(const IamAsk& ask, const std::filesystem::path& file);

int iam_roles(const IamAsk& ask);
int iam_define(const IamAsk& ask, const std::filesystem::path& file);
int iam_undefine(const IamAsk& ask, const std::string& role);
int iam_grants(const IamAsk& ask, const std::string& subject);
struct GrantOptions {
  std::string subject;
  std::string role;
  std::string domain = "*";
  std::int64_t level = 4;
  std::int64_t hours = 0;  // 0: no end
};
int iam_grant(const IamAsk& ask, const GrantOptions& options);
int iam_ungrant(const IamAsk& ask, std::int64_t grant);
int iam_clients(const IamAsk& ask);
int iam_client(const IamAsk& ask, const std::string& client, const std::vector<std::string>& redirect_uris);
int iam_unclient(const IamAsk& ask, const std::string& client);
int iam_revoke(const IamAsk& ask, const std::string& subject);
struct WhyOptions {
  std::string subject;
  std::string action;
  std::string point;
  std::string peer_domain;
  std::int64_t level = 1;
  std::string target;
};
/// Exit code 0 whether allowed or denied: the answer is the result.
int iam_why(const IamAsk& ask, const WhyOptions& options);

struct BehaviourOptions {
  std::string uid;
  std::string action;
  std::string outcome;
  std::int64_t hours = 0;  // only the last so many; 0: all
  std::int64_t after = 0;
  std::int64_t limit = 100;
};
int iam_behaviour(const IamAsk& ask, const BehaviourOptions& options);
int iam_anomalies(const IamAsk& ask, const std::string& uid);
/// `set`: "rate.max=20".
int iam_rules(const IamAsk& ask, const std::vector<std::string>& set);

void add_iam_commands(CLI::App& iam, const OnCommand& on);

}  // namespace qanat::app
