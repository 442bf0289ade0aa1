#include "terminal/gateway/uapi_message.hpp"

#include <algorithm>
#include <charconv>

#include "wire/base64.hpp"

namespace qanat::terminal::gateway {
namespace {

constexpr std::uint64_t nanoseconds = 1'000'000'000;
constexpr std::uint64_t seconds_max = 1ULL << 33U;

std::unexpected<Error> bad_uapi(const std::string& why) { return fail(ErrorCode::invalid_argument, "WireGuard: " + why); }

Result<std::uint64_t> number_in(std::string_view key, std::string_view text, std::uint64_t max) {
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size() || out > max) return bad_uapi(std::string(key) + " is no number in bounds");
  return out;
}

/// Without a branch or a table that the digit chooses: the digits are of a key. 16 and more for what is no lower-case digit.
constexpr unsigned digit_of(unsigned c) {
  const unsigned number = 0U - (~((c - '0') | ('9' - c)) >> 31U);
  const unsigned letter = 0U - (~((c - 'a') | ('f' - c)) >> 31U);
  return (number & (c - '0')) | (letter & (c - 'a' + 10)) | (~(number | letter) & 16U);
}
static_assert(digit_of('0') == 0 && digit_of('9') == 9 && digit_of('a') == 10 && digit_of('f') == 15 && digit_of('g') == 16 && digit_of('/') == 16);

/// The digits are overwritten.
Result<Secret> key_in(std::string_view key, std::span<std::uint8_t> digits) {
  if (digits.size() != 2 * wireguard_key_octets) return bad_uapi(std::string(key) + " has " + std::to_string(digits.size()) + " digits");
  Secret out(wireguard_key_octets);
  unsigned wrong = 0;
  for (std::size_t i = 0; i < wireguard_key_octets; ++i) {
    const unsigned high = digit_of(digits[2 * i]);
    const unsigned low = digit_of(digits[2 * i + 1]);
    wrong |= (high | low) & 16U;
    out.writable()[i] = static_cast<std::uint8_t>(high << 4U | (low & 15U));
  }
  wipe(digits);
  if (wrong != 0) return bad_uapi(std::string(key) + " is not hexadecimal");
  return Result<Secret>(std::move(out));
}

struct Line {
  std::string_view key;
  std::span<std::uint8_t> value;
  [[nodiscard]] std::string_view text() const { return as_text(value); }
};

/// The next line, without its end; an empty key where the empty line stands that ends the answer.
Result<Line> next_line(std::span<std::uint8_t>& rest) {
  const auto end = std::ranges::find(rest, std::uint8_t{'\n'});
  if (end == rest.end()) return bad_uapi("an answer without its empty line");
  const std::span<std::uint8_t> line = rest.first(static_cast<std::size_t>(end - rest.begin()));
  rest = rest.subspan(line.size() + 1);
  if (line.empty()) return Line{};
  const std::size_t equals = as_text(line).find('=');
  if (equals == 0 || equals == std::string_view::npos) return bad_uapi("a line that is not key=value");
  return Line{.key = as_text(line).substr(0, equals), .value = line.subspan(equals + 1)};
}

Result<void> check_errno(const Line& line) {
  if (line.text() == "0") return {};
  return fail(ErrorCode::internal, "WireGuard answers errno=" + std::string(line.text().substr(0, 20)));
}

/// One line of the wanted peer.
Result<void> take(const Line& line, UapiPeer& out) {
  if (line.key == "preshared_key") {
    ASSIGN_OR_RETURN(out.preshared_key, key_in(line.key, line.value));
  } else if (line.key == "last_handshake_time_sec") {
    ASSIGN_OR_RETURN(const std::uint64_t seconds, number_in(line.key, line.text(), seconds_max));
    out.handshake_ns += seconds * nanoseconds;
  } else if (line.key == "last_handshake_time_nsec") {
    ASSIGN_OR_RETURN(const std::uint64_t fraction, number_in(line.key, line.text(), nanoseconds - 1));
    out.handshake_ns += fraction;
  } else if (line.key == "rx_bytes" || line.key == "tx_bytes") {
    ASSIGN_OR_RETURN(const std::uint64_t octets, number_in(line.key, line.text(), UINT64_MAX >> 1U));
    (line.key == "rx_bytes" ? out.rx_octets : out.tx_octets) = octets;
  } else if (line.key == "persistent_keepalive_interval") {
    ASSIGN_OR_RETURN(const std::uint64_t seconds, number_in(line.key, line.text(), UINT16_MAX));
    out.keepalive_s = static_cast<std::uint32_t>(seconds);
  }
  return {};
}

}  // namespace

bool uapi_complete(ByteView answer) noexcept { return as_text(answer).ends_with("\n\n"); }

Result<UapiPeer> read_uapi_get(std::span<std::uint8_t> answer, std::string_view public_key) {
  UapiPeer out;
  bool here = false;  // in the lines of the wanted peer
  bool found = false;
  bool ended = false;  // errno has come
  while (true) {
    ASSIGN_OR_RETURN(const Line line, next_line(answer));
    if (line.key.empty()) break;
    if (ended) return bad_uapi("something after errno");
    if (line.key == "errno") {
      TRY(check_errno(line));
      ended = true;
    } else if (line.key == "private_key") {
      if (!out.private_key.empty()) return bad_uapi("private_key twice");
      ASSIGN_OR_RETURN(out.private_key, key_in(line.key, line.value));
    } else if (line.key == "public_key") {
      here = line.text() == public_key;
      if (here && found) return bad_uapi("a peer twice");
      found = found || here;
    } else if (here) {
      TRY(take(line, out));
    }
  }
  if (!answer.empty() || !ended) return bad_uapi("an answer that does not end with errno and an empty line");
  if (!found) return fail(ErrorCode::not_found, "WireGuard has no peer with the public key of the configuration");
  if (out.preshared_key.empty()) out.preshared_key = Secret(wireguard_key_octets);
  return Result<UapiPeer>(std::move(out));
}

Result<void> read_uapi_set(ByteView answer) {
  Bytes copy = to_bytes(answer);
  std::span<std::uint8_t> rest = copy;
  ASSIGN_OR_RETURN(const Line line, next_line(rest));
  if (line.key != "errno" || as_text(rest) != "\n") return bad_uapi("an answer to set that is not errno alone");
  return check_errno(line);
}

UapiRequest& UapiRequest::line(std::string_view key, std::string_view value) {
  parts_.push_back(Secret::copy_of(as_bytes(std::string(key) + "=" + std::string(value) + "\n")));
  return *this;
}

UapiRequest& UapiRequest::line(std::string_view key, const Secret& value) {
  Secret text(key.size() + 1 + 2 * value.size() + 1);
  auto to = std::ranges::copy(as_bytes(key), text.writable().begin()).out;
  *to++ = '=';
  for (const std::uint8_t octet : value.reveal()) {
    for (const unsigned digit : {static_cast<unsigned>(octet) >> 4U, octet & 15U})
      *to++ = static_cast<std::uint8_t>('0' + digit + ((9U - digit) >> 31U) * ('a' - '9' - 1U));
  }
  *to = '\n';
  parts_.push_back(std::move(text));
  return *this;
}

Secret UapiRequest::finish() && {
  parts_.push_back(Secret::copy_of(as_bytes("\n")));
  std::size_t size = 0;
  for (const Secret& part : parts_) size += part.size();
  Secret out(size);
  auto to = out.writable().begin();
  for (const Secret& part : parts_) to = std::ranges::copy(part.reveal(), to).out;
  return out;
}

Result<std::string> wireguard_public_key(std::string_view base64) {
  const auto octets = wire::from_base64(base64);
  if (!octets || octets->size() != wireguard_key_octets) return bad_uapi("'" + std::string(base64.substr(0, 64)) + "' is no public key in base64");
  return to_hex(*octets);
}

}  // namespace qanat::terminal::gateway
