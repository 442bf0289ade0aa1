// What a QKDNC's configuration says beyond the common tables: [qkdnc].
#pragma once

#include "base/clock.hpp"
#include "node/config.hpp"

namespace qanat::qkdnc {

struct QkdncSettings {
  UnixMs report_fresh_ms = 10000;  // a QKM that has been silent for longer is not relayed over

  static QkdncSettings read(node::Config& config) {
    QkdncSettings out;
    node::Config table = config.table("qkdnc");
    out.report_fresh_ms = static_cast<UnixMs>(table.integer("report_fresh_ms", 100, 600000, static_cast<std::int64_t>(out.report_fresh_ms)));
    return out;
  }
};

}  // namespace qanat::qkdnc
