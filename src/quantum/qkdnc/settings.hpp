// What a QKDNC's configuration says beyond the common tables: [qkdnc], [qkdnc.controller_keys.<qkm>].
#pragma once

#include <filesystem>
#include <map>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "node/config.hpp"

namespace qanat::qkdnc {

struct QkdncSettings {
  UnixMs report_fresh_ms = 10000;                                // a QKM that has been silent for longer is not relayed over
  std::map<ElementName, std::filesystem::path> controller_keys;  // by QKM, for centralised relays

  static QkdncSettings read(node::Config& config) {
    QkdncSettings out;
    node::Config table = config.table("qkdnc");
    out.report_fresh_ms = static_cast<UnixMs>(table.integer("report_fresh_ms", 100, 600000, static_cast<std::int64_t>(out.report_fresh_ms)));
    node::Config keys = table.table("controller_keys");
    for (const std::string& qkm : keys.table_names()) {
      node::Config entry = keys.table(qkm);
      out.controller_keys.emplace(ElementName(qkm), entry.text("file"));
    }
    return out;
  }
};

}  // namespace qanat::qkdnc
