// What a working key is for: the class of traffic between two ends of one kind. It follows from the applicant's certificate, not from what it says.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/identity.hpp"

namespace qanat::kms {

enum class Traffic : std::uint8_t {
  voice,    // APP-1 (Ax-1)
  message,  // APP-2 (Ax-2)
  cloud,    // APP-3 (Ax-3)
  gateway,  // DEV-1 (Dx-1)
  device,   // DEV-2 (Dx-2)
};
inline constexpr std::array all_traffic{Traffic::voice, Traffic::message, Traffic::cloud, Traffic::gateway, Traffic::device};

/// Part of the database's format and of the settings' names.
constexpr std::string_view name(Traffic traffic) noexcept {
  switch (traffic) {
    case Traffic::voice:
      return "voice";
    case Traffic::message:
      return "message";
    case Traffic::cloud:
      return "cloud";
    case Traffic::gateway:
      return "gateway";
    case Traffic::device:
      return "device";
  }
  return "?";
}

constexpr std::optional<Traffic> traffic_from_name(std::string_view text) noexcept {
  for (const Traffic traffic : all_traffic) {
    if (name(traffic) == text) return traffic;
  }
  return std::nullopt;
}

/// Nothing for who is no application and no device.
constexpr std::optional<Traffic> traffic_of(Kind kind) noexcept {
  switch (kind) {
    case Kind::app1:
      return Traffic::voice;
    case Kind::app2:
      return Traffic::message;
    case Kind::app3:
      return Traffic::cloud;
    case Kind::dev1:
      return Traffic::gateway;
    case Kind::dev2:
      return Traffic::device;
    case Kind::qkd:
    case Kind::qkm:
    case Kind::qkdnc:
    case Kind::kms:
    case Kind::cmsp:
    case Kind::cas:
    case Kind::iam:
    case Kind::ccs:
    case Kind::op:
    case Kind::sae:
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace qanat::kms
