#include "launch.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <thread>

#include "services/cas/ceis/own_server.hpp"
#include "text_files.hpp"

namespace qanat::app {
namespace {

constexpr std::chrono::milliseconds ready_max{30000};
constexpr std::chrono::milliseconds elements_stop_grace{4000};
constexpr std::size_t line_max = 1U << 20U;

std::filesystem::path lock_file(const Network& network) { return network.folder() / "up.lock"; }

/// In the child, between fork and exec: only calls that are safe there.
[[noreturn]] void become(const std::vector<char*>& arguments, const std::vector<char*>& environment, int output, int error_output) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  ::setpgid(0, 0);  // Ctrl-C at the terminal reaches the parent alone, which stops the children in order
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(error_output, STDERR_FILENO);
  const int null = ::open("/dev/null", O_RDONLY);
  if (null < 0) ::_exit(127);
  ::dup2(null, STDIN_FILENO);
  ::close_range(STDERR_FILENO + 1, ~0U, 0);  // a child that holds a port of ours open keeps it from being closed, and answers nobody there
  ::execve(arguments.front(), arguments.data(), environment.data());
  ::_exit(127);
}

/// CAS keeps the CAs by which others verify its listener beside its database: they are put where people look for trust. No element reads them there.
Result<void> show_listener_roots(const Network& network) {
  for (const char* file : {cas::device_ca_file, cas::enrolment_roots_file}) {
    const auto text = read_text(network.state_of("cas") / file);
    if (!text && text.error().code == ErrorCode::not_found) continue;  // of a network whose CAS has no such listener
    if (!text) return fail(text.error());
    TRY(write_text(network.trust() / file, *text));
  }
  return {};
}

}  // namespace

std::string own_program() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

Result<std::unique_ptr<Child>> Child::start(const ProcessPlan& plan) {
  ProcessPlan texts = plan;
  std::vector<char*> argv{texts.program.data()};
  for (std::string& text : texts.arguments) argv.push_back(text.data());
  argv.push_back(nullptr);
  std::vector<char*> environment;
  for (char** entry = ::environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  for (std::string& text : texts.environment) environment.push_back(text.data());
  environment.push_back(nullptr);
  std::error_code no_file_yet;
  const std::uintmax_t size = std::filesystem::file_size(plan.standard_error, no_file_yet);
  const std::uintmax_t words_from = no_file_yet ? 0 : size;
  std::array<int, 2> pipe_ends{};
  const int error_output = ::open(plan.standard_error.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (error_output < 0) return fail(ErrorCode::internal, plan.standard_error.string() + ": cannot be written");
  if (::pipe2(pipe_ends.data(), O_CLOEXEC) != 0) {
    ::close(error_output);
    return fail(ErrorCode::internal, "no pipe for a child process");
  }
  const pid_t pid = ::fork();
  if (pid == 0) become(argv, environment, pipe_ends[1], error_output);
  ::close(pipe_ends[1]);
  ::close(error_output);
  if (pid < 0) {
    ::close(pipe_ends[0]);
    return fail(ErrorCode::internal, "no further process can be started");
  }
  return std::unique_ptr<Child>(new Child(pid, pipe_ends[0], plan.standard_error, words_from));
}

Child::~Child() {
  stop(elements_stop_grace);
  ::close(output_);
}

Result<std::optional<std::string>> Child::read_line(Deadline deadline) {
  while (true) {
    if (const auto end = buffer_.find('\n'); end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return std::optional(std::move(line));
    }
    if (buffer_.size() > line_max) return fail(ErrorCode::internal, "a child process wrote a line without end");
    pollfd wait{.fd = output_, .events = POLLIN, .revents = 0};
    const int count = ::poll(&wait, 1, static_cast<int>(deadline.remaining().count()));
    if (count == 0) return fail(ErrorCode::deadline_exceeded, "no line from a child process");
    std::array<char, 4096> chunk{};
    const ssize_t size = ::read(output_, chunk.data(), chunk.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return std::optional<std::string>{};
    buffer_.append(chunk.data(), static_cast<std::size_t>(size));
  }
}

std::optional<int> Child::ended() {
  if (status_) return status_;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == pid_) status_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return status_;
}

void Child::terminate() const {
  if (!status_) ::kill(pid_, SIGTERM);
}

int Child::stop(std::chrono::milliseconds grace) {
  const Deadline deadline = Deadline::after(grace);
  if (!ended()) ::kill(pid_, SIGTERM);
  while (!ended() && !deadline.passed()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  if (!ended()) {
    ::kill(pid_, SIGKILL);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  return *status_;
}

std::string Child::last_words() const {
  std::ifstream in(standard_error_);
  in.seekg(static_cast<std::streamoff>(words_from_));
  std::string line;
  std::string last;
  while (std::getline(in, line)) {
    if (!line.empty()) last = line;
  }
  return last;
}

bool network_is_running(const Network& network) {
  const int descriptor = ::open(lock_file(network).c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return false;
  const bool held = ::flock(descriptor, LOCK_EX | LOCK_NB) != 0;
  ::close(descriptor);
  return held;
}

Result<std::unique_ptr<RunningNetwork>> RunningNetwork::start(const Network& network, std::string program, const std::function<void(const std::string&)>& progress) {
  const int lock = ::open(lock_file(network).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return fail(ErrorCode::internal, lock_file(network).string() + ": cannot be written");
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock);
    return fail(ErrorCode::conflict, "the network in " + network.folder().string() + " is running already");
  }
  std::unique_ptr<RunningNetwork> out(new RunningNetwork(network, std::move(program), lock));
  // Everybody's first certificate comes from CAS, so it goes first; the rest start together.
  for (const Kind turn : {Kind::cas, Kind::iam}) {
    const std::size_t first = out->running_.size();
    for (const ElementPlan& element : network.elements()) {
      const bool is_cas = element.identity.kind == Kind::cas;
      if (!element.started || is_cas != (turn == Kind::cas)) continue;
      TRY(out->launch(element, out->program_, {}));
    }
    for (std::size_t i = first; i < out->running_.size(); ++i) {
      TRY(await_ready(out->running_[i]));
      if (progress) progress(out->running_[i].name);
    }
    if (turn == Kind::cas) TRY(show_listener_roots(network));
  }
  return Result<std::unique_ptr<RunningNetwork>>(std::move(out));
}

Result<void> RunningNetwork::launch(const ElementPlan& element, const std::string& program, std::vector<std::string> environment) {
  ASSIGN_OR_RETURN(auto child, Child::start({.program = program,
                                             .arguments = {std::string(name(element.identity.kind)), "--config", network_.config_of(element.name()).string()},
                                             .environment = std::move(environment),
                                             .standard_error = network_.folder() / "logs" / (element.name() + ".err")}));
  running_.push_back({.name = element.name(), .child = std::move(child), .certificate = ""});
  return {};
}

Result<void> RunningNetwork::start_element(const std::string& name, const std::string& program, std::vector<std::string> environment) {
  std::erase_if(running_, [&](Running& running) { return running.name == name && running.child->ended(); });
  ASSIGN_OR_RETURN(const ElementPlan* element, network_.element(name));
  TRY(launch(*element, program.empty() ? program_ : program, std::move(environment)));
  return await_ready(running_.back());
}

void RunningNetwork::stop_element(const std::string& name, Ending ending) {
  std::erase_if(running_, [&](Running& running) {
    if (running.name != name) return false;
    if (ending == Ending::kill) ::kill(running.child->pid(), SIGKILL);
    running.child->stop(elements_stop_grace);
    return true;
  });
}

bool RunningNetwork::lives(const std::string& name) {
  return std::ranges::any_of(running_, [&](Running& running) { return running.name == name && !running.child->ended(); });
}

pid_t RunningNetwork::pid_of(const std::string& name) const {
  const auto found = std::ranges::find(running_, name, &Running::name);
  return found == running_.end() ? -1 : found->child->pid();
}

Result<void> RunningNetwork::await_ready(Running& running) {
  const Deadline deadline = Deadline::after(ready_max);
  while (true) {
    ASSIGN_OR_RETURN(const auto line, running.child->read_line(deadline));
    if (!line) return fail(ErrorCode::unavailable, running.name + " did not start: " + running.child->last_words());
    if (!line->starts_with("ready ")) continue;
    std::istringstream words(*line);
    std::string ready;
    std::string uri;
    std::string port;
    std::string algorithm;
    std::string fingerprint;
    std::int64_t not_after_ms = 0;
    words >> ready >> uri >> port >> algorithm >> fingerprint >> not_after_ms;
    const std::chrono::year_month_day day(std::chrono::floor<std::chrono::days>(std::chrono::sys_time(std::chrono::milliseconds(not_after_ms))));
    running.certificate = fmt::format("{} {}… until {}-{:02}-{:02}", algorithm, fingerprint, static_cast<int>(day.year()), static_cast<unsigned>(day.month()),
                                      static_cast<unsigned>(day.day()));
    return {};
  }
}

std::string RunningNetwork::certificate_of(const std::string& name) const {
  const auto found = std::ranges::find(running_, name, &Running::name);
  return found == running_.end() ? "" : found->certificate;
}

std::optional<std::string> RunningNetwork::casualty() {
  for (Running& running : running_) {
    if (running.child->ended()) return running.name + ": " + running.child->last_words();
  }
  return std::nullopt;
}

void RunningNetwork::stop() {
  // Told all at once, awaited one by one; CAS last, since the others may still ask it.
  for (auto running = running_.rbegin(); running != running_.rend(); ++running) running->child->terminate();
  for (auto running = running_.rbegin(); running != running_.rend(); ++running) running->child->stop(elements_stop_grace);
  running_.clear();
}

RunningNetwork::~RunningNetwork() {
  stop();
  ::close(lock_);
}

}  // namespace qanat::app
