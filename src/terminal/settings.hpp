// What a terminal's configuration says beyond the common tables: [terminal] and [call].
#pragma once

#include "node/config.hpp"
#include "net/udp.hpp"
#include "terminal/rekey_plan.hpp"
#include "wire/qfc2_header.hpp"

namespace qanat::terminal {

/// Whether a call may go without a charged key that counts.
enum class ChargedCalls : std::uint8_t {
  optional,
  required_if_stocked,  // not once the medium was charged by file
  required,
};

struct TerminalSettings {
  Uid uid;          // the name in this terminal's identity
  Number number;    // E.164
  std::string kms;  // the subscriber's KMS: a name among [peers]
  net::Endpoint sip{.host = "127.0.0.1", .port = 0};  // where SIP is heard; port 0: any free one. Media uses the same address
  double pace = 1.0;                                   // how much faster than in real time media is played: for tests
  wire::Assurance min_assurance = wire::Assurance::local_rng;
  std::filesystem::path medium;  // secure medium with charged keys; empty: there is none
  ChargedCalls charged_keys = ChargedCalls::required_if_stocked;
  bool symmetric_mode = false;   // where certificates cannot be checked, be known by the medium's authentication set (the KMS must allow it)
  RekeyRules rekey = rekey_every(std::chrono::hours(1));  // [call]

  /// Such rules, with the usual limit: twice as long.
  static RekeyRules rekey_every(std::chrono::milliseconds after) { return {.after = after, .after_packets = 0, .limit = 2 * after}; }
  /// `uid` and `number` must be well formed, the address IPv4.
  static TerminalSettings read(node::Config& config);
};

}  // namespace qanat::terminal
