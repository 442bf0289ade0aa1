// expect: static assertion failed due to requirement 'qanat::store::may(KeyKind::working, delivered, reserved)'
#include "store/lifecycle.hpp"

using enum qanat::store::KeyState;
using qanat::store::KeyKind;

// offending begin
static_assert(qanat::store::may(KeyKind::working, delivered, reserved));
// offending end
static_assert(qanat::store::may(KeyKind::working, generated, reserved));
