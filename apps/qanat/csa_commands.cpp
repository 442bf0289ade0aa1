#include "csa_commands.hpp"

#include <fmt/format.h>

#include "crypto/kdf.hpp"
#include "text_files.hpp"
#include "wire/base64.hpp"

namespace qanat::app {
namespace {

using points::Endpoint;
using wire::Json;

constexpr std::string_view csa_file_label{"qanat csa v1 file", sizeof("qanat csa v1 file")};  // with the zero octet that ends it

void show_answer(const CsaAsk& ask, const Json& answer) { fmt::print("{}\n", ask.output == Output::json ? answer.dump() : answer.pretty()); }

int ask_and_show(const CsaAsk& ask, Endpoint endpoint, const Json& body) {
  return with_csa(ask, [&](CsaSession& csa) -> Result<void> {
    ASSIGN_OR_RETURN(const Json answer, csa.ask(endpoint, body));
    show_answer(ask, answer);
    return {};
  });
}

Result<Json> read_json(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const std::string text, read_text(file));
  auto json = Json::parse(std::string_view(text));
  if (!json) return fail_in(file.string(), std::move(json).error());
  return json;
}

std::string field_of(const Json& json, std::string_view name) { return json.text(name).value_or("-"); }

void print_key(const Json& key) {
  fmt::print("  {}  {:<20} {:<15} {:<19} v{:<4} {:<30} {}\n", field_of(key, "key_id"), field_of(key, "algorithm"), field_of(key, "usage"), field_of(key, "state"),
             key.integer("version").value_or(0), field_of(key, "owner"), field_of(key, "label"));
}

/// What stands for a file where it is signed: the CSA takes short messages.
Result<std::string> message_of(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const std::string text, read_text(file));
  return wire::to_base64(concat({as_bytes(csa_file_label), crypto::digest(crypto::Hash::sha384, as_bytes(text))}));
}

}  // namespace

int csa_create(const CsaAsk& ask, const CsaCreateOptions& options) {
  Json body = Json::object({{"algorithm", options.algorithm}, {"usage", options.usage}, {"label", options.label}});
  if (!options.creation_id.empty()) body.set("creation_id", options.creation_id);
  if (options.not_after_ms != 0) body.set("not_after_ms", options.not_after_ms);
  if (!options.policy.empty()) {
    const auto policy = read_json(options.policy);
    if (!policy) return complain(policy.error());
    body.set("policy", *policy);
  }
  return ask_and_show(ask, Endpoint::csa_create_key, body);
}

int csa_list(const CsaAsk& ask) {
  return with_csa(ask, [&](CsaSession& csa) -> Result<void> {
    Json body = Json::object();
    for (bool more = true; more;) {
      ASSIGN_OR_RETURN(const Json answer, csa.ask(Endpoint::csa_list_keys, body));
      ASSIGN_OR_RETURN(const std::vector<Json> keys, answer.array("keys"));
      ASSIGN_OR_RETURN(more, answer.boolean("more"));
      for (const Json& key : keys) {
        if (ask.output == Output::json) {
          fmt::print("{}\n", key.dump());
        } else {
          print_key(key);
        }
      }
      if (keys.empty()) break;
      body = Json::object({{"after", field_of(keys.back(), "key_id")}});
    }
    return {};
  });
}

int csa_show(const CsaAsk& ask, const std::string& key) { return ask_and_show(ask, Endpoint::csa_describe_key, Json::object({{"key_id", key}})); }
int csa_public_key(const CsaAsk& ask, const std::string& key) { return ask_and_show(ask, Endpoint::csa_public_key, Json::object({{"key_id", key}})); }

int csa_rotate(const CsaAsk& ask, const std::string& key, const std::string& rotation_id) {
  Json body = Json::object({{"key_id", key}});
  if (!rotation_id.empty()) body.set("rotation_id", rotation_id);
  return ask_and_show(ask, Endpoint::csa_rotate_key, body);
}

int csa_policy(const CsaAsk& ask, const std::string& key, const std::filesystem::path& policy, std::int64_t minimum_version) {
  Json body = Json::object({{"key_id", key}});
  if (!policy.empty()) {
    const auto read = read_json(policy);
    if (!read) return complain(read.error());
    body.set("policy", *read);
  }
  if (minimum_version != 0) body.set("minimum_version", minimum_version);
  return ask_and_show(ask, Endpoint::csa_set_policy, body);
}

int csa_state(const CsaAsk& ask, const std::string& key, const std::string& change, std::int64_t after_s) {
  Json body = Json::object({{"key_id", key}, {"change", change}});
  if (after_s != 0) body.set("after_s", after_s);
  return ask_and_show(ask, Endpoint::csa_change_state, body);
}

int csa_enable_restored(const CsaAsk& ask) {
  return with_csa(ask, [&](CsaSession& csa) -> Result<void> {
    std::size_t enabled = 0;
    for (bool more = true; more;) {
      ASSIGN_OR_RETURN(const Json answer, csa.ask(Endpoint::csa_change_state, Json::object({{"change", "enable"}, {"all_after_restoration", true}})));
      ASSIGN_OR_RETURN(const std::vector<std::string> keys, answer.texts("enabled"));
      ASSIGN_OR_RETURN(const std::int64_t left, answer.integer("still_suspended"));
      ASSIGN_OR_RETURN(more, answer.boolean("more"));
      more = more && !keys.empty();
      enabled += keys.size();
      if (ask.output == Output::json) {
        fmt::print("{}\n", answer.dump());
        continue;
      }
      for (const std::string& key : keys) fmt::print("  {}  enabled\n", key);
      if (!more) fmt::print("keys enabled: {}; suspended still: {}\n", enabled, left);
    }
    return {};
  });
}

int csa_sign(const CsaAsk& ask, const std::string& key, const std::filesystem::path& in, const std::filesystem::path& out) {
  return with_csa(ask, [&](CsaSession& csa) -> Result<void> {
    ASSIGN_OR_RETURN(const std::string message, message_of(in));
    ASSIGN_OR_RETURN(const Json answer, csa.ask(Endpoint::csa_sign, Json::object({{"key_id", key}, {"message", message}})));
    TRY(write_text(out, Json::object({{"key_id", key}, {"version", answer.integer("version").value_or(0)}, {"signature", field_of(answer, "signature")}}).pretty() + "\n"));
    show_answer(ask, Json::object({{"key_id", key}, {"version", answer.integer("version").value_or(0)}, {"written", out.string()}}));
    return {};
  });
}

int csa_verify(const CsaAsk& ask, const std::string& key, const std::filesystem::path& in, const std::filesystem::path& signature, std::int64_t version) {
  return with_csa(ask, [&](CsaSession& csa) -> Result<void> {
    ASSIGN_OR_RETURN(const std::string message, message_of(in));
    ASSIGN_OR_RETURN(const Json made, read_json(signature));
    ASSIGN_OR_RETURN(const std::string octets, made.text("signature"));
    ASSIGN_OR_RETURN(const std::int64_t with, version != 0 ? Result<std::int64_t>(version) : made.integer("version"));
    ASSIGN_OR_RETURN(const Json answer,
                     csa.ask(Endpoint::csa_verify, Json::object({{"key_id", key}, {"message", message}, {"signature", octets}, {"version", with}})));
    ASSIGN_OR_RETURN(const bool valid, answer.boolean("valid"));
    if (!valid) return fail(ErrorCode::denied, signature.string() + " does not hold for " + in.string() + " and key " + key);
    show_answer(ask, answer);
    return {};
  });
}

}  // namespace qanat::app
