#include "node/witness_client.hpp"

#include <charconv>

#include "audit/auditor.hpp"
#include "audit/files.hpp"
#include "audit/proof.hpp"
#include "node/log.hpp"

namespace qanat::node {
namespace {

constexpr std::chrono::milliseconds witness_answer_max{2000};
constexpr unsigned accepted_status = 200;
constexpr unsigned unknown_status = 404;
constexpr unsigned conflict_status = 409;
constexpr unsigned busy_status = 503;
constexpr std::chrono::milliseconds busy_wait_min{20};  // a cosignature takes some milliseconds
constexpr unsigned rest_after_refusal = 60;  // turns

std::optional<std::uint64_t> size_in(const net::Response& response) {
  const std::string_view text = as_text(response.body);
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (response.content_type != points::type_tree_size || error != std::errc() || std::string_view(end, text.data() + text.size()) != "\n") return std::nullopt;
  return out;
}

}  // namespace

void WitnessClient::start(std::chrono::milliseconds every) {
  thread_ = std::jthread([this, every](const std::stop_token& stopped) {
    while (true) {
      {
        std::unique_lock lock(mutex_);
        wake_.wait_for(lock, stopped, every, [] { return false; });
      }
      if (stopped.stop_requested()) return;
      if (rest_ > 0) {
        --rest_;
        continue;
      }
      (void)submit(Deadline::after(witness_answer_max), stopped);  // recorded there
    }
  });
}

void WitnessClient::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

Result<net::Response> WitnessClient::exchange(const audit::Checkpoints::Latest& latest, Deadline deadline) {
  audit::ConsistencyProof proof{.old_size = known_, .hashes = {}, .note = latest.note};
  ASSIGN_OR_RETURN(proof.hashes, audit::prove_consistency(known_, latest.head.size, node_.audit_log().published(latest.head.size)));
  const std::string body = audit::proof_text(proof);
  return node_.exchange(points::Endpoint::x9_cosign, peer_, as_bytes(body), deadline, node_.new_request_id());
}

Result<void> WitnessClient::state_keys(Deadline deadline) {
  ASSIGN_OR_RETURN(const std::optional<Bytes> statement,
                   audit::read_small_file(audit::statement_file(node_.audit_log().folder()), audit::statement_octets_max));
  if (!statement) return fail(ErrorCode::internal, "there is no statement of the audit keys");
  TRY(node_.call(points::Endpoint::x9_keys, peer_, *statement, deadline, node_.new_request_id()));
  return {};
}

Result<void> WitnessClient::take(const audit::Checkpoints::Latest& latest, const net::Response& response) {
  ASSIGN_OR_RETURN(std::vector<audit::NoteSignature> cosignatures, audit::parse_signature_lines(as_text(response.body)));
  const std::string witness = audit::origin_of(node_.settings().peers.at(peer_).expected.uri());
  std::erase_if(cosignatures, [&](const audit::NoteSignature& one) { return one.name != witness; });
  if (cosignatures.size() != audit::all_log_key_types.size()) return fail(ErrorCode::invalid_argument, "X-9: not the cosignatures of " + witness);
  known_ = cosigned_ = latest.head.size;
  const auto added = node_.checkpoints().add_signatures(latest.head.size, cosignatures);
  // A newer checkpoint is there by now: the next turn has that one cosigned.
  return added || added.error().code == ErrorCode::conflict ? Result<void>{} : added;
}

bool WitnessClient::wait_a_little(Deadline deadline, const std::stop_token& stopped) {
  // At random: all elements' turns come each second, and some would meet at the witness for ever.
  const std::chrono::milliseconds wait = busy_wait_min + std::chrono::milliseconds(node_.rng().bytes(1)[0] / 4);
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, stopped, std::min(deadline.remaining(), wait), [] { return false; });
  return !stopped.stop_requested() && !deadline.passed();
}

Result<void> WitnessClient::submit(Deadline deadline, const std::stop_token& stopped) {
  const audit::Checkpoints::Latest latest = node_.checkpoints().latest();
  if (latest.head.size == cosigned_) return {};
  // At most: a size that the witness knows better, keys that it does not know, and the size again.
  for (int attempt = 0; attempt < 4;) {
    const auto response = exchange(latest, deadline);
    if (!response) return turn(State::away, fail(response.error()));
    if (response->status == busy_status) {
      if (wait_a_little(deadline, stopped)) continue;
      const std::unexpected<Error> busy = fail(net::error_of(*response));
      return stopped.stop_requested() ? busy : turn(State::away, busy);
    }
    ++attempt;
    if (response->status == accepted_status) return turn(State::reached, take(latest, *response));
    if (response->status == unknown_status) {
      if (const auto stated = state_keys(deadline); !stated) return turn(State::away, stated);
      continue;
    }
    const auto size = response->status == conflict_status ? size_in(*response) : std::nullopt;
    if (!size || *size > latest.head.size || *size == known_) break;
    known_ = *size;
  }
  return turn(State::refused,
              fail(ErrorCode::denied, "the witness " + peer_ + " does not cosign the checkpoint over " + std::to_string(latest.head.size) + " lines"));
}

Result<void> WitnessClient::turn(State state, Result<void> outcome) {
  if (state == State::refused) rest_ = rest_after_refusal;
  const State before = std::exchange(state_, state);
  if (state == before || (state == State::reached && before == State::unknown)) return outcome;
  const std::string_view action = state == State::reached ? "audit.witness_back" : state == State::away ? "audit.witness_away" : "audit.witness_refused";
  if (!outcome) log(state == State::refused ? LogLevel::error : LogLevel::warning, "{}: {}", action, outcome.error().message);
  TRY(node_.record({.action = action,
                    .outcome = state == State::reached ? audit::Outcome::success : audit::Outcome::failure,
                    .subject = node_.settings().peers.at(peer_).expected.uri(),
                    .object = "",
                    .reason = outcome ? std::string_view() : std::string_view(outcome.error().message),
                    .request_id = ""}));
  return outcome;
}

}  // namespace qanat::node
