// JSON as the elements' HTTP interfaces speak it: parsed with limits, read strictly, written in the order in which it was built.
// Not for secrets: the values live in ordinary memory.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/check.hpp"
#include "base/result.hpp"

namespace qanat::wire {

inline constexpr std::size_t json_depth_max = 16;
inline constexpr std::size_t json_size_max = 1U << 20U;  // octets of text

/// One JSON value. Copies are cheap (they share what cannot change any more). A value that was read out of another one remembers its
/// place, so that every failure names it: "route.hops[1]: must be a text".
class Json {
 public:
  using Member = std::pair<std::string_view, Json>;

  Json() = default;  // null
  template <std::same_as<bool> B>
  Json(B value);  // NOLINT(google-explicit-constructor): builders read as the text that they make
  template <std::integral I>
  requires(!std::same_as<I, bool>) Json(I value);                  // NOLINT(google-explicit-constructor)
  Json(double value);                                              // NOLINT(google-explicit-constructor): must be finite
  Json(std::string_view text);                                     // NOLINT(google-explicit-constructor): must be UTF-8
  Json(const std::string& text) : Json(std::string_view(text)) {}  // NOLINT(google-explicit-constructor)
  Json(const char* text) : Json(std::string_view(text)) {}         // NOLINT(google-explicit-constructor)

  static Json object(std::initializer_list<Member> members = {});
  static Json array(std::vector<Json> elements = {});
  /// invalid_argument for: malformed text, a name twice in one object, depth over json_depth_max, size over json_size_max, an integer
  /// outside int64, text that is not UTF-8, anything after the value.
  static Result<Json> parse(std::string_view text);
  static Result<Json> parse(ByteView octets) { return parse(qanat::as_text(octets)); }

  /// Adds a member to an object (a name is set once: CHECK), or an element to an array.
  Json& set(std::string_view name, Json value);
  Json& push(Json value);

  /// Compact text; pretty: two spaces, one member a line.
  [[nodiscard]] std::string dump() const;
  [[nodiscard]] std::string pretty() const;

  [[nodiscard]] bool is_null() const noexcept;
  [[nodiscard]] bool is_object() const noexcept;
  [[nodiscard]] bool is_array() const noexcept;
  /// True if this is an object with that member (even null).
  [[nodiscard]] bool has(std::string_view name) const noexcept;
  /// Names of an object's members in order; empty for other values.
  [[nodiscard]] std::vector<std::string> names() const;
  /// Where in the parsed text this value stands; empty for the whole.
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  /// invalid_argument if this is no object or has a member that is not listed.
  Result<void> only(std::initializer_list<std::string_view> allowed) const;

  // Members of an object: invalid_argument, with the path, if absent or of another type.
  Result<Json> at(std::string_view name) const;
  Result<std::string> text(std::string_view name) const;
  Result<std::int64_t> integer(std::string_view name) const;
  Result<std::int64_t> integer(std::string_view name, std::int64_t min, std::int64_t max) const;
  Result<double> number(std::string_view name) const;  // integers too
  Result<bool> boolean(std::string_view name) const;
  Result<Json> object(std::string_view name) const;
  Result<std::vector<Json>> array(std::string_view name) const;
  Result<std::vector<std::string>> texts(std::string_view name) const;
  Result<Bytes> hex(std::string_view name) const;
  Result<Bytes> base64(std::string_view name) const;

  // The same, where absence is nothing. null is not absence: it is of another type.
  Result<std::optional<std::string>> optional_text(std::string_view name) const;
  Result<std::optional<std::int64_t>> optional_integer(std::string_view name) const;
  Result<std::optional<std::int64_t>> optional_integer(std::string_view name, std::int64_t min, std::int64_t max) const;
  Result<std::optional<double>> optional_number(std::string_view name) const;
  Result<std::optional<bool>> optional_boolean(std::string_view name) const;
  Result<std::optional<Json>> optional_object(std::string_view name) const;
  Result<std::optional<std::vector<Json>>> optional_array(std::string_view name) const;

  // The value itself.
  Result<std::string> as_text() const;
  Result<std::int64_t> as_integer() const;
  Result<std::int64_t> as_integer(std::int64_t min, std::int64_t max) const;
  Result<double> as_number() const;
  Result<bool> as_boolean() const;
  Result<std::vector<Json>> as_array() const;
  Result<Json> as_object() const;

  struct Node;  // json_node.hpp, for json.cpp and json_read.cpp
  struct Builder;
  [[nodiscard]] const Node* node() const noexcept { return node_.get(); }

 private:
  explicit Json(std::shared_ptr<const Node> node, std::string path = {}) : node_(std::move(node)), path_(std::move(path)) {}
  static Json of_integer(std::int64_t value);
  static Json of_boolean(bool value);
  template <class T>
  Result<std::optional<T>> optional(std::string_view name, Result<T> (Json::*read)() const) const;
  [[nodiscard]] const Json* find(std::string_view name) const noexcept;
  [[nodiscard]] std::string path_of(std::string_view name) const;
  [[nodiscard]] std::unexpected<Error> must_be(std::string_view what) const;
  Node& own();

  // Shared by every copy of the value; a copy that is changed takes its own node first. nullptr is null.
  std::shared_ptr<const Node> node_;
  std::string path_;
};

template <std::same_as<bool> B>
Json::Json(B value) : Json(of_boolean(value)) {}

template <std::integral I>
requires(!std::same_as<I, bool>) Json::Json(I value) : Json(of_integer(static_cast<std::int64_t>(value))) { CHECK(std::in_range<std::int64_t>(value)); }

}  // namespace qanat::wire
