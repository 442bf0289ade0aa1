#include "network.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>

namespace qanat::app {
namespace {

constexpr std::int64_t format_version = 1;

struct Seat {
  std::string domain;
  Kind kind;
  std::string name;
  std::vector<std::string> peers;
};

/// A second trusted relay, at a site of its own, on a path that shares no node with the first.
void add_second_relay(std::vector<Seat>& seats) {
  for (Seat& seat : seats) {
    const std::string name = seat.name;
    if (name == "qkm-a" || name == "qkm-b" || name == "qkdnc") seat.peers.emplace_back("qkm-r2");
  }
  seats.push_back({"relay2", Kind::qkm, "qkm-r2", {"cas", "qkdnc", "qkm-a", "qkm-b"}});
  seats.push_back({"a", Kind::qkd, "qkd-ar2-alice", {"cas", "qkm-a", "qkd-ar2-bob"}});
  seats.push_back({"relay2", Kind::qkd, "qkd-ar2-bob", {"cas", "qkm-r2", "qkd-ar2-alice"}});
  seats.push_back({"relay2", Kind::qkd, "qkd-r2b-alice", {"cas", "qkm-r2", "qkd-r2b-bob"}});
  seats.push_back({"b", Kind::qkd, "qkd-r2b-bob", {"cas", "qkm-b", "qkd-r2b-alice"}});
}

/// The QKMs of a chain, qkm-a to qkm-b.
std::vector<std::string> chain_of(std::int64_t size) {
  std::vector<std::string> out{"qkm-a"};
  for (std::int64_t i = 1; i + 1 < size; ++i) out.push_back(fmt::format("qkm-c{}", i));
  out.emplace_back("qkm-b");
  return out;
}

/// Relays in a row, each at a site of its own, where the one relay was.
void put_chain(std::vector<Seat>& seats, std::int64_t size) {
  std::erase_if(seats, [](const Seat& seat) { return seat.kind == Kind::qkm || seat.kind == Kind::qkd; });
  const std::vector<std::string> names = chain_of(size);
  std::vector<std::string> domains;
  domains.reserve(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) domains.push_back(i == 0 ? "a" : i + 1 == names.size() ? "b" : fmt::format("relay{}", i));
  const auto controller = std::ranges::find(seats, Kind::qkdnc, &Seat::kind);
  controller->peers = {"cas"};
  controller->peers.insert(controller->peers.end(), names.begin(), names.end());
  for (std::size_t i = 0; i < names.size(); ++i) {
    Seat qkm{domains[i], Kind::qkm, names[i], {"cas", "qkdnc"}};
    if (i > 0) qkm.peers.push_back(names[i - 1]);
    if (i + 1 < names.size()) qkm.peers.push_back(names[i + 1]);
    if (i > 1 && i + 1 == names.size()) qkm.peers.emplace_back("qkm-a");
    if (i == 0 && names.size() > 2) qkm.peers.emplace_back("qkm-b");
    seats.push_back(std::move(qkm));
  }
  for (std::size_t i = 0; i + 1 < names.size(); ++i) {
    const std::string alice = fmt::format("qkd-l{}-alice", i + 1);
    const std::string bob = fmt::format("qkd-l{}-bob", i + 1);
    seats.push_back({domains[i], Kind::qkd, alice, {"cas", names[i], bob}});
    seats.push_back({domains[i + 1], Kind::qkd, bob, {"cas", names[i + 1], alice}});
  }
}

/// A second controller, which takes over when the first falls silent. The last to be added: it knows every QKM that the first knows.
void add_second_controller(std::vector<Seat>& seats) {
  const auto first = std::ranges::find(seats, Kind::qkdnc, &Seat::kind);
  Seat second{first->domain, Kind::qkdnc, "qkdnc-2", first->peers};
  second.peers.emplace_back("qkdnc");
  first->peers.emplace_back("qkdnc-2");
  for (Seat& seat : seats) {
    if (seat.kind == Kind::qkm || seat.kind == Kind::cmsp) seat.peers.emplace_back("qkdnc-2");
  }
  seats.push_back(std::move(second));
}

/// The paper's Figure 1 on one machine: two domains, one trusted relay between them, or two.
std::vector<Seat> seats(const NetworkOptions& options) {
  std::vector<Seat> out{
      {"core", Kind::cas, "cas", {"iam"}},
      {"core", Kind::iam, "iam", {"cas", "kms-a", "kms-b"}},
      {"core", Kind::cmsp, "cmsp", {"cas", "iam", "kms-a", "kms-b", "qkdnc"}},
      {"core", Kind::ccs, "ccs", {"cas"}},
      {"core", Kind::qkdnc, "qkdnc", {"cas", "qkm-a", "qkm-r", "qkm-b"}},
      {"a", Kind::kms, "kms-a", {"cas", "iam", "cmsp", "qkm-a", "kms-b"}},
      {"b", Kind::kms, "kms-b", {"cas", "iam", "cmsp", "qkm-b", "kms-a"}},
      {"a", Kind::qkm, "qkm-a", {"cas", "qkdnc", "qkm-r", "qkm-b"}},
      {"core", Kind::qkm, "qkm-r", {"cas", "qkdnc", "qkm-a", "qkm-b"}},
      {"b", Kind::qkm, "qkm-b", {"cas", "qkdnc", "qkm-r", "qkm-a"}},
      {"a", Kind::qkd, "qkd-ar-alice", {"cas", "qkm-a", "qkd-ar-bob"}},
      {"core", Kind::qkd, "qkd-ar-bob", {"cas", "qkm-r", "qkd-ar-alice"}},
      {"core", Kind::qkd, "qkd-rb-alice", {"cas", "qkm-r", "qkd-rb-bob"}},
      {"b", Kind::qkd, "qkd-rb-bob", {"cas", "qkm-b", "qkd-rb-alice"}},
  };
  if (options.chain > 1) put_chain(out, options.chain);
  if (options.paths > 1 && options.chain == 0) add_second_relay(out);
  if (options.controllers > 1) add_second_controller(out);
  for (Seat& seat : out) {
    // The witness of everybody's audit record is IAM, of IAM's the CMSP.
    const std::string witness = seat.kind == Kind::iam ? "cmsp" : "iam";
    if (std::ranges::find(seat.peers, witness) == seat.peers.end()) seat.peers.push_back(witness);
  }
  // CAS tells every element of a revocation.
  const auto cas = std::ranges::find(out, Kind::cas, &Seat::kind);
  for (const Seat& seat : out) {
    if (seat.kind != Kind::cas && std::ranges::find(cas->peers, seat.name) == cas->peers.end()) cas->peers.push_back(seat.name);
  }
  Seat op{"core", Kind::op, "operator", {}};
  for (const Seat& seat : out) op.peers.emplace_back(seat.name);
  out.push_back(op);
  // The other two duties: they have to do with IAM, and with a KMS where that wants a second operator.
  std::vector<std::string> others{"cas", "iam"};
  for (const Seat& seat : out) {
    if (seat.kind == Kind::kms) others.emplace_back(seat.name);
  }
  for (const char* name : {"administrator", "auditor"}) out.push_back({"core", Kind::op, name, others});
  return out;
}

bool has_kms(const std::vector<Seat>& seats, std::string_view domain) {
  return std::ranges::any_of(seats, [&](const Seat& seat) { return seat.kind == Kind::kms && seat.domain == domain; });
}

constexpr std::uint16_t first_port = 10000;

/// Where the ports begin that the kernel gives to outgoing connections; 0: not known.
std::uint16_t first_connection_port() {
  std::uint16_t first = 0;
  std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> first;
  return first;
}

/// Binds the port (0: one of the kernel's) until this process ends; nothing if it is taken.
std::optional<std::uint16_t> hold_port(std::uint16_t port) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return std::nullopt;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  // Who listens there later says the same; set after the binding, so that the port is nobody else's now.
  const int shared = 1;
  if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &shared, sizeof shared) != 0 ||
      ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    ::close(descriptor);
    return std::nullopt;
  }
  return ntohs(address.sin_port);
}

}  // namespace

Result<std::vector<std::uint16_t>> free_ports(std::size_t count) {
  const std::uint16_t first_of_connections = first_connection_port();
  std::random_device random;
  std::uniform_int_distribution<unsigned> any(first_port, std::max<unsigned>(first_of_connections, first_port + 1U) - 1U);
  std::vector<std::uint16_t> ports;
  for (std::size_t tries = 0; ports.size() < count && tries < 64 * (count + 1); ++tries) {
    const bool below = first_of_connections > first_port && tries < 32 * (count + 1);
    if (const auto port = hold_port(below ? static_cast<std::uint16_t>(any(random)) : std::uint16_t{0})) ports.push_back(*port);
  }
  if (ports.size() < count) return fail(ErrorCode::unavailable, "no free port on the loopback interface");
  return ports;
}

std::filesystem::path Network::default_folder(const std::string& name) {
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  const std::filesystem::path base =
      state != nullptr && *state != '\0' ? std::filesystem::path(state) : std::filesystem::path(home != nullptr ? home : "/var/lib") / ".local" / "state";
  return base / "qanat" / name;
}

Result<Network> Network::plan(const std::filesystem::path& folder, NetworkOptions options) {
  Network out;
  out.folder_ = std::filesystem::absolute(folder);
  out.options_ = std::move(options);
  if (out.options_.relay == "multipath") out.options_.paths = 2;
  const std::vector<Seat> all = seats(out.options_);
  // An element has one port, a QKM that gives keys to SAEs two more, a KMS that does one more, CAS two more.
  ASSIGN_OR_RETURN(const std::vector<std::uint16_t> ports, free_ports(3 * all.size()));
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool serves_saes = out.options_.saes && (all[i].kind == Kind::qkm || all[i].kind == Kind::kms) && has_kms(all, all[i].domain);
    out.elements_.push_back({.identity = {.domain = all[i].domain, .kind = all[i].kind, .name = all[i].name},
                             .port = ports[3 * i],
                             .peers = all[i].peers,
                             .sae_port = serves_saes ? ports[3 * i + 1] : std::uint16_t{0},
                             .stream_port = serves_saes && all[i].kind == Kind::qkm ? ports[3 * i + 2] : std::uint16_t{0},
                             .status_port = all[i].kind == Kind::cas ? ports[3 * i + 1] : std::uint16_t{0},
                             .enrolment_port = all[i].kind == Kind::cas ? ports[3 * i + 2] : std::uint16_t{0},
                             .started = all[i].kind != Kind::op && (out.options_.optics || all[i].kind != Kind::qkd)});
  }
  for (const Identity& spare : out.options_.spares) {
    out.elements_.push_back({.identity = spare, .port = 0, .peers = {"cas"}, .sae_port = 0, .stream_port = 0, .status_port = 0, .enrolment_port = 0, .started = false});
  }
  out.terminals_ = {{.uid = "A", .number = "+8655110000001", .domain = "a", .kms = "kms-a"},
                    {.uid = "B", .number = "+8655120000002", .domain = "b", .kms = "kms-b"},
                    {.uid = "C", .number = "+8655110000003", .domain = "a", .kms = "kms-a"}};
  out.links_ = {{.name = "a-r", .from = "qkm-a", .to = "qkm-r", .distance_km = out.options_.distance_km},
                {.name = "r-b", .from = "qkm-b", .to = "qkm-r", .distance_km = out.options_.distance_km}};
  if (out.options_.chain > 1) {
    out.links_.clear();
    const std::vector<std::string> names = chain_of(out.options_.chain);
    for (std::size_t i = 0; i + 1 < names.size(); ++i) {
      const auto [from, to] = std::minmax(names[i], names[i + 1]);
      out.links_.push_back({.name = fmt::format("l{}", i + 1), .from = from, .to = to, .distance_km = out.options_.distance_km});
    }
  } else if (out.options_.paths > 1) {
    out.links_.push_back({.name = "a-r2", .from = "qkm-a", .to = "qkm-r2", .distance_km = out.options_.distance_km});
    out.links_.push_back({.name = "r2-b", .from = "qkm-b", .to = "qkm-r2", .distance_km = out.options_.distance_km});
  }
  return out;
}

Result<const ElementPlan*> Network::element(const std::string& name) const {
  const auto found = std::ranges::find(elements_, name, &ElementPlan::name);
  if (found == elements_.end()) return fail(ErrorCode::not_found, "the network has no element '" + name + "'");
  return &*found;
}

Result<const TerminalPlan*> Network::terminal(const std::string& uid) const {
  const auto found = std::ranges::find(terminals_, uid, &TerminalPlan::uid);
  if (found != terminals_.end()) return &*found;
  std::string known;
  for (const TerminalPlan& terminal : terminals_) known += (known.empty() ? "" : ", ") + terminal.uid;
  return fail(ErrorCode::not_found, "the network has no terminal '" + uid + "': use one of " + known);
}

Result<void> Network::check_relay(const std::string& wanted) const {
  if (wanted.empty() || wanted == options_.relay) return {};
  return fail(ErrorCode::conflict, "the network in " + folder_.string() + " relays " + options_.relay + ": for " + wanted +
                                       " stop it and start it anew with `qanat up --fresh --relay " + wanted + "`");
}

Result<Network> Network::read(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "network.json";
  std::ifstream in(file);
  if (!in) return fail(ErrorCode::not_found, "no network in " + folder.string() + ": start one with `qanat up`");
  const std::string text(std::istreambuf_iterator<char>(in), {});
  auto parsed = wire::Json::parse(text);
  if (!parsed) return fail_in(file.string(), parsed.error());
  const wire::Json& json = *parsed;
  ASSIGN_OR_RETURN(const std::int64_t version, json.integer("format"));
  if (version != format_version) return fail(ErrorCode::conflict, file.string() + ": written by another version; start afresh with `qanat up --fresh`");
  Network out;
  out.folder_ = std::filesystem::absolute(folder);
  ASSIGN_OR_RETURN(out.options_.suite, json.text("suite"));
  ASSIGN_OR_RETURN(const auto relay, json.optional_text("relay"));
  ASSIGN_OR_RETURN(const auto paths, json.optional_integer("paths", 1, 2));
  out.options_.relay = relay.value_or(out.options_.relay);
  out.options_.paths = paths.value_or(1);
  ASSIGN_OR_RETURN(const auto controllers, json.optional_integer("controllers", 1, 2));
  out.options_.controllers = controllers.value_or(1);
  ASSIGN_OR_RETURN(const std::vector<wire::Json> elements, json.array("elements"));
  for (const wire::Json& element : elements) {
    ASSIGN_OR_RETURN(const std::string uri, element.text("identity"));
    ASSIGN_OR_RETURN(const Identity identity, Identity::parse_uri(uri));
    ASSIGN_OR_RETURN(const std::int64_t port, element.integer("port", 0, 65535));
    ASSIGN_OR_RETURN(const std::vector<std::string> peers, element.texts("peers"));
    ASSIGN_OR_RETURN(const bool started, element.boolean("started"));
    ASSIGN_OR_RETURN(const auto sae_port, element.optional_integer("sae_port", 1, 65535));
    ASSIGN_OR_RETURN(const auto stream_port, element.optional_integer("stream_port", 1, 65535));
    ASSIGN_OR_RETURN(const auto status_port, element.optional_integer("status_port", 1, 65535));
    ASSIGN_OR_RETURN(const auto enrolment_port, element.optional_integer("enrolment_port", 1, 65535));
    out.elements_.push_back({.identity = identity,
                             .port = static_cast<std::uint16_t>(port),
                             .peers = peers,
                             .sae_port = static_cast<std::uint16_t>(sae_port.value_or(0)),
                             .stream_port = static_cast<std::uint16_t>(stream_port.value_or(0)),
                             .status_port = static_cast<std::uint16_t>(status_port.value_or(0)),
                             .enrolment_port = static_cast<std::uint16_t>(enrolment_port.value_or(0)),
                             .started = started});
  }
  ASSIGN_OR_RETURN(const std::vector<wire::Json> terminals, json.array("terminals"));
  for (const wire::Json& terminal : terminals) {
    TerminalPlan one;
    ASSIGN_OR_RETURN(one.uid, terminal.text("uid"));
    ASSIGN_OR_RETURN(one.number, terminal.text("number"));
    ASSIGN_OR_RETURN(one.domain, terminal.text("domain"));
    ASSIGN_OR_RETURN(one.kms, terminal.text("kms"));
    out.terminals_.push_back(std::move(one));
  }
  ASSIGN_OR_RETURN(const std::vector<wire::Json> links, json.array("links"));
  for (const wire::Json& link : links) {
    LinkPlan one;
    ASSIGN_OR_RETURN(one.name, link.text("name"));
    ASSIGN_OR_RETURN(one.from, link.text("from"));
    ASSIGN_OR_RETURN(one.to, link.text("to"));
    ASSIGN_OR_RETURN(one.distance_km, link.number("distance_km"));
    out.links_.push_back(std::move(one));
  }
  return out;
}

}  // namespace qanat::app
