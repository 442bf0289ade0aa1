// How many secret bits a block holds: one interface over the published finite-key bounds. Which one a link uses is configuration; it is
// logged with every block together with its inputs.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "quantum/qkd/photonics/link.hpp"

namespace qanat::qkd {

/// wiesemann_2026: arXiv:2405.16578 v3, one decoy. lim_2014: PRA 89, 022307, two decoys. rusca_2018: APL 112, 171104, one decoy.
/// gllp: Ma, Qi, Zhao, Lo 2005, vacuum + weak decoy, asymptotic: no finite-key claim.
enum class Bound : std::uint8_t { wiesemann_2026 = 1, lim_2014 = 2, rusca_2018 = 3, gllp = 4 };
std::string_view name(Bound bound) noexcept;
/// The bound with this configuration name ("wiesemann-2026", "lim-2014", "rusca-2018", "gllp"); invalid_argument lists them.
Result<Bound> bound_from_name(std::string_view text);

/// Events by intensity. Real numbers, because link models work with expectations.
using IntensityCounts = std::array<double, intensity_count>;

struct BoundInput {
  Bound bound = Bound::wiesemann_2026;
  std::array<double, intensity_count> mu{};  // mean photon numbers, signal first; with one decoy the third is unused
  std::array<double, intensity_count> p{};   // their probabilities; p[2] == 0 means one decoy
  double key_basis_probability = 0.0;        // of Alice choosing the key basis
  double pulses = 0.0;                       // sent while the block was collected (gllp needs gains)
  IntensityCounts n_key{};                   // sifted events, key basis
  IntensityCounts m_key{};                   // errors among them: known after error correction
  IntensityCounts n_check{};                 // sifted events, check basis
  IntensityCounts m_check{};                 // errors among them
  double lambda_EC = 0.0;                    // bits disclosed during error correction and verification
  double eps_sec = 0.0;
  double eps_cor = 0.0;
};

struct BoundOutput {
  double vacuum = 0.0;         // vacuum events in the key basis, at least (0 where the bound does not use them)
  double single = 0.0;         // single-photon events in the key basis, at least
  double single_check = 0.0;   // single-photon events in the check basis, at least
  double single_errors = 0.0;  // errors among those, at most
  double phase_error = 0.5;    // of the single-photon events in the key basis, at most
  double length = 0.0;         // secret bits before rounding down; zero or negative: no key
  std::string why;             // if there is no key: which quantity left none

  /// Whole secret bits; 0 when there is no key.
  [[nodiscard]] std::uint64_t bits() const {
    if (!(length >= 1.0)) return 0;
    return length < 0x1p63 ? static_cast<std::uint64_t>(length) : std::uint64_t{1} << 63U;  // endless keys, in models
  }
};

/// invalid_argument when the intensities or counts do not suit the bound (two decoys where it takes one, …); otherwise an answer, also when
/// that is "no key".
Result<BoundOutput> key_length(const BoundInput& input);

}  // namespace qanat::qkd
