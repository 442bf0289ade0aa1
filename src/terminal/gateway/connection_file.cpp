#include "terminal/gateway/connection_file.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>

namespace qanat::terminal::gateway {
namespace {

// strongSwan's own table of which keys are lists (src/swanctl/commands/load_conns.c); values of all others are taken as they are.
constexpr std::array list_keys{"local_addrs", "remote_addrs", "proposals", "esp_proposals", "ah_proposals", "local_ts",
                               "remote_ts",   "vips",         "pools",     "groups",        "cert_policy"};
constexpr std::array file_keys{"certs", "cacerts", "pubkeys"};
constexpr std::array agent_keys{"version", "unique", "ppk_id", "ppk_required"};
constexpr std::string_view blank = " \t\r";

bool among(const auto& keys, std::string_view key) { return std::ranges::find(keys, key) != keys.end(); }

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(blank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

bool is_word(std::string_view text) {
  return !text.empty() && text.size() <= 64 &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; });
}

class Lines {
 public:
  Lines(std::string_view text, const ReadNamed& read_named) : text_(text), read_named_(read_named) {}

  Result<ConnectionFile> connection() {
    ConnectionFile out;
    ASSIGN_OR_RETURN(const std::string_view head, next());
    if (!head.ends_with('{') || !is_word(trimmed(head.substr(0, head.size() - 1)))) return bad("`name {` belongs here");
    out.name = trimmed(head.substr(0, head.size() - 1));
    ASSIGN_OR_RETURN(out.settings, section(0));
    const auto more = next();
    if (more) return bad("a second connection, or something after the first");
    const ViciSection* const children = out.settings.section("children");
    if (children == nullptr || children->elements().size() != 1 || children->section(children->elements().front().name) == nullptr) {
      return fail(ErrorCode::invalid_argument, "connection " + out.name + " must have one section in children");
    }
    out.child = children->elements().front().name;
    return out;
  }

 private:
  [[nodiscard]] std::unexpected<Error> bad(std::string_view why) const {
    return fail(ErrorCode::invalid_argument, "line " + std::to_string(line_) + ": " + std::string(why));
  }

  /// The next line with something in it; not_found at the end.
  Result<std::string_view> next() {
    while (!text_.empty()) {
      const std::size_t end = std::min(text_.find('\n'), text_.size());
      std::string_view line = text_.substr(0, end);
      text_.remove_prefix(std::min(end + 1, text_.size()));
      ++line_;
      line = trimmed(line.substr(0, line.find('#')));
      if (!line.empty()) return line;
    }
    return fail(ErrorCode::not_found, "line " + std::to_string(line_) + ": the text ends here");
  }

  Result<ViciSection> section(std::size_t depth) {
    if (depth == vici_depth_max) return bad("sections too deep");
    ViciSection out;
    while (true) {
      auto line = next();
      if (!line) return bad("a section is not closed");
      if (*line == "}") return out;
      const std::size_t equals = line->find('=');
      const bool opens = equals == std::string_view::npos && line->ends_with('{');
      if (!opens && equals == std::string_view::npos) return bad("`key = value`, `name {` or `}` belongs here");
      const std::string key(trimmed(line->substr(0, opens ? line->size() - 1 : equals)));
      if (!is_word(key)) return bad("'" + key + "' is no name");
      if (out.has(key)) return bad(key + " twice");
      if (depth == 0 && among(agent_keys, key)) return bad(key + " is set by the agent");
      if (opens) {
        ASSIGN_OR_RETURN(ViciSection inner, section(depth + 1));
        out.set(key, std::move(inner));
      } else {
        TRY(value(key, trimmed(line->substr(equals + 1)), out));
      }
    }
  }

  Result<void> value(const std::string& key, std::string_view text, ViciSection& out) {
    if (text.empty()) return bad(key + " has no value");
    if (text.find_first_of("\"{}$") != std::string_view::npos) return bad("quotes, braces and variables are not known in values");
    const bool files = among(file_keys, key);
    if (!files && !among(list_keys, key)) {
      out.set(key, std::string(text));
      return {};
    }
    ViciSection::List items;
    while (!text.empty()) {
      const std::size_t comma = std::min(text.find(','), text.size());
      std::string item(trimmed(text.substr(0, comma)));
      text.remove_prefix(std::min(comma + 1, text.size()));
      if (item.empty()) return bad(key + " has an empty entry");
      if (files) {
        auto content = read_named_(item);
        if (!content) return bad(content.error().message);
        item = std::move(*content);
      }
      items.push_back(std::move(item));
    }
    out.set(key, std::move(items));
    return {};
  }

  std::string_view text_;
  const ReadNamed& read_named_;
  std::size_t line_ = 0;
};

Result<std::string> read_bounded(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::string out(connection_file_max + 1, '\0');
  if (!in) return fail(ErrorCode::not_found, file.string() + ": cannot be read");
  in.read(out.data(), static_cast<std::streamsize>(out.size()));
  out.resize(static_cast<std::size_t>(in.gcount()));
  if (out.size() > connection_file_max)
    return fail(ErrorCode::invalid_argument, file.string() + ": more than " + std::to_string(connection_file_max) + " octets");
  return out;
}

}  // namespace

Result<ConnectionFile> parse_connection(std::string_view text, const ReadNamed& read_named) {
  if (text.size() > connection_file_max)
    return fail(ErrorCode::invalid_argument, "a connection of more than " + std::to_string(connection_file_max) + " octets");
  return Lines(text, read_named).connection();
}

Result<ConnectionFile> read_connection(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const std::string text, read_bounded(file));
  auto out = parse_connection(text, [&](const std::string& path) -> Result<std::string> {
    if (!path.starts_with('/')) return fail(ErrorCode::invalid_argument, "'" + path + "': the whole path of the file belongs here");
    return read_bounded(path);
  });
  if (!out) return fail_in(file.string(), out.error());
  return out;
}

}  // namespace qanat::terminal::gateway
