// Who an element is: the URI in its certificate's subjectAltName, `qanat://<domain>/<kind>/<name>`.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace qanat {

/// Element kinds as the certificate names them.
enum class Kind : std::uint8_t { qkd, qkm, qkdnc, kms, cmsp, cas, iam, ccs, app1, app2, app3, dev1, dev2, op, sae };
inline constexpr std::array all_kinds{Kind::qkd,  Kind::qkm,  Kind::qkdnc, Kind::kms,  Kind::cmsp, Kind::cas, Kind::iam, Kind::ccs,
                                      Kind::app1, Kind::app2, Kind::app3,  Kind::dev1, Kind::dev2, Kind::op,  Kind::sae};
/// "qkd" … "operator" … "sae".
std::string_view name(Kind kind) noexcept;
Result<Kind> parse_kind(std::string_view text);

/// A set of kinds: who may call a reference point.
class KindSet {
 public:
  constexpr KindSet() = default;
  constexpr KindSet(std::initializer_list<Kind> kinds) {
    for (const Kind kind : kinds) bits_ |= 1U << static_cast<unsigned>(kind);
  }
  [[nodiscard]] constexpr bool has(Kind kind) const { return (bits_ >> static_cast<unsigned>(kind) & 1U) != 0; }
  [[nodiscard]] constexpr KindSet operator|(KindSet other) const {
    KindSet out;
    out.bits_ = bits_ | other.bits_;
    return out;
  }

 private:
  std::uint32_t bits_ = 0;
};
inline constexpr KindSet apps{Kind::app1, Kind::app2, Kind::app3, Kind::dev1, Kind::dev2};
inline constexpr KindSet qkdn{Kind::qkd, Kind::qkm, Kind::qkdnc};

struct Identity {
  std::string domain;  // [a-z0-9-]{1,32}
  Kind kind{};
  std::string name;  // [A-Za-z0-9._-]{1,64}

  [[nodiscard]] std::string uri() const;
  static Result<Identity> parse_uri(std::string_view uri);
  bool operator==(const Identity&) const = default;
};

}  // namespace qanat
