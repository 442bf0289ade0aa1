#include "stock_feed.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "cpu_clock.hpp"
#include "stock_end.hpp"

namespace qanat::bench {
namespace {

constexpr int look_every_ms = 100;
constexpr std::size_t chunks_max = 256;  // of one order
constexpr std::size_t missing_max = 2 * std::size_t{qkm::chunk_keys_max};

Result<sockaddr_un> address_of(const std::filesystem::path& socket) {
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  const std::string text = socket.string();
  if (text.size() >= sizeof out.sun_path) return fail(ErrorCode::invalid_argument, text + ": too long for a socket's name; give a shorter --within");
  std::ranges::copy(text, out.sun_path);
  return out;
}

/// The next line; nothing at the end of the connection, or when the process is to stop.
std::optional<std::string> read_line(int connection, std::string& buffer, const std::stop_token& stopping) {
  while (!stopping.stop_requested()) {
    if (const std::size_t end = buffer.find('\n'); end != std::string::npos) {
      std::string line = buffer.substr(0, end);
      buffer.erase(0, end + 1);
      return line;
    }
    pollfd wait{.fd = connection, .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, look_every_ms) <= 0) continue;
    std::array<char, 4096> chunk{};
    const ssize_t size = ::read(connection, chunk.data(), chunk.size());
    if (size <= 0) return std::nullopt;
    buffer.append(chunk.data(), static_cast<std::size_t>(size));
  }
  return std::nullopt;
}

Result<void> write_line(int connection, const std::string& line) {
  const std::string text = line + "\n";
  if (::send(connection, text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size()))
    return fail(ErrorCode::unavailable, "stock feed: the other end is gone");
  return {};
}

}  // namespace

Result<std::unique_ptr<StockIntake>> StockIntake::open(const std::filesystem::path& socket, store::Store& store, qkm::KeyStock& stock, Secret octets) {
  ASSIGN_OR_RETURN(const sockaddr_un address, address_of(socket));
  ::unlink(socket.c_str());
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 || ::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || ::listen(listener, 1) != 0) {
    if (listener >= 0) ::close(listener);
    return fail(ErrorCode::internal, socket.string() + ": no socket can be made here");
  }
  return std::unique_ptr<StockIntake>(new StockIntake(listener, store, stock, std::move(octets)));
}

StockIntake::StockIntake(int listener, store::Store& store, qkm::KeyStock& stock, Secret octets)
    : listener_(listener), store_(store), stock_(stock), octets_(std::move(octets)), thread_([this](const std::stop_token& stopping) { run(stopping); }) {}

StockIntake::~StockIntake() {
  thread_.request_stop();
  thread_.join();
  ::close(listener_);
}

void StockIntake::run(const std::stop_token& stopping) {
  while (!stopping.stop_requested()) {
    pollfd wait{.fd = listener_, .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, look_every_ms) <= 0) continue;
    const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    serve(connection, stopping);
    ::close(connection);
  }
}

void StockIntake::serve(int connection, const std::stop_token& stopping) {
  std::string buffer;
  while (const auto order = read_line(connection, buffer, stopping)) {
    const auto answer = add(*order);
    if (!write_line(connection, answer ? *answer : "failed " + answer.error().message)) return;
  }
}

/// "<stock> <0 or 1: the owner> <id> <id> …"; answered with "<this thread's processor seconds> <own keys> <the peer's>".
Result<std::string> StockIntake::add(const std::string& order) {
  std::istringstream words(order);
  std::string name;
  int owner = 0;
  words >> name >> owner;
  std::vector<BatchId> batches;
  for (std::string id; words >> id;) {
    ASSIGN_OR_RETURN(const BatchId batch, BatchId::parse_hex(id));
    batches.push_back(batch);
  }
  const qkm::StockName stock(name);
  ASSIGN_OR_RETURN(const qkm::StockLevel level, store_.transact([&](store::Transaction& transaction) -> Result<qkm::StockLevel> {
    TRY(add_chunks(transaction, stock_, stock, batches, owner == 1 ? qkm::Owner::self : qkm::Owner::peer, octets_));
    return stock_.level(transaction, stock, SystemClock().now_ms());
  }));
  return fmt::format("{} {} {}", thread_cpu_s(), level.own, level.peer);
}

Result<std::unique_ptr<StockFeed>> StockFeed::connect(const std::filesystem::path& socket, qkm::StockName name, qkm::Owner owner) {
  ASSIGN_OR_RETURN(const sockaddr_un address, address_of(socket));
  const int connection = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connection < 0 || ::connect(connection, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (connection >= 0) ::close(connection);
    return fail(ErrorCode::unavailable, socket.string() + ": no KME takes keys here");
  }
  return std::unique_ptr<StockFeed>(new StockFeed(connection, std::move(name), owner));
}

StockFeed::~StockFeed() { ::close(connection_); }

Result<void> StockFeed::add(std::span<const BatchId> batches) {
  std::string order = fmt::format("{} {}", name_.text(), owner_ == qkm::Owner::self ? 1 : 0);
  for (const BatchId& batch : batches) order += " " + batch.hex();
  TRY(write_line(connection_, order));
  std::string buffer;
  const auto answer = read_line(connection_, buffer, std::stop_token());
  if (!answer) return fail(ErrorCode::unavailable, "stock feed: the KME is gone");
  if (answer->starts_with("failed ")) return fail(ErrorCode::internal, "stock feed: " + answer->substr(7));
  std::istringstream words(*answer);
  std::int64_t own = 0;
  std::int64_t peer = 0;
  words >> cpu_s_ >> own >> peer;
  level_ = owner_ == qkm::Owner::self ? own : peer;
  return {};
}

StockUpkeep::StockUpkeep(StockFeed& near, StockFeed& far, crypto::Rng& rng, std::size_t missing)
    : near_(near), far_(far), rng_(rng), used_(missing), thread_([this] { run(); }) {}

StockUpkeep::~StockUpkeep() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void StockUpkeep::used() {
  std::unique_lock lock(mutex_);
  ++used_;
  if (used_ - replaced_ == qkm::chunk_keys_max) changed_.notify_all();
  changed_.wait(lock, [&] { return !failed_ || used_ - replaced_ < missing_max; });
}

Result<void> StockUpkeep::settle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !failed_ || used_ - replaced_ < qkm::chunk_keys_max; });
  return failed_;
}

Result<void> StockUpkeep::replace(std::size_t chunks) {
  std::vector<BatchId> batches;
  for (std::size_t i = 0; i < chunks; ++i) batches.push_back(rng_.id<BatchId>());
  TRY(far_.add(batches));
  return near_.add(batches);
}

void StockUpkeep::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stopping_ || used_ - replaced_ >= qkm::chunk_keys_max; });
    if (stopping_) return;
    const std::size_t chunks = std::min((used_ - replaced_) / qkm::chunk_keys_max, chunks_max);
    lock.unlock();
    auto done = replace(chunks);
    lock.lock();
    if (!done) failed_ = std::move(done);
    replaced_ += chunks * qkm::chunk_keys_max;
    lowest_ = std::min(lowest_, near_.level() - static_cast<std::int64_t>(chunks * qkm::chunk_keys_max));
    highest_ = std::max(highest_, near_.level());
    changed_.notify_all();
    if (!failed_) return;
  }
}

}  // namespace qanat::bench
