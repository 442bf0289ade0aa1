// A header field that holds a secret: handed over as one, and wiped where it stood. Private to net/.
#pragma once

#include <boost/beast/http.hpp>
#include <optional>

#include "base/secret.hpp"

namespace qanat::net {

/// Overwrites the field's value where the message keeps it, as often as it is there.
template <class Message>
void wipe_field(Message& message, boost::beast::http::field name) {
  const auto [begin, end] = message.equal_range(name);
  for (auto field = begin; field != end; ++field) {
    const auto value = field->value();
    // The message's own storage, which is not const; the view of it is.
    wipe({reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), value.size()});  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  }
}

/// The value of the field, which the message then no longer has; the first if there are several, and nothing if there is none.
template <class Message>
std::optional<Secret> take_field(Message& message, boost::beast::http::field name) {
  const auto found = message.find(name);
  if (found == message.end()) return std::nullopt;
  const auto value = found->value();
  std::optional<Secret> out = Secret::copy_of({reinterpret_cast<const std::uint8_t*>(value.data()), value.size()});
  wipe_field(message, name);
  message.erase(name);
  return out;
}

}  // namespace qanat::net
