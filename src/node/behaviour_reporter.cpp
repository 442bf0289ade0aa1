#include "node/behaviour_reporter.hpp"

#include <algorithm>

#include "audit/files.hpp"
#include "node/log.hpp"

namespace qanat::node {
namespace {

constexpr std::size_t behaviours_waiting_max = 4096;
constexpr std::size_t behaviours_per_report = 64;     // IAM takes no more
constexpr std::size_t report_octets_max = 24 * 1024;  // a report fits the body of its request with one record more
constexpr std::size_t record_octets = 96;             // the names of its members
constexpr std::size_t repeated_max = 256;             // kinds of repeated things; a further one is told each time
constexpr UnixMs repeated_span_ms = 60'000;
constexpr std::size_t kept_octets_max = 8U << 20U;
constexpr std::chrono::milliseconds report_max{3000};
constexpr std::chrono::milliseconds report_again_after{1000};
constexpr std::chrono::milliseconds last_reports_max{1000};

/// What the same report would meet again.
bool refused_for_good(ErrorCode code) noexcept { return code == ErrorCode::invalid_argument || code == ErrorCode::denied; }

/// At most, as JSON: a quotation mark takes two octets.
std::size_t octets_of(const Behaviour& one) noexcept {
  return record_octets + 2 * (one.about.size() + one.action.size() + one.outcome.size() + one.object.size());
}

}  // namespace

BehaviourReporter::BehaviourReporter(Identity self, const Clock& clock, std::filesystem::path kept, Ports ports, std::chrono::milliseconds apart)
    : self_(std::move(self)), clock_(clock), kept_(std::move(kept)), ports_(std::move(ports)), apart_(apart) {}

void BehaviourReporter::start() {
  if (thread_.joinable()) return;
  read_kept();
  thread_ = std::thread([this] { run(); });
}

void BehaviourReporter::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void BehaviourReporter::report(Behaviour behaviour, Telling telling) {
  const UnixMs now = clock_.now_ms();
  if (behaviour.about.empty()) behaviour.about = self_.name;
  for (std::string* text : {&behaviour.action, &behaviour.outcome, &behaviour.object}) *text = behaviour_text(*text);
  bool awaited = false;
  {
    const std::lock_guard lock(mutex_);
    if (telling == Telling::together) {
      const auto found = repeated_.find({behaviour.about, behaviour.action, behaviour.outcome, behaviour.object});
      if (found != repeated_.end()) {
        ++found->second.more;
        return;
      }
      if (repeated_.size() < repeated_max) {
        repeated_.emplace(Key(behaviour.about, behaviour.action, behaviour.outcome, behaviour.object), Repeated{.until_ms = now + repeated_span_ms, .more = 0});
      }
    }
    put({.behaviour = std::move(behaviour), .time_ms = now});
    awaited = queue_.size() == 1 || queue_.size() >= behaviours_per_report;  // between these the thread sends, or waits for more
  }
  if (awaited) changed_.notify_one();
}

void BehaviourReporter::saw(const audit::Event& event) {
  if (auto told = behaviour_of(self_, event)) report(std::move(told->behaviour), told->telling);
}

BehaviourReporter::Counts BehaviourReporter::counts() {
  const std::lock_guard lock(mutex_);
  Counts out = counts_;
  out.waiting = queue_.size();
  for (const Batch& batch : batches_) out.waiting += batch.records;
  return out;
}

void BehaviourReporter::put(Entry entry) {
  if (queue_.size() >= behaviours_waiting_max) {
    queue_.pop_front();
    ++counts_.dropped;
  }
  queue_.push_back(std::move(entry));
}

UnixMs BehaviourReporter::gather(UnixMs now, Ended which) {
  UnixMs next = now + repeated_span_ms;
  for (auto one = repeated_.begin(); one != repeated_.end();) {
    Repeated& repeated = one->second;
    if (which == Ended::over && now < repeated.until_ms) {
      next = std::min(next, repeated.until_ms);
      ++one;
      continue;
    }
    if (repeated.more == 0) {
      one = repeated_.erase(one);
      continue;
    }
    const auto& [about, action, outcome, object] = one->first;
    const std::string count = std::to_string(repeated.more) + " more" + (object.empty() ? "" : ": " + object);
    put({.behaviour = {.about = about, .action = action, .outcome = outcome, .object = behaviour_text(count)}, .time_ms = now});
    repeated = {.until_ms = now + repeated_span_ms, .more = 0};
    ++one;
  }
  return next;
}

BehaviourReporter::Batch BehaviourReporter::make_batch() {
  Batch out;
  wire::Json records = wire::Json::array();
  std::size_t octets = 0;
  while (!queue_.empty() && out.records < behaviours_per_report && octets < report_octets_max) {
    const Entry& entry = queue_.front();
    octets += octets_of(entry.behaviour);
    records.push(wire::Json::object({{"time_ms", entry.time_ms},
                                     {"uid", entry.behaviour.about},
                                     {"action", entry.behaviour.action},
                                     {"outcome", entry.behaviour.outcome},
                                     {"object", entry.behaviour.object}}));
    queue_.pop_front();
    ++out.records;
  }
  out.report = wire::Json::object({{"id", ports_.new_id()}, {"records", std::move(records)}});
  return out;
}

void BehaviourReporter::run() {
  std::unique_lock lock(mutex_);
  UnixMs due = 0;
  std::chrono::steady_clock::time_point next_report;
  while (!stopping_) {
    due = gather(clock_.now_ms(), Ended::over);
    if (queue_.empty() && batches_.empty()) {
      const UnixMs now = clock_.now_ms();
      changed_.wait_for(lock, std::chrono::milliseconds(due > now ? due - now : 1), [this] { return stopping_ || !queue_.empty(); });
      continue;
    }
    if (batches_.empty()) {
      changed_.wait_until(lock, next_report, [this] { return stopping_ || queue_.size() >= behaviours_per_report; });
      if (stopping_) break;
      batches_.push_back(make_batch());
    }
    const Batch batch = batches_.front();
    lock.unlock();
    const bool done = deliver(batch, Deadline::after(report_max));
    next_report = std::chrono::steady_clock::now() + apart_;
    lock.lock();
    if (done) {
      batches_.pop_front();
    } else {
      changed_.wait_for(lock, report_again_after, [this] { return stopping_; });
    }
  }
  (void)gather(clock_.now_ms(), Ended::all);
  while (!queue_.empty()) batches_.push_back(make_batch());
  const Deadline deadline = Deadline::after(last_reports_max);
  while (!batches_.empty() && !deadline.passed()) {
    const Batch batch = batches_.front();
    lock.unlock();
    const bool done = deliver(batch, deadline);
    lock.lock();
    if (!done) break;
    batches_.pop_front();
  }
  keep();
}

bool BehaviourReporter::deliver(const Batch& batch, Deadline deadline) {
  const auto sent = ports_.send(batch.report, deadline);
  const bool reached = sent || refused_for_good(sent.error().code);
  if (!reached && !away_) log(LogLevel::warning, "behaviour records wait: {}", sent.error().message);
  if (reached && away_) log(LogLevel::note, "behaviour records are taken again");
  if (!sent && reached) log(LogLevel::error, "behaviour records: IAM refuses {}: {}", batch.records, sent.error().message);
  const std::lock_guard lock(mutex_);
  away_ = !reached;
  if (reached) (sent ? counts_.sent : counts_.dropped) += batch.records;
  return reached;
}

void BehaviourReporter::read_kept() {
  const auto octets = audit::read_small_file(kept_, kept_octets_max);
  if (!octets) log(LogLevel::error, "behaviour records of an earlier run are lost: {}", octets.error().message);
  if (!octets || !*octets) return;
  std::string_view text = as_text(**octets);
  const std::lock_guard lock(mutex_);  // the health answer counts meanwhile
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const auto report = wire::Json::parse(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    const auto records = report ? report->array("records") : Result<std::vector<wire::Json>>(fail(report.error()));
    if (records) batches_.push_back({.report = *report, .records = records->size()});
  }
  // Not to be sent twice: what a crash takes now stands in the audit record.
  std::error_code ignored;
  std::filesystem::remove(kept_, ignored);
}

void BehaviourReporter::keep() {
  // The latest that there is room for: IAM may be away for several runs.
  std::vector<std::string> lines;
  std::size_t octets = 0;
  for (auto batch = batches_.rbegin(); batch != batches_.rend(); ++batch) {
    lines.push_back(batch->report.dump() + "\n");
    octets += lines.back().size();
    if (octets <= kept_octets_max) continue;
    lines.pop_back();
    log(LogLevel::error, "behaviour records: there is no room to keep more than {} reports, the older ones are lost", lines.size());
    break;
  }
  if (lines.empty()) return;
  std::string text;
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) text += *line;
  const auto written = audit::replace_file(kept_, as_bytes(text), audit::Durability::later);
  if (!written) log(LogLevel::error, "behaviour records that were not sent are lost: {}", written.error().message);
}

}  // namespace qanat::node
