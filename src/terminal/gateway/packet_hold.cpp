#include "terminal/gateway/packet_hold.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

#include "base/bytes.hpp"

namespace qanat::terminal::gateway {
namespace {

constexpr std::uint32_t packets_max = 65535;
constexpr int notices_max = 16 << 20U;  // octets: the kernel keeps the packets themselves, and tells of each
constexpr std::size_t notice_octets = 65536;
constexpr timeval answer_wait{.tv_sec = 1, .tv_usec = 0};

std::unexpected<Error> refused(const char* what, int error) {
  const ErrorCode code = error == EPERM || error == EACCES ? ErrorCode::denied : ErrorCode::unavailable;
  return fail(code, std::string("packet queue: ") + what + ": " + std::strerror(error));
}

/// One netlink request: header, nfgenmsg, attributes.
class Request {
 public:
  Request(std::uint16_t type, std::uint16_t flags, std::uint16_t queue) : octets_(NLMSG_HDRLEN + sizeof(nfgenmsg)) {
    nlmsghdr head{
        .nlmsg_len = 0, .nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_QUEUE << 8U | type), .nlmsg_flags = flags, .nlmsg_seq = 1, .nlmsg_pid = 0};
    const nfgenmsg message{.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = htons(queue)};
    std::memcpy(octets_.data(), &head, sizeof head);
    std::memcpy(octets_.data() + NLMSG_HDRLEN, &message, sizeof message);
  }
  template <class T>
  Request& attribute(std::uint16_t type, const T& value) {
    const nlattr head{.nla_len = static_cast<std::uint16_t>(NLA_HDRLEN + sizeof value), .nla_type = type};
    const std::size_t at = octets_.size();
    octets_.resize(at + NLA_ALIGN(head.nla_len));
    std::memcpy(octets_.data() + at, &head, sizeof head);
    std::memcpy(octets_.data() + at + NLA_HDRLEN, &value, sizeof value);
    return *this;
  }
  ByteView finish() {
    const auto size = static_cast<std::uint32_t>(octets_.size());
    std::memcpy(octets_.data(), &size, sizeof size);
    return octets_;
  }

 private:
  Bytes octets_;
};

/// The value at an offset that may be any.
template <class T>
std::optional<T> value_at(ByteView octets, std::size_t at) {
  if (octets.size() < sizeof(T) || at > octets.size() - sizeof(T)) return std::nullopt;
  T out;
  std::memcpy(&out, octets.data() + at, sizeof out);
  return out;
}

/// A socket of netfilter in this namespace: a thread has the namespace, so it is one that ends.
int open_socket(const std::filesystem::path& network_namespace) {
  int out = -1;
  int error = 0;
  std::thread([&] {
    if (!network_namespace.empty()) {
      const int there = ::open(network_namespace.c_str(), O_RDONLY | O_CLOEXEC);
      const bool entered = there >= 0 && ::setns(there, CLONE_NEWNET) == 0;
      error = errno;
      if (there >= 0) ::close(there);
      if (!entered) return;
    }
    out = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    error = errno;
  }).join();
  errno = error;
  return out;
}

class QueueHold final : public PacketHold {
 public:
  QueueHold(int descriptor, std::uint16_t queue) : descriptor_(descriptor), queue_(queue) {}
  ~QueueHold() override {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
    ::close(descriptor_);
  }
  QueueHold(const QueueHold&) = delete;
  QueueHold& operator=(const QueueHold&) = delete;

  Result<void> bind(std::chrono::milliseconds longest) {
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    if (::bind(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return refused("bind", errno);
    ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUFFORCE, &notices_max, sizeof notices_max);
    ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &answer_wait, sizeof answer_wait);
    // All at once: a queue that exists and has not been told how to keep packets drops them. Should it overflow, packets pass instead of being lost.
    Request request(NFQNL_MSG_CONFIG, NLM_F_REQUEST | NLM_F_ACK, queue_);
    request.attribute(NFQA_CFG_CMD, nfqnl_msg_config_cmd{.command = NFQNL_CFG_CMD_BIND, ._pad = 0, .pf = htons(AF_UNSPEC)})
        .attribute(NFQA_CFG_PARAMS, nfqnl_msg_config_params{.copy_range = 0, .copy_mode = NFQNL_COPY_META})
        .attribute(NFQA_CFG_QUEUE_MAXLEN, htonl(packets_max))
        .attribute(NFQA_CFG_MASK, htonl(NFQA_CFG_F_FAIL_OPEN))
        .attribute(NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_FAIL_OPEN));
    TRY(configure(request));
    thread_ = std::jthread([this, longest](const std::stop_token& stopped) {
      {
        std::unique_lock lock(mutex_);
        wake_.wait_for(lock, stopped, longest, [] { return false; });
      }
      release();
    });
    return {};
  }

 private:
  Result<void> send(Request& request) const {
    const ByteView octets = request.finish();
    if (::send(descriptor_, octets.data(), octets.size(), 0) != static_cast<ssize_t>(octets.size())) return refused("send", errno);
    return {};
  }

  /// The kernel's answer; packets that it tells of before are noted.
  Result<void> configure(Request& request) {
    TRY(send(request));
    while (true) {
      const auto answer = read(0);
      if (!answer) return refused("no answer", errno);
      if (*answer) return **answer == 0 ? Result<void>() : Result<void>(refused("configuration", -**answer));
    }
  }

  /// One datagram of the kernel: an answer's errno, or nothing if it told of packets. Nothing at all: errno says why.
  std::optional<std::optional<int>> read(int flags) {
    std::array<std::uint8_t, notice_octets> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): what is read is what was received
    // The lock of the wait in bind() has ended by then, which the analyser does not see.
    const ssize_t size = ::recv(descriptor_, buffer.data(), buffer.size(), flags);  // NOLINT(clang-analyzer-unix.BlockInCriticalSection)
    if (size < 0 && errno == ENOBUFS) return std::optional<int>();  // more packets than notices: they passed
    if (size <= 0) return std::nullopt;
    ByteView rest(buffer.data(), static_cast<std::size_t>(size));
    std::optional<int> answer;
    while (const auto head = value_at<nlmsghdr>(rest, 0)) {
      if (head->nlmsg_len < NLMSG_HDRLEN || head->nlmsg_len > rest.size()) break;
      const ByteView message = rest.first(head->nlmsg_len);
      if (head->nlmsg_type == NLMSG_ERROR) answer = value_at<int>(message, NLMSG_HDRLEN);
      if (head->nlmsg_type == (NFNL_SUBSYS_QUEUE << 8U | NFQNL_MSG_PACKET))
        note(message.subspan(std::min<std::size_t>(message.size(), NLMSG_HDRLEN + sizeof(nfgenmsg))));
      rest = rest.subspan(std::min<std::size_t>(rest.size(), NLMSG_ALIGN(head->nlmsg_len)));
    }
    return answer;
  }

  void note(ByteView attributes) {
    while (const auto head = value_at<nlattr>(attributes, 0)) {
      if (head->nla_len < NLA_HDRLEN || head->nla_len > attributes.size()) return;
      if ((head->nla_type & NLA_TYPE_MASK) == NFQA_PACKET_HDR) {
        if (const auto id = value_at<std::uint32_t>(attributes, NLA_HDRLEN)) last_ = id;
      }
      attributes = attributes.subspan(std::min<std::size_t>(attributes.size(), NLA_ALIGN(head->nla_len)));
    }
  }

  /// All that waits now goes on.
  void pass() {
    while (read(MSG_DONTWAIT)) {
    }
    if (!last_) return;
    Request request(NFQNL_MSG_VERDICT_BATCH, NLM_F_REQUEST, queue_);
    request.attribute(NFQA_VERDICT_HDR, nfqnl_msg_verdict_hdr{.verdict = htonl(NF_ACCEPT), .id = *last_});
    (void)send(request);
    last_.reset();
  }

  /// What comes after passes by itself, so that nothing is in the queue when it ends: what is, would be dropped.
  void release() {
    pass();
    Request request(NFQNL_MSG_CONFIG, NLM_F_REQUEST | NLM_F_ACK, queue_);
    request.attribute(NFQA_CFG_QUEUE_MAXLEN, htonl(0U));
    (void)configure(request);
    pass();
  }

  int descriptor_;
  std::uint16_t queue_;
  std::optional<std::uint32_t> last_;  // the highest id so far, as it stands in the messages
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

}  // namespace

Result<std::unique_ptr<PacketHold>> PacketHold::begin(const HoldSettings& settings, std::chrono::milliseconds longest) {
  const int descriptor = open_socket(settings.network_namespace);
  if (descriptor < 0) return refused("socket", errno);
  auto out = std::make_unique<QueueHold>(descriptor, settings.queue);
  TRY(out->bind(longest));
  return std::unique_ptr<PacketHold>(std::move(out));
}

}  // namespace qanat::terminal::gateway
