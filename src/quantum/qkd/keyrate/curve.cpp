#include "quantum/qkd/keyrate/curve.hpp"

#include "quantum/qkd/keyrate/optimise.hpp"

namespace qanat::qkd {
namespace {

constexpr double published_db_per_km = 0.2;  // where a source gives decibels, km of the usual fibre

// Lim et al., PRA 89, 022307 (2014), parameters of figure 1; best parameters at each distance, secret bits per pulse. Computed from the paper's
// equations, independently of this program; the paper prints a figure, no numbers.
constexpr std::array lim_1e5{PublishedPoint{0, 1.308e-3},   PublishedPoint{25, 3.995e-4},  PublishedPoint{50, 1.236e-4}, PublishedPoint{75, 3.745e-5},
                             PublishedPoint{100, 1.040e-5}, PublishedPoint{125, 2.091e-6}, PublishedPoint{150, 1.176e-7}};
constexpr std::array lim_1e7{PublishedPoint{0, 5.355e-3},   PublishedPoint{25, 1.647e-3},  PublishedPoint{50, 5.139e-4},  PublishedPoint{75, 1.593e-4},
                             PublishedPoint{100, 4.766e-5}, PublishedPoint{125, 1.312e-5}, PublishedPoint{150, 2.635e-6}, PublishedPoint{175, 3.137e-8}};
constexpr std::array lim_1e9{PublishedPoint{0, 9.203e-3},   PublishedPoint{25, 2.843e-3},  PublishedPoint{50, 8.897e-4},  PublishedPoint{75, 2.777e-4},
                             PublishedPoint{100, 8.537e-5}, PublishedPoint{125, 2.474e-5}, PublishedPoint{150, 5.861e-6}, PublishedPoint{175, 4.394e-7}};

// Gobby-Yuan-Shields parameters as in Ma et al., PRA 72, 012326 (2005), mu = 0.48, nu = 0.05; secret bits per signal pulse, endless keys.
constexpr std::array gys{PublishedPoint{0, 2.4142e-3},   PublishedPoint{20, 9.0777e-4},  PublishedPoint{50, 2.0962e-4}, PublishedPoint{80, 4.6847e-5},
                         PublishedPoint{100, 1.6020e-5}, PublishedPoint{120, 4.3686e-6}, PublishedPoint{140, 7.3779e-8}};

// Rusca et al., APL 112, 171104 (2018): 1 GHz, detectors of 50 %, dead for 100 ns; bit/s at the best parameters, computed from the paper's equations.
constexpr PublishedPoint at_db(double loss_db, double rate) { return {loss_db / published_db_per_km, rate}; }
constexpr std::array rusca_1e7{at_db(0, 5.105e6),  at_db(10, 2.286e6), at_db(20, 4.457e5), at_db(26, 1.239e5),
                               at_db(30, 5.044e4), at_db(40, 5074),    at_db(50, 468.6),   at_db(60, 17.0)};

// Wiesemann et al., arXiv:2405.16578: default parameters of the authors' program (625 MHz, perfect detectors, 2 % errors), bit/s as it prints them.
constexpr std::array wiesemann_1e7{PublishedPoint{0, 43346362.331}, PublishedPoint{25, 9285753.272}, PublishedPoint{50, 2390195.937},
                                   PublishedPoint{75, 696941.169},  PublishedPoint{100, 213889.548}, PublishedPoint{125, 66497.915},
                                   PublishedPoint{150, 20429.890},  PublishedPoint{200, 1346.907}};
constexpr std::array wiesemann_1e8{PublishedPoint{0, 61000238.142}, PublishedPoint{25, 15724435.778}, PublishedPoint{50, 4533675.815},
                                   PublishedPoint{75, 1386452.144}, PublishedPoint{100, 433182.802},  PublishedPoint{125, 136022.101},
                                   PublishedPoint{150, 42484.459},  PublishedPoint{200, 3625.374}};

constexpr std::array toshiba{PublishedPoint{10, 13.72e6}};  // 2 dB
constexpr std::array ustc{PublishedPoint{10, 115.8e6}};

constexpr std::array catalogue{
    PublishedCurve{"Lim 2014, n = 10⁵", "PRA 89, 022307, fig. 1 (recomputed)", Publication::model, RateUnit::bits_per_pulse, lim_1e5},
    PublishedCurve{"Lim 2014, n = 10⁷", "PRA 89, 022307, fig. 1 (recomputed)", Publication::model, RateUnit::bits_per_pulse, lim_1e7},
    PublishedCurve{"Lim 2014, n = 10⁹", "PRA 89, 022307, fig. 1 (recomputed)", Publication::model, RateUnit::bits_per_pulse, lim_1e9},
    PublishedCurve{"GYS, vacuum + weak decoy", "PRA 72, 012326 (recomputed)", Publication::model, RateUnit::bits_per_pulse, gys},
    PublishedCurve{"Rusca 2018, n = 10⁷", "APL 112, 171104 (recomputed)", Publication::model, RateUnit::bits_per_second, rusca_1e7},
    PublishedCurve{"Wiesemann 2026, N = 10⁷", "arXiv:2405.16578, authors' program", Publication::model, RateUnit::bits_per_second, wiesemann_1e7},
    PublishedCurve{"Wiesemann 2026, N = 10⁸", "arXiv:2405.16578, authors' program", Publication::model, RateUnit::bits_per_second, wiesemann_1e8},
    PublishedCurve{"Toshiba 2018, measured", "arXiv:1807.04484", Publication::experiment, RateUnit::bits_per_second, toshiba},
    PublishedCurve{"USTC 2023, measured", "arXiv:2307.02364", Publication::experiment, RateUnit::bits_per_second, ustc},
};

}  // namespace

Result<std::vector<CurvePoint>> computed_curve(const LinkParameters& link, Bound bound, const BlockTarget& target, std::span<const double> distances_km,
                                               Choices choices) {
  std::vector<CurvePoint> out;
  LinkParameters at = link;
  for (const double distance_km : distances_km) {
    if (!(distance_km >= 0.0)) return fail(ErrorCode::invalid_argument, "distance " + std::to_string(distance_km) + " km: must not be negative");
    at.distance_km = distance_km;
    Optimum point{.link = at, .block = {}};
    if (choices == Choices::best_anywhere) {
      ASSIGN_OR_RETURN(point, best_parameters(at, bound, target));
      at = point.link;  // a good place to start for the next distance
    } else {
      ASSIGN_OR_RETURN(point.block, expected_block(at, bound, target));
    }
    const bool key = point.block.output.bits() > 0;
    out.push_back({.distance_km = distance_km,
                   .bits_per_pulse = key ? point.block.bits_per_pulse() : 0.0,
                   .bits_per_second = key ? point.block.bits_per_second() : 0.0,
                   .qber = point.block.qber,
                   .phase_error = point.block.output.phase_error,
                   .link = point.link});
  }
  return Result<std::vector<CurvePoint>>(std::move(out));
}

std::vector<double> distances_up_to(double last_km, std::size_t count) {
  std::vector<double> out(count);
  for (std::size_t i = 0; i < count; ++i) out[i] = last_km * static_cast<double>(i) / static_cast<double>(count - 1);
  return out;
}

std::span<const PublishedCurve> published_curves() { return catalogue; }

}  // namespace qanat::qkd
