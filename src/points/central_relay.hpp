// Kq-2: the messages of the centralised relay (docs/relay.md). Nodes N0 … Nn of a path share link keys k1 … kn. The near end N0 draws S and
// orders with x0 = S ⊕ k1; each relay Ni reports xi = ki ⊕ k(i+1); the controller forms X = x0 ⊕ … ⊕ x(n-1) = S ⊕ kn and delivers it to Nn.
// Every x travels sealed under a symmetric key that its element shares with the controller, besides TLS.
#pragma once

#include <vector>

#include "base/key_run.hpp"
#include "base/secret.hpp"
#include "wire/json.hpp"

namespace qanat::points {

inline constexpr std::size_t central_keys_max = 256;
inline constexpr std::size_t central_key_size = 32;
inline constexpr std::size_t central_nodes_max = 16;

/// What every message of one relay says.
struct CentralRelay {
  BatchId relay_id;  // also of the keys that come out at both ends
  std::string origin_domain;
  std::string destination_domain;
  std::vector<ElementName> path;  // N0 … Nn
  std::uint16_t keys = 0;
};

/// N0 → controller. `runs`: k1, used up. `x`: x0, sealed. Also controller → Nn, with kn and X.
struct CentralHandover {
  CentralRelay relay;
  std::vector<KeyRun> runs;
  Bytes x;
};
/// Controller → Ni: report for hop `hop` = i, whose incoming link keys are these.
struct CentralReportOrder {
  CentralRelay relay;
  std::uint8_t hop = 0;
  std::vector<KeyRun> runs;
};
/// Ni → controller: its outgoing link keys, and xi, sealed.
struct CentralReport {
  std::vector<KeyRun> runs;
  Bytes x;
};

wire::Json write(const CentralHandover& message);
wire::Json write(const CentralReportOrder& message);
wire::Json write(const CentralReport& message);
/// invalid_argument, also if the runs are not as many keys as the relay has, or the path names a node twice.
Result<CentralHandover> read_central_handover(const wire::Json& body);
Result<CentralReportOrder> read_central_report_order(const wire::Json& body);
Result<CentralReport> read_central_report(const wire::Json& body, std::uint16_t keys);

/// What the seal of an x is bound to: which relay, whose hop (0 … n), which link keys. A report moved to another relay or hop does not open.
Bytes central_context(const CentralRelay& relay, std::uint8_t hop, std::span<const KeyRun> runs);

}  // namespace qanat::points
