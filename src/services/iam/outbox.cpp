#include "services/iam/outbox.hpp"

#include <optional>
#include <vector>

#include "node/crash_point.hpp"
#include "node/log.hpp"

namespace qanat::iam {
namespace {

constexpr std::chrono::milliseconds again_after{500};

struct Letter {
  std::int64_t id = 0;
  std::string endpoint;
  std::string body;
};

/// What may be sent, by the name of its path: part of the database format.
std::optional<points::Endpoint> endpoint_at(std::string_view path) {
  for (const points::Endpoint one : {points::Endpoint::pm1_revoked, points::Endpoint::x12_notice}) {
    if (points::row(one).path == path) return one;
  }
  return std::nullopt;
}

/// What the same message would meet again: to hold on to it would hold up all that come after.
bool is_final(ErrorCode code) noexcept { return code == ErrorCode::invalid_argument || code == ErrorCode::denied; }

}  // namespace

Result<void> Outbox::put(store::Transaction& transaction, const std::string& destination, points::Endpoint endpoint, const wire::Json& body, UnixMs now) {
  const std::string text = body.dump();
  TRY(transaction.run("INSERT INTO outbox (destination, endpoint, body, made_ms) VALUES (?, ?, ?, ?)",
                      {std::string_view(destination), points::row(endpoint).path, std::string_view(text), store::column(now)}));
  return {};
}

void Outbox::ring() {
  {
    const std::lock_guard lock(mutex_);
    rung_ = true;
  }
  changed_.notify_all();
}

void Outbox::start() {
  rung_ = true;  // what an earlier process left
  thread_ = std::thread([this] { run(); });
}

void Outbox::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Result<std::int64_t> Outbox::waiting() {
  std::int64_t out = 0;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT count(*) FROM outbox", {}, [&](const store::Row& row) { out = row.integer(0); });
  }));
  return out;
}

Result<bool> Outbox::deliver() {
  std::vector<std::string> destinations;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT DISTINCT destination FROM outbox", {}, [&](const store::Row& row) { destinations.push_back(row.text(0)); });
  }));
  bool all = true;
  for (const std::string& destination : destinations) {
    while (true) {
      std::optional<Letter> letter;
      TRY(store_.transact([&](store::Transaction& transaction) {
        return transaction.query("SELECT id, endpoint, body FROM outbox WHERE destination = ? ORDER BY id LIMIT 1", {std::string_view(destination)},
                                 [&](const store::Row& row) { letter = Letter{.id = row.integer(0), .endpoint = row.text(1), .body = row.text(2)}; });
      }));
      if (!letter) break;
      const auto endpoint = endpoint_at(letter->endpoint);
      const auto body = wire::Json::parse(letter->body);
      const auto sent = endpoint && body ? send_(*endpoint, destination, *body) : Result<void>(fail(ErrorCode::invalid_argument, "of another version"));
      if (!sent && !is_final(sent.error().code)) {
        all = false;
        break;
      }
      if (!sent) node::log(node::LogLevel::error, "outbox: {} does not take message {}: {}", destination, letter->id, sent.error().message);
      node::crash_point("iam.outbox.sent");
      TRY(store_.transact([&](store::Transaction& transaction) { return transaction.run("DELETE FROM outbox WHERE id = ?", {letter->id}); }));
      const std::lock_guard lock(mutex_);
      if (stopping_) return all;
    }
  }
  return all;
}

void Outbox::run() {
  std::unique_lock lock(mutex_);
  bool left_over = false;
  while (!stopping_) {
    if (left_over) {
      changed_.wait_for(lock, again_after, [this] { return stopping_ || rung_; });
    } else {
      changed_.wait(lock, [this] { return stopping_ || rung_; });
    }
    if (stopping_) return;
    rung_ = false;
    lock.unlock();
    const auto all = deliver();
    if (!all) node::log(node::LogLevel::error, "outbox: {}", all.error().message);
    lock.lock();
    left_over = !all || !*all;
  }
}

}  // namespace qanat::iam
