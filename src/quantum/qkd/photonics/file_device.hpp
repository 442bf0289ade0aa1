// Device drivers over recordings: what a real source and a real receiver wrote down, or what the simulator exported. Formats:
// event_file.hpp. A recording is used up front to back and never twice: making two keys of the same clicks would betray both. How far it is
// used stands in a file beside it (".used"), which is stored before anything is handed out, so that a restart goes on behind it.
#pragma once

#include <filesystem>
#include <memory>

#include "crypto/random.hpp"
#include "quantum/qkd/photonics/device.hpp"
#include "quantum/qkd/photonics/event_clock.hpp"

namespace qanat::qkd {

/// One side's recording.
struct Recording {
  std::filesystem::path events;
  std::filesystem::path side;  // Alice's is required; Bob's may be empty: then the detectors' patterns say basis and bit
  EventClock clock;
};

/// Pulses that Alice's recording must hold as far as they are asked for: all of them or a selection. The side file is read through once before
/// this returns; its entries belong to the events one by one. invalid_argument: malformed, says where. not_found: no such file.
Result<std::unique_ptr<AliceDevice>> open_file_alice(const Recording& recording);

/// Bob's clicks. Several events of one pulse become one: with different outcomes in one basis a random bit, in both bases a random basis of
/// the two and a random bit. Events outside every gate are left out. `random` must outlive the device. Without a side file there is no
/// photocurrent, which check_monitor() wants to be told by photocurrent_limit_a = 0.
Result<std::unique_ptr<BobDevice>> open_file_bob(const Recording& recording, crypto::Rng& random);

/// What the side file says of itself. Measured when there is none (Bob's may be missing): then nobody says otherwise.
Result<RecordingOrigin> recording_origin(const Recording& recording, RecordingSide side);

/// What Alice's exported files hold: the pulses that clicked (few, as long as the simulation is the only reader), or all.
enum class ExportedPulses : std::uint8_t { clicked, all };

struct ExportRequest {
  std::size_t clicks = 0;
  ExportedPulses pulses = ExportedPulses::clicked;
  Recording alice;
  Recording bob;
};

/// Writes what a *simulated* run of the link would have recorded on both sides, with jitter on Bob's tags. The clocks' gate frequency must be
/// the link's. The four files must not be there yet. The simulated time that it covers, in seconds.
Result<double> export_events(const LinkParameters& link, const Secret& fibre_seed, const RunId& run, const ExportRequest& request);

}  // namespace qanat::qkd
