#include "terminal/gateway/vici_message.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace qanat::terminal::gateway {
namespace {

enum class Mark : std::uint8_t { section_start = 1, section_end, key_value, list_start, list_item, list_end };

constexpr std::size_t name_max = 255;
constexpr std::size_t value_max = 0xffff;
constexpr std::size_t length_octets = 4;

std::unexpected<Error> bad_vici(const std::string& why) { return fail(ErrorCode::invalid_argument, "vici: " + why); }

/// Into a buffer of the final size, or (without one) counting only.
class Sink {
 public:
  explicit Sink(std::span<std::uint8_t> out) : out_(out) {}
  void octet(std::uint8_t value) { octets({&value, 1}); }
  void octets(ByteView value) {
    if (!out_.empty()) std::ranges::copy(value, out_.subspan(size_).begin());
    size_ += value.size();
  }
  void mark(Mark mark) { octet(static_cast<std::uint8_t>(mark)); }
  void name(std::string_view text) {
    fits_ = fits_ && !text.empty() && text.size() <= name_max;
    octet(static_cast<std::uint8_t>(text.size()));
    octets(as_bytes(text));
  }
  void value(ByteView text) {
    fits_ = fits_ && text.size() <= value_max;
    octet(static_cast<std::uint8_t>(text.size() >> 8U));
    octet(static_cast<std::uint8_t>(text.size()));
    octets(text);
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool fits() const { return fits_; }

 private:
  std::span<std::uint8_t> out_;
  std::size_t size_ = 0;
  bool fits_ = true;
};

void write_section(Sink& out, const ViciSection& section) {
  for (const ViciSection::Element& element : section.elements()) {
    if (const auto* const text = std::get_if<std::string>(&element.value)) {
      out.mark(Mark::key_value);
      out.name(element.name);
      out.value(as_bytes(*text));
    } else if (const auto* const list = std::get_if<ViciSection::List>(&element.value)) {
      out.mark(Mark::list_start);
      out.name(element.name);
      for (const std::string& item : *list) {
        out.mark(Mark::list_item);
        out.value(as_bytes(item));
      }
      out.mark(Mark::list_end);
    } else {
      out.mark(Mark::section_start);
      out.name(element.name);
      write_section(out, std::get<ViciSection>(element.value));
      out.mark(Mark::section_end);
    }
  }
}

void write_packet(Sink& out, ViciPacket type, std::string_view name, const ViciSection& message, const ViciSecret* secret) {
  out.octet(static_cast<std::uint8_t>(type));
  if (!name.empty()) out.name(name);
  write_section(out, message);
  if (secret == nullptr) return;
  out.mark(Mark::key_value);
  out.name(secret->name);
  out.value(secret->value.reveal());
}

class Source {
 public:
  explicit Source(ByteView in) : in_(in) {}
  [[nodiscard]] bool at_end() const { return at_ == in_.size(); }
  Result<std::uint8_t> octet() {
    if (at_end()) return bad_vici("ends in the middle of a message");
    return in_[at_++];
  }
  Result<std::string> octets(std::size_t size) {
    if (in_.size() - at_ < size) return bad_vici("a text is longer than the message");
    at_ += size;
    return std::string(as_text(in_.subspan(at_ - size, size)));
  }
  Result<std::string> name() {
    ASSIGN_OR_RETURN(const std::uint8_t size, octet());
    if (size == 0) return bad_vici("a name is empty");
    return octets(size);
  }
  Result<std::string> value() {
    ASSIGN_OR_RETURN(const std::uint8_t high, octet());
    ASSIGN_OR_RETURN(const std::uint8_t low, octet());
    return octets(static_cast<std::size_t>(high << 8U | low));
  }
  Result<void> count() {
    if (++elements_ > vici_elements_max) return bad_vici("more than " + std::to_string(vici_elements_max) + " elements");
    return {};
  }

  Result<ViciSection::List> list() {
    ViciSection::List out;
    while (true) {
      ASSIGN_OR_RETURN(const std::uint8_t mark, octet());
      if (static_cast<Mark>(mark) == Mark::list_end) return out;
      if (static_cast<Mark>(mark) != Mark::list_item) return bad_vici("mark " + std::to_string(mark) + " in a list");
      TRY(count());
      ASSIGN_OR_RETURN(std::string item, value());
      out.push_back(std::move(item));
    }
  }

  /// To the section's end, which is that of the message where depth is 0.
  Result<ViciSection> section(std::size_t depth) {
    ViciSection out;
    if (depth > vici_depth_max) return bad_vici("sections deeper than " + std::to_string(vici_depth_max));
    while (depth > 0 || !at_end()) {
      ASSIGN_OR_RETURN(const std::uint8_t mark, octet());
      if (static_cast<Mark>(mark) == Mark::section_end && depth > 0) return out;
      TRY(count());
      TRY(element(static_cast<Mark>(mark), out, depth));
    }
    return out;
  }

 private:
  Result<void> element(Mark mark, ViciSection& out, std::size_t depth) {
    if (mark != Mark::key_value && mark != Mark::list_start && mark != Mark::section_start) {
      return bad_vici("mark " + std::to_string(static_cast<unsigned>(mark)) + " where an element begins");
    }
    ASSIGN_OR_RETURN(std::string key, name());
    if (out.has(key)) return bad_vici("a name twice in one section");
    if (mark == Mark::key_value) {
      ASSIGN_OR_RETURN(std::string text, value());
      out.set(std::move(key), std::move(text));
    } else if (mark == Mark::list_start) {
      ASSIGN_OR_RETURN(ViciSection::List items, list());
      out.set(std::move(key), std::move(items));
    } else {
      ASSIGN_OR_RETURN(ViciSection inner, section(depth + 1));
      out.set(std::move(key), std::move(inner));
    }
    return {};
  }

  ByteView in_;
  std::size_t at_ = 0;
  std::size_t elements_ = 0;
};

}  // namespace

ViciSection::ViciSection() = default;
ViciSection::ViciSection(const ViciSection&) = default;
ViciSection::ViciSection(ViciSection&&) noexcept = default;
ViciSection& ViciSection::operator=(const ViciSection&) = default;
ViciSection& ViciSection::operator=(ViciSection&&) noexcept = default;
ViciSection::~ViciSection() = default;

template <class Value>
ViciSection& ViciSection::put(std::string&& name, Value value) {
  CHECK(!has(name));
  elements_.push_back({.name = std::move(name), .value = std::move(value)});
  return *this;
}
ViciSection& ViciSection::set(std::string name, std::string value) { return put(std::move(name), std::move(value)); }
ViciSection& ViciSection::set(std::string name, List items) { return put(std::move(name), std::move(items)); }
ViciSection& ViciSection::set(std::string name, ViciSection section) { return put(std::move(name), std::move(section)); }

bool ViciSection::has(std::string_view name) const { return std::ranges::find(elements_, name, &Element::name) != elements_.end(); }

std::string_view ViciSection::text(std::string_view name) const {
  const auto found = std::ranges::find(elements_, name, &Element::name);
  const auto* const value = found == elements_.end() ? nullptr : std::get_if<std::string>(&found->value);
  return value == nullptr ? std::string_view() : std::string_view(*value);
}
const ViciSection::List* ViciSection::list(std::string_view name) const {
  const auto found = std::ranges::find(elements_, name, &Element::name);
  return found == elements_.end() ? nullptr : std::get_if<List>(&found->value);
}
const ViciSection* ViciSection::section(std::string_view name) const {
  const auto found = std::ranges::find(elements_, name, &Element::name);
  return found == elements_.end() ? nullptr : std::get_if<ViciSection>(&found->value);
}

Result<Secret> encode_vici(ViciPacket type, std::string_view name, const ViciSection& message, const ViciSecret* secret) {
  Sink measure({});
  write_packet(measure, type, name, message, secret);
  if (!measure.fits()) return bad_vici("a name or a value is too long to be sent");
  if (measure.size() > vici_packet_max) return bad_vici("a message is too long to be sent");
  Secret out(length_octets + measure.size());
  const std::span<std::uint8_t> octets = out.writable();
  for (std::size_t i = 0; i < length_octets; ++i) octets[i] = static_cast<std::uint8_t>(measure.size() >> (8 * (length_octets - 1 - i)));
  Sink fill(octets.subspan(length_octets));
  write_packet(fill, type, name, message, secret);
  return Result<Secret>(std::move(out));
}

Result<ViciReceived> decode_vici(ByteView packet) {
  if (packet.size() > vici_packet_max) return bad_vici("a packet of " + std::to_string(packet.size()) + " octets");
  Source in(packet);
  ASSIGN_OR_RETURN(const std::uint8_t type, in.octet());
  ViciReceived out{.type = static_cast<ViciPacket>(type), .name = {}, .message = {}};
  switch (out.type) {
    case ViciPacket::event: {
      ASSIGN_OR_RETURN(out.name, in.name());
      ASSIGN_OR_RETURN(out.message, in.section(0));
      return out;
    }
    case ViciPacket::response: {
      ASSIGN_OR_RETURN(out.message, in.section(0));
      return out;
    }
    case ViciPacket::unknown_command:
    case ViciPacket::confirmed:
    case ViciPacket::unknown_event:
      if (!in.at_end()) return bad_vici("packet " + std::to_string(type) + " with a content");
      return out;
    case ViciPacket::command:
    case ViciPacket::subscribe:
    case ViciPacket::unsubscribe:
      break;
  }
  return bad_vici("packet type " + std::to_string(type) + " from the daemon");
}

}  // namespace qanat::terminal::gateway
