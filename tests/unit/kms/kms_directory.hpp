// A CMSP that gives directories, or is silent, and a KMS in this process that keeps them.
#pragma once

#include <map>
#include <set>

#include "kms_core.hpp"
#include "services/kms/kma/directory.hpp"
#include "services/kms/kp/database.hpp"

namespace qanat::kms {

inline const Identity directory_cmsp = identity("qanat://core/cmsp/cmsp");
inline const Identity directory_kms_b = identity("qanat://b/kms/kms-b");
inline const Number number_of_alice("+8613800000001");
inline const Number number_of_bob("+8613900000002");

inline wire::DirectoryEntry listed(const Number& number, const char* uid, const char* kms) {
  return {.number = number, .uid = Uid(uid), .kms = ElementName(kms)};
}

class CmspOfDirectories {
 public:
  using Pages = std::vector<std::vector<wire::DirectoryEntry>>;
  using Change = std::function<void(wire::Directory&)>;

  explicit CmspOfDirectories(test::TrustedNetwork& network) : network_(network), credentials_(network.credentials(directory_cmsp)) {
    double_ = std::make_unique<Double>(
        network, directory_cmsp,
        std::vector<points::Handler>{
            {Endpoint::ma2_directory, [this](const net::Request& request) { return give(request); }},
            {Endpoint::ma2_directory_page, [this](const net::Request& request) { return page(request); }},
            {Endpoint::ma2_locate, [this](const net::Request&) -> Result<net::Response> {
               ++located;
               return fail(ErrorCode::unavailable, "callee is not registered");
             }}});
  }
  [[nodiscard]] const Double& element() const { return *double_; }
  /// From here on nobody listens there.
  void fall_silent() { double_.reset(); }

  /// `change` before it is signed.
  wire::Framed<wire::Directory> sign(std::uint64_t epoch, const Pages& pages, const Change& change, const node::MessageSigner& signer,
                                     std::uint32_t policy_epoch = 1) {
    const UnixMs now = SystemClock().now_ms();
    wire::Directory head{.epoch = epoch, .not_before_ms = now - 1000, .not_after_ms = now + 3'600'000, .entries = 0, .pages = {}, .fps = signer.fps};
    for (const auto& entries : pages) {
      const auto framed = must(wire::frame(network_.suite(), policy_epoch, wire::DirectoryPage{.entries = entries}));
      head.entries += entries.size();
      head.pages.push_back(framed.hash);
      pages_[to_hex(framed.hash)] = framed.octets;
    }
    if (change) change(head);
    return must(wire::sign_message(network_.suite(), policy_epoch, head, signer.signer, signer.fps, network_.rng()));
  }
  wire::Framed<wire::Directory> offer(std::uint64_t epoch, const Pages& pages, const Change& change = {}) {
    auto framed = sign(epoch, pages, change, *credentials_.messages);
    give_envelope(node::enclose(*credentials_.messages, framed.octets));
    return framed;
  }
  void give_envelope(Bytes envelope) { envelope_ = std::move(envelope); }
  void spoil_pages() {
    for (auto& [hash, octets] : pages_) octets.back() ^= 1;
  }
  [[nodiscard]] const node::MessageSigner& signer() const { return *credentials_.messages; }

  std::string asked;  // the last query for a directory
  int pages_given = 0;
  int located = 0;

 private:
  Result<net::Response> give(const net::Request& request) {
    if (!request.query.empty()) asked = request.query;
    if (request.query.empty() || envelope_.empty()) return net::Response{.status = 204, .content_type = "", .body = {}};
    return net::Response{.status = 200, .content_type = std::string(points::type_octets), .body = envelope_};
  }
  Result<net::Response> page(const net::Request& request) {
    const auto found = pages_.find(request.query.substr(5));
    if (found == pages_.end()) return fail(ErrorCode::not_found, "no such page");
    ++pages_given;
    return net::Response{.status = 200, .content_type = std::string(points::type_qfc2), .body = found->second};
  }

  test::TrustedNetwork& network_;
  node::Credentials credentials_;
  Bytes envelope_;
  std::map<std::string, Bytes> pages_;  // by message hash, hexadecimal
  std::unique_ptr<Double> double_;      // the last: it answers from what is above
};

}  // namespace qanat::kms
