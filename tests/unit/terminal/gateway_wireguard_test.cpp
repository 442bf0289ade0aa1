// A tunnel of WireGuard, whose socket is played here: which preshared key the interface has, whatever happens.
#include "terminal/gateway/wireguard.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <mutex>
#include <thread>

#include "base/check.hpp"
#include "fixed_rng.hpp"
#include "temporary_directory.hpp"
#include "terminal/gateway/uapi_message.hpp"
#include "terminal/gateway/unix_stream.hpp"

namespace qanat::terminal::gateway {
namespace {

const std::string watched_peer = std::string(64, '7');
const std::string no_shared_key = std::string(64, '0');

std::uint64_t seconds_ago(std::uint64_t seconds) {
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  return static_cast<std::uint64_t>(now) - seconds;
}

/// wireguard-go's socket, for an interface with one peer; one request for each connection.
class UapiDouble {
 public:
  explicit UapiDouble(std::filesystem::path socket) : path_(std::move(socket)), listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un place{};
    place.sun_family = AF_UNIX;
    const std::string path = path_.string();
    CHECK(path.size() < sizeof place.sun_path);
    std::ranges::copy(path, place.sun_path);
    CHECK(::bind(listener_, reinterpret_cast<const sockaddr*>(&place), sizeof place) == 0 && ::listen(listener_, 8) == 0);
    thread_ = std::jthread([this] { serve(); });
  }
  ~UapiDouble() {
    ended_ = true;
    (void)UnixStream::connect(path_, Deadline::after(std::chrono::seconds(10)));  // ends accept()
    thread_.join();
    ::close(listener_);
  }
  UapiDouble(const UapiDouble&) = delete;
  UapiDouble& operator=(const UapiDouble&) = delete;

  std::string shared_key() const {
    return with([](const Interface& one) { return one.shared_key; });
  }
  void set_shared_key(const std::string& key) {
    change([&](Interface& one) { one.shared_key = key; });
  }
  void set_handshake(std::uint64_t unix_s) {
    change([&](Interface& one) { one.handshake_s = unix_s; });
  }
  void set_sent(std::uint64_t octets) {
    change([&](Interface& one) { one.sent = octets; });
  }
  /// Lines of other peers, before those of ours.
  void set_others(const std::string& lines) {
    change([&](Interface& one) { one.others = lines; });
  }
  /// A handshake whenever the private key is set.
  void shake_when_forced() {
    change([&](Interface& one) { one.shakes = true; });
  }
  /// Called when a preshared key has been set, before that is answered.
  void set_on_key(const std::function<void()>& call) {
    change([&](Interface& one) { one.on_key = call; });
  }

 private:
  struct Interface {
    std::string shared_key = no_shared_key;
    std::uint64_t handshake_s = 0;
    std::uint64_t sent = 0;
    std::string others;
    bool shakes = false;
    std::function<void()> on_key;
  };
  template <class Read>
  std::string with(Read read) const {
    const std::lock_guard lock(mutex_);
    return read(interface_);
  }
  template <class Change>
  void change(Change make) {
    const std::lock_guard lock(mutex_);
    make(interface_);
  }

  void serve() {
    while (true) {
      const int peer = ::accept(listener_, nullptr, nullptr);
      if (peer < 0 || ended_) {
        ::close(peer);
        return;
      }
      const std::string answer = answer_to(request_from(peer));
      std::string_view rest = answer;
      while (!rest.empty()) {
        const ssize_t sent = ::send(peer, rest.data(), rest.size(), MSG_NOSIGNAL);
        if (sent <= 0) break;  // it has heard enough
        rest.remove_prefix(static_cast<std::size_t>(sent));
      }
      ::close(peer);
    }
  }
  static std::string request_from(int peer) {
    std::string out;
    std::array<char, 4096> part{};
    while (!out.ends_with("\n\n")) {
      const ssize_t got = ::recv(peer, part.data(), part.size(), 0);
      if (got <= 0) break;
      out.append(part.data(), static_cast<std::size_t>(got));
    }
    return out;
  }
  std::string answer_to(const std::string& request) {
    if (request.starts_with("get=1\n")) return with([](const Interface& one) { return described(one); });
    const std::string label = "preshared_key=";
    const std::size_t at = request.find(label);
    if (at != std::string::npos) {
      std::function<void()> call;
      change([&](Interface& one) {
        call = one.on_key;
        one.shared_key = request.substr(at + label.size(), 64);
      });
      if (call) call();
    } else if (request.contains("private_key=")) {
      // Only without a preshared key behind it: the handshake's answer may come before that line is read, and is lost then.
      change([](Interface& one) {
        if (one.shakes) one.handshake_s = seconds_ago(0);
      });
    }
    return "errno=0\n\n";
  }
  static std::string described(const Interface& one) {
    return "private_key=" + std::string(64, '1') + "\nlisten_port=51820\n" + one.others + "public_key=" + watched_peer + "\npreshared_key=" + one.shared_key +
           "\nlast_handshake_time_sec=" + std::to_string(one.handshake_s) + "\nlast_handshake_time_nsec=0\ntx_bytes=" + std::to_string(one.sent) +
           "\nrx_bytes=0\npersistent_keepalive_interval=0\nerrno=0\n\n";
  }

  const std::filesystem::path path_;
  const int listener_;
  std::atomic<bool> ended_ = false;
  mutable std::mutex mutex_;
  Interface interface_;
  std::jthread thread_;
};

class WireGuardTunnelTest : public testing::Test {
 protected:
  void open(Handshake handshake) {
    tunnel_ = open_wireguard({.socket = folder_ / "wg0.sock", .peer_key = watched_peer, .handshake = handshake}, rng_);
    for (const std::uint8_t number : std::initializer_list<std::uint8_t>{1, 2})
      ASSERT_TRUE(tunnel_->load(id_of(number), Secret::copy_of(octets_of(number)), soon_));
  }
  static KeyId id_of(std::uint8_t number) { return KeyId(Bytes(KeyId::size, number)); }
  static Bytes octets_of(std::uint8_t number) { return Bytes(wireguard_key_octets, static_cast<std::uint8_t>(number + 0xa0)); }
  static std::string text_of(std::uint8_t number) { return to_hex(octets_of(number)); }

  const Deadline soon_ = Deadline::after(std::chrono::seconds(60));
  const std::string before_ = std::string(64, '9');  // a key of before this process
  qanat::test::TemporaryDirectory folder_;
  UapiDouble interface_{folder_ / "wg0.sock"};
  FixedRng rng_{5};
  std::unique_ptr<Tunnel> tunnel_;
};

TEST_F(WireGuardTunnelTest, AnIdleTunnelIsUpAndAForcedChangeMayBegin) {
  open(Handshake::forced);
  interface_.set_shared_key(before_);
  interface_.set_handshake(seconds_ago(3600));
  for (int i = 0; i < 2; ++i) {
    const auto condition = tunnel_->condition(soon_);
    ASSERT_TRUE(condition) << condition.error().message;
    EXPECT_TRUE(condition->up);
    EXPECT_TRUE(condition->changeable);
    EXPECT_FALSE(condition->overdue);
  }
}

TEST_F(WireGuardTunnelTest, WhoAwaitsAHandshakeBeginsNothingWhileNothingIsSent) {
  open(Handshake::awaited);
  interface_.set_shared_key(before_);
  interface_.set_handshake(seconds_ago(3600));
  EXPECT_FALSE(tunnel_->condition(soon_).value().changeable);
  EXPECT_FALSE(tunnel_->condition(soon_).value().changeable);
  interface_.set_sent(148);
  EXPECT_TRUE(tunnel_->condition(soon_).value().changeable);
}

TEST_F(WireGuardTunnelTest, AForcedChangeLeavesTheNewKeyAndAFailedOneTheFormer) {
  open(Handshake::forced);
  interface_.set_shared_key(before_);
  interface_.shake_when_forced();
  ASSERT_TRUE(tunnel_->put_in_force(id_of(1), std::nullopt, soon_));
  EXPECT_EQ(interface_.shared_key(), text_of(1));
  interface_.set_handshake(seconds_ago(0) + 3600);  // no later one comes
  const auto failed = tunnel_->put_in_force(id_of(2), id_of(1), Deadline::after(std::chrono::milliseconds(200)));
  ASSERT_FALSE(failed);
  EXPECT_EQ(interface_.shared_key(), text_of(1));
}

TEST_F(WireGuardTunnelTest, AnEndOfTheProcessEndsTheWaitAndBringsTheFormerKeyBack) {
  open(Handshake::awaited);
  interface_.set_shared_key(before_);
  interface_.set_handshake(seconds_ago(100));
  std::atomic<int> set = 0;
  interface_.set_on_key([&] {
    ++set;
    tunnel_->interrupt();
  });
  const auto changed = tunnel_->put_in_force(id_of(1), std::nullopt, soon_);
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code, ErrorCode::unavailable) << changed.error().message;
  EXPECT_EQ(set.load(), 2) << "the new one, and the former again";
  EXPECT_EQ(interface_.shared_key(), before_);
}

TEST_F(WireGuardTunnelTest, AResponderCanGoBackToWhatTheInterfaceHad) {
  open(Handshake::forced);
  interface_.set_shared_key(before_);
  interface_.set_handshake(seconds_ago(170));
  ASSERT_TRUE(tunnel_->follow(id_of(1), soon_));
  EXPECT_EQ(interface_.shared_key(), text_of(1));
  EXPECT_FALSE(tunnel_->condition(soon_).value().overdue) << "the initiator may be about to set it";
  ASSERT_TRUE(tunnel_->unfollow(soon_));
  EXPECT_EQ(interface_.shared_key(), before_);
  interface_.set_shared_key(text_of(2));
  ASSERT_TRUE(tunnel_->unfollow(soon_));
  EXPECT_EQ(interface_.shared_key(), text_of(2)) << "there was nothing to undo";
}

TEST_F(WireGuardTunnelTest, AResponderStaysWithAKeyThatHasActedOrWasNamedAgain) {
  open(Handshake::forced);
  interface_.set_shared_key(before_);
  interface_.set_handshake(seconds_ago(100));
  ASSERT_TRUE(tunnel_->follow(id_of(1), soon_));
  interface_.set_handshake(seconds_ago(0));
  ASSERT_TRUE(tunnel_->condition(soon_));
  ASSERT_TRUE(tunnel_->unfollow(soon_));
  EXPECT_EQ(interface_.shared_key(), text_of(1)) << "a handshake came under it";
  ASSERT_TRUE(tunnel_->follow(id_of(2), soon_));
  ASSERT_TRUE(tunnel_->follow(id_of(2), soon_));
  ASSERT_TRUE(tunnel_->unfollow(soon_));
  EXPECT_EQ(interface_.shared_key(), text_of(2)) << "the initiator named it again";
}

TEST_F(WireGuardTunnelTest, AReturnToTheFormerKeyIsNotUndone) {
  open(Handshake::forced);
  interface_.set_shared_key(text_of(1));
  ASSERT_TRUE(tunnel_->follow(id_of(2), soon_));
  ASSERT_TRUE(tunnel_->follow(id_of(1), soon_)) << "the initiator's change failed";
  ASSERT_TRUE(tunnel_->unfollow(soon_));
  EXPECT_EQ(interface_.shared_key(), text_of(1));
}

TEST_F(WireGuardTunnelTest, TheKeyToGoBackToIsTheOneThatActedLast) {
  open(Handshake::forced);
  interface_.set_shared_key(before_);
  interface_.set_handshake(seconds_ago(100));
  ASSERT_TRUE(tunnel_->follow(id_of(1), soon_));
  ASSERT_TRUE(tunnel_->follow(id_of(2), soon_));
  ASSERT_TRUE(tunnel_->unfollow(soon_));
  EXPECT_EQ(interface_.shared_key(), before_) << "the first one never acted";
  ASSERT_TRUE(tunnel_->follow(id_of(1), soon_));
  interface_.set_handshake(seconds_ago(0));
  ASSERT_TRUE(tunnel_->follow(id_of(2), soon_));
  ASSERT_TRUE(tunnel_->unfollow(soon_));
  EXPECT_EQ(interface_.shared_key(), text_of(1)) << "it acted";
}

TEST_F(WireGuardTunnelTest, AnInterfaceThatIsNewIsClosedAndHasNoneOfOurKeys) {
  open(Handshake::forced);
  interface_.set_shared_key(before_);
  ASSERT_TRUE(tunnel_->prepare(soon_));
  EXPECT_EQ(tunnel_->loaded(soon_).value().size(), 2U);
  interface_.set_shared_key(no_shared_key);  // it was made anew
  ASSERT_TRUE(tunnel_->prepare(soon_));
  EXPECT_NE(interface_.shared_key(), no_shared_key);
  EXPECT_TRUE(tunnel_->loaded(soon_).value().empty());
}

TEST_F(WireGuardTunnelTest, ReadsLongAnswersUpToABound) {
  open(Handshake::forced);
  std::string others = "public_key=" + std::string(64, '8') + "\n";
  while (others.size() < 100'000) others += "allowed_ip=10.0.0.0/8\n";
  interface_.set_others(others);
  EXPECT_TRUE(tunnel_->condition(soon_));
  while (others.size() < uapi_answer_max) others += "allowed_ip=10.0.0.0/8\n";
  interface_.set_others(others);
  EXPECT_EQ(tunnel_->condition(soon_).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace qanat::terminal::gateway
