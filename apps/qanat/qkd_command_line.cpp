// The options of `qanat qkd simulate`, `process` and `clock`.
#include <CLI/CLI.hpp>
#include <memory>

#include "qkd_commands.hpp"

namespace qanat::app {
namespace {

void add_common(CLI::App& command, QkdOptions& options) {
  qkd::SessionSettings& settings = options.settings;
  command.add_option("--blocks", options.blocks, "blocks to try")->check(CLI::Range(1, 1000000))->capture_default_str();
  command.add_option("--block-size", settings.block_size, "sifted key-basis bits that a block has at least")
      ->check(CLI::Range(qkd::block_size_min, qkd::block_size_max))
      ->capture_default_str();
  command.add_option("--bound", options.bound, "finite-key bound (default: wiesemann-2026 with one decoy, lim-2014 with two)")
      ->check(CLI::IsMember({"wiesemann-2026", "lim-2014", "rusca-2018", "gllp"}));
  command.add_option("--reconciliation", options.reconciliation, "error correction")->check(CLI::IsMember({"cascade", "ldpc"}))->capture_default_str();
  command.add_option("--leak-model", options.leak_model, "what error correction is charged with")
      ->check(CLI::IsMember({"both_directions", "one_way"}))
      ->capture_default_str();
  command.add_option("--length-rule", options.length_rule, "fixed: lengths agreed beforehand from thresholds; observed: from the block's own counts")
      ->check(CLI::IsMember({"fixed", "observed"}))
      ->capture_default_str();
  command.add_option("--eps-sec", settings.eps_sec, "secrecy parameter of a block")->check(CLI::Range(1e-30, 0.5))->capture_default_str();
  command.add_option("--eps-cor", settings.eps_cor, "correctness parameter of a block")->check(CLI::Range(1e-30, 0.5))->capture_default_str();
  command.add_option("--qber-max", settings.qber_max, "error rate in either basis above which a block is given up")
      ->check(CLI::Range(0.001, 0.499))
      ->capture_default_str();
  command.add_option("--gate-rate", settings.parameters.gate_rate_hz, "pulses per second")->check(CLI::Range(1.0, 1e12))->capture_default_str();
  command.add_flag_callback(
      "--json", [&options] { options.output = Output::json; }, "print JSON");
}

/// Fibre and receiver: what the simulation makes clicks of; with recordings, what lengths are agreed on, the monitor expects and the loss is measured by.
void add_optics(CLI::App& command, qkd::LinkParameters& link) {
  command.add_option("--distance", link.distance_km, "fibre length, km")->check(CLI::Range(0.0, 1000.0))->capture_default_str();
  command.add_option("--attenuation", link.attenuation_db_per_km, "dB/km")->check(CLI::Range(0.0, 10.0))->capture_default_str();
  command.add_option("--receiver-loss", link.receiver_loss_db, "dB")->check(CLI::Range(0.0, 60.0))->capture_default_str();
  command.add_option("--detector-efficiency", link.detector_efficiency, "of one photon at the detector")->check(CLI::Range(1e-6, 1.0))->capture_default_str();
  command.add_option("--dark-counts", link.dark_count_probability, "per gate and detector")->check(CLI::Range(0.0, 0.1))->capture_default_str();
  command.add_option("--afterpulses", link.afterpulse_probability, "per click")->check(CLI::Range(0.0, 0.5))->capture_default_str();
  command.add_option("--misalignment", link.misalignment_error, "share of photons at the wrong detector")->check(CLI::Range(0.0, 0.5))->capture_default_str();
  command.add_option("--dead-time", link.dead_time_s, "s")->check(CLI::Range(0.0, 1.0))->capture_default_str();
  command.add_option("--dead-time-scope", link.dead_time_scope, "what a click blinds: receiver (default) or detector")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, qkd::DeadTimeScope>{{"receiver", qkd::DeadTimeScope::receiver}, {"detector", qkd::DeadTimeScope::detector}}));
}

void add_source(CLI::App& command, qkd::LinkParameters& link) {
  command.add_option("--mu", link.intensity, "mean photon numbers: signal, decoy, vacuum")->expected(3)->delimiter(',');
  command.add_option("--p", link.intensity_probability, "their probabilities; the third 0: one decoy")->expected(3)->delimiter(',');
  command.add_option("--key-basis", link.key_basis_probability, "probability of the key basis")->check(CLI::Range(0.01, 0.99));
}

void add_simulate(CLI::App& qkd, const std::function<void(CLI::App*, std::function<int()>)>& on) {
  CLI::App* command = qkd.add_subcommand("simulate", "one simulated link, real post-processing between two processes");
  command->footer(
      "\nExamples:\n  qanat qkd simulate --distance 50\n  qanat qkd simulate --sweep 0:150:10 --block-size 1000000 --plot rate.svg\n"
      "  qanat qkd simulate --distance 10 --eavesdropper intercept-resend");
  const auto options = std::make_shared<SimulateOptions>();
  options->common.settings.block_size = 1'000'000;
  qkd::LinkParameters& link = options->common.settings.parameters;
  add_common(*command, options->common);
  add_optics(*command, link);
  command->add_option("--sweep", options->sweep, "several distances: from:to:step, km");
  command->add_option("--eavesdropper", options->eavesdropper, "who sits on the line")
      ->check(CLI::IsMember({"none", "intercept-resend", "photon-number-splitting", "detector-blinding"}))
      ->capture_default_str();
  command->add_option("--eavesdropper-share", link.eavesdropper.share, "of the pulses")->check(CLI::Range(0.0, 1.0))->capture_default_str();
  command->add_option("--decoy", options->decoys, "decoys: one, two, vacuum-weak (default: as the bound wants)")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, DecoyChoice>{{"one", DecoyChoice::one}, {"two", DecoyChoice::two}, {"vacuum-weak", DecoyChoice::vacuum_weak}}));
  command->add_flag_callback(
      "--no-optimise", [options] { options->optimise = false; }, "usual intensities instead of the best for each distance");
  command->add_option("--plot", options->plot, "SVG of key rate against distance, beside published curves");
  on(command, [options] { return qkd_simulate(*options); });
}

void add_process(CLI::App& qkd, const std::function<void(CLI::App*, std::function<int()>)>& on) {
  CLI::App* command = qkd.add_subcommand("process", "recorded detections of both sides, made into key");
  command->footer(
      "\nExample:\n  qanat qkd process alice.events bob.events --block-size 100000 --mu 0.48,0.21,0.0002 --p 0.14,0.56,0.3 --key-basis 0.7\n"
      "Side files stand beside the event files with '.side' at the end, or are named. A recording is used once: FILE.used remembers how far.");
  const auto options = std::make_shared<ProcessOptions>();
  options->common.blocks = 1'000'000;
  qkd::LinkParameters& link = options->common.settings.parameters;
  add_common(*command, options->common);
  add_source(*command, link);
  add_optics(*command, link);
  command->add_option("alice", options->alice, "Alice's event file")->required()->check(CLI::ExistingFile);
  command->add_option("bob", options->bob, "Bob's event file")->required()->check(CLI::ExistingFile);
  command->add_option("--alice-side", options->alice_side, "Alice's side file")->check(CLI::ExistingFile);
  command->add_option("--bob-side", options->bob_side, "Bob's side file")->check(CLI::ExistingFile);
  command->add_option("--alice-origin", options->alice_origin, "time of pulse 0 by Alice's clock, units of 125 ps")->capture_default_str();
  command->add_option("--bob-origin", options->bob_origin, "the same by Bob's clock ('qanat qkd clock' finds it)")->capture_default_str();
  command->add_option("--alice-phase", options->alice_phase, "the rest of a unit")->check(CLI::Range(0.0, 1.0))->capture_default_str();
  command->add_option("--bob-phase", options->bob_phase, "the rest of a unit")->check(CLI::Range(0.0, 1.0))->capture_default_str();
  command->add_option("--window", options->window_s, "how far from its pulse's time an event may lie, s; 0: half a period")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--photocurrent-limit", link.photocurrent_limit_a, "A; 0: the receiver measures none")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  on(command, [options] { return qkd_process(*options); });
}

void add_clock(CLI::App& qkd, const std::function<void(CLI::App*, std::function<int()>)>& on) {
  CLI::App* command = qkd.add_subcommand("clock", "Bob's clock by Alice's, from recordings: what 'qanat qkd process' takes as --bob-origin and --bob-phase");
  command->footer("\nExample:\n  qanat qkd clock alice.events bob.events --gate-rate 1e9 --intensity signal");
  const auto options = std::make_shared<ClockOptions>();
  command->add_option("alice", options->alice, "Alice's event file")->required()->check(CLI::ExistingFile);
  command->add_option("bob", options->bob, "Bob's event file")->required()->check(CLI::ExistingFile);
  command->add_option("--alice-side", options->alice_side, "Alice's side file")->check(CLI::ExistingFile);
  command->add_option("--gate-rate", options->clock.gate_rate_hz, "pulses per second")->check(CLI::Range(1.0, 1e12))->capture_default_str();
  command->add_option("--alice-origin", options->clock.origin, "time of pulse 0 by Alice's clock, units of 125 ps")->capture_default_str();
  command->add_option("--alice-phase", options->clock.origin_phase, "the rest of a unit")->check(CLI::Range(0.0, 1.0))->capture_default_str();
  command->add_option("--intensity", options->wanted.intensity, "which of Alice's pulses are laid over Bob's clicks: one kind in ten periods or fewer")
      ->transform(CLI::CheckedTransformer(std::map<std::string, qkd::Intensity>{{"signal", qkd::Intensity::signal}, {"decoy", qkd::Intensity::decoy}}));
  command->add_option("--clicks", options->wanted.clicks_max, "of Bob's, from the first")->check(CLI::Range(8, 1000000))->capture_default_str();
  command->add_option("--search", options->wanted.pulses_max, "how far the clocks may differ, periods to either side")
      ->check(CLI::Range(1U, 1U << 24))
      ->capture_default_str();
  command->add_flag_callback(
      "--json", [options] { options->output = Output::json; }, "print JSON");
  on(command, [options] { return qkd_clock(*options); });
}

}  // namespace

void add_qkd_commands(CLI::App& qkd, const std::function<void(CLI::App*, std::function<int()>)>& on) {
  qkd.require_subcommand(0, 1);
  add_simulate(qkd, on);
  add_process(qkd, on);
  add_clock(qkd, on);
}

}  // namespace qanat::app
