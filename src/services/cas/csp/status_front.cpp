#include "services/cas/csp/status_front.hpp"

#include <fmt/format.h>

#include <array>
#include <ctime>

#include "services/cas/csp/ocsp_get.hpp"
#include "services/cas/csp/places.hpp"

namespace qanat::cas {
namespace {

// Anybody may ask for signatures: they take one processor at most, and beyond this many waiting the answer is tryLater.
constexpr std::size_t signer_threads = 1;
constexpr std::size_t questions_waiting_max = 256;
constexpr std::chrono::milliseconds front_stop_grace{2000};

constexpr std::string_view content_ocsp = "application/ocsp-response";
constexpr std::string_view content_crl = "application/pkix-crl";    // RFC 2585 §4.2
constexpr std::string_view content_ca = "application/pkix-cert";    // RFC 2585 §4.1
constexpr std::string_view content_ocsp_request = "application/ocsp-request";
constexpr UnixMs ca_certificate_cached_ms = 86'400'000;

/// RFC 9110 §5.6.7, IMF-fixdate.
std::string http_date(UnixMs at) {
  static constexpr std::array days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array months{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto seconds = static_cast<std::time_t>(at / 1000);
  std::tm parts{};
  if (gmtime_r(&seconds, &parts) == nullptr) return "Thu, 01 Jan 1970 00:00:00 GMT";
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", days.at(static_cast<std::size_t>(parts.tm_wday)), parts.tm_mday,
                     months.at(static_cast<std::size_t>(parts.tm_mon)), parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

struct Shelf {
  std::string_view content;
  std::shared_ptr<const Bytes> octets;  // shared with who keeps them
  UnixMs since;
  UnixMs until;
  std::string tag;
};

/// RFC 5019 §6.2: how long a cache may serve it, and a tag by which it asks whether it still may.
net::ForeignResponse cacheable(const Shelf& shelf, UnixMs now, std::string_view if_none_match) {
  net::ForeignResponse out{.status = 200, .content_type = std::string(shelf.content), .body = {}};
  const UnixMs left = shelf.until > now ? (shelf.until - now) / 1000 : 0;
  out.fields = {{"Cache-Control", fmt::format("max-age={}, public, no-transform, must-revalidate", left)},
                {"Last-Modified", http_date(shelf.since)},
                {"Expires", http_date(shelf.until)},
                {"ETag", shelf.tag}};
  if (if_none_match == shelf.tag) {
    out.status = 304;
    out.content_type.clear();
  } else {
    out.open_body = shelf.octets;
  }
  return out;
}

}  // namespace

StatusFront::StatusFront(StatusDesk& desk, const RevocationLists& lists, const Authorities& authorities, const Clock& clock)
    : desk_(desk), lists_(lists), authorities_(authorities), clock_(clock), signers_(signer_threads, questions_waiting_max) {}

Result<void> StatusFront::start(net::ForeignSettings settings) {
  settings.transport = net::ForeignTransport::plain;
  // No sink for refusals: what strangers get wrong here is no event of this network, and a record of each would let them fill its disk.
  std::vector<net::ForeignService> services{service()};
  services.insert(services.end(), others_.begin(), others_.end());  // after ours, whose prefix is everything
  ASSIGN_OR_RETURN(listener_, net::ForeignListener::start(settings, std::move(services), {}));
  return {};
}

void StatusFront::stop() {
  if (listener_) listener_->stop(front_stop_grace);
  signers_.stop(net::Waiting::drop);
}

net::ForeignService StatusFront::service() {
  net::ForeignService out{.prefix = "/", .routes = {}, .refuse = net::text_response};
  out.routes.push_back({.point = "OCSP",
                        .method = "POST",
                        .pattern = std::string(ocsp_path),
                        .body_max = status_request_octets_max,
                        .answer = [this](net::ForeignRequest request, net::ForeignReply reply) {
                          if (!net::is_media_type(request.content_type, content_ocsp_request)) {
                            return reply(net::text_response(415, "a status request is application/ocsp-request"));
                          }
                          answer_status(std::move(request.body), Caching::none, "", std::move(reply));
                        }});
  out.routes.push_back({.point = "OCSP",
                        .method = "GET",
                        .pattern = std::string(ocsp_path) + "/{...}",
                        .body_max = 0,
                        .answer = [this](net::ForeignRequest request, net::ForeignReply reply) {
                          auto der = read_status_path(request.parameters.front());
                          // Octets that are no request get the answer for such.
                          answer_status(der ? *std::move(der) : Bytes(), Caching::allowed, std::move(request.if_none_match), std::move(reply));
                        }});
  out.routes.push_back(
      {.point = "CRL", .method = "GET", .pattern = "/crl/{}", .body_max = 0, .answer = [this](const net::ForeignRequest& request, net::ForeignReply reply) {
         reply(list(request.parameters.front(), request.if_none_match));
       }});
  out.routes.push_back({.point = "CA",
                        .method = "GET",
                        .pattern = "/ca/{}",
                        .body_max = 0,
                        .answer = [this](const net::ForeignRequest& request, net::ForeignReply reply) { reply(ca_certificate(request.parameters.front())); }});
  return out;
}

void StatusFront::answer_status(Bytes request_der, Caching caching, std::string if_none_match, net::ForeignReply reply) {
  if (const auto ready = desk_.ready(request_der)) return reply(response(*ready, caching, if_none_match));
  // Shared with this function until the queue has taken the work.
  const auto shared_reply = std::make_shared<net::ForeignReply>(std::move(reply));
  const bool taken = signers_.submit([this, request_der = std::move(request_der), caching, if_none_match = std::move(if_none_match), shared_reply] {
    (*shared_reply)(response(desk_.sign(request_der), caching, if_none_match));
  });
  if (!taken) (*shared_reply)(response(StatusDesk::try_later(), Caching::none, ""));
}

net::ForeignResponse StatusFront::response(const StatusDesk::Reply& reply, Caching caching, std::string_view if_none_match) const {
  const PresignedAnswer& answer = *reply.answer;
  std::shared_ptr<const Bytes> der(reply.answer, &answer.der);
  if (!reply.lasting || caching == Caching::none) return {.status = 200, .content_type = std::string(content_ocsp), .body = {}, .open_body = std::move(der)};
  return cacheable({.content = content_ocsp, .octets = std::move(der), .since = answer.this_update, .until = answer.next_update, .tag = answer.tag},
                   clock_.now_ms(), if_none_match);
}

net::ForeignResponse StatusFront::list(const std::string& file, std::string_view if_none_match) const {
  const std::string path = std::string(lists_folder) + file;
  for (const Branch branch : authorities_.branches()) {
    const std::optional<std::string> scope = scope_at(branch, path);
    const auto found = scope ? lists_.find(branch, *scope) : nullptr;
    if (!found) continue;
    const std::string tag = fmt::format("\"{}-{}-{}\"", name(branch), *scope, found->number);
    return cacheable({.content = content_crl, .octets = {found, &found->der}, .since = found->this_update, .until = found->next_update, .tag = tag},
                     clock_.now_ms(), if_none_match);
  }
  return net::text_response(404, "there is no such list");
}

/// The CA that issues under its branch's name, every device CA, the one to come too, under that of its generation.
const crypto::Certificate* StatusFront::ca_named(const std::string& path) const {
  for (const Branch branch : authorities_.branches()) {
    if (path == ca_path(branch)) return &authorities_.of(branch).certificate;
  }
  if (authorities_.devices && path == device_ca_path(authorities_.devices->generation)) return &authorities_.devices->certificate;
  for (const Authority& earlier : authorities_.earlier_devices) {
    if (path == device_ca_path(earlier.generation)) return &earlier.certificate;
  }
  const DeviceSuccession* const next = authorities_.next_devices();
  return next != nullptr && path == device_ca_path(next->generation) ? &next->new_with_new : nullptr;
}

net::ForeignResponse StatusFront::ca_certificate(const std::string& file) const {
  const crypto::Certificate* const certificate = ca_named("/ca/" + file);
  if (certificate == nullptr) return net::text_response(404, "there is no such CA");
  const UnixMs now = clock_.now_ms();
  const std::string tag = '"' + to_hex(certificate->serial()) + '"';
  return cacheable({.content = content_ca,
                    .octets = std::make_shared<const Bytes>(certificate->der()),
                    .since = certificate->not_before(),
                    .until = now + ca_certificate_cached_ms,
                    .tag = tag},
                   now, "");
}

}  // namespace qanat::cas
