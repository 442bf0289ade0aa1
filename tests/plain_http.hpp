// One request over plain HTTP to a port of this machine, as any program sends it, and what came back.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <map>
#include <string>

#include "base/bytes.hpp"

namespace qanat::test {

struct PlainAnswer {
  int status = 0;  // 0: no answer
  std::map<std::string, std::string> fields;
  Bytes body;
};

/// Sends these octets and reads until the other end closes.
inline std::string exchange_plain(std::uint16_t port, std::string_view octets) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string out;
  if (descriptor >= 0 && ::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    while (!octets.empty()) {
      const ssize_t sent = ::send(descriptor, octets.data(), octets.size(), MSG_NOSIGNAL);
      if (sent <= 0) break;
      octets.remove_prefix(static_cast<std::size_t>(sent));
    }
    std::array<char, 16384> chunk{};
    for (ssize_t size = 0; (size = ::recv(descriptor, chunk.data(), chunk.size(), 0)) > 0;) out.append(chunk.data(), static_cast<std::size_t>(size));
  }
  if (descriptor >= 0) ::close(descriptor);
  return out;
}

inline PlainAnswer ask_plain(std::uint16_t port, const std::string& method, const std::string& target, const std::string& fields = "", ByteView body = {}) {
  std::string request = method + ' ' + target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + fields;
  if (!body.empty()) request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  request += "\r\n";
  request += as_text(body);
  const std::string answer = exchange_plain(port, request);
  PlainAnswer out;
  const std::size_t head_end = answer.find("\r\n\r\n");
  if (head_end == std::string::npos || !answer.starts_with("HTTP/1.1 ")) return out;
  out.status = std::atoi(answer.c_str() + 9);
  std::string_view head(answer.data(), head_end);
  for (std::size_t line = head.find("\r\n"); line != std::string_view::npos; line = head.find("\r\n")) {
    head.remove_prefix(line + 2);
    const std::string_view field = head.substr(0, head.find("\r\n"));
    const std::size_t colon = field.find(": ");
    if (colon != std::string_view::npos) out.fields.emplace(field.substr(0, colon), field.substr(colon + 2));
  }
  out.body = to_bytes(std::string_view(answer).substr(head_end + 4));
  return out;
}

}  // namespace qanat::test
