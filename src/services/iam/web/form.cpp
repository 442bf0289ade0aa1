#include "services/iam/web/form.hpp"

#include <algorithm>

#include "base/percent.hpp"
#include "base/utf8.hpp"

namespace qanat::iam {
namespace {

Result<std::string> form_decoded(std::string_view text) {
  std::string spaced(text);
  std::ranges::replace(spaced, '+', ' ');
  auto out = from_percent(spaced);
  if (!out) return fail(ErrorCode::invalid_argument, "form: '%' without two hexadecimal digits");
  if (!is_utf8(*out) || std::ranges::any_of(*out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\x7f'; })) {
    return fail(ErrorCode::invalid_argument, "form: not UTF-8, or control characters");
  }
  return *std::move(out);
}

}  // namespace

Result<Form> read_form(std::string_view text) {
  if (text.size() > form_octets_max) return fail(ErrorCode::invalid_argument, "form: over " + std::to_string(form_octets_max) + " octets");
  Form out;
  while (!text.empty()) {
    const std::size_t end = text.find('&');
    const std::string_view pair = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos) return fail(ErrorCode::invalid_argument, "form: a member without '='");
    ASSIGN_OR_RETURN(std::string name, form_decoded(pair.substr(0, equals)));
    ASSIGN_OR_RETURN(std::string value, form_decoded(pair.substr(equals + 1)));
    if (out.size() >= form_members_max) return fail(ErrorCode::invalid_argument, "form: more than " + std::to_string(form_members_max) + " members");
    if (!out.emplace(std::move(name), std::move(value)).second) return fail(ErrorCode::invalid_argument, "form: a member is there twice");  // RFC 6749 §3.2
  }
  return out;
}

Result<std::string> form_member(const Form& form, const std::string& name) {
  const auto found = form.find(name);
  if (found == form.end() || found->second.empty()) return fail(ErrorCode::invalid_argument, "form: " + name + " is missing");
  return found->second;
}

std::string form_member_or(const Form& form, const std::string& name, const std::string& absent) {
  const auto found = form.find(name);
  return found == form.end() ? absent : found->second;
}

std::string form_encoded(std::string_view name, std::string_view value) { return std::string(name) + "=" + to_percent(value); }

}  // namespace qanat::iam
