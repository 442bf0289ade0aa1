#include "certificate_status.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <thread>

#include "cpu_clock.hpp"
#include "issuing.hpp"
#include "services/cas/csp/status_front.hpp"
#include "statistics.hpp"

namespace qanat::bench {
namespace {

constexpr double presigned_must_reach = 20'000;  // answers per second
constexpr double asked_must_reach = 0.9;         // of the bare signing rate
constexpr unsigned connections = 16;
constexpr std::chrono::seconds responders_live{86'400};

struct Load {
  std::size_t certificates = 200;
  std::chrono::milliseconds span{3000};
  std::size_t runs = 5;
  std::size_t turns = 300;  // of answers that are signed
};

double seconds_since(std::chrono::steady_clock::time_point began) { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(); }

/// A connection that is kept: one question after the other, each answer read whole.
class KeptConnection {
 public:
  explicit KeptConnection(std::uint16_t port) : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    (void)::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    usable_ = descriptor_ >= 0 && ::connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  ~KeptConnection() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  KeptConnection(const KeptConnection&) = delete;
  KeptConnection& operator=(const KeptConnection&) = delete;

  /// True if the answer is 200 and came whole.
  bool ask(std::string_view request) {
    while (usable_ && !request.empty()) {
      const ssize_t sent = ::send(descriptor_, request.data(), request.size(), MSG_NOSIGNAL);
      usable_ = sent > 0;
      if (usable_) request.remove_prefix(static_cast<std::size_t>(sent));
    }
    std::size_t have = 0;
    std::size_t wanted = 0;
    while (usable_ && (wanted == 0 || have < wanted)) {
      const ssize_t got = ::recv(descriptor_, answer_.data() + have, answer_.size() - have, 0);
      usable_ = got > 0;
      if (!usable_) break;
      have += static_cast<std::size_t>(got);
      if (wanted == 0) wanted = whole_size(std::string_view(answer_.data(), have));
    }
    return usable_ && std::string_view(answer_.data(), have).starts_with("HTTP/1.1 200");
  }

 private:
  /// 0 while the head is not whole.
  static std::size_t whole_size(std::string_view text) {
    const std::size_t head = text.find("\r\n\r\n");
    constexpr std::string_view field = "Content-Length: ";
    const std::size_t at = text.find(field);
    std::size_t length = 0;
    if (head == std::string_view::npos || at == std::string_view::npos || at > head) return 0;
    std::from_chars(text.data() + at + field.size(), text.data() + head, length);
    return head + 4 + length;
  }
  int descriptor_;
  bool usable_ = false;
  std::array<char, 65536> answer_{};
};

/// The status desk and its listener over certificates that are issued, with every answer made ahead.
struct Desk {
  Desk(Issuing& with, const Load& load)
      : records(with.records->store()),
        delegates(*with.records, *with.authorities, crypto::suite(crypto::SuiteId::gm_hybrid), *with.rng,
                  Identity{.domain = "core", .kind = Kind::cas, .name = "cas"}, responders_live),
        lists(records, *with.authorities, "http://localhost", responders_live),
        desk(records, *with.authorities, delegates, with.clock,
             {.asked_lifetime = std::chrono::seconds(60), .presigned_lifetime = std::chrono::seconds(3600), .presigned_max = 4 * load.certificates}),
        front(desk, lists, *with.authorities, with.clock) {}
  cas::StatusRecords records;
  cas::Delegates delegates;
  cas::RevocationLists lists;
  cas::StatusDesk desk;
  cas::StatusFront front;
};

Result<double> answered_per_s(const cas::StatusFront& front, const std::vector<std::string>& requests, std::chrono::milliseconds span) {
  std::atomic<std::size_t> done = 0;
  std::atomic<bool> failed = false;
  const auto began = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> running;
    for (unsigned i = 0; i < connections; ++i) {
      running.emplace_back([&, i] {
        KeptConnection connection(front.port());
        for (std::size_t at = i; std::chrono::steady_clock::now() - began < span && !failed; ++at) {
          if (connection.ask(requests[at % requests.size()])) {
            ++done;
          } else {
            failed = true;
          }
        }
      });
    }
  }
  if (failed) return fail(ErrorCode::internal, "status bench: an answer did not come");
  return static_cast<double>(done) / seconds_since(began);
}

Result<void> measure_presigned(Report& report, Desk& status, const std::vector<std::string>& requests, const Load& load) {
  std::vector<double> rates;
  for (std::size_t i = 0; i < load.runs; ++i) {
    ASSIGN_OR_RETURN(const double rate, answered_per_s(status.front, requests, load.span));
    rates.push_back(rate);
  }
  Row row = median_row("OCSP answers made ahead, ML-DSA-65, over HTTP", rates, "1/s",
                       fmt::format("must reach {:.0f}; wall clock, {} connections kept open, the client on the same processors; limit: what must be reached",
                                   presigned_must_reach, connections));
  row.limit = presigned_must_reach;
  row.ratio = median(rates) / presigned_must_reach;
  report.add(std::move(row));
  return {};
}

Result<void> measure_asked(Report& report, Issuing& with, Desk& status, const Bytes& request, const Load& load) {
  ASSIGN_OR_RETURN(const crypto::StatusSigner signer, status.delegates.signer(cas::Branch::ml_dsa));
  ASSIGN_OR_RETURN(const crypto::StatusQuestions questions, crypto::parse_status_questions(request));
  const UnixMs now = with.clock.now_ms();
  const std::vector<crypto::StatusLine> lines{
      {.hash = questions.about.front().hash,
       .serial = questions.about.front().serial,
       .answer = {.status = crypto::CertStatus::good, .this_update = now, .next_update = now + 60'000, .revoked_at = 0}}};
  std::vector<double> rates;
  std::vector<double> bares;
  std::vector<double> ratios;
  for (std::size_t run = 0; run < load.runs; ++run) {
    const double began = thread_cpu_s();
    for (std::size_t i = 0; i < load.turns; ++i) (void)status.desk.sign(request);
    const double between = thread_cpu_s();
    for (std::size_t i = 0; i < load.turns; ++i) TRY(signer.answer(lines, questions.nonce, now));
    const double ended = thread_cpu_s();
    rates.push_back(static_cast<double>(load.turns) / (between - began));
    bares.push_back(static_cast<double>(load.turns) / (ended - between));
    ratios.push_back(rates.back() / bares.back());
  }
  Row row = median_row("OCSP answers signed for the question, ML-DSA-65", rates, "1/CPU s",
                       fmt::format("must reach {:.0f} % of the limit; parsed, looked up in the record, signed; limit: the same answer built and signed alone",
                                   100 * asked_must_reach));
  row.limit = median(bares);
  row.ratio = median(ratios);
  row.ratio_spread = spread_of(ratios);
  report.add(std::move(row));
  return {};
}

Result<void> measure_status(Report& report, const std::filesystem::path& folder, const Load& load) {
  ASSIGN_OR_RETURN(const auto issuing, open_issuing(folder));
  ASSIGN_OR_RETURN(const std::vector<cas::Order> orders, make_orders(*issuing, load.certificates));
  cas::Issuer issuer(*issuing->records, *issuing->authorities, *issuing->rng);
  Desk status(*issuing, load);
  const UnixMs now = issuing->clock.now_ms();
  TRY(status.delegates.renew(now));
  std::vector<std::string> requests;
  Bytes asked;
  for (const cas::Order& order : orders) {
    ASSIGN_OR_RETURN(const cas::Issued issued, issuer.issue(order, now));
    const crypto::Certificate& ca = issuing->authorities->ml_dsa.certificate;
    ASSIGN_OR_RETURN(const Bytes request, crypto::make_status_request(*issued.ml_dsa, ca, {}));
    ASSIGN_OR_RETURN(asked, crypto::make_status_request(*issued.ml_dsa, ca, issuing->rng->bytes(32)));
    requests.push_back(fmt::format("POST /ocsp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/ocsp-request\r\nContent-Length: {}\r\n\r\n{}",
                                   request.size(), as_text(request)));
  }
  ASSIGN_OR_RETURN(const std::vector<cas::LiveCertificate> live, status.records.live(now, 2 * load.certificates));
  ASSIGN_OR_RETURN(const std::size_t made, status.desk.prepare(live, 4 * load.certificates));
  if (made == 0) return fail(ErrorCode::internal, "status bench: nothing was made ahead");
  TRY(status.front.start({.transport = net::ForeignTransport::plain, .address = "127.0.0.1", .port = 0, .tls = {}, .limits = {}}));
  TRY(measure_presigned(report, status, requests, load));
  status.front.stop();
  TRY(measure_asked(report, *issuing, status, asked, load));
  issuing->checkpoints->stop();
  return {};
}

}  // namespace

Result<void> measure_certificate_status(Report& report, const std::filesystem::path& within, bool quick) {
  const std::filesystem::path folder = (within.empty() ? std::filesystem::temp_directory_path() : within) / fmt::format("qanat-bench-status-{}", ::getpid());
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const Result<void> done =
      measure_status(report, folder, quick ? Load{.certificates = 10, .span = std::chrono::milliseconds(200), .runs = 1, .turns = 20} : Load{});
  std::filesystem::remove_all(folder, error);
  return done;
}

}  // namespace qanat::bench
