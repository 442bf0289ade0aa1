#include "terminal/sdp.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "terminal/ipv4.hpp"
#include "terminal/octet_order.hpp"

namespace qanat::terminal {
namespace {

constexpr std::string_view connection_prefix = "c=IN IP4 ";
constexpr std::string_view media_prefix = "m=";
constexpr std::string_view audio_prefix = "m=audio ";
constexpr std::string_view media_profile = "RTP/SAVP";
constexpr std::string_view payload_pcma = "8";
constexpr std::string_view rtpmap_pcma = "a=rtpmap:8 ";
constexpr std::string_view qanat_prefix = "a=qanat:";
constexpr std::string_view qanat_version = "1";

std::unexpected<Error> refuse_sdp(const std::string& what) { return fail(ErrorCode::invalid_argument, "sdp: " + what); }

bool is_kms_name(std::string_view name) {
  return !name.empty() && name.size() <= kms_name_octets_max && std::ranges::all_of(name, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-';
  });
}

/// The text up to the next space; the space goes with it.
std::string_view take_word(std::string_view& rest) {
  const std::size_t space = rest.find(' ');
  const std::string_view word = rest.substr(0, space);
  rest.remove_prefix(space == std::string_view::npos ? rest.size() : space + 1);
  return word;
}

/// `name=value` as the next word.
Result<std::string_view> take_field(std::string_view& rest, std::string_view name) {
  const std::string_view word = take_word(rest);
  if (!word.starts_with(name) || word.size() <= name.size() || word[name.size()] != '=') return refuse_sdp("a=qanat: no " + std::string(name));
  return word.substr(name.size() + 1);
}

template <class IdType>
Result<IdType> take_id(std::string_view& rest, std::string_view name) {
  ASSIGN_OR_RETURN(const std::string_view value, take_field(rest, name));
  auto id = IdType::parse_hex(value);
  if (!id) return fail_in("sdp: a=qanat: " + std::string(name), std::move(id).error());
  return id;
}

Result<void> parse_qanat(std::string_view value, SessionDescription& session) {
  if (take_word(value) != qanat_version) return refuse_sdp("a=qanat: version other than 1");
  ASSIGN_OR_RETURN(session.sid_call, take_id<SidCall>(value, "sid_call"));
  ASSIGN_OR_RETURN(session.sid_wk, take_id<SidWk>(value, "sid_wk"));
  ASSIGN_OR_RETURN(const std::string_view kms, take_field(value, "kms"));
  if (!is_kms_name(kms)) return refuse_sdp("a=qanat: kms is not a name");
  session.kms = ElementName(std::string(kms));
  ASSIGN_OR_RETURN(session.nonce, take_id<CallNonce>(value, "nonce"));
  if (!value.empty()) return refuse_sdp("a=qanat: more fields than version 1 has");
  return {};
}

Result<std::string> parse_media(std::string_view line) {
  if (!line.starts_with(audio_prefix)) return refuse_sdp("media that is not audio");
  line.remove_prefix(audio_prefix.size());
  const std::string_view port = take_word(line);
  // RFC 3711 §3.4: plain RTP/AVP would be a call in clear.
  if (take_word(line) != media_profile) return refuse_sdp("media profile other than RTP/SAVP");
  bool pcma = false;
  while (!line.empty()) pcma |= take_word(line) == payload_pcma;
  if (!pcma) return refuse_sdp("no PCMA (payload type 8)");
  return std::string(port);
}

/// Lines by their parts; what a later line needs is checked at the end.
struct Parts {
  std::optional<std::string> connection;
  std::optional<std::string> port;
  bool qanat = false;
};

Result<void> parse_line(std::string_view line, Parts& parts, SessionDescription& session) {
  if (line.starts_with(connection_prefix)) {
    parts.connection = line.substr(connection_prefix.size());
  } else if (line.starts_with(media_prefix)) {
    if (parts.port) return refuse_sdp("more than one media stream");
    ASSIGN_OR_RETURN(parts.port, parse_media(line));
  } else if (line.starts_with(rtpmap_pcma)) {
    if (!line.substr(rtpmap_pcma.size()).starts_with("PCMA/8000")) return refuse_sdp("payload type 8 is mapped to something else than PCMA/8000");
  } else if (line.starts_with(qanat_prefix)) {
    if (parts.qanat) return refuse_sdp("more than one a=qanat");
    TRY(parse_qanat(line.substr(qanat_prefix.size()), session));
    parts.qanat = true;
  }
  return {};
}

}  // namespace

Result<std::string> encode_sdp(const SessionDescription& session) {
  if (!parse_endpoint(to_text(session.media))) return refuse_sdp("media at " + to_text(session.media) + ": not an IPv4 address and a port");
  if (!is_kms_name(session.kms.text())) return refuse_sdp("the KMS's name has characters other than [A-Za-z0-9._-]");
  // RFC 8866 §5.2 wants a number that is unique for this session: 63 bits of SID_CALL are.
  const std::string session_number = std::to_string(read_big_endian<std::uint64_t>(session.sid_call.view(), 0) >> 1);
  std::string out;
  const auto line = [&out](std::initializer_list<std::string_view> parts) {
    for (const std::string_view part : parts) out.append(part);
    out.append("\r\n");
  };
  line({"v=0"});
  line({"o=- ", session_number, " 1 IN IP4 ", session.media.host});
  line({"s=-"});
  line({connection_prefix, session.media.host});
  line({"t=0 0"});
  line({audio_prefix, std::to_string(session.media.port), " ", media_profile, " ", payload_pcma});
  line({rtpmap_pcma, "PCMA/8000"});
  line({"a=ptime:20"});
  line({qanat_prefix, qanat_version, " sid_call=", session.sid_call.hex(), " sid_wk=", session.sid_wk.hex(), " kms=", session.kms.text(),
        " nonce=", session.nonce.hex()});
  return out;
}

Result<SessionDescription> parse_sdp(std::string_view text) {
  SessionDescription session;
  Parts parts;
  std::size_t lines = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (++lines > sdp_lines_max) return refuse_sdp("more than " + std::to_string(sdp_lines_max) + " lines");
    if (lines == 1 ? line != "v=0" : line.size() < 2 || line[1] != '=') return refuse_sdp("line " + std::to_string(lines) + " is not of a session description");
    TRY(parse_line(line, parts, session));
  }
  if (!parts.connection || !parts.port) return refuse_sdp("no connection or no media line");
  if (!parts.qanat) return refuse_sdp("no a=qanat: the other side does not protect the call");
  const auto media = parse_endpoint(*parts.connection + ":" + *parts.port);
  if (!media) return refuse_sdp("media address that is not an IPv4 address and a port");
  session.media = *media;
  return session;
}

}  // namespace qanat::terminal
