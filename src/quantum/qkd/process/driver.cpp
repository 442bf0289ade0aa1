#include "quantum/qkd/process/driver.hpp"

#include "base/secret_file.hpp"
#include "quantum/qkd/photonics/simulated_device.hpp"
#include "quantum/qkd/process/account.hpp"
#include "quantum/qkd/process/alice_end.hpp"
#include "quantum/qkd/process/bob_end.hpp"

namespace qanat::qkd {
namespace {

// The functions of a DrivenEnd own the end together: hence the shared pointers.

DrivenEnd driven(const std::shared_ptr<AliceEnd>& end) {
  DrivenEnd out;
  out.set_run = [end](bool run) { end->set_run(run); };
  out.facts = [end] { return end->facts(); };
  out.answer = [end](ByteView exchange, Deadline hold, Deadline) { return end->answer(exchange, hold); };
  return out;
}

DrivenEnd driven(const std::shared_ptr<VendorAlice>& end) {
  DrivenEnd out;
  out.set_run = [end](bool run) { end->set_run(run); };
  out.facts = [end] { return end->facts(); };
  out.answer = [end](ByteView exchange, Deadline hold, Deadline deadline) { return end->answer(exchange, hold, deadline); };
  return out;
}

template <class Bob>
DrivenEnd driven_bob(const std::shared_ptr<Bob>& end) {
  DrivenEnd out;
  out.set_run = [end](bool run) { end->set_run(run); };
  out.facts = [end] { return end->facts(); };
  out.turn = [end](Deadline deadline) { return end->turn(deadline); };
  return out;
}

Result<std::unique_ptr<AliceDevice>> open_alice(const QkdSettings& settings) {
  if (settings.driver == Driver::files) return open_file_alice(settings.recording);
  ASSIGN_OR_RETURN(Secret seed, read_secret_file(settings.simulated_fibre_seed, fibre_seed_size, 1));
  return open_simulated_alice(settings.session.parameters, std::move(seed));
}

Result<std::unique_ptr<BobDevice>> open_bob(const QkdSettings& settings, crypto::Rng& random) {
  if (settings.driver == Driver::files) return open_file_bob(settings.recording, random);
  ASSIGN_OR_RETURN(Secret seed, read_secret_file(settings.simulated_fibre_seed, fibre_seed_size, 1));
  return open_simulated_bob(settings.session.parameters, std::move(seed));
}

Result<DrivenEnd> open_optics(const QkdSettings& settings, EndParts parts, VendorBob::Send send) {
  DrivenEnd out;
  if (settings.role == Role::alice) {
    ASSIGN_OR_RETURN(auto device, open_alice(settings));
    out = driven(std::make_shared<AliceEnd>(std::move(parts), std::move(device)));
  } else {
    ASSIGN_OR_RETURN(auto device, open_bob(settings, parts.random));
    out = driven_bob(std::make_shared<BobEnd>(std::move(parts), std::move(device), std::move(send)));
  }
  if (settings.driver == Driver::files) {
    ASSIGN_OR_RETURN(out.origin, recording_origin(settings.recording, settings.role == Role::alice ? RecordingSide::alice : RecordingSide::bob));
  }
  out.describe_block = [&settings, origin = out.origin](std::uint64_t id, const BlockSummary& block) {
    return describe(settings.session, id, block, origin);
  };
  return out;
}

Result<DrivenEnd> open_vendor(const QkdSettings& settings, EndParts parts, VendorBob::Send send) {
  // A state that another driver left is refused now, not at the first exchange.
  ASSIGN_OR_RETURN(const auto state, parts.records.load_state_octets());
  if (state) TRY(VendorState::decode(state->reveal()));
  ASSIGN_OR_RETURN(VendorSource source, open_vendor_source(settings.vendor));
  VendorLedger::Parts ledger{.link = settings.session.link, .records = parts.records, .clock = parts.clock, .block_stored = std::move(parts.block_stored)};
  DrivenEnd out;
  if (settings.role == Role::alice) {
    out = driven(std::make_shared<VendorAlice>(std::move(ledger), std::move(source), VendorPace{}));
  } else {
    out = driven_bob(std::make_shared<VendorBob>(std::move(ledger), std::move(source), VendorPace{}, std::move(send)));
  }
  out.origin = RecordingOrigin::measured;
  out.describe_block = [&settings](std::uint64_t id, const BlockSummary& block) { return describe_vendor_block(settings.session.link, id, block); };
  return out;
}

}  // namespace

Result<DrivenEnd> open_end(const QkdSettings& settings, EndParts parts, VendorBob::Send send) {
  if (settings.driver == Driver::etsi014) return open_vendor(settings, std::move(parts), std::move(send));
  return open_optics(settings, std::move(parts), std::move(send));
}

}  // namespace qanat::qkd
