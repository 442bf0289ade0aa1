// target: qanat_terminal
// What comes from WireGuard's socket, and the connection that an operator writes.
#include <algorithm>

#include "base/check.hpp"
#include "terminal/gateway/connection_file.hpp"
#include "terminal/gateway/uapi_message.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  using namespace qanat::terminal::gateway;
  const ByteView octets(data, size);
  Bytes answer = to_bytes(octets);
  if (const auto peer = read_uapi_get(answer, "aa")) CHECK(peer->preshared_key.size() == wireguard_key_octets && uapi_complete(answer));
  if (read_uapi_set(octets)) CHECK(as_text(octets) == "errno=0\n\n");
  const auto connection = parse_connection(as_text(octets), [](const std::string&) -> Result<std::string> { return std::string("file"); });
  if (!connection) return 0;
  CHECK(!connection->name.empty() && !connection->settings.has("ppk_required"));
  ViciSection message;
  message.set(connection->name, connection->settings);
  (void)encode_vici(ViciPacket::command, "load-conn", message);
  return 0;
}
