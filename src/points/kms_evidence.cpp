#include "points/kms_evidence.hpp"

#include "crypto/x509.hpp"

namespace qanat::points {
namespace {

constexpr std::size_t evidence_list_max = 64;
constexpr std::size_t evidence_text_max = 256;
constexpr std::size_t sha256_octets = 32;

std::string_view name_of(crypto::Hash hash) {
  switch (hash) {
    case crypto::Hash::sm3:
      return "SM3";
    case crypto::Hash::sha256:
      return "SHA-256";
    case crypto::Hash::sha384:
      return "SHA-384";
  }
  return "?";
}

std::string_view name_of(crypto::Aead aead) {
  switch (aead) {
    case crypto::Aead::sm4_gcm:
      return "SM4-GCM";
    case crypto::Aead::aes_256_gcm:
      return "AES-256-GCM";
  }
  return "?";
}

Result<std::string> short_text(const wire::Json& json, std::string_view member) {
  ASSIGN_OR_RETURN(std::string text, json.text(member));
  if (text.size() > evidence_text_max)
    return fail(ErrorCode::invalid_argument, std::string(member) + ": longer than " + std::to_string(evidence_text_max) + " octets");
  return text;
}

Result<std::vector<std::string>> short_list(const wire::Json& json, std::string_view member) {
  ASSIGN_OR_RETURN(std::vector<std::string> texts, json.texts(member));
  if (texts.size() > evidence_list_max) return fail(ErrorCode::invalid_argument, std::string(member) + ": more than " + std::to_string(evidence_list_max));
  for (const std::string& text : texts) {
    if (text.size() > evidence_text_max) return fail(ErrorCode::invalid_argument, std::string(member) + ": a text is too long");
  }
  return texts;
}

Result<NamedCounts> named_counts(const wire::Json& json, std::string_view member) {
  ASSIGN_OR_RETURN(const wire::Json counts, json.object(member));
  NamedCounts out;
  for (const std::string& name : counts.names()) {
    if (name.size() > evidence_text_max || out.size() >= evidence_list_max)
      return fail(ErrorCode::invalid_argument, std::string(member) + ": too many or too long names");
    ASSIGN_OR_RETURN(const std::int64_t count, counts.integer(name, 0, INT64_MAX));
    out.emplace_back(name, count);
  }
  return out;
}

Result<Bytes> sha256_in(const wire::Json& json, std::string_view member) {
  ASSIGN_OR_RETURN(Bytes octets, json.hex(member));
  if (octets.size() != sha256_octets) return fail(ErrorCode::invalid_argument, std::string(member) + ": must be 32 octets");
  return octets;
}

Result<crypto::RandomSample> read_sample(const wire::Json& json) {
  TRY(json.only({"octets", "sha256", "longest_run", "most_frequent", "healthy"}));
  crypto::RandomSample out;
  const auto count = [&](std::string_view member, std::size_t& into) -> Result<void> {
    ASSIGN_OR_RETURN(const std::int64_t value, json.integer(member, 0, INT32_MAX));
    into = static_cast<std::size_t>(value);
    return {};
  };
  TRY(count("octets", out.octets));
  ASSIGN_OR_RETURN(out.sha256, sha256_in(json, "sha256"));
  TRY(count("longest_run", out.longest_run));
  TRY(count("most_frequent", out.most_frequent));
  ASSIGN_OR_RETURN(out.healthy, json.boolean("healthy"));
  return out;
}

wire::Json counts_json(const NamedCounts& counts) {
  wire::Json out = wire::Json::object();
  for (const auto& [name, count] : counts) out.set(name, count);
  return out;
}

wire::Json texts_json(const std::vector<std::string>& texts) {
  wire::Json out = wire::Json::array();
  for (const std::string& text : texts) out.push(text);
  return out;
}

}  // namespace

Result<KmsEvidence> read_kms_evidence(const wire::Json& json) {
  TRY(json.only({"front_end", "at_ms", "self_tests", "self_test_failure", "suite", "epoch", "algorithms", "sizes", "device", "device_state", "random",
                 "working_keys", "audit_size", "audit_root"}));
  KmsEvidence out;
  ASSIGN_OR_RETURN(out.front_end, json.integer("front_end", 0, evidence_front_end_max));
  ASSIGN_OR_RETURN(const std::int64_t at, json.integer("at_ms", 0, INT64_MAX));
  out.at_ms = static_cast<UnixMs>(at);
  ASSIGN_OR_RETURN(out.self_tests, short_list(json, "self_tests"));
  ASSIGN_OR_RETURN(out.self_test_failure, short_text(json, "self_test_failure"));
  ASSIGN_OR_RETURN(out.suite, short_text(json, "suite"));
  ASSIGN_OR_RETURN(const std::int64_t epoch, json.integer("epoch", 0, UINT32_MAX));
  out.epoch = static_cast<std::uint32_t>(epoch);
  ASSIGN_OR_RETURN(out.algorithms, short_list(json, "algorithms"));
  ASSIGN_OR_RETURN(out.sizes, named_counts(json, "sizes"));
  ASSIGN_OR_RETURN(out.device, short_text(json, "device"));
  ASSIGN_OR_RETURN(out.device_state, short_text(json, "device_state"));
  ASSIGN_OR_RETURN(const wire::Json random, json.object("random"));
  ASSIGN_OR_RETURN(out.random, read_sample(random));
  ASSIGN_OR_RETURN(out.working_keys, named_counts(json, "working_keys"));
  ASSIGN_OR_RETURN(out.audit_size, json.integer("audit_size", 0, INT64_MAX));
  ASSIGN_OR_RETURN(out.audit_root, sha256_in(json, "audit_root"));
  return out;
}

wire::Json to_json(const KmsEvidence& evidence) {
  const wire::Json random = wire::Json::object({{"octets", evidence.random.octets},
                                                {"sha256", to_hex(evidence.random.sha256)},
                                                {"longest_run", evidence.random.longest_run},
                                                {"most_frequent", evidence.random.most_frequent},
                                                {"healthy", evidence.random.healthy}});
  return wire::Json::object({{"front_end", evidence.front_end},
                             {"at_ms", evidence.at_ms},
                             {"self_tests", texts_json(evidence.self_tests)},
                             {"self_test_failure", evidence.self_test_failure},
                             {"suite", evidence.suite},
                             {"epoch", evidence.epoch},
                             {"algorithms", texts_json(evidence.algorithms)},
                             {"sizes", counts_json(evidence.sizes)},
                             {"device", evidence.device},
                             {"device_state", evidence.device_state},
                             {"random", random},
                             {"working_keys", counts_json(evidence.working_keys)},
                             {"audit_size", evidence.audit_size},
                             {"audit_root", to_hex(evidence.audit_root)}});
}

std::vector<std::string> algorithms_of(const crypto::Suite& suite) {
  return {std::string(crypto::name(crypto::classical_key(suite))), std::string(crypto::name(crypto::ml_dsa_key(suite))),
          std::string(crypto::name(crypto::ml_kem_key(suite))), std::string(name_of(suite.hash)), std::string(name_of(suite.aead))};
}

NamedCounts sizes_of(const crypto::Suite& suite) {
  const auto octets = [](std::size_t size) { return static_cast<std::int64_t>(size); };
  return {{"scalar", octets(suite.scalar)},
          {"digest", octets(suite.digest)},
          {"aead_key", octets(suite.aead_key)},
          {"ml_dsa_public", octets(suite.ml_dsa_public)},
          {"ml_kem_public", octets(suite.ml_kem_public)}};
}

}  // namespace qanat::points
