#include "services/cmsp/cam/directory.hpp"

#include "node/senders.hpp"
#include "services/cmsp/after_query.hpp"
#include "services/cmsp/known_kms.hpp"
#include "wire/qfc2.hpp"

namespace qanat::cmsp {
namespace {

constexpr std::int64_t accounts_at_once = 4096;
constexpr std::chrono::seconds made_anew_every{3600};
constexpr std::string_view page_query = "hash=";

const net::Response nothing_new{.status = 204, .content_type = "", .body = {}};

}  // namespace

bool Directory::due(const Made& made) const {
  const auto age = std::chrono::steady_clock::now() - made.at;
  if (age >= made_anew_every || node_.signer() != made.signer) return true;
  // In proportion to its size, so that a KMS that fetches the pages of a large one gets to its end.
  return accounts_.changes() != made.changes && age >= std::chrono::seconds(std::max<std::size_t>(made.pages.size(), 1));
}

Result<std::shared_ptr<const Directory::Made>> Directory::make(std::int64_t former_epoch, const std::string& request_id) {
  const crypto::Suite& suite = node_.suite();
  const std::uint32_t policy_epoch = node_.settings().policy_epoch;
  auto made = std::make_shared<Made>();
  made->at = std::chrono::steady_clock::now();
  made->changes = accounts_.changes();
  made->signer = node_.signer();
  const UnixMs now = node_.clock().now_ms();
  // By the clock, so that a CMSP whose database is lost goes on above what the KMSs have.
  made->epoch = std::max(static_cast<std::int64_t>(now), former_epoch + 1);
  made->not_after_ms = now + wire::directory_life_max_ms;
  wire::Directory head{.epoch = static_cast<std::uint64_t>(made->epoch), .not_before_ms = now, .not_after_ms = made->not_after_ms, .entries = 0, .pages = {},
                       .fps = made->signer->fps};
  wire::DirectoryPage page;
  std::size_t size = 2;
  const auto close_page = [&]() -> Result<void> {
    if (page.entries.empty()) return {};
    if (head.pages.size() == wire::directory_pages_max) return fail(ErrorCode::exhausted, "directory: there are more numbers than it can hold");
    ASSIGN_OR_RETURN(auto framed, wire::frame(suite, policy_epoch, page));
    head.entries += page.entries.size();
    head.pages.push_back(framed.hash);
    made->pages.emplace(std::move(framed.hash), std::move(framed.octets));
    page.entries.clear();
    size = 2;
    return {};
  };
  Number last;
  while (true) {
    ASSIGN_OR_RETURN(std::vector<Account> accounts, accounts_.reachable(last, accounts_at_once));
    if (accounts.empty()) break;
    last = accounts.back().number;
    for (Account& account : accounts) {
      wire::DirectoryEntry entry{.number = std::move(account.number), .uid = std::move(account.uid), .kms = std::move(account.kms)};
      const std::size_t more = wire::encoded_size(entry);
      if (size + more > wire::directory_page_room || page.entries.size() == wire::directory_page_entries_max) TRY(close_page());
      size += more;
      page.entries.push_back(std::move(entry));
    }
  }
  TRY(close_page());
  made->numbers = head.entries;
  ASSIGN_OR_RETURN(auto framed, wire::sign_message(suite, policy_epoch, head, made->signer->signer, made->signer->fps, node_.rng()));
  TRY(node_.record({.action = "ma-2.directory", .outcome = audit::Outcome::success, .subject = node_.identity().uri(), .object = std::to_string(made->epoch),
                    .reason = std::to_string(made->numbers) + " numbers, digest " + to_hex(framed.hash), .request_id = request_id}));
  made->envelope = node::enclose(*made->signer, std::move(framed.octets));
  return std::shared_ptr<const Made>(std::move(made));
}

Result<std::shared_ptr<const Directory::Made>> Directory::in_force(const net::Request& request) {
  std::shared_ptr<const Made> former;
  {
    const std::lock_guard lock(mutex_);
    former = made_;
    if (making_ && !former) return fail(ErrorCode::unavailable, "directory: the first one is being made");
    if (making_ || (former && !due(*former))) return former;
    making_ = true;
  }
  auto made = make(former ? former->epoch : 0, request.request_id);
  const std::lock_guard lock(mutex_);
  making_ = false;
  if (made) made_ = *made;
  return made;
}

Result<net::Response> Directory::give(const net::Request& request) {
  TRY(known_kms(node_, *request.peer.identity));
  if (request.query.empty()) return nothing_new;
  ASSIGN_OR_RETURN(const std::int64_t after, number_after(request.query, "epoch of the directory"));
  ASSIGN_OR_RETURN(const std::shared_ptr<const Made> made, in_force(request));
  if (made->epoch == after) return nothing_new;
  return net::Response{.status = 200, .content_type = std::string(points::type_octets), .body = made->envelope};
}

Result<net::Response> Directory::page(const net::Request& request) {
  TRY(known_kms(node_, *request.peer.identity));
  std::string_view query = request.query;
  std::optional<Bytes> hash;
  if (query.starts_with(page_query)) hash = from_hex(query.substr(page_query.size()));
  if (!hash || hash->size() != node_.suite().digest)
    return fail(ErrorCode::invalid_argument, "the query must be hash= and the digest of a page, in hexadecimal");
  std::shared_ptr<const Made> made;
  {
    const std::lock_guard lock(mutex_);
    made = made_;
  }
  const auto found = made ? made->pages.find(*hash) : std::map<Bytes, Bytes>::const_iterator{};
  if (!made || found == made->pages.end()) return fail(ErrorCode::not_found, "the page is in no directory that is given now");
  return net::Response{.status = 200, .content_type = std::string(points::type_qfc2), .body = found->second};
}

void Directory::describe(wire::Json& health) {
  const std::lock_guard lock(mutex_);
  if (!made_) return;
  health.set("directory", wire::Json::object({{"epoch", made_->epoch},
                                              {"numbers", static_cast<std::int64_t>(made_->numbers)},
                                              {"pages", static_cast<std::int64_t>(made_->pages.size())},
                                              {"not_after_ms", made_->not_after_ms}}));
}

}  // namespace qanat::cmsp
