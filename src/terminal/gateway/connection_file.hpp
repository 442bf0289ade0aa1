// The one connection that an agent keeps PPKs for, in the words of swanctl.conf: what stands below `connections` there, moved into a file of its own.
// vici can only replace a connection as a whole, and does not say what is in it; so the agent has to know it.
#pragma once

#include <filesystem>
#include <functional>

#include "terminal/gateway/vici_message.hpp"

namespace qanat::terminal::gateway {

inline constexpr std::size_t connection_file_max = 64UL * 1024;  // octets

struct ConnectionFile {
  std::string name;
  std::string child;     // its only child
  ViciSection settings;  // as load-conn takes them; without version, unique, ppk_id and ppk_required, which the agent sets
};

/// The content of a file that certificates are named by; the path as it stands in the text.
using ReadNamed = std::function<Result<std::string>(const std::string& path)>;

/// `name { key = value … section { … } }`: one key a line, '#' to the end of the line is a comment, lists by commas where strongSwan has lists, files for
/// certs, cacerts and pubkeys. invalid_argument with the line for anything else: variables, includes and quotes are not known here, and a key that the agent
/// sets itself is refused.
Result<ConnectionFile> parse_connection(std::string_view text, const ReadNamed& read_named);
Result<ConnectionFile> read_connection(const std::filesystem::path& file);

}  // namespace qanat::terminal::gateway
