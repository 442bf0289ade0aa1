// `qanat call` and `qanat demo`: two terminal processes, what they and the elements do shown while it happens, and the result.
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <thread>

#include "commands.hpp"
#include "network_session.hpp"
#include "sae_commands.hpp"
#include "steps_view.hpp"
#include "terminal/quality.hpp"
#include "terminal/wav.hpp"

namespace qanat::app {
namespace {

constexpr std::chrono::milliseconds call_max{120000};
constexpr std::chrono::milliseconds look_every{10};
constexpr std::chrono::milliseconds call_stop_grace{3000};
constexpr std::chrono::milliseconds last_words_max{1500};
constexpr std::chrono::milliseconds first_key_max{10000};

constexpr std::int64_t settle_us = 60000;  // lines younger than this may still be overtaken

std::int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// One terminal's process as the call sees it.
struct Side {
  std::string uid;
  std::unique_ptr<Child> child;
  std::optional<wire::Json> result;
  bool closed = false;
};

class CallRun {
 public:
  CallRun(const Network& network, const CallOptions& options) : network_(network), options_(options), tail_(network) {}

  Result<wire::Json> run();

 private:
  Result<void> start_sides();
  Result<std::unique_ptr<Child>> start_terminal(const std::string& uid, std::vector<std::string> arguments);
  Result<void> follow();
  Result<void> read_events(Side& side);
  Result<void> take_event(Side& side, const wire::Json& event);
  void note(StepLine line);
  /// What ended before then, in order: the sources report with a little delay against each other.
  void show_until(std::int64_t end_us);
  void show(const StepLine& line) const;
  Result<wire::Json> conclude();

  const Network& network_;
  const CallOptions& options_;
  StepTail tail_;
  Side callee_;
  Side caller_;
  std::uint16_t callee_port_ = 0;
  std::vector<std::string> sessions_;
  std::vector<StepLine> lines_;
  std::vector<StepLine> unshown_;
  std::int64_t first_us_ = 0;
};

std::vector<std::string> arguments(const char* what, const Network& network, const std::string& uid, const CallOptions& options, const std::filesystem::path& wav_in,
                                   const std::string& prefix) {
  return {"terminal", what, "--config", network.config_of(uid).string(), "--say", wav_in.string(), "--record", (options.out / (prefix + "-heard.wav")).string(),
          "--pace", fmt::format("{}", options.pace)};
}

Result<void> CallRun::start_sides() {
  ASSIGN_OR_RETURN(const TerminalPlan* to, network_.terminal(options_.to));
  caller_.uid = options_.from;
  callee_.uid = options_.to;
  ASSIGN_OR_RETURN(callee_.child, start_terminal(callee_.uid, arguments("answer", network_, callee_.uid, options_, options_.callee_wav, "callee")));
  const Deadline deadline = Deadline::after(call_max);
  while (callee_port_ == 0) {
    ASSIGN_OR_RETURN(const auto line, callee_.child->read_line(deadline));
    if (!line) return fail(ErrorCode::unavailable, "terminal " + callee_.uid + ": " + callee_.child->last_words());
    ASSIGN_OR_RETURN(const wire::Json event, wire::Json::parse(*line));
    TRY(take_event(callee_, event));
  }
  std::vector<std::string> place = arguments("call", network_, caller_.uid, options_, options_.caller_wav, "caller");
  for (const std::string& more : {std::string("--number"), to->number, std::string("--port"), fmt::format("{}", callee_port_), std::string("--capture"),
                                  (options_.out / "call.pcapng").string()}) {
    place.push_back(more);
  }
  // The caller is the one that begins with another key.
  if (options_.rekey_after_s) {
    place.emplace_back("--rekey-after");
    place.push_back(fmt::format("{}", *options_.rekey_after_s));
  }
  ASSIGN_OR_RETURN(caller_.child, start_terminal(caller_.uid, place));
  return {};
}

Result<std::unique_ptr<Child>> CallRun::start_terminal(const std::string& uid, std::vector<std::string> arguments) {
  return Child::start({.program = options_.program, .arguments = std::move(arguments), .environment = {}, .standard_error = network_.folder() / "logs" / (uid + ".err")});
}

void CallRun::note(StepLine line) {
  lines_.push_back(line);
  if (options_.output == Output::people) unshown_.push_back(std::move(line));
}

void CallRun::show_until(std::int64_t end_us) {
  std::ranges::sort(unshown_, {}, &StepLine::end_us);
  const auto first_later = std::ranges::find_if(unshown_, [&](const StepLine& line) { return line.end_us > end_us; });
  for (auto line = unshown_.begin(); line != first_later; ++line) show(*line);
  unshown_.erase(unshown_.begin(), first_later);
}

void CallRun::show(const StepLine& line) const {
  const bool within_call = first_us_ != 0 && line.end_us >= first_us_;
  fmt::print("  {:>2}  {:<12} {:<96} {:>8.2f} ms{}\n", line.step, line.element, line.what, line.ms,
             within_call ? fmt::format("   t+{:.1f} ms", static_cast<double>(line.end_us - first_us_) / 1000) : std::string());
  std::fflush(stdout);
}

Result<void> CallRun::take_event(Side& side, const wire::Json& event) {
  ASSIGN_OR_RETURN(const std::string kind, event.text("event"));
  if (kind == "listening") {
    ASSIGN_OR_RETURN(const std::int64_t port, event.integer("port", 1, 65535));
    callee_port_ = static_cast<std::uint16_t>(port);
  } else if (kind == "session") {
    ASSIGN_OR_RETURN(const std::string sid, event.text("what"));
    if (std::ranges::find(sessions_, sid) == sessions_.end()) sessions_.push_back(sid);
  } else if (kind == "result") {
    ASSIGN_OR_RETURN(side.result, event.object("result"));
  } else if (event.has("step")) {
    StepLine line{.step = 0, .element = "terminal " + side.uid, .what = "", .ms = 0, .end_us = 0};
    ASSIGN_OR_RETURN(const std::int64_t step, event.integer("step", 1, 12));
    ASSIGN_OR_RETURN(line.what, event.text("what"));
    ASSIGN_OR_RETURN(const auto ms, event.optional_number("ms"));
    ASSIGN_OR_RETURN(line.end_us, event.integer("t_us"));
    line.step = static_cast<int>(step);
    line.ms = ms.value_or(0);
    if (first_us_ == 0) first_us_ = line.end_us - static_cast<std::int64_t>(line.ms * 1000);
    note(std::move(line));
  }
  return {};
}

Result<void> CallRun::read_events(Side& side) {
  while (!side.closed) {
    auto line = side.child->read_line(Deadline::after(std::chrono::milliseconds(0)));
    if (!line && line.error().code == ErrorCode::deadline_exceeded) return {};
    if (!line) return fail(line.error());
    if (!*line) {
      side.closed = true;
      return {};
    }
    ASSIGN_OR_RETURN(const wire::Json event, wire::Json::parse(**line));
    TRY(take_event(side, event));
  }
  return {};
}

Result<void> CallRun::follow() {
  const Deadline deadline = Deadline::after(call_max);
  std::optional<Deadline> caller_gone;
  while (!caller_.closed || !callee_.closed) {
    if (deadline.passed()) return fail(ErrorCode::deadline_exceeded, "the call did not end in time");
    std::array<pollfd, 2> wait{pollfd{.fd = caller_.closed ? -1 : caller_.child->output(), .events = POLLIN, .revents = 0},
                               pollfd{.fd = callee_.closed ? -1 : callee_.child->output(), .events = POLLIN, .revents = 0}};
    ::poll(wait.data(), wait.size(), static_cast<int>(look_every.count()));
    TRY(read_events(caller_));
    TRY(read_events(callee_));
    for (StepLine& line : tail_.poll(sessions_)) note(std::move(line));
    show_until(now_us() - settle_us);
    // The callee would wait for a caller who is gone; but it may be about to say why.
    if (caller_.closed && !caller_.result && !caller_gone) caller_gone = Deadline::after(last_words_max);
    if (caller_gone && caller_gone->passed() && !callee_.closed) callee_.child->terminate();
  }
  show_until(now_us());
  std::string why;
  for (Side* side : {&caller_, &callee_}) {
    const int code = side->child->stop(call_stop_grace);
    if (code == 0 && side->result) continue;
    // Both ends have their reason; the callee's is often the one that helps.
    why += (why.empty() ? "terminal " : "; terminal ") + side->uid + ": " + side->child->last_words();
  }
  if (!why.empty()) return fail(ErrorCode::unavailable, why);
  return {};
}

Result<wire::Json> CallRun::run() {
  std::error_code error;
  std::filesystem::create_directories(options_.out, error);
  if (error) return fail(ErrorCode::invalid_argument, options_.out.string() + ": " + error.message());
  for (StepLine& line : enrolment_steps(network_, {options_.from, options_.to})) note(std::move(line));
  show_until(now_us());
  TRY(start_sides());
  TRY(follow());
  return conclude();
}

Result<terminal::Quality> quality_of(const std::filesystem::path& said, const std::filesystem::path& heard) {
  ASSIGN_OR_RETURN(const std::vector<std::int16_t> original, terminal::read_wav(said));
  ASSIGN_OR_RETURN(const std::vector<std::int16_t> received, terminal::read_wav(heard));
  return terminal::compare_quality(original, received);
}

/// Both ends' keys, in their order, must be the same; one end may not have come to the last of them.
Result<void> check_keys(const wire::Json& caller, const wire::Json& callee) {
  ASSIGN_OR_RETURN(const std::vector<wire::Json> near, caller.array("keys"));
  ASSIGN_OR_RETURN(const std::vector<wire::Json> far, callee.array("keys"));
  for (std::size_t i = 0; i < std::min(near.size(), far.size()); ++i) {
    for (const char* member : {"sid_wk", "wk_fingerprint", "sas"}) {
      ASSIGN_OR_RETURN(const std::string one, near[i].text(member));
      ASSIGN_OR_RETURN(const std::string other, far[i].text(member));
      if (one != other) return fail(ErrorCode::internal, fmt::format("the terminals' keys of period {} differ: {} {} and {}", i + 1, member, one, other));
    }
  }
  return {};
}

Result<wire::Json> CallRun::conclude() {
  const auto text = [](const Side& side, const char* name) { return side.result->text(name); };
  ASSIGN_OR_RETURN(const std::string fingerprint_a, text(caller_, "wk_fingerprint"));
  ASSIGN_OR_RETURN(const std::string fingerprint_b, text(callee_, "wk_fingerprint"));
  ASSIGN_OR_RETURN(const std::int64_t lost_a, caller_.result->integer("packets_lost"));
  ASSIGN_OR_RETURN(const std::int64_t lost_b, callee_.result->integer("packets_lost"));
  ASSIGN_OR_RETURN(const double setup_ms, caller_.result->number("setup_ms"));
  const std::filesystem::path heard = options_.out / "callee-heard.wav";
  ASSIGN_OR_RETURN(const terminal::Quality quality, quality_of(options_.caller_wav, heard));
  ASSIGN_OR_RETURN(const terminal::Quality back, quality_of(options_.callee_wav, options_.out / "caller-heard.wav"));
  std::error_code error;
  const std::filesystem::path said = options_.out / "caller-said.wav";
  std::filesystem::copy_file(options_.caller_wav, said, std::filesystem::copy_options::overwrite_existing, error);
  if (error) return fail(ErrorCode::internal, said.string() + ": " + error.message());

  wire::Json out = wire::Json::object({{"from", options_.from}, {"to", options_.to}, {"steps", summarise(lines_)}});
  out.set("wk_fingerprint_a", fingerprint_a).set("wk_fingerprint_b", fingerprint_b);
  out.set("correlation", quality.correlation).set("snr_db", quality.snr_db);
  out.set("correlation_back", back.correlation).set("snr_db_back", back.snr_db);
  out.set("packets_lost", lost_a + lost_b).set("setup_ms", setup_ms);
  out.set("wav_sent", said.string()).set("wav_heard", heard.string()).set("capture", (options_.out / "call.pcapng").string());
  out.set("caller", *caller_.result).set("callee", *callee_.result);
  TRY(check_keys(*caller_.result, *callee_.result));
  if (fingerprint_a != fingerprint_b) return fail(ErrorCode::internal, "the terminals' working keys differ: " + fingerprint_a + " and " + fingerprint_b);
  return out;
}

Result<void> write_summary(const std::filesystem::path& file, const wire::Json& summary) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out << summary.pretty() << '\n';
  if (!out.flush()) return fail(ErrorCode::internal, file.string() + ": cannot be written");
  return {};
}

const char* assurance_text(std::int64_t assurance) {
  switch (assurance) {
    case 1: return "drawn by the crypto device of their common KMS";
    case 2: return "agreed by ML-KEM and ECDH between the KMSs: NO quantum key";
    case 3: return "a quantum key relayed over one path, combined with ML-KEM and ECDH";
    case 4: return "quantum keys over node-disjoint paths, combined with ML-KEM and ECDH";
    default: return "unknown";
  }
}

void show_summary(const wire::Json& summary, const Network& network) {
  const auto text = [&](const char* name) { return summary.text(name).value_or("?"); };
  const auto number = [&](const char* name) { return summary.number(name).value_or(0); };
  const auto caller = summary.object("caller");
  const std::int64_t assurance = caller ? caller->integer("assurance").value_or(0) : 0;
  fmt::print("\n  working key     {} at {}, {} at {}: equal\n", text("wk_fingerprint_a"), text("from"), text("wk_fingerprint_b"), text("to"));
  const auto keys = caller ? caller->array("keys").value_or(std::vector<wire::Json>{}) : std::vector<wire::Json>{};
  fmt::print("  it is           {}{}\n", assurance_text(assurance), keys.size() > 1 ? " (the weakest of the call's keys)" : "");
  const auto callee = summary.object("callee");
  if (caller && callee) {
    const std::string near = caller->text("last_mile").value_or("?");
    const std::string far = callee->text("last_mile").value_or("?");
    if (near == far) fmt::print("  last mile       {}\n", near);
    if (near != far) fmt::print("  last mile       {}: {}\n                  {}: {}\n", text("from"), near, text("to"), far);
  }
  const std::string grant = caller ? caller->text("grant").value_or("") : "";
  if (!grant.empty()) fmt::print("  grant           {}\n", grant);
  if (caller) fmt::print("  SAS             {} (both users may compare it)\n", caller->text("sas").value_or("?"));
  fmt::print("  set-up          {:.1f} ms from INVITE to the first readable voice packet\n", number("setup_ms"));
  fmt::print("  voice           {} heard {}: correlation {:.5f}, SNR {:.1f} dB against the linear original (A-law); back: {:.5f}, {:.1f} dB\n", text("to"), text("from"),
             number("correlation"), number("snr_db"), number("correlation_back"), number("snr_db_back"));
  for (std::size_t i = 0; keys.size() > 1 && i < keys.size(); ++i) {
    fmt::print("  {:<15} {} assurance {}, {} packets sent and {} received under it\n", i == 0 ? "its keys" : "", keys[i].text("wk_fingerprint").value_or("?"),
               keys[i].integer("assurance").value_or(0), keys[i].integer("packets_sent").value_or(0), keys[i].integer("packets_received").value_or(0));
  }
  fmt::print("  packets lost    {}\n", summary.integer("packets_lost").value_or(-1));
  fmt::print("  listen          {}\n  capture         {} (opens in Wireshark; the voice in it is SRTP)\n", text("wav_heard"), text("capture"));
  fmt::print("  logs and audit  {}\n", (network.folder() / "state").string());
}

}  // namespace

Result<wire::Json> run_call(const Network& network, const CallOptions& options) {
  ASSIGN_OR_RETURN(wire::Json summary, CallRun(network, options).run());
  TRY(write_summary(options.out / "summary.json", summary));
  return summary;
}

namespace {

int report(const Result<wire::Json>& summary, const Network& network, const CallOptions& options) {
  if (!summary) return complain(summary.error());
  if (options.output == Output::json) {
    fmt::print("{}\n", summary->pretty());
  } else {
    show_summary(*summary, network);
    fmt::print("  summary         {}\n", (options.out / "summary.json").string());
  }
  return 0;
}

/// True once the caller's QKM holds a relayed key for the called domain.
bool quantum_key_in_stock(const Network& network, Operator& op, const std::string& from_domain, const std::string& to_domain) {
  for (const ElementPlan& element : network.elements()) {
    if (!element.started || element.identity.kind != Kind::qkm || element.identity.domain != from_domain) continue;
    const auto health = op.health(element.name());
    const auto pools = health ? health->array("relayed_keys") : Result<std::vector<wire::Json>>(fail(health.error()));
    if (!pools) continue;
    for (const wire::Json& pool : *pools) {
      if (pool.text("domain").value_or("") == to_domain && pool.integer("stock").value_or(0) > 0) return true;
    }
  }
  return false;
}

/// A network that has just started has no quantum key for its first seconds: a call at once would rest on PQC alone. Waits a little; if none
/// comes, the KMSs' policy decides.
void await_quantum_key(const Network& network, Operator& op, const TerminalPlan& from, const TerminalPlan& to, Output output) {
  if (from.domain == to.domain) return;
  const auto began = std::chrono::steady_clock::now();
  const Deadline deadline = Deadline::after(first_key_max);
  bool in_stock = quantum_key_in_stock(network, op, from.domain, to.domain);
  if (in_stock) return;
  while (!in_stock && !deadline.passed()) {
    std::this_thread::sleep_for(look_every);
    in_stock = quantum_key_in_stock(network, op, from.domain, to.domain);
  }
  if (output == Output::json) return;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  fmt::print("  {} ({:.1f} s)\n", in_stock ? "waited for the first quantum keys from the simulated links" : "waited in vain for quantum keys", seconds);
}

}  // namespace

Result<void> make_ready(const Network& network, const CallOptions& options) {
  ASSIGN_OR_RETURN(const TerminalPlan* from, network.terminal(options.from));
  ASSIGN_OR_RETURN(const TerminalPlan* to, network.terminal(options.to));
  if (from == to) return fail(ErrorCode::invalid_argument, "terminal " + options.from + " cannot call itself: give another --to");
  ASSIGN_OR_RETURN(const auto op, Operator::open(network));
  for (const TerminalPlan* terminal : {from, to}) {
    const auto known = op->subscriber(terminal->uid);
    if (known && known->boolean("enrolled").value_or(false)) continue;
    TRY(enrol_terminal(network, options.program, *op, *terminal));
    if (options.output == Output::people) fmt::print("  enrolled terminal {} ({}) in domain {}\n", terminal->uid, terminal->number, terminal->domain);
  }
  await_quantum_key(network, *op, *from, *to, options.output);
  return {};
}

int call(const CallOptions& options) {
  block_signals();
  auto network = Network::read(options.folder);
  std::unique_ptr<NetworkSession> own;
  if (!network || !network_is_running(*network)) {
    if (!network && network.error().code != ErrorCode::not_found) return complain(network.error());
    if (options.output == Output::people) fmt::print("  no network runs in {}: starting one for this call\n", options.folder.string());
    auto started = NetworkSession::start({.folder = options.folder, .network = options.network, .fresh = false}, {});
    if (!started) return complain(started.error());
    own = *std::move(started);
    network = own->network();
  }
  if (const auto fits = network->check_relay(options.relay); !fits) return complain(fits.error());
  if (const auto ready = make_ready(*network, options); !ready) return complain(ready.error());
  return report(run_call(*network, options), *network, options);
}

int demo(const UpOptions& network_options, CallOptions options) {
  block_signals();
  options.folder = network_options.folder;
  fmt::print("Starting a two-domain network on this machine. Its quantum links are simulated: there are no photons here.\n\n");
  const auto session = NetworkSession::start(network_options, {});
  if (!session) return complain(session.error());
  const Network& network = (*session)->network();
  print_elements(network, (*session)->running());
  fmt::print("\n  all connections: TLS 1.3, both ends by these certificates, key exchange X25519MLKEM768\n");
  print_sae_listeners(network);
  fmt::print("\n");
  if (const auto ready = make_ready(network, options); !ready) return complain(ready.error());
  fmt::print("\n{} calls {}\n\n  step element      what{:<88}     took\n", options.from, options.to, "");
  return report(run_call(network, options), network, options);
}

}  // namespace qanat::app
