#include "kme/skip.hpp"

#include <charconv>

#include "kme/caller.hpp"
#include "kme/glob.hpp"
#include "wire/secret_text.hpp"
#include "net/foreign_routes.hpp"
#include "wire/json.hpp"

namespace qanat::kme::skip {
namespace {

constexpr std::uint32_t entropy_bits_max = 4096;
constexpr std::string_view algorithm = "QKD";

std::unexpected<Error> bad(std::string why) { return fail(ErrorCode::invalid_argument, std::move(why)); }

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// Each of `names` at most once, and nothing else.
Result<Pairs> read_pairs(std::string_view query, std::initializer_list<std::string_view> names) {
  ASSIGN_OR_RETURN(Pairs pairs, net::read_query(query));
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    bool known = false;
    for (const std::string_view name : names) known = known || pairs[i].first == name;
    for (std::size_t j = 0; j < i; ++j) known = known && pairs[j].first != pairs[i].first;
    if (!known) return bad("a query parameter is unknown, or stands there twice");
  }
  return pairs;
}

const std::string* find(const Pairs& pairs, std::string_view name) {
  for (const auto& [own, value] : pairs) {
    if (own == name) return &value;
  }
  return nullptr;
}

Result<std::uint32_t> read_bits(std::string_view what, std::string_view text, std::uint32_t min, std::uint32_t max) {
  std::uint32_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error == std::errc() && end == text.data() + text.size() && out % 8 == 0 && out >= min && out <= max) return out;
  return bad(std::string(what) + ": must be a multiple of 8 between " + std::to_string(min) + " and " + std::to_string(max));
}

net::ForeignResponse refusal(unsigned status, std::string_view why) {
  std::string plain(why);
  for (char& c : plain) {
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  }
  return json_answer(status, wire::Json::object({{"message", plain}}).dump());
}

/// The draft's statuses: 400 for what is malformed and for an unknown keyId, 500 for what failed here, 503 when there is no key at present.
net::ForeignResponse failed(const Error& error) {
  switch (error.code) {
    case ErrorCode::invalid_argument:
    case ErrorCode::conflict:
    case ErrorCode::not_found:
    case ErrorCode::denied:
      return refusal(400, error.message);
    case ErrorCode::unauthenticated:
      return refusal(401, "no SAE of this key provider");
    case ErrorCode::exhausted:
    case ErrorCode::unavailable:
    case ErrorCode::deadline_exceeded:
      return refusal(503, error.message);
    case ErrorCode::internal:
      return refusal(500, "internal error");
  }
  return refusal(500, "internal error");
}

/// Where a key is asked for by its id: one that is another's tells as little as one that does not exist.
net::ForeignResponse failed_by_id(const Error& error) {
  const bool unknown = error.code == ErrorCode::denied || error.code == ErrorCode::not_found;
  return unknown ? refusal(400, "the keyId is not known") : failed(error);
}

class Service {
 public:
  Service(Provider& provider, const SaeRegistry& registry) : provider_(provider), registry_(registry) {}

  void capabilities(const net::ForeignRequest& request, net::ForeignReply reply) const {
    const auto caller = caller_of(registry_, request);
    if (!caller) return refuse(stranger(request), "skip.capabilities", {ErrorCode::unauthenticated, "no SAE of this KME"}, std::move(reply));
    reply(json_answer(200, render_capabilities(registry_, caller->sae)));
  }

  void new_key(const net::ForeignRequest& request, net::ForeignReply reply) const {
    const auto caller = caller_of(registry_, request);
    if (!caller) return refuse(stranger(request), "skip.key", {ErrorCode::unauthenticated, "no SAE of this KME"}, std::move(reply));
    auto query = read_key_query(request.query, provider_.limits());
    auto slaves = query ? remote_systems(registry_, caller->sae, query->remote, provider_.limits()) : Result<std::vector<SaeId>>(fail(query.error()));
    if (!slaves) return refuse(*caller, "skip.key", slaves.error(), std::move(reply));
    provider_.take({.master = *caller,
                    .slaves = std::move(*slaves),
                    .number = 1,
                    .size = query->size,
                    .demands = {},
                    .wishes = {},
                    .standard = "skip",
                    .deadline = request.deadline},
                   answer(std::move(reply), failed));
  }

  void key_of_id(const net::ForeignRequest& request, net::ForeignReply reply) const {
    const auto caller = caller_of(registry_, request);
    if (!caller) return refuse(stranger(request), "skip.key_id", {ErrorCode::unauthenticated, "no SAE of this KME"}, std::move(reply));
    auto query = read_key_id_query(request.parameters.front(), request.query);
    if (!query) return refuse(*caller, "skip.key_id", query.error(), std::move(reply));
    const bool pattern = registry_.find(query->remote) == nullptr && is_glob(query->remote.text());
    provider_.fetch({.slave = *caller,
                     .master = query->remote,
                     .master_is = pattern ? MasterName::pattern : MasterName::exact,
                     .ids = {query->id},
                     .standard = "skip",
                     .deadline = request.deadline},
                    answer(std::move(reply), failed_by_id));
  }

  void entropy(const net::ForeignRequest& request, net::ForeignReply reply) const {
    const auto caller = caller_of(registry_, request);
    if (!caller) return refuse(stranger(request), "skip.entropy", {ErrorCode::unauthenticated, "no SAE of this KME"}, std::move(reply));
    const auto bits = read_entropy_query(request.query);
    if (!bits) return refuse(*caller, "skip.entropy", bits.error(), std::move(reply));
    const auto octets = provider_.random(*bits / 8);
    if (!octets) return reply(failed(octets.error()));
    reply({.status = 200, .content_type = "application/json", .body = render_entropy(*octets)});
  }

 private:
  static Done<Delivery> answer(net::ForeignReply reply, net::ForeignResponse (*failure)(const Error&)) {
    return [reply = std::move(reply), failure](Result<Delivery> delivery) mutable {
      if (!delivery) return reply(failure(delivery.error()));
      reply({.status = 200, .content_type = "application/json", .body = render_key(delivery->keys.front())});
    };
  }
  void refuse(const Caller& caller, std::string_view action, const Error& error, net::ForeignReply reply) const {
    provider_.record_refusal(caller, action, error.message, [reply = std::move(reply), error]() mutable { reply(failed(error)); });
  }

  Provider& provider_;
  const SaeRegistry& registry_;
};

}  // namespace

Result<KeyQuery> read_key_query(std::string_view query, const Limits& limits) {
  ASSIGN_OR_RETURN(const Pairs pairs, read_pairs(query, {"remoteSystemID", "size"}));
  const std::string* const remote = find(pairs, "remoteSystemID");
  if (remote == nullptr || remote->empty()) return bad("remoteSystemID is missing");
  KeyQuery out{.remote = SaeId(*remote), .size = limits.key_size};
  if (const std::string* const size = find(pairs, "size")) {
    ASSIGN_OR_RETURN(out.size, read_bits("size", *size, limits.min_key_size, limits.max_key_size));
  }
  return out;
}

Result<KeyIdQuery> read_key_id_query(std::string_view id, std::string_view query) {
  ASSIGN_OR_RETURN(const Pairs pairs, read_pairs(query, {"remoteSystemID"}));
  const auto read = KeyId::parse_hex(id);
  if (!read) return bad("the keyId is not 32 hexadecimal digits");
  const std::string* const remote = find(pairs, "remoteSystemID");
  return KeyIdQuery{.id = *read, .remote = SaeId(remote != nullptr ? *remote : std::string())};
}

Result<std::uint32_t> read_entropy_query(std::string_view query) {
  ASSIGN_OR_RETURN(const Pairs pairs, read_pairs(query, {"minentropy"}));
  const std::string* const wanted = find(pairs, "minentropy");
  if (wanted == nullptr) return 256U;
  return read_bits("minentropy", *wanted, 8, entropy_bits_max);
}

Result<std::vector<SaeId>> remote_systems(const SaeRegistry& registry, const SaeId& local, const SaeId& asked, const Limits& limits) {
  if (registry.find(asked) != nullptr) return std::vector{asked};
  if (!is_glob(asked.text())) return bad("remoteSystemID is not known");
  const auto who = registry.find(local);
  if (who == nullptr) return bad("localSystemID is not known");
  auto matching = registry.matching(asked.text(), *who);
  if (!matching) return fail_in("remoteSystemID", matching.error());
  std::vector<SaeId> out = *std::move(matching);
  std::erase(out, local);
  if (out.empty()) return bad("remoteSystemID stands for no system that is known by name");
  if (out.size() > limits.max_sae_id_count + 1U) return bad("remoteSystemID stands for more than " + std::to_string(limits.max_sae_id_count + 1U) + " systems");
  return out;
}

Secret render_key(const Key& key) {
  const std::string begin = R"({"keyId":")" + key.id.hex() + R"(","key":")";
  constexpr std::string_view end = R"("})";
  wire::SecretText out(begin.size() + 2 * key.octets.size() + end.size());
  out.add(begin).add_hex(key.octets.reveal()).add(end);
  return std::move(out).finish();
}

Secret render_entropy(const Secret& octets) {
  constexpr std::string_view begin = R"({"randomStr":")";
  const std::string end = R"(","minentropy":)" + std::to_string(8 * octets.size()) + "}";
  wire::SecretText out(begin.size() + 2 * octets.size() + end.size());
  out.add(begin).add_hex(octets.reveal()).add(end);
  return std::move(out).finish();
}

std::string render_capabilities(const SaeRegistry& registry, const SaeId& local) {
  std::vector<wire::Json> remote;
  const auto who = registry.find(local);
  const auto all = registry.all();
  if (all->size() > saes_looked_at_max) {
    remote.emplace_back("*");
  } else if (who != nullptr) {
    for (const auto& [id, sae] : *all) {
      if (id != local && sae.shares_with(*who)) remote.emplace_back(id.text());
    }
  }
  return wire::Json::object({{"entropy", true},
                             {"key", true},
                             {"algorithm", algorithm},
                             {"localSystemID", local.text()},
                             {"remoteSystemID", wire::Json::array(std::move(remote))}})
      .dump();
}

net::ForeignService make_service(Provider& provider, const SaeRegistry& registry) {
  const Service service(provider, registry);
  using Asked = net::ForeignRequest;
  using Reply = net::ForeignReply;
  const auto route = [](const char* pattern, auto act) {
    return net::ForeignRoute{.point = "skip", .method = "GET", .pattern = pattern, .body_max = 0, .answer = act};
  };
  return {.prefix = "/key",
          .routes = {route("/key", [service](const Asked& asked, Reply reply) { service.new_key(asked, std::move(reply)); }),
                     route("/key/{}", [service](const Asked& asked, Reply reply) { service.key_of_id(asked, std::move(reply)); }),
                     route("/capabilities", [service](const Asked& asked, Reply reply) { service.capabilities(asked, std::move(reply)); }),
                     route("/entropy", [service](const Asked& asked, Reply reply) { service.entropy(asked, std::move(reply)); })},
          .refuse = refusal};
}

}  // namespace qanat::kme::skip
