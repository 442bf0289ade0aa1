// What light and dark counts would do in a gate if both detectors were ready: without memory from gate to gate, hence drawn by skipping from
// one eventful gate to the next. An eavesdropper acts here; what detectors remember is in detectors.hpp.
#pragma once

#include <vector>

#include "quantum/qkd/photonics/eavesdropper.hpp"
#include "quantum/qkd/photonics/fibre_random.hpp"

namespace qanat::qkd {

/// One gate. Detector 0 stands for bit 0, detector 1 for bit 1; masks have bit i for detector i.
struct GateEvent {
  Basis alice_basis{};
  Intensity intensity{};
  bool alice_bit = false;
  Basis bob_basis{};
  unsigned photons = 0;                // that left Alice
  std::array<unsigned, 2> arrivals{};  // photons that each detector would detect
  unsigned dark = 0;                   // mask of dark counts
  unsigned forced = 0;                 // mask of detectors that an attacker's bright light makes click
  bool is_blinded = false;             // bright light keeps the detectors from avalanching
};

class Light {
 public:
  explicit Light(const LinkParameters& parameters);

  /// Gates without event before the next eventful one.
  std::uint64_t quiet_gates(FibreRandom& random) const;
  /// A gate, given that it is eventful.
  GateEvent eventful(FibreRandom& random) const;
  /// A gate, given that it is not.
  GateEvent quiet(FibreRandom& random) const;
  /// Alice's choices at a gate of which nothing is known but that it had no event; a function of the words.
  [[nodiscard]] GateEvent quiet_choice(const std::array<std::uint64_t, 4>& words) const;

 private:
  enum class Source : std::uint8_t { light, dark };
  /// One way in which a gate becomes eventful.
  struct Way {
    double weight = 0.0;
    Intensity intensity{};
    bool is_attacked = false;
    Source source{};
  };
  static constexpr std::size_t ways_max = 4 * intensity_count;

  void add_ways(std::size_t k);
  [[nodiscard]] Intensity pick_quiet_intensity(double u) const;
  void draw_choices(GateEvent& event, FibreRandom& random) const;
  /// A draw leaves its number behind as a fresh one: where in its interval it fell is uniform and says nothing more.
  const Way& pick_way(double& uniform) const;
  unsigned draw_undetected_split(std::size_t k, FibreRandom& random) const;
  void draw_split_photons(GateEvent& event, FibreRandom& random) const;
  void draw_dark(GateEvent& event, Source source, double& uniform, FibreRandom& random) const;
  void spread(GateEvent& event, unsigned detected, bool is_scrambled, FibreRandom& random) const;
  static void take_over(GateEvent& event, FibreRandom& random);

  LinkParameters parameters_;
  double no_dark_;  // that neither detector has a dark count
  double event_probability_ = 0.0;  // that a gate is eventful: some detector would fire
  double skip_scale_ = 0.0;        // 1 / ln(1 - event probability)
  std::uint64_t key_basis_below_;  // of 31 random bits
  std::vector<Way> ways_;
  std::array<double, ways_max> way_below_{};  // cumulative weights of ways_
  std::array<PoissonTable, intensity_count> detected_{};
  std::array<PoissonTable, intensity_count> lost_{};
  std::array<PoissonTable, intensity_count> sent_{};
  std::array<double, intensity_count> quiet_weight_{};    // cumulative; P(intensity | no event)
  std::array<double, intensity_count> quiet_attacked_{};  // P(attacked | no event, intensity)
  SplittingPlan plan_;
  std::array<std::array<double, photons_max + 1>, intensity_count> split_number_{};  // cumulative; P(n | attacked, detected, intensity)
};

}  // namespace qanat::qkd
