#include "services/cas/csp/csp.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "crypto/kdf.hpp"
#include "crypto/subject.hpp"

namespace qanat::cas {
namespace {

constexpr std::chrono::milliseconds look_every{1000};
constexpr std::size_t presigned_at_once = 64;
constexpr UnixMs recalled_ms = 86'400'000;  // revocations whose notices are sent again after a start
constexpr std::size_t recalled_max = 1000;

/// Nothing is made ahead where nobody can ask for it.
DeskSettings desk_settings(const CasSettings& settings) {
  return {.asked_lifetime = settings.status_lifetime,
          .presigned_lifetime = settings.presigned_lifetime,
          .presigned_max = settings.front.url.empty() ? 0 : settings.presigned_max};
}

}  // namespace

Csp::Csp(node::Node& node, const CasSettings& settings, Records& records, const Authorities& authorities)
    : node_(node),
      settings_(settings),
      authorities_(authorities),
      records_(records.store()),
      delegates_(records, authorities, node.suite(), node.rng(), node.identity(), settings.responder_lifetime),
      lists_(records_, authorities, settings.front.url, settings.crl_lifetime),
      desk_(records_, authorities, delegates_, node.clock(), desk_settings(settings)),
      front_(desk_, lists_, authorities, node.clock()),
      notices_(node) {
  if (!settings.directory.uri.empty()) directory_ = std::make_unique<DirectoryPublisher>(records_, authorities, settings.directory, node.clock());
}

Result<void> Csp::start() {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(started_, true)) return {};
  }
  const UnixMs now = node_.clock().now_ms();
  TRY(lists_.start(now));
  if (signs_answers()) TRY(delegates_.renew(now));
  if (!settings_.front.url.empty()) {
    TRY(front_.start(settings_.front.listener));
    node::log(node::LogLevel::note, "certificate status for everybody at {} (port {})", settings_.front.url, front_.port());
  }
  notices_.start();
  TRY(recall_revocations());
  if (directory_) directory_->start();
  thread_ = std::thread([this] { run(); });
  return {};
}

void Csp::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  front_.stop();
  if (thread_.joinable()) thread_.join();
  notices_.stop();
  if (directory_) directory_->stop();
}

void Csp::issued() {
  {
    const std::lock_guard lock(mutex_);
    look_ = true;
  }
  changed_.notify_all();
  if (directory_) directory_->wake();
}

Result<void> Csp::revoked(std::span<const Bytes> serials) {
  // First, and without anything that can fail: the revocation stands, whatever becomes of the rest.
  for (const Branch branch : authorities_.branches()) desk_.forget(branch, serials);
  ASSIGN_OR_RETURN(const std::vector<IssuedCertificate> certificates, records_.certificates(serials));
  {
    const std::lock_guard lock(mutex_);
    for (const IssuedCertificate& certificate : certificates) to_list_[certificate.branch].push_back(certificate.serial);
    look_ = true;
  }
  changed_.notify_all();
  if (directory_) directory_->wake();
  notify(certificates);
  return {};
}

Result<net::Staple> Csp::staple(ByteView certificate_der) {
  ASSIGN_OR_RETURN(const crypto::SubjectCertificate certificate, crypto::SubjectCertificate::parse(certificate_der));
  const std::array serials{certificate.serial()};
  ASSIGN_OR_RETURN(const std::vector<IssuedCertificate> issued, records_.certificates(serials));
  const auto found = std::ranges::find(issued, certificate.der(), &IssuedCertificate::der);
  if (found == issued.end()) return fail(ErrorCode::not_found, "no certificate of this CA: its status is not known here");
  return desk_.staple(found->branch, found->serial);
}

/// Every element hears, and this one acts as they do.
void Csp::notify(std::span<const IssuedCertificate> certificates) {
  std::set<Bytes> fingerprints;
  std::vector<std::string> texts;
  for (const IssuedCertificate& certificate : certificates) {
    Bytes fingerprint = crypto::digest(crypto::Hash::sha256, certificate.der);
    texts.push_back(to_hex(fingerprint));
    fingerprints.insert(std::move(fingerprint));
  }
  node_.drop_revoked(fingerprints);
  notices_.send(texts);
}

/// The process may have ended between a revocation and its notices.
Result<void> Csp::recall_revocations() {
  const UnixMs now = node_.clock().now_ms();
  std::vector<Bytes> serials;
  for (const Branch branch : authorities_.branches()) {
    ASSIGN_OR_RETURN(const std::vector<crypto::RevokedSerial> revoked, records_.revoked(branch, now, now > recalled_ms ? now - recalled_ms : 0));
    for (const crypto::RevokedSerial& entry : revoked) {
      if (serials.size() < recalled_max) serials.push_back(entry.serial);
    }
  }
  ASSIGN_OR_RETURN(const std::vector<IssuedCertificate> certificates, records_.certificates(serials));
  notify(certificates);
  return {};
}

void Csp::run() {
  std::string told;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    const Result<bool> more = work();
    if (!more && more.error().message != told) {
      told = more.error().message;  // once, not every second
      node::log(node::LogLevel::error, "certificate status: {}", told);
    }
    if (more) told.clear();
    lock.lock();
    if (stopping_ || (more && *more)) continue;
    if (!more) {  // what is left to do is still noted down: it must not be tried again without a pause
      changed_.wait_for(lock, look_every, [this] { return stopping_; });
      look_ = true;
      continue;
    }
    changed_.wait_for(lock, look_every, [this] { return stopping_ || look_ || !to_list_.empty(); });
  }
}

/// Lists that cannot be made do not keep answers from being made.
Result<bool> Csp::work() {
  const Result<void> listed = work_on_lists();
  const Result<void> stapled = work_on_staples();
  ASSIGN_OR_RETURN(const bool more, work_on_answers());
  TRY(listed);
  TRY(stapled);
  return more;
}

Result<void> Csp::work_on_staples() {
  if (!signs_answers()) return {};
  TRY(delegates_.renew(node_.clock().now_ms()));
  return desk_.renew_staples();
}

Result<void> Csp::work_on_lists() {
  TRY(make_due_lists());
  return lists_.renew(node_.clock().now_ms());
}

Result<bool> Csp::work_on_answers() {
  const UnixMs now = node_.clock().now_ms();
  if (settings_.front.url.empty()) {
    const std::lock_guard lock(mutex_);
    look_ = false;
    return false;
  }
  TRY(delegates_.renew(now));
  bool look = false;
  {
    const std::lock_guard lock(mutex_);
    look = std::exchange(look_, false);
  }
  std::vector<LiveCertificate> live;
  if (look) {
    ASSIGN_OR_RETURN(live, records_.live(now, settings_.presigned_max / 2));
  }
  ASSIGN_OR_RETURN(const std::size_t made, desk_.prepare(live, presigned_at_once));
  if (made < presigned_at_once) return false;
  const std::lock_guard lock(mutex_);
  look_ = look_ || look;
  return true;
}

Result<void> Csp::make_due_lists() {
  std::map<Branch, std::vector<Bytes>> revoked;
  {
    const std::lock_guard lock(mutex_);
    revoked = std::exchange(to_list_, {});
  }
  for (const auto& [branch, serials] : revoked) {
    const Result<void> made = lists_.revoked(branch, serials, node_.clock().now_ms());
    if (made) continue;
    const std::lock_guard lock(mutex_);
    for (const auto& [later, still] : revoked) {
      if (later >= branch) to_list_[later].insert(to_list_[later].end(), still.begin(), still.end());
    }
    return made;
  }
  if (!revoked.empty() && directory_) directory_->wake();
  return {};
}

void Csp::describe(wire::Json& body) {
  wire::Json lists = wire::Json::object();
  for (const Branch branch : authorities_.branches()) {
    if (const auto found = lists_.in_force(branch, full_scope)) lists.set(name(branch), found->number);
  }
  wire::Json waiting = wire::Json::object();
  for (const auto& [peer, count] : notices_.waiting()) waiting.set(peer, count);
  wire::Json csp = wire::Json::object({{"answers_prepared", desk_.prepared()}, {"list_numbers", std::move(lists)}, {"notices_waiting", std::move(waiting)}});
  if (directory_) csp.set("directory", directory_->describe());
  body.set("csp", std::move(csp));
}

}  // namespace qanat::cas
