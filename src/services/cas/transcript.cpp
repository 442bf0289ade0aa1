#include "services/cas/transcript.hpp"

#include <array>
#include <cstdio>
#include <ctime>

#include "crypto/hybrid_sign.hpp"
#include "crypto/kdf.hpp"
#include "services/cas/whole_files.hpp"
#include "wire/json.hpp"

namespace qanat::cas {
namespace {

constexpr std::string_view signed_label = "qanat root transcript v1\n";
constexpr std::string_view software = "qanat 0.1.0";
constexpr std::size_t record_octets_max = 64U * 1024;
constexpr std::int64_t records_max = 9999;

std::string record_name(std::int64_t number, std::string_view ending) {
  std::array<char, 32> digits{};
  (void)std::snprintf(digits.data(), digits.size(), "transcript-%04lld", static_cast<long long>(number));
  return std::string(digits.data()) + std::string(ending);
}

Bytes to_be_signed(std::string_view text) { return concat({as_bytes(signed_label), as_bytes(text)}); }
std::string hash_of(std::string_view text) { return to_hex(crypto::digest(crypto::Hash::sha256, as_bytes(text))); }

/// The records' texts without a look at what they say.
Result<std::vector<TranscriptRecord>> read_records(const std::filesystem::path& folder) {
  std::vector<TranscriptRecord> out;
  for (std::int64_t number = 1; number <= records_max; ++number) {
    const std::string file = record_name(number, ".json");
    const auto octets = read_whole_file(folder / file, record_octets_max);
    if (!octets && octets.error().code == ErrorCode::not_found) break;
    if (!octets) return fail(octets.error());
    out.push_back({.file = file, .text = std::string(as_text(*octets))});
  }
  return out;
}

wire::Json description(const std::string& file, const crypto::Certificate& certificate) {
  return wire::Json::object({{"file", file},
                             {"subject", certificate.subject()},
                             {"key", std::string(crypto::name(certificate.key_algorithm()))},
                             {"serial", to_hex(certificate.serial())},
                             {"not_before", utc_time(certificate.not_before())},
                             {"not_after", utc_time(certificate.not_after())},
                             {"sha256", to_hex(certificate.fingerprint(crypto::Hash::sha256))},
                             {"sm3", to_hex(certificate.fingerprint(crypto::Hash::sm3))}});
}

Result<void> check_record(const TranscriptRecord& record, std::int64_t number, std::string_view previous) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(std::string_view(record.text)));
  ASSIGN_OR_RETURN(const std::int64_t own, json.integer("number"));
  ASSIGN_OR_RETURN(const std::string before, json.text("previous"));
  if (own != number) return fail(ErrorCode::denied, "is number " + std::to_string(own) + " where " + std::to_string(number) + " belongs");
  if (before != previous) return fail(ErrorCode::denied, "does not continue the record before it");
  return {};
}

}  // namespace

std::string utc_time(UnixMs at) {
  const auto seconds = static_cast<std::time_t>(at / 1000);
  std::tm parts{};
  std::array<char, 32> text{};
  if (::gmtime_r(&seconds, &parts) == nullptr || std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) return "?";
  return text.data();
}

Result<std::string> write_transcript(const std::filesystem::path& folder, const Roots& roots, const RootAct& act, crypto::Rng& rng) {
  ASSIGN_OR_RETURN(const std::vector<TranscriptRecord> before, read_records(folder));
  const auto number = std::ssize(before) + 1;
  if (number > records_max) return fail(ErrorCode::exhausted, folder.string() + ": the transcript is full");
  wire::Json made = wire::Json::array();
  for (const auto& [file, certificate] : act.made) made.push(description(file, certificate));
  const wire::Json json = wire::Json::object({{"format", 1},
                                              {"number", number},
                                              {"previous", before.empty() ? std::string() : hash_of(before.back().text)},
                                              {"act", act.act},
                                              {"network", act.network},
                                              {"suite", std::string(roots.suite->name)},
                                              {"keys", act.keeping},
                                              {"at", utc_time(act.at)},
                                              {"software", std::string(software)},
                                              {"made", made}});
  const std::string text = json.pretty() + "\n";
  ASSIGN_OR_RETURN(const crypto::Signer signer, crypto::Signer::from_secret(*roots.suite, {.scalar = roots.pair.classical.key.secret.duplicate(),
                                                                                           .ml_dsa_seed = roots.pair.ml_dsa.key.secret.duplicate()}));
  const std::string signature = to_hex(signer.sign(to_be_signed(text), rng)) + "\n";
  // The signature first: a record that is there can be checked. One that was left by a crash belongs to a record that never came about.
  std::error_code ignored;
  std::filesystem::remove(folder / record_name(number, ".sig"), ignored);
  TRY(place_file(folder / record_name(number, ".sig"), as_bytes(signature), public_file));
  TRY(place_file(folder / record_name(number, ".json"), as_bytes(text), public_file));
  return text;
}

Result<std::vector<TranscriptRecord>> verify_transcript(const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(const RootCertificates roots, read_root_certificates(folder));
  ASSIGN_OR_RETURN(const crypto::Verifier verifier,
                   crypto::Verifier::from_key(*roots.suite, {.point = roots.classical.public_key(), .ml_dsa = roots.ml_dsa.public_key()}));
  ASSIGN_OR_RETURN(std::vector<TranscriptRecord> records, read_records(folder));
  if (records.empty()) return fail(ErrorCode::not_found, folder.string() + ": holds no transcript");
  std::string previous;
  std::int64_t number = 0;
  for (const TranscriptRecord& record : records) {
    ++number;
    const std::string where = (folder / record.file).string();
    ASSIGN_OR_RETURN(const Bytes digits, read_whole_file(folder / record_name(number, ".sig"), record_octets_max));
    std::string_view text = as_text(digits);
    if (text.ends_with('\n')) text.remove_suffix(1);
    const auto signature = from_hex(text);
    if (!signature) return fail(ErrorCode::denied, where + ": its signature is not hexadecimal");
    if (const auto holds = verifier.verify(to_be_signed(record.text), *signature); !holds) return fail_in(where, holds.error());
    if (const auto holds = check_record(record, number, previous); !holds) return fail_in(where, holds.error());
    previous = hash_of(record.text);
  }
  // A record that is missing in the middle would leave those after it unseen.
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("transcript-") && name.ends_with(".json") && name > records.back().file)
      return fail(ErrorCode::denied, entry.path().string() + ": a record before it is missing");
  }
  return records;
}

}  // namespace qanat::cas
