// Which intensities, probabilities and basis bias give a link its best key rate.
#pragma once

#include <functional>
#include <vector>

#include "quantum/qkd/keyrate/link_model.hpp"

namespace qanat::qkd {

/// Nelder and Mead's downhill simplex (Computer Journal 7, 308, 1965), from `start` with edges of `step`: deterministic, without derivatives.
/// Stops when the simplex is flat to `tolerance` (relative) or after `evaluations_max` calls. Returns the best point.
std::vector<double> minimise(const std::function<double(const std::vector<double>&)>& f, const std::vector<double>& start, double step, double tolerance,
                             int evaluations_max);

struct Optimum {
  LinkParameters link;  // as given, but for the choices of the two ends
  ExpectedBlock block;
};

/// Best bits per second over q_x, the intensities and their probabilities. The third intensity stays as given (it is limited by the modulator);
/// whether one or two decoys are sent follows from the bound. For gllp the mean photon numbers are kept at nu >= 0.01 and each decoy at
/// p >= 1e-3, because without statistics the best decoy is the one that is never sent. The values in `link` are one of the starting points.
Result<Optimum> best_parameters(const LinkParameters& link, Bound bound, const BlockTarget& target);

/// The same choice of decoys that the bound wants, with usual values, where the link's own does not suit it.
LinkParameters suited_to(const LinkParameters& link, Bound bound);

}  // namespace qanat::qkd
