// The process behind `qanat terminal …`: one terminal, its events and its result as JSON lines on standard output.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "commands.hpp"
#include "medium_commands.hpp"
#include "node/subscriber.hpp"
#include "opened_terminal.hpp"
#include "terminal/medium_process.hpp"
#include "terminal/process.hpp"

namespace qanat::app {
namespace {

constexpr std::chrono::milliseconds answer_wait_max{60000};  // for somebody to call

void print_line(const wire::Json& json) {
  std::printf("%s\n", json.dump().c_str());
  std::fflush(stdout);
}

int finish(const Result<wire::Json>& result) {
  if (!result) {
    fmt::print(stderr, "{}\n", result.error().message);
    return 1;
  }
  print_line(wire::Json::object({{"event", "result"}, {"result", *result}}));
  return 0;
}

void set_options(terminal::TerminalSettings& settings, const TerminalCall& call) {
  settings.pace = call.pace;
  if (call.rekey_after_s) settings.rekey = terminal::TerminalSettings::rekey_every(std::chrono::seconds(*call.rekey_after_s));
}

terminal::SoundPlan sound_of(const TerminalCall& call) { return {.wav_in = call.wav_in, .wav_out = call.wav_out, .capture = call.capture}; }

}  // namespace

Result<OpenedTerminal> open_terminal(const std::filesystem::path& config) {
  ASSIGN_OR_RETURN(node::Config file, node::Config::read(config));
  node::Settings common = node::Settings::read(file);
  terminal::TerminalSettings own = terminal::TerminalSettings::read(file);
  TRY(file.finish());
  std::error_code error;
  std::filesystem::create_directories(common.state, error);
  TRY(node::open_log(common.state, common.identity.name, common.log_level));
  ASSIGN_OR_RETURN(auto node, node::Node::open(std::move(common)));
  return OpenedTerminal{.node = std::move(node), .settings = std::move(own)};
}

std::filesystem::path default_voice(const std::string& name) {
  std::error_code error;
  const std::filesystem::path installed = std::filesystem::read_symlink("/proc/self/exe", error).parent_path().parent_path() / "share" / "qanat" / "voice" / name;
  if (!error && std::filesystem::exists(installed, error)) return installed;
  return std::filesystem::path(QANAT_VOICE_FOLDER) / name;
}

int terminal_enrol(const std::filesystem::path& config) {
  const auto result = [&]() -> Result<wire::Json> {
    ASSIGN_OR_RETURN(const OpenedTerminal opened, open_terminal(config));
    return terminal::enrol_terminal(*opened.node, opened.settings);
  }();
  return finish(result);
}

int terminal_certificates(const std::filesystem::path& config) {
  const auto result = [&]() -> Result<wire::Json> {
    ASSIGN_OR_RETURN(const OpenedTerminal opened, open_terminal(config));
    return terminal::list_certificates(*opened.node, opened.settings);
  }();
  const int done = finish(result);
  return result && !result->array("strangers").value_or(std::vector<wire::Json>{}).empty() ? 1 : done;
}

int terminal_renew(const std::filesystem::path& config) {
  const auto result = [&]() -> Result<wire::Json> {
    ASSIGN_OR_RETURN(const OpenedTerminal opened, open_terminal(config));
    return terminal::renew_terminal(*opened.node, opened.settings);
  }();
  return finish(result);
}

int terminal_make_medium(const std::filesystem::path& config, const std::string& kind, const std::filesystem::path& transport_key) {
  const auto result = [&]() -> Result<wire::Json> {
    ASSIGN_OR_RETURN(const OpenedTerminal opened, open_terminal(config));
    ASSIGN_OR_RETURN(const terminal::MediumKind of, terminal::medium_kind_from_name(kind));
    return terminal::make_medium(*opened.node, opened.settings, of, transport_key);
  }();
  return finish(result);
}

int terminal_medium(const std::filesystem::path& config) {
  const auto result = [&]() -> Result<wire::Json> {
    ASSIGN_OR_RETURN(const OpenedTerminal opened, open_terminal(config));
    return terminal::show_medium(*opened.node, opened.settings);
  }();
  return finish(result);
}

int terminal_charge(const std::filesystem::path& config, const TerminalCharge& wanted) {
  const auto result = [&]() -> Result<wire::Json> {
    const terminal::WantedKeys counts{wanted.authentication, wanted.call, wanted.distribution};
    if (counts == terminal::WantedKeys{})
      return fail(ErrorCode::invalid_argument, "terminal charge: no key is asked for: give --call, --authentication or --distribution 1 or more");
    ASSIGN_OR_RETURN(const OpenedTerminal opened, open_terminal(config));
    return terminal::charge_medium(*opened.node, opened.settings, counts);
  }();
  return finish(result);
}

int terminal_load_charge(const std::filesystem::path& config, const std::filesystem::path& file) {
  const auto result = [&]() -> Result<wire::Json> {
    ASSIGN_OR_RETURN(const OpenedTerminal opened, open_terminal(config));
    return terminal::load_charge(*opened.node, opened.settings, file);
  }();
  return finish(result);
}

int terminal_place(const TerminalCall& call) {
  const auto result = [&]() -> Result<wire::Json> {
    auto callee = node::parse_number(call.callee_number);
    if (!callee) return fail_in("--number " + call.callee_number, callee.error());
    ASSIGN_OR_RETURN(OpenedTerminal opened, open_terminal(call.config));
    set_options(opened.settings, call);
    const terminal::CallPlan plan{.callee = *std::move(callee),
                                  .callee_sip = {.host = "127.0.0.1", .port = call.callee_port},
                                  .sound = sound_of(call),
                                  .event = print_line};
    return terminal::place_call(*opened.node, opened.settings, plan);
  }();
  return finish(result);
}

int terminal_answer(const TerminalCall& call) {
  const auto result = [&]() -> Result<wire::Json> {
    ASSIGN_OR_RETURN(OpenedTerminal opened, open_terminal(call.config));
    set_options(opened.settings, call);
    const auto listening = [](std::uint16_t port) { print_line(wire::Json::object({{"event", "listening"}, {"port", port}})); };
    return terminal::answer_call(*opened.node, opened.settings, {.sound = sound_of(call), .wait_max = answer_wait_max, .event = print_line}, listening);
  }();
  return finish(result);
}

}  // namespace qanat::app
