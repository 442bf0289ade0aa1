#include "services/cmsp/compliance/demands.hpp"

#include <algorithm>
#include <array>
#include <span>

#include "store/lifecycle.hpp"

namespace qanat::cmsp {
namespace {

constexpr UnixMs evidence_clock_window_ms = 120'000;
constexpr std::int64_t sample_octets_min = 4096;

struct SizeDemand {
  std::string_view name;
  std::int64_t octets_min;
};

struct SuiteDemand {
  std::string_view suite;
  std::span<const std::string_view> algorithms;
  std::span<const std::string_view> self_tests;
  std::span<const SizeDemand> sizes;
};

constexpr std::array<std::string_view, 5> gm_algorithms{"SM2", "ML-DSA-65", "ML-KEM-768", "SM3", "SM4-GCM"};
constexpr std::array<std::string_view, 8> gm_self_tests{"SM3",   "HMAC-SM3", "HKDF", "SM4-GCM", "HMAC_DRBG", "SM2 signature", "SM2 encryption with ML-KEM-768",
                                                        "ML-DSA"};
constexpr std::array gm_sizes{SizeDemand{"scalar", 32}, SizeDemand{"digest", 32}, SizeDemand{"aead_key", 16}, SizeDemand{"ml_dsa_public", 1952},
                              SizeDemand{"ml_kem_public", 1184}};
constexpr std::array<std::string_view, 5> intl_algorithms{"ECDSA-P-384", "ML-DSA-87", "ML-KEM-1024", "SHA-384", "AES-256-GCM"};
constexpr std::array<std::string_view, 7> intl_self_tests{"SHA-2", "HKDF", "AES-256-GCM", "HMAC_DRBG", "ECDSA P-384", "ECDH P-384 with ML-KEM-1024", "ML-DSA"};
constexpr std::array intl_sizes{SizeDemand{"scalar", 48}, SizeDemand{"digest", 48}, SizeDemand{"aead_key", 32}, SizeDemand{"ml_dsa_public", 2592},
                                SizeDemand{"ml_kem_public", 1568}};
constexpr std::array suite_demands{SuiteDemand{"GM-hybrid", gm_algorithms, gm_self_tests, gm_sizes},
                                   SuiteDemand{"INTL-hybrid", intl_algorithms, intl_self_tests, intl_sizes}};

std::optional<std::int64_t> count_under(const points::NamedCounts& counts, std::string_view name) {
  const auto found = std::ranges::find(counts, name, [](const auto& one) { return std::string_view(one.first); });
  return found == counts.end() ? std::nullopt : std::optional(found->second);
}

void judge_parameters(const points::KmsEvidence& evidence, const SuiteDemand& demand, std::vector<std::string>& out) {
  for (const std::string_view name : demand.algorithms) {
    if (std::ranges::find(evidence.algorithms, name) == evidence.algorithms.end()) out.push_back("the algorithm " + std::string(name) + " is missing");
  }
  for (const std::string_view name : demand.self_tests) {
    if (std::ranges::find(evidence.self_tests, name) == evidence.self_tests.end()) out.push_back("no known answer of " + std::string(name));
  }
  for (const SizeDemand& size : demand.sizes) {
    const auto octets = count_under(evidence.sizes, size.name);
    if (!octets || *octets < size.octets_min)
      out.push_back("the size " + std::string(size.name) + " is missing or under " + std::to_string(size.octets_min) + " octets");
  }
}

void judge_random(const points::KmsEvidence& evidence, const std::optional<points::KmsEvidence>& before, std::vector<std::string>& out) {
  if (static_cast<std::int64_t>(evidence.random.octets) < sample_octets_min)
    out.push_back("the random sample has fewer than " + std::to_string(sample_octets_min) + " octets");
  if (!evidence.random.healthy) out.push_back("the random sample fails the health tests");
  if (before && before->random.sha256 == evidence.random.sha256) out.push_back("the random sample is the one from before");
}

void judge_records(const points::KmsEvidence& evidence, const std::optional<points::KmsEvidence>& before, std::vector<std::string>& out) {
  for (const store::KeyState state : store::all_key_states) {
    if (!count_under(evidence.working_keys, store::name(state))) out.push_back("no count of working keys that are " + std::string(store::name(state)));
  }
  if (evidence.audit_size == 0) out.push_back("the audit record has no checkpoint");
  if (!before) return;
  if (evidence.audit_size < before->audit_size) out.push_back("the audit record is shorter than before");
  if (evidence.audit_size == before->audit_size && evidence.audit_root != before->audit_root)
    out.push_back("the audit record is another one of the same length");
}

}  // namespace

std::vector<std::string> judge_evidence(const points::KmsEvidence& evidence, const std::optional<points::KmsEvidence>& before, const EvidenceContext& context) {
  std::vector<std::string> out;
  const UnixMs off = evidence.at_ms > context.now ? evidence.at_ms - context.now : context.now - evidence.at_ms;
  if (off > evidence_clock_window_ms) out.emplace_back("its time is outside the clock window of 120 s");
  if (evidence.suite != context.suite) out.push_back("its suite is " + evidence.suite + ", the network's is " + context.suite);
  if (evidence.epoch != context.epoch) out.push_back("it is in policy epoch " + std::to_string(evidence.epoch) + ", not " + std::to_string(context.epoch));
  if (!evidence.self_test_failure.empty()) out.push_back("self-test: " + evidence.self_test_failure);
  const auto demand = std::ranges::find(suite_demands, std::string_view(context.suite), &SuiteDemand::suite);
  if (demand == suite_demands.end()) {
    out.push_back("nothing is known that suite " + context.suite + " demands");
  } else {
    judge_parameters(evidence, *demand, out);
  }
  if (evidence.device_state != "ok") out.push_back("its crypto device (" + evidence.device + ") is " + evidence.device_state);
  judge_random(evidence, before, out);
  judge_records(evidence, before, out);
  return out;
}

}  // namespace qanat::cmsp
