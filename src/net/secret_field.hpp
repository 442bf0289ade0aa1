// A header field that holds a secret: handed over as one, and wiped where it stood. Private to net/.
#pragma once

#include <boost/beast/http.hpp>
#include <memory>

#include "base/secret.hpp"

namespace qanat::net {

/// Overwrites the field's value where the message keeps it.
template <class Message>
void wipe_field(Message& message, boost::beast::http::field name) {
  const auto found = message.find(name);
  if (found == message.end()) return;
  const auto value = found->value();
  // The message's own storage, which is not const; the view of it is.
  wipe({reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), value.size()});  // NOLINT(cppcoreguidelines-pro-type-const-cast)
}

/// The value of the field, which the message then no longer has; nullptr if there is none.
template <class Message>
std::shared_ptr<const Secret> take_field(Message& message, boost::beast::http::field name) {
  const auto found = message.find(name);
  if (found == message.end()) return nullptr;
  const auto value = found->value();
  auto out = std::make_shared<const Secret>(Secret::copy_of({reinterpret_cast<const std::uint8_t*>(value.data()), value.size()}));
  wipe_field(message, name);
  message.erase(name);
  return out;
}

}  // namespace qanat::net
