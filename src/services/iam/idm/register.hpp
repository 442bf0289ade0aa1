// The register of identities: durable, versioned, the same request again changes nothing. When a subject's standing or existence ends, its epoch ends in the
// same transaction.
#pragma once

#include <functional>
#include <set>

#include "services/iam/idm/identity_record.hpp"
#include "store/store.hpp"

namespace qanat::iam {

/// Called inside the transaction in which tokens of the subject's epochs before `epoch` become void, or anything about an SAE changes. The subject is a uid, or "class:terminal": all of that
/// class, whose epochs are not the same (`epoch` is 0 then).
using EpochEnded = std::function<Result<void>(store::Transaction&, const std::string& subject, std::int64_t epoch)>;

struct IdentityFilter {
  std::optional<IdentityClass> of = {};
  std::optional<std::string> domain = {};
  std::optional<Standing> standing = {};
};

/// SAEs that may have keys, and what the whole list of them is: where the digest is the same, so is the list.
struct SaePage {
  std::vector<IdentityRecord> saes;
  Bytes digest;
};

class IdentityRegister {
 public:
  IdentityRegister(store::Store& store, EpochEnded epoch_ended) : store_(store), epoch_ended_(std::move(epoch_ended)) {}

  /// These uids are for elements alone from now on: nobody else is entered under one. Called before anything is entered.
  void reserve_for_elements(std::set<std::string> uids) { for_elements_ = std::move(uids); }

  /// `conflict` if the uid is reserved, or if it, the number, uri or a certificate is another's. A record that is there and says the same is the answer as it
  /// is.
  Result<IdentityRecord> create(const IdentityRecord& record, UnixMs now);
  /// All or none: each is created, or replaced if it says otherwise. Number of records that were not as they are already.
  Result<std::int64_t> import(const std::vector<IdentityRecord>& records, UnixMs now);

  // `not_found` if there is none.
  Result<IdentityRecord> find(const Uid& uid);
  Result<IdentityRecord> find(const Identity& uri);
  Result<IdentityRecord> find(const Number& number);
  Result<IdentityRecord> find_by_certificate(ByteView thumbprint);
  /// Whatever its case (ASCII). Nothing if there is none.
  Result<std::optional<IdentityRecord>> find_by_user_name(const std::string& user_name);
  /// Several directories may have the same. In the order of their uids, those behind `after`, at most `limit`.
  Result<std::vector<IdentityRecord>> find_by_external_id(const std::string& external_id, const std::string& after, std::int64_t limit);
  /// Neither in use, nor used before, nor reserved for an element.
  Result<bool> is_free(const Uid& uid);

  /// `denied` if the certificates or the uri of a subject with the duty security or audit would be others (import too).
  /// `conflict` if the record is not of this version, unless it is the next one and has these members already.
  Result<IdentityRecord> change(const Uid& uid, std::int64_t version, const wire::Json& set, UnixMs now);
  /// Suspending ends the epoch. In this standing already: the record as it is. `version` absent: whichever it is.
  Result<IdentityRecord> set_standing(const Uid& uid, std::optional<std::int64_t> version, Standing standing, UnixMs now);
  /// The record as it is to be, in place of the one of this version: `conflict` if that is another now. Suspending ends the epoch.
  Result<IdentityRecord> put(std::int64_t version, const IdentityRecord& wanted, UnixMs now);
  /// Ends the epoch. Deleted already in this version: nothing.
  Result<void> remove(const Uid& uid, std::int64_t version, UnixMs now);
  /// Tokens that were issued until now are void. The new epoch.
  Result<std::int64_t> end_epoch(const Uid& uid);
  /// The subject's certificate as it was shown on a connection whose SAN named it.
  Result<void> note_certificate(const Uid& uid, ByteView thumbprint);

  /// In the order of their uids, those behind `after`, at most `limit`.
  Result<std::vector<IdentityRecord>> list(const IdentityFilter& filter, const std::string& after, std::int64_t limit);
  /// Active SAEs with a home KMS, in the order of their uids, those behind `after`, at most `limit`.
  Result<SaePage> saes(const std::string& after, std::int64_t limit);
  Result<std::int64_t> count();

  // Within a transaction of the caller's.
  static Result<std::optional<IdentityRecord>> read(store::Transaction& transaction, const Uid& uid);
  Result<IdentityRecord> insert(store::Transaction& transaction, const IdentityRecord& record, UnixMs now);
  /// Of a uid or a whole class ("class:terminal"); nothing where there is none.
  Result<void> end_epochs(store::Transaction& transaction, const std::string& subject);

 private:
  Result<IdentityRecord> find_by(std::string_view sql, store::Value value, const std::string& what);
  Result<IdentityRecord> replace(store::Transaction& transaction, const IdentityRecord& before, IdentityRecord after, UnixMs now);

  store::Store& store_;
  const EpochEnded epoch_ended_;
  std::set<std::string> for_elements_;
};

}  // namespace qanat::iam
