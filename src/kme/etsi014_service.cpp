// ETSI GS QKD 014 over HTTP: who may ask, what is answered with which status (clause 5: 200, 400, 401 without a body, 503).
#include <algorithm>

#include "kme/caller.hpp"
#include "kme/etsi014.hpp"

namespace qanat::kme::etsi014 {
namespace {

constexpr std::size_t key_request_max = 64 * 1024;  // octets
constexpr const char* key_missing = "one or more keys specified are not found on KME";

net::ForeignResponse unauthorized() { return {.status = 401, .content_type = "", .body = {}}; }

/// Which status a failure has. The standard has one for everything on the server's side.
net::ForeignResponse failed(const Error& error) {
  switch (error.code) {
    case ErrorCode::invalid_argument:
    case ErrorCode::conflict:
      return json_answer(400, render_error(error.message));
    case ErrorCode::not_found:
      return json_answer(400, render_error(key_missing));  // clause 5.3: 400, not 404
    case ErrorCode::unauthenticated:
    case ErrorCode::denied:
      return unauthorized();
    case ErrorCode::exhausted:
    case ErrorCode::unavailable:
    case ErrorCode::deadline_exceeded:
      return json_answer(503, render_error(error.message));
    case ErrorCode::internal:  // it may say what our files and statements are called, which is nobody's business outside
      break;
  }
  return json_answer(503, render_error("internal error"));
}

class Service {
 public:
  Service(Provider& provider, const SaeRegistry& registry) : provider_(provider), registry_(registry) {}

  void status(const net::ForeignRequest& request, net::ForeignReply reply) const {
    const auto caller = caller_of(registry_, request);
    if (!caller) return refuse(stranger(request), "etsi014.status", {ErrorCode::unauthenticated, "no SAE of this KME"}, std::move(reply));
    const SaeId slave(request.parameters.front());
    if (registry_.find(slave) == nullptr) return refuse(*caller, "etsi014.status", unknown(slave), std::move(reply));
    provider_.status(*caller, slave, [reply = std::move(reply), master = caller->sae, slave](Result<StockStatus> status) mutable {
      reply(status ? json_answer(200, render_status(*status, master, slave)) : failed(status.error()));
    });
  }

  void enc_keys(const net::ForeignRequest& request, net::ForeignReply reply, bool post) const {
    const auto caller = caller_of(registry_, request);
    if (!caller) return refuse(stranger(request), "etsi014.enc_keys", {ErrorCode::unauthenticated, "no SAE of this KME"}, std::move(reply));
    auto order = read_order(*caller, request, post);
    if (!order) return refuse(*caller, "etsi014.enc_keys", order.error(), std::move(reply));
    provider_.take(std::move(*order), deliver(*caller, std::move(reply)));
  }

  void dec_keys(const net::ForeignRequest& request, net::ForeignReply reply, bool post) const {
    const auto caller = caller_of(registry_, request);
    if (!caller) return refuse(stranger(request), "etsi014.dec_keys", {ErrorCode::unauthenticated, "no SAE of this KME"}, std::move(reply));
    auto fetch = read_fetch(*caller, request, post);
    if (!fetch) return refuse(*caller, "etsi014.dec_keys", fetch.error(), std::move(reply));
    provider_.fetch(std::move(*fetch), deliver(*caller, std::move(reply)));
  }

 private:
  static Error unknown(const SaeId& sae) { return {ErrorCode::invalid_argument, "SAE " + sae.text() + " is not known to this KME"}; }

  static Done<Delivery> deliver(const Caller& caller, net::ForeignReply reply) {
    return [caller, reply = std::move(reply)](Result<Delivery> delivery) mutable {
      if (!delivery) return reply(failed(delivery.error()));
      reply({.status = 200, .content_type = "application/json", .body = render_key_container(*delivery, caller)});
    };
  }

  /// On record before it is answered.
  void refuse(const Caller& caller, std::string_view action, const Error& error, net::ForeignReply reply) const {
    provider_.record_refusal(caller, action, error.message, [reply = std::move(reply), error]() mutable { reply(failed(error)); });
  }

  Result<Order> read_order(const Caller& caller, const net::ForeignRequest& request, bool post) const {
    if (post && !request.query.empty()) return fail(ErrorCode::invalid_argument, "POST takes its parameters in the body");
    if (!request.body.empty() && !net::is_media_type(request.content_type, "application/json")) return fail(ErrorCode::invalid_argument, "Content-Type shall be application/json");
    ASSIGN_OR_RETURN(KeyRequest asked, post ? read_key_request(request.body, provider_.limits()) : read_key_query(request.query, provider_.limits()));
    if (asked.quantum_safe_transport && !caller.quantum_safe) return fail(ErrorCode::invalid_argument, demands_unmet);
    std::vector<SaeId> slaves{SaeId(request.parameters.front())};
    for (SaeId& slave : asked.additional_slaves) {
      if (std::ranges::find(slaves, slave) == slaves.end()) slaves.push_back(std::move(slave));
    }
    for (const SaeId& slave : slaves) {
      if (registry_.find(slave) == nullptr) return fail(unknown(slave));
    }
    return Order{.master = caller,
                 .slaves = std::move(slaves),
                 .number = asked.number,
                 .size = asked.size,
                 .demands = asked.demands,
                 .wishes = asked.wishes,
                 .standard = "etsi014",
                 .deadline = request.deadline};
  }

  Result<Fetch> read_fetch(const Caller& caller, const net::ForeignRequest& request, bool post) const {
    if (post && !request.query.empty()) return fail(ErrorCode::invalid_argument, "POST takes its parameters in the body");
    if (!request.body.empty() && !net::is_media_type(request.content_type, "application/json")) return fail(ErrorCode::invalid_argument, "Content-Type shall be application/json");
    ASSIGN_OR_RETURN(std::vector<KeyId> ids, post ? read_key_ids(request.body, provider_.limits()) : read_key_id_query(request.query));
    return Fetch{.slave = caller,
                 .master = SaeId(request.parameters.front()),
                 .master_is = MasterName::exact,
                 .ids = std::move(ids),
                 .standard = "etsi014",
                 .deadline = request.deadline};
  }

  Provider& provider_;
  const SaeRegistry& registry_;
};

}  // namespace

net::ForeignService make_service(Provider& provider, const SaeRegistry& registry) {
  const Service service(provider, registry);
  const auto route = [&](const char* method, const char* pattern, std::size_t body_max, auto act) {
    return net::ForeignRoute{.point = "etsi014", .method = method, .pattern = pattern, .body_max = body_max, .answer = act};
  };
  const char* const status = "/api/v1/keys/{}/status";
  const char* const enc = "/api/v1/keys/{}/enc_keys";
  const char* const dec = "/api/v1/keys/{}/dec_keys";
  using Asked = net::ForeignRequest;
  using Reply = net::ForeignReply;
  return {.prefix = "/api/v1/keys/",
          .routes = {route("POST", enc, key_request_max, [service](const Asked& asked, Reply reply) { service.enc_keys(asked, std::move(reply), true); }),
                     route("GET", enc, 0, [service](const Asked& asked, Reply reply) { service.enc_keys(asked, std::move(reply), false); }),
                     route("POST", dec, key_request_max, [service](const Asked& asked, Reply reply) { service.dec_keys(asked, std::move(reply), true); }),
                     route("GET", dec, 0, [service](const Asked& asked, Reply reply) { service.dec_keys(asked, std::move(reply), false); }),
                     route("GET", status, 0, [service](const Asked& asked, Reply reply) { service.status(asked, std::move(reply)); })},
          .refuse = [](unsigned code, std::string_view why) { return json_answer(code, render_error(why)); }};
}

}  // namespace qanat::kme::etsi014
