// What is spoken on a foreign connection once its handshake is done, without the connection: octets in, messages out. HTTP/1.1 is one
// (foreign_http.hpp); a binary stream protocol is another.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "net/foreign.hpp"

namespace qanat::net {

/// One message to the peer. The body is a Secret because it may hold keys.
struct Outgoing {
  std::string head;
  Secret body;
  std::shared_ptr<const Bytes> open_body{};  // after it: octets that are no secret; shared with who keeps them
  bool close_after = false;
};
/// From any thread, once.
using SendBack = std::move_only_function<void(Outgoing)>;

class ForeignProtocol {
 public:
  virtual ~ForeignProtocol() = default;

  enum class Next : std::uint8_t {
    more,     // the message is not complete: read on
    working,  // `send` was taken over and will be, or was, called
  };
  struct Taken {
    std::size_t used = 0;  // octets that need not be shown again
    Next next{};
    bool within = false;  // a message has begun: the time limit of a message runs
  };
  /// On the connection's io thread. `received`: what came and was not used yet; `send` must be moved from exactly when the result is `working`.
  virtual Taken take(ByteView received, SendBack& send) = 0;
  /// What to say when the time of the message (within) or of its answer ran out; an empty head says nothing.
  virtual Outgoing too_late(bool within) = 0;
  /// The most that may wait unused.
  [[nodiscard]] virtual std::size_t unused_max() const noexcept = 0;
};

using ForeignProtocolFactory = std::function<std::unique_ptr<ForeignProtocol>(std::shared_ptr<const ForeignPeer>)>;

/// A listener that speaks another protocol than HTTP.
Result<std::unique_ptr<ForeignListener>> start_foreign_listener(const ForeignSettings& settings, ForeignProtocolFactory protocol, RefusalSink refused);

}  // namespace qanat::net
