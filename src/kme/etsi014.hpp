// ETSI GS QKD 014 V1.1.1 (2019-02), the REST interface between an SAE and its KME: every field and error of its clauses 5 and 6. Reading and rendering are
// functions of octets; make_service() puts them before a Provider. Edition 2 is not published; the adapter is kept thin for it.
#pragma once

#include "kme/sae_registry.hpp"
#include "net/foreign.hpp"
#include "wire/json.hpp"

namespace qanat::kme::etsi014 {

/// Clause 6.2, with the defaults in place.
struct KeyRequest {
  std::uint32_t number = 1;
  std::uint32_t size = 0;  // bits
  std::vector<SaeId> additional_slaves;
  Demands demands;                      // what our extension parameters ask for in extension_mandatory
  Demands wishes;                       // and in extension_optional
  bool quantum_safe_transport = false;  // demanded of the connection itself
};

// The extension parameters that are supported, in extension_mandatory (400 if they cannot be met) and extension_optional (met if possible; what is unknown
// or malformed there is passed over, as clause 6.2 allows). The standard wants a vendor's prefix that ends in "_".
inline constexpr std::string_view extension_paths = "qanat_paths";                      // integer: over at least so many node-disjoint paths
// "quantum": between the KMEs nothing rests on public-key secrecy alone. Or an object, which asks for that and for what a KMS may demand (Km-3): "bound",
// "eps_max", "photons", "way", "relays_max", each optional.
inline constexpr std::string_view extension_assurance = "qanat_assurance";
inline constexpr std::string_view extension_transport = "qanat_quantum_safe_transport";  // true: only over a connection with a quantum-safe group

/// The body of POST enc_keys; an empty one asks for the defaults. invalid_argument, in the standard's words where it has some.
Result<KeyRequest> read_key_request(ByteView body, const Limits& limits);
/// The query of GET enc_keys: number and size alone.
Result<KeyRequest> read_key_query(std::string_view query, const Limits& limits);
/// Clause 6.4: the body of POST dec_keys.
Result<std::vector<KeyId>> read_key_ids(ByteView body, const Limits& limits);
/// The query of GET dec_keys: one key_ID.
Result<std::vector<KeyId>> read_key_id_query(std::string_view query);

/// Clause 6.3.
Secret render_key_container(const Delivery& delivery, const Caller& caller);
/// Clause 6.1.
std::string render_status(const StockStatus& status, const SaeId& master, const SaeId& slave);
/// Clause 6.5. What follows the standard's own words after a colon goes into `details`, so that the message is the standard's to the letter.
std::string render_error(std::string_view message);

/// The three methods under /api/v1/keys. Provider and registry must outlive the listener.
net::ForeignService make_service(Provider& provider, const SaeRegistry& registry);

}  // namespace qanat::kme::etsi014
