// expect: static assertion failed due to requirement 'qanat::store::may(KeyState::delivered, KeyState::reserved)'
#include "store/lifecycle.hpp"

using qanat::store::KeyState;

// offending begin
static_assert(qanat::store::may(KeyState::delivered, KeyState::reserved));
// offending end
static_assert(qanat::store::may(KeyState::generated, KeyState::reserved));
