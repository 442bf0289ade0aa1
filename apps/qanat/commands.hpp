// The commands that people type. Each returns the process's exit code: 0 done, 1 not done (one line on standard error says why and what to do),
// 2 the command line itself was wrong.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "network.hpp"

namespace qanat::app {

/// How a command shows its result.
enum class Output : std::uint8_t { people, json };

/// Where an operator's command finds the elements.
struct OperatorPlace {
  std::filesystem::path folder = Network::default_folder("default");  // of a network that `qanat up` runs
  std::filesystem::path config = {};  // in its place: a configuration file of the operator's own, whose peers are the elements, wherever they run
};

struct UpOptions {
  std::filesystem::path folder;
  NetworkOptions network;
  bool fresh = false;
  std::string relay = {};  // how a network that is there already must relay; empty: any way will do
};
struct CallOptions {
  std::filesystem::path folder;
  std::string from;
  std::string to;
  std::filesystem::path out;     // receives the WAV files, the capture and summary.json
  std::filesystem::path caller_wav;
  std::filesystem::path callee_wav;
  double pace = 1;
  Output output = Output::people;
  std::string program;           // the qanat program that the terminals run
  std::string relay = {};        // how the network must relay; empty: any way will do
  NetworkOptions network = {};   // of a network that is started for the call
  std::optional<std::int64_t> rekey_after_s = {};  // another key after so long, whatever the caller's configuration says
};

int up(const UpOptions& options);
int enrol(const std::filesystem::path& folder, const std::vector<std::string>& terminals, Output output);
int call(const CallOptions& options);
/// Enrols the two terminals where they are not enrolled yet.
Result<void> make_ready(const Network& network, const CallOptions& options);
/// One call in a running network between enrolled terminals: its summary, as written to <out>/summary.json.
Result<wire::Json> run_call(const Network& network, const CallOptions& options);
int demo(const UpOptions& network, CallOptions call);
int status(const OperatorPlace& at, Output output);
enum class PointRows : std::uint8_t { paper, with_extensions };
int points_list(PointRows rows, Output output);
int revoke(const OperatorPlace& at, const std::string& terminal, Output output);
int subscriber(const OperatorPlace& at, const std::string& terminal, const std::string& operation);
int service(const OperatorPlace& at, const std::string& terminal, const std::string& setting);
/// The process behind `qanat terminal …`: enrols, answers or places one call; events and the result as JSON lines on standard output.
int terminal_enrol(const std::filesystem::path& config);
/// New certificates by those in force.
int terminal_renew(const std::filesystem::path& config);
/// What was issued in the terminal's name. 1 also if something was that it does not know.
int terminal_certificates(const std::filesystem::path& config);
struct TerminalCall {
  std::filesystem::path config;
  std::string callee_number;    // placing
  std::uint16_t callee_port = 0;
  std::filesystem::path wav_in;
  std::filesystem::path wav_out;
  std::filesystem::path capture;
  double pace = 1;
  std::optional<std::int64_t> rekey_after_s = {};  // in place of [call] rekey_after_s, with the usual limit
};
int terminal_place(const TerminalCall& plan);
int terminal_answer(const TerminalCall& plan);

/// A voice sample that comes with the program: beside an installed program under share/qanat/voice, in the source tree under assets/voice.
std::filesystem::path default_voice(const std::string& name);

/// Prints "qanat: <message>" on standard error and returns 1.
int complain(const Error& error);

}  // namespace qanat::app
