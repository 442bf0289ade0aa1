// What the CSA can be asked, as one table: routes, reading of requests, permission, record and the OpenAPI document all come from it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "points/points.hpp"
#include "services/kms/csa/algorithms.hpp"
#include "services/kms/csa/sealed_text.hpp"

namespace qanat::kms::csa {

enum class Operation : std::uint8_t {
  encrypt,
  decrypt,
  generate_data_key,
  decrypt_data_key,
  sign,
  verify,
  mac,
  verify_mac,
  challenge,
  prove,
  authenticate,
  encapsulate,
  decapsulate,
  public_key,
  random,
  batch,
  create_key,
  import_key,
  export_key,
  list_keys,
  describe_key,
  rotate_key,
  set_policy,
  change_state,
  openapi,
  count_,
};

inline constexpr std::size_t plaintext_octets_max = 64 * 1024;
inline constexpr std::size_t message_octets_max = 64 * 1024;  // to be signed or to get a MAC; longer ones are hashed by the caller
inline constexpr std::size_t context_octets_max = 1024;
inline constexpr std::size_t label_octets_max = 128;
inline constexpr std::size_t creation_id_octets_max = 64;  // and of a rotation_id
inline constexpr std::size_t caller_octets_max = 256;
inline constexpr std::size_t random_octets_max = 4096;
inline constexpr std::size_t batch_items_max = 64;
inline constexpr std::size_t listed_keys_max = 100;
inline constexpr std::size_t enabled_keys_max = 1000;  // by one request, after a restoration
inline constexpr std::size_t data_key_octets_min = 16;
inline constexpr std::size_t data_key_octets_max = 64;

/// A member of a request or an answer.
enum class Type : std::uint8_t {
  text,
  key_id,     // 32 hexadecimal digits
  octets,     // base64
  plaintext,  // base64 that is secret: taken out of the text before it is parsed, in answers written in locked memory
  integer,
  flag,
  policy,
  keys,      // descriptions of keys
  key_ids,   // each 32 hexadecimal digits
  versions,  // of a key
  requests,  // of a batch
  results,   // of a batch
};
enum class Presence : std::uint8_t { required, optional };
struct Field {
  std::string_view name;
  Type type{};
  Presence presence{};
  std::size_t min = 0;  // octets of texts and octets, value of integers, elements of lists
  std::size_t max = 0;
  std::string_view what;  // for people
};

/// Who may ask.
enum class Needs : std::uint8_t {
  nothing,         // who the endpoint's row lets in
  grant,           // a grant of the key that names the operation
  administration,  // the key's owner, or an operator
  either,          // a grant, the owner or an operator
};
/// What goes on record when it was done; a refusal always does.
enum class Record : std::uint8_t { done, refusals };

struct OperationRow {
  Operation operation{};
  std::string_view name;  // in grants, batches and the record: "csa.encrypt"
  points::Endpoint endpoint{};
  std::string_view summary;
  std::span<const Field> asks;
  std::span<const Field> answers;
  Needs needs{};
  Record record{};
  bool in_batches = false;
};
std::span<const OperationRow> all_operations() noexcept;
const OperationRow& row(Operation operation) noexcept;
/// What software of others may ask: what applications may; keys are made and administered over the elements' own connections alone.
std::span<const Operation> foreign_operations() noexcept;
/// invalid_argument for no name of an operation.
Result<const OperationRow*> find_operation(std::string_view name);

/// Whether keys of this usage do this.
bool fits(Operation operation, Usage usage) noexcept;

/// Whether it protects something new with a key, which one that is past its time does not do (SP 800-57 part 1, 5.3: the originator's use, not the recipient's).
bool protects(Operation operation) noexcept;

/// A set of operations, as grants have it.
class OperationSet {
 public:
  constexpr void add(Operation operation) { bits_ |= 1U << static_cast<unsigned>(operation); }
  [[nodiscard]] constexpr bool has(Operation operation) const { return (bits_ >> static_cast<unsigned>(operation) & 1U) != 0; }
  [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }
  bool operator==(const OperationSet&) const = default;

 private:
  std::uint32_t bits_ = 0;
};
static_assert(static_cast<unsigned>(Operation::count_) <= 32);
/// All that can be granted of a key of this usage.
OperationSet all_grantable(Usage usage) noexcept;
/// The names, with spaces between; and back (invalid_argument for a name that is none, or cannot be granted).
std::string to_text(OperationSet operations);
Result<OperationSet> parse_operations(std::string_view text);

}  // namespace qanat::kms::csa
