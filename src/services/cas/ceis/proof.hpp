// The one-time secret by which an element proves, at its first enrolment, that it is the one that the operator named.
#pragma once

#include "base/secret.hpp"

namespace qanat::cas {

/// What CAS keeps of a one-time secret of 64 hexadecimal digits: SHA-256("qanat enrolment" ‖ digits).
Secret proof_key_of(const Secret& digits);

}  // namespace qanat::cas
