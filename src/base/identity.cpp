#include "base/identity.hpp"

#include <algorithm>

namespace qanat {
namespace {

struct KindName {
  Kind kind;
  std::string_view name;
};
constexpr std::array kind_names{
    KindName{Kind::qkd, "qkd"},   KindName{Kind::qkm, "qkm"},   KindName{Kind::qkdnc, "qkdnc"}, KindName{Kind::kms, "kms"},
    KindName{Kind::cmsp, "cmsp"}, KindName{Kind::cas, "cas"},   KindName{Kind::iam, "iam"},     KindName{Kind::ccs, "ccs"},
    KindName{Kind::app1, "app1"}, KindName{Kind::app2, "app2"}, KindName{Kind::app3, "app3"},   KindName{Kind::dev1, "dev1"},
    KindName{Kind::dev2, "dev2"}, KindName{Kind::op, "operator"}, KindName{Kind::sae, "sae"},
};
static_assert(kind_names.size() == all_kinds.size());

constexpr std::string_view scheme = "qanat://";

bool is_label(std::string_view text, std::size_t max, std::string_view further) {
  return !text.empty() && text.size() <= max && std::ranges::all_of(text, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || further.contains(c);
  });
}

}  // namespace

std::string_view name(Kind kind) noexcept {
  for (const KindName& row : kind_names) {
    if (row.kind == kind) return row.name;
  }
  return "?";
}

Result<Kind> parse_kind(std::string_view text) {
  for (const KindName& row : kind_names) {
    if (row.name == text) return row.kind;
  }
  return fail(ErrorCode::invalid_argument, "'" + std::string(text) + "' is no kind of element");
}

std::string Identity::uri() const { return std::string(scheme) + domain + '/' + std::string(qanat::name(kind)) + '/' + name; }

Result<Identity> Identity::parse_uri(std::string_view uri) {
  const auto bad = [&] { return fail(ErrorCode::invalid_argument, "'" + std::string(uri) + "' is not qanat://<domain>/<kind>/<name>"); };
  if (uri.size() > 128 || !uri.starts_with(scheme)) return bad();
  const std::string_view rest = uri.substr(scheme.size());
  const std::size_t first = rest.find('/');
  if (first == std::string_view::npos) return bad();
  const std::size_t second = rest.find('/', first + 1);
  if (second == std::string_view::npos) return bad();
  const std::string_view domain = rest.substr(0, first);
  const std::string_view name = rest.substr(second + 1);
  if (!is_label(domain, 32, "") || !is_label(name, 64, "ABCDEFGHIJKLMNOPQRSTUVWXYZ._")) return bad();
  ASSIGN_OR_RETURN(const Kind kind, parse_kind(rest.substr(first + 1, second - first - 1)));
  return Identity{.domain = std::string(domain), .kind = kind, .name = std::string(name)};
}

}  // namespace qanat
