// target: qanat_wire
#include "wire/json.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using qanat::wire::Json;
  const auto json = Json::parse(qanat::ByteView(octets, size));
  if (!json) return 0;
  // What was read is written as text that reads as the same.
  const auto again = Json::parse(json->dump());
  if (!again || again->dump() != json->dump()) std::abort();
  for (const std::string& name : json->names()) {
    if (!json->at(name)) std::abort();
    (void)json->text(name);
    (void)json->integer(name, 0, 9);
    (void)json->texts(name);
    (void)json->base64(name);
    (void)json->optional_object(name);
  }
  return 0;
}
