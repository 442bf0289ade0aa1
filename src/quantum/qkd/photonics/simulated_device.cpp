#include "quantum/qkd/photonics/simulated_device.hpp"

namespace qanat::qkd {
namespace {

constexpr std::size_t skipped_per_call_max = std::size_t{1} << 24;

Result<void> check_arguments(const LinkParameters& parameters, const Secret& seed) {
  TRY(parameters.validate());
  if (seed.size() != fibre_seed_size)
    return fail(ErrorCode::invalid_argument, "simulated fibre: seed of " + std::to_string(seed.size()) + " octets where 32 belong");
  return {};
}

class SimulatedAlice final : public AliceDevice {
 public:
  SimulatedAlice(const LinkParameters& parameters, Secret seed) : parameters_(parameters), seed_(std::move(seed)) {}

  Result<void> start(const RunId& run) override {
    fibre_.emplace(parameters_, seed_, run);
    ahead_ = fibre_->next();
    next_askable_ = 0;
    skipped_ = 0;
    return {};
  }

  Result<EmissionRecord> emissions(std::span<const std::uint64_t> indices) override {
    if (!fibre_) return fail(ErrorCode::conflict, "simulated Alice: no run was started");
    EmissionRecord record{.bases = {}, .intensities = {}, .bits = Secret(indices.size())};
    record.bases.reserve(indices.size());
    skipped_ = 0;
    record.intensities.reserve(indices.size());
    for (std::size_t i = 0; i < indices.size(); ++i) {
      if (indices[i] < next_askable_) return fail(ErrorCode::invalid_argument, "simulated Alice: pulse indices do not ascend");
      next_askable_ = indices[i] + 1;
      TRY(skip_to(indices[i]));
      // Hardware knows every pulse that it sent, and so must this: an index that nobody detected gets its answer too.
      const Click pulse = ahead_.index == indices[i] ? ahead_ : fibre_->quiet_pulse(indices[i]);
      record.bases.push_back(pulse.alice_basis);
      record.intensities.push_back(pulse.intensity);
      record.bits.writable()[i] = pulse.alice_bit ? 1 : 0;
    }
    return Result<EmissionRecord>(std::move(record));
  }

 private:
  Result<void> skip_to(std::uint64_t index) {
    for (; ahead_.index < index; ++skipped_) {
      if (skipped_ > skipped_per_call_max) return fail(ErrorCode::invalid_argument, "simulated Alice: pulse index beyond any run");
      ahead_ = fibre_->next();
    }
    return {};
  }

  LinkParameters parameters_;
  Secret seed_;
  std::optional<SimulatedFibre> fibre_;
  Click ahead_;
  std::uint64_t next_askable_ = 0;
  std::size_t skipped_ = 0;
};

class SimulatedBob final : public BobDevice {
 public:
  SimulatedBob(const LinkParameters& parameters, Secret seed) : parameters_(parameters), seed_(std::move(seed)) {}

  Result<void> start(const RunId& run) override {
    run_ = run;
    return {};
  }

  Result<DetectionRecord> collect(std::size_t count) override {
    if (!run_) return fail(ErrorCode::conflict, "simulated Bob: no run was started");
    if (count == 0 || count > clicks_per_run_max)
      return fail(ErrorCode::invalid_argument, "simulated Bob: cannot collect " + std::to_string(count) + " clicks");
    SimulatedFibre fibre(parameters_, seed_, *run_);
    run_.reset();
    DetectionRecord record{.clicks = PackedClicks(count), .gates = 0, .monitor = {}};
    MonitorRecord& monitor = record.monitor;
    std::array<std::uint64_t, 2> avalanches{};
    for (std::size_t i = 0; i < count; ++i) {
      const Click click = fibre.next();
      record.clicks.add(click.index, click.bob_basis, click.bob_bit);
      monitor.double_clicks += click.is_double ? 1 : 0;
      for (unsigned detector = 0; detector < 2; ++detector) {
        const unsigned fired = click.fired >> detector & 1U;
        monitor.firings[detector] += fired;
        avalanches[detector] += click.is_forced ? 0 : fired;
      }
    }
    record.gates = record.clicks.last() + 1;
    monitor.gates = record.gates;
    monitor.photocurrent_a = photocurrents(avalanches, record.gates);
    return Result<DetectionRecord>(std::move(record));
  }

 private:
  [[nodiscard]] std::array<double, 2> photocurrents(const std::array<std::uint64_t, 2>& avalanches, std::uint64_t gates) const {
    const double seconds = static_cast<double>(gates) / parameters_.gate_rate_hz;
    const bool is_blinded = parameters_.eavesdropper.attack == Attack::detector_blinding;
    const double bright_light = is_blinded ? parameters_.eavesdropper.share * blinding_photocurrent_a : 0.0;
    std::array<double, 2> out{};
    for (std::size_t i = 0; i < 2; ++i) out[i] = bright_light + static_cast<double>(avalanches[i]) * avalanche_charge_c / seconds;
    return out;
  }

  LinkParameters parameters_;
  Secret seed_;
  std::optional<RunId> run_;
};

}  // namespace

Result<std::unique_ptr<AliceDevice>> open_simulated_alice(const LinkParameters& parameters, Secret fibre_seed) {
  TRY(check_arguments(parameters, fibre_seed));
  return Result<std::unique_ptr<AliceDevice>>(std::make_unique<SimulatedAlice>(parameters, std::move(fibre_seed)));
}

Result<std::unique_ptr<BobDevice>> open_simulated_bob(const LinkParameters& parameters, Secret fibre_seed) {
  TRY(check_arguments(parameters, fibre_seed));
  return Result<std::unique_ptr<BobDevice>>(std::make_unique<SimulatedBob>(parameters, std::move(fibre_seed)));
}

}  // namespace qanat::qkd
