#include "services/cas/ldap/publisher.hpp"

#include <algorithm>

#include "node/log.hpp"
#include "points/points.hpp"
#include "services/cas/csp/places.hpp"

namespace qanat::cas {
namespace {

constexpr std::chrono::milliseconds publisher_first_pause{500};
constexpr std::chrono::milliseconds publisher_longest_pause{30'000};
constexpr std::chrono::milliseconds outbox_look_every{1000};

DirectoryAttribute one(std::string name, ByteView value) { return {.name = std::move(name), .values = {to_bytes(value)}}; }
DirectoryAttribute one(std::string name, std::string_view value) { return one(std::move(name), as_bytes(value)); }

std::string authorities_unit() { return "authorities"; }
std::string elements_unit() { return "elements"; }
std::string terminals_unit() { return "terminals"; }
std::string subjects_unit() { return "subjects"; }

}  // namespace

void DirectoryPublisher::start() {
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
}

void DirectoryPublisher::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void DirectoryPublisher::wake() { changed_.notify_all(); }

wire::Json DirectoryPublisher::describe() {
  const auto waiting = records_.errands_waiting();
  const std::lock_guard lock(mutex_);
  wire::Json out = wire::Json::object({{"waiting", waiting.value_or(-1)}, {"published", published_}});
  if (!error_.empty()) out.set("error", error_);
  return out;
}

void DirectoryPublisher::run() {
  std::chrono::milliseconds pause{};
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    const Result<bool> worked = work();
    const bool news = !worked && worked.error().message != error_;  // only this thread writes error_
    if (news) node::log(node::LogLevel::error, "{}", worked.error().message);
    lock.lock();
    error_ = worked ? "" : worked.error().message;
    if (worked) pause = {};
    if (stopping_ || (worked && *worked)) continue;
    if (worked) {
      changed_.wait_for(lock, outbox_look_every);
      continue;
    }
    directory_.reset();
    pause = std::clamp(pause * 2, publisher_first_pause, publisher_longest_pause);
    changed_.wait_for(lock, pause, [this] { return stopping_; });
  }
}

Result<bool> DirectoryPublisher::work() {
  ASSIGN_OR_RETURN(const std::optional<Errand> errand, records_.next_errand());
  if (!errand) return false;
  if (!directory_) {
    ASSIGN_OR_RETURN(directory_, Directory::connect(settings_));
    TRY(make_folder(authorities_unit(), settings_.base));
    TRY(make_folder(elements_unit(), settings_.base));
    TRY(make_folder(terminals_unit(), settings_.base));
    TRY(make_folder(subjects_unit(), settings_.base));
  }
  TRY(publish(*errand));
  TRY(records_.errand_done(errand->id));
  const std::lock_guard lock(mutex_);
  ++published_;
  return true;
}

Result<void> DirectoryPublisher::publish(const Errand& errand) {
  switch (errand.kind) {
    case Errand::Kind::authority:
      return publish_authority(errand.branch);
    case Errand::Kind::certificate:
      return publish_certificate(errand.name);
    case Errand::Kind::list:
      return publish_list(errand.branch, std::string(as_text(errand.name)));
  }
  return fail(ErrorCode::internal, "outbox: no such errand");
}

Result<void> DirectoryPublisher::make_folder(const std::string& unit, const std::string& above) {
  return directory_->put({.dn = "ou=" + escaped_rdn(unit) + "," + above, .classes = {"organizationalUnit"}, .naming = {}, .attributes = {one("ou", unit)}});
}

std::string DirectoryPublisher::authority_dn(Branch branch) const {
  return "cn=" + escaped_rdn(authorities_.of(branch).certificate.names().common_name) + ",ou=" + authorities_unit() + "," + settings_.base;
}

/// RFC 4523 §3.3, §3.5: the CA with its certificate, and below it the lists of the shards.
Result<void> DirectoryPublisher::publish_authority(Branch branch) {
  const crypto::Certificate& certificate = authorities_.of(branch).certificate;
  DirectoryAttribute certificates = one("cACertificate;binary", certificate.der());
  if (branch == Branch::devices) {  // all device CAs have one name
    for (const Authority& earlier : authorities_.earlier(branch)) certificates.values.push_back(earlier.certificate.der());
    if (const DeviceSuccession* const next = authorities_.next_devices(); next != nullptr) certificates.values.push_back(next->new_with_new.der());
  }
  return directory_->put({.dn = authority_dn(branch),
                          .classes = {"applicationProcess", "pkiCA", "deltaCRL"},
                          .naming = {one("cn", certificate.names().common_name)},
                          .attributes = {std::move(certificates)}});
}

Result<void> DirectoryPublisher::publish_list(Branch branch, const std::string& scope) {
  ASSIGN_OR_RETURN(const std::optional<PublishedList> list, records_.list(branch, scope));
  if (!list) return {};
  const std::int64_t generation = authorities_.of(branch).generation;
  const bool full = scope == scope_in(branch, generation, full_scope);
  if (full || scope == scope_in(branch, generation, delta_scope)) {
    const char* attribute = full ? "certificateRevocationList;binary" : "deltaRevocationList;binary";
    return directory_->put({.dn = authority_dn(branch),
                            .classes = {"applicationProcess", "pkiCA", "deltaCRL"},
                            .naming = {one("cn", authorities_.of(branch).certificate.names().common_name)},
                            .attributes = {one(attribute, list->der)}});
  }
  return directory_->put({.dn = "cn=" + escaped_rdn(scope) + "," + authority_dn(branch),
                          .classes = {"cRLDistributionPoint"},
                          .naming = {one("cn", scope)},
                          .attributes = {one(scope.ends_with(delta_scope) ? "deltaRevocationList;binary" : "certificateRevocationList;binary", list->der)}});
}

Result<void> DirectoryPublisher::publish_certificate(const Bytes& serial) {
  ASSIGN_OR_RETURN(const std::vector<IssuedCertificate> found, records_.certificates(std::span(&serial, 1)));
  if (found.empty()) return {};
  const std::string_view whose = found.front().identity;
  if (whose.starts_with(subject_prefix)) {
    const std::string uid(whose.substr(subject_prefix.size()));
    return publish_holder(found.front().identity, uid, "ou=" + subjects_unit() + "," + settings_.base);
  }
  ASSIGN_OR_RETURN(const Identity identity, Identity::parse_uri(found.front().identity));
  if (apps.has(identity.kind)) return publish_terminal(found.front());
  return publish_element(found.front().identity, identity);
}

Result<void> DirectoryPublisher::publish_element(const std::string& uri, const Identity& identity) {
  TRY(make_folder(identity.domain, "ou=" + elements_unit() + "," + settings_.base));
  return publish_holder(uri, identity.name, "ou=" + escaped_rdn(identity.domain) + ",ou=" + elements_unit() + "," + settings_.base);
}

Result<void> DirectoryPublisher::publish_holder(const std::string& identity, const std::string& name, const std::string& above) {
  const std::string dn = "cn=" + escaped_rdn(name) + "," + above;
  ASSIGN_OR_RETURN(const std::vector<IssuedCertificate> live, records_.live_of(identity, clock_.now_ms()));
  if (live.empty()) return directory_->remove(dn);
  DirectoryAttribute certificates{.name = "userCertificate;binary", .values = {}};
  for (const IssuedCertificate& certificate : live) certificates.values.push_back(certificate.der);
  return directory_->put({.dn = dn, .classes = {"applicationProcess", "pkiUser"}, .naming = {one("cn", name)}, .attributes = {std::move(certificates)}});
}

/// A terminal's certificate holds its subscriber's number: it is not published. What is: that a certificate with this fingerprint is live. Who has the
/// certificate finds it; the fingerprint covers a public key, so that nobody finds a number by trying all.
Result<void> DirectoryPublisher::publish_terminal(const IssuedCertificate& certificate) {
  ASSIGN_OR_RETURN(const crypto::Certificate parsed, crypto::Certificate::parse(certificate.der));
  const std::string fingerprint = to_hex(parsed.fingerprint(crypto::Hash::sha256));
  const std::string dn = "cn=" + fingerprint + ",ou=" + terminals_unit() + "," + settings_.base;
  if (certificate.revoked || certificate.not_after <= clock_.now_ms()) return directory_->remove(dn);
  return directory_->put({.dn = dn, .classes = {"device"}, .naming = {one("cn", fingerprint)}, .attributes = {one("serialNumber", to_hex(certificate.serial))}});
}

}  // namespace qanat::cas
