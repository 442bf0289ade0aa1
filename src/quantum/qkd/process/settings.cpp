#include "quantum/qkd/process/settings.hpp"

#include <cmath>

#include "node/configured_names.hpp"

namespace qanat::qkd {
namespace {

double read_third_probability(node::Config& table, double first, double second) {
  // 1 - 0.7 - 0.3 is not quite 0 in binary, and 0 means one decoy.
  const double rest = 1.0 - first - second;
  if (std::abs(rest) < 1e-9) return 0.0;
  if (rest < 0.0) table.reject("p_decoy", "adds up to more than 1 with p_signal");
  return rest;
}

void read_detectors(node::Config& table, LinkParameters& out) {
  out.detector_efficiency = table.real("detector_efficiency", 1e-6, 1.0, out.detector_efficiency);
  out.dark_count_probability = table.real("dark_count_probability", 0.0, 0.1, out.dark_count_probability);
  out.afterpulse_probability = table.real("afterpulse_probability", 0.0, 0.5, out.afterpulse_probability);
  out.afterpulse_decay_s = table.real("afterpulse_decay_s", 0.0, 1.0, out.afterpulse_decay_s);
  out.dead_time_s = table.real("dead_time_s", 0.0, 1.0, out.dead_time_s);
  if (const auto scope = dead_time_scope_from_name(table.text("dead_time_scope", name(out.dead_time_scope)))) {
    out.dead_time_scope = *scope;
  } else {
    table.reject("dead_time_scope", scope.error().message);
  }
  out.recovery_time_s = table.real("recovery_time_s", 0.0, 1.0, out.recovery_time_s);
  out.timing_jitter_s = table.real("timing_jitter_s", 0.0, 1.0, out.timing_jitter_s);
  out.effective_gate_width_s = table.real("effective_gate_width_s", 1e-15, 1.0, out.effective_gate_width_s);
  out.gate_rate_hz = table.real("gate_rate_hz", 1.0, 1e12, out.gate_rate_hz);
  out.photocurrent_limit_a = table.real("photocurrent_limit_a", 0.0, 1.0, out.photocurrent_limit_a);
}

void read_source(node::Config& table, LinkParameters& out) {
  out.intensity[0] = table.real("mu_signal", 0.0, 2.0, out.intensity[0]);
  out.intensity[1] = table.real("mu_decoy", 0.0, 2.0, out.intensity[1]);
  out.intensity[2] = table.real("mu_vacuum", 0.0, 2.0, out.intensity[2]);
  out.intensity_probability[0] = table.real("p_signal", 1e-6, 1.0, out.intensity_probability[0]);
  out.intensity_probability[1] = table.real("p_decoy", 1e-6, 1.0, out.intensity_probability[1]);
  out.intensity_probability[2] = read_third_probability(table, out.intensity_probability[0], out.intensity_probability[1]);
  out.key_basis_probability = table.real("key_basis_probability", 0.01, 0.99, out.key_basis_probability);
}

LinkParameters read_parameters(node::Config& table) {
  LinkParameters out;
  out.distance_km = table.real("distance_km", 0.0, 1000.0, out.distance_km);
  out.attenuation_db_per_km = table.real("attenuation_db_per_km", 0.0, 10.0, out.attenuation_db_per_km);
  out.receiver_loss_db = table.real("receiver_loss_db", 0.0, 60.0, out.receiver_loss_db);
  out.misalignment_error = table.real("misalignment_error", 0.0, 0.5, out.misalignment_error);
  read_detectors(table, out);
  read_source(table, out);
  if (const auto attack = attack_from_name(table.text("eavesdropper", name(out.eavesdropper.attack)))) {
    out.eavesdropper.attack = *attack;
  } else {
    table.reject("eavesdropper", attack.error().message);
  }
  out.eavesdropper.share = table.real("eavesdropper_share", 0.0, 1.0, out.eavesdropper.share);
  return out;
}

LeakModel read_leak_model(node::Config& table) {
  const std::string text = table.text("leak_model", name(LeakModel::both_directions));
  for (const LeakModel model : {LeakModel::one_way, LeakModel::both_directions}) {
    if (text == name(model)) return model;
  }
  table.reject("leak_model", "must be both_directions or one_way");
  return LeakModel::both_directions;
}

ReconciliationMethod read_reconciliation(node::Config& table) {
  const std::string text = table.text("reconciliation", name(ReconciliationMethod::cascade));
  for (const ReconciliationMethod method : {ReconciliationMethod::cascade, ReconciliationMethod::ldpc}) {
    if (text == name(method)) return method;
  }
  table.reject("reconciliation", "must be cascade or ldpc");
  return ReconciliationMethod::cascade;
}

/// Nothing when the configuration leaves the choice to the number of decoys.
std::optional<Bound> read_bound(node::Config& table) {
  const std::string text = table.text("bound", "");
  if (text.empty()) return std::nullopt;
  const auto bound = bound_from_name(text);
  if (bound) return *bound;
  table.reject("bound", bound.error().message);
  return std::nullopt;
}

Driver read_driver(node::Config& table) {
  const std::string text = table.text("driver", name(Driver::simulated));
  for (const Driver driver : {Driver::simulated, Driver::files, Driver::etsi014}) {
    if (text == name(driver)) return driver;
  }
  table.reject("driver", "must be simulated, files or etsi014");
  return Driver::simulated;
}

Recording read_recording(node::Config& table, Role role, double gate_rate_hz) {
  Recording out;
  out.events = table.text("recording_events");
  out.side = role == Role::alice ? table.text("recording_side") : table.text("recording_side", "");
  out.clock.gate_rate_hz = gate_rate_hz;
  out.clock.origin = static_cast<std::uint64_t>(table.integer("recording_origin", 0, std::int64_t{1} << 62, 0));
  out.clock.origin_phase = table.real("recording_origin_phase", 0.0, 1.0, out.clock.origin_phase);
  out.clock.window_s = table.real("recording_window_s", 0.0, 1.0, out.clock.window_s);
  if (const auto valid = out.clock.validate(); !valid) table.reject("recording_origin", valid.error().message);
  return out;
}

VendorAccess read_vendor(node::Config& table) {
  VendorAccess out;
  if (auto url = net::ForeignUrl::parse(table.text("vendor_kme"))) {
    out.kme = *std::move(url);
  } else {
    table.reject("vendor_kme", url.error().message);
  }
  out.tls.chains = {{.certificate = table.text("vendor_certificate"), .key = table.text("vendor_key")}};
  out.tls.roots = table.text("vendor_roots");
  out.tls.crls = table.text("vendor_crls", "");
  out.peer_sae = kme::SaeId(table.text("vendor_peer_sae"));
  if (out.peer_sae.text().size() > kme::sae_id_size_max) table.reject("vendor_peer_sae", "must be at most 256 octets");
  out.keys_per_block = static_cast<std::uint32_t>(table.integer("vendor_keys_per_block", 1, vendor_keys_max, out.keys_per_block));
  return out;
}

void read_first_key(node::Config& table, QkdSettings& out) {
  const std::string first_key = table.text("first_key", name(FirstKey::pre_shared));
  if (first_key != name(FirstKey::pre_shared) && first_key != name(FirstKey::pqc)) table.reject("first_key", "must be pre_shared or pqc");
  out.session.first_key = first_key == name(FirstKey::pqc) ? FirstKey::pqc : FirstKey::pre_shared;
  if (out.session.first_key == FirstKey::pre_shared) out.pre_shared_key = table.text("pre_shared_key");
}

/// How blocks are made of detections.
void read_processing(node::Config& table, SessionSettings& session) {
  session.block_size =
      static_cast<std::size_t>(table.integer("block_size", block_size_min, process_block_size_max, static_cast<std::int64_t>(session.block_size)));
  session.eps_sec = table.real("eps_sec", 1e-30, 0.5, session.eps_sec);
  session.eps_cor = table.real("eps_cor", 1e-30, 0.5, session.eps_cor);
  session.qber_max = table.real("qber_max", 0.001, 0.499, session.qber_max);
  session.reconciliation = read_reconciliation(table);
  session.bound = read_bound(table);
  if (const auto rule = length_rule_from_name(table.text("length_rule", name(session.length_rule)))) {
    session.length_rule = *rule;
  } else {
    table.reject("length_rule", rule.error().message);
  }
  session.leak_model = read_leak_model(table);
  session.authentication_reserve =
      static_cast<std::size_t>(table.integer("authentication_reserve", 2, 1000, static_cast<std::int64_t>(session.authentication_reserve)));
  session.authentication_target =
      static_cast<std::size_t>(table.integer("authentication_target", 4, 2048, static_cast<std::int64_t>(session.authentication_target)));
}

}  // namespace

std::string_view name(Role role) noexcept {
  switch (role) {
    case Role::alice:
      return "alice";
    case Role::bob:
      return "bob";
  }
  return "";
}

std::string_view name(Driver driver) noexcept {
  switch (driver) {
    case Driver::simulated:
      return "simulated";
    case Driver::files:
      return "files";
    case Driver::etsi014:
      return "etsi014";
  }
  return "";
}

QkdSettings QkdSettings::read(node::Config& config) {
  QkdSettings out;
  node::Config table = config.table("qkd");
  const std::string role = table.text("role");
  if (role != "alice" && role != "bob") table.reject("role", "must be alice or bob");
  out.role = role == "bob" ? Role::bob : Role::alice;
  out.peer = node::element_name(table, "peer");
  out.qkm = node::element_name(table, "qkm");
  out.site_key = table.text("site_key", "");
  out.driver = read_driver(table);
  out.session.link = LinkId(table.text("link"));
  if (out.driver == Driver::etsi014) {
    out.vendor = read_vendor(table);
  } else {
    read_first_key(table, out);
    out.session.parameters = read_parameters(table);
    read_processing(table, out.session);
    if (out.driver == Driver::simulated) out.simulated_fibre_seed = table.text("simulated_fibre_seed");
    if (out.driver == Driver::files) out.recording = read_recording(table, out.role, out.session.parameters.gate_rate_hz);
  }
  if (const auto valid = out.session.validate(); !valid) {
    table.reject("link", valid.error().message);
  } else if (out.driver != Driver::etsi014 && out.session.length_rule == LengthRule::fixed) {
    if (const auto ladder = out.session.acceptance_ladder(); !ladder) table.reject("block_size", ladder.error().message);
  }
  return out;
}

}  // namespace qanat::qkd
