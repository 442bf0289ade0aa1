// Elements that may enrol, beyond those of the ceremony: new ones, and known ones whose certificates have expired or were revoked.
#pragma once

#include "node/settings.hpp"

namespace qanat::cas {

enum class Expected : std::uint8_t { from_now, before };

/// From its next start on, CAS lets this element enrol once with this one-time secret of 64 hexadecimal digits. CAS must not be running. On its audit record.
/// `before`: this secret was entered before, and nothing is changed. invalid_argument for kinds that do not enrol by EST, `conflict` if the secret is
/// another's.
Result<Expected> expect_element(const node::Settings& cas, const Identity& element, const Secret& digits);

}  // namespace qanat::cas
