// Profile v2: every message, and how they are framed, signed and verified.
#pragma once

#include "wire/injection.hpp"         // IWYU pragma: export
#include "wire/qfc2_application.hpp"  // IWYU pragma: export
#include "wire/qfc2_ax.hpp"           // IWYU pragma: export
#include "wire/qfc2_charge.hpp"       // IWYU pragma: export
#include "wire/qfc2_directory.hpp"     // IWYU pragma: export
#include "wire/qfc2_enrol.hpp"        // IWYU pragma: export
#include "wire/qfc2_group.hpp"        // IWYU pragma: export
#include "wire/qfc2_header.hpp"       // IWYU pragma: export
#include "wire/qfc2_kms.hpp"          // IWYU pragma: export
#include "wire/qfc2_session.hpp"      // IWYU pragma: export
#include "wire/qfc2_supply.hpp"       // IWYU pragma: export
#include "wire/signed.hpp"            // IWYU pragma: export
