#include "sae_commands.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "crypto/kdf.hpp"
#include "kme/key_id_text.hpp"
#include "wire/secret_text.hpp"
#include "launch.hpp"
#include "operator.hpp"
#include "sae_access.hpp"

namespace qanat::app {
namespace {

constexpr std::chrono::milliseconds taken_up_max{60000};
constexpr std::chrono::milliseconds answer_max{10000};
constexpr std::chrono::milliseconds keys_max{20000};  // for quantum links to bring as many as are asked for
constexpr std::chrono::milliseconds state_look_every{50};
constexpr std::size_t fingerprint_digits = 16;

Result<Network> running_network(const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(Network network, Network::read(folder));
  if (!network_is_running(network)) return fail(ErrorCode::unavailable, "the network is not running: start it with `qanat up`");
  return network;
}

enum class TakenUp : std::uint8_t { now, at_next_start };

/// A network that runs reads the register's change at once: `qanat up` starts its QKMs anew. Value when it has.
Result<TakenUp> await_taken_up(const Network& network, std::int64_t revision) {
  if (!network_is_running(network)) return TakenUp::at_next_start;
  const Deadline deadline = Deadline::after(taken_up_max);
  while (sae_applied(network).value_or(0) < revision) {
    if (!network_is_running(network)) return TakenUp::at_next_start;
    if (deadline.passed()) {
      return fail(ErrorCode::deadline_exceeded, "the register is changed, but the running network has not taken it up: restart `qanat up`");
    }
    std::this_thread::sleep_for(state_look_every);
  }
  return TakenUp::now;
}

std::string day_of(UnixMs time_ms) {
  const std::chrono::year_month_day day(std::chrono::floor<std::chrono::days>(std::chrono::sys_time(std::chrono::milliseconds(time_ms))));
  return fmt::format("{}-{:02}-{:02}", static_cast<int>(day.year()), static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()));
}

const char* state_of(const SaeRecord& sae) {
  if (sae.revoked) return "revoked";
  return sae.not_after_ms <= SystemClock().now_ms() ? "expired" : "valid";
}

wire::Json json_of(const SaeRecord& sae, const SaeListener& listener) {
  return wire::Json::object({{"name", sae.name},
                             {"domain", sae.domain},
                             {"kme", sae.kme},
                             {"url", listener.url()},
                             {"certificate", sae.files().certificate.string()},
                             {"key", sae.files().key.string()},
                             {"ca", sae.roots().string()},
                             {"until", day_of(sae.not_after_ms)},
                             {"state", state_of(sae)}});
}

const char* text_of(TakenUp taken_up) { return taken_up == TakenUp::now ? "in force" : "in force when the network runs: `qanat up`"; }

int finish(const Result<void>& done) { return done ? 0 : complain(done.error()); }

/// An SAE that is known, and its KME's listener.
struct Seat {
  SaeRecord sae;
  SaeListener at;
};
Result<Seat> seat_of(const SaeAuthority& authority, const std::string& name) {
  ASSIGN_OR_RETURN(const SaeRecord* sae, authority.find(name));
  ASSIGN_OR_RETURN(const SaeListener* at, authority.listener_of(*sae));
  return Seat{.sae = *sae, .at = *at};
}

struct Ends {
  Seat from;
  Seat to;
};
/// Read under the register's lock, which is not held any more while keys travel.
Result<Ends> ends_of(const Network& network, const SaeKeyOptions& options) {
  ASSIGN_OR_RETURN(const SaeAuthority authority, SaeAuthority::open(network));
  ASSIGN_OR_RETURN(Seat from, seat_of(authority, options.from));
  ASSIGN_OR_RETURN(Seat to, seat_of(authority, options.to));
  return Ends{.from = std::move(from), .to = std::move(to)};
}

/// An SAE of a KMS is an identity in IAM, with its home there. There already, as it is to be: nothing happens.
Result<void> enter_at_iam(const Network& network, const SaeAddOptions& options, const SaeListener& at) {
  wire::Json record = wire::Json::object({{"uid", options.name}, {"class", "application"}, {"domain", options.domain}, {"home_kms", at.kme}});
  if (options.keys_per_second != 0) record.set("keys_per_second", options.keys_per_second);
  if (options.keys_per_day != 0) record.set("keys_per_day", options.keys_per_day);
  if (!options.peer_domains.empty()) {
    wire::Json domains = wire::Json::array();
    for (const std::string& domain : options.peer_domains) domains.push(domain);
    record.set("peer_domains", std::move(domains));
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<Operator> op, Operator::open(network));
  const auto made = op->ask(points::Endpoint::x5_identity, "iam", wire::Json::object({{"op", "create"}, {"identity", record}}));
  if (!made) return fail_in("its certificate is made, but IAM has not entered it (`qanat sae remove " + options.name + "`, then again)", made.error());
  return {};
}

Result<void> delete_at_iam(const Network& network, const std::string& name) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Operator> op, Operator::open(network));
  const auto known = op->ask(points::Endpoint::x5_identity, "iam", wire::Json::object({{"op", "find"}, {"uid", name}}));
  if (!known && known.error().code == ErrorCode::not_found) return {};
  TRY(known);
  if (known->text("class").value_or("") != "application") return {};  // somebody else of this name
  ASSIGN_OR_RETURN(const std::int64_t version, known->integer("version"));
  TRY(op->ask(points::Endpoint::x5_identity, "iam", wire::Json::object({{"op", "delete"}, {"uid", name}, {"version", version}})));
  return {};
}

/// The proof that it may: its own KME knows it, at a KMS as soon as IAM has told.
Result<void> await_served(const Seat& seat) {
  const Deadline deadline = Deadline::after(answer_max);
  while (true) {
    ASSIGN_OR_RETURN(SaeAccess access, SaeAccess::open(seat.sae, seat.at));
    const auto status = access.status(seat.sae.name, deadline);
    if (status) return {};
    if (seat.at.at == SaeAt::qkm || deadline.passed()) return fail(status.error());
    std::this_thread::sleep_for(state_look_every);
  }
}

/// As `qanat call` does: a network that has just started has no quantum keys for its first seconds.
Result<std::vector<kme::Key>> order_patiently(SaeAccess& from, const SaeKeyOptions& options) {
  const Deadline deadline = Deadline::after(keys_max);
  while (true) {
    auto keys = from.order(options.to, options.number, options.size, Deadline::after(answer_max));
    if (keys || keys.error().code != ErrorCode::exhausted) return keys;
    if (deadline.passed()) {
      return fail(ErrorCode::exhausted, keys.error().message + ": ask for fewer or shorter keys, or look at the links with `qanat status`");
    }
    std::this_thread::sleep_for(state_look_every);
  }
}

std::string fingerprint_of(const Secret& key) { return to_hex(crypto::digest(crypto::Hash::sha256, {key.reveal()})).substr(0, fingerprint_digits); }

/// Past stdio, whose buffer nobody wipes.
void print_secret(const Secret& key) {
  wire::SecretText line(wire::base64_size(key.size()) + 1);
  line.add_base64(key.reveal()).add("\n");
  const Secret text = std::move(line).finish();
  std::fflush(stdout);
  const ByteView octets = text.reveal();
  if (::write(STDOUT_FILENO, octets.data(), octets.size()) != static_cast<ssize_t>(octets.size())) fmt::print(stderr, "qanat: standard output takes no more\n");
}

Result<void> deliver_keys(const SaeKeyOptions& options) {
  ASSIGN_OR_RETURN(const Network network, running_network(options.folder));
  if (options.from == options.to) return fail(ErrorCode::invalid_argument, "SAE " + options.from + " shares no key with itself: give another --to");
  ASSIGN_OR_RETURN(const Ends ends, ends_of(network, options));
  ASSIGN_OR_RETURN(SaeAccess from, SaeAccess::open(ends.from.sae, ends.from.at));
  ASSIGN_OR_RETURN(SaeAccess to, SaeAccess::open(ends.to.sae, ends.to.at));
  ASSIGN_OR_RETURN(const std::vector<kme::Key> ordered, order_patiently(from, options));
  ASSIGN_OR_RETURN(const std::vector<kme::Key> collected, to.collect(options.from, ordered, options.size, Deadline::after(answer_max)));
  const CurlPair curl = curl_keys(ends.from.sae, ends.from.at, ends.to.sae, ends.to.at, options.number, options.size);
  wire::Json list = wire::Json::array();
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    const kme::Key& near = ordered[i];
    const kme::Key& far = collected.at(std::min(i, collected.size() - 1));
    if (near.id != far.id || !equal_secret(near.octets, far.octets)) {
      return fail(ErrorCode::internal, "the SAEs' keys differ: " + kme::to_uuid(near.id) + " " + fingerprint_of(near.octets) + " and " + kme::to_uuid(far.id) +
                                           " " + fingerprint_of(far.octets));
    }
    list.push(wire::Json::object(
        {{"key_ID", kme::to_uuid(near.id)}, {"fingerprint_from", fingerprint_of(near.octets)}, {"fingerprint_to", fingerprint_of(far.octets)}}));
    if (options.output == Output::json) continue;
    fmt::print("  key {}   SHA-256 {}… at {}, {}… at {}: equal\n", kme::to_uuid(near.id), fingerprint_of(near.octets), options.from, fingerprint_of(far.octets),
               options.to);
    if (options.show) {
      fmt::print("      ");
      print_secret(near.octets);
    }
  }
  if (options.output == Output::json) {
    fmt::print("{}\n", wire::Json::object({{"from", options.from},
                                           {"to", options.to},
                                           {"size", options.size},
                                           {"keys", list},
                                           {"equal", true},
                                           {"curl_enc_keys", curl.order},
                                           {"curl_dec_keys", curl.collect}})
                           .pretty());
    return {};
  }
  fmt::print("  enc_keys by {} at {} ({}), dec_keys by {} at {} ({}); these keys are used up\n\n  the same with curl, keys in the clear:\n{}\n{}\n",
             options.from, ends.from.at.kme, ends.from.at.url(), options.to, ends.to.at.kme, ends.to.at.url(), curl.order, curl.collect);
  return {};
}

/// Somebody at this listener who can ask, and whom to ask about: of another site if there is one.
struct Question {
  SaeRecord asker;
  std::string other;
};
std::optional<Question> question_at(const SaeListener& listener, const std::vector<SaeRecord>& saes) {
  std::optional<Question> out;
  for (const SaeRecord& sae : saes) {
    if (!out && sae.kme == listener.kme && !sae.revoked) out = Question{.asker = sae, .other = sae.name};
  }
  for (const SaeRecord& sae : saes) {
    const bool of_its_kind = out && sae.kme.substr(0, 3) == listener.kme.substr(0, 3);  // "kms", "qkm": what serves one does not know the other's
    if (of_its_kind && sae.domain != listener.domain && out->other == out->asker.name) out->other = sae.name;
  }
  return out;
}

void show_status(const SaeListener& listener, const std::string& names, const std::optional<Question>& question,
                 const std::optional<Result<wire::Json>>& answer) {
  fmt::print("  {:<8} domain {:<4} {}  {}\n           SAEs: {}\n", listener.kme, listener.domain, listener.url(), sae_standards(listener.at),
             names.empty() ? "none" : names);
  if (!question) {
    fmt::print("           nobody here can ask: `qanat sae add NAME --domain {}{}`\n", listener.domain, listener.at == SaeAt::kms ? " --at kms" : "");
    return;
  }
  if (!*answer) {
    fmt::print("           {}\n", answer->error().message);
    return;
  }
  const auto number = [&](const char* name) { return (*answer)->integer(name).value_or(-1); };
  fmt::print("           {} with {}: {} keys of {} bits ready; {} to {} bits, {} keys a request\n           {}\n", question->asker.name, question->other,
             number("stored_key_count"), number("key_size"), number("min_key_size"), number("max_key_size"), number("max_key_per_request"),
             curl_status(question->asker, listener, question->other));
}

Result<void> ask_all(const std::filesystem::path& folder, Output output) {
  ASSIGN_OR_RETURN(const Network network, running_network(folder));
  std::vector<SaeListener> listeners;
  std::vector<SaeRecord> saes;
  {
    ASSIGN_OR_RETURN(const SaeAuthority authority, SaeAuthority::open(network));
    listeners = authority.listeners();
    saes = authority.saes();
  }
  wire::Json all = wire::Json::array();
  for (const SaeListener& listener : listeners) {
    std::string names;
    wire::Json list = wire::Json::array();
    for (const SaeRecord& sae : saes) {
      if (sae.kme != listener.kme) continue;
      names += (names.empty() ? "" : ", ") + sae.name + (sae.revoked ? " (revoked)" : "");
      list.push(sae.name);
    }
    const std::optional<Question> question = question_at(listener, saes);
    std::optional<Result<wire::Json>> answer;
    if (question) {
      answer = [&]() -> Result<wire::Json> {
        ASSIGN_OR_RETURN(SaeAccess access, SaeAccess::open(question->asker, listener));
        return access.status(question->other, Deadline::after(answer_max));
      }();
    }
    if (output == Output::people) {
      show_status(listener, names, question, answer);
      continue;
    }
    wire::Json entry = wire::Json::object({{"kme", listener.kme}, {"domain", listener.domain}, {"url", listener.url()}, {"saes", list}});
    if (answer) *answer ? entry.set("status", **answer) : entry.set("failure", answer->error().message);
    if (question) entry.set("curl", curl_status(question->asker, listener, question->other));
    all.push(std::move(entry));
  }
  if (output == Output::json) fmt::print("{}\n", all.pretty());
  return {};
}

}  // namespace

int sae_add(const SaeAddOptions& options) {
  return finish([&]() -> Result<void> {
    const bool at_kms = options.at == SaeAt::kms;
    if (!at_kms && (!options.peer_domains.empty() || options.keys_per_second != 0 || options.keys_per_day != 0))
      return fail(ErrorCode::invalid_argument, "--peer-domain, --keys-per-second and --keys-per-day belong to --at kms: IAM keeps them");
    ASSIGN_OR_RETURN(const Network network, at_kms ? running_network(options.folder) : Network::read(options.folder));
    std::optional<Seat> seat;
    std::int64_t revision = 0;
    {
      ASSIGN_OR_RETURN(SaeAuthority authority, SaeAuthority::open(network));
      TRY(authority.add({.name = options.name, .domain = options.domain, .folder = options.out, .key = options.key, .at = options.at}));
      ASSIGN_OR_RETURN(seat, seat_of(authority, options.name));
      revision = authority.revision();
    }
    if (at_kms) TRY(enter_at_iam(network, options, seat->at));
    ASSIGN_OR_RETURN(const TakenUp taken_up, await_taken_up(network, revision));
    if (taken_up == TakenUp::now) TRY(await_served(*seat));
    if (options.output == Output::json) {
      wire::Json out = json_of(seat->sae, seat->at);
      fmt::print("{}\n", out.set("in_force", taken_up == TakenUp::now).dump());
      return {};
    }
    fmt::print("  SAE {} in domain {}: {}\n  KME           {}  {}  ({})\n  certificate   {} (until {})\n  private key   {}\n  CA file       {}\n",
               seat->sae.name, seat->sae.domain, text_of(taken_up), seat->sae.kme, seat->at.url(), sae_standards(seat->at.at), seat->sae.files().certificate.string(),
               day_of(seat->sae.not_after_ms), seat->sae.files().key.string(), seat->sae.roots().string());
    return {};
  }());
}

int sae_end(const std::filesystem::path& folder, const std::string& name, SaeEnding ending, Output output) {
  return finish([&]() -> Result<void> {
    ASSIGN_OR_RETURN(const Network network, Network::read(folder));
    std::int64_t revision = 0;
    {
      ASSIGN_OR_RETURN(SaeAuthority authority, SaeAuthority::open(network));
      ASSIGN_OR_RETURN(const Seat seat, seat_of(authority, name));
      if (seat.at.at == SaeAt::kms && ending == SaeEnding::remove) TRY(delete_at_iam(network, name));
      TRY(ending == SaeEnding::revoke ? authority.revoke(name) : authority.remove(name));
      revision = authority.revision();
    }
    ASSIGN_OR_RETURN(const TakenUp taken_up, await_taken_up(network, revision));
    if (output == Output::json) {
      fmt::print("{}\n", wire::Json::object({{ending == SaeEnding::revoke ? "revoked" : "removed", name}, {"in_force", taken_up == TakenUp::now}}).dump());
      return {};
    }
    fmt::print("  {} SAE {}: {}\n", ending == SaeEnding::revoke ? "revoked the certificate of" : "removed", name, text_of(taken_up));
    return {};
  }());
}

int sae_list(const std::filesystem::path& folder, Output output) {
  return finish([&]() -> Result<void> {
    ASSIGN_OR_RETURN(const Network network, Network::read(folder));
    ASSIGN_OR_RETURN(const SaeAuthority authority, SaeAuthority::open(network));
    wire::Json all = wire::Json::array();
    if (output == Output::people)
      fmt::print("  {:<16} {:<7} {:<8} {:<26} {:<8} {:<11} {}\n", "SAE", "domain", "KME", "address", "state", "until", "certificate");
    for (const SaeRecord& sae : authority.saes()) {
      ASSIGN_OR_RETURN(const SaeListener* at, authority.listener_of(sae));
      all.push(json_of(sae, *at));
      if (output == Output::people) {
        fmt::print("  {:<16} {:<7} {:<8} {:<26} {:<8} {:<11} {}\n", sae.name, sae.domain, sae.kme, at->url(), state_of(sae), day_of(sae.not_after_ms),
                   sae.files().certificate.string());
      }
    }
    if (output == Output::json) fmt::print("{}\n", all.pretty());
    return {};
  }());
}

int sae_key(const SaeKeyOptions& options) { return finish(deliver_keys(options)); }
int sae_status(const std::filesystem::path& folder, Output output) { return finish(ask_all(folder, output)); }

void print_sae_listeners(const Network& network) {
  for (const SaeListener& listener : sae_listeners(network)) {
    fmt::print("  keys for own software in domain {}: {} at {}, {}{}\n", listener.domain, listener.kme, listener.url(), sae_standards(listener.at),
               listener.stream_port == 0 ? std::string() : fmt::format("; streams at 127.0.0.1:{}, ETSI GS QKD 004", listener.stream_port));
  }
}

}  // namespace qanat::app
