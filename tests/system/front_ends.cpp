#include "front_ends.hpp"

#include <algorithm>
#include <sstream>

#include "audit/audit.hpp"
#include "crypto/kdf.hpp"

namespace qanat::test {
namespace {

constexpr std::chrono::seconds ready_max{30};

/// What front ends have on record as delivered: "<session> to <subscriber>", and how often.
std::map<std::string, int> deliveries(const std::vector<std::filesystem::path>& states) {
  std::map<std::string, int> out;
  for (const std::filesystem::path& state : states) {
    std::istringstream lines(text_of(state / "audit.jsonl"));
    for (std::string line; std::getline(lines, line);) {
      const auto entry = wire::Json::parse(line);
      if (!entry || entry->text("action").value_or("") != "km-1.delivered") continue;
      ++out[entry->text("object").value_or("") + " to " + entry->text("subject").value_or("")];
    }
  }
  return out;
}

}  // namespace

Span span_of(const std::function<void()>& what) {
  const Moment from = std::chrono::steady_clock::now();
  what();
  return {.from = from, .until = std::chrono::steady_clock::now()};
}
bool meet(const Span& one, const Span& other) { return one.from <= other.until && other.from <= one.until; }

Calls::Calls(TestNetwork& network, const std::vector<Pair>& pairs) : network_(network), agreed_(pairs.size()) {
  for (const Pair& pair : pairs) {
    for (const std::string& uid : {pair.caller, pair.callee}) (void)network_.terminal(uid);
  }
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    threads_.emplace_back([this, i, pair = pairs[i]](const std::stop_token& over) {
      while (!over.stop_requested()) call(pair, agreed_[i]);
    });
  }
}

void Calls::reach(const std::string& what, int more) {
  const std::vector<int> before(agreed_.begin(), agreed_.end());
  TestNetwork::await(
      what, [&] { return std::ranges::equal(agreed_, before, [&](int now, int then) { return now >= then + more; }); }, std::chrono::seconds(90));
}

std::vector<Calls::Failure> Calls::end() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
  return failures_;
}

std::size_t Calls::agreed() const {
  std::size_t out = 0;
  for (const int calls : agreed_) out += static_cast<std::size_t>(calls);
  return out;
}

void Calls::call(const Pair& pair, std::atomic<int>& agreed) {
  std::optional<TestNetwork::Pair> keys;
  const Span span = span_of([&] { keys.emplace(network_.apply(pair.caller, pair.callee, std::chrono::seconds(20))); });
  if (keys->caller && keys->callee) EXPECT_TRUE(keys->agree()) << pair.caller << " and " << pair.callee << " have different keys";
  const std::lock_guard lock(mutex_);
  for (const auto* one : {&keys->caller, &keys->callee}) {
    if (!*one) continue;
    EXPECT_TRUE(had_.insert(to_hex(crypto::digest(crypto::Hash::sha256, (*one)->wk.reveal()))).second) << "a working key came back";
    break;  // the other's is the same
  }
  if (keys->agree()) {
    ++agreed;
  } else {
    failures_.push_back({.span = span, .caller_served = keys->caller.has_value(), .reasons = pair.caller + " and " + pair.callee + ": " + keys->reasons()});
  }
}

FrontEnds::FrontEnds(app::NetworkOptions options, std::string conninfo) : conninfo_(std::move(conninfo)) {
  network_ = std::make_unique<TestNetwork>(std::move(options), QANAT_PROGRAM, [this](const app::Network& network) { prepare(network); });
}

void FrontEnds::SetUp() {
  ASSERT_TRUE(network_->ok());
  start_second();
  for (const char* uid : {"A", "B", "C"}) network_->enrol(uid);
}

void FrontEnds::prepare(const app::Network& network) {
  const std::vector<std::uint16_t> ports = *app::free_ports(2);
  second_port_ = ports[0];
  second_sae_port_ = ports[1];
  first_port_ = (*network.element("kms-a"))->port;
  const std::string both = "others = [\"127.0.0.1:" + std::to_string(second_port_) + "\"]";
  std::vector<std::string> names;
  for (const app::ElementPlan& element : network.elements()) names.push_back(element.name());
  for (const auto& terminal : network.terminals()) names.push_back(terminal.uid);
  for (const std::string& name : names) {
    const std::filesystem::path file = network.config_of(name);
    if (!std::filesystem::exists(file)) continue;
    write(file, with_table(text_of(file), "[peers.kms-a]", [&](const std::string& line) {
            if (!line.starts_with("port = ")) return line;
            if (name != "C") return line + "\n" + both;
            return "port = " + std::to_string(second_port_) + "\nothers = [\"127.0.0.1:" + std::to_string(first_port_) + "\"]";
          }));
  }
  const std::filesystem::path first = network.config_of("kms-a");
  const std::string store = "\n[store]\npostgresql = \"" + conninfo_ + "\"\n";
  const std::string config = text_of(first);
  write(first, config + store);
  second_state_ = network.folder() / "kms-a-2";
  const std::string at_its_port =
      with_table(config, "[sae]", [&](const std::string& line) { return line.starts_with("port = ") ? "port = " + std::to_string(second_sae_port_) : line; });
  write(second_config(network), with_table(at_its_port, "[node]",
                                           [&](const std::string& line) {
                                             if (line.starts_with("state = ")) return "state = \"" + second_state_.string() + "\"";
                                             if (line.starts_with("port = ")) return "port = " + std::to_string(second_port_);
                                             if (line.starts_with("enrolment_secret = ")) return std::string();  // the first has enrolled for both
                                             return line;
                                           }) +
                                    store + "front_end = 2\n");
}

void FrontEnds::start_second() {
  auto child = app::Child::start({.program = QANAT_PROGRAM,
                                  .arguments = {"kms", "--config", second_config(network_->network()).string()},
                                  .environment = {},
                                  .standard_error = network_->network().folder() / "logs" / "kms-a-2.err"});
  ASSERT_TRUE(child) << child.error().message;
  second_ = *std::move(child);
  const Deadline deadline = Deadline::after(ready_max);
  while (true) {
    const auto line = second_->read_line(deadline);
    ASSERT_TRUE(line && *line) << "the second front end did not start: " << second_->last_words();
    if ((*line)->starts_with("ready ")) return;
  }
}

std::vector<Calls::Pair> FrontEnds::four_pairs() {
  const auto further = [&](const char* model, const char* uid, const char* number) { network_->enrol(network_->further_terminal(model, uid, number)); };
  further("A", "A2", "+8655110000011");
  further("C", "C2", "+8655110000012");
  further("C", "C3", "+8655110000013");
  further("C", "C4", "+8655110000014");
  further("B", "B2", "+8655120000012");
  return {{"A", "C"}, {"A2", "C2"}, {"B", "C3"}, {"B2", "C4"}};
}

std::size_t FrontEnds::deliveries_of(const std::filesystem::path& state) { return deliveries({state}).size(); }

std::size_t FrontEnds::expect_each_delivered_once_and_none_lost() {
  std::size_t delivered = 0;
  for (const auto& [what, times] : deliveries(states())) {
    EXPECT_EQ(times, 1) << what;
    ++delivered;
    const std::string session = what.substr(0, what.find(' '));
    const std::string subscriber = what.substr(what.rfind(' ') + 1);
    const auto state = ask("SELECT state FROM kms.working_key WHERE encode(sid_wk, 'hex') = '" + session + "' AND uid = '" + subscriber + "'");
    if (state.size() != 1U) {
      ADD_FAILURE() << what << " is not in the database";
      continue;
    }
    EXPECT_TRUE(state.front() == "delivered" || state.front() == "confirmed" || state.front() == "destroyed") << what << " is lost: " << state.front();
  }
  EXPECT_EQ(ask("SELECT count(*) FROM kms.working_key WHERE (state = 'destroyed') <> (sealed_wk IS NULL)").front(), "0");
  for (const std::filesystem::path& state : states()) EXPECT_TRUE(audit::verify(state / "audit.jsonl")) << state;
  return delivered;
}

}  // namespace qanat::test
