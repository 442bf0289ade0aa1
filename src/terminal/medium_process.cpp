#include "terminal/medium_process.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "node/log.hpp"
#include "terminal/octet_file.hpp"

namespace qanat::terminal {
namespace {

constexpr std::chrono::milliseconds charge_max{10'000};
constexpr std::chrono::milliseconds obey_max{3'000};

Result<void> check_named(const TerminalSettings& settings) {
  if (settings.medium.empty()) return fail(ErrorCode::invalid_argument, "terminal.medium names no place for a medium");
  return {};
}

Result<void> record(node::Node& node, std::string_view action, const SecureMedium& medium, const Result<void>& done, std::string_view how) {
  return node.record({.action = action,
                      .outcome = done ? audit::Outcome::success : audit::outcome_of(done.error().code),
                      .subject = node.identity().uri(),
                      .object = medium.id().hex(),
                      .reason = done ? how : std::string_view(done.error().message),
                      .request_id = ""});
}

wire::Json facts_of(const SecureMedium& medium) {
  wire::Json keys = wire::Json::object();
  for (const wire::KeySet set : wire::all_key_sets) {
    const SetCursor& at = medium.cursor(set);
    keys.set(wire::name(set), wire::Json::object({{"next", std::int64_t{at.next}}, {"end", std::int64_t{at.end}}, {"room", std::int64_t{medium.room(set)}}}));
  }
  return wire::Json::object({{"medium", medium.id().hex()},
                             {"kind", row_of(medium.kind()).name},
                             {"state", name(medium.state())},
                             {"generation", std::int64_t{medium.generation()}},
                             {"keys", std::move(keys)}});
}

/// One of ours that is no medium's: it must not be taken for the key of another.
void remove_key_file(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::remove(file, error)) node::log(node::LogLevel::error, "{}: is the key of no medium, and cannot be removed: remove it", file.string());
}

/// 64 hexadecimal digits and a new line, for its owner alone, whole on the disk; never over a file that is there.
Result<void> write_key_file(const std::filesystem::path& file, const Secret& key) {
  constexpr std::string_view digits = "0123456789abcdef";
  Secret text(2 * key.size() + 1);
  std::size_t at = 0;
  for (const std::uint8_t octet : key.reveal()) {
    text.writable()[at++] = static_cast<std::uint8_t>(digits[octet >> 4U]);
    text.writable()[at++] = static_cast<std::uint8_t>(digits[octet & 15U]);
  }
  text.writable()[at] = '\n';
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return fail(ErrorCode::conflict, file.string() + ": cannot be made, or is there already: remove it or name another file");
  const ByteView octets = text.reveal();
  const bool ok = ::write(descriptor, octets.data(), octets.size()) == static_cast<ssize_t>(octets.size()) && ::fsync(descriptor) == 0;
  ::close(descriptor);
  if (!ok) {
    remove_key_file(file);
    return fail(ErrorCode::internal, file.string() + ": cannot be written");
  }
  return {};
}

Result<Charging::Outcome> with_charging(node::Node& node, const TerminalSettings& settings, Loaded& loaded,
                                        const std::function<Result<Charging::Outcome>(Charging&)>& work) {
  const std::shared_ptr<const node::MessageSigner> signer = node.signer();
  const Applicant applicant = applicant_of(node, settings, loaded, *signer);
  KmsLink link(node, settings, loaded);
  Charging charging({.applicant = applicant,
                     .store = *loaded.store,
                     .medium = *loaded.medium,
                     .clock = node.clock(),
                     .rng = node.rng(),
                     .send = [&link](points::Endpoint endpoint, ByteView message, Deadline deadline) { return link.send(endpoint, message, deadline); },
                     .check_kms = [&link](Deadline deadline) { return link.check(deadline); }});
  return work(charging);
}

std::string_view told(const Charging::Outcome& outcome) { return outcome.charged ? wire::name(*outcome.charged) : wire::name(outcome.order); }

}  // namespace

Result<wire::Json> make_medium(node::Node& node, const TerminalSettings& settings, MediumKind kind, const std::filesystem::path& transport_key) {
  TRY(check_settings(node, settings));
  TRY(check_named(settings));
  std::optional<Secret> key;
  if (!transport_key.empty()) {
    ASSIGN_OR_RETURN(key, node.device().random(wire::transport_key_size));
    TRY(write_key_file(transport_key, *key));
  }
  const wire::MediumId id(node.rng().bytes(wire::MediumId::size));
  const auto medium =
      SecureMedium::make(settings.medium, {.kind = kind, .suite = node.suite().id, .id = id, .transport_key = key ? &*key : nullptr}, node.device());
  if (!medium) {
    if (key) remove_key_file(transport_key);
    return fail(medium.error());
  }
  TRY(record(node, "medium.made", **medium, {}, row_of(kind).name));
  return facts_of(**medium).set("transport_key", transport_key.string());
}

Result<wire::Json> show_medium(node::Node& node, const TerminalSettings& settings) {
  TRY(check_settings(node, settings));
  TRY(check_named(settings));
  ASSIGN_OR_RETURN(const auto medium, SecureMedium::open(settings.medium, node.device()));
  return facts_of(*medium);
}

Result<wire::Json> load_charge(node::Node& node, const TerminalSettings& settings, const std::filesystem::path& file) {
  TRY(check_settings(node, settings));
  TRY(check_named(settings));
  ASSIGN_OR_RETURN(const Bytes octets, read_file(file, wire::charge_file_max));
  ASSIGN_OR_RETURN(const wire::ChargeFile charge, wire::parse_charge_file(octets));
  ASSIGN_OR_RETURN(const auto medium, SecureMedium::open(settings.medium, node.device()));
  const Result<void> loaded = medium->load(charge);
  TRY(record(node, "medium.loaded", *medium, loaded, "charge " + charge.charge.hex()));
  TRY(loaded);
  return facts_of(*medium).set("charge", charge.charge.hex());
}

Result<wire::Json> charge_medium(node::Node& node, const TerminalSettings& settings, const WantedKeys& wanted) {
  TRY(check_named(settings));
  ASSIGN_OR_RETURN(Loaded loaded, load(node, settings));
  if (!loaded.medium) return fail(ErrorCode::not_found, settings.medium.string() + ": no medium is there");
  node.start_reporting();
  const auto outcome = with_charging(node, settings, loaded, [&](Charging& charging) { return charging.charge(wanted, Deadline::after(charge_max)); });
  TRY(record(node, "medium.charged", *loaded.medium, outcome ? Result<void>() : fail(outcome.error()), outcome ? told(*outcome) : std::string_view()));
  if (!outcome) return fail(outcome.error());
  wire::Json out = facts_of(*loaded.medium).set("order", wire::name(outcome->order));
  if (outcome->charged) out.set("charged", wire::name(*outcome->charged)).set("counts", wire::counts(*outcome->charged));
  if (outcome->origin) out.set("origin", wire::name(*outcome->origin));
  return out;
}

void obey_kms(node::Node& node, const TerminalSettings& settings, Loaded& loaded) {
  if (loaded.medium_in_use() == nullptr) return;
  const auto outcome = with_charging(node, settings, loaded, [](Charging& charging) { return charging.obey(Deadline::after(obey_max)); });
  if (!outcome) {
    node::log(node::LogLevel::warning, "what the KMS wants of the medium could not be asked: {}", outcome.error().message);
    return;
  }
  if (outcome->order == wire::MediumOrder::none) return;
  const auto recorded = record(node, "medium.ordered", *loaded.medium, {}, told(*outcome));
  node::log(node::LogLevel::error, "the KMS has had medium {} put out of use: {}{}", loaded.medium->id().hex(), told(*outcome),
            recorded ? "" : " (" + recorded.error().message + ")");
}

}  // namespace qanat::terminal
