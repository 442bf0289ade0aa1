#include "services/iam/web/scim_filter.hpp"

#include <algorithm>
#include <array>

#include "wire/json.hpp"

namespace qanat::iam {
namespace {

constexpr std::size_t filter_depth_max = 8;

bool is_path_character(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == ':' || c == '-' || c == '_' || c == '$';
}

std::unexpected<Error> no_filter(std::string_view why) { return fail(ErrorCode::invalid_argument, "invalidFilter: " + std::string(why)); }

}  // namespace

/// Recursive descent; the depth is bounded.
class ScimFilterReader {
 public:
  ScimFilterReader(std::string_view text, std::string prefix) : text_(text), prefix_(std::move(prefix)) {}

  Result<ScimFilter> read() {
    if (text_.size() > scim_filter_max) return no_filter("over " + std::to_string(scim_filter_max) + " octets");
    TRY(either(0));
    skip_blanks();
    if (at_ != text_.size()) return no_filter("ends before '" + std::string(text_.substr(at_, 20)) + "'");
    return std::move(out_);
  }

 private:
  using Term = ScimFilter::Term;
  using Join = ScimFilter::Join;
  using Operator = ScimFilter::Operator;

  void skip_blanks() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool take(char c) {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  std::string_view next_word() {
    skip_blanks();
    std::size_t end = at_;
    while (end < text_.size() && is_path_character(text_[end])) ++end;
    return text_.substr(at_, end - at_);
  }
  bool take_word(std::string_view word) {
    if (lower_case(next_word()) != word) return false;
    at_ += word.size();
    return true;
  }
  Result<std::size_t> add(Term term) {
    if (out_.terms_.size() >= scim_terms_max) return no_filter("has more than " + std::to_string(scim_terms_max) + " terms");
    out_.terms_.push_back(std::move(term));
    return out_.terms_.size() - 1;
  }

  Result<std::size_t> either(std::size_t depth) {
    if (depth > filter_depth_max) return no_filter("is too deep");
    ASSIGN_OR_RETURN(std::size_t left, both(depth));
    while (take_word("or")) {
      ASSIGN_OR_RETURN(const std::size_t right, both(depth));
      ASSIGN_OR_RETURN(left, add({.join = Join::either, .left = left, .right = right, .value = {}}));
    }
    return left;
  }
  Result<std::size_t> both(std::size_t depth) {
    ASSIGN_OR_RETURN(std::size_t left, term(depth));
    while (take_word("and")) {
      ASSIGN_OR_RETURN(const std::size_t right, term(depth));
      ASSIGN_OR_RETURN(left, add({.join = Join::both, .left = left, .right = right, .value = {}}));
    }
    return left;
  }
  Result<std::size_t> term(std::size_t depth) {
    if (take_word("not")) {
      if (!take('(')) return no_filter("'not' stands before parentheses");
      ASSIGN_OR_RETURN(const std::size_t inner, closed(depth, ')'));
      return add({.join = Join::inverse, .left = inner, .value = {}});
    }
    if (take('(')) return closed(depth, ')');
    const std::string_view path = next_word();
    if (path.empty()) return no_filter("an attribute is missing before '" + std::string(text_.substr(at_, 20)) + "'");
    at_ += path.size();
    if (at_ < text_.size() && text_[at_] == '[') {
      // One e-mail address at most: what holds for it holds for the user.
      if (!prefix_.empty() || find_scim_field(path) != ScimField::emails) return no_filter("'" + std::string(path) + "' has no parts to choose from");
      ++at_;
      prefix_ = "emails.";
      const auto inner = closed(depth, ']');
      prefix_.clear();
      return inner;
    }
    return comparison(path);
  }
  Result<std::size_t> closed(std::size_t depth, char end) {
    ASSIGN_OR_RETURN(const std::size_t inner, either(depth + 1));
    if (!take(end)) return no_filter(std::string("'") + end + "' is missing");
    return inner;
  }

  Result<std::size_t> comparison(std::string_view path) {
    const auto field = find_scim_field(prefix_ + std::string(path));
    if (!field) return no_filter("there is no attribute '" + std::string(path.substr(0, 64)) + "'");
    if (*field == ScimField::meta || *field == ScimField::schemas) return no_filter("'" + std::string(path) + "' is not compared here");
    ASSIGN_OR_RETURN(const Operator op, read_operator());
    if (op == Operator::pr) return add({.field = *field, .op = op, .value = {}});
    ASSIGN_OR_RETURN(ScimValue value, read_value());
    const bool truth = *field == ScimField::active || *field == ScimField::email_primary;
    if (truth != std::holds_alternative<bool>(value)) return no_filter("'" + std::string(path) + "' is compared with " + (truth ? "true or false" : "a text"));
    if (truth && op != Operator::eq && op != Operator::ne) return no_filter("'" + std::string(path) + "' is equal or not");
    if (!truth && !is_case_exact(*field)) value = lower_case(std::get<std::string>(value));
    return add({.field = *field, .op = op, .value = std::move(value)});
  }
  Result<Operator> read_operator() {
    constexpr std::array<std::pair<std::string_view, Operator>, 6> names{
        {{"eq", Operator::eq}, {"ne", Operator::ne}, {"co", Operator::co}, {"sw", Operator::sw}, {"ew", Operator::ew}, {"pr", Operator::pr}}};
    for (const auto& [name, op] : names) {
      if (take_word(name)) return op;
    }
    return no_filter("the operator must be eq, ne, co, sw, ew or pr before '" + std::string(text_.substr(at_, 20)) + "'");
  }
  Result<ScimValue> read_value() {
    if (take_word("true")) return ScimValue(true);
    if (take_word("false")) return ScimValue(false);
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != '"') return no_filter("a value is a text in quotation marks, true or false");
    std::size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != '"') end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) return no_filter("a quotation mark is missing");
    const auto text = wire::Json::parse(text_.substr(at_, end + 1 - at_));
    if (!text) return no_filter(text.error().message);
    ASSIGN_OR_RETURN(std::string value, text->as_text());
    at_ = end + 1;
    return ScimValue(std::move(value));
  }

  const std::string_view text_;
  std::string prefix_;  // "emails." within its brackets
  std::size_t at_ = 0;
  ScimFilter out_;
};

Result<ScimFilter> ScimFilter::parse(std::string_view text) { return ScimFilterReader(text, "").read(); }
Result<ScimFilter> ScimFilter::parse_within(std::string_view attribute, std::string_view text) {
  return ScimFilterReader(text, std::string(attribute) + ".").read();
}

bool ScimFilter::matches(const IdentityRecord& record) const { return holds(terms_.size() - 1, record); }

bool ScimFilter::holds(std::size_t at, const IdentityRecord& record) const {
  const Term& term = terms_[at];
  switch (term.join) {
    case Join::both:
      return holds(term.left, record) && holds(term.right, record);
    case Join::either:
      return holds(term.left, record) || holds(term.right, record);
    case Join::inverse:
      return !holds(term.left, record);
    case Join::none:
      break;
  }
  return compares(term, record);
}

bool ScimFilter::compares(const Term& term, const IdentityRecord& record) {
  const auto has = scim_value(record, term.field);
  if (term.op == Operator::pr) return has.has_value();
  if (!has) return term.op == Operator::ne;
  if (const bool* truth = std::get_if<bool>(&*has)) return (*truth == std::get<bool>(term.value)) == (term.op == Operator::eq);
  const std::string& wanted = std::get<std::string>(term.value);
  const std::string value = is_case_exact(term.field) ? std::get<std::string>(*has) : lower_case(std::get<std::string>(*has));
  switch (term.op) {
    case Operator::eq:
      return value == wanted;
    case Operator::ne:
      return value != wanted;
    case Operator::co:
      return value.contains(wanted);
    case Operator::sw:
      return value.starts_with(wanted);
    case Operator::ew:
      return value.ends_with(wanted);
    case Operator::pr:
      break;
  }
  return false;
}

std::optional<std::string> ScimFilter::equals(ScimField field) const {
  if (terms_.size() != 1 || terms_[0].join != Join::none || terms_[0].op != Operator::eq || terms_[0].field != field) return std::nullopt;
  return std::get<std::string>(terms_[0].value);
}

Result<ScimPath> parse_scim_path(std::string_view text) {
  const auto no_path = [](std::string_view why) { return fail(ErrorCode::invalid_argument, "invalidPath: " + std::string(why)); };
  if (text.size() > scim_filter_max) return no_path("over " + std::to_string(scim_filter_max) + " octets");
  const std::size_t bracket = text.find('[');
  if (bracket == std::string_view::npos) {
    const auto field = std::ranges::all_of(text, is_path_character) ? find_scim_field(text) : std::nullopt;
    if (!field) return no_path("there is no attribute '" + std::string(text.substr(0, 64)) + "'");
    return ScimPath{.field = *field};
  }
  const std::size_t end = text.rfind(']');
  if (end == std::string_view::npos || end < bracket) return no_path("']' is missing");
  const std::string_view attribute = text.substr(0, bracket);
  const std::string_view rest = text.substr(end + 1);
  const auto field = find_scim_field(std::string(attribute) + std::string(rest));
  if (!field || (!rest.empty() && !rest.starts_with('.')))
    return no_path("there is no attribute '" + std::string(attribute.substr(0, 64)) + std::string(rest.substr(0, 64)) + "'");
  if (*field == ScimField::not_kept) return ScimPath{.field = *field};  // whichever of them
  if (find_scim_field(attribute) != ScimField::emails) return no_path("'" + std::string(attribute) + "' has no parts to choose from");
  ASSIGN_OR_RETURN(ScimFilter which, ScimFilter::parse_within("emails", text.substr(bracket + 1, end - bracket - 1)));
  return ScimPath{.field = *field, .which = std::move(which)};
}

}  // namespace qanat::iam
