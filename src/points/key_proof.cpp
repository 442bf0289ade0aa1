#include "points/key_proof.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <span>

namespace qanat::points {
namespace {

struct Named {
  std::string_view name;
  std::uint8_t bit;
};
constexpr std::array bound_names{Named{"none", 1}, Named{"vendor", 2}, Named{"gllp", 4}, Named{"wiesemann-2026", 8}, Named{"rusca-2018", 16}, Named{"lim-2014", 32}};
constexpr std::array photon_names{Named{"unknown", 1}, Named{"simulated", 2}, Named{"vendor", 4}, Named{"measured", 8}};
constexpr std::array bound_groups{Named{"finite", bounds_finite}, Named{"one-decoy-finite", 8 | 16}, Named{"two-decoy-finite", 32},
                                  Named{"published", bounds_finite | 4}, Named{"any", bounds_all}};
constexpr std::array photon_groups{Named{"measured", 8}, Named{"real", 8 | 4}, Named{"any", photons_all}};
constexpr std::string_view vendor_prefix = "vendor:";  // how a QKD begins the bound of a block from a vendor's source

constexpr std::uint8_t union_of(std::span<const Named> names) {
  unsigned out = 0;
  for (const Named& one : names) out |= one.bit;
  return static_cast<std::uint8_t>(out);
}
static_assert(union_of(bound_names) == bounds_all && union_of(photon_names) == photons_all);

std::uint8_t bit_of(std::span<const Named> names, std::string_view name) {
  const auto found = std::ranges::find(names, name, &Named::name);
  return found == names.end() ? std::uint8_t{0} : found->bit;
}

std::string list_of(std::span<const Named> names, std::uint8_t set) {
  std::string out;
  for (const Named& one : names) {
    if ((set & one.bit) != 0) out += (out.empty() ? "" : " ") + std::string(one.name);
  }
  return out;
}

std::string text_of(double eps) {
  std::array<char, 32> out{};
  const int size = std::snprintf(out.data(), out.size(), "%.3g", eps);
  return {out.data(), static_cast<std::size_t>(size)};
}

bool is_eps(double eps) { return eps > 0.0 && eps <= 1.0; }

Result<std::uint8_t> checked_set(std::uint8_t set, std::uint8_t all, const std::string& field) {
  if (set == 0 || (set & ~all) != 0) return fail(ErrorCode::invalid_argument, field + " = " + std::to_string(set) + ": is no set of these");
  return set;
}

struct Parts {
  std::uint8_t bounds = 0;
  std::uint8_t photons = 0;
  double eps = 1.0;
};

Result<Parts> checked(Parts parts, const std::string& field) {
  TRY(checked_set(parts.bounds, bounds_all, field + ".bounds"));
  TRY(checked_set(parts.photons, photons_all, field + ".photons"));
  if (!is_eps(parts.eps)) return fail(ErrorCode::invalid_argument, field + ".eps: must be above 0 and at most 1");
  return parts;
}

Result<Parts> read_parts(wire::Reader& in, const std::string& field) {
  Parts out;
  ASSIGN_OR_RETURN(out.bounds, in.u8(field + ".bounds"));
  ASSIGN_OR_RETURN(out.photons, in.u8(field + ".photons"));
  ASSIGN_OR_RETURN(const std::uint64_t bits, in.u64(field + ".eps"));
  out.eps = std::bit_cast<double>(bits);
  return checked(out, field);
}

Result<std::uint8_t> read_set(const wire::Json& body, std::string_view member, std::span<const Named> names) {
  ASSIGN_OR_RETURN(const std::vector<std::string> texts, body.texts(member));
  std::uint8_t out = 0;
  for (const std::string& text : texts) {
    const std::uint8_t bit = bit_of(names, text);
    if (bit == 0) return fail(ErrorCode::invalid_argument, std::string(member) + ": nothing is called " + text.substr(0, 64));
    out = static_cast<std::uint8_t>(out | bit);
  }
  return out;
}

Result<Parts> read_parts(const wire::Json& body) {
  TRY(body.only({"bounds", "eps", "photons"}));
  Parts out;
  ASSIGN_OR_RETURN(out.bounds, read_set(body, "bounds", bound_names));
  ASSIGN_OR_RETURN(out.photons, read_set(body, "photons", photon_names));
  ASSIGN_OR_RETURN(out.eps, body.number("eps"));
  return checked(out, "proof");
}

wire::Json names_in(std::span<const Named> names, std::uint8_t set) {
  wire::Json out = wire::Json::array();
  for (const Named& one : names) {
    if ((set & one.bit) != 0) out.push(std::string(one.name));
  }
  return out;
}

wire::Json write_parts(const Parts& parts) {
  return wire::Json::object({{"bounds", names_in(bound_names, parts.bounds)}, {"eps", parts.eps}, {"photons", names_in(photon_names, parts.photons)}});
}

void write_parts(wire::Writer& out, const Parts& parts) {
  out.u8(parts.bounds);
  out.u8(parts.photons);
  out.u64(std::bit_cast<std::uint64_t>(parts.eps));
}

std::string alternatives(std::span<const Named> names) { return list_of(names, 0xff); }

}  // namespace

KeyProof KeyProof::of_block(std::string_view bound, std::optional<double> eps_sec, std::optional<double> eps_cor, bool simulated) {
  KeyProof out;
  if (bound.starts_with(vendor_prefix)) {
    out.bounds = static_cast<std::uint8_t>(ProofBound::vendor);
    out.photons = static_cast<std::uint8_t>(simulated ? Photons::simulated : Photons::vendor);
    return out;
  }
  out.photons = static_cast<std::uint8_t>(simulated ? Photons::simulated : Photons::measured);
  const std::uint8_t bit = bit_of(bound_names, bound);
  if (bit == 0 || bit == static_cast<std::uint8_t>(ProofBound::vendor)) return out;
  out.bounds = bit;
  const double eps = eps_sec.value_or(1.0) + eps_cor.value_or(1.0);
  const bool both = eps_sec && eps_cor && *eps_sec > 0.0 && *eps_cor >= 0.0;
  if ((bit & bounds_finite) != 0 && both && is_eps(eps)) out.eps = eps;
  return out;
}

std::string_view KeyProof::grade() const noexcept {
  if ((bounds & static_cast<std::uint8_t>(ProofBound::none)) != 0) return "none";
  if ((bounds & static_cast<std::uint8_t>(ProofBound::vendor)) != 0) return "vendor";
  if ((bounds & static_cast<std::uint8_t>(ProofBound::gllp)) != 0) return "asymptotic";
  return "finite";
}

KeyProof together(const KeyProof& one, const KeyProof& other) {
  return {.bounds = static_cast<std::uint8_t>(one.bounds | other.bounds),
          .photons = static_cast<std::uint8_t>(one.photons | other.photons),
          .eps = std::min(1.0, one.eps + other.eps)};
}

KeyProof weaker(const KeyProof& one, const KeyProof& other) {
  KeyProof out = together(one, other);
  out.eps = std::max(one.eps, other.eps);
  return out;
}

std::string describe(const KeyProof& proof) {
  return std::string(proof.grade()) + " (" + list_of(bound_names, proof.bounds) + "), eps " + text_of(proof.eps) + ", photons " +
         list_of(photon_names, proof.photons);
}

std::string describe(const ProofDemand& demand) {
  return "bound " + list_of(bound_names, demand.bounds) + ", eps at most " + text_of(demand.eps_max) + ", photons " +
         list_of(photon_names, demand.photons);
}

void write(wire::Writer& out, const KeyProof& proof) { write_parts(out, {proof.bounds, proof.photons, proof.eps}); }
void write(wire::Writer& out, const ProofDemand& demand) { write_parts(out, {demand.bounds, demand.photons, demand.eps_max}); }

Result<KeyProof> read_proof(wire::Reader& in, std::string_view field) {
  ASSIGN_OR_RETURN(const Parts parts, read_parts(in, std::string(field)));
  return KeyProof{.bounds = parts.bounds, .photons = parts.photons, .eps = parts.eps};
}

Result<ProofDemand> read_demand(wire::Reader& in, std::string_view field) {
  ASSIGN_OR_RETURN(const Parts parts, read_parts(in, std::string(field)));
  return ProofDemand{.bounds = parts.bounds, .photons = parts.photons, .eps_max = parts.eps};
}

Bytes octets_of(const KeyProof& proof) {
  wire::Writer out;
  write(out, proof);
  return *std::move(out).finish();
}

wire::Json write(const KeyProof& proof) { return write_parts({proof.bounds, proof.photons, proof.eps}); }
wire::Json write(const ProofDemand& demand) { return write_parts({demand.bounds, demand.photons, demand.eps_max}); }

Result<KeyProof> read_proof(const wire::Json& body) {
  ASSIGN_OR_RETURN(const Parts parts, read_parts(body));
  return KeyProof{.bounds = parts.bounds, .photons = parts.photons, .eps = parts.eps};
}

Result<ProofDemand> read_demand(const wire::Json& body) {
  ASSIGN_OR_RETURN(const Parts parts, read_parts(body));
  return ProofDemand{.bounds = parts.bounds, .photons = parts.photons, .eps_max = parts.eps};
}

Result<std::uint8_t> bounds_demanded(std::string_view text) {
  if (const std::uint8_t group = bit_of(bound_groups, text); group != 0) return group;
  if (const std::uint8_t one = bit_of(bound_names, text); one != 0) return one;
  return fail(ErrorCode::invalid_argument, "bound: must be one of finite one-decoy-finite two-decoy-finite published any " + alternatives(bound_names));
}

Result<std::uint8_t> photons_demanded(std::string_view text) {
  if (const std::uint8_t group = bit_of(photon_groups, text); group != 0) return group;
  return fail(ErrorCode::invalid_argument, "photons: must be measured, real or any");
}

Result<ProofDemand> read_named_demand(const wire::Json& body) {
  ProofDemand out;
  ASSIGN_OR_RETURN(const auto bound, body.optional_text("bound"));
  if (bound) {
    ASSIGN_OR_RETURN(out.bounds, bounds_demanded(*bound));
  }
  ASSIGN_OR_RETURN(const auto photons, body.optional_text("photons"));
  if (photons) {
    ASSIGN_OR_RETURN(out.photons, photons_demanded(*photons));
  }
  ASSIGN_OR_RETURN(const auto eps, body.optional_number("eps_max"));
  out.eps_max = eps.value_or(out.eps_max);
  if (!is_eps(out.eps_max)) return fail(ErrorCode::invalid_argument, "eps_max: must be above 0 and at most 1");
  return out;
}

}  // namespace qanat::points
