#include "wire/json.hpp"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>

#include "wire/json_node.hpp"

namespace qanat::wire {

namespace {

using Node = Json::Node;
using Elements = Node::Elements;
using Members = Node::Members;

constexpr std::size_t members_max = 4096;  // of one object: names are compared with each other

}  // namespace

// Receives Boost.JSON's parse events and builds our values, because the library's own DOM keeps the last of two equal names.
struct Json::Builder {
  static constexpr std::size_t max_array_size = json_size_max;
  static constexpr std::size_t max_object_size = members_max;
  static constexpr std::size_t max_string_size = json_size_max;
  static constexpr std::size_t max_key_size = json_size_max;

  struct Open {
    Node node;
    std::string name;  // of the member that is being read
  };

  std::vector<Open> open;
  std::optional<Json> root;
  std::string text;
  std::string failure;

  bool add(Json value) {
    if (open.empty()) {
      root = std::move(value);
      return true;
    }
    if (auto* elements = std::get_if<Elements>(&open.back().node.value)) {
      elements->push_back(std::move(value));
      return true;
    }
    auto& members = std::get<Members>(open.back().node.value);
    members.emplace_back(std::move(open.back().name), std::move(value));
    return true;
  }
  bool close() {
    Json value(std::make_shared<const Node>(std::move(open.back().node)));
    open.pop_back();
    return add(std::move(value));
  }
  bool refuse(std::string why, boost::system::error_code& code) {
    failure = std::move(why);
    code = boost::json::make_error_code(boost::json::error::syntax);
    return false;
  }

  using Code = boost::system::error_code;
  using View = boost::json::string_view;
  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_object_begin(Code&) {
    open.push_back({.node = {Members{}}, .name = {}});
    return true;
  }
  bool on_object_end(std::size_t, Code&) { return close(); }
  bool on_array_begin(Code&) {
    open.push_back({.node = {Elements{}}, .name = {}});
    return true;
  }
  bool on_array_end(std::size_t, Code&) { return close(); }
  bool on_key_part(View part, std::size_t, Code&) { return on_part(part); }
  bool on_key(View part, std::size_t, Code& code) {
    on_part(part);
    std::string name = std::exchange(text, {});
    const auto& members = std::get<Members>(open.back().node.value);
    if (std::ranges::any_of(members, [&](const auto& member) { return member.first == name; })) return refuse("a name stands twice in one object", code);
    open.back().name = std::move(name);
    return true;
  }
  bool on_string_part(View part, std::size_t, Code&) { return on_part(part); }
  bool on_string(View part, std::size_t, Code&) {
    on_part(part);
    return add(Json(std::make_shared<const Node>(Node{std::exchange(text, {})})));
  }
  bool on_part(View part) {
    text.append(part.data(), part.size());
    return true;
  }
  bool on_number_part(View part, Code&) { return on_part(part); }
  bool on_int64(std::int64_t value, View, Code&) {
    text.clear();
    return add(of_integer(value));
  }
  bool on_uint64(std::uint64_t, View, Code& code) { return refuse("an integer is too large", code); }
  // Boost.JSON 1.81 does not round to the nearest double, and makes one of an integer that is too large: so the text is read again.
  bool on_double(double, View part, Code& code) {
    on_part(part);
    const std::string digits = std::exchange(text, {});
    if (digits.find_first_of(".eE") == std::string::npos) return refuse("an integer is too large", code);
    double value = 0;
    const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (problem != std::errc() || end != digits.data() + digits.size()) return refuse("a number is out of range", code);
    return add(Json(std::make_shared<const Node>(Node{value})));
  }
  bool on_bool(bool value, Code&) { return add(of_boolean(value)); }
  bool on_null(Code&) { return add(Json()); }
  bool on_comment_part(View, Code&) { return true; }
  bool on_comment(View, Code&) { return true; }
};

Result<Json> Json::parse(std::string_view text) {
  if (text.size() > json_size_max) return fail(ErrorCode::invalid_argument, "JSON: over " + std::to_string(json_size_max) + " octets");
  boost::json::parse_options options;
  options.max_depth = json_depth_max;
  boost::json::basic_parser<Builder> parser(options);
  boost::system::error_code code;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), code);
  Builder& builder = parser.handler();
  if (code || used != text.size() || !builder.root) {
    const std::string why = !builder.failure.empty() ? builder.failure : code ? code.message() : std::string("text after the value");
    return fail(ErrorCode::invalid_argument, "JSON: " + why + " at octet " + std::to_string(used));
  }
  return *std::move(builder.root);
}

Json::Json(double value) : node_(std::make_shared<const Node>(Node{value})) { CHECK(std::isfinite(value)); }
Json::Json(std::string_view text) : node_(std::make_shared<const Node>(Node{std::string(text)})) {}
Json Json::of_integer(std::int64_t value) { return Json(std::make_shared<const Node>(Node{value})); }
Json Json::of_boolean(bool value) { return Json(std::make_shared<const Node>(Node{value})); }

Json Json::object(std::initializer_list<Member> members) {
  Json out(std::make_shared<const Node>(Node{Members{}}));
  for (const Member& member : members) out.set(member.first, member.second);
  return out;
}
Json Json::array(std::vector<Json> elements) { return Json(std::make_shared<const Node>(Node{std::move(elements)})); }

// A node that this value alone refers to may be changed in place; else it is copied first.
Json::Node& Json::own() {
  CHECK(node_ != nullptr);
  if (node_.use_count() > 1) node_ = std::make_shared<const Node>(*node_);
  return const_cast<Node&>(*node_);  // NOLINT(cppcoreguidelines-pro-type-const-cast): made non-const by make_shared, and now unshared
}

Json& Json::set(std::string_view name, Json value) {
  CHECK(is_object() && !has(name));
  std::get<Members>(own().value).emplace_back(std::string(name), std::move(value));
  return *this;
}
Json& Json::push(Json value) {
  CHECK(is_array());
  std::get<Elements>(own().value).push_back(std::move(value));
  return *this;
}

bool Json::is_null() const noexcept { return node_ == nullptr; }
bool Json::is_object() const noexcept { return node_ && std::holds_alternative<Members>(node_->value); }
bool Json::is_array() const noexcept { return node_ && std::holds_alternative<Elements>(node_->value); }
bool Json::has(std::string_view name) const noexcept { return find(name) != nullptr; }

const Json* Json::find(std::string_view name) const noexcept {
  if (!is_object()) return nullptr;
  for (const auto& member : *std::get_if<Members>(&node_->value)) {
    if (member.first == name) return &member.second;
  }
  return nullptr;
}

std::vector<std::string> Json::names() const {
  std::vector<std::string> out;
  if (is_object()) {
    for (const auto& member : std::get<Members>(node_->value)) out.push_back(member.first);
  }
  return out;
}

}  // namespace qanat::wire
