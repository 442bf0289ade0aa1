// Messages of strongSwan's vici socket (src/libcharon/plugins/vici/README.md of strongSwan): named sections, lists and values, and the packets around them.
// The socket is local, and yet what comes from it is held to the bounds below.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace qanat::terminal::gateway {

inline constexpr std::size_t vici_packet_max = 512UL * 1024;  // octets, strongSwan's own limit
inline constexpr std::size_t vici_depth_max = 8;
inline constexpr std::size_t vici_elements_max = 16384;  // of one message

/// Elements in their order; no name twice in one section.
class ViciSection {
 public:
  using List = std::vector<std::string>;
  struct Element;

  ViciSection();
  ViciSection(const ViciSection&);
  ViciSection(ViciSection&&) noexcept;
  ViciSection& operator=(const ViciSection&);
  ViciSection& operator=(ViciSection&&) noexcept;
  ~ViciSection();

  ViciSection& set(std::string name, std::string value);
  ViciSection& set(std::string name, List items);
  ViciSection& set(std::string name, ViciSection section);

  [[nodiscard]] bool has(std::string_view name) const;
  /// The value; empty if it is absent or of another type.
  [[nodiscard]] std::string_view text(std::string_view name) const;
  [[nodiscard]] const List* list(std::string_view name) const;
  [[nodiscard]] const ViciSection* section(std::string_view name) const;
  [[nodiscard]] const std::vector<Element>& elements() const { return elements_; }

 private:
  template <class Value>
  ViciSection& put(std::string&& name, Value value);
  std::vector<Element> elements_;
};
struct ViciSection::Element {
  std::string name;  // 1 to 255 octets
  std::variant<std::string, ViciSection::List, ViciSection> value;
};

/// A value that is secret, as one more of the message's outermost section.
struct ViciSecret {
  std::string_view name;
  const Secret& value;
};

enum class ViciPacket : std::uint8_t { command, response, unknown_command, subscribe, unsubscribe, confirmed, unknown_event, event };

/// The whole packet with its length in front; locked memory, because the message may hold a key. invalid_argument for a name or value that is too long.
Result<Secret> encode_vici(ViciPacket type, std::string_view name, const ViciSection& message, const ViciSecret* secret = nullptr);

struct ViciReceived {
  ViciPacket type{};
  std::string name;  // of an event
  ViciSection message;
};
/// A packet without its length. invalid_argument for anything that is not exactly one well-formed packet.
Result<ViciReceived> decode_vici(ByteView packet);

}  // namespace qanat::terminal::gateway
