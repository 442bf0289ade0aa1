#include "services/iam/idm/identity_record.hpp"

#include <algorithm>

#include "node/subscriber.hpp"

namespace qanat::iam {
namespace {

constexpr std::size_t domain_max = 32;
constexpr std::string_view class_prefix = "class:";

bool is_domain(std::string_view text) {
  return !text.empty() && text.size() <= domain_max &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

/// A text for people: UTF-8 (JSON saw to that), no control characters.
Result<std::string> readable_text(const wire::Json& json, std::string_view member) {
  ASSIGN_OR_RETURN(const auto text, json.optional_text(member));
  const std::string out = text.value_or("");
  if (out.size() > identity_text_max || std::ranges::any_of(out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\x7f'; })) {
    return fail(ErrorCode::invalid_argument, std::string(member) + ": at most " + std::to_string(identity_text_max) + " octets, no control characters");
  }
  return out;
}

Result<std::optional<Identity>> read_uri(const wire::Json& json) {
  ASSIGN_OR_RETURN(const auto text, json.optional_text("uri"));
  if (!text || text->empty()) return std::optional<Identity>();
  ASSIGN_OR_RETURN(Identity out, Identity::parse_uri(*text));
  return std::optional(std::move(out));
}

Result<std::optional<Number>> read_number_of(const wire::Json& json) {
  ASSIGN_OR_RETURN(const auto text, json.optional_text("number"));
  if (!text || text->empty()) return std::optional<Number>();
  ASSIGN_OR_RETURN(Number out, node::parse_number(*text));
  return std::optional(std::move(out));
}

Result<ElementName> read_home(const wire::Json& json) {
  ASSIGN_OR_RETURN(const auto text, json.optional_text("home_kms"));
  if (!text || text->empty()) return ElementName();
  return node::parse_element_name(*text);
}

Result<std::vector<Bytes>> read_thumbprints(const wire::Json& json) {
  std::vector<Bytes> out;
  if (!json.has("certificates")) return out;
  ASSIGN_OR_RETURN(const std::vector<std::string> texts, json.texts("certificates"));
  for (const std::string& text : texts) {
    auto octets = from_hex(text);
    if (!octets || octets->size() != thumbprint_size) return fail(ErrorCode::invalid_argument, "certificates: must be SHA-256 thumbprints in hexadecimal");
    out.push_back(*std::move(octets));
  }
  std::ranges::sort(out);
  if (std::ranges::adjacent_find(out) != out.end()) return fail(ErrorCode::invalid_argument, "certificates: one is there twice");
  if (out.size() > certificates_max) return fail(ErrorCode::invalid_argument, "certificates: more than " + std::to_string(certificates_max));
  return out;
}

std::unexpected<Error> unfit(const IdentityRecord& record, std::string_view why) {
  return fail(ErrorCode::invalid_argument, "identity '" + record.uid.text() + "': " + std::string(why));
}

/// Which kinds of certificate a class may have.
KindSet kinds_of(IdentityClass of) {
  switch (of) {
    case IdentityClass::person:
      return {Kind::op};
    case IdentityClass::terminal:
      return apps;
    case IdentityClass::application:
      return {Kind::sae, Kind::app3};
    case IdentityClass::element:
      break;
  }
  return {Kind::qkd, Kind::qkm, Kind::qkdnc, Kind::kms, Kind::cmsp, Kind::cas, Kind::iam, Kind::ccs, Kind::dev1};  // a gateway enrols as one
}

}  // namespace

std::string_view name(Standing standing) noexcept { return standing == Standing::active ? "active" : "suspended"; }

Result<Standing> parse_standing(std::string_view text) {
  for (const Standing standing : {Standing::active, Standing::suspended}) {
    if (name(standing) == text) return standing;
  }
  return fail(ErrorCode::invalid_argument, "status must be active or suspended");
}

std::string_view name(IdentityClass of) noexcept {
  switch (of) {
    case IdentityClass::person:
      return "person";
    case IdentityClass::terminal:
      return "terminal";
    case IdentityClass::application:
      return "application";
    case IdentityClass::element:
      return "element";
  }
  return "?";
}

Result<IdentityClass> parse_identity_class(std::string_view text) {
  for (const IdentityClass of : all_identity_classes) {
    if (name(of) == text) return of;
  }
  return fail(ErrorCode::invalid_argument, "class must be person, terminal, application or element");
}

std::string class_subject(IdentityClass of) { return std::string(class_prefix) + std::string(name(of)); }

std::optional<IdentityClass> class_in(std::string_view subject) {
  if (!subject.starts_with(class_prefix)) return std::nullopt;
  const auto of = parse_identity_class(subject.substr(class_prefix.size()));
  return of ? std::optional(*of) : std::nullopt;
}

bool IdentityRecord::says_the_same(const IdentityRecord& other) const {
  return uid == other.uid && of == other.of && domain == other.domain && uri == other.uri && number == other.number && home_kms == other.home_kms &&
         user_name == other.user_name && name == other.name && mail == other.mail && external_id == other.external_id && standing == other.standing &&
         certificates == other.certificates && sae == other.sae;
}

wire::Json to_json(const IdentityRecord& record) {
  wire::Json out = wire::Json::object({{"uid", record.uid.text()}, {"class", name(record.of)}, {"domain", record.domain}});
  if (record.uri) out.set("uri", record.uri->uri());
  if (record.number) out.set("number", record.number->text());
  if (!record.home_kms.empty()) out.set("home_kms", record.home_kms.text());
  if (!record.user_name.empty()) out.set("user_name", record.user_name);
  if (!record.name.empty()) out.set("name", record.name);
  if (!record.mail.empty()) out.set("mail", record.mail);
  if (!record.external_id.empty()) out.set("external_id", record.external_id);
  out.set("status", name(record.standing));
  if (!record.certificates.empty()) {
    wire::Json list = wire::Json::array();
    for (const Bytes& one : record.certificates) list.push(to_hex(one));
    out.set("certificates", std::move(list));
  }
  put_sae_rules(out, record.sae);
  if (record.version > 0) {
    out.set("version", record.version).set("epoch", record.epoch).set("created_ms", record.created_ms).set("changed_ms", record.changed_ms);
  }
  return out;
}

wire::Json outline(const IdentityRecord& record) {
  wire::Json out = wire::Json::object({{"uid", record.uid.text()}, {"class", name(record.of)}, {"domain", record.domain}});
  if (record.number) out.set("number", record.number->text());
  if (!record.home_kms.empty()) out.set("home_kms", record.home_kms.text());
  return out.set("status", name(record.standing));
}

Result<void> check(const IdentityRecord& record) {
  if (!is_domain(record.domain)) return unfit(record, "its domain must be 1 to 32 of a–z, 0–9 and '-'");
  if (record.of == IdentityClass::terminal && (!record.number || record.home_kms.empty() || !record.uri))
    return unfit(record, "a terminal has a number, a home KMS and a uri");
  if (record.of == IdentityClass::element && !record.uri) return unfit(record, "an element has a uri");
  if ((record.of == IdentityClass::person) == record.user_name.empty()) return unfit(record, "people have a user name, and nobody else has one");
  if (record.of != IdentityClass::terminal && record.of != IdentityClass::application && !record.home_kms.empty())
    return unfit(record, "only terminals and applications have a home KMS");
  if (!record.is_sae() && record.sae != SaeRules()) return unfit(record, "only an application with a home KMS has quotas and peer domains");
  if (record.uri) {
    if (!kinds_of(record.of).has(record.uri->kind))
      return unfit(record, "a " + std::string(name(record.of)) + " has no certificate of kind " + std::string(qanat::name(record.uri->kind)));
    if (record.uri->domain != record.domain) return unfit(record, "its uri is of another domain");
    if (record.of == IdentityClass::terminal && record.uri->name != record.uid.text()) return unfit(record, "a terminal's uri names its uid");
  }
  return {};
}

Result<IdentityRecord> read_identity(const wire::Json& json) {
  TRY(json.only({"uid", "class", "domain", "uri", "number", "home_kms", "user_name", "name", "mail", "external_id", "status", "certificates", "version",
                 "epoch", "created_ms", "changed_ms", "keys_per_second", "keys_per_day", "peer_domains"}));
  IdentityRecord out;
  ASSIGN_OR_RETURN(const std::string uid, json.text("uid"));
  ASSIGN_OR_RETURN(out.uid, node::parse_uid(uid));
  ASSIGN_OR_RETURN(const std::string of, json.text("class"));
  ASSIGN_OR_RETURN(out.of, parse_identity_class(of));
  ASSIGN_OR_RETURN(out.domain, json.text("domain"));
  ASSIGN_OR_RETURN(out.uri, read_uri(json));
  ASSIGN_OR_RETURN(out.number, read_number_of(json));
  ASSIGN_OR_RETURN(out.home_kms, read_home(json));
  ASSIGN_OR_RETURN(out.user_name, readable_text(json, "user_name"));
  if (out.user_name.empty() && out.of == IdentityClass::person) out.user_name = out.uid.text();
  ASSIGN_OR_RETURN(out.name, readable_text(json, "name"));
  ASSIGN_OR_RETURN(out.mail, readable_text(json, "mail"));
  ASSIGN_OR_RETURN(out.external_id, readable_text(json, "external_id"));
  ASSIGN_OR_RETURN(const auto status, json.optional_text("status"));
  ASSIGN_OR_RETURN(out.standing, parse_standing(status.value_or("active")));
  ASSIGN_OR_RETURN(out.certificates, read_thumbprints(json));
  ASSIGN_OR_RETURN(out.sae, read_sae_rules(json, {}));
  TRY(check(out));
  return out;
}

Result<IdentityRecord> changed(const IdentityRecord& record, const wire::Json& set) {
  TRY(set.only({"user_name", "name", "mail", "external_id", "number", "home_kms", "domain", "uri", "certificates", "keys_per_second", "keys_per_day",
                "peer_domains"}));
  IdentityRecord out = record;
  if (set.has("user_name")) {
    ASSIGN_OR_RETURN(out.user_name, readable_text(set, "user_name"));
  }
  if (set.has("name")) {
    ASSIGN_OR_RETURN(out.name, readable_text(set, "name"));
  }
  if (set.has("mail")) {
    ASSIGN_OR_RETURN(out.mail, readable_text(set, "mail"));
  }
  if (set.has("external_id")) {
    ASSIGN_OR_RETURN(out.external_id, readable_text(set, "external_id"));
  }
  if (set.has("number")) {
    ASSIGN_OR_RETURN(out.number, read_number_of(set));
  }
  if (set.has("home_kms")) {
    ASSIGN_OR_RETURN(out.home_kms, read_home(set));
  }
  if (set.has("domain")) {
    ASSIGN_OR_RETURN(out.domain, set.text("domain"));
  }
  if (set.has("uri")) {
    ASSIGN_OR_RETURN(out.uri, read_uri(set));
  }
  if (set.has("certificates")) {
    ASSIGN_OR_RETURN(out.certificates, read_thumbprints(set));
  }
  ASSIGN_OR_RETURN(out.sae, read_sae_rules(set, out.sae));
  TRY(check(out));
  return out;
}

Result<std::vector<IdentityRecord>> read_lines(std::string_view text) {
  std::vector<IdentityRecord> out;
  std::size_t number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const std::string where = "line " + std::to_string(number);
    if (line.size() > import_line_max) return fail(ErrorCode::invalid_argument, where + ": over " + std::to_string(import_line_max) + " octets");
    if (out.size() >= import_lines_max)
      return fail(ErrorCode::invalid_argument, where + ": more than " + std::to_string(import_lines_max) + " records in one request");
    const auto json = wire::Json::parse(line);
    if (!json) return fail_in(where, json.error());
    auto record = read_identity(*json);
    if (!record) return fail_in(where, record.error());
    out.push_back(*std::move(record));
  }
  return out;
}

std::string to_line(const IdentityRecord& record) { return to_json(record).dump() + "\n"; }

}  // namespace qanat::iam
