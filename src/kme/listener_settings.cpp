#include "kme/listener_settings.hpp"

namespace qanat::kme {

net::ForeignSettings read_listener(node::Config& table) {
  net::ForeignSettings out;
  out.address = table.text("address", "127.0.0.1");
  out.port = static_cast<std::uint16_t>(table.integer("port", 0, 65535, 0));
  out.tls.roots = table.text("roots");
  out.tls.crls = table.text("crls", "");
  node::Config chains = table.table("chains");
  for (const std::string& name : chains.table_names()) {
    node::Config chain = chains.table(name);
    out.tls.chains.push_back({.certificate = chain.text("certificate"), .key = chain.text("key")});
  }
  if (out.tls.chains.empty()) table.reject("chains", "at least one chain is needed");
  out.limits.connections_max = static_cast<std::size_t>(table.integer("connections_max", 1, 100000, static_cast<std::int64_t>(out.limits.connections_max)));
  out.limits.io_threads = static_cast<std::size_t>(table.integer("io_threads", 1, 64, static_cast<std::int64_t>(out.limits.io_threads)));
  return out;
}

}  // namespace qanat::kme
