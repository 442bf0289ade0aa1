#include "services/kms/csa/operations.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "base/check.hpp"
#include "services/kms/csa/authentication.hpp"
#include "services/kms/csa/export_statement.hpp"

namespace qanat::kms::csa {
namespace {

using points::Endpoint;

constexpr auto required = Presence::required;
constexpr auto optional = Presence::optional;
constexpr std::size_t sealed_octets_max = plaintext_octets_max + sealed_overhead;
constexpr std::size_t result_octets_max = 8192;   // the longest signature or encapsulation is under 5 KiB
constexpr std::size_t version_max = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t time_max = 1ULL << 52U;  // ms; exact in every JSON reader

constexpr Field key_of{"key_id", Type::key_id, required, 32, 32, "which key"};
constexpr Field context_of{"context", Type::text, optional, 0, context_octets_max, "the caller's own binding: must be the same where it is undone; not secret"};
constexpr Field version_wanted{"version", Type::integer, optional, 1, version_max, "which version of the key; the current one if absent"};
constexpr Field version_used{"version", Type::integer, required, 1, version_max, "the version that was used"};
constexpr Field algorithm_of{"algorithm", Type::text, required, 1, 64, "the key's algorithm"};
constexpr Field usage_of{"usage", Type::text, required, 1, 32, "encryption, mac, signature, authentication or encapsulation"};
constexpr Field label_of{"label", Type::text, optional, 0, label_octets_max, "for people to read"};
constexpr Field policy_of{"policy", Type::policy, optional, 0, 0, "grants, and where the key may be exported to"};
constexpr Field message_of{"message", Type::octets, required, 0, message_octets_max, "base64; what is longer is hashed first"};
constexpr Field state_of{"state", Type::text, required, 1, 32, "enabled, disabled, deletion_scheduled, expired, suspended or destroyed"};

constexpr std::array encrypt_asks{key_of, Field{"plaintext", Type::plaintext, required, 1, plaintext_octets_max, "base64"}, context_of};
constexpr std::array encrypt_answers{Field{"ciphertext", Type::octets, required, 1, sealed_octets_max, "base64: header, nonce, ciphertext, tag"}, version_used};
constexpr std::array decrypt_asks{key_of, Field{"ciphertext", Type::octets, required, 1, sealed_octets_max, "as encrypt gave it"}, context_of};
constexpr std::array decrypt_answers{Field{"plaintext", Type::plaintext, required, 1, plaintext_octets_max, "base64"}, version_used};
constexpr std::array data_key_asks{key_of, Field{"size", Type::integer, optional, data_key_octets_min, data_key_octets_max, "octets; 32 if absent"},
                                   Field{"wrapped_only", Type::flag, optional, 0, 0, "no plaintext: for whoever only stores it"}, context_of};
constexpr std::array data_key_answers{Field{"wrapped", Type::octets, required, 1, sealed_octets_max, "to be kept beside what it encrypts"}, version_used,
                                      Field{"plaintext", Type::plaintext, optional, data_key_octets_min, data_key_octets_max, "base64; unless wrapped_only"}};
constexpr std::array open_data_key_asks{key_of, Field{"wrapped", Type::octets, required, 1, sealed_octets_max, "as generate_data_key gave it"}, context_of};
constexpr std::array sign_asks{key_of, message_of};
constexpr std::array sign_answers{Field{"signature", Type::octets, required, 1, result_octets_max, "r‖s, an ML-DSA signature, or one after the other"}, version_used};
constexpr std::array verify_asks{key_of, message_of, Field{"signature", Type::octets, required, 0, result_octets_max, "as sign gave it"}, version_wanted};
constexpr std::array valid_answers{Field{"valid", Type::flag, required, 0, 0, "whether it holds"}, version_used};
constexpr std::array mac_answers{Field{"mac", Type::octets, required, 1, result_octets_max, "HMAC over the message"}, version_used};
constexpr std::array verify_mac_asks{key_of, message_of, Field{"mac", Type::octets, required, 0, result_octets_max, "as mac gave it"}, version_wanted};

constexpr Field challenge_field{"challenge", Type::octets, required, challenge_octets_min, challenge_octets_max, "drawn by who verifies this proof"};
constexpr Field countering{"counter_challenge", Type::octets, optional, challenge_octets_min, challenge_octets_max, "both ways: drawn by who makes this proof"};
constexpr Field step_of{"step", Type::integer, optional, 1, 2, "both ways: 2 for the proof that answers the first; 1 if absent"};
constexpr std::array challenge_asks{key_of, context_of};
constexpr std::array challenge_answers{challenge_field, Field{"expires_ms", Type::integer, required, 0, time_max, "Unix time; taken once until then"}};
constexpr std::array prove_asks{key_of, challenge_field, countering, Field{"verifier", Type::text, required, 1, caller_octets_max, "who is to be convinced"}, step_of,
                                context_of};
constexpr std::array prove_answers{Field{"proof", Type::octets, required, 1, result_octets_max, "a signature or MAC"}, version_used,
                                   Field{"claimant", Type::text, required, 1, caller_octets_max, "who proves: the caller"}};
constexpr std::array authenticate_asks{key_of,
                                       Field{"challenge", Type::octets, required, challenge_octets, challenge_octets, "as challenge gave it, to this caller"},
                                       countering,
                                       Field{"claimant", Type::text, required, 1, caller_octets_max, "who claims to have made the proof"},
                                       Field{"proof", Type::octets, required, 1, result_octets_max, "as prove gave it"},
                                       version_wanted,
                                       step_of,
                                       context_of};
constexpr std::array authenticate_answers{Field{"claimant", Type::text, required, 1, caller_octets_max, "who has proved to be it"}, version_used};

constexpr std::array encapsulate_asks{key_of, version_wanted, context_of};
constexpr Field encapsulation_field{"encapsulation", Type::octets, required, 1, result_octets_max, "for who has the secret key"};
constexpr Field shared_field{"plaintext", Type::plaintext, required, shared_key_octets, shared_key_octets, "the shared secret, base64"};
constexpr std::array encapsulate_answers{encapsulation_field, version_used, shared_field};
constexpr std::array decapsulate_asks{key_of, encapsulation_field, version_wanted, context_of};
constexpr std::array decapsulate_answers{version_used, shared_field};
constexpr std::array public_key_asks{key_of, version_wanted};
constexpr std::array public_key_answers{algorithm_of, Field{"public_key", Type::octets, required, 1, result_octets_max, "point, ML-DSA or ML-KEM key, or one after the other"},
                                        version_used};
constexpr std::array random_asks{Field{"size", Type::integer, required, 1, random_octets_max, "octets"}};
constexpr std::array random_answers{Field{"plaintext", Type::plaintext, required, 1, random_octets_max, "random octets of the crypto device, base64"}};
constexpr std::array batch_asks{Field{"requests", Type::requests, required, 1, batch_items_max, "each with its operation and what that asks"}};
constexpr std::array batch_answers{Field{"results", Type::results, required, 1, batch_items_max, "in the same order: a status with an answer or an error"}};

constexpr Field creation_of{"creation_id", Type::text, optional, 1, creation_id_octets_max,
                            "the caller's own name for this request, visible ASCII: the same request again gives the same answer and no second key"};
constexpr Field end_of{"not_after_ms", Type::integer, optional, 1, time_max, "Unix time, ahead: from then on the key protects nothing new, and opens and verifies as before"};
constexpr std::array create_asks{algorithm_of, usage_of, label_of, policy_of, creation_of, end_of};
constexpr std::array create_answers{key_of, Field{"version", Type::integer, required, 1, version_max, "1, or that of the key that was taken over"},
                                    Field{"public_key", Type::octets, optional, 1, result_octets_max, "where the key has one"}};
constexpr std::array import_asks{Field{"under", Type::key_id, required, 32, 32, "the encapsulation key that it is wrapped for"}, algorithm_of, usage_of,
                                 Field{"wrapped", Type::octets, required, 1, result_octets_max, "as export_key gave it"},
                                 Field{"statement", Type::octets, required, 1, export_statement_max, "as export_key gave it: which KMS wrapped it"}, context_of, label_of, policy_of, end_of};
constexpr std::array export_asks{key_of, version_wanted, Field{"public_key", Type::octets, required, 1, result_octets_max, "of a KEM, one that the key's policy names"},
                                 context_of};
constexpr std::array export_answers{Field{"wrapped", Type::octets, required, 1, result_octets_max, "for import_key at another CSA"},
                                    Field{"statement", Type::octets, required, 1, export_statement_max, "goes with it: signed by this KMS"}, algorithm_of, usage_of, version_used};
constexpr std::array list_asks{Field{"after", Type::key_id, optional, 32, 32, "go on after this key"}};
constexpr std::array list_answers{Field{"keys", Type::keys, required, 0, listed_keys_max, "in the order of their ids"},
                                  Field{"more", Type::flag, required, 0, 0, "whether there are others after the last"}};
constexpr std::array describe_asks{key_of};
constexpr std::array describe_answers{key_of,
                                      Field{"label", Type::text, required, 0, label_octets_max, "for people to read"},
                                      algorithm_of,
                                      usage_of,
                                      Field{"owner", Type::text, required, 1, caller_octets_max, "who created it"},
                                      Field{"origin", Type::text, required, 1, 16, "made, or imported: then another CSA seals with it and makes its versions"},
                                      state_of,
                                      Field{"version", Type::integer, required, 1, version_max, "the current one"},
                                      Field{"minimum_version", Type::integer, required, 1, version_max, "earlier ones are refused"},
                                      Field{"created_ms", Type::integer, required, 0, time_max, "Unix time"},
                                      Field{"delete_ms", Type::integer, optional, 0, time_max, "when it is to be destroyed"},
                                      end_of,
                                      Field{"suspended_from", Type::text, optional, 1, 32, "of a key that is suspended: its state before"},
                                      Field{"versions", Type::versions, required, 1, 1000, "each with its time"},
                                      Field{"policy", Type::policy, required, 0, 0, "to others than owner and operators: their own grant"}};
constexpr std::array rotate_asks{key_of, Field{"rotation_id", Type::text, optional, 1, creation_id_octets_max,
                                               "the caller's own name for this request, visible ASCII: the same request again gives the same answer and no further version"}};
constexpr std::array rotate_answers{key_of, Field{"version", Type::integer, required, 1, version_max, "the new one, which is used from now on"},
                                    Field{"public_key", Type::octets, optional, 1, result_octets_max, "where the key has one"}};
constexpr std::array policy_asks{key_of, Field{"policy", Type::policy, optional, 0, 0, "in place of the former"},
                                 Field{"minimum_version", Type::integer, optional, 1, version_max, "earlier ones are refused from now on"}};
constexpr std::array policy_answers{key_of, Field{"minimum_version", Type::integer, required, 1, version_max, "in force"}};
constexpr std::array state_asks{Field{"key_id", Type::key_id, optional, 32, 32, "which key; required unless all_after_restoration is true"},
                                Field{"change", Type::text, required, 1, 32, "enable, disable, schedule_deletion, cancel_deletion, destroy or trim"},
                                Field{"after_s", Type::integer, optional, 1, 366UL * 86400, "schedule_deletion: in how many seconds"},
                                Field{"all_after_restoration", Type::flag, optional, 0, 0,
                                      "enable, by operators, without key_id: every key that is suspended, was enabled before and is not past its time"}};
constexpr std::array state_answers{Field{"key_id", Type::key_id, optional, 32, 32, "which key; not of all_after_restoration, nor is state"},
                                   Field{"state", Type::text, optional, 1, 32, state_of.what},
                                   Field{"delete_ms", Type::integer, optional, 0, time_max, "when it is to be destroyed"},
                                   Field{"enabled", Type::key_ids, optional, 0, enabled_keys_max, "all_after_restoration: those that are enabled now, in the order of their ids"},
                                   Field{"more", Type::flag, optional, 0, 0, "all_after_restoration: whether there are others: the same request again"},
                                   Field{"still_suspended", Type::integer, optional, 0, time_max, "all_after_restoration: how many keys are suspended after it"}};
constexpr std::span<const Field> nothing{};

constexpr std::array operation_table{
    OperationRow{Operation::encrypt, "encrypt", Endpoint::csa_encrypt, "Encrypt up to 64 KiB", encrypt_asks, encrypt_answers, Needs::grant, Record::done, true},
    OperationRow{Operation::decrypt, "decrypt", Endpoint::csa_decrypt, "Decrypt what encrypt gave", decrypt_asks, decrypt_answers, Needs::grant, Record::done, true},
    OperationRow{Operation::generate_data_key, "generate_data_key", Endpoint::csa_generate_data_key, "A fresh data key, in the clear and wrapped", data_key_asks, data_key_answers, Needs::grant, Record::done, true},
    OperationRow{Operation::decrypt_data_key, "decrypt_data_key", Endpoint::csa_decrypt_data_key, "The data key out of its wrapping", open_data_key_asks, decrypt_answers, Needs::grant, Record::done, true},
    OperationRow{Operation::sign, "sign", Endpoint::csa_sign, "Sign a message", sign_asks, sign_answers, Needs::grant, Record::done, true},
    OperationRow{Operation::verify, "verify", Endpoint::csa_verify, "Whether a signature holds", verify_asks, valid_answers, Needs::grant, Record::refusals, true},
    OperationRow{Operation::mac, "mac", Endpoint::csa_mac, "MAC of a message", sign_asks, mac_answers, Needs::grant, Record::done, true},
    OperationRow{Operation::verify_mac, "verify_mac", Endpoint::csa_verify_mac, "Whether a MAC holds", verify_mac_asks, valid_answers, Needs::grant, Record::done, true},
    OperationRow{Operation::challenge, "challenge", Endpoint::csa_challenge, "A challenge for who shall authenticate to the caller", challenge_asks, challenge_answers, Needs::grant, Record::refusals, false},
    OperationRow{Operation::prove, "prove", Endpoint::csa_prove, "Prove the caller's identity by a challenge", prove_asks, prove_answers, Needs::grant, Record::done, false},
    OperationRow{Operation::authenticate, "authenticate", Endpoint::csa_authenticate, "Take a proof by a challenge of the caller's, once", authenticate_asks, authenticate_answers, Needs::grant, Record::done, false},
    OperationRow{Operation::encapsulate, "encapsulate", Endpoint::csa_encapsulate, "A fresh shared secret for a hybrid KEM key", encapsulate_asks, encapsulate_answers, Needs::grant, Record::done, true},
    OperationRow{Operation::decapsulate, "decapsulate", Endpoint::csa_decapsulate, "The shared secret out of its encapsulation", decapsulate_asks, decapsulate_answers, Needs::grant, Record::done, true},
    OperationRow{Operation::public_key, "public_key", Endpoint::csa_public_key, "The public half of a key", public_key_asks, public_key_answers, Needs::either, Record::refusals, true},
    OperationRow{Operation::random, "random", Endpoint::csa_random, "Random octets", random_asks, random_answers, Needs::nothing, Record::done, true},
    OperationRow{Operation::batch, "batch", Endpoint::csa_batch, "Up to 64 requests at once, each with a result of its own", batch_asks, batch_answers, Needs::nothing, Record::refusals, false},
    OperationRow{Operation::create_key, "create_key", Endpoint::csa_create_key, "A new key, which the caller owns", create_asks, create_answers, Needs::nothing, Record::done, false},
    OperationRow{Operation::import_key, "import_key", Endpoint::csa_import_key, "Take over a key that another CSA exported", import_asks, create_answers, Needs::grant, Record::done, false},
    OperationRow{Operation::export_key, "export_key", Endpoint::csa_export_key, "A key, wrapped under a KEM key that its policy names", export_asks, export_answers, Needs::grant, Record::done, false},
    OperationRow{Operation::list_keys, "list_keys", Endpoint::csa_list_keys, "Keys that the caller owns or has a grant of; all, for operators", list_asks, list_answers, Needs::nothing, Record::refusals, false},
    OperationRow{Operation::describe_key, "describe_key", Endpoint::csa_describe_key, "What is known of a key, but not its octets", describe_asks, describe_answers, Needs::either, Record::refusals, false},
    OperationRow{Operation::rotate_key, "rotate_key", Endpoint::csa_rotate_key, "A new version of a key; earlier ones still decrypt and verify", rotate_asks, rotate_answers, Needs::either, Record::done, false},
    OperationRow{Operation::set_policy, "set_policy", Endpoint::csa_set_policy, "Replace grants and export targets, move the minimum version", policy_asks, policy_answers, Needs::administration, Record::done, false},
    OperationRow{Operation::change_state, "change_state", Endpoint::csa_change_state, "Enable, disable, schedule the deletion of, or destroy a key", state_asks, state_answers, Needs::administration, Record::done, false},
    OperationRow{Operation::openapi, "openapi", Endpoint::csa_openapi, "This document", nothing, nothing, Needs::nothing, Record::refusals, false},
};
static_assert(operation_table.size() == static_cast<std::size_t>(Operation::count_));

constexpr bool consistent() {
  for (std::size_t i = 0; i < operation_table.size(); ++i) {
    if (static_cast<std::size_t>(operation_table[i].operation) != i) return false;
    // A batch's items are read in one go, and what they hold of secrets stands under one name.
    for (const Field& field : operation_table[i].asks) {
      if ((field.type == Type::plaintext) != (field.name == "plaintext") || field.name == "operation") return false;
    }
  }
  return true;
}
static_assert(consistent(), "row(Operation) indexes the table; secrets are named plaintext, and nothing else is");

constexpr std::array foreign_table{Operation::encrypt,     Operation::decrypt, Operation::generate_data_key, Operation::decrypt_data_key, Operation::sign,
                                        Operation::verify,      Operation::mac,     Operation::verify_mac,        Operation::challenge,        Operation::prove,
                                        Operation::authenticate, Operation::encapsulate, Operation::decapsulate,  Operation::public_key,       Operation::random,
                                        Operation::batch,       Operation::openapi};

}  // namespace

std::span<const OperationRow> all_operations() noexcept { return operation_table; }
std::span<const Operation> foreign_operations() noexcept { return foreign_table; }

const OperationRow& row(Operation operation) noexcept {
  CHECK(operation < Operation::count_);
  return operation_table[static_cast<std::size_t>(operation)];
}

Result<const OperationRow*> find_operation(std::string_view name) {
  for (const OperationRow& line : operation_table) {
    if (line.name == name) return &line;
  }
  return fail(ErrorCode::invalid_argument, "no operation is named '" + std::string(name) + "'");
}

bool fits(Operation operation, Usage usage) noexcept {
  switch (operation) {
    case Operation::encrypt:
    case Operation::decrypt:
    case Operation::generate_data_key:
    case Operation::decrypt_data_key:
      return usage == Usage::encryption;
    case Operation::sign:
    case Operation::verify:
      return usage == Usage::signature;
    case Operation::mac:
    case Operation::verify_mac:
      return usage == Usage::mac;
    case Operation::challenge:
    case Operation::prove:
    case Operation::authenticate:
      return usage == Usage::authentication;
    case Operation::encapsulate:
    case Operation::decapsulate:
    case Operation::import_key:
      return usage == Usage::encapsulation;
    case Operation::public_key:
      return usage == Usage::signature || usage == Usage::authentication || usage == Usage::encapsulation;
    case Operation::export_key:
    case Operation::describe_key:
    case Operation::rotate_key:
    case Operation::set_policy:
    case Operation::change_state:
      return true;
    case Operation::random:
    case Operation::batch:
    case Operation::create_key:
    case Operation::list_keys:
    case Operation::openapi:
    case Operation::count_:
      break;
  }
  return false;
}

bool protects(Operation operation) noexcept {
  // Export too: who takes the key over knows no limit of this one's.
  constexpr std::array those{Operation::encrypt, Operation::generate_data_key, Operation::sign,       Operation::mac,
                             Operation::prove,   Operation::encapsulate,       Operation::export_key, Operation::rotate_key};
  return std::ranges::find(those, operation) != those.end();
}

OperationSet all_grantable(Usage usage) noexcept {
  OperationSet out;
  for (const OperationRow& line : operation_table) {
    if ((line.needs == Needs::grant || line.needs == Needs::either) && fits(line.operation, usage)) out.add(line.operation);
  }
  return out;
}

std::string to_text(OperationSet operations) {
  std::string out;
  for (const OperationRow& line : operation_table) {
    if (operations.has(line.operation)) out += (out.empty() ? "" : " ") + std::string(line.name);
  }
  return out;
}

Result<OperationSet> parse_operations(std::string_view text) {
  OperationSet out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    ASSIGN_OR_RETURN(const OperationRow* line, find_operation(text.substr(0, end)));
    if (line->needs != Needs::grant && line->needs != Needs::either) return fail(ErrorCode::invalid_argument, std::string(line->name) + " cannot be granted");
    out.add(line->operation);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

}  // namespace qanat::kms::csa
