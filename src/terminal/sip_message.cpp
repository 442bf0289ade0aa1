#include "terminal/sip_message.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "terminal/ipv4.hpp"

namespace qanat::terminal {
namespace {

constexpr std::string_view version = "SIP/2.0";
constexpr std::string_view magic_cookie = "z9hG4bK";  // §8.1.1.7
constexpr std::string_view line_end = "\r\n";
constexpr std::uint32_t sequence_max = 0x7FFF'FFFF;  // §8.1.1.5

struct CompactName {
  char letter;
  std::string_view full;
};
constexpr std::array compact_names{CompactName{'v', "Via"},          CompactName{'f', "From"},     CompactName{'t', "To"},
                                   CompactName{'i', "Call-ID"},      CompactName{'m', "Contact"},  CompactName{'l', "Content-Length"},
                                   CompactName{'c', "Content-Type"}, CompactName{'k', "Supported"}};

std::unexpected<Error> refuse_sip(const std::string& what) { return fail(ErrorCode::invalid_argument, "sip: " + what); }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || std::string_view("-.!%*_+`'~").contains(c);
  });
}

template <class T>
std::optional<T> parse_digits(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || text.front() == '-' || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<void> parse_start_line(std::string_view line, SipMessage& message) {
  const std::size_t first = line.find(' ');
  const std::size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos) return refuse_sip("line 1: neither request line nor status line");
  const std::string_view middle = line.substr(first + 1, second - first - 1);
  if (line.substr(0, first) == version) {
    const auto status = parse_digits<int>(middle);
    if (!status || middle.size() != 3 || *status < 100 || *status > 699) return refuse_sip("line 1: status code");
    message.status = *status;
    message.reason = line.substr(second + 1);
    return {};
  }
  if (!is_token(line.substr(0, first)) || middle.empty()) return refuse_sip("line 1: method or Request-URI");
  if (line.substr(second + 1) != version) return refuse_sip("line 1: version other than SIP/2.0");
  message.method = line.substr(0, first);
  message.uri = middle;
  return {};
}

Result<void> parse_header_line(std::string_view line, std::size_t number, SipMessage& message) {
  const std::string where = "line " + std::to_string(number) + ": ";
  if (line.front() == ' ' || line.front() == '\t') {
    if (message.headers.empty()) return refuse_sip(where + "continues no header");
    std::string& value = message.headers.back().value;
    if (value.size() + line.size() > sip_line_octets_max)
      return refuse_sip(where + "a folded header of more than " + std::to_string(sip_line_octets_max) + " octets");
    value.append(" ").append(trimmed(line));
    return {};
  }
  if (message.headers.size() == sip_headers_max) return refuse_sip(where + "more than " + std::to_string(sip_headers_max) + " headers");
  const std::size_t colon = line.find(':');
  const std::string_view name = trimmed(line.substr(0, colon));
  if (colon == std::string_view::npos || !is_token(name)) return refuse_sip(where + "not a header");
  std::string full(name);
  if (name.size() == 1) {
    const auto found = std::ranges::find(compact_names, lower(name.front()), &CompactName::letter);
    if (found != compact_names.end()) full = found->full;
  }
  message.headers.push_back({std::move(full), std::string(trimmed(line.substr(colon + 1)))});
  return {};
}

/// The first octet that no SIP line holds; UTF-8 above 0x7F is let through.
bool has_control_character(std::string_view line) {
  return std::ranges::any_of(line, [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F; });
}

/// What follows "sip:".
std::optional<std::string_view> after_scheme(std::string_view uri) {
  constexpr std::string_view scheme = "sip:";
  if (uri.size() < scheme.size() || !same_sip_name(uri.substr(0, scheme.size()), scheme)) return std::nullopt;
  return uri.substr(scheme.size());
}

}  // namespace

bool same_sip_name(std::string_view a, std::string_view b) { return std::ranges::equal(a, b, {}, lower, lower); }

const std::string* SipMessage::find(std::string_view name) const {
  const auto found = std::ranges::find_if(headers, [&](const SipHeader& header) { return same_sip_name(header.name, name); });
  return found == headers.end() ? nullptr : &found->value;
}

Result<SipMessage> parse_sip(ByteView datagram) {
  if (datagram.size() > sip_message_octets_max) return refuse_sip(std::to_string(datagram.size()) + " octets, at most " + std::to_string(sip_message_octets_max));
  std::string_view rest = as_text(datagram);
  SipMessage message;
  for (std::size_t number = 1;; ++number) {
    const std::size_t end = rest.find(line_end);
    if (end == std::string_view::npos) return refuse_sip("line " + std::to_string(number) + ": no CRLF");
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + line_end.size());
    if (line.size() > sip_line_octets_max) return refuse_sip("line " + std::to_string(number) + ": more than " + std::to_string(sip_line_octets_max) + " octets");
    if (has_control_character(line)) return refuse_sip("line " + std::to_string(number) + ": control character");
    if (number == 1) {
      TRY(parse_start_line(line, message));
    } else if (line.empty()) {
      break;
    } else {
      TRY(parse_header_line(line, number, message));
    }
  }
  // §18.3: over UDP the body ends with the datagram unless Content-Length says that it ends earlier.
  std::size_t body_octets = rest.size();
  if (const std::string* length = message.find("Content-Length")) {
    const auto value = parse_digits<std::size_t>(*length);
    if (!value || *value > rest.size()) return refuse_sip("Content-Length does not fit the datagram");
    body_octets = *value;
  }
  if (body_octets > sip_body_octets_max) return refuse_sip("body of " + std::to_string(body_octets) + " octets, at most " + std::to_string(sip_body_octets_max));
  message.body = rest.substr(0, body_octets);
  return message;
}

Bytes encode_sip(const SipMessage& message) {
  std::string out;
  if (message.is_request()) {
    out.append(message.method).append(" ").append(message.uri).append(" ").append(version).append(line_end);
  } else {
    out.append(version).append(" ").append(std::to_string(message.status)).append(" ").append(message.reason).append(line_end);
  }
  for (const SipHeader& header : message.headers) out.append(header.name).append(": ").append(header.value).append(line_end);
  out.append("Content-Length: ").append(std::to_string(message.body.size())).append(line_end).append(line_end).append(message.body);
  return to_bytes(out);
}

std::string SipUri::text() const { return "sip:" + user + "@" + to_text(at); }

Result<SipUri> parse_sip_uri(std::string_view text) {
  ASSIGN_OR_RETURN(std::string user, sip_user(text));
  std::string_view host = text.substr(text.find('@') + 1);
  host = host.substr(0, host.find_first_of(";?"));
  const auto endpoint = parse_endpoint(host);
  if (!endpoint) return refuse_sip("URI whose host is not IPv4 address and port");
  return SipUri{.user = std::move(user), .at = *endpoint};
}

Result<std::string> sip_user(std::string_view uri) {
  const auto rest = after_scheme(uri);
  if (!rest) return refuse_sip("URI that is not sip:");
  const std::size_t at = rest->find('@');
  if (at == std::string_view::npos || !is_token(rest->substr(0, at))) return refuse_sip("URI without a user");
  return std::string(rest->substr(0, at));
}

Result<SipAddress> parse_sip_address(std::string_view text) {
  SipAddress out;
  std::string_view parameters;
  if (const std::size_t open = text.find('<'); open != std::string_view::npos) {
    const std::size_t close = text.find('>', open);
    if (close == std::string_view::npos) return refuse_sip("address without \">\"");
    out.uri = text.substr(open + 1, close - open - 1);
    parameters = text.substr(close + 1);
  } else {
    // §20.10: without brackets every parameter is the header's.
    const std::size_t semicolon = text.find(';');
    out.uri = trimmed(text.substr(0, semicolon));
    parameters = semicolon == std::string_view::npos ? std::string_view() : text.substr(semicolon);
  }
  if (out.uri.empty()) return refuse_sip("address without a URI");
  while (!parameters.empty()) {
    const std::size_t semicolon = parameters.find(';');
    const std::string_view parameter = trimmed(parameters.substr(0, semicolon));
    parameters = semicolon == std::string_view::npos ? std::string_view() : parameters.substr(semicolon + 1);
    constexpr std::string_view tag = "tag=";
    if (parameter.size() <= tag.size() || !same_sip_name(parameter.substr(0, tag.size()), tag)) continue;
    if (!out.tag.empty() || !is_token(parameter.substr(tag.size()))) return refuse_sip("address with a malformed tag");
    out.tag = parameter.substr(tag.size());
  }
  return out;
}

namespace {

Result<std::string> require(const SipMessage& message, std::string_view name) {
  const std::string* value = message.find(name);
  if (value == nullptr || value->empty()) return refuse_sip("no " + std::string(name));
  return *value;
}

Result<std::string> branch_of(std::string_view via) {
  via = via.substr(0, via.find(','));  // the top one, if several share a line
  constexpr std::string_view parameter = "branch=";
  const std::size_t at = via.find(parameter);
  if (at == std::string_view::npos) return refuse_sip("Via without a branch");
  const std::string_view value = trimmed(via.substr(at + parameter.size()));
  const std::string_view branch = trimmed(value.substr(0, value.find(';')));
  if (!branch.starts_with(magic_cookie) || !is_token(branch)) return refuse_sip("Via with a branch that is not RFC 3261's");
  return std::string(branch);
}

}  // namespace

Result<SipEssentials> sip_essentials(const SipMessage& message) {
  SipEssentials out;
  ASSIGN_OR_RETURN(const std::string via, require(message, "Via"));
  ASSIGN_OR_RETURN(out.branch, branch_of(via));
  ASSIGN_OR_RETURN(const std::string from, require(message, "From"));
  ASSIGN_OR_RETURN(out.from, parse_sip_address(from));
  if (out.from.tag.empty()) return refuse_sip("From without a tag");
  ASSIGN_OR_RETURN(const std::string to, require(message, "To"));
  ASSIGN_OR_RETURN(out.to, parse_sip_address(to));
  ASSIGN_OR_RETURN(out.call_id, require(message, "Call-ID"));
  ASSIGN_OR_RETURN(const std::string cseq, require(message, "CSeq"));
  const std::size_t space = cseq.find(' ');
  const auto sequence = parse_digits<std::uint32_t>(std::string_view(cseq).substr(0, space));
  if (space == std::string::npos || !sequence || *sequence > sequence_max) return refuse_sip("CSeq");
  out.sequence = *sequence;
  out.sequence_method = trimmed(std::string_view(cseq).substr(space));
  if (message.is_request() && out.sequence_method != message.method) return refuse_sip("CSeq of another method");
  return out;
}

}  // namespace qanat::terminal
