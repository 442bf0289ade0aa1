// Reading members of a Json, and writing it as text; json.cpp parses and builds.
#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <charconv>

#include "wire/base64.hpp"
#include "wire/json.hpp"
#include "wire/json_node.hpp"

namespace qanat::wire {
namespace {

// Boost.JSON knows how to escape texts.
std::string string_literal(std::string_view text) { return boost::json::serialize(boost::json::value(boost::json::string_view(text))); }

// The shortest text that reads as the same double, and as a number with a fraction.
std::string number_text(double value) {
  std::array<char, 32> text{};
  const auto written = std::to_chars(text.data(), text.data() + text.size(), value);
  std::string out(text.data(), written.ptr);
  if (out.find_first_of(".e") == std::string::npos) out.append(".0");
  return out;
}

void write(const Json::Node* node, bool indent, std::size_t depth, std::string& out);

void new_line(bool indent, std::size_t depth, std::string& out) {
  if (indent) out.append("\n").append(depth * 2, ' ');
}

void write_elements(const Json::Node::Elements& elements, bool indent, std::size_t depth, std::string& out) {
  out.push_back('[');
  bool first = true;
  for (const Json& element : elements) {
    if (!std::exchange(first, false)) out.push_back(',');
    new_line(indent, depth + 1, out);
    write(element.node(), indent, depth + 1, out);
  }
  if (!first) new_line(indent, depth, out);
  out.push_back(']');
}

void write_members(const Json::Node::Members& members, bool indent, std::size_t depth, std::string& out) {
  out.push_back('{');
  bool first = true;
  for (const auto& [name, value] : members) {
    if (!std::exchange(first, false)) out.push_back(',');
    new_line(indent, depth + 1, out);
    out.append(string_literal(name)).append(indent ? ": " : ":");
    write(value.node(), indent, depth + 1, out);
  }
  if (!first) new_line(indent, depth, out);
  out.push_back('}');
}

void write(const Json::Node* node, bool indent, std::size_t depth, std::string& out) {
  if (node == nullptr) {
    out.append("null");
  } else if (const auto* truth = std::get_if<bool>(&node->value)) {
    out.append(*truth ? "true" : "false");
  } else if (const auto* integer = std::get_if<std::int64_t>(&node->value)) {
    out.append(std::to_string(*integer));
  } else if (const auto* number = std::get_if<double>(&node->value)) {
    out.append(number_text(*number));
  } else if (const auto* text = std::get_if<std::string>(&node->value)) {
    out.append(string_literal(*text));
  } else if (const auto* elements = std::get_if<Json::Node::Elements>(&node->value)) {
    write_elements(*elements, indent, depth, out);
  } else {
    write_members(std::get<Json::Node::Members>(node->value), indent, depth, out);
  }
}

}  // namespace

std::string Json::dump() const {
  std::string out;
  write(node_.get(), false, 0, out);
  return out;
}
std::string Json::pretty() const {
  std::string out;
  write(node_.get(), true, 0, out);
  out.push_back('\n');
  return out;
}

std::string Json::path_of(std::string_view name) const { return path_.empty() ? std::string(name) : path_ + "." + std::string(name); }

std::unexpected<Error> Json::must_be(std::string_view what) const {
  return fail(ErrorCode::invalid_argument, (path_.empty() ? std::string("JSON") : path_) + ": must be " + std::string(what));
}

Result<void> Json::only(std::initializer_list<std::string_view> allowed) const {
  if (!is_object()) return must_be("an object");
  for (const auto& member : std::get<Node::Members>(node_->value)) {
    if (std::ranges::find(allowed, member.first) == allowed.end()) return fail(ErrorCode::invalid_argument, path_of(member.first) + ": is not known here");
  }
  return {};
}

Result<Json> Json::at(std::string_view name) const {
  if (!is_object()) return must_be("an object");
  const Json* member = find(name);
  if (member == nullptr) return fail(ErrorCode::invalid_argument, path_of(name) + ": is missing");
  return Json(member->node_, path_of(name));
}

Result<std::string> Json::as_text() const {
  const auto* text = node_ ? std::get_if<std::string>(&node_->value) : nullptr;
  if (text == nullptr) return must_be("a text");
  return *text;
}
Result<std::int64_t> Json::as_integer() const {
  const auto* integer = node_ ? std::get_if<std::int64_t>(&node_->value) : nullptr;
  if (integer == nullptr) return must_be("an integer");
  return *integer;
}
Result<std::int64_t> Json::as_integer(std::int64_t min, std::int64_t max) const {
  ASSIGN_OR_RETURN(const std::int64_t value, as_integer());
  if (value < min || value > max) return must_be("between " + std::to_string(min) + " and " + std::to_string(max));
  return value;
}
Result<double> Json::as_number() const {
  if (const auto* number = node_ ? std::get_if<double>(&node_->value) : nullptr) return *number;
  if (const auto* integer = node_ ? std::get_if<std::int64_t>(&node_->value) : nullptr) return static_cast<double>(*integer);
  return must_be("a number");
}
Result<bool> Json::as_boolean() const {
  const auto* truth = node_ ? std::get_if<bool>(&node_->value) : nullptr;
  if (truth == nullptr) return must_be("true or false");
  return *truth;
}
Result<std::vector<Json>> Json::as_array() const {
  if (!is_array()) return must_be("an array");
  std::vector<Json> out;
  const auto& elements = std::get<Node::Elements>(node_->value);
  out.reserve(elements.size());
  for (const Json& element : elements) out.push_back(Json(element.node_, path_ + "[" + std::to_string(out.size()) + "]"));
  return out;
}
Result<Json> Json::as_object() const {
  if (!is_object()) return must_be("an object");
  return *this;
}

Result<std::string> Json::text(std::string_view name) const {
  ASSIGN_OR_RETURN(const Json member, at(name));
  return member.as_text();
}
Result<std::int64_t> Json::integer(std::string_view name) const {
  ASSIGN_OR_RETURN(const Json member, at(name));
  return member.as_integer();
}
Result<std::int64_t> Json::integer(std::string_view name, std::int64_t min, std::int64_t max) const {
  ASSIGN_OR_RETURN(const Json member, at(name));
  return member.as_integer(min, max);
}
Result<double> Json::number(std::string_view name) const {
  ASSIGN_OR_RETURN(const Json member, at(name));
  return member.as_number();
}
Result<bool> Json::boolean(std::string_view name) const {
  ASSIGN_OR_RETURN(const Json member, at(name));
  return member.as_boolean();
}
Result<Json> Json::object(std::string_view name) const {
  ASSIGN_OR_RETURN(const Json member, at(name));
  return member.as_object();
}
Result<std::vector<Json>> Json::array(std::string_view name) const {
  ASSIGN_OR_RETURN(const Json member, at(name));
  return member.as_array();
}
Result<std::vector<std::string>> Json::texts(std::string_view name) const {
  ASSIGN_OR_RETURN(const std::vector<Json> elements, array(name));
  std::vector<std::string> out;
  for (const Json& element : elements) {
    ASSIGN_OR_RETURN(std::string text, element.as_text());
    out.push_back(std::move(text));
  }
  return out;
}
Result<Bytes> Json::hex(std::string_view name) const {
  ASSIGN_OR_RETURN(const std::string digits, text(name));
  auto octets = from_hex(digits);
  if (!octets) return fail(ErrorCode::invalid_argument, path_of(name) + ": must be hexadecimal");
  return *std::move(octets);
}
Result<Bytes> Json::base64(std::string_view name) const {
  ASSIGN_OR_RETURN(const std::string letters, text(name));
  auto octets = from_base64(letters);
  if (!octets) return fail_in(path_of(name), std::move(octets).error());
  return octets;
}

template <class T>
Result<std::optional<T>> Json::optional(std::string_view name, Result<T> (Json::*read)() const) const {
  if (!is_object()) return must_be("an object");
  if (!has(name)) return std::optional<T>();
  ASSIGN_OR_RETURN(const Json member, at(name));
  ASSIGN_OR_RETURN(T value, (member.*read)());
  return std::optional<T>(std::move(value));
}
Result<std::optional<std::string>> Json::optional_text(std::string_view name) const { return optional<std::string>(name, &Json::as_text); }
Result<std::optional<std::int64_t>> Json::optional_integer(std::string_view name) const { return optional<std::int64_t>(name, &Json::as_integer); }
Result<std::optional<std::int64_t>> Json::optional_integer(std::string_view name, std::int64_t min, std::int64_t max) const {
  if (is_object() && !has(name)) return std::optional<std::int64_t>();
  ASSIGN_OR_RETURN(const std::int64_t value, integer(name, min, max));
  return std::optional(value);
}
Result<std::optional<double>> Json::optional_number(std::string_view name) const { return optional<double>(name, &Json::as_number); }
Result<std::optional<bool>> Json::optional_boolean(std::string_view name) const { return optional<bool>(name, &Json::as_boolean); }
Result<std::optional<Json>> Json::optional_object(std::string_view name) const { return optional<Json>(name, &Json::as_object); }
Result<std::optional<std::vector<Json>>> Json::optional_array(std::string_view name) const { return optional<std::vector<Json>>(name, &Json::as_array); }

}  // namespace qanat::wire
