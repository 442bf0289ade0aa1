// What the QKM knows of its links besides their keys: how much is in stock, what their QKDs reported, and whether they shall go on.
#pragma once

#include <map>
#include <mutex>
#include <vector>

#include "quantum/qkm/stock.hpp"
#include "quantum/qkm/link_keys.hpp"

namespace qanat::qkm {

struct WaterMarks {
  std::int64_t low = 0;   // a link with fewer keys in either direction runs …
  std::int64_t high = 0;  // … until it has this many in both
};

/// Of the newest block.
struct LinkReport {
  double qber = 0.0;
  double rate_bps = 0.0;  // over the optics' own time
  double loss_db = 0.0;   // of the light: fibre, receiver, detection efficiency; no dead time. 0: not told
  bool simulated = false;
  points::KeyProof proof{};
};

struct LinkView {
  LinkId link;
  LinkStock stock;
  LinkReport report;
  bool runs = false;
  bool alive = false;  // its QKD was heard of lately
};

class Links {
 public:
  Links(std::vector<LinkId> links, WaterMarks marks);

  void set_stock(const LinkId& link, LinkStock stock);
  void set_report(const LinkId& link, LinkReport report, UnixMs now);
  /// Whether the link shall run; as soon as that differs from `have`, at the latest at the deadline. Notes that the QKD is there.
  bool await_run(const LinkId& link, bool have, Deadline deadline, const Clock& clock);
  [[nodiscard]] std::vector<LinkView> view(UnixMs now) const;

 private:
  struct State {
    LinkStock stock;
    LinkReport report;
    bool runs = true;
    UnixMs heard_ms = 0;
  };
  const WaterMarks marks_;
  mutable std::mutex mutex_;
  std::map<LinkId, State> states_;
  Arrivals changes_;
};

}  // namespace qanat::qkm
