// Filters of SCIM (RFC 7644 §3.4.2.2): eq, ne, co, sw, ew, pr, joined by and, or, not and parentheses; and the paths of PATCH (§3.5.2), which may hold one.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "services/iam/web/scim_attributes.hpp"

namespace qanat::iam {

inline constexpr std::size_t scim_filter_max = 1024;  // octets
inline constexpr std::size_t scim_terms_max = 64;     // comparisons, and what joins them

class ScimFilter {
 public:
  /// invalid_argument ("invalidFilter: …") for what is no filter, names an attribute that is none, or compares what does not compare.
  static Result<ScimFilter> parse(std::string_view text);
  /// "type eq "work"" within emails[…].
  static Result<ScimFilter> parse_within(std::string_view attribute, std::string_view text);

  [[nodiscard]] bool matches(const IdentityRecord& record) const;
  /// The text, if the whole filter is that this field equals it.
  [[nodiscard]] std::optional<std::string> equals(ScimField field) const;

 private:
  friend class ScimFilterReader;
  enum class Operator : std::uint8_t { eq, ne, co, sw, ew, pr };
  enum class Join : std::uint8_t { none, both, either, inverse };
  struct Term {
    Join join = Join::none;
    std::size_t left = 0;  // of a join: before this one in the list
    std::size_t right = 0;
    ScimField field{};  // of a comparison
    Operator op{};
    ScimValue value;
  };
  [[nodiscard]] bool holds(std::size_t at, const IdentityRecord& record) const;
  static bool compares(const Term& term, const IdentityRecord& record);

  std::vector<Term> terms_;  // the last one is the filter
};

/// Where a PATCH operation points.
struct ScimPath {
  ScimField field{};
  std::optional<ScimFilter> which = {};  // of emails[…]: the one that it holds for
};
/// invalid_argument ("invalidPath: …") for what is none.
Result<ScimPath> parse_scim_path(std::string_view text);

}  // namespace qanat::iam
