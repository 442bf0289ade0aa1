#include "services/cas/ceis/front.hpp"

#include <algorithm>
#include <array>

#include "base/check.hpp"

namespace qanat::cas {
namespace {

constexpr std::chrono::milliseconds stop_grace{2000};
constexpr std::chrono::milliseconds look_round_every{10'000};
constexpr UnixMs renewal_retry_ms = 60'000;  // each try may leave a certificate behind
constexpr std::size_t refusals_recorded_a_second = 20;
constexpr std::size_t ecdsa_p384_scalar = 48;
constexpr std::size_t ml_dsa_seed = 32;
constexpr int key_draws_max = 8;  // a scalar is out of range once in 2^190
constexpr std::string_view busy_retry_after_s = "5";

constexpr std::array own_algorithms{crypto::KeyAlgorithm::ecdsa_p384, crypto::KeyAlgorithm::ml_dsa_65};

Result<crypto::PrivateKey> draw_key(crypto::KeyAlgorithm algorithm, crypto::Rng& rng) {
  Result<Bytes> sound = fail(ErrorCode::internal, "no key drawn");
  for (int i = 0; i < key_draws_max; ++i) {
    crypto::PrivateKey key{.algorithm = algorithm, .secret = rng.secret(algorithm == crypto::KeyAlgorithm::ecdsa_p384 ? ecdsa_p384_scalar : ml_dsa_seed)};
    sound = crypto::public_octets(key);
    if (sound) return Result<crypto::PrivateKey>(std::move(key));
  }
  return fail(sound.error());
}

net::ForeignResponse busy(const EnrolmentService& service) {
  net::ForeignResponse out = service.refuse(503, "too many requests wait: come again");
  out.fields.emplace_back("Retry-After", busy_retry_after_s);
  return out;
}

}  // namespace

net::ForeignService on_workers(const EnrolmentService& service, net::Workers& workers) {
  net::ForeignService out{.prefix = service.prefix, .routes = {}, .refuse = service.refuse};
  const auto shared = std::make_shared<const EnrolmentService>(service);  // by all its routes, for as long as the listener has them
  for (const EnrolmentRoute& route : shared->routes) {
    out.routes.push_back({.point = route.point,
                          .method = route.method,
                          .pattern = route.pattern,
                          .body_max = route.body_max,
                          .answer = [shared, &route, &workers](net::ForeignRequest request, net::ForeignReply reply) {
                            // Shared with this function until the queue has taken the work.
                            const auto shared_reply = std::make_shared<net::ForeignReply>(std::move(reply));
                            const bool taken = workers.submit([&route, shared, request = std::move(request), shared_reply]() mutable {
                              if (!request.deadline.passed()) (*shared_reply)(route.answer(request));
                            });
                            if (!taken) (*shared_reply)(busy(*shared));
                          }});
  }
  return out;
}

EnrolmentFront::EnrolmentFront(EnrolmentSettings settings, FrontParts parts)
    : settings_(std::move(settings)), parts_(std::move(parts)), workers_(settings_.workers, settings_.waiting_max) {}

std::vector<net::ForeignService> EnrolmentFront::plain(const std::vector<EnrolmentService>& services) {
  std::vector<net::ForeignService> out;
  for (const EnrolmentService& service : services) {
    if (service.carrier == Carrier::any) out.push_back(on_workers(service, workers_));
  }
  return out;
}

Result<void> EnrolmentFront::start(const std::vector<EnrolmentService>& services) {
  if (!settings_.url.empty()) TRY(listen(services));
  thread_ = std::thread([this] { run(); });
  return {};
}

Result<void> EnrolmentFront::listen(const std::vector<EnrolmentService>& services) {
  std::vector<net::ForeignService> served;
  served.reserve(services.size());
  for (const EnrolmentService& service : services) served.push_back(on_workers(service, workers_));
  net::ForeignSettings listener = settings_.listener;
  {
    const std::lock_guard lock(renewal_mutex_);
    ASSIGN_OR_RETURN(listener.tls, make_tls());
    renew_at_ = next_renewal();
  }
  ASSIGN_OR_RETURN(listener_, net::ForeignListener::start(listener, std::move(served), [this](const net::Refusal& refusal) { refused(refusal); }));
  node::log(node::LogLevel::note, "enrolment for everybody's software at {} (port {})", settings_.url, port());
  return {};
}

void EnrolmentFront::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (listener_) listener_->stop(stop_grace);
  if (thread_.joinable()) thread_.join();
  workers_.stop(net::Waiting::drop);
}

/// The keys live in memory alone: a start makes new ones.
Result<net::ForeignTls> EnrolmentFront::make_tls() {
  net::ForeignTls out{
      .chains = {}, .roots = {}, .crls = {}, .identities = {}, .more_roots = parts_.client_roots(), .client = net::ForeignCertificate::optional};
  const crypto::AskedNames names{
      .common_name = settings_.dns.empty() ? settings_.addresses.front() : settings_.dns.front(), .dns = settings_.dns, .addresses = settings_.addresses};
  for (const crypto::KeyAlgorithm algorithm : own_algorithms) {
    ASSIGN_OR_RETURN(crypto::PrivateKey key, draw_key(algorithm, parts_.rng));
    ASSIGN_OR_RETURN(Given given, parts_.issue(key, names, settings_.lifetime));
    net::Staple staple;
    if (parts_.staple) {
      ASSIGN_OR_RETURN(staple, parts_.staple(given.certificate));
    }
    std::vector<Bytes> chain{std::move(given.certificate)};
    std::ranges::move(given.chain, std::back_inserter(chain));
    out.identities.push_back(
        {.chain = std::move(chain), .key = std::make_shared<const crypto::PrivateKey>(std::move(key)), .staple = std::move(staple)});
  }
  return out;
}

UnixMs EnrolmentFront::next_renewal() const {
  const auto life = static_cast<UnixMs>(std::chrono::milliseconds(settings_.lifetime).count());
  return parts_.clock.now_ms() + life / 3 * 2;
}

Result<void> EnrolmentFront::renew(UnixMs now) {
  const std::lock_guard lock(renewal_mutex_);
  if (!listener_ || now < renew_at_) return {};
  renew_at_ = now + renewal_retry_ms;  // unless it succeeds
  ASSIGN_OR_RETURN(const net::ForeignTls tls, make_tls());
  TRY(listener_->renew(tls));
  renew_at_ = next_renewal();
  return {};
}

void EnrolmentFront::run() {
  std::string told;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    const Result<void> looked = look();
    if (!looked && looked.error().message != told) {
      told = looked.error().message;  // once, not at every look
      node::log(node::LogLevel::error, "enrolment: {}", told);
    }
    if (looked) told.clear();
    lock.lock();
    changed_.wait_for(lock, look_round_every, [this] { return stopping_; });
  }
}

Result<void> EnrolmentFront::look() {
  const UnixMs now = parts_.clock.now_ms();
  if (parts_.housekeeping) TRY(parts_.housekeeping(now));
  const auto renewed = renew(now);
  if (!renewed) return fail_in("new certificates of the listener", renewed.error());
  return {};
}

void EnrolmentFront::refused(const net::Refusal& refusal) {
  std::size_t untold = 0;
  {
    const std::lock_guard lock(refusals_mutex_);
    const std::int64_t second = static_cast<std::int64_t>(parts_.clock.now_ms() / 1000);
    if (second != refusals_second_) {
      untold = refusals_seen_ > refusals_recorded_a_second ? refusals_seen_ - refusals_recorded_a_second : 0;
      refusals_second_ = second;
      refusals_seen_ = 0;
    }
    if (++refusals_seen_ > refusals_recorded_a_second) return;
  }
  if (untold > 0) write({.point = refusal.point, .peer = "", .reason = std::to_string(untold) + " more refusals in a second", .code = ErrorCode::exhausted});
  write(refusal);
}

void EnrolmentFront::write(const net::Refusal& refusal) {
  const auto written = parts_.record({.action = refusal.point.empty() ? "enrolment.connection" : refusal.point,
                                      .outcome = audit::outcome_of(refusal.code),
                                      .subject = refusal.peer,
                                      .object = "",
                                      .reason = refusal.reason,
                                      .request_id = ""});
  if (!written) node::log(node::LogLevel::error, "audit: {}", written.error().message);
}

}  // namespace qanat::cas
