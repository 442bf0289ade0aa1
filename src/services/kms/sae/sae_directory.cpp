#include "services/kms/sae/sae_directory.hpp"

#include <algorithm>

#include "node/log.hpp"
#include "node/subscriber.hpp"

namespace qanat::kms {
namespace {

constexpr std::size_t saes_max = 1000000;  // known at a time
constexpr int attempts_max = 3;            // of a list that changes while it is read
constexpr std::chrono::milliseconds ask_max{5000};
constexpr std::chrono::milliseconds pause_first{500};  // after IAM did not answer, doubled up to the time after which it is asked anyway
constexpr std::string_view any_domain = "*";
constexpr std::string_view all_applications = "class:application";

Result<kme::Sae> read_sae(const wire::Json& entry, const std::string& own_domain, const std::string& own_name) {
  kme::Sae out;
  ASSIGN_OR_RETURN(const std::string uid, entry.text("uid"));
  TRY(node::parse_uid(uid));
  out.id = kme::SaeId(uid);
  ASSIGN_OR_RETURN(out.domain, entry.text("domain"));
  ASSIGN_OR_RETURN(out.kme, entry.text("home_kms"));
  out.here = out.domain == own_domain && out.kme == own_name;
  ASSIGN_OR_RETURN(const auto per_second, entry.optional_integer("keys_per_second", 0, UINT32_MAX));
  ASSIGN_OR_RETURN(const auto per_day, entry.optional_integer("keys_per_day", 0, INT64_MAX));
  out.keys_per_second = static_cast<std::uint32_t>(per_second.value_or(0));
  out.keys_per_day = static_cast<std::uint64_t>(per_day.value_or(0));
  out.peer_domains.emplace();
  if (!entry.has("peer_domains")) return out;
  ASSIGN_OR_RETURN(const std::vector<std::string> domains, entry.texts("peer_domains"));
  if (std::ranges::find(domains, any_domain) != domains.end()) {
    out.peer_domains.reset();
  } else {
    out.peer_domains->insert(domains.begin(), domains.end());
  }
  return out;
}

}  // namespace

SaeDirectory::SaeDirectory(Place place, const Clock& clock, Ports ports) : place_(std::move(place)), clock_(clock), ports_(std::move(ports)) {}

Result<SaeDirectory::Heard> SaeDirectory::ask_page(const std::string& known, const std::string& after, std::string& next, Deadline deadline) {
  wire::Json body = wire::Json::object({{"op", "saes"}});
  if (!known.empty()) body.set("known", known);
  if (!after.empty()) body.set("after", after);
  ASSIGN_OR_RETURN(const wire::Json answer, ports_.ask(body, deadline));
  Heard out;
  ASSIGN_OR_RETURN(out.digest, answer.text("digest"));
  ASSIGN_OR_RETURN(out.same, answer.boolean("same"));
  if (out.same) return out;
  ASSIGN_OR_RETURN(const std::vector<wire::Json> list, answer.array("saes"));
  for (const wire::Json& entry : list) {
    ASSIGN_OR_RETURN(kme::Sae sae, read_sae(entry, place_.domain, place_.kms));
    out.saes.push_back(std::move(sae));
  }
  ASSIGN_OR_RETURN(const auto more, answer.optional_text("next"));
  next = more.value_or("");
  return out;
}

/// Page after page, as long as all are of one list.
Result<SaeDirectory::Heard> SaeDirectory::ask_all(const std::string& known, Deadline deadline) {
  for (int attempt = 0; attempt < attempts_max; ++attempt) {
    std::string next;
    ASSIGN_OR_RETURN(Heard all, ask_page(known, "", next, deadline));
    if (all.same) return all;
    bool one_list = true;
    while (one_list && !next.empty()) {
      const std::string after = next;
      ASSIGN_OR_RETURN(Heard page, ask_page("", after, next, deadline));
      one_list = page.digest == all.digest;
      std::ranges::move(page.saes, std::back_inserter(all.saes));
      if (all.saes.size() > saes_max || (!next.empty() && next <= after)) return fail(ErrorCode::invalid_argument, "IAM: more SAEs than can be known here");
    }
    if (one_list) return all;
  }
  return fail(ErrorCode::unavailable, "IAM: the list of SAEs changes faster than it can be read");
}

Result<void> SaeDirectory::refresh(Deadline deadline) {
  const std::lock_guard one_at_a_time(refreshing_);
  for (int attempt = 0; attempt < attempts_max; ++attempt) {
    std::string known;
    std::uint64_t changes = 0;
    {
      const std::lock_guard lock(mutex_);
      known = digest_;
      changes = changes_;
    }
    const UnixMs asked_ms = clock_.now_ms();
    ASSIGN_OR_RETURN(Heard heard, ask_all(known, deadline));
    if (heard.same && heard.digest != known) return fail(ErrorCode::invalid_argument, "IAM: 'same' as a list that is not the one here");
    if (!heard.same) {
      const std::size_t count = heard.saes.size();
      ASSIGN_OR_RETURN(const kme::SaeRegistry made, kme::SaeRegistry::make(std::move(heard.saes)));
      TRY(ports_.changed(count, "IAM's list"));
      const std::lock_guard lock(mutex_);
      if (changes != changes_) continue;  // it may be from before what IAM has told since
      registry_ = made;
      digest_ = heard.digest;
      heard_ms_ = asked_ms;
      return {};
    }
    const std::lock_guard lock(mutex_);
    if (changes != changes_) continue;
    heard_ms_ = asked_ms;
    return {};
  }
  return fail(ErrorCode::unavailable, "IAM: the list of SAEs changes faster than it can be read");
}

void SaeDirectory::changed(const std::string& subject) {
  {
    const std::lock_guard lock(mutex_);
    ++changes_;
    const auto entries = registry_.all();
    if (subject == all_applications || entries->contains(kme::SaeId(subject))) {
      std::vector<kme::Sae> left;
      for (const auto& [id, sae] : *entries) {
        if (subject != all_applications && id.text() != subject) left.push_back(sae);
      }
      auto made = kme::SaeRegistry::make(std::move(left));
      registry_ = made ? *made : kme::SaeRegistry();
      digest_.clear();
    }
  }
  rung_.ring();
}

void SaeDirectory::look_at_clock() {
  {
    const std::lock_guard lock(mutex_);
    if (registry_.all()->empty() || clock_.now_ms() <= heard_ms_ + static_cast<UnixMs>(place_.lifetime.count())) return;
    registry_ = kme::SaeRegistry();
    digest_.clear();
  }
  if (const auto told = ports_.changed(0, "IAM has not answered for too long"); !told) node::log(node::LogLevel::error, "audit: {}", told.error().message);
}

void SaeDirectory::start() {
  thread_ = std::thread([this] { run(); });
}

void SaeDirectory::run() {
  std::chrono::milliseconds pause{0};
  while (true) {
    const std::uint64_t seen = rung_.count();
    if (stopping_) return;  // after the count: the ring of stop() is not missed
    const Result<void> asked = refresh(Deadline::after(ask_max));
    if (!asked) node::log(node::LogLevel::warning, "SAEs: {}", asked.error().message);
    look_at_clock();
    pause = asked ? std::chrono::milliseconds(0) : std::min(std::max(pause_first, 2 * pause), place_.refresh);
    rung_.wait(seen, Deadline::after(asked ? place_.refresh : pause));
  }
}

void SaeDirectory::stop() {
  stopping_ = true;
  rung_.ring();
  if (thread_.joinable()) thread_.join();
}

}  // namespace qanat::kms
