#include "quantum/qkd/process/vendor_source.hpp"

#include <algorithm>

#include "kme/etsi014_client.hpp"

namespace qanat::qkd {
namespace {

using kme::etsi014::Method;

constexpr std::chrono::milliseconds call_max{10000};

class VendorKme {
 public:
  VendorKme(const VendorAccess& access, std::unique_ptr<net::ForeignClient> client) : access_(access), client_(std::move(client)) {
    if (access_.kme.path.ends_with('/')) access_.kme.path.pop_back();
  }

  Result<VendorKeys> fresh(Deadline deadline) {
    ASSIGN_OR_RETURN(Bytes body, call("GET", Method::status, {}, deadline));
    ASSIGN_OR_RETURN(const auto status, kme::etsi014::read_server_status(body));
    if (status.min_key_size > std::int64_t{link_key_bits} || status.max_key_size < std::int64_t{link_key_bits})
      return fail(ErrorCode::invalid_argument, "the KME gives no keys of 256 bits");
    const std::int64_t number = std::min({std::int64_t{access_.keys_per_block}, status.max_key_per_request, status.stored_key_count});
    if (number == 0) return fail(ErrorCode::exhausted, "the KME has no key in stock");
    const std::string order = kme::etsi014::write_key_request(static_cast<std::uint32_t>(number), link_key_bits);
    ASSIGN_OR_RETURN(body, call("POST", Method::enc_keys, as_bytes(order), deadline));
    ASSIGN_OR_RETURN(std::vector<kme::Key> keys, read(body, static_cast<std::size_t>(number)));
    std::vector<KeyId> ids;
    ids.reserve(keys.size());
    for (const kme::Key& key : keys) ids.push_back(key.id);
    return in_order(std::move(keys), std::move(ids));
  }

  Result<VendorKeys> by_id(const std::vector<KeyId>& ids, Deadline deadline) {
    const std::string order = kme::etsi014::write_key_ids(ids);
    ASSIGN_OR_RETURN(Bytes body, call("POST", Method::dec_keys, as_bytes(order), deadline));
    ASSIGN_OR_RETURN(std::vector<kme::Key> keys, read(body, ids.size()));
    return in_order(std::move(keys), ids);
  }

 private:
  Result<Bytes> call(std::string_view verb, Method method, ByteView body, Deadline deadline) {
    net::ForeignUrl url = access_.kme;
    url.path += kme::etsi014::path_of(method, access_.peer_sae);
    auto answer = client_->call(verb, url, body.empty() ? "" : "application/json", body, deadline.sooner_of(call_max));
    if (!answer) return fail(named(answer.error()));
    if (answer->status != 200) return fail(named(kme::etsi014::refusal_of(answer->status, answer->body)));
    return std::move(answer->body);
  }

  /// Health shows the last failure without saying of whom: the other end, or this KME.
  [[nodiscard]] Error named(Error error) const {
    error.message = "KME " + access_.kme.host + ":" + std::to_string(access_.kme.port) + ": " + error.message;
    return error;
  }

  static Result<std::vector<kme::Key>> read(Bytes& body, std::size_t keys_max) {
    auto keys = kme::etsi014::read_key_container(body, keys_max, link_key_bits);
    wipe(body);
    return keys;
  }

  /// One of `keys` for each of `ids`, and no other.
  static Result<VendorKeys> in_order(std::vector<kme::Key> keys, std::vector<KeyId> ids) {
    if (keys.size() != ids.size())
      return fail(ErrorCode::invalid_argument, "the KME gave " + std::to_string(keys.size()) + " of " + std::to_string(ids.size()) + " keys");
    VendorKeys out{.ids = std::move(ids), .octets = Secret(keys.size() * link_key_octets)};
    std::ranges::sort(keys, {}, &kme::Key::id);
    auto place = out.octets.writable().begin();
    for (const KeyId& id : out.ids) {
      const auto found = std::ranges::lower_bound(keys, id, {}, &kme::Key::id);
      if (found == keys.end() || found->id != id) return fail(ErrorCode::invalid_argument, "the KME gave other keys than were asked for");
      place = std::ranges::copy(found->octets.reveal(), place).out;
    }
    return Result<VendorKeys>(std::move(out));
  }

  VendorAccess access_;
  std::unique_ptr<net::ForeignClient> client_;
};

}  // namespace

Result<VendorSource> open_vendor_source(const VendorAccess& access) {
  ASSIGN_OR_RETURN(auto client, net::ForeignClient::create(access.tls));
  // std::function wants to be copyable: the two functions own the client together.
  const auto kme = std::make_shared<VendorKme>(access, std::move(client));
  return VendorSource{.fresh = [kme](Deadline deadline) { return kme->fresh(deadline); },
                      .by_id = [kme](const std::vector<KeyId>& ids, Deadline deadline) { return kme->by_id(ids, deadline); }};
}

}  // namespace qanat::qkd
