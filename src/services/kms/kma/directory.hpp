// CMSP's directory as this KMS keeps it (Ma-2): fetched in the background, on the disk, never an earlier one. It stands in for CMSP's word where CMSP does not
// answer and policy allows it (agreement_directory.cpp).
#pragma once

#include <optional>
#include <string>

#include "node/node.hpp"
#include "node/senders.hpp"
#include "store/store.hpp"
#include "wire/qfc2.hpp"

namespace qanat::kms {

/// True for a failure to get any answer at all: what an element answers, whatever its status, is its word. A handshake that the other end breaks off counts, too:
/// why it does is not to be seen.
constexpr bool is_silence(ErrorCode code) noexcept { return code == ErrorCode::unavailable || code == ErrorCode::deadline_exceeded; }

class Directory {
 public:
  Directory(node::Node& node, store::Store& store, node::SenderDirectory& senders, UnixMs clock_window_ms)
      : node_(node), store_(store), senders_(senders), clock_window_ms_(clock_window_ms) {}

  /// One question to CMSP: what it has later than what is kept is verified, recorded and durable when this returns true. `deadline` is for the question and its
  /// answer; pages that are not here are fetched after it, one by one.
  Result<bool> fetch(Deadline deadline);

  struct Holder {
    Uid uid;
    ElementName kms;
  };
  struct Located {
    Holder caller;
    Holder called;
    std::int64_t epoch = 0;
    Bytes hash;  // message hash of the directory
  };
  /// `unavailable` if none is kept, or it is not valid at `now`; `not_found` for a number that it does not have.
  Result<Located> locate(const Number& caller, const Number& called, UnixMs now);

  /// This KMS's own finding, just now: `unavailable` if CMSP answers it. Takes a second at most.
  Result<void> check_silence(Deadline deadline, const std::string& request_id);
  /// "directory", if one is kept.
  void describe(wire::Json& health);

 private:
  struct Kept {
    Bytes hash;
    wire::Directory head;
  };
  static Result<std::optional<Kept>> kept(store::Transaction& transaction);
  static Result<Holder> find(store::Transaction& transaction, const Kept& in, const Number& number);
  Result<wire::Framed<wire::Directory>> open(ByteView envelope, const std::string& cmsp, Deadline deadline);
  Result<void> judge(const std::optional<Kept>& before, const wire::Framed<wire::Directory>& next) const;
  Result<void> take(const wire::Framed<wire::Directory>& next, const std::string& cmsp, const std::string& request_id);
  /// The page is in the database under the new epoch afterwards.
  Result<void> bring(const wire::Directory& head, std::size_t place, const std::string& cmsp, const std::string& request_id);
  Result<void> record(audit::Outcome outcome, const std::string& object, const std::string& reason, const std::string& request_id);

  node::Node& node_;
  store::Store& store_;
  node::SenderDirectory& senders_;
  const UnixMs clock_window_ms_;
  std::string refused_;  // the last refusal that is on record: it may come again every few seconds. Of the thread that fetches
};

}  // namespace qanat::kms
