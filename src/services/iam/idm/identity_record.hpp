// One kind of record for everybody: people, terminals, applications and elements. As JSON on the reference points and as lines of an export; pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/identity.hpp"
#include "services/iam/idm/sae_rules.hpp"
#include "wire/json.hpp"

namespace qanat::iam {

enum class Standing : std::uint8_t { active, suspended };
std::string_view name(Standing standing) noexcept;
Result<Standing> parse_standing(std::string_view text);

enum class IdentityClass : std::uint8_t { person, terminal, application, element };
inline constexpr std::array all_identity_classes{IdentityClass::person, IdentityClass::terminal, IdentityClass::application, IdentityClass::element};
std::string_view name(IdentityClass of) noexcept;
Result<IdentityClass> parse_identity_class(std::string_view text);
/// "class:terminal": everybody of that class, where a subject is named.
std::string class_subject(IdentityClass of);
/// The class, if that is what the subject is; otherwise it is a uid.
std::optional<IdentityClass> class_in(std::string_view subject);

inline constexpr std::size_t identity_text_max = 256;   // octets of name, mail, external id
inline constexpr std::size_t certificates_max = 16;     // of one identity
inline constexpr std::size_t thumbprint_size = 32;      // SHA-256
inline constexpr std::size_t import_lines_max = 1000;   // in one request
inline constexpr std::size_t import_line_max = 8192;    // octets

struct IdentityRecord {
  Uid uid;
  IdentityClass of{};
  std::string domain;
  std::optional<Identity> uri;     // what its certificates name
  std::optional<Number> number;
  ElementName home_kms;            // empty where it has none; an application that has one is an SAE that gets keys there
  std::string user_name;           // a person's name in the directory that it came from; otherwise its uid
  std::string name;
  std::string mail;
  std::string external_id;
  Standing standing = Standing::active;
  std::vector<Bytes> certificates;  // SHA-256 thumbprints, sorted
  SaeRules sae;                     // of an SAE
  // Kept by the register:
  std::int64_t version = 0;
  std::int64_t epoch = 0;
  UnixMs created_ms = 0;
  UnixMs changed_ms = 0;
  bool operator==(const IdentityRecord&) const = default;
  [[nodiscard]] bool is_sae() const { return of == IdentityClass::application && !home_kms.empty(); }
  /// True if both say the same, whatever the register has added.
  [[nodiscard]] bool says_the_same(const IdentityRecord& other) const;
};

/// All of it.
wire::Json to_json(const IdentityRecord& record);
/// What anybody in the network may know of another: class, domain, standing, number, home.
wire::Json outline(const IdentityRecord& record);
/// A record that somebody wants to be made. The members that the register keeps (version, epoch, times) are read over; unknown ones are refused.
Result<IdentityRecord> read_identity(const wire::Json& json);
/// `record` with the members of `set` replaced: user_name, name, mail, external_id, number, home_kms, domain, uri, certificates, keys_per_second,
/// keys_per_day, peer_domains. invalid_argument for any other.
Result<IdentityRecord> changed(const IdentityRecord& record, const wire::Json& set);
/// Members that must, and must not, be there for the class.
Result<void> check(const IdentityRecord& record);

/// Lines of JSON, one record each; empty lines are passed over. The failure names the line.
Result<std::vector<IdentityRecord>> read_lines(std::string_view text);
std::string to_line(const IdentityRecord& record);

}  // namespace qanat::iam
