#include "services/cas/csp/revocation_lists.hpp"

#include <algorithm>
#include <iterator>
#include <set>

#include "node/crash_point.hpp"
#include "services/cas/csp/places.hpp"

namespace qanat::cas {
namespace {

/// A delta reaches back this far before its base: clocks step, and a revocation may have read the time before it was durable.
constexpr UnixMs delta_margin_ms = 60'000;

std::vector<std::string> all_shards() {
  std::vector<std::string> out;
  out.reserve(list_shards);
  for (std::size_t i = 0; i < list_shards; ++i) out.push_back(std::to_string(i));
  return out;
}

}  // namespace

Result<void> RevocationLists::start(UnixMs now) {
  for (const Branch branch : authorities_.branches()) TRY(make(branch, all_shards(), Base::advanced, now));
  return {};
}

Result<void> RevocationLists::renew(UnixMs now) {
  for (const Branch branch : authorities_.branches()) {
    const std::shared_ptr<const PublishedList> oldest = [&] {
      const std::lock_guard lock(mutex_);
      std::shared_ptr<const PublishedList> out;
      for (const auto& [place, list] : lists_) {
        if (place.first == branch && (!out || list->this_update < out->this_update)) out = list;
      }
      return out;
    }();
    const bool young = oldest && now >= oldest->this_update && now - oldest->this_update < (oldest->next_update - oldest->this_update) / 2;
    if (young) continue;
    TRY(make(branch, all_shards(), Base::advanced, now));
  }
  return {};
}

Result<void> RevocationLists::revoked(Branch branch, std::span<const Bytes> serials, UnixMs now) {
  std::set<std::string> shards;
  for (const Bytes& serial : serials) shards.insert(shard_of(serial));
  const std::vector<std::string> ordered(shards.begin(), shards.end());
  return make(branch, ordered, Base::kept, now);
}

std::shared_ptr<const PublishedList> RevocationLists::in_force(Branch branch, std::string_view scope) const {
  return find(branch, scope_in(branch, authorities_.of(branch).generation, scope));
}

std::shared_ptr<const PublishedList> RevocationLists::find(Branch branch, std::string_view scope) const {
  const std::lock_guard lock(mutex_);
  const auto found = lists_.find(std::pair(branch, std::string(scope)));
  return found == lists_.end() ? nullptr : found->second;
}

/// The device CAs have one name between them, and for whoever trusts two of them a list under that name must be complete, whichever signed it: each has lists
/// of its own, and all of them have the same entries.
Result<void> RevocationLists::make(Branch branch, std::span<const std::string> shards, Base base, UnixMs now) {
  const std::lock_guard one(making_);
  TRY(make_by(authorities_.of(branch), branch, shards, base, now));
  if (branch != Branch::devices) return {};
  for (const Authority& earlier : authorities_.earlier(branch)) TRY(make_by(earlier, branch, shards, base, now));
  return {};
}

Result<void> RevocationLists::make_by(const Authority& authority, Branch branch, std::span<const std::string> shards, Base base, UnixMs now) {
  ASSIGN_OR_RETURN(const std::optional<PublishedList> last, records_.list(branch, scope_in(branch, authority.generation, full_scope)));
  PublishedList numbers{.branch = branch,
                        .scope = "",
                        .number = last ? last->number + 1 : 1,
                        .base_number = last ? last->base_number : 1,
                        .base_at = last ? last->base_at : now,
                        .this_update = now,
                        .next_update = now + static_cast<UnixMs>(std::chrono::milliseconds(lifetime_).count()),
                        .der = {}};
  // What has expired since lists were last made with a new base is no longer to be found in the directory.
  if (base == Base::advanced && last) TRY(records_.note_expired(branch, last->base_at, now));
  // An entry stays for one more life of a list after its certificate has expired (RFC 5280 §3.3). Read once, so that all lists are of one moment.
  const UnixMs life = numbers.next_update - now;
  ASSIGN_OR_RETURN(const Entries revoked, records_.revoked(branch, now > life ? now - life : 0, 0));
  std::vector<PublishedList> made;
  // The delta still adds to the former base: who holds that list needs the delta alone.
  ASSIGN_OR_RETURN(PublishedList delta, make_one(authority, branch, std::string(delta_scope), numbers, revoked));
  if (base == Base::advanced) {
    numbers.base_number = numbers.number;
    numbers.base_at = now;
  }
  ASSIGN_OR_RETURN(PublishedList full, make_one(authority, branch, std::string(full_scope), numbers, revoked));
  made.push_back(std::move(full));
  made.push_back(std::move(delta));
  // A shard is named by the URL of its list: without a listener there are none.
  for (const std::string& shard : url_.empty() ? std::span<const std::string>() : shards) {
    ASSIGN_OR_RETURN(PublishedList list, make_one(authority, branch, shard, numbers, revoked));
    made.push_back(std::move(list));
  }
  if (base == Base::kept) node::crash_point("cas.lists.signed");
  TRY(records_.publish(made));
  if (base == Base::kept) node::crash_point("cas.lists.published");
  const std::lock_guard lock(mutex_);
  for (PublishedList& list : made) {
    std::pair place(branch, list.scope);
    lists_.insert_or_assign(std::move(place), std::make_shared<const PublishedList>(std::move(list)));
  }
  return {};
}

Result<PublishedList> RevocationLists::make_one(const Authority& authority, Branch branch, const std::string& scope, const PublishedList& numbers,
                                                const Entries& revoked) const {
  const bool delta = scope == delta_scope;
  const bool full = scope == full_scope;
  PublishedList out = numbers;
  out.scope = scope_in(branch, authority.generation, scope);
  crypto::RevocationList list{.number = out.number,
                              .base_number = delta ? std::optional(out.base_number) : std::nullopt,
                              .this_update = out.this_update,
                              .next_update = out.next_update,
                              .distribution_point = "",
                              .delta_url = full && !url_.empty() ? url_ + list_path(branch, scope_in(branch, authority.generation, delta_scope)) : "",
                              .revoked = {}};
  const auto belongs = [&](const crypto::RevokedSerial& entry) {
    return full || (delta ? entry.revoked_at + delta_margin_ms >= out.base_at : shard_of(entry.serial) == scope);
  };
  std::ranges::copy_if(revoked, std::back_inserter(list.revoked), belongs);
  if (!delta && !full) list.distribution_point = url_ + list_path(branch, out.scope);
  ASSIGN_OR_RETURN(out.der, crypto::make_revocation_list(list, authority.certificate, authority.key));
  return out;
}

}  // namespace qanat::cas
