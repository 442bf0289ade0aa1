// Kq-2, version 2: the messages of the centralised relay (docs/relay.md). Nodes N0 … Nn of a path share link keys k1 … kn. The near end N0 draws S and
// orders with x0 = S ⊕ k1; each relay Ni reports xi = ki ⊕ k(i+1); the controller forms X = x0 ⊕ … ⊕ x(n-1) = S ⊕ kn and delivers it to Nn.
// Every x travels sealed under a symmetric key that its element shares with the controller, besides TLS. With the x goes what the link keys so
// far are worth; a node that has not got the block of its incoming keys says so, and the node before it drops what is left of that block.
#pragma once

#include <span>
#include <vector>

#include "base/key_run.hpp"
#include "base/secret.hpp"
#include "points/key_proof.hpp"
#include "points/relay_path.hpp"
#include "wire/json.hpp"

namespace qanat::points {

inline constexpr std::size_t central_keys_max = 256;
inline constexpr std::size_t central_key_size = 32;
inline constexpr std::size_t central_confirmation_size = 32;
inline constexpr std::int64_t central_version = 2;

/// What every message of one relay says.
struct CentralRelay {
  BatchId relay_id;  // also of the keys that come out at both ends
  std::string origin_domain;
  std::string destination_domain;
  std::vector<ElementName> path;  // N0 … Nn
  std::uint16_t keys = 0;
  ProofDemand demand{};  // of each hop's keys, and of all together
};

/// N0 → controller. `runs`: k1, used up. `x`: x0, sealed. Also controller → Nn, with kn and X.
struct CentralHandover {
  CentralRelay relay;
  std::vector<KeyRun> runs;
  KeyProof proof{};  // of the link keys so far
  Bytes x;
};
/// Controller → Ni: report for hop `hop` = i, whose incoming link keys are these.
struct CentralReportOrder {
  CentralRelay relay;
  std::uint8_t hop = 0;
  std::vector<KeyRun> runs;
  KeyProof proof{};  // of the link keys so far
};
/// Ni → controller: its outgoing link keys, what all so far are worth, and xi, sealed. Or: chunks of the incoming keys that it has not got.
struct CentralReport {
  std::vector<KeyRun> runs;
  KeyProof proof{};
  Bytes x;
  std::vector<BatchId> missing{};  // nothing else then
};
/// Controller → Ni: the next node has not got these chunks of the link's keys. What is left of them is of no use.
struct CentralNotice {
  CentralRelay relay;
  std::uint8_t hop = 0;
  std::vector<BatchId> missing;
};
/// Nn → controller → N0: the proof that Nn has the secrets, and what they are worth. Or: node `hop` has not got these chunks.
struct CentralAnswer {
  Bytes confirmation;
  KeyProof proof{};
  std::uint8_t hop = 0;
  std::vector<BatchId> missing{};  // no confirmation then
};

wire::Json write(const CentralHandover& message);
wire::Json write(const CentralReportOrder& message);
wire::Json write(const CentralReport& message);
wire::Json write(const CentralNotice& message);
wire::Json write(const CentralAnswer& message);
/// invalid_argument, also if the runs are not as many keys as the relay has, or the path names a node twice.
Result<CentralHandover> read_central_handover(const wire::Json& body);
Result<CentralReportOrder> read_central_report_order(const wire::Json& body);
Result<CentralReport> read_central_report(const wire::Json& body, std::uint16_t keys);
Result<CentralNotice> read_central_notice(const wire::Json& body);
Result<CentralAnswer> read_central_answer(const wire::Json& body);

/// True if all of `missing` are chunks of `runs`: nobody is told to drop what was not named.
bool are_named(std::span<const BatchId> missing, std::span<const KeyRun> runs);

/// What the seal of an x is bound to: which relay, whose hop (0 … n), which link keys, worth what. A report moved to another relay or hop, or made
/// better than it was, does not open.
Bytes central_context(const CentralRelay& relay, std::uint8_t hop, std::span<const KeyRun> runs, const KeyProof& proof);

}  // namespace qanat::points
