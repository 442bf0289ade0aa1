// Who is at the other end of a call: the two certificates that it shows must be good now and name the subscriber that the KMS named.
#pragma once

#include <functional>
#include <memory>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "node/senders.hpp"

namespace qanat::terminal {

/// Certificates as the other end showed them → its checked sender: chain, validity and status hold, both are of one terminal and of the suite.
using CheckPeer = std::function<Result<std::shared_ptr<const node::Sender>>(ByteView classical_der, ByteView ml_dsa_der)>;

/// `denied` unless both certificates are of the terminal of subscriber `uid`, both carry `number`, and those that name a home KMS name this one.
Result<void> names_subscriber(const node::Sender& sender, const Uid& uid, const Number& number, const ElementName& kms);

/// Chain, validity and status by this terminal's node, each check within `longest`. `senders` outlives the function.
CheckPeer check_peer_with(node::SenderDirectory& senders, std::chrono::milliseconds longest);

}  // namespace qanat::terminal
