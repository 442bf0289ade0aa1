// What `qanat terminal` runs: enrolment, a call to somebody, a call from somebody; each on an opened Node, with the terminal's own state loaded
// for its duration. One process at a time may use a terminal's state.
#pragma once

#include <filesystem>
#include <functional>

#include "node/node.hpp"
#include "terminal/settings.hpp"
#include "wire/json.hpp"

namespace qanat::terminal {

/// Progress for display: {"event", "t_us" (Unix time), "what"} and where they apply "step" (of the twelve) and "ms" (how long it took).
/// One call at a time.
using EventSink = std::function<void(const wire::Json& event)>;

struct SoundPlan {
  std::filesystem::path wav_in;   // what this end says: PCM, 16 bits, mono, 8000 Hz
  std::filesystem::path wav_out;  // what it hears
  std::filesystem::path capture;  // pcapng of every datagram sent and received; empty: none
};

struct CallPlan {
  Number callee;
  net::Endpoint callee_sip;
  SoundPlan sound;
  EventSink event;
};

struct AnswerPlan {
  SoundPlan sound;
  std::chrono::milliseconds wait_max{60'000};  // until somebody calls
  EventSink event;
};

/// Steps 1 and 2; does nothing if they are done. {"uid", "number", "kms", "serial_ml_dsa", "serial_classical", "enc_kid"} and what list_certificates() gives.
Result<wire::Json> enrol_terminal(node::Node& node, const TerminalSettings& settings);
/// What CAS says was issued in this terminal's name: {"uid", "number", "kms"} and the members of to_json() in issuances.hpp.
Result<wire::Json> list_certificates(node::Node& node, const TerminalSettings& settings);
/// New signing keys and certificates for all four keys now, or the rest of a renewal that was begun. The same value.
Result<wire::Json> renew_terminal(node::Node& node, const TerminalSettings& settings);
/// The whole call. The value says how it went: see the report's members in process.cpp. The capture is written after a failed call too.
Result<wire::Json> place_call(node::Node& node, const TerminalSettings& settings, const CallPlan& plan);
/// `listening` is called with the SIP port as soon as a call can come.
Result<wire::Json> answer_call(node::Node& node, const TerminalSettings& settings, const AnswerPlan& plan, const std::function<void(std::uint16_t sip_port)>& listening);

}  // namespace qanat::terminal
