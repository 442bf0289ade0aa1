#include "quantum/qkd/keyrate/optimise.hpp"

#include <algorithm>
#include <cmath>

namespace qanat::qkd {
namespace {

using Point = std::vector<double>;

constexpr double mu_max = 1.0;        // brighter signals never help: two photons are no secret
constexpr double gllp_nu_min = 0.01;  // see best_parameters
constexpr double gllp_decoy_probability_min = 1e-3;
constexpr int rounds_of_a_search = 4;  // a simplex that has collapsed early is opened again
constexpr int evaluations_per_round = 1500;
constexpr double flat = 1e-11;
constexpr double easy_block = 1e9;  // sifted bits
constexpr int turns = 8;
constexpr double step_of_descent = 0.3;  // of the logarithm of the block size

double to_unit(double x) { return 1.0 / (1.0 + std::exp(-x)); }
double from_unit(double u) {
  const double inside = std::clamp(u, 1e-9, 1.0 - 1e-9);
  return std::log(inside / (1.0 - inside));
}

/// The free choices as unbounded numbers: q_x, mu1, mu2 / room, p of the decoys.
LinkParameters at(const LinkParameters& base, Bound bound, const Point& x) {
  LinkParameters link = base;
  link.key_basis_probability = to_unit(x[0]);
  link.intensity[0] = mu_max * to_unit(x[1]);
  link.intensity_probability[0] = to_unit(x[3]);
  switch (bound) {
    case Bound::wiesemann_2026:
    case Bound::rusca_2018:
      link.intensity[1] = link.intensity[0] * to_unit(x[2]);
      link.intensity[2] = 0.0;
      link.intensity_probability[1] = 1.0 - link.intensity_probability[0];
      link.intensity_probability[2] = 0.0;
      break;
    case Bound::lim_2014: {
      const double dim = base.intensity[2];
      link.intensity[0] += 3.0 * dim;
      link.intensity[1] = dim + (link.intensity[0] - 2.0 * dim) * to_unit(x[2]);
      link.intensity_probability[1] = (1.0 - link.intensity_probability[0]) * to_unit(x[4]);
      link.intensity_probability[2] = 1.0 - link.intensity_probability[0] - link.intensity_probability[1];
      break;
    }
    case Bound::gllp:
      link.intensity[0] += gllp_nu_min;
      link.intensity[2] = 0.0;
      link.intensity[1] = gllp_nu_min + (link.intensity[0] - gllp_nu_min) * to_unit(x[2]);
      link.intensity_probability[1] = std::max(gllp_decoy_probability_min, (1.0 - link.intensity_probability[0]) * to_unit(x[4]));
      link.intensity_probability[2] = std::max(gllp_decoy_probability_min, 1.0 - link.intensity_probability[0] - link.intensity_probability[1]);
      link.intensity_probability[0] = 1.0 - link.intensity_probability[1] - link.intensity_probability[2];
      break;
  }
  return link;
}

Point coordinates(const LinkParameters& link, Bound bound) {
  const double dim = bound == Bound::lim_2014 ? link.intensity[2] : 0.0;
  const double decoys = 1.0 - link.intensity_probability[0];
  Point x{from_unit(link.key_basis_probability), from_unit((link.intensity[0] - 3.0 * dim) / mu_max),
          from_unit((link.intensity[1] - dim) / (link.intensity[0] - 2.0 * dim)), from_unit(link.intensity_probability[0])};
  if (bound == Bound::lim_2014 || bound == Bound::gllp) x.push_back(from_unit(link.intensity_probability[1] / decoys));
  return x;
}

/// What is minimised. Any key is better than none, the faster the better; without key, the less is missing per sifted bit (not per second: that would
/// prefer a block that never ends).
double cost_of(const LinkParameters& link, Bound bound, const BlockTarget& target) {
  const Result<ExpectedBlock> block = expected_block(link, bound, target);
  if (!block || !std::isfinite(block->output.length)) return 1e30;
  return block->output.length > 0.0 ? -block->bits_per_second() : -block->output.length / target.n_key;
}

Point best_from(Point x, const LinkParameters& link, Bound bound, const BlockTarget& target, int rounds) {
  const std::function<double(const Point&)> cost = [&](const Point& at_x) { return cost_of(at(link, bound, at_x), bound, target); };
  for (int round = 0; round < rounds; ++round) x = minimise(cost, x, 0.5, flat, evaluations_per_round);
  return x;
}

LinkParameters with_choice(const LinkParameters& link, Bound bound, double q, double mu1, double mu2, double p1) {
  LinkParameters out = link;
  out.key_basis_probability = q;
  out.intensity[0] = mu1;
  out.intensity[1] = mu2;
  const bool one_decoy = bound == Bound::wiesemann_2026 || bound == Bound::rusca_2018;
  const double p2 = one_decoy ? 1.0 - p1 : 0.6 * (1.0 - p1);
  out.intensity_probability = {p1, p2, one_decoy ? 0.0 : 1.0 - p1 - p2};
  if (one_decoy || bound == Bound::gllp) out.intensity[2] = 0.0;
  return out;
}

struct Corner {
  Point x;
  double value = 0.0;
};

class Simplex {
 public:
  Simplex(const std::function<double(const Point&)>& f, const Point& start, double step) : f_(f) {
    corners_.push_back({start, f(start)});
    for (std::size_t i = 0; i < start.size(); ++i) {
      Point x = start;
      x[i] += step;
      corners_.push_back({x, f(x)});
    }
    evaluations_ = static_cast<int>(corners_.size());
    sort();
  }

  [[nodiscard]] int evaluations() const { return evaluations_; }
  [[nodiscard]] const Point& best() const { return corners_.front().x; }
  [[nodiscard]] bool flatter_than(double tolerance) const {
    return std::abs(corners_.back().value - corners_.front().value) <= tolerance * std::abs(corners_.front().value);
  }

  /// Reflect the worst corner; go further where that is best yet, contract where it is not better, and shrink where nothing helps.
  void step() {
    const Corner reflected = moved(-1.0);
    if (reflected.value < corners_.front().value) {
      const Corner further = moved(-2.0);
      replace(further.value < reflected.value ? further : reflected);
    } else if (reflected.value < corners_[corners_.size() - 2].value) {
      replace(reflected);
    } else {
      const Corner contracted = moved(reflected.value < corners_.back().value ? -0.5 : 0.5);
      if (contracted.value < std::min(reflected.value, corners_.back().value)) {
        replace(contracted);
      } else {
        shrink();
      }
    }
  }

 private:
  /// The worst corner, moved along the line through the middle of the others: to middle + factor (worst - middle).
  Corner moved(double factor) {
    const std::size_t size = corners_.front().x.size();
    Point x(size, 0.0);
    for (std::size_t i = 0; i < size; ++i) {
      double middle = 0.0;
      for (std::size_t j = 0; j + 1 < corners_.size(); ++j) middle += corners_[j].x[i];
      middle /= static_cast<double>(size);
      x[i] = middle + factor * (corners_.back().x[i] - middle);
    }
    ++evaluations_;
    const double value = f_(x);
    return {.x = std::move(x), .value = value};
  }

  void replace(const Corner& corner) {
    corners_.back() = corner;
    sort();
  }

  void shrink() {
    for (std::size_t j = 1; j < corners_.size(); ++j) {
      for (std::size_t i = 0; i < corners_[j].x.size(); ++i) corners_[j].x[i] = (corners_[j].x[i] + corners_.front().x[i]) / 2.0;
      corners_[j].value = f_(corners_[j].x);
      ++evaluations_;
    }
    sort();
  }

  void sort() { std::ranges::sort(corners_, {}, &Corner::value); }

  const std::function<double(const Point&)>& f_;
  std::vector<Corner> corners_;
  int evaluations_ = 0;
};

/// From several starting points, among them one that comes down from larger blocks: small ones give key only near their optimum, where a search
/// from afar sees a plain.
Point search(const LinkParameters& link, Bound bound, const BlockTarget& target) {
  std::vector<Point> found;
  for (const LinkParameters& start : {suited_to(link, bound), with_choice(link, bound, 0.9, 0.45, 0.15, 0.7), with_choice(link, bound, 0.7, 0.45, 0.2, 0.3)}) {
    found.push_back(best_from(coordinates(start, bound), link, bound, target, rounds_of_a_search));
  }
  Point x = coordinates(with_choice(link, bound, 0.9, 0.45, 0.2, 0.5), bound);
  const double descent = std::max(1.0, easy_block / target.n_key);
  const int steps = static_cast<int>(std::ceil(std::log(descent) / step_of_descent)) + 1;
  for (int i = 0; i <= steps; ++i) {
    BlockTarget on_the_way = target;
    on_the_way.n_key = target.n_key * std::pow(descent, 1.0 - static_cast<double>(i) / steps);
    x = best_from(x, link, bound, on_the_way, i < steps ? 1 : rounds_of_a_search);
  }
  found.push_back(x);
  return *std::ranges::min_element(found, {}, [&](const Point& point) { return cost_of(at(link, bound, point), bound, target); });
}

/// With eps_sec in proportion to the length: first in turns (best parameters for this eps_sec, eps_sec of that length), which comes near, then together.
Point search_in_proportion(const LinkParameters& link, Bound bound, const BlockTarget& target) {
  BlockTarget fixed = target;
  fixed.eps_sec_per_bit = 0.0;
  fixed.eps_sec = target.eps_sec_per_bit * target.n_key / 10.0;
  Point x = search(link, bound, fixed);
  for (int i = 0; i < turns; ++i) {
    const Result<ExpectedBlock> block = expected_block(at(link, bound, x), bound, fixed);
    if (!block || block->output.length < 1.0) break;
    fixed.eps_sec = target.eps_sec_per_bit * block->output.length;
    x = best_from(x, link, bound, fixed, 1);
  }
  return best_from(x, link, bound, target, rounds_of_a_search);
}

}  // namespace

std::vector<double> minimise(const std::function<double(const std::vector<double>&)>& f, const std::vector<double>& start, double step, double tolerance,
                             int evaluations_max) {
  Simplex simplex(f, start, step);
  while (simplex.evaluations() < evaluations_max && !simplex.flatter_than(tolerance)) simplex.step();
  return simplex.best();
}

LinkParameters suited_to(const LinkParameters& link, Bound bound) {
  const bool one_decoy = bound == Bound::wiesemann_2026 || bound == Bound::rusca_2018;
  const bool sends_two = link.intensity_probability[2] > 0.0;
  const bool vacuum = link.intensity[2] == 0.0;
  if (one_decoy ? !sends_two : sends_two && (bound == Bound::lim_2014 || vacuum)) return link;
  return with_choice(link, bound, link.key_basis_probability, 0.5, 0.15, 0.7);
}

Result<Optimum> best_parameters(const LinkParameters& link, Bound bound, const BlockTarget& target) {
  const Point best = target.eps_sec_per_bit > 0.0 ? search_in_proportion(link, bound, target) : search(link, bound, target);
  Optimum out;
  out.link = at(link, bound, best);
  ASSIGN_OR_RETURN(out.block, expected_block(out.link, bound, target));
  return Result<Optimum>(std::move(out));
}

}  // namespace qanat::qkd
