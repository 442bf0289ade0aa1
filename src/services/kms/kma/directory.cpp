#include "services/kms/kma/directory.hpp"

#include <algorithm>

#include "node/crash_point.hpp"
#include "services/kms/kma/in_force.hpp"

namespace qanat::kms {
namespace {

constexpr std::chrono::milliseconds probe_max{1000};
constexpr std::chrono::milliseconds page_answer_max{5000};

std::string directory_named(std::uint64_t epoch) { return "directory " + std::to_string(epoch); }

Result<void> put_page(store::Transaction& transaction, std::uint64_t epoch, std::size_t place, ByteView hash, std::string_view first, ByteView octets) {
  TRY(transaction.run("INSERT INTO directory_page (epoch, place, hash, first_number, octets) VALUES (?, ?, ?, ?, ?) ON CONFLICT (epoch, place) DO NOTHING",
                      {store::column(epoch), static_cast<std::int64_t>(place), hash, first, octets}));
  return {};
}

}  // namespace

Result<std::optional<Directory::Kept>> Directory::kept(store::Transaction& transaction) {
  Bytes head;
  TRY(transaction.query("SELECT head FROM directory WHERE id = 1", {}, [&](const store::Row& row) { head = row.blob(0); }));
  if (head.empty()) return std::optional<Kept>();
  ASSIGN_OR_RETURN(auto framed, wire::parse<wire::Directory>(head));
  return std::optional<Kept>(Kept{.hash = std::move(framed.hash), .head = std::move(framed.message)});
}

Result<Directory::Holder> Directory::find(store::Transaction& transaction, const Kept& in, const Number& number) {
  std::optional<std::size_t> place;
  Bytes octets;
  TRY(transaction.query("SELECT place, octets FROM directory_page WHERE epoch = ? AND first_number <= ? ORDER BY first_number DESC LIMIT 1",
                        {store::column(in.head.epoch), std::string_view(number.text())}, [&](const store::Row& row) {
                          place = static_cast<std::size_t>(row.integer(0));
                          octets = row.blob(1);
                        }));
  const auto unknown = [&] { return fail(ErrorCode::not_found, directory_named(in.head.epoch) + ": does not have " + number.text()); };
  if (!place) return unknown();
  // The head is guarded, and names its pages by their digests: they need no guard of their own.
  const auto page = wire::parse<wire::DirectoryPage>(octets);
  if (!page || *place >= in.head.pages.size() || page->hash != in.head.pages[*place])
    return fail(ErrorCode::internal, directory_named(in.head.epoch) + ": page " + std::to_string(*place) + " is not what CMSP signed");
  const auto& entries = page->message.entries;
  const auto found = std::ranges::lower_bound(entries, number, {}, &wire::DirectoryEntry::number);
  if (found == entries.end() || found->number != number) return unknown();
  return Holder{.uid = found->uid, .kms = found->kms};
}

Result<Directory::Located> Directory::locate(const Number& caller, const Number& called, UnixMs now) {
  return store_.transact([&](store::Transaction& transaction) -> Result<Located> {
    ASSIGN_OR_RETURN(const std::optional<Kept> there, kept(transaction));
    if (!there) return fail(ErrorCode::unavailable, "no directory of CMSP's is kept here");
    const wire::Directory& head = there->head;
    if (now < head.not_before_ms) return fail(ErrorCode::unavailable, directory_named(head.epoch) + ": is not valid yet");
    if (now >= head.not_after_ms) return fail(ErrorCode::unavailable, directory_named(head.epoch) + ": has expired");
    Located out{.caller = {}, .called = {}, .epoch = static_cast<std::int64_t>(head.epoch), .hash = there->hash};
    ASSIGN_OR_RETURN(out.caller, find(transaction, *there, caller));
    ASSIGN_OR_RETURN(out.called, find(transaction, *there, called));
    return out;
  });
}

Result<void> Directory::check_silence(Deadline deadline, const std::string& request_id) {
  ASSIGN_OR_RETURN(const std::string cmsp, node_.peer_of(Kind::cmsp));
  // How long a request may take is its sender's word: it must not pass for silence that there was no time for an answer.
  if (deadline.remaining() < probe_max)
    return fail(ErrorCode::deadline_exceeded, "less than " + std::to_string(probe_max.count()) + " ms are left, too few to find whether CMSP answers");
  const auto answer = node_.exchange(points::Endpoint::ma2_directory, cmsp, {}, deadline.sooner_of(probe_max), request_id);
  if (answer) return fail(ErrorCode::unavailable, "CMSP answers " + node_.identity().name + ": the session is to be opened with it");
  if (is_silence(answer.error().code)) return {};
  return fail(answer.error());
}

Result<void> Directory::record(audit::Outcome outcome, const std::string& object, const std::string& reason, const std::string& request_id) {
  return node_.record({.action = "ma-2.directory", .outcome = outcome, .subject = "cmsp", .object = object, .reason = reason, .request_id = request_id});
}

Result<wire::Framed<wire::Directory>> Directory::open(ByteView octets, const std::string& cmsp, Deadline deadline) {
  ASSIGN_OR_RETURN(const wire::Envelope envelope, wire::parse_envelope(octets, wire::message_size_max));
  ASSIGN_OR_RETURN(const auto signer, senders_.check(envelope.classical, envelope.ml_dsa, node_.settings().peers.at(cmsp).expected, deadline));
  ASSIGN_OR_RETURN(auto head, wire::parse<wire::Directory>(envelope.message));
  TRY(wire::verify(head, signer->verifier, signer->fps));
  TRY(check_in_force(head, node_));
  if (head.message.fps != signer->fps) return fail(ErrorCode::denied, "Directory: names other certificates than its signer's");
  return Result<wire::Framed<wire::Directory>>(std::move(head));
}

Result<void> Directory::judge(const std::optional<Kept>& before, const wire::Framed<wire::Directory>& next) const {
  const wire::Directory& head = next.message;
  const std::string which = directory_named(head.epoch);
  const UnixMs now = node_.clock().now_ms();
  if (before && head.epoch < before->head.epoch)
    return fail(ErrorCode::denied, which + ": is earlier than " + std::to_string(before->head.epoch) + ", which is kept");
  if (before && head.epoch == before->head.epoch && next.hash != before->hash)
    return fail(ErrorCode::denied, which + ": is not what was taken under that epoch");
  if (now >= head.not_after_ms) return fail(ErrorCode::denied, which + ": has expired");
  // Epochs are CMSP's time: one that is far ahead would keep all later ones out.
  if (head.not_before_ms > now + clock_window_ms_ || head.epoch > now + clock_window_ms_) return fail(ErrorCode::denied, which + ": is of a time to come");
  return {};
}

Result<void> Directory::bring(const wire::Directory& head, std::size_t place, const std::string& cmsp, const std::string& request_id) {
  const Bytes& hash = head.pages[place];
  ASSIGN_OR_RETURN(const bool there, store_.transact([&](store::Transaction& transaction) -> Result<bool> {
    Bytes octets;
    std::string first;
    TRY(transaction.query("SELECT first_number, octets FROM directory_page WHERE hash = ? LIMIT 1", {ByteView(hash)}, [&](const store::Row& row) {
      first = row.text(0);
      octets = row.blob(1);
    }));
    if (octets.empty()) return false;
    TRY(put_page(transaction, head.epoch, place, hash, first, octets));
    return true;
  }));
  if (there) return {};
  ASSIGN_OR_RETURN(const net::Response answer,
                   node_.call(points::Endpoint::ma2_directory_page, cmsp, {}, Deadline::after(page_answer_max), request_id, "hash=" + to_hex(hash)));
  ASSIGN_OR_RETURN(const auto page, wire::parse<wire::DirectoryPage>(answer.body));
  if (page.hash != hash) return fail(ErrorCode::denied, directory_named(head.epoch) + ": page " + std::to_string(place) + " is not what CMSP signed");
  return store_.transact([&](store::Transaction& transaction) {
    return put_page(transaction, head.epoch, place, hash, page.message.entries.front().number.text(), page.octets);
  });
}

Result<void> Directory::take(const wire::Framed<wire::Directory>& next, const std::string& cmsp, const std::string& request_id) {
  const wire::Directory& head = next.message;
  const std::int64_t epoch = store::column(head.epoch);
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const std::optional<Kept> before, kept(transaction));
    TRY(judge(before, next));
    // What an earlier attempt has left.
    TRY(transaction.run("DELETE FROM directory_page WHERE epoch <> ? AND epoch <> ?", {epoch, before ? store::column(before->head.epoch) : epoch}));
    return {};
  }));
  for (std::size_t place = 0; place < head.pages.size(); ++place) {
    if (node_.stopping()) return fail(ErrorCode::unavailable, "this KMS stops");
    TRY(bring(head, place, cmsp, request_id));
  }
  TRY(record(audit::Outcome::success, std::to_string(head.epoch),
             std::to_string(head.entries) + " numbers until " + std::to_string(head.not_after_ms) + ", digest " + to_hex(next.hash), request_id));
  node::crash_point("kms.directory.brought");
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const std::optional<Kept> before, kept(transaction));
    TRY(judge(before, next));
    std::int64_t pages = 0;
    TRY(transaction.query("SELECT count(*) FROM directory_page WHERE epoch = ?", {epoch}, [&](const store::Row& row) { pages = row.integer(0); }));
    if (pages != static_cast<std::int64_t>(head.pages.size()))
      return fail(ErrorCode::conflict, directory_named(head.epoch) + ": another front end has removed pages of it");
    const store::Value taken = store::column(node_.clock().now_ms());
    ASSIGN_OR_RETURN(const std::int64_t changed, transaction.run("UPDATE directory SET head = ?, taken_ms = ? WHERE id = 1", {ByteView(next.octets), taken}));
    if (changed == 0) TRY(transaction.run("INSERT INTO directory (id, head, taken_ms) VALUES (1, ?, ?)", {ByteView(next.octets), taken}));
    TRY(transaction.run("DELETE FROM directory_page WHERE epoch <> ?", {epoch}));
    return {};
  });
}

Result<bool> Directory::fetch(Deadline deadline) {
  ASSIGN_OR_RETURN(const std::string cmsp, node_.peer_of(Kind::cmsp));
  ASSIGN_OR_RETURN(const std::optional<Kept> before, store_.transact(kept));
  const std::string request_id = node_.new_request_id();
  ASSIGN_OR_RETURN(const net::Response answer, node_.call(points::Endpoint::ma2_directory, cmsp, {}, deadline, request_id,
                                                          "after=" + std::to_string(before ? before->head.epoch : 0)));
  if (answer.body.empty()) return false;
  const auto taken = [&]() -> Result<bool> {
    ASSIGN_OR_RETURN(const auto next, open(answer.body, cmsp, deadline));
    TRY(judge(before, next));
    if (before && before->hash == next.hash) return false;
    TRY(take(next, cmsp, request_id));
    return true;
  }();
  if (taken) {
    refused_.clear();
  } else if (refused_ != taken.error().message) {
    TRY(record(audit::outcome_of(taken.error().code), "", taken.error().message, request_id));
    refused_ = taken.error().message;
  }
  return taken;
}

void Directory::describe(wire::Json& health) {
  const auto there = store_.transact(kept);
  if (!there || !*there) return;
  const wire::Directory& head = (*there)->head;
  health.set("directory", wire::Json::object({{"epoch", head.epoch}, {"numbers", head.entries}, {"not_after_ms", head.not_after_ms}}));
}

}  // namespace qanat::kms
