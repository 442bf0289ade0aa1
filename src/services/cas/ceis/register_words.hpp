// What IAM's register says of who asks for a certificate: who is not in it, or suspended there, gets none.
#pragma once

#include "services/cas/ceis/desk.hpp"
#include "services/cas/ceis/element_est.hpp"

namespace qanat::cas {

/// By uid, for software of others.
Vouch vouch_of(node::Node& node);
/// By URI, for elements and terminals that renew.
ElementStanding standing_of(node::Node& node);

}  // namespace qanat::cas
